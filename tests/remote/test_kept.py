"""Clients of storages that a daemon keeps open between verbs."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from heliosfs.pace import Pace
from heliosfs.remote.bucket import Unreachable
from heliosfs.remote.buckets import kept
from heliosfs.remote.buckets.cloud import CloudBucket
from heliosfs.remote.buckets.cloud_settings import Patience, open_cloud
from heliosfs.remote.buckets.kept import KEPT_MAX, KEPT_SECONDS, KeptClients
from heliosfs.remote.buckets.opening import open_bucket
from tests.remote.s3_server import Fault, S3Server, s3_server
from tests.remote.storages import s3_settings


def made(url: str) -> CloudBucket:
    return open_cloud(urlsplit(url), Patience(repeating=1.0))


@pytest.fixture
def server() -> Iterator[S3Server]:
    with s3_server() as server, s3_settings(server.endpoint, "access"):
        yield server


class Clock:
    now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def clients(server: S3Server, clock: Clock) -> KeptClients:
    return KeptClients(clock)


def opened(clients: KeptClients, name: str = "a") -> CloudBucket:
    return clients.open(name, lambda: made(f"s3://bucket/{name}"))


def test_a_client_that_is_kept_has_its_connection(clients: KeptClients, server: S3Server) -> None:
    opened(clients).create("key", b"1")
    for _ in range(9):
        # A request that follows at once may find the connection not yet given back.
        time.sleep(0.02)
        assert opened(clients).get("key").data == b"1"
    kept_count = server.connection_count
    assert kept_count < 5
    for _ in range(5):
        made("s3://bucket/a").get("key")
    assert server.connection_count == kept_count + 5


def test_one_that_nobody_uses_is_dropped(clients: KeptClients, clock: Clock) -> None:
    first, other = opened(clients), opened(clients, "b")
    clock.now += KEPT_SECONDS - 1
    assert opened(clients) is first
    clock.now += 1
    assert clients.drop_idle()
    assert opened(clients, "b") is not other
    clock.now += KEPT_SECONDS
    assert not clients.drop_idle()
    assert opened(clients) is not first


def test_a_few_are_kept(clients: KeptClients) -> None:
    first = opened(clients)
    others = [opened(clients, f"other-{number}") for number in range(KEPT_MAX - 1)]
    assert opened(clients) is first
    opened(clients, "one more")
    assert opened(clients) is first
    assert opened(clients, "other-0") is not others[0]


def test_one_that_was_refused_is_made_anew(clients: KeptClients, server: S3Server) -> None:
    first = opened(clients)
    first.create("key", b"1")
    server.access_key = "another"
    with pytest.raises(Unreachable, match="refuses the credentials"):
        first.get("key")
    server.access_key = "access"
    assert opened(clients) is not first
    assert opened(clients).get("key").data == b"1"


def test_other_credentials_make_another(
    clients: KeptClients, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "credentials"
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
    seen = [opened(clients)]
    assert opened(clients) is seen[0]
    file.write_text("[default]\n")
    seen.append(opened(clients))
    file.write_text("[default]\naws_access_key_id = other\n")
    seen.append(opened(clients))
    for variable in ("AWS_SESSION_TOKEN", "no_proxy", "HTTPS_PROXY"):
        monkeypatch.setenv(variable, "localhost")
        seen.append(opened(clients))
    assert len({id(each) for each in seen}) == 6
    assert opened(clients) is seen[-1]


def test_a_forked_process_makes_its_own(clients: KeptClients, server: S3Server) -> None:
    first = opened(clients)
    first.create("key", b"1")
    child = os.fork()
    if not child:
        os._exit(opened(clients) is first or clients.drop_idle() is not True)
    assert os.waitpid(child, 0)[1] == 0
    assert opened(clients) is first
    assert first.get("key").data == b"1"


def test_a_connection_that_the_server_has_closed_meanwhile_is_no_failure(
    clients: KeptClients, server: S3Server
) -> None:
    """It may close an idle one at the moment at which a request comes."""
    bucket = opened(clients)
    version = bucket.create("key", b"1")
    server.faults.append(Fault(0))
    version = bucket.swap("key", b"2", version)
    server.faults.append(Fault(0))
    bucket.create("other", b"3")
    server.faults.append(Fault(0))
    assert bucket.get("key").data == b"2"
    assert opened(clients) is bucket


def test_only_a_process_that_serves_keeps_them(
    server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept, "_CLIENTS", KeptClients())
    url = "s3://bucket/a"
    monkeypatch.setattr(Pace, "is_shared", False)
    assert open_bucket(url) is not open_bucket(url)
    monkeypatch.setattr(Pace, "is_shared", True)
    found = open_bucket(url)
    assert open_bucket(url) is found
    # Their limits are others, or what they answered before is not to be relied on.
    assert open_bucket(url, is_hasty=True) is not found
    assert open_bucket(url, make=True) is not found
