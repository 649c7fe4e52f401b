"""Model of what must be there: the tree of every branch, its history, and what of it is saved."""

from __future__ import annotations

import errno
import stat
from dataclasses import dataclass, field
from typing import NamedTuple

PathBytes = tuple[bytes, ...]
DETACHED = ""
"""Name of the working state that belongs to no branch."""


class Shown(NamedTuple):
    """A file as a program sees it: its mode with the kind, and its bytes or target."""

    mode: int
    data: bytes = b""
    xattrs: tuple[tuple[bytes, bytes], ...] = ()
    """Names and values of its extended attributes, sorted."""

    @property
    def is_directory(self) -> bool:
        return stat.S_ISDIR(self.mode)


class Picture(NamedTuple):
    """A tree, and which of its paths are names of one file."""

    files: dict[PathBytes, Shown]
    links: frozenset[frozenset[PathBytes]]


class File:
    """A file that has names, or is open."""

    def __init__(
        self, mode: int, data: bytes = b"", xattrs: tuple[tuple[bytes, bytes], ...] = ()
    ) -> None:
        self.mode = mode
        self.data = data
        self.xattrs = dict(xattrs)
        self.is_known = True
        """True if the model knows its bytes; a switch hides those of a file with several names."""

    @property
    def is_directory(self) -> bool:
        return stat.S_ISDIR(self.mode)

    def shown(self) -> Shown:
        xattrs = tuple(sorted(self.xattrs.items())) if self.xattrs else ()
        return Shown(self.mode, self.data, xattrs)


