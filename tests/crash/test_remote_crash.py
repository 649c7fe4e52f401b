"""A process that dies in a push or a fetch, as by kill -9: with its store, on a disk."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from heliosfs.objects.ids import CommitId
from heliosfs.remote import contents, packfile, upload
from heliosfs.remote.bucket import Got, StoredObject
from heliosfs.remote.buckets.shared_directory import DirectoryBucket
from heliosfs.remote.contents import make_whole
from heliosfs.remote.fetch import fetch
from heliosfs.remote.push import push
from heliosfs.remote.shallow import DOWN_TO_KNOWN, Extent
from heliosfs.repo.check import check_store
from heliosfs.repo.remotes import HEADS
from heliosfs.steps import Progress, Steps, Turn, perform, run_to_end
from tests.crash.damage import Opened
from tests.remote.shallow import check_whole_or_cut
from tests.tree_builder import TreeBuilder

START_NS = 1_700_000_000 * 10**9
DIED = 9


class _MortalBucket(DirectoryBucket):
    """A bucket with which the process dies before, or after, the n-th request."""

    def __init__(self, path: str, before: int = 0, after: int = 0) -> None:
        super().__init__(path)
        self._before = before
        self._after = after
        self.count = 0

    def _begin(self) -> None:
        self.count += 1
        if self.count == self._before:
            os._exit(DIED)

    def _end(self) -> None:
        if self.count == self._after:
            os._exit(DIED)

    def get(self, key: str, start: int = 0, length: int | None = None) -> Got:
        self._begin()
        got = super().get(key, start, length)
        self._end()
        return got

    def create(self, key: str, data: bytes) -> str:
        self._begin()
        version = super().create(key, data)
        self._end()
        return version

    def swap(self, key: str, data: bytes, expected: str) -> str:
        self._begin()
        version = super().swap(key, data, expected)
        self._end()
        return version

    def list(self, prefix: str, after: str = "") -> Iterator[StoredObject]:
        self._begin()
        yield from super().list(prefix, after)
        self._end()


class _Place:
    """A workspace with three commits that a remote lacks, and another one without any."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.bucket = str(path / "bucket")
        DirectoryBucket(self.bucket).make()
        for name in ("one", "two"):
            (path / name).mkdir()
            opened = self.open(name)
            with opened.repository.transaction:
                opened.repository.remotes.add("origin", f"file://{self.bucket}")
            opened.close()
        opened = self.open("one")
        self._commit(opened, b"first")
        run_to_end(self.pushing(opened, DirectoryBucket(self.bucket)), opened.store)
        for text in (b"second", b"third", b"fourth"):
            self._commit(opened, text)
        head = opened.repository.root.head
        assert head is not None
        self.head: CommitId = head
        opened.close()

    def open(self, name: str) -> Opened:
        return Opened(self.path / name, START_NS)

    def _commit(self, opened: Opened, text: bytes) -> None:
        files = TreeBuilder(opened.repository.root.workspace)
        files.write(b"dir/" + text, random.Random(text).randbytes(3_000))
        opened.verb("commit", "-q", "-m", text.decode())

    def pushing(self, opened: Opened, bucket: DirectoryBucket) -> Steps[object]:
        head = opened.repository.root.head
        assert head is not None
        return push(opened.repository, bucket, "origin", HEADS, "main", head)

    def copied(self, name: str) -> _Place:
        """A copy of all, as it is now."""
        copy = object.__new__(_Place)
        copy.path = self.path.parent / name
        copy.bucket = str(copy.path / "bucket")
        copy.head = self.head
        shutil.copytree(self.path, copy.path)
        return copy


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> _Place:
    monkeypatch.setattr(packfile, "PACK_FULL_BYTES", 2_000)
    (tmp_path / "place").mkdir()
    return _Place(tmp_path / "place")


def _in_child(work: Callable[[], None]) -> int:
    """Carry something out in a process that never cleans up; return its exit code."""
    child = os.fork()
    if not child:
        try:
            work()
        except BaseException:  # noqa: BLE001 (told by the code)
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _check(opened: Opened) -> None:
    assert run_to_end(check_store(opened.repository), opened.store).problems == []


def _read(place: _Place, extent: Extent = DOWN_TO_KNOWN) -> CommitId:
    """Fetch with the other workspace, which must find everything; return what main is there."""
    opened = place.open("two")
    bucket = DirectoryBucket(place.bucket)
    run_to_end(fetch(opened.repository, bucket, "origin", extent=extent), opened.store)
    _check(opened)
    found = opened.repository.remotes.find("origin/main")
    assert found is not None
    assert list(opened.repository.history.walk(found))
    opened.close()
    return found


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_process_that_dies_in_a_push(place: _Place, when: str) -> None:
    for count in range(1, 100):
        copy = place.copied(f"{when}-{count}")

        def work(copy: _Place = copy, count: int = count) -> None:
            opened = copy.open("one")
            bucket = _MortalBucket(copy.bucket, **{when: count})
            run_to_end(copy.pushing(opened, bucket), opened.store)

        code = _in_child(work)
        assert code in (0, DIED)
        seen = _read(copy)
        opened = copy.open("one")
        _check(opened)
        run_to_end(copy.pushing(opened, DirectoryBucket(copy.bucket)), opened.store)
        opened.close()
        assert _read(copy) == place.head
        shutil.rmtree(copy.path)
        if code == 0:
            assert seen == place.head
            break
    # Packs, trees and the ref.
    assert count > 4


