"""`debug`: what the store has, as it has it; for debugging.

Everything is bounded: a reply has at most `--limit` rows, and of bytes the first ones.
"""

from __future__ import annotations

import stat
from collections.abc import Iterable, Iterator, Mapping
from typing import TypeAlias

from heliosfs.commands.options import Options
from heliosfs.commands.render import json_reply, person, text_of
from heliosfs.commands.verb import Request
from heliosfs.errors import Ambiguous, HeliosError, NotFound
from heliosfs.objects.blob import decode_parts
from heliosfs.objects.commit import decode_commit
from heliosfs.objects.ids import Kind, Oid
from heliosfs.objects.tree import Entry, decode_entry, decode_index, is_index, split_leaf
from heliosfs.repo.object_names import find_object
from heliosfs.steps import TURN, Steps
from heliosfs.store.base import BatchSeen, FileSeen, Inspection

LIMIT = 50
_LIMIT_MAX = 1_000
_SHOWN_BYTES = 64
"""Largest part of a value, or of a line of a file's bytes, that is shown."""
_AMBIGUOUS_MAX = 10
_ID_DIGITS_MIN = 4

Row: TypeAlias = "Mapping[str, object]"
"""A line of the reply: names and values, in their order."""


def debug(request: Request, options: Options) -> Steps[str]:
    """Dump an object, its chain, state, or the journal."""
    yield TURN
    what, *words = options.words or [""]
    rows: Iterator[Row]
    inspection = request.repository.store.inspect()
    if what in ("object", "chain") and len(words) == 1:
        oid = _find(request, inspection, words[0])
        rows = _object(request, inspection, oid) if what == "object" else _chain(inspection, oid)
    elif what == "state" and len(words) <= 1:
        prefix = words[0].encode("utf-8", "surrogateescape") if words else b""
        rows = _state(inspection, prefix, limit_of(options))
    elif what == "journal" and not words:
        rows = journal_rows(inspection.journal())
    else:
        raise options.misuse("give 'object ID', 'chain ID', 'state [PREFIX]' or 'journal'")
    kept: list[Row] = []
    limit = limit_of(options)
    for row in rows:
        if len(kept) == limit:
            kept.append({"more": "see --limit"})
            break
        kept.append(row)
        yield TURN
    return reply_of(kept, as_json="json" in options)


def limit_of(options: Options) -> int:
    """Return how many rows a reply may have.  Raise UsageError."""
    limit = options.number("limit") if "limit" in options else None
    if limit is not None and not 0 < limit <= _LIMIT_MAX:
        raise options.misuse(f"--limit takes 1 to {_LIMIT_MAX}")
    return limit or LIMIT


def reply_of(rows: list[Row], *, as_json: bool) -> str:
    """Return rows as lines of `name=value`, or as a JSON list."""
    if as_json:
        return json_reply(rows)
    lines = (" ".join(f"{name}={_plain(value)}" for name, value in row.items()) for row in rows)
    return "".join(f"{line}\n" for line in lines)


def _plain(value: object) -> str:
    text = str(value)
    if not text.isprintable():
        return repr(text)
    return text if text and " " not in text else f'"{text}"'


def journal_rows(seen: Iterable[BatchSeen | FileSeen]) -> Iterator[Row]:
    """Return a row for each batch, and one for the end of each file."""
    for each in seen:
        if isinstance(each, FileSeen):
            yield {
                "file": each.file,
                "sound_bytes": each.sound_bytes,
                "file_bytes": each.file_bytes,
            }
            continue
        yield {
            "file": each.file,
            "at": each.at,
            "bytes": each.end - each.at,
            "batch": each.number,
            "durable": each.durable,
            "objects": ", ".join(
                f"{item.kind.name.lower()} {item.oid.hex()} {item.size} {item.held}"
                for item in each.objects[:LIMIT]
            ),
            "object_count": len(each.objects),
            "state": ", ".join(
                f"{_key(key)} {'removed' if value is None else len(value)}"
                for key, value in each.state[:LIMIT]
            ),
            "state_count": len(each.state),
        }


