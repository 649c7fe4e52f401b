""".heliosignore: what stays out of commits, and what becomes of it."""

from __future__ import annotations

import json

import pytest

from heliosfs.commands.render import text_of
from heliosfs.errors import NothingToCommit, NotPermitted
from heliosfs.objects.ids import Kind, Oid, TreeId
from heliosfs.trees.stored import EMPTY_TREE, walk_changes
from tests.tree_builder import Stage


@pytest.fixture
def stage() -> Stage:
    stage = Stage()
    stage.files.write(b".heliosignore", b"*.o\n/build/\n!keep.o\n")
    stage.files.write(b"a.c", b"1\n")
    stage.files.write(b"src/b.c", b"1\n")
    stage.commit("first")
    stage.files.write(b"a.o", b"object\n")
    stage.files.write(b"src/b.o", b"object\n")
    stage.files.write(b"build/x/y", b"built\n")
    stage.files.write(b"obj/z.o", b"object\n")
    return stage


IGNORED = ["a.o", "build/x/y", "obj/z.o", "src/b.o"]


def committed(stage: Stage) -> list[str]:
    """The files of HEAD."""
    root = stage.view.head_root()
    assert root is not None
    changes = walk_changes(stage.store, EMPTY_TREE, TreeId(root.oid))
    return [text_of(each.path) for each in changes if each.new and not each.new.is_dir]


def here(stage: Stage) -> list[str]:
    """The files of the working tree."""
    return sorted(
        path.decode() for path, (mode, _) in stage.files.tree().items() if mode & 0o100000
    )


def test_what_is_ignored_is_no_change(stage: Stage) -> None:
    assert stage.run("status", "-s") == ""
    assert stage.run("diff") == ""
    assert "working tree clean" in stage.run("status")
    with pytest.raises(NothingToCommit):
        stage.run("commit", "-m", "nothing")
    assert stage.run("status", "-s", "--ignored") == "!! a.o\n!! build/\n!! obj/\n!! src/b.o\n"
    assert stage.run("status", "--ignored").endswith(
        "\nIgnored files:\n\ta.o\n\tbuild/\n\tobj/\n\tsrc/b.o\n"
    )
    said = json.loads(stage.run("status", "--json", "--ignored"))
    assert (said["clean"], said["ignored"]) == (True, ["a.o", "build", "obj", "src/b.o"])


def test_a_commit_leaves_it_out_and_in_place(stage: Stage) -> None:
    stage.files.write(b"src/b.c", b"2\n")
    stage.files.write(b"src/new.c", b"2\n")
    stage.files.write(b"keep.o", b"kept\n")
    stage.run("commit", "-m", "second")
    assert committed(stage) == [".heliosignore", "a.c", "keep.o", "src/b.c", "src/new.c"]
    assert here(stage) == sorted([*committed(stage), *IGNORED])
    stage.run("commit", "--amend", "-m", "again")
    assert committed(stage) == [".heliosignore", "a.c", "keep.o", "src/b.c", "src/new.c"]
    assert stage.run("status", "-s") == ""


def test_what_is_tracked_is_not_ignored(stage: Stage) -> None:
    stage.run("add", "-f", "a.o", "build")
    assert stage.run("status", "-s") == "A  a.o\nA  build/x/y\n"
    stage.run("commit", "-m", "forced")
    stage.files.write(b"a.o", b"changed\n")
    stage.files.write(b"build/x/other", b"new\n")
    assert stage.run("status", "-s") == " M a.o\n"
    stage.run("commit", "-m", "second")
    assert "build/x/other" not in committed(stage)
    stage.files.remove(b"a.o")
    assert stage.run("status", "-s") == " D a.o\n"


def test_adding_an_ignored_path_takes_force(stage: Stage) -> None:
    stage.files.write(b"src/b.c", b"2\n")
    with pytest.raises(NotPermitted, match=r"'src/b\.o' is ignored"):
        stage.run("add", "src/b.c", "src/b.o")
    assert stage.run("status", "-s") == " M src/b.c\n"
    stage.run("add", "src")
    assert stage.run("status", "-s") == "M  src/b.c\n"
    stage.run("add", "-f", "src")
    assert stage.run("status", "-s") == "M  src/b.c\nA  src/b.o\n"


