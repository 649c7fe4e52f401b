"""Checks of trees that came from elsewhere, and what they remember of one another."""

from __future__ import annotations

import pytest

from heliosfs.errors import CorruptObject
from heliosfs.objects.ids import Kind, Oid
from heliosfs.objects.tree import encode_file, join_leaf
from heliosfs.remote import treechecks
from heliosfs.remote.packfile import RemoteObject
from heliosfs.remote.treechecks import TreeChecks


def _entry(name: bytes, mode: int = 0o100644) -> bytes:
    return encode_file(mode, 0, 0, 5, 10, bytes(32), name)


def _tree(*entries: bytes) -> RemoteObject:
    return RemoteObject(Kind.TREE, Oid(bytes(32)), join_leaf(entries))


def test_entries_that_are_known_still_have_to_be_in_order_and_once() -> None:
    checks = TreeChecks()
    one, two = _entry(b"one"), _entry(b"two")
    checks.check(_tree(one, two))
    for entries in ((two, one), (one, one)):
        with pytest.raises(CorruptObject, match="names that no directory has"):
            checks.check(_tree(*entries))
    checks.check(_tree(one, two))


@pytest.mark.parametrize("name", [b".", b"..", b"a/b", b"a\0b"])
def test_a_name_that_no_file_has_is_refused_each_time(name: bytes) -> None:
    checks = TreeChecks()
    for _ in range(2):
        with pytest.raises(CorruptObject, match="a name that no file has"):
            checks.check(_tree(_entry(name)))


def test_an_entry_of_no_kind_is_refused_each_time() -> None:
    checks = TreeChecks()
    for _ in range(2):
        with pytest.raises(CorruptObject, match="an entry of mode"):
            checks.check(_tree(_entry(b"a", mode=0o644)))


def test_a_git_directory_is_noticed_and_stays_so() -> None:
    checks = TreeChecks()
    checks.check(_tree(_entry(b"a")))
    assert not checks.has_git_dirs
    for _ in range(2):
        checks.check(_tree(_entry(b".git", mode=0o40755)))
        assert checks.has_git_dirs


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(treechecks, "_KNOWN_MAX", 3)
    checks = TreeChecks()
    entries = [_entry(b"%02d" % number) for number in range(10)]
    for _ in range(2):
        checks.check(_tree(*entries))
    assert len(checks._known) <= 3
