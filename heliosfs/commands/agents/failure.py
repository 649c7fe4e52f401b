"""Reply to a hook that failed: a line for the user, which lets the agent go on."""

from __future__ import annotations

import json

from heliosfs.commands.agents.payload import MOMENTS, HookMoment, one_line
from heliosfs.errors import HeliosError

_WIDTH = 300


def told_to_user(error: HeliosError, argv: list[str]) -> str:
    """Return the reply to a hook that was refused.

    Raise the error itself for a worktree that could not be made: the client needs its path.
    """
    moment = next((MOMENTS[word] for word in argv if word in MOMENTS), None)
    if moment is HookMoment.WORKTREE_CREATE:
        raise error
    text = one_line(f"helios: nothing was committed: {error}", _WIDTH)
    return json.dumps({"systemMessage": text}) + "\n"
