"""URLs of git servers: which URL means git, and which one is refused.

A URL is passed to git as it is, so it must not name a program: only the protocols in `PROTOCOLS`
are let through, here and by git itself.
"""

from __future__ import annotations

import os
import posixpath
import re
from urllib.parse import SplitResult, unquote, urlsplit

from heliosfs.errors import UsageError
from heliosfs.remote.buckets.opening import storage_like
from heliosfs.repo.backup_directory import check_outside, plain_path

PROTOCOLS = ("file", "git", "http", "https", "ssh")
"""Protocols that git may use."""

_OF_SERVERS = ("git", "http", "https", "ssh")
_STORAGES = ("az", "azure", "file", "gcs", "gs", "memory", "s3")
"""Words before a colon that mean a storage, if it was meant for a URL."""
_SCP = re.compile(
    r"(?:(?P<user>[\w.+-]+)@)?(?P<host>\w[\w.-]*|\[[0-9A-Fa-f:.]+\]):(?P<path>[^:].*)"
)
"""The form `user@host:path` of ssh; `name::rest` would name a program."""
_HOST = re.compile(r"\w[\w.-]*|[0-9A-Fa-f:.]+")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def is_git_url(url: str) -> bool:
    """Return True if a URL means a git server, or a directory with a git repository.

    For a directory it is looked at, so this belongs on a thread.
    """
    scheme, colon, _ = url.partition("://")
    if colon and scheme in _OF_SERVERS:
        return not storage_like(url)
    path = _path_in(url)
    if path is not None:
        return is_repository(path)
    if colon or url.startswith("."):
        return False
    found = _SCP.fullmatch(url)
    is_named = found is not None and (found["user"] or found["host"] not in _STORAGES)
    return bool(is_named)


def is_repository(path: str) -> bool:
    """Return True if a directory is a bare repository of git, or the working tree of one."""
    places = [os.path.join(path, name) for name in ("HEAD", "objects", "refs")]
    return os.path.exists(os.path.join(path, ".git")) or all(map(os.path.exists, places))


def check_git_url(url: str) -> None:
    """Check what of a URL can be seen without asking the server.

    Raise UsageError, which repeats no password, and NotPermitted for a directory in a workspace.
    """
    if _CONTROL.search(url) or url != url.strip():
        raise UsageError("a URL has no control characters, and no blanks at its ends")
    path = _path_in(url)
    if path is not None:
        check_outside(plain_path(path), "")
    elif "://" in url:
        _check_server(url)
    elif (found := _SCP.fullmatch(url)) is None or found["path"].startswith("-"):
        raise UsageError("a git server is https://HOST/PATH, ssh://HOST/PATH or USER@HOST:PATH")


def check_no_git_meant(url: str) -> None:
    """Refuse a directory that is not there, and has the name of a git repository.  UsageError."""
    path = _path_in(url)
    if path is not None and path.rstrip("/").endswith(".git") and not os.path.exists(path):
        raise UsageError(
            f"there is no {path}: 'git init --bare {path}' makes a repository of git; a directory "
            "of heliosfs has another name"
        )


def default_directory(url: str) -> str:
    """Return the name of the directory that a clone of a URL makes; empty if it tells none."""
    path = url.rstrip("/").removesuffix("/.git")
    name = posixpath.basename(path.rpartition(":")[2] if "://" not in path else path)
    return name.removesuffix(".git")


def _path_in(url: str) -> str | None:
    """Return the absolute path that a URL names; None if it names a server."""
    if url.startswith("/"):
        return url
    if not url.startswith("file://"):
        return None
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    is_plain = parts.netloc in ("", "localhost") and parts.path.startswith("/")
    path = unquote(parts.path, errors="surrogateescape")
    return path if is_plain and "\0" not in path else None


def _check_server(url: str) -> None:
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        # Its text repeats the host, and a password in it.
        raise UsageError("the URL has a host or port that no server has") from None
    _refuse_secrets(parts)
    if not host or _HOST.fullmatch(host) is None:
        raise UsageError("the URL has a host that no server has")
    if not parts.path.strip("/"):
        raise UsageError("the URL names a server, and no repository of it")


def _refuse_secrets(parts: SplitResult) -> None:
    """Refuse a URL in which a password may be, without repeating it.  Raise UsageError."""
    user = parts.netloc.rpartition("@")[0]
    if ":" in user or (user and parts.scheme != "ssh"):
        raise UsageError(
            f"the {parts.scheme} URL holds a user or a password, which would be seen in settings "
            "and listings of processes: leave out what is before the @; git asks the credential "
            "helpers of your configuration, or ssh its keys"
        )
    if parts.query or parts.fragment:
        raise UsageError("the URL of a git server has no ? or #")
