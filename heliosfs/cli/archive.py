"""`helios archive`: the tree of a commit as a tar or zip file, written by the client.

Names, modes and times are those of `git archive`: nobody's user, the time of the commit.
"""

from __future__ import annotations

import io
import os
import stat
import sys
import tarfile
import time
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import chain
from typing import BinaryIO, NamedTuple, Protocol

from heliosfs.cli.client import (
    ask_in_current_directory,
    current_directory,
    repository_over,
    with_repository,
)
from heliosfs.cli.locate import REPOSITORY, Location, find_view
from heliosfs.cli.materialize import TreeItem, snapshot_items, whole_items
from heliosfs.commands.options import Options
from heliosfs.commands.pathspec import Pathspec, pathspec
from heliosfs.errors import NotFound, UsageError
from heliosfs.objects.tree import Entry
from heliosfs.repo.object_names import find_object
from heliosfs.repo.repository import Repository

FORMATS = ("tar", "tgz", "tar.gz", "zip")
_ENDINGS = {".tar": "tar", ".tgz": "tgz", ".tar.gz": "tar.gz", ".zip": "zip"}
_ZIP_FIRST_YEAR = 1980


class _UnmatchedPath(NotFound):
    """A path that matches nothing, while the archive of the others is whole."""


class _Source(NamedTuple):
    """The tree that is archived."""

    items: Iterator[TreeItem]
    commit: str
    """The id of the commit; empty if REV names a tree."""
    seconds: int
    """The modification time of every entry, in seconds since the epoch."""


def archive(argv: list[str], options: Options) -> int:
    """Write the archive and return the exit code.  Raise NotFound, UsageError or OSError."""
    if "list" in options:
        print("\n".join(FORMATS))
        return 0
    if not options.words:
        raise options.misuse("give a revision, as in 'archive HEAD'")
    out = options.value("output")
    kind = options.value("format") or _kind_of(out or "")
    if kind not in FORMATS:
        raise options.misuse(f"--format is {', '.join(FORMATS)}, not {kind[:40]!r}")
    if out is None and sys.stdout.isatty():
        raise UsageError(
            "an archive cannot be shown on a terminal: write it to a file with -o FILE, or > FILE"
        )
    revision, *words = options.words
    where = current_directory()
    view = find_view(where)
    if view is not None:
        _archive(options, kind, out, _mounted(view, revision), _spec(options, view.below, words))
        return 0
    place = repository_over(where)

    def write(repository: Repository) -> None:
        source = _stored(repository, revision)
        _archive(options, kind, out, source, _spec(options, place.below, words))

    with_repository(place, write)
    return 0


class _Chosen(NamedTuple):
    """The part of the tree that goes into the archive."""

    spec: Pathspec
    below: bytes
    """The directory of the caller, from which names in the archive begin."""


def _spec(options: Options, below: str, words: list[str]) -> _Chosen:
    words = [*words, *(options.paths or [])]
    return _Chosen(pathspec(below, words or ["."], default=below), os.fsencode(below))


def _kind_of(name: str) -> str:
    return next((kind for end, kind in _ENDINGS.items() if name.endswith(end)), "tar")


def _mounted(view: Location, revision: str) -> _Source:
    """Return the tree as the snapshots of a mounted workspace show it."""
    name, _, path = revision.partition(":")
    kind = ask_in_current_directory(["cat-file", "-t", revision]).strip()
    if kind == "blob":
        raise NotFound(f"{revision[:80]!r} is not a tree")
    oid = ask_in_current_directory(["rev-parse", f"{name}^{{commit}}"]).strip()
    seconds = int(ask_in_current_directory(["log", "-1", "--format=%ct", oid]))
    root = os.path.realpath(os.path.join(view.root, REPOSITORY, "snapshots", oid))
    place = os.path.join(root, path) if path else root
    is_commit = kind == "commit"
    items = snapshot_items(os.fsencode(place))
    return _Source(items, oid if is_commit else "", seconds if is_commit else int(time.time()))


