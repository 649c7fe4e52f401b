"""Experiments: a branch with a record, the commits made on it, and their scores.

Commits are immutable and identified by their content, so the scores are kept beside them, as state.
The operation log does not contain them: `undo` takes back changes of files, not measurements.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from heliosfs.errors import AlreadyExists, CorruptObject, NotFound, UsageError
from heliosfs.objects.ids import OID_BYTES, CommitId, Oid
from heliosfs.repo import keys
from heliosfs.repo.inverses import Inverses
from heliosfs.repo.scores import Scores
from heliosfs.store.base import StateMap

RUNNING, FINISHED, ABANDONED = "running", "finished", "abandoned"
METADATA_KEY = "experiment"
"""Key under which the commits of an experiment carry its name."""
CHUNK_COUNT = 16
"""Number of ids under one key, so that a commit writes 32 to 512 bytes of state."""


@dataclass(frozen=True, slots=True)
class Experiment:
    """The record of an experiment."""

    name: str
    slot: int
    """Slot of its branch, which may have been renamed."""
    base: CommitId
    started_ns: int
    parameters: Mapping[str, str] = field(default_factory=dict)
    minimize: tuple[str, ...] = ()
    """Metrics of which less is better."""
    state: str = RUNNING
    ended_ns: int | None = None
    tip: CommitId | None = None
    """Last commit of its branch, if that was deleted."""
    resumed_ns: int | None = None
    """When it was taken over from a remote."""

    @property
    def changed_ns(self) -> int:
        """Time since which it is in its state."""
        return self.ended_ns or self.resumed_ns or self.started_ns

    def encode(self) -> bytes:
        document = {
            "slot": self.slot,
            "base": self.base.hex(),
            "started_ns": self.started_ns,
            "parameters": dict(self.parameters),
            "minimize": self.minimize,
            "state": self.state,
            "ended_ns": self.ended_ns,
            "tip": self.tip.hex() if self.tip else None,
            "resumed_ns": self.resumed_ns,
        }
        return json.dumps(document, separators=(",", ":")).encode()


def decode_experiment(name: str, data: bytes) -> Experiment:
    """Read a record; CorruptObject if the bytes are not those of a record."""
    try:
        document = json.loads(data)
        return Experiment(
            name,
            document["slot"],
            _commit_id(document["base"]),
            document["started_ns"],
            document["parameters"],
            tuple(document["minimize"]),
            document["state"],
            document["ended_ns"],
            _commit_id(document["tip"]) if document["tip"] else None,
            document.get("resumed_ns"),
        )
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise CorruptObject(f"experiment {name!r} cannot be read: {error}") from error


class Experiments:
    """All experiments.  Changes go into the store's batch; a transaction publishes them."""

    def __init__(self, store: StateMap, inverses: Inverses | None = None) -> None:
        self._store = store
        self._inverses = Inverses() if inverses is None else inverses
        self._by_name: dict[str, Experiment] = {}
        self._by_slot: dict[int, Experiment] = {}
        self.running: dict[int, Experiment] = {}
        """Experiments whose commits are recorded, by slot."""
        for key, value in store.scan(keys.EXPERIMENT):
            self._keep_in_memory(decode_experiment(key[len(keys.EXPERIMENT) :].decode(), value))

    def __iter__(self) -> Iterator[Experiment]:
        """Iterate over the experiments in order of their names."""
        return iter([self._by_name[name] for name in sorted(self._by_name)])

    def __contains__(self, name: str) -> bool:
        return name in self._by_name

    def __len__(self) -> int:
        return len(self._by_name)

    def get(self, name: str) -> Experiment:
        """Return the experiment of that name.  NotFound."""
        found = self._by_name.get(name)
        if found is None:
            raise NotFound(f"no experiment {name[:80]!r}: 'experiment list' shows them")
        return found

    def of_slot(self, slot: int) -> Experiment | None:
        """Return the experiment of a branch, whatever its state, or None."""
        return self._by_slot.get(slot)

    def check_free(self, name: str) -> None:
        """Check that a new experiment can have this name.  AlreadyExists, UsageError."""
        if name in self._by_name:
            state = self._by_name[name].state
            raise AlreadyExists(f"an experiment {name!r} exists already ({state})")
        try:
            name.encode()
        except UnicodeEncodeError as error:
            raise UsageError("usage: the name of an experiment is UTF-8") from error

    def put(self, experiment: Experiment) -> None:
        """Set a record, new or not."""
        of_slot = self._by_slot.get(experiment.slot)
        self._inverses.append(
            (self._restore_before, (experiment, self._by_name.get(experiment.name), of_slot))
        )
        self._keep_in_memory(experiment)
        self._store.put(keys.EXPERIMENT + experiment.name.encode(), experiment.encode())

    def branch_deleted(self, slot: int, tip: CommitId | None) -> None:
        """Record the last commit of an experiment's branch."""
        experiment = self._by_slot.get(slot)
        if experiment is not None:
            self.put(replace(experiment, tip=tip))

    def add_commit(self, experiment: Experiment, oid: CommitId) -> None:
        """Record a commit that was made on the experiment's branch."""
        key = keys.of_slot(keys.VARIANTS, experiment.slot)
        held = self._store.get(key) or bytes(4)
        count = int.from_bytes(held[:4], "little")
        ids = held[4:] + oid
        # A full chunk gets a key of its own, so that a commit never rewrites more than one chunk.
        if len(ids) == CHUNK_COUNT * OID_BYTES:
            self._store.put(key + b"/%08x" % count, ids)
            count, ids = count + 1, b""
        self._store.put(key, count.to_bytes(4, "little") + ids)

    def commits(self, experiment: Experiment) -> list[CommitId]:
        """Return the commits of an experiment in order, including those that a reset left."""
        values = [
            value for _, value in self._store.scan(keys.of_slot(keys.VARIANTS, experiment.slot))
        ]
        if not values:
            return []
        # The open chunk has the shortest key, so it is scanned first; its commits are the last.
        ids = b"".join([*values[1:], values[0][4:]])
        starts = range(0, len(ids), OID_BYTES)
        return list(dict.fromkeys(CommitId(Oid(ids[at : at + OID_BYTES])) for at in starts))

    def record(self, oid: CommitId, scores: Scores, times: Mapping[str, int]) -> None:
        """Add scores to a commit, and replace those of the same metrics.

        `times` are the seconds since 1970 in which they were recorded.
        """
        self._store.put(keys.SCORE + oid, _encoded({**self.scores(oid), **scores}))
        at = {**self.score_times(oid), **{metric: times[metric] for metric in scores}}
        self._store.put(keys.SCORED_AT + oid, _encoded(at))

    def scores(self, oid: CommitId) -> Scores:
        """Return the scores of a commit.  CorruptObject."""
        data = self._store.get(keys.SCORE + oid)
        if data is None:
            return {}
        try:
            return {str(metric): str(text) for metric, text in json.loads(data).items()}
        except (ValueError, AttributeError) as error:
            raise CorruptObject(f"scores of {oid.hex()} cannot be read: {error}") from error

    def score_times(self, oid: CommitId) -> Mapping[str, int]:
        """Return the seconds in which scores were recorded, but for those of an early version.

        CorruptObject.
        """
        data = self._store.get(keys.SCORED_AT + oid)
        if data is None:
            return {}
        try:
            return {str(metric): int(at) for metric, at in json.loads(data).items()}
        except (ValueError, TypeError, AttributeError) as error:
            raise CorruptObject(f"scores of {oid.hex()} cannot be read: {error}") from error

    def scored(self) -> set[CommitId]:
        """Return every commit that has scores, even if it was removed."""
        found = self._store.scan(keys.SCORE)
        return {CommitId(Oid(key[len(keys.SCORE) :])) for key, _ in found}

    def forget_scores(self, oid: CommitId) -> None:
        """Drop the scores of a commit that was removed."""
        for prefix in (keys.SCORE, keys.SCORED_AT):
            if self._store.get(prefix + oid) is not None:
                self._store.put(prefix + oid, None)

    def _keep_in_memory(self, experiment: Experiment) -> None:
        self._by_name[experiment.name] = self._by_slot[experiment.slot] = experiment
        if experiment.state == RUNNING:
            self.running[experiment.slot] = experiment
        else:
            self.running.pop(experiment.slot, None)

    def _restore_before(
        self, now: Experiment, of_name: Experiment | None, of_slot: Experiment | None
    ) -> None:
        """Restore the records of the time before `now` was put."""
        del self._by_name[now.name], self._by_slot[now.slot]
        self.running.pop(now.slot, None)
        for before in (of_name, of_slot):
            if before is not None:
                self._keep_in_memory(before)


def _encoded(document: Mapping[str, object]) -> bytes:
    return json.dumps(document, separators=(",", ":"), sort_keys=True).encode()


def _commit_id(text: str) -> CommitId:
    oid = bytes.fromhex(text)
    if len(oid) != OID_BYTES:
        raise ValueError(f"{text!r} is no id")
    return CommitId(Oid(oid))
