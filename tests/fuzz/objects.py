"""Harnesses of objects and of the state that a repository keeps."""

from __future__ import annotations

import json
import stat
import struct
from collections.abc import Callable

from heliosfs.errors import CorruptObject, MissingObject
from heliosfs.git.notes import Notes
from heliosfs.git.origins import Origin, decode_origin
from heliosfs.git.remembered import OriginNotes
from heliosfs.objects.blob import PART_BYTES, decode_parts, encode_parts
from heliosfs.objects.commit import Commit, Signature, commit_links, decode_commit, encode_commit
from heliosfs.objects.ids import BlobId, CommitId, Kind, Oid, TreeId
from heliosfs.objects.leafdiff import changed_names
from heliosfs.objects.outline import links_in, outline
from heliosfs.objects.references import references
from heliosfs.objects.tree import (
    LEAF,
    Entry,
    LeafRef,
    decode_entry,
    decode_index,
    encode_entry,
    encode_index,
    join_leaf,
    split_leaf,
)
from heliosfs.repo import keys
from heliosfs.repo.experiments import decode_experiment
from heliosfs.repo.first_parents import decode_milestone
from heliosfs.repo.history import History
from heliosfs.repo.operation import FORMAT_1, Operation, decode_operation, encode_operation
from heliosfs.repo.working_state import State, decode_state
from heliosfs.store.memory import MemoryStore
from tests.fuzz.harness import Harness

NO_OBJECT = (ValueError, IndexError, struct.error)
"""Errors that decoders of objects raise; callers turn them into CorruptObject."""
OID = Oid(bytes(range(32)))


def _entry(name: bytes, **fields: object) -> Entry:
    plain = Entry(name, stat.S_IFREG | 0o644, 1000, 1000, 1_700_000_000 * 10**9, 12, OID)
    return plain._replace(**fields)  # type: ignore[arg-type]


ENTRIES = [
    _entry(b"a"),
    _entry(b"b", group=7),
    _entry(b"c", mode=stat.S_IFLNK | 0o777, target=b"../a"),
    _entry(b"d", mode=stat.S_IFCHR | 0o600, rdev=259),
    _entry(b"e", xattrs={b"user.one": b"1", b"user.two": bytes(40)}),
    _entry(b"f", mode=stat.S_IFDIR | 0o755, links_below=True),
]
ROOT = _entry(b"", mode=stat.S_IFDIR | 0o755, size=2)
WHO = Signature(b"An Author", b"author@example.org", 1_700_000_000, -90)


def _parts(data: bytes) -> None:
    found = decode_parts(data)
    assert len(found.ids) * 32 <= len(data)
    again = decode_parts(encode_parts(found.size, found.ids))
    assert again == found


def _part_seeds() -> list[bytes]:
    ids = {number: BlobId(OID) for number in range(4)}
    return [
        encode_parts(4 * PART_BYTES, ids),
        encode_parts(40 * PART_BYTES + 1, {**ids, 9: BlobId(OID), 40: BlobId(OID)}),
        encode_parts(0, {}),
    ]


def _tree(data: bytes) -> None:
    refusals = [_refusal(split_leaf, data), _refusal(decode_index, data)]
    if refusals[0] is None:
        raws = split_leaf(data)
        assert LEAF + b"".join(raws) == data
        for raw in raws:
            entry, end = decode_entry(raw)
            assert end >= len(raw), "an entry has bytes that nobody reads"
            assert entry.name in raw
    _refusal(lambda each: references(Kind.TREE, each), data)
    found = outline(data)
    links_in(data, found)


def _refusal(decode: Callable[[bytes], object], data: bytes) -> Exception | None:
    try:
        decode(data)
    except NO_OBJECT as error:
        return error
    return None


def _tree_seeds() -> list[bytes]:
    raws = [encode_entry(entry) for entry in ENTRIES]
    index = encode_index([LeafRef(name, TreeId(OID)) for name in (b"a", b"m", b"z" * 255)])
    return [join_leaf(raws), join_leaf([]), index, join_leaf(raws[:1])]


def _leaves(data: bytes) -> None:
    (length,) = struct.unpack_from("<H", data)
    changed_names(data[2 : 2 + length], data[2 + length :])


