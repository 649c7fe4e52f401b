"""The MCP server in this process, with the SDK's client of both protocols, on a store in memory."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from threading import Event
from typing import Any

import anyio
import pytest
from mcp import Client, MCPDeprecationWarning, MCPError
from mcp_types import (
    BlobResourceContents,
    ListRootsResult,
    Root,
    TextContent,
    TextResourceContents,
)

from heliosfs.cli import mcp as command
from heliosfs.commands.table import VERBS
from heliosfs.errors import HeliosError, NotFound
from heliosfs.mcp import replies
from heliosfs.mcp.places import Access
from heliosfs.mcp.server import make_server
from tests.mcp_client import MODES, Use, text
from tests.tree_builder import Stage


class FakeMachine:
    """Workspaces in memory, each at a directory that exists."""

    def __init__(self, **stages: tuple[Path, Stage]) -> None:
        self.stages = {str(path): stage for path, stage in stages.values()}
        self.asked: list[tuple[str, list[str]]] = []

    def find(self, directory: str) -> str:
        for root in self.stages:
            if os.path.commonpath((root, directory)) == root:
                return root
        raise NotFound(f"{directory} is in no workspace")

    def ask(self, directory: str, argv: Sequence[str]) -> str:
        stage = self.stages[self.find(directory)]
        self.asked.append((directory, list(argv)))
        return stage.run(*argv)

    @property
    def access(self) -> Access:
        return Access(self.find, self.ask)


@pytest.fixture
def stage() -> Stage:
    stage = Stage()
    stage.commit("first", a=b"1\n")
    stage.commit("second", a=b"2\n", b=b"\0\xff")
    return stage


@pytest.fixture
def machine(tmp_path: Path, stage: Stage) -> FakeMachine:
    return FakeMachine(only=(tmp_path, stage))


def talk(machine: FakeMachine, use: Use, *, mode: str = "auto", **options: Any) -> None:
    """Let a client use a server that was started in the first workspace."""

    async def run() -> None:
        server = make_server(machine.access, next(iter(machine.stages)))
        async with Client(server, mode=mode, **options) as client:
            await use(client)

    anyio.run(run)


@MODES
def test_the_tools_have_the_hints_of_the_table(machine: FakeMachine, mode: str) -> None:
    async def use(client: Client) -> None:
        tools = (await client.list_tools()).tools
        assert [tool.name for tool in tools] == [
            name for name, verb in VERBS.items() if verb.is_tool
        ]
        for tool in tools:
            effect, hints = VERBS[tool.name].effect, tool.annotations
            assert hints is not None
            assert hints.read_only_hint == effect.is_read_only
            assert hints.destructive_hint == effect.is_destructive
            assert hints.idempotent_hint == effect.is_idempotent
            assert hints.open_world_hint is False
            assert tool.input_schema["properties"]["arguments"]["type"] == "array"
        destructive = {
            tool.name for tool in tools if tool.annotations and tool.annotations.destructive_hint
        }
        assert "reset" in destructive
        assert destructive.isdisjoint({"status", "commit"})

    talk(machine, use, mode=mode)


@MODES
def test_a_result_is_the_reply_in_json(machine: FakeMachine, stage: Stage, mode: str) -> None:
    async def use(client: Client) -> None:
        stage.files.write(b"a", b"3\n")
        done = await client.call_tool("commit", {"message": "third", "meta": ["k=v"]})
        assert not done.is_error
        assert done.structured_content is not None
        head = json.loads(stage.run("log", "--json", "-n1"))[0]
        assert done.structured_content == {"branch": "main", **head}
        assert head["metadata"] == {"k": "v"}
        assert json.loads(text(done)) == done.structured_content
        log = await client.call_tool("log", {"max_count": 2, "arguments": ["HEAD"]})
        assert log.structured_content is not None
        assert [each["subject"] for each in log.structured_content["result"]] == ["third", "second"]
        diff = await client.call_tool("diff", {"arguments": ["HEAD~1", "HEAD"], "patch": True})
        assert diff.structured_content is not None
        assert diff.structured_content["changes"][0]["patch"].endswith("-2\n+3\n")

    talk(machine, use, mode=mode)


@MODES
def test_a_refusal_is_a_result_with_our_text(machine: FakeMachine, stage: Stage, mode: str) -> None:
    stage.run("branch", "other", "HEAD~1")
    stage.live("other").write(b"a", b"theirs\n")
    stage.run("commit", "-q", "-m", "theirs", branch="other")

    async def use(client: Client) -> None:
        none = await client.call_tool("reset", {"hard": True, "arguments": ["nope"]})
        assert none.is_error
        assert none.structured_content is not None
        assert none.structured_content["errno"] == "ENOENT"
        assert text(none) == none.structured_content["error"] != ""
        wrong = await client.call_tool("reset", {"hrad": True})
        assert wrong.is_error
        assert text(wrong).startswith("unknown property 'hrad': 'reset' has ")
        assert "hard" in text(wrong).partition(" has ")[2].split(", ")
        clash = await client.call_tool("merge", {"arguments": ["other"]})
        assert clash.is_error
        assert clash.structured_content is not None
        assert [each["path"] for each in clash.structured_content["conflicts"]] == ["a"]
        lines = text(clash).splitlines()
        assert lines[0] == clash.structured_content["error"]
        assert lines[1].endswith(": a")
        assert lines[2:] == clash.structured_content["ways"] != []

    before = stage.view.head
    talk(machine, use, mode=mode)
    assert stage.view.head == before


@MODES
def test_bytes_that_no_message_can_carry(machine: FakeMachine, stage: Stage, mode: str) -> None:
    stage.files.write(b"caf\xe9", b"x")

    async def use(client: Client) -> None:
        found = await client.call_tool("status", {})
        assert found.structured_content is not None
        (change,) = found.structured_content["changes"]
        assert change["path"] == "caf\\udce9"
        assert "caf\\\\udce9" in text(found)
        (status,) = (await client.read_resource("helios://status")).contents
        assert isinstance(status, TextResourceContents)
        assert "caf\\351" in status.text
        missing = await client.call_tool("restore", {"paths": ["caf\\udce9"]})
        assert missing.is_error

    talk(machine, use, mode=mode)


def test_a_reply_that_is_too_long(
    machine: FakeMachine, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A verb that reads is refused, and one that has changed something is not."""
    monkeypatch.setattr(replies, "REPLY_MAX_LETTERS", 200)
    stage.files.write(b"a", b"3\n")

    async def use(client: Client) -> None:
        long = await client.call_tool("log", {})
        assert long.structured_content is not None
        assert long.structured_content["errno"] == "EMSGSIZE"
        assert "name paths" in text(long)
        assert not (await client.call_tool("commit", {"message": "long" * 100})).is_error
        with pytest.raises(MCPError, match="name paths"):
            await client.read_resource("helios://log")
        assert (await client.read_resource("helios://show/HEAD/a")).contents

    talk(machine, use)


