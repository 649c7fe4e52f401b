"""JSON replies: the page that lists their fields, made from replies and compared with them.

`python -m tests.unit.test_json_replies` prints the page.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

from heliosfs.commands.table import VERBS
from heliosfs.errors import HeliosError
from tests.tree_builder import Stage

PAGE = Path(__file__).parents[2] / "docs/reference/json.md"

NAMED = {
    "CHANGE": ("status", "change", "path", "source", "similarity", "old", "new"),
    "ENTRY": ("mode", "uid", "gid", "mtime_ns", "size", "id"),
    "PERSON": ("name", "email", "time", "seconds"),
    "OPERATION": (
        "sequence", "time", "seconds", "verb", "text", "reverted", "before", "after",
    ),
    "STATE": ("head", "tree"),
    "COMMIT": (
        "id", "tree", "parents", "author", "committer", "subject", "message", "metadata",
    ),
    "CONFLICT": ("path", "kind", "base", "ours", "theirs"),
    "BRANCH": ("name", "head", "current", "mounted"),
    "EXPERIMENT": (
        "name", "state", "branch", "head", "base", "started", "started_seconds", "ended",
        "ended_seconds", "parameters", "minimize", "commit_count", "metric", "best", "last",
    ),
    "SETTING": ("key", "value", "text", "source", "line", "type", "default", "effect", "why"),
}  # fmt: skip
"""Documents that are parts of several replies -> their fields."""

WORDS = {
    "id": "a commit or object, in full",
    "head": "the commit that a branch, or HEAD, names; null before the first",
    "branch": "the name of a branch; null where HEAD is detached",
    "name": "of a branch, a tag, an experiment, an entry of the stash, or a person",
    "revision": "a commit as the caller named it; null for the working tree",
    "path": "from the root of the workspace",
    "changed": "paths of which something was changed: in the files, or in what is staged",
    "changes": "differences between two trees, a CHANGE each",
    "deleted": "names that were deleted",
    "time": "a time in the format of ISO 8601",
    "seconds": "the same since the epoch",
    "line": "the number of a line, from 1 on",
    "text": "a line, or the text of an operation or of a setting",
    "source": "in a CHANGE the path before a rename; elsewhere the file that sets it",
    "mode": "in octal digits",
    "error": "why a request was refused, in words",
    "errno": "the name of its errno",
}
"""Meaning of each field that is the same in all replies."""

CALLS = (
    "status --json", "status --json --ignored", "diff --json", "diff --json --stat",
    "diff --json -p",
    "add --json file", "commit --json -m x", "log --json", "show --json", "show --json HEAD:file",
    "branch --json", "branch --json new", "branch -m --json new other",
    "branch -c --json other more", "branch -d --json more other", "tag --json v1", "tag --json",
    "tag -d --json v1", "blame --json file", "grep --json 3", "ls-files --json",
    "ls-tree --json HEAD", "rev-list --json HEAD", "for-each-ref --json",
    "check-ignore --json log.tmp", "config --json", "config get --json ui.color", "stats --json",
    "oplog --json", "undo --json", "redo --json", "reset --json HEAD", "checkout --json -b side",
    "switch --json main", "@edit", "checkout --json HEAD -- file", "@edit", "restore --json file",
    "rm --json gone", "@edit", "stash --json", "stash list --json", "stash show --json",
    "stash pop --json", "reset --hard", "@side", "merge --dry-run --json side",
    "merge --json side", "cherry-pick --json pick", "revert --json HEAD",
    "@clash", "merge --json clash", "experiment start --json e", "@attempt",
    "experiment record --json -e e score=1",
    "experiment list --json", "experiment show --json e", "experiment best --json e",
    "experiment finish --json e", "reset --hard", "@edit", 'hook Stop --payload {"turn_id":"t"}',
    "rewind --json", "rewind --json 1",
    "remote add --json origin URL", "remote --json", "push --json", "fetch --json",
    "pull --json", "remote remove --json origin", "gc --json", "fsck --json", "version --json",
    "log --json nothing",
)  # fmt: skip
"""In this order; @ is something that is done in between."""
ELSEWHERE = {"backup", "import", "export", "debug"}
"""Verbs whose replies are those of git's side (tests/compat), need a store on a disk
(tests/unit/test_cli_backup.py), or may change with any version."""


def shown(value: object, top: bool = True) -> str:
    """The form of a document: its fields, in the words of the page."""
    if isinstance(value, list):
        return f"[{shown(value[0], top=False)}]" if value else "[]"
    if not isinstance(value, dict):
        return "…"
    keys = tuple(value)
    for name, fields in NAMED.items():
        if keys[: len(fields)] == fields:
            more = {key: value[key] for key in keys[len(fields) :]}
            return f"{name} + {shown(more)}" if more else name
    return "{" + ", ".join(_field(key, each) for key, each in value.items()) + "}"


def _field(key: str, value: object) -> str:
    form = shown(value, top=False)
    return key if form == "…" or value in ({}, []) else f"{key}: {form}"


def replies() -> list[tuple[str, str]]:
    """Each call, and the form of its reply."""
    stage = Stage()
    stage.commit("base", **{"file": b"1\n2\n", "gone": b"x\n", ".heliosignore": b"*.tmp\n"})
    stage.files.write(b"file", b"2\n3\n")
    stage.files.write(b"log.tmp", b"")
    with tempfile.TemporaryDirectory() as directory:
        return _called(stage, f"file://{directory}/remote")


def _called(stage: Stage, url: str) -> list[tuple[str, str]]:
    found = []
    for call in CALLS:
        if call.startswith("@"):
            _do(stage, call)
            continue
        try:
            reply = stage.run(*call.replace("URL", url).split())
        except HeliosError as error:
            reply = str(error)
        if "--json" in call:
            found.append((call, shown(json.loads(reply))))
    return found


def _do(stage: Stage, what: str) -> None:
    """Carry out what is done between two calls."""
    if what == "@edit":
        stage.files.write(b"file", b"edited\n")
        return
    if what == "@side":
        for branch in ("side", "pick"):
            if branch == "pick":
                stage.run("branch", "pick", "HEAD")
            stage.live(branch).write(branch.encode(), b"1\n")
            stage.run("commit", "-q", "-m", branch, branch=branch)
        return
    if what == "@attempt":
        stage.live("e").write(b"file", b"attempt\n")
        stage.run("commit", "-q", "-m", "attempt", branch="e")
        return
    stage.run("branch", "clash")
    stage.live("clash").write(b"file", b"theirs\n")
    stage.run("commit", "-q", "-m", "theirs", branch="clash")
    stage.commit("ours", file=b"ours\n")


def page() -> str:
    """The page in Markdown."""
    words = "\n".join(f"| `{word}` | {meaning} |" for word, meaning in WORDS.items())
    named = "\n".join(f"| {name} | {', '.join(f'`{f}`' for f in NAMED[name])} |" for name in NAMED)
    rows = "\n".join(f"| `{call}` | `{form}` |" for call, form in replies())
    return f"""\
