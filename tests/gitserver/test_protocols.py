"""The ways to a server: http with and without a password, git's own protocol, ssh."""

from __future__ import annotations

import os
import shlex
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest

from heliosfs.errors import HeliosError, Stale
from heliosfs.remote.bucket import Unreachable
from tests.git_repository import ENVIRONMENT, git
from tests.gitserver.http import serving
from tests.gitserver.servers import Server, User


@pytest.fixture
def server(tmp_path: Path) -> Server:
    server = Server(tmp_path / "srv" / "team.git")
    git(server.path, "config", "http.receivepack", "true")
    return server


def _exchange(server: Server, url: str, tmp_path: Path) -> None:
    """Two users and a clone of git exchange some commits."""
    clone, one, other = server.clone(tmp_path / "clone"), User(url), User(url)
    one.commit("first", a=bytes(range(256)) * 4_000)
    one.run("tag", "-m", "a tag", "v1")
    one.run("push", "--all", "--tags")
    other.run("pull", "origin", "main")
    assert other.files.read(b"a") == bytes(range(256)) * 4_000
    clone.git("pull", "--quiet", "origin", "main")
    clone.write("b", b"2\n")
    clone.commit("second")
    clone.git("push", "--quiet", "origin", "main")
    other.commit("third", c=b"3\n")
    with pytest.raises(Stale):
        other.run("push")
    other.run("pull")
    other.run("push")
    one.run("pull")
    assert one.head == other.head or one.run("status", "-sb") == "## main...origin/main\n"
    assert one.files.read(b"c") == b"3\n"
    other.run("push", "--delete", "origin", "v1")
    server.check()


def test_http(server: Server, tmp_path: Path) -> None:
    with serving(tmp_path / "srv") as url:
        _exchange(server, f"{url}/team.git", tmp_path)
        with pytest.raises(Unreachable, match="not found"):
            User(f"{url}/other.git")


def test_a_password_comes_from_a_credential_helper(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = tmp_path / "gitconfig"
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(settings))
    settings.write_text("")
    with serving(tmp_path / "srv", "the-secret") as url:
        # Nobody is asked, whatever terminal there is.
        with pytest.raises(Unreachable, match="terminal prompts disabled"):
            User(f"{url}/team.git")
        settings.write_text(
            '[credential]\n\thelper = "!f() { echo username=ada; echo password=$SECRET; }; f"\n'
        )
        monkeypatch.setenv("SECRET", "wrong")
        with pytest.raises(Unreachable) as caught:
            User(f"{url}/team.git")
        assert "wrong" not in str(caught.value)
        monkeypatch.setenv("SECRET", "the-secret")
        _exchange(server, f"{url}/team.git", tmp_path)


def test_a_helper_that_stays_holds_nothing(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program such as `git credential-cache` lives on for a quarter of an hour."""
    settings, ids = tmp_path / "gitconfig", tmp_path / "ids"
    settings.write_text(
        '[credential]\n\thelper = "!f() { sleep 60 2>/dev/null >/dev/null & echo $! >> '
        f'{ids}; echo username=ada; echo password=p; }}; f"\n'
    )
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(settings))
    try:
        with serving(tmp_path / "srv", "p") as url:
            user = User(f"{url}/team.git")
            user.commit("first", a=b"1\n")
            began = time.monotonic()
            user.run("push")
            user.run("fetch")
            user.run("push")
            assert time.monotonic() - began < 9
    finally:
        for each in ids.read_text().split():
            with suppress(ProcessLookupError):
                os.kill(int(each), signal.SIGKILL)


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


@contextmanager
def _daemon(root: Path) -> Iterator[str]:
    port = _free_port()
    argv = ["git", "daemon", "--listen=127.0.0.1", f"--port={port}", "--export-all", "--reuseaddr"]
    argv += ["--enable=receive-pack", "--informative-errors", f"--base-path={root}"]
    process = subprocess.Popen(argv, env=ENVIRONMENT, stderr=subprocess.DEVNULL)
    try:
        for _ in range(500):
            try:
                with closing(socket.create_connection(("127.0.0.1", port), 1)):
                    break
            except OSError:
                time.sleep(0.02)
        yield f"git://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)


def test_the_protocol_of_git(server: Server, tmp_path: Path) -> None:
    with _daemon(tmp_path / "srv") as url:
        _exchange(server, f"{url}/team.git", tmp_path)
        with pytest.raises(Unreachable, match="no such repository"):
            User(f"{url}/other.git")


_SSH = """#!/bin/sh
# As sshd does, for whatever host.
echo "$@" >> {log}
while [ "$#" -gt 1 ]; do shift; done
exec sh -c "$1"
"""


def test_ssh(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script, log = tmp_path / "ssh", tmp_path / "log"
    script.write_text(_SSH.format(log=shlex.quote(str(log))))
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{ENVIRONMENT['PATH']}")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    monkeypatch.delenv("GIT_SSH_COMMAND", raising=False)
    _exchange(server, f"git@host:{server.path}", tmp_path)
    assert "BatchMode=yes" in log.read_text()
    assert "ConnectTimeout=" in log.read_text()
    User(f"ssh://git@host{server.path}").run("fetch")


def test_a_host_that_ssh_does_not_reach(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    with pytest.raises(HeliosError, match=r"[Cc]onnect|resolve|refused"):
        User(f"ssh://git@127.0.0.1:{_free_port()}/x.git")
