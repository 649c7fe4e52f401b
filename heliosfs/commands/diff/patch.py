"""Unified diffs in git's format, that `git apply` and `patch -p1` take (git-diff(1))."""

from __future__ import annotations

import stat
from collections.abc import Iterator

from heliosfs.commands.colours import PLAIN, Paint
from heliosfs.commands.diff.binary import binary_patch, git_blob_id
from heliosfs.commands.diff.changes import FileChange, same_content, same_kind
from heliosfs.commands.diff.hunks import Spaces, Words, compared_lines, hunks
from heliosfs.commands.render import SHORT_DIGITS, bytes_of, quote_path
from heliosfs.errors import TooLarge
from heliosfs.objects.ids import Kind, object_id
from heliosfs.objects.tree import Entry
from heliosfs.repo.lines.compare import ChangedRange, Effort, changed_ranges, split_lines
from heliosfs.repo.lines.text import TEXT_MAX_BYTES
from heliosfs.repo.view import View
from heliosfs.steps import TURN, Steps, on_thread
from heliosfs.store.base import Store
from heliosfs.trees.attributes import Attributes
from heliosfs.trees.files import read_file
from heliosfs.trees.gitlinks import gitlink_of, is_gitlink, plain_xattrs
from heliosfs.workspace.large_file import LargeFile

DEFAULT_CONTEXT = 3
PATCH_MAX_BYTES = 64 * 1024 * 1024

_SNIFFED_BYTES = 8000
_READ_AT_ONCE = 1024 * 1024
_NO_BLOB = "0" * SHORT_DIGITS
NO_BLOB_ID = "0" * 40


