"""Commands that users of git type, verb by verb, against the real git on the same history."""

from __future__ import annotations

import io
import random
import re
import subprocess
import tarfile
import time
import zipfile
from pathlib import Path

import pytest

from heliosfs.cli.local_verbs import LOCAL_VERBS
from heliosfs.cli.main import main
from heliosfs.commands.instead import OF_GIT, OPTIONS_OF_GIT, unknown_verb
from heliosfs.commands.table import VERBS
from heliosfs.commands.verb import exit_code_of
from heliosfs.errors import HeliosError
from tests.git_repository import ENVIRONMENT, Clone
from tests.tree_builder import Stage

_ID = re.compile(r"\b[0-9a-f]{7,64}\b")


def plain(text: str) -> str:
    return _ID.sub("ID", text)


class Pair:
    """A git repository, and a workspace with the same history and the same files."""

    def __init__(self, path: Path) -> None:
        self.clone = _history(path)
        self.stage = Stage()
        self.stage.run("import", "--from-git", str(path))
        self.stage.run("checkout", "trunk")

    def git(self, *words: str, cwd: str = "") -> tuple[str, int]:
        """Return git's output, and its exit code."""
        done = subprocess.run(
            ["git", *words],
            cwd=self.clone.path / cwd,
            env=ENVIRONMENT,
            capture_output=True,
            timeout=60,
            check=False,
        )
        return done.stdout.decode("utf-8", "surrogateescape"), done.returncode

    def helios(self, *words: str, cwd: str = "") -> tuple[str, int]:
        """The same of heliosfs; 128 for what is refused, as git has it."""
        try:
            reply = self.stage.run(*words, cwd=cwd)
        except HeliosError:
            return "", 128
        return reply, exit_code_of(reply)


def _history(path: Path) -> Clone:
    clone = Clone(path)
    clone.write("README.md", b"# title\n\nfirst\n")
    clone.write("src/main.c", b"int main(void)\n{\n\treturn 0;\n}\n")
    clone.write("src/lib/util.c", b"".join(b"line %d of util\n" % at for at in range(30)))
    clone.write("docs/guide.md", b"".join(b"guide line %d\n" % at for at in range(12)))
    clone.write("docs/img/logo.bin", bytes(range(256)))
    clone.write("run.sh", b"#!/bin/sh\necho hi\n", 0o755)
    clone.commit("first: everything\n\nwith a body\n")
    clone.git("tag", "light")
    clone.git("tag", "-a", "-m", "one dot zero\n\nthe body of the tag", "v1.0")
    clone.write("src/main.c", b'int main(void)\n{\n\tputs("hello");\n\treturn 0;\n}\n')
    clone.write("README.md", b"# title\n\nfirst\nsecond\n")
    clone.commit("second: say hello\n")
    clone.git("checkout", "-q", "-b", "side", "HEAD~1")
    clone.write("docs/side.md", b"side\n")
    clone.commit("side: a page\n")
    clone.git("checkout", "-q", "trunk")
    clone.merge("side")
    clone.git("mv", "docs/guide.md", "docs/manual.md")
    clone.write("docs/manual.md", b"".join(b"guide line %d\n" % at for at in range(13)))
    clone.write("run.sh", b"#!/bin/sh\necho  hi   there\n", 0o644)
    clone.write("src/main.c", b'int main(void)\n{\n  puts( "hello" );\n\treturn 0;\n}\n\n')
    clone.git("rm", "-q", "docs/side.md")
    clone.commit("third: move, retab, remove\n")
    clone.write("src/lib/util.c", b"".join(b"line %d of util\n" % at for at in range(3, 30)))
    clone.write("NEW", b"no newline at the end")
    clone.commit("fourth: shorter util\n")
    clone.git("branch", "old", "HEAD~2")
    return clone


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    return Pair(tmp_path_factory.mktemp("typed") / "git")


