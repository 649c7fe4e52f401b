"""Remotes of mounted workspaces: by command and control file, while others work or are killed."""

from __future__ import annotations

import mmap
import os
import random
import subprocess
import threading
import time
from pathlib import Path

import pytest

from heliosfs import Workspace
from heliosfs.errors import Stale
from tests.mount.conftest import SECONDS, Mounted, Mounter


def _two(mounter: Mounter, tmp_path: Path) -> tuple[Mounted, Mounted]:
    """A workspace that has pushed a commit, and a clone of it."""
    url = f"file://{tmp_path}/remote"
    one = mounter(name="one")
    (one.path / "a").write_text("1\n")
    one.commit("first")
    one.helios("remote", "add", "origin", url)
    one.helios("push")
    one.helios("clone", "-q", "--no-mount", url, str(tmp_path / "two"), cwd=tmp_path)
    return one, mounter(name="two")


class _Pusher(threading.Thread):
    """A push by the command line, beside the test."""

    def __init__(self, mounted: Mounted) -> None:
        super().__init__()
        self.mounted = mounted
        self.codes: list[int] = []

    def run(self) -> None:
        self.codes.append(self.mounted.command("push").returncode)


def test_two_workspaces_share_a_branch(mounter: Mounter, tmp_path: Path) -> None:
    one, two = _two(mounter, tmp_path)
    assert (two.path / "a").read_text() == "1\n"
    (two.path / "a").write_text("2\n")
    two.commit("second")
    assert "main -> main" in two.control("push", "origin main\n")
    with (one.path / "a").open() as file:
        assert "Fast-forward" in one.control("pull", "origin main\n")
        assert file.read() == "1\n"
    assert (one.path / "a").read_text() == "2\n"
    assert one.helios("status", "-sb") == "## main...origin/main\n"
    one.helios("undo")
    assert (one.path / "a").read_text() == "1\n"
    assert one.helios("status", "-sb") == "## main...origin/main [behind 1]\n"


def test_the_client_shares_branches_work_and_experiments(mounter: Mounter, tmp_path: Path) -> None:
    one, two = _two(mounter, tmp_path)
    here, there = Workspace(one.path), Workspace(two.path)
    (one.path / "a").write_text("2\n")
    made = here.commit("second")
    pushed = here.push()
    (move,) = pushed.pushed
    assert (move.name, move.kind, move.after, move.forced) == ("main", "branch", made, False)
    assert (pushed.remote, pushed.commit_count) == ("origin", 1)
    assert pushed.sent_bytes > 0
    (two.path / "b").write_text("3\n")
    there.commit("beside")
    with pytest.raises(Stale):
        there.push("origin", "main")
    assert there.pull("origin", "main").merged
    assert there.push("origin").pushed[0].name == "main"
    assert here.fetch("origin").moved[0].after == there.head
    assert here.pull(ff_only=True).fast_forward

    with here.experiment("idea") as attempt:
        (attempt.path / "a").write_text("4\n")
        attempt.commit("try")
        attempt.record(score=0.5)
        assert [each.kind for each in attempt.push("origin").pushed] == ["experiment", "branch"]
    assert {(each.kind, each.name) for each in there.fetch().moved} == {
        ("experiment", "idea"),
        ("branch", "idea"),
    }
    (info,) = there.experiments()
    assert (info.name, info.branch) == ("origin/idea", "origin/idea")
    assert info.best is not None
    assert info.best.value == 0.5

    # What a program has stored through a mapping a moment ago comes along.
    (one.path / "map").write_bytes(bytes(4096))
    with (one.path / "map").open("r+b") as file, mmap.mmap(file.fileno(), 4096) as stored:
        stored[:5] = b"typed"
        (work,) = here.push(work=True).pushed
    there.fetch()
    there.merge(f"origin/{work.name}", squash=True)
    assert (two.path / "map").read_bytes()[:5] == b"typed"
    here.reset(hard=True)
    (one.path / "map").unlink(missing_ok=True)
    (gone,) = here.push(work=True).pushed
    assert (gone.name, gone.after) == (work.name, None)
    assert [each.name for each in there.fetch(prune=True).gone] == [work.name]
    refused = here.push("origin", "main", "idea", delete=True)
    assert {each.after for each in refused.pushed} == {None}


def test_work_goes_on_beside_a_push(mounter: Mounter, tmp_path: Path) -> None:
    one, two = _two(mounter, tmp_path)
    (one.path / "large").write_bytes(random.Random(1).randbytes(20_000_000))
    one.commit("large")
    pusher = _Pusher(one)
    pusher.start()
    for number in range(5):
        (one.path / "beside").write_text(f"{number}\n")
        one.commit(f"beside {number}")
    pusher.join(SECONDS)
    assert pusher.codes == [0]
    one.helios("push")
    two.helios("pull")
    assert (two.path / "large").read_bytes() == (one.path / "large").read_bytes()
    assert (two.path / "beside").read_text() == "4\n"


def test_a_daemon_that_is_killed_in_a_push(mounter: Mounter, tmp_path: Path) -> None:
    one, two = _two(mounter, tmp_path)
    (one.path / "large").write_bytes(random.Random(1).randbytes(30_000_000))
    one.commit("large")
    packs = tmp_path / "remote" / "packs.d"

    def count() -> int:
        # There is no directory before the first pack.
        return len(os.listdir(packs)) if packs.exists() else 0

    known = count()
    pusher = _Pusher(one)
    pusher.start()
    while pusher.is_alive() and count() == known:
        time.sleep(0.002)
    one.kill9()
    pusher.join(SECONDS)
    subprocess.run(["fusermount3", "-uz", str(one.path)], check=True, timeout=SECONDS)
    one.mount()
    two.helios("pull")
    assert two.helios("fsck").endswith("all sound\n")
    one.helios("push")
    two.helios("pull")
    assert (two.path / "large").read_bytes() == (one.path / "large").read_bytes()
