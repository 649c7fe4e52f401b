"""Identity that signs commits."""

from __future__ import annotations

import os
import pwd
import socket
import subprocess
from pathlib import Path

import pytest

from heliosfs.cli.identity import identity


def no_account(uid: int) -> pwd.struct_passwd:
    raise KeyError(uid)


def test_the_environment_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HELIOS_AUTHOR_NAME", "Ada <x>\n")
    monkeypatch.setenv("HELIOS_AUTHOR_EMAIL", "ada@example.org")
    monkeypatch.setenv("PATH", "")
    who = identity(str(tmp_path))
    assert (who.name, who.email) == (b"Ada x", b"ada@example.org")
    assert (who.uid, who.gid) == (os.getuid(), os.getgid())


def test_then_what_git_says_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    subprocess.run(["git", "init", "-q", "."], cwd=tmp_path, check=True)
    for key, value in (("user.name", "Grace"), ("user.email", "grace@example.org")):
        subprocess.run(["git", "config", key, value], cwd=tmp_path, check=True)
    who = identity(str(tmp_path))
    assert (who.name, who.email) == (b"Grace", b"grace@example.org")
    monkeypatch.setenv("HELIOS_AUTHOR_NAME", "Ada")
    assert identity(str(tmp_path)).name == b"Ada"


def test_then_the_account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(socket, "gethostname", lambda: "host")
    account = pwd.struct_passwd(("ed", "x", 1, 1, "Ed Itor,room 5", "/", "/bin/sh"))
    monkeypatch.setattr(pwd, "getpwuid", lambda uid: account)
    who = identity(str(tmp_path))
    assert (who.name, who.email) == (b"Ed Itor", b"ed@host")


def test_a_user_without_an_account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(pwd, "getpwuid", no_account)
    who = identity(str(tmp_path))
    assert who.name == f"uid{os.getuid()}".encode()
    assert who.email.startswith(who.name + b"@")
