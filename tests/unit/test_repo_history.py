"""Revisions, and walks through history."""

from __future__ import annotations

import errno

import pytest

from heliosfs.errors import Ambiguous, Busy, MissingObject, NotFound, UsageError
from heliosfs.objects.commit import Commit, Signature
from heliosfs.objects.ids import CommitId, Oid
from heliosfs.repo.ancestry import find_merge_bases, reaches
from heliosfs.repo.repository import Repository
from heliosfs.repo.revisions import is_stable, resolve
from heliosfs.steps import at_once
from tests.tree_builder import Stage


def commit(repository: Repository, message: str, seconds: int, *parents: CommitId) -> CommitId:
    """A commit of the working tree with any parents."""
    who = Signature(b"n", b"e", seconds, 0)
    root = repository.root.state().root
    return repository.history.write(Commit(root, parents, who, who, message.encode()))


def names(stage: Stage, start: CommitId) -> str:
    return "".join(made.subject for _, made in stage.repository.history.walk(start))


@pytest.fixture
def stage() -> Stage:
    stage = Stage()
    for number in range(4):
        stage.commit(f"c{number}", a=b"%d" % number)
    return stage


def test_ways_to_name_a_commit(stage: Stage) -> None:
    ids = stage.run("rev-parse", "HEAD", "HEAD~1", "HEAD~2", "HEAD~3").split()
    ways = (
        ("HEAD", "@", "main", "HEAD~0", "HEAD^0", ids[0], ids[0][:4]),
        ("HEAD~", "HEAD^", "HEAD~1", "main^1", ids[1]),
        ("main~2", "HEAD^^", "HEAD~1^", f"{ids[1]}~1", ids[2][:12]),
        ("HEAD~1^~1", ids[3][:63]),
    )
    for at, revision in ((at, each) for at, names in enumerate(ways) for each in names):
        assert stage.run("rev-parse", revision) == ids[at] + "\n", revision
    assert stage.run("rev-parse", "--short", "HEAD~1") == ids[1][:12] + "\n"
    assert stage.run("rev-parse", "--abbrev-ref", "HEAD") == "main\n"
    assert is_stable(ids[0])
    assert not is_stable(ids[0][:12])


@pytest.mark.parametrize(
    "revision",
    ["HEAD~4", "HEAD~99", "HEAD^2", "nope", "0" * 64, "f" * 63, "0" * 65, "abc", "HEAD~999999999"],
)
def test_unknown_revisions(stage: Stage, revision: str) -> None:
    with pytest.raises(NotFound) as caught:
        stage.run("rev-parse", revision)
    assert caught.value.errno == errno.ENOENT
    assert revision[:12] in str(caught.value)


@pytest.mark.parametrize("revision", ["", "~1", "^", "HEAD~x", "HEAD~1 x"])
def test_what_is_no_revision(stage: Stage, revision: str) -> None:
    with pytest.raises(UsageError):
        stage.run("rev-parse", "--", revision)


def test_ambiguous_prefix(stage: Stage) -> None:
    known: dict[str, CommitId] = {}
    for number in range(2000):
        oid = commit(stage.repository, str(number), number)
        twin = known.setdefault(oid.hex()[:4], oid)
        if twin != oid:
            break
    else:
        pytest.fail("2,000 ids without two that begin alike")
    prefix = oid.hex()[:4]
    with pytest.raises(Ambiguous, match=f"{prefix!r} is the beginning of 2 ids") as caught:
        stage.run("rev-parse", prefix)
    assert caught.value.errno == errno.ENOTUNIQ
    assert twin.hex()[:8] in str(caught.value)
    stage.repository.refs.create(prefix, oid)
    assert stage.run("rev-parse", prefix) == oid.hex() + "\n"


def test_tags_go_after_branches(stage: Stage) -> None:
    old = resolve(stage.repository, "HEAD~2", stage.view.head)
    stage.repository.refs.tags["v1"] = old
    assert stage.run("rev-parse", "v1") == old.hex() + "\n"
    stage.run("branch", "v1")
    assert stage.run("rev-parse", "v1") == stage.head + "\n"
    assert "tag: v1" in stage.run("log", "--oneline", "--decorate")