def _drive(steps: Steps[object], dies_at: int) -> None:
    """Drive steps, and die after a piece of work."""
    count = 0
    for step in steps:
        if not isinstance(step, Turn | Progress):
            perform(step)
            count += 1
            if count == dies_at:
                os._exit(DIED)


def _dies_at_each_step_of_a_fetch(
    place: _Place,
    check: Callable[[_Place], None] = lambda copy: None,
    extent: Extent = DOWN_TO_KNOWN,
) -> None:
    """End a fetch of the other workspace at each step, and do it again; then `check` each."""
    opened = place.open("two")
    before = opened.repository.remotes.find("origin/main")
    opened.close()
    for count in range(1, 100):
        copy = place.copied(f"fetch-{count}")

        def work(copy: _Place = copy, count: int = count) -> None:
            opened = copy.open("two")
            bucket = DirectoryBucket(copy.bucket)
            _drive(fetch(opened.repository, bucket, "origin", extent=extent), count)
            os._exit(0)

        code = _in_child(work)
        assert code in (0, DIED)
        opened = copy.open("two")
        _check(opened)
        check_whole_or_cut(opened.repository)
        found = opened.repository.remotes.find("origin/main")
        assert found in (before, place.head)
        assert code == DIED or found == place.head
        opened.close()
        assert _read(copy, extent) == place.head
        check(copy)
        shutil.rmtree(copy.path)
        if code == 0:
            break
    assert count > (6 if before is None else 3)


def test_a_process_that_dies_in_a_fetch(place: _Place) -> None:
    opened = place.open("one")
    run_to_end(place.pushing(opened, DirectoryBucket(place.bucket)), opened.store)
    opened.close()
    _dies_at_each_step_of_a_fetch(place)


def _leave_contents(place: _Place, *, is_lazy: bool = True) -> None:
    """Let the other workspace fetch without contents."""
    opened = place.open("two")
    with opened.repository.transaction:
        opened.repository.remotes.notes.leave_contents("origin", is_lazy=is_lazy)
    opened.close()


def _pushed(place: _Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Push everything, no content with the trees."""
    monkeypatch.setattr(upload, "SMALL_BYTES", 0)
    opened = place.open("one")
    run_to_end(place.pushing(opened, DirectoryBucket(place.bucket)), opened.store)
    opened.close()
    _leave_contents(place)


def test_a_process_that_dies_in_a_lazy_fetch(
    place: _Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    _pushed(place, monkeypatch)

    def check(copy: _Place) -> None:
        opened = copy.open("two")
        checked = run_to_end(check_store(opened.repository), opened.store)
        assert (checked.problems, checked.promised) == ([], 4)
        assert len({each.oid for each in opened.store.promises}) == 4
        opened.close()

    _dies_at_each_step_of_a_fetch(place, check)


@pytest.mark.parametrize("is_lazy", [True, False])
def test_a_process_that_dies_in_a_shallow_fetch(
    place: _Place, is_lazy: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It dies in the first one, in one of new commits, and in one of all that was left out."""
    _pushed(place, monkeypatch)
    if not is_lazy:
        _leave_contents(place, is_lazy=False)

    def check(copy: _Place, shallow: int, commits: int) -> None:
        opened = copy.open("two")
        checked = check_whole_or_cut(opened.repository)
        assert (checked.shallow, checked.commits) == (shallow, commits)
        assert (
            (copy.path / "two" / "format")
            .read_text()
            .endswith("version 6\n" if shallow else "version 5\n")
        )
        opened.close()

    _dies_at_each_step_of_a_fetch(place, lambda copy: check(copy, 1, 2), Extent(2))
    _read(place, Extent(2))
    opened = place.open("one")
    opened.verb("commit", "-q", "--allow-empty", "-m", "fifth")
    place.head = opened.repository.root.head or place.head
    run_to_end(place.pushing(opened, DirectoryBucket(place.bucket)), opened.store)
    opened.close()
    before = place.copied("before")
    _dies_at_each_step_of_a_fetch(place, lambda copy: check(copy, 1, 3))
    _dies_at_each_step_of_a_fetch(before, lambda copy: check(copy, 0, 5), Extent(is_whole=True))


def test_contents_are_brought_by_one_process_after_another(
    place: _Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is killed after a piece of work more; what came stays, and the next ones go on."""
    _pushed(place, monkeypatch)
    assert _read(place) == place.head
    monkeypatch.setattr(contents, "READERS", 1)
    monkeypatch.setattr(contents, "_WAITING_BYTES", 0)
    left: list[int] = []
    is_whole = False

    def work() -> None:
        opened = place.open("two")
        bucket = DirectoryBucket(place.bucket)
        # One range is read and written before it dies.
        _drive(make_whole(opened.repository, lambda url: bucket), 4)
        os._exit(0)

    for _ in range(20):
        code = _in_child(work)
        assert code in (0, DIED)
        opened = place.open("two")
        checked = run_to_end(check_store(opened.repository), opened.store)
        assert checked.problems == []
        left.append(checked.promised)
        is_whole = not opened.store.promises
        opened.close()
        if code == 0:
            break
    assert left == sorted(left, reverse=True)
    assert len(set(left)) > 2 and left[-1] == 0
    assert is_whole
    assert (place.path / "two" / "format").read_text().endswith("version 3\n")
