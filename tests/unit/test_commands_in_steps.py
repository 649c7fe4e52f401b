"""Verbs that look through whole trees do so in steps, between which others change things."""

from __future__ import annotations

from heliosfs.commands.diff.changes import compare, compare_in_steps
from heliosfs.commands.table import VERBS
from heliosfs.commands.verb import Request
from heliosfs.steps import ALONE, TURN, Steps
from tests.tree_builder import Stage

COUNT = 200


def stage_of_many() -> Stage:
    stage = Stage()
    for number in range(COUNT):
        stage.files.write(b"d%d/%d.md" % (number % 7, number), b"%d\n" % number)
        stage.files.write(b"d%d/%d.c" % (number % 7, number), b"int f%d;\n" % number)
    stage.commit("many")
    return stage


def begun(stage: Stage, verb: str, *argv: str) -> Steps[str]:
    return VERBS[verb].begin(Request(stage.repository, stage.view, ""), list(argv))


def until_alone(steps: Steps[str]) -> int:
    """Drive steps up to ALONE; return the number of turns of others."""
    count = 0
    while (step := next(steps)) is not ALONE:
        assert step is TURN
        count += 1
    return count


def finished(steps: Steps[str]) -> str:
    try:
        while True:
            next(steps)
    except StopIteration as done:
        reply: str = done.value
        return reply


def test_rm_looks_for_a_pattern_in_steps() -> None:
    stage = stage_of_many()
    before = stage.files.tree()
    steps = begun(stage, "rm", "-q", "*.md")
    assert until_alone(steps) >= 2 * COUNT
    assert stage.files.tree() == before
    finished(steps)
    assert not [path for path in stage.files.tree() if path.endswith(b".md")]
    assert len([path for path in stage.files.tree() if path.endswith(b".c")]) == COUNT


def test_rm_takes_what_was_committed_while_it_looked() -> None:
    stage = stage_of_many()
    steps = begun(stage, "rm", "-q", "*.md")
    for _ in range(10):
        next(steps)
    stage.commit("one more", **{"late.md": b"late\n"})
    finished(steps)
    assert not [path for path in stage.files.tree() if path.endswith(b".md")]


def test_rm_that_is_given_up_has_removed_nothing() -> None:
    stage = stage_of_many()
    before = stage.files.tree()
    steps = begun(stage, "rm", "-q", "*.md")
    until_alone(steps)
    steps.close()
    assert stage.files.tree() == before
    assert stage.run("status", "-s") == ""


def test_a_pattern_is_restored_from_a_save_in_steps() -> None:
    stage = stage_of_many()
    before = stage.files.tree()
    for number in range(COUNT):
        stage.files.write(b"d%d/%d.md" % (number % 7, number), b"spoilt\n")
    stage.repository.checkpoint()
    steps = begun(stage, "restore", "--saved", "*.md")
    for _ in range(10):
        next(steps)
    stage.files.write(b"d1/1.c", b"written meanwhile\n")
    assert until_alone(steps) >= COUNT
    finished(steps)
    after = stage.files.tree()
    mode, text = after.pop(b"d1/1.c")
    assert text == b"written meanwhile\n"
    assert after | {b"d1/1.c": (mode, b"int f1;\n")} == before


def test_renames_are_looked_for_in_steps() -> None:
    stage = Stage()
    for number in range(12):
        stage.files.write(b"old%d" % number, b"%d line\n" % number * 50)
    stage.commit("old")
    before = stage.view.head_root()
    for number in range(12):
        stage.files.rename(b"old%d" % number, b"new%d" % number)
        stage.files.write(b"new%d" % number, b"%d line\n" % number * 45 + b"another\n")
    after = stage.view.state().root
    steps = compare_in_steps(stage.store, before, after)
    turns = sum(1 for step in steps if step is TURN)
    assert turns >= 12 * 12
    found = compare(stage.store, before, after)
    assert [(each.source, each.path) for each in found] == sorted(
        ((b"old%d" % number, b"new%d" % number) for number in range(12)), key=lambda pair: pair[1]
    )
