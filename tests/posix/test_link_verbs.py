"""Hard links across verbs that take single paths: names, link counts, what is stored."""

from __future__ import annotations

import random

import pytest

from heliosfs.errors import HeliosError
from tests.tree_builder import Stage

NAMES = [b"a", b"b", b"c", b"d/a", b"d/b"]


@pytest.fixture
def stage() -> Stage:
    stage = Stage()
    stage.files.directory(b"d")
    return stage


def test_a_changed_file_is_not_linked_to_a_name_of_its_old_group(stage: Stage) -> None:
    stage.files.write(b"a", b"one")
    stage.files.link(b"a", b"b")
    stage.commit()
    stage.files.remove(b"b")
    stage.run("restore", "--source=HEAD", "a")
    stage.commit()
    stage.files.chmod(b"a", 0o755)
    stage.run("revert", "-n", "HEAD")
    nodes = [stage.files.node(name) for name in (b"a", b"b")]
    assert [(node.mode & 0o777, node.link_count) for node in nodes] == [(0o755, 1), (0o644, 1)]
    check(stage)


def test_a_file_is_linked_to_a_name_that_comes_back(stage: Stage) -> None:
    stage.files.write(b"a", b"one")
    stage.files.link(b"a", b"b")
    stage.commit()
    stage.files.remove(b"b")
    stage.run("restore", "--source=HEAD", "a")
    stage.commit()
    assert stage.files.node(b"a").link_count == 1
    stage.run("revert", "-n", "HEAD")
    assert stage.files.node(b"a") is stage.files.node(b"b")
    check(stage)


@pytest.mark.parametrize("seed", range(40))
def test_random_verbs(stage: Stage, seed: int) -> None:
    choose = random.Random(seed)
    stage.commit()
    commits = 1
    for number in range(80):
        path, other = choose.sample(NAMES, 2)
        name = path.decode()
        back = f"HEAD~{choose.randrange(commits)}"
        there = stage.files.tree()
        action = choose.randrange(12)
        if action < 2:
            stage.files.write(path, b"%d" % choose.randrange(3))
        elif action == 2 and path in there:
            stage.files.remove(path)
        elif action < 5 and path in there and other not in there:
            stage.files.link(path, other)
        elif action == 5 and path in there:
            stage.files.chmod(path, choose.choice((0o644, 0o755)))
        elif action < 8:
            stage.commit(f"{number}")
            commits += 1
        else:
            words = {
                8: ["restore", "--source", back, name],
                9: ["revert", "-n", back],
                10: ["cherry-pick", "-n", back],
                11: ["stash"] if number % 2 else ["stash", "pop"],
            }[action]
            try:
                stage.run(*words)
            except HeliosError:
                continue
            check(stage)
    check(stage)


def check(stage: Stage) -> None:
    """Check that a restart shows the same, and that each file has as many links as names."""
    shown = picture(stage)
    for path, (_, names) in shown.items():
        assert stage.files.node(path).link_count == len(names)
    stage.reopen()
    assert picture(stage) == shown


def picture(stage: Stage) -> dict[bytes, tuple[tuple[int, bytes], list[bytes]]]:
    """Return the mode, the bytes and all names of each file."""
    there = stage.files.tree()
    files = {path: stage.files.node(path) for path in NAMES if path in there}
    return {
        path: (there[path], [name for name, other in files.items() if other is node])
        for path, node in files.items()
    }
