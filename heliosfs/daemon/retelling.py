"""What a checkout did is done once more through the mount, in pretence, for those who watch.

The kernel tells watchers of what is done by calls, and of nothing that it learns from us.  So a
thread of ours makes the calls that would lead to what is there already: it creates what came and
unlinks what went.  Its requests are answered here; they alter nothing, and nobody else sees them:

- A file that came, and that the kernel does not know, is said to be missing, to the thread alone,
  until its creation is answered with the file itself.  Others who look for the name meanwhile wait
  for the kernel's lock of the directory, which the thread holds, and then ask us.
- A name that went leads to nothing, to the thread alone: an inode number that no node has, of
  which the kernel may keep nothing.  Whoever else finds that asks us again, and is told the truth.

What cannot be pretended is refused, and the kernel tells nobody: a name that changed since, or of
which it knows already what it means.  The handlers are in place while a thread tells, so that at
all other times no request costs more.
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


class Scene(NamedTuple):
    """A name that the thread is about to create or to remove."""

    parent: int
    name: bytes
    gone: int = 0
    """The kind (S_IFMT) of what went; 0 when something came."""


class _Nothing(StatInode):
    """A node that is not there: what a name that went leads to."""

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


class Retelling:
    """Answers one thread, while `installed`; passes all other requests on."""

    def __init__(self, filesystem: FileSystem, handlers: dict[int, Handler]) -> None:
        """`handlers` are those that the dispatcher asks, which are exchanged."""
        self.teller = 0
        """The thread, as the kernel numbers it."""
        self.is_known = False
        """A request of the thread was recognised: another one will be, and alter nothing."""
        self.scene: Scene | None = None
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
        """Take the handlers' place."""
        self._usual = {opcode: self._handlers[opcode] for opcode in self._own}
        self._nothing = {
            kind == stat.S_IFDIR: build(_Nothing(self._filesystem, kind))
            for kind in (stat.S_IFREG, stat.S_IFDIR)
        }
        self.teller, self.is_known, self.scene = 0, False, None
        self._handlers.update(self._own)

    def uninstall(self) -> None:
        """Give the handlers their place back.  The thread has ended: its calls would alter."""
        self._handlers.update(self._usual)

    def _is_ours(self, message: Message) -> bool:
        return bool(wire.CALLER.unpack_from(message, wire.CALLER_AT)[2] == self.teller)

    def _real(self, ino: int, name: bytes) -> StatInode | None:
        """The node that has the name; None when there is none."""
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
        # To be missing would part the name from the file, for whoever has it open or stands in it.
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
        """What is there, as if it had been made now.  The kernel checks the kind too late."""
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