def _stored(repository: Repository, revision: str) -> _Source:
    """Return the tree as it is in the store."""
    found = find_object(repository, repository.root, revision)
    if found.entry is None or not found.entry.is_dir:
        raise NotFound(f"{revision[:80]!r} is not a tree")
    items = whole_items(repository, found.entry)
    if found.kind != "commit":
        return _Source(items, "", int(time.time()))
    oid = repository.history.with_prefix(found.oid.hex())[0]
    return _Source(items, oid.hex(), repository.history.read(oid).committer.seconds)


class _Writer(Protocol):
    """Writer of the entries of an archive, one after the other."""

    def add(self, name: str, item: TreeItem) -> None:
        """Write an entry; the name of a directory ends with a slash."""

    def close(self) -> None:
        """Write the end of the archive."""

    def abandon(self) -> None:
        """Write nothing more, so that the archive is seen to be cut off."""


def _archive(options: Options, kind: str, out: str | None, source: _Source, what: _Chosen) -> None:
    if out is None:
        _write(options, kind, sys.stdout.buffer, source, what)
        sys.stdout.buffer.flush()
        return
    with _replacing(out) as file:
        _write(options, kind, file, source, what)


@contextmanager
def _replacing(path: str) -> Iterator[BinaryIO]:
    """Open a file that takes the place of `path` at the end; after an error `path` is as before."""
    place = os.path.realpath(path)
    if os.path.lexists(place) and not os.path.isfile(place):
        with open(place, "wb") as file:  # such as /dev/null, or a FIFO
            yield file
        return
    draft = f"{place}.{os.getpid()}.tmp"
    try:
        opened = open(draft, "xb")  # noqa: SIM115 - closed below
    except OSError as error:
        # In the words of the user, who knows nothing of the draft.
        error.filename = path
        raise
    with opened as file:
        try:
            yield file
        except _UnmatchedPath:
            os.replace(draft, place)
            raise
        except BaseException:
            os.unlink(draft)
            raise
        os.replace(draft, place)


def _write(options: Options, kind: str, file: BinaryIO, source: _Source, what: _Chosen) -> None:
    prefix = options.value("prefix") or ""
    named = _named(source.items, what)
    first = next(named, None)
    if first is None and what.spec.items and what.spec.items[0].word != ".":
        raise NotFound(f"nothing matches {what.spec.items[0].word[:80]!r}")
    writer: _Writer = _Zip(file, source) if kind == "zip" else _Tar(kind, file, source)
    try:
        missing = _fill(options, writer, prefix, chain([first] if first else [], named), what)
        writer.close()
    except BaseException:
        writer.abandon()
        raise
    if missing:
        word = next(iter(missing))
        raise _UnmatchedPath(f"nothing matches {word[:80]!r}; the rest is in the archive")


def _fill(
    options: Options,
    writer: _Writer,
    prefix: str,
    named: Iterable[tuple[str, TreeItem]],
    what: _Chosen,
) -> Iterable[str]:
    """Write all entries; return the words that match none of them."""
    # As in git, the directories of a prefix are entries of their own.
    if prefix.endswith("/"):
        writer.add(prefix, TreeItem(b"", _directory(), lambda: iter(())))
    missing = {item.word: item for item in what.spec.items if item.word != "."}
    for name, item in named:
        if "verbose" in options:
            print(prefix + name, file=sys.stderr)
        writer.add(prefix + name, item)
        for word in [word for word, each in missing.items() if each.matches(item.path)]:
            del missing[word]
    return missing


def _named(items: Iterable[TreeItem], what: _Chosen) -> Iterator[tuple[str, TreeItem]]:
    """Yield the chosen entries with their names, each directory before its content."""
    start = what.below + b"/" if what.below else b""
    waiting: list[tuple[bytes, TreeItem]] = []
    for item in items:
        if not item.path.startswith(start) or item.path == what.below:
            continue
        path = item.path[len(start) :]
        while waiting and not path.startswith(waiting[-1][0] + b"/"):
            waiting.pop()
        is_dir = item.entry.is_dir
        if not what.spec.matches(item.path):
            if is_dir:
                waiting.append((path, item))
            continue
        for above, directory in waiting:
            yield os.fsdecode(above) + "/", directory
        waiting.clear()
        yield os.fsdecode(path) + "/" * is_dir, item


def _directory() -> Entry:
    return Entry(b"", stat.S_IFDIR | 0o755, 0, 0, 0, 0, b"")  # type: ignore[arg-type]


