"""Harnesses of what people and programs write: requests, configuration, patterns, expressions."""

from __future__ import annotations

import functools

from heliosfs import mounttable
from heliosfs.commands.moments import parse_moment
from heliosfs.commands.revision_words import range_of
from heliosfs.commands.table import VERBS, parse_line
from heliosfs.config import document
from heliosfs.errors import HeliosError, UsageError
from heliosfs.repo import scores
from heliosfs.repo.regex.expressions import Syntax, compile_expression
from heliosfs.repo.revisions import resolve
from heliosfs.store.memory import MemoryStore
from heliosfs.trees.attributes import Attributes
from heliosfs.trees.patterns import PatternList, parse_lines
from heliosfs.trees.wildmatch import matcher
from heliosfs.vfs.control import CommandChannel, ErrorLog, MessageChannel
from tests.fuzz.harness import Harness
from tests.tree_builder import Stage

_CUT = b"\xfe"
"""Separates the parts of an input: no UTF-8 text has it."""
_SYNTAXES = list(Syntax)


@functools.cache
def _stage() -> Stage:
    stage = Stage()
    stage.commit("one", a=b"1")
    stage.commit("two", a=b"2")
    stage.run("tag", "v1")
    return stage


def _request(data: bytes) -> None:
    """Writes to a control file; what they complete is parsed, and not run."""
    stage = _stage()
    repository = stage.repository
    command = CommandChannel(ErrorLog(), repository, lambda: stage.view, None, lambda: "")
    verb = CommandChannel(ErrorLog(), repository, lambda: stage.view, "commit", lambda: "")
    message = MessageChannel(ErrorLog(), repository, lambda: stage.view)
    for channel in (command, verb, message):
        for piece in data.split(_CUT):
            try:
                channel.write(piece)
            except HeliosError:
                # The reply is there once, at the first piece of a request that is refused.
                assert channel.read(1 << 20)[:7] in (b"error: ", b"")
        try:
            channel.finish()
        except HeliosError:
            assert channel.read(1 << 20).startswith(b"error: ")
    for line in data.decode("utf-8", "replace").split("\n"):
        try:
            argv = parse_line(line).argv
            if argv and argv[0] in VERBS:
                VERBS[argv[0]].parser().parse(argv[1:])
        except HeliosError:
            pass


def _request_seeds() -> list[bytes]:
    examples = [verb.example.encode() for verb in VERBS.values() if verb.example]
    return [
        *(line + b"\n" for example in examples for line in example.split(b"\n")[:1]),
        b'{"argv": ["status"], "cwd": "src", "progress": true, "exit": true, "columns": 80}\n',
        b'["log", "-n", "3"]\n' + _CUT + b"reset --hard 'HEAD~1'\nbranch " + _CUT + b"x main\n",
        "fix the père\n\nbody\n".encode() + _CUT,
    ]


def _config(data: bytes) -> None:
    text = data.decode("utf-8", "replace")
    document.parse(text, "helios.yaml")
    for path, value in (("durability.mode", "sync"), ("ui.color", "always")):
        try:
            document.assign(text, path, value, "helios.yaml")
        except UsageError:
            pass


def _config_seeds() -> list[bytes]:
    return [
        b"durability: sync\nperformance:\n  working_set: 1 GiB\n  l1_cache_size: 64MiB # small\n",
        b"# nothing\n",
        b"{durability: {interval: 100ms}, checkout: {times: commit}}\n",
        b"retention: &a\n  oplog: 30d\nui: *a\n",
        b"? [a, b]\n: |\n  text\n--- !!map\n",
    ]


def _patterns(data: bytes) -> None:
    path, _, lines = data.partition(b"\n")
    parsed = parse_lines(lines)
    PatternList(parsed).last(path, path.rpartition(b"/")[2])
    Attributes(MemoryStore(), None, [b"text", b"diff"], info=lines).of(path)