PATHS = [
    "log --oneline -- *.md",
    "log --oneline -- *.c :!src/lib",
    "log --oneline -- :(exclude)docs",
    "log --oneline -- :^docs :^src",
    "log --oneline -- :(icase)readme.MD",
    "log --oneline -- :(glob)docs/*.md",
    "log --oneline -- :(glob)**/*.c",
    "log --oneline -- :(glob)*.c",
    "log --oneline -- :(top)src",
    "log --oneline --name-only -- docs/*",
    "diff --name-only HEAD~3 HEAD -- *.md",
    "diff --name-status v1.0 HEAD -- :!docs",
    "diff --name-status v1.0 HEAD *.c",
    "diff --stat v1.0 HEAD -- src/*.c",
    "diff --name-only v1.0 HEAD -- [s]rc",
    "diff --name-only v1.0 HEAD -- [s]rc/*",
    "diff --name-only v1.0 HEAD -- :(literal)src",
    "show --name-only --format=%s HEAD -- *.c",
    "grep -n hello -- *.c",
    "grep -l line -- :!src",
    "grep -c util HEAD -- *.c *.md",
]
IN_A_DIRECTORY = [
    "log --oneline -- *.md",
    "log --oneline -- ../src",
    "log --oneline -- :/src",
    "log --oneline -- :!img",
    "grep -l line",
    "grep -l line -- :!*.bin",
    "diff --name-only v1.0 HEAD -- *.md",
]


@pytest.mark.parametrize("line", PATHS)
def test_pathspecs(pair: Pair, line: str) -> None:
    words = line.split()
    theirs, code = pair.git(*words)
    ours, our_code = pair.helios(*words)
    assert plain(ours) == plain(theirs)
    assert our_code == code


@pytest.mark.parametrize("line", IN_A_DIRECTORY)
def test_pathspecs_in_a_directory(pair: Pair, line: str) -> None:
    words = line.split()
    assert plain(pair.helios(*words, cwd="docs")[0]) == plain(pair.git(*words, cwd="docs")[0])


NAMES = (
    "a", "b.c", "A.md", "dir/a", "dir/b.c", "dir/sub/a.md", "dir/sub/B", "x y", "[z]", "dir2/a",
    "d/e/f/g.c", "star*", "q?", "-dash", ":colon", "back\\slash",
)  # fmt: skip
ATOMS = (
    "a", "b", ".c", "*", "**", "?", "/", "dir", "sub", "[ab]", "[!a]", "[z]", "\\*", "\\[", "md",
    "A", "d", "e", "./", "../", "x y", ":", "-", "B", "*.md",
)  # fmt: skip
MAGIC = (
    "", "", "", "", ":(icase)", ":(glob)", ":(literal)", ":(top)", ":/", ":!", ":^", ":(exclude)",
    ":(exclude,icase)", ":(top,glob)", ":(icase,glob)", ":!/", ":(exclude,literal)",
)  # fmt: skip


@pytest.mark.parametrize("seed", range(2))
def test_random_pathspecs(tmp_path: Path, seed: int) -> None:
    clone = Clone(tmp_path / "git")
    for name in NAMES:
        clone.write(name, name.encode())
    clone.commit("one")
    stage = Stage()
    stage.run("import", "--from-git", str(clone.path))
    stage.run("checkout", "trunk")
    random_ = random.Random(seed)
    for _ in range(100):
        words = [
            random_.choice(MAGIC) + "".join(random_.choices(ATOMS, k=random_.randint(1, 4)))
            for _ in range(random_.choice([1, 1, 2]))
        ]
        cwd = random_.choice(["", "", "dir", "dir/sub"])
        done = subprocess.run(
            ["git", "ls-files", "-z", "--full-name", "--", *words],
            cwd=clone.path / cwd, env=ENVIRONMENT, capture_output=True, text=True,
            timeout=60, check=False,
        )  # fmt: skip
        try:
            ours = stage.run("ls-files", "-z", "--full-name", "--", *words, cwd=cwd)
        except HeliosError:
            assert done.returncode, (cwd, words)
            continue
        assert not done.returncode, (cwd, words)
        assert ours == done.stdout, (cwd, words)


def _text(random_: random.Random) -> str:
    words = ["a", "bb", " ", "\t", "x y", "  ", "foo", "{", "}"]
    ends = ["\n", "\n", " \n", "\n\n"]
    lines = (
        "".join(random_.choices(words, k=random_.randint(0, 5))) + random_.choice(ends)
        for _ in range(random_.randint(0, 12))
    )
    return "".join(lines) + random_.choice(["", "", "end"])


