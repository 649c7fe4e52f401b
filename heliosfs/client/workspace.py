"""`Workspace`: the verbs of a mounted view as methods."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from heliosfs import isolated
from heliosfs.cli.locate import REPOSITORY
from heliosfs.client.remotes import Favor, RemoteClient
from heliosfs.client.requests import Door, commit_everything, request_json
from heliosfs.client.values import (
    BranchInfo,
    CommitInfo,
    ExperimentInfo,
    HeadPosition,
    MergeOutcome,
    Reversal,
    Score,
    TreeDifference,
    WorkspaceStatus,
    score_of,
)
from heliosfs.client.words import flags, given, values
from heliosfs.errors import NotFound

if TYPE_CHECKING:
    from typing_extensions import Self


class Workspace(RemoteClient):
    """A mounted workspace, or the live directory of one of its branches.

    An object holds nothing open and may be used by several threads at once; each call is a request
    of its own.  A refused call changes nothing, and raises a class of `heliosfs.errors`, whose
    `errno` is that of the control file.
    """

    def commit(
        self,
        message: str,
        /,
        *,
        paths: Iterable[str] = (),
        amend: bool = False,
        allow_empty: bool = False,
        expect: str | None = None,
        author: str | None = None,
        sync: bool = False,
        **metadata: object,
    ) -> str:
        """Commit every file, and return the id of the commit.

        If something was added, only that is committed; with `paths`, only these.  `expect` is the
        full id that HEAD must have, `author` is `Name <email>`, and `sync` waits until the commit
        is safe from a power cut.  Other keywords are metadata: `commit("try 3", score=0.93)`.

        Raise NothingToCommit, if nothing changed and `allow_empty` is not given; Stale, if HEAD is
        not the expected commit.  Cost: that of `ctl/commit` without options.
        """
        words = [f"--meta={key}={value}" for key, value in metadata.items()]
        words += flags(amend=amend, allow_empty=allow_empty, sync=sync)
        words += values(expect=expect, author=author)
        chosen = list(paths)
        if not words and not chosen:
            return commit_everything(self._door, message)
        words = ["commit", "--json", f"--message={message}", *words]
        done = self._json(*words, "--", *chosen) if chosen else self._json(*words)
        return str(done["id"])

    def status(self, *paths: str) -> WorkspaceStatus:
        """Return the branch and what differs from HEAD, below some paths or everywhere."""
        return WorkspaceStatus.of(self._json("status", "--json", "--", *paths))

    def diff(
        self, old: str | None = None, new: str | None = None, *paths: str, staged: bool = False
    ) -> TreeDifference:
        """Return the differences of two commits, or of the working tree from `old` (HEAD).

        Lines are counted for each file.  Raise NotFound for an unknown revision.
        """
        words = ["diff", "--json", "--stat", *flags(staged=staged)]
        return TreeDifference.of(self._json(*words, *given(old, new), "--", *paths))

    def patch(
        self, old: str | None = None, new: str | None = None, *paths: str, staged: bool = False
    ) -> str:
        """Return the changed lines of such differences, for people and `git apply`."""
        words = ["diff", "--binary", *flags(staged=staged)]
        return self.request(*words, *given(old, new), "--", *paths)

    def log(
        self, *revisions: str, count: int | None = None, paths: Iterable[str] = ()
    ) -> tuple[CommitInfo, ...]:
        """Return the commits that led to HEAD or to the revisions, newest first.

        `A..B` is the commits of B that A does not have.  Raise NotFound.
        """
        words = ["log", "--json", *values(max_count=count), *given(*revisions)]
        return tuple(map(CommitInfo.of, self._json(*words, "--", *paths)))

    def snapshot(self, revision: str = "HEAD") -> Path:
        """Return the read-only directory of a commit.

        The path names the commit itself, so that it stays the same when a branch moves.
        Raise NotFound.
        """
        found = self.request("rev-parse", "--verify", f"{revision}^{{commit}}").strip()
        return self.path / REPOSITORY / "snapshots" / found

    def branches(self) -> tuple[BranchInfo, ...]:
        """Return all branches."""
        return tuple(BranchInfo(**each) for each in self._json("branch", "--json"))

    def branch(self, name: str, base: str | None = None, *, keep: bool = True) -> LiveBranch:
        """Make a branch at `base` (HEAD), and return its live workspace.

        As a context manager it is deleted at the end of the block unless `keep` is true or its
        `keep` was called.  Raise AlreadyExists, NotFound or UsageError.
        """
        self._json("branch", "--json", "--", name, *given(base))
        return LiveBranch(self._live(name), name, self._door, keep=keep)

    def fork(
        self, name: str | None = None, base: str | None = None, *, keep: bool = False
    ) -> LiveBranch:
        """Make a branch of the files as they are, uncommitted changes included; see `branch`.

        It is made to be dropped: `with workspace.fork() as trial:` leaves nothing behind, unless
        `trial.keep()` was called.  Without a name it gets a new one.  `base` is another branch
        whose files are taken.
        """
        name = name or f"fork-{uuid.uuid4().hex[:12]}"
        self._json("branch", "--fork", "--json", "--", name, *given(base))
        return LiveBranch(self._live(name), name, self._door, keep=keep)

    def live(self, name: str, *, keep: bool = True) -> LiveBranch:
        """Return the live workspace of a branch that exists; see `branch`.  Raise NotFound.

        The branch that is shown at the mount point has none.
        """
        if name not in {each.name for each in self.branches() if not each.mounted}:
            raise NotFound(f"no branch {name!r} with a live workspace")
        return LiveBranch(self._live(name), name, self._door, keep=keep)

    def checkout(self, revision: str, *, create: bool = False) -> HeadPosition:
        """Show another branch, or an old commit, in this directory.

        With `create`, make the branch first, which takes the uncommitted changes along.  Raise
        NotFound; Busy, if a program has files of that branch open; UsageError in a live view.
        """
        words = [f"-b{revision}"] if create else given(revision)
        return HeadPosition(**self._json("checkout", "--json", *words))

    def reset(
        self, revision: str = "HEAD", *, hard: bool = False, soft: bool = False
    ) -> HeadPosition:
        """Move the branch to a commit; with `hard` the files, too, with `soft` not even the stage.

        `undo` takes it back, and restores uncommitted changes.  Raise NotFound.
        """
        words = [*flags(hard=hard, soft=soft), *given(revision)]
        return HeadPosition(**self._json("reset", "--json", *words))

    def undo(self, count: int = 1, *, at: str | None = None) -> Reversal:
        """Take back the last operation, or the last `count`; or go to a moment: `10 min ago`.

        HEAD and all files are as before it; what has changed since is kept for `redo`.
        Raise NotFound if there is nothing to undo.
        """
        words = values(at=at) or [str(count)]
        return Reversal.of(self._json("undo", "--json", *words))

    def redo(self, count: int = 1) -> Reversal:
        """Take back the last undo, or the last `count`.  Raise NotFound."""
        return Reversal.of(self._json("redo", "--json", str(count)))

    def merge(
        self,
        revision: str,
        *,
        favor: Favor | None = None,
        message: str | None = None,
        squash: bool = False,
        no_ff: bool = False,
    ) -> MergeOutcome:
        """Combine the changes of another branch or commit with this branch.

        `favor` decides conflicts for one side, or writes both versions into the files (`markers`).
        Raise UnmergedPaths, a Conflicted with the paths in `conflicts`, after which nothing was
        changed; Busy, if uncommitted changes are in the way.
        """
        words = [f"--{favor}"] if favor else []
        words += [*flags(squash=squash, no_ff=no_ff), *values(message=message)]
        return MergeOutcome.of(self._json("merge", "--json", *words, "--", revision))

    def experiment(
        self,
        name: str,
        base: str | None = None,
        /,
        *,
        minimize: Iterable[str] = (),
        **parameters: object,
    ) -> RunningExperiment:
        """Start an experiment at `base` (HEAD), and return the live workspace of its branch.

        As a context manager it is finished at the end of the block; an exception leaves it
        running, to be looked at.  Raise AlreadyExists, NotFound or UsageError.
        """
        words = [f"--param={key}={value}" for key, value in parameters.items()]
        words += [f"--minimize={metric}" for metric in minimize]
        words += values(**{"from": base})
        self._json("experiment", "start", "--json", *words, "--", name)
        return RunningExperiment(self._live(name), name, self._door, keep=True)

    def experiments(self) -> tuple[ExperimentInfo, ...]:
        """Return all experiments, the newest first."""
        found = self._json("experiment", "list", "--json")
        return tuple(map(ExperimentInfo.of, found))

    def _live(self, name: str) -> str:
        """Return the live directory of a branch of this repository.  Raise NotFound."""
        path = os.path.realpath(os.path.join(self._root, REPOSITORY, "branches", name))
        # A view that is bound alone into a container has the names of the others only.
        if not os.path.isdir(path):
            raise NotFound(f"the live directory of branch {name!r} cannot be seen from here")
        return path


class LiveBranch(Workspace):
    """The live workspace of a branch: a directory to work in, beside all others.

    As a context manager it deletes the branch at the end of the block, uncommitted changes
    included, unless it is to be kept; its commits stay in `.helios/snapshots` until a collection.
    """

    def __init__(self, path: str, name: str, origin: Door, *, keep: bool) -> None:
        """Take the directory of a branch, and the view that made it: see `Workspace.branch`."""
        self._root = path
        self._origin = origin
        # Not by the control files of the new view: they are a mount, which takes 5 ms to be there,
        # and never comes into a container that is older.
        self._door = Door(origin.view, name)
        self.name = name
        """Name of the branch, as `merge` takes it."""
        self._keep = keep

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if not self._keep:
            self.drop()

    def keep(self) -> None:
        """Keep the branch at the end of the block."""
        self._keep = True

    def drop(self) -> None:
        """Delete the branch now.  Raise Busy while a program has files of it open."""
        # Not from its own view: nobody deletes the branch that he is on.
        request_json(self._origin, ("branch", "-D", "--json", "--", self.name))
        self._keep = True

    def _command(self, words: Sequence[str]) -> tuple[list[str], str]:
        return isolated.command("heliosfs.client.inside", self.name, *words), self._origin.view.root


class RunningExperiment(LiveBranch):
    """An experiment: the live workspace of its branch, whose commits get scores."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None and self.info().state == "running":
            self.finish()

    def record(self, commit: str | None = None, /, **scores: float | str) -> None:
        """Record scores of a commit (HEAD): `record(score=0.93, tests="41/42")`.

        Raise NotFound; UsageError for a value that is not a finite number.
        """
        words = [f"{metric}={value}" for metric, value in scores.items()]
        words += values(experiment=self.name, commit=commit)
        self._json("experiment", "record", "--json", *words)

    def best(self, by: str | None = None) -> Score:
        """Return the best score, and its commit.  Raise NotFound if none was recorded."""
        found = score_of(self._json("experiment", "best", "--json", *values(by=by), self.name))
        assert found is not None
        return found

    def info(self) -> ExperimentInfo:
        """Return the record of the experiment."""
        return ExperimentInfo.of(self._json("experiment", "show", "--json", "--", self.name))

    def finish(self) -> None:
        """End the experiment, and keep its branch."""
        self._json("experiment", "finish", "--json", "--", self.name)

    def abandon(self) -> None:
        """End the experiment, and delete its branch unless that is in use."""
        request_json(self._origin, ("experiment", "abandon", "--json", "--", self.name))
