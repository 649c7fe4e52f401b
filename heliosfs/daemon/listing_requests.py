"""Handler of the request for a part of a listing.

It takes the inode, the message and its length, and returns the body of the answer.
"""

from __future__ import annotations

from heliosfs.daemon.forgetter import Trimmer
from heliosfs.daemon.kernel import Kernel
from heliosfs.fuse import wire
from heliosfs.fuse.attributes import NO_ENTRY, listed_in
from heliosfs.fuse.handler import DONE, Answer, Handler
from heliosfs.fuse.wire import BODY_AT, Message, Opcode
from heliosfs.trees.reserved import DOT_HELIOS
from heliosfs.vfs.filesystem import FileSystem
from heliosfs.vfs.listings import Listings
from heliosfs.vfs.virtual import MountPoint
from heliosfs.workspace.inode import Inode, StatInode
from heliosfs.workspace.nodes import DirNode

_DOTS = (b".", b"..")


class ListingRequests:
    """Handlers of requests about listings, by opcode.

    The kernel opens directories by itself, and lists them by inode.
    """

    def __init__(self, filesystem: FileSystem, kernel: Kernel, trimmer: Trimmer) -> None:
        self._filesystem = filesystem
        self._node = filesystem.node
        self._listings = Listings(filesystem)
        self._kernel = kernel
        self._look = trimmer.look
        self.handlers: dict[int, Handler] = {Opcode.READDIRPLUS: self._readdirplus}

    def _readdirplus(self, ino: int, message: Message, end: int) -> Answer:
        _, start, size = wire.TRANSFER.unpack_from(message, BODY_AT)
        directory = self._node(ino)
        filesystem = self._filesystem
        parts: list[bytes] = []
        room = size
        node: Inode | None
        # As `FileSystem.peek`, without its call: a listing comes here for each name.
        tree = directory if isinstance(directory, DirNode) else None
        if tree is not None:
            filesystem.guard(tree.workspace)
        # Names of a mount that is to lie there: the kernel must not keep inodes of it.
        is_covered = isinstance(directory, MountPoint) and directory.is_covered
        for position, name in self._listings.after(directory, start):
            length = len(name)
            # As `wire.padded`, without its call.
            filled = wire.DIRENT.size + length + 7 & ~7
            if room < wire.ENTRY_BYTES + filled:
                break
            if name in _DOTS:
                node = above = directory if name == b"." else filesystem.parent(directory)
                listed, kind = NO_ENTRY, above.mode >> 12
            elif is_covered:
                node, listed, kind = directory, NO_ENTRY, 0
            else:
                if tree is not None and name != DOT_HELIOS:
                    node = tree.workspace.peek(tree, name)
                else:
                    node = filesystem.peek(directory, name)
                if node is None:
                    continue
                node.refer()
                listed = listed_in(directory, node)
                kind = listed[wire.KIND_AT] >> 4
            room -= wire.ENTRY_BYTES + filled
            dirent = wire.DIRENT.pack(node.ino, position, length, kind)
            parts += (listed, dirent, name, bytes(filled - wire.DIRENT.size - length))
        self._look()
        if not parts and directory.is_listing_stale:
            return self._end_listing(directory)
        return b"".join(parts)

    async def _end_listing(self, directory: StatInode) -> bytes:
        """End a listing that the kernel must not cache: have it forget the pages first.

        A process may take in its part of the listing late, after the directory has changed and the
        kernel was told so; the pages are out of date then.  The kernel takes a listing for
        complete only at its end, and so this is the moment to have it dropped.
        """
        if isinstance(directory, DirNode):
            directory.note_listed(is_calm=self._kernel.is_calm)
        await self._kernel.forget_listings([directory.ino])
        return DONE
