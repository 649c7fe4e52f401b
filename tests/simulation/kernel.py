"""A kernel that caches all it is allowed to, as fs/fuse does, and forgets when it likes.

It speaks the protocol: messages in, answers out, by the handlers of the daemon.  What it keeps is
decided by the times and flags of the answers alone; notices take it away again.
"""

from __future__ import annotations

import errno
import os
import stat
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from random import Random
from typing import Any, NamedTuple, cast

import pyfuse3
import trio

from heliosfs.errors import HeliosError
from heliosfs.fuse import wire
from heliosfs.fuse.handler import Handler
from heliosfs.fuse.wire import BODY_AT, CALLER, CALLER_AT, HEAD, Data, Opcode, OpenFlags, Valid

ROOT = 1
PAGE_BYTES = 4096
ATTR = struct.Struct("=QQQqqqIIIIIIIIII")
_HOLDS_NAME, _HOLDS_ATTR = 2, 3
UID = GID = 1000


class Store(NamedTuple):
    """The first of the stores that made a page dirty."""

    number: int
    """Count of all stores until then."""
    time: float


class Inode:
    """An inode in the kernel's memory."""

    def __init__(self, ino: int) -> None:
        self.ino = ino
        self.lookups = 0
        self.names = 0
        """Number of names that lead to it."""
        self.opens = 0
        self.attr: tuple[int, ...] = ()
        self.is_attr_held = False
        self.is_size_held = False
        """True if size and times are held, too: a write makes them unknown."""
        self.size = 0
        self.pages: dict[int, bytes] = {}
        self.dirty: dict[int, Store] = {}
        """Pages that a shared mapping has changed, and of which the daemon does not know yet."""
        self.handles: list[Handle] = []
        self.writers: list[Handle] = []
        """Open files with which dirty pages can be written back."""
        self.listing: list[bytes] | None = None
        self.listing_version = 0
        """Number that grows when a listing, whether cached or under way, is out of date."""
        self.target: bytes | None = None

    @property
    def mode(self) -> int:
        return self.attr[9]

    def tell(self, attr: bytes, *, is_held: bool) -> None:
        """Take attributes in from an answer."""
        told = ATTR.unpack(attr)
        if self.attr and told[4] != self.attr[4]:
            self.drop_listing()
        self.attr = told
        self.is_attr_held = self.is_size_held = is_held
        if stat.S_ISREG(self.mode):
            self.resize(told[1])

    def resize(self, size: int) -> None:
        if size < self.size:
            for number in [number for number in self.pages if (number + 1) * PAGE_BYTES > size]:
                cut = size - number * PAGE_BYTES
                if cut > 0:
                    self.pages[number] = self.pages[number][:cut].ljust(PAGE_BYTES, b"\0")
                else:
                    del self.pages[number]
                    self.dirty.pop(number, None)
        self.size = size

    def drop_pages(self) -> None:
        """Forget the pages that can be read again."""
        self.pages = {number: self.pages[number] for number in self.dirty}

    def drop_listing(self) -> None:
        self.listing = None
        self.listing_version += 1

    def forget_attributes(self) -> None:
        self.is_attr_held = self.is_size_held = False


class Handle:
    """An open file."""

    file: Any = None
    """File of the model, or None."""

    def __init__(self, inode: Inode, fh: int, flags: int, *, is_direct: bool) -> None:
        self.inode = inode
        self.fh = fh
        self.flags = flags
        self.is_direct = is_direct


