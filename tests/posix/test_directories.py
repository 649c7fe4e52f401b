"""Directories that are large, deep, or change while they are listed."""

from __future__ import annotations

import os
from pathlib import Path

from tests.mount.conftest import Mounted, Mounter
from tests.mount.programs import errno_of, names, run
from tests.posix.consistency import opened
from tests.posix.syscalls import Directory, forced_stat
from tests.tree_builder import TreeBuilder

DEEP = 1000
WIDE = 100_000


def fill(prefix: str, count: int) -> list[bytes]:
    for number in range(count):
        os.close(os.open(f"{prefix}{number}", os.O_CREAT | os.O_WRONLY, 0o644))
    return [b"%s%d" % (os.path.basename(prefix).encode(), number) for number in range(count)]


def test_positions_keep_their_meaning(place: Path) -> None:
    expected = fill("", 2000)
    positions = {}
    with Directory(".") as listing:
        while True:
            position = listing.tell()
            name = listing.read()
            if name is None:
                break
            positions[name] = position
        assert sorted(positions) == sorted([*expected, b".", b".."])
        for name, position in list(positions.items())[::-97]:
            listing.seek(position)
            assert listing.read() == name
        listing.seek(0)
        assert len(list(listing)) == 2000


def test_what_stays_is_listed_once_while_others_come_and_go(place: Path) -> None:
    stays = fill("stays", 500)
    fill("goes", 500)
    seen = []
    with Directory(".") as listing:
        for count, name in enumerate(listing):
            seen.append(name)
            if count < 400:
                fill(f"new-{count}-", 1)
                os.unlink(f"goes{count}")
                if count % 3 == 0:
                    os.rename(f"new-{count}-0", f"renamed-{count}")
    assert len(set(seen)) == len(seen)
    assert sorted(name for name in seen if name.startswith(b"stays")) == sorted(stays)


def test_all_is_found_by_who_unlinks_what_he_reads(place: Path) -> None:
    fill("", 3000)
    with Directory(".") as listing:
        for name in listing:
            os.unlink(name)
    assert os.listdir() == []


def test_rewind_looks_again(place: Path) -> None:
    fill("old", 10)
    with Directory(".") as listing:
        assert len(list(listing)) == 10
        fill("new", 1)
        os.unlink("old3")
        listing.rewind()
        found = set(listing)
    assert b"new0" in found and b"old3" not in found and len(found) == 10


def test_two_listings_of_one_directory_do_not_meet(place: Path) -> None:
    fill("", 700)
    with Directory(".") as one, Directory(".") as two:
        first = [one.read() for _ in range(300)]
        assert len(list(two)) == 700
        assert len({*first, *one} - {b".", b".."}) == 700


def test_a_listing_that_goes_on_after_a_checkout(workspace: Mounted, place: Path) -> None:
    fill("stays", 600)
    workspace.commit("before")
    fill("goes", 600)
    workspace.commit("after")
    with Directory(".") as listing:
        seen = [listing.read() for _ in range(50)]
        workspace.control("reset", "--hard HEAD~1\n")
        seen += list(listing)
    assert len(set(seen)) == len(seen)
    assert len([name for name in seen if name and name.startswith(b"stays")]) == 600
    assert len(names(place)) == 600


def test_a_listing_that_the_kernel_kept_goes_with_a_checkout(
    workspace: Mounted, place: Path
) -> None:
    (place / "sub").mkdir()
    fill("one", 30)
    workspace.commit("one")
    one = names(place)
    os.rename("one7", "sub/one7")
    fill("two", 30)
    workspace.commit("two")
    two = names(place)
    with Directory(".") as listing:
        assert len(list(listing)) == len(two)
        for _ in range(20):
            workspace.control("reset", "--hard HEAD~1\n")
            assert names(place) == names(place) == one
            assert names(place / "sub") == []
            listing.rewind()
            assert len(list(listing)) == len(one)
            workspace.control("undo", "\n")
            assert names(place) == names(place) == two
            assert names(place / "sub") == ["one7"]
            listing.rewind()
            assert len(list(listing)) == len(two)