def _find(request: Request, inspection: Inspection, word: str) -> Oid:
    """Return the object that an id, a prefix of one, or a name stands for.

    Raise NotFound or Ambiguous.
    """
    digits = word.lower()
    if len(digits) >= _ID_DIGITS_MIN and not set(digits) - set("0123456789abcdef"):
        found = inspection.ids(digits, _AMBIGUOUS_MAX)
        if len(found) > 1:
            raise Ambiguous(f"{word!r} is the beginning of {', '.join(oid.hex() for oid in found)}")
        if found:
            return found[0]
    try:
        return find_object(request.repository, request.view, word, request.cwd).oid
    except NotFound:
        raise NotFound(f"no object {word[:80]!r} in the store") from None


def _object(request: Request, inspection: Inspection, oid: Oid) -> Iterator[Row]:
    kind = inspection.kind(oid)
    if kind is None:
        raise NotFound(f"object {oid.hex()} is not in the store")
    data = request.repository.store.read(oid, kind)
    yield {
        "id": oid.hex(),
        "kind": kind.name.lower(),
        "size": len(data),
        "in": ", ".join(inspection.layers(oid)),
    }
    try:
        yield from _content(kind, data)
    except (ValueError, IndexError) as error:
        raise HeliosError(f"object {oid.hex()} cannot be read: {error}") from error


def _content(kind: Kind, data: bytes) -> Iterator[Row]:
    if kind is Kind.COMMIT:
        commit = decode_commit(data)
        yield {"root": commit.tree.hex(), **_entry(commit.root)}
        yield from ({"parent": parent.hex()} for parent in commit.parents)
        for role, who in (("author", commit.author), ("committer", commit.committer)):
            zone = who.offset_minutes
            yield {role: person(who), "seconds": who.seconds, "offset_minutes": zone}
        yield from ({"meta": key, "value": value} for key, value in commit.metadata.items())
        yield {"message": text_of(commit.message)[: _SHOWN_BYTES * 4]}
    elif kind is Kind.TREE and is_index(data):
        for leaf in decode_index(data):
            yield {"leaf": leaf.oid.hex(), "first": _key(leaf.first)}
    elif kind is Kind.TREE:
        for raw in split_leaf(data):
            entry = decode_entry(raw)[0]
            yield {"name": _key(entry.name), **_entry(entry)}
    elif kind is Kind.PARTS:
        parts = decode_parts(data)
        yield {"file_bytes": parts.size}
        yield from ({"part": number, "id": oid.hex()} for number, oid in parts.ids.items())
    else:
        for at in range(0, len(data), _SHOWN_BYTES):
            yield {"at": at, "bytes": data[at : at + _SHOWN_BYTES].hex()}


def _entry(entry: Entry) -> Row:
    row: dict[str, object] = {"mode": f"{entry.mode:06o}", "uid": entry.uid, "gid": entry.gid}
    row |= {"size": entry.size, "mtime_ns": entry.mtime_ns, "id": entry.oid.hex()}
    if entry.group:
        row["link_group"] = f"{entry.group:016x}"
    if stat.S_ISLNK(entry.mode):
        row["target"] = _key(entry.target)
    if entry.rdev:
        row["rdev"] = entry.rdev
    if entry.xattrs:
        row["xattrs"] = ", ".join(map(_key, entry.xattrs))
    if entry.links_below:
        row["links_below"] = 1
    return row


def _chain(inspection: Inspection, oid: Oid) -> Iterator[Row]:
    links = inspection.chain(oid)
    if not links:
        raise NotFound(f"object {oid.hex()} is not in L2 yet")
    for link in links:
        row = link._asdict()
        yield {**row, "kind": link.kind.name.lower(), "base": link.base or 0}


def _state(inspection: Inspection, prefix: bytes, limit: int) -> Iterator[Row]:
    for key, value, layer in inspection.state(prefix, limit + 1):
        row: dict[str, object] = {"key": _key(key), "in": layer}
        if value is None:
            row["removed"] = 1
        else:
            row |= {"size": len(value), "value": value[:_SHOWN_BYTES].hex()}
        yield row


def _key(key: bytes) -> str:
    r"""Return bytes as ASCII text, with all other bytes escaped.

    >>> _key(b"branch/main"), _key(b"work/\x00")
    ('branch/main', 'work/\\x00')
    """
    return repr(key)[2:-1]
