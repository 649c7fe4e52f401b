"""The sandbox of Deep Agents: the standard tests of LangChain, and an agent that uses it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from deepagents import create_deep_agent
from deepagents.backends.protocol import SandboxBackendProtocol
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage
from langchain_tests.integration_tests import SandboxIntegrationTests

from heliosfs import Workspace
from integrations.deepagents_sandbox import HeliosSandbox
from tests.mount.conftest import Mounted

GLOBS = "BaseSandbox.glob returns absolute paths, the suite expects relative ones"
OF_THE_PACKAGE = {
    "test_glob": GLOBS,
    "test_glob_basic_pattern": GLOBS,
    "test_glob_with_directories": GLOBS,
    "test_glob_hidden_files_explicitly": GLOBS,
    "test_glob_with_character_class": GLOBS,
    "test_glob_with_question_mark": GLOBS,
    "test_write_existing_file_fails": "BaseSandbox.write replaces a file, the suite expects not",
}
"""Tests that fail for every `BaseSandbox` of these versions, and the reason."""


class TestStandard(SandboxIntegrationTests):
    """All tests of the suite."""

    pytestmark = pytest.mark.anyio
    root = ""

    @pytest.fixture
    def anyio_backend(self) -> str:
        return "asyncio"

    @pytest.fixture(autouse=True)
    def known(self, request: pytest.FixtureRequest) -> None:
        reason = OF_THE_PACKAGE.get(request.node.name)
        if reason is not None:
            request.applymarker(pytest.mark.xfail(reason=reason, strict=True))

    @pytest.fixture(scope="class")
    def sandbox(self) -> Iterator[SandboxBackendProtocol]:
        with tempfile.TemporaryDirectory() as place:
            mounted = Mounted(Path(place) / "ws")
            try:
                mounted.mount()
                (mounted.path / "README").write_text("x\n")
                mounted.commit("base")
                made = HeliosSandbox(mounted.path)
                type(self).root = str(made.branch.path / "standard")
                yield made
            finally:
                mounted.end()

    @property
    def sandbox_root_dir(self) -> str:
        return self.root

    @pytest.fixture(autouse=True)
    def sandbox_test_root(self, request: pytest.FixtureRequest, sandbox: Any) -> str:
        name = request.node.name.replace("/", "_").replace(" ", "_")
        return self.sandbox_path(name)


class ScriptedModel(GenericFakeChatModel):
    """Model that says what it was given, whatever tools it has."""

    def bind_tools(self, tools: Any, **kwargs: Any) -> Any:
        return self


def calling(name: str, **arguments: Any) -> AIMessage:
    return AIMessage("", tool_calls=[{"name": name, "args": arguments, "id": f"{name}-1"}])


def test_an_agent_works_in_a_fork(workspace: Workspace) -> None:
    backend = HeliosSandbox(workspace.path)
    path = str(backend.branch.path / "src/app.py")
    answers = [
        calling("edit_file", file_path=path, old_string="one", new_string="two"),
        calling("execute", command="python3 src/app.py > said; cat said draft"),
        calling("execute", command="cat draft"),
        AIMessage("done"),
    ]
    agent = create_deep_agent(ScriptedModel(messages=iter(answers)), backend=backend)
    result = agent.invoke({"messages": [{"role": "user", "content": "go"}]})
    said = [each.content for each in result["messages"] if each.type == "tool"]
    assert "two\nuncommitted\n" in said[1]
    log = HeliosSandbox(workspace.path, backend.id).branch.log()
    assert [each.subject.split()[0] for each in log] == ["execute", "edit", "base"]
    assert (workspace.path / "src/app.py").read_text() == "print('one')\n"
    workspace.reset(hard=True)
    workspace.merge(backend.id)
    assert (workspace.path / "said").read_text() == "two\n"


def test_a_command_that_is_late_is_killed(workspace: Workspace) -> None:
    backend = HeliosSandbox(workspace.path, max_output_bytes=100_000)
    response = backend.execute("echo begun; sleep 1000 & wait", timeout=1)
    assert response.exit_code == 124
    assert response.output == "begun\n\nkilled after 1 s"
    large = backend.execute("head -c 200000 /dev/zero | tr '\\0' x")
    assert (len(large.output), large.truncated) == (100_000, True)
