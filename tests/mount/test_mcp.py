"""`helios mcp` as clients start it: the SDK's own client, and one that writes the lines itself."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
from mcp import Client, StdioServerParameters
from mcp_types import ListRootsResult, Root, TextResourceContents

from tests.mcp_client import MODES, Use, text
from tests.mount.conftest import SECONDS, Mounted, Mounter


def talk(
    cwd: Path,
    use: Use,
    *words: str,
    mode: str = "auto",
    **more: Any,
) -> None:
    """Start the server in a directory, and let the SDK's client use it."""
    parameters = StdioServerParameters(
        command=sys.executable,
        args=["-m", "heliosfs.cli", "mcp", *words],
        cwd=cwd,
        env=dict(os.environ),
    )

    async def run() -> None:
        with anyio.fail_after(2 * SECONDS):
            async with Client(parameters, mode=mode, **more) as client:
                await use(client)

    anyio.run(run)


@MODES
def test_an_agent_commits_looks_and_goes_back(mounted: Mounted, mode: str) -> None:
    file = mounted.path / "a.py"

    async def use(client: Client) -> None:
        names = {tool.name for tool in (await client.list_tools()).tools}
        assert {"commit", "log", "reset", "undo"} <= names
        file.write_text("x = 1\n")
        first = await client.call_tool("commit", {"message": "one"})
        assert first.structured_content is not None
        assert (mounted.path / ".helios/HEAD").read_text().strip() == first.structured_content["id"]
        file.write_text("x = 2\n")
        await client.call_tool("commit", {"message": "two"})
        file.write_text("x = 3\n")
        status = await client.call_tool("status", {})
        assert status.structured_content is not None
        assert [each["path"] for each in status.structured_content["changes"]] == ["a.py"]
        (old,) = (await client.read_resource("helios://show/HEAD~1/a.py")).contents
        assert isinstance(old, TextResourceContents)
        assert old.text == "x = 1\n"
        await client.call_tool("reset", {"hard": True, "arguments": ["HEAD~1"]})
        assert file.read_text() == "x = 1\n"
        await client.call_tool("undo", {})
        assert file.read_text() == "x = 3\n"

    talk(mounted.path, use, mode=mode)


def test_a_branch_has_its_own_files(mounted: Mounted) -> None:
    """`directory` leads to the live workspace of a branch; only that is committed."""
    (mounted.path / "a").write_text("1\n")
    mounted.commit("base")

    async def use(client: Client) -> None:
        assert not (await client.call_tool("branch", {"arguments": ["idea"]})).is_error
        (mounted.path / ".helios/branches/idea/a").write_text("2\n")
        done = await client.call_tool(
            "commit", {"message": "in it", "directory": ".helios/branches/idea"}
        )
        assert done.structured_content is not None
        assert done.structured_content["branch"] == "idea"
        log = await client.call_tool("log", {})
        assert log.structured_content is not None
        assert [each["subject"] for each in log.structured_content["result"]] == ["base"]
        merged = await client.call_tool("merge", {"arguments": ["idea"]})
        assert not merged.is_error
        assert (mounted.path / "a").read_text() == "2\n"

    talk(mounted.path, use)


@MODES
def test_the_roots_of_the_client_choose(mounter: Mounter, tmp_path: Path, mode: str) -> None:
    one, other = mounter(name="one"), mounter(name="an other")
    (other.path / "here").write_text("x")

    async def roots(_: Any) -> ListRootsResult:
        return ListRootsResult(roots=[Root.model_validate({"uri": other.path.as_uri()})])

    async def use(client: Client) -> None:
        await client.call_tool("commit", {"message": "chosen"})

    talk(one.path, use, mode=mode, list_roots_callback=roots)
    assert other.helios("log", "--oneline").endswith(" chosen\n")
    (one.path / "here").write_text("x")
    talk(tmp_path, use, "--workspace", str(one.path), mode=mode, list_roots_callback=roots)
    assert one.helios("log", "--oneline").count("\n") == 1


