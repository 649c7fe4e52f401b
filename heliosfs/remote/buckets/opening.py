"""Buckets by their URLs."""

from __future__ import annotations

import re
from functools import partial
from urllib.parse import SplitResult, unquote, urlsplit

from heliosfs.errors import UsageError
from heliosfs.remote.bucket import Bucket
from heliosfs.remote.buckets.cloud_settings import CLOUD_SCHEMES, HASTY, PATIENT, open_cloud
from heliosfs.remote.buckets.kept import kept_client
from heliosfs.remote.buckets.shared_directory import DirectoryBucket
from heliosfs.repo.backup_directory import check_outside, plain_path

_ALIKE = (
    (re.compile(r"s3[an]://|https?://([\w.-]+\.)?s3[\w.-]*\.amazonaws\.com"), "s3://BUCKET/PREFIX"),
    (
        re.compile(r"https?://[\w.-]+\.r2\.cloudflarestorage\.com"),
        "s3://BUCKET/PREFIX, and set AWS_ENDPOINT_URL to https:// and the host",
    ),
    (re.compile(r"gcs://|https?://storage\.(cloud\.)?google"), "gs://BUCKET/PREFIX"),
    (
        re.compile(
            r"(azure|adl|abfss?|wasbs?)://|https?://[\w.-]+\.(blob|dfs)\.core\.windows\.net"
        ),
        "az://CONTAINER/PREFIX, and set AZURE_STORAGE_ACCOUNT_NAME",
    ),
)
"""Other URLs of the storages that are known here, and what stands for them."""
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def open_bucket(url: str, *, make: bool = False, is_hasty: bool = False) -> Bucket:
    """Return the bucket that a URL names; nothing is asked of the storage yet, see `probe`.

    With `make`, a directory is made (`DirectoryBucket.make`).  With `is_hasty`, a server that does
    not answer is given up within seconds, because a program waits that knows of no server.  A
    daemon keeps the client of an object storage, for the next one who asks (`kept`).

    Raise UsageError for a URL that names no storage, NotPermitted for a directory in a workspace or
    a store; with `make`, AlreadyExists and Unreachable.
    """
    parts = _split(url)
    refuse_secrets(parts)
    if parts.scheme == "file":
        bucket = DirectoryBucket(_directory(parts))
        if make:
            bucket.make()
        return bucket
    if parts.scheme in CLOUD_SCHEMES:
        opening = partial(open_cloud, parts, HASTY if is_hasty else PATIENT)
        # Who is hasty keeps it, and who makes a place looks at it anew.
        return opening() if is_hasty or make else kept_client(url, opening)
    raise UsageError(f"{url!r} names no storage: {_instead(url)}")


def _instead(url: str) -> str:
    """Say what to write instead of a URL that names no storage."""
    if url.startswith("/"):
        return f"a directory is written 'file://{url}', and no repository of git is there"
    form = storage_like(url)
    if form:
        return f"write {form}"
    return (
        "write s3://BUCKET/PREFIX, gs://BUCKET/PREFIX, az://CONTAINER/PREFIX or file:///DIRECTORY, "
        "or for a git server https://HOST/PATH, ssh://HOST/PATH or USER@HOST:PATH"
    )


def storage_like(url: str) -> str:
    """Return what to write instead of another URL of a storage; empty if it is of none.

    >>> storage_like("https://team.s3.eu-west-1.amazonaws.com/x")
    's3://BUCKET/PREFIX'
    """
    return next((form for pattern, form in _ALIKE if pattern.match(url)), "")


def _split(url: str) -> SplitResult:
    # `urlsplit` drops these, so that the storage would be another one than the URL that is shown.
    if _CONTROL.search(url) or url != url.strip():
        raise UsageError("a URL has no control characters, and no blanks at its ends")
    try:
        return urlsplit(url)
    except ValueError:
        # Its text repeats the host, and a password in it.
        raise UsageError("the URL has a host that no storage has") from None


def refuse_secrets(parts: SplitResult) -> None:
    """Refuse a URL with a user or password, without repeating it.  Raise UsageError."""
    if "@" in parts.netloc:
        raise UsageError(
            f"the {parts.scheme} URL holds a user or a password, which would be seen in settings "
            "and listings of processes: leave out what is before the @, and set the environment "
            "variables, or write the file, that the storage's own tools read"
        )


def _directory(parts: SplitResult) -> str:
    if parts.netloc not in ("", "localhost") or parts.query or parts.fragment:
        raise UsageError("a directory is file:///DIRECTORY, with no host, ? or #")
    path = unquote(parts.path, errors="surrogateescape")
    if not path.startswith("/") or "\0" in path:
        raise UsageError(f"file:// and an absolute path name a directory, and {path!r} is none")
    check_outside(plain_path(path), "")
    return path
