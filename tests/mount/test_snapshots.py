"""Looking back: snapshots are whole, read-only, and in nobody's way."""

from __future__ import annotations

import ctypes
import os
import re
import shutil
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.mount.conftest import Mounted, Mounter
from tests.mount.programs import errno_of, put, run, shell

_libc = ctypes.CDLL(None, use_errno=True)
AT_FDCWD = -100


def renameat2(old: Path, new: Path, flags: int = 0) -> None:
    if _libc.renameat2(AT_FDCWD, os.fsencode(old), AT_FDCWD, os.fsencode(new), flags):
        raise OSError(ctypes.get_errno(), "renameat2")


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mounted]:
    """A workspace with three commits, which the tests only look at."""
    mounted = Mounted(tmp_path_factory.mktemp("kept") / "ws")
    try:
        mounted.mount()
        fill(mounted.path)
        mounted.commit("one")
        put(mounted.path / "d/file", "second\n")
        mounted.commit("two")
        shutil.rmtree(mounted.path / "d/sub")
        put(mounted.path / "new", "third\n")
        mounted.commit("three")
        yield mounted
    finally:
        mounted.end()


def fill(root: Path) -> None:
    put(root / "d/file", "first\n")
    put(root / "d/sub/other", "other\n")
    (root / "d/file").chmod(0o640)
    os.chown(root / "d/file", 12, 34)
    os.link(root / "d/file", root / "hard")
    (root / "link").symlink_to("d/file")
    os.mkfifo(root / "fifo", 0o600)
    for name in ("d/file", "d/sub/other", "link", "fifo", "d/sub", "d"):
        os.utime(root / name, ns=(0, 1_000_000_000_000_000_001), follow_symlinks=False)


def test_every_commit_is_listed_by_its_id(kept: Mounted) -> None:
    ids = kept.helios("rev-parse", "HEAD", "HEAD~1", "HEAD~2").split()
    assert sorted(os.listdir(kept.path / ".helios/snapshots")) == sorted(ids)
    for oid in ids:
        link = kept.path / ".helios/snapshots" / oid
        assert os.readlink(link) == f"../view/{oid}"
        assert link.is_dir()


def test_any_revision_is_answered(kept: Mounted) -> None:
    snapshots = kept.path / ".helios/snapshots"
    oid = os.readlink(snapshots / "HEAD").rpartition("/")[2]
    parent = os.readlink(snapshots / "HEAD~1").rpartition("/")[2]
    for name in ("HEAD", "main", "@", oid, oid[:4], oid[:20], "main~0"):
        assert os.readlink(snapshots / name) == f"../view/{oid}", name
    for name in ("HEAD~", "HEAD^", "main~1", "HEAD^1", f"{oid[:8]}~1"):
        assert os.readlink(snapshots / name) == f"../view/{parent}", name
    for name in ("HEAD~3", "HEAD^2", "none", "HEAD~99999999999", oid[:3], "0" * 64, "a" * 255, "^"):
        assert errno_of(os.readlink, snapshots / name) == "ENOENT", name
    assert errno_of(os.stat, kept.path / ".helios/view" / oid[:10]) == "ENOENT"
    assert os.listdir(kept.path / ".helios/view") == []


def test_everything_is_as_it_was(kept: Mounted) -> None:
    first = kept.path / ".helios/snapshots/HEAD~2"
    assert (first / "d/file").read_text() == "first\n"
    status = (first / "d/file").stat()
    assert (oct(status.st_mode), status.st_uid, status.st_gid) == ("0o100640", 12, 34)
    assert status.st_nlink == 2
    assert status.st_ino == (first / "hard").stat().st_ino
    assert os.readlink(first / "link") == "d/file"
    for name in ("d/file", "d/sub/other", "link", "fifo", "d/sub", "d"):
        assert (first / name).lstat().st_mtime_ns == 1_000_000_000_000_000_001, name
    assert (first / "d/sub/other").read_text() == "other\n"
    assert not (first / ".helios").exists()
    assert sorted(os.listdir(first)) == ["d", "fifo", "hard", "link"]
    assert (kept.path / ".helios/snapshots/HEAD~1/d/file").read_text() == "second\n"


def test_diff_against_the_tree(kept: Mounted) -> None:
    run("diff", "-r", "-x", ".helios", "-x", "fifo", ".helios/snapshots/HEAD", ".", cwd=kept.path)
    done = run(
        "diff",
        "-rq",
        "-x",
        ".helios",
        "-x",
        "fifo",
        ".helios/snapshots/HEAD~2",
        ".",
        cwd=kept.path,
        ok=False,
    )
    assert sorted(line.split()[0] for line in done.stdout.splitlines()) == [
        "Files",
        "Files",
        "Files",
        "Only",
        "Only",
    ]


def test_a_diff_file(kept: Mounted) -> None:
    text = (kept.path / ".helios/diff/HEAD~2..HEAD~1").read_text()
    assert "-first\n" in text
    assert "+second\n" in text
    assert errno_of(os.stat, kept.path / ".helios/diff/HEAD~9..HEAD") == "ENOENT"
    assert os.listdir(kept.path / ".helios/diff") == []


