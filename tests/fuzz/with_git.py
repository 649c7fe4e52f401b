"""Harnesses that compare merges and diffs with those of git.

What differs on purpose is in `docs/how-to/merge.md` and `docs/decisions/`, and is left out here by
the rule that makes it differ.
"""

from __future__ import annotations

import re
import zlib
from collections import Counter
from collections.abc import Callable
from itertools import combinations
from random import Random

from heliosfs.clock import FixedClock
from heliosfs.commands.diff.changes import compare, name_status
from heliosfs.commands.diff.hunks import Spaces, Words
from heliosfs.commands.diff.patch import Patch
from heliosfs.commands.diff.stat import diffstat, numstat, shortstat, summary
from heliosfs.commands.render import bytes_of, text_of
from heliosfs.objects.commit import Commit, Signature
from heliosfs.objects.ids import CommitId
from heliosfs.objects.tree import Entry
from heliosfs.repo.ancestry import merge_bases
from heliosfs.repo.merge.entries import EntryMerger, MergeRules
from heliosfs.repo.merge.text import Labels
from heliosfs.repo.merge.trees import Conflict
from heliosfs.repo.repository import Repository
from heliosfs.repo.view_merge import merge_commits
from heliosfs.steps import at_once
from heliosfs.store.memory import MemoryStore
from heliosfs.trees.attributes import Attributes
from heliosfs.trees.files import put_file, read_file
from tests.compat.merge_fuzz import FILE, NAMES, Author, Node, Tree, git_tree, history, stored_root
from tests.compat.texts import edited, text
from tests.fuzz.git_answers import NoAnswer, git
from tests.fuzz.harness import Harness
from tests.tree_builder import IDENTITY

_CUT = b"\xfe"
"""Separates the texts of an input."""
_CASES_MAX = 8
"""Texts that are merged in one merge of trees."""
_SECONDS = 1_700_000_000
_ADDED = b"\0\0"
"""Begins a base that is not there: both sides added the file."""
_CONTEXTS = (3, 0, 1, 9)
_WORDS = (Words.NONE, Words.NONE, Words.PLAIN, Words.PORCELAIN)
_INDEX = re.compile(rb"^index [0-9a-f]+\.\.[0-9a-f]+", re.MULTILINE)
_ODD_NAMES = (*NAMES, b"with blank", b'tab\tq"', b"\xff", "\u00fc".encode())


