"""Errors of storages over HTTP, in words that name the storage and what to do, and hold no secret.

The texts of `obstore` hold whole URLs, which in Azure may be signed, so that they are never shown:
only the status, the storage's own code, and the kind of failure are taken from them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from heliosfs.errors import HeliosError
from heliosfs.remote.bucket import Lying, NoObject, Unreachable

_STATUS = re.compile(r"status code: (\d{3})")
_CODE = re.compile(r"<Code>(\w{1,64})</Code>")
_NO_BUCKET = ("NoSuchBucket", "ContainerNotFound", "ContainerBeingDeleted")
_CONFLICTS = ("ConditionalRequestConflict", "OperationAborted")
_SKEWED = ("RequestTimeTooSkewed", "RequestExpired", "ExpiredToken")
_METADATA_HOSTS = ("169.254.169.254", "metadata.google.internal", "169.254.170.2")
"""Hosts that a machine in the cloud asks for credentials, when there are no others."""


def _status(error: BaseException) -> int:
    found = _STATUS.search(str(error))
    return int(found[1]) if found else 0


def _code(error: BaseException) -> str:
    found = _CODE.search(str(error))
    return found[1] if found else ""


def is_beyond_end(error: BaseException) -> bool:
    """Return True if a range was refused since it has no byte."""
    return _status(error) == 416 or "InvalidRange" in str(error)


def is_answer(error: BaseException) -> bool:
    """Return True if the server has answered, be it a refusal."""
    return _status(error) != 0


def is_conflict(error: BaseException) -> bool:
    """Return True if S3 refused a request since another one was under way."""
    return _status(error) == 409 and _code(error) in _CONFLICTS


class Failures(NamedTuple):
    """Names of a storage, as its errors mention them."""

    place: str
    """URL without secrets."""
    endpoint: str
    """Server, in words."""
    credentials: str
    """Sentence on how credentials are given."""

    @contextmanager
    def told(self, what: str, key: str) -> Iterator[None]:
        """Turn errors of `obstore` inside the context into those of `bucket`."""
        from obstore.exceptions import BaseError

        try:
            yield
        except HeliosError:
            raise
        except FileNotFoundError as error:
            self.check_bucket(error)
            raise NoObject(f"there is no object {key} in {self.place}") from None
        except (BaseError, OSError, ValueError) as error:
            # Not chained: a traceback in a log would show the text.
            raise self._error(what, error) from None

    def check_bucket(self, error: BaseException) -> None:
        """Raise Unreachable if what is missing is the whole bucket."""
        if _code(error) in _NO_BUCKET:
            raise self.no_bucket() from None

    def no_bucket(self) -> Unreachable:
        """Return the error for a bucket that is not there."""
        return Unreachable(
            f"{self.place}: there is no such bucket at {self.endpoint}: make it with the tools of "
            "the storage, or correct the URL"
        )

    def too_slow(self, what: str) -> Unreachable:
        """Return the error for a request that was given up although the server is there."""
        return Unreachable(
            f"{self.place}: cannot {what}: {self.endpoint} does not answer in time, and answers "
            "other requests: is the link very slow?"
        )

    def _error(self, what: str, error: BaseException) -> HeliosError:
        self.check_bucket(error)
        from obstore.exceptions import PermissionDeniedError, UnauthenticatedError

        text = str(error)
        status = _status(error)
        seen = " ".join(filter(None, (str(status or ""), _code(error))))
        if any(host in text for host in _METADATA_HOSTS):
            return Unreachable(f"{self.place}: there are no credentials: {self.credentials}")
        if _code(error) in _SKEWED:
            return Unreachable(
                f"{self.place} refuses the time of the request ({seen}): is the clock of this "
                "machine right, and have the credentials not expired?"
            )
        if isinstance(error, (PermissionDeniedError, UnauthenticatedError)) or status in (401, 403):
            return Unreachable(
                f"{self.place}: {self.endpoint} refuses the credentials, or does not let them "
                f"{what} ({seen}): {self.credentials}"
            )
        if "non-partial response" in text or "Requested range" in text:
            return Lying(f"{self.place} returned other bytes than were asked for")
        if status:
            return Unreachable(f"{self.place}: cannot {what}: {self.endpoint} answers {seen}")
        return Unreachable(
            f"{self.place}: cannot {what}: {self.endpoint} {_reason(text)}: is the network there, "
            "and the endpoint right?"
        )


def _reason(text: str) -> str:
    """Return what became of a connection, as the end of a sentence."""
    if "TimedOut" in text or "operation timed out" in text:
        return "does not answer in time"
    if "dns error" in text or "failed to lookup" in text:
        return "has no address"
    if "certificate" in text.lower():
        return "has a certificate that is not trusted"
    if "kind: Body" in text or "kind: Decode" in text:
        return "broke off its answer"
    return "does not answer"
