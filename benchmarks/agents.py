"""Hooks of agents: what a client waits for at each prompt and each batch of tool calls."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

from benchmarks.git import Changes
from benchmarks.measure import Action, Plan, working_directory
from benchmarks.mounted import LAUNCHER, TREES
from benchmarks.table import Row, figure_of
from benchmarks.worlds import mounted

_MS = 1_000_000.0
_SAMPLES = 200
_PAYLOAD_BYTES = 8 * 1024
"""Size of a payload about an edit: it has the text before and after."""


def hooks(plan: Plan) -> Iterator[Row]:
    """`helios hook`, from its start to its end: outside of a workspace, and inside."""
    tree = TREES[0]
    payload = plan.directory("payload") / "payload.json"
    payload.write_text(_payload())
    outside = plan.directory("outside")
    batch = _Hook("PostToolBatch", payload)
    with working_directory(outside):
        taken = plan.sample(batch.run, _SAMPLES)
    yield Row("hooks", "helios hook, outside of a workspace", figure_of(taken), budget=5 * _MS)
    with mounted(plan, "hooks", tree) as mount:
        changes = Changes(tree, mount.path)
        figures: list[tuple[str, _Hook, Action | None]] = [
            ("nothing changed", batch, None),
            ("with a commit of one 10 KB file", batch, changes.make),
            ("SessionStart", _Hook("SessionStart", payload), None),
        ]
        with working_directory(mount.path):
            batch.run()
            for what, hook, change in figures:
                taken = plan.sample(hook.run, _SAMPLES, before=change)
                yield Row(
                    "hooks", f"helios hook, {what}, {tree.name}", figure_of(taken), budget=10 * _MS
                )


def _payload() -> str:
    call = {
        "tool_name": "Edit",
        "tool_input": {"file_path": "a", "old_string": "", "new_string": "x" * _PAYLOAD_BYTES},
        "tool_use_id": "1",
    }
    return json.dumps({"session_id": "s", "cwd": "/", "prompt_id": "p", "tool_calls": [call]})


class _Hook:
    """A hook, started as cheaply as can be, with a file as its standard input."""

    def __init__(self, event: str, payload: Path) -> None:
        self._argv = [str(LAUNCHER), "hook", event, "--client", "claude"]
        self._payload = str(payload)

    def run(self) -> None:
        """Run it once, in the current directory.  RuntimeError when it fails."""
        actions = [
            (os.POSIX_SPAWN_OPEN, 0, self._payload, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
        ]
        pid = os.posix_spawn(self._argv[0], self._argv, os.environ, file_actions=actions)
        _, status = os.waitpid(pid, 0)
        if status:
            raise RuntimeError(f"{self._argv} ended with {status}")
