"""Virtual nodes: the files, links and directories of `.helios`."""

from __future__ import annotations

import stat
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING
from weakref import WeakSet, WeakValueDictionary

from heliosfs.repo.identity import Identity
from heliosfs.steps import Steps, run_to_end
from heliosfs.store.base import Store
from heliosfs.workspace.inode import StatInode
from heliosfs.workspace.inodes import InodeTable

if TYPE_CHECKING:
    from heliosfs.vfs.control import Channel


class VirtualNode(StatInode):
    """Node that no commit contains.  It has attributes like a node of a workspace."""

    __slots__ = ("__weakref__", "is_fixed", "site")

    def __init__(self, site: MountContext, mode: int, *, is_fixed: bool) -> None:
        identity = site.identity
        ino = site.inodes.allocate()
        super().__init__(ino, mode, identity.uid, identity.gid, site.time_ns)
        self.site = site
        site.inodes.nodes[ino] = self
        if not is_fixed:
            site.passing.add(self)
        self.is_fixed = is_fixed
        """True if its name leads to this node for as long as the directory lives."""

    @property
    def link_count(self) -> int:
        return 1

    @property
    def is_kept(self) -> bool:
        return self.is_fixed


class MountContext:
    """Values that all virtual nodes of a mount share."""

    def __init__(
        self, inodes: InodeTable, identity: Identity, time_ns: int, *, is_shared: bool = False
    ) -> None:
        """Choose the modes: with `is_shared` every user may read `.helios`, else its owner alone.

        History and diffs contain the bytes of files that only their owner may read, and a virtual
        file has one mode for all of them.
        """
        self.inodes = inodes
        self.identity = identity
        self.time_ns = time_ns
        self.is_shared = is_shared
        self.is_split = False
        """True if the control files of each view, and its texts, are a mount inside this one."""
        self.fd: int | None = None
        """Device of the mount inside that has the nodes, while it is there; else None."""
        self.passing: WeakSet[VirtualNode] = WeakSet()
        """Nodes that no directory has as its child: the kernel's references keep them."""
        self.directory_mode = stat.S_IFDIR | (0o555 if is_shared else 0o500)
        self.text_mode = stat.S_IFREG | (0o444 if is_shared else 0o400)

    def inner(self) -> MountContext:
        """Return the values for the nodes of a mount inside; these nodes share nothing else."""
        return MountContext(self.inodes, self.identity, self.time_ns, is_shared=self.is_shared)


class VirtualDir(VirtualNode):
    """Directory of fixed names."""

    __slots__ = ("children",)

    @property
    def link_count(self) -> int:
        return 2

    @property
    def size(self) -> int:
        return 4096

    def __init__(self, site: MountContext, *, is_fixed: bool = True) -> None:
        super().__init__(site, site.directory_mode, is_fixed=is_fixed)
        self.children: dict[bytes, VirtualNode] = {}

    def lookup(self, name: bytes) -> StatInode | None:
        """Return the node of that name, or None."""
        return self.children.get(name)

    def names(self) -> Iterator[bytes]:
        """Return the names for a listing; `lookup` finds each of them."""
        return iter(self.children)

    def descendants(self) -> Iterator[VirtualNode]:
        """Return this directory and all nodes below it, up to a mount inside."""
        yield self
        for child in self.children.values():
            if isinstance(child, VirtualDir):
                yield from child.descendants()
            else:
                yield child