def _edited(random_: random.Random, text: str) -> str:
    lines = text.splitlines(keepends=True)
    for _ in range(random_.randint(1, 4)):
        at = random_.randrange(len(lines) + 1)
        if at == len(lines) or random_.random() < 0.3:
            lines.insert(at, random_.choice(["new line\n", "\n", "a  b\n"]))
            continue
        line = lines[at]
        lines[at] = random_.choice(
            ["", line.replace("a", "a a"), re.sub(r"[ \t]+", "   ", line), line.rstrip() + "  \n"]
        )
    return "".join(lines)


def test_random_changes(tmp_path: Path) -> None:
    random_ = random.Random(7)
    clone = Clone(tmp_path / "git")
    texts = [_text(random_) for _ in range(25)]
    for edit in (lambda text: text, lambda text: _edited(random_, text)):
        for at, text in enumerate(texts):
            clone.write(f"f{at}", edit(text).encode())
        clone.commit("one more")
    stage = Stage()
    stage.run("import", "--from-git", str(clone.path))
    for line in (
        "", "-w", "-b", "--ignore-space-at-eol", "--word-diff", "--word-diff=porcelain", "-R",
        "-U0", "-w --numstat", "-b --stat", "-w --word-diff", "--summary --shortstat",
    ):  # fmt: skip
        words = ["diff", *line.split(), "trunk~1", "trunk"]
        assert plain(stage.run(*words)) == plain(clone.git(*words).decode()), line


def change(pair: Pair) -> None:
    """The same uncommitted changes on both sides; nothing that git calls untracked."""
    files = pair.stage.files
    for path, data in (("README.md", b"# other\n"), ("src/main.c", b"\n"), ("s p", b"blank\n")):
        pair.clone.write(path, data)
        files.write(path.encode(), data)
    (pair.clone.path / "NEW").unlink()
    files.remove(b"NEW")
    (pair.clone.path / "run.sh").chmod(0o755)
    files.chmod(b"run.sh", 0o755)
    pair.clone.git("add", "s p", "src/main.c")
    pair.stage.run("add", "s p", "src/main.c")
    for where in (pair.clone.write, lambda path, data: files.write(path.encode(), data)):
        where("src/main.c", b"int x;\n")


STATES = [
    "status --porcelain",
    "status -s",
    "status -sb",
    "status --porcelain -z",
    "status --porcelain=v1 -uno",
    "status --porcelain=v2",
    "status --porcelain=v2 -b",
    "status --porcelain=v2 -z",
    "status -s -- src",
    "status -s -- :!src",
    "status -s *.md",
    "status -s --no-renames",
    "diff --stat",
    "diff --cached --name-status",
    "diff --staged --numstat",
    "diff HEAD --name-status -- *.c *.md",
    "diff --name-only -R",
]


def test_uncommitted_changes(tmp_path: Path) -> None:
    pair = Pair(tmp_path / "git")
    change(pair)
    for line in STATES:
        theirs, code = pair.git(*line.split())
        ours, our_code = pair.helios(*line.split())
        assert plain(ours) == plain(theirs), line
        assert our_code == code
    assert pair.helios("status", "-s", cwd="src") == pair.git("status", "-s", cwd="src")


