"""Damage to the files of a store between two lives: it is refused, told of, or does no harm."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from random import Random

from heliosfs.clock import FixedClock
from heliosfs.errors import HeliosError
from heliosfs.objects.ids import CommitId
from heliosfs.repo.repository import Repository
from heliosfs.store.local import LocalStore
from heliosfs.workspace.unloading import discard
from tests.simulation.model import Picture
from tests.simulation.mount import IDENTITY, Fault, read_picture
from tests.stores import open_local

_NOTES = ("lock", "store.lmdb-lock")


def harm(path: Path, random: Random) -> str:
    """Damage one file; tells what was done."""
    name = random.choice(sorted(set(os.listdir(path)) - set(_NOTES)))
    data = bytearray((path / name).read_bytes())
    used = len(data.rstrip(b"\0")) or 1
    at = random.randrange(used)
    how = random.choice(("flip", "flip", "flip", "cut", "zero", "remove", "swap"))
    if how == "remove":
        (path / name).unlink()
        return f"{name} removed"
    if how == "flip":
        data[at : at + 1] = bytes([(data[at] if data else 0) ^ 1 << random.randrange(8)])
    elif how == "cut":
        del data[at:]
    elif how == "zero":
        data[at : at + 512] = bytes(len(data[at : at + 512]))
    else:
        other = random.randrange(used) // 512 * 512
        at = at // 512 * 512
        one, two = data[at : at + 512], data[other : other + 512]
        if len(one) == len(two):
            data[at : at + 512], data[other : other + 512] = two, one
    (path / name).write_bytes(data)
    return f"{name}: {how} at {at} of {used}"


def judge(
    path: Path,
    random: Random,
    states: dict[int, dict[bytes, bytes]],
    commits: dict[bytes, Picture],
    promised: int,
) -> str:
    """Damage a copy of a store, open it, and compare all that it still tells with the truth."""
    copy = path.with_name(path.name + "-damaged")
    shutil.copytree(path, copy)
    try:
        what = harm(copy, random)
        store = _opened(copy)
        if store is None:
            return "refused"
        try:
            return _compare(store, what, states, commits, promised)
        finally:
            store._l2.env.close()
            store._journal.close(drained=False)
    finally:
        shutil.rmtree(copy)


def _opened(path: Path) -> LocalStore | None:
    try:
        return open_local(path)
    except HeliosError:
        return None


def _compare(
    store: LocalStore,
    what: str,
    states: dict[int, dict[bytes, bytes]],
    commits: dict[bytes, Picture],
    promised: int,
) -> str:
    is_told = bool(store.findings)
    number = store._journal.number
    try:
        state = dict(store.scan(b""))
    except HeliosError:
        return "told"
    if state != states.get(number) or number < promised:
        if not is_told:
            raise Fault(f"{what}: batch {number} of {promised} is wrong, and nothing says so")
        return "told"
    try:
        repository = Repository.open(store, FixedClock(), IDENTITY)
    except HeliosError:
        return "refused"
    for branch in repository.refs:
        if branch.head is not None:
            is_told |= _compare_commit(repository, bytes(branch.head), commits, what)
    return "told" if is_told else "harmless"


def _compare_commit(
    repository: Repository, oid: bytes, commits: dict[bytes, Picture], what: str
) -> bool:
    """Compare the files of a commit; returns True if they cannot be read."""
    try:
        workspace = repository.snapshot(CommitId(oid))  # type: ignore[arg-type]
        picture = read_picture(workspace)
        discard(workspace)
    except HeliosError:
        return True
    if oid in commits and picture != commits[oid]:
        raise Fault(f"{what}: commit {oid.hex()[:8]} has other files, and nothing says so")
    return False
