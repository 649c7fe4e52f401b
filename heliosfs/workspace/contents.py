"""L0: the bytes of files in memory, within a budget.

A file of at most `WHOLE_MAX` bytes is `bytes` while clean and a `bytearray` once written;
a larger one is a `PartedContent`.  Over the budget, what was not used lately goes: dirty
bytes into the store first, then all of them out of memory, to be read again when needed.
"""

from __future__ import annotations

from heliosfs.objects.blob import EMPTY_BLOB, PART_BYTES, WHOLE_MAX
from heliosfs.objects.ids import Kind, Oid, object_id
from heliosfs.store.base import Store
from heliosfs.workspace.content import PartedContent
from heliosfs.workspace.node import FileNode

DEFAULT_BUDGET_BYTES = 1024**3


class Contents:
    """The working set: which files' bytes are in memory, and how many bytes that is."""

    def __init__(self, store: Store, budget_bytes: int = DEFAULT_BUDGET_BYTES) -> None:
        self.store = store
        self.budget_bytes = budget_bytes
        self.resident_bytes = 0
        self.dirty_bytes = 0
        """An upper estimate of what a flush would store now."""
        self._loaded: dict[FileNode, None] = {}

    def read(self, node: FileNode, offset: int, length: int) -> bytes | bytearray:
        """Up to `length` bytes from `offset`: 0.3 us when loaded.  StoreError."""
        content = node.content
        if content is None:
            if node.file_size <= offset:
                return b""
            content = self.load(node)
        node.recent = True
        if isinstance(content, PartedContent):
            before = len(content.loaded)
            data = content.read(self.store, offset, length)
            self._charge((len(content.loaded) - before) * PART_BYTES)
            return data
        return content[offset : offset + length]

    def write(self, node: FileNode, offset: int, data: bytes) -> None:
        """Put `data` at `offset`, over a hole if that is beyond the end.  StoreError."""
        content = node.content
        if content.__class__ is not bytearray:
            content = self._writable(node)
        end = offset + len(data)
        if isinstance(content, PartedContent):
            before = len(content.loaded)
            content.write(self.store, offset, data)
            node.file_size = content.size
            self.dirty_bytes += len(data)
            self._charge((len(content.loaded) - before) * PART_BYTES)
            return
        size = len(content)
        if end > WHOLE_MAX:
            self._outgrow(node, offset, data)
            return
        if offset > size:
            content.extend(bytes(offset - size))
        content[offset:end] = data
        self.dirty_bytes += len(data)
        if end > size:
            node.file_size = end
            self._charge(end - size)

    def truncate(self, node: FileNode, size: int) -> None:
        """Set the size.  StoreError."""
        if size == 0:
            self.drop(node)
            node.content = bytearray()
            self._loaded[node] = None
            node.file_size = 0
            node.oid = None
            return
        content = self._writable(node)
        if not isinstance(content, PartedContent) and size > WHOLE_MAX:
            self._outgrow(node, size, b"")
            return
        before = _resident(content)
        if isinstance(content, PartedContent):
            content.resize(self.store, size)
        elif size < len(content):
            del content[size:]
        else:
            content.extend(bytes(size - len(content)))
        node.file_size = size
        self._charge(_resident(content) - before)

    def freeze(self, node: FileNode, base: Oid | None) -> Oid:
        """Store what was written, and give the id of the content.  The bytes stay loaded."""
        if node.oid is not None:
            return node.oid
        content = node.content
        if isinstance(content, PartedContent):
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

    def load(self, node: FileNode) -> bytes | bytearray | PartedContent:
        """Bring a clean file into memory; of a large one, only the list of its parts."""
        oid = node.oid
        assert oid is not None
        if node.file_size > WHOLE_MAX:
            content: bytes | PartedContent = PartedContent.load(self.store, oid)
        else:
            content = self.store.read(oid, Kind.BLOB) if node.file_size else b""
            self._charge(len(content))
        node.content = content
        self._loaded[node] = None
        return content

    def drop(self, node: FileNode) -> None:
        """Forget the bytes of a file: it is clean, or gone."""
        content = node.content
        if content is not None:
            self.resident_bytes -= _resident(content)
            node.content = None
            self._loaded.pop(node, None)

    def reduce(self, target_bytes: int) -> None:
        """Bring the working set to `target_bytes`, the files used lately last.  StoreError.

        Dirty bytes are published to the store first, so they are in its journal.
        """
        for _ in range(2):
            for node in list(self._loaded):
                if self.resident_bytes <= target_bytes:
                    break
                if node.recent:
                    node.recent = False
                else:
                    self._spill(node)
        self.store.publish()

    def _spill(self, node: FileNode) -> None:
        content = node.content
        if isinstance(content, PartedContent):
            before = len(content.loaded)
            content.store_parts(self.store)
            content.drop_clean()
            self.resident_bytes -= (before - len(content.loaded)) * PART_BYTES
        else:
            self.freeze(node, None)
            self.drop(node)

    def _writable(self, node: FileNode) -> bytearray | PartedContent:
        content = node.content
        if content is None:
            content = self.load(node)
        node.recent = True
        node.oid = None
        if isinstance(content, bytes):
            content = node.content = bytearray(content)
        return content

    def _outgrow(self, node: FileNode, offset: int, data: bytes) -> None:
        content = node.content
        assert isinstance(content, bytearray)
        self.resident_bytes -= len(content)
        parted = PartedContent.of_bytes(content)
        node.content = parted
        if data:
            parted.write(self.store, offset, data)
        else:
            parted.resize(self.store, offset)
        node.file_size = parted.size
        self.dirty_bytes += len(data)
        self._charge(len(parted.loaded) * PART_BYTES)

    def _charge(self, count_bytes: int) -> None:
        self.resident_bytes += count_bytes
        if self.resident_bytes > self.budget_bytes:
            self.reduce(self.budget_bytes // 8 * 7)


def _resident(content: bytes | bytearray | PartedContent) -> int:
    if isinstance(content, PartedContent):
        return len(content.loaded) * PART_BYTES
    return len(content)
