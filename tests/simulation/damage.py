"""Damage to the files of a store between two lives: it is refused, told of, or does no harm."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from random import Random

from blake3 import blake3

from heliosfs.clock import FixedClock
from heliosfs.errors import HeliosError
from heliosfs.objects.ids import CommitId, Kind, Oid
from heliosfs.repo.configuration import FILE as SETTINGS_FILE
from heliosfs.repo.configuration import Configuration
from heliosfs.repo.keys import COMMIT, SETTINGS
from heliosfs.repo.repository import Repository
from heliosfs.store.local import LocalStore
from heliosfs.workspace.unloading import discard
from tests.simulation.model import Picture
from tests.simulation.mount import IDENTITY, Fault, read_picture
from tests.stores import open_local

_NOTES = ("lock", "store.lmdb-lock")


def contents_of(path: Path) -> dict[str, bytes]:
    """Return the files of a store and what is in them."""
    return {name: (path / name).read_bytes() for name in os.listdir(path) if name not in _NOTES}


def harm(path: Path, random: Random, older: dict[str, bytes]) -> str:
    """Damage one file; tells what was done.  `older` has the files of an earlier day."""
    name = random.choice(sorted(set(os.listdir(path)) - set(_NOTES)))
    data = bytearray((path / name).read_bytes())
    used = len(data.rstrip(b"\0")) or 1
    at = random.randrange(used)
    how = random.choice(("flip", "flip", "bytes", "cut", "zero", "remove", "swap", "older", "grow"))
    if how == "remove":
        (path / name).unlink()
        return f"{name} removed"
    if how == "older":
        data[:] = older.get(name, data)
    elif how == "grow":
        data += random.randbytes(random.choice((1, 512, 5000)))
    elif how == "bytes":
        for _ in range(random.randint(2, 9)):
            at = random.randrange(used)
            data[at : at + 1] = random.randbytes(1)
    elif how == "flip":
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
    older: dict[str, bytes],
) -> str:
    """Damage a copy of a store, open it, and compare all that it still tells with the truth."""
    copy = path.with_name(path.name + "-damaged")
    shutil.copytree(path, copy)
    try:
        what = harm(copy, random, older)
        store = _opened(copy)
        if store is None:
            return "refused"
        try:
            settings = contents_of(path).get(SETTINGS_FILE, b"")
            return _compare(store, what, states, commits, promised, settings)
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
    settings: bytes,
) -> str:
    is_told = bool(store.findings)
    number = store._journal.number
    try:
        state = dict(store.scan(b""))
    except HeliosError:
        return "told"
    if state != states.get(number) or number < promised:
        if not is_told and not _is_refused_when_read(store, state, states.get(number, {})):
            raise Fault(f"{what}: batch {number} of {promised} is wrong, and nothing says so")
        return "told"
    try:
        repository = Repository.open(store, FixedClock(), IDENTITY)
    except HeliosError:
        return "refused"
    is_told |= _compare_settings(store, repository, state, settings, what)
    for branch in repository.refs:
        if branch.head is not None:
            is_told |= _compare_commit(repository, bytes(branch.head), commits, what)
    return "told" if is_told else "harmless"


def _compare_settings(
    store: LocalStore,
    repository: Repository,
    state: dict[bytes, bytes],
    settings: bytes,
    what: str,
) -> bool:
    """Return True if the settings are damaged; then they are refused or told of."""
    if state.get(SETTINGS) != blake3(settings).digest(length=8):
        # A power cut took what the store knew of them.
        return False
    try:
        configuration = Configuration(store.file_beside(SETTINGS_FILE))
        if configuration.text.encode() == settings:
            return False
        repository.configure(configuration)
    except HeliosError:
        return True
    if not any(SETTINGS_FILE in line for line in repository.findings):
        raise Fault(f"{what}: the settings are wrong, and nothing says so")
    return True


def _is_refused_when_read(
    store: LocalStore, state: dict[bytes, bytes], truth: dict[bytes, bytes]
) -> bool:
    """Return True if only the ids of commits are wrong, and nothing can be read by them.

    The list of commits, and the ids in operations, are those in the commits' own records: only the
    whole commit tells whether they are right.
    """
    prefix = COMMIT
    wrong = {key: value for key, value in state.items() if truth.get(key) != value}
    ids = [key[len(prefix) :] for key in wrong if key.startswith(prefix)]
    for oid in ids:
        try:
            store.read(Oid(oid), Kind.COMMIT)
        except HeliosError:
            continue
        return False
    others = [value for key, value in wrong.items() if not key.startswith(prefix)]
    return bool(ids) and all(any(oid in value for oid in ids) for value in others)


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
