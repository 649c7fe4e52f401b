"""`helios try`: a command in a throw-away fork, and then a choice to keep, drop or leave it."""

from __future__ import annotations

import os
import shlex
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from heliosfs.cli.client import current_directory, mounted_view
from heliosfs.cli.forks import TrialFork, changes_of, drop, find_base, finish, keep, make_fork, ways
from heliosfs.cli.inside import Inside, be_command, sandbox_wish
from heliosfs.cli.processes import (
    become_subreaper,
    descendants,
    end_descendants,
    end_with_parent,
    exit_code_of_status,
)
from heliosfs.cli.sandbox import SandboxWish
from heliosfs.commands.options import Options
from heliosfs.errors import HeliosError

_STOPPING = (signal.SIGTERM, signal.SIGHUP)
_FROM_THE_TERMINAL = (signal.SIGINT, signal.SIGQUIT)
_QUESTIONS = 3
_ANSWERS = {"k": "keep", "d": "drop", "l": "leave"}


def try_(argv: list[str], options: Options) -> int:
    """Run a command in a fork; return its exit code, or 1 if the fork could not be kept.

    Raise NotFound outside of a mounted workspace and before the first commit, Busy while a merge is
    open, Refused.
    """
    if not options.words:
        raise options.misuse("give a command to try")
    options.only_one("keep", "drop")
    command, wish = shlex.join(options.words), sandbox_wish(options)
    base = find_base(mounted_view(current_directory()))
    fork = make_fork(base, options.value("branch") or "try-{}", command)
    is_quiet = "quiet" in options
    if not is_quiet:
        _tell(f"helios: trying in fork {fork.name} of {base}")
    code, is_stopped = run_child(fork.inside, options.words, wish, is_quiet=is_quiet)
    head = finish(fork, f"try: {command}")
    if head is None:
        drop(base, fork.name)
        _tell(f"helios: nothing changed; fork {fork.name} is dropped")
        return code
    if not is_quiet:
        _tell(changes_of(fork, head).rstrip("\n"))
    return _decide(fork, head, code, "leave" if is_stopped else _choice(options, code))


def _choice(options: Options, code: int) -> str:
    """Return the choice that the options say, or that the user makes at a terminal."""
    if "drop" in options:
        return "drop"
    if "keep" in options:
        # A command that failed half way is seldom what somebody wants in his files.
        return "leave" if code else "keep"
    if os.isatty(0) and os.isatty(2):
        return _ask(code)
    return "leave"


def _ask(code: int) -> str:
    """Ask at the terminal; no answer leaves the fork."""
    _take_terminal()
    said = f"exit code {code}: " if code else ""
    with suppress(KeyboardInterrupt, EOFError):
        for _ in range(_QUESTIONS):
            print(f"helios: {said}keep, drop or leave it? [k/d/l] ", end="", file=sys.stderr)
            sys.stderr.flush()
            line = sys.stdin.readline()
            if not line:
                break
            word = line.strip().lower()
            if word[:1] in _ANSWERS and _ANSWERS[word[:1]].startswith(word):
                return _ANSWERS[word[:1]]
    _tell("")
    return "leave"


def _take_terminal() -> None:
    """Become the foreground of the terminal, which a shell that was killed had taken."""
    with suppress(OSError):
        if os.tcgetpgrp(0) != os.getpgrp():
            signal.signal(signal.SIGTTOU, signal.SIG_IGN)
            os.tcsetpgrp(0, os.getpgrp())


def _decide(fork: TrialFork, head: str, code: int, choice: str) -> int:
    """Carry out a choice; return the exit code."""
    if choice == "drop":
        drop(fork.base, fork.name)
        _tell(f"helios: dropped {fork.name}; until 'helios gc' {head[:12]} has its changes")
        return code
    if choice == "keep":
        try:
            _tell(f"helios: {keep(fork)}")
        except HeliosError as error:
            _tell(f"helios: {error}\nhelios: {ways(fork)}")
            return code or 1
        return code
    _tell(f"helios: {ways(fork)}")
    return code


def run_child(
    inside: Inside, command: list[str], wish: SandboxWish | None, *, is_quiet: bool
) -> tuple[int, bool]:
    """Run a command in a branch, and end what it leaves running.

    Return its exit code, and True if this process was told to end meanwhile.
    """
    become_subreaper()
    # Where a shell replaced itself with this program, its jobs are children of this process.
    others = descendants(os.getpid())
    sys.stdout.flush()
    signal.pthread_sigmask(signal.SIG_BLOCK, _FROM_THE_TERMINAL + _STOPPING)
    parent, child = os.getpid(), os.fork()
    if not child:
        end_with_parent(parent)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _FROM_THE_TERMINAL + _STOPPING)
        be_command(inside, command, wish, is_quiet=is_quiet)
    with _passing_signals(child) as stopped:
        code = exit_code_of_status(os.waitpid(child, 0)[1])
        left = end_descendants(spared=others)
    if left:
        _tell(f"helios: processes that cannot be ended: {' '.join(map(str, left))}")
    return code, bool(stopped)


@contextmanager
def _passing_signals(child: int) -> Iterator[list[int]]:
    """Leave the signals of the terminal to the child, and pass on those that end this process.

    Yield the list of the latter.
    """
    stopped: list[int] = []

    def pass_on(number: int, _frame: object) -> None:
        stopped.append(number)
        with suppress(ProcessLookupError):
            os.kill(child, number)

    before = {number: signal.signal(number, signal.SIG_IGN) for number in _FROM_THE_TERMINAL}
    before |= {number: signal.signal(number, pass_on) for number in _STOPPING}
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _FROM_THE_TERMINAL + _STOPPING)
    try:
        yield stopped
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _tell(text: str) -> None:
    print(text, file=sys.stderr)
    sys.stderr.flush()
