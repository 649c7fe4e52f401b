"""Random histories, merged by heliosfs and by `git merge-tree`: one verdict, and one tree.

    .venv/bin/python -m tests.compat.merge_fuzz --pairs 3000 --seed 1

The histories have renames, changes of mode, files that become directories and back, links,
submodules, binary files and deletions; most are criss-cross, some with three merge bases.  Git runs
without the detection of renamed directories, which heliosfs does not have.
"""

from __future__ import annotations

import argparse
import hashlib
import stat
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

from heliosfs.objects.commit import Commit, Signature
from heliosfs.objects.ids import CommitId, TreeId
from heliosfs.objects.tree import NO_OID, Entry, decode_entry
from heliosfs.repo.merge.entries import MergeRules
from heliosfs.repo.merge.text import Labels
from heliosfs.repo.view import View
from heliosfs.repo.view_merge import merge_commits
from heliosfs.store.base import Store
from heliosfs.trees.edit import edit_tree
from heliosfs.trees.files import put_file, read_file
from heliosfs.trees.gitlinks import GITLINK, gitlink_of, is_gitlink
from heliosfs.trees.stored import EMPTY_TREE, read_entries
from tests.git_repository import ENVIRONMENT
from tests.tree_builder import Stage

FILE, RUN, LINK, SUBMODULE = b"100644", b"100755", b"120000", b"160000"
_KINDS = {FILE: 0o100644, RUN: 0o100755, LINK: 0o120777, SUBMODULE: 0o040755}

Leaf = tuple[bytes, bytes]
"""Mode in git's words, and bytes: of a submodule the commit in hex."""
Tree = dict[bytes, Leaf]

NAMES = (b"a", b"b", b"c", b"d", b"e")


@dataclass
class Node:
    """A commit of a history."""

    parents: list[int]
    tree: Tree


