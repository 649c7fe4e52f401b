"""status and diff: what is shown of which change.  The format itself: tests/compat."""

from __future__ import annotations

import json

import pytest

from heliosfs.commands.diff import form
from heliosfs.commands.render import below, quote_path, relative
from heliosfs.errors import Ambiguous, NotFound, TooLarge, UsageError
from heliosfs.repo.lines.compare import Effort, changed_ranges, split_lines
from tests.tree_builder import Stage


@pytest.fixture
def stage() -> Stage:
    stage = Stage()
    files = stage.files
    files.write(b"keep", b"k\n")
    files.write(b"gone", b"g\n")
    files.write(b"src/lib/edit", b"one\ntwo\nthree\n")
    files.write(b"src/move", b"content\n")
    files.write(b"src/turn", b"target")
    files.directory(b"void")
    stage.commit("base")
    files.remove(b"gone")
    files.remove(b"void")
    files.remove(b"src/turn")
    files.symlink(b"src/turn", b"target")
    files.write(b"src/lib/edit", b"one\n2\nthree\n")
    files.rename(b"src/move", b"moved here")
    files.chmod(b"keep", 0o755)
    files.write(b"new/deep/file", b"")
    files.directory(b"new/empty")
    files.fifo(b"pipe")
    return stage


def test_long_status(stage: Stage) -> None:
    assert stage.run("status") == (
        "On branch main\n"
        "Uncommitted changes:\n"
        "\tdeleted:             gone\n"
        "\tmode changed:        keep\n"
        "\trenamed:             src/move -> moved here\n"
        "\tnew file:            new/deep/file\n"
        "\tnew directory:       new/empty/\n"
        "\tnew file:            pipe\n"
        "\tmodified:            src/lib/edit\n"
        "\ttype changed:        src/turn\n"
        "\tdeleted directory:   void/\n"
    )
    stage.run("commit", "-q")
    assert stage.run("status") == "On branch main\nnothing to commit, working tree clean\n"


def test_short_status_is_relative_and_porcelain_is_not(stage: Stage) -> None:
    expected = (
        ' D gone\n M keep\n R src/move -> "moved here"\n A new/deep/file\n A new/empty/\n A pipe\n'
        " M src/lib/edit\n T src/turn\n D void/\n"
    )
    assert stage.run("status", "-s") == expected
    assert stage.run("status", "--porcelain", cwd="src/lib") == expected
    assert stage.run("status", "-sb", cwd="src").splitlines()[:4] == [
        "## main", " D ../gone", " M ../keep", ' R move -> "../moved here"',
    ]  # fmt: skip


def test_status_for_programs(stage: Stage) -> None:
    document = json.loads(stage.run("status", "--json"))
    assert document["branch"] == "main"
    assert document["head"] == stage.head
    assert not document["clean"]
    changes = {each["path"]: each for each in document["changes"]}
    assert changes["keep"]["old"]["mode"] == "100644"
    assert changes["keep"]["new"]["mode"] == "100755"
    assert changes["moved here"]["source"] == "src/move"
    assert changes["gone"]["new"] is None
    assert changes["src/turn"]["new"]["target"] == "target"


def test_status_of_directories_and_owners() -> None:
    stage = Stage()
    stage.files.write(b"d/f", b"1")
    stage.commit()
    stage.files.chmod(b"d", 0o700)
    stage.files.chmod(b"", 0o711)
    node = stage.files.node(b"d/f")
    node.uid = 7
    node.touch()
    assert stage.run("status").splitlines()[2:] == [
        "\tmode changed:    ./", "\tmode changed:    d/", "\towner changed:   d/f",
    ]  # fmt: skip
    assert stage.run("diff") == (
        "# mode 0755 -> 0711: .\n# mode 0755 -> 0700: d\n# owner 1000:1000 -> 7:1000: d/f\n"
    )


def test_a_directory_that_became_a_file() -> None:
    stage = Stage()
    stage.files.write(b"x/y", b"1\n")
    stage.files.write(b"z", b"2\n")
    stage.files.directory(b"e")
    stage.commit()
    stage.files.remove(b"x")
    stage.files.write(b"x", b"3\n")
    stage.files.remove(b"z")
    stage.files.write(b"z/y", b"4\n")
    stage.files.remove(b"e")
    stage.files.write(b"e", b"5\n")
    assert stage.run("status", "-s") == " T e\n A x\n D x/y\n D z\n A z/y\n"


