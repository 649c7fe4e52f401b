"""Commands typed in a mounted workspace: exit codes through control files, client, launcher."""

from __future__ import annotations

import io
import os
import pty
import select
import subprocess
import sys
import tarfile
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


def test_a_control_file_is_known_although_another_caller_had_just_closed_it(
    mounted: Mounted, tmp_path: Path
) -> None:
    put(mounted.path / "a", "x\n")
    program = launcher(tmp_path)
    script = program.read_text()
    look = "if [ -s command ]; then sized=1; fi"
    assert script.count(look) == 1
    # Whoever has the file open while its size is looked at closes it before it is opened here.
    held = f"exec 4<>command\n    {look}\n    exec 4>&-"
    program.write_text(script.replace(look, held))
    for words, out in (
        (["status", "-s"], " A a\n"),
        (["rev-parse", "--abbrev-ref", "HEAD"], "main\n"),
    ):
        done = subprocess.run(
            [program, *words], cwd=mounted.path, capture_output=True, text=True,
            timeout=SECONDS, check=True,
        )  # fmt: skip
        assert (done.stdout, done.stderr) == (out, "")


def test_where_the_workspace_is(mounted: Mounted) -> None:
    put(mounted.path / "src/lib/a", "x\n")
    mounted.commit("one")
    mounted.helios("branch", "idea")
    root, below = mounted.path, mounted.path / "src/lib"
    for cwd, words, out in (
        (below, ["--show-toplevel"], f"{root}\n"),
        (below, ["--show-prefix", "--show-cdup"], "src/lib/\n../../\n"),
        (below, ["--abbrev-ref", "HEAD", "--show-toplevel"], f"main\n{root}\n"),
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


def test_mv_keeps_the_file_and_stages_both_paths(mounted: Mounted) -> None:
    put(mounted.path / "src/a", "text of a\n")
    put(mounted.path / "other", "o\n")
    mounted.commit("one")
    put(mounted.path / "other", "edited\n")
    inode = (mounted.path / "src/a").stat().st_ino
    assert mounted.helios("mv", "-v", "a", "../b", cwd=mounted.path / "src") == (
        "Renaming a to ../b\n"
    )
    assert (mounted.path / "b").stat().st_ino == inode
    assert mounted.helios("status", "-s") == "R  src/a -> b\n M other\n"
    for words, said in (
        (["none", "x"], "no file 'none'"),
        (["b", "other"], "'other' exists already"),
        (["b", ".helios/x"], "not a file of this workspace"),
        (["b", "other", "x"], "'x' is not a directory"),
    ):
        done = mounted.command("mv", *words)
        assert done.returncode == 1
        assert said in done.stderr
    put(mounted.path / "new", "n\n")
    assert "in no commit" in mounted.command("mv", "new", "newer").stderr
    assert mounted.helios("mv", "-k", "new", "b", "src") == ""
    assert (mounted.path / "src/b").exists()
    assert (mounted.path / "new").exists()
    mounted.helios("commit", "-m", "moved")
    assert mounted.helios("show", "--name-status", "--format=") == "R100\tsrc/a\tsrc/b\n"


def on_a_terminal(mounted: Mounted, *words: str, **environment: str) -> tuple[int, str]:
    """Run a verb with a terminal for input and output; return exit code and what it shows."""
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "heliosfs.cli", *words],
        cwd=mounted.path, stdin=follower, stdout=follower, stderr=follower,
        env={**os.environ, "TERM": "xterm", **environment},
    )  # fmt: skip
    os.close(follower)
    shown = b""
    try:
        while select.select([leader], [], [], SECONDS)[0]:
            try:
                data = os.read(leader, 4096)
            except OSError:
                break
            if not data:
                break
            shown += data
        return process.wait(SECONDS), shown.decode().replace("\r\n", "\n")
    finally:
        process.kill()
        process.wait()
        os.close(leader)


