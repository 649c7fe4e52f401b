"""A git server as the remote of mounted workspaces, whose mirror lies beneath the mount."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from heliosfs import Workspace
from heliosfs.errors import Stale
from tests.git_repository import Clone
from tests.gitserver.servers import Server
from tests.mount.conftest import SECONDS, Mounted, Mounter


def _two(mounter: Mounter, tmp_path: Path) -> tuple[Server, Mounted, Clone]:
    """A server, a workspace that was cloned from it, and a clone of git."""
    server = Server(tmp_path / "srv" / "team.git")
    clone = server.clone(tmp_path / "clone")
    clone.write("a", b"1\n")
    clone.commit("first")
    clone.git("push", "--quiet", "origin", "main")
    mounted = mounter(name="ws", start=False)
    mounted.command("clone", "-q", "--no-mount", server.url, str(tmp_path / "ws"), cwd=tmp_path)
    mounted.mount()
    return server, mounted, clone


def test_a_workspace_and_a_clone_of_git_take_turns(mounter: Mounter, tmp_path: Path) -> None:
    server, one, clone = _two(mounter, tmp_path)
    for number in range(3):
        (one.path / "b").write_text(f"{number}\n")
        one.commit(f"here {number}")
        assert "main -> main" in one.control("push", "origin main\n")
        assert one.helios("push") == "Everything up-to-date\n"
        clone.git("pull", "--quiet", "--ff-only", "origin", "main")
        clone.write("a", b"%d\n" % number)
        clone.commit(f"git {number}")
        clone.git("push", "--quiet", "origin", "main")
        assert "origin/main" in one.helios("fetch")
        assert one.helios("status", "-sb") == "## main...origin/main [behind 1]\n"
        assert "Fast-forward" in one.helios("pull")
        assert (one.path / "a").read_text() == f"{number}\n"
    one.helios("undo")
    assert one.helios("status", "-sb") == "## main...origin/main [behind 1]\n"
    # The mirror is a cache also beneath the mount, and nothing else of a workspace knows it.
    assert not list(one.path.rglob("git-mirror-*"))
    assert "all sound" in one.helios("fsck")
    one.unmount()
    assert len(list((tmp_path / "ws" / ".helios").glob("git-mirror-*"))) == 1
    # Beside a mount or without one, it is the same.
    assert "Fast-forward" in one.helios("pull")
    server.check()


def test_a_mirror_goes_with_its_remote(mounter: Mounter, tmp_path: Path) -> None:
    server, one, _ = _two(mounter, tmp_path)
    one.helios("fetch")
    one.helios("remote", "set-url", "origin", str(server.path))
    one.helios("fetch")
    one.helios("remote", "remove", "origin")
    one.unmount()
    assert not list((tmp_path / "ws" / ".helios").glob("git-mirror-*"))


def test_the_client_shares_branches(mounter: Mounter, tmp_path: Path) -> None:
    server, one, clone = _two(mounter, tmp_path)
    here = Workspace(one.path)
    (one.path / "a").write_text("2\n")
    made = here.commit("second")
    (move,) = here.push().pushed
    assert (move.name, move.kind, move.after, move.forced) == ("main", "branch", made, False)
    clone.git("pull", "--quiet", "--ff-only", "origin", "main")
    clone.write("b", b"3\n")
    clone.commit("third")
    clone.git("push", "--quiet", "origin", "main")
    (one.path / "c").write_text("4\n")
    here.commit("beside")
    with pytest.raises(Stale):
        here.push("origin", "main")
    assert here.pull("origin", "main").merged
    assert here.push().pushed[0].name == "main"
    assert not here.fetch().moved
    server.check()


def test_a_server_in_a_workspace_is_refused(mounter: Mounter, tmp_path: Path) -> None:
    one = mounter()
    (one.path / "x.git").mkdir()
    for name in ("HEAD", "objects", "refs"):
        (one.path / "x.git" / name).mkdir()
    done = one.command("remote", "add", str(one.path / "x.git"))
    assert done.returncode == 1
    assert "lies in the workspace" in done.stderr


def _git_of(server: Server) -> list[str]:
    """Programs of git that know the server."""
    found = []
    for each in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = each.read_bytes()
        except OSError:
            continue
        if os.fsencode(server.path) in words and words.startswith((b"git", b"/bin/sh")):
            found.append(os.fsdecode(words))
    return found


def test_an_interrupt_ends_git(mounter: Mounter, tmp_path: Path) -> None:
    """The server hangs; the command ends at once, and git with it; the workspace goes on."""
    server, one, _ = _two(mounter, tmp_path)
    os.mkfifo(server.path / "packed-refs")
    argv = [sys.executable, "-m", "heliosfs.cli", "fetch"]
    with subprocess.Popen(argv, cwd=one.path, stderr=subprocess.PIPE) as client:
        deadline = time.monotonic() + SECONDS
        while not any("upload-pack" in each for each in _git_of(server)):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        (one.path / "a").write_text("beside\n")
        one.commit("beside")
        client.send_signal(signal.SIGINT)
        client.communicate(timeout=SECONDS)
    while _git_of(server):
        assert time.monotonic() < deadline, _git_of(server)
        time.sleep(0.05)
    (server.path / "packed-refs").unlink()
    one.helios("push")
    server.check()


def test_a_daemon_that_is_killed_in_a_push(mounter: Mounter, tmp_path: Path) -> None:
    """The git of a dead daemon goes on; the next command waits for it, and finds its work done."""
    server, one, clone = _two(mounter, tmp_path)
    hook = server.path / "hooks" / "pre-receive"
    hook.parent.mkdir(exist_ok=True)
    began = tmp_path / "began"
    hook.write_text(f"#!/bin/sh\ntouch {began}\nsleep 1\n")
    hook.chmod(0o755)
    for number in range(2):
        (one.path / "a").write_text(f"{number}\n")
        one.commit(f"here {number}")
        argv = [sys.executable, "-m", "heliosfs.cli", "push"]
        with subprocess.Popen(
            argv, cwd=one.path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as client:
            deadline = time.monotonic() + SECONDS
            while not began.exists():
                assert time.monotonic() < deadline
                time.sleep(0.02)
            one.kill9()
            client.wait(SECONDS)
        began.unlink()
        one.mount()
        one.helios("fetch")
        one.helios("push")
        assert one.helios("status", "-sb") == "## main...origin/main\n"
    assert one.helios("log", "--format=%s") == "here 1\nhere 0\nfirst\n"
    clone.git("pull", "--quiet", "--ff-only", "origin", "main")
    assert (clone.path / "a").read_bytes() == b"1\n"
    assert "all sound" in one.helios("fsck")
    server.check()


def test_a_clone_that_cannot_be_is_taken_back(mounter: Mounter, tmp_path: Path) -> None:
    one = mounter()
    server = Server(tmp_path / "empty.git")
    for words, said in (
        ([server.url, "new"], "has no branch yet"),
        ([str(tmp_path / "nowhere.git"), "new"], "names no storage"),
        (["https://ada:secret@host/x", "new"], "holds a user or a password"),
        (["ext::touch pwned", "new"], "names no storage"),
    ):
        done = one.command("clone", "--no-mount", *words, cwd=tmp_path)
        assert done.returncode in (1, 2)
        assert said in done.stderr
        assert "secret" not in done.stderr
    assert not (tmp_path / "new").exists()
    assert not (tmp_path / "pwned").exists()


def test_a_clone_is_named_after_the_repository(mounter: Mounter, tmp_path: Path) -> None:
    server, one, clone = _two(mounter, tmp_path)
    clone.git("push", "--quiet", "origin", "main:idea")
    (tmp_path / "here").mkdir()
    done = one.command(
        "clone", "--no-mount", "-b", "idea", "../srv/team.git", cwd=tmp_path / "here"
    )
    assert done.returncode == 0, done.stderr
    made = tmp_path / "here" / "team"
    assert one.helios("status", "-sb", cwd=made) == "## idea...origin/idea\n"
    assert one.helios("remote", cwd=made) == f"origin\t{server.path}\n"
    assert one.helios("log", "--format=%s", cwd=made) == "first\n"
