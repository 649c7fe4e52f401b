"""Branches and tags that go through a git server, beside a clone of the real git."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from heliosfs.commands.verb import exit_code_of
from heliosfs.errors import HeliosError, NotFound, NotPermitted, Stale, UsageError
from tests.git_repository import Clone, everything, git
from tests.gitserver.servers import Server, User
from tests.remote.promised import noise


@pytest.fixture
def server(tmp_path: Path) -> Server:
    return Server(tmp_path / "srv" / "team.git")


def test_push_to_an_empty_server_and_pull_elsewhere(server: Server) -> None:
    one, other = User(server.url), User(server.url)
    one.commit("first", a=b"1\n")
    reply = one.run("push")
    assert " * [new branch] main -> main\n" in reply
    assert one.run("push") == "Everything up-to-date\n"
    other.run("pull", "origin", "main")
    assert other.files.read(b"a") == b"1\n"
    other.commit("second", b=b"2\n")
    assert " main -> main" in other.run("push")
    one.commit("third", c=b"3\n")
    before = server.refs
    with pytest.raises(Stale, match="'helios pull'"):
        one.run("push")
    assert server.refs == before
    assert "Merge made" in one.run("pull")
    one.run("push")
    assert "Fast-forward" in other.run("pull")
    assert other.files.read(b"c") == b"3\n"
    assert other.run("pull") == "Already up to date.\n"
    for each in (one, other, server):
        each.check()


def test_a_clone_of_git_and_a_workspace_take_turns(server: Server, tmp_path: Path) -> None:
    clone, user = server.clone(tmp_path / "clone"), User(server.url)
    clone.write("a", b"0\n")
    clone.write("run.sh", b"#!/bin/sh\n", 0o755)
    clone.commit("from git 0")
    clone.git("push", "--quiet", "origin", "main")
    user.run("pull", "origin", "main")
    for turn in range(4):
        user.commit(f"from helios {turn}", **{f"h{turn}": b"h\n"})
        user.run("push")
        assert user.run("push") == "Everything up-to-date\n"
        clone.git("pull", "--quiet", "--ff-only", "origin", "main")
        assert (clone.path / f"h{turn}").read_bytes() == b"h\n"
        clone.write("a", b"%d\n" % turn)
        last = clone.commit(f"from git {turn + 1}")
        clone.git("push", "--quiet", "origin", "main")
        assert "Fast-forward" in user.run("pull")
        assert user.files.read(b"a") == b"%d\n" % turn
        # Nothing is pushed that the server has: its ids are ours.
        assert user.run("push") == "Everything up-to-date\n"
        assert server.id("main") == last
        assert user.run("status", "-sb") == "## main...origin/main\n"
    assert user.run("log", "--format=%s").count("\n") == 9
    for each in (user, server):
        each.check()


def test_everything_that_git_has_comes_and_goes_back_bit_for_bit(tmp_path: Path) -> None:
    source = everything(tmp_path / "source")
    refs = {
        name: git_id
        for name, git_id in source_refs(source).items()
        if name not in ("refs/tags/a-tree", "refs/tags/a-blob")
    }
    user = User(str(source.path))
    assert "[new branch] trunk -> origin/trunk" in user.run("fetch")
    target = Server(tmp_path / "target.git")
    user.run("remote", "add", "target", target.url)
    names = [name.removeprefix("refs/heads/") for name in refs if name.startswith("refs/heads/")]
    for name in names:
        user.run("branch", name, f"origin/{name}")
    user.run("push", "--all", "--tags", "target")
    assert target.refs == refs
    user.check()


def source_refs(clone: Clone) -> dict[str, str]:
    lines = clone.git("for-each-ref", "--format=%(refname) %(objectname)").decode().splitlines()
    return dict(line.split(" ") for line in lines)


def test_ahead_and_behind(server: Server, tmp_path: Path) -> None:
    user, clone = User(server.url), server.clone(tmp_path / "clone")
    user.commit("first", a=b"1\n")
    user.run("push")
    clone.git("pull", "--quiet", "origin", "main")
    clone.write("b", b"2\n")
    clone.commit("second")
    clone.git("push", "--quiet", "origin", "main")
    user.commit("mine", c=b"3\n")
    assert user.run("status", "-sb") == "## main...origin/main [ahead 1]\n"
    user.run("fetch")
    assert user.run("status", "-sb") == "## main...origin/main [ahead 1, behind 1]\n"
    assert "[origin/main: ahead 1, behind 1] mine\n" in user.run("branch", "-vv")
    assert user.run("log", "--format=%s", "HEAD..origin/main") == "second\n"
    user.run("gc", "--aggressive")
    assert user.run("log", "--format=%s", "HEAD..origin/main") == "second\n"
    user.check()


def test_forced_pushes(server: Server) -> None:
    one, other = User(server.url), User(server.url)
    one.commit("first", a=b"1\n")
    one.run("push")
    other.run("pull", "origin", "main")
    other.commit("lost", b=b"2\n")
    other.run("push")
    one.commit("better", c=b"3\n")
    # What it has seen is not what is there.
    with pytest.raises(Stale, match="helios fetch origin"):
        one.run("push", "--force-with-lease")
    one.run("fetch")
    with pytest.raises(Stale, match="--force-with-lease drops them"):
        one.run("push")
    assert "(forced)" in one.run("push", "--force-with-lease")
    assert " + " in other.run("fetch")
    assert other.run("status", "-sb") == "## main...origin/main [ahead 1, behind 1]\n"
    server.check()


def test_tags_travel_with_their_messages(server: Server, tmp_path: Path) -> None:
    one, other, clone = User(server.url), User(server.url), server.clone(tmp_path / "clone")
    one.commit("first", a=b"1\n")
    one.run("tag", "-m", "the first\n\nwith a body", "v1")
    one.run("tag", "plain")
    one.run("push", "--all", "--tags")
    clone.git("pull", "--quiet", "--tags", "origin", "main")
    assert clone.git("cat-file", "-t", "v1") == b"tag\n"
    assert clone.git("cat-file", "-t", "plain") == b"commit\n"
    clone.git("tag", "-a", "-m", "from git", "v2")
    clone.git("push", "--quiet", "origin", "v2")
    assert "[new tag] v1" in other.run("fetch")
    assert other.run("tag", "-n3", "v1") == one.run("tag", "-n3", "v1")
    assert "from git" in other.run("tag", "-n1", "v2")
    one.run("fetch")
    ids = server.refs
    for user in (one, other):
        user.run("push", "--tags")
        assert server.refs == ids
        # A tag that is here stays, and one that is there is not replaced.
    other.run("checkout", "main")
    other.commit("second", a=b"2\n")
    other.run("tag", "-f", "-m", "another", "plain")
    with pytest.raises(Stale):
        other.run("push", "origin", "plain")
    server.check()


def test_deleted_branches(server: Server, tmp_path: Path) -> None:
    one, other = User(server.url), User(server.url)
    one.commit("first", a=b"1\n")
    one.run("branch", "idea")
    one.run("tag", "v1")
    one.run("push", "--all", "--tags")
    other.run("fetch")
    assert one.run("push", "--delete", "origin", "idea", "v1").count("[deleted]") == 2
    assert list(server.refs) == ["refs/heads/main"]
    assert "gone there" in other.run("fetch")
    assert other.run("branch", "-r") == "  origin/idea\n  origin/main\n"
    with pytest.raises(Stale, match="--prune"):
        other.run("push", "--force-with-lease", "origin", "origin/main:idea")
    other.run("fetch", "--prune")
    assert other.run("branch", "-r") == "  origin/main\n"
    with pytest.raises(NotFound):
        other.run("push", "--delete", "origin", "idea")
    one.run("push", "origin", "idea:idea/below")
    assert "origin/idea/below" in other.run("fetch") + other.run("branch", "-r")
    one.check()


def test_one_refused_branch_does_not_keep_the_others(server: Server) -> None:
    one, other = User(server.url), User(server.url)
    one.commit("first", a=b"1\n")
    one.run("push")
    other.run("pull", "origin", "main")
    one.commit(a=b"2\n")
    one.run("push")
    other.run("branch", "own")
    other.commit(a=b"3\n")
    reply = other.run("push", "--all")
    assert exit_code_of(reply) == 1
    assert " * [new branch] own -> own\n" in reply
    assert " ! [refused] main -> main (" in reply
    document = json.loads(other.run("push", "--all", "--json"))
    assert [each["name"] for each in document["pushed"]] == ["own"]
    assert [each["name"] for each in document["refused"]] == ["main"]


def test_what_the_server_refuses_is_told_in_its_words(server: Server) -> None:
    hook = server.path / "hooks" / "pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho 'main is protected' >&2\nexit 1\n")
    hook.chmod(0o755)
    user = User(server.url)
    user.commit("first", a=b"1\n")
    with pytest.raises(NotPermitted, match=r"hook declined; main is protected"):
        user.run("push")
    assert user.run("branch", "-r") == ""
    hook.unlink()
    user.run("push")


def test_uncommitted_work(server: Server) -> None:
    one, other = User(server.url), User(server.url)
    one.commit("first", a=b"1\n")
    one.run("push")
    one.files.write(b"a", b"not done\n")
    one.run("push", "--work")
    [branch] = [name for name in server.refs if "machines/" in name]
    name = branch.removeprefix("refs/heads/")
    other.run("fetch")
    other.run("checkout", f"origin/{name}")
    assert other.files.read(b"a") == b"not done\n"
    one.files.write(b"a", b"nearly\n")
    one.run("push", "--work")
    one.run("fetch")
    one.commit("done", a=b"done\n")
    one.run("push")
    assert branch not in server.refs
    assert one.run("branch", "-r") == "  origin/main\n"
    server.check()


def test_what_has_no_counterpart_is_refused_with_a_reason(server: Server) -> None:
    user = User(server.url)
    user.commit("first", a=b"1\n")
    user.run("experiment", "start", "trial")
    with pytest.raises(UsageError, match="do not travel"):
        user.run("push", "origin", "refs/experiments/trial")
    with pytest.raises(UsageError, match="collects its garbage itself"):
        user.run("remote", "gc")
    user.run("push", "--all")
    assert user.run("fetch", "--contents") == "All contents are here already\n"


def test_a_branch_alone_is_fetched(server: Server) -> None:
    one, other = User(server.url), User(server.url)
    one.commit("first", a=b"1\n")
    one.run("branch", "idea")
    one.run("push", "--all")
    other.run("fetch", "origin", "idea")
    assert other.run("branch", "-r") == "  origin/idea\n"
    with pytest.raises(NotFound, match="has no branch 'nowhere'"):
        other.run("fetch", "origin", "nowhere")
    with pytest.raises(NotFound, match="no branch 'nowhere'"):
        other.run("pull", "origin", "nowhere")
    other.run("checkout", "idea")
    assert other.files.read(b"a") == b"1\n"


def test_two_servers_and_another_url(server: Server, tmp_path: Path) -> None:
    user, second = User(server.url), Server(tmp_path / "second.git")
    user.commit("first", a=b"1\n")
    user.run("push")
    user.run("remote", "add", "second", str(second.path))
    assert "[new branch]" in user.run("push", "second")
    assert second.refs == server.refs
    user.run("remote", "set-url", "second", server.url)
    assert user.run("branch", "-r") == "  origin/main\n"
    user.run("fetch", "second")
    assert user.run("branch", "-r") == "  origin/main\n  second/main\n"
    assert len(user.mirrors()) == 1
    user.run("remote", "remove", "second")
    assert user.mirrors() == []
    assert user.run("remote") == f"origin\t{server.url}\n"


def test_ids_of_sha256(tmp_path: Path) -> None:
    server = Server(tmp_path / "server.git", object_format="sha256")
    clone = Clone(tmp_path / "clone", "main", object_format="sha256")
    clone.write("a", b"1\n")
    clone.commit("first")
    clone.git("push", "--quiet", server.url, "main")
    user = User(server.url)
    user.run("pull", "origin", "main")
    user.commit("second", b=b"2\n")
    user.run("push")
    clone.git("pull", "--quiet", "--ff-only", server.url, "main")
    assert (clone.path / "b").read_bytes() == b"2\n"
    server.check()
    with pytest.raises(HeliosError):
        other = User(Server(tmp_path / "sha1.git").url)
        other.run("remote", "add", "second", server.url)
        other.run("pull", "second", "main")
        other.run("push", "origin")


def test_a_working_tree_as_a_server(tmp_path: Path) -> None:
    clone = Clone(tmp_path / "clone", "main")
    clone.write("a", b"1\n")
    clone.commit("first")
    user = User(str(clone.path))
    user.run("pull", "origin", "main")
    user.commit("second", a=b"2\n")
    # git does not change the files of somebody under his hands.
    with pytest.raises(NotPermitted, match="checked out"):
        user.run("push")
    user.run("push", "origin", "main:review")
    assert git(clone.path, "show", "review:a") == b"2\n"


def test_commits_that_were_squashed_in_git_are_not_dropped_there(
    server: Server, tmp_path: Path
) -> None:
    """A commit that follows another here need not do so in git."""
    user, target = User(server.url), tmp_path / "exported.git"
    git(tmp_path, "init", "--quiet", "--bare", str(target))
    for number in range(3):
        user.commit(f"step {number}", a=b"%d\n" % number)
    user.run("export", "--to-git", str(target), "--squash", "main")
    git(target, "push", "--quiet", server.url, "main")
    before = server.refs
    user.run("fetch")
    user.commit("more", a=b"more\n")
    with pytest.raises(Stale, match="other commits in git"):
        user.run("push")
    assert server.refs == before
    user.run("push", "origin", "main:whole")
    assert server.refs["refs/heads/main"] == before["refs/heads/main"]
    assert "(forced)" in user.run("push", "--force-with-lease")
    server.check()


def test_what_git_cannot_hold_is_told(server: Server) -> None:
    user = User(server.url)
    user.commit("first", a=b"1\n")
    user.files.directory(b"empty/below")
    user.files.fifo(b"pipe")
    user.commit("second", b=b"2\n")
    assert "empty directories (2) and FIFOs, sockets and devices (1): " in user.run("push")
    assert git(server.path, "ls-tree", "-r", "--name-only", "main") == b"a\nb\n"
    assert "FIFO" not in user.run("push")


def test_contents_of_another_remote_are_brought_before_a_push(
    server: Server, tmp_path: Path
) -> None:
    one, lazy = User(server.url), User(server.url)
    one.run("remote", "add", "team", f"file://{tmp_path}/team")
    one.commit("first", a=noise(1, 200_000), b=b"2\n")
    one.run("push", "team")
    lazy.run("remote", "add", "team", f"file://{tmp_path}/team")
    with lazy.repository.transaction:
        lazy.repository.remotes.notes.leave_contents("team", is_lazy=True)
    lazy.run("fetch", "team")
    assert lazy.store.promises
    lazy.run("push", "origin", "team/main:main")
    assert git(server.path, "show", "main:a") == noise(1, 200_000)
    one.run("push")
    assert one.run("status", "-sb") == "## main...origin/main\n"
    server.check()


def test_one_history_by_git_and_by_a_bucket(server: Server, tmp_path: Path) -> None:
    """Ids in git agree, whichever way a commit came."""
    one, other = User(server.url), User(server.url)
    for user in (one, other):
        user.run("remote", "add", "team", f"file://{tmp_path}/team")
    one.commit("first", a=b"1\n")
    one.run("push", "team")
    other.run("fetch", "team")
    one.run("push", "origin")
    other.run("push", "origin", "team/main:again")
    assert server.id("main") == server.id("again")
    server.check()


def test_a_shallow_history_is_not_pushed(server: Server, tmp_path: Path) -> None:
    """The commit at which it ends would get the id of one without parents."""
    one, other = User(server.url), User(server.url)
    for user in (one, other):
        user.run("remote", "add", "team", f"file://{tmp_path}/team")
    for number in range(3):
        one.commit(f"step {number}", a=b"%d\n" % number)
    one.run("push", "team")
    other.run("fetch", "team", "--depth", "1")
    with pytest.raises(NotPermitted, match="fetch --unshallow"):
        other.run("push", "origin", "team/main:main")
    assert server.refs == {}
    other.run("fetch", "team", "--unshallow")
    other.run("push", "origin", "team/main:main")
    one.run("push", "origin")
    assert one.run("status", "-sb") == "## main...origin/main\n"
    # What is here of it, and what git has, are one history.
    other.run("fetch", "team")
    third = User(server.url)
    third.run("remote", "add", "team", f"file://{tmp_path}/team")
    third.run("fetch", "team", "--depth", "1")
    third.run("fetch", "origin")
    with pytest.raises(UsageError, match="name the storage that the history came from"):
        third.run("fetch", "origin", "--unshallow")
    third.run("merge", "origin/main")
    third.commit("from a shallow one", b=b"1\n")
    third.run("push", "origin")
    third.check()
    server.check()
