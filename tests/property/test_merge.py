"""merge of random edits: what must hold whatever the two sides did."""

from __future__ import annotations

from collections.abc import Mapping

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from heliosfs.errors import Conflicted
from heliosfs.objects.ids import CommitId
from heliosfs.repo.ancestry import merge_bases, reaches
from heliosfs.repo.merge.text import Favor, merge_texts
from heliosfs.steps import at_once
from tests.tree_builder import Stage, TreeBuilder

Tree = dict[bytes, bytes]

PATHS = st.sampled_from([b"a", b"b", b"c", b"d/a", b"d/e/f", b"g/h"])
CONTENTS = st.lists(st.sampled_from([b"1\n", b"2\n", b"3\n", b"4\n"]), max_size=6).map(b"".join)
TREES = st.dictionaries(PATHS, CONTENTS, max_size=6)
LINES = st.lists(st.sampled_from([b"a\n", b"b\n", b"c\n", b"d\n", b"e"]), max_size=8).map(b"".join)


def become(files: TreeBuilder, tree: Mapping[bytes, bytes]) -> None:
    """Make the files of a workspace those of the tree, without a directory that is empty."""
    for path, (mode, _) in files.tree().items():
        if mode & 0o100000 and path not in tree:
            files.remove(path)
    for path, (mode, _) in sorted(files.tree().items(), reverse=True):
        if mode & 0o040000 and not any(each.startswith(path + b"/") for each in tree):
            files.remove(path)
    for path, data in tree.items():
        files.write(path, data)


def content(files: TreeBuilder) -> Tree:
    return {path: data for path, (mode, data) in files.tree().items() if mode & 0o100000}


def stage_of(base: Tree, ours: Tree, theirs: Tree) -> Stage:
    """A base on `main`, ours on `main`, theirs on `x`."""
    stage = Stage()
    become(stage.files, base)
    stage.run("commit", "--allow-empty", "-m", "base")
    stage.run("branch", "x")
    become(stage.live("x"), theirs)
    stage.run("commit", "--allow-empty", "-m", "theirs", branch="x")
    become(stage.files, ours)
    stage.run("commit", "--allow-empty", "-m", "ours")
    return stage


def model(base: Tree, ours: Tree, theirs: Tree) -> Tree:
    """Return the result of disjoint edits: of each path, the side that changed it."""
    paths = {*base, *ours, *theirs}
    picked = {
        path: theirs.get(path) if ours.get(path) == base.get(path) else ours.get(path)
        for path in paths
    }
    return {path: data for path, data in picked.items() if data is not None}


@settings(max_examples=60, deadline=None)
@given(base=TREES, ours=TREES, theirs=TREES)
def test_edits_of_different_files_merge(base: Tree, ours: Tree, theirs: Tree) -> None:
    """Files whose contents are all different are no renames of each other."""
    both = {path for path in {*ours, *theirs, *base} if path > b"c"}
    base, ours, theirs = (
        {path: b"%s of %s\n" % (data or b"0\n", path) for path, data in tree.items()}
        for tree in (base, ours, theirs)
    )
    ours = {path: data for path, data in ours.items() if path not in both}
    ours |= {path: base[path] for path in both if path in base}
    theirs = {path: data for path, data in theirs.items() if path in both}
    theirs |= {path: data for path, data in base.items() if path not in both}
    stage = stage_of(base, ours, theirs)
    stage.run("merge", "x")
    assert content(stage.files) == model(base, ours, theirs)
    assert stage.run("status", "-s") == ""


@settings(max_examples=60, deadline=None)
@given(base=TREES, ours=TREES, theirs=TREES)
def test_both_directions_agree_and_a_refusal_changes_nothing(
    base: Tree, ours: Tree, theirs: Tree
) -> None:
    stage, other = stage_of(base, ours, theirs), stage_of(base, theirs, ours)
    before = stage.head
    outcomes = []
    for each in (stage, other):
        try:
            each.run("merge", "--no-ff", "x")
            outcomes.append(content(each.files))
        except Conflicted:
            outcomes.append({})
    assert outcomes[0] == outcomes[1]
    clean = "clean" in stage.run("merge", "--dry-run", "x") or stage.head != before
    assert clean == (stage.head != before)
    if stage.head == before:
        assert content(stage.files) == ours
        assert stage.run("status", "-s") == ""
    else:
        stage.run("undo")
        assert (stage.head, content(stage.files)) == (before, ours)


@settings(max_examples=40, deadline=None)
@given(base=TREES, ours=TREES, theirs=TREES)
def test_a_favoured_side_and_markers_always_come_to_an_end(
    base: Tree, ours: Tree, theirs: Tree
) -> None:
    for option in ("--ours", "--theirs", "--markers"):
        stage = stage_of(base, ours, theirs)
        before = stage.head
        stage.run("merge", "--no-ff", option, "x")
        is_open = stage.view.merging is not None
        assert option == "--markers" or not is_open
        stage.reopen()
        assert (stage.view.merging is not None) == is_open
        if is_open:
            stage.run("merge", "--abort")
            assert (stage.head, content(stage.files)) == (before, ours)
        else:
            assert "Already" in stage.run("merge", "x")


@given(base=LINES, ours=LINES)
def test_text_of_one_side(base: bytes, ours: bytes) -> None:
    assert merge_texts(base, ours, base).data == ours
    assert merge_texts(base, base, ours).data == ours
    assert merge_texts(base, ours, ours).data == ours


@given(base=LINES, ours=LINES, theirs=LINES)
def test_text_of_both_sides(base: bytes, ours: bytes, theirs: bytes) -> None:
    one, two = merge_texts(base, ours, theirs), merge_texts(base, theirs, ours)
    assert one.conflict_count == two.conflict_count
    if not one.conflict_count:
        assert one.data == two.data
    mine = merge_texts(base, ours, theirs, favor=Favor.OURS)
    other = merge_texts(base, theirs, ours, favor=Favor.THEIRS)
    assert (mine.conflict_count, other.conflict_count) == (0, 0)
    assert mine.data == other.data
    assert (b"<<<<<<< ours" in one.data) == bool(one.conflict_count)


@settings(max_examples=300, deadline=None)
@given(data=st.data(), seconds=st.lists(st.integers(0, 3), min_size=2, max_size=14))
def test_merge_bases_by_definition(data: st.DataObject, seconds: list[int]) -> None:
    """Against sets of ancestors, with clocks that run as they like."""
    stage = Stage()
    stage.commit()
    history = stage.repository.history
    assert stage.view.head is not None
    pattern = history.read(stage.view.head)
    ids: list[CommitId] = []
    above: list[set[int]] = []
    for at, second in enumerate(seconds):
        parents = data.draw(st.sets(st.integers(0, at - 1), max_size=3)) if at else set()
        who = pattern.committer._replace(seconds=second)
        ids.append(
            history.write(
                pattern._replace(
                    parents=tuple(ids[each] for each in sorted(parents)),
                    committer=who,
                    message=b"%d" % at,
                )
            )
        )
        above.append({at}.union(*(above[each] for each in parents)))
    one, two = (data.draw(st.integers(0, len(ids) - 1)) for _ in range(2))
    assume(one != two)
    common = above[one] & above[two]
    best = {each for each in common if not any(each in above[other] - {other} for other in common)}
    assert set(merge_bases(history, ids[one], ids[two])) == {ids[each] for each in best}
    assert at_once(reaches(history, [ids[two]], ids[one])) == (one in above[two])