def test_renames_take_the_same_base_name_first() -> None:
    stage = Stage()
    for path in (b"a/one", b"a/two", b"a/three"):
        stage.files.write(path, b"same\n")
    stage.files.write(b"empty", b"")
    stage.commit()
    stage.files.remove(b"a/three")
    stage.files.rename(b"a/one", b"b/x")
    stage.files.rename(b"a/two", b"b/two")
    stage.files.rename(b"empty", b"hollow")
    assert stage.run("status", "-s") == (
        " D a/three\n R a/two -> b/two\n R a/one -> b/x\n D empty\n A hollow\n"
    )


def test_a_file_that_moved_and_changed_is_renamed() -> None:
    stage = Stage()
    text = b"".join(b"line %d of this file\n" % number for number in range(20))
    stage.files.write(b"a", text)
    stage.files.write(b"b", text.replace(b"line", b"other"))
    stage.commit()
    stage.files.rename(b"a", b"c")
    stage.files.write(b"c", text.replace(b"line 1 ", b"line one "))
    stage.files.remove(b"b")
    stage.files.write(b"d", b"nothing of it\n" * 30)
    assert stage.run("status", "-s") == " D b\n R a -> c\n A d\n"
    assert "renamed:    a -> c" in stage.run("status")
    assert stage.run("diff", "--name-status") == "D\tb\nR094\ta\tc\nA\td\n"
    patch = stage.run("diff", "c")
    assert patch.startswith("diff --git a/c b/c\nnew file mode 100644\n")
    assert "similarity index 94%\nrename from a\nrename to c\nindex " in stage.run("diff")
    document = json.loads(stage.run("diff", "--json"))
    assert [each["similarity"] for each in document["changes"]] == [None, 94, None]
    no_renames = stage.run("diff", "--no-renames", "--name-status")
    assert no_renames == "D\ta\nD\tb\nA\tc\nA\td\n"
    stage.commit("moved")
    for verb in (["show"], ["log", "-n1"]):
        assert " a => c |  2 +-\n" in stage.run(*verb, "--stat")
        assert " => " not in stage.run(*verb, "--stat", "--no-renames")


def test_sides_of_a_diff(stage: Stage) -> None:
    base = stage.head
    working = stage.run("diff")
    assert stage.run("diff", "HEAD") == working
    stage.run("commit", "-m", "all")
    assert stage.run("diff") == ""
    assert stage.run("diff", base) == working
    for sides in (["HEAD~1", "HEAD"], ["HEAD~1..HEAD"], ["HEAD~1.."], [f"{base}..main"]):
        assert stage.run("diff", *sides) == working
    assert stage.run("diff", "..HEAD~1").count("deleted file mode") >= 1
    document = json.loads(stage.run("diff", "--json", "HEAD~1", "HEAD"))
    assert (document["old"], document["new"]) == (base, stage.head)


def test_diff_before_the_first_commit_is_from_nothing() -> None:
    stage = Stage()
    stage.files.write(b"a", b"1\n")
    assert stage.run("diff", "--name-status") == "A\ta\n"


def test_paths_narrow_a_diff(stage: Stage) -> None:
    def names(*argv: str, cwd: str = "") -> list[str]:
        return stage.run("diff", "--name-only", *argv, cwd=cwd).split("\n")[:-1]

    assert names("--", "src/lib") == names("src/lib") == ["src/lib/edit"]
    assert names("HEAD", "--", "keep", "gone") == ["gone", "keep"]
    assert names("lib", cwd="src") == ["src/lib/edit"]
    assert names("../keep", cwd="src") == ["keep"]
    assert names(".", cwd="src") == ["src/lib/edit", "src/move", "src/turn"]
    assert len(names("--", ".")) == 9
    assert names("src/lib/edit", "keep") == ["keep", "src/lib/edit"]
    assert stage.run("diff", "--name-status", "--", "src/move") == "D\tsrc/move\n"
    assert stage.run("diff", "--name-status", "--", "moved here") == "A\tmoved here\n"
    assert stage.run("diff", "--name-status", "--", "moved here", "src").startswith(
        "R100\tsrc/move"
    )
    assert names("HEAD", "--", "new/deep/file") == ["new/deep/file"]


