"""The journal: records, torn tails, damage, a full disk, segments used again."""

from __future__ import annotations

import errno
import logging
import os
import random
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from heliosfs.errors import StoreError, StoreFull
from heliosfs.objects.ids import Kind, Oid, object_id
from heliosfs.store.directory import Directory
from heliosfs.store.encoding.packs import Packs
from heliosfs.store.journal import rangecheck
from heliosfs.store.journal import replay as replay_module
from heliosfs.store.journal.journal import KEEP_BYTES, RECORD_HEAD, RECORD_MAGIC, Journal
from heliosfs.store.journal.replay import replay, segment_names
from heliosfs.store.pending import Batches, Changes, Pending

SALT = b"8 random"

Batch = tuple[list[Pending], Changes]


class FailingDirectory(Directory):
    """Fails with `error` after `room` more bytes were written."""

    room = 1 << 40
    error = errno.ENOSPC
    broken = False

    def open(self, name: str, flags: int) -> int:
        if flags & os.O_CREAT and not self.room:
            raise OSError(self.error, os.strerror(self.error))
        return super().open(name, flags)

    def write(self, fd: int, buffers: Sequence[bytes | memoryview], offset: int) -> int:
        data = b"".join(buffers)
        if len(data) > self.room:
            super().write(fd, (data[: self.room],), offset)
            raise OSError(self.error, os.strerror(self.error))
        self.room -= len(data)
        return super().write(fd, buffers, offset)

    def truncate(self, fd: int, size: int) -> None:
        if self.broken:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        super().truncate(fd, size)


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[FailingDirectory]:
    fd = os.open(tmp_path, os.O_RDONLY)
    made = FailingDirectory(fd)
    os.close(fd)
    yield made
    made.close()


def pending(data: bytes, base: Oid | None = None, kind: Kind = Kind.BLOB) -> Pending:
    return Pending(object_id(kind, data), kind, data, base)


def batch(number: int) -> Batch:
    one = pending(b"blob %d " % number * 40)
    tree = pending(b"tree %d" % number, one.oid, Kind.TREE)
    return [one, tree], {b"head": b"%d" % number, b"gone/%d" % number: None, b"empty": b""}


def joined(batches: Sequence[Batch]) -> Batches:
    objects = [item for some, _ in batches for item in some]
    state: dict[bytes, bytes | None] = {}
    for _, changes in batches:
        state.update(changes)
    return Batches(objects, state, len(batches))


def fill(directory: Directory, count: int) -> tuple[list[Batch], list[int]]:
    """Write batches to a fresh journal; they, and where each ends."""
    journal = Journal(directory, SALT, 0)
    batches, ends = [], []
    for number in range(1, count + 1):
        batches.append(batch(number))
        journal.append(*batches[-1])
        ends.append(journal.disk_bytes())
    journal.close(drained=False)
    return batches, ends


def test_batches_are_read_back(directory: Directory) -> None:
    batches, _ = fill(directory, 5)
    assert replay(directory, Packs(directory), SALT, 0) == joined(batches)
    after_three = replay(directory, Packs(directory), SALT, 3)
    assert after_three.objects == batches[3][0] + batches[4][0]
    assert after_three.last == 5
    assert replay(directory, Packs(directory), SALT, 5) == Batches([], {}, 5)


def test_large_batches_and_none(directory: Directory) -> None:
    journal = Journal(directory, SALT, 0)
    objects = [pending(os.urandom(100)) for _ in range(3_000)]
    journal.append(objects, {})
    journal.append([pending(os.urandom(1 << 20))], {b"k": bytes(100_000)})
    journal.close(drained=False)
    found = replay(directory, Packs(directory), SALT, 0)
    assert found.objects[:3_000] == objects
    assert len(found.objects) == 3_001
    assert found.state == {b"k": bytes(100_000)}


def test_a_record_cut_at_any_byte_ends_the_journal(tmp_path: Path, directory: Directory) -> None:
    batches, ends = fill(directory, 3)
    path = tmp_path / "journal-1"
    whole = path.read_bytes()
    assert ends[-1] == len(whole)
    for length in range(ends[1], ends[2]):
        path.write_bytes(whole[:length])
        assert replay(directory, Packs(directory), SALT, 0) == joined(batches[:2]), length
    for length in range(ends[0]):
        path.write_bytes(whole[:length])
        assert replay(directory, Packs(directory), SALT, 0).last == 0


