"""The digest of `helios.yaml` as it was last read: a file that lost its text is told of."""

from __future__ import annotations

from contextlib import suppress

from blake3 import blake3

from heliosfs.errors import StoreError
from heliosfs.repo import keys
from heliosfs.repo.configuration import FILE, Configuration
from heliosfs.repo.core import Core

_DIGEST_BYTES = 8


def see_settings(core: Core, configuration: Configuration) -> str | None:
    """Return a line for people if the file is not as it was last read; remember it as it is.

    A change by an editor while nothing was mounted is reported as well, because it cannot be told
    from damage.  A file that is missing is reported until there is one again: with it a
    `durability: sync` may have gone, which nobody would miss before a power cut.
    """
    text = configuration.text.encode("utf-8", "surrogateescape")
    digest = blake3(text).digest(length=_DIGEST_BYTES) if text else b""
    known = core.store.get(keys.SETTINGS) or b""
    if digest == known:
        return None
    if not configuration.has_file:
        return (
            f"{FILE} is missing, and had settings (BLAKE3 {known.hex()}…): the defaults are in "
            "force; put it back from a copy, or set them again with 'helios config set', or make "
            "an empty file of that name beside the store"
        )
    # A full disk must not keep a workspace from being mounted.
    with suppress(StoreError), core.transaction:
        core.store.put(keys.SETTINGS, digest or None)
    if not known:
        return None
    if not text:
        return (
            f"{FILE} is empty, and had settings (BLAKE3 {known.hex()}…): the defaults are in force"
        )
    return f"{FILE} is not as it was last read: 'helios config' shows what is in force now"
