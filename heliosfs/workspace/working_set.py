"""L0: the bytes of files in memory, within a budget.

A file of at most `WHOLE_MAX` bytes is `bytes` while clean and a `bytearray` once written;
a larger one is a `LargeFile`.  Over the budget, files that were not used lately are evicted: dirty
bytes are stored first, then the file leaves memory, to be read again when needed.
Written parts of large files can leave earlier, by a `Work` of `plan_seal`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from heliosfs.objects.blob import EMPTY_BLOB, PART_BYTES, WHOLE_MAX
from heliosfs.objects.ids import BlobId, Kind, Oid, object_id
from heliosfs.steps import Work
from heliosfs.store.base import NewObject, Store
from heliosfs.workspace.large_file import LargeFile, next_data, next_hole
from heliosfs.workspace.parts import Account, DirtyPart

DEFAULT_BUDGET_BYTES = 1024**3
COPIED_MAX_BYTES = 4 * 1024 * 1024
"""Most bytes that one call copies: 1 ms."""


class Loadable(Protocol):
    """File whose bytes are in the store, in memory, or both; `FileNode` implements this."""

    oid: Oid | None
    """Id of the stored content; None while `content` differs from it."""
    content: bytes | bytearray | LargeFile | None
    """Content in memory: None while not loaded, a bytearray or a `LargeFile` once written."""
    file_size: int
    recent: bool
    """True if the file was read or written since the working set was last reduced."""


class WorkingSet:
    """Working set: the files whose bytes are in memory, and the number of these bytes.

    They share the budget with other memory (`others`): L1, nodes, objects that wait for L2.
    """

    def __init__(
        self,
        store: Store,
        budget_bytes: int = DEFAULT_BUDGET_BYTES,
        others: Callable[[], int] = lambda: 0,
        publish: Callable[[], None] | None = None,
    ) -> None:
        """Begin empty; call `publish` instead of the store's, so that no batch is cut in two."""
        self.store = store
        self._publish = publish or store.publish
        self.budget_bytes = budget_bytes
        self._others = others
        self.parts = Account()
        """Account of the parts of all large files."""
        self.writers = 0
        """Number of files open for writing; without any, the kernel holds no dirty pages."""
        self._whole_bytes = 0
        self._written_bytes = 0
        self._loaded: dict[Loadable, None] = {}
        self._unsealed: dict[Loadable, None] = {}
        """Large files that may have dirty parts, in the order in which they were written."""

    @property
    def resident_bytes(self) -> int:
        """Return the number of bytes of files in memory."""
        return self._whole_bytes + self.parts.resident_bytes

    @property
    def dirty_bytes(self) -> int:
        """Return an upper estimate of the written bytes that the store does not have."""
        return self._written_bytes + self.parts.dirty_bytes

    @property
    def flush_bytes(self) -> int:
        """Return an upper estimate of the bytes that a flush would hash: whole parts count."""
        return self._written_bytes + self.parts.dirty_count * PART_BYTES

    def budget(self, budget_bytes: int) -> None:
        """Set the budget, and evict files if it is exceeded.  Raises StoreError."""
        self.budget_bytes = budget_bytes
        self._charge(0)

    def flushed(self) -> None:
        """Record that all small files were stored."""
        self._written_bytes = 0

    def read(self, node: Loadable, offset: int, length: int) -> bytes | bytearray:
        """Return up to `length` bytes from `offset`: 0.3 us if loaded.  Raises StoreError."""
        content = node.content
        if content is None:
            if node.file_size <= offset:
                return b""
            content = self.load(node)
        node.recent = True
        if isinstance(content, LargeFile):
            data = content.read(self.store, offset, length)
            self._charge(0)
            return data
        return content[offset : offset + length]

    def write(self, node: Loadable, offset: int, data: bytes) -> None:
        """Write `data` at `offset`, after zeros if that is beyond the end.  Raises StoreError."""
        content = node.content
        if content.__class__ is not bytearray:
            content = self._writable(node)
        end = offset + len(data)
        if isinstance(content, LargeFile):
            content.write(self.store, offset, data)
            node.file_size = content.size
            self._unsealed[node] = None
            self._charge(0)
            return
        size = len(content)
        if end > WHOLE_MAX:
            self._outgrow(node, offset, data)
            return
        if offset > size:
            content.extend(bytes(offset - size))
        content[offset:end] = data
        self._written_bytes += len(data)
        if end > size:
            node.file_size = end
            self._charge(end - size)

    def truncate(self, node: Loadable, size: int) -> None:
        """Set the size of a file.  Raises StoreError."""
        if size == 0:
            self.drop(node)
            node.content = bytearray()
            self._loaded[node] = None
            node.file_size = 0
            node.oid = None
            return
        content = self._writable(node)
        if not isinstance(content, LargeFile) and size > WHOLE_MAX:
            self._outgrow(node, size, b"")
            return
        if isinstance(content, LargeFile):
            content.resize(self.store, size)
            self._unsealed[node] = None
            self._charge(0)
        else:
            before = len(content)
            if size < before:
                del content[size:]
            else:
                content.extend(bytes(size - before))
            self._charge(size - before)
        node.file_size = size

    def punch(self, node: Loadable, offset: int, end: int) -> None:
        """Zero the bytes from `offset` to `end`, inside the file.  Raises StoreError."""
        content = self._writable(node)
        if isinstance(content, LargeFile):
            content.punch(self.store, offset, end)
            self._unsealed[node] = None
            self._charge(0)
        else:
            content[offset:end] = bytes(end - offset)
            self._written_bytes += end - offset

    def next_data(self, node: Loadable, offset: int) -> int:
        """Return the offset of the next data (see `large_file`).  Raises StoreError.

        Only large files have holes.
        """
        content = self._parts_of(node)
        return next_data(content, offset) if content else offset

    def next_hole(self, node: Loadable, offset: int) -> int:
        """Return the offset of the next hole (see `large_file`).  Raises StoreError.

        The end of a file counts as a hole.
        """
        content = self._parts_of(node)
        return next_hole(content, offset) if content else node.file_size

    def copy(self, source: Loadable, offset: int, target: Loadable, at: int, length: int) -> int:
        """Copy up to `length` bytes of `source`; return how many, so that callers can go on.

        A whole file copied into an empty one, and whole parts of large files, are shared by id
        instead of copied: 1 us a part.  Raises StoreError.
        """
        is_whole = length == source.file_size and not (offset or at or target.file_size)
        if is_whole and source.oid is not None:
            self.drop(target)
            target.oid, target.file_size = source.oid, length
            return length
        parts = self._parts_of(source)
        end = at + length
        if parts is None or end <= WHOLE_MAX or (at - offset) % PART_BYTES:
            return self._copy_bytes(source, offset, target, at, length)
        if end > target.file_size:
            self.truncate(target, end)
        content = self._writable(target)
        if not isinstance(content, LargeFile):
            return self._copy_bytes(source, offset, target, at, length)
        number, index = offset // PART_BYTES, at // PART_BYTES
        first = index
        while at % PART_BYTES == 0 and index * PART_BYTES < end:
            count = content.part_bytes(index)
            if count != parts.part_bytes(number) or index * PART_BYTES + count > end:
                break
            content.share(self.store, parts, number, index)
            number, index = number + 1, index + 1
        if index == first:
            room = PART_BYTES - at % PART_BYTES
            return self._copy_bytes(source, offset, target, at, min(length, room))
        self._unsealed[target] = None
        self._charge(0)
        return min(index * PART_BYTES, content.size) - at

    def _copy_bytes(
        self, source: Loadable, offset: int, target: Loadable, at: int, length: int
    ) -> int:
        data = bytes(self.read(source, offset, min(length, COPIED_MAX_BYTES)))
        self.write(target, at, data)
        return len(data)

    def _parts_of(self, node: Loadable) -> LargeFile | None:
        content = node.content
        if content is None and node.file_size > WHOLE_MAX:
            content = self.load(node)
        return content if isinstance(content, LargeFile) else None

    def freeze(self, node: Loadable, base: Oid | None) -> Oid:
        """Store the content if it is dirty, and return its id.  The bytes stay loaded."""
        if node.oid is not None:
            return node.oid
        content = node.content
        if isinstance(content, LargeFile):
            oid = content.freeze(self.store, base)
            if content.size <= WHOLE_MAX:
                self.drop(node)
        else:
            assert content is not None
            data = bytes(content)
            oid = object_id(Kind.BLOB, data) if data else Oid(EMPTY_BLOB)
            if data:
                self.store.add(oid, Kind.BLOB, data, base)
            node.content = data
        node.oid = oid
        return oid

    def load(self, node: Loadable) -> bytes | bytearray | LargeFile:
        """Load the content of a clean file; of a large one, only the list of its parts."""
        oid = node.oid
        assert oid is not None
        if node.file_size > WHOLE_MAX:
            content: bytes | LargeFile = LargeFile.load(self.store, oid, self.parts)
        else:
            content = self.store.read(oid, Kind.BLOB) if node.file_size else b""
            self._charge(len(content))
        node.content = content
        self._loaded[node] = None
        return content

    def drop(self, node: Loadable) -> None:
        """Drop the bytes of a file, which is clean or deleted, from memory."""
        content = node.content
        if content is not None:
            if isinstance(content, LargeFile):
                content.close()
                self._unsealed.pop(node, None)
            else:
                self._whole_bytes -= len(content)
            node.content = None
            self._loaded.pop(node, None)

    def reduce(self, target_bytes: int) -> None:
        """Evict files until at most `target_bytes` are in memory, recently used ones last.

        Dirty bytes are added to the store first, and published at the end, so that they are in
        its journal.  Raises StoreError.
        """
        for _ in range(2):
            for node in list(self._loaded):
                if self.resident_bytes <= target_bytes:
                    break
                if node.recent:
                    node.recent = False
                else:
                    self._spill(node)
        self._publish()

    def plan_seal(self, limit_bytes: int) -> Work | None:
        """Return work that stores about `limit_bytes` of dirty parts and drops them from memory.

        None if there are no dirty parts except those being written now.  Raises StoreError.
        """
        for node in list(self._unsealed):
            content = node.content
            if isinstance(content, LargeFile):
                parts = content.dirty_parts(self.store, limit_bytes)
                if parts:
                    return _Seal(self.store, content, parts)
                if content.dirty:
                    continue
            del self._unsealed[node]
        return None

    def _spill(self, node: Loadable) -> None:
        # I6: dirty bytes go to the store before they leave memory.
        content = node.content
        if isinstance(content, LargeFile):
            content.store_parts(self.store)
            content.drop_clean()
        else:
            self.freeze(node, None)
            self.drop(node)

    def _writable(self, node: Loadable) -> bytearray | LargeFile:
        content = node.content
        if content is None:
            content = self.load(node)
        node.recent = True
        # I5: a file without an id has all its bytes here; one with an id can be read again.
        node.oid = None
        if isinstance(content, bytes):
            content = node.content = bytearray(content)
        return content

    def _outgrow(self, node: Loadable, offset: int, data: bytes) -> None:
        content = node.content
        assert isinstance(content, bytearray)
        self._whole_bytes -= len(content)
        self._written_bytes = max(0, self._written_bytes - len(content))
        parted = LargeFile.of_bytes(content, self.parts)
        node.content = parted
        if data:
            parted.write(self.store, offset, data)
        else:
            parted.resize(self.store, offset)
        node.file_size = parted.size
        self._unsealed[node] = None
        self._charge(0)

    def _charge(self, count_bytes: int) -> None:
        self._whole_bytes += count_bytes
        resident_bytes = self._whole_bytes + self.parts.resident_bytes
        if resident_bytes <= self.budget_bytes // 8:
            return
        room_bytes = self.budget_bytes - self._others()
        if resident_bytes > room_bytes:
            self.reduce(max(room_bytes, 0) // 8 * 7)


class _Seal:
    """Work that stores dirty parts of one file."""

    def __init__(self, store: Store, content: LargeFile, parts: list[DirtyPart]) -> None:
        self._content = content
        self._parts = parts
        self._addition = store.plan_add(
            [NewObject(Kind.BLOB, part.data, part.base, part.edits) for part in parts]
        )

    def execute(self) -> None:
        self._addition.execute()

    def apply(self) -> None:
        self._addition.apply()
        for part, oid in zip(self._parts, self._addition.oids, strict=False):
            self._content.settle(part, BlobId(oid))