@MODES
def test_resources(machine: FakeMachine, stage: Stage, mode: str) -> None:
    stage.files.write(b"d/e f", b"deep\n")
    stage.commit("third")
    stage.run("branch", "x/y")

    async def use(client: Client) -> None:
        listed = {str(each.uri) for each in (await client.list_resources()).resources}
        assert listed == {"helios://log", "helios://status"}
        templates = (await client.list_resource_templates()).resource_templates
        assert {each.uri_template for each in templates} == {
            "helios://diff/{old}..{new}", "helios://show/{revision}/{+path}",
        }  # fmt: skip
        for uri, expected in {
            "helios://log": stage.run("log", "-n50"),
            "helios://status": stage.run("status"),
            "helios://diff/HEAD~2..HEAD~1": stage.run("diff", "HEAD~2", "HEAD~1"),
            "helios://diff/HEAD~2..x%2Fy": stage.run("diff", "HEAD~2", "x/y"),
            "helios://show/HEAD~2/a": "1\n",
            "helios://show/HEAD/d/e%20f": "deep\n",
            "helios://show/HEAD/d": '"e f"\n' if '"' in stage.run("show", "HEAD:d") else "e f\n",
        }.items():
            (found,) = (await client.read_resource(uri)).contents
            assert isinstance(found, TextResourceContents), uri
            assert found.text == expected, uri
        (binary,) = (await client.read_resource("helios://show/HEAD/b")).contents
        assert isinstance(binary, BlobResourceContents)
        assert base64.b64decode(binary.blob) == b"\0\xff"
        for uri, reason in {
            "helios://show/HEAD/nope": "no path 'nope' in HEAD",
            "helios://show/nope/a": "nope",
            "helios://diff/--stat..HEAD": "'--stat' is no revision",
            "helios://show/HEAD/../a": "Unknown resource",
        }.items():
            with pytest.raises(MCPError, match=reason):
                await client.read_resource(uri)

    talk(machine, use, mode=mode)