def test_words_of_a_diff_that_say_too_little(stage: Stage) -> None:
    with pytest.raises(NotFound, match="neither a revision nor a path"):
        stage.run("diff", "nope")
    with pytest.raises(NotFound, match="neither a revision nor a path"):
        stage.run("diff", "HEAD..nope")
    with pytest.raises(NotFound, match="no path 'nope'"):
        stage.run("diff", "--", "keep", "nope")
    with pytest.raises(UsageError, match="a revision and a path"):
        stage.run("branch", "keep")
        stage.run("diff", "keep")
    assert stage.run("diff", "--name-only", "--", "keep") == "keep\n"
    assert stage.run("diff", "keep", "--") == stage.run("diff")
    with pytest.raises(UsageError, match="one revision too many"):
        stage.run("diff", "HEAD", "HEAD", "HEAD", "--")
    for path in ("/etc/passwd", "../x"):
        with pytest.raises(UsageError):
            stage.run("diff", "--", path)


def test_an_ambiguous_prefix_stays_ambiguous(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    twins = [stage.view.head, stage.view.head]
    monkeypatch.setattr(stage.repository.history, "with_prefix", lambda prefix: twins)
    with pytest.raises(Ambiguous):
        stage.run("diff", "abcd")


def test_stat() -> None:
    stage = Stage()
    stage.commit(a=b"1\n2\n3\n", b=b"\0")
    stage.commit(a=b"1\nx\n3\n4\n", b=b"\0\0", long=b"y\n" * 500)
    assert stage.run("diff", "--stat", "HEAD~1", "HEAD") == (
        " a    |   3 +-\n"
        " b    | Bin 1 -> 2 bytes\n"
        f" long | 500 {'+' * 67}\n"
        " 3 files changed, 502 insertions(+), 1 deletion(-)\n"
    )
    changes = json.loads(stage.run("diff", "--stat", "--json", "HEAD~1", "HEAD"))["changes"]
    assert [(each["insertions"], each["deletions"]) for each in changes] == [
        (2, 1), (None, None), (500, 0),
    ]  # fmt: skip
    assert stage.run("diff", "--stat") == ""


def test_lines_in_json() -> None:
    """Each change has the lines that a diff of it alone would show, and no more than its limit."""
    stage = Stage()
    stage.commit(a=b"1\n", gone=b"x\n")
    stage.files.remove(b"gone")
    stage.commit(a=b"2\n", bin=b"\0")
    changes = []
    for words in (["diff", "HEAD~1", "HEAD"], ["show"]):
        changes = json.loads(stage.run(*words, "--json", "-p"))["changes"]
        assert [each["path"] for each in changes] == ["a", "bin", "gone"]
        for change in changes:
            alone = stage.run("diff", "HEAD~1", "HEAD", "--", change["path"])
            assert change["patch"] == alone
        assert changes[0]["patch"].endswith("@@ -1 +1 @@\n-1\n+2\n")
        assert "patch" not in json.loads(stage.run(*words, "--json"))["changes"][0]
    counted = json.loads(stage.run("diff", "--json", "-p", "--stat", "HEAD~1", "HEAD"))["changes"]
    assert (counted[0]["insertions"], counted[0]["patch"]) == (1, changes[0]["patch"])


def test_lines_in_json_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit is that of all files together."""
    stage = Stage()
    stage.commit(a=b"1\n", b=b"1\n")
    monkeypatch.setattr(form, "PATCH_MAX_BYTES", 150)
    assert json.loads(stage.run("show", "--json", "-p", "HEAD", "--", "a"))
    with pytest.raises(TooLarge):
        stage.run("show", "--json", "-p")


def test_stat_in_narrow_columns() -> None:
    """The widths are those of git: whatever changed has a sign; names lose their beginning."""
    stage = Stage()
    stage.files.write(b"some/very/long/path/of/a/file", b"old\n")
    stage.commit(a=b"1\n")
    stage.files.write(b"some/very/long/path/of/a/file", b"new\n" * 500)
    stage.commit(a=b"2\n")
    change = ("diff", "HEAD~1", "HEAD")
    assert stage.run(*change, "--stat=40") == (
        " a                         |   2 +-\n"
        " .../long/path/of/a/file   | 501 +++++-\n"
        " 2 files changed, 501 insertions(+), 2 deletions(-)\n"
    )
    assert stage.run(*change, "--stat=40,12,1") == (
        " a | 2 +-\n ...\n 2 files changed, 501 insertions(+), 2 deletions(-)\n"
    )
    with pytest.raises(UsageError, match="--stat takes WIDTH"):
        stage.run(*change, "--stat=wide")


def test_counts_of_what_has_no_lines() -> None:
    """A binary file that moved, and one in place of a link, are binary still."""
    stage = Stage()
    stage.files.symlink(b"link", b"elsewhere")
    stage.commit(a=b"\0" * 9)
    stage.files.rename(b"a", b"b")
    stage.files.remove(b"link")
    stage.files.write(b"link", b"\0\0\0")
    stage.commit()
    change = ("diff", "HEAD~1", "HEAD")
    assert stage.run(*change, "--numstat") == "-\t-\ta => b\n-\t-\tlink\n"
    assert stage.run(*change, "--stat").splitlines()[:2] == [
        " a => b | Bin",
        " link   | Bin 9 -> 3 bytes",
    ]


def test_a_heading_ends_before_what_is_no_character() -> None:
    stage = Stage()
    lines = [b"\n"] * 9
    stage.commit(a=b"def \xff(x)\n" + b"".join(lines))
    stage.commit(a=b"def \xff(x)\n" + b"".join([*lines, b"new\n"]))
    assert "@@ -8,3 +8,4 @@ def \n" in stage.run("diff", "HEAD~1", "HEAD")


def test_where_spaces_do_not_count_indents_do() -> None:
    """The change is shown where the lines as they are read best."""
    stage = Stage()
    stage.commit(a=b"  else:\n    word 29\n")
    stage.commit(a=b"  else:\n  else:\n    word 29\n")
    lines = stage.run("diff", "-b", "HEAD~1", "HEAD").splitlines()
    assert lines[-3:] == ["+  else:", "   else:", "     word 29"]


def test_form_feeds_are_no_spaces() -> None:
    stage = Stage()
    stage.commit(a=b"x\n")
    stage.commit(a=b"x\f\n")
    assert "+x\f" in stage.run("diff", "-w", "HEAD~1", "HEAD")


def test_binary_files(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage()
    stage.commit(a=b"text\n", late=b"x" * 9000 + b"\n")
    stage.commit(a=b"\0text\n", late=b"x" * 9000 + b"\0\n")
    text = stage.run("show")
    assert "Binary files a/a and b/a differ\n" in text
    assert "+++ b/late\n" in text
    monkeypatch.setattr("heliosfs.commands.diff.patch.TEXT_MAX_BYTES", 100)
    assert "Binary files a/late and b/late differ\n" in stage.run("show")


def test_a_diff_has_a_limit(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("heliosfs.commands.diff.patch.PATCH_MAX_BYTES", 50)
    with pytest.raises(TooLarge, match="name paths"):
        stage.run("diff")
    assert stage.run("diff", "--name-only").count("\n") == 9


def test_context(stage: Stage) -> None:
    assert "@@ -2 +2 @@ one\n-two\n+2\n" in stage.run("diff", "-U0", "src/lib")
    assert "@@ -1,3 +1,3 @@\n one\n-two\n+2\n three\n" in stage.run("diff", "-U1", "src/lib")


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        (b"plain", "plain"),
        (b"with blank", "with blank"),
        ("grüße".encode(), '"gr\\303\\274\\303\\237e"'),
        (b"\xff", '"\\377"'),
        (b'a"b', '"a\\"b"'),
        (b"a\\b", '"a\\\\b"'),
        (b"\t\n\r\x01", '"\\t\\n\\r\\001"'),
        ("ü\n".encode(), '"\\303\\274\\n"'),
    ],
)
def test_quoted_paths(path: bytes, shown: str) -> None:
    assert quote_path(path) == shown


def test_paths_from_a_directory() -> None:
    assert below("", ".") == b""
    assert below("a/b", "../../c") == b"c"
    assert below("a", "x\udcff/./y") == b"a/x\xff/y"
    assert relative("a/b", b"a/c") == b"../c"
    assert relative("", b"") == b"."


def test_effort_is_bounded() -> None:
    old = split_lines(b"".join(b"%d\n" % (number % 7) for number in range(20_000)))
    new = split_lines(b"".join(b"%d\n" % (number % 5) for number in range(20_000)))
    effort = Effort(50_000)
    ranges = changed_ranges(old, new, effort)
    assert effort.left > -100_000
    assert ranges
    assert split_lines(b"a\r\nb\n\nc") == [b"a\r\n", b"b\n", b"\n", b"c"]
    assert split_lines(b"") == []


def test_three_dots_begin_at_what_both_share(stage: Stage) -> None:
    stage.run("commit", "-m", "base")
    stage.run("branch", "side")
    stage.live("side").write(b"side", b"1\n")
    stage.run("commit", "-m", "side", branch="side")
    stage.commit("main", main=b"2\n")
    assert stage.run("diff", "--name-status", "main...side") == "A\tside\n"
    assert stage.run("diff", "--name-status", "side...") == "A\tmain\n"
    assert stage.run("diff", "--name-status", "main..side") == "D\tmain\nA\tside\n"
