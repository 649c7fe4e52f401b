"""Requests for names that come before the kernel was told what a verb has changed."""

from __future__ import annotations

import errno
from random import Random
from typing import cast

import pytest

from heliosfs.daemon.barrier import Barrier
from heliosfs.daemon.kernel import Kernel
from heliosfs.daemon.service import Service
from heliosfs.daemon.watchers import Watchers
from heliosfs.fuse.loop import RequestLoop
from heliosfs.fuse.notices import Notices
from heliosfs.vfs.filesystem import FileSystem
from tests.simulation.kernel import ROOT, CachingKernel
from tests.tree_builder import Stage

pytestmark = pytest.mark.trio


class Mounted:
    """A repository with a kernel that knows two versions of two files, and shows the older one."""

    def __init__(self) -> None:
        self.stage = stage = Stage()
        stage.commit(a=b"old a", b=b"old b")
        stage.commit(a=b"new a", b=b"new b")
        self.kernel = CachingKernel(Random(0))
        notices = cast("Notices", self.kernel)
        repository = stage.repository
        service = Service(
            repository,
            FileSystem(repository),
            Kernel(RequestLoop(), Barrier("/", -1), notices),
            notices,
            Watchers(repository, "/", notices),
        )
        self.kernel.handlers = service.handlers

    async def read(self, name: bytes) -> bytes:
        handle = await self.kernel.open((name,), 0, asks=False)
        data = await self.kernel.read(handle, 0, 100)
        await self.kernel.close(handle)
        return data

    def tell(self) -> None:
        """Tell the kernel what is out of date, at last."""
        for parent, name, child in self.stage.repository.take_stale().entries:
            self.kernel.entry(parent, name, child)


@pytest.mark.parametrize(("flags", "left"), [(0, []), (2, [b"a"])])
async def test_a_rename_of_what_was_replaced_moves_the_new_file(
    flags: int, left: list[bytes]
) -> None:
    """The kernel would keep the old one under the new name, for which no notice comes."""
    mounted = Mounted()
    kernel = mounted.kernel
    assert (await mounted.read(b"a"), await mounted.read(b"b")) == (b"new a", b"new b")
    mounted.stage.run("reset", "--hard", "HEAD~1")
    with pytest.raises(OSError, match="ESTALE") as raised:
        await kernel.rename((b"a",), (b"b",), flags, asks=False)
    assert raised.value.errno == errno.ESTALE
    await kernel.retried(kernel.rename, (b"a",), (b"b",), flags)
    mounted.tell()
    assert await mounted.read(b"b") == b"old a"
    assert [name for name in (b"a",) if (ROOT, name) in kernel.names] == left
    if left:
        assert await mounted.read(b"a") == b"old b"


async def test_a_rename_of_what_the_kernel_knows_is_carried_out() -> None:
    mounted = Mounted()
    await mounted.read(b"a")
    await mounted.kernel.rename((b"a",), (b"c",), 0, asks=False)
    assert await mounted.read(b"c") == b"new a"
