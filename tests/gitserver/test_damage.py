"""Servers that are away, damaged or hostile, mirrors that were lost, and git that was killed."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from heliosfs.commands.verb import exit_code_of
from heliosfs.errors import Busy, HeliosError, NotFound, Stale
from heliosfs.gitserver import listing, running, transfer
from heliosfs.gitserver.transfer import Transfer
from heliosfs.remote.bucket import Unreachable
from heliosfs.steps import Progress, Steps, Turn, perform
from tests.git_repository import git
from tests.gitserver.servers import Server, User


@pytest.fixture
def server(tmp_path: Path) -> Server:
    return Server(tmp_path / "srv" / "team.git")


@pytest.fixture
def user(server: Server) -> User:
    user = User(server.url)
    user.commit("first", a=b"1\n")
    user.run("branch", "idea")
    user.run("push", "--all")
    return user


def test_a_server_that_is_away(server: Server, user: User) -> None:
    away = server.path.with_name("away")
    server.path.rename(away)
    user.commit("second", a=b"2\n")
    for words in (["fetch"], ["push"], ["pull"], ["push", "--delete", "origin", "idea"]):
        with pytest.raises(Unreachable, match=r"^origin cannot be reached: git says: .*team.git"):
            user.run(*words)
    assert user.run("branch", "-r") == "  origin/idea\n  origin/main\n"
    away.rename(server.path)
    user.run("push")
    assert user.run("status", "-sb") == "## main...origin/main\n"


def test_a_port_where_nobody_listens() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        for url in (f"http://127.0.0.1:{port}/x", f"git://127.0.0.1:{port}/x"):
            with pytest.raises(Unreachable, match=f"port {port}|127[.]0[.]0[.]1"):
                User(url)


def test_a_server_that_says_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "LISTED_SECONDS", 1.0)
    silent = socket.create_server(("127.0.0.1", 0))
    with silent, pytest.raises(Unreachable, match="nothing was heard for 1 s"):
        User(f"git://127.0.0.1:{silent.getsockname()[1]}/x")


def test_without_git(user: User, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    for words in (["fetch"], ["push"], ["remote", "add", "more", "https://host/x"]):
        with pytest.raises(NotFound, match="git is not installed"):
            user.run(*words)


def _ruin_config(place: Path) -> None:
    (place / "config").write_bytes(b"[core\n")


def _ruin_head(place: Path) -> None:
    (place / "HEAD").unlink()


def _remove(place: Path) -> None:
    shutil.rmtree(place)


def _remove_objects(place: Path) -> None:
    for each in (place / "objects" / "pack").iterdir():
        each.unlink()


def _spoil_objects(place: Path) -> None:
    for each in (place / "objects" / "pack").iterdir():
        data = bytearray(each.read_bytes())
        for at in range(len(data) // 2, len(data)):
            data[at] ^= 0xFF
        each.chmod(0o600)
        each.write_bytes(data)


def _cut_objects(place: Path) -> None:
    for each in (place / "objects" / "pack").iterdir():
        each.chmod(0o600)
        os.truncate(each, each.stat().st_size // 2)


def _spoil_refs(place: Path) -> None:
    for each in (place / "refs" / "seen" / "heads").iterdir():
        each.write_text("nonsense\n")


def _zero_refs(place: Path) -> None:
    for each in (place / "refs" / "seen" / "heads").iterdir():
        each.write_text("")


def _remove_refs(place: Path) -> None:
    shutil.rmtree(place / "refs")


def _lock_refs(place: Path) -> None:
    """Leave what a git leaves that was killed, which the lock of the mirror tells."""
    (place / "running").write_bytes(b"- 1 0\n")
    for name in ("packed-refs.lock", "refs/seen/heads/main.lock", "HEAD.lock", "config.lock"):
        (place / name).write_bytes(b"")


RUINS: list[Callable[[Path], None]] = [
    _ruin_config,
    _ruin_head,
    _remove,
    _remove_objects,
    _spoil_objects,
    _cut_objects,
    _spoil_refs,
    _zero_refs,
    _remove_refs,
    _lock_refs,
]


@pytest.mark.parametrize("ruin", RUINS)
@pytest.mark.parametrize("is_push", [True, False])
def test_a_mirror_that_is_lost_or_damaged_heals(
    server: Server, user: User, tmp_path: Path, ruin: Callable[[Path], None], *, is_push: bool
) -> None:
    clone = server.clone(tmp_path / "clone")
    clone.git("pull", "--quiet", "origin", "main")
    clone.write("b", b"2\n")
    clone.commit("second")
    clone.git("push", "--quiet", "origin", "main")
    [place] = user.mirrors()
    ruin(place)
    if is_push:
        user.commit("other", c=b"3\n")
        with pytest.raises(Stale):
            user.run("push")
        user.run("push", "origin", "main:other")
        assert "refs/heads/other" in server.refs
        ruin(place)
        assert user.run("branch", "-r") == "  origin/idea\n  origin/main\n  origin/other\n"
    assert exit_code_of(user.run("fetch", "--prune")) == 0
    assert user.run("log", "-1", "--format=%s", "origin/main") == "second\n"
    assert "origin/idea" in user.run("branch", "-r")
    user.run("merge", "origin/main")
    user.run("push")
    clone.git("pull", "--quiet", "--ff-only", "origin", "main")
    for each in (server, user):
        each.check()


def _tree_with(clone: Path, name: bytes, *parents: str) -> str:
    """A commit whose tree has an entry that no directory can have."""
    blob = git(clone, "hash-object", "-w", "--stdin", data=b"evil\n").decode().strip()
    data = b"100644 " + name + b"\0" + bytes.fromhex(blob)
    argv = ("hash-object", "-t", "tree", "-w", "--stdin", "--literally")
    tree = git(clone, *argv, data=data).decode().strip()
    above = [word for parent in parents for word in ("-p", parent)]
    return git(clone, "commit-tree", "-m", "evil", *above, tree).decode().strip()


def test_a_hostile_server(server: Server, user: User) -> None:
    """Entries `.git` and `..`, a slash in a name: those branches are refused, the others move."""
    before = user.origin()
    git(server.path, "update-ref", "refs/heads/good", before_in_git := server.id("main"))
    names = {"dotgit": b".git", "upper": b".GIT", "up": b"..", "here": b".", "slash": b"a/b"}
    for branch, name in names.items():
        git(server.path, "update-ref", f"refs/heads/{branch}", _tree_with(server.path, name))
    git(server.path, "update-ref", f"refs/heads/{'f' * 64}", before_in_git)
    reply = user.run("fetch")
    assert exit_code_of(reply) == 1
    assert "[new branch] good -> origin/good" in reply
    for branch in (*names, "f" * 64):
        assert f" ! [damaged] origin/{branch} (" in reply
        assert f"origin/{branch}\n" not in user.run("branch", "-r")
    assert user.origin() == before
    user.check()
    with pytest.raises(HeliosError, match="dotgit"):
        user.run("pull", "origin", "dotgit")
    # What is refused keeps nobody from going on.
    user.commit("second", a=b"2\n")
    user.run("push")


def test_what_is_below_a_refused_commit_is_taken(
    server: Server, user: User, tmp_path: Path
) -> None:
    """A commit that comes with one that is refused is there with all of its files."""
    clone = server.clone(tmp_path / "clone")
    clone.git("pull", "--quiet", "origin", "main")
    clone.write("new/file", b"new\n")
    below = clone.commit("below")
    clone.git("push", "--quiet", "origin", "main:x-below")
    git(server.path, "update-ref", "refs/heads/evil", _tree_with(server.path, b"..", below))
    assert exit_code_of(user.run("fetch")) == 1
    assert user.run("branch", "-r") == "  origin/idea\n  origin/main\n  origin/x-below\n"
    user.run("checkout", "x-below")
    assert user.files.read(b"new/file") == b"new\n"
    user.check()


def test_refs_with_bad_names(server: Server, user: User) -> None:
    tip = server.id("main")
    lines = [f"{tip} refs/heads/{name}\n" for name in ("a..b", "x.lock", "é", "-dash", "good")]
    (server.path / "packed-refs").write_text("".join(lines))
    reply = user.run("fetch")
    assert "origin/good" in reply
    remotes = user.run("branch", "-r")
    assert "origin/é" in remotes
    for name in ("..", ".lock", "-dash"):
        assert name not in remotes
    user.check()


def test_a_server_that_has_lost_an_object(server: Server, user: User, tmp_path: Path) -> None:
    clone = server.clone(tmp_path / "clone")
    clone.git("pull", "--quiet", "origin", "main")
    for name in ("whole", "broken"):
        clone.git("checkout", "--quiet", "-b", name, "main")
        clone.write(name, name.encode())
        clone.commit(name)
        clone.git("push", "--quiet", "origin", name)
    lost = server.id("broken:broken")
    (server.path / "objects" / lost[:2] / lost[2:]).unlink()
    reply = user.run("fetch")
    assert exit_code_of(reply) == 1
    assert "[new branch] whole -> origin/whole" in reply
    assert " ! [damaged] origin/broken (" in reply
    user.check()


def test_a_branch_and_one_below_it_follow_each_other(server: Server, user: User) -> None:
    git(server.path, "update-ref", "-d", "refs/heads/idea")
    git(server.path, "update-ref", "refs/heads/idea/one", server.id("main"))
    assert "origin/idea/one" in user.run("fetch")
    git(server.path, "update-ref", "-d", "refs/heads/idea/one")
    git(server.path, "update-ref", "refs/heads/idea", server.id("main"))
    assert exit_code_of(user.run("fetch", "-p")) == 0
    assert user.run("branch", "-r") == "  origin/idea\n  origin/main\n"


def test_a_git_that_still_runs_keeps_others_away(
    server: Server, user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "_WAITED_SECONDS", 0.1)
    [place] = user.mirrors()
    child = subprocess.Popen(["sleep", "60"])
    try:
        with (place / "running").open("r+b") as file:
            running.mark(file.fileno(), child.pid)
        with pytest.raises(Busy, match=f"still talks to this server .* as process {child.pid}"):
            user.run("fetch")
        child.kill()
        # It has ended, whether or not somebody has waited for it.
        user.run("fetch")
    finally:
        child.kill()
        child.wait()
    with (place / "running").open("r+b") as file:
        assert not file.read()
        running.mark(file.fileno(), os.getpid())
        said = (place / "running").read_text()
    # Another process may have got its id.
    (place / "running").write_text(said.replace(said.split()[2], "1"))
    user.run("fetch")


class _Killed(BaseException):
    """The death of the process."""


@pytest.mark.parametrize("verb", ["push", "fetch"])
def test_a_death_after_any_step(server: Server, user: User, verb: str) -> None:
    """After each step of a verb the process ends; then both sides read right, and go on."""
    is_done = False
    for number in range(1_000):
        one, other = User(server.url), User(server.url)
        for each in (one, other):
            each.run("pull", "origin", "main")
        other.commit(f"other {number}", **{f"o{number}": b"o\n"})
        one.commit(f"one {number}", **{f"n{number}": b"1\n"})
        if verb == "fetch":
            other.run("push")
        steps = one.begin(verb)
        is_done = _die_after(steps, number)
        one.store.drop_unpublished()
        one.reopen()
        one.check()
        server.check()
        if verb == "fetch":
            one.run("pull")
        one.run("push")
        assert one.run("status", "-sb") == "## main...origin/main\n"
        assert one.run("log", "--merges", "--format=%s").count("\n") <= number + 1
        server.check()
        if is_done:
            break
    assert is_done


def _die_after(steps: Steps[str], count: int) -> bool:
    """Run the first steps, and leave the rest; return True if there is none."""

    try:
        for _ in range(count):
            step = next(steps)
            while isinstance(step, (Progress, Turn)):
                step = next(steps)
            perform(step)
    except StopIteration:
        return True
    with pytest.raises(_Killed):
        steps.throw(_Killed)
    return False


_MORTAL = """#!/bin/sh
case " $* " in
*" fetch "* | *" push "*) ;;
*) exec {git} "$@" ;;
esac
case "$DIES" in
before) kill -9 $$ ;;
after) {git} "$@"; kill -9 $$ ;;
*) {git} "$@" & sleep "$DIES"; kill -9 $! $$ ;;
esac
"""
"""A git that is killed when it has begun to talk to a server, or is about to end."""


@pytest.mark.parametrize("dies", ["before", "after", "0.003", "0.006", "0.009", "0.012", "0.02"])
def test_a_git_that_is_killed(
    server: Server, user: User, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, dies: str
) -> None:
    """The next command succeeds; nothing is lost, and nothing is there twice."""
    clone = server.clone(tmp_path / "clone")
    clone.git("pull", "--quiet", "origin", "main")
    script = tmp_path / "bin" / "git"
    script.parent.mkdir()
    script.write_text(_MORTAL.format(git=shutil.which("git")))
    script.chmod(0o755)
    mortal = f"{script.parent}:{os.environ['PATH']}"
    clone.write("b", b"1\n")
    clone.commit("from git")
    clone.git("push", "--quiet", "origin", "main")
    for verb in ("fetch", "push"):
        with monkeypatch.context() as patch:
            patch.setenv("PATH", mortal)
            patch.setenv("DIES", dies)
            with suppress(HeliosError):
                user.run(verb)
        user.check()
        if verb == "fetch":
            user.run("fetch")
            user.run("merge", "origin/main")
            user.commit("here", c=b"1\n")
    user.run("push")
    assert user.run("log", "--format=%s") == "here\nfrom git\nfirst\n"
    clone.git("pull", "--quiet", "--ff-only", "origin", "main")
    server.check()
    user.check()


def test_an_answer_that_is_lost(
    server: Server, user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server has moved the branch, and nobody here was told: the next push finds its own."""
    wait = Transfer.wait

    def lost(self: Transfer, seconds: float) -> transfer.GitEnd | None:
        outcome = wait(self, seconds)
        if outcome is None or self._argv[0] != "push":
            return outcome
        return transfer.GitEnd(128, b"", ["fatal: the remote end hung up unexpectedly"])

    user.commit("second", a=b"2\n")
    with monkeypatch.context() as patch:
        patch.setattr(Transfer, "wait", lost)
        assert " main -> main" in user.run("push")
    assert user.run("status", "-sb") == "## main...origin/main\n"
    user.commit("third", a=b"3\n")
    with monkeypatch.context() as patch:
        patch.setattr(Transfer, "wait", lost)
        patch.setattr("heliosfs.gitserver.push.ask_listing", _unreachable)
        with pytest.raises(Unreachable):
            user.run("push")
    assert user.run("status", "-sb") == "## main...origin/main [ahead 1]\n"
    # Whoever fetches now sees the commit that was made here.
    user.run("fetch")
    assert user.run("status", "-sb") == "## main...origin/main\n"


