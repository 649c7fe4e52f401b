"""`helios agent`: what it does to a project and to clients, and that it takes back all of it."""

from __future__ import annotations

import errno
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from heliosfs.cli import runfiles
from heliosfs.cli.agentclients import CLIENTS, plugin_directory
from heliosfs.cli.agentfiles import AGENTS, IGNORE, put_block, restore_json, take_block
from heliosfs.cli.main import main

ROOT = Path(__file__).parents[2]
SECONDS = 60

CLAUDE = """\
import json, pathlib, sys
path = pathlib.Path(".claude/settings.local.json")
now = json.loads(path.read_text()) if path.exists() else {}
words = sys.argv[1:]
if words[1] == "install":
    now.setdefault("enabledPlugins", {})["helios@heliosfs"] = True
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(now))
elif words[1] == "uninstall" and path.exists():
    now["enabledPlugins"].pop("helios@heliosfs", None)
    path.write_text(json.dumps(now, indent=2))
"""
"""Part of Claude Code that writes the settings of a project, and leaves an empty object behind."""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home without clients; `helios` and git are on the PATH."""
    path = tmp_path / "home"
    path.mkdir()
    (path / "bin").mkdir()
    (path / "bin/helios").write_text("#!/bin/sh\n")
    (path / "bin/helios").chmod(0o755)
    monkeypatch.setenv("HOME", str(path))
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    monkeypatch.setenv("PATH", f"{path}/bin:/usr/bin:/bin")
    return path


@pytest.fixture
def project(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project of git with files of its own."""
    path = tmp_path / "project"
    (path / ".git").mkdir(parents=True)
    (path / "src").mkdir()
    (path / "CLAUDE.md").write_text("# Mine, without a last newline")
    (path / ".gitignore").write_text("node_modules/\n.env")
    monkeypatch.chdir(path)
    return path


def add_client(home: Path, name: str, program: str = "", exit_code: int = 0) -> None:
    """Put a client on the PATH that notes how it is called."""
    path = home / "bin" / name
    note = f"{home}/{name}.log"
    path.write_text(
        f'#!/bin/sh\nprintf "%s\\n" "$*" >> {note}\ncat >> {note}.in\n'
        f'{shlex.quote(sys.executable)} -c {shlex.quote(program)} "$@" || exit\n'
        f"[ {exit_code} = 0 ] || echo 'it did not work' >&2\nexit {exit_code}\n"
    )
    path.chmod(0o755)


def calls(home: Path, name: str) -> list[str]:
    path = home / f"{name}.log"
    return path.read_text().splitlines() if path.exists() else []


def files(project: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(project)): path.read_bytes()
        for path in project.rglob("*")
        if path.is_file()
    } | {str(path.relative_to(project)): b"" for path in project.rglob("*") if path.is_dir()}


