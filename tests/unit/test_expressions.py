"""Regular expressions of users: their languages, and that their time is bounded."""

from __future__ import annotations

import pytest

from heliosfs.errors import TooLarge, UsageError
from heliosfs.repo.regex.expressions import (
    Expression,
    Syntax,
    compile_expression,
    count_steps,
    line_steps,
    search_steps,
    span_steps,
)
from heliosfs.steps import Progress, Turn, run_to_end
from heliosfs.store.memory import MemoryStore

TEXT = b"one\ntwo words\n\nfoo.bar foo foobar\nlast"


def numbers(*patterns: str, syntax: Syntax = Syntax.PERL, **options: bool) -> list[int]:
    expression = compile_expression([each.encode() for each in patterns], syntax, **options)
    return [line.number for line in expression.lines(TEXT)]


@pytest.mark.parametrize(
    ("patterns", "syntax", "expected"),
    [
        (["o"], Syntax.PERL, [1, 2, 4]),
        (["^$"], Syntax.PERL, [3]),
        ([""], Syntax.PERL, [1, 2, 3, 4, 5]),
        ([""], Syntax.FIXED, [1, 2, 3, 4, 5]),
        (["."], Syntax.FIXED, [4]),
        (["one", "last"], Syntax.FIXED, [1, 5]),
        (["one\nlast"], Syntax.PERL, [1, 5]),
        ([r"\Aone|two|^last\Z"], Syntax.PERL, [1, 2, 5]),
        ([r"\Q.\E"], Syntax.PERL, [4]),
        ([r"e\nt|\s$|[^x]*words[^x]foo"], Syntax.PERL, []),
        (["o\\{2\\}"], Syntax.BASIC, [4]),
        (["o{2}"], Syntax.BASIC, []),
        (["o{2}"], Syntax.EXTENDED, [4]),
        (["(one|words$)"], Syntax.EXTENDED, [1, 2]),
        (["(one|words$)"], Syntax.BASIC, []),
        ([r"\(one\|words$\)"], Syntax.BASIC, [1, 2]),
        ([r"\<foo\>"], Syntax.BASIC, [4]),
        (["*"], Syntax.BASIC, []),
        (["[[:upper:]]"], Syntax.EXTENDED, []),
        (["[]x.]"], Syntax.BASIC, [4]),
    ],
)
def test_languages(patterns: list[str], syntax: Syntax, expected: list[int]) -> None:
    assert numbers(*patterns, syntax=syntax) == expected


def test_case_and_words() -> None:
    assert numbers("ONE") == []
    assert numbers("ONE", ignore_case=True) == [1]
    assert numbers("FOO.", syntax=Syntax.FIXED, ignore_case=True) == [4]
    assert numbers("foo", whole_words=True) == [4]
    assert numbers("wor|fo+ba", whole_words=True) == []
    assert numbers("x*", whole_words=True) == []
    words = compile_expression([b"foo|foobar"], whole_words=True)
    assert [TEXT[at:end] for at, end in words.finditer(TEXT)] == [b"foo", b"foo", b"foobar"]
    letters = compile_expression([b"a"], whole_words=True)
    assert [span.start for span in letters.finditer(b"a a ab a")] == [0, 2, 7]


def test_matches_do_not_overlap_and_may_be_empty() -> None:
    assert list(compile_expression([b"a*"]).finditer(b"aab")) == [(0, 2), (2, 2), (3, 3)]
    assert list(compile_expression([b"^a"]).finditer(b"aa\na")) == [(0, 1), (3, 4)]
    assert list(compile_expression([b"a|ab"]).finditer(b"ab")) == [(0, 1)]
    assert list(compile_expression([b"a|ab"], Syntax.EXTENDED).finditer(b"ab")) == [(0, 2)]


def test_characters_where_the_text_is_utf8_and_bytes_elsewhere() -> None:
    assert compile_expression([b"^.$"]).search("é".encode()) == (0, 2)
    assert compile_expression([b"^.$"]).search(b"\xe9") == (0, 1)
    assert compile_expression(["É".encode()], ignore_case=True).search("é".encode())
    for syntax in Syntax:
        assert compile_expression([b"\xe9"], syntax).search(b"caf\xe9") == (3, 4)
        assert compile_expression([b"\xe9"], syntax).search("café".encode()) is None
    assert compile_expression(["é+".encode()], Syntax.EXTENDED).search("éé".encode()) == (0, 4)


