"""An import whose process is killed at any moment, and git that ends before its time."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from heliosfs.clock import FixedClock
from heliosfs.errors import HeliosError
from heliosfs.git import intake
from heliosfs.git.process import Git
from heliosfs.git.refs import GitRefs
from heliosfs.git.source import Source
from heliosfs.repo.check import check_store
from heliosfs.repo.repository import Repository
from heliosfs.steps import run_to_end
from tests.git_repository import Clone
from tests.stores import open_local
from tests.tree_builder import IDENTITY, Stage

COMMITS = 400
TRIES = 20


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """A history of some thousand objects."""
    clone = Clone(tmp_path_factory.mktemp("git") / "clone", "main")
    parts = []
    for number in range(COMMITS):
        when = b"%d +0000" % (1_600_000_000 + number)
        parts.append(b"commit refs/heads/main\ncommitter Ada <a@b> %s\ndata 1\nm" % when)
        for place in (b"a/b/c%d" % (number % 9), b"a.x%d" % (number % 7), b"d%d/e" % (number % 5)):
            data = b"".join(b"line %d\n" % (at + at // 50 * number) for at in range(300))
            parts.append(b"M 100644 inline %s\ndata %d\n%s" % (place, len(data), data))
    clone.git("fast-import", "--quiet", data=b"\n".join(parts) + b"\n")
    clone.git("branch", "other", "main~9")
    return clone


IMPORTS = """
import os, signal, sys
from heliosfs.git.importer import Import
from heliosfs.store.directory import Directory

def killing(change):
    def changed(*arguments, **options):
        global left
        left -= 1
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)
        return change(*arguments, **options)
    return changed

left = int(sys.argv.pop(1))
Import.__init__.__kwdefaults__.update(portion_bytes=8192, written_count=64)
for name in ("write", "truncate", "unlink", "rename", "_sync", "_commit"):
    setattr(Directory, name, killing(getattr(Directory, name)))
from heliosfs.cli.main import main
sys.exit(main())
"""
"""Program that imports with many small writes; its first argument is the number of the change of
the store before which it is killed, or 0."""


def helios(place: Path, *argv: str, dies_at: int = 0) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", IMPORTS, str(dies_at), *argv],
        cwd=place,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def say(place: Path, *argv: str) -> str:
    done = helios(place, *argv)
    assert done.returncode == 0, done.stderr
    return done.stdout


def look(store: Path) -> bool:
    """Check that all in the store is sound; return True if the import is done."""
    repository = Repository.open(open_local(store), FixedClock(), IDENTITY)
    try:
        assert run_to_end(check_store(repository), repository.store).problems == []
        return "other" in repository.refs
    finally:
        repository.close()


def test_a_killed_import_goes_on_and_nothing_is_half_done(
    tmp_path: Path, clone: Clone, long_seconds: float
) -> None:
    """It dies later each time: by two thirds more changes of the store, or by one if it is long."""
    deaths = 0
    at = 1
    argv = ("import", "--from-git", str(clone.path))
    while (done := helios(tmp_path, *argv, dies_at=at)).returncode:
        assert done.returncode == -signal.SIGKILL, done.stderr
        deaths += 1
        at += 1 if long_seconds else 1 + at * 2 // 3
        if (tmp_path / ".helios" / "format").exists() and look(tmp_path / ".helios"):
            # It was killed when all was done.
            say(tmp_path, "import", "--verify", str(clone.path))
    assert deaths > 6
    assert f"{COMMITS} commits" in say(tmp_path, "import", "--verify", str(clone.path))
    assert say(tmp_path, "fsck").endswith("all sound\n")
    back = tmp_path / "back"
    say(tmp_path, "export", "--to-git", str(back))
    refs = clone.git("for-each-ref", "--format=%(objectname) %(refname)")
    exported = subprocess.run(
        ["git", "-C", str(back), "for-each-ref", "--format=%(objectname) %(refname)"],
        capture_output=True,
        check=True,
    )
    assert exported.stdout == refs


@pytest.mark.parametrize("which", ["_lister", "_printer", "_preparer"])
def test_a_program_that_ends_too_soon_ends_the_import(
    clone: Clone, monkeypatch: pytest.MonkeyPatch, which: str
) -> None:
    class Broken(Source):
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            # It may be done by now, since the pipes hold much: then the import goes through.
            process: subprocess.Popen[bytes] = getattr(self, which)
            process.kill()
            process.wait()

    with monkeypatch.context() as patched:
        patched.setattr(intake, "Source", Broken)
        for _ in range(TRIES):
            stage = Stage()
            try:
                stage.run("import", "--from-git", str(clone.path))
            except HeliosError as raised:
                error = raised
                break
        else:
            pytest.fail("each import went through")
    assert "git stopped" in str(error)
    assert list(stage.repository.history.ids()) == []
    stage.run("import", "--from-git", str(clone.path))
    assert f"{COMMITS} commits" in stage.run("import", "--verify", str(clone.path))


def test_an_import_that_is_given_up_leaves_no_program(clone: Clone) -> None:
    git = Git.find(str(clone.path))
    wanted = [ref.git_id for ref in GitRefs(git).chosen]
    source = Source(git, wanted, [], 4096, prefer_zstd=False)
    assert source.read() is not None
    processes = [source._lister, source._printer, source._preparer]
    source.close()
    source.close()
    deadline = time.monotonic() + 20
    while any(process.poll() is None for process in processes):
        assert time.monotonic() < deadline
        time.sleep(0.01)