def test_where_nothing_is_mounted(mounted: Mounted, tmp_path: Path) -> None:
    """The server runs all the same, since a client starts it early; its refusals say what to do."""
    told: list[str] = []

    async def use(client: Client) -> None:
        refused = await client.call_tool("status", {})
        assert refused.is_error
        told.append(text(refused))

    talk(tmp_path, use)
    assert told[-1] == f"{tmp_path} is in no heliosfs workspace: 'helios mount DIR' makes one"
    (mounted.path / "a").write_text("1\n")
    mounted.commit("base")
    mounted.unmount()
    talk(mounted.path, use)
    assert told[-1].endswith(f"is not mounted: 'helios mount {mounted.path}'")
    mounted.mount()

    async def lose(client: Client) -> None:
        mounted.kill9()
        await use(client)

    talk(tmp_path, lose, "--workspace", str(mounted.path))
    assert "lost its daemon" in told[-1]


class LineClient:
    """A client that knows nothing but lines of JSON-RPC, as in the protocol of 2025-06-18."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self._last = 0
        self._rest = b""
        self.roots: list[str] | None = None
        self.asked_roots = 0

    def send(self, method: str, params: dict[str, Any] | None = None) -> int:
        """Send a request, and return its number."""
        self._last += 1
        self._write({"id": self._last, "method": method, "params": params or {}})
        return self._last

    def tell(self, method: str, params: dict[str, Any] | None = None) -> None:
        self._write({"method": method, "params": params or {}})

    def answer(self, number: int) -> dict[str, Any]:
        """Return the answer to a request; on the way, say which roots there are."""
        while True:
            message = self._read()
            if message.get("method") == "roots/list":
                self.asked_roots += 1
                uris = [{"uri": uri} for uri in self.roots or ()]
                self._write({"id": message["id"], "result": {"roots": uris}})
            elif message.get("id") == number:
                return message

    def request(self, method: str, params: dict[str, Any] | None = None) -> dict[str, Any]:
        answer = self.answer(self.send(method, params))
        assert "error" not in answer, answer
        result: dict[str, Any] = answer["result"]
        return result

    def begin(self, version: str = "2025-06-18") -> dict[str, Any]:
        offered = {} if self.roots is None else {"roots": {"listChanged": True}}
        answer = self.request(
            "initialize",
            {
                "protocolVersion": version,
                "capabilities": offered,
                "clientInfo": {"name": "lines", "version": "1"},
            },
        )
        self.tell("notifications/initialized")
        return answer

    def call(self, tool: str, **given: Any) -> dict[str, Any]:
        return self.request("tools/call", {"name": tool, "arguments": given})

    def _write(self, message: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")
        self._process.stdin.flush()

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        while b"\n" not in self._rest:
            ready, _, _ = select.select([self._process.stdout], [], [], SECONDS)
            assert ready, "the server does not answer"
            data = os.read(self._process.stdout.fileno(), 65536)
            assert data, "the server ended"
            self._rest += data
        line, _, self._rest = self._rest.partition(b"\n")
        message: dict[str, Any] = json.loads(line)
        assert message["jsonrpc"] == "2.0"
        return message


@contextmanager
def line_client(cwd: Path) -> Iterator[LineClient]:
    """Start the server; in the end close its input, at which it has to end by itself."""
    with subprocess.Popen(
        [sys.executable, "-m", "heliosfs.cli", "mcp"],
        cwd=cwd,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        try:
            yield LineClient(process)
            assert process.stdin is not None
            process.stdin.close()
            assert process.wait(SECONDS) == 0
            assert process.stderr is not None
            assert process.stderr.read() == b""
        finally:
            process.kill()


def test_a_client_of_lines(mounted: Mounted, tmp_path: Path) -> None:
    (mounted.path / "a").write_text("1\n")
    with line_client(tmp_path) as client:
        client.roots = [f"file://{mounted.path}"]
        begun = client.begin()
        assert begun["protocolVersion"] == "2025-06-18"
        assert begun["serverInfo"]["name"] == "helios"
        assert "undo" in begun["instructions"]
        assert client.asked_roots == 0
        tools = client.request("tools/list")["tools"]
        (commit,) = (tool for tool in tools if tool["name"] == "commit")
        assert commit["annotations"]["readOnlyHint"] is False
        assert commit["inputSchema"]["properties"]["message"]["type"] == "array"
        done = client.call("commit", message="by lines")
        assert not done["isError"]
        assert done["structuredContent"]["subject"] == "by lines"
        assert client.call("commit", message="x") == {
            "content": [{"type": "text", "text": "nothing to commit, working tree clean"}],
            "structuredContent": {
                "error": "nothing to commit, working tree clean",
                "errno": "ENODATA",
            },
            "isError": True,
        }
        assert client.asked_roots == 1
        client.roots = [f"file://{tmp_path}"]
        client.tell("notifications/roots/list_changed")
        assert client.call("status")["isError"]
        assert client.asked_roots == 2
        unknown = client.answer(client.send("tools/call", {"name": "gc", "arguments": {}}))
        assert unknown["result"]["isError"]


def test_the_oldest_protocol(mounted: Mounted) -> None:
    """Results have no structure there: a client has the same as text."""
    (mounted.path / "a").write_text("1\n")
    with line_client(mounted.path) as client:
        assert client.begin("2024-11-05")["protocolVersion"] == "2024-11-05"
        assert client.request("tools/list")["tools"]
        done = client.call("commit", message="old")
        assert json.loads(done["content"][0]["text"])["subject"] == "old"


def test_a_workspace_that_is_mounted_again(mounted: Mounted) -> None:
    """The server knows where a view is, and sees when it is there no more."""
    with line_client(mounted.path.parent) as client:
        client.roots = [f"file://{mounted.path}"]
        client.begin()
        assert not client.call("status")["isError"]
        mounted.remount()
        assert not client.call("status")["isError"]
        mounted.unmount()
        assert client.call("status")["isError"]
        mounted.mount()
        assert not client.call("status")["isError"]


def test_many_calls_at_once_are_answered_each(mounted: Mounted) -> None:
    """Eight commits that were sent before the first answer: a history of eight, each its own id."""
    (mounted.path / "a").write_text("1\n")
    mounted.commit("base")
    with line_client(mounted.path) as client:
        client.begin()
        for name in range(8):
            client.call("branch", arguments=[f"b{name}"])
            (mounted.path / f".helios/branches/b{name}/a").write_text(f"of {name}\n")
        numbers = {
            client.send(
                "tools/call",
                {
                    "name": "commit",
                    "arguments": {"message": f"m{name}", "directory": f".helios/branches/b{name}"},
                },
            ): name
            for name in range(8)
        }
        found: dict[int, str] = {}
        while len(found) < 8:
            message = client._read()
            document = message["result"]["structuredContent"]
            assert not message["result"]["isError"], document
            assert document["branch"] == f"b{numbers[message['id']]}"
            found[message["id"]] = document["id"]
        assert len(set(found.values())) == 8


def test_calls_that_are_cancelled_are_whole_or_not_at_all(mounted: Mounted) -> None:
    """A commit is cancelled right after it was sent: it is there as it was sent, or not at all."""
    (mounted.path / "a").write_text("0\n")
    mounted.commit("base")
    with line_client(mounted.path) as client:
        client.begin()
        for number in range(10):
            (mounted.path / "a").write_text(f"{number} more\n")
            sent = client.send(
                "tools/call", {"name": "commit", "arguments": {"message": f"try {number}"}}
            )
            client.tell("notifications/cancelled", {"requestId": sent})
            # Answered after the cancelled verb, if that was begun: verbs run one after another.
            done = client.call("commit", message=f"then {number}")
            subjects = mounted.helios("log", "--oneline", "-n1")
            if done["isError"]:
                assert done["structuredContent"]["errno"] == "ENODATA"
                assert subjects.endswith(f" try {number}\n")
            else:
                assert subjects.split(" ", 1)[1].startswith(("then", "try"))
    assert mounted.helios("status", "--short") == ""


def test_a_client_that_is_gone(mounted: Mounted) -> None:
    """The server ends with its client, and the workspace goes on."""
    (mounted.path / "a").write_text("1\n")
    with line_client(mounted.path) as client:
        client.begin()
        client.send("tools/call", {"name": "commit", "arguments": {"message": "last"}})
    if mounted.helios("status", "--short"):
        mounted.commit("last")
    assert mounted.helios("log", "--oneline").endswith(" last\n")
