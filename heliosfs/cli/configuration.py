"""The files that configure a workspace: the repository's, over the user's, over the machine's."""

from __future__ import annotations

import os

from heliosfs.config.settings import Layer
from heliosfs.errors import HeliosError, UsageError
from heliosfs.repo.configuration import FILE, Configuration
from heliosfs.store.sidefile import SideFile

_MACHINE = "/etc/heliosfs"


def configuration(file: SideFile) -> Configuration:
    """Return the settings of the repository that has this `helios.yaml`.

    UsageError names file, line and key; HeliosError when a file is there and cannot be read.
    """
    return Configuration(file, layers())


def layers() -> list[Layer]:
    """Return the existing files that apply to all workspaces, the machine's first."""
    paths = [os.path.join(directory, FILE) for directory in configuration_directories()]
    texts = [(path, _read(path)) for path in paths]
    return [Layer(path, text) for path, text in texts if text is not None]


def configuration_directories() -> tuple[str, str]:
    """Return the machine's directory and the user's, which need not exist."""
    home = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
    return _MACHINE, os.path.join(home, "heliosfs")


def _read(path: str) -> str | None:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not UTF-8: {error.reason}") from error
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise HeliosError(f"cannot read {path}: {reason}") from error
