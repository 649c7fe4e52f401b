"""Soundness of a workspace: as the mount shows it, and as the repository holds it."""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from heliosfs.cli.stores import open_store
from heliosfs.clock import SystemClock
from heliosfs.objects.ids import Kind, TreeId, object_id
from heliosfs.objects.tree import entry_name
from heliosfs.repo.repository import Repository
from heliosfs.store.local import LocalStore
from heliosfs.store.memory import MemoryStore
from heliosfs.trees.stored import read_entries, write_entries
from heliosfs.workspace.nodes import DirNode, FileNode, LeafNode, Node, SymlinkNode, content_oid
from heliosfs.workspace.workspace import Workspace
from tests.mount.conftest import Mounted
from tests.tree_builder import IDENTITY

Tree = dict[bytes, "Found"]


class Found(NamedTuple):
    """Attributes of a file that must be the same wherever it is looked at."""

    mode: int
    uid: int
    gid: int
    links: int
    size: int
    mtime_ns: int
    first: bytes
    """The first path, in byte order, of the same file."""
    content: bytes


def assert_sound(mounted: Mounted) -> None:
    """The same tree through the mount, in process, and through another mount."""
    shown = mounted_tree(mounted.path)
    mounted.unmount()
    with opened(mounted.path) as repository:
        assert stored_tree(repository) == shown
    mounted.mount()
    assert mounted_tree(mounted.path) == shown
    log = mounted.log.read_text()
    assert "Traceback" not in log and "ERROR" not in log


def mounted_tree(root: Path) -> Tree:
    """Walk a directory of a mount; what it tells in different ways must agree."""
    seen: dict[bytes, tuple[os.stat_result, bytes]] = {}
    pending = [(os.fsencode(root), b"")]
    while pending:
        path, prefix = pending.pop()
        entries = {entry.name: entry for entry in os.scandir(path)}
        assert sorted(entries) == sorted(os.listdir(path)), path
        below = 0
        for name, entry in entries.items():
            if name == b".helios" and not prefix:
                continue
            status = os.lstat(entry.path)
            assert status.st_ino == entry.inode(), entry.path
            assert entry.is_dir(follow_symlinks=False) == stat.S_ISDIR(status.st_mode), entry.path
            content = b""
            if stat.S_ISREG(status.st_mode):
                with open(entry.path, "rb") as file:
                    content = file.read()
                assert len(content) == status.st_size, entry.path
            elif stat.S_ISLNK(status.st_mode):
                content = os.readlink(entry.path)
            elif stat.S_ISDIR(status.st_mode):
                below += 1
                pending.append((entry.path, prefix + name + b"/"))
            seen[prefix + name] = (status, content)
        assert os.lstat(path).st_nlink == 2 + below, path
    return _described(seen)


def _described(seen: dict[bytes, tuple[os.stat_result, bytes]]) -> Tree:
    first: dict[int, bytes] = {}
    names: Counter[int] = Counter()
    for path, (status, _) in sorted(seen.items()):
        first.setdefault(status.st_ino, path)
        names[status.st_ino] += 1
    found = {}
    for path, (status, content) in seen.items():
        is_directory = stat.S_ISDIR(status.st_mode)
        links = 0 if is_directory else status.st_nlink
        assert is_directory or links == names[status.st_ino], path
        size = 0 if is_directory else status.st_size
        found[path] = Found(
            status.st_mode, status.st_uid, status.st_gid, links, size, status.st_mtime_ns,
            first[status.st_ino], content,
        )  # fmt: skip
    return found


@contextmanager
def opened(directory: Path) -> Iterator[Repository]:
    """The repository of a workspace that is not mounted; made if there is none."""
    directory.mkdir(exist_ok=True)
    fd = open_store(str(directory), None, create=True)
    try:
        store = LocalStore.open(fd, create=True)
        try:
            repository = Repository.open(store, SystemClock(), IDENTITY)
            yield repository
            repository.close()
        finally:
            store.close()
    finally:
        os.close(fd)


def stored_tree(repository: Repository) -> Tree:
    """Walk the root view in process; nodes, entries, objects and the inode table must agree."""
    workspace = repository.root.workspace
    repository.checkpoint()
    names: dict[int, list[bytes]] = {}
    found: Tree = {}
    nodes: dict[int, Node] = {workspace.root.ino: workspace.root}
    pending: list[tuple[bytes, DirNode]] = [(b"", workspace.root)]
    while pending:
        prefix, directory = pending.pop()
        _check_directory(workspace, directory)
        for name in list(workspace.names(directory)):
            node = workspace.lookup(directory, name)
            assert node is not None
            assert repository.inodes.nodes[node.ino] is node
            path = prefix + name
            names.setdefault(node.ino, []).append(path)
            nodes[node.ino] = node
            if isinstance(node, DirNode):
                assert (node.parent, node.name) == (directory, name)
                pending.append((path + b"/", node))
            found[path] = _found(workspace, node)
    assert repository.inodes.nodes.keys() == nodes.keys(), "an inode that no name leads to"
    for ino, paths in names.items():
        node = nodes[ino]
        assert isinstance(node, DirNode) or node.link_count == len(paths), paths
        for path in paths:
            found[path] = found[path]._replace(first=min(paths))
    return found


def _check_directory(workspace: Workspace, directory: DirNode) -> None:
    """Check that a directory's tree is the one that its entries make, whatever its history."""
    raws = read_entries(workspace.store, TreeId(directory.tree))
    assert [entry_name(raw) for raw in raws] == sorted(workspace.names(directory))
    assert write_entries(MemoryStore(), raws) == directory.tree
    kinds = [workspace.lookup(directory, entry_name(raw)) for raw in raws]
    assert directory.subdir_count == sum(isinstance(node, DirNode) for node in kinds)
    for raw, node in zip(raws, kinds, strict=True):
        assert node is not None
        if isinstance(node, LeafNode):
            assert node.encode_as(entry_name(raw), content_oid(node)) == raw
        else:
            assert node.raw == raw


def _found(workspace: Workspace, node: Node) -> Found:
    content = b""
    if isinstance(node, FileNode):
        content = bytes(workspace.working_set.read(node, 0, node.file_size + 1))
        assert len(content) == node.file_size
        if node.file_size < 1 << 20:
            assert object_id(Kind.BLOB, content) == node.oid
    elif isinstance(node, SymlinkNode):
        content = node.target
    is_directory = isinstance(node, DirNode)
    return Found(
        node.mode, node.uid, node.gid, 0 if is_directory else node.link_count,
        0 if is_directory else node.size, node.mtime_ns, b"", content,
    )  # fmt: skip
