"""Storages over HTTP by their URLs, with credentials from the usual variables and files only."""

from __future__ import annotations

import configparser
import os
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import SplitResult, unquote

from heliosfs.errors import UsageError
from heliosfs.remote.buckets.cloud import CloudBucket
from heliosfs.remote.buckets.cloud_errors import Failures
from heliosfs.remote.buckets.object_keys import is_key

if TYPE_CHECKING:
    from obstore.store import ClientConfig, ObjectStore, RetryConfig

CLOUD_SCHEMES = ("s3", "gs", "az")
"""Schemes of URLs: S3, Google Cloud Storage, Azure."""


class Patience(NamedTuple):
    """Longest times of a request, in seconds."""

    repeating: float = 45.0
    """From the first attempt to the last one: less than `answer`, so that a server which stands
    still is not asked again."""
    connecting: float = 10.0
    answer: float = 60.0
    """Without a byte; what is sent counts as nothing, and has to be on its way within this time."""
    request: float = 3_600.0
    """Until all has come: 128 MiB, the largest pack, at 37 kB/s."""


PATIENT = Patience()
SENDING = Patience(answer=3_600.0)
"""Limits for large objects, whose sender sees in another way whether the server is there."""
HASTY = Patience(repeating=4.0, connecting=4.0, answer=10.0, request=120.0)
_CREDENTIALS = {
    "s3": "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE for a profile in "
    "~/.aws/credentials, and AWS_ENDPOINT_URL for a storage that is not Amazon's",
    "gs": "set GOOGLE_APPLICATION_CREDENTIALS to the file of a service account, or run 'gcloud "
    "auth application-default login'",
    "az": "set AZURE_STORAGE_ACCOUNT_NAME, and AZURE_STORAGE_ACCOUNT_KEY or "
    "AZURE_STORAGE_SAS_TOKEN",
}
_OF_DAEMON = (
    "a mounted workspace has those of its daemon: 'helios umount', then 'helios mount' with them"
)
_AWS_ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")
_AWS_IDENTITIES = (
    "AWS_ACCESS_KEY_ID",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_SKIP_SIGNATURE",
)
"""Variables of which each says whose requests they are, so that no file is asked."""


def open_cloud(parts: SplitResult, patience: Patience = PATIENT) -> CloudBucket:
    """Return the bucket of a URL of one of `CLOUD_SCHEMES`.

    Requests wait and are repeated within the limits of `patience`.  Raise UsageError for a URL or
    settings that are wrong, and where the extra `remote` is not installed.
    """
    try:
        import obstore
    except ImportError:
        raise UsageError(
            f"{parts.scheme}:// needs a package: pip install 'heliosfs[remote]'"
        ) from None
    prefix = unquote(parts.path).strip("/")
    if not parts.netloc or parts.query or parts.fragment or (prefix and not is_key(prefix)):
        raise UsageError(
            f"{parts.scheme}://BUCKET/PREFIX names a bucket, with no ? or #, and a prefix in ASCII"
        )
    place = f"{parts.scheme}://{parts.netloc}/{prefix}".rstrip("/")
    settings = _aws_settings() if parts.scheme == "s3" else {}
    endpoint = settings.get("endpoint", "")
    if parts.scheme == "az":
        endpoint = os.environ.get("AZURE_STORAGE_ENDPOINT", "")
    # Only an endpoint that the user has named can be without encryption; the others are not.
    is_plain = parts.scheme == "gs" or endpoint.startswith("http://")

    def opened(patience: Patience) -> ObjectStore:
        limits = _limits(patience, is_plain=is_plain)
        return _store(parts.scheme, parts.netloc, prefix, {**limits, **settings})

    try:
        store = opened(patience)
    except (obstore.exceptions.BaseError, ValueError):
        # Not chained, nor shown: it may hold what it could not read.
        raise UsageError(
            f"{place}: the settings of its storage are missing or wrong: "
            f"{_CREDENTIALS[parts.scheme]}"
        ) from None
    server = (
        endpoint or {"s3": "Amazon S3", "gs": "Google Cloud Storage", "az": "Azure"}[parts.scheme]
    )
    failures = Failures(place, server, f"{_CREDENTIALS[parts.scheme]}; {_OF_DAEMON}")
    return CloudBucket(
        store,
        failures,
        has_generations=parts.scheme == "gs",
        slow=partial(opened, SENDING),
    )


