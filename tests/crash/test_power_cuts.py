"""The power fails: whatever is on the disk then opens, and what was promised is there."""

from __future__ import annotations

import itertools
import shutil
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from heliosfs.store.l2 import compact
from heliosfs.store.witness import read_witness
from tests.crash.cuts import Cut, Examiner, cuts
from tests.crash.disk import PAGE, SECTOR, Failing, record
from tests.crash.lives import Life
from tests.crash.power import KINDS, Kind, failing, lived

STATES = 26
"""Different states that are opened of each life; 26 lives in all."""
SEED = 1
_SLICE_SECONDS = 20.0


def new(path: Path) -> Path:
    path.mkdir()
    return path


def examined(life: Life, scratch: Path, seed: int, states: int, until: float) -> Examiner:
    """Examine cuts of a life: so many states, for so long; fail at the first fault."""
    examiner = Examiner(scratch)
    for cut in cuts(life.disk, seed):
        fault = examiner.examine(life, cut)
        assert not fault, f"{fault} ({cut})"
        if examiner.states >= states or time.monotonic() > until:
            break
    return examiner


@pytest.mark.parametrize("is_failing", [False, True], ids=["sound", "failing"])
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_a_sample(kind: Kind, tmp_path: Path, *, is_failing: bool) -> None:
    life = lived(failing(kind, SEED) if is_failing else kind, tmp_path / "life", SEED)
    examiner = examined(life, tmp_path, SEED, STATES, until=time.monotonic() + 300)
    assert examiner.states >= STATES // 2