@MODES
def test_the_prompt_lists_prompts_and_commits(
    machine: FakeMachine, stage: Stage, mode: str
) -> None:
    told = json.dumps({"session_id": "s", "prompt": "make it fast", "prompt_id": "p"})
    stage.run("hook", "UserPromptSubmit", "--client=claude", f"--payload={told}")
    stage.files.write(b"a", b"4\n")
    stage.run("hook", "Stop", "--client=claude", f"--payload={told}")

    async def use(client: Client) -> None:
        (prompt,) = (await client.list_prompts()).prompts
        assert prompt.name == "rewind"
        assert [each.name for each in prompt.arguments or ()] == ["words"]
        answer = await client.get_prompt("rewind", {"words": "the slow one"})
        (message,) = answer.messages
        assert isinstance(message.content, TextContent)
        lines = message.content.text.splitlines()
        assert lines[0].endswith("The user wants to go back to: the slow one")
        assert "1  make it fast" in lines
        assert lines[-2].endswith("  second")
        assert lines[-1].endswith("  first")
        asked = (await client.get_prompt("rewind")).messages[0].content
        assert isinstance(asked, TextContent)
        assert "Ask the user where to go." in asked.text
        back = await client.call_tool("rewind", {"arguments": [1]})
        assert back.structured_content is not None
        assert back.structured_content["prompt"] == "make it fast"
        assert stage.files.read(b"a") == b"2\n"

    talk(machine, use, mode=mode)


def test_a_prompt_where_nothing_was_committed(tmp_path: Path) -> None:
    machine = FakeMachine(only=(tmp_path, Stage()))

    async def use(client: Client) -> None:
        (message,) = (await client.get_prompt("rewind", {"words": "1"})).messages
        assert isinstance(message.content, TextContent)
        assert message.content.text.endswith("newest first:\nnone")
        with pytest.raises(MCPError, match="does not have any commits yet"):
            await client.read_resource("helios://log")
        machine.stages.clear()
        with pytest.raises(MCPError, match="is in no workspace"):
            await client.get_prompt("rewind")

    talk(machine, use)


def _roots(
    paths: Sequence[Path], counted: list[int]
) -> Callable[[Any], Awaitable[ListRootsResult]]:
    async def answer(_: Any) -> ListRootsResult:
        counted.append(len(paths))
        return ListRootsResult(
            roots=[Root.model_validate({"uri": path.as_uri()}) for path in paths]
        )

    return answer


