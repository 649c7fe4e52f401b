"""Archives that are cut off: they take no file's place, and do not pass for whole ones."""

from __future__ import annotations

import errno
import gc
import io
import os
import stat
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from heliosfs.cli import archive
from heliosfs.cli.archive import _Chosen, _replacing, _Source, _write
from heliosfs.cli.materialize import TreeItem, snapshot_items
from heliosfs.commands.options import Options
from heliosfs.commands.pathspec import pathspec
from heliosfs.commands.table import find_verb
from heliosfs.errors import NotFound, PosixError
from heliosfs.objects.tree import NO_OID, Entry

DATA = b"bytes of a file\n" * 1000


def options(*words: str) -> Options:
    return find_verb("archive").parser().parse(list(words))


def chosen(*words: str) -> _Chosen:
    return _Chosen(pathspec("", list(words) or ["."]), b"")


def items(*, fails: bool = False) -> Iterator[TreeItem]:
    for number in range(30):
        name = b"f%02d" % number
        entry = Entry(name, stat.S_IFREG | 0o644, 0, 0, 0, len(DATA), NO_OID)
        yield TreeItem(name, entry, lambda: iter([(0, DATA)]))
        if fails and number == 20:
            raise KeyboardInterrupt


def names_in(kind: str, data: bytes) -> list[str]:
    if kind == "zip":
        return zipfile.ZipFile(io.BytesIO(data)).namelist()
    return tarfile.open(fileobj=io.BytesIO(data)).getnames()


@pytest.mark.parametrize("kind", ["tar", "tgz", "zip"])
def test_an_interrupted_archive_takes_no_files_place(kind: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.write_bytes(b"before")
    with pytest.raises(KeyboardInterrupt), _replacing(str(out)) as file:
        _write(options(), kind, file, _Source(items(fails=True), "", 0), chosen())
    gc.collect()  # a writer that is deleted must not write into a closed file
    assert out.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [out]
    with _replacing(str(out)) as file:
        _write(options(), kind, file, _Source(items(), "", 0), chosen())
    assert len(names_in(kind, out.read_bytes())) == 30


@pytest.mark.parametrize("kind", ["tar", "tgz", "zip"])
def test_what_was_written_of_it_is_seen_to_be_cut_off(kind: str) -> None:
    out = io.BytesIO()
    with pytest.raises(KeyboardInterrupt):
        _write(options(), kind, out, _Source(items(fails=True), "", 0), chosen())
    gc.collect()
    with pytest.raises((tarfile.ReadError, EOFError, zipfile.BadZipFile)):
        names_in(kind, out.getvalue())


def test_a_path_that_matches_nothing_is_told_of(tmp_path: Path) -> None:
    out = tmp_path / "out.tar"
    with pytest.raises(NotFound, match=r"nothing matches .none.$"), _replacing(str(out)) as file:
        _write(options(), "tar", file, _Source(items(), "", 0), chosen("none"))
    assert not out.exists()
    with pytest.raises(NotFound, match="the rest is in the archive"), _replacing(str(out)) as file:
        _write(options(), "tar", file, _Source(items(), "", 0), chosen("f01", "none"))
    assert names_in("tar", out.read_bytes()) == ["f01"]


def test_a_place_that_cannot_be_written_is_named_as_given(tmp_path: Path) -> None:
    out = str(tmp_path / "no/../none/out.tar")
    with pytest.raises(FileNotFoundError) as caught, _replacing(out):
        pass
    assert caught.value.filename == out


def test_a_link_stays_and_a_device_is_written_to(tmp_path: Path) -> None:
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_bytes(b"before")
    link.symlink_to(target)
    with _replacing(str(link)) as file:
        file.write(b"after")
    assert link.is_symlink()
    assert target.read_bytes() == b"after"
    with archive._replacing("/dev/null") as file:
        file.write(b"nowhere")


def test_a_file_of_a_snapshot_that_cannot_be_read_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "gone").write_bytes(b"data")
    _, item = snapshot_items(os.fsencode(tmp_path))

    def pread(fd: int, length: int, offset: int) -> bytes:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "pread", pread)
    with pytest.raises(PosixError, match=r"cannot read .*/gone: 'cat .helios/ctl/error' tells why"):
        list(item.pieces())