def test_all_for_as_long_as_told(
    long_seconds: float, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Life after life, each for 20 s or until all its cuts are examined."""
    if not long_seconds:
        return
    end = time.monotonic() + long_seconds
    opened: Counter[str] = Counter()
    compared: Counter[str] = Counter()
    for seed in itertools.count(SEED):
        for kind in itertools.chain(KINDS, (failing(kind, seed) for kind in KINDS)):
            until = min(end, time.monotonic() + _SLICE_SECONDS)
            path = tmp_path / "one"
            path.mkdir()
            examiner = examined(lived(kind, path / "life", seed), path, seed, 10**9, until)
            shutil.rmtree(path)
            opened[kind.name] += examiner.states
            compared[kind.name] += examiner.checked
            if time.monotonic() > end:
                with capsys.disabled():
                    print(f"\nseeds {SEED} to {seed}")
                    for name, count in opened.items():
                        print(f"{name:24} {count:7} states of {compared[name]:8} cuts")
                return


def cut_after(life: Life, scratch: Path) -> None:
    """Let the power fail now, all that is not synced is lost, and see that nothing else is."""
    life.disk.seal()
    moment = life.disk.now + 1
    unsafe = frozenset(change.at for change in life.disk.unsafe_at(moment))
    examiner = Examiner(scratch)
    for lost in (unsafe, frozenset[int]()):
        assert not examiner.examine(life, Cut(moment, lost))


def test_l2_names_no_body_of_a_killed_process_that_is_not_on_the_disk(tmp_path: Path) -> None:
    """The next open drains the journal; the pack that it names was never synced."""
    life = Life(new(tmp_path / "life"), SEED)
    life.open()
    life.commit()
    assert any(name.startswith("pack-") for name in life.disk.names)
    life.kill()
    life.open()
    cut_after(life, tmp_path)


@pytest.mark.parametrize("first", range(1, 10))
def test_names_that_a_killed_process_made_are_synced_before_they_are_relied_on(
    tmp_path: Path, first: int
) -> None:
    """It ended while it made a store, also between the rename of `format` and its sync."""
    life = Life(new(tmp_path / "life"), SEED, failing=Failing(first, 1))
    with life.failures():
        life.open()
    life.kill()
    life.disk.failing = None
    life.open()
    life.commit()
    life.drain()
    life.sync()
    cut_after(life, tmp_path)


def test_a_database_is_whole_before_it_has_its_name(tmp_path: Path) -> None:
    """LMDB begins a file with two pages that it does not sync; one alone is no file of its."""
    life = Life(new(tmp_path / "life"), SEED)
    life.open()
    life.disk.seal()
    examiner = Examiner(tmp_path)
    moment = next(each.at for each in life.disk.changes if each.verb == "rename")
    first_pages = [each.at for each in life.disk.changes if each.at < moment][:3]
    for lost in (first_pages[1:], first_pages[2:], [first_pages[1]]):
        assert not examiner.examine(life, Cut(moment, frozenset(lost)))


@pytest.mark.parametrize("outcome", ["nothing", "all", "restored"])
def test_a_batch_stays_in_the_journal_until_l2_has_it_on_the_disk(
    tmp_path: Path, outcome: str
) -> None:
    """A commit of L2 whose last sync failed is in the page cache, where the next process sees it.

    It looks as if L2 had the batch, and so as if the journal were not needed.
    """
    life = Life(new(tmp_path / "life"), SEED)
    life.open()
    life.commit()
    life.sync()
    life.disk.failing = Failing(life.disk.sync_count + 1, 10**9, outcome)
    with life.failures():
        life.drain()
    assert life.has_failed
    with life.failures():
        life.close()
    life.kill()
    life.disk.failing = None
    life.open()
    cut_after(life, tmp_path)
    life.commit()
    life.sync()
    cut_after(life, tmp_path)


def test_a_store_that_was_closed_after_a_failure_was_not_closed_cleanly(tmp_path: Path) -> None:
    path = new(tmp_path / "life")
    life = Life(path, SEED)
    life.open()
    life.commit()
    life.disk.failing = Failing(life.disk.sync_count + 1, 10**9)
    with life.failures():
        life.sync()
    with life.failures():
        life.close()
    assert (path / "lock").stat().st_size


CLEAN = (b"",)
"""Condition of a lock that says that the store was closed: it is not synced, so any cut may."""


def check_cuts_since(
    life: Life, begun: int, scratch: Path, blocks: Sequence[int], states: int = 10**9
) -> None:
    """Let the power fail at each moment since one, in each way, and see that nothing is damage."""
    life.disk.seal()
    examiner = Examiner(scratch, CLEAN)
    for cut in cuts(life.disk, SEED):
        if cut.moment > begun and (cut.torn is None or cut.torn.block in blocks):
            fault = examiner.examine(life, cut)
            assert not fault, f"{fault} ({cut})"
            if examiner.states >= states:
                return
    assert examiner.states > 3


@pytest.mark.parametrize("block", [SECTOR, PAGE])
@pytest.mark.parametrize("is_compacted", [False, True], ids=["free pages", "compacted"])
def test_l2_is_not_written_while_the_disk_says_that_the_store_is_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int, *, is_compacted: bool
) -> None:
    """LMDB writes to free pages, and behind the end, before its meta page tells of another state.

    What the lock says leads to a transaction within the open; after the cut, it says the opposite.
    """
    monkeypatch.setattr(compact, "_pays", lambda database: is_compacted)
    life = Life(new(tmp_path / "life"), SEED)
    life.open()
    for _ in range(3):
        life.commit()
        life.drain()
    life.close()
    life.leave_lock()
    begun = life.disk.now
    life.open()
    check_cuts_since(life, begun, tmp_path, [block])
    written = [change for change in life.disk.changes if change.at > begun]
    assert written[0].file == life.disk.names["witness"]
    assert any(change.file == life.disk.names["store.lmdb"] for change in written)


@pytest.mark.parametrize("failing", range(1, 6))
def test_a_store_is_not_closed_if_a_sync_of_its_close_failed(tmp_path: Path, failing: int) -> None:
    """A compaction syncs last, when all else is done."""
    life = Life(new(tmp_path / "life"), SEED)
    life.open()
    for _ in range(3):
        life.commit()
        life.drain()
    life.commit()
    life.disk.failing = Failing(life.disk.sync_count + failing, 1)
    with life.failures():
        life.close()
    assert life.has_failed
    witness = read_witness(record(life.path, life.disk))
    assert witness is not None and not witness.is_closed
    life.kill()
    life.disk.failing = None
    begun = life.disk.now
    life.open()
    check_cuts_since(life, begun, tmp_path, [SECTOR, PAGE], STATES)


def test_what_is_summed_up_at_a_close_is_on_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A transaction for which there was no room has written pages that no commit has synced."""
    monkeypatch.setattr(compact, "_pays", lambda database: False)
    life = Life(new(tmp_path / "life"), SEED)
    life.open()
    life.commit()
    life.drain()
    life.repository.checkpoint()
    life.drain()
    with open(life.path / "store.lmdb", "ab") as file:
        file.write(b"page of nobody's".ljust(PAGE, b"."))
    begun = life.disk.now
    life.close()
    check_cuts_since(life, begun, tmp_path, [SECTOR, PAGE])