def test_a_tail_that_was_never_written_ends_the_journal(
    tmp_path: Path, directory: Directory
) -> None:
    batches, ends = fill(directory, 3)
    path = tmp_path / "journal-1"
    whole = path.read_bytes()
    for from_byte in range(ends[1], ends[2], 7):
        path.write_bytes(whole[:from_byte] + bytes(len(whole) - from_byte + 5_000))
        assert replay(directory, Packs(directory), SALT, 0) == joined(batches[:2])


def test_every_flipped_bit_is_found(tmp_path: Path, directory: Directory) -> None:
    batches, ends = fill(directory, 2)
    path = tmp_path / "journal-1"
    whole = path.read_bytes()
    for at in range(ends[0], ends[1]):
        damaged = bytearray(whole)
        damaged[at] ^= 1 << at % 8
        path.write_bytes(damaged)
        assert replay(directory, Packs(directory), SALT, 0) == joined(batches[:1]), at


def test_damage_to_what_was_on_the_disk_is_an_error(tmp_path: Path, directory: Directory) -> None:
    journal = Journal(directory, SALT, 0)
    journal.append(*batch(1))
    first_end = journal.disk_bytes()
    journal.append(*batch(2))
    second_end = journal.disk_bytes()
    journal.durable = 2
    journal.append(*batch(3))
    journal.close(drained=False)
    path = tmp_path / "journal-1"
    whole = path.read_bytes()
    for at in range(first_end, second_end, 3):
        damaged = bytearray(whole)
        damaged[at] ^= 1
        path.write_bytes(damaged)
        with pytest.raises(StoreError, match=f"journal-1 is damaged at byte {first_end}"):
            replay(directory, Packs(directory), SALT, 0)
        assert replay(directory, Packs(directory), SALT, 2).last == 3
    damaged = bytearray(whole)
    damaged[50] ^= 1
    path.write_bytes(damaged)
    with pytest.raises(StoreError, match="damaged at byte 0: batch 1 "):
        replay(directory, Packs(directory), SALT, 0)


def test_damage_to_what_was_not_on_the_disk_loses_what_came_after(
    tmp_path: Path, directory: Directory, caplog: pytest.LogCaptureFixture
) -> None:
    batches, ends = fill(directory, 4)
    path = tmp_path / "journal-1"
    damaged = bytearray(path.read_bytes())
    damaged[ends[0] : ends[0] + 100] = bytes(100)
    path.write_bytes(damaged)
    with caplog.at_level(logging.WARNING):
        assert replay(directory, Packs(directory), SALT, 0) == joined(batches[:1])
    assert f"journal-1 is damaged at byte {ends[0]}" in caplog.text
    assert "the 2 after it" in caplog.text


def test_a_lost_segment_is_an_error_when_it_was_on_the_disk(
    tmp_path: Path, directory: Directory
) -> None:
    journal = Journal(directory, SALT, 0)
    journal.append(*batch(1))
    journal.rotate()
    journal.durable = 1
    journal.append(*batch(2))
    journal.close(drained=False)
    (tmp_path / "journal-1").unlink()
    with pytest.raises(StoreError, match="batch 1 cannot be read"):
        replay(directory, Packs(directory), SALT, 0)


def test_segments_are_read_in_the_order_of_their_batches(directory: Directory) -> None:
    journal = Journal(directory, SALT, 0)
    batches = []
    for number in range(1, 31):
        batches.append(batch(number))
        journal.append(*batches[-1])
        if number % 3 == 0:
            journal.rotate()
        if number % 6 == 0:
            journal.free(journal.segments_up_to(number - 3))
    names = segment_names(directory)
    assert len(names) <= 5
    journal.close(drained=False)
    found = replay(directory, Packs(directory), SALT, 27)
    assert found.objects == batches[27][0] + batches[28][0] + batches[29][0]
    assert replay(directory, Packs(directory), SALT, 24).last == 30