@MODES
def test_the_roots_choose_the_workspace(
    tmp_path: Path, stage: Stage, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first root that is in a workspace; the directory of the process counts without roots."""
    one, other, none = (tmp_path / name for name in ("one", "the other", "none"))
    for each in (one, other / "src", none):
        each.mkdir(parents=True)
    second = Stage()
    second.commit("elsewhere", z=b"z")
    machine = FakeMachine(one=(one, stage), other=(other, second))
    monkeypatch.chdir(one)
    asked: list[int] = []

    async def subject(client: Client) -> str:
        done = await client.call_tool("log", {"max_count": 1})
        if done.is_error:
            return text(done)
        assert done.structured_content is not None
        found: str = done.structured_content["result"][0]["subject"]
        return found

    async def run(roots: Sequence[Path] | None, workspace: str | None, *expected: str) -> None:
        options: Any = {"mode": mode}
        if roots is not None:
            options["list_roots_callback"] = _roots(roots, asked)
        async with Client(make_server(machine.access, workspace), **options) as client:
            for each in expected:
                assert await subject(client) == each
            if expected[0] == "elsewhere":
                (log,) = (await client.read_resource("helios://log")).contents
                assert isinstance(log, TextResourceContents)
                assert "elsewhere" in log.text

    anyio.run(run, None, None, "second")
    anyio.run(run, [other / "src"], None, "elsewhere", "elsewhere")
    assert asked == [1]
    assert machine.asked[-1][0] == str(other / "src")
    anyio.run(run, [none, other], None, "elsewhere")
    anyio.run(run, [none], None, f"{none} is in no workspace")
    anyio.run(run, [none, tmp_path], None, f"{none} is in no workspace")
    anyio.run(run, [], None, "second")
    asked.clear()
    anyio.run(run, [other], str(one), "second")
    assert asked == []


def test_roots_that_changed_are_asked_for_again(tmp_path: Path, stage: Stage) -> None:
    (tmp_path / "inner").mkdir()
    machine = FakeMachine(only=(tmp_path, stage))
    roots, asked = [tmp_path], list[int]()

    async def run() -> None:
        server = make_server(machine.access)
        options: Any = {"list_roots_callback": _roots(roots, asked)}
        async with Client(server, mode="legacy", **options) as client:
            await client.call_tool("status", {})
            roots[:] = [tmp_path / "inner"]
            await client.call_tool("status", {})
            with pytest.warns(MCPDeprecationWarning, match="roots"):
                await client.send_roots_list_changed()
            await client.call_tool("status", {})

    anyio.run(run)
    assert [place for place, _ in machine.asked] == [
        str(tmp_path), str(tmp_path), str(tmp_path / "inner"),
    ]  # fmt: skip
    assert asked == [1, 1]


def test_a_directory_is_inside_the_workspace(machine: FakeMachine, tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "out").symlink_to("/")

    async def use(client: Client) -> None:
        assert not (await client.call_tool("status", {"directory": "src"})).is_error
        assert machine.asked[-1][0] == str(tmp_path / "src")
        for outside in ("..", "out", "/", "src/../../x"):
            refused = await client.call_tool("status", {"directory": outside})
            assert refused.is_error
            assert f"{outside!r} is outside of the workspace" in text(refused)
        missing = await client.call_tool("status", {"directory": "nope"})
        assert text(missing) == f"'nope' is no directory of the workspace {tmp_path}"

    talk(machine, use)


def test_a_call_that_the_client_gives_up_is_carried_out_once_and_whole(
    machine: FakeMachine, stage: Stage
) -> None:
    begun, may_go_on = Event(), Event()
    plain = machine.ask

    def slow(directory: str, argv: Sequence[str]) -> str:
        if argv[0] == "commit":
            begun.set()
            assert may_go_on.wait(30)
        return plain(directory, argv)

    machine.ask = slow  # type: ignore[method-assign]
    stage.files.write(b"a", b"late\n")

    async def use(client: Client) -> None:
        async with anyio.create_task_group() as calls:
            calls.start_soon(client.call_tool, "commit", {"message": "late"})
            with anyio.fail_after(30):
                while not begun.is_set():
                    await anyio.sleep(0.01)
            # The client tells the server that it has given up, as it does when its time is up.
            calls.cancel_scope.cancel()
        # Others go on meanwhile.
        assert not (await client.call_tool("status", {})).is_error
        assert stage.run("log", "--oneline", "-n1").endswith("second\n")
        may_go_on.set()
        with anyio.fail_after(30):
            while not stage.run("log", "--oneline", "-n1").endswith("late\n"):
                await anyio.sleep(0.01)
        again = await client.call_tool("commit", {"message": "late"})
        assert text(again) == "nothing to commit, working tree clean"

    talk(machine, use, mode="legacy")
    assert [argv[0] for _, argv in machine.asked].count("commit") == 2


def test_without_the_package_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "find_spec", lambda name: None)
    with pytest.raises(
        HeliosError, match=r"^'helios mcp' needs the package mcp: install heliosfs\[mcp\]"
    ):
        command.mcp([])
    monkeypatch.setattr(command, "find_spec", lambda name: name if name == "pip" else None)
    with pytest.raises(HeliosError, match=r" -m pip install 'mcp>=2\.3,<3'$"):
        command.mcp([])


def test_the_requirement_is_that_of_the_extra() -> None:
    project = (Path(__file__).parents[2] / "pyproject.toml").read_text()
    assert f'mcp = ["{command._REQUIREMENT}"]' in project
