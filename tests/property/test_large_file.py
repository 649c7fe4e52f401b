"""A large file does what a bytearray does, however its parts come and go."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from heliosfs.objects.blob import PART_BYTES, WHOLE_MAX, decode_parts, encode_parts, stored_bytes
from heliosfs.objects.ids import BlobId, Kind, Oid, object_id
from heliosfs.store.base import Edit, NewObject
from heliosfs.store.edited import EditedObject
from heliosfs.store.memory import MemoryStore
from heliosfs.workspace.account import Account
from heliosfs.workspace.extents import Extents
from heliosfs.workspace.holes import data_bytes, next_data, next_hole
from heliosfs.workspace.large_file import LargeFile
from heliosfs.workspace.parts import DirtyPart

_MAX = WHOLE_MAX + 3 * PART_BYTES
_NEAR_EDGES = st.one_of(
    st.integers(0, _MAX),
    st.builds(
        lambda part, by: max(0, part * PART_BYTES + by),
        st.integers(0, _MAX // PART_BYTES),
        st.integers(-3, 3),
    ),
)


class CheckingStore(MemoryStore):
    """A store that looks whether edits make of the base what is added."""

    edited_count = 0

    def add(
        self,
        oid: Oid,
        kind: Kind,
        data: bytes,
        base: Oid | None = None,
        *,
        is_cold: bool = False,
        edits: Sequence[Edit] = (),
    ) -> None:
        if edits:
            assert base is not None
            edited = EditedObject(base, len(data), edits)
            assert edited.apply(self.read(base, kind), kind, oid) == data
            self.edited_count += 1
        super().add(oid, kind, data, base, is_cold=is_cold, edits=edits)


class ContentMachine(RuleBasedStateMachine):
    """The model is a bytearray; sizes stay above `WHOLE_MAX`, as `WorkingSet` sees to it."""

    def __init__(self) -> None:
        super().__init__()
        self.store = CheckingStore()
        self.account = Account()
        self.model = bytearray(b"begin" * (WHOLE_MAX // 5 + 2))
        self.content = LargeFile.of_bytes(self.model, self.account)
        self.under_way: list[DirtyPart] = []

    @rule(offset=_NEAR_EDGES, data=st.binary(min_size=1, max_size=9))
    def write_little(self, offset: int, data: bytes) -> None:
        self._write(offset, data)

    @rule(
        offset=_NEAR_EDGES,
        length=st.sampled_from([4096, PART_BYTES - 1, PART_BYTES, PART_BYTES + 1, 3 * PART_BYTES]),
        byte=st.sampled_from([b"\0", b"x"]),
    )
    def write_much(self, offset: int, length: int, byte: bytes) -> None:
        self._write(offset, byte * length)

    def _write(self, offset: int, data: bytes) -> None:
        self.content.write(self.store, offset, data)
        if len(self.model) < offset:
            self.model.extend(bytes(offset - len(self.model)))
        self.model[offset : offset + len(data)] = data

    @rule(size=_NEAR_EDGES)
    def resize(self, size: int) -> None:
        size = max(size, WHOLE_MAX + 1)
        self.content.resize(self.store, size)
        del self.model[size:]
        self.model.extend(bytes(size - len(self.model)))

    @rule(offset=_NEAR_EDGES, length=st.sampled_from([1, 4096, PART_BYTES, 2 * PART_BYTES + 5]))
    def read(self, offset: int, length: int) -> None:
        assert self.content.read(self.store, offset, length) == self.model[offset : offset + length]

    @rule(offset=_NEAR_EDGES, length=st.sampled_from([1, 4096, PART_BYTES, 3 * PART_BYTES + 5]))
    def punch(self, offset: int, length: int) -> None:
        end = min(offset + length, len(self.model))
        self.content.punch(self.store, offset, end)
        self.model[offset:end] = bytes(max(0, end - offset))

    @rule(offset=_NEAR_EDGES)
    def seek(self, offset: int) -> None:
        if offset < len(self.model):
            data = next_data(self.content, offset)
            assert not any(self.model[offset:data])
            hole = next_hole(self.content, offset)
            assert hole >= offset and not any(self.model[hole : next_data(self.content, hole)])

    @rule(data=st.data(), stored=st.booleans())
    def share(self, data: st.DataObject, stored: bool) -> None:
        """Parts of another file, some of which the store has."""
        other = LargeFile.of_bytes(b"other" * (WHOLE_MAX // 5 + 9))
        if stored:
            other.freeze(self.store, None)
            other.loaded.drop_clean()
        other.write(self.store, 5, b"written")
        other.punch(self.store, 2 * PART_BYTES, 3 * PART_BYTES)
        number = data.draw(st.integers(0, 4))
        index = data.draw(st.integers(0, len(self.model) // PART_BYTES - 1))
        self.content.share(self.store, other, number, index)
        whole = other.read(self.store, number * PART_BYTES, PART_BYTES)
        self.model[index * PART_BYTES : (index + 1) * PART_BYTES] = whole

    @rule(limit_bytes=st.sampled_from([1, 2 * PART_BYTES, _MAX]))
    @precondition(lambda self: not self.under_way)
    def begin_offload(self, limit_bytes: int) -> None:
        self.under_way = self.content.dirty_parts(self.store, limit_bytes)
        assert all(part.number != self.content.tail for part in self.under_way)

    @rule()
    def end_offload(self) -> None:
        work = self.store.plan_add([NewObject(Kind.BLOB, *part[1:]) for part in self.under_way])
        work.execute()
        work.apply()
        for part, oid in zip(self.under_way, work.oids, strict=True):
            self.content.mark_stored(part, BlobId(oid))
        self.under_way = []

    @rule()
    def store_and_load(self) -> None:
        oid = self.content.freeze(self.store, None)
        again = bytearray(self.model)
        assert oid == LargeFile.of_bytes(again).freeze(MemoryStore(), None)
        assert not self.content.loaded.dirty
        self.content.loaded.cut(0)
        self.content = LargeFile.load(self.store, oid, self.account)
        parts = [self.model[at : at + PART_BYTES] for at in range(0, len(self.model), PART_BYTES)]
        data = sum(len(part) for part in parts if any(part) or len(part) < PART_BYTES)
        assert data_bytes(self.content) == stored_bytes(self.store.read(oid, Kind.PARTS)) == data

    @rule()
    def drop_clean(self) -> None:
        self.content.loaded.drop_clean()

    @invariant()
    def counts(self) -> None:
        loaded = self.content.loaded.parts
        sizes = {
            index: part.size_bytes if isinstance(part, Extents) else len(part)
            for index, part in loaded.items()
        }
        below = [part.below or b"" for part in loaded.values() if isinstance(part, Extents)]
        assert self.account.resident_bytes == sum(sizes.values()) + sum(map(len, below))
        assert self.account.dirty_bytes == sum(sizes[index] for index in self.content.loaded.dirty)
        assert self.account.dirty_part_count == len(self.content.loaded.dirty)
        assert self.content.size == len(self.model)
        count = sum(
            any(self.model[at : at + PART_BYTES]) for at in range(0, len(self.model), PART_BYTES)
        )
        assert (count - 1) * PART_BYTES < data_bytes(self.content) <= len(self.model)

    def teardown(self) -> None:
        assert self.content.read(self.store, 0, len(self.model) + 1) == self.model


TestContent = ContentMachine.TestCase
TestContent.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)


def test_a_part_that_is_written_again_and_again_is_told_by_its_edits() -> None:
    store = CheckingStore()
    content = LargeFile.of_bytes(b"a" * (WHOLE_MAX + PART_BYTES))
    base = content.freeze(store, None)
    for number in range(1, 6):
        content.write(store, number * 4096, b"b" * 4096)
        assert content.read(store, number * 4096, 4097) == b"b" * 4096 + b"a"
        assert content.loaded.account.dirty_bytes == 4096
        reads = store.stats().hits
        base = content.freeze(store, base)
        # By the store, which checks the edits of the part and of the list.
        assert store.stats().hits == reads + 2
        assert store.edited_count == 2 * number


def test_a_write_within_a_stored_part_reads_nothing() -> None:
    store = MemoryStore()
    data = b"a" * (WHOLE_MAX + PART_BYTES)
    oid = LargeFile.of_bytes(data).freeze(store, None)
    content = LargeFile.load(store, oid)
    reads = store.stats().hits
    for number in range(8):
        content.write(store, number * PART_BYTES + 4096, b"b" * 4096)
    assert store.stats().hits == reads
    assert content.loaded.account.resident_bytes == 8 * 4096
    assert content.read(store, 4096, 8192) == b"b" * 4096 + b"a" * 4096


def test_holes_take_nothing() -> None:
    part = BlobId(object_id(Kind.BLOB, b"x"))
    size = 2**40
    encoded = encode_parts(size, {5: part, 6: part, 2**23 - 1: part})
    assert len(encoded) == 8 + 2 * 8 + 3 * 32
    assert decode_parts(encoded) == (size, {5: part, 6: part, 2**23 - 1: part})


def test_the_list_of_parts_is_told_by_what_changed_of_it() -> None:
    store = CheckingStore()
    data = bytearray(b"a" * (WHOLE_MAX + PART_BYTES))
    content = LargeFile.load(store, LargeFile.of_bytes(data).freeze(store, None))
    for size in (len(data) + 2 * PART_BYTES + 5, len(data) - 7):
        content.resize(store, size)
        del data[size:]
        data.extend(bytes(size - len(data)))
        end = len(data)
        content.write(store, end - 3 * PART_BYTES, b"c" * 3 * PART_BYTES)
        data[end - 3 * PART_BYTES :] = b"c" * 3 * PART_BYTES
        before = store.edited_count
        oid = content.freeze(store, None)
        assert store.edited_count > before
        assert oid == LargeFile.of_bytes(data).freeze(MemoryStore(), None)
