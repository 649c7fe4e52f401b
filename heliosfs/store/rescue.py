"""The remains of a damaged store: all objects and state that its files still hold.

Nothing of the store is changed: files are opened to read, and LMDB opens none.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from itertools import groupby

from heliosfs.errors import CorruptObject, StoreError, StoreFormat
from heliosfs.objects.ids import Oid
from heliosfs.store.base import LISTED
from heliosfs.store.directory import Directory, store_error, store_errors
from heliosfs.store.encoding.packs import Packs
from heliosfs.store.journal.replay import remains
from heliosfs.store.l2.environment import ALONE_KEYS, FILE, TOTALS_KEY
from heliosfs.store.l2.reader import NUMBER
from heliosfs.store.l2.remains import PageRemains
from heliosfs.store.l2.sealed import seal, shown_key
from heliosfs.store.l2.series import block_number, split_block
from heliosfs.store.l2.totals import decode_totals
from heliosfs.store.layout import share_lock
from heliosfs.store.pending import Pending
from heliosfs.store.promisefile import StoredPromises
from heliosfs.store.promises import PackRows, Promises
from heliosfs.store.version import VERSION, read_format
from heliosfs.store.witness import Reached, check_batch, check_generation, read_witness


class DamagedStore:
    """A store that nobody has open, read file by file."""

    def __init__(self, dir_fd: int) -> None:
        """Look at every page of L2, 10 us each.

        StoreBusy, StoreFormat for a store of an older format, StoreError for one without L2.
        """
        self.lost: list[str] = []
        """Lines for people about what cannot be read."""
        self.lost_keys: list[bytes] = []
        """Keys of state whose values cannot be read."""
        self._directory = Directory(dir_fd)
        self._packs = Packs(self._directory)
        self._fd: int | None = None
        self._lock_fd: int | None = None
        try:
            self._lock_fd = share_lock(self._directory)
            self._check_format()
            self._fd = self._directory.open(FILE, os.O_RDONLY)
            self._pages = PageRemains(self._fd, self._packs)
        except OSError as error:
            self.close()
            raise store_error(f"cannot read {FILE}", error) from error
        except BaseException:
            self.close()
            raise
        self.lost += [f"{FILE}: {text}" for text in self._pages.problems]
        self._journal_objects: list[Pending] = []

    def _check_format(self) -> None:
        try:
            version = read_format(self._directory)
        except StoreFormat as error:
            # Of a file of two lines that was damaged, the present version is taken.
            self.lost.append(str(error))
            return
        if version is None:
            self.lost.append("the file format is missing")
        elif version != VERSION:
            raise StoreFormat(f"a store of format {version} is not repaired: mount it first")

    def close(self) -> None:
        """Close the files.  Idempotent."""
        for fd in (self._fd, self._lock_fd):
            if fd is not None:
                os.close(fd)
        self._fd = self._lock_fd = None
        self._packs.close()
        self._directory.close()

    def state(self) -> dict[bytes, bytes]:
        """Return all state that can be read, that of the journal last."""
        found: dict[bytes, bytes] = {}
        for key, value in self._pages.state():
            if key in ALONE_KEYS:
                continue
            if value is None:
                self.lost.append(f"the state under {shown_key(key)} cannot be read")
                self.lost_keys.append(key)
                continue
            try:
                found.update(self._expanded(key, value))
            except CorruptObject as error:
                self.lost.append(str(error))
        self._add_journal(found)
        return found

    def _add_journal(self, found: dict[bytes, bytes]) -> None:
        raw = self._pages.alone(TOTALS_KEY)
        totals = None
        if raw is not None:
            totals = decode_totals(seal(TOTALS_KEY, raw))
        reached = read_witness(self._directory)
        if totals is None and reached is None:
            self.lost.append("neither the totals of L2 nor the witness say how to read the journal")
            return
        salt = totals.salt if totals is not None else (reached or Reached(b"")).salt
        drained = totals.batch if totals is not None else 0
        batches, lost = remains(self._directory, self._packs, salt, drained)
        self.lost += lost
        if reached is not None and totals is not None:
            try:
                check_generation(reached, totals.generation, FILE)
                check_batch(reached, batches.last)
            except StoreError as error:
                self.lost.append(str(error).partition("; ")[0])
        self._journal_objects = batches.objects
        for key, value in batches.state.items():
            if totals is None and key in found:
                # Whether L2 has a later value is not known.
                continue
            if value is None:
                found.pop(key, None)
            else:
                found[key] = value

    def _expanded(self, key: bytes, value: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Yield the keys and values that a key of L2 stands for.  Raise CorruptObject."""
        first, family = block_number(key), key[: -NUMBER.size]
        if first is None:
            yield key, value
            return
        for number, (refers, rest) in split_block(first, value):
            if key[:1] == LISTED:
                oid = self._oid_of(number, family)
                if oid is not None:
                    yield family + oid, b""
                continue
            if refers:
                oid = self._oid_of(refers, family)
                if oid is None:
                    continue
                rest = oid + rest
            yield family + NUMBER.pack(number), rest

    def _oid_of(self, number: int, family: bytes) -> Oid | None:
        oid = self._pages.oid_of(number)
        if oid is None:
            self.lost.append(
                f"state under {shown_key(family)} names object {number}, which is lost"
            )
        return oid

    def objects(self) -> Iterator[Pending]:
        """Yield every object of L2 that can be read, then those of the journal, bases first."""
        for found in self._pages.objects():
            if isinstance(found, str):
                self.lost.append(f"{FILE}: {found}")
            else:
                yield found
        yield from self._journal_objects

    def promises(self) -> list[tuple[str, list[PackRows]]]:
        """Return what remotes have promised, as it is to be promised again, the newest last."""
        with store_errors("cannot read the promises"):
            promises = Promises(StoredPromises(self._directory), _leave)
        self.lost += promises.damage
        found = []
        try:
            for remote, group in groupby(promises, lambda each: each.remote):
                packs = [
                    PackRows(*name, [(each.oid, *each[4:]) for each in rows])
                    for name, rows in groupby(group, lambda each: (each.pack, each.pack_size))
                ]
                found.append((remote, packs))
        except CorruptObject as error:
            self.lost.append(str(error))
        return found[::-1]

    @property
    def packs(self) -> Packs:
        """The packs, for the objects of the journal that lie there."""
        return self._packs

    def read_beside(self, name: str) -> bytes | None:
        """Return the bytes of another file in the store's directory; None if it cannot be read."""
        with suppress(OSError, StoreError):
            return self._directory.read(name)
        return None


def _leave(*, has_promises: bool) -> None:
    """Leave a damaged store as it is, whatever it has."""
