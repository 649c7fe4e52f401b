"""The lives after each of whose moments the power fails: their names, and what happens in them."""

from __future__ import annotations

import random
import tarfile
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from tests.crash.disk import Disk, Failing
from tests.crash.lives import Life, Told, everything, picture_of
from tests.stores import open_local

_DATA = Path(__file__).parents[1] / "data"
_STEPS = 30


class Kind(NamedTuple):
    """A kind of life."""

    name: str
    live: Callable[[Life], None]
    failing: Failing | None = None
    begins_with: int = 0
    """Format of the store with which the life begins; 0 for none."""


def creation(life: Life) -> None:
    """A new store, what is written first, and its second process."""
    life.open()
    life.commit()
    life.sync()
    life.commit()
    life.close()
    life.open()
    life.commit()
    life.sync()


def syncs(life: Life) -> None:
    """Several syncs at once, each slow, while parts and commits are written."""
    life.open()
    for step in range(_STEPS):
        life.chance.choice((life.begin_sync, life.commit, life.go_on, life.go_on))()
        if step % 10 == 9:
            life.sync()
    life.finish_all()


def acts(life: Life) -> Callable[[], None]:
    """Return a function that does something beside a sync, something else each time."""

    def act() -> None:
        life.chance.choice((life.commit, life.sync_published, life.save))()

    return act


def drains(life: Life) -> None:
    """Drains within whose syncs commits are made and synced, one after another."""
    life.open()
    for _ in range(4):
        life.commit()
        life.save()
        life.drain(acts(life))
    life.sync()


def mixture(life: Life) -> None:
    """Commits, saves, syncs and drains, in any order, several at once."""
    life.open()
    for act in islice(everything(life), 2 * _STEPS):
        with life.failures():
            act()
    with life.failures():
        life.finish_all()
        life.sync()


def others(life: Life) -> Callable[[], None]:
    """Return a function that does something beside a long verb."""
    acts = (life.commit, life.save, life.begin_sync, life.go_on, life.go_on, life.sync)

    def act() -> None:
        if life.chance.random() < 0.4:
            life.chance.choice(acts)()

    return act


def collection(life: Life) -> None:
    """A garbage collection of much, packs too, beside commits and syncs."""
    life.open()
    for _ in range(6):
        life.commit()
    life.drain()
    life.verb("reset", "--hard", "HEAD~4")
    life.commit()
    life.sync()
    life.collect(others(life))
    life.finish_all()
    life.commit()
    life.sync()
    life.close()


def check(life: Life) -> None:
    """An fsck beside commits, syncs and drains."""
    life.open()
    for _ in range(4):
        life.commit()
    life.sync()
    life.check(others(life))
    life.finish_all()
    life.sync()


def compaction(life: Life) -> None:
    """Processes one after another, of which each leaves many free pages."""
    life.open()
    for _ in range(3):
        for _ in range(3):
            life.commit()
            life.drain()
        life.close()
        life.open()
    life.commit()
    life.sync_published()


def bulk(life: Life) -> None:
    """An import beside commits."""
    life.open()
    for number in range(3):
        life.bulk(number)
        life.commit()
    life.sync()


def lazy_fetches(life: Life) -> None:
    """Fetches that leave contents at the remote, a collection of much of it, and the rest."""
    life.open()
    life.add_lazy_remote()
    for _ in range(2):
        life.fetch_lazily(others(life))
    life.finish_all()
    life.verb("reset", "--hard", "origin/main")
    life.fetch_lazily(others(life))
    life.collect(others(life))
    life.finish_all()
    life.bring_contents(others(life))
    life.finish_all()
    life.fetch_lazily(others(life))
    life.sync()
    life.close()
    life.open()
    life.commit()
    life.sync()


def files_beside(life: Life) -> None:
    """The configuration and the inode numbers, replaced while the store is in use."""
    life.open()
    for number in range(1, 5):
        life.configure(number * 100)
        life.number_inodes(number * 1000)
        life.commit()
    life.sync()


def kills(life: Life) -> None:
    """Processes that are killed, one after another, before the power fails."""
    life.open()
    for _ in range(5):
        for act in islice(everything(life), 1 + life.chance.randrange(8)):
            act()
        life.kill_and_open()
        life.commit()
        life.chance.choice((life.sync, life.drain, life.save))()


def locks_left(life: Life) -> None:
    """Processes that close the store, of which the next one finds the lock as if they had not."""
    life.open()
    for _ in range(3):
        life.commit()
        life.chance.choice((life.sync, life.drain, life.save))()
        life.close()
        life.leave_lock()
        life.open()
    life.commit()
    life.sync()


def upgrade(life: Life) -> None:
    """A store of an older format becomes one of today's."""
    life.open()
    life.commit()
    life.sync()


def on_a_bad_disk(live: Callable[[Life], None]) -> Callable[[Life], None]:
    """Return a life on a disk whose syncs fail, and then another process on a sound one."""

    def both(life: Life) -> None:
        with life.failures():
            live(life)
            life.close()
        life.kill()
        life.disk.failing = None
        life.open()
        life.commit()
        life.sync()
        life.close()

    return both


KINDS = (
    Kind("creation", creation),
    Kind("syncs", syncs),
    Kind("drains", drains),
    Kind("mixture", mixture),
    Kind("collection", collection),
    Kind("check", check),
    Kind("compaction", compaction),
    Kind("bulk", bulk),
    Kind("lazy fetches", lazy_fetches),
    Kind("files beside", files_beside),
    Kind("kills", kills),
    Kind("locks left", locks_left),
    Kind("upgrade from format 1", upgrade, begins_with=1),
    Kind("upgrade from format 2", upgrade, begins_with=2),
)


def failing(kind: Kind, seed: int) -> Kind:
    """Return a life on a disk whose syncs fail, once or for ever, from one on that is drawn."""
    chance = random.Random(seed)
    count = chance.choice((1, 10**9))
    trouble = Failing(
        1 + chance.randrange(30), count, chance.choice(("nothing", "all", "restored"))
    )
    return kind._replace(
        name=f"{kind.name}, failing", live=on_a_bad_disk(kind.live), failing=trouble
    )


def lived(kind: Kind, path: Path, seed: int) -> Life:
    """Live a life in a new directory, and return what was recorded."""
    path.mkdir()
    disk = Disk()
    told = None
    if kind.begins_with:
        _unpack(kind.begins_with, path)
        disk = Disk({file.name: file.read_bytes() for file in path.iterdir()})
        disk.adopt(path)
        told = Told(upgraded(kind.begins_with, path.with_name(path.name + "-upgraded")))
    life = Life(path, seed, disk, kind.failing)
    if told is not None:
        life.told["state"] = told
    kind.live(life)
    life.finish_all()
    life.store.close()
    life.disk.seal()
    return life


def upgraded(version: int, path: Path) -> bytes:
    """Return the state that a store of an older format comes to have."""
    path.mkdir()
    _unpack(version, path)
    store = open_local(path)
    try:
        return picture_of(store).state
    finally:
        store.close()


def _unpack(version: int, path: Path) -> None:
    with tarfile.open(_DATA / f"format-{version}.tar.xz") as archive:
        archive.extractall(path, filter="data")
