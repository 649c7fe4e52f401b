"""heliosfs: a mounted workspace of which every state can be kept, branched and restored.

`Workspace` and `AsyncWorkspace` are the Python client.  They are imported when they are asked for,
so that no command pays for them.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from heliosfs.client.asynchronous import AsyncWorkspace
    from heliosfs.client.workspace import Workspace

__version__ = "0.1.0"
__all__ = ["AsyncWorkspace", "Workspace"]

_MODULES = {"AsyncWorkspace": "asynchronous", "Workspace": "workspace"}


def __getattr__(name: str) -> object:
    """Import a name of the client."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"heliosfs.client.{_MODULES[name]}"), name)
