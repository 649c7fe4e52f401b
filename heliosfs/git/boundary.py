"""The commits of a push that are here already, and the objects in their trees.

An export notes what commits became in git, and not what each file became.  A push of one commit on
top of them leads to files that git does not list again, because the commit before has them.
"""

from __future__ import annotations

import stat
from collections.abc import Iterable
from functools import partial
from typing import NamedTuple

from heliosfs.git.ids import IdMap
from heliosfs.git.process import Git
from heliosfs.objects.blob import WHOLE_MAX
from heliosfs.objects.ids import BlobId, CommitId, Kind, TreeId, object_id
from heliosfs.objects.tree import Entry, decode_entry
from heliosfs.repo.history import History
from heliosfs.steps import TURN, Steps, on_thread
from heliosfs.store.base import Store
from heliosfs.trees.gitlinks import gitlink_of
from heliosfs.trees.stored import read_entries

_LINES_TURN = 256
_TREE = b"tree"
_BLOB = b"blob"


class _GitEntry(NamedTuple):
    kind: bytes
    git_id: bytes


def find_boundary(
    git: Git, wanted: Iterable[bytes], ids: IdMap, known: set[bytes]
) -> Steps[set[bytes]]:
    """Return the commits here that are parents of ones that are not, in the history of `wanted`.

    Cost: a walk of git over the commits that `wanted` reaches, and none of `known` does.
    """
    found: set[bytes] = set()
    lines = yield from on_thread(partial(_history, git, list(wanted), known))
    for count, line in enumerate(lines):
        oid, *parents = (bytes.fromhex(word) for word in line.decode("ascii").split())
        if ids.commit(oid) is None:
            found.update(each for each in parents if ids.commit(each) is not None)
        if not count % _LINES_TURN:
            yield TURN
    return found


def _history(git: Git, wanted: list[bytes], known: set[bytes]) -> list[bytes]:
    revisions = [each.hex() for each in wanted] + [f"^{each.hex()}" for each in sorted(known)]
    data = "".join(f"{line}\n" for line in revisions).encode()
    argv = ("rev-list", "--parents", "--ignore-missing", "--stdin")
    return git.ask(*argv, data=data, seconds=None).splitlines()


class Pairing:
    """A comparison, path by path, of trees here with those that they are in git.

    It notes what each file and directory became, as an import would have.  Trees that are noted
    are not read: the cost is O(paths) in git and O(changed) here.
    """

    def __init__(self, store: Store, history: History, git: Git, ids: IdMap) -> None:
        self._store = store
        self._history = history
        self._git = git
        self._ids = ids

    def run(self, boundary: Iterable[bytes]) -> Steps[None]:
        """Note the objects of some commits, and publish the notes.  Raise StoreError."""
        for git_id in sorted(boundary):
            oid = self._ids.commit(git_id)
            # What was imported is noted.
            if oid is not None and not self._history.read(oid).git:
                yield from self._pair(git_id, oid)
        self._ids.publish()

    def _pair(self, git_id: bytes, oid: CommitId) -> Steps[None]:
        root, paths = yield from on_thread(partial(_paths, self._git, git_id))
        pending = [(b"", self._history.read(oid).root, root)]
        done: list[tuple[bytes, Entry]] = []
        while pending:
            prefix, entry, tree = pending.pop()
            if self._ids.find(tree) is not None:
                continue
            done.append((tree, entry))
            for encoded in read_entries(self._store, TreeId(entry.oid)):
                below, _ = decode_entry(encoded)
                known = paths.get(prefix + below.name)
                if known is None or gitlink_of(below):
                    continue
                if below.is_dir and known.kind == _TREE:
                    pending.append((prefix + below.name + b"/", below, known.git_id))
                elif known.kind == _BLOB:
                    self._note_file(known.git_id, below)
            yield TURN
        # A tree is noted after all that it leads to, and what was noted last comes first here.
        for tree, entry in reversed(done):
            self._ids.note(tree, Kind.TREE, entry.oid, entry.size)

    def _note_file(self, git_id: bytes, entry: Entry) -> None:
        if self._ids.find(git_id) is not None:
            return
        if stat.S_ISREG(entry.mode):
            kind = Kind.BLOB if entry.size <= WHOLE_MAX else Kind.PARTS
            self._ids.note(git_id, kind, entry.oid, entry.size)
        elif stat.S_ISLNK(entry.mode):
            # The entry has the target here; a new entry is made from the blob that git has.
            oid = BlobId(object_id(Kind.BLOB, entry.target))
            self._store.add(oid, Kind.BLOB, entry.target)
            self._ids.note(git_id, Kind.BLOB, oid, len(entry.target))


def _paths(git: Git, commit: bytes) -> tuple[bytes, dict[bytes, _GitEntry]]:
    """Return the id of a commit's tree, and what is at each path below it."""
    root = git.ask("rev-parse", "--verify", f"{commit.hex()}^{{tree}}").decode("ascii").strip()
    said = git.ask("ls-tree", "-r", "-t", "-z", "--full-tree", root, seconds=None)
    found = {}
    for line in said.split(b"\0"):
        fields, _, path = line.partition(b"\t")
        if path:
            _, kind, git_id = fields.split(b" ")
            found[path] = _GitEntry(kind, bytes.fromhex(git_id.decode("ascii")))
    return bytes.fromhex(root), found
