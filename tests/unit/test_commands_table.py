"""The ways into the table of verbs: lines, words, options, help."""

from __future__ import annotations

import errno
import json
from pathlib import Path

import pytest

from heliosfs.commands import dotfiles, reference
from heliosfs.commands.options import Option, VerbParser
from heliosfs.commands.table import VERBS, CommandLine, find_verb, parse_line
from heliosfs.errors import UsageError
from tests.tree_builder import Stage
from tests.verb_scenarios import CHANGING, UNCHANGING

ROOT = Path(__file__).parents[2]


def test_every_verb_has_a_function_and_a_help_that_names_its_options() -> None:
    for name, verb in VERBS.items():
        assert callable(verb.function), name
        text = verb.parser().format_help()
        assert text.startswith(f"usage: helios {name}")
        for option in verb.options:
            assert option.names[-1] in text
        assert max(map(len, text.splitlines())) <= 90


def test_a_verb_that_only_reads_changes_nothing() -> None:
    reading = {name for name, verb in VERBS.items() if verb.effect.is_read_only}
    assert not reading & CHANGING.keys()
    assert {name for name, why in UNCHANGING.items() if why == "reads"} - reading == {
        # A form of each writes outside of the store.
        "fsck",
        "report",
    }


def test_what_only_reads_can_be_called_again() -> None:
    for name, verb in VERBS.items():
        assert not (verb.effect.is_read_only and verb.effect.is_destructive), name
        assert verb.effect.is_idempotent or not verb.effect.is_read_only, name


def test_help_is_a_reply() -> None:
    stage = Stage()
    for name, verb in VERBS.items():
        assert stage.run(name, "--help") == verb.parser().format_help()
        if "-h" in verb.help.names:
            assert stage.run(name, "-h") == verb.parser().format_help()


def test_unknown_verb_suggests_one() -> None:
    with pytest.raises(UsageError, match=r"^usage: unknown verb 'comit': did you mean 'commit'\?$"):
        find_verb("comit")
    with pytest.raises(UsageError, match=r"^usage: unknown verb 'zzz' \("):
        find_verb("zzz")


@pytest.mark.parametrize(
    ("argv", "problem"),
    [
        ([], "the request is empty"),
        (["log", "--frob"], "unknown option '--frob'; see 'helios log --help'"),
        (["log", "-x"], "unknown option '-x'"),
        (["commit", "-qx"], "unknown option '-x'"),
        (["commit", "-m"], "-m needs a value"),
        (["commit", "--message"], "--message needs a value"),
        (["commit", "--allow-empty=yes"], "--allow-empty takes no value"),
        (["commit", "--allow"], "unknown option '--allow'"),
        (["stats", "word"], "one argument too many: 'word'"),
        (["status", "--porcelain=v3"], "--porcelain is v1 or v2, not 'v3'"),
        (["oplog", "b"], "one argument too many: 'b'"),
        (["log", "-n", "many"], "'many' is not a number"),
        (["log", "-n", "-1"], "'-1' is not a number"),
        (["log", "-n", "9" * 50], "is not a number"),
        (["reset", "--soft", "--hard"], "--soft and --hard exclude each other"),
        (["checkout"], "give a branch or a revision"),
        (["branch", "-d"], "give the name of a branch"),
        (["branch", "-m"], "give the new name"),
        (["branch", "--fork"], "--fork needs the name of the branch"),
        (["branch", "-f"], "--force needs the name of the branch"),
        (["commit", "-F", "file"], "here, give the text with -m"),
        (["merge", "--squash", "--markers", "x"], "exclude each other"),
        (["rev-parse"], "give a revision"),
    ],
)
def test_wrong_syntax_is_a_usage_error(argv: list[str], problem: str) -> None:
    stage = Stage()
    before = dict(stage.store.state)
    with pytest.raises(UsageError) as caught:
        stage.run(*argv)
    assert str(caught.value).startswith("usage: ")
    assert problem in str(caught.value)
    assert caught.value.exit_code == 2
    assert stage.store.state == before


def test_every_usage_error_of_a_verb_is_marked_as_one() -> None:
    stage = Stage()
    stage.commit(a=b"1")
    for argv in (["branch", "a b"], ["log", "~"], ["diff", "--", "/etc"], ["commit", "-m", ""]):
        with pytest.raises(UsageError, match=r"^usage: "):
            stage.run(*argv)


def test_options_as_getopt_long_reads_them() -> None:
    options = (
        Option(("-m", "--message"), "", "TEXT"),
        Option(("-n", "--count"), "", "N", is_number=True),
        Option(("-q", "--quiet"), ""),
        Option(("-a",), ""),
    )
    parser = VerbParser("verb", options, "help\n", takes_paths=True)
    said = parser.parse(
        ["x", "-qam", "one", "--message=two=2", "-m-three", "-5", "-", "y", "--", "-q", "--"]
    )
    assert said.values("message") == ["one", "two=2", "-three"]
    assert said.value("message") == "-three"
    assert said.number("count") == 5
    assert "quiet" in said
    assert "a" in said
    assert said.words == ["x", "-", "y"]
    assert said.paths == ["-q", "--"]
    assert parser.parse(["-m", "--quiet"]).value("message") == "--quiet"
    assert parser.parse([]).number("count") is None
    assert parser.parse([]).paths is None


