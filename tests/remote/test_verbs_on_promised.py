"""Verbs over contents that are at a remote answer as over contents that are here."""

from __future__ import annotations

import re

import pytest

from heliosfs.commands.table import run_alone
from heliosfs.errors import HeliosError, Unfetched
from heliosfs.remote.bucket import Unreachable
from heliosfs.remote.buckets.memory import MemoryBucket
from heliosfs.remote.repetition import repeated
from tests.remote.machines import Machine

_LINES = [b"line %d\n" % number for number in range(40)]
_ID = re.compile(r"\b[0-9a-f]{12,64}\b")
_VERBS = (
    "diff HEAD~2",
    "diff --stat HEAD~2 HEAD",
    "diff -M HEAD~2 HEAD",
    "diff --json --stat HEAD~1",
    "show HEAD",
    "show HEAD~1:src/a",
    "log -p",
    "log --stat -3",
    "log -Schanged",
    "log -Gline.2",
    "log -L3,5:src/a",
    "log --follow src/moved",
    "grep -n changed",
    "grep -c line HEAD~2",
    "blame src/a",
    "cat-file -p HEAD:src/a",
    "cat-file -s HEAD:src/b",
    "merge --dry-run side",
    "merge -m joined side",
    "merge --no-commit side",
    "merge --squash side",
    "merge clash",
    "merge --markers clash",
    "merge --ours -m ours clash",
    "cherry-pick side",
    "revert HEAD",
    "status",
    "check-ignore -v src/x.o",
    "checkout side",
    "restore --source HEAD~2 src/a",
    "stash push",
    "add src/new",
    "commit -m more",
    "reset --hard HEAD~1",
)


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> MemoryBucket:
    """A bucket with a history that has a renamed file, a branch, and one that conflicts."""
    monkeypatch.setattr("heliosfs.remote.upload.SMALL_BYTES", 0)
    bucket = MemoryBucket()
    one = Machine(bucket)
    files = {"src/a": b"".join(_LINES), "src/b": b"".join(reversed(_LINES)), "src/c": b"c\n" * 300}
    files |= {".heliosignore": b"*.o\n", ".gitattributes": b"*.bin binary\n"}
    one.commit("first", **files, **{f"many/{n:02}": b"%d line\n" % n for n in range(30)})
    one.run("branch", "side")
    one.run("branch", "clash")
    one.commit("second", **{"src/a": b"".join([*_LINES[:20], b"changed\n", *_LINES[21:]])})
    one.files.rename(b"src/c", b"src/moved")
    one.commit("third", **{"src/moved": b"c\n" * 300 + b"end\n"})
    for branch, at in (("side", 2), ("clash", 20)):
        one.run("checkout", branch)
        lines = [*_LINES[:at], b"of " + branch.encode() + b"\n", *_LINES[at + 1 :]]
        one.commit(branch, **{"src/a": b"".join(lines)})
    for branch in ("main", "side", "clash"):
        one.run("checkout", branch)
        one.push(branch)
    one.run("checkout", "main")
    return bucket


def _clone(bucket: MemoryBucket, *, is_lazy: bool) -> Machine:
    machine = Machine(bucket, is_lazy=is_lazy)
    machine.fetch()
    machine.run("merge", "-q", "origin/main")
    for branch in ("side", "clash"):
        machine.run("branch", branch, f"origin/{branch}")
    machine.files.write(b"src/new", b"new\n")
    machine.files.write(b"src/x.o", b"ignored\n")
    return machine


def _reply(machine: Machine, line: str) -> str:
    repository = machine.repository
    try:
        return run_alone(repository, lambda: repository.root, line.split())
    except Unfetched:
        raise
    except HeliosError as error:
        return f"error: {error}"


@pytest.mark.parametrize("line", _VERBS)
def test_the_reply_is_the_same(
    line: str, bucket: MemoryBucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("heliosfs.remote.hydration.open_bucket", lambda url, is_hasty: bucket)
    whole, lazy = _clone(bucket, is_lazy=False), _clone(bucket, is_lazy=True)
    assert lazy.store.promises
    expected = _reply(whole, line)
    # Commits have the times of their attempts.
    assert _ID.sub("ID", _reply(lazy, line)) == _ID.sub("ID", expected)
    assert repeated(lazy.repository, lazy.files.tree) == whole.files.tree()
    lazy.check()


@pytest.mark.parametrize("line", _VERBS)
def test_without_the_remote_it_changes_nothing(
    line: str, bucket: MemoryBucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(url: str, *, is_hasty: bool) -> MemoryBucket:
        raise Unreachable("the server does not answer")

    monkeypatch.setattr("heliosfs.remote.hydration.open_bucket", fail)
    lazy = _clone(bucket, is_lazy=True)
    before = lazy.view.state()
    refs = {each.name: each.head for each in lazy.repository.refs}
    try:
        _reply(lazy, line)
    except Unfetched as error:
        told = str(error)
        assert "is still at the remote 'origin', which cannot be reached: the server" in told
        assert lazy.view.state() == before
        assert {each.name: each.head for each in lazy.repository.refs} == refs
    lazy.check()
    assert lazy.repository.metrics.hydration.objects == 0
