"""What is typed in a mounted workspace: exit codes through control files, client and launcher."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import heliosfs.cli
from tests.mount.conftest import SECONDS
from tests.mount.programs import put

if TYPE_CHECKING:
    from tests.mount.conftest import Mounted


def launcher(tmp_path: Path) -> Path:
    """The launcher beside a Python side that names itself."""
    path = tmp_path / "bin"
    path.mkdir()
    source = Path(heliosfs.cli.__file__).with_name("helios")
    (path / "helios").write_bytes(source.read_bytes())
    (path / "helios-py").write_text('#!/bin/sh\nprintf "python: %s\\n" "$*"\n')
    for each in path.iterdir():
        each.chmod(0o755)
    return path / "helios"


def test_an_answer_has_an_exit_code_at_every_entrance(mounted: Mounted, tmp_path: Path) -> None:
    put(mounted.path / "a", "needle\n")
    mounted.commit("one")
    for words, code, out in (
        (["grep", "needle"], 0, "a:needle\n"),
        (["grep", "straw"], 1, ""),
        (["diff", "--quiet"], 0, ""),
        (["-P", "-c", "color.ui=never", "grep", "needle"], 0, "a:needle\n"),
    ):
        done = mounted.command(*words)
        assert (done.returncode, done.stdout, done.stderr) == (code, out, "")
    refused = mounted.command("grep", "needle", "nowhere")
    assert refused.returncode == 2
    assert "'nowhere' is neither a revision nor a path" in refused.stderr
    put(mounted.path / "a", "other\n")
    assert mounted.command("diff", "--quiet").returncode == 1
    changed = mounted.command("diff", "--exit-code")
    assert changed.returncode == 1
    assert changed.stdout.endswith("-needle\n+other\n")
    for asked, reply in (
        ('["grep", "straw"]', "exit: 1\n"),
        ('["grep", "-c", "other"]', "exit: 0\na:1\n"),
        ('["rev-parse", "--abbrev-ref", "HEAD"]', "exit: 0\nmain\n"),
    ):
        assert mounted.control("command", f'{{"argv": {asked}, "exit": true}}\n') == reply
    assert mounted.control("grep", "straw\n") == ""
    assert mounted.control("command", "status -s\n") == " M a\n"
    program = launcher(tmp_path)
    for words, out in (
        (["status", "--porcelain"], " M a\n"),
        (["rev-parse", "-q", "--verify", "none"], "python: rev-parse -q --verify none\n"),
        (["commit", "-qm", "two"], ""),
    ):
        done = subprocess.run(
            [program, *words], cwd=mounted.path, capture_output=True, text=True,
            timeout=SECONDS, check=True,
        )  # fmt: skip
        assert done.stdout == out


def test_where_the_workspace_is(mounted: Mounted) -> None:
    put(mounted.path / "src/lib/a", "x\n")
    mounted.commit("one")
    mounted.helios("branch", "idea")
    root, below = mounted.path, mounted.path / "src/lib"
    for cwd, words, out in (
        (below, ["--show-toplevel"], f"{root}\n"),
        (below, ["--show-prefix", "--show-cdup"], "src/lib/\n../../\n"),
        (root, ["--git-dir"], ".helios\n"),
        (below, ["--git-dir", "--is-inside-work-tree"], f"{root}/.helios\ntrue\n"),
        (root / ".helios", ["--is-inside-work-tree", "--is-inside-git-dir"], "false\ntrue\n"),
        (below, ["--is-bare-repository"], "false\n"),
        (root / ".helios/live/idea/src", ["--show-toplevel"], f"{root}/.helios/live/idea\n"),
    ):
        assert mounted.helios("rev-parse", *words, cwd=cwd) == out
    done = mounted.command("rev-parse", "--show-toplevel", cwd=root.parent)
    assert (done.returncode, done.stdout) == (2, "")
    assert "not inside a heliosfs workspace" in done.stderr
    assert mounted.command("rev-parse", "-q", "--verify", "none").returncode == 1
