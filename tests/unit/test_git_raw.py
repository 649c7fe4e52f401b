"""Git's own bytes, read and written without git."""

from __future__ import annotations

import pytest

from heliosfs.git import raw
from heliosfs.git.modes import (
    LEGACY_MODE,
    file_mtime_ns,
    git_mode_of,
    marks_of,
    mode_of,
)
from heliosfs.git.names import is_reserved
from heliosfs.git.pack import _entry_head
from heliosfs.objects.commit import Commit, Signature
from heliosfs.objects.ids import Oid
from heliosfs.objects.tree import NO_OID, Entry
from heliosfs.store.remembered import TwoGenerationCache
from heliosfs.trees.gitlinks import GITLINK, gitlink_of

WHO = Signature(b"Ada", b"a@b", 1_600_000_000, 150)


def test_the_empty_tree_and_blob_have_the_ids_that_everyone_knows() -> None:
    assert raw.git_id("sha1", b"tree", b"").hex() == "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
    assert raw.git_id("sha1", b"blob", b"").hex() == "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"


def test_a_commit_is_read_as_it_was_written() -> None:
    data = raw.encode_commit(b"t" * 20, [b"p" * 20, b"q" * 20], WHO, WHO, "né\n\nbody".encode())
    said = raw.parse_commit(data)
    assert said == raw.RawCommit(
        b"t" * 20, [b"p" * 20, b"q" * 20], WHO, WHO, "né\n\nbody\n".encode()
    )
    assert b"author Ada <a@b> 1600000000 +0230\n" in data


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b"Ada <a@b> 5 -0130", (b"Ada", b"a@b", 5, -90)),
        (b"<> 5", (b"", b"", 0, 0)),
        (b"<> -5 +0100", (b"", b"", 0, 0)),
        (b"<>5 +0100", (b"", b"", 5, 60)),
        (b"<> 5 +9999", (b"", b"", 5, 99 * 60 + 99)),
        (b"<> 5 -0000", (b"", b"", 5, 0)),
        (b"<> " + b"9" * 5000 + b" +0000", (b"", b"", 2**63 - 1, 0)),
        (b"no email", (b"no email", b"", 0, 0)),
        (b"A <b> <c> 7 +0000", (b"A", b"b", 7, 0)),
        (b"A <a@b> 99999999999999999999999 +0000", (b"A", b"a@b", 2**63 - 1, 0)),
        (b"A <a@b> 1 +99999999999", (b"A", b"a@b", 1, 2**15 - 1)),
        (b"A <a@b> soon", (b"A", b"a@b", 0, 0)),
        (b"", (b"", b"", 0, 0)),
    ],
)
def test_people_of_any_shape(line: bytes, expected: tuple[bytes, bytes, int, int]) -> None:
    said = raw.parse_commit(b"tree " + b"0" * 40 + b"\nauthor " + line + b"\n\nm")
    author = said.author
    assert (author.name, author.email, author.seconds, author.offset_minutes) == expected
    stored = Commit(Entry(b"", 0, 0, 0, 0, 0, NO_OID), (), author, author, b"m")
    assert stored.author.encode()


def test_new_people_cannot_break_a_commit() -> None:
    evil = Signature(b"a\n<b>\0", b"c>\nd", -5, -99_999)
    data = raw.encode_commit(b"t" * 20, [], evil, Signature(b"", b"", 0, 0), b"m\0n")
    lines = data.split(b"\n")
    assert lines[1:3] == [b"author ab <cd> 0 -9900", b"committer unknown <> 0 +0000"]
    assert data.endswith(b"\n\nmn\n")


@pytest.mark.parametrize("data", [b"", b"parent 00\n\nm", b"tree xyz\n\nm"])
def test_what_is_no_commit_is_a_value_error(data: bytes) -> None:
    with pytest.raises(ValueError):
        raw.parse_commit(data)
    with pytest.raises(ValueError):
        raw.parse_tag(data)


