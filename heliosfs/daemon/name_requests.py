"""Handlers of the requests that concern the names in a directory.

Each takes the inode of the directory, the message and its length, and returns the body of the
answer.
"""

from __future__ import annotations

import errno
import os
import stat

from heliosfs.daemon.control_mounts import ControlMounts
from heliosfs.daemon.forgetter import Trimmer
from heliosfs.daemon.keeper import Keeper
from heliosfs.errors import PosixError
from heliosfs.fuse import wire
from heliosfs.fuse.attributes import MISSING, entry, entry_in
from heliosfs.fuse.handler import DONE, OPENED_FILE, Answer, Handler
from heliosfs.fuse.notices import Notices
from heliosfs.fuse.wire import BODY_AT, Message, Opcode
from heliosfs.vfs.files import Files
from heliosfs.vfs.filesystem import FileSystem
from heliosfs.vfs.naming import RENAME_EXCHANGE, Naming
from heliosfs.vfs.virtual import ControlDir, ControlFile, MountPoint
from heliosfs.workspace.inode import StatInode
from heliosfs.workspace.nodes import DirNode, FileNode, Node

MISSES_MAX = 4096
"""Most names of a directory of which the kernel may remember that they do not exist."""
_NAMES_AT = BODY_AT + wire.NUMBER.size


