"""Run simulations: `python -m tests.simulation --seeds 0..1000`, or `--long SECONDS`.

Each seed that fails is told with the command that runs it again.  `--shrink SEED` looks for the
shortest plan that fails in the same way, and prints it as a test can have it.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from itertools import chain
from typing import TextIO

from tests.simulation.run import Failure, Figures, simulate
from tests.simulation.shrink import shrink

CHUNK = 100
"""Seeds of one process: what one of them leaks ends with it."""
SECONDS_MAX = 60
"""Time for a seed, hundreds of times what it needs, after which it is taken to hang."""
_ENVIRONMENT = {**os.environ, "PYTHONHASHSEED": "0"}
"""The order of names in a listing is that of their hashes."""


def main() -> int:
    """Do what the arguments say; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", help="A..B: the seeds from A to B, without B")
    parser.add_argument("--long", type=float, metavar="SECONDS", help="as many as time allows")
    parser.add_argument("--from", type=int, default=None, dest="first", help="first seed of --long")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--shrink", type=int, metavar="SEED")
    asked = parser.parse_args()
    if os.environ.get("PYTHONHASHSEED") != "0":
        command = [sys.executable, "-m", "tests.simulation", *sys.argv[1:]]
        return subprocess.run(command, env=_ENVIRONMENT, check=False).returncode
    logging.disable(logging.CRITICAL)
    if asked.shrink is not None:
        return _shrink(asked.shrink)
    first, end = 0, 1_000
    if asked.seeds:
        first, _, end = asked.seeds.partition("..")
        first, end = int(first), int(end)
    if asked.long is not None:
        first = int(time.time()) * 1_000 if asked.first is None else asked.first
        return Crowd(_chunks(first, first + 10**9, asked.long)).run(asked.processes)
    return Crowd(_chunks(first, end, 10**9)).run(asked.processes)


def _chunks(first: int, end: int, seconds: float) -> Iterator[tuple[int, int]]:
    deadline = time.monotonic() + seconds
    while first < end and time.monotonic() < deadline:
        yield first, min(end, first + CHUNK)
        first += CHUNK


def _shrink(seed: int) -> int:
    try:
        simulate(seed)
    except Failure as failure:
        shortest = shrink(failure, lambda line: print(line, file=sys.stderr))
        print(shortest.report())
        print(f"simulate({seed}, {shortest.plans!r})")
        return 1
    print(f"seed {seed} does not fail")
    return 0


def _hangs(number: int, frame: object) -> None:
    raise TimeoutError(f"it takes more than {SECONDS_MAX} s")


def _work(first: int, end: int, out: TextIO) -> None:
    """Run seeds in this process; tell the parent each one before it begins, and what failed."""
    total = Figures()
    signal.signal(signal.SIGALRM, _hangs)
    for seed in range(first, end):
        print(json.dumps({"at": seed}), file=out, flush=True)
        signal.alarm(SECONDS_MAX)
        try:
            total.add(simulate(seed))
        except Failure as failure:
            told = {"seed": seed, "kind": failure.kind, "report": failure.report()}
            print(json.dumps(told), file=out, flush=True)
    print(json.dumps({"figures": asdict(total)}), file=out, flush=True)


class Child:
    """A process that runs a chunk of seeds, forked so that it need not import anything."""

    def __init__(self, first: int, end: int) -> None:
        self.first = first
        self.end = end
        self.told: list[bytes] = []
        self.fd, writing = os.pipe()
        self.pid = os.fork()
        if not self.pid:
            os.close(self.fd)
            with os.fdopen(writing, "w") as out:
                _work(first, end, out)
            os._exit(0)
        os.close(writing)


class Crowd:
    """Processes that take chunks of seeds from one another."""

    def __init__(self, chunks: Iterator[tuple[int, int]]) -> None:
        self._chunks = chunks
        self.total = Figures()
        self.failed: dict[str, list[int]] = {}

    def run(self, count: int) -> int:
        """Run them all; return the exit code."""
        began = time.monotonic()
        children: dict[int, Child] = {}
        while True:
            while len(children) < count and (chunk := next(self._chunks, None)):
                child = Child(*chunk)
                children[child.fd] = child
            if not children:
                break
            for fd in select.select(list(children), (), ())[0]:
                data = os.read(fd, 1 << 20)
                children[fd].told.append(data)
                if not data:
                    again = self._take(children.pop(fd))
                    if again is not None:
                        self._chunks = chain([again], self._chunks)
        seconds = time.monotonic() - began
        total = self.total
        ends = ", ".join(f"{count} {name}" for name, count in sorted(total.ends.items()))
        print(
            f"{total.seeds} seeds, {total.actions} actions, {total.verbs} verbs, "
            f"{total.requests} requests; lives ended by: {ends}; "
            f"{seconds * 1e3 * count / max(1, total.seeds):.0f} ms a seed"
        )
        for kind, seeds in self.failed.items():
            print(f"{len(seeds)} failed: {kind}: {seeds[:10]}")
            print(f"    PYTHONHASHSEED=0 python -m tests.simulation --shrink {seeds[0]}")
        return bool(self.failed)

    def _take(self, child: Child) -> tuple[int, int] | None:
        """Take over what a child has told; return the seeds that it left undone."""
        os.close(child.fd)
        _, status = os.waitpid(child.pid, 0)
        at = child.first
        for line in b"".join(child.told).splitlines():
            told = json.loads(line)
            at = told.get("at", at)
            if "kind" in told:
                self._note(told["kind"], told["seed"], told["report"])
            if "figures" in told:
                self.total.add(Figures(**told["figures"]))
        print(f"{self.total.seeds} seeds", file=sys.stderr, flush=True)
        if not status:
            return None
        self._note(f"the process ended with {os.waitstatus_to_exitcode(status)}", at, "")
        return (at + 1, child.end) if at + 1 < child.end else None

    def _note(self, kind: str, seed: int, report: str) -> None:
        seeds = self.failed.setdefault(kind, [])
        seeds.append(seed)
        if len(seeds) == 1:
            print(report, flush=True)


if __name__ == "__main__":
    sys.exit(main())
