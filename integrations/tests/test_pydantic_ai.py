"""The workspace of Pydantic AI: its own conformance suite, and an agent that uses it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from pydantic_ai import Agent, ModelResponse, RunContext, TextPart, ToolCallPart
from pydantic_ai.messages import ModelMessage
from pydantic_ai.models.function import AgentInfo, FunctionModel
from pydantic_ai.workspaces import WorkspaceBackend, WorkspaceRef
from pydantic_ai.workspaces.conformance import WorkspaceBackendSuite

from heliosfs import Workspace
from integrations.pydantic_ai_workspace import HeliosWorkspace, HeliosWorkspaceBackend


class TestConformance(WorkspaceBackendSuite):
    """All rules of the suite, none left out."""

    @pytest.fixture
    def anyio_backend(self) -> str:
        return "asyncio"

    @pytest.fixture
    def backend(self, workspace: Workspace) -> WorkspaceBackend:
        return HeliosWorkspaceBackend(workspace.path)

    @pytest.fixture
    def fresh_backend(self, workspace: Workspace) -> Callable[[], WorkspaceBackend]:
        return lambda: HeliosWorkspaceBackend(workspace.path)

    @pytest.fixture
    def attach_backend(self, workspace: Workspace) -> Callable[[WorkspaceRef], WorkspaceBackend]:
        return lambda ref: HeliosWorkspaceBackend(workspace.path, ref)

    @pytest.fixture
    def destroy_environment(self) -> Callable[[WorkspaceBackend], Awaitable[None]]:
        async def destroy(backend: WorkspaceBackend) -> None:
            assert isinstance(backend, HeliosWorkspaceBackend)
            branch = await backend.branch()
            branch.drop()

        return destroy


def model(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
    """Write a file, look at another, then say so."""
    steps: list[ToolCallPart | TextPart] = [
        ToolCallPart("write", {"path": "src/app.py", "text": "print('two')\n"}),
        ToolCallPart("read", {"path": "draft"}),
        ToolCallPart("write", {"path": "new", "text": "x\n"}),
        TextPart("done"),
    ]
    return ModelResponse(
        parts=[steps[sum(isinstance(each, ModelResponse) for each in messages) % 4]]
    )


def agent_in(workspace: Workspace) -> Agent[None, str]:
    agent = Agent(FunctionModel(model), capabilities=[HeliosWorkspace(workspace.path)])

    @agent.tool
    async def write(ctx: RunContext[None], path: str, text: str) -> str:
        await ctx.workspace.write_bytes(path, text.encode())
        return "written"

    @agent.tool
    async def read(ctx: RunContext[None], path: str) -> str:
        return (await ctx.workspace.read_bytes(path)).decode()

    return agent


def test_each_tool_call_is_a_commit_of_a_fork(workspace: Workspace) -> None:
    agent = agent_in(workspace)
    result = asyncio.run(agent.run("go"))
    ref = result.workspace.ref
    assert ref is not None and ref.provider == "heliosfs"
    fork = workspace.live(ref.id)
    log = fork.log()
    assert [each.subject for each in log] == ["tool write", "tool write", "base"]
    assert log[0].metadata["run"] == result.run_id
    assert (fork.path / "src/app.py").read_text() == "print('two')\n"
    assert (fork.path / "draft").read_text() == "uncommitted\n"
    assert (workspace.path / "src/app.py").read_text() == "print('one')\n"
    fork.reset("HEAD~1", hard=True)
    assert not (fork.path / "new").exists()
    # A later run goes on in the same fork, by the history of messages alone.
    again = asyncio.run(agent.run("again", message_history=result.all_messages()))
    assert again.workspace.ref == ref
    assert (fork.path / "new").exists()
    assert len(workspace.branches()) == 2
