"""The list of what is damaged in a store that does not open."""

from __future__ import annotations

import os

from heliosfs.cli.locate import Location
from heliosfs.cli.stores import open_store
from heliosfs.errors import CorruptObject, StoreError
from heliosfs.store.rescue import DamagedStore

_LISTED_COUNT = 20


def list_damage(place: Location, error: StoreError) -> CorruptObject:
    """Return an error with all that is damaged in a store that did not open for this one."""
    store_fd = open_store(place.root, None, create=False)
    try:
        damaged = DamagedStore(store_fd)
        try:
            damaged.state()
            for _ in damaged.objects():
                pass
        finally:
            damaged.close()
    finally:
        os.close(store_fd)
    found = list(dict.fromkeys([str(error), *damaged.lost]))
    lines = [f"the store does not open; problems: {len(found)}"]
    lines += [f"  {text}" for text in found[:_LISTED_COUNT]]
    if len(found) > _LISTED_COUNT:
        lines.append(f"  and {len(found) - _LISTED_COUNT} more")
    return CorruptObject("\n".join(lines))
