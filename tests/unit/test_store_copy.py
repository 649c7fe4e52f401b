"""Copies of a store that changes between them: the state is always that of the source."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from heliosfs.errors import HeliosError
from heliosfs.repo.backup import BackupResult, back_up
from heliosfs.repo.backup_directory import last_backup, open_backup
from heliosfs.repo.store_copy import is_copied
from heliosfs.steps import run_to_end
from heliosfs.store import copying
from heliosfs.store.local import LocalStore
from tests.crash.damage import Opened
from tests.tree_builder import TreeBuilder

START_NS = 1_700_000_000 * 10**9
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