def test_a_message_is_utf8_where_its_encoding_is_known() -> None:
    head = b"tree " + b"0" * 40 + b"\nencoding "
    assert raw.parse_commit(head + b"ISO-8859-1\n\n\xe9").message == "é".encode()
    assert raw.parse_commit(head + b"no-such\n\n\xe9").message == b"\xe9"
    assert raw.parse_commit(head + b"UTF-8\n\n\xe9\0rest").message == b"\xe9"


def entry(mode: int, **marks: bytes) -> Entry:
    xattrs = {{"link": GITLINK, "old": LEGACY_MODE}[key]: value for key, value in marks.items()}
    return Entry(b"n", mode, 0, 0, 0, 0, NO_OID, xattrs=xattrs or None)


@pytest.mark.parametrize(
    ("held", "git_mode"),
    [
        (entry(0o100600), b"100644"),
        (entry(0o100711), b"100755"),
        (entry(0o120777), b"120000"),
        (entry(0o040700), b"40000"),
        (entry(0o010644), b""),
        (entry(0o040755, link=b"ab" * 20), b"160000"),
        (entry(0o040755, link=b"no hex"), b"40000"),
        (entry(0o100644, old=b"100664"), b"100664"),
        (entry(0o100755, old=b"100664"), b"100755"),
        (entry(0o120777, old=b"100664"), b"120000"),
        (entry(0o100644, old=b"100994"), b"100644"),
        (entry(0o040755, old=b"040000"), b"040000"),
    ],
)
def test_modes_that_git_gets(held: Entry, git_mode: bytes) -> None:
    assert git_mode_of(held) == git_mode


@pytest.mark.parametrize(
    "git_mode", [b"100644", b"100755", b"120000", b"40000", b"100664", b"0100755", b"040000"]
)
def test_modes_come_back(git_mode: bytes) -> None:
    marks = marks_of(git_mode, b"", empty_tree=False)
    held = Entry(b"n", mode_of(git_mode), 0, 0, 0, 0, NO_OID, xattrs=marks)
    assert git_mode_of(held) == git_mode


def test_a_submodule_comes_back() -> None:
    marks = marks_of(b"160000", b"ab" * 20, empty_tree=False)
    held = Entry(b"n", mode_of(b"160000"), 0, 0, 0, 0, NO_OID, xattrs=marks)
    assert (git_mode_of(held), gitlink_of(held)) == (b"160000", b"\xab" * 20)
    assert mode_of(b"170000") == 0


def test_times_follow_the_content_and_fit_a_zip_file() -> None:
    low, high = file_mtime_ns(Oid(bytes(32))), file_mtime_ns(Oid(b"\xff" * 32))
    assert low == 318_211_200 * 10**9
    assert low < high < 600_000_000 * 10**9


@pytest.mark.parametrize(
    ("name", "reserved"),
    [
        (b".git", True),
        (b".GiT", True),
        (b".git . .", True),
        (b".git::$INDEX_ALLOCATION", True),
        (b"GIT~1", True),
        (b".gitmodules", False),
        (b"git", False),
        (b"a.git", False),
    ],
)
def test_names_that_git_keeps(name: bytes, reserved: bool) -> None:
    assert is_reserved(name) is reserved


def test_the_head_of_an_entry_in_a_pack() -> None:
    assert _entry_head(3, 5) == b"\x35"
    assert _entry_head(1, 16) == b"\x90\x01"
    assert _entry_head(2, 300) == bytes((0x80 | 2 << 4 | 12, 18))


def test_recent_forgets_the_oldest_half() -> None:
    recent: TwoGenerationCache[int] = TwoGenerationCache(limit=2)
    for at in range(4):
        recent.put(b"%d" % at, at)
    assert recent.get(b"0") == 0
    assert recent.get(b"3") == 3
    for at in range(10, 14):
        recent.put(b"%d" % at, at)
    assert recent.get(b"1") is None
