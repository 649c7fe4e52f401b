"""Virtual nodes: what `.helios` is made of."""

from __future__ import annotations

import stat
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from heliosfs.repo.identity import Identity
from heliosfs.steps import Steps, run_to_end
from heliosfs.store.base import Store
from heliosfs.workspace.inode import StatInode
from heliosfs.workspace.inodes import InodeTable

if TYPE_CHECKING:
    from heliosfs.vfs.control import Channel


class VirtualNode(StatInode):
    """A file that no commit contains.  It answers `stat` like a node of a workspace."""

    __slots__ = ("__weakref__", "is_fixed")

    def __init__(self, site: Site, mode: int, *, is_fixed: bool) -> None:
        identity = site.identity
        ino = site.inodes.allocate()
        super().__init__(ino, mode, identity.uid, identity.gid, site.time_ns)
        site.inodes.nodes[ino] = self
        self.is_fixed = is_fixed
        """Whether its name means this node for as long as the directory lives."""

    @property
    def link_count(self) -> int:
        return 1

    @property
    def is_kept(self) -> bool:
        return self.is_fixed


class Site:
    """What every virtual node of a mount shares."""

    def __init__(
        self, inodes: InodeTable, identity: Identity, time_ns: int, *, is_shared: bool = False
    ) -> None:
        """`is_shared` lets every user read what lies under `.helios`, not its owner alone.

        History, diffs and the report have the bytes of files whose modes let nobody else in, and
        virtual files cannot have a mode for each.
        """
        self.inodes = inodes
        self.identity = identity
        self.time_ns = time_ns
        self.directory_mode = stat.S_IFDIR | (0o555 if is_shared else 0o500)
        self.text_mode = stat.S_IFREG | (0o444 if is_shared else 0o400)


class VirtualDir(VirtualNode):
    """A directory of fixed names."""

    __slots__ = ("children", "site")

    @property
    def link_count(self) -> int:
        return 2

    @property
    def size(self) -> int:
        return 4096

    def __init__(self, site: Site, *, is_fixed: bool = True) -> None:
        super().__init__(site, site.directory_mode, is_fixed=is_fixed)
        self.site = site
        self.children: dict[bytes, VirtualNode] = {}

    def lookup(self, name: bytes) -> StatInode | None:
        """The node of that name, or None."""
        return self.children.get(name)

    def names(self) -> Iterator[bytes]:
        """What a listing shows, each of which `lookup` finds."""
        return iter(self.children)


class VirtualText(VirtualNode):
    """A read-only text, made when the file is opened.

    Until then nobody knows its size, which is 0.  While it is open that is the size of what was
    opened last: sendfile(2) and splice(2) read no more than the kernel takes a file to have.
    """

    __slots__ = ("barrier", "opened_size", "text")

    def __init__(
        self,
        site: Site,
        text: Callable[[], str],
        *,
        barrier: bool = False,
        is_fixed: bool = True,
    ) -> None:
        super().__init__(site, site.text_mode, is_fixed=is_fixed)
        self.text = text
        self.barrier = barrier
        """Whether it tells of the working state, so that the kernel's dirty pages matter."""
        self.opened_size = 0

    def made(self, size: int) -> None:
        """Have the size of the text that was made for who opens the file now."""
        self.opened_size = size
        self.outdate()

    def close(self) -> None:
        super().close()
        self.outdate()

    @property
    def size(self) -> int:
        return self.opened_size if self.opens else 0

    @property
    def is_kept(self) -> bool:
        return False


class BuiltText(VirtualText):
    """A text that takes long to make, and so is made in steps while others are served."""

    __slots__ = ("steps",)

    def __init__(
        self, site: Site, steps: Callable[[], Steps[str]], store: Store, *, is_fixed: bool = True
    ) -> None:
        super().__init__(site, lambda: run_to_end(steps(), store), is_fixed=is_fixed)
        self.steps = steps


class FixedText(VirtualText):
    """A text that never changes, and so has a size: git reads no more of an ignore file."""

    __slots__ = ("_size",)

    def __init__(self, site: Site, text: str) -> None:
        super().__init__(site, lambda: text)
        self._size = len(text.encode())

    @property
    def size(self) -> int:
        return self._size

    @property
    def is_kept(self) -> bool:
        return True