def write_to(path: Path, flags: int) -> None:
    """Open a file and write: one of the two is refused, depending on who opens."""
    fd = os.open(path, flags)
    try:
        os.write(fd, b"changed")
    finally:
        os.close(fd)


READ_ONLY: dict[str, Callable[[Path], object]] = {
    "open O_WRONLY": lambda root: write_to(root / "d/file", os.O_WRONLY),
    "open O_RDWR": lambda root: write_to(root / "d/file", os.O_RDWR),
    "open O_TRUNC": lambda root: os.open(root / "d/file", os.O_RDONLY | os.O_TRUNC),
    "open O_APPEND": lambda root: write_to(root / "d/file", os.O_WRONLY | os.O_APPEND),
    "fallocate": lambda root: os.posix_fallocate(os.open(root / "d/file", os.O_WRONLY), 0, 9),
    "open O_CREAT": lambda root: os.open(root / "none", os.O_CREAT),
    "open O_CREAT O_EXCL": lambda root: os.open(root / "d/none", os.O_CREAT | os.O_EXCL),
    "truncate": lambda root: os.truncate(root / "d/file", 0),
    "mkdir": lambda root: os.mkdir(root / "none"),
    "mkfifo": lambda root: os.mkfifo(root / "none"),
    "mknod": lambda root: os.mknod(root / "d/none"),
    "symlink": lambda root: os.symlink("target", root / "none"),
    "link": lambda root: os.link(root / "d/file", root / "none"),
    "unlink": lambda root: os.unlink(root / "d/file"),
    "unlink a link": lambda root: os.unlink(root / "link"),
    "rmdir": lambda root: os.rmdir(root / "d"),
    "rename": lambda root: os.rename(root / "d/file", root / "d/none"),
    "rename over": lambda root: os.rename(root / "d/file", root / "hard2"),
    "rename NOREPLACE": lambda root: renameat2(root / "d/file", root / "none", 1),
    "rename EXCHANGE": lambda root: renameat2(root / "d", root / "link", 2),
    "rename out": lambda root: os.rename(root / "d/file", root.parents[2] / "none"),
    "rename in": lambda root: os.rename(root.parents[2] / "new", root / "none"),
    "link in": lambda root: os.link(root.parents[2] / "new", root / "none"),
    "chmod": lambda root: os.chmod(root / "d/file", 0o777),
    "chmod of a directory": lambda root: os.chmod(root / "d", 0o777),
    "chmod of the root": lambda root: os.chmod(root, 0o777),
    "chown": lambda root: os.chown(root / "d/file", 1, 1),
    "lchown": lambda root: os.lchown(root / "link", 1, 1),
    "utimens": lambda root: os.utime(root / "d/file", ns=(1, 1)),
    "utimens now": lambda root: os.utime(root / "d/file"),
    "utimens of a link": lambda root: os.utime(root / "link", ns=(1, 1), follow_symlinks=False),
    "bind": lambda root: socket.socket(socket.AF_UNIX).bind(f"/proc/self/cwd/{root.name}/none"),
    "mkdir .helios": lambda root: os.mkdir(root / ".helios"),
}