class Tree:
    """The working tree of a branch: path -> file.  The root is not among them."""

    def __init__(self, picture: Picture | None = None) -> None:
        self.files: dict[PathBytes, File] = {}
        if picture is not None:
            self.show(picture)

    def picture(self) -> Picture:
        names: dict[int, list[PathBytes]] = {}
        shown = {}
        for path, file in self.files.items():
            shown[path] = file.shown()
            names.setdefault(id(file), []).append(path)
        links = frozenset(frozenset(paths) for paths in names.values() if len(paths) > 1)
        return Picture(shown, links)

    def show(self, picture: Picture) -> None:
        """Become another tree, as a checkout does: a file that stays the same is the same file."""
        before, self.files = self.files, {}
        linked = {path: group for group in self._groups(before) for path in group}
        grouped: dict[frozenset[PathBytes], File] = {}
        for path, shown in picture.files.items():
            old = before.get(path)
            group = next((group for group in picture.links if path in group), None)
            if group is not None or path in linked:
                if old is not None:
                    old.is_known = False
                file = File(*shown)
                if group is not None:
                    file = grouped.setdefault(group, file)
                file.is_known = False
            elif old is not None and _stays(old, shown):
                old.mode, old.xattrs = shown.mode, dict(shown.xattrs)
                file = old
            else:
                file = File(*shown)
            self.files[path] = file
        for path in linked:
            before[path].is_known = False

    def adopt(self, picture: Picture) -> None:
        """Become what was seen, where the model could not tell: names keep their files."""
        before, self.files = self.files, {}
        grouped: dict[frozenset[PathBytes], File] = {}
        for path, shown in picture.files.items():
            group = next((group for group in picture.links if path in group), None)
            file = before.get(path) or File(*shown)
            if group is not None:
                file = grouped.setdefault(group, file)
            elif any(other is file for other in self.files.values()):
                file = File(*shown)
            if file.shown() != shown or group is not None:
                file.is_known = False
            file.mode, file.data, file.xattrs = shown.mode, shown.data, dict(shown.xattrs)
            self.files[path] = file
        there = {id(file) for file in self.files.values()}
        for file in before.values():
            if id(file) not in there:
                file.is_known = False

    @staticmethod
    def _groups(files: dict[PathBytes, File]) -> list[list[PathBytes]]:
        names: dict[int, list[PathBytes]] = {}
        for path, file in files.items():
            names.setdefault(id(file), []).append(path)
        return [paths for paths in names.values() if len(paths) > 1]

    # System calls.  OSError.

    def find(self, path: PathBytes) -> File:
        self._above(path)
        file = self.files.get(path)
        if file is None:
            raise OSError(errno.ENOENT, "")
        return file

    def _above(self, path: PathBytes) -> None:
        for length in range(1, len(path)):
            above = self.files.get(path[:length])
            if above is None:
                raise OSError(errno.ENOENT, "")
            if not above.is_directory:
                raise OSError(errno.ENOTDIR, "")

    def _add(self, path: PathBytes, file: File) -> None:
        self._above(path)
        if path in self.files:
            raise OSError(errno.EEXIST, "")
        self.files[path] = file

    def mkdir(self, path: PathBytes) -> None:
        self._add(path, File(stat.S_IFDIR | 0o755))

    def symlink(self, path: PathBytes, target: bytes) -> None:
        self._add(path, File(stat.S_IFLNK | 0o777, target))

    def link(self, old: PathBytes, new: PathBytes) -> None:
        file = self.find(old)
        self._above(new)
        if new in self.files:
            raise OSError(errno.EEXIST, "")
        if file.is_directory:
            raise OSError(errno.EPERM, "")
        self.files[new] = file

    def unlink(self, path: PathBytes) -> None:
        if self.find(path).is_directory:
            raise OSError(errno.EISDIR, "")
        del self.files[path]

    def rmdir(self, path: PathBytes) -> None:
        if not self.find(path).is_directory:
            raise OSError(errno.ENOTDIR, "")
        if self.listdir(path):
            raise OSError(errno.ENOTEMPTY, "")
        del self.files[path]

    def listdir(self, path: PathBytes) -> list[bytes]:
        if path and not self.find(path).is_directory:
            raise OSError(errno.ENOTDIR, "")
        count = len(path)
        return sorted(name[-1] for name in self.files if name[:-1] == path and len(name) > count)

    def rename(self, old: PathBytes, new: PathBytes, flags: int) -> None:
        file = self.find(old)
        self._above(new)
        there = self.files.get(new)
        self._check_rename(old, new, flags)
        if there is file:
            return
        if flags == 2:
            assert there is not None
            mine, theirs = self._take(old), self._take(new)
            self._put(new, mine)
            self._put(old, theirs)
            return
        moved = self._take(old)
        if there is not None:
            del self.files[new]
        self._put(new, moved)

    def _check_rename(self, old: PathBytes, new: PathBytes, flags: int) -> None:
        file, there = self.files[old], self.files.get(new)
        if flags == 2 and there is None:
            raise OSError(errno.ENOENT, "")
        if flags == 1 and there is not None:
            raise OSError(errno.EEXIST, "")
        if file.is_directory and len(new) > len(old) and new[: len(old)] == old:
            raise OSError(errno.EINVAL, "")
        if flags == 2:
            assert there is not None
            if there.is_directory and len(old) > len(new) and old[: len(new)] == new:
                raise OSError(errno.EINVAL, "")
            return
        if there is None or there is file:
            return
        if there.is_directory:
            if not file.is_directory:
                raise OSError(errno.EISDIR, "")
            if self.listdir(new):
                raise OSError(errno.ENOTEMPTY, "")
        elif file.is_directory:
            raise OSError(errno.ENOTDIR, "")

    def _take(self, path: PathBytes) -> dict[PathBytes, File]:
        count = len(path)
        found = {name[count:]: file for name, file in self.files.items() if name[:count] == path}
        for name in found:
            del self.files[path + name]
        return found

    def _put(self, path: PathBytes, files: dict[PathBytes, File]) -> None:
        for name, file in files.items():
            self.files[path + name] = file

    def readlink(self, path: PathBytes) -> bytes:
        file = self.find(path)
        if not stat.S_ISLNK(file.mode):
            raise OSError(errno.EINVAL, "")
        return file.data

    def chmod(self, path: PathBytes, mode: int) -> None:
        file = self.find(path)
        if stat.S_ISLNK(file.mode):
            raise OSError(errno.EOPNOTSUPP, "")
        file.mode = stat.S_IFMT(file.mode) | mode

    def _attributed(self, path: PathBytes) -> File:
        """Return a file that may have attributes of users (xattr(7)): no link."""
        file = self.find(path)
        if stat.S_ISLNK(file.mode):
            raise OSError(errno.EPERM, "")
        return file

    def setxattr(self, path: PathBytes, name: bytes, value: bytes) -> None:
        self._attributed(path).xattrs[name] = value

    def removexattr(self, path: PathBytes, name: bytes) -> None:
        if self._attributed(path).xattrs.pop(name, None) is None:
            raise OSError(errno.ENODATA, "")

    def xattrs(self, path: PathBytes) -> dict[bytes, bytes]:
        return self.find(path).xattrs

    def truncate(self, path: PathBytes, size: int) -> None:
        file = self.find(path)
        if file.is_directory:
            raise OSError(errno.EISDIR, "")
        if stat.S_ISLNK(file.mode):
            raise OSError(errno.EINVAL, "")
        file.data = file.data[:size].ljust(size, b"\0")

    def stat(self, path: PathBytes) -> tuple[int, int, int]:
        """Mode, size and link count; the last two of files alone."""
        file = self.find(path)
        if file.is_directory:
            return file.mode, 0, 0
        count = sum(other is file for other in self.files.values())
        return file.mode, len(file.data), count


