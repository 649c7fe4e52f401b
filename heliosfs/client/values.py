"""Values that the client returns: the replies of `--json`, frozen and typed.

A field is named as in docs/reference/json.md.  A path or message with bytes that are not UTF-8 has
them as lone surrogates, which `os.fsencode` turns back (PEP 383).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Document = Mapping[str, Any]
"""A JSON object of a reply."""


@dataclass(frozen=True, slots=True)
class PersonInfo:
    """Author or committer of a commit, and the time."""

    name: str
    email: str
    time: str
    """In the format of ISO 8601, with the offset of the person's time zone."""
    seconds: int
    """The same time since the epoch."""


@dataclass(frozen=True, slots=True)
class CommitInfo:
    """A commit."""

    id: str
    """64 hexadecimal digits."""
    tree: str
    parents: tuple[str, ...]
    author: PersonInfo
    committer: PersonInfo
    subject: str
    """First line of the message."""
    message: str
    metadata: Mapping[str, str]

    @classmethod
    def of(cls, document: Document) -> CommitInfo:
        """Return the commit that a document describes."""
        return cls(
            document["id"],
            document["tree"],
            tuple(document["parents"]),
            PersonInfo(**document["author"]),
            PersonInfo(**document["committer"]),
            document["subject"],
            document["message"],
            document["metadata"],
        )


@dataclass(frozen=True, slots=True)
class EntryInfo:
    """A file, link or directory as a tree has it."""

    mode: str
    """Kind and permissions, in octal digits: `100644`."""
    uid: int
    gid: int
    mtime_ns: int
    size: int
    id: str

    @classmethod
    def of(cls, document: Document | None) -> EntryInfo | None:
        """Return the entry that a document describes; None for none."""
        return None if document is None else cls(**document)


@dataclass(frozen=True, slots=True)
class PathChange:
    """A difference of two trees at one path."""

    status: str
    """`A`, `M`, `D`, `R` or `T`, as in git."""
    change: str
    """The same in words: `new file`."""
    path: str
    source: str | None
    """Path before a rename."""
    similarity: int | None
    """Per cent of a renamed file that are the same."""
    old: EntryInfo | None
    new: EntryInfo | None
    insertions: int | None = None
    """Lines that were added; None for a binary file, and where nobody counted."""
    deletions: int | None = None

    @classmethod
    def of(cls, document: Document) -> PathChange:
        """Return the change that a document describes."""
        entries = {key: EntryInfo.of(document[key]) for key in ("old", "new")}
        return cls(**{**document, **entries})


def changes_of(documents: list[Document]) -> tuple[PathChange, ...]:
    """Return the changes that documents describe."""
    return tuple(map(PathChange.of, documents))


@dataclass(frozen=True, slots=True)
class PathConflict:
    """A path that both sides of a merge changed; None for a side that does not have it."""

    path: str
    kind: str
    base: EntryInfo | None
    ours: EntryInfo | None
    theirs: EntryInfo | None

    @classmethod
    def of(cls, document: Document) -> PathConflict:
        """Return the conflict that a document describes."""
        sides = (EntryInfo.of(document[key]) for key in ("base", "ours", "theirs"))
        return cls(document["path"], document["kind"], *sides)


@dataclass(frozen=True, slots=True)
class WorkspaceStatus:
    """Difference of a working tree from HEAD."""

    branch: str | None
    """None where HEAD is detached."""
    head: str | None
    """None before the first commit."""
    clean: bool
    merging: str | None
    """The commit of an open merge."""
    conflicts: tuple[PathConflict, ...]
    changes: tuple[PathChange, ...]
    staged: tuple[PathChange, ...]
    unstaged: tuple[PathChange, ...]

    @classmethod
    def of(cls, document: Document) -> WorkspaceStatus:
        """Return the status that a document describes."""
        return cls(
            document["branch"],
            document["head"],
            document["clean"],
            document["merging"],
            tuple(map(PathConflict.of, document["conflicts"])),
            *(changes_of(document[key]) for key in ("changes", "staged", "unstaged")),
        )


@dataclass(frozen=True, slots=True)
class TreeDifference:
    """Differences of two trees."""

    old: str | None
    new: str | None
    """Id of a commit; None for the working tree."""
    changes: tuple[PathChange, ...]

    @classmethod
    def of(cls, document: Document) -> TreeDifference:
        """Return the differences that a document describes."""
        return cls(document["old"], document["new"], changes_of(document["changes"]))


@dataclass(frozen=True, slots=True)
class BranchInfo:
    """A branch."""

    name: str
    head: str | None
    """None before the first commit."""
    current: bool
    """True for the branch of the view that was asked."""
    mounted: bool
    """True for the branch that the mount point shows."""


@dataclass(frozen=True, slots=True)
class HeadPosition:
    """Branch and commit that a view shows after a verb."""

    branch: str | None
    """None where HEAD is detached."""
    head: str | None


