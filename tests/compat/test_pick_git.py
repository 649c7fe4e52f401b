"""cherry-pick and revert against the real git: one verdict, one tree, one message."""

from __future__ import annotations

import subprocess
from pathlib import Path
from random import Random

import pytest

from heliosfs.errors import Conflicted, NothingToCommit
from heliosfs.repo import view_pick
from heliosfs.repo.pick_note import CHERRY_PICK, REVERT, PickOptions
from tests.compat.merge_fuzz import Author, Both, git_tree, history
from tests.git_repository import ENVIRONMENT


class Worktree:
    """A working tree of a bare repository."""

    def __init__(self, repository: Path, path: Path) -> None:
        self.path = path
        self.run("worktree", "add", "-q", "--detach", str(path), "refs/marks/1", cwd=repository)

    def run(self, *argv: str, cwd: Path | None = None) -> str:
        return self.ask(*argv, cwd=cwd)[1]

    def ask(self, *argv: str, cwd: Path | None = None) -> tuple[int, str]:
        done = subprocess.run(
            ["git", "-c", "merge.directoryRenames=false", *argv],
            cwd=cwd or self.path,
            capture_output=True,
            check=False,
            env=ENVIRONMENT,
            timeout=60,
        )
        assert done.returncode in (0, 1), done.stderr
        return done.returncode, done.stdout.decode()


@pytest.mark.parametrize("verb", [CHERRY_PICK, REVERT])
def test_picks_are_those_of_git(tmp_path: Path, verb: str) -> None:
    both = Both(tmp_path / "git")
    random = Random(3)
    written = [both.write(history(Author(Random(seed), repeats=True))) for seed in range(300, 330)]
    both.send()
    tree = Worktree(tmp_path / "git", tmp_path / "work")
    clean = 0
    for commits in written:
        (mark, oid), (onto_mark, onto) = random.choice(commits), commits[-1]
        mainline = min(1, max(0, len(both.parents(oid)) - 1))
        tree.run("checkout", "-q", "--force", "--detach", f"refs/marks/{onto_mark}")
        tree.run("clean", "-qfdx")
        words = ["-m", "1"] if mainline else []
        free = ["--allow-empty-message"] if verb == CHERRY_PICK else ["--no-edit"]
        code, _ = tree.ask(verb, *free, *words, f"refs/marks/{mark}")
        view = both.view
        view.reset(onto)
        try:
            view_pick.pick(view, [oid], PickOptions(verb, mainline), view_pick.ConflictHandling())
        except (Conflicted, NothingToCommit):
            assert code == 1
            tree.run("reset", "-q", "--hard")
            continue
        assert code == 0
        clean += 1
        made = both.commit(view.head)
        assert tree.run("rev-parse", "HEAD^{tree}").strip() == git_tree(both.store, made.root, {})
    assert clean >= 3
