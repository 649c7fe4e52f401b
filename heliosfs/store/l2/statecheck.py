"""A check of all state of L2: each value by its seal, and all of them by their sum."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from heliosfs.errors import CorruptObject
from heliosfs.store.base import LISTED, NUMBERED
from heliosfs.store.l2.reader import Snapshot
from heliosfs.store.l2.sealed import SUM_MODULUS, seal_of, shown_key, unseal
from heliosfs.store.l2.series import split_block
from heliosfs.store.l2.totals import Totals

_NUMBER = struct.Struct(">Q")


def state_problems(snapshot: Snapshot, totals: Totals) -> Iterator[str]:
    """Yield what is wrong with the state, a line for each value: 2 us for a value."""
    total = 0
    is_sound = True
    for key, sealed in snapshot.txn.cursor(snapshot.tables.state):
        total += seal_of(sealed)
        try:
            value = unseal(key, sealed)
            if key[:1] == NUMBERED or (key[:1] == LISTED and _is_block(key)):
                for _ in split_block(_NUMBER.unpack(key[-_NUMBER.size :])[0], value):
                    pass
        except CorruptObject as error:
            is_sound = False
            yield str(error)
        except struct.error:
            is_sound = False
            yield f"the state under {shown_key(key)} is damaged"
    if is_sound and total % SUM_MODULUS != totals.seals:
        yield "some state is missing, or of an earlier time: the sum of all seals is another one"


def _is_block(key: bytes) -> bool:
    return len(key) == key.find(b"/") + 1 + _NUMBER.size
