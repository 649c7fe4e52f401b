"""Clients of object storage that stay open between verbs, in a process that lives for long.

A client that is made anew loads the certificates that the system trusts and connects, which takes a
few round trips with TLS.  A kept one has its connections still, for as long as it and the server
let them idle.
"""

from __future__ import annotations

import os
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple

from heliosfs.pace import Pace
from heliosfs.remote.buckets.cloud import CloudBucket

KEPT_SECONDS = 300.0
"""Time without use after which a client is dropped."""
KEPT_MAX = 4
"""Most clients that are kept."""
_SETTINGS = ("AWS_", "GOOGLE_", "AZURE_", "SSL_CERT_", "HTTP", "ALL_PROXY", "NO_PROXY")
"""Beginnings of the names, in upper case, of variables by which clients are made."""
_FILES = (
    ("AWS_CONFIG_FILE", "~/.aws/config"),
    ("AWS_SHARED_CREDENTIALS_FILE", "~/.aws/credentials"),
    ("GOOGLE_APPLICATION_CREDENTIALS", "~/.config/gcloud/application_default_credentials.json"),
    ("GOOGLE_SERVICE_ACCOUNT", ""),
)
"""Files with credentials: the variable that names each, and where it is without."""

_Settings = tuple[object, ...]


class _Kept(NamedTuple):
    bucket: CloudBucket
    settings: _Settings
    """Settings that it was made with."""
    used_at: float


class KeptClients:
    """Clients by URL.  Methods may be called on any thread."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._pid = os.getpid()
        self._clients: OrderedDict[str, _Kept] = OrderedDict()
        self._of_parent: list[OrderedDict[str, _Kept]] = []
        """Clients of the process that has forked this one: their threads are not here, so that
        nobody may use them, nor end them."""

    def open(self, url: str, opening: Callable[[], CloudBucket]) -> CloudBucket:
        """Return the client of a URL, or what `opening` makes, and keep that.

        It is made anew if a request of it has failed because of the storage, and when variables or
        files are others that it has its credentials from.
        """
        settings = _settings()
        with self._lock:
            self._leave_parents()
            self._drop_idle()
            kept = self._clients.pop(url, None)
            if kept is None or kept.settings != settings or kept.bucket.has_failed:
                kept = _Kept(opening(), settings, 0.0)
            self._clients[url] = kept._replace(used_at=self._now())
            if len(self._clients) > KEPT_MAX:
                self._clients.popitem(last=False)
            return kept.bucket

    def drop_idle(self) -> bool:
        """Drop the clients that nobody has used for `KEPT_SECONDS`; return True if others stay."""
        with self._lock:
            self._leave_parents()
            self._drop_idle()
            return bool(self._clients)

    def _drop_idle(self) -> None:
        end = self._now() - KEPT_SECONDS
        for url in [url for url, kept in self._clients.items() if kept.used_at <= end]:
            del self._clients[url]

    def _leave_parents(self) -> None:
        if self._pid != os.getpid():
            self._of_parent.append(self._clients)
            self._clients, self._pid = OrderedDict(), os.getpid()


_CLIENTS = KeptClients()


def kept_client(url: str, opening: Callable[[], CloudBucket]) -> CloudBucket:
    """Return a client that is kept, in a process that serves requests; else make one."""
    return _CLIENTS.open(url, opening) if Pace.is_shared else opening()


def drop_idle_clients() -> bool:
    """Drop clients that were not used for long; return True if others stay."""
    return _CLIENTS.drop_idle()


def _settings() -> _Settings:
    """Return all that clients are made with, besides their URLs: some microseconds."""
    found: list[object] = []
    found += sorted(each for each in os.environ.items() if each[0].upper().startswith(_SETTINGS))
    for variable, path in _FILES:
        try:
            status = os.stat(os.environ.get(variable) or os.path.expanduser(path))
            found.append((status.st_ino, status.st_mtime_ns, status.st_size))
        except OSError:
            found.append(None)
    return tuple(found)
