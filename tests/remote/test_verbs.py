"""The verbs of remotes, over a directory that two repositories share."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from heliosfs.commands.table import VERBS
from heliosfs.commands.verb import exit_code_of
from heliosfs.errors import AlreadyExists, Conflicted, HeliosError, NotFound, Stale, UsageError
from tests.tree_builder import Stage


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"file://{tmp_path}/remote"


@pytest.fixture
def two(url: str) -> tuple[Stage, Stage]:
    """Two repositories with the same commit."""
    one, other = Stage(), Stage()
    one.run("remote", "add", "origin", url)
    one.commit("first", a=b"1\n")
    one.run("push")
    other.run("remote", "add", url)
    other.run("pull", "origin", "main")
    return one, other


def test_remotes_are_added_listed_and_removed(url: str) -> None:
    stage = Stage()
    assert stage.run("remote") == ""
    stage.run("remote", "add", "team", url)
    assert stage.run("remote") == stage.run("remote", "list", "-v") == f"team\t{url}\n"
    with pytest.raises(AlreadyExists):
        stage.run("remote", "add", "team", url)
    stage.reopen()
    assert json.loads(stage.run("remote", "--json")) == [{"name": "team", "url": url}]
    stage.run("remote", "remove", "team")
    assert stage.run("remote") == ""
    for words in (["remove", "team"], ["remove", "origin"]):
        with pytest.raises(NotFound):
            stage.run("remote", *words)


@pytest.mark.parametrize(
    "words",
    [
        ["add"],
        ["add", "a/b", "URL"],
        ["add", "..", "URL"],
        ["add", "-x", "URL"],
        ["add", "x", "gopher://host/x"],
        ["add", "x", "y", "z"],
        ["remove"],
        ["rename", "a", "b"],
        ["list", "x"],
    ],
)
def test_wrong_words(words: list[str], url: str) -> None:
    stage = Stage()
    with pytest.raises(UsageError):
        stage.run("remote", *(url if word == "URL" else word for word in words))
    assert stage.run("remote") == ""


def test_a_directory_with_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    stage = Stage()
    with pytest.raises(HeliosError):
        stage.run("remote", "add", f"file://{tmp_path}")
    assert stage.run("remote") == ""


def test_without_a_remote() -> None:
    stage = Stage()
    stage.commit(a=b"1")
    for verb in ("push", "fetch", "pull"):
        with pytest.raises(NotFound, match="remote add"):
            stage.run(verb)


def test_push_pull_and_push_again(two: tuple[Stage, Stage]) -> None:
    one, other = two
    assert other.files.read(b"a") == b"1\n"
    assert one.run("push") == "Everything up-to-date\n"
    other.commit("second", b=b"2\n")
    assert other.run("push").splitlines()[1].endswith(" main -> main")
    one.commit("third", c=b"3\n")
    with pytest.raises(Stale, match="'helios pull'"):
        one.run("push")
    assert "Merge made" in one.run("pull")
    assert one.run("log", "--format=%s", "-1") == "Merge remote-tracking branch 'origin/main'\n"
    one.run("push", "-q")
    assert "Fast-forward" in other.run("pull")
    assert other.head == one.head
    assert other.run("pull") == "Already up to date.\n"


def test_undo_takes_back_the_merge_and_not_the_fetch(two: tuple[Stage, Stage]) -> None:
    one, other = two
    one.commit("second", a=b"2\n")
    one.run("push")
    before = other.head
    other.run("pull")
    other.run("undo")
    assert other.head == before
    assert other.run("rev-parse", "origin/main") == f"{one.head}\n"
    assert other.run("status", "-sb") == "## main...origin/main [behind 1]\n"


def test_a_conflict_keeps_what_was_fetched(two: tuple[Stage, Stage]) -> None:
    one, other = two
    one.commit("ours", a=b"one\n")
    one.run("push")
    other.commit("theirs", a=b"other\n")
    before = other.head
    with pytest.raises(Conflicted, match="merge --theirs origin/main"):
        other.run("pull")
    assert other.head == before
    assert other.run("rev-parse", "origin/main") == f"{one.head}\n"
    other.run("pull", "--theirs")
    assert other.files.read(b"a") == b"one\n"


def test_branches_and_tags_of_other_names(two: tuple[Stage, Stage]) -> None:
    one, other = two
    one.run("tag", "-m", "the first\n\nwith a body", "v1")
    one.run("tag", "plain")
    one.run("branch", "idea")
    one.run("push", "origin", "idea:review/idea", "v1")
    assert "[new tag] v1" in other.run("fetch")
    assert other.run("branch", "-r") == "  origin/main\n  origin/review/idea\n"
    assert (
        other.run("branch", "-a") == "* main\n  remotes/origin/main\n  remotes/origin/review/idea\n"
    )
    assert other.run("tag", "-n3") == one.run("tag", "-n3", "v1")
    assert "plain" in one.run("push", "--tags", "--all")
    other.run("fetch")
    assert other.run("tag") == "plain\nv1\n"
    assert "refs/remotes/origin/idea" in other.run("for-each-ref")
    other.run("checkout", "-b", "idea", "origin/idea")
    with pytest.raises(NotFound, match="nowhere"):
        one.run("push", "origin", "nowhere")
    with pytest.raises(NotFound, match="nowhere"):
        one.run("push", "nowhere", "main")


def test_one_refused_branch_does_not_keep_the_others(two: tuple[Stage, Stage]) -> None:
    one, other = two
    one.run("branch", "idea")
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


def test_ahead_and_behind(two: tuple[Stage, Stage]) -> None:
    one, other = two
    assert "Your branch is up to date with 'origin/main'." in other.run("status")
    one.commit("second", b=b"2\n")
    one.run("push")
    other.commit("mine", c=b"3\n")
    assert other.run("status", "-sb") == "## main...origin/main [ahead 1]\n"
    assert "ahead of 'origin/main' by 1 commit." in other.run("status")
    other.run("fetch")
    assert other.run("status", "-sb") == "## main...origin/main [ahead 1, behind 1]\n"
    assert "# branch.upstream origin/main\n# branch.ab +1 -1\n" in other.run(
        "status", "--porcelain=v2", "-b"
    )
    assert "1 and 1 commits of their own" in other.run("status")
    assert "[origin/main: ahead 1, behind 1] mine\n" in other.run("branch", "-vv")
    assert other.run("log", "--format=%s", "HEAD..origin/main") == "second\n"
    assert "(origin/main)" in other.run("log", "--remotes", "--decorate", "--oneline")
    assert "second" in other.run("log", "--all", "--format=%s")
    other.run("reset", "--hard", "HEAD~1")
    assert "behind 'origin/main' by 1 commit." in other.run("status")


def test_a_repository_without_remotes_shows_nothing_of_them() -> None:
    stage = Stage()
    stage.commit("mine", a=b"1\n")
    assert stage.run("status", "-sb") == "## main\n"
    assert "branch" not in stage.run("status").replace("On branch", "")
    assert "[" not in stage.run("branch", "-vv")


def test_programs_in_a_sandbox_cannot_reach_remotes() -> None:
    assert not any(VERBS[name].is_confined for name in ("remote", "push", "fetch", "pull"))


def test_a_branch_that_only_the_remote_has_is_created_on_checkout(
    two: tuple[Stage, Stage],
) -> None:
    one, other = two
    one.run("branch", "idea")
    one.run("branch", "more")
    one.run("push", "--all")
    other.run("fetch")
    with pytest.raises(NotFound):
        other.run("checkout", "nowhere")
    assert "from origin/idea" in other.run("checkout", "idea")
    assert other.run("status", "-sb") == "## idea...origin/idea\n"
    other.run("switch", "more")
    assert other.view.branch == "more"
    other.files.write(b"file", b"x")
    other.run("branch", "-D", "idea")
    other.files.write(b"idea", b"a path of this name goes first\n")
    other.commit("named as a branch")
    other.files.write(b"idea", b"changed\n")
    other.run("checkout", "idea")
    assert other.files.read(b"idea") == b"a path of this name goes first\n"
    assert other.view.branch == "more"


def test_only_the_named_branches_are_fetched(two: tuple[Stage, Stage]) -> None:
    one, other = two
    one.run("branch", "idea")
    one.run("branch", "more")
    one.run("push", "--all", "-q")
    assert "[new branch] idea" in other.run("fetch", "origin", "idea")
    assert other.run("branch", "-r").split() == ["origin/idea", "origin/main"]
    assert other.run("fetch", "idea") == ""
    with pytest.raises(NotFound, match="no branch 'nowhere'"):
        other.run("fetch", "origin", "nowhere")
    with pytest.raises(NotFound, match="no branch 'nowhere'"):
        other.run("pull", "origin", "nowhere")
    with pytest.raises(UsageError):
        other.run("fetch", "--prune", "origin", "idea")
    other.run("pull", "origin", "main")
    assert "origin/more" not in other.run("branch", "-r")


def test_a_branch_of_the_remote_is_deleted_unless_it_has_moved(two: tuple[Stage, Stage]) -> None:
    one, other = two
    for name in ("idea", "more", "last"):
        one.run("branch", name)
    one.run("tag", "v1")
    one.run("push", "-q", "--all", "--tags")
    other.run("fetch")
    assert " - [deleted] idea\n" in one.run("push", "--delete", "origin", "idea")
    assert " - [deleted] more\n" in one.run("push", "origin", ":more")
    one.run("push", "-d", "v1")
    assert one.run("branch", "-r").split() == ["origin/last", "origin/main"]
    assert one.run("tag") == "v1\n"
    assert " - [gone there; --prune forgets it] origin/idea\n" in other.run("fetch")
    other.run("fetch", "-p")
    assert other.run("branch", "-r") == one.run("branch", "-r")
    other.commit("moved", a=b"2\n")
    other.run("push", "origin", "main:last")
    with pytest.raises(Stale, match="'helios fetch origin'"):
        one.run("push", "origin", "--delete", "last")
    with pytest.raises(NotFound, match="'helios fetch origin'"):
        one.run("push", "--delete", "idea")
    for words in (["--delete"], ["--delete", "origin"], ["--delete", "--all"]):
        with pytest.raises(UsageError):
            one.run("push", *words)
    one.run("fetch")
    document = json.loads(one.run("push", "--json", "--delete", "last"))
    assert document["pushed"][0]["after"] is None
    other.run("checkout", "-b", "last")
    with pytest.raises(Stale, match="deleted there"):
        other.run("push")


def test_the_current_branch_is_pushed_as_head(two: tuple[Stage, Stage]) -> None:
    one, other = two
    one.commit("second", a=b"2\n")
    assert " main -> main\n" in one.run("push", "-u", "origin", "HEAD")
    assert " * [new branch] main -> review\n" in one.run("push", "@:review")
    with pytest.raises(UsageError, match="force-with-lease"):
        one.run("push", "+main")
    assert " * [new branch] main~1 -> old\n" in one.run("push", "-v", "origin", "main~1:old")
    with pytest.raises(NotFound, match="no revision 'nowhere'"):
        one.run("push", "nowhere:old")
    with pytest.raises(NotFound, match="push --delete origin old"):
        one.run("branch", "-d", "-r", "origin/old")
    one.run("checkout", "HEAD~1")
    with pytest.raises(HeliosError, match="branch"):
        one.run("push", "origin", "HEAD")
    with pytest.raises(NotFound, match="gives a URL a name"):
        one.run("fetch", "file:///srv/team")
    assert other.run("pull", "--no-rebase", "-q") == ""
    other.run("fetch")
    assert "review" in other.run("branch", "-r")


def test_the_upstream_is_a_revision(two: tuple[Stage, Stage]) -> None:
    one, _ = two
    one.commit("second", a=b"2\n")
    assert one.run("log", "--format=%s", "@{u}..") == "second\n"
    before = one.run("rev-parse", "HEAD~1")
    assert one.run("rev-parse", "main@{upstream}", "HEAD@{u}~0") == before * 2
    assert (
        one.run("rev-parse", "--abbrev-ref", "@{u}", "remotes/origin/main") == "origin/main\n" * 2
    )
    assert one.run("rev-parse", "--symbolic-full-name", "@{u}") == "refs/remotes/origin/main\n"
    one.run("branch", "own")
    with pytest.raises(NotFound, match="'helios push'"):
        one.run("rev-parse", "own@{u}")


def test_another_url_forgets_what_the_old_place_had(
    two: tuple[Stage, Stage], url: str, tmp_path: Path
) -> None:
    one, other = two
    with pytest.raises(NotFound):
        one.run("remote", "set-url", "team", url)
    with pytest.raises(UsageError):
        one.run("remote", "set-url", "origin")
    with pytest.raises(HeliosError):
        one.run("remote", "set-url", "origin", f"file://{tmp_path}/none/below")
    assert one.run("remote", "get-url") == f"{url}\n"
    assert one.run("branch", "-r") == "  origin/main\n"
    one.run("remote", "set-url", "origin", f"{url}-2")
    one.reopen()
    assert one.run("remote", "get-url", "origin") == f"{url}-2\n"
    assert one.run("branch", "-r") == ""
    # Nothing of it is known to be there, so all of it is sent.
    assert "1 commits" in one.run("push")
    other.run("remote", "set-url", "origin", f"{url}-2")
    assert "[new branch] main" in other.run("fetch")
    assert json.loads(other.run("remote", "get-url", "--json"))["url"] == f"{url}-2"


def test_lists_of_branches_show_upstreams(two: tuple[Stage, Stage]) -> None:
    one, other = two
    one.run("branch", "own")
    one.commit("second", a=b"2\n")
    one.run("tag", "v1")

    def shown(stage: Stage, fields: str) -> str:
        return stage.run("for-each-ref", f"--format={fields}")

    names = "%(upstream)|%(push:short)|%(upstream:lstrip=3)|%(upstream:remotename)"
    assert shown(one, names).splitlines() == [
        "refs/remotes/origin/main|origin/main|main|origin", "|||", "|||", "|||",
    ]  # fmt: skip
    track = "%(upstream:track)%(upstream:track,nobracket)%(upstream:trackshort)"
    assert shown(one, track).splitlines()[0] == "[ahead 1]ahead 1>"
    assert shown(other, track).splitlines()[0] == "="
    one.run("push")
    other.commit("mine", b=b"2\n")
    other.run("fetch")
    assert shown(other, track).splitlines()[0] == "[ahead 1, behind 1]ahead 1, behind 1<>"


def test_a_checkout_prefers_origin(two: tuple[Stage, Stage], url: str) -> None:
    one, other = two
    one.run("branch", "idea")
    one.run("remote", "add", "team", f"{url}-2")
    one.run("push", "-q", "origin", "idea")
    one.run("push", "-q", "team", "idea")
    other.run("remote", "add", "team", f"{url}-2")
    other.run("fetch", "team")
    other.run("fetch", "origin")
    assert "from origin/idea" in other.run("checkout", "idea")


@pytest.mark.parametrize(
    ("words", "advice"),
    [
        (["remote", "rename", "origin", "o"], "remote add NEW URL"),
        (["remote", "prune", "origin"], "fetch --prune"),
        (["remote", "add", "o", "ftp://host/a.git"], "USER@HOST:PATH"),
        (["remote", "add", "o", "s3a://team/x"], "write s3://BUCKET/PREFIX"),
        (["remote", "add", "o", "https://team.s3.eu-west-1.amazonaws.com/x"], "s3://BUCKET"),
        (["remote", "add", "o", "https://s3.amazonaws.com/team/x"], "s3://BUCKET"),
        (["remote", "add", "o", "https://x.r2.cloudflarestorage.com/y"], "AWS_ENDPOINT_URL"),
        (["remote", "add", "o", "gcs://team/x"], "gs://BUCKET"),
        (["remote", "add", "o", "https://storage.googleapis.com/team"], "gs://BUCKET"),
        (["remote", "add", "o", "abfss://c@a.dfs.core.windows.net/x"], "password"),
        (["remote", "add", "o", "azure://c/x"], "az://CONTAINER"),
        (["remote", "add", "o", "https://a.blob.core.windows.net/c"], "ACCOUNT_NAME"),
        (["remote", "add", "o", "/srv/team"], "'file:///srv/team'"),
        (["push", "--force"], "--force-with-lease"),
        (["fetch", "--dry-run"], "changes no branch"),
        (["pull", "--autostash"], "stash pop"),
        (["pull", "--rebase"], "'helios pull' merges"),
        (["fetch", "--all"], "'helios remote'"),
    ],
)
def test_words_of_git_are_refused_with_what_to_do(words: list[str], advice: str) -> None:
    with pytest.raises(UsageError, match=advice):
        Stage().run(*words)


def test_a_remote_is_collected(url: str) -> None:
    stage = Stage()
    stage.run("remote", "add", "origin", url)
    stage.commit("first", a=b"1")
    stage.run("push", "-q")
    stage.commit("second", a=b"2")
    stage.run("push", "-q")
    assert stage.run("remote", "gc", "--dry-run") == "nothing to delete in origin\n"
    assert stage.run("remote", "gc", "origin") == "merged what 2 pushes have left\n"
    reply = json.loads(stage.run("remote", "gc", "--json", "--grace", "48h"))
    assert (reply["remote"], reply["url"], reply["dry_run"]) == ("origin", url, False)
    assert (reply["object_count"], reply["merged_count"], reply["deleted_count"]) == (2, 0, 0)
    stage.commit("third", a=b"3")
    stage.run("push", "-q")
    for words, error in (
        (["gc", "a", "b"], "one remote"),
        (["gc", "--grace", "1m"], "an hour at least"),
        (["gc", "--grace", "soon"], "a time such as"),
        (["list", "--grace", "1h"], "belong to 'remote gc'"),
        (["remove", "origin", "--dry-run"], "belong to 'remote gc'"),
    ):
        with pytest.raises(UsageError, match=error):
            stage.run("remote", *words)
    with pytest.raises(NotFound, match="no remote 'other'"):
        stage.run("remote", "gc", "other")