class VirtualLink(VirtualNode):
    """A symbolic link.  The kernel keeps its target: another target is another link."""

    __slots__ = ("target",)

    def __init__(self, site: Site, target: bytes) -> None:
        super().__init__(site, stat.S_IFLNK | 0o777, is_fixed=False)
        self.target = target


class LinkDir(VirtualDir):
    """A directory of links that are made as they are asked for, and go when forgotten."""

    __slots__ = ("find", "list_names", "made")

    is_listing_stale = True

    def __init__(
        self,
        site: Site,
        find: Callable[[bytes], bytes | VirtualDir | None],
        list_names: Callable[[], Iterator[bytes]],
        *,
        is_fixed: bool = True,
    ) -> None:
        super().__init__(site, is_fixed=is_fixed)
        self.find = find
        """What a name leads to: a link's target, a directory, or None."""
        self.list_names = list_names
        self.made: WeakValueDictionary[bytes, VirtualLink] = WeakValueDictionary()

    def lookup(self, name: bytes) -> StatInode | None:
        found = self.find(name)
        if found is None or isinstance(found, VirtualDir):
            return found
        node = self.made.get(name)
        if node is None or node.target != found:
            node = self.made[name] = VirtualLink(self.site, found)
        return node

    def names(self) -> Iterator[bytes]:
        return self.list_names()


class PlaceDir(VirtualDir):
    """A directory that answers look-ups and lists nothing: `view`, `live`, `diff`."""

    __slots__ = ("find",)

    def __init__(
        self, site: Site, find: Callable[[bytes], StatInode | None], *, is_fixed: bool = True
    ) -> None:
        super().__init__(site, is_fixed=is_fixed)
        self.find = find

    def lookup(self, name: bytes) -> StatInode | None:
        return self.find(name)


class ControlFile(VirtualNode):
    """A control file: every open of it is a channel of its own.

    Its size is 0, as nobody knows what will be in it.  But sendfile(2) and splice(2) read no more
    than the kernel takes a file to have.  So while somebody has it open to read, it has a size.
    """

    __slots__ = ("channel", "is_long", "readers", "refused_pid", "told_size")

    def __init__(
        self,
        site: Site,
        channel: Callable[[], Channel],
        *,
        is_fixed: bool = True,
        is_long: bool = False,
    ) -> None:
        super().__init__(site, stat.S_IFREG | 0o600, is_fixed=is_fixed)
        self.channel = channel
        """Opens a channel."""
        self.is_long = is_long
        """Whether a request may take long, which is answered within its write."""
        self.readers = 0
        """Open handles that can read."""
        self.refused_pid = 0
        """The thread that was last told to look the name up again."""
        self.told_size = 0
        """What the kernel takes its size to be."""

    def tell_size(self, size: int) -> None:
        """Have the kernel take the file for so large from the next answer on."""
        self.told_size = size
        self.outdate()

    @property
    def is_taken(self) -> bool:
        """Return True if who opens it to read, or where requests take long at all, needs another.

        Its pages are one reader's, and the kernel lets one write at a time into a file.
        """
        return bool(self.opens if self.is_long else self.readers)

    def refuses(self, pid: int, *, is_reader: bool) -> bool:
        """Return True if a thread that opens it is to look up another file.

        A thread that is sent back, and comes again without looking up, follows a link of
        /proc/PID/fd: then it shares the file.
        """
        if not (is_reader or self.is_long):
            return False
        is_free = not self.is_taken or self.refused_pid == pid
        self.refused_pid = 0 if is_free else pid
        return not is_free

    @property
    def size(self) -> int:
        return self.told_size


class ControlDir(VirtualDir):
    """The directory of the control files.

    While one is taken, its name leads to another file at each look-up.  A new file costs 50 us
    more than one that the kernel knows, so it is made only then.
    """

    __slots__ = ()

    def lookup(self, name: bytes) -> StatInode | None:
        file = super().lookup(name)
        if not isinstance(file, ControlFile):
            return file
        file.refused_pid = 0
        return ControlFile(self.site, file.channel, is_fixed=False) if file.is_taken else file