def test_what_an_older_use_left_is_never_a_record(directory: Directory) -> None:
    journal = Journal(directory, SALT, 0)
    for number in range(1, 21):
        journal.append(*batch(number))
    journal.rotate()
    journal.free(journal.segments_up_to(20))
    journal.append(*batch(21))
    journal.rotate()
    for number in (22, 23):
        journal.append(*batch(number))
    journal.close(drained=False)
    assert replay(directory, Packs(directory), SALT, 20) == Batches(
        [item for number in (21, 22, 23) for item in batch(number)[0]],
        joined([batch(21), batch(22), batch(23)]).state,
        23,
    )


def test_records_of_another_store_are_none(directory: Directory) -> None:
    fill(directory, 3)
    assert replay(directory, Packs(directory), b"another!", 0) == Batches([], {}, 0)


def look_alikes(size: int, count: int) -> bytes:
    """The headers of records that seem to reach to the end of a segment of so many bytes."""
    parts = []
    for at in range(count):
        left = size - (at + 1) * RECORD_HEAD.size
        parts.append(RECORD_HEAD.pack(RECORD_MAGIC, at, left, 0, 9, 0))
    return b"".join(parts)


@pytest.mark.parametrize("is_drained", [True, False])
def test_content_that_looks_like_records_is_read_once(
    tmp_path: Path,
    directory: Directory,
    monkeypatch: pytest.MonkeyPatch,
    is_drained: bool,
) -> None:
    """The bytes that are checked are a few times those of the segment, not their square."""
    count, size = 20_000, 1 << 20
    content = look_alikes(size, count).ljust(size, b"x")
    journal = Journal(directory, SALT, 0)
    journal.append([pending(content)], {})
    journal.append(*batch(2))
    journal.close(drained=False)
    path = tmp_path / "journal-1"
    data = bytearray(path.read_bytes())
    # Damage in the header: so the content is searched.
    data[10] ^= 1
    path.write_bytes(data)
    checked = 0

    def counting(data: bytes, value: int = 0) -> int:
        nonlocal checked
        checked += len(data)
        return zlib.crc32(data, value)

    monkeypatch.setattr(rangecheck, "crc32", counting)
    monkeypatch.setattr(replay_module, "crc32", counting)
    if is_drained:
        assert replay(directory, Packs(directory), SALT, 2).last == 2
    else:
        # The record behind the content is found all the same, and tells what is lost.
        assert replay(directory, Packs(directory), SALT, 0).last == 0
    assert checked < 3 * count * 1024
    assert checked > size


def test_the_checksum_of_a_range(directory: Directory) -> None:
    dice = random.Random(1)
    data = dice.randbytes(100_000)
    checks = rangecheck.RangeChecks(data)
    for _ in range(2_000):
        begin = dice.randrange(len(data) + 1)
        end = dice.randrange(begin, len(data) + 1)
        seed = dice.randrange(1 << 32)
        assert checks.of(begin, end, seed) == zlib.crc32(data[begin:end], seed)


def test_other_files_are_not_segments(tmp_path: Path, directory: Directory) -> None:
    batches, _ = fill(directory, 1)
    (tmp_path / "journal-new").write_bytes(b"mine")
    (tmp_path / "journal-7").write_bytes(b"")
    assert sorted(segment_names(directory)) == ["journal-1", "journal-7"]
    assert replay(directory, Packs(directory), SALT, 0) == joined(batches)


@pytest.mark.parametrize("room", [0, 1, 35, 36, 200, 400])
def test_a_full_disk_leaves_the_journal_as_it_was(directory: FailingDirectory, room: int) -> None:
    journal = Journal(directory, SALT, 0)
    journal.append(*batch(1))
    size = journal.disk_bytes()
    directory.room = room
    with pytest.raises(StoreFull, match="journal-1"):
        journal.append(*batch(2))
    assert os.stat("journal-1", dir_fd=directory.fd).st_size == size
    directory.room = 1 << 40
    journal.append(*batch(2))
    journal.close(drained=False)
    assert replay(directory, Packs(directory), SALT, 0) == joined([batch(1), batch(2)])


