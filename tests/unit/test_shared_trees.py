"""Trees that many paths share: two entries a level name 2**40 paths, and none may be visited.

Each test would not end if a verb went from path to path.
"""

from __future__ import annotations

import stat

import pytest

from heliosfs.git.filters import ConversionCounts, converted_in
from heliosfs.objects.blob import EMPTY_BLOB
from heliosfs.objects.ids import CommitId, TreeId
from heliosfs.objects.tree import Entry, encode_entry
from heliosfs.repo.branching import create_branch
from heliosfs.steps import at_once
from heliosfs.trees.stored import find_entry, walk_changes, write_entries
from tests.tree_builder import Stage

LEVELS = 40
TIME_NS = 10**18
PATH = b"/".join([b"d0", b"d1"] * (LEVELS // 2)) + b"/f"


def deep(stage: Stage, name: bytes = b"f", mtime_ns: int = TIME_NS) -> Entry:
    """A root below which every path ends in one file."""
    entry = Entry(name, stat.S_IFREG | 0o644, 0, 0, mtime_ns, 0, EMPTY_BLOB)
    tree = write_entries(stage.store, [encode_entry(entry)])
    for level in range(LEVELS):
        count = 2 if level else 0
        below = Entry(b"", stat.S_IFDIR | 0o755, 0, 0, TIME_NS, count, tree)
        names = (b"d0", b"d1")
        tree = write_entries(
            stage.store, [encode_entry(below._replace(name=name)) for name in names]
        )
    return Entry(b"", stat.S_IFDIR | 0o755, 0, 0, TIME_NS, 2, tree)


@pytest.fixture
def stage() -> Stage:
    """A repository with a branch `deep` beside a `main` that has one file."""
    stage = Stage()
    stage.commit(a=b"1\n")
    history = stage.repository.history
    assert stage.view.head is not None
    commit = history.read(stage.view.head)._replace(root=deep(stage))
    with stage.repository.transaction:
        create_branch(stage.repository, "deep", history.write(commit))
    return stage


def test_a_checkout_gives_new_times_to_all_paths(stage: Stage) -> None:
    stage.run("checkout", "deep")
    assert stage.run("status", "--short") == ""
    assert stage.run("diff") == stage.run("diff", "HEAD") == stage.run("diff", "deep") == ""
    root = stage.view.state().root
    shown = [find_entry(stage.store, root, path) for path in (PATH, PATH.replace(b"d0", b"d1", 1))]
    assert all(entry is not None and entry.mtime_ns > TIME_NS for entry in shown)
    assert shown[0] == shown[1]
    stage.run("checkout", "main")
    assert stage.run("status", "--short") == ""


def test_a_change_at_one_path_is_found_among_all(stage: Stage) -> None:
    stage.run("checkout", "deep")
    stage.files.write(PATH, b"new\n")
    assert stage.run("status", "--short") == f" M {PATH.decode()}\n"
    assert stage.run("diff", "--stat", "HEAD").endswith("1 file changed, 1 insertion(+)\n")
    old = CommitId(bytes.fromhex(stage.run("rev-parse", "HEAD").strip()))  # type: ignore[arg-type]
    stage.run("commit", "-m", "one path")
    assert stage.run("diff", "--name-only", old.hex(), "HEAD") == f"{PATH.decode()}\n"
    stage.run("reset", "--hard", "HEAD~1")
    assert stage.run("status", "--short") == ""


def test_times_alone_are_compared_once(stage: Stage) -> None:
    one, other = deep(stage), deep(stage, mtime_ns=TIME_NS + 1)
    assert one.oid != other.oid
    assert list(walk_changes(stage.store, TreeId(one.oid), TreeId(other.oid))) == []


def test_files_that_git_converts_are_looked_for_where_attributes_are(stage: Stage) -> None:
    assert at_once(converted_in(stage.store, deep(stage), b"")) == ConversionCounts()


def test_files_that_git_converts_are_counted_up_to_a_bound(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("heliosfs.git.filters._DIRECTORIES_MAX", 200)
    found = at_once(converted_in(stage.store, deep(stage), b"* ident\n"))
    assert found.is_partial
    assert str(found).startswith("at least ")
    stage.files.write(b"x/y/.gitattributes", b"*.bin filter=lfs\n")
    for path in (b"x/y/a.bin", b"x/y/b.txt", b"x/y/z/c.bin", b"x/c.bin", b"z/a.bin"):
        stage.files.write(path, b"1")
    found = at_once(converted_in(stage.store, stage.view.state().root, b""))
    assert found == ConversionCounts({"filter=lfs": 2}, 2)  # type: ignore[arg-type]
