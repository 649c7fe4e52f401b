"""Branches as directories: each its own workspace, all of them at the same time."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.mount.conftest import ASKED
from tests.mount.programs import SECONDS, errno_of, names, put, run, shell

if TYPE_CHECKING:
    from tests.mount.conftest import Mounted, Mounter


@pytest.fixture
def based(mounted: Mounted) -> Mounted:
    """A workspace with one commit."""
    put(mounted.path / "d/file", "base\n")
    put(mounted.path / "other", "base\n")
    mounted.commit("base")
    return mounted


def test_a_branch_begins_as_the_commit_it_is_made_from(based: Mounted) -> None:
    put(based.path / "d/file", "uncommitted\n")
    based.control("branch", "idea-7\n")
    live = based.path / ".helios/branches/idea-7"
    assert os.readlink(live) == "../live/idea-7"
    assert names(live) == ["d", "other"]
    assert (live / "d/file").read_text() == "base\n"
    assert (live / ".helios/branch").read_text() == "idea-7\n"
    assert (live / ".helios/HEAD").read_text() == (based.path / ".helios/HEAD").read_text()
    assert based.control("status", "--short\n", view=".helios/branches/idea-7") == ""


def test_fork_takes_the_uncommitted_changes_along(based: Mounted) -> None:
    put(based.path / "d/file", "uncommitted\n")
    put(based.path / "new", "new\n")
    (based.path / "other").unlink()
    based.control("branch", "--fork idea\n")
    live = based.path / ".helios/branches/idea"
    assert (live / "d/file").read_text() == "uncommitted\n"
    assert names(live) == ["d", "new"]
    put(live / "new", "on idea\n")
    assert (based.path / "new").read_text() == "new\n"
    based.commit("forked", view=".helios/branches/idea")
    changes = sorted(based.control("status", "--short\n").splitlines())
    assert changes == [" A new", " D other", " M d/file"]


def test_a_fork_before_the_first_commit(mounted: Mounted) -> None:
    put(mounted.path / "a", "a\n")
    assert errno_of(mounted.control, "branch", "idea\n") == "ENOENT"
    mounted.control("branch", "--fork idea\n")
    assert (mounted.path / ".helios/branches/idea/a").read_text() == "a\n"


def test_branches_are_isolated(based: Mounted) -> None:
    for name in ("one", "two"):
        based.control("branch", f"{name}\n")
    for name in ("one", "two"):
        live = based.path / ".helios/branches" / name
        put(live / "d/file", f"{name}\n")
        put(live / f"only-{name}", "")
        os.rename(live / "other", live / "moved")
        based.commit(f"on {name}", view=f".helios/branches/{name}")
    for name in ("one", "two"):
        live = based.path / ".helios/branches" / name
        assert (live / "d/file").read_text() == f"{name}\n"
        assert names(live) == ["d", "moved", f"only-{name}"]
        assert (live / ".helios/log").read_text().count("\n") == 2
        snapshot = based.path / ".helios/snapshots" / name
        assert (snapshot / "d/file").read_text() == f"{name}\n"
    assert names(based.path) == ["d", "other"]
    assert (based.path / "d/file").read_text() == "base\n"


WORKER = """
import os, sys
live, name = sys.argv[1:]
os.chdir(live)
for number in range(25):
    with open("d/file", "w") as file:
        file.write(f"{name} {number}")
    os.makedirs(f"{name}/{number}")
    with open(f"{name}/{number}/f", "x") as file:
        file.write(str(number))
    fd = os.open(".helios/ctl/commit", os.O_RDWR)
    os.write(fd, f"{name} {number}".encode())
    assert len(os.read(fd, 100)) == 65
    os.close(fd)
    with open("d/file") as file:
        assert file.read() == f"{name} {number}"
