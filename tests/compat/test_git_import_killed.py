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

from heliosfs.errors import HeliosError
from heliosfs.git import importer
from heliosfs.git.process import Git
from heliosfs.git.refs import GitRefs
from heliosfs.git.source import Source
from tests.git_repository import Clone
from tests.tree_builder import Stage

COMMITS = 400


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


SMALL_STEPS = """
import sys
from heliosfs.git.importer import Import
Import.__init__.__kwdefaults__.update(portion_bytes=8192, written_count=64)
from heliosfs.cli.main import main
sys.exit(main())
"""
"""Program that imports with many small writes, so that it can be killed between two of them."""


def helios(place: Path, *argv: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", SMALL_STEPS, *argv],
        cwd=place,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def say(place: Path, *argv: str) -> str:
    running = helios(place, *argv)
    told, error = running.communicate(timeout=120)
    assert running.returncode == 0, error
    return told


def test_a_killed_import_goes_on_and_nothing_is_half_done(tmp_path: Path, clone: Clone) -> None:
    count = 0
    while True:
        importing = helios(tmp_path, "import", "--from-git", str(clone.path))
        try:
            importing.communicate(timeout=0.1 + count * 0.04)
        except subprocess.TimeoutExpired:
            importing.send_signal(signal.SIGKILL)
            importing.communicate()
        if importing.returncode == 0:
            break
        count += 1
        assert count < 100
        if (tmp_path / ".helios" / "format").exists():
            if "other" in say(tmp_path, "branch"):
                # It was killed when all was done.
                say(tmp_path, "import", "--verify", str(clone.path))
            assert say(tmp_path, "fsck").endswith("all sound\n")
    assert count > 0
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
            # More is to come than the pipes hold, so none of them is done yet.
            process: subprocess.Popen[bytes] = getattr(self, which)
            process.kill()
            process.wait()

    stage = Stage()
    with monkeypatch.context() as patched:
        patched.setattr(importer, "Source", Broken)
        with pytest.raises(HeliosError, match="git stopped"):
            stage.run("import", "--from-git", str(clone.path))
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
