"""A verb whose publish fails has changed nothing, in memory as in the store."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from heliosfs.clock import FixedClock
from heliosfs.errors import NotFound, StoreError
from heliosfs.objects.ids import CommitId
from heliosfs.repo.branching import (
    branch_with_ignored,
    create_branch,
    delete_branch,
    fork_branch,
    rename_branch,
)
from heliosfs.repo.detaching import checkout_commit
from heliosfs.repo.repository import Repository
from heliosfs.repo.revisions import resolve
from heliosfs.repo.undoing import redo, undo
from tests.stores import FailingStore
from tests.tree_builder import IDENTITY, TreeBuilder


def build() -> tuple[FailingStore, Repository]:
    store = FailingStore()
    repository = Repository.open(store, FixedClock(), IDENTITY)
    tree = TreeBuilder(repository.root.workspace)
    tree.write(b"a", b"one")
    repository.root.commit("first")
    tree.write(b"a", b"two")
    repository.root.commit("second")
    create_branch(repository, "side", repository.root.head)
    tree.write(b"b", b"uncommitted")
    tree.write(b"c", b"staged")
    view = repository.root
    view.stage_paths(view.selected(), [b"c"])
    return store, repository


def commit_id(repository: Repository, text: str) -> CommitId:
    return resolve(repository, text, repository.root.head)


def commit_of(repository: Repository, text: str) -> None:
    checkout_commit(repository, repository.root, commit_id(repository, text))


VERBS: dict[str, Callable[[Repository], object]] = {
    "branch": lambda repository: create_branch(repository, "new", repository.root.head),
    "fork": lambda repository: fork_branch(repository, "new", repository.root),
    "fork of another": lambda repository: fork_branch(
        repository, "new", repository.refs.branch("side")
    ),
    "branch with what is ignored": lambda repository: branch_with_ignored(
        repository, "new", commit_id(repository, "HEAD~1"), repository.root
    ),
    "rename": lambda repository: rename_branch(repository, "side", "other"),
    "delete": lambda repository: delete_branch(repository, "side"),
    "checkout branch": lambda repository: repository.checkout_branch("side"),
    "checkout commit": lambda repository: commit_of(repository, "HEAD~1"),
    "commit": lambda repository: repository.root.commit("third"),
    "reset": lambda repository: repository.root.reset(
        resolve(repository, "HEAD~1", repository.root.head)
    ),
    "stage": lambda repository: repository.root.stage_paths(repository.root.selected(), [b"b"]),
    "unstage": lambda repository: repository.root.reset(
        resolve(repository, "HEAD", repository.root.head), hard=False
    ),
    "amend": lambda repository: repository.root.amend("again"),
    "undo": lambda repository: undo(repository, repository.root),
}


def picture(repository: Repository) -> tuple[object, ...]:
    """Everything that a user could see."""
    root = repository.root
    branches = {branch.name: (branch.slot, branch.head) for branch in repository.refs}
    tree = TreeBuilder(root.workspace)
    names = sorted(root.workspace.names(root.workspace.root))
    files = {name: bytes(tree.read(name)) for name in names}
    return branches, root.branch, root.head, files, root.state(), root.stage.root


@pytest.mark.parametrize("verb", VERBS)
def test_nothing_has_changed(verb: str) -> None:
    store, repository = build()
    before = picture(repository)
    store.is_failing = True
    with pytest.raises(StoreError, match="the disk is gone"):
        VERBS[verb](repository)
    assert picture(repository) == before
    repository.checkpoint()
    store.drop_unpublished()
    assert picture(Repository.open(store, FixedClock(), IDENTITY)) == before


@pytest.mark.parametrize("verb", VERBS)
def test_it_succeeds_afterwards(verb: str) -> None:
    store, repository = build()
    store.is_failing = True
    with pytest.raises(StoreError):
        VERBS[verb](repository)
    VERBS[verb](repository)
    after = picture(repository)
    repository.checkpoint()
    store.drop_unpublished()
    assert picture(Repository.open(store, FixedClock(), IDENTITY)) == after


def test_undo_of_a_detaching_checkout_gives_back_what_it_discarded() -> None:
    _, repository = build()
    tree = TreeBuilder(repository.root.workspace)
    commit_of(repository, "HEAD~1")
    tree.write(b"a", b"an idea, detached")
    repository.checkout_branch("main")
    assert tree.read(b"a") == b"two"
    commit_of(repository, "HEAD")
    assert tree.read(b"a") == b"two"
    undo(repository, repository.root)
    assert repository.root.branch is None
    assert tree.read(b"a") == b"an idea, detached"


def test_undo_of_a_detaching_checkout_leads_back_to_the_branch() -> None:
    _, repository = build()
    tree = TreeBuilder(repository.root.workspace)
    commit_of(repository, "HEAD~1")
    assert repository.root.branch is None
    with pytest.raises(NotFound):
        redo(repository.root)
    undo(repository, repository.root)
    assert repository.root.branch == "main"
    assert tree.read(b"b") == b"uncommitted"
