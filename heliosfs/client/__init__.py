"""The Python client: a mounted workspace as an object, by its control files.

`from heliosfs import Workspace` imports none of what a mount needs, so that a program may have it
where only the mount is visible, such as a container.

`clone` and `async_clone` make a workspace and mount it.  They are imported when they are asked for.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from heliosfs.client.cloning import async_clone, clone

__all__ = ["async_clone", "clone"]


def __getattr__(name: str) -> object:
    """Import one of the functions."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module("heliosfs.client.cloning"), name)