class CachingKernel:
    """The caches of one mount, and the system calls that programs make through them."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.handlers: Mapping[int, Handler] = {}
        self.inodes: dict[int, Inode] = {ROOT: Inode(ROOT)}
        self.names: dict[tuple[int, bytes], tuple[int, bool]] = {}
        """Directory and name -> inode (0: none), and whether that is held without asking."""
        self.rare: Any = None
        """Methods for the requests that pyfuse3 relays."""
        self.forgets: list[tuple[int, int]] = []
        """Inodes that went, of which the daemon is still to hear."""
        self.requests = 0
        self.store_count = 0
        self.wrote_back: Callable[[Handle, int, bytes], None] = lambda handle, at, data: None
        """Called as soon as the daemon has the bytes of a dirty page."""

    # The protocol.

    async def ask(
        self,
        opcode: int,
        ino: int,
        body: bytes = b"",
        *,
        pid: int = 0,
        taken: Callable[[], None] = lambda: None,
    ) -> Data:
        """Send a request and return the answer.  OSError.

        `taken` is called once the daemon has read the request, and may still wait for something.
        """
        message = bytearray(BODY_AT) + body
        HEAD.pack_into(message, 0, len(message), opcode, 1, ino)
        CALLER.pack_into(message, CALLER_AT, UID, UID, pid)
        self.requests += 1
        try:
            answer = self.handlers[opcode](ino, message, len(message))
            taken()
            if answer is None or isinstance(answer, (bytes, bytearray)):
                return answer or b""
            data = await answer
        except HeliosError as error:
            raise OSError(error.errno, str(error)) from error
        return data or b""

    def forget_some(self) -> None:
        """Tell the daemon of inodes that went."""
        forgets, self.forgets = self.forgets, []
        if len(forgets) == 1:
            [(ino, count)] = forgets
            self._tell(Opcode.FORGET, ino, wire.NUMBER.pack(count))
        elif forgets:
            body = struct.pack("=II", len(forgets), 0)
            body += b"".join(wire.FORGET_ONE.pack(*each) for each in forgets)
            self._tell(Opcode.BATCH_FORGET, 0, body)

    def _tell(self, opcode: int, ino: int, body: bytes) -> None:
        message = bytearray(BODY_AT) + body
        HEAD.pack_into(message, 0, len(message), opcode, 1, ino)
        self.handlers[opcode](ino, message, len(message))

    # The caches.

    def _enter(self, parent: int, name: bytes, entry: bytes) -> Inode:
        """Take in an answer that names an inode."""
        fields = wire.ENTRY.unpack_from(entry)
        ino = fields[0]
        inode = self.inodes.get(ino)
        if inode is None:
            inode = self.inodes[ino] = Inode(ino)
        inode.lookups += 1
        known = self.names.get((parent, name))
        if known is None or known[0] != ino:
            self.drop_name(parent, name)
            inode.names += 1
        self.names[parent, name] = ino, fields[_HOLDS_NAME] > 0
        inode.tell(entry[wire.ATTR_AT :], is_held=fields[_HOLDS_ATTR] > 0)
        return inode

    def drop_name(self, parent: int, name: bytes) -> None:
        """Forget a name and all below it."""
        known = self.names.pop((parent, name), None)
        if known is None or not known[0]:
            return
        inode = self.inodes[known[0]]
        inode.names -= 1
        self._let_go(inode)

    def _let_go(self, inode: Inode) -> None:
        if inode.names or inode.ino == ROOT:
            return
        for parent, name in [key for key in self.names if key[0] == inode.ino]:
            self.drop_name(parent, name)
        if not inode.opens and self.inodes.get(inode.ino) is inode:
            del self.inodes[inode.ino]
            self.forgets.append((inode.ino, inode.lookups))

    def shrink(self) -> None:
        """Memory is short: forget a name that nothing below it holds, or pages, or a listing."""
        if not self.names:
            return
        key = self.random.choice(list(self.names))
        ino = self.names[key][0]
        if ino and any(parent == ino for parent, _ in self.names):
            inode = self.inodes[ino]
            inode.drop_listing()
            return
        if ino and self.random.random() < 0.3:
            self.inodes[ino].drop_pages()
            return
        self.drop_name(*key)

    # Notices.

    def entry(self, parent: int, name: bytes, child: int) -> None:
        known = self.names.get((parent, name))
        directory = self.inodes.get(parent)
        if directory is None or known is None:
            return
        directory.forget_attributes()
        directory.drop_listing()
        if child and known[0] not in (0, child):
            return
        self.drop_name(parent, name)

    def attributes(self, ino: int) -> None:
        if ino in self.inodes:
            self.inodes[ino].forget_attributes()

    def listing(self, ino: int) -> None:
        inode = self.inodes.get(ino)
        if inode is not None:
            inode.forget_attributes()
            inode.drop_listing()
            inode.drop_pages()

    def store(self, ino: int, offset: int, data: Data) -> None:
        inode = self.inodes.get(ino)
        if inode is None or not inode.attr:
            return
        inode.size = max(inode.size, offset + len(data))
        inode.is_size_held = False
        for at in range(0, len(data), PAGE_BYTES):
            number, within = divmod(offset + at, PAGE_BYTES)
            piece = bytes(data[at : at + PAGE_BYTES])
            is_whole = len(piece) == PAGE_BYTES or offset + at + len(piece) == inode.size
            if not within and is_whole and number not in inode.pages:
                inode.pages[number] = piece.ljust(PAGE_BYTES, b"\0")

    def prune(self, inodes: Sequence[int]) -> None:
        for key, (ino, _) in list(self.names.items()):
            if ino in inodes and not self.inodes[ino].opens:
                self.drop_name(*key)

    # Names.

    async def walk(self, path: Sequence[bytes], *, asks: bool = False) -> Inode:
        """Follow a path from the root.  OSError."""
        inode = self.inodes[ROOT]
        for name in path:
            if inode.attr and not stat.S_ISDIR(inode.mode):
                raise OSError(errno.ENOTDIR, "")
            inode = await self.child(inode, name, asks=asks)
        return inode

    async def child(self, directory: Inode, name: bytes, *, asks: bool = False) -> Inode:
        """Return what a name leads to: the cached answer where it is held.  ENOENT."""
        known = self.names.get((directory.ino, name))
        if known is not None and known[1] and not asks:
            if not known[0]:
                raise OSError(errno.ENOENT, "")
            return self.inodes[known[0]]
        try:
            entry = bytes(await self.ask(Opcode.LOOKUP, directory.ino, name + b"\0"))
        except OSError:
            self.drop_name(directory.ino, name)
            raise
        fields = wire.ENTRY.unpack_from(entry)
        if not fields[0]:
            self.drop_name(directory.ino, name)
            self.names[directory.ino, name] = 0, fields[_HOLDS_NAME] > 0
            raise OSError(errno.ENOENT, "")
        return self._enter(directory.ino, name, entry)

    async def _place(self, path: Sequence[bytes], *, asks: bool) -> tuple[Inode, bytes]:
        directory = await self.walk(path[:-1], asks=asks)
        if directory.attr and not stat.S_ISDIR(directory.mode):
            raise OSError(errno.ENOTDIR, "")
        return directory, path[-1]

    async def _free(self, path: Sequence[bytes], *, asks: bool) -> tuple[Inode, bytes]:
        """Return the place for something new.  EEXIST."""
        directory, name = await self._place(path, asks=asks)
        try:
            await self.child(directory, name, asks=asks)
        except OSError as error:
            if error.errno != errno.ENOENT:
                raise
            return directory, name
        raise OSError(errno.EEXIST, "")

    async def retried(self, call: Callable[..., Any], *arguments: Any) -> Any:
        """Make a call; after ESTALE again, with every name asked for anew (fs/namei.c)."""
        try:
            return await call(*arguments, asks=False)
        except OSError as error:
            if error.errno != errno.ESTALE:
                raise
        return await call(*arguments, asks=True)

    def _changed(self, directory: Inode) -> None:
        directory.forget_attributes()
        directory.drop_listing()

    async def _make(
        self, opcode: Opcode, path: Sequence[bytes], head: bytes, tail: bytes, asks: bool
    ) -> None:
        directory, name = await self._free(path, asks=asks)
        entry = await self.ask(opcode, directory.ino, head + name + b"\0" + tail)
        self._enter(directory.ino, name, bytes(entry))
        self._changed(directory)

    async def mkdir(self, path: Sequence[bytes], *, asks: bool) -> None:
        await self._make(Opcode.MKDIR, path, wire.MKDIR.pack(0o755, 0), b"", asks)

    async def symlink(self, path: Sequence[bytes], target: bytes, *, asks: bool) -> None:
        await self._make(Opcode.SYMLINK, path, b"", target + b"\0", asks)

    async def link(self, old: Sequence[bytes], new: Sequence[bytes], *, asks: bool) -> None:
        inode = await self.walk(old, asks=asks)
        directory, name = await self._free(new, asks=asks)
        if stat.S_ISDIR(inode.mode):
            raise OSError(errno.EPERM, "")
        body = wire.NUMBER.pack(inode.ino) + name + b"\0"
        entry = await self.ask(Opcode.LINK, directory.ino, body)
        self._enter(directory.ino, name, bytes(entry))
        self._changed(directory)
        inode.forget_attributes()

    async def unlink(self, path: Sequence[bytes], *, asks: bool) -> None:
        directory, name = await self._place(path, asks=asks)
        inode = await self.child(directory, name, asks=asks)
        if stat.S_ISDIR(inode.mode):
            raise OSError(errno.EISDIR, "")
        await self.ask(Opcode.UNLINK, directory.ino, name + b"\0")
        inode.forget_attributes()
        self._changed(directory)
        self.drop_name(directory.ino, name)

    async def rmdir(self, path: Sequence[bytes], *, asks: bool) -> None:
        directory, name = await self._place(path, asks=asks)
        inode = await self.child(directory, name, asks=asks)
        if not stat.S_ISDIR(inode.mode):
            raise OSError(errno.ENOTDIR, "")
        await self.ask(Opcode.RMDIR, directory.ino, name + b"\0")
        self._changed(directory)
        self.drop_name(directory.ino, name)

    async def rename(
        self, old: Sequence[bytes], new: Sequence[bytes], flags: int, *, asks: bool
    ) -> None:
        """Rename or exchange; what the virtual file system refuses by itself is refused here."""
        source, name = await self._place(old, asks=asks)
        target, new_name = await self._place(new, asks=asks)
        inode = await self.child(source, name, asks=asks)
        try:
            # LOOKUP_RENAME_TARGET: the kernel asks in any case.
            there: Inode | None = await self.child(target, new_name, asks=True)
        except OSError as error:
            if error.errno != errno.ENOENT:
                raise
            there = None
        body = wire.RENAME2.pack(target.ino, flags, 0) + name + b"\0" + new_name + b"\0"
        if there is inode and flags != 1:
            return
        await self.ask(Opcode.RENAME2, source.ino, body)
        inode.forget_attributes()
        self._changed(source)
        self._changed(target)
        if there is not None:
            there.forget_attributes()
        if flags == 2:
            self._exchange((source.ino, name), (target.ino, new_name))
        else:
            self._move((source.ino, name), (target.ino, new_name))

    def _move(self, old: tuple[int, bytes], new: tuple[int, bytes]) -> None:
        known = self.names.pop(old, None)
        self.drop_name(*new)
        if known is not None:
            self.names[new] = known

    def _exchange(self, old: tuple[int, bytes], new: tuple[int, bytes]) -> None:
        one, other = self.names.pop(old, None), self.names.pop(new, None)
        if one is not None:
            self.names[new] = one
        if other is not None:
            self.names[old] = other

    async def listdir(self, path: Sequence[bytes], *, asks: bool) -> list[bytes]:
        inode = await self.walk(path, asks=asks)
        if inode.ino != ROOT and not stat.S_ISDIR(inode.mode):
            raise OSError(errno.ENOTDIR, "")
        if inode.listing is not None:
            return inode.listing
        names: list[bytes] = []
        version = inode.listing_version
        offset = 0
        while True:
            size = self.random.choice([256, 512, 4096])
            body = wire.TRANSFER.pack(0, offset, size).ljust(wire.TRANSFER_BYTES, b"\0")
            data = bytes(await self.ask(Opcode.READDIRPLUS, inode.ino, body))
            if not data:
                break
            for entry, name, at in _entries(data):
                offset = at
                if name in (b".", b".."):
                    continue
                names.append(name)
                if wire.ENTRY.unpack_from(entry)[0]:
                    self._enter(inode.ino, name, entry)
        if version == inode.listing_version:
            inode.listing = names
        return names

    async def readlink(self, path: Sequence[bytes], *, asks: bool) -> bytes:
        inode = await self.walk(path, asks=asks)
        if inode.ino == ROOT or not stat.S_ISLNK(inode.mode):
            raise OSError(errno.EINVAL, "")
        if inode.target is None:
            inode.target = bytes(await self.ask(Opcode.READLINK, inode.ino))
        return inode.target

    async def stat(self, path: Sequence[bytes], *, asks: bool) -> tuple[int, ...]:
        return await self.attributes_of(await self.walk(path, asks=asks))

    async def attributes_of(self, inode: Inode) -> tuple[int, ...]:
        if not (inode.is_attr_held and inode.is_size_held):
            answer = bytes(await self.ask(Opcode.GETATTR, inode.ino))
            holds, _, _ = wire.ATTR_HOLDS.unpack_from(answer)
            inode.tell(answer[wire.ATTR_HOLDS.size :], is_held=holds > 0)
        return inode.attr

    async def chmod(self, path: Sequence[bytes], mode: int, *, asks: bool) -> None:
        inode = await self.walk(path, asks=asks)
        if inode.ino != ROOT and stat.S_ISLNK(inode.mode):
            raise OSError(errno.EOPNOTSUPP, "")
        await self._set(inode, Valid.MODE, mode=mode)

    async def touch(self, path: Sequence[bytes], seconds: int, *, asks: bool) -> Inode:
        """Set the modification time."""
        inode = await self.walk(path, asks=asks)
        await self._set(inode, Valid.MTIME, mtime=seconds)
        return inode

    async def truncate(self, path: Sequence[bytes], size: int, *, asks: bool) -> Inode:
        inode = await self.walk(path, asks=asks)
        if inode.ino == ROOT or stat.S_ISDIR(inode.mode):
            raise OSError(errno.EISDIR, "")
        if not stat.S_ISREG(inode.mode):
            raise OSError(errno.EINVAL, "")
        await self._set(inode, Valid.SIZE, size=size)
        return inode

    async def _set(
        self, inode: Inode, valid: int, mode: int = 0, size: int = 0, mtime: int = 0
    ) -> None:
        body = wire.SETATTR.pack(valid, 0, 0, size, 0, 0, mtime, 0, 0, 0, 0, mode, 0, 0, 0)
        answer = bytes(await self.ask(Opcode.SETATTR, inode.ino, body))
        holds, _, _ = wire.ATTR_HOLDS.unpack_from(answer)
        inode.tell(answer[wire.ATTR_HOLDS.size :], is_held=holds > 0)

    # Extended attributes, of which the kernel keeps none.

    async def _rarely(self, name: str, *arguments: Any) -> Any:
        """Send a request that pyfuse3 relays, and return the answer.  OSError."""
        self.requests += 1
        try:
            return await getattr(self.rare, name)(*arguments)
        except pyfuse3.FUSEError as error:
            raise OSError(error.errno, "") from error

    async def _attributed(self, path: Sequence[bytes], *, asks: bool) -> Inode:
        inode = await self.walk(path, asks=asks)
        if inode.ino != ROOT and stat.S_ISLNK(inode.mode):
            # xattr_permission in fs/xattr.c
            raise OSError(errno.EPERM, "")
        return inode

    async def setxattr(
        self, path: Sequence[bytes], name: bytes, value: bytes, *, asks: bool
    ) -> None:
        inode = await self._attributed(path, asks=asks)
        await self._rarely("setxattr", inode.ino, name, value, None)
        inode.forget_attributes()

    async def removexattr(self, path: Sequence[bytes], name: bytes, *, asks: bool) -> None:
        inode = await self._attributed(path, asks=asks)
        await self._rarely("removexattr", inode.ino, name, None)
        inode.forget_attributes()

    async def xattrs(self, path: Sequence[bytes], *, asks: bool) -> dict[bytes, bytes]:
        """Return all attributes, by listxattr(2) and getxattr(2)."""
        inode = await self.walk(path, asks=asks)
        names = await self._rarely("listxattr", inode.ino, None)
        return {name: await self._rarely("getxattr", inode.ino, name, None) for name in names}

    # Open files.

    async def open(self, path: Sequence[bytes], flags: int, pid: int = 0, *, asks: bool) -> Handle:
        directory, name = await self._place(path, asks=asks)
        try:
            inode = await self.child(directory, name, asks=asks)
        except OSError as error:
            if error.errno != errno.ENOENT or not flags & os.O_CREAT:
                raise
            return await self._create(directory, name, flags)
        if flags & os.O_EXCL:
            raise OSError(errno.EEXIST, "")
        if stat.S_ISDIR(inode.mode):
            raise OSError(errno.EISDIR, "")
        if not stat.S_ISREG(inode.mode):
            raise OSError(errno.ELOOP, "")
        kept = flags & ~(os.O_CREAT | os.O_EXCL)
        inode.opens += 1
        try:
            body = wire.OPEN.pack(kept, 0)
            answer = bytes(await self.ask(Opcode.OPEN, inode.ino, body, pid=pid))
        except BaseException:
            inode.opens -= 1
            self._let_go(inode)
            raise
        return self._opened(inode, answer, kept, is_counted=True)

    async def _create(self, directory: Inode, name: bytes, flags: int) -> Handle:
        body = wire.CREATE.pack(flags, 0o644, 0, 0) + name + b"\0"
        answer = bytes(await self.ask(Opcode.CREATE, directory.ino, body))
        inode = self._enter(directory.ino, name, answer[: wire.ENTRY_BYTES])
        self._changed(directory)
        kept = flags & ~(os.O_CREAT | os.O_EXCL | os.O_TRUNC)
        return self._opened(inode, answer[wire.ENTRY_BYTES :], kept)

    def _opened(
        self, inode: Inode, answer: bytes, flags: int, *, is_counted: bool = False
    ) -> Handle:
        fh, how, _ = wire.OPENED.unpack(answer)
        if not is_counted:
            inode.opens += 1
        if flags & os.O_TRUNC and stat.S_ISREG(inode.mode):
            inode.resize(0)
            inode.is_size_held = False
        if not how & (OpenFlags.KEEP_CACHE | OpenFlags.DIRECT_IO):
            inode.drop_pages()
        handle = Handle(inode, fh, flags, is_direct=bool(how & OpenFlags.DIRECT_IO))
        inode.handles.append(handle)
        if flags & os.O_ACCMODE != os.O_RDONLY:
            inode.writers.append(handle)
        return handle

    async def close(self, handle: Handle) -> None:
        """Unmap a file and close it."""
        if handle in handle.inode.writers:
            with suppress(OSError):
                await self.write_back(handle.inode)
            handle.inode.writers.remove(handle)
        body = wire.NUMBER.pack(handle.fh) + bytes(16)
        await self.ask(Opcode.RELEASE, handle.inode.ino, body)
        handle.inode.opens -= 1
        handle.inode.handles.remove(handle)
        self._let_go(handle.inode)

    async def flush(self, handle: Handle) -> None:
        await self.ask(Opcode.FLUSH, handle.inode.ino, wire.NUMBER.pack(handle.fh) + bytes(16))

    async def fsync(self, handle: Handle) -> None:
        await self.write_back(handle.inode)
        await self.ask(Opcode.FSYNC, handle.inode.ino, wire.NUMBER.pack(handle.fh) + bytes(8))

    def _transfer(self, handle: Handle, offset: int, size: int, how: int = 0) -> bytes:
        body = bytearray(wire.TRANSFER_BYTES)
        wire.TRANSFER.pack_into(body, 0, handle.fh, offset, size)
        wire.WORD.pack_into(body, wire.READ_FLAGS_AT - BODY_AT, how)
        return bytes(body)

    async def read(self, handle: Handle, offset: int, size: int) -> bytes:
        """Read from the page cache, filling it where it has nothing; or past it."""
        inode = handle.inode
        if handle.is_direct:
            body = self._transfer(handle, offset, size, wire.READ_OF_CALLER)
            return bytes(await self.ask(Opcode.READ, inode.ino, body))
        if not inode.is_size_held and offset + size > inode.size:
            await self.attributes_of(inode)
        end = min(offset + size, inode.size)
        parts = []
        while offset < end:
            number, within = divmod(offset, PAGE_BYTES)
            if number not in inode.pages:
                await self._fill(handle, number)
                end = min(end, inode.size)
                continue
            part = inode.pages[number][within : within + end - offset]
            parts.append(part)
            offset += len(part)
        return b"".join(parts)

    async def _fill(self, handle: Handle, number: int) -> None:
        inode = handle.inode
        count = self.random.choice([1, 2, 8])
        body = self._transfer(handle, number * PAGE_BYTES, count * PAGE_BYTES)
        data = bytes(await self.ask(Opcode.READ, inode.ino, body))
        for at in range(count):
            piece = data[at * PAGE_BYTES : (at + 1) * PAGE_BYTES]
            if piece or (number + at) * PAGE_BYTES < inode.size:
                inode.pages.setdefault(number + at, piece.ljust(PAGE_BYTES, b"\0"))
        if len(data) < count * PAGE_BYTES:
            inode.size = min(inode.size, number * PAGE_BYTES + len(data))

    async def write(self, handle: Handle, offset: int, data: bytes) -> int:
        """Write through the page cache; at the end of the file under O_APPEND."""
        inode = handle.inode
        if handle.flags & os.O_APPEND and not handle.is_direct:
            if not inode.is_size_held:
                await self.attributes_of(inode)
            offset = inode.size
        body = self._transfer(handle, offset, len(data)) + data
        answer = await self.ask(Opcode.WRITE, inode.ino, body)
        (written, _) = wire.WRITTEN.unpack(answer)
        if not handle.is_direct:
            self._keep(inode, offset, data[:written])
        return cast("int", written)

    # Shared mappings.

    async def change_mapped(self, handle: Handle, offset: int, data: bytes) -> None:
        """Store bytes within a page of a mapped file; beyond its end it does nothing."""
        inode = handle.inode
        number, within = divmod(offset, PAGE_BYTES)
        if not inode.is_size_held:
            await self.attributes_of(inode)
        if number not in inode.pages and offset < inode.size:
            await self._fill(handle, number)
        page = inode.pages.get(number)
        if page is None or offset + len(data) > inode.size:
            return
        inode.pages[number] = page[:within] + data + page[within + len(data) :]
        self.store_count += 1
        inode.dirty.setdefault(number, Store(self.store_count, trio.current_time()))

    async def write_back(self, inode: Inode) -> None:
        """Send the dirty pages of a file.  OSError: the others stay dirty, this one is lost."""
        while inode.dirty:
            number = next(iter(inode.dirty))
            store = inode.dirty.pop(number)
            offset = number * PAGE_BYTES
            data = inode.pages[number][: inode.size - offset]
            handle = inode.writers[0]
            body = self._transfer(handle, offset, len(data)) + data
            inode.is_size_held = False
            taken = partial(self.wrote_back, handle, offset, data)
            try:
                await self.ask(Opcode.WRITE, inode.ino, body, taken=taken)
            except OSError:
                inode.pages.pop(number, None)
                raise
            except BaseException:
                inode.dirty.setdefault(number, store)
                raise

    def dirty_inodes(self) -> list[Inode]:
        return [inode for inode in self.inodes.values() if inode.dirty]

    def first_store(self) -> Store | None:
        """Return the first of the stores of which the daemon does not know."""
        stores = [store for inode in self.dirty_inodes() for store in inode.dirty.values()]
        return min(stores, default=None)

    def _keep(self, inode: Inode, offset: int, data: bytes) -> None:
        at = 0
        while at < len(data):
            number, within = divmod(offset + at, PAGE_BYTES)
            piece = data[at : at + PAGE_BYTES - within]
            page = inode.pages.get(number)
            if page is not None:
                inode.pages[number] = page[:within] + piece + page[within + len(piece) :]
            elif len(piece) == PAGE_BYTES:
                inode.pages[number] = piece
            at += len(piece)
        inode.size = max(inode.size, offset + len(data))
        inode.is_size_held = False


def _entries(data: bytes) -> Iterator[tuple[bytes, bytes, int]]:
    """The entries of a listing: the inode's, the name, and the position of the next one."""
    at = 0
    while at < len(data):
        entry = data[at : at + wire.ENTRY_BYTES]
        at += wire.ENTRY_BYTES
        _, offset, length, _ = wire.DIRENT.unpack_from(data, at)
        name = data[at + wire.DIRENT.size : at + wire.DIRENT.size + length]
        at += wire.padded(wire.DIRENT.size + length)
        yield entry, name, offset
