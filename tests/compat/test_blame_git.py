"""Blame against the real git, over random histories of one file that is edited, moved, merged."""

from __future__ import annotations

import subprocess
from pathlib import Path
from random import Random

import pytest

from heliosfs.objects.ids import CommitId
from heliosfs.repo.blame import Blame
from heliosfs.repo.history import History
from heliosfs.repo.merge.text import merge_texts
from heliosfs.steps import run_to_end
from tests.compat.merge_fuzz import FILE, Both, Node
from tests.compat.texts import edited, text
from tests.git_repository import ENVIRONMENT


def blamed_history(random: Random, size: int, count: int) -> tuple[list[Node], bytes]:
    """Commits of a file, and its name in the last one."""
    nodes = [Node([], {b"f": (FILE, b"".join(text(random, size)))})]
    names = [b"f"]
    tips = [0]
    while len(nodes) < count:
        if len(tips) > 1 and random.random() < 0.3:
            one, two = random.sample(tips, 2)
            base = nodes[0].tree[b"f"][1]
            ours, theirs = (nodes[each].tree[names[each]][1] for each in (one, two))
            data = merge_texts(base, ours, theirs).data
            tips = [each for each in tips if each not in (one, two)] or []
            parents, name = [one, two], names[one]
        else:
            parents = [random.choice(tips)]
            name = names[parents[0]]
            lines = nodes[parents[0]].tree[name][1].splitlines(keepends=True)
            data = b"".join(edited(random, lines)) or b"\n"
            if random.random() < 0.1:
                name = b"moved %d" % len(nodes)
                data = nodes[parents[0]].tree[names[parents[0]]][1] or b"\n"
            if random.random() < 0.7:
                tips.remove(parents[0])
        nodes.append(Node(parents, {name: (FILE, data)}))
        names.append(name)
        tips.append(len(nodes) - 1)
    return nodes, names[-1]


def by_git(directory: Path, mark: int, path: bytes) -> list[int]:
    """The mark of the commit that each line is from."""

    def run(*argv: str) -> bytes:
        return subprocess.run(
            ["git", *argv], cwd=directory, capture_output=True, check=True, env=ENVIRONMENT
        ).stdout

    rows = run("for-each-ref", "refs/marks", "--format=%(objectname) %(refname:lstrip=2)")
    marks = {row.split()[0]: int(row.split()[1]) for row in rows.splitlines()}
    blame = run("blame", "--root", "-l", "-s", f"refs/marks/{mark}", "--", path.decode())
    return [marks[line.split()[0]] for line in blame.splitlines()]


def by_heliosfs(both: Both, oid: CommitId, path: bytes, data: bytes) -> list[CommitId]:
    steps = Blame(both.store, History(both.store)).run(oid, path, data)
    found = run_to_end(steps, both.store)
    assert all(each is not None and not each.is_boundary for each in found)
    return [each.commit for each in found if each is not None]


def differences(directory: Path, seed: int, size: int, count: int) -> int:
    """Return the number of lines of the last version that the two blame on different commits."""
    nodes, path = blamed_history(Random(seed), size, count)
    both = Both(directory)
    written = both.write(nodes)
    both.send()
    mark, oid = written[-1]
    marks = {each: mark for mark, each in written}
    here = [marks[each] for each in by_heliosfs(both, oid, path, nodes[-1].tree[path][1])]
    git = by_git(directory, mark, path)
    assert len(git) == len(here)
    return sum(one != other for one, other in zip(git, here, strict=True))


@pytest.mark.parametrize(("seed", "size", "count"), [(1, 60, 30), (2, 400, 15), (3, 10, 40)])
def test_each_line_is_from_the_commit_that_git_names(
    tmp_path: Path, seed: int, size: int, count: int
) -> None:
    assert differences(tmp_path / "git", seed, size, count) == 0
