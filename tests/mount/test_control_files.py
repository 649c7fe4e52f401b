"""Requests that real shells write to control files, and what they say of an error."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.mount.conftest import Mounted
from tests.mount.programs import SECONDS, put, run, shell


def messages(mounted: Mounted) -> list[str]:
    """Return the messages of all commits, the newest first."""
    done = mounted.command("log", "--json")
    if done.returncode:
        return []
    return [commit["message"] for commit in json.loads(done.stdout)]


@pytest.fixture
def changed(mounted: Mounted) -> Mounted:
    put(mounted.path / "a", "a\n")
    return mounted


@pytest.fixture(scope="module")
def unchanging(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mounted]:
    """A workspace with one commit, for requests that change nothing."""
    mounted = Mounted(tmp_path_factory.mktemp("unchanging") / "ws")
    try:
        mounted.mount()
        put(mounted.path / "a", "a\n")
        mounted.commit("one")
        yield mounted
    finally:
        mounted.end()


@pytest.mark.parametrize("name", ["bash", "dash"])
def test_echo(changed: Mounted, name: str) -> None:
    shell("echo fix the parser > .helios/ctl/commit", changed.path, name)
    assert messages(changed) == ["fix the parser"]
    assert (changed.path / ".helios/log").read_text().endswith(" fix the parser\n")


@pytest.mark.parametrize("name", ["bash", "dash"])
def test_a_message_of_several_lines(changed: Mounted, name: str) -> None:
    shell("printf 'a\\n\\nb\\n' > .helios/ctl/commit", changed.path, name)
    shell("echo 1 > a; echo 'x\ny\n' > .helios/ctl/commit", changed.path, name)
    shell("echo 2 > a; cat > .helios/ctl/commit <<EOF\nthe\ndocument\nEOF", changed.path, name)
    assert messages(changed) == ["the\ndocument", "x\ny", "a\n\nb"]


@pytest.mark.parametrize("name", ["bash", "dash"])
def test_a_descriptor_for_request_and_reply(changed: Mounted, name: str) -> None:
    script = (
        "exec 3<>.helios/ctl/commit; echo m >&3; read id <&3; echo $id; cat .helios/HEAD;"
        "echo 2 > a; echo n >&3; read id <&3; echo $id; cat .helios/HEAD"
    )
    ids = shell(script, changed.path, name).stdout.split()
    assert ids[0] == ids[1] != ids[2] == ids[3]
    assert messages(changed) == ["n", "m"]


READ_BY_SHELL = """
exec 3<>.helios/ctl/branch
for n in 1 2; do
    echo >&3
    read -r a <&3
    read -r b <&3
    echo $a, $b
    cat <&3
done
"""
READ_BY_PYTHON = """
with open('.helios/ctl/branch', 'r+b', 0) as file:
    for _ in range(2):
        file.write(b'\\n')
        a, b, *rest = [line.decode() for line in file]
        print(a.strip() + ',', b.strip() + '\\n' + ''.join(rest), end='')
