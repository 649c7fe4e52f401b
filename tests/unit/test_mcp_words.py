"""Tools of the MCP server: their schemas, and the words that an input stands for."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from heliosfs.commands.table import VERBS
from heliosfs.errors import UsageError
from heliosfs.mcp import words
from heliosfs.mcp.reference import mcp_page
from heliosfs.mcp.words import directory_of, input_schema, tool_description, tool_verbs, words_of

SAMPLES: dict[str, Any] = {"boolean": True, "integer": 3, "array": ["a", "b"], "string": "x"}


def given(name: str, **values: Any) -> list[str]:
    return words_of(VERBS[name], values)


def test_the_page_is_made_from_the_table() -> None:
    page = Path(__file__).parents[2] / "docs/reference/mcp.md"
    assert page.read_text() == mcp_page(), "make it anew: python -m heliosfs.mcp.reference"


def test_the_tools_are_verbs_of_history_that_reply_in_json() -> None:
    names = {verb.name for verb in tool_verbs()}
    assert {
        "commit", "status", "diff", "log", "show", "branch", "checkout", "reset", "undo", "redo",
        "merge", "restore", "experiment",
    } <= names  # fmt: skip
    assert names.isdisjoint({"import", "export", "gc", "fsck", "backup", "config", "run", "grep"})
    for verb in tool_verbs():
        assert any("--json" in option.names for option in verb.options), verb.name
        assert not verb.is_long and not verb.takes_command, verb.name


def test_each_property_is_an_option_that_the_verb_takes() -> None:
    for verb in tool_verbs():
        schema = input_schema(verb)
        keys = [option.key for option in verb.options if not option.is_for_text]
        names = [key.replace("-", "_") for key in keys]
        own = ["arguments", *(["paths"] if verb.takes_paths else []), "directory"]
        assert list(schema["properties"]) == names + own, verb.name
        assert schema["additionalProperties"] is False
        for key, name in zip(keys, names, strict=True):
            assert re.fullmatch(r"[A-Za-z]\w*", name)
            form = schema["properties"][name]
            assert form["description"]
            found = verb.parser().parse(words_of(verb, {name: SAMPLES[form["type"]]})[1:])
            assert key in found
            if form["type"] == "array":
                assert found.values(key) == ["a", "b"]
            elif form["type"] == "string":
                assert found.values(key) == ["x"]


def test_nothing_is_offered_that_is_for_text() -> None:
    for verb in tool_verbs():
        properties = input_schema(verb)["properties"]
        assert properties.keys().isdisjoint(
            {"json", "color", "no_color", "quiet", "null", "format", "oneline", "graph", "file"}
        ), verb.name
        for key, form in properties.items():
            assert "accepted" not in form["description"], (verb.name, key)


def test_a_description_has_what_the_help_has() -> None:
    text = tool_description(VERBS["reset"])
    assert text.startswith("Move the branch to another commit, with or without the files.\n\n")
    assert "\n\nForms:\nreset [--soft | --mixed | --hard] [REV]\nreset [REV] [--] PATH..." in text
    assert "--json" not in tool_description(VERBS["undo"])


def test_words() -> None:
    assert given("commit", message="a\n\nb", meta=["k=v", "l=w"], amend=True) == [
        "commit", "--json", "--message=a\n\nb", "--meta=k=v", "--meta=l=w", "--amend",
    ]  # fmt: skip
    assert given("checkout", B="new", arguments=["HEAD~1"]) == [
        "checkout", "--json", "-Bnew", "HEAD~1",
    ]  # fmt: skip
    assert given("diff", arguments=["A", "B"], paths=["x", "-y"], unified=0) == [
        "diff", "--json", "--unified=0", "A", "B", "--", "x", "-y",
    ]  # fmt: skip
    assert given("undo", arguments=[2]) == ["undo", "--json", "2"]
    assert given("checkout", arguments=["-"])[-1] == "-"


def test_what_models_and_clients_write_in_place_of_it() -> None:
    assert given("reset", hard=None, soft=False, arguments="HEAD") == ["reset", "--json", "HEAD"]
    assert given("commit", message="[fix] x") == ["commit", "--json", "--message=[fix] x"]
    assert given("commit", message="[1]") == ["commit", "--json", "--message=[1]"]
    assert given("checkout", B='["new"]') == ["checkout", "--json", '-B["new"]']
    assert given("restore", paths='["a", "b c"]') == ["restore", "--json", "--", "a", "b c"]
    assert given("branch", contains=True) == ["branch", "--json", "--contains="]
    assert given("status", ignored="") == ["status", "--json", "--ignored="]
    assert words_of(VERBS["log"], {"max-count": 3}) == ["log", "--json", "--max-count=3"]
    assert given("redo", arguments=None, directory=None) == ["redo", "--json"]


def test_a_list_is_bounded_unless_it_says_how() -> None:
    assert given("log") == ["log", "--json", f"--max-count={words.LISTED_COUNT}"]
    assert given("log", arguments=["A..B"])[-2:] == ["--max-count=20", "A..B"]
    assert given("log", max_count=500) == ["log", "--json", "--max-count=500"]
    assert given("oplog") == ["oplog", "--json", "--max-count=20"]
    assert given("oplog", arguments=["restore", "4"]) == ["oplog", "--json", "restore", "4"]


@pytest.mark.parametrize(
    ("name", "values", "problem"),
    [
        ("reset", {"hard": "yes"}, "'hard' is true or false"),
        ("reset", {"keep": True}, "unknown property 'keep': 'reset' has "),
        ("undo", {"paths": ["a"]}, "unknown property 'paths'"),
        ("log", {"json": False}, "unknown property 'json'"),
        ("reset", {"arguments": ["--hard"]}, "'--hard' is an option, which is a property"),
        ("checkout", {"branch": ["a", "b"]}, "'branch' takes one value"),
        ("commit", {"message": {"a": 1}}, "'message' is text, or a list of texts"),
        ("commit", {"message": [True]}, "'message' is text"),
    ],
)
def test_wrong_input(name: str, values: dict[str, Any], problem: str) -> None:
    with pytest.raises(UsageError, match=problem.replace("[", r"\[")):
        words_of(VERBS[name], values)


def test_no_value_passes_for_an_option() -> None:
    """The words have the options that the keys name, and no others, for every text."""
    for verb in tool_verbs():
        for key, form in input_schema(verb)["properties"].items():
            if form["type"] not in ("string", "array") or key in ("arguments", "directory"):
                continue
            found = verb.parser().parse(words_of(verb, {key: "--hard"})[1:])
            known = {option.key for option in verb.options}
            assert {each for each in known if each in found} - {"json", "max-count"} <= {
                key.replace("_", "-")
            }


def test_the_directory() -> None:
    assert directory_of(VERBS["log"], {}) == ""
    assert directory_of(VERBS["log"], {"directory": "src"}) == "src"
    for wrong in (3, "a\0b"):
        with pytest.raises(UsageError, match="path of a directory"):
            directory_of(VERBS["log"], {"directory": wrong})
