"""The handlers' wrapper: an errno for every error, and a mount that outlives all of them."""

from __future__ import annotations

import errno
import logging

import pyfuse3
import pytest

from heliosfs.daemon.rare_requests import Operations
from heliosfs.errors import CorruptObject, PosixError, ReadOnly
from heliosfs.fuse.handler import handler, logged

pytestmark = pytest.mark.trio


class Broken:
    """An object whose handler raises the error that it was made with."""

    def __init__(self, error: BaseException) -> None:
        self.error = error

    @handler
    async def act(self, argument: int) -> int:
        """Fail as told."""
        raise self.error


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (PosixError(errno.ENOTEMPTY), errno.ENOTEMPTY),
        (ReadOnly("a snapshot"), errno.EROFS),
        (CorruptObject("object 1"), errno.EIO),
        (pyfuse3.FUSEError(errno.ENOSYS), errno.ENOSYS),
    ],
)
async def test_our_errors_have_their_errno(error: Exception, code: int) -> None:
    with pytest.raises(pyfuse3.FUSEError) as raised:
        await Broken(error).act(1)
    assert raised.value.errno == code


async def test_what_the_store_could_not_read_is_told_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    for error in (
        CorruptObject("object 1234 is damaged: its bytes have another id"),
        PosixError(errno.EIO),
    ):
        with pytest.raises(pyfuse3.FUSEError):
            await Broken(error).act(1)
    assert [record.getMessage() for record in caplog.records] == [
        "act: object 1234 is damaged: its bytes have another id"
    ]


@pytest.mark.parametrize(
    "error", [KeyError("fh"), FileNotFoundError(2, "of our own"), AssertionError(), OverflowError()]
)
async def test_any_other_is_eio_with_a_traceback(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(pyfuse3.FUSEError) as raised:
        await Broken(error).act(1)
    assert raised.value.errno == errno.EIO
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert record.exc_info
    assert record.exc_info[1] is error


async def test_the_log_of_requests_changes_no_answer(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with pytest.raises(pyfuse3.FUSEError):
        await logged(Broken.act)(Broken(PosixError(errno.ENOENT)), 7)
    assert "act(7): No such file or directory" in caplog.text


async def test_every_request_that_has_an_answer_is_wrapped() -> None:
    bare = [
        name
        for name, function in vars(Operations).items()
        if not name.startswith("_")
        and hasattr(pyfuse3.Operations, name)
        and callable(function)
        and not hasattr(function, "__wrapped__")
    ]
    assert bare == []
