"""URLs: which one means a git server, and which one is refused before anything is run."""

from __future__ import annotations

from pathlib import Path

import pytest

from heliosfs.errors import HeliosError, NotPermitted, UsageError
from heliosfs.gitserver.addresses import check_git_url, default_directory, is_git_url
from tests.gitserver.servers import Server, User
from tests.tree_builder import Stage


@pytest.mark.parametrize(
    "url",
    [
        "https://host/team/x.git",
        "https://host/x",
        "https://host:8443/x",
        "http://[::1]:80/x.git",
        "ssh://git@host:22/srv/x.git",
        "ssh://host/~ada/x",
        "git://host/x",
        "git@host:team/x.git",
        "host:x.git",
        "ada@[2001:db8::1]:x.git",
    ],
)
def test_of_git(url: str) -> None:
    assert is_git_url(url)
    check_git_url(url)


@pytest.mark.parametrize(
    "url",
    [
        "s3://bucket/prefix",
        "gs://bucket/prefix",
        "az://container/prefix",
        "file:///nowhere",
        "/nowhere",
        "../x.git",
        "./x.git",
        "memory:",
        "s3:bucket",
        "gopher://host/x",
        "ext::sh -c touch% /tmp/pwned",
        "fd::7",
        "helios::/srv/x",
        "--upload-pack=touch",
        "-u",
        "",
        "https://team.s3.amazonaws.com/x",
        "https://storage.googleapis.com/x",
    ],
)
def test_not_of_git(url: str) -> None:
    assert not is_git_url(url)


@pytest.mark.parametrize(
    "url",
    [
        "https://ada:secret@host/x.git",
        "https://secret@host/x.git",
        "http://:secret@host/x.git",
        "ssh://git:secret@host/x.git",
        "git://secret@host/x.git",
        "https://host/x.git?access_token=secret",
        "https://host/x.git#secret",
    ],
)
def test_secrets_are_refused_and_not_repeated(url: str) -> None:
    assert is_git_url(url)
    stage = Stage()
    with pytest.raises(UsageError) as caught:
        stage.run("remote", "add", url)
    assert "secret" not in str(caught.value)
    assert stage.run("remote") == ""


@pytest.mark.parametrize(
    "url",
    [
        "ssh://-oProxyCommand=touch/x",
        "https://",
        "https://host",
        "https://host/",
        "https://host:port/x",
        "ssh:///x",
        "git@host:-x",
        "https://ho\nst/x",
        " https://host/x",
        "https://host/x ",
    ],
)
def test_nonsense_is_refused(url: str) -> None:
    stage = Stage()
    with pytest.raises(UsageError):
        stage.run("remote", "add", "origin", url)
    assert stage.run("remote") == ""


def test_programs_in_a_url_do_not_run(tmp_path: Path) -> None:
    stage = Stage()
    for number, form in enumerate(("ext::touch {}", "ext::sh -c touch% {}", "--upload-pack={}")):
        victim = tmp_path / f"victim{number}"
        with pytest.raises(HeliosError):
            stage.run("remote", "add", "origin", form.format(victim))
        assert not victim.exists()


def test_the_users_settings_cannot_lead_to_a_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    victim, settings = tmp_path / "victim", tmp_path / "gitconfig"
    settings.write_text(f'[url "ext::touch {victim}"]\n\tinsteadOf = https://host/\n')
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(settings))
    with pytest.raises(HeliosError, match="transport 'ext' not allowed"):
        Stage().run("remote", "add", "https://host/x")
    assert not victim.exists()


def test_hooks_of_the_user_do_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hooks, settings = tmp_path / "hooks", tmp_path / "gitconfig"
    hooks.mkdir()
    for name in ("pre-push", "reference-transaction", "post-merge"):
        (hooks / name).write_text(f"#!/bin/sh\necho {name} >> {tmp_path}/ran\n")
        (hooks / name).chmod(0o755)
    settings.write_text(f"[core]\n\thooksPath = {hooks}\n[push]\n\tfollowTags = true\n")
    server = Server(tmp_path / "server.git")
    user = User(server.url)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(settings))
    user.commit("first", a=b"1\n")
    user.run("tag", "-m", "a tag", "v1")
    user.run("push")
    user.run("fetch")
    # The server is a directory of the same user, whose receive-pack has the user's settings.
    ran = (tmp_path / "ran").read_text() if (tmp_path / "ran").exists() else ""
    assert "pre-push" not in ran
    assert list(server.refs) == ["refs/heads/main"]


def test_a_directory_is_a_git_server_if_a_repository_is_there(tmp_path: Path) -> None:
    server = Server(tmp_path / "a b.git")
    for url in (str(server.path), server.url.replace(" ", "%20")):
        user = User(url)
        user.commit("first", a=b"%d\n" % len(url))
        user.run("push", "origin", f"main:b{len(url)}")
        user.run("fetch")
    assert len(server.refs) == 2
    other = tmp_path / "other"
    shared = User(f"file://{other}")
    shared.commit("first", a=b"1\n")
    shared.run("push")
    assert (other / "format").exists() or any(other.iterdir())
    assert not is_git_url(f"file://{other}")


def test_a_repository_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    stage = Stage()
    for url in (f"file://{tmp_path}/x.git", str(tmp_path / "x.git")):
        with pytest.raises(UsageError, match="git init --bare"):
            stage.run("remote", "add", url)
    with pytest.raises(UsageError, match="no repository of git is there"):
        stage.run("remote", "add", str(tmp_path / "x"))
    assert not list(tmp_path.iterdir())


def test_a_repository_in_a_store_is_refused(tmp_path: Path) -> None:
    (tmp_path / "format").write_text("heliosfs store\nversion 3\n")
    server = Server(tmp_path / "server.git")
    with pytest.raises(NotPermitted):
        User(server.url)


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://host/team/x.git", "x"),
        ("https://host/team/x/", "x"),
        ("git@host:x.git", "x"),
        ("git@host:team/x", "x"),
        ("/srv/x/.git", "x"),
    ],
)
def test_the_directory_of_a_clone(url: str, name: str) -> None:
    assert default_directory(url) == name