class Author:
    """Makes random trees out of trees."""

    def __init__(self, random: Random, *, repeats: bool, names: Sequence[bytes] = NAMES) -> None:
        self.random = random
        self.names = names
        self.repeats = repeats
        """True if some lines of a text are alike, so that there is a choice what matches."""
        self._serial = 0

    def tree(self) -> Tree:
        tree: Tree = {}
        for _ in range(self.random.randint(1, 6)):
            self._add(tree)
        return tree

    def edited(self, tree: Tree) -> Tree:
        tree = dict(tree)
        actions = [
            *[self._modify] * 5,
            *[self._rename] * 4,
            *[self._add] * 3,
            *[self._delete] * 2,
            self._rename_directory,
            self._chmod,
            self._become_directory,
            self._become_file,
            self._retype,
        ]
        for _ in range(self.random.randint(1, 4)):
            self.random.choice(actions)(tree)
        return tree

    def mixed(self, ours: Tree, theirs: Tree) -> Tree:
        """Return a tree that somebody might commit as the merge of two."""
        random = self.random
        form = random.randint(0, 3)
        if form == 0:
            return dict(ours)
        if form == 1:
            return dict(theirs)
        tree: Tree = {}
        for path in sorted({*ours, *theirs}):
            leaf = random.choice([ours.get(path), theirs.get(path)])
            if leaf is not None and _fits(tree, path):
                tree[path] = leaf
        return tree if form == 2 else self.edited(tree)

    def _line(self) -> bytes:
        self._serial += 1
        if self.repeats and self.random.random() < 0.3:
            return self.random.choice([b"\n", b"}\n", b"{\n", b"    return\n"])
        return b"line %d of %d\n" % (self._serial, self.random.randint(0, 999))

    def _text(self) -> bytes:
        return b"".join(self._line() for _ in range(self.random.randint(1, 15)))

    def _leaf(self) -> Leaf:
        random = self.random
        kind = random.random()
        if kind < 0.75:
            return random.choice([FILE, FILE, RUN]), self._text()
        if kind < 0.85:
            return FILE, b"\0" + random.randbytes(random.randint(1, 40))
        if kind < 0.93:
            return LINK, random.choice([b"a", b"d/b", b"nowhere"])
        if kind < 0.96:
            return FILE, b""
        return SUBMODULE, b"%040d" % random.randint(1, 5)

    def _path(self) -> bytes:
        depth = self.random.choice([1, 1, 2, 2, 3])
        return b"/".join(self.random.choice(self.names) for _ in range(depth))

    def _any(self, tree: Tree) -> bytes | None:
        return self.random.choice(sorted(tree)) if tree else None

    def _directories(self, tree: Tree) -> list[bytes]:
        return sorted({path.rpartition(b"/")[0] for path in tree} - {b""})

    def _add(self, tree: Tree) -> None:
        path = self._path()
        if _fits(tree, path):
            tree[path] = self._leaf()

    def _modify(self, tree: Tree) -> None:
        path = self._any(tree)
        if path is None:
            return
        mode, data = tree[path]
        if mode in (LINK, SUBMODULE) or b"\0" in data:
            other = self._leaf()
            while other[0] != mode:
                other = self._leaf()
            tree[path] = other
            return
        lines = data.splitlines(keepends=True)
        for _ in range(self.random.randint(1, 3)):
            at = self.random.randint(0, len(lines))
            match self.random.randint(0, 2):
                case 0:
                    lines.insert(at, self._line())
                case 1:
                    del lines[at : at + self.random.randint(1, 3)]
                case _:
                    lines[at : at + 1] = [self._line()]
        tree[path] = mode, b"".join(lines)

    def _rename(self, tree: Tree) -> None:
        path, target = self._any(tree), self._path()
        if path is None:
            return
        leaf = tree.pop(path)
        if not _fits(tree, target):
            target = path
        tree[target] = leaf
        if self.random.random() < 0.4 and leaf[0] in (FILE, RUN) and leaf[1]:
            tree[target] = leaf[0], leaf[1] + self._line()

    def _rename_directory(self, tree: Tree) -> None:
        directories = self._directories(tree)
        if not directories:
            return
        old, new = self.random.choice(directories), self._path()
        moved = {path: tree.pop(path) for path in list(tree) if path.startswith(old + b"/")}
        for path, leaf in moved.items():
            target = new + path[len(old) :]
            if _fits(tree, target):
                tree[target] = leaf

    def _delete(self, tree: Tree) -> None:
        path = self._any(tree)
        if path is None:
            return
        if self.random.random() < 0.3 and b"/" in path:
            above = path.rpartition(b"/")[0]
            for each in [each for each in tree if each.startswith(above + b"/")]:
                del tree[each]
        else:
            del tree[path]

    def _chmod(self, tree: Tree) -> None:
        path = self._any(tree)
        if path is not None and tree[path][0] in (FILE, RUN):
            mode, data = tree[path]
            tree[path] = (RUN if mode == FILE else FILE), data

    def _become_directory(self, tree: Tree) -> None:
        path = self._any(tree)
        if path is None:
            return
        leaf = tree.pop(path)
        name = self.random.choice(self.names)
        tree[path + b"/" + name] = leaf if self.random.random() < 0.5 else self._leaf()

    def _become_file(self, tree: Tree) -> None:
        directories = self._directories(tree)
        if not directories:
            return
        path = self.random.choice(directories)
        below = {each: tree.pop(each) for each in list(tree) if each.startswith(path + b"/")}
        leaf = self.random.choice(list(below.values()))
        tree[path] = leaf if self.random.random() < 0.4 else self._leaf()

    def _retype(self, tree: Tree) -> None:
        path = self._any(tree)
        if path is not None:
            tree[path] = self._leaf()


def _fits(tree: Tree, path: bytes) -> bool:
    """Return True if nothing at or above the path is a file, and nothing lies below it."""
    parts = path.split(b"/")
    above = {b"/".join(parts[:count]) for count in range(1, len(parts) + 1)}
    return not (above & tree.keys()) and not any(each.startswith(path + b"/") for each in tree)


def history(author: Author) -> list[Node]:
    """A random history; its last two commits are those to merge."""
    random = author.random
    nodes = [Node([], author.tree())]

    def commit(*parents: int) -> int:
        trees = [nodes[each].tree for each in parents]
        tree = author.edited(trees[0]) if len(trees) == 1 else author.mixed(trees[0], trees[1])
        nodes.append(Node(list(parents), tree))
        return len(nodes) - 1

    tips = [commit(0) for _ in range(random.choice([2, 2, 2, 3]))]
    for _ in range(random.choice([0, 1, 1, 1, 2])):
        if len(tips) == 3:
            one, two, three = tips
            left, right = commit(one, two), commit(two, one)
            tips = [commit(left, three), commit(right, three), three]
            tips = tips[: random.choice([2, 2, 3])]
        else:
            tips = [commit(tips[0], tips[1]), commit(tips[1], tips[0])]
        tips = [commit(tip) if random.random() < 0.6 else tip for tip in tips]
    ours, theirs = tips[:2]
    commit(ours)
    if commit(theirs) != len(nodes) - 1 or len(nodes) < 3:
        raise AssertionError
    return nodes


