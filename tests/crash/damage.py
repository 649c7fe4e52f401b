"""Damage to the files of a store, one at a time, and what is told of it.

`build` makes sound stores: one closed, one whose process was killed with batches in its journal
that L2 lacks, and the files of an earlier day.  A case takes one of them, damages one file, opens
it in a process of its own, asks for everything that a user could see, and compares it with what the
sound store answers.  A crash is an outcome, not the end of the run:

    python -m tests.crash.damage COUNT [FIRST]

prints the outcomes of so many cases, and every case that is not good.
"""

from __future__ import annotations

import json
import logging
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from heliosfs.clock import FixedClock
from heliosfs.commands.table import run
from heliosfs.errors import HeliosError
from heliosfs.repo import keys
from heliosfs.repo.configuration import FILE as CONFIGURATION_FILE
from heliosfs.repo.configuration import Configuration
from heliosfs.repo.gc.roots import log_of, slots
from heliosfs.repo.repository import Repository
from heliosfs.store.local import LocalStore
from heliosfs.workspace.inodes import FILE as INODES_FILE
from tests.crash.spoil import spoil
from tests.in_memory import tmpfs
from tests.stores import run as carry_out
from tests.tree_builder import IDENTITY, Stage, TreeBuilder
from tests.verb_scenarios import build as build_repository

SECONDS = 20
"""Time that a case may take; a sound one takes a tenth of a second."""
DATA_BYTES = 1024 * 1024 * 1024
"""Memory that a case may take; LMDB's map is none."""
GOOD = ("right", "refused", "told")
Answers = dict[str, str]


class Outcome(NamedTuple):
    """The outcome of a case: one of `GOOD`, or a fault."""

    name: str
    case: str
    detail: str = ""


class Opened:
    """A repository on a store in a directory, as the command line opens it."""

    def __init__(self, path: Path, start_ns: int) -> None:
        self.fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        self.store = LocalStore.open(self.fd, create=not (path / "format").exists())
        settings = Configuration(self.store.file_beside(CONFIGURATION_FILE))
        self.repository = Repository.open(self.store, FixedClock(start_ns), IDENTITY)
        self.repository.configure(settings)
        self.repository.keep_numbers(self.store.file_beside(INODES_FILE))

    def verb(self, *argv: str) -> str:
        return run(self.repository, self.repository.root, list(argv))

    def close(self) -> None:
        self.repository.inodes.end()
        self.repository.close()
        os.close(self.fd)


# The stores.


def build(path: Path) -> None:
    """Make the sound stores below `path`: `older`, `closed` and `killed`."""
    work = path / "work"
    work.mkdir()
    opened = Opened(work, 1_700_000_000 * 10**9)
    build_repository(opened.repository)
    opened.close()
    shutil.copytree(work, path / "older")
    opened = Opened(work, 1_700_100_000 * 10**9)
    _live(opened)
    opened.close()
    shutil.copytree(work, path / "closed")
    opened = Opened(work, 1_700_200_000 * 10**9)
    _live_on(opened)
    shutil.copytree(work, path / "killed")
    opened.close()


def _live(opened: Opened) -> None:
    """A day: versions, large files, scores, a stash, verbs that were undone, settings."""
    numbers = random.Random(1)
    files = TreeBuilder(opened.repository.root.workspace)
    files.write(b"large", numbers.randbytes(1200 * 1024))
    files.write(b"text", b"".join(b"line %d\n" % at for at in range(10_000)))
    opened.verb("commit", "-q", "--work", "-m", "large files")
    opened.verb("config", "performance.l1_cache_size", "64MB")
    for number in range(40):
        name = b"src/module%d" % (number % 9)
        files.write(name, b"def f%d(): pass\n" % number * 200 + numbers.randbytes(99))
        opened.verb("commit", "-q", "--work", "-m", f"version {number}")
        opened.verb(
            "experiment", "record", f"score=0.{number + 10}", "-e", "idea", "--commit", "HEAD"
        )
        if number % 7 == 0:
            opened.verb("tag", "-m", f"note of {number}", f"t{number}")
            opened.verb("branch", f"b{number}")
    files.write(b"stashed", b"for later\n")
    opened.verb("stash")
    opened.verb("reset", "--hard", "HEAD~3")
    opened.verb("undo")
    carry_out(opened.store.plan_drain())


