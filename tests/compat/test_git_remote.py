"""A workspace as a remote of the real git: clone, fetch and push by git-remote-helios."""

from __future__ import annotations

import io
import json
import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from heliosfs.cli.git_remote import RemoteHelper
from heliosfs.cli.main import main
from tests.git_repository import ENVIRONMENT, Clone, everything, fsck, refs_of
from tests.git_repository import git as plain_git
from tests.mount.conftest import Mounted

SOURCES = Path(__file__).parents[2]
_HELPER = """
import os, signal, sys
from heliosfs.cli import git_remote
def kill(*argv, **options):
    os.kill(os.getpid(), signal.SIGKILL)
at = os.environ.get("KILLED_AT", "")
if at:
    from importlib import import_module
    module, owner, name = at.split(":")
    setattr(getattr(import_module(module), owner), name, kill)
sys.exit(git_remote.main())
"""


class Remotes:
    """The real git, with git-remote-helios in its path."""

    def __init__(self, path: Path) -> None:
        self.path = path
        directory = path / "bin"
        directory.mkdir()
        (directory / "helper.py").write_text(_HELPER)
        script = directory / "git-remote-helios"
        python, helper = shlex.quote(sys.executable), shlex.quote(str(directory / "helper.py"))
        script.write_text(f'#!/bin/sh\nexec {python} {helper} "$@"\n')
        script.chmod(0o755)
        self.environment = ENVIRONMENT | {
            "PATH": f"{directory}:{os.environ['PATH']}",
            "PYTHONPATH": str(SOURCES),
            "XDG_STATE_HOME": os.environ["XDG_STATE_HOME"],
        }

    def run(self, path: Path, *argv: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["git", *argv],
            cwd=path,
            env=self.environment | environment,
            capture_output=True,
            text=True,
            errors="surrogateescape",
            timeout=120,
            check=False,
        )

    def git(self, path: Path, *argv: str) -> str:
        done = self.run(path, *argv)
        assert done.returncode == 0, (argv, done.stderr)
        return done.stdout

    def refused(self, path: Path, *argv: str) -> str:
        done = self.run(path, *argv)
        assert done.returncode != 0, (argv, done.stdout)
        return done.stderr

    def refs(self, url: str) -> dict[str, str]:
        """Full name -> id, as git sees the refs of a workspace."""
        lines = self.git(self.path, "ls-remote", url).splitlines()
        pairs = [line.split("\t") for line in lines]
        return {ref: git_id for git_id, ref in pairs if ref != "HEAD" and "^{}" not in ref}


@pytest.fixture
def remotes(tmp_path: Path) -> Remotes:
    return Remotes(tmp_path)


@pytest.fixture
def imported(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path, Path], None]:
    """Make a workspace that is not mounted, with the history of a repository."""

    def make(workspace: Path, source: Path) -> None:
        workspace.mkdir()
        monkeypatch.chdir(workspace)
        assert main(["import", "--from-git", str(source)]) == 0

    return make


def verb(mounted: Mounted, *words: str, view: str = ".") -> str:
    """Run a verb by the control file, which starts no process."""
    return mounted.control("command", json.dumps(words) + "\n", view=view)


def small(path: Path) -> Clone:
    clone = Clone(path, "main")
    clone.write("a", b"1\n")
    clone.write("dir/b", b"2\n")
    clone.write("dir/run", b"#!/bin/sh\n", 0o755)
    os.symlink("../a", path / "dir/link")
    clone.commit("one")
    return clone


@pytest.mark.parametrize("object_format", ["sha1", "sha256"])
def test_a_mirror_is_the_repository_that_was_imported(
    remotes: Remotes,
    imported: Callable[[Path, Path], None],
    tmp_path: Path,
    object_format: str,
) -> None:
    """Every ref has git's id, in the clone and, once it is pushed, in another workspace."""
    source = everything(tmp_path / "source", object_format=object_format)
    imported(tmp_path / "ws", source.path)
    remotes.git(tmp_path, "clone", "-q", "--mirror", "helios::ws", "mirror.git")
    expected = refs_of(source.path)
    mirror = tmp_path / "mirror.git"
    assert refs_of(mirror) == expected
    assert plain_git(mirror, "symbolic-ref", "HEAD") == b"refs/heads/trunk\n"
    assert sorted(os.listdir(mirror / "helios/origin")) == ["lock", "places"]
    if object_format == "sha256":
        return
    (tmp_path / "other").mkdir()
    assert main(["init", str(tmp_path / "other")]) == 0
    specs = ("refs/heads/*:refs/heads/*", "refs/tags/*:refs/tags/*", "^refs/tags/a-*")
    remotes.git(mirror, "push", "-q", f"helios::{tmp_path / 'other'}", *specs)
    kept = {ref: git_id for ref, git_id in expected.items() if "/tags/a-" not in ref}
    assert remotes.refs("helios::other") == kept


