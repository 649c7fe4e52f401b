"""Real file systems are shut down under a store: what was promised is there after the mount."""

from __future__ import annotations

import itertools
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.crash.loop_mount import KINDS, Flush, Kind, LoopMount, lacking, mounted
from tests.crash.on_a_disk import SIDE_FILE
from tests.in_memory import directory

WHAT = ("state", SIDE_FILE)
_ROUNDS = 12
"""Power cuts of one file system, before the next one is made."""
_WAIT_SECONDS = 60


class Told:
    """Versions that a process has begun, and how far they were promised."""

    def __init__(self, first: str) -> None:
        self.versions = [first]
        self.safe = 0
        self.done = 0


class Machine:
    """A store on a file system, worked on by one process after another."""

    def __init__(self, disk: LoopMount, seed: int) -> None:
        self._disk = disk
        self._store = disk.path / "store"
        self._store.mkdir()
        fd = os.open(disk.path, os.O_RDONLY)
        os.fsync(fd)
        os.close(fd)
        self.chance = random.Random(seed)
        self._seed = seed * 1000
        self.told = {what: Told("-") for what in WHAT}
        self.counts: Counter[str] = Counter()

    def live(self) -> None:
        """Let processes work, of which all but the last are killed, until the power fails."""
        for _ in range(self.chance.choice((0, 0, 1, 2))):
            with self._process("work") as process:
                self._wait(process, 0.8)
                process.kill()
                self._hear(process)
            self.counts["killed"] += 1
        with self._process("work") as process:
            self._wait(process, self.chance.choice((0.05, 0.3, 1.5)))
            for _ in range(self.chance.choice((0, 1, 3))):
                self._write_back()
            self._disk.shut_down(self.chance.choice((Flush.NOTHING, Flush.NOTHING, *Flush)))
            self._hear(process)
        self.counts["ended by SIGBUS"] += process.returncode == -signal.SIGBUS
        assert process.returncode in (0, -signal.SIGBUS), process.returncode
        self._disk.mount_again()

    def check(self) -> None:
        """Compare with what was promised; write again, and let the power fail at once."""
        with self._process("check") as process:
            assert process.stdout is not None
            found: dict[str, str] = {}
            wrote = ""
            for line in process.stdout:
                verb, what, *rest = line.decode().split()
                assert verb != "problem", line.decode()
                if verb == "found":
                    found[what] = rest[0]
                elif verb == "wrote":
                    wrote = rest[0]
                    break
            assert wrote, "the store does not open after the power cut"
            self._disk.shut_down(Flush.NOTHING)
        self._disk.mount_again()
        for what, told in self.told.items():
            allowed = told.versions[told.safe :]
            at = told.versions.index(found[what]) if found[what] in told.versions else None
            assert found[what] in allowed, f"{what} is version {at}, {told.safe} was promised"
            self.counts["versions"] += len(told.versions)
            self.counts["promises"] += told.safe
        self.told["state"] = Told(wrote)
        self.told[SIDE_FILE] = Told(found[SIDE_FILE])

    def _wait(self, process: subprocess.Popen[bytes], seconds: float) -> None:
        """Wait until it opens the store, and then for at most so long."""
        assert process.stdout is not None and process.stdout.readline() == b"ready -\n"
        time.sleep(self.chance.random() * seconds)

    def _write_back(self) -> None:
        """Let the kernel write pages of one file, as it does when it likes to."""
        path = self._store / self.chance.choice(os.listdir(self._store) or ["none"])
        try:
            fd = os.open(path, os.O_RDONLY)
        except FileNotFoundError:
            return
        try:
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(fd)

    @contextmanager
    def _process(self, verb: str) -> Iterator[subprocess.Popen[bytes]]:
        self._seed += 1
        argv = [sys.executable, "-m", "tests.crash.on_a_disk", verb]
        process = subprocess.Popen(
            [*argv, str(self._store), str(self._seed)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            # Nothing is read ahead, which `communicate` would not find.
            bufsize=0,
        )
        try:
            yield process
            process.communicate(timeout=_WAIT_SECONDS)
        finally:
            process.kill()
            process.wait()

    def _hear(self, process: subprocess.Popen[bytes]) -> None:
        """Take what a process said, when it has ended."""
        out, _ = process.communicate(timeout=_WAIT_SECONDS)
        lines = [line.split() for line in out.decode().splitlines()]
        offsets: dict[str, int] = {}
        for verb, what, *rest in lines:
            if verb == "begun" and what not in offsets:
                self._take_over(what, rest[0])
                offsets[what] = len(self.told[what].versions) - 1
            elif verb == "begun":
                self.told[what].versions.append(rest[0])
            elif verb == "done":
                self.told[what].done = len(self.told[what].versions) - 1
            elif verb == "safe":
                number = offsets[what] + int(rest[0]) - 1
                self.told[what].safe = max(self.told[what].safe, number)

    def _take_over(self, what: str, first: str) -> None:
        """The process before was killed, and lost nothing that it had published."""
        told = self.told[what]
        left = told.versions[told.done :]
        assert first in left, f"{what} of a killed process is lost"
        del told.versions[told.done + left.index(first) + 1 :]
        told.done = len(told.versions) - 1


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_what_was_promised_is_there(
    kind: Kind, long_seconds: float, capsys: pytest.CaptureFixture[str]
) -> None:
    """One file system after another, each with some power cuts; only in the long mode."""
    if not long_seconds:
        return
    if missing := lacking(kind):
        pytest.skip(f"a file system that can be shut down needs {missing}")
    end = time.monotonic() + long_seconds
    counts: Counter[str] = Counter()
    for seed in itertools.count(1):
        with directory() as path, mounted(kind, path) as disk:
            machine = Machine(disk, seed)
            for _ in range(_ROUNDS):
                machine.live()
                machine.check()
                counts["power cuts"] += 2
                if time.monotonic() > end:
                    break
            counts += machine.counts
        if time.monotonic() > end:
            break
    with capsys.disabled():
        print(f"\n{kind}: " + ", ".join(f"{count} {what}" for what, count in counts.items()))