def _stays(old: File, shown: Shown) -> bool:
    if stat.S_IFMT(old.mode) != stat.S_IFMT(shown.mode):
        return False
    return old.is_directory or old.data == shown.data


class Past(NamedTuple):
    """A state to which undo or redo goes back."""

    head: bytes | None
    picture: Picture


@dataclass
class Work:
    """The working state of a branch, or the detached one."""

    head: bytes | None
    tree: Tree
    undo: tuple[Past, ...] | None = ()
    """States before the operations that undo takes back, the newest last; None if unknown."""
    redo: tuple[Past, ...] | None = ()
    versions: list[Picture] = field(default_factory=list)
    """All states of the tree, of which a crash may leave any from `saved` on."""
    saved: int = 0

    def note(self) -> None:
        """Note the tree as it is now, after a change."""
        picture = self.tree.picture()
        if not self.versions or self.versions[-1] != picture:
            self.versions.append(picture)

    def past(self) -> Past:
        return Past(self.head, self.tree.picture())

    def moved(self, before: Past) -> None:
        """An operation was recorded."""
        if self.undo is not None:
            self.undo = (*self.undo, before)
        self.redo = ()


class Frozen(NamedTuple):
    """A working state as of a publish."""

    head: bytes | None
    undo: tuple[Past, ...] | None
    redo: tuple[Past, ...] | None
    versions: list[Picture]
    saved: int
    last: int


class World(NamedTuple):
    """All that the store holds after a publish."""

    works: dict[str, Frozen]
    root: str
    tags: dict[str, bytes]
    stash: tuple[Past, ...] | None


class Model:
    """The repository as it must be."""

    def __init__(self) -> None:
        self.works: dict[str, Work] = {}
        self.root = "main"
        self.tags: dict[str, bytes] = {}
        self.commits: dict[bytes, Picture] = {}
        self.stash: tuple[Past, ...] | None = ()
        self.settings = [b""]
        """Texts of `helios.yaml`: the one that is there, and the one that is being written."""
        self.worlds: dict[int, World] = {}
        """By the number of a batch."""
        self.unsealed: list[int] = []
        """Batches that were published while a change was under way."""

    def freeze(self) -> World:
        works = {}
        for name, work in self.works.items():
            last = len(work.versions) - 1
            works[name] = Frozen(
                work.head, work.undo, work.redo, work.versions, work.saved, max(0, last)
            )
        return World(works, self.root, dict(self.tags), self.stash)

    def seal(self) -> None:
        """The batches published so far hold the world as it is now."""
        if self.unsealed:
            world = self.freeze()
            for number in self.unsealed:
                self.worlds[number] = world
            self.unsealed.clear()