def test_what_is_made_here_goes_to_git_and_back(
    remotes: Remotes, mounted: Mounted, tmp_path: Path
) -> None:
    """Ids are those of an export in every clone, and commits that come back are known."""
    ws = mounted.path
    (ws / "dir").mkdir()
    (ws / "dir/run").write_text("#!/bin/sh\n")
    (ws / "dir/run").chmod(0o755)
    (ws / "a").write_text("1\n")
    (ws / "link").symlink_to("a")
    (ws / "odd \udcff").write_text("odd\n")
    mounted.commit("one")
    verb(mounted, "commit", "--allow-empty", "-m", "empty")
    verb(mounted, "checkout", "-q", "-b", "side")
    (ws / "side").write_text("side\n")
    mounted.commit("on a side")
    verb(mounted, "checkout", "-q", "main")
    (ws / "a").write_text("2\n")
    mounted.commit("two")
    verb(mounted, "merge", "side", "-m", "merged")
    verb(mounted, "tag", "-a", "-m", "a note", "v1")
    heads = verb(mounted, "rev-parse", "main", "side")

    remotes.git(tmp_path, "clone", "-q", f"helios::{ws}/dir", "one")
    verb(mounted, "export", "--to-git", str(tmp_path / "exported.git"))
    remotes.git(tmp_path, "clone", "-q", "--bare", "--no-single-branch", "helios::ws", "two.git")
    one, exported = tmp_path / "one", refs_of(tmp_path / "exported.git")
    assert set(exported) == {"refs/heads/main", "refs/heads/side", "refs/tags/v1"}
    assert refs_of(tmp_path / "two.git") == exported
    assert fsck(one) == ""
    assert remotes.git(one, "rev-parse", "HEAD", "origin/side", "v1").split() == list(
        exported.values()
    )
    assert remotes.git(one, "status", "--porcelain") == ""

    # One commit more is one pack of three objects, and nothing of what was there.
    (ws / "a").write_text("3\n")
    mounted.commit("three")
    remotes.git(one, "pull", "-q")
    assert (one / "a").read_text() == "3\n"
    packs = sorted((one / ".git/objects/pack").glob("*.idx"), key=lambda path: path.stat().st_size)
    assert len(packs) == 2
    listed = plain_git(one, "show-index", data=packs[0].read_bytes())
    assert len(listed.splitlines()) == 3

    # What comes back has the ids that it had, and needs no files.
    verb(mounted, "branch", "-D", "side")
    remotes.git(one, "push", "-q", "origin", "origin/side:refs/heads/side", "v1:refs/tags/v2")
    assert verb(mounted, "rev-parse", "main~", "side") == heads
    assert verb(mounted, "tag", "-n").split() == ["v1", "a", "note", "v2", "a", "note"]


