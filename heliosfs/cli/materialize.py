"""`helios materialize`: the tree of a commit, written into a directory.

In a mounted workspace the daemon only resolves the revision, and the tree is read from the
snapshot like any directory; otherwise it is read from the store.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

from heliosfs.cli.client import ask, current_directory, repository_over, with_repository
from heliosfs.cli.locate import find_view
from heliosfs.cli.outplace import written_whole
from heliosfs.commands.options import Options
from heliosfs.errors import HeliosError, PosixError
from heliosfs.objects.ids import TreeId
from heliosfs.objects.references import entry_references
from heliosfs.objects.tree import NO_OID, Entry, decode_entry
from heliosfs.remote.contents import bring_all_of
from heliosfs.repo.repository import Repository
from heliosfs.repo.revisions import resolve
from heliosfs.steps import run_to_end
from heliosfs.store.base import Store
from heliosfs.trees.files import read_file
from heliosfs.trees.reserved import DOT_HELIOS
from heliosfs.trees.stored import read_entries
from heliosfs.trees.wildmatch import Matcher, matcher
from heliosfs.workspace.holes import next_data, next_hole
from heliosfs.workspace.large_file import LargeFile

_READ_BYTES = 1024 * 1024
_ZEROS = bytes(4096)


class TreeItem(NamedTuple):
    """A file, link or directory of the tree."""

    path: bytes
    entry: Entry
    """The tree entry; its id has no meaning if it was read from a mounted snapshot."""
    pieces: Callable[[], Iterator[tuple[int, bytes]]]
    """Yields runs of bytes of a regular file with their offsets; the gaps are zeros."""


def materialize(argv: list[str], options: Options) -> int:
    """Write REV into OUT.  Raise AlreadyExists if OUT is not empty.

    Raise NotFound or StoreError.
    """
    if len(options.words) != 2:
        raise options.misuse("give a revision and a directory, as in 'materialize HEAD DIR'")
    revision, out = options.words
    where = current_directory()
    view = find_view(where)
    if view is not None:
        oid = ask(view, ["rev-parse", revision]).decode().strip()
        root = os.fsencode(os.path.join(view.root, ".helios", "snapshots", oid))
        count = _write(snapshot_items(os.path.realpath(root)), out, options)
    else:
        place = repository_over(where)
        count = with_repository(place, lambda each: _from_store(each, revision, out, options))
    if "quiet" not in options:
        print(f"{count} file{'' if count == 1 else 's'} written to {out}")
    return 0


def _from_store(repository: Repository, revision: str, out: str, options: Options) -> int:
    oid = resolve(repository, revision, repository.root.head)
    root = repository.history.read(oid).root
    return _write(whole_items(repository, root), out, options)


def whole_items(repository: Repository, root: Entry) -> Iterator[TreeItem]:
    """Return the items of a tree in a store, once no content of it is at a remote any more."""
    run_to_end(bring_all_of(repository, entry_references(root)), repository.store)
    return stored_items(repository.store, root)


def stored_items(store: Store, root: Entry) -> Iterator[TreeItem]:
    """Yield the items of a tree in a store, every directory before its content."""
    pending = [(b"", root)]
    while pending:
        path, entry = pending.pop()
        yield TreeItem(path, entry, partial(_stored_pieces, store, entry))
        if entry.is_dir:
            prefix = path + b"/" if path else b""
            for raw in reversed(read_entries(store, TreeId(entry.oid))):
                child, _ = decode_entry(raw)
                # As in a snapshot: a copy must not pass for a workspace.
                if child.name != DOT_HELIOS:
                    pending.append((prefix + child.name, child))


def _stored_pieces(store: Store, entry: Entry) -> Iterator[tuple[int, bytes]]:
    if entry.size <= _READ_BYTES:
        yield 0, read_file(store, entry)
        return
    content = LargeFile.load(store, entry.oid)
    offset = next_data(content, 0)
    while offset < entry.size:
        length = min(next_hole(content, offset) - offset, _READ_BYTES)
        yield offset, content.read(store, offset, length)
        content.loaded.drop_clean()
        offset = next_data(content, offset + length) if offset + length < entry.size else entry.size


def snapshot_items(root: bytes) -> Iterator[TreeItem]:
    """Yield the items below a directory, every directory before its content."""
    pending = [b""]
    while pending:
        path = pending.pop()
        place = os.path.join(root, path) if path else root
        entry = _entry_of(place, path)
        yield TreeItem(path, entry, partial(_file_pieces, place, entry.size))
        if entry.is_dir:
            pending += [
                os.path.join(path, name) for name in sorted(os.listdir(place), reverse=True)
            ]


def _entry_of(place: bytes, path: bytes) -> Entry:
    status = os.lstat(place)
    kind = stat.S_IFMT(status.st_mode)
    return Entry(
        os.path.basename(path),
        status.st_mode,
        status.st_uid,
        status.st_gid,
        status.st_mtime_ns,
        status.st_size,
        NO_OID,
        group=status.st_ino if status.st_nlink > 1 and kind != stat.S_IFDIR else 0,
        target=os.readlink(place) if kind == stat.S_IFLNK else b"",
        rdev=status.st_rdev if kind in (stat.S_IFCHR, stat.S_IFBLK) else 0,
        xattrs=_xattrs(place) if kind in (stat.S_IFREG, stat.S_IFDIR) else None,
    )


def _xattrs(place: bytes) -> dict[bytes, bytes] | None:
    try:
        names = [os.fsencode(each) for each in os.listxattr(place)]
        return {name: os.getxattr(place, name) for name in names if name.startswith(b"user.")}
    except OSError:
        return None


def _file_pieces(place: bytes, size: int) -> Iterator[tuple[int, bytes]]:
    try:
        yield from _read_pieces(place, size)
    except OSError as error:
        if error.errno != errno.EIO:
            raise
        # Most often it is still at a remote, which does not answer.
        raise PosixError(
            errno.EIO, f"cannot read {os.fsdecode(place)}: 'cat .helios/ctl/error' tells why"
        ) from error


def _read_pieces(place: bytes, size: int) -> Iterator[tuple[int, bytes]]:
    with open(place, "rb", buffering=0) as file:
        offset = 0
        while offset < size:
            # Smaller files are read at once; see lseek(2) for how larger ones tell of their holes.
            if size > _READ_BYTES:
                try:
                    offset = os.lseek(file.fileno(), offset, os.SEEK_DATA)
                except OSError as error:
                    if error.errno == errno.ENXIO:
                        return
                    raise
                length = min(os.lseek(file.fileno(), offset, os.SEEK_HOLE) - offset, _READ_BYTES)
            else:
                length = _READ_BYTES
            data = os.pread(file.fileno(), length, offset)
            if not data:
                return
            yield offset, data
            offset += len(data)


def _write(items: Iterator[TreeItem], out: str, options: Options) -> int:
    """Write the items that the patterns select, all or none; return the number of files."""
    with written_whole(out) as root:
        return _write_below(root, items, options)


def _write_below(root: bytes, items: Iterator[TreeItem], options: Options) -> int:
    wanted, unwanted = (_tests(options.values(key)) for key in ("include", "exclude"))
    links: dict[int, bytes] = {}
    made: set[bytes] = {b""}
    waiting: dict[bytes, Entry] = {}
    count = 0
    for path, entry, pieces in items:
        place = os.path.join(root, path) if path else root
        if path and _matches(path, unwanted):
            continue
        if entry.is_dir:
            waiting[path] = entry
        if path and wanted and not _matches(path, wanted):
            continue
        parents = [path[:at] for at in range(len(path)) if path[at : at + 1] == b"/"]
        for above in [*parents, *([path] if entry.is_dir else [])]:
            if above not in made:
                os.mkdir(os.path.join(root, above), 0o700)
                made.add(above)
        if not entry.is_dir:
            _make(place, entry, pieces, links)
            count += 1
    directories = [(os.path.join(root, path) if path else root, waiting[path]) for path in made]
    for place, entry in sorted(directories, reverse=True):
        _attributes(place, entry)
    return count


def _tests(patterns: list[str]) -> list[Matcher]:
    return [matcher(os.fsencode(pattern.strip("/"))) for pattern in patterns]


def _matches(path: bytes, tests: list[Matcher]) -> bool:
    """Return True if the path, a directory above it, or the name of either matches."""
    parts = path.split(b"/")
    names = {*parts, *(b"/".join(parts[: at + 1]) for at in range(len(parts)))}
    return any(fits(name) for fits in tests for name in names)


def _make(
    place: bytes,
    entry: Entry,
    pieces: Callable[[], Iterator[tuple[int, bytes]]],
    links: dict[int, bytes],
) -> None:
    if entry.group in links:
        os.link(links[entry.group], place, follow_symlinks=False)
        return
    kind = stat.S_IFMT(entry.mode)
    if kind == stat.S_IFREG:
        with open(place, "xb") as file:
            for offset, data in pieces():
                for at, run in _without_zeros(data):
                    file.seek(offset + at)
                    file.write(run)
            file.truncate(entry.size)
    elif kind == stat.S_IFLNK:
        os.symlink(entry.target, place)
    else:
        try:
            os.mknod(place, entry.mode, entry.rdev)
        except PermissionError as error:
            raise HeliosError(f"cannot make the device {os.fsdecode(place)}") from error
    if entry.group:
        links[entry.group] = place
    _attributes(place, entry)


def _without_zeros(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the pieces without whole blocks of zeros, which become holes."""
    if _ZEROS not in data:
        yield 0, data
        return
    begin = 0
    for at in range(0, len(data), len(_ZEROS)):
        if not data[at : at + len(_ZEROS)].strip(b"\0"):
            if begin < at:
                yield begin, data[begin:at]
            begin = at + len(_ZEROS)
    if begin < len(data):
        yield begin, data[begin:]


def _attributes(place: bytes, entry: Entry) -> None:
    """Set the owner, if we may, then attributes and permissions, and the times last.

    Permissions follow the owner, since changing the owner clears set-id bits.
    """
    if os.geteuid() == 0:
        os.chown(place, entry.uid, entry.gid, follow_symlinks=False)
    if not stat.S_ISLNK(entry.mode):
        for name, value in (entry.xattrs or {}).items():
            os.setxattr(place, name, value)
        os.chmod(place, stat.S_IMODE(entry.mode))
    os.utime(place, ns=(entry.mtime_ns, entry.mtime_ns), follow_symlinks=False)
