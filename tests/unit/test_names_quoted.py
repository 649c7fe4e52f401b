"""Names in replies: quoted as git quotes them, wherever a reply is text for people."""

from __future__ import annotations

import pytest

from heliosfs.errors import HeliosError
from tests.tree_builder import Stage

NAME = b'\xc3\xa4 "\n\xff'
PATH = (NAME + b"/" + NAME).decode("utf-8", "surrogateescape")
QUOTED = r"\303\244 \"\n\377"
"""The name as git writes it within quotes."""

CALLS = (
    ("status",),
    ("status", "-s"),
    ("status", "--porcelain=v2"),
    ("status", "--ignored"),
    ("add", "--dry-run", "."),
    ("diff",),
    ("diff", "--stat"),
    ("diff", "--numstat"),
    ("diff", "--name-only"),
    ("diff", "--name-status"),
    ("diff", "--raw"),
    ("diff", "--summary"),
    ("log", "--stat"),
    ("log", "-p"),
    ("show", "HEAD:"),
    ("show", "--stat"),
    ("blame", "HEAD", "--", PATH),
    ("grep", "one"),
    ("grep", "-l", "one"),
    ("grep", "-c", "one"),
    ("ls-files",),
    ("cat-file", "-p", "HEAD^{tree}"),
    ("ls-tree", "-r", "HEAD"),
    ("check-ignore", "-v", PATH.replace("/", "/ignored")),
    ("stash", "show"),
    ("checkout", "HEAD", "--", "."),
    ("restore", "."),
    ("rm", "--dry-run", "-r", "."),
    ("merge", "side"),
    ("merge", "--markers", "side"),
    ("commit", "-m", "all"),
    ("commit", "-m", "the rest", "."),
    ("reset", "--", "."),
    ("undo",),
    ("redo",),
    ("restore", "--saved", "."),
    ("oplog",),
    ("branch",),
)


@pytest.fixture
def stage() -> Stage:
    """A branch beside that conflicts, a directory and files of that name, and ignored ones."""
    stage = Stage()
    stage.files.write(NAME + b"/" + NAME, b"one\n")
    stage.files.write(NAME + b"/.heliosignore", b"ignored*\n")
    stage.commit("base")
    stage.run("branch", "side")
    stage.run("checkout", "side")
    stage.files.write(NAME + b"/" + NAME, b"side one\n")
    stage.commit("side")
    stage.run("checkout", "main")
    stage.files.write(NAME + b"/" + NAME, b"ours one\n")
    stage.commit("ours")
    stage.files.write(NAME + b"/" + NAME, b"stashed one\n")
    stage.run("stash", "push", "-q")
    stage.files.write(NAME + b"/" + NAME, b"changed one\n")
    stage.files.write(NAME + b"/new" + NAME, b"one\n")
    stage.files.write(NAME + b"/ignored" + NAME, b"one\n")
    return stage


@pytest.mark.parametrize("argv", CALLS, ids=" ".join)
def test_no_reply_has_a_raw_name(stage: Stage, argv: tuple[str, ...]) -> None:
    if argv[0] == "merge" or argv[-1] == "the rest":
        stage.run("reset", "--hard")
    if argv[0] == "redo":
        stage.run("undo")
    try:
        reply = stage.run(*argv)
    except HeliosError as error:
        reply = str(error)
    assert "ä" not in reply
    assert "\udcff" not in reply
    if argv[0] in ("status", "diff", "grep", "ls-files", "ls-tree", "check-ignore"):
        assert QUOTED in reply
