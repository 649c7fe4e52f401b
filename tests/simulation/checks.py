"""The judgement of a life: what it shows, what the kernel believes, and what the disk kept."""

from __future__ import annotations

from random import Random

import trio

from heliosfs.fuse import wire
from heliosfs.fuse.attributes import build, build_listed
from heliosfs.workspace.inode import StatInode
from heliosfs.workspace.nodes import DirNode, FileNode, Listed, Node
from tests.simulation.effects import Oracle, check, shown
from tests.simulation.kernel import ATTR, PAGE_BYTES, ROOT, Inode
from tests.simulation.mount import Fault, Life

_LONG_SECONDS = 2.0
STORE_SECONDS_MAX = 3.0
"""Largest age of a dirty page: saves come every second."""
_SIZE_AND_TIMES = frozenset((1, 2, 4, 5, 7, 8))
"""Fields of the attributes that a write makes unknown."""
_UNUSED = frozenset((3, 6))
"""The access time, of which nothing is promised."""


def check_belief(life: Life) -> None:
    """Check that each answer the kernel has cached is the one that the daemon would send."""
    cache, nodes = life.cache, life.filesystem.nodes
    for inode in cache.inodes.values():
        if inode.ino == ROOT or not inode.lookups:
            continue
        if inode.ino not in nodes:
            raise Fault(f"inode {inode.ino} was dropped, and the kernel refers to it")
    for (parent, name), (ino, is_held) in list(cache.names.items()):
        if is_held:
            _check_name(life, parent, name, ino)
    for inode in cache.inodes.values():
        node = nodes.get(inode.ino)
        if node is None or (isinstance(node, Node) and node.workspace.is_closed):
            continue
        _check_attributes(node, inode)
        if isinstance(node, FileNode):
            _check_pages(life, node, inode)
        if isinstance(node, DirNode) and inode.listing is not None:
            _check_listing(life, node, inode)


def _check_name(life: Life, parent: int, name: bytes, ino: int) -> None:
    directory = life.filesystem.nodes.get(parent)
    if not isinstance(directory, DirNode) or directory.workspace.is_closed:
        return
    found = life.filesystem.peek(directory, name)
    number = found.ino if found is not None else 0
    if number != ino:
        raise Fault(f"the kernel believes that {name!r} in {parent} is {ino}: it is {number}")


def _check_attributes(node: object, inode: Inode) -> None:
    if not inode.is_attr_held or not inode.attr:
        return
    if isinstance(node, Listed):
        entry = build_listed(node)
    elif isinstance(node, StatInode) and node.is_kept:
        if isinstance(node, Node) and node.parent is None and node is not node.workspace.root:
            return
        entry = build(node)
    else:
        return
    wanted = ATTR.unpack(entry[wire.ATTR_AT :])
    for at, (one, other) in enumerate(zip(inode.attr, wanted, strict=True)):
        if at in _UNUSED or (at in _SIZE_AND_TIMES and not inode.is_size_held):
            continue
        if one != other:
            raise Fault(
                f"the kernel believes in attribute {at} of inode {inode.ino} = {one}: it is {other}"
            )


def _check_pages(life: Life, node: FileNode, inode: Inode) -> None:
    contents = life.repository.working_set
    for number, page in inode.pages.items():
        if number in inode.dirty:
            continue
        data = bytes(contents.read(node, number * PAGE_BYTES, PAGE_BYTES))
        there = page[: max(0, inode.size - number * PAGE_BYTES)]
        if data[: len(there)] != there:
            raise Fault(f"the kernel has other bytes of inode {inode.ino}, page {number}")
    if inode.is_size_held and inode.size != node.file_size:
        raise Fault(f"inode {inode.ino} has {node.file_size} bytes, the kernel says {inode.size}")


def _check_listing(life: Life, node: DirNode, inode: Inode) -> None:
    assert inode.listing is not None
    names = sorted(life.filesystem.names(node))
    if sorted(inode.listing) != names:
        raise Fault(f"the kernel's listing of {inode.ino} is {inode.listing}, and it has {names}")


def check_stores(life: Life) -> None:
    """Check that no store through a mapping waits for longer than saves do."""
    store, disk = life.cache.first_store(), life.disk
    if store is None or disk.is_full or disk.has_failed:
        return
    if trio.current_time() - store.time > STORE_SECONDS_MAX:
        raise Fault("what a mapping changed was not written back for seconds")


async def check_long_verbs(life: Life) -> None:
    """Check that a long verb can begin, once those that have begun had time to end."""
    await trio.sleep(_LONG_SECONDS)
    if life.verbs._long is not None:
        raise Fault(f"the place of a long verb, {life.verbs._long.name!r}, is taken for ever")


def check_trees(life: Life, oracle: Oracle) -> None:
    """Every branch shows what the model says."""
    model, repository = oracle.model, life.repository
    names = {branch.name for branch in repository.refs}
    check("branches", names, {name for name in model.works if name})
    for name, work in model.works.items():
        picture = life.picture_of(name)
        if picture != work.tree.picture():
            raise Fault(f"{name!r} is {shown(picture)}, not {shown(work.tree.picture())}")
        check(f"HEAD of {name!r}", oracle.head(name), work.head)


def check_commits(life: Life, oracle: Oracle, random: Random) -> None:
    """Commits that something names are what they were."""
    kept = sorted(oracle.kept_commits())
    for oid in random.sample(kept, min(3, len(kept))):
        picture = life.commit_picture(oid)
        if picture != oracle.model.commits[oid]:
            wanted = oracle.model.commits[oid]
            raise Fault(f"commit {oid.hex()[:8]} is {shown(picture)}, not {shown(wanted)}")