DIFFS = [
    "diff v1.0 HEAD",
    "diff --numstat v1.0 HEAD",
    "diff --shortstat v1.0 HEAD",
    "diff --summary v1.0 HEAD",
    "diff --stat --summary v1.0 HEAD",
    "diff --numstat --shortstat v1.0 HEAD",
    "diff --raw v1.0 HEAD",
    "diff -R v1.0 HEAD",
    "diff -R --stat --summary v1.0 HEAD",
    "diff -w HEAD~2 HEAD~1",
    "diff -b HEAD~2 HEAD~1",
    "diff -w --stat HEAD~2 HEAD~1",
    "diff -w --numstat HEAD~2 HEAD~1",
    "diff --ignore-space-at-eol HEAD~2 HEAD~1",
    "diff --word-diff HEAD~2 HEAD~1 -- run.sh src",
    "diff --word-diff=porcelain HEAD~2 HEAD~1 -- run.sh src",
    "diff --word-diff=none HEAD~1 HEAD",
    "diff --diff-filter=A --name-only v1.0 HEAD",
    "diff --diff-filter=dr --name-status v1.0 HEAD",
    "diff --diff-filter=DM --name-status v1.0 HEAD",
    "diff --no-renames --name-status v1.0 HEAD",
    "diff -z --name-status v1.0 HEAD",
    "diff -z --numstat v1.0 HEAD",
    "diff -z --name-only v1.0 HEAD",
    "diff -p --stat v1.0 HEAD -- README.md",
    "diff -p --no-color --no-ext-diff v1.0 HEAD -- README.md",
    "diff --color=never v1.0 HEAD -- README.md",
    "diff --exit-code --name-only v1.0 HEAD",
    "diff --exit-code HEAD HEAD",
    "diff --quiet v1.0 HEAD",
    "diff -w --quiet HEAD~2 HEAD~1 -- src/main.c",
    "diff ^v1.0 HEAD --stat",
    "diff v1.0:README.md HEAD:README.md",
    "diff HEAD~2^{tree} HEAD^{tree} --stat",
    "diff -a --stat v1.0 HEAD",
    "show --numstat HEAD",
    "show --stat --summary HEAD~1",
    "show -w HEAD~1",
    "show --oneline --shortstat HEAD",
    "show HEAD:src/main.c",
    "show -s v1.0",
    "show -s --format=%s v1.0 light HEAD",
    "show --stat HEAD~1 HEAD",
    "show -s --oneline HEAD HEAD~1",
]


@pytest.mark.parametrize("line", DIFFS)
def test_forms_of_changes(pair: Pair, line: str) -> None:
    theirs, code = pair.git(*line.split())
    ours, our_code = pair.helios(*line.split())
    assert plain(ours) == plain(theirs)
    assert our_code == code


LOGS = [
    "log",
    "log -S hello --oneline",
    "log -S hello --name-only --format=%s",
    "log -S line -p --format=%s",
    "log -S l[i]ne --pickaxe-regex --oneline",
    "log -G puts --oneline",
    "log -G ^.return --oneline",
    "log -G hello --stat --format=%s --pickaxe-all",
    "log --skip=2 --oneline",
    "log --skip=1 -n 2 --format=%s",
    "log --numstat --format=%s",
    "log --shortstat",
    "log --diff-filter=A --name-only --format=%s",
    "log --diff-filter=D --summary --oneline",
    "log --diff-filter=R --name-status --oneline",
    "log --branches --oneline",
    "log --branches=o* --oneline",
    "log --tags --oneline",
    "log --tags=v* --oneline",
    "log --oneline HEAD ^v1.0",
    "log --oneline ^old trunk side",
    "log --oneline v1.0..",
    "log --max-parents=1 --oneline",
    "log --min-parents=2 --oneline",
    "log --topo-order --oneline",
    "log --no-decorate --oneline",
    "log --decorate=no --oneline",
    "log --decorate --oneline --branches",
    "log --no-abbrev-commit --oneline",
    "log --abbrev-commit",
    "log -F --grep=: --oneline",
    "log -E --grep=(first|third) --oneline",
    "log -L 2,4:src/main.c",
    "log -L 2,4:src/main.c --oneline",
    "log -L 10,12:src/lib/util.c --format=%s",
    "log -L 1,3:src/lib/util.c --format=%s",
    "log -L 3,+2:docs/manual.md --format=%s",
    "log -L 1,2:docs/manual.md -s --format=%s",
    "log --no-color --no-ext-diff -1",
    "log --summary --format=%s",
    "log -w -p --format=%s -2",
    "log --raw --format=%s -2",
    "log --format= --name-only -2",
]


@pytest.mark.parametrize("line", LOGS)
def test_logs(pair: Pair, line: str) -> None:
    assert plain(pair.helios(*line.split())[0]) == plain(pair.git(*line.split())[0])


GREPS = [
    "grep -n hello",
    "grep -E -n (hello|title)",
    "grep -P -n ret\\w+",
    "grep -q hello",
    "grep -q nothing-has-this",
    "grep nothing-has-this",
    "grep -v -n line -- README.md docs",
    "grep -v -c line -- README.md docs",
    "grep -l line",
    "grep -L line",
    "grep -o -n [0-9][0-9]* -- src/lib",
    "grep -n -A 1 puts",
    "grep -n -B 2 return",
    "grep -C 1 -n 15 -- src",
    "grep -n -C1 -e 10 -e 20 -- src",
    "grep -C 1 -e hello -e title",
    "grep -h hello",
    "grep -i -n HELLO",
    "grep -w -c of",
    "grep -n --heading line -- README.md docs/manual.md",
    "grep -I -c e",
    "grep -a -l hello",
    "grep -z -l line",
    "grep hello v1.0 HEAD -- src",
    "grep -n -F puts( HEAD",
    "grep -c hello no-such-path",
]


