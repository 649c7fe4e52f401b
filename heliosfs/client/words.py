"""Words of a request that are made from the arguments of a method."""

from __future__ import annotations

from heliosfs.errors import UsageError


def flags(**given: bool) -> list[str]:
    """Return the options that are set: `allow_empty` is `--allow-empty`."""
    return [f"--{name.replace('_', '-')}" for name, is_set in given.items() if is_set]


def values(**given: object) -> list[str]:
    """Return the options that have a value."""
    pairs = ((name.replace("_", "-"), value) for name, value in given.items())
    return [f"--{name}={value}" for name, value in pairs if value is not None]


def given(*words: str | None) -> list[str]:
    """Return the words that are not None.  Raise UsageError for one that looks like an option."""
    found = [word for word in words if word is not None]
    for word in found:
        if word.startswith("-") and word != "-":
            raise UsageError(f"{word!r} is no name of a branch or commit")
    return found
