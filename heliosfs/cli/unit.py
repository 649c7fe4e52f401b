"""`helios mount --install-unit`: a user's systemd mounts a workspace when the machine starts.

A unit for each workspace (systemd.service(5)), in the user's own directory: nothing needs root.
"""

from __future__ import annotations

import contextlib
import os
import re
import socket
import subprocess
import sys
from collections.abc import Sequence

from heliosfs.cli.runfiles import digest_of
from heliosfs.errors import HeliosError, NotFound

_TEXT = """\
# Made by 'helios mount --install-unit', and taken away by '--remove-unit'.
[Unit]
Description=heliosfs workspace {directory}

[Service]
Type=notify
{environment}ExecStart={command}
KillMode=mixed
TimeoutStopSec=120
# After a kill; what is refused (a disk that is not there) would be refused again.
Restart=on-abnormal

[Install]
WantedBy=default.target
"""
_WANTS = "default.target.wants"
_PLAIN = re.compile(r"[^A-Za-z0-9:_.-]")
_NAME_MAX = 200


def install(directory: str, words: Sequence[str]) -> str:
    """Write and enable the unit that mounts a workspace; return its path.  Raise HeliosError.

    `words` are the options of `helios mount` beside DIR.
    """
    path = unit_path(directory)
    link = os.path.join(os.path.dirname(path), _WANTS, os.path.basename(path))
    try:
        os.makedirs(os.path.dirname(link), exist_ok=True)
        with open(path + ".new", "w", encoding="utf-8") as file:
            file.write(unit_text(directory, words))
        os.replace(path + ".new", path)
        with contextlib.suppress(FileExistsError):
            os.symlink(os.path.join("..", os.path.basename(path)), link)
    except UnicodeError as error:
        raise HeliosError(f"a unit cannot name {directory!r}: it is not UTF-8") from error
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise HeliosError(f"cannot write {error.filename}: {reason}") from error
    _reload()
    return path


def remove(directory: str) -> str:
    """Delete the unit of a workspace, which stays mounted; return its path.  Raise NotFound."""
    path = unit_path(directory)
    link = os.path.join(os.path.dirname(path), _WANTS, os.path.basename(path))
    with contextlib.suppress(FileNotFoundError):
        os.unlink(link)
    try:
        os.unlink(path)
    except FileNotFoundError as error:
        raise NotFound(f"there is no unit for {directory}: no {path}") from error
    _reload()
    return path


def unit_path(directory: str) -> str:
    """Return the path of the unit of a workspace."""
    home = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
    name = _PLAIN.sub("_", directory.strip("/").replace("/", "-"))[-_NAME_MAX:]
    return os.path.join(home, "systemd", "user", f"heliosfs-{name}-{digest_of(directory)}.service")


def unit_text(directory: str, words: Sequence[str]) -> str:
    """Return the text of the unit."""
    script = os.path.join(os.path.dirname(sys.executable), "helios")
    program = [script] if os.access(script, os.X_OK) else [sys.executable, "-m", "heliosfs.cli"]
    mounting = [*program, "mount", "--foreground", "--existing", *words, "--", directory]
    environment = "".join(
        f"Environment={_quoted(f'{name}={os.environ[name]}')}\n"
        for name in ("XDG_STATE_HOME", "XDG_CONFIG_HOME")
        if name in os.environ
    )
    command = " ".join(map(_quoted, mounting))
    shown = directory.replace("\\", "\\\\").replace("%", "%%")
    return _TEXT.format(directory=shown, environment=environment, command=command)


def notify_ready() -> None:
    """Tell the service manager that waits for it that the mount answers (sd_notify(3))."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if address:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end, contextlib.suppress(OSError):
            end.sendto(b"READY=1", "\0" + address[1:] if address.startswith("@") else address)


def _quoted(word: str) -> str:
    """Return a word as a command line of systemd takes it (systemd.syntax(7))."""
    text = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{text}"'


def _reload() -> None:
    """Let a running systemd read its units again; the next that starts does so anyway."""
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        subprocess.run(
            ["systemctl", "--user", "daemon-reload"], check=False, capture_output=True, timeout=10
        )
