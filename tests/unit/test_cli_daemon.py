"""Start of a daemon, its reports, and the take-in of a first mount."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

import heliosfs.workspace.ingest
from heliosfs.cli import daemon
from heliosfs.clock import FixedClock
from heliosfs.errors import NotPermitted, UsageError
from heliosfs.repo import keys
from heliosfs.repo.identity import Identity
from heliosfs.repo.repository import Repository
from heliosfs.store.memory import MemoryStore
from heliosfs.workspace.foreign import NOTE

Report = Callable[[str], None]


@pytest.fixture
def setup(tmp_path: Path) -> daemon.Setup:
    return daemon.Setup(mountpoint=str(tmp_path), log=str(tmp_path / "log"))


@pytest.fixture
def children(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The processes that were forked; the process of the tests may have others."""
    forked: list[int] = []
    fork = os.fork

    def noting() -> int:
        pid = fork()
        forked.append(pid)
        return pid

    monkeypatch.setattr(os, "fork", noting)
    return forked


def run_with(monkeypatch: pytest.MonkeyPatch, run: Callable[[daemon.Setup, Report], None]) -> None:
    monkeypatch.setattr(daemon, "run", run)


def test_it_returns_when_the_mount_is_ready(
    setup: daemon.Setup, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, children: list[int]
) -> None:
    reader, writer = os.pipe()

    def run(setup: daemon.Setup, report: Report) -> None:
        report("taken 256")
        report("taken 300")
        report("ready")
        os.read(reader, 1)
        (tmp_path / "ran").write_text(f"{os.getcwd()} {os.getsid(0) == os.getpid()}")
        os.write(2, b"to the log\n")

    run_with(monkeypatch, run)
    said: list[tuple[str, str]] = []
    daemon.start(setup, lambda word, rest: said.append((word, rest)))
    assert said == [("taken", "256"), ("taken", "300")]
    assert not (tmp_path / "ran").exists()
    os.write(writer, b"x")
    os.waitpid(children[0], 0)
    assert (tmp_path / "ran").read_text() == "/ True"
    assert "to the log" in (tmp_path / "log").read_text()
    os.close(reader)
    os.close(writer)


