"""`helios race`: a command in several forks side by side, of which the best one is merged."""

from __future__ import annotations

import os
import shlex
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import NamedTuple

from heliosfs.cli.client import ask, ask_json, current_directory, mounted_view
from heliosfs.cli.forks import (
    Base,
    TrialFork,
    changes_of,
    commit_all,
    drop,
    find_base,
    fork_again,
    is_changed,
    keep,
    make_fork,
    ways,
)
from heliosfs.cli.inside import sandbox_wish
from heliosfs.cli.racers import (
    Output,
    Racer,
    Racers,
    Stopped,
    ignore_signals,
    raise_when_stopped,
    signals_held,
)
from heliosfs.cli.sandbox import SandboxWish
from heliosfs.commands.options import Options
from heliosfs.errors import HeliosError, UsageError
from heliosfs.repo.scores import check_score, value_of

_COUNT_MAX = 64
_INDEX = "{i}"
_NO_WINNER = 1


class Attempt:
    """A fork, and the command that runs or ran in it."""

    def __init__(self, number: int, fork: TrialFork) -> None:
        self.number = number
        self.fork = fork
        self.head = ""
        """Commit of what the command left; empty until it has ended."""
        self.exit_code = 0
        self.seconds = 0.0
        self.score: str | None = None
        self.is_ended_early = False

    @property
    def outcome(self) -> str:
        """Return the outcome in words."""
        if self.score is not None:
            return f"score {self.score}"
        if self.is_ended_early:
            return "ended early"
        return f"exit code {self.exit_code}"


class _Wish(NamedTuple):
    """Race as the options ask for it."""

    name: str
    fork_count: int
    command: list[str]
    score: str | None
    minimize: bool
    timeout: float | None
    directory: str | None
    """Directory of the files that the output goes to; None for the streams of the caller."""
    sandbox: SandboxWish | None
    is_quiet: bool

    @property
    def title(self) -> str:
        return shlex.join(self.command)


def race(argv: list[str], options: Options) -> int:
    """Run a command in N forks; return 0 if the changes of one were merged, or it had none.

    It is 1 if none succeeded or the winner was not merged, 128 + N after signal N.  Raise NotFound
    outside of a mounted workspace and before the first commit, Busy while a merge is open, Refused.
    """
    view = mounted_view(current_directory())
    base = find_base(view)
    wish = _wish(options, partial(_free_name, base))
    if wish.directory is not None:
        os.makedirs(wish.directory, exist_ok=True)
    raise_when_stopped()
    contest = _Contest(wish, base)
    try:
        return contest.run()
    except Stopped as stopped:
        _tell(f"helios: {stopped}: ending all")
        return 128 + stopped.number
    finally:
        ignore_signals()
        contest.end()


def _wish(options: Options, find_name: Callable[[], str]) -> _Wish:
    count, *command = options.words or [""]
    if not (count.isascii() and count.isdigit() and 1 <= int(count) <= _COUNT_MAX):
        raise options.misuse(f"give the number of forks, 1 to {_COUNT_MAX}, and a command")
    if not command:
        raise options.misuse("give a command to run")
    score, minimize = options.value("score"), "minimize" in options
    if minimize and score is None:
        raise options.misuse("--minimize needs --score")
    return _Wish(
        options.value("branch") or find_name(),
        int(count),
        command,
        score,
        minimize,
        options.number("timeout"),
        options.value("output"),
        sandbox_wish(options),
        "quiet" in options,
    )


def _free_name(base: Base) -> str:
    """Return the first name for a race that neither a branch nor an experiment has."""
    taken = {each["name"] for each in ask_json(base.view, "branch")}
    taken |= {each["name"] for each in ask_json(base.view, "experiment")}
    number = 1
    while any(f"{each}-".startswith(f"race-{number}-") for each in taken):
        number += 1
    return f"race-{number}"


