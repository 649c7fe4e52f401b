"""The local store against two dicts, through drains, syncs, reopenings and deaths."""

from __future__ import annotations

import os
import random
import shutil
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from heliosfs.objects.ids import Kind, Oid, object_id
from heliosfs.steps import Work
from heliosfs.store.base import NewObject
from heliosfs.store.encoding.packs import PACKED_FROM_BYTES
from heliosfs.store.local import LocalStore
from tests.in_memory import tmpfs

SERIES = [b"~op/" + bytes(7) + b"\1" + number.to_bytes(8, "big") for number in (1, 2, 3, 4, 300)]
KEYS = st.sampled_from([b"a", b"a/1", b"a/2", b"b", b"\xff\xff", *SERIES])
CONTENT = st.one_of(
    st.binary(max_size=80),
    st.builds(lambda data, times: data * times, st.binary(max_size=40), st.integers(1, 400)),
)


class StoreMachine(RuleBasedStateMachine):
    """Published data is in `kept`; data gathered since is in `batch`, too."""

    objects = Bundle("objects")

    def __init__(self) -> None:
        super().__init__()
        self.path = Path(tempfile.mkdtemp(prefix="store-model-", dir=tmpfs()))
        self.kept_objects: dict[Oid, tuple[Kind, bytes]] = {}
        self.kept_state: dict[bytes, bytes] = {}
        self.batch_objects: dict[Oid, tuple[Kind, bytes]] = {}
        self.batch_state: dict[bytes, bytes] = {}
        self.work: list[Work] = []
        self.store = self.open()

    def open(self) -> LocalStore:
        fd = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            return LocalStore.open(fd, cache_bytes=20_000, create=True)
        finally:
            os.close(fd)

    def begin(self) -> None:
        """A fresh store: what was not published is gone."""
        self.store = self.open()
        self.work = []
        self.batch_objects = dict(self.kept_objects)
        self.batch_state = dict(self.kept_state)

    def teardown(self) -> None:
        self.store.close()
        shutil.rmtree(self.path)

    @rule(target=objects, data=CONTENT, kind=st.sampled_from(Kind))
    def add(self, data: bytes, kind: Kind) -> Oid:
        return self._add(data, kind, None)

    @rule(
        target=objects,
        base=objects,
        head=st.integers(0, 5_000),
        tail=st.integers(0, 5_000),
        edit=st.binary(max_size=30),
        kind=st.sampled_from(Kind),
    )
    def add_version(self, base: Oid, head: int, tail: int, edit: bytes, kind: Kind) -> Oid:
        old = self.batch_objects.get(base, (kind, b""))[1]
        return self._add(old[:head] + edit + old[len(old) - tail :], kind, base)

    @rule(
        target=objects,
        seed=st.integers(0, 5),
        kind=st.sampled_from(Kind),
        is_random=st.booleans(),
        elsewhere=st.booleans(),
        is_urgent=st.booleans(),
    )
    def add_large(
        self, seed: int, kind: Kind, *, is_random: bool, elsewhere: bool, is_urgent: bool
    ) -> Oid:
        size = PACKED_FROM_BYTES + 1000 * seed
        data = random.Random(seed).randbytes(size) if is_random else b"line %d\n" % seed * 9_000
        if not elsewhere:
            return self._add(data, kind, None)
        objects = [NewObject(kind, data), NewObject(kind, data[:100])]
        work = self.store.plan_add(objects, is_urgent=is_urgent)
        work.execute()
        work.apply()
        self.batch_objects[work.oids[0]] = (kind, data)
        self.batch_objects[work.oids[1]] = (kind, data[:100])
        return work.oids[0]

    @rule()
    def compress(self) -> None:
        work = self.store.plan_compress()
        if work is not None:
            work.execute()
            work.apply()

    @rule(target=objects, base=objects, shift=st.integers(-70_000, 5_000), place=st.integers(0, 99))
    def add_edited(self, base: Oid, shift: int, place: int) -> Oid:
        kind, old = self.batch_objects.get(base, (Kind.BLOB, b""))
        size = max(len(old) + shift, place + 10)
        data = bytearray(old[:size]) + bytes(max(0, size - len(old)))
        edits = [(place, b"%d" % place), (place + 5, b"edit")]
        for at, edit in edits:
            data[at : at + len(edit)] = edit
        if base not in self.batch_objects:
            return self._add(bytes(data), kind, base)
        oid = object_id(kind, data)
        self.store.add(oid, kind, bytes(data), base, edits=edits)
        self.batch_objects[oid] = (kind, bytes(data))
        return oid

    def _add(self, data: bytes, kind: Kind, base: Oid | None) -> Oid:
        oid = object_id(kind, data)
        self.store.add(oid, kind, data, base)
        self.batch_objects[oid] = (kind, data)
        return oid

    @rule(key=KEYS, value=st.one_of(st.none(), st.binary(max_size=30)))
    def put(self, key: bytes, value: bytes | None) -> None:
        self.store.put(key, value)
        if value is None:
            self.batch_state.pop(key, None)
        else:
            self.batch_state[key] = value

    @rule(oid=objects, is_listed=st.booleans())
    def list_object(self, oid: Oid, *, is_listed: bool) -> None:
        key = b"@list/" + oid
        self.store.put(key, b"" if is_listed else None)
        if is_listed:
            self.batch_state[key] = b""
        else:
            self.batch_state.pop(key, None)

    @rule(oid=objects, key=st.sampled_from(SERIES), rest=st.binary(max_size=5))
    def refer(self, oid: Oid, key: bytes, rest: bytes) -> None:
        self.store.put(key, oid + rest)
        self.batch_state[key] = oid + rest

    @rule()
    def publish(self) -> None:
        self.store.publish()
        self.kept_objects = dict(self.batch_objects)
        self.kept_state = dict(self.batch_state)

    @rule(drain=st.booleans())
    def plan(self, *, drain: bool) -> None:
        work = self.store.plan_drain() if drain else self.store.plan_sync()
        if work is not None:
            self.work.append(work)

    @rule(data=st.data())
    def execute_and_apply(self, data: st.DataObject) -> None:
        if self.work:
            work = self.work.pop(data.draw(st.integers(0, len(self.work) - 1)))
            work.execute()
            work.apply()

    @rule()
    def reopen(self) -> None:
        self.store.close()
        self.begin()

    @rule()
    def die(self) -> None:
        """The next process finds a copy of the files: the dead one's are still open here."""
        left = Path(tempfile.mkdtemp(prefix="store-model-", dir=tmpfs()))
        shutil.copytree(self.path, left, dirs_exist_ok=True)
        self.store.close()
        shutil.rmtree(self.path)
        self.path = left
        self.begin()

    @rule(oid=objects)
    def read(self, oid: Oid) -> None:
        known = self.batch_objects.get(oid)
        assert self.store.contains(oid) == (known is not None)
        if known is not None:
            assert self.store.read(oid, known[0]) == known[1]

    @invariant()
    def state_is_the_model(self) -> None:
        assert dict(self.store.scan(b"")) == self.batch_state
        expected = sorted(item for item in self.batch_state.items() if item[0].startswith(b"a/"))
        assert list(self.store.scan(b"a/")) == expected
        for key in (b"a", SERIES[0], SERIES[4]):
            assert self.store.get(key) == self.batch_state.get(key)


StoreMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestStoreMachine = StoreMachine.TestCase
