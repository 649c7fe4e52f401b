"""Random patterns before git and us: `python -m tests.compat.fuzz_patterns COUNT SEED KIND`.

Each file of patterns is put before `git check-ignore` or `git check-attr` with some of the paths
of a small tree, and before our own lists.  A pair is one path under one file.
"""

from __future__ import annotations

import random
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from heliosfs.trees.attributes import Attributes, Value
from heliosfs.trees.patterns import PatternList, parse_lines
from tests.git_repository import ENVIRONMENT, Clone, git
from tests.tree_builder import Stage

NAMES = [
    b"a", b"b", b"ab", b"c", b"a.o", b"b.o", b"[", b"]", b"a]", b"-", b"^", b"!", b"\\", b"*", b"?",
    b" ", b"a ", b"\xe9", b"\xff", b"\xc3\xa9", b"A", b"1", b"_", b"\x0b", b"\t", b"a\\b", b"foo",
    b"foobar", b"bar", b"x", b"\x7f", b"a-b", b"#a", b":", b"aaab", b"abab.o",
]  # fmt: skip
PIECES = [
    b"a", b"b", b"c", b"*", b"*", b"**", b"?", b"/", b"/", b"**/", b"/**", b"/**/", b"***", b"[ab]",
    b"[!b]", b"[^a]", b"[a-c]", b"[z-a]", b"[]]", b"[!]a]", b"[\\]a]", b"[a-]", b"[-a]", b"[/]",
    b"[!/]", b"[a-\\]]", b"[\\a-c]", b"[+-0]", b"[[:alpha:]]", b"[[:digit:]b]", b"[![:space:]]",
    b"[[:nope:]]", b"[[:punct:]]", b"[[:cntrl:]]", b"[[:graph:]]", b"[[:blank:]]", b"[[:space:]]",
    b"[[:alpha:]-z]", b"[[:xdigit:]]", b"[[.a.]]", b"[[:a]", b"[:a]", b"[", b"]", b"\\", b"\\*",
    b"\\[", b"\\]", b"\\a", b"\\\\", b"\\ ", b"\\/", b" ", b"-", b"!", b"^", b"\xe9",
    b"[\xe0-\xff]", b"[!\x80-\xff]", b".o", b"foo", b"bar", b"\r", b"A", b"#",
]  # fmt: skip
IS_NEWER = tuple(map(int, re.findall(rb"\d+", git(Path(), "version"))[:2])) >= (2, 52)
STARS_BEHIND_LETTERS = re.compile(rb"/?[^*?\[\\]*[^*?\[\\/]\*\*")
"""Such as `a**/b`, which git reads in another way since 2.52; we do as it did before."""
ATTRIBUTES = (b"text", b"diff", b"merge", b"filter", b"m1", b"m2", b"binary")
STATES = [
    b"text", b"-text", b"!text", b"text=auto", b"diff", b"-diff", b"!diff", b"diff=python",
    b"merge", b"-merge", b"merge=union", b"filter=lfs", b"-filter", b"m1", b"-m1", b"!m1", b"m2",
    b"m1=x",
    b"binary", b"-binary", b"!binary", b"=x", b"--text", b"text=", b"-text=x", b"t\xe9xt",
]  # fmt: skip
PATHS_EACH = 40
FILES_PER_TREE = 200


class Difference(NamedTuple):
    """A path under a file of patterns, and the lines that decide about it; 0 is none."""

    data: bytes
    path: bytes
    theirs: int | bytes
    ours: int | bytes


class Tree:
    """A small tree in a git repository, of odd names."""

    def __init__(self, place: Path, random_: random.Random) -> None:
        self.clone = Clone(place)
        self.is_dir: dict[bytes, bool] = {}
        while len(self.is_dir) < 120:
            path = b"/".join(random_.choices(NAMES, k=random_.choice([1, 1, 2, 2, 3, 4])))
            above = [path[:at] for at in range(len(path)) if path[at : at + 1] == b"/"]
            if path in self.is_dir or not all(self.is_dir.get(each, True) for each in above):
                continue
            self.is_dir |= dict.fromkeys(above, True)
            self.is_dir[path] = random_.random() < 0.3
        for path, is_dir in self.is_dir.items():
            real = place / path.decode("utf-8", "surrogateescape")
            (real if is_dir else real.parent).mkdir(parents=True, exist_ok=True)
            if not is_dir:
                real.touch()


def pattern(random_: random.Random) -> bytes:
    text = b"".join(random_.choices(PIECES, k=random_.choice([1, 2, 2, 3, 3, 4, 5, 6])))
    if IS_NEWER and STARS_BEHIND_LETTERS.match(text):
        return pattern(random_)
    text = b"/" + text if random_.random() < 0.1 else text
    text = text + b"/" if random_.random() < 0.15 else text
    return b"!" + text if random_.random() < 0.1 else text


