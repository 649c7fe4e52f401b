"""Blame: which lines it may leave without an answer, and how it says so."""

from __future__ import annotations

import json

import pytest

from heliosfs.repo import blame
from tests.tree_builder import Stage


def table(head: int, count: int = 300) -> bytes:
    lines = [b"line %d" % number for number in range(count)]
    return b"\n".join([b"head %d" % head, *lines, b"tail %d" % head]) + b"\n"


def test_no_comparison_takes_from_another(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first and the last line of each version differ: the effort is for each pair."""
    monkeypatch.setattr(blame, "_EFFORT", 1_000)
    stage = Stage()
    first = stage.commit("0", f=table(0))
    for number in range(1, 40):
        stage.commit(str(number), f=table(number))
    rows = json.loads(stage.run("blame", "--json", "f"))
    assert {row["id"] for row in rows[1:-1]} == {first}
    assert rows[0]["id"] == rows[-1]["id"] == stage.head
    assert not any(row["boundary"] for row in rows)


def test_what_is_given_up_is_marked(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage()
    for step in (37, 53):
        stage.commit(str(step), f=b"".join(b"%d\n" % (step * at % 101) for at in range(200)))
    monkeypatch.setattr(blame, "_EFFORT", 3)
    rows = json.loads(stage.run("blame", "--json", "f"))
    assert {(row["boundary"], row["id"]) for row in rows[10:-10]} == {(True, stage.head)}
    assert not rows[0]["boundary"]
    assert stage.run("blame", "-L", "50,50", "f").startswith(f"^{stage.head[:11]} ")


def test_large_versions_are_compared_on_a_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blame, "_LARGE_LINES", 10)
    stage = Stage()
    first = stage.commit("0", f=table(0))
    stage.commit("1", f=table(1))
    rows = json.loads(stage.run("blame", "--json", "f"))
    assert {row["id"] for row in rows[1:-1]} == {first}