def test_reset_and_checkout_of_a_commit_leave_it_alone(stage: Stage) -> None:
    stage.files.write(b"src/b.c", b"2\n")
    stage.run("commit", "-m", "second")
    stage.files.write(b"src/b.c", b"3\n")
    stage.files.write(b"extra", b"3\n")
    stage.run("reset", "--hard", "HEAD~1")
    assert here(stage) == sorted([".heliosignore", "a.c", "src/b.c", *IGNORED])
    assert stage.files.read(b"src/b.c") == b"1\n"
    stage.run("checkout", "main~0")
    assert here(stage) == sorted([".heliosignore", "a.c", "src/b.c", *IGNORED])
    stage.run("checkout", "main")
    assert here(stage) == sorted([".heliosignore", "a.c", "src/b.c", *IGNORED])


def test_where_a_commit_has_the_path_the_commit_wins(stage: Stage) -> None:
    stage.run("add", "-f", "a.o")
    stage.run("commit", "-m", "with a.o")
    with_it = stage.head
    stage.run("reset", "--hard", "HEAD~1")
    assert "a.o" not in here(stage)
    stage.files.write(b"a.o", b"mine\n")
    stage.files.write(b"build/x/y", b"mine\n")
    stage.run("reset", "--hard", with_it)
    assert stage.files.read(b"a.o") == b"object\n"
    stage.run("undo")
    assert stage.files.read(b"a.o") == b"mine\n"
    assert stage.files.read(b"build/x/y") == b"mine\n"
    stage.run("commit", "--allow-empty", "-m", "on top")
    stage.files.remove(b"build")
    stage.files.write(b"build", b"a file\n")
    stage.run("commit", "-m", "a file named build")
    stage.run("checkout", "HEAD~1")
    stage.files.write(b"build/x/y", b"again\n")
    stage.run("checkout", "main")
    stage.run("checkout", "-")
    stage.run("reset", "--hard", "main")
    assert stage.files.read(b"build") == b"a file\n"


def test_undo_and_redo_leave_it_alone(stage: Stage) -> None:
    stage.files.write(b"a.c", b"2\n")
    stage.run("commit", "-m", "second")
    stage.files.write(b"a.o", b"newer\n")
    stage.files.remove(b"build")
    stage.files.write(b"later.o", b"later\n")
    stage.run("undo")
    assert stage.run("status", "-s") == " M a.c\n"
    assert stage.files.read(b"a.o") == b"newer\n"
    # What is gone since then comes back with the rest.
    assert here(stage) == sorted([".heliosignore", "a.c", "src/b.c", "later.o", *IGNORED])
    stage.run("redo")
    assert stage.files.read(b"a.o") == b"newer\n"
    assert stage.run("status", "-s") == ""


def test_restore_of_a_directory_leaves_it_alone(stage: Stage) -> None:
    stage.files.write(b"src/b.c", b"2\n")
    stage.files.write(b"src/extra", b"2\n")
    stage.run("restore", "src")
    assert here(stage) == sorted([".heliosignore", "a.c", "src/b.c", *IGNORED])


def test_nested_ignore_files(stage: Stage) -> None:
    stage.files.write(b"src/.heliosignore", b"/local\n!b.o\n# a remark\n\\#x\n")
    stage.files.write(b"src/local", b"1\n")
    stage.files.write(b"src/deep/local", b"1\n")
    stage.files.write(b"src/#x", b"1\n")
    stage.files.write(b"local", b"1\n")
    assert stage.run("status", "-s") == (
        " A local\n A src/.heliosignore\n A src/b.o\n A src/deep/local\n"
    )
    stage.run("commit", "-m", "nested")
    assert stage.run("status", "-s", "--ignored") == (
        "!! a.o\n!! build/\n!! obj/\n!! src/#x\n!! src/local\n"
    )