def test_a_failed_write_is_an_error(directory: FailingDirectory) -> None:
    journal = Journal(directory, SALT, 0)
    directory.room, directory.error = 10, errno.EIO
    with pytest.raises(StoreError, match="input/output error") as caught:
        journal.append(*batch(1))
    assert caught.value.errno == errno.EIO
    directory.room = 1 << 40
    journal.append(*batch(1))
    journal.close(drained=False)
    assert replay(directory, Packs(directory), SALT, 0) == joined([batch(1)])


def test_a_journal_that_cannot_be_cut_back_takes_nothing_more(
    directory: FailingDirectory,
) -> None:
    journal = Journal(directory, SALT, 0)
    directory.room, directory.broken = 10, True
    with pytest.raises(StoreFull):
        journal.append(*batch(1))
    directory.room, directory.broken = 1 << 40, False
    with pytest.raises(StoreError, match="cannot cut journal-1 back"):
        journal.append(*batch(1))
    journal.close(drained=False)


def test_no_room_for_a_new_segment_keeps_the_old(directory: FailingDirectory) -> None:
    journal = Journal(directory, SALT, 0)
    journal.append(*batch(1))
    directory.room = 0
    journal.rotate()
    assert journal.segments_up_to(1) == []
    directory.room = 1 << 40
    journal.append(*batch(2))
    journal.rotate()
    assert [segment.name for segment in journal.segments_up_to(2)] == ["journal-1"]
    journal.close(drained=False)
    assert replay(directory, Packs(directory), SALT, 0) == joined([batch(1), batch(2)])


def test_a_drained_journal_leaves_no_file(directory: Directory) -> None:
    journal = Journal(directory, SALT, 0)
    for number in range(1, 9):
        journal.append(*batch(number))
        journal.rotate()
    journal.free(journal.segments_up_to(8))
    assert len(segment_names(directory)) == 3
    journal.close(drained=True)
    assert segment_names(directory) == []


def test_a_spare_segment_gives_disk_back(directory: Directory) -> None:
    journal = Journal(directory, SALT, 0)
    data = os.urandom(1 << 20)
    for number in range(20):
        journal.append([pending(data + b"%d" % number)], {})
    journal.rotate()
    (segment,) = journal.segments_up_to(20)
    segment.shrink(directory)
    journal.free([segment])
    assert os.stat(segment.name, dir_fd=directory.fd).st_size == KEEP_BYTES
    journal.close(drained=True)


def test_a_prepared_journal_grows_into_its_pages(directory: Directory) -> None:
    journal = Journal(directory, SALT, 0)
    journal.prepare()
    size = journal.disk_bytes()
    batches = [batch(number) for number in range(1, 9)]
    for number, each in enumerate(batches, 1):
        journal.append(*each)
        if number == 4:
            journal.rotate()
    assert sorted(segment_names(directory)) == ["journal-1", "journal-2"]
    assert journal.disk_bytes() == size
    assert replay(directory, Packs(directory), SALT, 0) == joined(batches)
    journal.close(drained=False)


@pytest.mark.parametrize("room", [0, 10, 3 << 20])
def test_a_journal_that_cannot_be_prepared_works(directory: FailingDirectory, room: int) -> None:
    journal = Journal(directory, SALT, 0)
    directory.room = room
    journal.prepare()
    directory.room = 1 << 40
    journal.append(*batch(1))
    journal.rotate()
    journal.append(*batch(2))
    journal.close(drained=False)
    assert replay(directory, Packs(directory), SALT, 0) == joined([batch(1), batch(2)])
    written = sum(directory.status(name).st_size for name in segment_names(directory))
    assert written < (3 << 20)


def test_a_full_disk_takes_what_fits_the_prepared_pages(directory: FailingDirectory) -> None:
    """Writing over pages takes no room; a record that needs more is refused as a whole."""
    journal = Journal(directory, SALT, 0)
    journal.prepare()
    journal.append(*batch(1))
    directory.room = 100
    with pytest.raises(StoreFull):
        journal.append([pending(os.urandom(3 << 20))], {})
    directory.room = 1 << 40
    journal.append(*batch(2))
    journal.close(drained=False)
    assert replay(directory, Packs(directory), SALT, 0) == joined([batch(1), batch(2)])
