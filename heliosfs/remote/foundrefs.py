"""The refs of a remote: which of them changed since they were seen, and what they name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import NamedTuple

from heliosfs.errors import Busy, CorruptObject, HeliosError, NotFound
from heliosfs.objects.ids import CommitId
from heliosfs.remote.bucket import Bucket, NoObject
from heliosfs.remote.layout import REF_BYTES_MAX, REFS, decode_ref, ref_key, ref_of, scored_branch
from heliosfs.remote.reading import READERS
from heliosfs.remote.scores import FoundScores, find_scores
from heliosfs.remote.threads import mapped
from heliosfs.repo.ancestry import reaches
from heliosfs.repo.remotes import EXPERIMENTS, KIND_WORDS, SCORES, TAGS, TrackedRef
from heliosfs.repo.repository import Repository
from heliosfs.repo.score_notes import ScoreNotes
from heliosfs.repo.tag_notes import Annotation
from heliosfs.steps import Steps, read_far

RefName = tuple[str, str]
"""Kind and name of a ref."""


class MovedRef(NamedTuple):
    """A ref of a remote that is another one than when it was last seen."""

    kind: str
    name: str
    before: CommitId | None
    """Commit that it had; None for a new ref."""
    after: CommitId | None
    """Commit that it has; None if it is gone."""
    is_forced: bool = False
    """True if it has lost commits."""


class DamagedRef(NamedTuple):
    """A ref of a remote that was not fetched, because it or what it needs is damaged there."""

    kind: str
    name: str
    text: str
    """Damage, in words."""


def moved_refs(
    repository: Repository,
    before: Mapping[RefName, TrackedRef],
    now: Mapping[RefName, CommitId],
) -> Steps[list[MovedRef]]:
    """Return the refs that name other commits now, which are here, than when they were seen."""
    moved, history = [], repository.history
    for (kind, name), commit in now.items():
        known = before.get((kind, name))
        old = known.commit if known is not None else None
        if commit == old:
            continue
        # Each record of an experiment is a commit of its own.
        is_forced = False
        if old is not None and kind != EXPERIMENTS:
            is_forced = old not in history or not (yield from reaches(history, [commit], old))
        moved.append(MovedRef(kind, name, old, commit, is_forced))
    return moved


def _is_same(before: dict[RefName, TrackedRef], name: RefName, version: str) -> bool:
    seen = before.get(name)
    return seen is not None and seen.version == version


def read_named(
    bucket: Bucket, remote: str, kind: str, refs: Sequence[str]
) -> Steps[tuple[FoundRefs, list[MovedRef]]]:
    """Read some refs: a request for each, however many others there are.  NotFound.

    Of those that are gone, none is known.
    """
    names = [(kind, name) for name in dict.fromkeys(refs)]
    found = yield from read_far(partial(_read_refs, bucket, names))
    damaged = {(each.kind, each.name) for each in found.damaged}
    for each in names:
        if each not in found.records and each not in damaged:
            raise NotFound(f"{remote} has no {KIND_WORDS[kind]} {each[1][:80]!r}")
    return found, []


def read_changed(
    repository: Repository,
    bucket: Bucket,
    remote: str,
    is_left_out: Callable[[RefName, str], bool],
) -> Steps[tuple[FoundRefs, list[MovedRef]]]:
    """Read all refs and scores that are not as they were, nor left out in this version.

    Return also the refs that are gone.
    """
    before = dict(repository.remotes.refs(remote))
    scores = ScoreNotes(repository.store, remote).versions()
    listed, scored = yield from read_far(partial(_versions, bucket))
    changed = [
        each
        for each, version in listed.items()
        if not _is_same(before, each, version) and not is_left_out(each, version)
    ]
    found = yield from read_far(partial(_read_refs, bucket, changed))
    found.asked_count = len(listed)
    if scores != scored:
        found.scores = yield from read_far(partial(find_scores, bucket, scores, scored))
    missing = [each for each in before if each not in listed]
    return found, [MovedRef(*each, before[each].commit, None) for each in missing]


def _versions(bucket: Bucket) -> tuple[dict[RefName, str], dict[str, str]]:
    """Return the versions of all refs, and of the scores of branches; on a thread."""
    refs, scores = {}, {}
    for each in bucket.list(REFS):
        name, branch = ref_of(each.key), scored_branch(each.key)
        if name is not None:
            refs[name] = each.version
        elif branch is not None:
            scores[branch] = each.version
    return refs, scores


class ReadRef(NamedTuple):
    """A ref of a bucket, as it was read."""

    seen: TrackedRef
    note: Annotation | None


class FoundRefs:
    """Refs of a bucket that were read, and those that could not be."""

    def __init__(self) -> None:
        self.records: dict[RefName, ReadRef] = {}
        self.damaged: list[DamagedRef] = []
        self.asked_count = 0
        """Number of refs, with those that have not changed."""
        self.scores = FoundScores()

    def seen(self) -> dict[RefName, TrackedRef]:
        """Return the refs that are to be kept."""
        return {name: each.seen for name, each in self.records.items()}

    def kept(self, before: dict[RefName, TrackedRef], gone: Iterable[MovedRef]) -> list[CommitId]:
        """Return the commits that all refs of the remote name by now."""
        refs = before | self.seen()
        for each in gone:
            del refs[each.kind, each.name]
        return [each.commit for each in refs.values()]

    def all_damaged(self) -> list[DamagedRef]:
        """Return the refs that were not fetched, records of scores among them."""
        scores = self.scores.damaged.items()
        return [*self.damaged, *(DamagedRef(SCORES, name, text) for name, text in scores)]

    def check_any(self) -> None:
        """Check that not everything is damaged.  CorruptObject."""
        if self.damaged and len(self.damaged) == self.asked_count:
            raise CorruptObject(self.damaged[0].text)

    def spoil(self, name: RefName, error: HeliosError) -> None:
        """Note that a ref, or what it needs, is damaged."""
        self.records.pop(name, None)
        self.damaged.append(DamagedRef(*name, str(error)))


def _read_refs(bucket: Bucket, names: list[RefName]) -> FoundRefs:
    """Read refs, without those that are gone meanwhile; on a thread."""

    def read(name: RefName) -> ReadRef | CorruptObject | None:
        try:
            data, version = bucket.get(ref_key(*name), 0, REF_BYTES_MAX)
            record = decode_ref(name[1], data)
        except NoObject:
            return None
        except CorruptObject as error:
            return error
        seen = TrackedRef(record.commit, record.trees, record.generation, version)
        return ReadRef(seen, record.note)

    if len(names) == 1:
        results = [read(names[0])]
    else:
        results = mapped(read, names, READERS)
    found = FoundRefs()
    found.asked_count = len(names)
    for name, each in zip(names, results, strict=True):
        if isinstance(each, CorruptObject):
            found.spoil(name, each)
        elif each is not None:
            found.records[name] = each
    return found


def track_seen(repository: Repository, remote: str, name: RefName, seen: TrackedRef) -> bool:
    """Keep what was seen of a ref, in a transaction; return True if it is a tag to be made here.

    Busy if its commit is not here any more.
    """
    kind, plain = name
    # A garbage collection may have begun while the remote was waited for.
    if seen.commit not in repository.history:
        raise Busy(f"{remote}/{plain}: a garbage collection is removing it here: try again")
    repository.remotes.track(remote, kind, plain, seen, repository.clock.now_ns())
    # As in git, a tag that is here stays as it is.
    return kind == TAGS and plain not in repository.refs.tags
