"""The sandbox of Inspect AI: its own self check, and an evaluation in which samples use it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import inspect_ai
import pytest
from inspect_ai import Task
from inspect_ai.dataset import Sample
from inspect_ai.log import EvalLog
from inspect_ai.scorer import Score, Scorer, Target, accuracy, scorer
from inspect_ai.solver import Generate, Solver, TaskState, solver
from inspect_ai.util import SandboxEnvironmentSpec, sandbox
from inspect_ai.util._sandbox.self_check import *  # noqa: F403 - as its documentation says

from heliosfs import Workspace
from integrations.inspect_sandbox import HeliosConfig, HeliosSandboxEnvironment
from tests.mount.conftest import Mounted

pytestmark = pytest.mark.anyio

OF_ROOT = {
    "test_read_file_not_allowed": "root may read everything",
    "test_write_text_file_without_permissions": "root may write everything",
    "test_write_binary_file_without_permissions": "root may write everything",
}
"""Checks that cannot hold for root, as which the tests run here."""
UNSUPPORTED = {"test_exec_as_user": "commands run as the user of this process"}


@pytest.fixture(scope="module")
def shared() -> Iterator[Workspace]:
    """Return a workspace for all checks."""
    with tempfile.TemporaryDirectory() as place:
        mounted = Mounted(Path(place) / "ws")
        try:
            mounted.mount()
            (mounted.path / "README").write_text("x\n")
            mounted.commit("base")
            yield Workspace(mounted.path)
        finally:
            mounted.end()


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def sandbox_env(
    shared: Workspace, request: pytest.FixtureRequest
) -> Iterator[HeliosSandboxEnvironment]:
    reason = {**OF_ROOT, **UNSUPPORTED}.get(request.node.originalname)
    if reason is not None:
        request.applymarker(pytest.mark.xfail(reason=reason))
    with shared.fork() as branch:
        yield HeliosSandboxEnvironment(branch)


@solver
def edits() -> Solver:
    """Edit the program in the way that the sample says."""

    async def solve(state: TaskState, generate: Generate) -> TaskState:
        await sandbox().write_file("src/app.py", f"print('{state.input_text}')\n")
        await sandbox().exec(["sh", "-c", "python3 src/app.py > said"])
        return state

    return solve


@scorer(metrics=[accuracy()])
def said() -> Scorer:
    """Compare what the program has said, and what lay there before."""

    async def score(state: TaskState, target: Target) -> Score:
        text = await sandbox().read_file("said") + await sandbox().read_file("draft")
        return Score(value="C" if text == f"{target.text}\nuncommitted\n" else "I")

    return score


def evaluate(workspace: Workspace, *, keep: bool) -> EvalLog:
    samples = [Sample(input=word, target=word) for word in ("two", "three")]
    config = HeliosConfig(workspace=str(workspace.path), keep=keep)
    task = Task(
        samples,
        solver=edits(),
        scorer=said(),
        sandbox=SandboxEnvironmentSpec("heliosfs", config),
        name="edits",
    )
    with tempfile.TemporaryDirectory() as logs:
        (log,) = inspect_ai.eval(
            task, model="mockllm/model", display="none", log_dir=logs, log_format="json"
        )
    assert log.status == "success", log.error
    return log


def test_each_sample_has_a_fork(workspace: Workspace) -> None:
    log = evaluate(workspace, keep=True)
    assert log.results is not None
    assert log.results.scores[0].metrics["accuracy"].value == 1
    assert (workspace.path / "src/app.py").read_text() == "print('one')\n"
    forks = [each.name for each in workspace.branches() if not each.mounted]
    assert len(forks) == 2
    commits = [workspace.live(name).log(count=1)[0] for name in forks]
    assert [each.metadata["task"] for each in commits] == ["edits", "edits"]
    texts = {(workspace.snapshot(each.id) / "said").read_text() for each in commits}
    assert texts == {"two\n", "three\n"}


def test_forks_go_and_their_commits_stay(workspace: Workspace) -> None:
    evaluate(workspace, keep=False)
    assert [each.name for each in workspace.branches()] == ["main"]
    assert len(list((workspace.path / ".helios/snapshots").iterdir())) == 3
