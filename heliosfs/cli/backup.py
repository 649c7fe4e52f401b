"""`helios backup`: the client's part, which is all of it where no workspace is concerned."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from heliosfs.cli.client import current_directory
from heliosfs.cli.newplace import new_store, prepared
from heliosfs.cli.progress import ProgressLine
from heliosfs.commands.options import Options
from heliosfs.repo.backup_directory import (
    LastBackup,
    check_outside,
    last_backup,
    open_backup,
    plain_path,
)

if TYPE_CHECKING:
    from heliosfs.repo.backup import RestoreResult
    from heliosfs.store.local import LocalStore

_LISTED_COUNT = 20

T = TypeVar("T")


def backup(argv: list[str], options: Options) -> int | list[str]:
    """Verify or restore a backup; return the words of all other requests, with plain paths."""
    options.only_one("verify", "restore")
    if "verify" in options:
        return _with_progress(partial(_verify, options))
    if "restore" in options:
        return _with_progress(partial(_restore, options))
    if len(options.words) != 1 or not options.words[0]:
        raise options.misuse("name the directory of the backup, as in 'backup DIR'")
    flags = [f"--{key}" for key in ("keep-going", "json") if key in options]
    return [argv[0], *flags, _path(options.words[0])]


def _with_progress(use: Callable[[ProgressLine], T]) -> T:
    line = ProgressLine()
    try:
        return use(line)
    finally:
        line.end()


def _path(word: str) -> str:
    return plain_path(os.path.join(current_directory(), word))


def _verify(options: Options, line: ProgressLine) -> int:
    from heliosfs.clock import SystemClock
    from heliosfs.commands.fsck import told
    from heliosfs.repo.check import check_store
    from heliosfs.repo.identity import Identity
    from heliosfs.repo.repository import Repository
    from heliosfs.steps import run_to_end

    if len(options.words) != 1:
        raise options.misuse("name the directory of the backup, as in 'backup --verify DIR'")
    path = _path(options.words[0])
    store = open_backup(path)
    try:
        if store.refusal is not None:
            raise type(store.refusal)(
                f"{path} cannot be written, and a check marks what it has read: check a copy, or "
                "restore it, which compares every object with its id"
            )
        who = Identity(b"", b"", os.getuid(), os.getgid())
        repository = Repository.open(store, SystemClock(), who, is_backup=True)
        checked = run_to_end(check_store(repository), store, line.tell)
        line.end()
        print(told(repository, checked, as_json="json" in options), end="")
    finally:
        store.close()
    return 0


def _restore(options: Options, line: ProgressLine) -> int:
    if len(options.words) != 2 or not all(options.words):
        raise options.misuse("name a backup and a new directory, as in 'backup --restore DIR NEW'")
    path, new = map(_path, options.words)
    check_outside(new, "")
    source = open_backup(path)
    try:
        last = last_backup(source)
        assert last is not None
        with prepared(new):
            done = _fill(source, new, options, line)
    finally:
        source.close()
    line.end()
    _tell(options, path, new, last, done)
    return 1 if done.damaged else 0


def _fill(source: LocalStore, new: str, options: Options, line: ProgressLine) -> RestoreResult:
    """Make the store of the workspace, under another name until it is whole."""
    from heliosfs.repo.backup import restore
    from heliosfs.store.local import LocalStore

    with new_store(new) as fd:
        target = LocalStore.open(fd, create=True)
        try:
            done = restore(source, target, line.tell, keeps_going="keep-going" in options)
        finally:
            target.close()
    return done


def _tell(options: Options, path: str, new: str, last: LastBackup, done: RestoreResult) -> None:
    from heliosfs.clock import SECOND_NS
    from heliosfs.commands.render import iso_time

    time = iso_time(last.time_ns // SECOND_NS)
    if "json" in options:
        document = {"directory": path, "new": new, "time": time, **done._asdict()}
        print(json.dumps(document))
        return
    print(f"restored {done.object_count} objects, as of {time}, to {new}")
    damaged = done.damaged
    if damaged:
        print(f"damaged, and not restored ({len(damaged)}):")
        for text in damaged[:_LISTED_COUNT]:
            print(f"  {text}")
        if len(damaged) > _LISTED_COUNT:
            print(f"  and {len(damaged) - _LISTED_COUNT} more (--json lists them)")
    if done.left:
        print(
            f"contents that were at {', '.join(done.left)} are not in the backup: in {new}, "
            "'helios fetch --contents --all' brings them"
        )
    print(f"mount it with: helios mount {shlex.quote(new)}")