def test_a_rule_that_comes_or_goes(stage: Stage) -> None:
    stage.files.write(b".heliosignore", b"")
    assert stage.run("status", "-s") == (
        " M .heliosignore\n A a.o\n A build/x/y\n A obj/z.o\n A src/b.o\n"
    )
    stage.files.write(b".heliosignore", b"*\n!.heliosignore\n")
    assert stage.run("status", "-s") == " M .heliosignore\n"
    stage.files.remove(b".heliosignore")
    stage.run("commit", "-m", "all")
    assert committed(stage) == here(stage)


def test_it_survives_a_reopening_and_a_branch(stage: Stage) -> None:
    stage.files.write(b"a.c", b"2\n")
    stage.reopen()
    assert stage.run("status", "-s") == " M a.c\n"
    stage.run("checkout", "-b", "forked")
    assert here(stage) == sorted([".heliosignore", "a.c", "src/b.c", *IGNORED])
    stage.run("commit", "-m", "on forked")
    stage.run("checkout", "main")
    assert stage.run("status", "-s", "--ignored") == (
        " M a.c\n!! a.o\n!! build/\n!! obj/\n!! src/b.o\n"
    )
    stage.run("commit", "-m", "on main")
    stage.run("branch", "-D", "forked")
    stage.run("branch", "-m", "main", "trunk")
    stage.run("branch", "other")
    stage.run("checkout", "other")
    stage.files.write(b"new.o", b"new\n")
    stage.run("checkout", "trunk")
    assert "new.o" not in here(stage)
    stage.run("branch", "-d", "other")


def test_merge_and_ignored_files(stage: Stage) -> None:
    stage.run("branch", "side")
    stage.live("side").write(b"src/side.c", b"1\n")
    stage.run("commit", "-m", "side", branch="side")
    stage.run("merge", "side")
    assert here(stage) == sorted([".heliosignore", "a.c", "src/b.c", "src/side.c", *IGNORED])
    assert stage.run("status", "-s") == ""


@pytest.mark.parametrize("odd", [b"\xff*\n", b"a\r\n*.o\r\n", b"\xef\xbb\xbf*.o\n", b"[\n!\n*.o\n"])
def test_odd_ignore_files(stage: Stage, odd: bytes) -> None:
    stage.files.write(b".heliosignore", odd)
    stage.files.write(b"\xfff", b"1\n")
    stage.run("commit", "-m", "odd")
    assert ("a.o" in committed(stage)) == (odd == b"\xff*\n")


def test_an_ignore_file_that_is_no_file(stage: Stage) -> None:
    stage.files.remove(b".heliosignore")
    stage.files.symlink(b".heliosignore", b"a.c")
    assert " A a.o\n" in stage.run("status", "-s")


def test_without_rules_nothing_is_walked(stage: Stage) -> None:
    plain = Stage()
    plain.files.write(b"d/a", b"1\n")
    plain.commit("first")
    plain.files.write(b"d/b", b"1\n")
    plain.commit("second")
    assert not plain.view.workspace.has_rules
    assert plain.view.selected() == plain.view.head_root()
    assert stage.view.workspace.has_rules