def _mode(entry: Entry) -> int:
    """Return the mode as git writes it into archives: by default writable by the group."""
    if stat.S_ISLNK(entry.mode):
        return 0o777
    return 0o775 if entry.is_dir or entry.mode & stat.S_IXUSR else 0o664


class _Tar:
    """Writer of a tar file in pax format, compressed or not."""

    def __init__(self, kind: str, file: BinaryIO, source: _Source) -> None:
        mode = "w|" if kind == "tar" else "w|gz"
        headers = {"comment": source.commit} if source.commit else None
        self._seconds = source.seconds
        self._tar = tarfile.open(  # noqa: SIM115 - closed by `close`, which writes the end
            fileobj=file,
            mode=mode,
            format=tarfile.PAX_FORMAT,
            pax_headers=headers,  # type: ignore[call-overload]
        )

    def add(self, name: str, item: TreeItem) -> None:
        """Write an entry; skip devices, FIFOs and sockets, as git has none."""
        entry = item.entry
        info = tarfile.TarInfo(name)
        info.mtime, info.mode = self._seconds, _mode(entry)
        info.uname = info.gname = "root"
        if entry.is_dir:
            info.type = tarfile.DIRTYPE
            self._tar.addfile(info)
        elif stat.S_ISLNK(entry.mode):
            info.type, info.linkname = tarfile.SYMTYPE, os.fsdecode(entry.target)
            self._tar.addfile(info)
        elif stat.S_ISREG(entry.mode):
            info.size = entry.size
            self._tar.addfile(info, io.BufferedReader(_Pieces(item)))

    def close(self) -> None:
        """Write the end of the archive."""
        self._tar.close()

    def abandon(self) -> None:
        # Both objects would write the end when they are deleted.
        self._tar.closed = True
        self._tar.fileobj.closed = True


class _Zip:
    """Writer of a zip file."""

    def __init__(self, file: BinaryIO, source: _Source) -> None:
        self._zip = zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED)
        self._zip.comment = source.commit.encode()
        moment = time.localtime(source.seconds)
        self._moment = (
            max(moment.tm_year, _ZIP_FIRST_YEAR), moment.tm_mon, moment.tm_mday,
            moment.tm_hour, moment.tm_min, moment.tm_sec,
        )  # fmt: skip

    def add(self, name: str, item: TreeItem) -> None:
        """Write an entry; skip the same kinds as `_Tar.add`."""
        entry = item.entry
        info = zipfile.ZipInfo(name, self._moment)
        info.compress_type = zipfile.ZIP_DEFLATED
        info.external_attr = (stat.S_IFMT(entry.mode) | _mode(entry)) << 16
        if entry.is_dir:
            info.external_attr |= 0x10
            self._zip.writestr(info, b"", zipfile.ZIP_STORED)
        elif stat.S_ISLNK(entry.mode):
            self._zip.writestr(info, entry.target)
        elif stat.S_ISREG(entry.mode):
            info.file_size = entry.size
            with self._zip.open(info, "w") as out:
                for piece in _bytes(item):
                    out.write(piece)

    def close(self) -> None:
        """Write the central directory of the archive."""
        self._zip.close()

    def abandon(self) -> None:
        # It would write the directory when it is deleted.
        self._zip.fp = None


class _Pieces(io.RawIOBase):
    """Readable file with the bytes of one item."""

    def __init__(self, item: TreeItem) -> None:
        self._pieces = _bytes(item)
        self._left = memoryview(b"")

    def readable(self) -> bool:
        """Return True: `io.BufferedReader` asks before it reads."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Fill the buffer with bytes of the next piece, and return how many."""
        while not self._left:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._left = memoryview(piece)
        count = min(len(buffer), len(self._left))
        buffer[:count] = self._left[:count]
        self._left = self._left[count:]
        return count


def _bytes(item: TreeItem) -> Iterator[bytes]:
    """Yield the bytes of a file from its beginning to its end, holes as zeros."""
    at = 0
    for offset, data in item.pieces():
        yield from _zeros(offset - at)
        yield data
        at = offset + len(data)
    yield from _zeros(item.entry.size - at)


def _zeros(count: int) -> Iterator[bytes]:
    while count > 0:
        yield bytes(min(count, 65536))
        count -= 65536