def _limits(patience: Patience, *, is_plain: bool) -> dict[str, Any]:
    """Return the limits of waiting, and of repeating."""
    client: ClientConfig = {
        "connect_timeout": timedelta(seconds=patience.connecting),
        "read_timeout": timedelta(seconds=patience.answer),
        "timeout": timedelta(seconds=patience.request),
        "allow_http": is_plain,
    }
    retry: RetryConfig = {
        "max_retries": 10,
        "retry_timeout": timedelta(seconds=patience.repeating),
        "backoff": {
            "init_backoff": timedelta(milliseconds=100),
            "max_backoff": timedelta(seconds=patience.connecting),
        },
    }
    return {"client_options": client, "retry_config": retry}


def _store(scheme: str, name: str, prefix: str, options: dict[str, Any]) -> ObjectStore:
    from obstore.store import AzureStore, GCSStore, S3Store

    if scheme == "s3":
        # One at a time, as every storage knows it: its many requests for many are not all there.
        return S3Store(name, prefix=prefix or None, disable_bulk_delete=True, **options)
    if scheme == "gs":
        return GCSStore(name, prefix=prefix or None, **options)
    return AzureStore(name, prefix=prefix or None, **options)


def _aws_settings() -> dict[str, str]:
    """Return what the variables do not say, from the files of the AWS tools; and the endpoint."""
    profile = _aws_profile()
    environment = os.environ
    settings = {}
    endpoint = next(filter(None, map(environment.get, _AWS_ENDPOINTS)), profile.get("endpoint_url"))
    if endpoint:
        if "@" in endpoint:
            raise UsageError(
                "the endpoint of S3 holds a user or a password: leave out what is before the @"
            )
        settings["endpoint"] = endpoint
    if "region" in profile and not {"AWS_REGION", "AWS_DEFAULT_REGION"} & environment.keys():
        settings["region"] = profile["region"]
    if any(map(environment.get, _AWS_IDENTITIES)):
        return settings
    if "aws_access_key_id" in profile and "aws_secret_access_key" in profile:
        settings["access_key_id"] = profile["aws_access_key_id"]
        settings["secret_access_key"] = profile["aws_secret_access_key"]
        if "aws_session_token" in profile:
            settings["session_token"] = profile["aws_session_token"]
    elif {"credential_process", "role_arn", "sso_session", "sso_start_url"} & profile.keys():
        raise UsageError(
            "the AWS profile has its credentials from another program (SSO, a role or a process): "
            'run eval "$(aws configure export-credentials --format env)" first'
        )
    return settings


def _aws_profile() -> dict[str, str]:
    """Return the chosen profile of ~/.aws/config and ~/.aws/credentials, the latter first."""
    name = os.environ.get("AWS_PROFILE", "")
    found: dict[str, str] = {}
    files = (
        ("AWS_CONFIG_FILE", "config", f"profile {name}" if name else "default"),
        ("AWS_SHARED_CREDENTIALS_FILE", "credentials", name or "default"),
    )
    for variable, file, section in files:
        path = os.environ.get(variable) or os.path.expanduser(f"~/.aws/{file}")
        parser = configparser.RawConfigParser()
        try:
            parser.read(path, encoding="utf-8")
        except (configparser.Error, UnicodeDecodeError, OSError):
            raise UsageError(f"{path} cannot be read: it is no file of the AWS tools") from None
        for each in {section, name or section}:
            if parser.has_section(each):
                found |= dict(parser.items(each))
    if name and not found:
        raise UsageError(f"there is no AWS profile {name}, which AWS_PROFILE names")
    return found
