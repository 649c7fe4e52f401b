"""The workspace adapter of opencode, in Node.js."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from heliosfs import Workspace

HERE = Path(__file__).parents[1] / "opencode"
PLUGIN = HERE / "heliosfs.js"
SECONDS = 60

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