@pytest.mark.parametrize("line", GREPS)
def test_greps(pair: Pair, line: str) -> None:
    theirs, code = pair.git(*line.split())
    ours, our_code = pair.helios(*line.split())
    assert ours == theirs
    assert our_code == code


REVISIONS = [
    "rev-parse --abbrev-ref HEAD",
    "rev-parse --symbolic-full-name HEAD side",
    "rev-parse -q --verify no-such",
    "rev-parse -q --verify HEAD",
    "rev-parse HEAD^{tree} HEAD~1^{commit} HEAD^0",
    "rev-parse HEAD:src HEAD:README.md HEAD:./src/main.c",
    "rev-parse v1.0..HEAD",
    "rev-parse old...side",
    "rev-parse ^HEAD",
    "rev-parse HEAD:none",
    "rev-parse --verify none",
]


@pytest.mark.parametrize("line", REVISIONS)
def test_revisions(pair: Pair, line: str) -> None:
    theirs, code = pair.git(*line.split())
    ours, our_code = pair.helios(*line.split())
    assert plain(ours) == plain(theirs) or our_code == 128
    assert our_code == code


PLUMBING = [
    "ls-files",
    "ls-files -s",
    "ls-files -z src",
    "ls-files *.md",
    "ls-files --error-unmatch README.md",
    "ls-files --error-unmatch none",
    "ls-files none",
    "rev-list HEAD",
    "rev-list --count HEAD",
    "rev-list --count v1.0..HEAD",
    "rev-list HEAD ^old",
    "rev-list --parents HEAD",
    "rev-list --all --count",
    "rev-list --reverse -n 2 HEAD",
    "rev-list --skip 1 --max-count=1 HEAD",
    "rev-list --no-merges HEAD -- src",
    "rev-list --format=%s HEAD",
    "rev-list --oneline -2 HEAD",
    "rev-list --timestamp -1 HEAD",
    "rev-list",
    "cat-file -t HEAD",
    "cat-file -t HEAD:src",
    "cat-file -t HEAD:README.md",
    "cat-file -p HEAD:README.md",
    "cat-file -p HEAD^{tree}",
    "cat-file blob HEAD:src/main.c",
    "cat-file -s HEAD:README.md",
    "cat-file -e HEAD:none",
    "cat-file -e HEAD",
    "cat-file commit HEAD~1",
    "cat-file -p HEAD",
    "cat-file blob HEAD",
    "ls-tree HEAD",
    "ls-tree -r HEAD",
    "ls-tree -r -t HEAD",
    "ls-tree -d HEAD",
    "ls-tree -d -r HEAD",
    "ls-tree -l HEAD",
    "ls-tree -z --name-only HEAD",
    "ls-tree --name-only HEAD src",
    "ls-tree --name-only HEAD src/",
    "ls-tree HEAD src/lib src/main.c",
    "ls-tree -r --name-only HEAD docs",
    "ls-tree HEAD:src",
    "ls-tree none",
    "merge-base HEAD old",
    "merge-base --all side old",
    "merge-base --is-ancestor v1.0 HEAD",
    "merge-base --is-ancestor HEAD v1.0",
    "merge-base --independent HEAD v1.0 side",
    "merge-base --octopus HEAD old side",
]


@pytest.mark.parametrize("line", PLUMBING)
def test_plumbing(pair: Pair, line: str) -> None:
    theirs, code = pair.git(*line.split())
    ours, our_code = pair.helios(*line.split())
    assert plain(ours) == plain(theirs)
    assert bool(our_code) == bool(code)
    if "--is-ancestor" in line:
        assert our_code == code


def test_ls_tree_in_a_directory(pair: Pair) -> None:
    for line in (
        "ls-tree HEAD",
        "ls-tree -r HEAD",
        "ls-tree HEAD ../src",
        "ls-files",
        "ls-files -s",
    ):
        words = line.split()
        assert plain(pair.helios(*words, cwd="docs")[0]) == plain(pair.git(*words, cwd="docs")[0])