@pytest.mark.parametrize(
    ("pattern", "syntax", "said"),
    [
        ("(", Syntax.PERL, r"'\(' is not a regular expression .* missing"),
        ("a)b(", Syntax.PERL, "unexpected"),
        (r"(a)\1", Syntax.PERL, "back-references, .*rg -P"),
        (r"\(a\)\1", Syntax.BASIC, "back-references, .*rg -P"),
        ("(?<!x)a", Syntax.PERL, "look-around"),
        ("(?=x)a", Syntax.PERL, "look-around"),
        ("a++", Syntax.PERL, "possessive"),
        ("a{1,2000}", Syntax.EXTENDED, "1,000 times at most"),
        ("a{2000}", Syntax.PERL, "1,000 times at most"),
        ("[z-a]", Syntax.BASIC, "range"),
        ("[a", Syntax.EXTENDED, "not closed"),
        ("[[:nope:]]", Syntax.BASIC, "unknown name"),
        (r"\(a", Syntax.BASIC, "not closed"),
        (r"a\)", Syntax.BASIC, "has no opening one"),
        ("*a", Syntax.EXTENDED, "there is nothing to repeat"),
        ("a\\", Syntax.BASIC, "backslash"),
        ("a" + "*" * 200, Syntax.EXTENDED, "repetitions of one another"),
        ("(" * 200, Syntax.EXTENDED, "groups are nested more than"),
    ],
)
def test_refusals_name_the_pattern_and_a_way_on(pattern: str, syntax: Syntax, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        compile_expression([pattern.encode()], syntax)


def driven(expression: Expression, text: bytes) -> tuple[list[int], int]:
    """The lines that match, and how often the search left the loop."""
    steps = line_steps(expression, text)
    works = 0
    try:
        while True:
            step = next(steps)
            if not isinstance(step, (Turn, Progress)):
                works += 1
                step.execute()
                step.apply()
    except StopIteration as done:
        return [line.number for line in done.value], works


def test_a_long_search_leaves_the_loop_piece_by_piece() -> None:
    text = b"".join(b"line %d\n" % number for number in range(300_000))
    expression = compile_expression([b"^line 29999.$"])
    found, works = driven(expression, text)
    assert found == list(range(299_991, 300_001))
    assert works >= 3
    assert run_to_end(search_steps(expression, text), MemoryStore())
    assert not run_to_end(search_steps(compile_expression([b"LINE"]), text), MemoryStore())
    assert driven(compile_expression([b"x"]), b"xy\n" * 3)[1] == 0
    long_line = b"x" * 3_000_000 + b"\ny"
    assert driven(compile_expression([b"y$"]), long_line)[0] == [2]


def test_nested_repetition_costs_text_times_expression() -> None:
    """An engine that goes back needs a second and more for these 22 bytes."""
    expression = compile_expression([b"(?:(?:x+)+)+y"])
    assert expression.size < 50
    assert expression.search(b"x" * 22) is None
    assert expression.is_quick(10_000)
    assert not compile_expression([rb"(?:\pL{10}){20}"]).is_quick(10_000)


def test_all_matches_of_a_text_in_steps() -> None:
    text = b"".join(b"ab %d\n" % number for number in range(20_000))
    store = MemoryStore()
    for syntax in (Syntax.PERL, Syntax.FIXED):
        expression = compile_expression([b"ab"], syntax)
        spans = run_to_end(span_steps(expression, text), store)
        assert spans == list(expression.finditer(text))
        assert len(spans) == 20_000 == run_to_end(count_steps(expression, text), store)
    assert run_to_end(span_steps(compile_expression([b"x*"]), b"axxa"), store) == [(1, 3)]
    assert run_to_end(count_steps(compile_expression([b"x*"]), b"axxa"), store) == 4
    with pytest.raises(TooLarge):
        run_to_end(span_steps(compile_expression([b"a"]), text, limit=10), store)


def test_what_a_long_line_costs_is_cut_into_steps() -> None:
    """Each match looks for a b up to the end of the line."""
    steps = span_steps(compile_expression([b"a[^b]*b|a"]), b"a" * 200_000, limit=100_000)
    works = 0
    for step in steps:
        if not isinstance(step, (Turn, Progress)):
            works += 1
            step.execute()
            step.apply()
        if works == 5:
            break
    steps.close()
    assert works == 5


def test_of_several_patterns_the_wrong_one_is_named() -> None:
    with pytest.raises(UsageError, match=r"'\[z-a\]' is not"):
        compile_expression([b"fine", b"[z-a]", b"a"])
