"""`debug journal` of a workspace that is not mounted: the files are read, and the store not opened.

Opening it would move the journal's batches into L2, and delete the journal, before it could be
examined.
"""

from __future__ import annotations

import os
from itertools import islice

from heliosfs.cli.client import current_directory, repository_over
from heliosfs.cli.locate import find_view
from heliosfs.cli.stores import open_store
from heliosfs.commands.debug import journal_rows, limit_of, reply_of
from heliosfs.commands.options import Options
from heliosfs.errors import StoreBusy
from heliosfs.store.inspection import read_journal


def debug(argv: list[str], options: Options) -> int | list[str]:
    """Print the journal of a workspace that is not mounted; return all other requests."""
    return _debug_journal(options) if _is_of_files(options) else argv


def _is_of_files(options: Options) -> bool:
    """Return True for `debug journal` where no daemon has the store open."""
    return options.words == ["journal"] and find_view(current_directory()) is None


def _debug_journal(options: Options) -> int:
    """Print the batches of the journal.  Raise NotFound, StoreBusy or StoreError."""
    place = repository_over(current_directory())
    store_fd = open_store(place.root, None, create=False)
    try:
        rows = list(islice(journal_rows(read_journal(store_fd)), limit_of(options)))
    except StoreBusy as error:
        raise StoreBusy(f"{place.root} is in use: {error}") from error
    finally:
        os.close(store_fd)
    print(reply_of(rows, as_json="json" in options), end="")
    return 0
