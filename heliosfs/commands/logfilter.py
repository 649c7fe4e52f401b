"""Which commits a log shows: by who made them, when, and what they say (git-log(1))."""

from __future__ import annotations

import re
from collections.abc import Callable

from heliosfs.commands.moments import parse_moment
from heliosfs.commands.options import Options
from heliosfs.commands.render import person, text_of
from heliosfs.objects.commit import Commit

Filter = Callable[[Commit], bool]


def filter_of(options: Options, now_seconds: int) -> Filter | None:
    """Whether a commit is wanted; None when all are.  UsageError."""
    options.only_one("merges", "no-merges")
    tests = [
        *_people(options, "author", lambda commit: person(commit.author)),
        *_people(options, "committer", lambda commit: person(commit.committer)),
        *_people(options, "grep", lambda commit: text_of(commit.message)),
    ]
    since, until = (_moment(options, key, now_seconds) for key in ("since", "until"))
    if since is not None:
        tests.append(lambda commit: commit.committer.seconds >= since)
    if until is not None:
        tests.append(lambda commit: commit.committer.seconds <= until)
    if "merges" in options:
        tests.append(lambda commit: len(commit.parents) > 1)
    if "no-merges" in options:
        tests.append(lambda commit: len(commit.parents) < 2)
    if not tests:
        return None
    return lambda commit: all(test(commit) for test in tests)


def _people(options: Options, key: str, text: Callable[[Commit], str]) -> list[Filter]:
    """One of the patterns, if there are several."""
    flags = re.MULTILINE | (re.IGNORECASE if "regexp-ignore-case" in options else 0)
    patterns = []
    for value in options.values(key):
        try:
            patterns.append(re.compile(value, flags))
        except re.error as error:
            raise options.misuse(f"--{key} {value[:80]!r} is no pattern: {error}") from error
    if not patterns:
        return []
    return [lambda commit: any(pattern.search(text(commit)) for pattern in patterns)]


def _moment(options: Options, key: str, now_seconds: int) -> int | None:
    value = options.value(key)
    if value is None:
        return None
    try:
        return parse_moment(value, now_seconds)
    except (ValueError, OverflowError) as error:
        raise options.misuse(
            f"--{key} takes a date, such as 2026-11-27, '2 weeks ago' or yesterday, "
            f"not {value[:80]!r}"
        ) from error
