"""The user's name and email: from the environment, git's configuration, or the account."""

from __future__ import annotations

import os
import pwd
import socket
import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from heliosfs.repo.identity import Identity

_GIT_SECONDS = 5


def identity(directory: str) -> Identity:
    """Return the identity that signs commits made in `directory`.

    `HELIOS_AUTHOR_NAME` and `HELIOS_AUTHOR_EMAIL` come first.  git is asked only when one of
    them is not set, since that takes 3 ms.
    """
    from heliosfs.repo.identity import Identity

    name = os.environb.get(b"HELIOS_AUTHOR_NAME")
    email = os.environb.get(b"HELIOS_AUTHOR_EMAIL")
    if not name or not email:
        known = _git_user(directory)
        name = name or known.get(b"user.name")
        email = email or known.get(b"user.email")
    login, full_name = _account()
    host = socket.gethostname() or "localhost"
    return Identity(
        _clean(name or full_name),
        _clean(email or os.fsencode(f"{login}@{host}")),
        os.getuid(),
        os.getgid(),
    )


def _git_user(directory: str) -> dict[bytes, bytes]:
    """Return git's `user.name` and `user.email` in a directory; empty without git."""
    command = ["git", "config", "-z", "--get-regexp", r"^user\.(name|email)$"]
    try:
        done = subprocess.run(
            command, cwd=directory, capture_output=True, timeout=_GIT_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return {}
    pairs = (field.partition(b"\n") for field in done.stdout.split(b"\0"))
    return {key: value for key, _, value in pairs if value}


def _account() -> tuple[str, bytes]:
    """Return the login and the full name; containers run as users without an account."""
    try:
        entry = pwd.getpwuid(os.getuid())
    except KeyError:
        login = f"uid{os.getuid()}"
        return login, login.encode()
    full_name = entry.pw_gecos.split(",")[0].strip()
    return entry.pw_name, os.fsencode(full_name or entry.pw_name)


def _clean(text: bytes) -> bytes:
    """Return the text without characters that would break the line of a commit."""
    return bytes(byte for byte in text if byte not in b"\0\n<>").strip()