class VirtualText(VirtualNode):
    """Read-only text, made when the file is opened.

    Its size is not known before, and so is 0.  While the file is open, its size is that of the text
    made last, because sendfile(2) and splice(2) read no further than the size that the kernel
    knows.
    """

    __slots__ = ("barrier", "opened_size", "text")

    def __init__(
        self,
        site: MountContext,
        text: Callable[[], str],
        *,
        barrier: bool = False,
        is_fixed: bool = True,
    ) -> None:
        super().__init__(site, site.text_mode, is_fixed=is_fixed)
        self.text = text
        self.barrier = barrier
        """True if it reports the working state, so that the kernel must write dirty pages back."""
        self.opened_size = 0

    def made(self, size: int) -> None:
        """Record the size of the text that was made for the open under way."""
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
    """Text that takes long to make, and so is made in steps between which requests are served."""

    __slots__ = ("steps",)

    def __init__(
        self,
        site: MountContext,
        steps: Callable[[], Steps[str]],
        store: Store,
        *,
        barrier: bool = False,
        is_fixed: bool = True,
    ) -> None:
        super().__init__(
            site, lambda: run_to_end(steps(), store), barrier=barrier, is_fixed=is_fixed
        )
        self.steps = steps


class FixedText(VirtualText):
    """Text that never changes, and so has a size: git reads no further in an ignore file."""

    __slots__ = ("data",)

    def __init__(self, site: MountContext, text: str) -> None:
        super().__init__(site, lambda: text)
        self.data = text.encode()

    @property
    def size(self) -> int:
        return len(self.data)

    @property
    def is_kept(self) -> bool:
        return True


class VirtualLink(VirtualNode):
    """Symbolic link.  The kernel caches its target, so another target needs another node."""

    __slots__ = ("target",)

    def __init__(self, site: MountContext, target: bytes, *, is_fixed: bool = False) -> None:
        super().__init__(site, stat.S_IFLNK | 0o777, is_fixed=is_fixed)
        self.target = target


class LinkDir(VirtualDir):
    """Directory of links that are made when they are looked up, and dropped when forgotten."""

    __slots__ = ("find", "list_names", "made")

    is_listing_stale = True

    def __init__(
        self,
        site: MountContext,
        find: Callable[[bytes], bytes | VirtualDir | None],
        list_names: Callable[[], Iterator[bytes]],
        *,
        is_fixed: bool = True,
    ) -> None:
        super().__init__(site, is_fixed=is_fixed)
        self.find = find
        """Function of a name that returns the target of a link, a directory, or None."""
        self.list_names = list_names
        self.made: WeakValueDictionary[bytes, VirtualLink] = WeakValueDictionary()

    def lookup(self, name: bytes) -> StatInode | None:
        found = self.find(name)
        if found is None or isinstance(found, VirtualDir):
            return found
        node = self.made.get(name)
        # A name that means another commit now needs another inode, since the kernel keeps the
        # target of the old one.
        if node is None or node.target != found:
            node = self.made[name] = VirtualLink(self.site, found)
        return node

    def names(self) -> Iterator[bytes]:
        return self.list_names()


class PlaceDir(VirtualDir):
    """Directory that answers look-ups and lists nothing: `view`, `live`, `diff`."""

    __slots__ = ("find",)

    def __init__(
        self,
        site: MountContext,
        find: Callable[[bytes], StatInode | None],
        *,
        is_fixed: bool = True,
    ) -> None:
        super().__init__(site, is_fixed=is_fixed)
        self.find = find

    def lookup(self, name: bytes) -> StatInode | None:
        return self.find(name)


_REFUSED_MAX = 1000