def test_ids_lead_to_their_objects(pair: Pair) -> None:
    for line in pair.stage.run("ls-tree", "-r", "HEAD").splitlines():
        head, path = line.split("\t")
        assert pair.stage.run("cat-file", "blob", head.split()[2]) == pair.stage.run(
            "show", f"HEAD:{path}"
        )


REMOVALS = [
    "rm README.md",
    "rm -n *.md",
    "rm -q src/main.c",
    "rm src",
    "rm -r src",
    "rm -r docs :!*.bin",
    "rm none",
    "rm --ignore-unmatch none",
    "rm --cached README.md",
    "rm *.c",
    "rm NEW",
    "rm -f NEW",
    "rm --cached NEW",
]


@pytest.mark.parametrize("line", REMOVALS)
def test_rm(tmp_path: Path, line: str) -> None:
    pair = Pair(tmp_path / "git")
    pair.clone.write("NEW", b"edited")
    pair.stage.files.write(b"NEW", b"edited")
    theirs, code = pair.git(*line.split())
    ours, our_code = pair.helios(*line.split())
    assert (ours, bool(our_code)) == (theirs, bool(code))
    # What is new comes last in git.
    status = pair.stage.run("status", "--porcelain").replace(" A ", "?? ")
    assert sorted(status.splitlines()) == sorted(pair.git("status", "--porcelain")[0].splitlines())


REFS = [
    "tag",
    "tag -n",
    "tag -n3",
    "tag -l v*",
    "tag -n -l v*",
    "tag --contains HEAD~1",
    "tag --contains v1.0",
    "tag --points-at v1.0^{}",
    "tag --sort=-refname",
    "tag --merged HEAD",
    "tag --no-merged v1.0",
    "tag --format=%(refname:short)|%(objecttype)|%(subject)|%(taggername)|%(authorname)",
    "branch",
    "branch --merged",
    "branch --merged old",
    "branch --no-merged old",
    "branch --contains side",
    "branch --contains",
    "branch --no-contains HEAD",
    "branch --points-at HEAD",
    "branch --sort=-committerdate",
    "branch --sort committerdate",
    "branch --format=%(refname:short)",
    "branch --format %(HEAD)%(refname)%00%(subject)",
    "branch --format=%(refname:short) --sort=-committerdate",
    "branch -r",
    "branch --list s* --merged",
    "branch -a --merged side",
    "for-each-ref",
    "for-each-ref refs/heads",
    "for-each-ref refs/tags/v*",
    "for-each-ref --count=2",
    "for-each-ref --sort=-creatordate --format=%(refname)",
    "for-each-ref --format=%(refname:strip=2)|%(authorname)|%(authoremail)|%(committerdate:iso)",
    "for-each-ref --format=%(refname)|%(taggername)|%(taggerdate:unix)|%(creatordate) refs/tags",
    "for-each-ref --format=%(contents:subject)|%(contents:body)|%(body) refs/tags",
    "for-each-ref --format=%(subject)%0a%(*subject)|%(numparent)|%% refs/heads refs/tags",
    "for-each-ref --format=%(committerdate)|%(author)|%(creator)",
    "for-each-ref --sort=v:refname --format=%(refname:lstrip=-1) --points-at=light",
    "for-each-ref --format=%(nonsense)",
    "for-each-ref --contains old --format=%(refname)",
]


@pytest.mark.parametrize("line", REFS)
def test_refs(pair: Pair, line: str) -> None:
    theirs, code = pair.git(*line.split())
    ours, our_code = pair.helios(*line.split())
    assert plain(ours) == plain(theirs)
    assert bool(our_code) == bool(code)


