"""Nodes as the kernel sees them: entries of 128 bytes, cached on the node until it changes."""

from __future__ import annotations

from heliosfs.clock import SECOND_NS
from heliosfs.fuse.wire import ATTR_AT, ATTR_HOLDS, ENTRY, ENTRY_BYTES
from heliosfs.objects.blob import WHOLE_MAX
from heliosfs.objects.tree import decode_entry, unpack_fixed
from heliosfs.workspace.inode import Inode, StatInode
from heliosfs.workspace.large_file import LargeFile
from heliosfs.workspace.nodes import DirNode, FileNode, Listed, Node

FOREVER_SECONDS = 365 * 86400
PAGE_BYTES = 4096
_BLOCKS_PER_PAGE = PAGE_BYTES // 512
IO_BYTES = 128 * 1024
_NAME_HOLDS_AT = 16
_ATTRIBUTES_HOLD_AT = 24
_HOLDS_NOT = bytes(8)
_FOREVER = ATTR_HOLDS.pack(FOREVER_SECONDS, 0, 0)
_NEVER = ATTR_HOLDS.pack(0, 0, 0)
_DEVICE = 0xFFFFFFFF
"""Mask of a device number's low 32 bits, in which the kernel's layout and libc's are the same."""

NO_ENTRY = bytes(ENTRY_BYTES)
"""Empty entry for a name in a listing: the kernel learns no inode and takes no reference."""
MISSING = ENTRY.pack(0, 0, FOREVER_SECONDS, *(0,) * 19)
"""Answer that a name does not exist, which the kernel remembers."""


def entry(node: StatInode) -> bytes:
    """Return the entry of a node, which is cached in `node.attr` until the node changes."""
    kept = node.attr
    if kept is None:
        kept = build(node)
        node.note_sent(kept)
    return kept


def entry_once(node: StatInode) -> bytes:
    """Return the entry of a node under a name that the kernel must look up again each time."""
    # The time that the name holds is 0, so the kernel asks again; the attributes hold as usual.
    made = entry(node)
    return made[:_NAME_HOLDS_AT] + _HOLDS_NOT + made[_NAME_HOLDS_AT + 8 :]


def attributes(node: StatInode) -> bytes:
    """Return the answer to a GETATTR or SETATTR request: the attributes without a name."""
    holds = _FOREVER if isinstance(node, Node) or node.is_kept else _NEVER
    return holds + entry(node)[ATTR_AT:]


def listed_attributes(listed: Listed) -> bytes | None:
    """Return the answer to a GETATTR request for a child without a node; None if it needs one."""
    answer = build_listed(listed)
    # The holes of a large file are in its list of parts.
    holds = answer[_ATTRIBUTES_HOLD_AT : _ATTRIBUTES_HOLD_AT + 8]
    return _FOREVER + answer[ATTR_AT:] if holds != _HOLDS_NOT else None


def build(node: StatInode) -> bytes:
    """Build the entry of a node without looking at the cached one: 1 us."""
    ino = node.ino
    if isinstance(node, FileNode):
        # What the properties below return, mostly without their calls: each change of a file's
        # attributes comes here.
        size, holds, rdev = node.file_size, FOREVER_SECONDS, 0
        is_plain = not (node.hole_blocks or size > WHOLE_MAX or isinstance(node.content, LargeFile))
        data_bytes = size if is_plain else node.data_bytes
        link_count = node.link_count if node.links or node.parent is None else 1
    else:
        size, holds, rdev = node.size, FOREVER_SECONDS if node.is_kept else 0, node.rdev
        data_bytes, link_count = node.data_bytes, node.link_count
    atime, atime_ns = divmod(node.atime_ns, SECOND_NS)
    mtime, mtime_ns = divmod(node.mtime_ns, SECOND_NS)
    ctime, ctime_ns = divmod(node.ctime_ns, SECOND_NS)
    return ENTRY.pack(
        ino,
        0,
        holds,
        holds,
        0,
        0,
        ino,
        size,
        -(-data_bytes // PAGE_BYTES) * _BLOCKS_PER_PAGE,
        atime,
        mtime,
        ctime,
        atime_ns,
        mtime_ns,
        ctime_ns,
        node.mode,
        link_count,
        node.uid,
        node.gid,
        rdev & _DEVICE,
        IO_BYTES,
        0,
    )


def build_listed(listed: Listed) -> bytes:
    """Build the entry of a child that has no node of its own yet.

    The attributes of a large file hold for no time, so that stat(2) asks for them: its holes are
    known only from its list of parts, which a listing does not read.
    """
    raw, ino = listed.raw, listed.ino
    mode, uid, gid, mtime_ns, size, _, flags, _ = unpack_fixed(raw)
    rdev = 0
    if flags:
        child, _ = decode_entry(raw)
        # The size of a symbolic link is the length of its target; its entry has none.
        size, rdev = len(child.target) or size, child.rdev
    time, time_ns = divmod(mtime_ns, SECOND_NS)
    ctime, ctime_ns = divmod(listed.ctime_ns, SECOND_NS)
    return ENTRY.pack(
        ino,
        0,
        FOREVER_SECONDS,
        FOREVER_SECONDS if size <= WHOLE_MAX else 0,
        0,
        0,
        ino,
        size,
        -(-size // PAGE_BYTES) * _BLOCKS_PER_PAGE,
        time,
        time,
        ctime,
        time_ns,
        time_ns,
        ctime_ns,
        mode,
        1,
        uid,
        gid,
        rdev & _DEVICE,
        IO_BYTES,
        0,
    )


def entry_in(directory: StatInode, node: StatInode) -> bytes:
    """Return the entry of a node found in a directory.

    The kernel may keep the name if the directory belongs to a tree, or if the node is a virtual
    one with `is_kept`.
    """
    # `live/NAME` and `view/ID` may show the root of another tree at the next look-up.
    is_root = not isinstance(directory, DirNode) and isinstance(node, DirNode)
    if is_root or not (isinstance(directory, DirNode) or node.is_kept):
        return entry_once(node)
    return entry(node)


def listed_in(directory: StatInode, node: Inode) -> bytes:
    """Return the entry of a node for a listing.

    The entry of a file is not cached on its node: most are never asked for again.
    """
    if isinstance(node, Listed):
        return build_listed(node)
    assert isinstance(node, StatInode)
    if not isinstance(directory, DirNode):
        return entry_in(directory, node)
    if isinstance(node, DirNode):
        return entry(node)
    return build(node) if node.attr is None else node.attr