"""


@pytest.mark.parametrize(
    ("name", "script"),
    [("bash", READ_BY_SHELL), ("dash", READ_BY_SHELL), (sys.executable, READ_BY_PYTHON)],
)
def test_a_line_of_a_reply_and_then_the_rest(changed: Mounted, name: str, script: str) -> None:
    changed.commit("one")
    for branch in ("a", "b", "c"):
        changed.control("branch", f"{branch}\n")
    assert shell(script, changed.path, name).stdout == "a, b\n  c\n* main\n" * 2


@pytest.mark.parametrize(
    "writer",
    [
        "cat ../message > .helios/ctl/commit",
        "cp ../message .helios/ctl/commit",
        "dd if=../message of=.helios/ctl/commit bs=7 status=none",
        "tee .helios/ctl/commit < ../message > /dev/null",
        "echo 'by a file' >> .helios/ctl/commit",
        f"{sys.executable} -c \"open('.helios/ctl/commit','w').write('by a file')\"",
    ],
)
def test_other_writers(changed: Mounted, writer: str) -> None:
    (changed.path.parent / "message").write_text("by a file\n")
    shell(writer, changed.path)
    assert messages(changed) == ["by a file"]


def test_a_long_message_arrives_whole(changed: Mounted) -> None:
    text = "subject\n\n" + "\n".join(f"line {number} äöü" for number in range(3000)) + "\n"
    assert 40_000 < len(text.encode()) < 64 * 1024
    (changed.path.parent / "message").write_text(text)
    shell('printf "%s" "$(cat ../message)" > .helios/ctl/commit', changed.path)
    assert messages(changed) == [text.rstrip("\n")]


def test_a_message_of_1_mb_is_refused_whole(changed: Mounted) -> None:
    (changed.path.parent / "message").write_text(("a line of it " * 100 + "\n") * 800)
    for writer in (
        'printf "%s\\n" "$(cat ../message)" > .helios/ctl/commit',
        "while read l; do echo $l; done < ../message > .helios/ctl/commit",
        "cat ../message > .helios/ctl/commit",
        "dd if=../message of=.helios/ctl/commit bs=4k",
    ):
        done = shell(writer, changed.path, ok=False)
        assert "Message too long" in done.stderr, writer
    assert messages(changed) == []
    assert "64 KiB" in (changed.path / ".helios/ctl/error").read_text()


@pytest.mark.parametrize("bad", ["one\\0two\\nmore\\n", "one\\377two\\nmore\\n"])
def test_no_part_of_a_bad_message_is_committed(changed: Mounted, bad: str) -> None:
    done = shell(f"printf '{bad}' > .helios/ctl/commit", changed.path, ok=False)
    assert done.returncode == 1
    assert "Invalid argument" in done.stderr
    assert messages(changed) == []


@pytest.mark.parametrize(
    ("verb", "line", "code"),
    [
        ("command", "frobnicate", errno.EINVAL),
        ("branch", "a..b", errno.EINVAL),
        ("branch", "--frobnicate", errno.EINVAL),
        ("branch", "x" * 300, errno.EINVAL),
        ("branch", "'with space'", errno.EINVAL),
        ("branch", "main", errno.EEXIST),
        ("branch", "idea nowhere", errno.ENOENT),
        ("branch", "-d none", errno.ENOENT),
        ("branch", "-d main", errno.EBUSY),
        ("reset", "--hard HEAD~99", errno.ENOENT),
        ("reset", f"--hard {'0' * 63}", errno.ENOENT),
        ("reset", f"--hard {'0' * 64}", errno.ENOENT),
        ("checkout", "none", errno.ENOENT),
        ("redo", "", errno.ENOENT),
        ("command", f"commit -m x --expect {'0' * 64}", errno.ESTALE),
        ("command", "commit -m x", errno.ENODATA),
        ("command", "x" * 70_000, errno.EMSGSIZE),
        ("command", "branch 'a", errno.EINVAL),
        ("command", '{"argv": 3}', errno.EINVAL),
    ],
)
def test_a_refused_command_has_its_errno_and_changes_nothing(
    unchanging: Mounted, verb: str, line: str, code: int
) -> None:
    (unchanging.path.parent / "line").write_text(f"{line}\n")
    before = state(unchanging)
    done = shell(f"cat ../line > .helios/ctl/{verb}", unchanging.path, ok=False)
    assert done.returncode == 1
    assert os.strerror(code) in done.stderr
    assert state(unchanging) == before
    text = (unchanging.path / ".helios/ctl/error").read_text().splitlines()[-1]
    assert text
    fd = os.open(unchanging.path / ".helios/ctl" / verb, os.O_RDWR)
    with pytest.raises(OSError, match=os.strerror(code)):
        os.write(fd, f"{line}\n".encode())
    assert os.read(fd, 4096).decode() == f"error: {text}\n"
    os.close(fd)


def state(mounted: Mounted) -> list[str]:
    """All that a verb could change."""
    dot = mounted.path / ".helios"
    texts = [(dot / name).read_text() for name in ("HEAD", "branch", "log", "oplog", "status")]
    return [*texts, *os.listdir(dot / "branches"), *os.listdir(mounted.path)]


def test_bash_says_what_was_wrong(changed: Mounted) -> None:
    changed.commit("one")
    done = shell("echo main > .helios/ctl/branch", changed.path, ok=False)
    assert done.returncode == 1
    assert done.stderr.endswith("write error: File exists\n")
    assert "'main'" in (changed.path / ".helios/ctl/error").read_text()


def test_dash_fails_too(changed: Mounted) -> None:
    changed.commit("one")
    done = shell("echo main > .helios/ctl/branch", changed.path, "dash", ok=False)
    assert done.returncode != 0
    assert "I/O error" in done.stderr


def test_an_error_and_then_a_good_request_on_one_descriptor(changed: Mounted) -> None:
    script = (
        "exec 3<>.helios/ctl/command; echo nonsense >&3; cat <&3;"
        "echo branch --show-current >&3; cat <&3"
    )
    done = shell(script, changed.path)
    first, second = done.stdout.splitlines()
    assert first.startswith("error: usage: unknown verb 'nonsense'")
    assert second == "main"


def test_usage_and_head_without_a_request(changed: Mounted) -> None:
    control = changed.path / ".helios/ctl"
    assert (control / "commit").read_text() == ""
    oid = changed.commit("one")
    assert (control / "commit").read_text() == f"{oid}\n"
    for name in os.listdir(control):
        if name not in ("commit", "confined", "error", "reports"):
            assert (control / name).read_text().startswith("usage: "), name


def test_a_bare_newline_is_the_verb_without_arguments(changed: Mounted) -> None:
    changed.commit("one")
    shell("echo > .helios/ctl/undo", changed.path)
    assert messages(changed) == []
    shell("echo > .helios/ctl/redo", changed.path)
    assert messages(changed) == ["one"]


def test_truncating_or_opening_is_no_request(changed: Mounted) -> None:
    shell(": > .helios/ctl/commit; : > .helios/ctl/undo; true 3<>.helios/ctl/redo", changed.path)
    os.truncate(changed.path / ".helios/ctl/commit", 0)
    assert (changed.path / ".helios/ctl/error").read_text() == ""
    assert messages(changed) == []


def test_several_commands_in_one_write(changed: Mounted) -> None:
    changed.commit("one")
    done = shell("printf 'branch a\\nbranch b\\nbranch\\n' > .helios/ctl/command", changed.path)
    assert done.stderr == ""
    assert sorted(os.listdir(changed.path / ".helios/branches")) == ["a", "b", "main"]


def test_a_sync_commit_and_an_fsync(changed: Mounted) -> None:
    changed.control("command", "commit -m one --sync\n")
    fd = os.open(changed.path / ".helios/ctl/commit", os.O_RDWR)
    put(changed.path / "a", "changed\n")
    os.write(fd, b"two\n")
    os.fsync(fd)
    assert os.read(fd, 100).decode() == (changed.path / ".helios/HEAD").read_text()
    os.close(fd)
    changed.kill9()
    changed.mount()
    assert messages(changed) == ["two", "one"]


def test_the_files_of_dot_helios(changed: Mounted) -> None:
    dot = changed.path / ".helios"
    assert (dot / ".gitignore").read_text() == (dot / ".ignore").read_text() == "/*\n"
    assert "ctl/commit" in (dot / "README").read_text()
    assert len((dot / "README").read_text().splitlines()) <= 40
    control = dot / "ctl/commit"
    assert oct(control.stat().st_mode) == "0o100600"
    for path in dot.rglob("*"):
        if path.is_file() and not path.is_symlink():
            assert path.read_bytes() is not None
    run("cat", "HEAD", "branch", "status", "log", "stats", "oplog", cwd=dot)


def test_texts_are_read_without_read(changed: Mounted) -> None:
    """busybox's cat, and cp and shutil of some versions, have the kernel move the bytes."""
    log = changed.path / ".helios/log"
    for length in (4_000, 10, 4_095, 60_000, 0):
        if length:
            (changed.path / "file").write_text(f"{length}")
            changed.commit("x" * length)
        else:
            changed.control("reset", "--hard HEAD~2\n")
        text = log.read_bytes()
        assert log.stat().st_size == 0
        sent = changed.path.parent / "sent"
        with open(log, "rb") as source, open(sent, "wb") as target:
            others = [open(log, "rb") for _ in range(2)]  # noqa: SIM115 (closed below)
            while os.sendfile(target.fileno(), source.fileno(), None, 5_000):
                pass
            assert os.fstat(source.fileno()).st_size == len(text)
            for other in others:
                assert other.read() == text
                other.close()
        assert sent.read_bytes() == text
        shutil.copyfile(log, sent)
        assert sent.read_bytes() == text
        assert log.stat().st_size == 0