def test_an_annotated_tag_becomes_one_of_git(tmp_path: Path) -> None:
    pair = Pair(tmp_path / "git")
    stage, clone = pair.stage, pair.clone
    stage.run("tag", "-m", "release two", "-m", "with a body", "v2.0", "HEAD~1")
    stage.run("tag", "-f", "-a", "-m", "said anew", "v1.0", "v1.0")
    stage.run("tag", "plain")
    stage.run("export", "--to-git", str(clone.path), "--force")
    assert clone.git("cat-file", "-t", "v2.0") == b"tag\n"
    assert clone.git("cat-file", "-t", "plain") == b"commit\n"
    assert clone.git("tag", "-n9", "-l", "v*") == (
        b"v1.0            said anew\nv2.0            release two\n    \n    with a body\n"
    )
    assert stage.run("tag", "-n9", "-l", "v*").encode() == clone.git("tag", "-n9", "-l", "v*")
    tagger = "--format=%(taggername)|%(taggeremail)|%(taggerdate:unix)|%(contents)"
    words = ("for-each-ref", tagger, "refs/tags/v2.0")
    assert pair.helios(*words) == pair.git(*words)
    assert clone.git("fsck", "--strict", "--no-dangling") == b""
    stage.run("export", "--to-git", str(clone.path))
    stage.run("import", "--from-git", str(clone.path))
    assert "release two" in stage.run("tag", "-n")
    stage.run("tag", "-d", "v2.0")
    stage.run("tag", "v2.0")
    assert "release two" not in stage.run("tag", "-n")


IGNORES = [
    "check-ignore x.log",
    "check-ignore -v x.log keep.log out/x none",
    "check-ignore -v -n x.log keep.log out/x none",
    "check-ignore -q x.log",
    "check-ignore -q none",
    "check-ignore none",
    "check-ignore out out/ out/deep/x",
    "check-ignore -v sub/x.tmp sub/keep.tmp",
    "check-ignore README.md",
    "check-ignore -v --no-index README.md",
    "check-ignore",
]


def test_check_ignore(tmp_path: Path) -> None:
    pair = Pair(tmp_path / "git")
    rules = b"# comment\n*.log\n!keep.log\nout/\nREADME.md\n"
    pair.clone.write(".gitignore", rules)
    pair.clone.write("sub/.gitignore", b"*.tmp\n!keep.tmp\n")
    pair.stage.files.write(b".heliosignore", rules)
    pair.stage.files.write(b"sub/.heliosignore", b"*.tmp\n!keep.tmp\n")
    for line in IGNORES:
        theirs, code = pair.git(*line.split())
        ours, our_code = pair.helios(*line.split())
        assert ours == theirs.replace(".gitignore", ".heliosignore"), line
        assert our_code == code, line


MERGES = [
    (["--ff-only", "side"], 0),
    (["--ff-only", "ahead"], 0),
    (["--no-commit", "other"], 0),
    (["--no-ff", "--no-edit", "ahead"], 0),
    (["-X", "theirs", "clash"], 0),
    (["-Xours", "clash"], 0),
    (["-s", "ort", "--no-stat", "other"], 0),
    (["--ff-only", "other"], 128),
]


@pytest.mark.parametrize(("words", "code"), MERGES, ids=str)
def test_merges(tmp_path: Path, words: list[str], code: int) -> None:
    clone = Clone(tmp_path / "git")
    clone.write("a", b"1\n2\n3\n")
    clone.commit("base")
    for name, path, data in (
        ("side", "s", b"s\n"), ("other", "o", b"o\n"), ("clash", "a", b"1\ntheirs\n3\n"),
    ):  # fmt: skip
        clone.git("checkout", "-q", "-b", name, "trunk")
        clone.write(path, data)
        clone.commit(name)
    clone.git("checkout", "-q", "trunk")
    clone.write("a", b"1\nours\n3\n")
    clone.commit("ours")
    clone.merge("side")
    clone.git("checkout", "-q", "-b", "ahead")
    clone.write("h", b"h\n")
    clone.commit("ahead")
    clone.git("checkout", "-q", "trunk")
    stage = Stage()
    stage.run("import", "--from-git", str(clone.path))
    stage.run("checkout", "trunk")
    done = subprocess.run(
        ["git", "merge", *words], cwd=clone.path, env=ENVIRONMENT, capture_output=True, check=False
    )
    assert done.returncode == code
    if code:
        with pytest.raises(HeliosError, match="cannot fast-forward"):
            stage.run("merge", *words)
    else:
        stage.run("merge", *words)
    form = "--format=%s %p"
    ours, theirs = stage.run("log", "-1", form), clone.git("log", "-1", form).decode()
    assert len(ours.split(" ")) == len(theirs.split(" "))
    assert stage.run("show", "HEAD:a").encode() == clone.git("show", "HEAD:a")
    assert {path for path, (mode, _) in stage.files.tree().items()} == {
        each.name.encode() for each in clone.path.iterdir() if each.name != ".git"
    }
    assert (stage.view.merging is not None) == (clone.path / ".git/MERGE_HEAD").exists()


