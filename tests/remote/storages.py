"""Storages that the contract of buckets is tested on."""

from __future__ import annotations

import atexit
import json
import os
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

from heliosfs.remote.bucket import Bucket
from heliosfs.remote.buckets.memory import MemoryBucket
from heliosfs.remote.buckets.opening import open_bucket
from tests.remote import real_servers
from tests.remote.s3_server import s3_server

_RUNNING = ExitStack()
"""Servers that run until the end."""
atexit.register(_RUNNING.close)

Opener = Callable[[], Bucket]
"""Function that opens the same storage again, as another process would."""


@contextmanager
def in_memory(path: Path) -> Iterator[Opener]:
    bucket = MemoryBucket()
    yield lambda: bucket


@contextmanager
def in_directory(path: Path) -> Iterator[Opener]:
    yield lambda: open_bucket(f"file://{path}/bucket", make=True)


@contextmanager
def on_s3(path: Path) -> Iterator[Opener]:
    with s3_server() as server, s3_settings(server.endpoint, "access"):
        yield lambda: open_bucket("s3://bucket/some/prefix")


def _on_real_server(
    run: Callable[[Path], AbstractContextManager[str]],
) -> Callable[[Path], AbstractContextManager[Opener]]:
    """Return a storage on a server that runs from its first use to the end of the tests."""
    endpoints: list[str] = []

    @contextmanager
    def storage(path: Path) -> Iterator[Opener]:
        if not endpoints:
            directory = tempfile.TemporaryDirectory(prefix="s3-server-")
            _RUNNING.enter_context(directory)
            endpoints.append(_RUNNING.enter_context(run(Path(directory.name))))
            _make_bucket(endpoints[0])
        with s3_settings(endpoints[0], "access"):
            yield lambda: open_bucket(f"s3://bucket/{path.name}")

    return storage


def _make_bucket(endpoint: str) -> None:
    request = urllib.request.Request(f"{endpoint}/bucket", method="PUT")
    # SeaweedFS has made it by itself, and refuses.
    with suppress(urllib.error.HTTPError), urllib.request.urlopen(request, timeout=60):
        pass


@contextmanager
def on_google(path: Path) -> Iterator[Opener]:
    """The same server, which stands for Google Cloud Storage without credentials."""
    account = path / "account.json"
    with s3_server() as server, pytest.MonkeyPatch.context() as patch:
        server.access_key = None
        settings = {"gcs_base_url": server.endpoint, "disable_oauth": True}
        settings |= dict.fromkeys(("client_email", "private_key", "private_key_id"), "")
        account.write_text(json.dumps(settings))
        patch.setenv("GOOGLE_SERVICE_ACCOUNT", str(account))
        yield lambda: open_bucket("gs://bucket/some/prefix")


@contextmanager
def s3_settings(endpoint: str, access_key: str) -> Iterator[None]:
    """Set the variables of S3, and none besides, as long as the context lasts."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            patch.delenv(name)
        patch.setenv("AWS_ENDPOINT_URL", endpoint)
        patch.setenv("AWS_ACCESS_KEY_ID", access_key)
        patch.setenv("AWS_SECRET_ACCESS_KEY", "secret-of-tests")
        patch.setenv("AWS_REGION", "us-east-1")
        yield


STORAGES: dict[str, Callable[[Path], AbstractContextManager[Opener]]] = {
    "memory": in_memory,
    "directory": in_directory,
    "s3": on_s3,
    "google": on_google,
}
if real_servers.DIRECTORY:
    STORAGES["moto"] = _on_real_server(real_servers.moto)
    STORAGES["seaweedfs"] = _on_real_server(real_servers.seaweedfs)

AS_FILES = {"seaweedfs"}
"""Storages that make files and directories of objects: with no object below another, parts of 255
bytes at most, and listings in which `a/b` comes before `a-`."""
