"""The name of this store on this machine, under which a remote keeps its uncommitted work."""

from __future__ import annotations

import os
import re
import secrets
from contextlib import suppress

from blake3 import blake3

from heliosfs.repo import keys
from heliosfs.repo.core import Core

MACHINES = "machines/"
"""Beginning of the names of branches with uncommitted work."""
_MACHINE_ID = "/etc/machine-id"
_OTHERS = re.compile(r"[^a-z0-9_-]+")
_HOST_MAX = 40


def machine_name(core: Core) -> str:
    """Return the name, such as `laptop-3fa2c1`; put it into the batch if there is none yet.

    It stays the same when the host is renamed, and is another one in a store that was copied to
    another machine.
    """
    known, _, known_machine = (core.store.get(keys.MACHINE) or b"").decode().partition("\n")
    machine = _machine()
    if known and machine in ("", known_machine):
        return known
    host = os.uname().nodename.partition(".")[0].lower()
    readable = _OTHERS.sub("-", host)[:_HOST_MAX].strip("-") or "machine"
    name = f"{readable}-{secrets.token_hex(3)}"
    core.store.put(keys.MACHINE, f"{name}\n{machine}".encode())
    return name


def work_branch(machine: str, branch: str) -> str:
    """Return the name of the branch that has the uncommitted work of another one."""
    return f"{MACHINES}{machine}/{branch}"


def _machine() -> str:
    """Return a digest by which machines are told apart; "" where there is nothing to tell by."""
    found = b""
    with suppress(OSError), open(_MACHINE_ID, "rb") as file:
        found = file.read(64).strip()
    # Of the id itself, machine-id(5) says that it is not to be told to others.
    return blake3(b"heliosfs work " + found).hexdigest(length=8) if found else ""
