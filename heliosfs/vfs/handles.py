"""Open files."""

from __future__ import annotations

from typing import TypeAlias

from heliosfs.vfs.control import Channel
from heliosfs.vfs.virtual import ControlFile, VirtualNode
from heliosfs.workspace.nodes import FileNode


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

    __slots__ = ("channel", "is_reader", "node")

    def __init__(self, node: ControlFile, channel: Channel, is_reader: bool) -> None:
        self.node = node
        self.channel = channel
        self.is_reader = is_reader
        node.readers += is_reader


Handle: TypeAlias = "FileHandle | TextHandle | ChannelHandle"
