"""Pretended requests: the changes of a checkout are made again through the mount, for watchers.

The kernel tells watchers of changes that are made by calls, and not of changes that it learns from
us.  So a thread of ours makes the calls that would lead to the state that is there already: it
creates the files that came and unlinks those that went.  Its requests are answered here.  They
alter nothing, and no other process sees them:

- A look-up of a file that came, and that the kernel does not know, is answered as missing, to the
  thread alone, until its creation is answered with the file itself.  Others who look the name up
  meanwhile wait for the kernel's lock of the directory, which the thread holds, and then ask us.
- A look-up of a name that went finds a node, for the thread alone: an inode number that no real
  node has, and that the kernel may not cache.  Any other process that finds it asks us again, and
  is answered truly.

Other requests of the thread are refused, and the kernel tells nobody: those for a name that changed
since, or that the kernel knows already.  These handlers are in place only while a thread tells, so
that at all other times no request costs more.
"""

from __future__ import annotations

import errno
import stat
from typing import NamedTuple

from heliosfs.errors import PosixError
from heliosfs.fuse import wire
from heliosfs.fuse.attributes import attributes, build, entry
from heliosfs.fuse.handler import DONE, Answer, Handler
from heliosfs.fuse.wire import BODY_AT, Message, Opcode
from heliosfs.vfs.filesystem import FileSystem
from heliosfs.workspace.inode import StatInode


class PretendedName(NamedTuple):
    """Name that the thread is about to create or remove."""

    parent: int
    name: bytes
    gone: int = 0
    """Kind (S_IFMT) of the node that went; 0 if one came."""


class _Nothing(StatInode):
    """Pretended node, found under a name that was removed."""

    def __init__(self, filesystem: FileSystem, kind: int) -> None:
        repository = filesystem.repository
        identity, ino = repository.identity, repository.inodes.allocate()
        super().__init__(ino, kind | 0o700, identity.uid, identity.gid, 0)

    @property
    def link_count(self) -> int:
        return 2 if stat.S_ISDIR(self.mode) else 1

    @property
    def is_kept(self) -> bool:
        return False


class PretendedRequests:
    """Handlers that pretend to one thread, while installed, and pass all other requests on."""

    def __init__(self, filesystem: FileSystem, handlers: dict[int, Handler]) -> None:
        """Prepare to exchange `handlers`, the mapping that the dispatcher uses."""
        self.notifier_thread = 0
        """Kernel's number of the thread."""
        self.is_known = False
        """True if a request of the thread was recognised, so that the next ones alter nothing."""
        self.scene: PretendedName | None = None
        self._filesystem = filesystem
        self._handlers = handlers
        self._usual: dict[int, Handler] = {}
        self._nothing: dict[bool, bytes] = {}
        self._own: dict[int, Handler] = {
            Opcode.LOOKUP: self._lookup,
            Opcode.SETATTR: self._setattr,
            Opcode.MKNOD: self._mknod,
            Opcode.MKDIR: self._mkdir,
            Opcode.SYMLINK: self._symlink,
            Opcode.UNLINK: self._unlink,
            Opcode.RMDIR: self._rmdir,
        }

    def install(self) -> None:
        """Put the handlers of this object in place of the usual ones, until `uninstall`."""
        self._usual = {opcode: self._handlers[opcode] for opcode in self._own}
        self._nothing = {
            kind == stat.S_IFDIR: build(_Nothing(self._filesystem, kind))
            for kind in (stat.S_IFREG, stat.S_IFDIR)
        }
        self.notifier_thread, self.is_known, self.scene = 0, False, None
        self._handlers.update(self._own)

    def uninstall(self) -> None:
        """Restore the usual handlers.

        The notifying thread must have ended, because its calls would change real files now.
        """
        self._handlers.update(self._usual)

    def _is_ours(self, message: Message) -> bool:
        return bool(wire.CALLER.unpack_from(message, wire.CALLER_AT)[2] == self.notifier_thread)

    def _real(self, ino: int, name: bytes) -> StatInode | None:
        """Return the node that the name really leads to, or None."""
        return self._filesystem.lookup(self._filesystem.node(ino), name)

    def _lookup(self, ino: int, message: Message, end: int) -> Answer:
        scene = self.scene
        if scene is None or ino != scene.parent or not self._is_ours(message):
            return self._usual[Opcode.LOOKUP](ino, message, end)
        if message[BODY_AT : end - 1] != scene.name:
            return self._usual[Opcode.LOOKUP](ino, message, end)
        self.is_known = True
        node = self._real(ino, scene.name)
        if node is None and scene.gone:
            return self._nothing[scene.gone == stat.S_IFDIR]
        if node is None or scene.gone or not node.lookups:
            raise PosixError(errno.ENOENT)
        # The kernel knows the node.  To say that it is missing would part the name from it, for
        # any process that has the file open or the directory as its working directory.
        return self._usual[Opcode.LOOKUP](ino, message, end)

    def _setattr(self, ino: int, message: Message, end: int) -> Answer:
        if not self._is_ours(message):
            return self._usual[Opcode.SETATTR](ino, message, end)
        return attributes(self._filesystem.node(ino))

    def _mknod(self, ino: int, message: Message, end: int) -> Answer:
        if not self._is_ours(message):
            return self._usual[Opcode.MKNOD](ino, message, end)
        mode, _, _, _ = wire.MKNOD.unpack_from(message, BODY_AT)
        name = bytes(message[BODY_AT + wire.MKNOD.size : end - 1])
        return self._created(ino, name, stat.S_IFMT(mode))

    def _mkdir(self, ino: int, message: Message, end: int) -> Answer:
        if not self._is_ours(message):
            return self._usual[Opcode.MKDIR](ino, message, end)
        name = bytes(message[BODY_AT + wire.MKDIR.size : end - 1])
        return self._created(ino, name, stat.S_IFDIR)

    def _symlink(self, ino: int, message: Message, end: int) -> Answer:
        if not self._is_ours(message):
            return self._usual[Opcode.SYMLINK](ino, message, end)
        name, _ = wire.names_at(message, BODY_AT)
        return self._created(ino, name, stat.S_IFLNK)

    def _created(self, ino: int, name: bytes, kind: int) -> Answer:
        """Return the entry of the node that is there, as if it had been created now.

        Fail with ENOENT if it is of another kind: the kernel checks the kind too late.
        """
        node = self._real(ino, name)
        if node is None or stat.S_IFMT(node.mode) != kind:
            raise PosixError(errno.ENOENT)
        node.refer()
        return entry(node)

    def _unlink(self, ino: int, message: Message, end: int) -> Answer:
        if not self._is_ours(message):
            return self._usual[Opcode.UNLINK](ino, message, end)
        return self._removed(ino, message, end)

    def _rmdir(self, ino: int, message: Message, end: int) -> Answer:
        if not self._is_ours(message):
            return self._usual[Opcode.RMDIR](ino, message, end)
        return self._removed(ino, message, end)

    def _removed(self, ino: int, message: Message, end: int) -> Answer:
        if self._real(ino, bytes(message[BODY_AT : end - 1])) is not None:
            raise PosixError(errno.ENOENT)
        return DONE