def test_a_push_takes_the_files_along_and_is_undone(
    remotes: Remotes, mounted: Mounted, tmp_path: Path
) -> None:
    ws = mounted.path
    for name in ("a", "b", "dir/c"):
        (ws / name).parent.mkdir(exist_ok=True)
        (ws / name).write_text(f"{name}\n")
    (ws / "link").symlink_to("a")
    mounted.commit("one")
    verb(mounted, "branch", "idea")
    live = ws / ".helios/branches/idea"
    remotes.git(tmp_path, "clone", "-q", "helios::ws", "clone")
    clone = tmp_path / "clone"
    (clone / "a").write_text("new\n")
    os.rename(clone / "b", clone / "dir/moved")
    remotes.git(clone, "add", "-A")
    remotes.git(clone, "commit", "-qm", "two")
    times = [(ws / name).stat().st_mtime_ns for name in ("dir/c", "a")]

    (ws / "b").write_text("uncommitted\n")
    told = remotes.refused(clone, "push", "origin", "main", "main:idea", "main:new/one")
    assert "[remote rejected] main -> main (branch has uncommitted changes in the workspace" in told
    assert "[new branch]      main -> new/one" in told
    assert (ws / "a").read_text() == "a\n"
    assert (live / "a").read_text() == "new\n"
    verb(mounted, "restore", "b")
    remotes.git(clone, "push", "-q", "origin", "main")
    assert (ws / "a").read_text() == "new\n"
    assert sorted(os.listdir(ws / "dir")) == ["c", "moved"]
    assert verb(mounted, "status", "--short") == ""
    now = [(ws / name).stat().st_mtime_ns for name in ("dir/c", "a")]
    assert now[0] == times[0]
    assert now[1] > times[1]
    assert "push" in verb(mounted, "oplog").splitlines()[0]
    verb(mounted, "undo")
    assert (ws / "a").read_text() == "a\n"
    assert (ws / "b").exists()
    verb(mounted, "undo", view=".helios/branches/idea")
    assert (live / "a").read_text() == "a\n"

    # git's own words, and its own checks.
    remotes.git(clone, "fetch", "-q")
    (ws / "a").write_text("here\n")
    mounted.commit("here")
    told = remotes.refused(clone, "push", "origin", "main")
    assert "(fetch first)" in told
    remotes.git(clone, "push", "-q", "--force", "origin", "main")
    assert (ws / "a").read_text() == "new\n"
    told = remotes.refused(clone, "push", "origin", ":main")
    assert "deletion of the current branch prohibited" in told
    remotes.git(clone, "push", "-q", "origin", ":idea")
    assert "idea" not in verb(mounted, "branch")


def test_what_git_cannot_have_is_told_once_and_what_a_push_drops(
    remotes: Remotes, mounted: Mounted, tmp_path: Path
) -> None:
    ws = mounted.path
    (ws / "dir/empty").mkdir(parents=True)
    os.mkfifo(ws / "dir/pipe")
    (ws / "dir/a").write_text("a\n")
    mounted.commit("one")
    verb(mounted, "branch", "filtered")
    live = ws / ".helios/branches/filtered"
    (live / ".gitattributes").write_text("*.bin filter=lfs\n")
    (live / "x.bin").write_text("what LFS would keep elsewhere\n")
    verb(mounted, "commit", "-q", "-m", "filtered", view=".helios/branches/filtered")
    told = remotes.run(tmp_path, "clone", "-q", "helios::ws", "clone").stderr
    assert "refs/heads/filtered is left out: " in told
    clone = tmp_path / "clone"
    assert remotes.run(clone, "fetch").stderr == ""
    # Another reason is told again, and another branch.
    verb(mounted, "branch", "more", "filtered")
    told = remotes.run(clone, "fetch").stderr
    assert "refs/heads/more is left out: " in told
    assert "refs/heads/filtered" not in told
    assert remotes.run(clone, "fetch").stderr == ""

    (clone / "dir/a").write_text("new\n")
    remotes.git(clone, "commit", "-qam", "two")
    told = remotes.run(clone, "push", "-q", "origin", "main", "main:new").stderr
    assert "helios: main: git holds neither empty directories nor FIFOs" in told
    assert "1 and 1 of them are gone" in told
    assert os.listdir(ws / "dir") == ["a"]
    assert verb(mounted, "oplog", "-n1").endswith(" new branch new\n")
    verb(mounted, "undo")
    assert sorted(os.listdir(ws / "dir")) == ["a", "empty", "pipe"]