def compare_ignoring(tree: Tree, random_: random.Random) -> list[Difference]:
    """Compare some paths under one ignore file."""
    lines = [pattern(random_) for _ in range(random_.choice([1, 1, 1, 2, 3]))]
    data = b"\n".join(lines) + random_.choice([b"\n", b"", b"\r\n"])
    (tree.clone.path / ".gitignore").write_bytes(data)
    paths = random_.sample(sorted(tree.is_dir), PATHS_EACH)
    done = subprocess.run(
        ["git", "check-ignore", "-v", "-n", "--no-index", "--stdin", "-z"],
        cwd=tree.clone.path,
        # Without the dot a colon or an exclamation mark would be a pathspec's.
        input=b"".join(b"./%s\0" % path for path in paths),
        env=ENVIRONMENT,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode in (0, 1), done.stderr
    fields = done.stdout.split(b"\0")
    theirs = {fields[at + 3][2:]: int(fields[at + 1] or 0) for at in range(0, len(fields) - 1, 4)}
    parsed = parse_lines(data)
    negated = {number for number, each in parsed if each.is_negated}
    lists = (
        PatternList(each for each in parsed if not each[1].is_only_directory),
        PatternList(parsed),
    )
    found = []
    for path in paths:
        ours = max(_decided(lists, negated, path, is_dir=tree.is_dir[path]), 0)
        if theirs[path] != ours:
            found.append(Difference(data, path, theirs[path], ours))
    return found


def _decided(
    lists: tuple[PatternList, PatternList], negated: set[int], path: bytes, *, is_dir: bool
) -> int:
    parts = path.split(b"/")
    line = -1
    for at in range(1, len(parts) + 1):
        is_above = at < len(parts)
        line = lists[is_dir or is_above].last(b"/".join(parts[:at]), parts[at - 1])
        if is_above and line > 0 and line not in negated:
            break
    return line


def _spelt(value: Value | None) -> bytes:
    if isinstance(value, bytes):
        return value
    return b"unspecified" if value is None else (b"unset", b"set")[value]


def attribute_line(random_: random.Random) -> bytes:
    words = b" ".join(random_.choices(STATES, k=random_.choice([0, 1, 1, 2, 3])))
    if random_.random() < 0.2:
        return b"[attr]%s %s" % (random_.choice([b"m1", b"m2", b"binary", b"text"]), words)
    text = pattern(random_)
    if random_.random() < 0.3 and b"\r" not in text:
        escaped = text.replace(b"\\", b"\\\\").replace(b"\t", b"\\t").replace(b"\xe9", b"\\351")
        text = b'"%s"' % escaped
    return b" " * random_.randrange(2) + text + random_.choice([b" ", b"\t", b"  "]) + words


def compare_attributes(tree: Tree, random_: random.Random) -> list[Difference]:
    """Compare some paths under one or two files of attributes."""
    places = {b"", random_.choice([each for each in sorted(tree.is_dir) if tree.is_dir[each]])}
    stage = Stage()
    data = b""
    written = []
    for place in sorted(places):
        lines = [attribute_line(random_) for _ in range(random_.randrange(1, 6))]
        data = b"\n".join(lines) + random_.choice([b"\n", b"", b"\r\n"])
        path = (place + b"/.gitattributes").lstrip(b"/")
        stage.files.write(path, data)
        written.append(tree.clone.path / path.decode("utf-8", "surrogateescape"))
        written[-1].write_bytes(data)
    paths = random_.sample([each for each in sorted(tree.is_dir) if not tree.is_dir[each]], 15)
    done = subprocess.run(
        ["git", "check-attr", "--stdin", "-z", *(name.decode() for name in ATTRIBUTES)],
        cwd=tree.clone.path,
        input=b"".join(b"%s\0" % path for path in paths),
        env=ENVIRONMENT,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    fields = done.stdout.split(b"\0")
    theirs = {(fields[at], fields[at + 1]): fields[at + 2] for at in range(0, len(fields) - 1, 3)}
    for file in written:
        file.unlink()
    attributes = Attributes(stage.store, stage.view.state().root, ATTRIBUTES)
    found = []
    for path in paths:
        said = attributes.of(path)
        for name in ATTRIBUTES:
            ours = _spelt(said.get(name))
            if theirs[path, name] != ours:
                found.append(Difference(data, path, theirs[path, name], ours))
    return found


def run(
    place: Path,
    pairs: int,
    seed: int,
    compare: Callable[[Tree, random.Random], list[Difference]] = compare_ignoring,
) -> list[Difference]:
    """Compare so many pairs; return where we differ from git."""
    random_ = random.Random(seed)
    found: list[Difference] = []
    files = -(-pairs // PATHS_EACH)
    for first in range(0, files, FILES_PER_TREE):
        tree = Tree(place / str(first), random_)
        for _ in range(first, min(first + FILES_PER_TREE, files)):
            found += compare(tree, random_)
    return found


if __name__ == "__main__":
    kinds = {"ignore": compare_ignoring, "attributes": compare_attributes}
    wanted = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    start = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    with tempfile.TemporaryDirectory() as folder:
        all_found = run(Path(folder), wanted, start, kinds[(sys.argv[3:] or ["ignore"])[0]])
    for one in all_found[:20]:
        print(one)
    print(f"{wanted} pairs, {len(all_found)} differences")
    sys.exit(bool(all_found))