@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.parametrize("call", READ_ONLY)
@pytest.mark.parametrize("revision", ["HEAD~2", "HEAD"])
def test_what_changes_a_file_is_erofs(
    kept: Mounted, call: str, revision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(kept.path / ".helios/snapshots")
    root = kept.path / ".helios/snapshots" / revision
    before = run("ls", "-lR", "--full-time", ".", cwd=root).stdout
    assert errno_of(READ_ONLY[call], root) == "EROFS"
    assert run("ls", "-lR", "--full-time", ".", cwd=root).stdout == before


def test_a_link_out_of_a_snapshot(kept: Mounted) -> None:
    source = kept.path / ".helios/snapshots/HEAD/new"
    assert errno_of(os.link, source, kept.path / "none") == "EXDEV"


NOT_PERMITTED: dict[str, Callable[[Path], object]] = {
    "create": lambda dot: os.open(dot / "none", os.O_CREAT),
    "create in ctl": lambda dot: os.open(dot / "ctl/none", os.O_CREAT),
    "create in snapshots": lambda dot: os.mkdir(dot / "snapshots/none"),
    "create in branches": lambda dot: os.mkdir(dot / "branches/none"),
    "create in view": lambda dot: os.mkdir(dot / "view/none"),
    "create in live": lambda dot: os.mkdir(dot / "live/none"),
    "create in diff": lambda dot: os.mkdir(dot / "diff/none"),
    "symlink": lambda dot: os.symlink("target", dot / "none"),
    "mkfifo": lambda dot: os.mkfifo(dot / "none"),
    "write": lambda dot: os.open(dot / "HEAD", os.O_WRONLY),
    "truncate": lambda dot: os.truncate(dot / "README", 0),
    "unlink": lambda dot: os.unlink(dot / "HEAD"),
    "unlink a control file": lambda dot: os.unlink(dot / "ctl/commit"),
    "unlink a snapshot": lambda dot: os.unlink(dot / "snapshots/HEAD"),
    "unlink a branch": lambda dot: os.unlink(dot / "branches/main"),
    "rmdir": lambda dot: os.rmdir(dot / "view"),
    "rmdir of .helios": os.rmdir,
    "rename": lambda dot: os.rename(dot / "HEAD", dot / "none"),
    "rename of .helios": lambda dot: os.rename(dot, dot.parent / "none"),
    "rename out": lambda dot: os.rename(dot / "HEAD", dot.parent / "none"),
    "rename in": lambda dot: os.rename(dot.parent / "new", dot / "none"),
    "rename over .helios": lambda dot: os.rename(dot.parent / "d", dot),
    "link in": lambda dot: os.link(dot.parent / "new", dot / "none"),
    "link out": lambda dot: os.link(dot / "HEAD", dot.parent / "none"),
    "chmod": lambda dot: os.chmod(dot / "HEAD", 0o777),
    "chown": lambda dot: os.chown(dot / "ctl", 1, 1),
    "utimens": lambda dot: os.utime(dot / "README"),
    "a .helios below": lambda dot: os.mkdir(dot.parent / "d/.helios"),
    "a file .helios below": lambda dot: os.open(dot.parent / "d/.helios", os.O_CREAT),
    "a rename to .helios below": lambda dot: os.rename(
        dot.parent / "new", dot.parent / "d/.helios"
    ),
}


@pytest.mark.parametrize("call", NOT_PERMITTED)
def test_what_changes_dot_helios_is_eperm(kept: Mounted, call: str) -> None:
    dot = kept.path / ".helios"
    before = run("ls", "-lR", "--full-time", ".", cwd=kept.path).stdout
    expected = {"link out": "EXDEV"}.get(call, "EPERM")
    assert errno_of(NOT_PERMITTED[call], dot) in (expected, "EPERM")
    assert run("ls", "-lR", "--full-time", ".", cwd=kept.path).stdout == before


def test_a_snapshot_is_left_by_dot_dot(kept: Mounted) -> None:
    done = shell("cd .helios/snapshots/HEAD~1/d && cat ../d/file && ls ..", kept.path)
    assert done.stdout.splitlines()[0] == "second"


def test_a_snapshot_can_be_copied_out(kept: Mounted, tmp_path: Path) -> None:
    run("cp", "-a", ".helios/snapshots/HEAD~2/.", tmp_path / "out", cwd=kept.path)
    run("diff", "-r", "-x", "fifo", ".helios/snapshots/HEAD~2", tmp_path / "out", cwd=kept.path)
    status = (tmp_path / "out/d/file").stat()
    assert (status.st_nlink, status.st_mtime_ns) == (2, 1_000_000_000_000_000_001)


COMMITS = 200


def requests(log: Path, name: str) -> list[str]:
    """The arguments of every request of that name, in the log of `--debug`."""
    return re.findall(rf" {name}\((.*)\): ", log.read_text())


def test_recursive_programs_do_not_enter_the_history(mounter: Mounter) -> None:
    """They do not enter it even where `.helios` is listed, unless they follow links."""
    workspace = mounter("--debug", "-o", "helios=listed")
    count = 30
    for number in range(count):
        put(workspace.path / f"d{number % 3}/file{number}", f"word {number}\n")
    shell(
        f"for i in $(seq {COMMITS}); do echo word $i > d0/file0;"
        " echo c$i > .helios/ctl/commit || exit; done",
        workspace.path,
    )
    assert len(os.listdir(workspace.path / ".helios/snapshots")) == COMMITS
    workspace.remount()
    log_bytes = workspace.log.stat().st_size
    found = run("grep", "-r", "--exclude-dir=.helios", "word", ".", cwd=workspace.path).stdout
    assert found.count("\n") == count
    found = run("grep", "-r", "word", ".", cwd=workspace.path).stdout
    assert sum(not line.startswith("./.helios/") for line in found.splitlines()) == count
    listed = run("find", ".", cwd=workspace.path).stdout.splitlines()
    assert sum(not line.startswith("./.helios/") for line in listed) == count + 5
    links = [line for line in listed if line.startswith("./.helios/snapshots/")]
    assert len(links) == COMMITS
    run("du", "-s", ".", cwd=workspace.path)
    assert len([1 for _ in os.walk(workspace.path)]) <= 12
    with open(workspace.log) as log:
        log.seek(log_bytes)
        asked = log.read()
    # The kernel has each file of the workspace since it was first read, and asks for no other.
    reads = re.findall(r" read\(\d+, fh \d+, at 0, \d+\): (.*)", asked)
    assert reads
    assert sum(data.startswith("b'word") for data in reads) <= count
    assert len(reads) < count * 4
    view = re.findall(r" lookup\(\d+, b'[0-9a-f]{64}'", asked)
    # Which are looked at by grep and du, and thrice by os.walk: as link, as its target, as both.
    assert COMMITS <= len(view) <= COMMITS * 5
    assert not re.findall(r" opendir\(.*\): .*Read-only", asked)
