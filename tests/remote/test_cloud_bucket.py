"""Bucket over HTTP: faults that are repeated, errors and their words, URLs and credentials."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from heliosfs.errors import HeliosError, NotPermitted, UsageError
from heliosfs.remote.bucket import Changed, Lying, NoObject, Unreachable
from heliosfs.remote.buckets.cloud import CloudBucket
from heliosfs.remote.buckets.cloud_settings import Patience, open_cloud
from heliosfs.remote.buckets.opening import open_bucket
from tests.remote.s3_server import Fault, S3Server, s3_server
from tests.remote.storages import s3_settings

SECRETS = ("secret-of-tests", "sig=", "Signature", "hunter2")


@pytest.fixture(scope="module")
def running() -> Iterator[S3Server]:
    with s3_server() as server:
        yield server


@pytest.fixture
def server(running: S3Server) -> Iterator[S3Server]:
    running.objects.clear()
    running.requests.clear()
    running.faults.clear()
    running.fault = None
    with s3_settings(running.endpoint, "access"):
        yield running


@pytest.fixture
def bucket(server: S3Server) -> CloudBucket:
    return impatient()


def impatient(url: str = "s3://bucket/prefix") -> CloudBucket:
    return open_cloud(urlsplit(url), Patience(repeating=1.0))


def shown(error: HeliosError) -> str:
    """Return what a log with a traceback would show; it holds no secret."""
    said = [line for line in traceback.format_exception(error) if not line.startswith("  File")]
    assert not [secret for secret in SECRETS if secret in "".join(said)]
    return str(error)


def test_each_method_is_one_request(bucket: CloudBucket, server: S3Server) -> None:
    version = bucket.create("a", b"1")
    version = bucket.swap("a", b"22", version)
    bucket.get("a", 0, 1)
    assert [each.key for each in bucket.list("")] == ["a"]
    bucket.delete("a")
    assert server.requests == {"PUT": 2, "GET": 1, "LIST": 1, "DELETE": 1}


def test_a_listing_is_one_request_for_a_thousand(bucket: CloudBucket, server: S3Server) -> None:
    stored = {f"prefix/refs/{number:04}": number for number in range(2500)}
    bucket.create("refs/0000", b"")
    server.objects.update(dict.fromkeys(stored, server.objects["prefix/refs/0000"]))
    server.requests.clear()
    assert len(list(bucket.list("refs/"))) == 2500
    assert server.requests == {"LIST": 3}
    assert [each.key for each in bucket.list("refs/24", "refs/2497")] == ["refs/2498", "refs/2499"]
    assert len(list(bucket.list("refs/1"))) == 1000
    assert server.requests["LIST"] <= 6


@pytest.mark.parametrize("fault", [Fault(503), Fault(500, "InternalError"), Fault(429), Fault(0)])
def test_a_fault_is_repeated(bucket: CloudBucket, server: S3Server, fault: Fault) -> None:
    server.faults = [fault] * 2
    version = bucket.create("a", b"1")
    server.faults = [fault] * 2
    assert bucket.get("a") == (b"1", version)
    server.faults = [fault] * 2
    assert [each.key for each in bucket.list("")] == ["a"]
    server.faults = [fault] * 2
    bucket.delete("a", bucket.swap("a", b"2", version))
    assert server.objects == {}


def test_after_a_lost_answer_the_object_may_be_our_own(
    bucket: CloudBucket, server: S3Server
) -> None:
    server.faults = [Fault(500, is_done=True)]
    with pytest.raises(Changed):
        bucket.create("a", b"1")
    got = bucket.get("a")
    assert got.data == b"1"
    server.faults = [Fault(0, is_done=True)]
    with pytest.raises(Changed):
        bucket.swap("a", b"2", got.version)
    assert bucket.get("a").data == b"2"


def test_a_storage_that_keeps_failing(bucket: CloudBucket, server: S3Server) -> None:
    server.fault = lambda method, key: Fault(503)
    with pytest.raises(Unreachable) as caught:
        bucket.get("a")
    assert "answers 503 SlowDown" in shown(caught.value)
    assert server.requests["GET"] > 1


def test_a_conflict_is_repeated(bucket: CloudBucket, server: S3Server) -> None:
    """S3 says 409 while another request for the key is under way; it says nothing of who wins.

    A pack that is named by its content is taken for there after Changed, so that it must be.
    """
    server.faults = [Fault(409, "ConditionalRequestConflict")] * 2
    version = bucket.create("a", b"1")
    server.faults = [Fault(409, "ConditionalRequestConflict")] * 2
    assert bucket.swap("a", b"2", version) == bucket.get("a").version
    server.fault = lambda method, key: Fault(409, "ConditionalRequestConflict")
    with pytest.raises(Unreachable, match="409 ConditionalRequestConflict"):
        bucket.create("b", b"1")
    with pytest.raises(Changed):
        bucket.swap("a", b"3", version)


def test_a_body_that_is_cut_off(bucket: CloudBucket, server: S3Server) -> None:
    bucket.create("a", bytes(1000))
    server.fault = lambda method, key: Fault(200, cut_bytes=10)
    with pytest.raises((Unreachable, Lying)):
        bucket.get("a", 100, 800)


def test_credentials_that_are_refused(server: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "stranger")
    bucket = impatient()
    for call in (
        lambda: bucket.get("a"),
        lambda: bucket.create("a", b""),
        lambda: bucket.swap("a", b"", '"x"'),
        lambda: list(bucket.list("")),
        lambda: bucket.delete("a"),
    ):
        with pytest.raises(Unreachable) as caught:
            call()
        text = shown(caught.value)
        assert "s3://bucket/prefix" in text
        assert server.endpoint in text
        assert "refuses the credentials" in text
        assert "AWS_ACCESS_KEY_ID" in text


def test_a_bucket_that_is_not_there(server: S3Server) -> None:
    bucket = impatient("s3://other")
    for call in (
        lambda: bucket.get("a"),
        lambda: bucket.create("a", b""),
        lambda: bucket.swap("a", b"", '"x"'),
        lambda: list(bucket.list("")),
        lambda: bucket.delete("a"),
    ):
        with pytest.raises(Unreachable, match="no such bucket") as caught:
            call()
        shown(caught.value)


def test_a_server_that_does_not_answer() -> None:
    with s3_settings("http://127.0.0.1:9", "access"), pytest.raises(Unreachable) as caught:
        impatient().create("a", b"")
    assert "http://127.0.0.1:9 does not answer" in shown(caught.value)


def test_a_signed_url_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", "account")
    monkeypatch.setenv("AZURE_STORAGE_SAS_TOKEN", "sv=2024-01-01&sig=secret-of-tests")
    monkeypatch.setenv("AZURE_STORAGE_ENDPOINT", "https://127.0.0.1:9")
    with pytest.raises(Unreachable) as caught:
        impatient("az://container/prefix").get("a")
    assert "az://container/prefix" in shown(caught.value)


def test_settings_that_are_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AZURE_STORAGE_ACCOUNT_NAME", raising=False)
    with pytest.raises(UsageError, match="AZURE_STORAGE_ACCOUNT_NAME"):
        impatient("az://container")


def test_a_missing_object_is_named(bucket: CloudBucket) -> None:
    with pytest.raises(NoObject, match="no object refs/a in s3://bucket/prefix"):
        bucket.get("refs/a")


@pytest.mark.parametrize(
    "url",
    [
        "s3://user:hunter2@bucket/prefix",
        "s3://user@bucket",
        "file://user:hunter2@localhost/directory",
        "https://user:hunter2@host/",
    ],
)
def test_a_secret_in_a_url_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(UsageError, match="environment variables") as caught:
        open_bucket(url)
    shown(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "bucket/prefix",
        "http://host/bucket",
        "s3://",
        "s3:///prefix",
        "s3://bucket/a?b=c",
        "s3://bucket/a#b",
        "s3://bucket/a/../b",
        "file://host/directory",
        "file:relative",
        "file:///directory?a",
    ],
)
def test_a_url_that_names_no_storage(url: str) -> None:
    with pytest.raises(UsageError):
        open_bucket(url)


def test_a_directory_in_a_store_is_refused(tmp_path: Path) -> None:
    (tmp_path / "format").write_bytes(b"heliosfs store\n")
    with pytest.raises(NotPermitted, match="lies in the store"):
        open_bucket(f"file://{tmp_path}/remote", make=True)


def test_a_profile_of_the_aws_tools(
    server: S3Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ENDPOINT_URL", "AWS_REGION"):
        monkeypatch.delenv(name)
    config = tmp_path / ".aws" / "config"
    config.parent.mkdir()
    config.write_text(
        f"[profile team]\nregion = eu-west-1\nendpoint_url = {server.endpoint}\n"
        "[profile sso]\nsso_session = team\n"
    )
    (tmp_path / ".aws" / "credentials").write_text(
        "[team]\naws_access_key_id = access\naws_secret_access_key = secret-of-tests\n"
    )
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_PROFILE", "team")
    impatient().create("a", b"1")
    assert list(server.objects) == ["prefix/a"]
    monkeypatch.setenv("AWS_PROFILE", "sso")
    with pytest.raises(UsageError, match="aws configure export-credentials"):
        impatient()
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    with pytest.raises(UsageError, match="no AWS profile nobody"):
        impatient()
    monkeypatch.setenv("AWS_PROFILE", "team")
    config.write_text("no section\n")
    with pytest.raises(UsageError, match="config cannot be read"):
        impatient()


def test_a_storage_that_lists_out_of_order(bucket: CloudBucket, server: S3Server) -> None:
    for key in ("a", "b", "c"):
        bucket.create(key, b"")
    server.is_backwards = True
    try:
        with pytest.raises(Lying, match="out of order"):
            list(bucket.list(""))
    finally:
        server.is_backwards = False