def test_a_killed_push_or_fetch_is_repeated(
    remotes: Remotes, imported: Callable[[Path, Path], None], tmp_path: Path
) -> None:
    source = small(tmp_path / "source")
    imported(tmp_path / "ws", source.path)
    remotes.git(tmp_path, "clone", "-q", "helios::ws", "clone")
    clone, home = tmp_path / "clone", tmp_path / "clone/.git/helios/origin"
    before = remotes.refs("helios::ws")
    (clone / "dir/b").write_text("new\n")
    remotes.git(clone, "commit", "-qam", "two")
    for at in ("intake:Intake:run", "received:ReceivedPush:_change"):
        done = remotes.run(clone, "push", KILLED_AT=f"heliosfs.git.{at}")
        assert done.returncode != 0
    assert remotes.refs("helios::ws") == before
    assert len(list(home.glob("incoming-*"))) == 1
    remotes.git(clone, "push", "-q")
    after = remotes.refs("helios::ws")
    assert after["refs/heads/main"] == remotes.git(clone, "rev-parse", "main").strip()
    assert after["refs/heads/main"] != before["refs/heads/main"]
    assert list(home.glob("incoming-*")) == []

    remotes.git(tmp_path, "clone", "-q", "--bare", str(source.path), "other.git")
    other = tmp_path / "other.git"
    for at in ("git.pack:Pack:index", "cli.git_arrivals:Arrivals:keep"):
        fetch = ("fetch", "helios::../ws", "main:main")
        assert remotes.run(other, *fetch, KILLED_AT=f"heliosfs.{at}").returncode != 0
    assert refs_of(other) == refs_of(source.path)
    assert fsck(other) == ""
    remotes.git(other, "fetch", "-q", "helios::../ws", "main:main")
    assert refs_of(other)["refs/heads/main"] == after["refs/heads/main"]
    assert fsck(other) == ""


def test_what_is_no_workspace_is_refused_in_one_line(
    remotes: Remotes, mounted: Mounted, tmp_path: Path
) -> None:
    def line(*argv: str) -> str:
        said = remotes.refused(tmp_path, *argv).splitlines()
        lines = [each for each in said if not each.startswith("Cloning into")]
        assert len(lines) == 1, said
        return lines[0]

    (mounted.path / "a").write_text("1\n")
    mounted.commit("one")
    assert line("ls-remote", "helios::missing") == "helios: no such file or directory: missing"
    assert line("ls-remote", "helios::bin").startswith("helios: not inside a heliosfs workspace (")
    assert "cannot be shallow" in line("clone", "--depth=1", "helios::ws", "shallow")
    remotes.git(tmp_path, "init", "-q", "--object-format=sha256", "other")
    remotes.git(tmp_path, "ls-remote", "helios::ws")
    said = remotes.refused(tmp_path / "other", "fetch", "helios::../ws", "main")
    assert "sha1" in said
    assert "sha256" in said
    mounted.kill9()
    assert "lost its daemon: 'helios mount " in line("clone", "helios::ws", "clone")
    assert not (tmp_path / "clone").exists()
    assert not (tmp_path / "shallow").exists()


def test_a_terminal_obeys_no_name_of_a_ref(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """git shows what a remote helper says as it is."""
    ref, id_ = "refs/heads/a\x9b1m\u202eb", "0" * 40
    found = {
        "object_format": "sha1",
        "head": "",
        "refs": {},
        "peeled": {},
        "left_out": {ref: "odd\nname"},
        "refused": {ref: "there is\ra\x1b[2J\x9b1m"},
    }

    class FakeGit(SimpleNamespace):
        common = path = "/nowhere"
        object_format = "sha1"

        def ids_of(self, sources: list[str]) -> dict[str, str]:
            return dict.fromkeys(sources, id_)

        def arrivals(self) -> SimpleNamespace:
            write = "/nowhere/updates".format
            return SimpleNamespace(path="/nowhere", write=write, close=lambda: None)

    monkeypatch.delenv("GIT_DIR", raising=False)
    monkeypatch.setattr(RemoteHelper, "_ask", lambda self, words: found)
    monkeypatch.setattr(RemoteHelper, "_need_git", lambda self: FakeGit())
    said = io.StringIO()
    RemoteHelper("x", "/x", io.StringIO(f"list\npush {ref}:{ref}\n\n"), said).serve()
    error = "refs/heads/a<U+009B>1m<U+202E>b is left out: odd name"
    assert capsys.readouterr().err == f"helios: {error}\n"
    found["lost"] = {ref: {"empty_directories": 1, "special_files": 0}}
    RemoteHelper("x", "/x", io.StringIO(f"push {ref}:{ref}\n\n"), io.StringIO()).serve()
    assert "helios: a<U+009B>1m<U+202E>b: git holds neither" in capsys.readouterr().err
    assert f"error {ref} there is^Ma^[[2J<U+009B>1m\n" in said.getvalue()