def test_parents_of_a_merge(stage: Stage) -> None:
    one, two = (resolve(stage.repository, each, stage.view.head) for each in ("HEAD", "HEAD~2"))
    merge = commit(stage.repository, "merge", 2_000_000_000, one, two)
    assert resolve(stage.repository, f"{merge.hex()}^2", None) == two
    assert resolve(stage.repository, f"{merge.hex()}^1", None) == one
    assert f"Merge: {one.hex()[:12]} {two.hex()[:12]}\n" in stage.run("log", merge.hex())


def test_walk_gives_no_commit_before_its_children(stage: Stage) -> None:
    repository = stage.repository
    base = commit(repository, "o", 100)
    left = commit(repository, "l", 50, base)  # its clock was wrong: older than its parent
    right = commit(repository, "r", 200, base)
    merge = commit(repository, "m", 300, left, right, right)
    top = commit(repository, "t", 400, merge)
    assert names(stage, top) == "tmrlo"
    assert at_once(reaches(repository.history, [top], base))
    assert not at_once(reaches(repository.history, [base], top))
    assert list(repository.history.walk(None)) == []


def test_walk_reads_only_what_it_gives(stage: Stage) -> None:
    repository = stage.repository
    missing = CommitId(Oid(b"\1" * 32))
    top = missing
    for number in range(200):
        top = commit(repository, str(number), number, top)
    walk = repository.history.walk(top)
    for number in range(200):
        assert next(walk)[1].subject == str(199 - number)
    with pytest.raises(MissingObject):
        next(walk)
    assert stage.run("log", "--oneline", "-200", top.hex()).count("\n") == 200


def test_the_cache_of_commits_stays_bounded(stage: Stage) -> None:
    for number in range(2100):
        commit(stage.repository, str(number), number)
    assert len(stage.repository.history._cache) <= 2048


def test_many_tips_share_one_walk(stage: Stage) -> None:
    """A commit is looked at once however many refs there are, and others have turns between."""
    repository = stage.repository
    base = lone = commit(repository, "base", 1)
    trunk = base
    for second in range(2, 200):
        trunk = commit(repository, "trunk", second, trunk)
    lone = commit(repository, "lone", 150, base)
    tips = [commit(repository, f"tip {each}", 300 + each, trunk) for each in range(50)]

    steps = reaches(repository.history, tips, lone)
    turns = 0
    with pytest.raises(StopIteration) as done:
        while True:
            next(steps)
            turns += 1
    assert done.value.value is False
    assert len(tips) + 190 < turns < len(tips) + 210
    assert at_once(reaches(repository.history, tips, base))
    assert at_once(reaches(repository.history, [lone, base], base))
    assert not at_once(reaches(repository.history, tips, base, limit=20))
    assert at_once(reaches(repository.history, tips[:8], base, limit=20))
    assert at_once(find_merge_bases(repository.history, lone, tips[0])) == [base]


def test_deleting_a_branch_asks_all_refs_at_once(stage: Stage) -> None:
    stage.commit("base")
    for name in ("kept", "lost", "twin"):
        stage.run("branch", name)
    stage.live("lost").write(b"f", b"lost")
    stage.run("commit", "-m", "only here", branch="lost")
    with pytest.raises(Busy, match="'lost' has commits that nothing else reaches"):
        stage.run("branch", "-d", "kept", "lost")
    assert "kept" in stage.repository.refs
    stage.run("branch", "-f", "twin", "lost")
    with pytest.raises(Busy, match="nothing else reaches"):
        stage.run("branch", "-d", "lost", "twin")
    stage.run("branch", "-d", "kept", "lost")
    assert sorted(each.name for each in stage.repository.refs) == ["main", "twin"]
    assert "Deleted branch twin" in stage.run("branch", "-D", "twin")
