"""Copies of a store that changes between them: the state is always that of the source."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import pytest

from heliosfs.errors import CorruptObject, HeliosError, NotFound
from heliosfs.repo.backup import BackupResult, back_up
from heliosfs.repo.backup_directory import last_backup, open_backup
from heliosfs.repo.store_copy import is_copied
from heliosfs.steps import run_to_end
from heliosfs.store import copying
from heliosfs.store.encoding.versions import PreparedObject
from heliosfs.store.gc.chains import Chains, Decoded
from heliosfs.store.l2.encoder import Encoder
from heliosfs.store.l2.reader import Snapshot
from heliosfs.store.l2.record import Head, pack
from heliosfs.store.local import LocalStore
from tests.crash.damage import Opened
from tests.tree_builder import TreeBuilder

START_NS = 1_700_000_000 * 10**9
Link: TypeAlias = Callable[[Encoder, int, PreparedObject], bytes]
ALL = ("gc", "--aggressive", "--remove-old-snapshots", "--before=0s")


class Source:
    """A repository whose history grows, goes back and is collected."""

    def __init__(self, path: Path, seed: int) -> None:
        path.mkdir()
        (path / "id").write_text("0123456789abcdef" * 2 + "\n")
        self.opened = Opened(path, START_NS)
        self.chance = random.Random(seed)
        self.files = TreeBuilder(self.opened.repository.root.workspace)
        self.count = 0

    def verb(self, *argv: str) -> None:
        # Some find nothing to do, such as an undo of nothing.
        try:
            self.opened.verb(*argv)
        except HeliosError:
            return

    def commit(self, count: int) -> None:
        for _ in range(count):
            self.count += 1
            self.files.write(b"file%d" % (self.count % 4), b"%d\n" % self.count * 50)
            self.verb("commit", "-q", "--work", "-m", f"number {self.count}")

    def change(self) -> None:
        chance = self.chance
        chance.choice(
            (
                lambda: self.commit(1),
                lambda: self.commit(chance.randrange(40)),
                lambda: self.verb("reset", "--hard", f"HEAD~{chance.randrange(9)}"),
                lambda: self.verb("undo"),
                lambda: self.verb("redo"),
                lambda: self.verb("tag", f"t{self.count}"),
                lambda: self.verb("tag", "-d", f"t{chance.randrange(self.count + 1)}"),
                lambda: self.verb("branch", f"b{self.count}"),
                lambda: self.verb("branch", "-D", f"b{chance.randrange(self.count + 1)}"),
                lambda: self.verb(*ALL),
                lambda: self.verb("gc"),
            )
        )()

    def back_up(self, path: Path) -> BackupResult:
        steps = back_up(self.opened.repository, str(path), keeps_going=False)
        return run_to_end(steps, self.opened.store)

    def state(self) -> dict[bytes, bytes]:
        return state_of(self.opened.store)


def state_of(store: LocalStore) -> dict[bytes, bytes]:
    return {key: value for key, value in store.scan(b"") if is_copied(key)}


@pytest.fixture(autouse=True)
def short_series(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let series of a few dozen entries have marks."""
    monkeypatch.setattr(copying, "_MARKED_ROWS", 1)


@pytest.mark.parametrize("seed", range(12))
def test_every_backup_has_the_state_of_the_source(tmp_path: Path, seed: int) -> None:
    source = Source(tmp_path / "source", seed)
    source.commit(150)
    path = tmp_path / "backup"
    for _ in range(12):
        source.change()
        source.back_up(path)
        store = open_backup(str(path))
        assert state_of(store) == source.state()
        last = last_backup(store)
        assert last is not None
        store.close()
    source.opened.close()


def test_what_was_there_before_is_not_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = Source(tmp_path / "source", 1)
    source.commit(600)
    path = tmp_path / "backup"
    source.back_up(path)
    source.commit(1)
    seen: list[int] = []
    differences = copying.differences

    def counted(
        wanted: list[tuple[bytes, bytes]], there: list[tuple[bytes, bytes]], is_wanted: object
    ) -> dict[bytes, bytes | None]:
        new, old = list(wanted), list(there)
        seen.extend((len(new), len(old)))
        return differences(new, old, is_copied)

    monkeypatch.setattr("heliosfs.repo.store_copy.differences", counted)
    assert source.back_up(path).new_object_count == 3
    # There are 1,200 values of commits and operations, and two of them are new.
    assert max(seen) < 200
    store = open_backup(str(path))
    assert state_of(store) == source.state()
    store.close()
    source.opened.close()


def _flipped(link: Link) -> Link:
    """Let a record of a delta be written with another last byte."""

    def linked(encoder: Encoder, number: int, item: PreparedObject) -> bytes:
        record = link(encoder, number, item)
        if item.base is None:
            return record
        return record[:-1] + bytes((record[-1] ^ 1,))

    return linked


def _led_astray(link: Link) -> Link:
    """Let a record of a delta be written with the object before it as its base."""

    def linked(encoder: Encoder, number: int, item: PreparedObject) -> bytes:
        record = link(encoder, number, item)
        base = None if item.base is None else encoder.new_numbers.get(item.base)
        if base is None or item.encoded is None or number - base == 1:
            return record
        return pack(item.oid, item.kind, item.size, item.encoded, 1, item.position)

    return linked


@pytest.mark.parametrize("fault", [_flipped, _led_astray])
def test_what_was_written_wrong_is_found_before_the_backup_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: Callable[[Link], Link]
) -> None:
    source = Source(tmp_path / "source", 2)
    source.commit(40)
    path = tmp_path / "backup"
    link = Encoder._link
    monkeypatch.setattr(Encoder, "_link", fault(link))
    with pytest.raises(CorruptObject, match="what was just written cannot be read"):
        source.back_up(path)
    with pytest.raises(NotFound, match="no complete backup"):
        open_backup(str(path))
    source.opened.close()


def test_a_record_as_it_was_to_be_is_not_decoded_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = Source(tmp_path / "source", 3)
    source.commit(60)
    decoded: list[int] = []
    decode = Chains.decode_record

    def noting(chains: Chains, snapshot: Snapshot, head: Head) -> Decoded:
        decoded.append(head[0])
        return decode(chains, snapshot, head)

    monkeypatch.setattr(Chains, "decode_record", noting)
    done = source.back_up(tmp_path / "backup")
    # Once, to be compared with its id.
    assert len(decoded) == done.new_object_count > 100
    source.opened.close()