class Patch:
    """Maker of a diff of several files within one limit of size; each file has its own effort."""

    def __init__(
        self,
        store: Store,
        context: int = DEFAULT_CONTEXT,
        spaces: Spaces = Spaces.ALL,
        words: Words = Words.NONE,
        *,
        attributes: Attributes | None = None,
        as_text: bool = False,
        with_binary: bool = False,
        is_reversed: bool = False,
        paint: Paint = PLAIN,
    ) -> None:
        self._store = store
        self._context = context
        self._spaces = spaces
        self._words = words
        self._attributes = attributes
        """Values of the attribute `diff`, from the working tree."""
        self._as_text = as_text
        """True if the lines of binary files are compared, too."""
        self._with_binary = with_binary
        """True if the patch contains the content of binary files."""
        self._binary: tuple[str, bytes] | None = None
        """Two git ids and the patch of the file that comes next, if it is binary."""
        self._prefixes = (b"b/", b"a/") if is_reversed else (b"a/", b"b/")
        self.paint = paint

    def text(self, changes: list[FileChange], max_bytes: int | None = None) -> Steps[bytes]:
        """Make the diff, a step for each file.

        Raise TooLarge when it would exceed `max_bytes`, or `PATCH_MAX_BYTES`.
        """
        limit_bytes = PATCH_MAX_BYTES if max_bytes is None else max_bytes
        pieces = [bytes_of(f"# {remark}\n") for change in changes for remark in _remarks(change)]
        size = sum(map(len, pieces))
        for change in changes:
            for old, new, source, percent in _pairs(change):
                if self._with_binary:
                    self._binary = yield from self._packed(old, new, source, change.path)
                for piece in self._pair(old, new, source, change.path, percent):
                    pieces.append(piece)
                    size += len(piece)
            if size > limit_bytes:
                raise TooLarge(_too_large())
            yield TURN
        return b"".join(pieces)

    def counts(self, change: FileChange) -> tuple[int, int] | None:
        """Return the number of added and of removed lines; None of a binary file."""
        old, new = git_part(change.old), git_part(change.new)
        source = change.path if change.source is None else change.source
        before, after = self._bytes(old, source), self._bytes(new, change.path)
        if before is None or after is None:
            return None
        ranges = self._ranges(split_lines(before), split_lines(after))
        added = sum(each.new_stop - each.new_start for each in ranges)
        return added, sum(each.stop - each.start for each in ranges)

    def _packed(
        self, old: Entry | None, new: Entry | None, source: bytes, path: bytes
    ) -> Steps[tuple[str, bytes] | None]:
        """Return git ids and binary patch of a pair; None if both are text or they are equal."""
        if old is not None and new is not None and same_content(old, new):
            return None
        if None not in (self._bytes(old, source), self._bytes(new, path)):
            return None
        before = yield from self._whole(old)
        after = yield from self._whole(new)
        patch = yield from on_thread(lambda: binary_patch(before, after))
        left = git_blob_id(before) if old is not None else NO_BLOB_ID
        right = git_blob_id(after) if new is not None else NO_BLOB_ID
        return f"{left}..{right}", patch

    def _whole(self, entry: Entry | None) -> Steps[bytes]:
        """Read all bytes of a file of any kind, in a step for each MiB.  Raise TooLarge."""
        if entry is None:
            return b""
        if not stat.S_ISREG(entry.mode) or entry.size <= _READ_AT_ONCE:
            return read_file(self._store, entry) if stat.S_ISREG(entry.mode) else entry.target
        if entry.size > PATCH_MAX_BYTES:
            raise TooLarge(_too_large())
        content = LargeFile.load(self._store, entry.oid)
        pieces = []
        for at in range(0, entry.size, _READ_AT_ONCE):
            pieces.append(content.read(self._store, at, min(_READ_AT_ONCE, entry.size - at)))
            yield TURN
        return b"".join(pieces)

    def _pair(
        self, old: Entry | None, new: Entry | None, source: bytes, path: bytes, percent: int = 0
    ) -> Iterator[bytes]:
        """Yield the parts of one file's diff: header, then hunks."""
        lines = _mode_lines(old, new)
        is_shown = bool(lines) or source != path
        if source != path:
            lines += [f"similarity index {percent}%"]
            lines += [f"rename from {quote_path(source)}", f"rename to {quote_path(path)}"]
        is_same = old is not None and new is not None and same_content(old, new)
        if is_same and not lines:
            return
        if not is_same:
            lines.append(_index_line(old, new, self._binary[0] if self._binary else ""))
        names = " ".join(self._names(source, path))
        head = self.paint.header([f"diff --git {names}", *lines])
        header = bytes_of("\n".join(head) + "\n")
        content = b"" if is_same else b"".join(self._content(old, new, source, path))
        # Where nothing but spaces differs that do not count, nothing is said at all.
        if content or is_shown or self._spaces is Spaces.ALL:
            yield header + content

    def _content(
        self, old: Entry | None, new: Entry | None, source: bytes, path: bytes
    ) -> Iterator[bytes]:
        if self._binary is not None:
            yield self._binary[1]
            return
        before, after = self._bytes(old, source), self._bytes(new, path)
        left, right = self._names(source, path)
        left, right = left if old else "/dev/null", right if new else "/dev/null"
        if before is None or after is None:
            yield bytes_of(f"Binary files {left} and {right} differ\n")
            return
        old_lines, new_lines = split_lines(before), split_lines(after)
        ranges = self._ranges(old_lines, new_lines)
        if ranges:
            above, beneath = self.paint.header([f"--- {left}", f"+++ {right}"])
            yield bytes_of(f"{above}{_tab(left)}\n{beneath}{_tab(right)}\n")
            yield hunks(old_lines, new_lines, ranges, self._context, self._words, self.paint)

    def _names(self, source: bytes, path: bytes) -> tuple[str, str]:
        left, right = self._prefixes
        return quote_path(source, around=left), quote_path(path, around=right)

    def _ranges(self, old: list[bytes], new: list[bytes]) -> list[ChangedRange]:
        before, after = (compared_lines(lines, self._spaces) for lines in (old, new))
        return changed_ranges(before, after, Effort(), shown=(old, new))

    def _bytes(self, entry: Entry | None, path: bytes) -> bytes | None:
        """Return the content to compare: file or target of a link; None when it is binary."""
        if entry is None:
            return b""
        if not stat.S_ISREG(entry.mode):
            return special_text(entry)
        is_text = True if self._as_text else said_to_be_text(self._attributes, path)
        if entry.size > TEXT_MAX_BYTES or is_text is False:
            return None
        data = read_file(self._store, entry)
        return None if is_text is None and b"\0" in data[:_SNIFFED_BYTES] else data


def attributes_of(view: View) -> Attributes:
    """Return what the working tree of a view says about `diff`."""
    return Attributes(view.core.store, view.state().root, (b"diff",))