@dataclass(frozen=True, slots=True)
class Reversal:
    """Operation that `undo` took back, or `redo` carried out again."""

    verb: str
    text: str
    """Words of the operation."""
    count: int
    """Number of operations, of which this is the last."""
    branch: str | None
    head: str | None
    kept: tuple[str, ...]
    """Paths that had changed since the operation, which `redo` brings back."""

    @classmethod
    def of(cls, document: Document) -> Reversal:
        """Return the reversal that a document describes."""
        operation = document["operation"]
        place = (document["count"], document["branch"], document["head"])
        return cls(operation["verb"], operation["text"], *place, tuple(document["kept"]))


@dataclass(frozen=True, slots=True)
class MergeOutcome:
    """Result of a merge."""

    branch: str | None
    head: str
    merged: bool
    """False if HEAD had everything already."""
    fast_forward: bool
    open: bool
    """True if the next commit concludes the merge."""
    conflicts: tuple[PathConflict, ...]
    """Conflicts that were decided, or written into the files."""

    @classmethod
    def of(cls, document: Document) -> MergeOutcome:
        """Return the result that a document describes."""
        conflicts = tuple(map(PathConflict.of, document["conflicts"]))
        return cls(**{**document, "conflicts": conflicts})


@dataclass(frozen=True, slots=True)
class RefMove:
    """A branch, tag or experiment that a push or a fetch has moved."""

    name: str
    kind: str
    """`branch`, `tag` or `experiment`."""
    before: str | None
    """None if it is new."""
    after: str | None
    """None if it was deleted."""
    forced: bool
    """True if it has lost commits."""


@dataclass(frozen=True, slots=True)
class RefProblem:
    """A branch, tag or experiment that stays as it was."""

    name: str
    kind: str
    error: str
    """Reason, in words."""


@dataclass(frozen=True, slots=True)
class PushOutcome:
    """Result of a push."""

    remote: str
    url: str
    pushed: tuple[RefMove, ...]
    refused: tuple[RefProblem, ...]
    commit_count: int
    object_count: int
    """Number of objects that were sent."""
    sent_bytes: int

    @classmethod
    def of(cls, document: Document) -> PushOutcome:
        """Return the result that a document describes."""
        pushed = document["pushed"]
        counts = ("commit_count", "object_count", "sent_bytes")
        return cls(
            document["remote"],
            document["url"],
            moves_of(pushed),
            problems_of(document["refused"]),
            *(sum(each[count] for each in pushed) for count in counts),
        )


@dataclass(frozen=True, slots=True)
class FetchOutcome:
    """Result of a fetch."""

    remote: str
    url: str
    moved: tuple[RefMove, ...]
    gone: tuple[RefMove, ...]
    """Refs that the remote has no more."""
    damaged: tuple[RefProblem, ...]
    """Refs that are damaged at the remote."""
    commit_count: int
    object_count: int
    """Number of objects that were received."""
    got_bytes: int
    shallow_count: int = 0
    """Number of commits at which the history ends."""

    @classmethod
    def of(cls, document: Document) -> FetchOutcome:
        """Return the result that a document describes."""
        return cls(
            document["remote"],
            document["url"],
            moves_of(document["moved"]),
            moves_of(document["gone"]),
            problems_of(document["damaged"]),
            document["commit_count"],
            document["object_count"],
            document["got_bytes"],
            document.get("shallow_count", 0),
        )


def moves_of(documents: list[Document]) -> tuple[RefMove, ...]:
    """Return the moves of refs that documents describe."""
    names = RefMove.__dataclass_fields__
    return tuple(RefMove(**{name: each[name] for name in names}) for each in documents)


def problems_of(documents: list[Document]) -> tuple[RefProblem, ...]:
    """Return the refs with reasons that documents describe."""
    return tuple(RefProblem(**each) for each in documents)


@dataclass(frozen=True, slots=True)
class Score:
    """A number that was recorded for a commit."""

    id: str
    text: str
    """The number as it was recorded: `41/42`."""
    value: float


@dataclass(frozen=True, slots=True)
class ExperimentInfo:
    """An experiment and its figures."""

    name: str
    state: str
    """`running`, `finished` or `abandoned`."""
    branch: str | None
    """None if the branch was deleted."""
    head: str | None
    base: str
    started_seconds: int
    ended_seconds: int | None
    parameters: Mapping[str, str]
    minimize: tuple[str, ...]
    """Metrics of which less is better."""
    commit_count: int
    metric: str
    """Metric of `best` and `last`."""
    best: Score | None
    last: Score | None

    @classmethod
    def of(cls, document: Document) -> ExperimentInfo:
        """Return the experiment that a document describes."""
        chosen = {key: document[key] for key in cls.__dataclass_fields__}
        scores = {key: score_of(document[key]) for key in ("best", "last")}
        return cls(**{**chosen, **scores, "minimize": tuple(document["minimize"])})


def score_of(document: Document | None) -> Score | None:
    """Return the score that a document describes; None for none."""
    if document is None:
        return None
    return Score(document["id"], document["text"], document["value"])