def _pattern_seeds() -> list[bytes]:
    return [
        b"src/a/b.o\n*.o\n!b.o\n/src/\n# comment\n\\#x\nfoo/**/bar\na**b\n\\ \n",
        b"x\n[a-z]\n[!a]\n[[:alpha:]]\n[]-]\n**/x\nx/**\n",
        b"a.txt\n*.txt text -diff merge=union\n[attr]bin -text\n*.png bin\n",
        b"a" * 60 + b"\n" + b"a*" * 30 + b"b\n",
    ]


def _wildmatch(data: bytes) -> None:
    pattern, _, text = data.partition(_CUT)
    for ignore_case in (False, True):
        for crosses_slash in (False, True):
            fits = matcher(pattern, ignore_case=ignore_case, crosses_slash=crosses_slash)
            assert fits(text) in (True, False)


def _wildmatch_seeds() -> list[bytes]:
    return [
        b"a/**/b?[!c-d]*" + _CUT + b"a/x/y/bzez",
        b"**/*" * 8 + _CUT + b"a/" * 30,
        b"[[:alpha:][:nope:]]\\" + _CUT + b"x",
        b"*a" * 20 + _CUT + b"a" * 40,
    ]


def _expression(data: bytes) -> None:
    flags, (pattern, _, text) = data[:1] or b"\0", data[1:].partition(_CUT)
    expression = compile_expression(
        [pattern],
        _SYNTAXES[flags[0] % len(_SYNTAXES)],
        ignore_case=bool(flags[0] & 16),
        whole_words=bool(flags[0] & 32),
    )
    for span in expression.finditer(text):
        assert 0 <= span[0] <= span[1] <= len(text)
    for line in expression.lines(text):
        assert line is not None


def _expression_seeds() -> list[bytes]:
    patterns = [
        rb"a(b|c)*d", rb"^\(x\)\{2,5\}$", rb"[[:alpha:]]+\w\b", rb"(?i)x|", rb"a{0,1000}", rb"\1",
        rb"(((((a*)*)*)*)*)*b", "père".encode(), rb"[^a-z\]]", rb"x.y*?z+",
    ]  # fmt: skip
    return [
        bytes((flags,)) + pattern + _CUT + b"abcd xx\n\xe9 aaaaaaaaaa\n"
        for flags in (0, 1, 2, 3, 50)
        for pattern in patterns
    ]


def _small(data: bytes) -> None:
    """Words that have a meaning of their own: revisions, moments, scores, paths."""
    text = data.decode("utf-8", "surrogateescape")
    stage = _stage()
    repository = stage.repository
    range_of(text)
    for parse in (
        lambda: resolve(repository, text, stage.view.head),
        lambda: parse_moment(text, 1_700_000_000),
        lambda: scores.value_of(text),
        lambda: scores.check_score("score", text),
        lambda: mounttable.parse(data),
    ):
        try:
            parse()
        except (HeliosError, ValueError):
            pass


def _small_seeds() -> list[bytes]:
    return [
        b"HEAD~1^2^{commit}", b"main@{1}", b"@{-1}", b"v1", b"abcd1234", b"main..v1", b"a...b",
        b"2 weeks ago", b"2026-11-27T14:00:00+01:00", b"@1700000000", b"0.93", b"41/42", b"-1e300",
        b"36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw\n",
        b"pos:\t0\nmnt_id:\t15\n", b"yesterday 14:00", b"HEAD~999999999999999",
    ]  # fmt: skip


HARNESSES = [
    Harness("request", _request, (), _request_seeds, (b'{"argv": [', b'"', b"--", b"\n", _CUT)),
    Harness(
        "config", _config, (UsageError,), _config_seeds, (b": ", b"\n  ", b"&a ", b"*a", b"!!")
    ),
    Harness("patterns", _patterns, (), _pattern_seeds, (b"**", b"[!", b"\\", b"[[:alpha:]]")),
    Harness("wildmatch", _wildmatch, (), _wildmatch_seeds, (b"**/", b"[", b"]", _CUT)),
    Harness("expression", _expression, (UsageError,), _expression_seeds, (b"(", b"{2,9}", _CUT)),
    Harness("words", _small, (), _small_seeds, (b"~", b"^", b"@{", b"9" * 400, b"/")),
]
