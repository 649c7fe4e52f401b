"""Two users on one machine, and directories that a stranger made: who gets at what."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import heliosfs.cli
from heliosfs.cli import locate
from tests.git_repository import Clone
from tests.mount.conftest import SECONDS, Mounted

ALICE, BOB = (pwd.getpwnam(name).pw_uid for name in ("nobody", "daemon"))
"""fusermount3 wants users who have names."""
LAUNCHER = Path(heliosfs.cli.__file__).with_name("helios")

# As in test_other_user.py, for two users: the right to read what lies below directories of others
# is for the interpreter, and makes Bob stronger than he would be.
PRELUDE = """
set -e
mount -t tmpfs -o mode=755 none dev
mknod -m 666 dev/fuse c 10 229
mount --bind dev/fuse /dev/fuse
echo user_allow_other > fuse.conf
mount --bind fuse.conf /etc/fuse.conf
mount --bind . /media
cd /media
CAPS=-all,+dac_read_search
as() {{
    name=$1; uid=$2; shift 2
    env HOME=/media/$name XDG_STATE_HOME=/media/$name/state XDG_CONFIG_HOME=/media/$name/config \
        setpriv --reuid $uid --regid $uid --clear-groups --inh-caps=$CAPS --ambient-caps=$CAPS \
        --bounding-set=$CAPS,+setuid,+setgid,+sys_admin,+dac_override "$@"
}}
alice() {{ as alice {alice} "$@"; }}
bob() {{ as bob {bob} "$@"; }}
"""
HELIOS = f"{sys.executable} -m heliosfs.cli"


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory with a home for each of the two; Alice has a workspace."""
    path = Path(tempfile.mkdtemp(prefix="heliosfs-strangers-"))
    path.chmod(0o755)
    (path / "dev").mkdir()
    for name, uid in (("alice", ALICE), ("bob", BOB)):
        (path / name / "ws").mkdir(parents=True)
        (path / name / "ws/notes").write_text(f"{name}'s\n")
        (path / name / "ws/secret").write_text("secret\n")
        (path / name / "ws/secret").chmod(0o600)
        for each in (path / name, *(path / name).rglob("*")):
            os.chown(each, uid, uid)
    yield path
    shutil.rmtree(path)


