"""L0: the bytes of files in memory, within a budget.

A file of at most `WHOLE_MAX` bytes is `bytes` while clean and a `bytearray` once written;
a larger one is a `LargeFile`.  Over the budget, files that were not used lately are evicted: dirty
bytes are stored first, then the file leaves memory, to be read again when needed.
Written parts of large files can leave earlier (`offloading`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from heliosfs.errors import CorruptObject
from heliosfs.objects.blob import EMPTY_BLOB, WHOLE_MAX
from heliosfs.objects.ids import Kind, Oid, object_id
from heliosfs.store.base import Store
from heliosfs.workspace.account import Account
from heliosfs.workspace.holes import cut_holes, holes_of_parts, with_hole, without_hole
from heliosfs.workspace.large_file import LargeFile

DEFAULT_BUDGET_BYTES = 1024**3


class FileContent(Protocol):
    """File whose bytes are in the store, in memory, or both; `FileNode` implements this."""

    oid: Oid | None
    """Id of the stored content; None while `content` differs from it."""
    content: bytes | bytearray | LargeFile | None
    """Content in memory: None while not loaded, a bytearray or a `LargeFile` once written."""
    file_size: int
    hole_blocks: int
    """Blocks that were never written, as bits (`holes`), of a file that is not large."""
    recent: bool
    """True if the file was read or written since the working set was last reduced."""


class WorkingSet:
    """Working set: the files whose bytes are in memory, and the number of these bytes.

    The files share the budget with other memory (`others`): L1, nodes, objects that wait for L2.
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
        self.account = Account()
        self.writers = 0
        """Number of files open for writing; without any, the kernel holds no dirty pages."""
        self.has_git_dirs = False
        """True if a working tree may have a `.git`: a flush met one, or the store says so."""
        self._loaded: dict[FileContent, None] = {}
        self.unstored: dict[FileContent, None] = {}
        """Large files that may have dirty parts, in the order in which they were written."""

    def budget(self, budget_bytes: int) -> None:
        """Set the budget, and evict files if it is exceeded.  Raises StoreError."""
        self.budget_bytes = budget_bytes
        self._charge(0)

    def read(self, node: FileContent, offset: int, length: int) -> bytes | bytearray:
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

    def write(self, node: FileContent, offset: int, data: bytes | memoryview) -> None:
        """Write `data` at `offset`, after zeros if that is beyond the end.  Raises StoreError.

        A memoryview is copied.
        """
        content = node.content
        if content.__class__ is not bytearray:
            content = self.writable(node)
        end = offset + len(data)
        if isinstance(content, LargeFile):
            content.write(self.store, offset, bytes(data))
            node.file_size = content.size
            # As `wrote_parts`, without its call: a long writer comes here for each piece.
            self.unstored[node] = None
            self._charge(0)
            return
        size = len(content)
        if end > WHOLE_MAX:
            self._outgrow(node, offset, bytes(data))
            return
        if offset > size:
            content.extend(bytes(offset - size))
            node.hole_blocks = with_hole(node.hole_blocks, size, offset, offset)
        if offset >= size:
            # A slice that is assigned to would be copied twice.
            content += data
        else:
            content[offset:end] = data
        if node.hole_blocks:
            node.hole_blocks = without_hole(node.hole_blocks, offset, end)
        account = self.account
        account.written_bytes += len(data)
        if end > size:
            node.file_size = end
            # As `_charge`, without its call.
            account.whole_bytes += end - size
            if account.whole_bytes + account.part_bytes > self.budget_bytes // 8:
                self._charge(0)

    def begin(self, node: FileContent) -> None:
        """Let a file that has no bytes in memory be empty."""
        node.content = bytearray()
        self._loaded[node] = None
        node.file_size = node.hole_blocks = 0
        node.oid = None

    def truncate(self, node: FileContent, size: int) -> None:
        """Set the size of a file.  Raises StoreError."""
        if size == 0:
            self.drop(node)
            self.begin(node)
            return
        content = self.writable(node)
        if not isinstance(content, LargeFile) and size > WHOLE_MAX:
            self._outgrow(node, size, b"")
            return
        if isinstance(content, LargeFile):
            content.resize(self.store, size)
            self.wrote_parts(node)
        else:
            before = len(content)
            if size < before:
                del content[size:]
                node.hole_blocks = cut_holes(node.hole_blocks, size)
            else:
                content.extend(bytes(size - before))
                node.hole_blocks = with_hole(node.hole_blocks, before, size, size)
            self._charge(size - before)
        node.file_size = size

    def punch(self, node: FileContent, offset: int, end: int) -> None:
        """Zero the bytes from `offset` to `end`, inside the file.  Raises StoreError."""
        content = self.writable(node)
        if isinstance(content, LargeFile):
            content.punch(self.store, offset, end)
            self.wrote_parts(node)
        else:
            content[offset:end] = bytes(end - offset)
            node.hole_blocks = with_hole(node.hole_blocks, offset, end, node.file_size)
            self.account.written_bytes += end - offset

    def fill(self, node: FileContent, offset: int, end: int) -> None:
        """Let the bytes from `offset` to `end` be data, and no hole; of a small file only."""
        if node.hole_blocks:
            node.hole_blocks = without_hole(node.hole_blocks, offset, min(end, node.file_size))

    def parts_of(self, node: FileContent) -> LargeFile | None:
        """Return the content of a large file, or None of a file in one piece.  Raise StoreError."""
        content = node.content
        if content is None and node.file_size > WHOLE_MAX:
            content = self.load(node)
        return content if isinstance(content, LargeFile) else None

    def freeze(self, node: FileContent, base: Oid | None) -> Oid:
        """Store the content if it is dirty, and return its id.  The bytes stay loaded."""
        if node.oid is not None:
            return node.oid
        content = node.content
        if isinstance(content, LargeFile):
            oid = content.freeze(self.store, base)
            if content.size <= WHOLE_MAX:
                node.hole_blocks = holes_of_parts(content)
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

    def load(self, node: FileContent) -> bytes | bytearray | LargeFile:
        """Load the content of a clean file; of a large one, only the list of its parts.

        CorruptObject, also if the content is of another size than its entry: a tree may have been
        made up elsewhere.
        """
        oid, size = node.oid, node.file_size
        assert oid is not None
        content: bytes | LargeFile
        if size > WHOLE_MAX:
            content = LargeFile.load(self.store, oid, self.account)
            found = content.size
        else:
            content = self.store.read(oid, Kind.BLOB) if size else b""
            found = len(content)
        if found != size:
            raise CorruptObject(f"content {oid.hex()} has {found} bytes, not {size}")
        if size <= WHOLE_MAX:
            self._charge(size)
        node.content = content
        self._loaded[node] = None
        return content

    def drop(self, node: FileContent) -> None:
        """Drop the bytes of a file, which is clean or deleted, from memory."""
        content = node.content
        if content is not None:
            if isinstance(content, LargeFile):
                content.loaded.cut(0)
                self.unstored.pop(node, None)
            else:
                self.account.whole_bytes -= len(content)
            node.content = None
            self._loaded.pop(node, None)

    def reduce(self, target_bytes: int) -> None:
        """Evict files until at most `target_bytes` are in memory, recently used ones last.

        Dirty bytes are added to the store first, and published at the end, so that they are in
        its journal.  Raises StoreError.
        """
        for _ in range(2):
            for node in list(self._loaded):
                if self.account.resident_bytes <= target_bytes:
                    break
                if node.recent:
                    node.recent = False
                else:
                    self._spill(node)
        self._publish()

    def _spill(self, node: FileContent) -> None:
        # I6: dirty bytes go to the store before they leave memory.
        content = node.content
        if isinstance(content, LargeFile):
            content.store_parts(self.store)
            content.loaded.drop_clean()
        else:
            self.freeze(node, None)
            self.drop(node)

    def writable(self, node: FileContent) -> bytearray | LargeFile:
        """Return the content of a file, loaded and dirty from now on.  Raises StoreError."""
        content = node.content
        if content is None:
            content = self.load(node)
        node.recent = True
        # I5: a file without an id has all its bytes here; one with an id can be read again.
        node.oid = None
        if isinstance(content, bytes):
            content = node.content = bytearray(content)
        return content

    def wrote_parts(self, node: FileContent) -> None:
        """Record that parts of a large file were written or changed.  Raises StoreError."""
        self.unstored[node] = None
        self._charge(0)

    def _outgrow(self, node: FileContent, offset: int, data: bytes) -> None:
        content = node.content
        assert isinstance(content, bytearray)
        self.account.whole_bytes -= len(content)
        self.account.written_bytes = max(0, self.account.written_bytes - len(content))
        parted = LargeFile.of_bytes(content, self.account)
        node.content, node.hole_blocks = parted, 0
        if data:
            parted.write(self.store, offset, data)
        else:
            parted.resize(self.store, offset)
        node.file_size = parted.size
        self.wrote_parts(node)

    def _charge(self, count_bytes: int) -> None:
        account = self.account
        account.whole_bytes += count_bytes
        # The sum of the account's property, without its call: this runs at each write.
        resident_bytes = account.whole_bytes + account.part_bytes
        if resident_bytes <= self.budget_bytes // 8:
            return
        room_bytes = self.budget_bytes - self._others()
        if resident_bytes > room_bytes:
            self.reduce(max(room_bytes, 0) // 8 * 7)
