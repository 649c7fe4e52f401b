"""Many programs in the same directories while the tree is committed and moved under them."""

from __future__ import annotations

import collections
import json
import os
import random
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.git_repository import quick_history
from tests.mount.conftest import Mounted, Mounter
from tests.mount.programs import SECONDS, errno_of, put, run
from tests.posix.consistency import assert_sound, mounted_tree
from tests.posix.crowd import EXPECTED

CROWD = 32
CROWD_SECONDS = 2
RENAMES = ("rename", "rename_directory", "rename_if_free", "exchange")
LATE_MAX = 5


def start_crowd(where: Path, seed: int, size: int = CROWD) -> list[subprocess.Popen[bytes]]:
    return [
        subprocess.Popen(
            [sys.executable, "-m", "tests.posix.crowd", str(seed + number), str(CROWD_SECONDS)],
            cwd=where, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )
        for number in range(size)
    ]  # fmt: skip


def unexpected(crowd: list[subprocess.Popen[bytes]]) -> dict[str, int]:
    """Count the outcomes that no program should have seen; the crowd has ended."""
    outcomes: collections.Counter[str] = collections.Counter()
    for process in crowd:
        out, err = process.communicate(timeout=SECONDS)
        assert process.returncode == 0, err.decode()
        outcomes.update(json.loads(out)["outcomes"])
    assert sum(outcomes.values()) > 10 * len(crowd)
    return {
        outcome: count
        for outcome, count in outcomes.items()
        if outcome.split()[1] not in EXPECTED
        # Of directories: they have one name, and cannot go below themselves.
        and outcome not in ("link EPERM", "rename_directory EINVAL")
    }


def with_a_commit(mounter: Mounter) -> Mounted:
    mounted = mounter()
    put(mounted.path / "d0/file", "text")
    mounted.commit("one")
    return mounted


def node_count(mounted: Mounted) -> int:
    """Return the number of nodes that the daemon holds."""
    text = (mounted.path / ".helios/stats").read_text()
    stats = dict(line.split(": ") for line in text.splitlines())
    return int(stats["node_count"])


@pytest.mark.parametrize("seed", [1, 2])
def test_a_crowd_while_the_tree_moves(mounter: Mounter, seed: int) -> None:
    mounted = with_a_commit(mounter)
    choose = random.Random(seed)
    mounted.control("branch", "other\n")
    requests = [
        ("commit", "more"),
        ("commit", "more"),
        ("reset", "--hard HEAD~1\n"),
        ("checkout", "main\n"),
        ("checkout", "other\n"),
        ("checkout", "HEAD\n"),
        ("undo", "\n"),
        ("redo", "\n"),
    ]
    answers: collections.Counter[str] = collections.Counter()
    crowd = start_crowd(mounted.path, seed * 1000)
    while any(process.poll() is None for process in crowd):
        verb, text = choose.choice(requests)
        answers[f"{verb} {errno_of(mounted.control, verb, text)}"] += 1
    seen = unexpected(crowd)
    # The kernel looks the names up anew when it learns that one leads to another file now, but only
    # once: a second verb at that moment is seen by the program.
    late = sum(seen.pop(f"{call} ESTALE", 0) for call in RENAMES)
    assert late <= LATE_MAX
    assert seen == {}
    assert answers["commit ok"] > 2 and answers["checkout ok"] > 0, answers
    assert {answer.split()[1] for answer in answers} <= {"ok", "ENODATA", "ENOENT"}, answers
    assert_sound(mounted)


def test_a_crowd_beside_imports(mounter: Mounter, tmp_path: Path) -> None:
    """A history is imported, new and again, while the tree is committed and moved to it."""
    mounted = with_a_commit(mounter)
    history = quick_history(tmp_path / "history.git", 1500)
    replies: list[str] = []
    crowd = start_crowd(mounted.path, 3000)

    def take_in() -> None:
        while any(process.poll() is None for process in crowd):
            replies.append(mounted.control("import", f"--from-git {history}\n"))

    importer = threading.Thread(target=take_in)
    importer.start()
    answers: collections.Counter[str] = collections.Counter()
    while importer.is_alive():
        answers[errno_of(mounted.commit, "beside it")] += 1
        branch = "trunk" if "trunk" in os.listdir(mounted.path / ".helios/branches") else "main"
        for name in (branch, "main"):
            mounted.control("checkout", f"{name}\n")
    importer.join()
    assert unexpected(crowd) == {}
    assert replies[0].startswith("1500 commits, ")
    assert answers.keys() <= {"ok", "ENODATA"}, answers
    mounted.helios("import", "--verify", str(history))
    assert_sound(mounted)


def test_a_crowd_beside_garbage_collections(mounter: Mounter) -> None:
    """All that commits, resets and operations leave behind is collected at once."""
    mounted = with_a_commit(mounter)
    replies: list[str] = []
    crowd = start_crowd(mounted.path, 4000)

    def collect() -> None:
        while any(process.poll() is None for process in crowd):
            line = "--aggressive --remove-old-snapshots --before=0s\n"
            replies.append(mounted.control("gc", line))

    collector = threading.Thread(target=collect)
    collector.start()
    answers: collections.Counter[str] = collections.Counter()
    while collector.is_alive():
        answer = errno_of(mounted.commit, "to be removed")
        answers[answer] += 1
        if answer == "ok":
            mounted.control("reset", "--hard HEAD~1\n")
    collector.join()
    assert unexpected(crowd) == {}
    assert any(reply.startswith("removed") for reply in replies), replies
    assert answers.keys() <= {"ok", "ENODATA"}, answers
    assert mounted.control("fsck", "\n").endswith("all sound\n")
    assert_sound(mounted)


def test_a_crowd_in_two_branches_at_once(mounter: Mounter) -> None:
    mounted = with_a_commit(mounter)
    mounted.control("branch", "idea\n")
    live = mounted.path / ".helios/live/idea"
    crowd = start_crowd(mounted.path, 1, CROWD // 2) + start_crowd(live, 2, CROWD // 2)
    while any(process.poll() is None for process in crowd):
        errno_of(mounted.commit, "at the root")
        errno_of(mounted.commit, "in the branch", view=".helios/live/idea")
    assert unexpected(crowd) == {}
    other = mounted_tree(live)
    assert_sound(mounted)
    assert mounted_tree(live) == other
    mounted.control("checkout", "idea\n")
    assert_sound(mounted)


def test_nothing_is_left_of_what_went(mounter: Mounter) -> None:
    mounted = mounter()
    before = node_count(mounted)
    crowd = start_crowd(mounted.path, 7)
    assert unexpected(crowd) == {}
    for path in mounted.path.iterdir():
        if path.name != ".helios":
            run("rm", "-rf", path, cwd=mounted.path)
    assert node_count(mounted) == before
    assert_sound(mounted)
