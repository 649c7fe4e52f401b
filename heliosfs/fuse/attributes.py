"""Nodes as pyfuse3 sees them."""

from __future__ import annotations

from typing import Any

import pyfuse3

from heliosfs.objects.tree import decode_entry
from heliosfs.workspace.node import Listed

FOREVER_SECONDS = 365 * 86400
PAGE_BYTES = 4096
_BLOCKS_PER_PAGE = PAGE_BYTES // 512
IO_BYTES = 128 * 1024


def attributes(node: Any) -> pyfuse3.EntryAttributes:
    """The attributes of a node, kept on it until one of them changes."""
    attr: pyfuse3.EntryAttributes | None = node.attr
    if attr is None:
        attr = node.attr = build(node)
    return attr


def build(node: Any) -> pyfuse3.EntryAttributes:
    """The attributes of a node, anew: 2 us."""
    attr = pyfuse3.EntryAttributes()
    attr.st_ino = node.ino
    attr.st_mode = node.mode
    attr.st_nlink = node.link_count
    attr.st_uid = node.uid
    attr.st_gid = node.gid
    attr.st_rdev = node.rdev
    size = node.size
    attr.st_size = size
    attr.st_blksize = IO_BYTES
    attr.st_blocks = -(-size // PAGE_BYTES) * _BLOCKS_PER_PAGE
    attr.st_atime_ns = node.atime_ns
    attr.st_mtime_ns = node.mtime_ns
    attr.st_ctime_ns = node.ctime_ns
    lasting = getattr(node, "is_fixed", True)
    attr.entry_timeout = FOREVER_SECONDS if lasting else 0
    attr.attr_timeout = FOREVER_SECONDS if lasting else 0
    return attr


def build_listed(listed: Listed) -> pyfuse3.EntryAttributes:
    """The attributes of a child that has no node."""
    entry, _ = decode_entry(listed.raw)
    attr = pyfuse3.EntryAttributes()
    attr.st_ino = pyfuse3.InodeT(listed.ino)
    attr.st_mode = pyfuse3.ModeT(entry.mode)
    attr.st_uid = entry.uid
    attr.st_gid = entry.gid
    attr.st_rdev = entry.rdev
    size = len(entry.target) or entry.size
    attr.st_size = size
    attr.st_blksize = IO_BYTES
    attr.st_blocks = -(-size // PAGE_BYTES) * _BLOCKS_PER_PAGE
    attr.st_atime_ns = attr.st_mtime_ns = attr.st_ctime_ns = entry.mtime_ns
    attr.entry_timeout = attr.attr_timeout = FOREVER_SECONDS
    return attr


def negative() -> pyfuse3.EntryAttributes:
    """The answer that a name does not exist, to be remembered."""
    attr = pyfuse3.EntryAttributes()
    attr.st_ino = pyfuse3.InodeT(0)
    attr.entry_timeout = FOREVER_SECONDS
    return attr