def _leaves_seeds() -> list[bytes]:
    old = [encode_entry(entry) for entry in ENTRIES]
    new = [old[0], encode_entry(ENTRIES[1]._replace(size=3)), *old[3:]]
    pairs = [(old, new), (new, old), (old, old[1:]), ([], new), (old[:1], new[:1])]
    found = []
    for one, other in pairs:
        leaf = join_leaf(one)
        found.append(struct.pack("<H", len(leaf)) + leaf + join_leaf(other))
    return found


def _commit(data: bytes) -> None:
    if data:
        _refusal(commit_links, data)
    _refusal(lambda each: references(Kind.COMMIT, each), data)
    commit = decode_commit(data)
    assert isinstance(commit.subject, str)
    assert isinstance(commit.body, bytes)


def _commit_seeds() -> list[bytes]:
    parents = (CommitId(OID), CommitId(OID))
    return [
        encode_commit(Commit(ROOT, (), WHO, WHO, b"subject\n\nbody\n")),
        encode_commit(Commit(ROOT, parents, WHO, WHO, b"", {"score": "0.9"}, b"tree 0")),
    ]


def _state(data: bytes) -> None:
    decode_state(data)


def _state_seeds() -> list[bytes]:
    head = CommitId(OID)
    return [State(1, head, ROOT, None).encode(), State(2, None, ROOT, head).encode()]


def _operation(data: bytes) -> None:
    decode_operation(5, data, 1, History(_WITH_COMMIT))


def _operation_seeds() -> list[bytes]:
    history = History(_WITH_COMMIT)
    head = CommitId(next(iter(_WITH_COMMIT.objects)))
    old, new = State(1, None, ROOT), State(1, head, ROOT)
    other = State(1, head, ROOT._replace(size=9), head)
    operations = [
        Operation(5, 1, "commit", "subject", old, new, 5, 0, 4, 0, 0),
        Operation(5, 1, "reset", "text", new, old, 5, 0, 4, 0, 0),
        Operation(5, 1, "undo", "subject", other, new, 3, 300, 2, 1, 4),
    ]
    encoded = [encode_operation(each, 1, history) for each in operations]
    numbers = struct.pack("<qQQQQQHH", 1, 5, 0, 4, 0, 0, 5, 4)
    return [*encoded, bytes(32) + bytes((FORMAT_1,)) + numbers + b"resettext" + new.encode() * 2]


def _with_commit() -> MemoryStore:
    store = MemoryStore()
    History(store).write(Commit(ROOT, (), WHO, WHO, b"subject"))
    return store


_WITH_COMMIT = _with_commit()


def _records(data: bytes) -> None:
    """The other records of state: each decoder has the same bytes."""
    for decode in (
        lambda: decode_experiment("name", data),
        lambda: decode_milestone(data),
        lambda: decode_origin(1, data),
        lambda: list(_remembering(data).refs()),
    ):
        try:
            decode()
        except (CorruptObject, ValueError):
            pass


def _remembering(data: bytes) -> OriginNotes:
    store = MemoryStore()
    store.put(keys.GIT_REF + b"00000001/refs/heads/main", data)
    return OriginNotes(Notes(store))


def _record_seeds() -> list[bytes]:
    experiment = {
        "slot": 3, "base": OID.hex(), "started_ns": 1, "parameters": {"a": "b"}, "minimize": ["x"],
        "state": "running", "ended_ns": None, "tip": None,
    }  # fmt: skip
    return [
        json.dumps(experiment).encode(),
        Origin(1, "name", "/path", (bytes(20),)).encode(),
        bytes(8) + OID + OID,
        bytes((20, 20)) + bytes(40) + b"main",
    ]


HARNESSES = [
    Harness("parts", _parts, NO_OBJECT, _part_seeds),
    Harness("tree", _tree, NO_OBJECT, _tree_seeds),
    Harness("leaves", _leaves, NO_OBJECT, _leaves_seeds),
    Harness("commit", _commit, NO_OBJECT, _commit_seeds),
    Harness("working-state", _state, (CorruptObject,), _state_seeds),
    Harness("operation", _operation, (CorruptObject, MissingObject), _operation_seeds),
    Harness("records", _records, (), _record_seeds, (b'"slot"', b"null", b"[]", b"{}", b"1e999")),
]