class ControlFile(VirtualNode):
    """Control file: each open of it has a channel of its own.

    Its size is 0, since the length of a reply is not known.  But sendfile(2) and splice(2) read no
    further than the size that the kernel knows.  So while it is open to read, it has a size.
    """

    __slots__ = ("channel", "is_long", "origin", "readers", "refused", "sent_size")

    def __init__(
        self,
        site: MountContext,
        channel: Callable[[], Channel],
        *,
        is_fixed: bool = True,
        is_long: bool = False,
    ) -> None:
        super().__init__(site, stat.S_IFREG | 0o600, is_fixed=is_fixed)
        self.channel = channel
        """Function that opens a channel."""
        self.is_long = is_long
        """True if its verb may take long; the write of such a request lasts as long as the verb."""
        self.readers = 0
        """Number of open handles that can read."""
        self.refused: dict[int, None] = {}
        """Threads that got ESTALE, so that they look the name up again."""
        self.origin: ControlFile | None = None
        """File of which this one takes the place for one thread."""
        self.sent_size = 0
        """Size that the kernel was sent last."""

    def set_sent_size(self, size: int) -> None:
        """Set the size that the kernel is sent from the next answer on."""
        self.sent_size = size
        self.outdate()

    @property
    def is_taken(self) -> bool:
        """Return True if another open needs a file of its own.

        The pages of a file can hold the replies of one reader only.  And the kernel allows one
        write to a file at a time, which for a long verb would keep all others waiting.
        """
        return bool(self.opens if self.is_long else self.readers)

    def refuses(self, pid: int, *, is_reader: bool) -> bool:
        """Return True if a thread that opens the file must look its name up again, to get another.

        A thread that was sent back and comes again without a look-up follows a link of
        /proc/PID/fd: it shares the file.
        """
        if self.origin is not None:
            self.origin.refused.pop(pid, None)
        if not (is_reader or self.is_long) or not self.is_taken:
            return False
        if pid in self.refused:
            del self.refused[pid]
            return False
        self.send_back(pid)
        return True

    def send_back(self, pid: int) -> None:
        """Note that a thread looks the name up again."""
        self.refused[pid] = None
        if len(self.refused) > _REFUSED_MAX:
            del self.refused[next(iter(self.refused))]

    def of_its_own(self) -> ControlFile:
        """Return another file for the name, which nobody else can open."""
        made = ControlFile(self.site, self.channel, is_fixed=False)
        made.origin = self
        return made

    @property
    def size(self) -> int:
        return self.sent_size


class ControlDir(VirtualDir):
    """Directory of the control files.

    While a file is taken, its name leads to another file at each look-up.  A new file costs 50 us
    more than one that the kernel knows, so it is made only then.
    """

    __slots__ = ()

    def lookup(self, name: bytes) -> StatInode | None:
        file = super().lookup(name)
        return file.of_its_own() if isinstance(file, ControlFile) and file.is_taken else file

    def names(self) -> Iterator[bytes]:
        """Return the names for a listing: those of the control files, which a sandbox has too.

        Its directory is found by its name, so that no program that walks the tree finds them twice.
        """
        children = self.children.items()
        return (name for name, child in children if not isinstance(child, ControlDir))

    def lookup_again(self, name: bytes, pid: int) -> StatInode | None:
        """Return the child of a name for a thread; one of its own if it was sent back.

        The kernel sends a thread back once: if another has taken the file meanwhile, it would see
        the error.  It may look the name up twice before it opens the file, as the first answer is
        another inode than it knew.
        """
        file = super().lookup(name)
        is_back = isinstance(file, ControlFile) and pid in file.refused
        return file.of_its_own() if is_back and isinstance(file, ControlFile) else self.lookup(name)


class MountPoint(VirtualDir):
    """Directory on which the mount with the control files of a view is to lie.

    It finds none of them then, and has their names for a listing alone: who looks one up waits for
    the mount.  In a mount without others inside it shows the control files itself.
    """

    __slots__ = ("control", "place")

    def __init__(self, site: MountContext, control: ControlDir, place: Callable[[], bytes]) -> None:
        super().__init__(site)
        # fusermount3 asks for the right to write when it is not run by root.
        self.mode |= stat.S_IWUSR
        self.control = control
        """Root of the mount."""
        self.place = place
        """Function that returns the path below the workspace; NotFound if no view has it now."""

    @property
    def is_covered(self) -> bool:
        """Return True if another mount is to lie here."""
        return self.site.is_split

    def lookup(self, name: bytes) -> StatInode | None:
        return None if self.is_covered else self.control.lookup(name)

    def names(self) -> Iterator[bytes]:
        return self.control.names()
