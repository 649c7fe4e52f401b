"""Verification that the imported history is what git has: every commit, file by file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from heliosfs.git import raw
from heliosfs.git.encode import GitEncoder
from heliosfs.git.ids import IdMap
from heliosfs.git.process import Git
from heliosfs.git.refs import GitRefs
from heliosfs.repo.repository import Repository
from heliosfs.steps import Progress, Steps, on_thread

_LIST_SECONDS = 3600


@dataclass(slots=True)
class VerifyResult:
    """The results of a comparison."""

    commit_count: int = 0
    """Number of commits that were compared."""
    missing: list[str] = field(default_factory=list)
    """Commits of git, in hex, that were not imported."""
    different: list[str] = field(default_factory=list)
    """Commits of git, in hex, whose tree or own bytes differ here."""


def verify(repository: Repository, git: Git) -> Steps[VerifyResult]:
    """Compare all commits that branches and tags reach.

    The trees are hashed anew as git does, from every byte of every file in the store, and not
    looked up in the notes of the import.  Raise StoreError if an object is damaged.
    """
    found = VerifyResult()
    ids = IdMap(repository.store)
    encoder = GitEncoder(repository.store, git.hash_name, lambda git_id: False, None)
    commits = yield from on_thread(lambda: list(_commits(git)))
    for count, (git_id, tree) in enumerate(commits, 1):
        oid = ids.commit(git_id)
        if oid is None:
            found.missing.append(git_id.hex())
        else:
            commit = repository.history.read(oid)
            same = (yield from encoder.root(commit.tree)) == tree
            if commit.git and raw.git_id(git.hash_name, b"commit", commit.git) != git_id:
                same = False
            if not same:
                found.different.append(git_id.hex())
        yield Progress(count, len(commits), "commits")
    found.commit_count = len(commits)
    return found


def _commits(git: Git) -> Iterator[tuple[bytes, bytes]]:
    """Yield raw id and raw tree id of each commit, the oldest first."""
    refs = GitRefs(git)
    refs.with_head()
    wanted = "".join(f"{ref.git_id.hex()}\n" for ref in refs.chosen)
    if not wanted:
        return
    argv = ("rev-list", "--reverse", "--topo-order", "--no-commit-header", "--format=%H %T")
    for line in git.ask(*argv, "--stdin", data=wanted.encode(), seconds=_LIST_SECONDS).splitlines():
        commit, _, tree = line.partition(b" ")
        yield bytes.fromhex(commit.decode("ascii")), bytes.fromhex(tree.decode("ascii"))