def sent(fd: int) -> bytes:
    """Return what sendfile(2) sends until it sends nothing more."""
    target = os.memfd_create("sent")
    try:
        while os.sendfile(target, fd, None, 1 << 20):
            pass
        return os.pread(target, 1 << 24, 0)
    finally:
        os.close(target)


def spliced(fd: int) -> bytes:
    """The same of splice(2), through a pipe."""
    reader, writer = os.pipe()
    try:
        parts = []
        while count := os.splice(fd, writer, 4096):
            parts.append(os.read(reader, count))
        return b"".join(parts)
    finally:
        os.close(reader)
        os.close(writer)


@pytest.mark.parametrize("take", [sent, spliced])
def test_replies_are_read_without_read(changed: Mounted, take: Callable[[int], bytes]) -> None:
    """By sendfile(2) and splice(2), without a request and after requests, beside other readers."""
    place = changed.path / ".helios" / "ctl"
    for name in ("commit", "status", "checkout", "gc", "error"):
        fd = os.open(place / name, os.O_RDONLY)
        assert take(fd) == (place / name).read_bytes(), name
        os.close(fd)
    changed.commit("one")
    large = "\n".join(f"line {number}" for number in range(200_000)) + "\n"
    (changed.path / "large").write_text(large)
    fds = [os.open(place / "command", os.O_RDWR) for _ in range(4)]
    for _ in range(2):
        for number, fd in enumerate(fds):
            os.write(fd, b"branch\n" if number % 2 else b"diff HEAD\n")
        replies = [take(fd) for fd in fds]
        for fd, request in ((fds[0], b"diff HEAD\n"), (fds[1], b"branch\n")):
            os.write(fd, request)
        replies += [os.read(fds[0], 1 << 24), os.read(fds[1], 1 << 24)]
        assert len(replies[0]) > len(large)
        assert replies[0] == replies[2]
        assert replies[0].startswith(replies[4])
        assert replies[1] == replies[3] == replies[5] != b""
    for fd in fds:
        assert os.fstat(fd).st_size >= 0
        os.close(fd)
    fd = os.open(place / "commit", os.O_RDWR)
    os.write(fd, b"message")
    assert take(fd) == (place / "commit").read_bytes(), "the request runs when its reply is read"
    assert messages(changed) == ["message", "one"]
    os.close(fd)
    assert all(path.stat().st_size == 0 for path in place.iterdir() if path.is_file())


