"""Open files."""

from __future__ import annotations

from typing import TypeAlias

from heliosfs.vfs.control import Channel
from heliosfs.vfs.virtual import VirtualNode
from heliosfs.workspace.node import FileNode


class FileHandle:
    """An open regular file of a workspace or a snapshot."""

    __slots__ = ("is_mappable", "is_writer", "node")

    def __init__(self, node: FileNode, is_writer: bool, is_mappable: bool = False) -> None:
        self.node = node
        self.is_writer = is_writer
        self.is_mappable = is_mappable
        """Whether somebody may store through a mapping of it: it was opened with O_RDWR."""


class TextHandle:
    """An open virtual text: what it was when it was opened."""

    __slots__ = ("data", "node")

    def __init__(self, node: VirtualNode, data: bytes) -> None:
        self.node = node
        self.data = data


class ChannelHandle:
    """An open control file."""

    __slots__ = ("channel", "node")

    def __init__(self, node: VirtualNode, channel: Channel) -> None:
        self.node = node
        self.channel = channel


Handle: TypeAlias = "FileHandle | TextHandle | ChannelHandle"