def test_words_after_dashes_are_words_where_there_are_no_paths() -> None:
    parser = VerbParser("verb", (), "", takes_paths=False)
    said = parser.parse(["a", "--", "-b"])
    assert said.words == ["a", "-b"]
    assert said.paths is None


@pytest.mark.parametrize(
    ("line", "argv", "cwd"),
    [
        ("", [], ""),
        ("  agent-7   main \n", ["agent-7", "main"], ""),
        (
            'commit -m \'two words\' "a \\"b\\"" c\\ d',
            ["commit", "-m", "two words", 'a "b"', "c d"],
            "",
        ),
        ("it#s # fine", ["it#s", "#", "fine"], ""),
        ('["log", "-n", "1"]', ["log", "-n", "1"], ""),
        ('{"argv": ["diff"], "cwd": "/src/lib/"}', ["diff"], "src/lib"),
        ('{"argv": []}', [], ""),
        ('["caf\\u00e9 \\udcff"]', ["café \udcff"], ""),
    ],
)
def test_lines(line: str, argv: list[str], cwd: str) -> None:
    assert parse_line(line) == CommandLine(argv, cwd)


def test_who_asks_may_want_to_know_how_far_it_is() -> None:
    assert parse_line('{"argv": ["import"], "progress": true}') == CommandLine(["import"], "", True)


def test_a_request_may_be_about_another_branch() -> None:
    found = parse_line('{"argv": ["status"], "branch": "idea/7"}')
    assert (found.argv, found.branch) == (["status"], "idea/7")
    assert parse_line('["status"]').branch is None


@pytest.mark.parametrize(
    "line",
    [
        "commit -m 'open",
        "a\\",
        "{",
        "[1]",
        "{}",
        '{"argv": "log"}',
        '{"argv": ["log"], "cwd": 1}',
        '{"argv": ["log"], "cwd": "../x"}',
        '{"argv": ["log"], "cwd": "a/./b"}',
        '{"argv": ["log"], "user": "me"}',
        '{"argv": ["log"], "progress": 1}',
        '{"argv": ["log"], "exit": "yes"}',
        '{"argv": ["log"], "branch": 7}',
        '{"argv": ["log"], "branch": "a\\u0000b"}',
        '["a\\u0000b"]',
        '{"argv": [], "cwd": "\\u0000"}',
        "a\0b",
        "[" * 100_000,
    ],
)
def test_lines_that_are_no_request(line: str) -> None:
    with pytest.raises(UsageError, match=r"^usage: "):
        parse_line(line)


def test_control_files_tell_their_usage() -> None:
    assert "reset [--soft |" not in dotfiles.control_usage(VERBS["reset"])
    text = dotfiles.control_usage(VERBS["reset"])
    assert text.startswith("usage: echo [--soft | --mixed | --hard] [REV] > .helios/ctl/reset\n")
    assert "--hard" in text.partition("options:")[2]
    everything = dotfiles.command_usage()
    assert all(f"  {name} " in everything for name in VERBS)


def test_reference_page_is_the_table() -> None:
    files = {*dotfiles.FILES, *dotfiles.BUILT_FILES}
    assert {*dotfiles.CONTENTS, "report.html"} == files
    page = ROOT / "docs" / "reference" / "control-files.md"
    assert page.read_text() == reference.page(), "run python -m heliosfs.commands.reference"


def test_json_replies_are_one_document() -> None:
    stage = Stage()
    stage.commit(a=b"1\n")
    stage.commit(a=b"2\n")
    stage.files.write(b"n\xff", b"x")
    for argv in (
        ["status"], ["diff"], ["diff", "--stat"], ["log"], ["show"], ["show", "HEAD:a"], ["branch"],
        ["branch", "b"], ["branch", "-m", "b", "c"], ["branch", "-d", "c"], ["oplog"],
        ["commit", "-m", "x"], ["reset", "--hard", "HEAD~1"], ["undo"], ["redo"],
        ["checkout", "-b", "d"], ["checkout", "HEAD~1"],
    ):  # fmt: skip
        reply = stage.run(*argv, "--json")
        assert reply.endswith("\n")
        json.loads(reply)


@pytest.mark.parametrize(
    "line",
    [
        r'["grep", "\ud800"]',
        r'["tag", "a\udbffb"]',
        r'{"argv": ["log", "--author", "\ud83d"]}',
        r'{"argv": ["status"], "cwd": "\ud800"}',
        r'["branch", "\udfff"]',
    ],
)
def test_half_of_a_character_is_refused(line: str) -> None:
    with pytest.raises(UsageError, match=r"usage: a request is Unicode text: U\+D") as caught:
        parse_line(line)
    assert caught.value.errno == errno.EINVAL


def test_other_bytes_than_utf8_are_words() -> None:
    """Half characters from U+DC80 to U+DCFF stand for the bytes from 80 to FF (PEP 383)."""
    assert parse_line(r'["add", "\udc80\udcff"]').argv[1].encode(
        "utf-8", "surrogateescape"
    ) == bytes((0x80, 0xFF))