ARCHIVES = [
    ["HEAD"],
    ["--prefix=app/", "v1.0"],
    ["--format=tar.gz", "HEAD", "src"],
    ["HEAD", "docs", "*.md"],
    ["HEAD:src"],
    ["--format=zip", "--prefix=z/", "HEAD"],
]


def _is_executable(each: zipfile.ZipInfo) -> bool:
    return not each.is_dir() and bool(each.external_attr >> 16 & 0o111)


def _members(data: bytes, *, is_tree: bool) -> list[tuple[object, ...]]:
    """Return the members of an archive; the times in a tar of a tree are those of now: left out."""
    if data.startswith(b"PK"):
        with zipfile.ZipFile(io.BytesIO(data)) as pack:
            return [
                (each.filename, each.date_time, _is_executable(each), pack.read(each))
                for each in pack.infolist()
            ]
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        found: list[tuple[object, ...]] = []
        for each in tar:
            file = tar.extractfile(each)
            seconds = 0 if is_tree else each.mtime
            who = (each.uid, each.gid, each.uname, each.gname)
            found.append(
                (each.name, each.mode, each.type, seconds, who, file.read() if file else b"")
            )
        return found


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> tuple[Clone, Path]:
    """The same history in git and in a workspace that is not mounted."""
    place = tmp_path_factory.mktemp("stored")
    clone = _history(place / "git")
    workspace = place / "ws"
    assert main(["init", "-q", "-b", "trunk", str(workspace)]) == 0
    assert main(["-C", str(workspace), "import", "--from-git", str(clone.path)]) == 0
    return clone, workspace


@pytest.mark.parametrize("words", ARCHIVES, ids=" ".join)
def test_archives(stored: tuple[Clone, Path], tmp_path: Path, words: list[str]) -> None:
    clone, workspace = stored
    out = tmp_path / "archive"
    theirs = clone.git("archive", *words, TZ="UTC")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", "UTC")
        time.tzset()
        assert main(["-C", str(workspace), "archive", "-o", str(out), *words]) == 0
    time.tzset()
    is_tree = ":" in words[-1]
    ours = _members(out.read_bytes(), is_tree=is_tree)
    assert sorted(map(repr, ours)) == sorted(map(repr, _members(theirs, is_tree=is_tree)))


def test_an_archive_of_nothing_is_refused(stored: tuple[Clone, Path], tmp_path: Path) -> None:
    _, workspace = stored
    where = ["-C", str(workspace), "archive", "-o", str(tmp_path / "x.tar")]
    assert main([*where, "HEAD", "none"]) == 1
    assert main([*where, "HEAD", "src", "none"]) == 1
    assert main([*where, "--format=rar", "HEAD"]) == 2
    assert main([*where, "HEAD:README.md"]) == 1


_LISTS = ("mainporcelain", "ancillarymanipulators", "ancillaryinterrogators")
_OTHERS = """archimport bugreport citool count-objects cvsexportcommit cvsimport cvsserver diagnose
gitk gitweb gui imap-send p4 quiltimport scalar get-tar-commit-id"""
"""Programs with windows, for other systems, or about git's own files."""


def test_every_verb_of_git_is_one_here_or_has_an_answer() -> None:
    """Nobody who types a verb of git is told of another one with a similar name."""
    lists = ",".join(f"list-{each}" for each in _LISTS)
    listed = subprocess.run(
        ["git", f"--list-cmds={lists}"],
        env=ENVIRONMENT, capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    known = {*VERBS, *LOCAL_VERBS, *OF_GIT, "help"}
    assert set(listed.stdout.split()) - known - set(_OTHERS.split()) == set()
    assert not set(OF_GIT) & {*VERBS, *LOCAL_VERBS}
    for name in OF_GIT:
        assert f"there is no verb {name!r} here: " in unknown_verb(name, VERBS)
    for verb, option in OPTIONS_OF_GIT:
        with pytest.raises(HeliosError, match=r"unknown option .*: "):
            VERBS[verb].parser().parse([option])