def test_a_commit_costs_what_changed(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(300):
        stage.files.write(b"many/%d/x.c" % number, b"1\n")
        stage.files.write(b"many/%d/x.o" % number, b"1\n")
    stage.run("commit", "-m", "many")
    stage.run("status")
    reads = 0
    read = stage.store.read

    def counted(oid: Oid, kind: Kind) -> bytes:
        nonlocal reads
        reads += 1
        return read(oid, kind)

    monkeypatch.setattr(stage.store, "read", counted)
    for verb in (["status"], ["commit", "-m", "one"], ["diff"], ["reset", "--hard", "HEAD~1"]):
        stage.files.write(b"many/7/x.c", verb[0].encode())
        reads = 0
        stage.run(*verb)
        assert reads < 100, verb
    assert stage.files.read(b"many/8/x.o") == b"1\n"


def test_an_ignore_file_deep_below_goes_on_working() -> None:
    stage = Stage()
    stage.files.write(b"d/e/.heliosignore", b"*.o\n")
    stage.files.write(b"f", b"1\n")
    stage.commit("first")
    stage.files.write(b"d/e/x.o", b"object\n")
    for number in range(2, 6):
        stage.files.write(b"f", b"%d\n" % number)
        assert stage.run("status", "-s") == " M f\n"
        stage.run("commit", "-m", "only f")
        assert sorted(committed(stage)) == ["d/e/.heliosignore", "f"]
        if number == 3:
            stage.reopen()


def test_nobody_looks_before_a_verb_needs_it(stage: Stage) -> None:
    """A view opens whatever is the matter with its HEAD."""
    stage.commit("second")
    stage.reopen()
    assert stage.view.workspace.has_rules
    stage.run("status")
    plain = Stage()
    plain.commit("first", a=b"1\n")
    plain.files.write(b"b", b"1\n")
    plain.reopen()
    assert plain.view.workspace.has_rules
    plain.run("commit", "-m", "second")
    assert not plain.view.workspace.has_rules


INCLUDE = b"#!include:.gitignore\n"


def test_git_ignore_files_count_where_a_line_takes_them_in() -> None:
    stage = Stage()
    stage.files.write(b".gitignore", b"*.o\n")
    stage.files.write(b"x.o", b"1\n")
    assert stage.run("status", "-s") == " A .gitignore\n A x.o\n"
    stage.files.write(b".heliosignore", b"  " + INCLUDE)
    assert " A x.o\n" in stage.run("status", "-s")
    stage.files.write(b".heliosignore", b"# ours\r\n" + INCLUDE.replace(b"\n", b" \r\n"))
    assert stage.run("status", "-s") == " A .gitignore\n A .heliosignore\n"
    # Nearer ones win, and of one directory ours.
    stage.files.write(b"d/.gitignore", b"!x.o\n/build/\n")
    for path in (b"d/x.o", b"d/y.o", b"d/build/z", b"d/e/y.o", b"d/e/build/z"):
        stage.files.write(path, b"1\n")
    assert stage.run("ls-files", "--others", "--exclude-standard").split() == [
        *(".gitignore", ".heliosignore", "d/.gitignore", "d/e/build/z", "d/x.o")
    ]
    stage.files.write(b"d/.heliosignore", b"x.o\n!y.o\n")
    assert stage.run("check-ignore", "-v", "d/x.o") == "d/.heliosignore:1:x.o\td/x.o\n"
    assert stage.run("check-ignore", "-v", "x.o") == ".gitignore:1:*.o\tx.o\n"
    stage.commit("all")
    assert "d/y.o" in committed(stage)
    assert "d/x.o" not in committed(stage)


def test_the_line_in_a_directory_counts_there() -> None:
    stage = Stage()
    for place in (b"", b"d/", b"d/e/"):
        stage.files.write(place + b".gitignore", b"*.o\n")
        stage.files.write(place + b"x.o", b"1\n")
    stage.files.write(b"d/.heliosignore", INCLUDE)
    stage.commit("all")
    assert [path for path in sorted(committed(stage)) if path.endswith("x.o")] == ["x.o"]


def test_what_git_excludes_by_itself_counts_as_it_is_now() -> None:
    stage = Stage()
    stage.files.write(b".heliosignore", INCLUDE)
    stage.commit("first")
    stage.files.write(b"notes", b"1\n")
    stage.files.write(b"d/notes", b"1\n")
    assert stage.run("status", "-s") == " A d/notes\n A notes\n"
    stage.files.write(b".git/info/exclude", b"/notes\n")
    assert stage.run("status", "-s", "--ignored") == " A d/notes\n!! notes\n"
    stage.reopen()
    assert stage.run("check-ignore", "-v", "notes") == ".git/info/exclude:1:/notes\tnotes\n"
    stage.files.write(b".git/info/exclude", b"notes\n")
    assert stage.run("status", "-s") == ""
    # A `.gitignore` comes before it, whichever is nearer.
    stage.files.write(b".gitignore", b"!/d/notes\n")
    stage.run("commit", "-m", "second")
    assert sorted(committed(stage)) == [".gitignore", ".heliosignore", "d/notes"]
    stage.run("reset", "--hard", "HEAD~1")
    assert stage.files.read(b"notes") == b"1\n"
