"""A repository in memory whose files are written by path: the stage of most unit tests."""

from __future__ import annotations

import stat

from heliosfs.clock import FixedClock
from heliosfs.commands.table import run
from heliosfs.repo.identity import Identity
from heliosfs.repo.repository import Repository
from heliosfs.repo.view import View
from heliosfs.store.memory import MemoryStore
from heliosfs.workspace.nodes import DirNode, FileNode, LeafNode, Node, SymlinkNode
from heliosfs.workspace.workspace import Workspace

UID, GID = 1000, 1000
IDENTITY = Identity(b"Ada", b"ada@example.org", UID, GID)


class TreeBuilder:
    """Edits a workspace the way programs would, but by path and in one call."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace

    def node(self, path: bytes) -> Node:
        """Return the node at the path; b"" is the root."""
        node: Node | None = self.workspace.root
        for name in path.split(b"/") if path else ():
            assert isinstance(node, DirNode), path
            node = self.workspace.lookup(node, name)
        assert node is not None, path
        return node

    def directory(self, path: bytes) -> DirNode:
        """The directory at the path, made with all above it where it is missing."""
        node = self.workspace.root
        for name in path.split(b"/") if path else ():
            child = self.workspace.lookup(node, name)
            if child is None:
                child = self.workspace.create(node, name, stat.S_IFDIR | 0o755, UID, GID)
            assert isinstance(child, DirNode), path
            node = child
        return node

    def write(self, path: bytes, data: bytes, mode: int = 0o644) -> FileNode:
        """Fill a file, new or not, with these bytes."""
        parent, name = self._place(path)
        node = self.workspace.lookup(parent, name)
        if node is None:
            node = self.workspace.create(parent, name, stat.S_IFREG | mode, UID, GID)
        assert isinstance(node, FileNode), path
        contents = self.workspace.working_set
        contents.truncate(node, 0)
        if data:
            contents.write(node, 0, data)
        node.mtime_ns = self.workspace.clock.now_ns()
        node.touch()
        return node

    def symlink(self, path: bytes, target: bytes) -> None:
        parent, name = self._place(path)
        mode = stat.S_IFLNK | 0o777
        self.workspace.create(parent, name, mode, UID, GID, target=target)

    def fifo(self, path: bytes) -> None:
        parent, name = self._place(path)
        self.workspace.create(parent, name, stat.S_IFIFO | 0o644, UID, GID)

    def chmod(self, path: bytes, mode: int) -> None:
        node = self.node(path)
        node.mode = stat.S_IFMT(node.mode) | mode
        node.touch()

    def link(self, path: bytes, new_path: bytes) -> None:
        node = self.node(path)
        assert isinstance(node, LeafNode)
        self.workspace.link(node, *self._place(new_path))

    def rename(self, path: bytes, new_path: bytes) -> None:
        self.workspace.rename(*self._place(path), *self._place(new_path))

    def remove(self, path: bytes) -> None:
        """Remove a name, with everything below it."""
        node = self.node(path)
        if isinstance(node, DirNode):
            for name in list(self.workspace.names(node)):
                self.remove(path + b"/" + name)
        self.workspace.remove(*self._place(path))

    def read(self, path: bytes) -> bytes:
        node = self.node(path)
        assert isinstance(node, FileNode), path
        return bytes(self.workspace.working_set.read(node, 0, node.file_size))

    def tree(self) -> dict[bytes, tuple[int, bytes]]:
        """Everything: path -> mode, and the bytes of a file or the target of a link."""
        found: dict[bytes, tuple[int, bytes]] = {}
        pending: list[tuple[bytes, DirNode]] = [(b"", self.workspace.root)]
        while pending:
            prefix, directory = pending.pop()
            for name in list(self.workspace.names(directory)):
                node = self.workspace.lookup(directory, name)
                assert node is not None
                data = b""
                if isinstance(node, DirNode):
                    pending.append((prefix + name + b"/", node))
                elif isinstance(node, FileNode):
                    data = self.read(prefix + name)
                elif isinstance(node, SymlinkNode):
                    data = node.target
                found[prefix + name] = (node.mode, data)
        return found

    def _place(self, path: bytes) -> tuple[DirNode, bytes]:
        parent, _, name = path.rpartition(b"/")
        return self.directory(parent), name


class Stage:
    """A repository, its root view, and the verbs."""

    def __init__(self, store: MemoryStore | None = None, clock: FixedClock | None = None) -> None:
        self.store = store or MemoryStore()
        self.clock = clock or FixedClock()
        self.repository = Repository.open(self.store, self.clock, IDENTITY)

    @property
    def view(self) -> View:
        """The view at the root, which a checkout replaces."""
        return self.repository.root

    @property
    def files(self) -> TreeBuilder:
        """The files at the root."""
        return TreeBuilder(self.view.workspace)

    def live(self, branch: str) -> TreeBuilder:
        """The files of a branch's live view."""
        return TreeBuilder(self.repository.live_view(branch).workspace)

    def run(self, *argv: str, cwd: str = "", branch: str | None = None) -> str:
        """Run a verb at the root, or in a branch's live view."""
        view = self.repository.live_view(branch) if branch else self.view
        return run(self.repository, view, list(argv), cwd)

    def commit(self, message: str = "work", **files: bytes) -> str:
        """Write `name=bytes` files and commit; return the id in hex."""
        for name, data in files.items():
            self.files.write(name.encode(), data)
        self.run("commit", "-q", "--allow-empty", "-m", message)
        return self.head

    @property
    def head(self) -> str:
        """The id of HEAD in hex."""
        assert self.view.head is not None
        return self.view.head.hex()

    def reopen(self) -> None:
        """Close the repository cleanly, and open it again on what the store kept."""
        self.repository.checkpoint()
        self.crash()

    def crash(self) -> None:
        """Forget everything that was not published, and open the repository again."""
        self.store.drop_unpublished()
        self.repository = Repository.open(self.store, self.clock, IDENTITY)
