"""Handles: the open files of a mount, by the kinds of their nodes."""

from __future__ import annotations

from typing import TypeAlias

from heliosfs.vfs.control import Channel
from heliosfs.vfs.virtual import ControlFile, VirtualNode
from heliosfs.workspace.nodes import FileNode


class FileHandle:
    """Handle of a regular file of a workspace or a snapshot."""

    __slots__ = ("is_mappable", "is_writer", "node")

    def __init__(self, node: FileNode, is_writer: bool, is_mappable: bool = False) -> None:
        self.node = node
        self.is_writer = is_writer
        self.is_mappable = is_mappable
        """True if a shared mapping may change the file: it was opened with O_RDWR."""


class TextHandle:
    """Handle of a virtual text, with the bytes that were made when it was opened."""

    __slots__ = ("data", "node")

    def __init__(self, node: VirtualNode, data: bytes) -> None:
        self.node = node
        self.data = data


class ChannelHandle:
    """Handle of a control file."""

    __slots__ = ("channel", "is_reader", "node")

    def __init__(self, node: ControlFile, channel: Channel, is_reader: bool) -> None:
        self.node = node
        self.channel = channel
        self.is_reader = is_reader
        node.readers += is_reader


Handle: TypeAlias = "FileHandle | TextHandle | ChannelHandle"
