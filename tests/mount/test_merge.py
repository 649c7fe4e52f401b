"""merge under the kernel's caches, its refusals at the command line, and materialize."""

from __future__ import annotations

import errno
import json
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.mount.programs import put

if TYPE_CHECKING:
    from tests.mount.conftest import Mounted


@pytest.fixture
def forked(mounted: Mounted) -> Mounted:
    """`x` and the root view both changed `a`; `x` has `d/new` too."""
    put(mounted.path / "a", "base\n")
    put(mounted.path / "same", "same\n")
    mounted.commit("base")
    mounted.helios("branch", "x")
    live = mounted.path / ".helios" / "branches" / "x"
    put(live / "a", "theirs\n")
    put(live / "d/new", "new\n")
    mounted.commit("theirs", view=".helios/branches/x")
    put(mounted.path / "a", "ours\n")
    mounted.commit("ours")
    return mounted


def test_a_conflict_is_told_at_every_entrance(forked: Mounted) -> None:
    fd = os.open(forked.path / ".helios/ctl/merge", os.O_RDWR)
    try:
        with pytest.raises(OSError, match="temporarily unavailable") as caught:
            os.write(fd, b"x\n")
        assert caught.value.errno == errno.EAGAIN
        reply = os.read(fd, 4096)
    finally:
        os.close(fd)
    refusal = "conflict in 1 path: nothing was changed\ncontent: a\nways to continue:\n"
    assert reply.decode().startswith(f"error: {refusal}")
    assert (forked.path / ".helios/conflicts").read_text() == "content: a\n"
    assert (forked.path / "a").read_text() == "ours\n"
    done = forked.command("merge", "x")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"helios: {refusal}")
    done = forked.command("merge", "--json", "x")
    assert (done.returncode, done.stderr) == (1, "")
    assert json.loads(done.stdout)["conflicts"][0]["path"] == "a"
    errors = (forked.path / ".helios/ctl/error").read_text().splitlines()
    assert errors[:2] == ["conflict in 1 path: nothing was changed"] * 2


def test_an_open_merge_outlives_the_daemon(forked: Mounted) -> None:
    inode = (forked.path / "same").stat().st_ino
    forked.helios("merge", "--markers", "x")
    assert (forked.path / "a").read_text().startswith("<<<<<<< HEAD\nours\n")
    assert (forked.path / "d/new").read_text() == "new\n"
    assert (forked.path / "same").stat().st_ino == inode
    forked.kill9()
    forked.mount()
    assert "is open" in (forked.path / ".helios/status").read_text()
    put(forked.path / "a", "both\n")
    forked.commit("both")
    assert len(json.loads(forked.helios("show", "--json"))["parents"]) == 2
    forked.helios("undo")
    forked.helios("merge", "--abort")
    assert (forked.path / "a").read_text() == "ours\n"
    assert not (forked.path / "d").exists()


def tree_of(root: Path) -> dict[str, tuple[object, ...]]:
    found: dict[str, tuple[object, ...]] = {}
    for parent, directories, files in os.walk(root):
        for name in [*directories, *files]:
            place = Path(parent) / name
            status = place.lstat()
            data = b""
            if stat.S_ISLNK(status.st_mode):
                data = os.fsencode(os.readlink(place))
            elif stat.S_ISREG(status.st_mode):
                data = place.read_bytes()
            links = 1 if stat.S_ISDIR(status.st_mode) else status.st_nlink
            found[str(place.relative_to(root))] = (
                status.st_mode, status.st_mtime_ns, links, data,
            )  # fmt: skip
    return found


def test_materialize(mounted: Mounted, tmp_path: Path) -> None:
    put(mounted.path / "d/x.c", "code\n")
    put(mounted.path / "d/x.o", "object\n")
    (mounted.path / "big").write_bytes(bytes(3 << 20) + b"end")
    (mounted.path / "link").symlink_to("d/x.c")
    os.link(mounted.path / "big", mounted.path / "d/big2")
    (mounted.path / "d/x.c").chmod(0o751)
    os.mkfifo(mounted.path / "fifo")
    (mounted.path / "empty").mkdir()
    os.utime(mounted.path / "d/x.c", ns=(1, 1_234_567_890_123_456_789))
    oid = mounted.commit("all")
    (mounted.path / "d/x.c").unlink()
    expected = tree_of(mounted.path / ".helios" / "snapshots" / oid)
    outs = [tmp_path / "one", tmp_path / "two"]
    assert mounted.helios("materialize", "HEAD", str(outs[0])) == f"6 files written to {outs[0]}\n"
    done = mounted.command("materialize", "HEAD", str(outs[0]))
    assert done.returncode == 1
    assert "is not empty" in done.stderr
    only = tmp_path / "only"
    mounted.helios("materialize", "--include", "d", "--exclude", "*.o", "HEAD", str(only))
    assert sorted(tree_of(only)) == ["d", "d/big2", "d/x.c"]
    done = mounted.command("materialize", "nope", str(tmp_path / "three"))
    assert "no revision 'nope'" in done.stderr
    assert not (tmp_path / "three").exists()
    mounted.unmount()
    mounted.helios("materialize", "-q", "HEAD", str(outs[1]))
    assert tree_of(outs[0]) == tree_of(outs[1]) == expected
    assert (outs[1] / "big").stat().st_blocks < 100
