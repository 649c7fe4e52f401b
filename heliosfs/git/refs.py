"""The branches and tags of a git repository, and the choice of those to import."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from heliosfs.errors import HeliosError, NotFound
from heliosfs.git.process import Git, end_unseen

HEADS = "refs/heads/"
TAGS = "refs/tags/"
DETACHED = "HEAD"
"""Name of a detached HEAD, used like the full names of branches and tags."""
ASIDE = "imported/"
"""Prefix of the name of a branch of git that cannot become the branch of that name here."""

_FORMAT = "--format=%(objectname) %(refname)"
_BROKEN = re.compile(r"warning: ignoring (?:broken ref|ref with broken name) (.*)")


class GitRef(NamedTuple):
    """A branch, a tag or the detached HEAD of git."""

    name: str
    """Full name, such as `refs/heads/main`."""
    git_id: bytes
    """Id of a commit, or of the object that a tag names."""

    @property
    def is_branch(self) -> bool:
        """True for a branch, and for a detached HEAD, which becomes a branch here."""
        return not self.name.startswith(TAGS)

    @property
    def short(self) -> str:
        """Name without `refs/heads/` or `refs/tags/`."""
        return ASIDE + DETACHED if self.name == DETACHED else self.name.split("/", 2)[2]


class GitRefs:
    """The refs of a repository at one moment."""

    def __init__(
        self, git: Git, branches: Iterable[str] = (), *, restores_deleted: bool = False
    ) -> None:
        """Read the refs; with `branches`, choose only these and the tags in their history.

        `restores_deleted` also asks for all that was deleted here.  NotFound; HeliosError names a
        chosen ref that is broken, or whose object is missing.
        """
        self._git = git
        self._restores_deleted = restores_deleted
        self.head: str = git.symbolic_head() or DETACHED
        """Full name of the branch that is checked out; `HEAD` if HEAD is detached."""
        listing, broken = _list(git)
        refs = [ref for ref in listing if ref.name.startswith((HEADS, TAGS))]
        self.names = {ref.name for ref in refs} | set(broken)
        """Full names of all branches and tags."""
        self.others = Counter(
            "/".join(ref.name.split("/")[:2])
            for ref in listing
            if not ref.name.startswith((HEADS, TAGS))
        )
        """Number of refs that are neither branches nor tags, by the beginning of their names."""
        self.asked = {HEADS + name if name != DETACHED else name for name in branches}
        """Full names of the refs that the user named."""
        self.detached: GitRef | None = None
        """Detached HEAD, if it is to be imported; see `detached_in`."""
        self.detached_in = ""
        """Full name of a branch or tag that has the commit of the detached HEAD in its history."""
        if self.head == DETACHED and (not self.asked or DETACHED in self.asked):
            self._find_head()
        self.elsewhere = [] if self.asked else _elsewhere(git, self.detached)
        """Path and commit of other working trees whose detached HEAD is in no branch or tag."""
        self.chosen = self._choose(refs, broken) if self.asked else refs
        # A broken ref matters only if it is to be imported.
        if not self.asked:
            _check_whole(git, broken)
        self._check_objects()

    def restores(self, ref: GitRef) -> bool:
        """Return True if a ref was asked for although it was deleted here."""
        return self._restores_deleted or ref.name in self.asked

    def with_head(self) -> None:
        """Choose the detached HEAD, too."""
        if self.detached is not None and self.detached not in self.chosen:
            self.chosen = [*self.chosen, self.detached]

    def _find_head(self) -> None:
        git = self._git
        said = git.ask("rev-parse", "--verify", "--quiet", DETACHED).decode("ascii").strip()
        self.detached = GitRef(DETACHED, bytes.fromhex(said))
        _check_there(git, [self.detached])
        self.detached_in = _holder(git, said)

    def _choose(self, refs: list[GitRef], broken: list[str]) -> list[GitRef]:
        git = self._git
        known = {ref.name for ref in refs}
        if self.detached is not None:
            known.add(DETACHED)
        for name in sorted(self.asked):
            _check_whole(git, [name] if name in broken else [])
            if name not in known:
                raise NotFound(f"{git.git_dir} has no branch {name.removeprefix(HEADS)!r}")
        # A tag belongs to a chosen branch if it names a commit in its history.
        merged, _ = _list(git, *(f"--merged={name}" for name in sorted(self.asked)), TAGS)
        wanted = self.asked | {ref.name for ref in merged}
        return [ref for ref in refs if ref.name in wanted]

    def _check_objects(self) -> None:
        _check_there(self._git, self.chosen)


class CommitCount:
    """A count, by git in the background, of what `wanted` reaches and `known` does not."""

    def __init__(self, git: Git, wanted: Iterable[bytes], known: Iterable[bytes]) -> None:
        lines = [each.hex() for each in wanted] + [f"^{each.hex()}" for each in known]
        revisions = "".join(f"{line}\n" for line in lines).encode()
        with tempfile.TemporaryFile() as asked, tempfile.TemporaryFile() as errors:
            asked.write(revisions)
            asked.seek(0)
            argv = ("rev-list", "--count", "--ignore-missing", "--stdin")
            self._process = git.start(*argv, stdin=asked, stdout=subprocess.PIPE, stderr=errors)
        self._count = 0

    def so_far(self) -> int:
        """Return the count; 0 while it is not known."""
        process = self._process
        if not self._count and process.poll() == 0:
            assert process.stdout is not None
            self._count = int(process.stdout.read() or 0)
        return self._count

    def close(self) -> None:
        """End the count if it still runs.  Idempotent; does not wait."""
        end_unseen(self._process)


def _list(git: Git, *argv: str) -> tuple[list[GitRef], list[str]]:
    """Return the refs of a repository, and the names of those that git cannot read."""
    refs = []
    listing, complaints = git.ask_with_errors("for-each-ref", _FORMAT, *argv)
    for line in listing.splitlines():
        git_id, _, name = line.partition(b" ")
        refs.append(GitRef(os.fsdecode(name), bytes.fromhex(git_id.decode("ascii"))))
    said = (_BROKEN.fullmatch(line) for line in os.fsdecode(complaints).splitlines())
    return refs, [found[1] for found in said if found]


def _holder(git: Git, oid: str) -> str:
    """Return the full name of a branch or tag whose history has a commit; empty if none has."""
    argv = ("--count=1", "--contains", oid, "--format=%(refname)", HEADS, TAGS)
    try:
        return os.fsdecode(git.ask("for-each-ref", *argv, seconds=None).strip())
    except HeliosError:
        # Not even git has it; whoever takes it in says so.
        return ""


def _elsewhere(git: Git, here: GitRef | None) -> list[tuple[str, str]]:
    if not os.path.isdir(os.path.join(git.common_dir, "worktrees")):
        return []
    found = []
    own = here.git_id.hex() if here else ""
    for block in os.fsdecode(git.ask("worktree", "list", "--porcelain")).split("\n\n"):
        said = dict(line.partition(" ")[::2] for line in block.split("\n"))
        oid = said.get(DETACHED, "")
        if "detached" in said and oid != own and not _holder(git, oid):
            found.append((said["worktree"], oid))
    return found


def _check_whole(git: Git, broken: list[str]) -> None:
    """Raise HeliosError for the first branch or tag that git cannot read."""
    for name in broken:
        if name.startswith((HEADS, TAGS)):
            file = os.path.join(git.common_dir, name)
            cure = f"remove {file}" if os.path.isfile(file) else "mend it"
            raise HeliosError(
                f"{name} of {git.git_dir} is broken, git cannot read it: {cure}, "
                "or name the branches to take with --branch"
            )


def _check_there(git: Git, refs: list[GitRef]) -> None:
    """Raise HeliosError for the first ref whose object is missing."""
    missing = git.missing({ref.git_id for ref in refs})
    for ref in refs:
        if ref.git_id in missing:
            raise HeliosError(
                f"{ref.name} of {git.git_dir} names {ref.git_id.hex()}, which is missing there: "
                "fetch it again, delete the ref, or name the branches to take with --branch"
            )
