"""`helios clone`: a workspace that is mounted at once, and whose contents come as they are read."""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from heliosfs import mounttable
from tests.mount.conftest import SECONDS, Mounted, Mounter
from tests.mount.lazy import COUNT, LARGE, SIZE, URL, Link, fill, linked
from tests.remote.promised import noise
from tests.remote.s3_server import Fault


@pytest.fixture
def link() -> Iterator[Link]:
    with linked() as link:
        yield link


class _Asked:
    """The keys that are asked for."""

    def __init__(self, link: Link) -> None:
        self.keys: list[str] = []
        self._pass = link.server.fault
        link.server.fault = self._note

    def _note(self, method: str, key: str) -> Fault | None:
        self.keys.append(key)
        return self._pass(method, key) if self._pass is not None else None

    @property
    def contents(self) -> list[str]:
        return [key for key in self.keys if "packs/" in key]


@pytest.fixture
def one(mounter: Mounter, link: Link) -> Mounted:
    """A workspace that has pushed."""
    assert link.request_count == 0
    one = mounter(name="one")
    fill(one)
    return one


@pytest.fixture
def clone(one: Mounted, tmp_path: Path) -> Iterator[Mounted]:
    """A place for a clone, which is unmounted at the end."""
    assert one.is_mounted
    found = Mounted(tmp_path / "clone")
    try:
        yield found
    finally:
        if found.is_mounted:
            one.command("umount", str(found.path))
        found.end()


def _ran(*argv: str | Path) -> str:
    return subprocess.run(argv, check=True, capture_output=True, text=True, timeout=SECONDS).stdout


def test_it_is_mounted_and_everything_but_contents_is_there(
    one: Mounted, clone: Mounted, link: Link, tmp_path: Path
) -> None:
    asked = _Asked(link)
    told = one.helios("clone", URL, str(clone.path), cwd=tmp_path)
    others = [key for key in asked.keys if key not in asked.contents]
    assert len(others) <= 6, others
    assert "contents stay there until they are read" in told
    assert f"mounted {clone.path}" in told
    assert clone.is_mounted
    link.is_cut = True
    assert _ran("ls", "-lR", clone.path).count(f" {SIZE} ") == COUNT
    for name in ("0/00", "1/39", "large"):
        assert (clone.path / name).stat().st_mtime_ns == (one.path / name).stat().st_mtime_ns
    assert len(_ran("find", clone.path, "-size", "+39k", "-name", "??").split()) == COUNT
    assert _ran("du", "-s", "--apparent-size", clone.path)
    assert "nothing to commit" in clone.helios("status")
    assert clone.helios("status", "--porcelain") == ""
    assert clone.helios("log", "--format=%s") == "first\n"
    assert len(clone.helios("ls-files").split()) == COUNT + 2
    clone.helios("branch", "side")
    clone.helios("checkout", "-q", "side")
    (clone.path / "mine").write_text("here\n")
    clone.commit("mine")
    assert clone.helios("diff", "--name-only", "HEAD~1").strip() == "mine"
    clone.helios("gc")
    assert "still at a remote" in clone.helios("fsck")


def test_contents_come_when_they_are_read(
    one: Mounted, clone: Mounted, link: Link, tmp_path: Path
) -> None:
    one.helios("clone", "-q", URL, str(clone.path), cwd=tmp_path)
    assert (clone.path / "2/41").read_bytes() == noise(41, SIZE)
    assert (clone.path / "large").read_bytes() == LARGE
    clone.helios("fetch", "--contents", "--all")
    assert clone.helios("fsck").endswith("all sound\n")
    link.is_cut = True
    for number in range(COUNT):
        assert (clone.path / f"{number // 20}/{number:02}").read_bytes() == noise(number, SIZE)


def test_a_clone_without_a_mount_can_be_mounted_later(
    one: Mounted, clone: Mounted, link: Link, tmp_path: Path
) -> None:
    asked = _Asked(link)
    told = one.helios("clone", "--no-mount", URL, str(clone.path), cwd=tmp_path)
    assert told.endswith(f"mount it with: helios mount {clone.path}\n")
    assert len(asked.keys) <= 6 and not asked.contents
    assert not clone.is_mounted
    link.is_cut = True
    one.helios("mount", str(clone.path))
    assert sorted(os.listdir(clone.path / "1")) == [f"{number:02}" for number in range(20, 40)]
    with pytest.raises(OSError) as caught:
        (clone.path / "1/20").read_bytes()
    assert caught.value.errno == errno.EIO


def test_where_it_cannot_mount_it_says_how(
    one: Mounted, clone: Mounted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nothing = tmp_path / "nothing"
    nothing.mkdir()
    monkeypatch.setenv("PATH", str(nothing))
    done = one.command("clone", URL, str(clone.path), cwd=tmp_path)
    if done.returncode == 0:
        pytest.fail("it was mounted without fusermount3")
    assert "the clone is complete, and not mounted" in done.stderr
    assert f"helios mount {clone.path}" in done.stderr
    assert mounttable.mount_at(str(clone.path)) is None
    monkeypatch.undo()
    one.helios("-C", str(clone.path), "log")


def test_an_ignore_file_is_there_for_the_first_mount(
    one: Mounted, clone: Mounted, link: Link, tmp_path: Path
) -> None:
    """The rules are contents, too: the clone reads them when something asks for them."""
    (one.path / ".heliosignore").write_text("*.log\n" + "#\n" * 50_000)
    (one.path / ".gitattributes").write_text("*.bin binary\n" + "#\n" * 50_000)
    one.commit("rules")
    one.helios("push")
    one.helios("clone", "-q", URL, str(clone.path), cwd=tmp_path)
    (clone.path / "x.log").write_text("ignored")
    (clone.path / "x.txt").write_text("new")
    assert clone.helios("status", "--porcelain") == " A x.txt\n"


def test_what_needs_all_contents_brings_them_beside_other_work(
    one: Mounted, clone: Mounted, link: Link, tmp_path: Path
) -> None:
    """The daemon brings them, and serves files meanwhile."""
    one.helios("clone", "-q", URL, str(clone.path), cwd=tmp_path)
    clone.helios("export", "--to-git", str(tmp_path / "git"))
    assert _ran("git", "-C", tmp_path / "git", "rev-parse", "--verify", "main")
    clone.helios("backup", str(tmp_path / "saved"))
    assert clone.helios("fsck").endswith("all sound\n")
    clone.helios("remote", "remove", "origin")
    link.is_cut = True
    assert (clone.path / "0/07").read_bytes() == noise(7, SIZE)
    one.helios("backup", "--verify", str(tmp_path / "saved"))