class Both:
    """The same commits in a repository of git and in one of heliosfs."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._stage = Stage()
        self._seconds = 1_700_000_000
        self._stream: list[bytes] = []
        self._mark = 0
        self._ids: dict[bytes, bytes] = {}
        subprocess.run(["git", "init", "-q", "--bare", str(directory)], check=True, env=ENVIRONMENT)

    @property
    def store(self) -> Store:
        return self._stage.store

    @property
    def view(self) -> View:
        return self._stage.view

    def commit(self, oid: CommitId | None) -> Commit:
        assert oid is not None
        return self._stage.repository.history.read(oid)

    def parents(self, oid: CommitId) -> tuple[CommitId, ...]:
        return self.commit(oid).parents

    def write(self, nodes: list[Node]) -> list[tuple[int, CommitId]]:
        """Add a history; return the mark and the id of each commit."""
        written: list[tuple[int, CommitId]] = []
        for node in nodes:
            self._seconds += 60
            self._mark += 1
            who = b"T <t@example.com> %d +0000" % self._seconds
            lines = [b"commit refs/marks/%d\nmark :%d\n" % (self._mark, self._mark)]
            lines.append(b"committer %s\ndata 0\n" % who)
            for each, (mark, _) in enumerate(written[parent] for parent in node.parents):
                lines.append(b"%s :%d\n" % (b"merge" if each else b"from", mark))
            lines.append(b"deleteall\n")
            for path, (mode, data) in node.tree.items():
                if mode == SUBMODULE:
                    lines.append(b"M 160000 %s %s\n" % (data, path))
                else:
                    lines.append(b"M %s inline %s\n" % (mode, path))
                    lines.append(b"data %d\n%s\n" % (len(data), data))
            self._stream += lines
            signature = Signature(b"T", b"t@example.com", self._seconds, 0)
            parents = tuple(written[each][1] for each in node.parents)
            root = stored_root(self.store, node.tree)
            oid = self._stage.repository.history.write(
                Commit(root, parents, signature, signature, b"")
            )
            written.append((self._mark, oid))
        return written

    def send(self) -> None:
        """Hand what was written to git."""
        subprocess.run(
            ["git", "fast-import", "--quiet"],
            cwd=self._directory,
            input=b"".join(self._stream),
            check=True,
            env=ENVIRONMENT,
        )
        self._stream = []

    def by_git(self, ours: int, theirs: int) -> tuple[bool, str, str]:
        """Return True if it is clean, the tree, and the messages of git."""
        argv = ["git", "-c", "merge.directoryRenames=false", "merge-tree", "--write-tree"]
        argv += [f"refs/marks/{ours}", f"refs/marks/{theirs}"]
        done = subprocess.run(
            argv,
            cwd=self._directory,
            capture_output=True,
            check=False,
            env=ENVIRONMENT,
            timeout=60,
        )
        if done.returncode not in (0, 1):
            raise AssertionError(done.stderr)
        text = done.stdout.decode()
        return done.returncode == 0, text.partition("\n")[0], text

    def by_heliosfs(self, ours: CommitId, theirs: CommitId) -> tuple[bool, str, str]:
        rules = MergeRules(labels=Labels("HEAD", "base", "theirs"))
        merged = merge_commits(self._stage.repository, ours, theirs, rules)
        found = ", ".join(f"{each.kind}: {each.path!r}" for each in merged.conflicts)
        return not merged.conflicts, git_tree(self.store, merged.root, self._ids), found

    def git_listing(self, tree: str) -> str:
        argv = ["git", "ls-tree", "-r", tree]
        return subprocess.run(
            argv, cwd=self._directory, capture_output=True, check=True, env=ENVIRONMENT, text=True
        ).stdout


def stored_root(store: Store, tree: Tree) -> Entry:
    """Store a tree; return its root."""
    edits: dict[bytes, Entry | None] = {}
    for path, (mode, data) in tree.items():
        name = path.rpartition(b"/")[2]
        entry = Entry(name, _KINDS[mode], 1000, 1000, 0, 0, NO_OID)
        if mode == LINK:
            entry = entry._replace(target=data)
        elif mode == SUBMODULE:
            entry = entry._replace(oid=EMPTY_TREE, xattrs={GITLINK: data})
        else:
            entry = entry._replace(oid=put_file(store, data), size=len(data))
        edits[path] = entry
    return edit_tree(store, Entry(b"", 0o040755, 1000, 1000, 0, 0, EMPTY_TREE), edits, 0)


def git_tree(store: Store, root: Entry, known: dict[bytes, bytes]) -> str:
    """Return the id that git has for a tree."""
    return _git_tree(store, root, known).hex()


def _git_tree(store: Store, directory: Entry, known: dict[bytes, bytes]) -> bytes:
    rows = []
    for raw in read_entries(store, TreeId(directory.oid)):
        entry, _ = decode_entry(raw)
        if is_gitlink(entry):
            rows.append((entry.name, b"160000", gitlink_of(entry)))
        elif entry.is_dir:
            oid = _git_tree(store, entry, known)
            if oid != hashlib.sha1(b"tree 0\0").digest():
                rows.append((entry.name, b"40000", oid))
        elif stat.S_ISLNK(entry.mode):
            rows.append((entry.name, LINK, _git_id(b"blob", entry.target)))
        else:
            mode = RUN if entry.mode & 0o100 else FILE
            oid = known.get(entry.oid) or _git_id(b"blob", read_file(store, entry))
            known[entry.oid] = oid
            rows.append((entry.name, mode, oid))
    rows.sort(key=lambda row: row[0] + b"/" * (row[1] == b"40000"))
    return _git_id(b"tree", b"".join(b"%s %s\0%s" % (row[1], row[0], row[2]) for row in rows))


def _git_id(kind: bytes, data: bytes) -> bytes:
    return hashlib.sha1(b"%s %d\0%s" % (kind, len(data), data)).digest()


@dataclass
class Difference:
    """A merge on which the two do not agree."""

    seed: int
    kind: str
    nodes: list[Node]
    by_git: str
    by_heliosfs: str


def compare(directory: Path, seed: int, pairs: int, *, repeats: bool) -> Iterator[Difference]:
    """Merge so many random pairs with both.  An error of either is raised."""
    both = Both(directory)
    written = []
    for each in range(seed, seed + pairs):
        nodes = history(Author(Random(each), repeats=repeats))
        written.append((each, nodes, both.write(nodes)))
    both.send()
    for each, nodes, commits in written:
        (our_mark, ours), (their_mark, theirs) = commits[-2:]
        git = both.by_git(our_mark, their_mark)
        try:
            here = both.by_heliosfs(ours, theirs)
        except Exception as error:
            raise AssertionError(f"the merge of seed {each} failed") from error
        if git[0] != here[0]:
            yield Difference(each, "verdict", nodes, git[2], here[2])
        elif git[0] and git[1] != here[1]:
            yield Difference(each, "tree", nodes, both.git_listing(git[1]), here[1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--repeats", action="store_true", help="texts with lines that are alike")
    parser.add_argument("-v", "--verbose", action="store_true")
    wish = parser.parse_args()
    found = 0
    for start in range(wish.seed, wish.seed + wish.pairs, 200):
        count = min(200, wish.seed + wish.pairs - start)
        with tempfile.TemporaryDirectory() as name:
            for each in compare(Path(name), start, count, repeats=wish.repeats):
                found += 1
                print(f"seed {each.seed}: {each.kind}\n  git: {each.by_git!r}")
                print(f"  heliosfs: {each.by_heliosfs!r}")
                if wish.verbose:
                    for number, node in enumerate(each.nodes):
                        print(f"   {number} {node.parents}")
                        for path, leaf in sorted(node.tree.items()):
                            print(f"      {path!r} {leaf!r}")
    print(f"{wish.pairs} pairs, {found} differences")


if __name__ == "__main__":
    main()