def _unreachable(url: str, remote: str = "") -> Steps[None]:
    raise Unreachable("away")
    yield


def test_an_interrupted_transfer_ends_git() -> None:
    """The steps are closed while git runs: its processes end."""
    running = Transfer(["-c", "alias.slow=!sleep 60", "slow"])
    steps = running.run()
    work = next(steps)
    assert not isinstance(work, tuple)
    work.execute()  # type: ignore[union-attr]
    process = running._process
    assert process is not None and process.poll() is None
    steps.close()
    process.wait(10)
    for thread in threading.enumerate():
        if thread.name in ("git's words", "reaper"):
            thread.join(10)


@pytest.mark.parametrize(("seconds", "rounds"), [(0.0, 20), (0.3, 5)])
def test_two_pushers_of_one_branch(server: Server, seconds: float, rounds: int) -> None:
    """One wins each round, the other is told to fetch, and nothing is lost.

    With a hook that takes a while, both have seen the same branch when the server takes its lock.
    """
    users = [User(server.url), User(server.url)]
    users[0].commit("first", a=b"1\n")
    users[0].run("push")
    users[1].run("pull", "origin", "main")
    hook = server.path / "hooks" / "pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\nsleep {seconds}\n")
    hook.chmod(0o755)
    results: list[object] = [None, None]
    together = threading.Barrier(2)

    def push(at: int) -> None:
        together.wait()
        try:
            results[at] = users[at].run("push")
        except HeliosError as error:
            results[at] = error

    for number in range(rounds):
        for at, user in enumerate(users):
            user.commit(f"{number} of {at}", **{f"f{at}": b"%d\n" % number})
        threads = [threading.Thread(target=push, args=(at,)) for at in (0, 1)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        refused = [each for each in results if isinstance(each, HeliosError)]
        assert len(refused) == 1, results
        assert isinstance(refused[0], Stale) and "helios fetch origin" in str(refused[0])
        loser = users[results.index(refused[0])]
        loser.run("pull")
        loser.run("push")
        users[1 - users.index(loser)].run("pull")
        assert {each.run("status", "-sb") for each in users} == {"## main...origin/main\n"}
    log = git(server.path, "log", "--no-merges", "--format=%s", "main").decode().splitlines()
    assert len(log) == len(set(log)) == 2 * rounds + 1
    for each in users:
        each.check()
    server.check()


def test_git_has_no_shell_and_no_credentials_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_TRACE"):
        monkeypatch.setenv(name, "/nowhere")
    monkeypatch.setenv("GIT_SSH_COMMAND", "my ssh")
    found = transfer._environment()
    assert not {"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_TRACE"} & set(found)
    assert found["GIT_TERMINAL_PROMPT"] == "0"
    assert found["GIT_SSH_COMMAND"] == "my ssh"
    monkeypatch.delenv("GIT_SSH_COMMAND")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    assert "BatchMode=yes" in transfer._environment()["GIT_SSH_COMMAND"]