"""


def test_work_on_several_branches_at_the_same_time(based: Mounted) -> None:
    every = ["main", "one", "two", "feature/three"]
    for name in every[1:]:
        based.control("branch", f"{name}\n")
    processes = [
        subprocess.Popen(
            [sys.executable, "-IS", "-c", WORKER, f".helios/branches/{name}", name],
            cwd=based.path,
        )
        for name in every
    ]
    assert [process.wait(SECONDS) for process in processes] == [0] * len(every)
    for name in every:
        live = based.path / ".helios/branches" / name
        top = name.split("/")[0]
        assert names(live) == sorted(["d", "other", top])
        assert (live / "d/file").read_text() == f"{name} 24"
        assert (live / ".helios/log").read_text().count("\n") == 26
        assert (live / f".helios/snapshots/HEAD~10/{name}/14/f").read_text() == "14"
        assert not (live / f".helios/snapshots/HEAD~10/{name}/15").exists()


def test_the_branch_at_the_root_links_to_the_root(based: Mounted) -> None:
    based.control("branch", "feature/x\n")
    branches = based.path / ".helios/branches"
    assert sorted(os.listdir(branches)) == ["feature", "main"]
    assert os.listdir(branches / "feature") == ["x"]
    assert os.path.samefile(branches / "main", based.path)
    assert errno_of(os.stat, based.path / ".helios/live/main") == "ENOENT"
    put(branches / "main/new", "new\n")
    assert (based.path / "new").read_text() == "new\n"
    live = branches / "feature/x"
    # From within: the links of a live view's own .helios.
    assert os.path.samefile(live / ".helios/branches/main", based.path)
    assert os.path.samefile(live / ".helios/branches/feature/x", live)
    oid = (based.path / ".helios/HEAD").read_text().strip()
    for path in (f".helios/snapshots/{oid}", ".helios/snapshots/HEAD", ".helios/snapshots/main"):
        assert os.path.samefile(live / path, based.path / ".helios/snapshots/HEAD")
    based.control("checkout", "feature/x\n")
    assert os.path.samefile(branches / "feature/x", based.path)
    assert (branches / "feature/x/.helios/branch").read_text() == "feature/x\n"
    assert names(branches / "main") == ["d", "new", "other"]


def test_list_rename_delete(based: Mounted) -> None:
    for name in ("one", "two", "a/b", "a/c"):
        based.control("branch", f"{name}\n")
    branches = based.path / ".helios/branches"
    assert sorted(os.listdir(branches)) == ["a", "main", "one", "two"]
    assert sorted(os.listdir(branches / "a")) == ["b", "c"]
    put(branches / "one/new", "kept\n")
    based.control("branch", "-m one renamed/one\n")
    assert sorted(os.listdir(branches)) == ["a", "main", "renamed", "two"]
    assert errno_of(os.stat, branches / "one") == "ENOENT"
    assert (branches / "renamed/one/new").read_text() == "kept\n"
    assert (branches / "renamed/one/.helios/branch").read_text() == "renamed/one\n"
    assert errno_of(based.control, "branch", "-d renamed/one\n") == "EBUSY"
    based.control("branch", "-D renamed/one a/b two\n")
    assert sorted(os.listdir(branches)) == ["a", "main"]
    assert os.listdir(branches / "a") == ["c"]
    assert errno_of(os.listdir, branches / "two") == "ENOENT"
    assert based.control("branch", "\n") == "  a/c\n* main\n"
    for taken in ("main", "a", "a/c/d", "main/x"):
        assert errno_of(based.control, "branch", f"{taken}\n") == "EEXIST"


def test_a_deleted_branch_leaves_nothing_behind_for_its_namesake(based: Mounted) -> None:
    based.control("branch", "idea\n")
    put(based.path / ".helios/branches/idea/d/file", "old idea\n")
    based.control("branch", "-D idea\n")
    based.control("branch", "idea\n")
    live = based.path / ".helios/branches/idea"
    assert (live / "d/file").read_text() == "base\n"
    assert based.control("status", "--short\n", view=".helios/branches/idea") == ""


def test_a_shell_in_a_view_that_goes_away_is_told(based: Mounted) -> None:
    based.control("branch", "idea\n")
    live = based.path / ".helios/branches/idea"
    fd = os.open(live / "d", os.O_RDONLY)
    based.control("branch", "-D idea\n")
    assert errno_of(os.open, "new", os.O_CREAT, dir_fd=fd) in ("ESTALE", "ENOENT")
    assert errno_of(os.mkdir, "new", dir_fd=fd) in ("ESTALE", "ENOENT")
    os.close(fd)


def test_a_view_with_open_files_cannot_be_checked_out_or_deleted(mounter: Mounter) -> None:
    """Opens are asked for there, so the daemon knows of them."""
    based = mounter(*ASKED)
    put(based.path / "d/file", "base\n")
    based.commit("base")
    based.control("branch", "idea\n")
    with open(based.path / ".helios/branches/idea/d/file") as file:
        assert errno_of(based.control, "checkout", "idea\n") == "EBUSY"
        assert errno_of(based.control, "branch", "-D idea\n") == "EBUSY"
        assert "'idea'" in (based.path / ".helios/ctl/error").read_text()
        assert file.read() == "base\n"
    based.control("checkout", "idea\n")
    assert (based.path / ".helios/branch").read_text() == "idea\n"


def test_files_that_are_open_in_a_view_that_goes(mounted: Mounted) -> None:
    """They show what they had; what is written to them is refused, and so not lost unnoticed."""
    if mounted.are_opens_asked:
        return
    put(mounted.path / "d/file", "base\n")
    mounted.commit("base")
    for verb, words in (("checkout", "idea\n"), ("branch", "-D idea\n")):
        mounted.control("checkout", "main\n")
        mounted.control("branch", "idea\n")
        with open(mounted.path / ".helios/branches/idea/d/file", "r+b", buffering=0) as file:
            mounted.control(verb, words)
            assert file.read() == b"base\n"
            assert errno_of(file.write, b"lost") == "ESTALE"
            assert errno_of(os.ftruncate, file.fileno(), 0) == "ESTALE"
        mounted.control("checkout", "main\n")
        if verb == "checkout":
            assert (mounted.path / ".helios/branches/idea/d/file").read_text() == "base\n"
            mounted.control("branch", "-D idea\n")


def test_checkout_swaps_working_states(based: Mounted) -> None:
    based.control("branch", "idea\n")
    put(based.path / "d/file", "main, uncommitted\n")
    live = based.path / ".helios/branches/idea"
    put(live / "d/file", "idea, uncommitted\n")
    put(live / "new", "idea\n")
    based.control("checkout", "idea\n")
    assert (based.path / "d/file").read_text() == "idea, uncommitted\n"
    assert names(based.path) == ["d", "new", "other"]
    assert (based.path / ".helios/branches/main/d/file").read_text() == "main, uncommitted\n"
    put(based.path / ".helios/branches/main/d/file", "main, changed there\n")
    based.control("checkout", "main\n")
    assert (based.path / "d/file").read_text() == "main, changed there\n"
    assert names(based.path) == ["d", "other"]
    assert (based.path / ".helios/branches/idea/d/file").read_text() == "idea, uncommitted\n"


def test_the_verbs_of_a_live_view(based: Mounted) -> None:
    based.control("branch", "idea\n")
    view = ".helios/branches/idea"
    live = based.path / view
    put(live / "d/file", "two\n")
    based.commit("two", view=view)
    put(live / "d/file", "three\n")
    assert based.control("status", "--short\n", view=view) == " M d/file\n"
    based.control("reset", "--hard HEAD~1\n", view=view)
    assert (live / "d/file").read_text() == "base\n"
    based.control("undo", "\n", view=view)
    assert (live / "d/file").read_text() == "three\n"
    assert errno_of(based.control, "checkout", "HEAD~1\n", view=view) == "EINVAL"
    assert (based.path / "d/file").read_text() == "base\n"


def test_a_copy_from_one_branch_to_another(based: Mounted) -> None:
    based.control("branch", "idea\n")
    live = based.path / ".helios/branches/idea"
    put(live / "d/new", "x\n")
    shell("cp -a .helios/branches/idea/d/new . && mv .helios/branches/idea/d/new d/", based.path)
    assert (based.path / "new").read_text() == (based.path / "d/new").read_text() == "x\n"
    assert not (live / "d/new").exists()
    assert errno_of(os.rename, based.path / "new", live / "new") == "EXDEV"
    assert errno_of(os.link, based.path / "new", live / "new") == "EXDEV"


def test_recursion_from_the_root_does_not_enter_other_branches(based: Mounted) -> None:
    for number in range(20):
        based.control("branch", f"b{number}\n")
        assert (based.path / f".helios/branches/b{number}/d/file").read_text() == "base\n"
    listed = run("find", ".", "-name", "file", cwd=based.path).stdout.splitlines()
    assert listed == ["./d/file"]
    found = run("grep", "-rl", "base", ".", cwd=based.path).stdout.splitlines()
    assert sorted(line for line in found if "/.helios/" not in line) == ["./d/file", "./other"]