def test_programs_that_send_files(changed: Mounted, tmp_path: Path) -> None:
    place = changed.path / ".helios" / "ctl"
    expected = (place / "status").read_text()
    shutil.copyfile(place / "status", tmp_path / "copy")
    assert (tmp_path / "copy").read_text() == expected
    done = shell("exec 3<>.helios/ctl/status; echo >&3; cat /dev/fd/3; cat <&3", changed.path)
    assert done.stdout == expected + changed.control("status", "\n")
    if shutil.which("busybox"):
        done = shell(
            "busybox cat .helios/ctl/status; exec 3<>.helios/ctl/status; echo >&3; busybox cat <&3",
            changed.path,
        )
        assert done.stdout == expected + changed.control("status", "\n")


def test_many_handles_at_once(changed: Mounted) -> None:
    """Requests that wait for the kernel do not keep others from being answered."""
    script = (
        "import os,sys\n"
        "fds=[os.open('.helios/ctl/command', os.O_RDWR) for _ in range(50)]\n"
        "for n,fd in enumerate(fds): os.write(fd, b'commit --allow-empty -m %d\\n' % n)\n"
        "out=[os.read(fd, 4096).split()[-1] for fd in fds]\n"
        "assert out == [b'%d' % n for n in range(50)], out\n"
    )
    process = subprocess.run(
        [sys.executable, "-IS", "-c", script], cwd=changed.path, timeout=SECONDS, check=False
    )
    assert process.returncode == 0
    assert len(messages(changed)) == 50


def test_a_path_of_the_control_file_under_any_view(changed: Mounted) -> None:
    changed.commit("one")
    changed.control("branch", "idea\n")
    live = Path(".helios/branches/idea")
    put(changed.path / live / "b", "b\n")
    shell(f"echo on idea > {live}/.helios/ctl/commit", changed.path)
    assert messages(changed) == ["one"]
    assert " on idea\n" in (changed.path / live / ".helios/log").read_text()