def test_a_refusal_arrives_with_its_exit_code(
    setup: daemon.Setup, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(setup: daemon.Setup, report: Report) -> None:
        raise UsageError("no such\nbranch é\udcff")

    run_with(monkeypatch, run)
    with pytest.raises(daemon.MountFailed) as caught:
        daemon.start(setup, print)
    assert str(caught.value) == "no such branch é\udcff"
    assert caught.value.exit_code == 2


def test_a_failure_after_the_start_is_written_to_the_log_alone(
    setup: daemon.Setup, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, children: list[int]
) -> None:
    """The pipe is closed by then, and its number may be that of a file of the store."""

    def run(setup: daemon.Setup, report: Report) -> None:
        report("ready")
        for number in range(16):
            os.open(tmp_path / f"file-{number}", os.O_WRONLY | os.O_CREAT)
        raise ZeroDivisionError("after the start")

    run_with(monkeypatch, run)
    daemon.start(setup, lambda word, rest: None)
    os.waitpid(children[0], 0)
    assert [each.read_bytes() for each in sorted(tmp_path.glob("file-*"))] == [b""] * 16
    assert "after the start" in (tmp_path / "log").read_text()


def test_a_bug_is_a_line_here_and_a_traceback_in_the_log(
    setup: daemon.Setup, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def run(setup: daemon.Setup, report: Report) -> None:
        raise ZeroDivisionError("oh")

    run_with(monkeypatch, run)
    with pytest.raises(daemon.MountFailed, match=f"ZeroDivisionError: oh; its log is {tmp_path}"):
        daemon.start(setup, print)
    assert "Traceback" in (tmp_path / "log").read_text()


def test_a_daemon_that_dies_is_noticed(
    setup: daemon.Setup, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    run_with(monkeypatch, lambda setup, report: os._exit(9))
    with pytest.raises(daemon.MountFailed, match=f"ended before .*its log is {tmp_path}"):
        daemon.start(setup, print)


def test_an_interrupted_wait_ends_the_daemon(
    setup: daemon.Setup, monkeypatch: pytest.MonkeyPatch, children: list[int]
) -> None:
    reader, _writer = os.pipe()

    def run(setup: daemon.Setup, report: Report) -> None:
        report("taken 256")
        os.read(reader, 1)

    def interrupt(word: str, rest: str) -> None:
        raise KeyboardInterrupt

    run_with(monkeypatch, run)
    with pytest.raises(KeyboardInterrupt):
        daemon.start(setup, interrupt)
    with pytest.raises(ChildProcessError):
        os.waitpid(children[0], 0)
    os.close(reader)
    os.close(_writer)


def open_repository(store: MemoryStore) -> Repository:
    who = Identity(b"Ada", b"ada@example.org", 1, 1)
    return Repository.open(store, FixedClock(), who)


def take_in(repository: Repository, directory: Path) -> list[str]:
    reports: list[str] = []
    fd = os.open(directory, os.O_DIRECTORY)
    try:
        daemon.take_in(repository, fd, reports.append)
        daemon.tell_beneath(repository, fd, reports.append)
    finally:
        os.close(fd)
    return reports


def hidden(*paths: str) -> str:
    told = {"count": len(paths), "first": list(paths), "is_whole": True}
    return f"beneath {json.dumps(told)}"


def names(repository: Repository) -> list[bytes]:
    workspace = repository.root.workspace
    return sorted(workspace.names(workspace.root))


def test_files_are_taken_in_once(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a")
    (tmp_path / ".helios").mkdir()
    store = MemoryStore()
    repository = open_repository(store)
    assert take_in(repository, tmp_path) == ["taken 1"]
    assert names(repository) == [b"a"]
    (tmp_path / "b").write_text("b")
    assert take_in(open_repository(store), tmp_path) == [hidden("b")]
    assert names(open_repository(store)) == [b"a"]


def test_what_is_not_taken_in_because_its_name_is_reserved_is_told_of(tmp_path: Path) -> None:
    for name in (".helios", "a/.helios", "b\n/c/.helios"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "format").write_text("x")
    store = MemoryStore()
    left_out = {"count": 2, "first": ["a/.helios", "b\n/c/.helios"]}
    told = take_in(open_repository(store), tmp_path)
    assert told[-1] == f"left-out {json.dumps(left_out)}"
    assert set(told[:-1]) == {"taken 0"}
    assert take_in(open_repository(store), tmp_path) == []


def test_a_take_in_that_failed_begins_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a").write_text("a")
    store = MemoryStore()

    def fail(*arguments: object, **options: object) -> int:
        raise NotPermitted("cannot read 'a'")

    with monkeypatch.context() as patch:
        patch.setattr(heliosfs.workspace.ingest, "ingest", fail)
        with pytest.raises(NotPermitted):
            take_in(open_repository(store), tmp_path)
    repository = open_repository(store)
    assert not repository.is_new
    assert take_in(repository, tmp_path) == ["taken 1"]
    assert names(repository) == [b"a"]


def test_what_a_branch_already_holds_is_not_mixed_with_the_directory(tmp_path: Path) -> None:
    store = MemoryStore()
    repository = open_repository(store)
    workspace = repository.root.workspace
    workspace.create(workspace.root, b"kept", 0o100644, 1, 1)
    (tmp_path / "a").write_text("a")
    assert take_in(repository, tmp_path) == [hidden("a")]
    assert names(repository) == [b"kept"]


def test_what_is_written_beneath_later_is_told_until_it_is_known(tmp_path: Path) -> None:
    for name in ("same", "changed", "gone", "src/deep"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    store = MemoryStore()
    assert take_in(open_repository(store), tmp_path) == ["taken 4"]
    # What becomes of it in the workspace is no matter of what lies beneath.
    repository = open_repository(store)
    workspace = repository.root.workspace
    workspace.remove(workspace.root, b"gone")
    assert take_in(repository, tmp_path) == []
    (tmp_path / "changed").write_text("altered")
    (tmp_path / "src/new").symlink_to("deep")
    (tmp_path / "empty/directory").mkdir(parents=True)
    (tmp_path / os.fsdecode(NOTE)).write_text("no content")
    (tmp_path / "src/.helios").mkdir()
    (tmp_path / "src/.helios/format").touch()
    assert take_in(repository, tmp_path) == [hidden("changed", "src/new")]
    (tmp_path / "changed").write_text("changed")
    assert take_in(repository, tmp_path) == [hidden("src/new")]


def test_the_first_mount_by_a_later_version_begins_with_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a")
    store = MemoryStore()
    store.put(keys.TAKEN_IN, b"1")
    assert take_in(open_repository(store), tmp_path) == []
    (tmp_path / "b").write_text("b")
    assert take_in(open_repository(store), tmp_path) == [hidden("b")]


def test_beneath_a_mount_not_more_is_looked_at_than_takes_a_second(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = MemoryStore()
    assert take_in(open_repository(store), tmp_path) == ["taken 0"]
    for number in range(12):
        (tmp_path / f"{number:02}").mkdir()
        (tmp_path / f"{number:02}/file").touch()
    monkeypatch.setattr(daemon, "_COMPARED_MAX", 20)
    [said] = take_in(open_repository(store), tmp_path)
    document = json.loads(said.removeprefix("beneath "))
    assert document["first"] == [f"{number:02}/file" for number in range(5)]
    assert (document["count"], document["is_whole"]) == (8, False)
