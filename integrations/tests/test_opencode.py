"""The workspace adapter of opencode: by itself in Node.js, and in a server of opencode."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from heliosfs import Workspace
from tests.mount.programs import put

HERE = Path(__file__).parents[1] / "opencode"
PLUGIN = HERE / "heliosfs.js"
SERVER = HERE / "node_modules/opencode-linux-x64/bin/opencode"
SECONDS = 240
"""Longest wait for a server that begins on a busy machine; a request takes seconds then."""

ADAPTER = """
const { default: plugin } = await import(process.argv[1])
const adapters = {}
const register = (type, adapter) => { adapters[type] = adapter }
const load = (directory) => plugin({ experimental_workspace: { register }, directory })
const hooks = await load(process.argv[2] + "/src")
const adapter = adapters.heliosfs
const blank = { type: "heliosfs", name: "", branch: null, directory: null, extra: null }
const info = adapter.configure({ id: "wrk_1", ...blank })
await adapter.create(info, {})
const second = adapter.configure({ id: "wrk_2", ...blank, branch: "mine", name: "n" })
await adapter.create(second, {}, info)
await hooks["tool.execute.after"]({ tool: "edit", sessionID: "s", callID: "c" })
await hooks["tool.execute.after"]({ tool: "read", sessionID: "s", callID: "d" })
let refused = null
try { await adapter.create(info, {}) } catch (error) { refused = [error.code, error.message] }
await adapter.remove(second)
// The plugin of the fork itself.
const inner = await load(info.directory)
const { writeFileSync } = await import("node:fs")
writeFileSync(info.directory + "/src/app.py", "print('two')\\n")
await inner["tool.execute.after"]({ tool: "write", sessionID: "t", callID: "e" })
const outside = await load("/")
console.log(JSON.stringify([info, second, adapter.target(info), refused, Object.keys(outside)]))
"""


@pytest.mark.skipif(shutil.which("node") is None, reason="Node.js is not installed")
def test_the_adapter(workspace: Workspace) -> None:
    done = subprocess.run(
        ["node", "--input-type=module", "-e", ADAPTER, str(PLUGIN), str(workspace.path)],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    info, second, target, refused, outside = json.loads(done.stdout)
    live = str(workspace.path / ".helios/live/opencode-wrk_1")
    assert (info["name"], info["branch"], info["directory"]) == (
        "opencode-wrk_1",
        "opencode-wrk_1",
        live,
    )
    assert (second["name"], second["branch"]) == ("n", "mine")
    assert target == {"type": "local", "directory": live}
    assert refused == ["EEXIST", "a branch 'opencode-wrk_1' exists already"]
    assert outside == []
    assert [each.name for each in workspace.branches()] == ["main", "opencode-wrk_1"]
    (commit, base) = workspace.log()
    assert (commit.subject, base.subject) == ("tool edit", "base")
    assert commit.metadata == {"agent": "opencode", "session": "s", "call": "c"}
    fork = workspace.live("opencode-wrk_1")
    assert (fork.path / "draft").read_text() == "uncommitted\n"
    assert [each.subject for each in fork.log(count=1)] == ["tool write"]


class Server:
    """A server of opencode in a workspace."""

    def __init__(self, workspace: Workspace, home: Path) -> None:
        put(workspace.path / ".opencode/plugin/heliosfs.js", PLUGIN.read_text())
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            port = listener.getsockname()[1]
        self._url = f"http://127.0.0.1:{port}"
        names = ("AUTOUPDATE", "MODELS_FETCH", "DEFAULT_PLUGINS", "LSP_DOWNLOAD")
        switches = {f"OPENCODE_DISABLE_{name}": "true" for name in names}
        switches |= {"OPENCODE_EXPERIMENTAL_WORKSPACES": "true", "HOME": str(home)}
        self.log = home / "log"
        with open(self.log, "wb") as log:
            self._process = subprocess.Popen(
                [SERVER, "serve", "--port", str(port), "--print-logs"],
                cwd=workspace.path,
                env=os.environ | switches,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def ask(self, method: str, path: str, body: object = None) -> Any:
        """Return the answer to a request, once the server listens."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            self._url + path, data, {"content-type": "application/json"}, method=method
        )
        deadline = time.monotonic() + SECONDS
        while True:
            try:
                with urllib.request.urlopen(request, timeout=SECONDS) as answer:
                    return json.loads(answer.read())
            except urllib.error.HTTPError as error:
                raise AssertionError(f"{error.read()!r} {self.log.read_text()}") from error
            except (ConnectionError, urllib.error.URLError):
                assert self._process.poll() is None and time.monotonic() < deadline
                time.sleep(0.5)

    def end(self) -> None:
        self._process.kill()
        self._process.wait()


@pytest.fixture
def server(workspace: Workspace, tmp_path: Path) -> Iterator[Server]:
    made = Server(workspace, tmp_path)
    try:
        yield made
    finally:
        made.end()


@pytest.mark.skipif(not SERVER.exists(), reason="opencode is not installed")
def test_a_server_has_forks_as_workspaces(server: Server, workspace: Workspace) -> None:
    adapters = server.ask("GET", "/experimental/workspace/adapter")
    assert "heliosfs" in [each["type"] for each in adapters]
    made = server.ask("POST", "/experimental/workspace", {"type": "heliosfs", "branch": None})
    fork = workspace.live(made["branch"])
    assert made["directory"] == str(fork.path)
    assert (fork.path / "draft").read_text() == "uncommitted\n"
    seen = server.ask("GET", f"/path?workspace={made['id']}")
    assert seen["directory"] == str(fork.path)
    server.ask("DELETE", f"/experimental/workspace/{made['id']}")
    assert [each.name for each in workspace.branches()] == ["main"]
    assert "failed to load plugin" not in server.log.read_text()