def said_to_be_text(attributes: Attributes | None, path: bytes) -> bool | None:
    """Return what `diff` says about a file; None where its bytes have to tell."""
    value = attributes.of(path).get(b"diff") if attributes is not None else None
    return value if isinstance(value, bool) else None


def git_part(entry: Entry | None) -> Entry | None:
    """Return the entry, or None if git's format has no place for its kind."""
    if entry is None:
        return None
    has_place = stat.S_ISREG(entry.mode) or stat.S_ISLNK(entry.mode) or is_gitlink(entry)
    return entry if has_place else None


def special_text(entry: Entry) -> bytes:
    """Return what git compares of a link or a submodule in place of a file's bytes."""
    if stat.S_ISLNK(entry.mode):
        return entry.target
    return b"Subproject commit %s\n" % gitlink_of(entry).hex().encode()


def git_mode(entry: Entry) -> str:
    """Return the mode that git uses for a file, link or submodule."""
    if stat.S_ISLNK(entry.mode):
        return "120000"
    if entry.is_dir:
        return "160000"
    return "100755" if entry.mode & stat.S_IXUSR else "100644"


def _mode_lines(old: Entry | None, new: Entry | None) -> list[str]:
    if old is None:
        assert new is not None
        return [f"new file mode {git_mode(new)}"]
    if new is None:
        return [f"deleted file mode {git_mode(old)}"]
    if git_mode(old) == git_mode(new):
        return []
    return [f"old mode {git_mode(old)}", f"new mode {git_mode(new)}"]


def _pairs(
    change: FileChange,
) -> Iterator[tuple[Entry | None, Entry | None, bytes, int]]:
    """Yield the pairs that git's format has for a change: old and new file, old path, likeness."""
    old, new = git_part(change.old), git_part(change.new)
    source = change.path if change.source is None else change.source
    if old is not None and new is not None and not same_kind(old, new):
        yield old, None, source, 0
        yield None, new, source, 0
    elif old is not None or new is not None:
        yield old, new, source, change.percent


def _too_large() -> str:
    limit = f"{PATCH_MAX_BYTES // 1024**2} MiB"
    return f"the diff is larger than {limit}: name paths, or use --name-status"


def _index_line(old: Entry | None, new: Entry | None, ids: str) -> str:
    line = f"index {ids or f'{_blob(old)}..{_blob(new)}'}"
    if old is not None and new is not None and git_mode(old) == git_mode(new):
        line += f" {git_mode(new)}"
    return line


def _blob(entry: Entry | None) -> str:
    if entry is None:
        return _NO_BLOB
    return shown_id(entry).hex()[:SHORT_DIGITS]


def shown_id(entry: Entry) -> bytes:
    """Return the id of an entry's content; of a link, that of its target as a file."""
    if entry.is_dir:
        return gitlink_of(entry)
    return object_id(Kind.BLOB, entry.target) if stat.S_ISLNK(entry.mode) else entry.oid


def _tab(name: str) -> str:
    """Return the tab that tells patch(1) where a name with blanks ends."""
    return "\t" if " " in name else ""


def _remarks(change: FileChange) -> Iterator[str]:
    """Yield the parts of a change that git's format cannot express."""
    old, new = change.old, change.new
    path = quote_path(change.path or b".")
    if old is None or new is None or not same_kind(old, new):
        for entry, verb in ((old, "deleted"), (new, "new")):
            if entry is not None and git_part(entry) is None:
                yield f"{verb} {_kind_name(entry)}: {path}"
        return
    if old.mode != new.mode and (git_part(new) is None or git_mode(old) == git_mode(new)):
        yield f"mode {old.mode & 0o7777:04o} -> {new.mode & 0o7777:04o}: {path}"
    if (old.uid, old.gid) != (new.uid, new.gid):
        yield f"owner {old.uid}:{old.gid} -> {new.uid}:{new.gid}: {path}"
    xattrs = [plain_xattrs(each) if is_gitlink(each) else each.xattrs or {} for each in (old, new)]
    if xattrs[0] != xattrs[1]:
        yield f"extended attributes: {path}"
    if old.group != new.group:
        yield f"hard links: {path}"


def _kind_name(entry: Entry) -> str:
    if entry.is_dir:
        return "empty directory"
    return "pipe or socket" if not entry.rdev else "device"