def _live_on(opened: Opened) -> None:
    """The next morning, whose batches are in the journal and not in L2."""
    files = TreeBuilder(opened.repository.root.workspace)
    carry_out(opened.store.plan_drain())
    for number in range(6):
        files.write(b"today", b"today %d\n" % number * 300)
        opened.verb("commit", "-q", "--work", "-m", f"today {number}")
        opened.verb("tag", f"today{number}")
        carry_out(opened.store.plan_sync())
    files.write(b"another", random.Random(2).randbytes(1100 * 1024))
    files.write(b"text", b"uncommitted\n")
    opened.repository.checkpoint()
    carry_out(opened.store.plan_sync())


# What a user sees.


def _tree(opened: Opened, name: str) -> str:
    repository = opened.repository
    is_root = repository.refs.branch(name).slot == repository.root.slot
    view = repository.root if is_root else repository.live_view(name)
    return repr(
        (
            _digests(TreeBuilder(view.workspace)),
            view.head,
            opened.repository.store.get(keys.of_slot(keys.STAGE, view.slot)),
        )
    )


def _digests(files: TreeBuilder) -> list[tuple[bytes, int, str]]:
    tree = sorted(files.tree().items())
    return [(path, mode, sha256(data).hexdigest()) for path, (mode, data) in tree]


def _commits(opened: Opened) -> str:
    found = []
    for at, oid in enumerate(sorted(opened.repository.history.ids())):
        found.append((oid.hex(), repr(opened.repository.history.read(oid)).encode()))
        if at % 16 == 0:
            workspace = opened.repository.snapshot(oid)
            found.append(("", repr(_digests(TreeBuilder(workspace))).encode()))
    return repr(found)


def _operations(opened: Opened) -> str:
    return repr(
        [
            (
                slot,
                [
                    (each.sequence, each.verb, each.text, each.before.encode(), each.after.encode())
                    for each in log_of(opened.repository, slot).operations()
                ],
            )
            for slot in sorted(slots(opened.repository))
        ]
    )


def _scores(opened: Opened) -> str:
    repository = opened.repository
    return repr(
        [(oid, repository.experiments.scores(oid)) for oid in sorted(repository.history.ids())]
    )


def _verb(argv: tuple[str, ...], opened: Opened) -> str:
    return opened.verb(*argv)


_VERBS = (
    ("branch", "-v"),
    ("for-each-ref",),
    ("tag", "-n"),
    ("status",),
    ("log", "--all", "--oneline"),
    ("oplog", "-n", "1000"),
    ("experiment", "list"),
    ("stash", "list"),
)
QUESTIONS: dict[str, Callable[[Opened], str]] = {
    **{" ".join(argv): partial(_verb, argv) for argv in _VERBS},
    "experiment": lambda opened: opened.verb("experiment", "show", "idea"),
    "settings": lambda opened: opened.repository.configuration.text,
    "operations": _operations,
    "scores": _scores,
    "root": lambda opened: _tree(opened, "main"),
    "other": lambda opened: _tree(opened, "other"),
    "commits": _commits,
}