class _Contest:
    """A race from its forks to its end."""

    def __init__(self, wish: _Wish, base: Base) -> None:
        self._wish = wish
        self._base = base
        self._racers = Racers()
        self._forks: list[str] = []
        """Forks that are dropped at the end."""
        self._is_recorded = False
        """True while the experiment of the race runs."""
        self._attempts: dict[Racer, Attempt] = {}
        self._scorings: dict[Racer, Attempt] = {}
        self._scored: dict[Attempt, list[bytes]] = {}
        """Lines that the score command of an attempt has printed."""

    def run(self) -> int:
        """Run the race, and merge the winner; return the exit code."""
        attempts = self._prepare()
        for attempt in attempts:
            words = [word.replace(_INDEX, str(attempt.number)) for word in self._wish.command]
            racer = self._start(attempt, words, self._output(attempt, 1))
            self._attempts[racer] = attempt
        winner = self._wait()
        self._racers.stop()
        for racer, attempt in self._attempts.items():
            if not attempt.head:
                attempt.is_ended_early = racer.exit_code != 0
                self._note_end(racer, attempt)
        if self._wish.score is None and winner is not None:
            winner.score = "1"
        for attempt in attempts:
            self._record(attempt)
        self._finish("finish")
        self._tell_outcomes(attempts, winner)
        if winner is None:
            _tell(f"helios: no attempt succeeded; 'helios experiment show {self._wish.name}'")
            return _NO_WINNER
        return self._merge(winner)

    def end(self) -> None:
        """End all processes, drop all forks but one that is left, abandon an open experiment."""
        self._racers.stop()
        for name in self._forks:
            with suppress(HeliosError):
                drop(self._base, name)
        if self._is_recorded:
            self._finish("abandon")

    def _prepare(self) -> list[Attempt]:
        """Make the forks and the experiment."""
        wish = self._wish
        names = [f"{wish.name}-{number}" for number in range(1, wish.fork_count + 1)]
        # A fork that is made is one that is dropped, and no other branch is.
        with signals_held():
            first = make_fork(self._base, names[0], wish.title)
            self._forks.append(first.name)
        forks = [first]
        for name in names[1:]:
            with signals_held():
                forks.append(fork_again(first, name))
                self._forks.append(name)
        words = ["experiment", "start", wish.name, "--from", first.start, "--quiet"]
        words += ["--param", f"command={wish.title}", "--param", f"forks={wish.fork_count}"]
        if wish.score is not None:
            words += ["--param", f"score={wish.score}"]
        if wish.minimize:
            words += ["--minimize", "score"]
        with signals_held():
            ask(self._base.view, words)
            self._is_recorded = True
        if not wish.is_quiet:
            _tell(f"helios: racing in {wish.fork_count} forks of {self._base}: {wish.name}-…")
        return [Attempt(number, fork) for number, fork in enumerate(forks, 1)]

    def _start(self, attempt: Attempt, command: list[str], output: Output) -> Racer:
        variables = {"HELIOS_RACE_INDEX": str(attempt.number)}
        outputs = output, self._output(attempt, 2)
        is_quiet, sandbox = self._wish.is_quiet or attempt.number > 1, self._wish.sandbox
        if sandbox is not None:
            sandbox = sandbox._replace(is_quiet=is_quiet)
        return self._racers.start(
            attempt.fork.inside, command, variables, outputs, sandbox, is_quiet=is_quiet
        )

    def _output(self, attempt: Attempt, fd: int) -> Output:
        """Return what takes a stream of an attempt: to a file, or to ours with its number."""
        directory = self._wish.directory
        if directory is not None:
            path = os.path.join(directory, f"{attempt.number}.log")
            return Output(partial(_append, path))
        return Output(partial(_print_line, fd, b"[%d] " % attempt.number))

    def _wait(self) -> Attempt | None:
        """Wait for the first success; with scores, for all, and return the best."""
        wish = self._wish
        until = None if wish.timeout is None else time.monotonic() + wish.timeout
        while self._racers.running:
            left = None if until is None else until - time.monotonic()
            racer = self._racers.wait(left)
            if racer is None:
                _tell(f"helios: {wish.timeout} s are over: ending what runs")
                break
            if racer in self._scorings:
                self._note_score(self._scorings[racer], racer)
                continue
            attempt = self._attempts[racer]
            self._note_end(racer, attempt)
            if racer.exit_code:
                continue
            if wish.score is None:
                return attempt
            self._begin_score(attempt, wish.score)
        scored = [each for each in self._attempts.values() if each.score is not None]
        sign = 1 if wish.minimize else -1
        return min(scored, key=lambda each: sign * value_of(each.score or ""), default=None)

    def _begin_score(self, attempt: Attempt, command: str) -> None:
        lines = self._scored[attempt] = []
        words = ["sh", "-c", command.replace(_INDEX, str(attempt.number))]
        self._scorings[self._start(attempt, words, Output(lines.append))] = attempt

    def _note_end(self, racer: Racer, attempt: Attempt) -> None:
        """Commit what the command of an attempt has left."""
        attempt.exit_code, attempt.seconds = racer.exit_code or 0, racer.seconds
        message = f"{self._wish.name} {attempt.number}: {self._wish.title}"
        made = commit_all(attempt.fork.view, message, allow_empty=True)
        attempt.head = made or attempt.fork.start

    def _note_score(self, attempt: Attempt, racer: Racer) -> None:
        """Read the score: the last line that its command has printed."""
        last = self._scored[attempt][-1].decode("utf-8", "replace") if self._scored[attempt] else ""
        text = last.strip()
        try:
            if racer.exit_code:
                raise UsageError(f"the score command ended with exit code {racer.exit_code}")
            check_score("score", text)
        except HeliosError as error:
            reason = str(error).removeprefix("usage: ")
            _tell(f"helios: no score for attempt {attempt.number}: {reason}")
        else:
            attempt.score = text

    def _record(self, attempt: Attempt) -> None:
        """Add the commit of an attempt to the experiment, with its figures."""
        figures = [f"seconds={attempt.seconds:.3f}", f"exit={attempt.exit_code}"]
        if self._wish.score is None and attempt.score is None:
            figures.append("score=0")
        elif attempt.score is not None:
            figures.append(f"score={attempt.score}")
        where = ["-e", self._wish.name, "--commit", attempt.head, "--add", "--quiet"]
        ask(self._base.view, ["experiment", "record", *figures, *where])

    def _finish(self, action: str) -> None:
        """End the experiment; its record stays, and its branch goes."""
        name = self._wish.name
        with suppress(HeliosError):
            ask(self._base.view, ["experiment", action, name, "--quiet"])
            if action == "finish":
                drop(self._base, name)
        self._is_recorded = False

    def _tell_outcomes(self, attempts: list[Attempt], winner: Attempt | None) -> None:
        if self._wish.is_quiet:
            return
        for attempt in attempts:
            mark = "*" if attempt is winner else " "
            outcome = "success" if self._wish.score is None and attempt is winner else None
            _tell(
                f"{mark} {attempt.number:>2}  {attempt.head[:12]}  {attempt.seconds:7.1f} s  "
                f"{outcome or attempt.outcome}"
            )

    def _merge(self, winner: Attempt) -> int:
        fork = winner.fork
        if not is_changed(fork, winner.head):
            _tell(f"helios: {fork.name} won, and changed nothing")
            return 0
        if not self._wish.is_quiet:
            _tell(changes_of(fork, winner.head).rstrip("\n"))
        self._forks.remove(fork.name)
        try:
            # What the score command has changed since is no part of the attempt.
            ask(fork.view, ["reset", "--hard", winner.head])
            _tell(f"helios: {keep(fork)}")
        except HeliosError as error:
            _tell(f"helios: {error}\nhelios: {ways(fork)}")
            return _NO_WINNER
        return 0


def _append(path: str, line: bytes) -> None:
    with open(path, "ab") as file:
        file.write(line + b"\n")


def _print_line(fd: int, prefix: bytes, line: bytes) -> None:
    stream = sys.stdout if fd == 1 else sys.stderr
    stream.flush()
    left = memoryview(prefix + line + b"\n")
    while left:
        left = left[os.write(fd, left) :]


def _tell(text: str) -> None:
    print(text, file=sys.stderr)
    sys.stderr.flush()
