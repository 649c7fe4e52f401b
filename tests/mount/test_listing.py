"""`.helios` is found by its name and not listed: programs that follow links stay in their tree."""

from __future__ import annotations

import glob
import os
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.mount.conftest import Mounted, Mounter
from tests.mount.programs import errno_of, put, run, shell

COMMITS = 50
FILES = ["pkg/one.py", "pkg/sub/two.py", "readme"]
RUFF = [str(Path(sys.executable).with_name("ruff")), "check", "--isolated", "--no-cache"]


@pytest.fixture
def history(mounted: Mounted) -> Mounted:
    """Fifty commits and three branches beside the one at the mount point."""
    put(mounted.path / "pkg/sub/two.py", "import os\n")
    put(mounted.path / "readme", "text\n")
    for number in range(COMMITS):
        put(mounted.path / "pkg/one.py", f"import sys\nx = {number}\n")
        mounted.commit(f"commit {number}")
    for name in ("one", "two", "three"):
        mounted.control("branch", f"{name}\n")
        assert (mounted.path / ".helios/branches" / name / "readme").exists()
    return mounted


def places(mounted: Mounted) -> list[Path]:
    """The mount point, and a live view by its link and by its path."""
    dot = mounted.path / ".helios"
    return [mounted.path, dot / "branches/one", dot / "live/two"]


def files_below(tops: Iterable[tuple[str, list[str], list[str]]], root: Path) -> list[str]:
    return sorted(
        os.path.relpath(os.path.join(top, name), root) for top, _, names in tops for name in names
    )


def test_programs_that_follow_links_stay_in_their_tree(history: Mounted, tmp_path: Path) -> None:
    for number, place in enumerate(places(history)):
        assert os.listdir(place / ".helios/branches")
        assert files_below(os.walk(place, followlinks=True), place) == FILES
        found = glob.glob("**", root_dir=place, recursive=True)
        assert sorted(found) == sorted(["pkg", "pkg/sub", *FILES])
        assert glob.glob(".*/**", root_dir=place, recursive=True) == []
        assert files_below(os.walk(shutil.copytree(place, tmp_path / f"tree{number}")), Path()) == [
            os.path.relpath(tmp_path / f"tree{number}" / name) for name in FILES
        ]
        run("cp", "-rL", ".", tmp_path / f"cp{number}", cwd=place)
        run("rsync", "-aL", "./", tmp_path / f"rsync{number}", cwd=place)
        for copy in (tmp_path / f"cp{number}", tmp_path / f"rsync{number}"):
            assert files_below(os.walk(copy), copy) == FILES
        if shutil.which("zip"):
            run("zip", "-qr", tmp_path / f"{number}.zip", ".", cwd=place)
            assert (tmp_path / f"{number}.zip").stat().st_size < 10_000
        listed = run("find", "-L", ".", "-type", "f", cwd=place).stdout.split()
        assert sorted(listed) == [f"./{name}" for name in FILES]


def test_what_reads_ignore_files_of_parent_directories_sees_a_live_view(history: Mounted) -> None:
    for place in places(history):
        done = run(*RUFF, ".", cwd=place, ok=False)
        assert done.returncode == 1 and done.stdout.count("F401") == 2, done.stdout
    for name in (".gitignore", ".ignore"):
        assert (history.path / ".helios" / name).read_text() == "/*\n"


def test_a_search_for_settings_ends_above_a_live_view(mounted: Mounted) -> None:
    """The branch at the mount point is another one, and so are its `.editorconfig`."""
    put(mounted.path / ".editorconfig", "[*]\nindent_size = 3\n")
    mounted.commit("settings")
    mounted.control("branch", "one\n")
    assert (mounted.path / ".helios/.editorconfig").read_text() == "root = true\n"


def test_it_is_found_by_its_name(history: Mounted) -> None:
    for place in places(history):
        assert run("ls", "-d", ".helios", cwd=place).stdout == ".helios\n"
        assert run("ls", "-A", cwd=place).stdout.split() == ["pkg", "readme"]
        assert {"ctl", "HEAD", "snapshots"} <= set(os.listdir(place / ".helios"))
        # What a directory's links say of the directories in it is what a listing shows.
        assert os.stat(place).st_nlink == 2 + 1
        assert errno_of(os.mkdir, place / ".helios") == "EEXIST"
        assert errno_of(os.rmdir, place / ".helios") == "EPERM"
        assert errno_of(os.rename, place / "pkg", place / ".helios") == "EPERM"
        assert errno_of(os.rename, place / ".helios", place / "new") == "EPERM"
        shell("rm -rf * && ls .helios/ctl >/dev/null", place)
        assert os.listdir(place) == []
    assert errno_of(os.rmdir, history.path / ".helios/live/two") == "EPERM"


def test_a_key_lists_it_in_the_running_mount(history: Mounted) -> None:
    """The kernel keeps listings: those from before the change go, and those under way."""
    live = history.path / ".helios/live/one"
    with os.scandir(live) as begun:
        next(begun)
        for value, expected in (("listed", [".helios"]), ("hidden", []), ("listed", [".helios"])):
            for place in (history.path, live):
                assert "readme" in os.listdir(place)
            history.control("config", f"set mount.helios {value}\n")
            for place in (history.path, live, history.path / ".helios/live/three"):
                assert [name for name in os.listdir(place) if name == ".helios"] == expected
    assert "readme" in os.listdir(live)
    history.remount()
    assert ".helios" in os.listdir(history.path)
    history.remount("-o", "helios=hidden")
    history.control("config", "set mount.helios listed\n")
    assert ".helios" not in os.listdir(history.path)


def test_a_mount_option_lists_it(mounter: Mounter) -> None:
    mounted = mounter("-o", "helios=listed")
    mounted.control("branch", "--fork one\n")
    for place in (mounted.path, mounted.path / ".helios/live/one"):
        assert os.listdir(place) == [".helios"]
    history = [top for top, _, _ in os.walk(mounted.path) if "/live/" in top or "/view/" in top]
    assert history == []