def play(place: Path, script: str) -> subprocess.CompletedProcess[str]:
    """Run a script as root, in namespaces of its own, that lets the two do things."""
    text = PRELUDE.format(alice=ALICE, bob=BOB) + script.replace("helios ", f"{HELIOS} ")
    environment = {key: value for key, value in os.environ.items() if key != "SUDO_UID"}
    return subprocess.run(
        [
            *("unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"),
            *("sh", "-c", text),
        ],
        cwd=place,
        env=environment | {"PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        timeout=SECONDS * 3,
        check=False,
    )


def content(directory: Path) -> dict[str, tuple[int, bytes]]:
    """Every file, with what could tell that it was touched."""
    return {
        str(path.relative_to(directory)): (path.stat().st_mtime_ns, path.read_bytes())
        for path in directory.rglob("*")
        if path.is_file()
    }


def test_a_store_of_another_user_is_left_alone_until_he_is_trusted(place: Path) -> None:
    made = play(
        place,
        "alice helios init -q alice/ws; cd alice/ws;"
        "alice helios commit --allow-empty -qm one 2> /dev/null",
    )
    assert made.returncode == 0, made.stderr
    before = content(place / "alice/ws/.helios")
    refused = play(
        place,
        "cd alice/ws; for each in status log 'commit -m x' fsck; do"
        "  bob helios $each && echo done; done;"
        "helios mount /media/alice/ws && echo done; helios status && echo done; true",
    )
    assert refused.stdout == ""
    said = [line for line in refused.stderr.splitlines() if "is not mounted: this" not in line]
    assert [line for line in said if "belongs to another user (nobody)" in line] == said
    assert len(said) == 6
    assert "echo /media/alice/ws >> /media/bob/config/heliosfs/safe-directories" in said[0]
    assert content(place / "alice/ws/.helios") == before
    # What the message says, and root by sudo.
    allowed = play(
        place,
        "cd alice/ws; SUDO_UID=" + str(ALICE) + " helios log --oneline | cut -d' ' -f2;"
        "helios -c safe.directory=/media/alice/ws log --oneline | cut -d' ' -f2",
    )
    assert (allowed.stdout, allowed.stderr) == ("one\none\n", "")


def test_a_mount_of_another_user_is_not_asked(place: Path) -> None:
    """Alice lets everybody in, and Bob reads her files, but takes no answer from her daemon."""
    done = play(
        place,
        "alice helios mount -o allow_other=history alice/ws > out; cd alice/ws;"
        "alice helios commit -m one > /dev/null; bob cat notes;"
        "bob sh -c 'echo x > .helios/ctl/commit' || true;"
        "bob helios log || true; export HELIOS_SAFE_DIRECTORY=/media/alice/ws;"
        "bob helios log || true; cd /; alice helios umount /media/alice/ws > /dev/null",
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "alice's\n"
    control, refused, closed = done.stderr.splitlines()
    assert "ermission denied" in control
    assert "/media/alice/ws was mounted by another user (nobody), whose daemon could" in refused
    assert "cannot use /media/alice/ws/.helios/ctl/command: permission denied" in closed


def test_a_state_directory_that_another_user_made_is_not_used(place: Path) -> None:
    (place / "bob/state").mkdir()
    os.chown(place / "bob/state", ALICE, ALICE)
    (place / "bob/state/heliosfs").mkdir(mode=0o777)
    os.chown(place / "bob/state/heliosfs", ALICE, ALICE)
    done = play(place, "bob helios mount bob/ws || bob helios ls || true")
    assert done.stdout == ""
    said = done.stderr.splitlines()
    expected = "the state directory /media/bob/state/heliosfs belongs to another user (nobody)"
    assert [line for line in said if expected in line] == said
    assert len(said) == 2
    assert list((place / "bob/state/heliosfs").iterdir()) == []


def test_run_files_are_for_their_user_alone(place: Path) -> None:
    done = play(place, "alice helios mount alice/ws > out; alice helios umount alice/ws > out")
    assert done.returncode == 0, done.stderr
    state = place / "alice/state/heliosfs"
    assert state.stat().st_mode & 0o777 == 0o700
    assert {each.stat().st_mode & 0o777 for each in state.iterdir()} == {0o600}
    assert (place / "alice/ws/.helios").stat().st_mode & 0o777 == 0o700


@pytest.fixture
def launcher(tmp_path: Path) -> Path:
    """The launcher beside the Python side of these sources."""
    path = tmp_path / "bin"
    path.mkdir()
    shutil.copy(LAUNCHER, path / "helios")
    (path / "helios-py").write_text(f'#!/bin/sh\nexec {HELIOS} "$@"\n')
    for name in ("helios", "helios-py"):
        (path / name).chmod(0o755)
    return path / "helios"


def launch(launcher: Path, cwd: Path, *argv: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [launcher, *argv], cwd=cwd, capture_output=True, text=True, timeout=SECONDS, check=False
    )


def test_an_imported_repository_has_no_say_in_the_command(
    mounted: Mounted, tmp_path: Path, launcher: Path
) -> None:
    """Commits go to the workspace, from its root and from below; nothing of theirs is written."""
    clone = Clone(tmp_path / "clone")
    clone.write(".helios/ctl/command")
    clone.write("sub/.helios/ctl/command")
    clone.write("a", b"1\n")
    first = clone.commit("theirs")
    # A checkout of it, where nothing is mounted.
    for place in (clone.path, clone.path / "sub"):
        done = launch(launcher, place, "commit", "-m", "x")
        assert (done.returncode, done.stdout) == (1, "")
        assert "not inside a heliosfs workspace" in done.stderr
    assert (clone.path / ".helios/ctl/command").read_bytes() == b""
    mounted.helios("import", "--from-git", str(clone.path))
    for place in (mounted.path, mounted.path / "sub"):
        (place / "new").write_text(str(place))
        assert launch(launcher, place, "commit", "-m", f"in {place.name}").returncode == 0
        assert os.listdir(mounted.path / "sub").count(".helios") == 0
    assert mounted.helios("log", "--format=%s").splitlines() == [
        *("in sub", f"in {mounted.path.name}", "theirs")
    ]
    assert launch(launcher, mounted.path, "status", "-s").stdout == ""
    out = tmp_path / "out.git"
    mounted.helios("export", "--to-git", str(out))
    assert (
        subprocess.run(
            ["git", "-C", out, "rev-parse", "trunk~2"], capture_output=True, text=True, check=True
        ).stdout
        == f"{first}\n"
    )


def test_the_launcher_speaks_to_every_view(mounted: Mounted, launcher: Path) -> None:
    """At the root, below it and in a live view; and what a terminal would obey is shown to it."""
    (mounted.path / "d").mkdir()
    mounted.helios("commit", "--allow-empty", "-m", "one")
    mounted.helios("branch", "idea")
    live = mounted.path / ".helios/live/idea"
    for place in (mounted.path, mounted.path / "d", live):
        done = launch(launcher, place, "rev-parse", "--short", "HEAD")
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.strip() == mounted.helios("rev-parse", "--short", "HEAD").strip()
    assert launch(launcher, live, "status").stdout.startswith("On branch idea\n")
    refused = launch(launcher, mounted.path, "checkout", "no\u202esuch")
    assert refused.returncode == 1
    assert "\u202e" not in refused.stderr


def test_a_view_is_known_without_a_mount_table_although_another_caller_has_just_left(
    mounted: Mounted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locate, "mount_of", lambda fd: None)
    held = [os.open(mounted.path / ".helios/ctl/command", os.O_RDWR)]
    open_file = os.open

    def leave_and_open(
        path: str, flags: int, mode: int = 0o777, *, dir_fd: int | None = None
    ) -> int:
        if path == "command" and held:
            os.close(held.pop())
        return open_file(path, flags, mode, dir_fd=dir_fd)

    monkeypatch.setattr(os, "open", leave_and_open)
    view = locate.find_view(str(mounted.path))
    assert (view, held) == (locate.Location(str(mounted.path), ""), [])