def test_commit_opens_an_editor_on_a_terminal(mounted: Mounted, tmp_path: Path) -> None:
    put(mounted.path / "a", "1\n")
    script = tmp_path / "edit a"
    script.write_text(
        f'#!/bin/sh\ncp "$1" {tmp_path}/template\n'
        'printf "from the editor\\n\\n# no\\nbody" > "$1"\n'
    )
    script.chmod(0o755)
    quoted = f"'{script}'"
    code, shown = on_a_terminal(mounted, "commit", EDITOR="false", VISUAL=quoted)
    assert (code, shown.endswith("] from the editor\n")) == (0, True)
    template = (tmp_path / "template").read_text()
    assert template.startswith("\n# Please enter the commit message")
    assert "#\tnew file:   a\n" in template
    assert mounted.helios("log", "-1", "--format=%B") == "from the editor\n\nbody\n"
    put(mounted.path / "a", "2\n")
    code, shown = on_a_terminal(mounted, "commit", GIT_EDITOR="true", VISUAL="false")
    assert code == 1
    assert "the message is empty" in shown
    code, shown = on_a_terminal(mounted, "commit", GIT_EDITOR="false")
    assert code == 1
    assert "the editor 'false' ended with exit code 1" in shown
    code, _ = on_a_terminal(mounted, "commit", "--amend", GIT_EDITOR="true")
    assert code == 0
    assert mounted.helios("log", "--format=%s") == "from the editor\n"
    put(mounted.path / "a", "3\n")
    assert on_a_terminal(mounted, "commit", "-m", "given", EDITOR="false", VISUAL="")[0] == 0
    assert mounted.command("commit", "--allow-empty").returncode == 0


def test_an_archive_of_a_mounted_workspace(mounted: Mounted, tmp_path: Path) -> None:
    put(mounted.path / "src/a", "text\n")
    put(mounted.path / "src/run", "#!/bin/sh\n")
    (mounted.path / "src/run").chmod(0o755)
    put(mounted.path / "top", "top\n")
    put(mounted.path / "holes", "")
    os.truncate(mounted.path / "holes", 200_000)
    oid = mounted.commit("one")
    out = tmp_path / "x.tgz"
    assert mounted.helios("archive", "--prefix=app/", "-o", str(out), "HEAD") == ""
    with tarfile.open(out) as tar:
        assert tar.pax_headers["comment"] == oid
        names = [each.name for each in tar]
        assert names == ["app", "app/holes", "app/src", "app/src/a", "app/src/run", "app/top"]
        assert tar.getmember("app/src/run").mode == 0o775
        assert tar.getmember("app/holes").size == 200_000
    done = subprocess.run(
        [sys.executable, "-m", "heliosfs.cli", "archive", "HEAD:src"],
        cwd=mounted.path, capture_output=True, timeout=SECONDS, check=True,
    )  # fmt: skip
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as tar:
        assert tar.getnames() == ["a", "run"]
    mounted.helios("archive", "-o", str(out), "HEAD", cwd=mounted.path / "src")
    with tarfile.open(out) as tar:
        assert tar.getnames() == ["a", "run"]


def test_check_ignore_reads_paths_and_c_names_the_author(mounted: Mounted) -> None:
    put(mounted.path / ".heliosignore", "*.log\n")
    paths = "".join(f"{number}.log\n{number}.txt\n" for number in range(300))
    done = mounted.command("check-ignore", "--stdin", stdin=paths)
    assert done.returncode == 0
    assert done.stdout.splitlines() == [f"{number}.log" for number in range(300)]
    assert mounted.command("check-ignore", "--stdin", stdin="a\nb\n").returncode == 1
    mounted.helios("-c", "user.name=Grace H", "-c", "user.email=g@h", "commit", "-m", "one")
    assert mounted.helios("log", "-1", "--format=%an %ae") == "Grace H g@h\n"
    email = mounted.helios("config", "user.email")
    mounted.helios("-cuser.name=Ada", "commit", "--allow-empty", "-m", "two")
    assert mounted.helios("log", "-1", "--format=%an %ae") == f"Ada {email}"
    assert mounted.command("config", "--get", "remote.origin.url").returncode == 1
    assert f"user.email={email}" in mounted.helios("config", "-l")
    done = mounted.command("config", "user.name", "Other")
    assert done.returncode == 2
    assert "git config --global user.name" in done.stderr
    assert mounted.helios("config", "durability.checkpoint_interval").strip()