class Choices(Random):
    """Random choices that are bytes of an input; after its end, they follow from all of it."""

    def __init__(self, data: bytes) -> None:
        super().__init__(zlib.crc32(data))
        self._data = data
        self._at = 0

    def random(self) -> float:
        return self.getrandbits(16) / 65536

    def getrandbits(self, count: int, /) -> int:
        size = -(-count // 8)
        taken = self._data[self._at : self._at + size]
        self._at += size
        if len(taken) < size:
            return super().getrandbits(count)
        return int.from_bytes(taken, "little") & ((1 << count) - 1)


# Merges of texts.


def _merge_texts(data: bytes) -> None:
    """Merge texts, three after another, each in a file of its own; all are of one merge of git.

    The first byte says how: with conflicts between markers, or with the lines of both.
    """
    is_union = data[:1] == b"u"
    texts = data[1:].split(_CUT)
    base: Tree = {}
    ours: Tree = {}
    theirs: Tree = {}
    for number, at in enumerate(range(0, min(len(texts), 3 * _CASES_MAX), 3)):
        path = b"%d.union" % number if is_union else b"%d" % number
        old, mine, other, *_ = [*texts[at : at + 3], b"", b""]
        if not old.startswith(_ADDED):
            base[path] = FILE, old
        ours[path], theirs[path] = (FILE, mine), (FILE, other)
    answers = git()
    root = answers.commit(answers.tree(base), [], _SECONDS)
    tips = [answers.commit(answers.tree(each), [root], _SECONDS) for each in (ours, theirs)]
    # In git, the style of conflicts has a bearing on unions, too.
    by_git = answers.merge(tips[0], tips[1], style="merge" if is_union else "diff3")
    merged, conflicts = _merged_texts((base, ours, theirs), Labels(tips[0], root, tips[1]))
    found = {each.rpartition(b"\t")[2] for each in by_git.conflicts}
    assert conflicts == found, (conflicts, by_git)
    assert answers.tree(merged) == by_git.tree, (merged, by_git)


def _merged_texts(sides: tuple[Tree, Tree, Tree], labels: Labels) -> tuple[Tree, set[bytes]]:
    store = MemoryStore()
    attributes = Attributes(store, None, [b"merge"], info=b"*.union merge=union\n")
    merger = EntryMerger(store, MergeRules(labels=labels, attributes=attributes), 0)
    base, ours, theirs = (_entries(store, side) for side in sides)
    merged: Tree = {}
    conflicts = set()
    for path, mine in ours.items():
        result = merger.merge(base.get(path), mine, theirs[path], path)
        assert result.entry is not None
        merged[path] = FILE, read_file(store, result.entry)
        if result.conflict:
            conflicts.add(path)
    return merged, conflicts


def _entries(store: MemoryStore, files: Tree) -> dict[bytes, Entry]:
    return {
        path: Entry(path, 0o100644, 0, 0, 0, len(data), put_file(store, data))
        for path, (_, data) in files.items()
    }


def _three_seeds() -> list[bytes]:
    random = Random(3)
    inputs = []
    for size in (0, 3, 12, 40):
        parts = []
        for _ in range(3):
            base = text(random, size)
            parts += [b"".join(each) for each in (base, edited(random, base), edited(random, base))]
        inputs += [b"m" + _CUT.join(parts), b"u" + _CUT.join(parts)]
    small = [(b"a\nb", b"a\nc", b"a\nb\n"), (_ADDED, b"1", b"2"), (b"{\n", b"  ", b"")]
    small += [(b"a\r\nb\r\n", b"a\r\nc", b"a\r\nd\r\n")]
    return [*inputs, *(way + _CUT.join(each) for each in small for way in (b"m", b"u"))]


# Merges of trees.


def _merge_trees(data: bytes) -> None:
    """Make a history, and merge its last two commits."""
    choices = Choices(data)
    nodes = history(Author(choices, repeats=choices.random() < 0.5))
    answers = git()
    in_git: list[str] = []
    repository = Repository.open(MemoryStore(), FixedClock(), IDENTITY)
    here: list[CommitId] = []
    for number, node in enumerate(nodes):
        seconds = _SECONDS + 60 * number
        parents = [in_git[each] for each in node.parents]
        in_git.append(answers.commit(answers.tree(node.tree), parents, seconds))
        who = Signature(b"T", b"t@example.org", seconds, 0)
        root = stored_root(repository.store, node.tree)
        commit = Commit(root, tuple(here[each] for each in node.parents), who, who, b"")
        here.append(repository.history.write(commit))
    by_git = answers.merge(*in_git[-2:])
    merged = merge_commits(repository, here[-2], here[-1], MergeRules())
    found = merge_bases(repository.history, here[-2], here[-1])
    bases = [nodes[here.index(each)] for each in found]
    if by_git.is_clean == (not merged.conflicts):
        is_same = git_tree(repository.store, merged.root, {}) == by_git.tree
        assert not by_git.is_clean or is_same or _is_a_choice(bases, nodes), _told(nodes)
        return
    is_meant = by_git.is_clean and all(
        _is_meant(each, merged.conflicts, nodes[-2].tree, nodes[-1].tree)
        for each in merged.conflicts
    )
    is_meant = is_meant or _is_a_choice(bases, nodes)
    assert is_meant or _is_base_undecided(repository, *here[-2:]), (
        f"{merged.conflicts} here, {by_git} by git: {_told(nodes)}"
    )


def _is_a_choice(bases: list[Node], nodes: list[Node]) -> bool:
    """Return True if a side added several files that equal one which it removed.

    Which of them was moved is decided by the order of git's hash table.  Of several bases, the
    merge may have had what was removed.
    """
    for tip in nodes[-2:]:
        if len(bases) > 1 and len(set(tip.tree.values())) < len(tip.tree):
            return True
        for base in bases:
            gone = {leaf for path, leaf in base.tree.items() if path not in tip.tree}
            added = Counter(leaf for path, leaf in tip.tree.items() if path not in base.tree)
            if any(added[leaf] > 1 for leaf in gone):
                return True
    return False


def _is_meant(conflict: Conflict, others: list[Conflict], ours: Tree, theirs: Tree) -> bool:
    """Return True for a conflict with a moved file that git does not see.

    It was moved to where both sides have the same, or one has an empty file; or two files were
    moved to one path, of which the other side replaced one by a file of another kind.
    """
    path = conflict.path
    kinds = {each.kind for each in others if each.path == path}
    there = ours.get(path), theirs.get(path)
    is_empty = any(leaf is not None and not leaf[1] for leaf in there)
    if "rename/add" not in kinds:
        return False
    return kinds == {"rename/add", "type"} or there[0] == there[1] or is_empty


def _is_base_undecided(repository: Repository, ours: CommitId, theirs: CommitId) -> bool:
    """Return True if two merge bases conflict: the markers in their merge have other words."""
    bases = merge_bases(repository.history, ours, theirs)
    rules = MergeRules(is_virtual=True)
    return any(
        merge_commits(repository, one, other, rules).conflicts
        for one, other in combinations(bases, 2)
    )


def _told(nodes: list[Node]) -> str:
    return "\n".join(f"{number} {each.parents} {each.tree}" for number, each in enumerate(nodes))


def _random_seeds() -> list[bytes]:
    random = Random(4)
    return [random.randbytes(size) for size in (10, 100, 400, 400, 1000, 1000)]


# Differences.


def _diff_texts(data: bytes) -> None:
    """Compare two versions of a file: hunks with context, spaces, words; counts."""
    flags = data[:2].ljust(2, b"\0")
    old, _, new = data[2:].partition(_CUT)
    words = list(_WORDS)[flags[0] >> 4 & 3]
    spaces = list(Spaces)[flags[0] & 3]
    context = _CONTEXTS[flags[0] >> 2 & 3]
    trees: tuple[Tree, Tree] = {b"file": (FILE, old)}, {b"file": (FILE, new)}
    # Words are compared as they are, whatever spaces do not count.
    _compare(trees, context, Spaces.ALL if words is not Words.NONE else spaces, words)


def _diff_trees(data: bytes) -> None:
    """Compare two trees: names, renames, modes, links, submodules, counts and hunks."""
    choices = Choices(data)
    author = Author(choices, repeats=choices.random() < 0.5, names=_ODD_NAMES)
    old = author.tree()
    new = old
    for _ in range(choices.randint(1, 3)):
        new = author.edited(new)
    _compare((old, new), 3, Spaces.ALL, Words.NONE)


def _compare(trees: tuple[Tree, Tree], context: int, spaces: Spaces, words: Words) -> None:
    answers = git()
    ids = [answers.tree(each) for each in trees]
    options = ["-M", "--no-rename-empty"]
    if spaces is not Spaces.ALL:
        options.append(f"--{spaces.value}")
    store = MemoryStore()
    roots = [stored_root(store, each) for each in trees]
    changes = compare(store, *roots)
    patch = Patch(store, context, spaces, words)
    here: dict[str, Callable[[], str]] = {
        "-p": lambda: text_of(at_once(patch.text(changes))),
        "--name-status": lambda: name_status(changes, letters=True),
        "--numstat": lambda: at_once(numstat(patch, changes)),
        "--stat=80": lambda: at_once(diffstat(patch, changes)),
        "--shortstat": lambda: at_once(shortstat(patch, changes)),
        "--summary": lambda: summary(changes),
    }
    for form, make in here.items():
        # These ask for a patch, too.
        more = [f"-U{context}", f"--word-diff={words.value}"] if form == "-p" else []
        by_git = answers.diff(ids[0], ids[1], [*options, *more, form])
        found = bytes_of(make())
        assert _masked(found) == _masked(by_git), f"{form}:\n{found!r}\nby git:\n{by_git!r}"


def _masked(diff: bytes) -> bytes:
    """Leave out the ids of blobs, which are others here."""
    return _INDEX.sub(b"index ..", diff)


def _two_seeds() -> list[bytes]:
    random = Random(5)
    inputs = [bytes((flags, 0)) + b"a\nb" + _CUT + b"a\nb\n" for flags in range(0, 64, 7)]
    for flags in range(0, 64, 5):
        old = text(random, random.choice((0, 3, 20, 60)))
        both = b"".join(old), b"".join(edited(random, old))
        inputs.append(bytes((flags, 0)) + _CUT.join(both))
    return inputs


_LINES = (
    b"\n",
    b"}\n",
    b"{\n",
    b"    return\n",
    b"\t\n",
    b"a b\n",
    b" \r\n",
    b"\v",
    b"\f",
    b"x",
    b"\xc3\xa9",
    _CUT,
)

HARNESSES = [
    Harness("merge-texts", _merge_texts, (), _three_seeds, (*_LINES, _ADDED)),
    Harness("merge-trees", _merge_trees, (NoAnswer,), _random_seeds),
    Harness("diff-texts", _diff_texts, (), _two_seeds, _LINES),
    Harness("diff-trees", _diff_trees, (), _random_seeds),
]