def test_a_part_of_a_listing_may_come_from_another_one(workspace: Mounted, place: Path) -> None:
    """The kernel has the first of these by heart, the daemon tells the rest of the second."""
    fill("stays", 2000)
    workspace.commit("before")
    fill("goes", 500)
    workspace.commit("after")
    for _ in range(5):
        names(place)
        with Directory(".") as listing:
            seen = [listing.read() for _ in range(300)]
            workspace.control("reset", "--hard HEAD~1\n")
            seen += list(listing)
        workspace.control("undo", "\n")
        assert len(set(seen)) == len(seen)
        assert len([name for name in seen if name and name.startswith(b"stays")]) == 2000


def test_100_000_entries(mounter: Mounter) -> None:
    mounted = mounter(start=False)
    with opened(mounted.path) as repository:
        tree = TreeBuilder(repository.root.workspace)
        for number in range(WIDE):
            tree.write(b"wide/%d" % number, b"one" if number == 5 else b"")
        first = repository.root.commit("wide").hex()
    mounted.mount()
    wide = mounted.path / "wide"
    assert len(os.listdir(wide)) == WIDE
    (wide / "5").write_text("other")
    (wide / "77").unlink()
    os.rename(wide / "78", wide / "moved")
    mounted.commit("three of them changed")
    inode = (wide / "77777").stat().st_ino
    mounted.control("reset", "--hard HEAD~1\n")
    assert (wide / "5").read_text() == "one"
    assert (wide / "77777").stat().st_ino == inode
    with Directory(wide) as listing:
        assert len(set(listing)) == WIDE
    mounted.control("undo", "\n")
    assert (wide / "5").read_text() == "other"
    assert len(os.listdir(mounted.path / f".helios/view/{first}/wide")) == WIDE
    os.rename(wide, mounted.path / "far")
    mounted.control("reset", f"--hard {first}\n")
    assert not (mounted.path / "far").exists()
    assert len(os.listdir(wide)) == WIDE


def go_down(make: bool) -> None:
    """Walk 1,000 levels down from the current directory, then come back."""
    here = os.open(".", os.O_RDONLY)
    for level in range(DEEP):
        if make:
            os.mkdir("level")
        os.chdir("level")
        if make:
            Path("file").write_text(str(level))
        else:
            assert Path("file").read_text() == str(level)
    os.fchdir(here)
    os.close(here)


def test_1_000_levels(workspace: Mounted, place: Path) -> None:
    os.mkdir("deep")
    os.chdir("deep")
    go_down(make=True)
    os.chdir("..")
    workspace.commit("deep")
    os.chdir(workspace.path / ".helios/snapshots/HEAD" / place.name / "deep")
    go_down(make=False)
    os.chdir(place)
    run("rm", "-rf", "deep", cwd=place)
    status = workspace.helios("status").splitlines()
    assert f"\tdeleted:   {place.name}/deep/level/file" in status
    workspace.control("reset", "--hard HEAD\n")
    os.chdir("deep")
    go_down(make=False)
    os.chdir("..")
    os.rename("deep", "moved")
    workspace.commit("moved")
    workspace.control("reset", "--hard HEAD~1\n")
    assert os.listdir() == ["deep"]
    workspace.control("undo", "\n")
    assert os.listdir() == ["moved"]
    os.chdir("moved")
    go_down(make=False)
    assert errno_of(os.stat, "level/" * 1000 + "file") == "ENAMETOOLONG"
    os.chdir("..")
    run("rm", "-rf", "moved", cwd=place)


def test_what_was_only_listed_can_be_asked_for(workspace: Mounted, place: Path) -> None:
    fill("", 50)
    workspace.commit("fifty")
    snapshot = workspace.path / ".helios/snapshots/HEAD" / place.name
    inodes = {entry.name: entry.inode() for entry in os.scandir(snapshot)}
    assert len(inodes) == 50
    for name, inode in inodes.items():
        assert forced_stat(snapshot / name) == (inode, 0)
