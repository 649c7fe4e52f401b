"""A check of all state of L2: each value by its seal, and all of them by their sum."""

from __future__ import annotations

from collections.abc import Iterator

from heliosfs.errors import CorruptObject
from heliosfs.pace import paced
from heliosfs.store.l2.reader import Snapshot
from heliosfs.store.l2.sealed import SUM_MODULUS, seal_of, unseal
from heliosfs.store.l2.series import block_number, split_block
from heliosfs.store.l2.totals import Totals


def state_problems(snapshot: Snapshot, totals: Totals) -> Iterator[str]:
    """Yield what is wrong with the state, a line for each value: 2 us for a value."""
    total = 0
    is_sound = True
    for key, sealed in paced(snapshot.txn.cursor(snapshot.tables.state)):
        total += seal_of(sealed)
        try:
            value = unseal(key, sealed)
            first = block_number(key)
            if first is not None:
                for _ in split_block(first, value):
                    pass
        except CorruptObject as error:
            is_sound = False
            yield str(error)
    if is_sound and total % SUM_MODULUS != totals.seals:
        yield "some state is missing, or of an earlier time: the sum of all seals is another one"
