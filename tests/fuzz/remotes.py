"""Harnesses of what a remote says: records of refs and of experiments, and objects with trees."""

from __future__ import annotations

from blake3 import blake3

from heliosfs.clock import FixedClock
from heliosfs.errors import CorruptObject
from heliosfs.objects.commit import Commit
from heliosfs.objects.ids import CommitId, Kind, Oid
from heliosfs.remote.frames import objects_of
from heliosfs.remote.layout import RefRecord, decode_ref
from heliosfs.remote.packfile import RemoteObject
from heliosfs.remote.packtable import PackTableWriter
from heliosfs.remote.treesfile import DICTIONARY_HEAD, TreesWriter, read_trees
from heliosfs.repo.repository import Repository
from heliosfs.repo.scores import check_score
from heliosfs.repo.shared_experiments import carrier, decode_shared, merged, shared_of
from heliosfs.repo.tag_notes import Annotation
from heliosfs.store.memory import MemoryStore
from tests.fuzz.harness import Harness
from tests.fuzz.shared import NEW, OLD, blob_id
from tests.tree_builder import IDENTITY, Stage

_ID = CommitId(Oid(bytes(range(32))))
_OLDER = RemoteObject(Kind.TREE, _ID, bytes(range(256)) * 8)
"""The dictionary of every frame."""


def _ref(data: bytes) -> None:
    record = decode_ref("main", data)
    assert record.by.isprintable()
    again = decode_ref("main", record.encode())
    assert again[:5] == record[:5]


def _ref_seeds() -> list[bytes]:
    note = Annotation(IDENTITY.sign(FixedClock()), b"a message")
    plain = RefRecord(_ID, _ID, 3, "Ada <ada@example.org>", 1_700_000_000)
    return [plain.encode(), plain._replace(note=note).encode()]


def _experiment(data: bytes) -> None:
    """The record in a commit: what a terminal shows of it is text, and it is merged with itself."""
    by = IDENTITY.sign(FixedClock())
    repository = Repository.open(MemoryStore(), FixedClock(), IDENTITY)
    commit = Commit(repository.root.state().root, (), by, by, data)
    record = decode_shared("idea", commit)
    assert all(key.isprintable() and text.isprintable() for key, text in record.parameters.items())
    for found in record.scores.values():
        for metric, measured in found.items():
            check_score(metric, measured.text)
    assert merged(record, record) == record._replace(
        commits=tuple(dict.fromkeys(record.commits)),
        minimize=tuple(dict.fromkeys(record.minimize)),
    )
    assert decode_shared("idea", carrier(repository, record)) == record


def _experiment_seeds() -> list[bytes]:
    stage = Stage()
    stage.commit("first", a=b"1")
    stage.run("experiment", "start", "idea", "--param", "model=small", "--minimize", "seconds")
    experiment = stage.repository.experiments.get("idea")
    found = [carrier(stage.repository, shared_of(stage.repository, experiment)).message]
    stage.run("commit", "-q", "--allow-empty", "-m", "try", branch="idea")
    stage.run("experiment", "record", "score=0.93", "tests=41/42", branch="idea")
    stage.run("experiment", "abandon", "idea")
    experiment = stage.repository.experiments.get("idea")
    return [*found, carrier(stage.repository, shared_of(stage.repository, experiment)).message]


def _trees(data: bytes) -> None:
    """An object with trees, with the digest that belongs to it."""
    trees = read_trees("trees/x", data + blake3(data).digest())
    for frame in trees.frames():
        for each in objects_of("trees/x", frame, [_OLDER.data] if frame.needed else []):
            assert each.kind in Kind


def _trees_seeds() -> list[bytes]:
    writer = TreesWriter()
    empty = writer.finish([], PackTableWriter(_nothing))
    for data in (OLD, NEW):
        writer.add(RemoteObject(Kind.BLOB, blob_id(data), data))
    full = writer.finish([_ID, _ID], PackTableWriter(_nothing))
    writer = TreesWriter()
    writer.add(RemoteObject(Kind.TREE, _ID, _OLDER.data[:-1]))
    after = writer.finish([_ID], PackTableWriter(_nothing), [_OLDER])
    assert after.startswith(DICTIONARY_HEAD)
    return [each[:-32] for each in (empty, full, after)]


def _nothing(digest: bytes, data: bytes) -> None:
    """Store nothing: these rows are few."""


HARNESSES = [
    Harness("remote-ref", _ref, (CorruptObject,), _ref_seeds, (b'"note"', b"\\u001b")),
    Harness(
        "remote-experiment",
        _experiment,
        (CorruptObject,),
        _experiment_seeds,
        (b'"scores"', b"\\u001b", b"null", b"-1", b"41/42"),
    ),
    Harness("remote-trees", _trees, (CorruptObject,), _trees_seeds),
]