def test_what_was_done_is_taken_back_to_the_byte(
    home: Path, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    add_client(home, "claude", CLAUDE)
    (project / "AGENTS.md").touch()
    before = files(project)
    assert main(["agent", "init"]) == 0
    said = capsys.readouterr().out
    assert "helios agent remove" in said
    assert "claude: the plugin is installed, for this project" in said
    assert "helios mount" in said
    assert (project / "CLAUDE.md").read_text().startswith("# Mine, without a last newline\n<!-- ")
    assert "helios rewind" in (project / "AGENTS.md").read_text()
    assert (project / ".heliosignore").read_text().splitlines()[1:2] == ["#!include:.gitignore"]
    after = files(project)
    assert main(["agent", "init"]) == 0
    assert files(project) == after
    assert "are there already" in capsys.readouterr().out
    assert main(["agent", "remove"]) == 0
    assert files(project) == before
    assert runfiles.agent_records() == []
    capsys.readouterr()
    assert main(["agent", "remove"]) == 0
    assert capsys.readouterr().out == f"nothing of 'helios agent init' is in {project}\n"
    assert main(["agent", "remove", "--client", "codex"]) == 0
    assert "codex: 'helios agent init' has not installed" in capsys.readouterr().out
    assert runfiles.agent_records() == []
    assert calls(home, "claude")[:2] == [
        f"plugin marketplace add {plugin_directory()} --scope local",
        "plugin install helios@heliosfs --scope local",
    ]
    assert calls(home, "claude")[-2:] == [
        "plugin uninstall helios@heliosfs --scope local",
        "plugin marketplace remove heliosfs --scope local",
    ]


def test_settings_of_a_project_that_were_there(home: Path, project: Path) -> None:
    add_client(home, "claude", CLAUDE)
    (project / ".claude").mkdir()
    settings = project / ".claude/settings.local.json"
    settings.write_text('{ "model" : "opus" }\n')
    main(["agent", "init"])
    assert json.loads(settings.read_text())["enabledPlugins"] == {"helios@heliosfs": True}
    main(["agent", "remove"])
    assert settings.read_text() == '{ "model" : "opus" }\n'


def test_settings_that_changed_since_stay(
    home: Path, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    add_client(home, "claude", CLAUDE)
    main(["agent", "init"])
    settings = project / ".claude/settings.local.json"
    settings.write_text(json.dumps(json.loads(settings.read_text()) | {"model": "opus"}))
    main(["agent", "remove"])
    assert json.loads(settings.read_text())["model"] == "opus"
    assert "has changed since" in capsys.readouterr().out


def test_a_second_time_brings_lines_up_to_date(home: Path, project: Path) -> None:
    main(["agent", "init"])
    path = project / "AGENTS.md"
    own = path.read_text().replace("helios rewind", "something old")
    path.write_text("Above\n\n" + own + "Below\n")
    main(["agent", "init"])
    text = path.read_text()
    assert text.startswith("Above\n\n<!-- helios agent: begin")
    assert text.endswith("<!-- helios agent: end -->\nBelow\n")
    assert text.count("helios agent: begin") == 1
    assert "something old" not in text
    main(["agent", "remove"])
    assert path.read_text() == "Above\nBelow\n"


def test_one_file_under_two_names_gets_the_lines_once(home: Path, project: Path) -> None:
    (project / "CLAUDE.md").unlink()
    (project / "CLAUDE.md").symlink_to("AGENTS.md")
    add_client(home, "claude", CLAUDE)
    for _ in range(2):
        main(["agent", "init"])
        assert (project / "AGENTS.md").read_text().count("helios agent: begin") == 1
    (project / "CLAUDE.md").unlink()
    (project / "CLAUDE.md").write_text("@AGENTS.md\n")
    main(["agent", "init"])
    assert (project / "CLAUDE.md").read_text() == "@AGENTS.md\n"


def test_a_link_to_elsewhere_is_left_alone(
    home: Path, project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An agent may have made it, and a shell may run what is written there."""
    profile = tmp_path / "profile"
    profile.write_text("alias ll='ls -l'\n")
    (project / "AGENTS.md").symlink_to(profile)
    (project / ".heliosignore").symlink_to(tmp_path / "missing")
    assert main(["agent", "init", "--client", "none"]) == 0
    said = capsys.readouterr().out
    assert "AGENTS.md: a link that leads outside of the project: left as it is\n" in said
    assert ".heliosignore: a link that leads outside" in said
    main(["agent", "remove"])
    assert profile.read_text() == "alias ll='ls -l'\n"
    assert not (tmp_path / "missing").exists()


def test_rules_of_git_are_taken_in_once(home: Path, project: Path) -> None:
    (project / ".heliosignore").write_text("#!include:.gitignore\n*.tmp\n")
    main(["agent", "init"])
    assert (project / ".heliosignore").read_text() == "#!include:.gitignore\n*.tmp\n"
    (project / ".heliosignore").write_text("*.tmp\n")
    for _ in range(2):
        main(["agent", "init"])
        assert (project / ".heliosignore").read_text().count("#!include:.gitignore") == 1
    main(["agent", "remove"])
    assert (project / ".heliosignore").read_text() == "*.tmp\n"


def test_each_client_is_called_in_its_own_way(home: Path, project: Path) -> None:
    for name in CLIENTS:
        add_client(home, name)
    assert main(["agent", "init", "--client", "codex,gemini,qwen,copilot"]) == 0
    plugin = plugin_directory()
    assert calls(home, "claude") == []
    assert calls(home, "codex") == [
        f"plugin marketplace add {plugin}",
        "plugin add helios@heliosfs",
    ]
    assert calls(home, "gemini") == [f"extensions link {plugin}/gemini --consent"]
    assert calls(home, "qwen") == [f"extensions link {plugin}"]
    assert (home / "qwen.log.in").read_text() == "y\n"
    assert calls(home, "copilot") == [
        f"plugin marketplace add {plugin}",
        "plugin install helios@heliosfs",
    ]
    assert main(["agent", "remove", "--client", "gemini"]) == 0
    assert calls(home, "gemini")[1:] == ["extensions uninstall helios"]
    assert (project / "AGENTS.md").exists()
    assert main(["agent", "remove"]) == 0
    assert calls(home, "gemini")[2:] == []
    assert calls(home, "codex")[2:] == [
        "plugin remove helios@heliosfs",
        "plugin marketplace remove heliosfs",
    ]


def test_a_client_that_another_project_needs_keeps_the_plugin(
    home: Path, project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_client(home, "codex")
    main(["agent", "init"])
    other = tmp_path / "other"
    (other / ".git").mkdir(parents=True)
    monkeypatch.chdir(other)
    main(["agent", "init"])
    count = len(calls(home, "codex"))
    main(["agent", "remove"])
    assert len(calls(home, "codex")) == count
    monkeypatch.chdir(project / "src")
    main(["agent", "remove"])
    assert calls(home, "codex")[-1] == "plugin marketplace remove heliosfs"


def test_a_client_that_is_not_there(
    home: Path, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["agent", "init", "--client", "gemini"]) == 1
    assert "not installed: gemini is not on the PATH\n" in capsys.readouterr().out


def test_a_client_that_refuses(
    home: Path, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    add_client(home, "codex", exit_code=1)
    (home / ".gemini").mkdir()
    assert main(["agent", "init"]) == 1
    said = capsys.readouterr().out
    assert "codex: the plugin is not installed: codex plugin marketplace: it did not work" in said
    assert f"by hand: codex plugin marketplace add {plugin_directory()}; codex plugin add" in said
    assert "gemini: not on the PATH" in said
    assert main(["agent", "init", "--client", "gemini"]) == 1
    capsys.readouterr()
    assert main(["agent", "init", "--client", "none"]) == 0
    assert "gemini" not in capsys.readouterr().out
    assert main(["agent", "init", "--client", "emacs"]) == 2
    assert main(["agent", "other"]) == 2


def test_a_file_that_is_no_text_is_left_alone(
    home: Path, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (project / "AGENTS.md").write_bytes(b"\xff\xfe")
    assert main(["agent", "init"]) == 1
    assert "AGENTS.md is not UTF-8" in capsys.readouterr().err
    assert (project / "AGENTS.md").read_bytes() == b"\xff\xfe"


def test_the_history_of_a_workspace_gets_a_bound(
    home: Path, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["init", str(project)]) == 0
    assert main(["config", "set", "storage.max_size", "3GB"]) == 0
    capsys.readouterr()
    assert main(["agent", "init"]) == 0
    said = capsys.readouterr().out
    assert "history: cleanup.auto_gc_enabled = true\n" in said
    assert "history: storage.max_size = 3GB, as it was\n" in said
    main(["agent", "init"])
    main(["config", "unset", "storage.max_size"])
    main(["agent", "remove"])
    capsys.readouterr()
    main(["config", "list", "--changed"])
    assert "auto_gc_enabled" not in capsys.readouterr().out
    main(["agent", "init"])
    said = capsys.readouterr().out
    assert "history: storage.max_size = " in said
    main(["config", "set", "storage.max_size", "7GB"])
    main(["agent", "remove"])
    assert "storage.max_size has changed since, and stays" in capsys.readouterr().out


@pytest.mark.parametrize("content", ["", "a", "a\n", "a\n\n", "\n", "a\r\nb\r\n"])
def test_lines_of_ours_leave_no_trace(tmp_path: Path, content: str) -> None:
    path = tmp_path / AGENTS.name
    path.write_text(content, newline="")
    put_block(str(tmp_path), AGENTS, "text")
    assert take_block(str(tmp_path), AGENTS, is_made=False)
    assert not take_block(str(tmp_path), AGENTS, is_made=False)
    with path.open(newline="") as file:
        assert file.read() == content
    put_block(str(tmp_path), IGNORE, "*.o")
    done = subprocess.run(
        ["git", "check-ignore", "--no-index", "x.o"],
        cwd=tmp_path,
        capture_output=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode != 0
    assert IGNORE.block("*.o").splitlines()[1] == "*.o"


def test_a_file_that_cannot_be_written_stays_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "real").write_text("mine\n")
    (tmp_path / "real").chmod(0o640)
    (tmp_path / AGENTS.name).symlink_to("real")

    def replace(*words: str) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", replace)
        with pytest.raises(OSError, match="No space"):
            put_block(str(tmp_path), AGENTS, "text")
    assert sorted(os.listdir(tmp_path)) == [AGENTS.name, "real"]
    assert (tmp_path / "real").read_text() == "mine\n"
    assert put_block(str(tmp_path), AGENTS, "text") == "extended"
    assert (tmp_path / AGENTS.name).is_symlink()
    assert (tmp_path / "real").stat().st_mode & 0o777 == 0o640


def test_json_is_restored_only_if_it_says_the_same(tmp_path: Path) -> None:
    path = tmp_path / "a/b.json"
    path.parent.mkdir()
    for now, old, is_restored in (
        ('{"a": {}}', None, True),
        ('{"a": {"b": {}}, "c": 1}', '{"c":1}', False),
        ('{"a": {}, "c": 1}', '{"c":1}', True),
        ("no JSON", '{"c":1}', False),
        ('{"c": 2}', '{"c":1}', False),
    ):
        path.parent.mkdir(exist_ok=True)
        path.write_text(now)
        assert restore_json(str(path), old) == is_restored
        if is_restored and old is None:
            assert not os.path.exists(path.parent)
        elif is_restored:
            assert path.read_text() == old
        else:
            assert path.read_text() == now
