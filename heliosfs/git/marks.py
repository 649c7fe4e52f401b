"""Marks of git that a workspace lacks if it held the files before the history was imported."""

from __future__ import annotations

import stat

from heliosfs.git.modes import LEGACY_MODE
from heliosfs.objects.ids import TreeId
from heliosfs.objects.tree import FLAGS_AT, XATTRS, Entry, decode_entry
from heliosfs.repo.view import View
from heliosfs.steps import TURN, Steps
from heliosfs.trees.gitlinks import GITLINK
from heliosfs.trees.stored import read_entries
from heliosfs.workspace.nodes import DirNode, Node

_DIRECTORY = stat.S_IFDIR
_OURS = (GITLINK, LEGACY_MODE)


def carry_marks(view: View) -> Steps[None]:
    """Copy the marks of HEAD's entries to the files and directories at the same paths.

    So a submodule is exported as one by the next commit, and a plain directory as a directory.
    Cost: reads the trees of HEAD.
    """
    root = view.head_root()
    if root is None:
        return
    store, workspace = view.core.store, view.workspace
    pending: list[tuple[Node, Entry]] = [(workspace.root, root)]
    while pending:
        node, entry = pending.pop()
        if not isinstance(node, DirNode) or not entry.is_dir:
            continue
        for raw in read_entries(store, TreeId(entry.oid)):
            is_dir = int.from_bytes(raw[:2], "little") & 0o170000 == _DIRECTORY
            if not is_dir and not raw[FLAGS_AT] & XATTRS:
                continue
            below, _ = decode_entry(raw)
            child = workspace.lookup(node, below.name)
            if child is not None and stat.S_IFMT(child.mode) == stat.S_IFMT(below.mode):
                _mark(child, below)
                pending.append((child, below))
        yield TURN


def _mark(node: Node, entry: Entry) -> None:
    marks = {name: value for name, value in (entry.xattrs or {}).items() if name in _OURS}
    before = node.xattrs or {}
    kept = {name: value for name, value in before.items() if name != GITLINK}
    if kept | marks != before:
        node.touch()
        node.xattrs = kept | marks or None