# JSON replies

The fields of what each verb replies with `--json`: one document, in UTF-8, bytes that are none as
lone surrogates. A field that is there once is there always; what does not apply is null, empty or
false. Fields may be added; they are not renamed or taken away without a line in the changelog.
`import` and `export` count what they carried over, and the form of what `debug` shows may change
with any version; no other verb has `--json` that is not here.

<!-- Made by `python -m tests.unit.test_json_replies` from replies. -->

## Words

The same thing has the same name in all of them.

| field | is |
|---|---|
{words}

## Parts

| | fields |
|---|---|
{named}

A CHANGE has an ENTRY, or null, in `old` and `new`; a COMMIT has a PERSON in `author` and
`committer`; an OPERATION a STATE in `before` and `after`.  An operation whose
commit is damaged has `sequence` and `error` alone.

## Replies

| call | reply |
|---|---|
{rows}

Those that begin with `error` are refusals; every verb has them, with exit code 1, or 2 for wrong
usage.
"""


def test_the_page_has_the_fields_of_all_replies() -> None:
    assert PAGE.read_text() == page(), "make it anew: python -m tests.unit.test_json_replies"


def test_every_verb_with_json_is_on_it() -> None:
    having = {
        name for name, verb in VERBS.items() if any("--json" in each.names for each in verb.options)
    }
    assert having - ELSEWHERE == {call.split()[0] for call in CALLS if "--json" in call}


def test_two_of_the_replies_are_refusals() -> None:
    refused = [call for call, form in replies() if form.startswith("{error")]
    assert refused == ["merge --json clash", "log --json nothing"]


if __name__ == "__main__":
    sys.stdout.write(page())