class NameRequests:
    """Handlers of requests about names, by opcode.  Each is atomic where it does not wait.

    None waits but LOOKUP where a mount is to lie.
    """

    def __init__(
        self,
        filesystem: FileSystem,
        files: Files,
        keeper: Keeper,
        trimmer: Trimmer,
        notices: Notices,
        mounts: ControlMounts | None = None,
    ) -> None:
        self._filesystem = filesystem
        self._nodes = filesystem.nodes
        self._node = filesystem.node
        self._naming = Naming(filesystem)
        self._files = files
        self._keeper = keeper
        self._look = trimmer.look
        self._notices = notices
        self._mounts = mounts
        self.handlers: dict[int, Handler] = {
            Opcode.LOOKUP: self._lookup,
            Opcode.SYMLINK: self._symlink,
            Opcode.MKNOD: self._mknod,
            Opcode.MKDIR: self._mkdir,
            Opcode.UNLINK: self._unlink,
            Opcode.RMDIR: self._rmdir,
            Opcode.RENAME: self._rename,
            Opcode.LINK: self._link,
            Opcode.CREATE: self._create,
            Opcode.RENAME2: self._rename2,
            Opcode.TMPFILE: self._tmpfile,
        }

    def _lookup(self, ino: int, message: Message, end: int) -> Answer:
        name = bytes(message[BODY_AT : end - 1])
        try:
            known = self._nodes.get(ino)
            directory = known if isinstance(known, StatInode) else self._node(ino)
            if isinstance(directory, ControlDir):
                node = self._control_file(directory, name, message)
            else:
                node = self._filesystem.lookup(directory, name)
            if node is None and isinstance(directory, MountPoint):
                node = self._behind(directory, name, message)
        except PosixError as error:
            if error.errno == errno.ESTALE and self._mounts is not None:
                _, _, pid = wire.CALLER.unpack_from(message, wire.CALLER_AT)
                self._mounts.note_stale(ino, pid)
            raise
        if node is None:
            # The kernel may remember a miss only if we do, too: a switch must know which names to
            # correct.
            if isinstance(directory, DirNode) and len(directory.misses) < MISSES_MAX:
                directory.misses.add(name)
                return MISSING
            raise PosixError(errno.ENOENT)
        node.refer()
        self._look()
        if isinstance(node, MountPoint) and self._mounts is not None:
            _, _, pid = wire.CALLER.unpack_from(message, wire.CALLER_AT)
            if self._mounts.holds(node, pid):
                return _entry_of_mount(self._mounts, node)
        return entry_in(directory, node)

    def _control_file(
        self, directory: ControlDir, name: bytes, message: Message
    ) -> StatInode | None:
        """Look a control file up; a thread on its second way gets one that nobody else can open."""
        _, _, pid = wire.CALLER.unpack_from(message, wire.CALLER_AT)
        file = directory.children.get(name)
        if isinstance(file, ControlFile) and self._mounts and self._mounts.was_sent_back(pid):
            file.send_back(pid)
        return directory.lookup_again(name, pid)

    def _behind(self, directory: MountPoint, name: bytes, message: Message) -> StatInode | None:
        """Look a name up where another mount is to lie.  Fail with ESTALE or ENODEV."""
        if self._mounts is None:
            return None
        _, _, pid = wire.CALLER.unpack_from(message, wire.CALLER_AT)
        self._mounts.enter(directory, pid)
        return directory.lookup(name)

    def _mknod(self, ino: int, message: Message, end: int) -> bytes:
        mode, rdev, _, _ = wire.MKNOD.unpack_from(message, BODY_AT)
        name = bytes(message[BODY_AT + wire.MKNOD.size : end - 1])
        return entry(self._make(ino, name, mode, message, rdev=rdev))

    def _mkdir(self, ino: int, message: Message, end: int) -> bytes:
        mode, _ = wire.MKDIR.unpack_from(message, BODY_AT)
        name = bytes(message[BODY_AT + wire.MKDIR.size : end - 1])
        return entry(self._make(ino, name, stat.S_IFDIR | stat.S_IMODE(mode), message))

    def _symlink(self, ino: int, message: Message, end: int) -> bytes:
        name, target = wire.names_at(message, BODY_AT)
        return entry(self._make(ino, name, stat.S_IFLNK | 0o777, message, target=target))

    def _make(
        self,
        parent: int,
        name: bytes,
        mode: int,
        message: Message,
        *,
        target: bytes = b"",
        rdev: int = 0,
    ) -> Node:
        uid, gid, _ = wire.CALLER.unpack_from(message, wire.CALLER_AT)
        known = self._nodes.get(parent)
        directory = known if isinstance(known, StatInode) else self._node(parent)
        is_sent = directory.attr is not None
        node = self._naming.create(directory, name, mode, uid, gid, target=target, rdev=rdev)
        node.refer()
        self._look()
        # As `_changed`, without its call: a program that unpacks a tree comes here for each file.
        if is_sent:
            self._notices.attributes(directory.ino)
        if self._keeper.is_idle:
            self._keeper.touch()
        return node

    def _changed(self, told: list[int]) -> None:
        """Note a change, and have the kernel forget the attributes of the directories in `told`.

        An answer with their old attributes may still be on its way to another process, whose
        kernel side would cache it for good.  After a notice the kernel sees that such an answer
        is old (fuse_reverse_inval_inode).
        """
        for ino in told:
            self._notices.attributes(ino)
        self._keeper.touch()

    def _create(self, ino: int, message: Message, end: int) -> bytes:
        flags, mode, _, _ = wire.CREATE.unpack_from(message, BODY_AT)
        name = bytes(message[BODY_AT + wire.CREATE.size : end - 1])
        try:
            node = self._make(ino, name, stat.S_IFREG | stat.S_IMODE(mode), message)
        except PosixError as error:
            if error.errno != errno.EEXIST or flags & os.O_EXCL:
                raise
            return self._open_made(ino, name, flags, message)
        assert isinstance(node, FileNode)
        # It made the file, so it knows that there is nothing in it: no read will come for its
        # pages.
        node.note_kept()
        self._files.late.made(node, flags)
        fh = self._files.open_node(node, writing=True, flags=flags)
        return entry(node) + wire.OPENED.pack(fh, OPENED_FILE, 0)

    def _open_made(self, ino: int, name: bytes, flags: int, message: Message) -> bytes:
        """Open a file that a checkout has just made under a name that is free for the kernel.

        The kernel checks no permissions after that, so only a file of the caller is opened at
        once.  Any other is refused with ESTALE: the kernel looks the name up again and checks
        (do_filp_open in fs/namei.c).  It does so once; a program that meets two such moments
        would see the error.
        """
        uid, _, _ = wire.CALLER.unpack_from(message, wire.CALLER_AT)
        node = self._filesystem.lookup(self._node(ino), name)
        if not (isinstance(node, FileNode) and node.uid == uid and _allows(node.mode, flags)):
            raise PosixError(errno.ESTALE)
        fh = self._files.open(node, flags, uid)
        node.refer()
        self._keeper.touch()
        return entry(node) + wire.OPENED.pack(fh, OPENED_FILE, 0)

    def _tmpfile(self, ino: int, message: Message, end: int) -> bytes:
        flags, mode, _, _ = wire.CREATE.unpack_from(message, BODY_AT)
        uid, gid, _ = wire.CALLER.unpack_from(message, wire.CALLER_AT)
        mode = stat.S_IFREG | stat.S_IMODE(mode)
        node = self._naming.create_unnamed(self._node(ino), mode, uid, gid)
        node.refer()
        self._keeper.touch()
        node.note_kept()
        fh = self._files.open_node(node, writing=True, flags=flags)
        return entry(node) + wire.OPENED.pack(fh, OPENED_FILE, 0)

    def _unlink(self, ino: int, message: Message, end: int) -> bytes:
        directory = self._node(ino)
        told = _sent_attributes(directory)
        self._naming.unlink(directory, bytes(message[BODY_AT : end - 1]))
        self._changed(told)
        return DONE

    def _rmdir(self, ino: int, message: Message, end: int) -> bytes:
        directory = self._node(ino)
        told = _sent_attributes(directory)
        self._naming.rmdir(directory, bytes(message[BODY_AT : end - 1]))
        self._changed(told)
        return DONE

    def _rename(self, ino: int, message: Message, end: int) -> bytes:
        (target,) = wire.NUMBER.unpack_from(message, BODY_AT)
        return self._move(ino, target, wire.names_at(message, _NAMES_AT), 0)

    def _rename2(self, ino: int, message: Message, end: int) -> bytes:
        target, flags, _ = wire.RENAME2.unpack_from(message, BODY_AT)
        return self._move(ino, target, wire.names_at(message, BODY_AT + wire.RENAME2.size), flags)

    def _move(self, source: int, target: int, names: tuple[bytes, bytes], flags: int) -> bytes:
        old, new = self._node(source), self._node(target)
        self._check_known(old, names[0])
        if flags & RENAME_EXCHANGE:
            self._check_known(new, names[1])
        told = _sent_attributes(old, new)
        self._naming.rename(old, names[0], new, names[1], flags)
        self._changed(told)
        return DONE

    def _check_known(self, directory: StatInode, name: bytes) -> None:
        """Check that a name leads to an inode that the kernel refers to.  Fail with ESTALE.

        A verb may have put another file there, and the kernel may not have been told yet.  It would
        move what it remembers to the new name, for which no notice comes; instead, ESTALE makes it
        look the names up again (retry_estale in fs/namei.c).
        """
        # I54: whatever the kernel moves to another name is what we move.
        node = self._filesystem.peek(directory, name)
        if node is not None and not node.lookups:
            raise PosixError(errno.ESTALE)

    def _link(self, ino: int, message: Message, end: int) -> bytes:
        (target,) = wire.NUMBER.unpack_from(message, BODY_AT)
        name = bytes(message[_NAMES_AT : end - 1])
        directory = self._node(ino)
        told = _sent_attributes(directory)
        linked = self._naming.link(self._node(target), directory, name)
        linked.refer()
        self._changed(told)
        return entry(linked)


async def _entry_of_mount(mounts: ControlMounts, point: MountPoint) -> bytes:
    """Return the entry of a mount point once the mount is there."""
    await mounts.hold(point)
    return entry(point)


def _allows(mode: int, flags: int) -> bool:
    """Return True if a file's mode allows its owner to open it with these flags."""
    access = flags & os.O_ACCMODE
    needs = 0 if access == os.O_WRONLY else stat.S_IRUSR
    if access != os.O_RDONLY or flags & os.O_TRUNC:
        needs |= stat.S_IWUSR
    return mode & needs == needs


def _sent_attributes(*directories: StatInode) -> list[int]:
    """Return the inodes of directories whose attributes the kernel got since they last changed."""
    return [each.ino for each in directories if each.attr is not None]