class _Heard(logging.Handler):
    """Handler that keeps the messages of level `WARNING` and above."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


def observe(path: Path) -> tuple[Answers, list[str]]:
    """Answer every question about the store in a directory; return what was told besides."""
    heard = _Heard()
    logging.getLogger().addHandler(heard)
    try:
        try:
            opened = Opened(path, 1_700_300_000 * 10**9)
        except HeliosError as error:
            return {"open": f"refused: {error}"}, heard.lines
        answers = {"open": ""}
        for name, ask in QUESTIONS.items():
            try:
                answers[name] = ask(opened)
            except HeliosError as error:
                answers[name] = f"refused: {error}"
        try:
            opened.verb("fsck")
        except HeliosError as error:
            heard.lines.append(f"fsck: {error}")
        # What was damaged may be found when something is written.
        with suppress(HeliosError):
            opened.close()
        return answers, heard.lines
    finally:
        logging.getLogger().removeHandler(heard)


def judge(answers: Answers, told: list[str], model: Answers) -> tuple[str, str]:
    """Return the outcome, and what it is about, of a case that ended by itself."""
    wrong = []
    refused = ""
    for name, answer in answers.items():
        if answer.startswith("refused: "):
            refused = refused or f"{name} {answer}"
        elif answer != model[name]:
            wrong.append(name)
    if wrong and not told:
        return "silently wrong", f"{wrong} {refused}"
    if told:
        return "told", told[0]
    return ("refused", refused) if refused else ("right", "")


# A case, in a process of its own.


def case(stores: Path, model: dict[str, Answers], seed: int) -> Outcome:
    """Carry out the case of a seed.  The process forks: it must have no store open."""
    numbers = random.Random(seed)
    kind = numbers.choice(("closed", "killed"))
    path = stores / "case"
    shutil.rmtree(path, ignore_errors=True)
    shutil.copytree(stores / kind, path)
    name = f"seed {seed}: {kind} {spoil(path, stores / 'older', numbers)}"
    reader, writer = os.pipe()
    pid = os.fork()
    if not pid:
        os.close(reader)
        _in_child(path, model[kind], writer)
    os.close(writer)
    with os.fdopen(reader, "rb") as answer:
        told = answer.read()
    _, status = os.waitpid(pid, 0)
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        word = "hang" if number == signal.SIGALRM else "abort"
        return Outcome(word, name, signal.Signals(number).name)
    outcome, detail = json.loads(told)
    return Outcome(outcome, name, detail)


def _in_child(path: Path, model: Answers, writer: int) -> None:
    resource.setrlimit(resource.RLIMIT_DATA, (DATA_BYTES, DATA_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(SECONDS)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    try:
        outcome, detail = judge(*observe(path), model)
    except (MemoryError, OverflowError) as error:
        outcome, detail = "huge allocation", repr(error)
    except BaseException:  # noqa: BLE001 - a traceback is an outcome
        outcome, detail = "traceback", traceback.format_exc()[-1500:]
    os.write(writer, json.dumps([outcome, detail[:2000]]).encode())
    os._exit(0)


def models(stores: Path) -> dict[str, Answers]:
    """Return what the sound stores answer.  AssertionError if they are not sound.

    In a process of its own: a process that has opened a store must not fork.
    """
    answer = stores / "models"

    def ask() -> None:
        found = {}
        for kind in ("closed", "killed"):
            shutil.copytree(stores / kind, stores / f"{kind}-asked")
            answers, told = observe(stores / f"{kind}-asked")
            assert not told, told
            assert not [each for each in answers.values() if each.startswith("refused")], answers
            found[kind] = answers
        answer.write_text(json.dumps(found))

    _in_fork(ask)
    loaded: dict[str, Answers] = json.loads(answer.read_text())
    return loaded


def _in_fork(act: Callable[[], None]) -> None:
    pid = os.fork()
    if not pid:
        try:
            act()
        except BaseException:  # noqa: BLE001 - the process must not go on as its parent
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0


def campaign(stores: Path, seeds: range) -> list[Outcome]:
    """Carry out the cases of some seeds on stores that `build` has made."""
    # What every case imports, once, before it forks.
    stage = Stage()
    stage.commit(a=b"one")
    for argv in _VERBS:
        stage.run(*argv)
    _in_fork(lambda: build(stores))
    model = models(stores)
    return [case(stores, model, seed) for seed in seeds]


def main(argv: list[str]) -> None:
    first = int(argv[1]) if len(argv) > 1 else 0
    with tempfile.TemporaryDirectory(dir=tmpfs()) as place:
        begin = time.monotonic()
        outcomes = campaign(Path(place), range(first, first + int(argv[0])))
        counts = Counter(each.name for each in outcomes)
        for each in outcomes:
            if each.name not in GOOD:
                print(*each, sep=" | ")
        print(f"{time.monotonic() - begin:.1f} s", file=sys.stderr)
        print(json.dumps(counts))


if __name__ == "__main__":
    main(sys.argv[1:])
