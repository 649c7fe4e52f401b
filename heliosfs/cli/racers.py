"""Commands that run side by side, each in a branch, watched by a process of its own.

The watching process, the supervisor, has the command in a session of its own and is told of every
process that it starts (`heliosfs.cli.processes`).  It ends with the exit code of the command, when
everything that the command left running has ended, too.
"""

from __future__ import annotations

import os
import selectors
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import NoReturn

from heliosfs.cli.inside import Inside, be_command
from heliosfs.cli.processes import (
    GRACE_SECONDS,
    become_subreaper,
    descendants,
    end_descendants,
    end_with_parent,
    exit_code_of_status,
)
from heliosfs.cli.sandbox import SandboxWish

_FAILED = 126
_TAKEN_BYTES = 64 * 1024
_STOP_SECONDS = GRACE_SECONDS + 7.0
"""Time that a supervisor has to end all of its command."""
STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stopped(Exception):
    """Signal that ends all commands."""

    def __init__(self, number: int) -> None:
        super().__init__(f"ended by {signal.Signals(number).name}")
        self.number = number


class Output:
    """Lines that a stream of a command writes, passed on as they are complete."""

    def __init__(self, pass_on: Callable[[bytes], None]) -> None:
        self._pass_on = pass_on
        self._rest = b""

    def take(self, data: bytes) -> None:
        """Pass on the lines that these bytes complete."""
        lines, newline, rest = (self._rest + data).rpartition(b"\n")
        self._rest = rest
        for line in lines.split(b"\n") if newline else ():
            self._pass_on(line)

    def end(self) -> None:
        """Pass on a last line without a newline."""
        if self._rest:
            self._pass_on(self._rest)
        self._rest = b""


class Racer:
    """A command that runs, and its supervisor."""

    def __init__(self, pid: int, outputs: Mapping[int, Output]) -> None:
        self.pid = pid
        self.pidfd = os.pidfd_open(pid)
        self.outputs = dict(outputs)
        """Ends of pipes that it writes into."""
        self.begun = time.monotonic()
        self.seconds = 0.0
        self.exit_code: int | None = None
        """None while it runs."""

    def stop(self, number: int = signal.SIGTERM) -> None:
        """Tell the supervisor to end its command."""
        if self.exit_code is None:
            signal.pidfd_send_signal(self.pidfd, number)

    def note_end(self) -> None:
        """Note that the supervisor has ended."""
        self.seconds = time.monotonic() - self.begun
        self.exit_code = exit_code_of_status(os.waitpid(self.pid, 0)[1])
        os.close(self.pidfd)


class Racers:
    """Racers that are waited for together."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        become_subreaper()
        # Where a shell replaced itself with this program, its jobs are children of this process.
        self._others = descendants(os.getpid())
        self.running: list[Racer] = []

    def start(
        self,
        inside: Inside,
        command: list[str],
        variables: Mapping[str, str],
        outputs: tuple[Output, Output],
        wish: SandboxWish | None,
        *,
        is_quiet: bool,
    ) -> Racer:
        """Start a command in a branch, with more variables in its environment.

        `outputs` take its standard output and its standard error.
        """
        pipes = [os.pipe() for _ in outputs]
        sys.stdout.flush()
        sys.stderr.flush()
        with signals_held():
            parent = os.getpid()
            pid = os.fork()
            if not pid:
                _supervise(parent, inside, command, variables, pipes, wish, is_quiet=is_quiet)
            for _, write_end in pipes:
                os.close(write_end)
            taken = {pipe[0]: output for pipe, output in zip(pipes, outputs, strict=True)}
            racer = Racer(pid, taken)
            self.running.append(racer)
        for fd in [racer.pidfd, *taken]:
            self._selector.register(fd, selectors.EVENT_READ, racer)
        return racer

    def wait(self, seconds: float | None) -> Racer | None:
        """Pass output on until a racer has ended, and return it; None after that time."""
        until = None if seconds is None else time.monotonic() + seconds
        while self.running:
            left = None if until is None else until - time.monotonic()
            if left is not None and left <= 0:
                return None
            for key, _ in self._selector.select(left):
                racer: Racer = key.data
                if key.fd in racer.outputs:
                    self._read(racer, key.fd)
                elif key.fd == racer.pidfd and racer.exit_code is None:
                    self._end(racer)
                    return racer
        return None

    def stop(self) -> None:
        """End all that run; takes ten seconds at most for all of them together."""
        for racer in self.running:
            racer.stop()
        until = time.monotonic() + _STOP_SECONDS
        while self.running and time.monotonic() < until:
            self.wait(until - time.monotonic())
        for racer in self.running:
            # What it had started is a child of this process then.
            racer.stop(signal.SIGKILL)
        while self.running and self.wait(1.0) is not None:
            pass
        end_descendants(0, self._others)

    def _read(self, racer: Racer, fd: int) -> bool:
        """Read what a pipe has; return False at its end."""
        data = os.read(fd, _TAKEN_BYTES)
        if data:
            racer.outputs[fd].take(data)
            return True
        self._selector.unregister(fd)
        racer.outputs.pop(fd).end()
        os.close(fd)
        return False

    def _end(self, racer: Racer) -> None:
        self._selector.unregister(racer.pidfd)
        racer.note_end()
        self.running.remove(racer)
        # All writers have ended, so this comes to the end of each pipe.
        for fd in list(racer.outputs):
            while self._read(racer, fd):
                pass


@contextmanager
def signals_held() -> Iterator[None]:
    """Let the signals that end all wait."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def raise_when_stopped() -> None:
    """Let the first signal that ends all raise Stopped; later ones are ignored."""

    def stop(number: int, _frame: object) -> None:
        ignore_signals()
        raise Stopped(number)

    for number in STOPPING:
        signal.signal(number, stop)


def ignore_signals() -> None:
    """Ignore the signals that end all, so that what follows is done to its end."""
    for number in STOPPING:
        signal.signal(number, signal.SIG_IGN)


def _supervise(
    parent: int,
    inside: Inside,
    command: list[str],
    variables: Mapping[str, str],
    pipes: list[tuple[int, int]],
    wish: SandboxWish | None,
    *,
    is_quiet: bool,
) -> NoReturn:
    """Run the command in a child, and end everything that it started."""
    code = _FAILED
    try:
        for number in STOPPING:
            signal.signal(number, signal.SIG_DFL)
        # The terminal's ^C is for the race, which tells the supervisors in its turn.
        os.setsid()
        become_subreaper()
        child = os.fork()
        if not child:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            for fd, (_, write_end) in enumerate(pipes, 1):
                os.dup2(write_end, fd)
            os.environ.update(variables)
            be_command(inside, command, wish, is_quiet=is_quiet)
        for fd in [fd for pipe in pipes for fd in pipe]:
            os.close(fd)
        code = _wait(child, parent)
    finally:
        os._exit(code)


def _wait(child: int, parent: int) -> int:
    """Wait for a command, or for a signal that ends it; return its exit code."""
    try:
        raise_when_stopped()
        end_with_parent(parent)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)
        code = exit_code_of_status(os.waitpid(child, 0)[1])
    except Stopped as stopped:
        code = 128 + stopped.number
    ignore_signals()
    end_descendants()
    return code
