"""Effects of a checkout, a reset or an undo on programs, whatever the kernel had cached."""

from __future__ import annotations

import mmap
import os
from pathlib import Path

from tests.mount.conftest import Mounted, Mounter
from tests.mount.programs import put, run
from tests.posix.syscalls import create, errno_of


def test_the_root_has_its_attributes_again(mounter: Mounter) -> None:
    mounted = mounter()
    put(mounted.path / "file", "x")
    mounted.path.chmod(0o750)
    before = mounted.path.stat()
    mounted.commit("one")
    mounted.path.chmod(0o700)
    os.chown(mounted.path, 5, 6)
    put(mounted.path / "other", "x")
    mounted.commit("two")
    assert mounted.path.stat().st_mode & 0o777 == 0o700
    mounted.control("reset", "--hard HEAD~1\n")
    after = mounted.path.stat()
    assert after.st_mode == before.st_mode
    assert (after.st_uid, after.st_gid) == (before.st_uid, before.st_gid)
    assert after.st_mtime_ns > before.st_mtime_ns, "a name went"


def test_link_counts(workspace: Mounted, place: Path) -> None:
    os.mkdir("d")
    create("a")
    os.link("a", "d/b")
    workspace.commit("two names")
    os.link("a", "c")
    os.unlink("d/b")
    workspace.commit("two others")
    assert os.stat("a").st_nlink == os.stat("c").st_nlink == 2
    workspace.control("reset", "--hard HEAD~1\n")
    assert sorted(os.listdir()) == ["a", "d"]
    assert os.stat("a").st_nlink == os.stat("d/b").st_nlink == 2
    assert os.path.samefile("a", "d/b")
    Path("a").write_text("seen by both")
    assert Path("d/b").read_text() == "seen by both"


def test_directory_link_counts(workspace: Mounted, place: Path) -> None:
    os.makedirs("d/one")
    workspace.commit("one")
    os.makedirs("d/two/three")
    create("d/file")
    workspace.commit("two")
    assert os.stat("d").st_nlink == 4
    workspace.control("reset", "--hard HEAD~1\n")
    assert os.stat("d").st_nlink == 3
    workspace.control("undo", "\n")
    assert os.stat("d").st_nlink == 4
    assert os.stat("d/two").st_nlink == 3


def test_what_was_not_there_is_found(workspace: Mounted, place: Path) -> None:
    create("file")
    workspace.commit("with a file")
    os.unlink("file")
    workspace.commit("without")
    assert errno_of(os.stat, "file") == "ENOENT"
    workspace.control("reset", "--hard HEAD~1\n")
    assert Path("file").read_text() == "x"


def test_a_name_that_becomes_another_kind_of_file(workspace: Mounted, place: Path) -> None:
    create("thing")
    workspace.commit("a file")
    os.unlink("thing")
    os.makedirs("thing/below")
    workspace.commit("a directory")
    os.rmdir("thing/below")
    os.rmdir("thing")
    os.symlink("nowhere", "thing")
    workspace.commit("a link")
    workspace.control("reset", "--hard HEAD~1\n")
    assert os.listdir("thing") == ["below"]
    workspace.control("reset", "--hard HEAD~1\n")
    assert Path("thing").read_text() == "x"
    workspace.control("undo", "\n")
    workspace.control("undo", "\n")
    assert os.readlink("thing") == "nowhere"


def test_open_files_and_mappings_keep_their_bytes(workspace: Mounted, place: Path) -> None:
    create("file", b"one" * 2000)
    workspace.commit("one")
    create("file", b"two" * 2000)
    workspace.commit("two")
    fd = os.open("file", os.O_RDWR)
    with mmap.mmap(fd, 6000) as mapped:
        workspace.control("reset", "--hard HEAD~1\n")
        assert Path("file").read_bytes() == b"one" * 2000
        assert mapped[3000:3003] == b"two"
        mapped[:3] = b"new"
        mapped.flush()
        assert os.pread(fd, 6, 0) == b"newtwo"
        assert os.fstat(fd).st_nlink == 0
    os.close(fd)
    assert Path("file").read_bytes() == b"one" * 2000
    assert "clean" in workspace.helios("status")


def test_a_shell_stays_where_its_directory_survives(workspace: Mounted, place: Path) -> None:
    os.mkdir("d")
    create("d/file", b"one")
    workspace.commit("one")
    create("d/file", b"two")
    workspace.commit("two")
    script = (
        "cd d && cat file && echo --hard HEAD~1 > $0/.helios/ctl/reset && cat file"
        " && echo new > added && ls && pwd -P"
    )
    done = run("sh", "-ec", script, workspace.path, cwd=place)
    assert done.stdout == f"twooneadded\nfile\n{place}/d\n"
