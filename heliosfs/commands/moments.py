"""Moments as people write them, as far as git's users do (date.c), and as git shows them."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone

from heliosfs.commands.render import git_date, iso_time, zone
from heliosfs.objects.commit import SECONDS_MAX, Signature

_SECONDS = {
    "second": 1,
    "minute": 60,
    "hour": 3600,
    "day": 86400,
    "week": 7 * 86400,
    "month": 30 * 86400,
    "year": 365 * 86400,
}
_SHORT = {"sec": "second", "min": "minute", "hr": "hour"}
_AGO = re.compile(
    r"(\d{1,6}|a|an)\s*(second|sec|minute|min|hour|hr|day|week|month|year)s?(?:\s+ago)?"
)
_EPOCH = re.compile(r"@(-?\d{1,12})(?:\s[+-]\d{4})?")
_DATE = re.compile(r"(\d{4})[-/.](\d{1,2})[-/.](\d{1,2})")
_TIME = re.compile(r"(\d{1,2}):(\d{2})(?::(\d{2})(?:\.\d+)?)?")
_ZONE = re.compile(r"Z|([+-])(\d{2}):?(\d{2})")
_STEPS = ((90, 1, "second"), (90, 60, "minute"), (36, 60, "hour"), (14, 24, "day"))
"""Limit below which each unit is used, and how many of the unit before it make one."""


def parse_moment(text: str, now_seconds: int) -> int:
    """Return seconds since 1970 of `2026-11-27 14:00`, `yesterday`, `2 weeks ago`, `@1700000000`.

    A date alone is its moment at the time of day that it is now, as in git; without a zone it is
    that of this machine.  Raise ValueError.

    >>> parse_moment("2.days.ago", 1_000_000), parse_moment("@5", 0)
    (827200, 5)
    >>> parse_moment("10 min ago", 1_000_000)
    999400
    >>> parse_moment("2001-09-09T01:46:40Z", 0)
    1000000000
    """
    words = re.sub(r"[\s._,]+", " ", text.strip().lower())
    if words in ("now", "today"):
        return now_seconds
    if words == "yesterday":
        return now_seconds - _SECONDS["day"]
    if words == "midnight":
        local = datetime.fromtimestamp(now_seconds).astimezone()
        return int(local.replace(hour=0, minute=0, second=0).timestamp())
    if found := _AGO.fullmatch(words):
        count = 1 if found[1] in ("a", "an") else int(found[1])
        return now_seconds - count * _SECONDS[_SHORT.get(found[2], found[2])]
    if found := _EPOCH.fullmatch(text.strip()):
        return int(found[1])
    return _calendar(text.strip(), now_seconds)


def _calendar(text: str, now_seconds: int) -> int:
    date = _DATE.match(text)
    if date is None and _TIME.match(text):
        # A time of day alone is one of today.
        today = datetime.fromtimestamp(now_seconds).astimezone().strftime("%Y-%m-%d")
        return _calendar(f"{today} {text}", now_seconds)
    if date is None:
        raise ValueError(f"not a date: {text!r}")
    rest = text[date.end() :].lstrip("T ")
    at = _TIME.match(rest)
    now = datetime.fromtimestamp(now_seconds).astimezone()
    hour, minute, second = (now.hour, now.minute, now.second)
    if at is not None:
        hour, minute, second = int(at[1]), int(at[2]), int(at[3] or 0)
        rest = rest[at.end() :].lstrip()
    zone = None
    if rest:
        found = _ZONE.fullmatch(rest)
        if found is None:
            raise ValueError(f"not a time zone: {rest!r}")
        minutes = int(found[2] or 0) * 60 + int(found[3] or 0)
        zone = timezone(timedelta(minutes=-minutes if found[1] == "-" else minutes))
    year, month, day = (int(part) for part in date.groups())
    moment = datetime(year, month, day, hour, minute, second, tzinfo=zone)
    return int(moment.timestamp())


def show_moment(who: Signature, form: str, now_seconds: int) -> str:
    """Return the moment of a signature, in a format of git's `--date`.  Raise ValueError.

    >>> show_moment(Signature(b"A", b"a@b", 1_700_000_000, 60), "iso", 0)
    '2023-11-14 23:13:20 +0100'
    """
    seconds, offset = who.seconds, who.offset_minutes
    if seconds == SECONDS_MAX:
        seconds = offset = 0
    strict = iso_time(seconds, offset)
    if form == "default":
        return git_date(seconds, offset)
    if form in ("iso", "iso8601"):
        return iso_words(seconds, offset)
    if form in ("iso-strict", "iso8601-strict"):
        return strict
    if form == "short":
        return strict.partition("T")[0]
    if form in ("rfc", "rfc2822"):
        day, month, date, clock, year, digits = git_date(seconds, offset).split()
        return f"{day}, {date} {month} {year} {clock} {digits}"
    if form == "unix":
        return str(seconds)
    if form == "raw":
        return f"{seconds} {zone(offset)}"
    if form == "relative":
        return ago(now_seconds - seconds)
    raise ValueError(f"not a date format: {form!r}")


def iso_words(seconds: int, offset_minutes: int) -> str:
    """`2023-11-14 22:13:20 +0000`: like ISO 8601, as `git blame` and `--date=iso` show it."""
    date, _, rest = iso_time(seconds, offset_minutes).partition("T")
    return f"{date} {rest[:8]} {rest[8:].replace(':', '')}"


def ago(seconds: int) -> str:
    """Return how long ago it was, in the words and with the rounding of git.

    >>> ago(89), ago(3 * 3600), ago(60 * 86400), ago(400 * 86400)
    ('89 seconds ago', '3 hours ago', '9 weeks ago', '1 year, 1 month ago')
    """
    if seconds < 0:
        return "in the future"
    days = seconds
    for below, size, name in _STEPS:
        days = (days + size // 2) // size
        if days < below:
            return _ago(days, name)
    if days < 70:
        return _ago((days + 3) // 7, "week")
    if days < 365:
        return _ago((days + 15) // 30, "month")
    if days < 1825:
        months = (days * 12 * 2 + 365) // (365 * 2)
        years, months = divmod(months, 12)
        if months:
            return f"{_count(years, 'year')}, {_ago(months, 'month')}"
        return _ago(years, "year")
    return _ago((days + 183) // 365, "year")


def _ago(count: int, name: str) -> str:
    return f"{_count(count, name)} ago"


def _count(count: int, name: str) -> str:
    return f"{count} {name}" if count == 1 else f"{count} {name}s"
