"""The sandbox of the OpenAI Agents SDK: sessions, their snapshots, and an agent that uses one."""

from __future__ import annotations

import asyncio
import io
import json
import tarfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from agents import ModelResponse, RunConfig, Runner, Usage
from agents.items import TResponseInputItem
from agents.models.interface import Model
from agents.sandbox import Manifest, SandboxAgent, SandboxRunConfig
from agents.sandbox.entries import File
from agents.sandbox.snapshot import LocalSnapshotSpec
from openai.types.responses import (
    ResponseFunctionToolCall,
    ResponseOutputMessage,
    ResponseOutputText,
)

from heliosfs import Workspace
from integrations.openai_sandbox import HeliosSandboxClient, HeliosSandboxSessionState


def test_a_snapshot_is_a_commit(workspace: Workspace, tmp_path: Path) -> None:
    async def main() -> None:
        client = HeliosSandboxClient(workspace.path)
        snapshots = LocalSnapshotSpec(base_path=tmp_path / "snapshots")
        manifest = Manifest(entries={"task.md": File(content=b"do it\n")})
        session = await client.create(snapshot=snapshots, manifest=manifest)
        await session.start()
        done = await session.exec("cat draft task.md; python3 src/app.py")
        assert (done.exit_code, done.stdout) == (0, b"uncommitted\ndo it\none\n")
        await session.write(Path("src/app.py"), io.BytesIO(b"print('two')\n"))
        await session.stop()
        assert isinstance(session.state, HeliosSandboxSessionState)
        (file,) = (tmp_path / "snapshots").iterdir()
        commit = workspace.live(session.state.branch).head
        assert json.loads(file.read_bytes()) == {"heliosfs-commit": commit}
        assert workspace.log(f"openai/{session.state.session_id.hex}", count=1)[0].id == commit
        state = client.serialize_session_state(session.state)

        # A session that is gone comes back with the files of its last snapshot.
        await session.exec("echo later > src/app.py")
        await client.delete(session)
        assert [each.name for each in workspace.branches()] == ["main"]
        again = HeliosSandboxClient(workspace.path)
        session = await again.resume(again.deserialize_session_state(state))
        await session.start()
        assert (await session.exec("python3 src/app.py")).stdout == b"two\n"

        # One that is still there does, too.
        await session.exec("echo later > src/app.py; touch more")
        session = await again.resume(session.state)
        await session.start()
        assert (
            await session.exec("python3 src/app.py; ls")
        ).stdout == b"two\ndraft\nsrc\ntask.md\n"
        await session.aclose()

    asyncio.run(main())
    assert (workspace.path / "src/app.py").read_text() == "print('one')\n"


def test_archives_of_other_sandboxes_are_taken(workspace: Workspace) -> None:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as archive:
        member = tarfile.TarInfo("from/elsewhere")
        member.size = 3
        archive.addfile(member, io.BytesIO(b"abc"))
    data.seek(0)

    async def main() -> bytes:
        client = HeliosSandboxClient(workspace.path)
        async with await client.create() as session:
            await session.hydrate_workspace(data)
            return (await session.exec("cat from/elsewhere")).stdout

    assert asyncio.run(main()) == b"abc"


class ScriptedModel(Model):
    """Model that runs a command, and says what it was told."""

    async def get_response(self, *words: Any, **more: Any) -> Any:
        items = more["input"] if "input" in more else words[1]
        said = [each for each in items if isinstance(each, dict) and "output" in each]
        if not said:
            command = json.dumps(
                {"cmd": "echo \"print('agent')\" > src/app.py; python3 src/app.py"}
            )
            call = ResponseFunctionToolCall(
                arguments=command, call_id="1", name="exec_command", type="function_call"
            )
            return ModelResponse([call], Usage(), None)
        text = ResponseOutputText(annotations=[], text=str(said[-1]["output"]), type="output_text")
        message = ResponseOutputMessage(
            id="m", content=[text], role="assistant", status="completed", type="message"
        )
        return ModelResponse([message], Usage(), None)

    def stream_response(self, *words: Any, **more: Any) -> AsyncIterator[Any]:
        raise NotImplementedError


@pytest.mark.filterwarnings("ignore")
def test_an_agent_runs_in_a_fork(workspace: Workspace, tmp_path: Path) -> None:
    client = HeliosSandboxClient(workspace.path)
    snapshots = LocalSnapshotSpec(base_path=tmp_path / "snapshots")
    agent = SandboxAgent(name="a", model=ScriptedModel())
    request: list[TResponseInputItem] = [{"role": "user", "content": "go"}]
    sandbox = SandboxRunConfig(client=client, snapshot=snapshots)
    config = RunConfig(sandbox=sandbox, tracing_disabled=True)
    result = asyncio.run(Runner.run(agent, request, run_config=config))
    assert "agent" in result.final_output
    assert (workspace.path / "src/app.py").read_text() == "print('one')\n"
    (tag,) = workspace.request("tag").split()
    assert tag.startswith("openai/")
    assert (workspace.snapshot(tag) / "src/app.py").read_text() == "print('agent')\n"
    assert [each.name for each in workspace.branches()] == ["main"]
