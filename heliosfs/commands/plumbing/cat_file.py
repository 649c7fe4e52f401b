"""`cat-file` and `ls-tree`: objects as they are (git-cat-file(1), git-ls-tree(1))."""

from __future__ import annotations

import stat
from collections.abc import Iterator

from heliosfs.commands.diff.patch import PATCH_MAX_BYTES, git_mode, git_part, shown_id
from heliosfs.commands.options import Options
from heliosfs.commands.pathspec import pathspec
from heliosfs.commands.render import (
    SHORT_DIGITS,
    bytes_of,
    json_reply,
    person,
    quote_path,
    relative,
    text_of,
    zone,
)
from heliosfs.commands.verb import Request, answer
from heliosfs.errors import HeliosError, NotFound, TooLarge
from heliosfs.objects.commit import Commit, Signature
from heliosfs.objects.ids import CommitId, TreeId
from heliosfs.objects.tree import Entry, decode_entry
from heliosfs.repo.object_names import Named, find_object
from heliosfs.steps import TURN, Steps
from heliosfs.trees.files import read_file
from heliosfs.trees.gitlinks import is_directory, is_gitlink
from heliosfs.trees.stored import read_entries

_KINDS = ("commit", "tree", "blob", "tag")


def cat_file(request: Request, options: Options) -> Steps[str]:
    """Return kind, size or content of an object."""
    yield from ()
    options.only_one("t", "s", "p", "e")
    asked = [key for key in ("t", "s", "p", "e") if key in options]
    words = list(options.words)
    kind = words.pop(0) if not asked and words[:1] and words[0] in _KINDS else None
    if len(words) != 1 or not (asked or kind):
        raise options.misuse("cat-file (-t | -s | -p | -e | KIND) OBJECT")
    try:
        found = find_object(request.repository, request.view, words[0], request.cwd)
    except HeliosError:
        if "e" in options:
            return answer("", 1)
        raise
    if kind is not None and kind != found.kind:
        if kind == "tree" and found.kind == "commit":
            found = find_object(request.repository, request.view, f"{words[0]}^{{tree}}")
        else:
            raise NotFound(f"{words[0][:80]!r} is a {found.kind}, not a {kind}")
    if "e" in options:
        return ""
    if "t" in options:
        return f"{found.kind}\n"
    text = _content(request, found)
    return f"{len(bytes_of(text))}\n" if "s" in options else text


def _content(request: Request, found: Named) -> str:
    entry = found.entry
    assert entry is not None
    if found.kind == "commit":
        return _commit_text(request.repository.history.read(CommitId(found.oid)))
    if entry.is_dir:
        return "".join(f"{_line(each)}\n" for each in _entries(request, entry))
    if stat.S_ISLNK(entry.mode):
        return text_of(entry.target)
    if entry.size > PATCH_MAX_BYTES:
        raise TooLarge(f"the file has {entry.size} bytes: read it below .helios/snapshots")
    return text_of(read_file(request.repository.store, entry))


def _commit_text(commit: Commit) -> str:
    lines = [f"tree {commit.tree.hex()}"]
    lines += [f"parent {parent.hex()}" for parent in commit.parents]
    lines += [f"author {_signed(commit.author)}", f"committer {_signed(commit.committer)}"]
    lines += [f"meta {key}={value}" for key, value in commit.metadata.items()]
    return "\n".join(lines) + "\n\n" + text_of(commit.message)


def _signed(who: Signature) -> str:
    return f"{person(who)} {who.seconds} {zone(who.offset_minutes)}"


def ls_tree(request: Request, options: Options) -> Steps[str]:
    """List a tree: mode, kind, id and name of each entry."""
    options.only_one("name-only", "json")
    if not options.words:
        raise options.misuse("give a tree, as in 'ls-tree HEAD'")
    name, *words = options.words
    found = find_object(request.repository, request.view, name, request.cwd)
    if found.entry is None or not found.entry.is_dir:
        raise NotFound(f"{name[:80]!r} is not a tree")
    words += options.paths or []
    is_partial = bool(request.cwd) and "full-tree" not in options and found.kind == "commit"
    cwd = request.cwd if is_partial else ""
    if not words and cwd:
        words = ["./"]
    rows: list[tuple[bytes, Entry]] = []
    for path, entry in _rows(request, options, found.entry, cwd, words):
        rows.append((path, entry))
        yield TURN
    shown = "" if "full-name" in options or "full-tree" in options else cwd
    if "json" in options:
        return json_reply(
            [
                {"path": text_of(path), "mode": _mode(entry), "id": _id(entry)}
                for path, entry in rows
            ]
        )
    end = "\0" if "null" in options else "\n"
    return "".join(_row(options, path, entry, shown) + end for path, entry in rows)


def _rows(
    request: Request, options: Options, root: Entry, cwd: str, words: list[str]
) -> Iterator[tuple[bytes, Entry]]:
    """Yield the entries that are asked for: all at the top, or those of paths.

    A path with a slash at its end stands for what is in it, one without for itself.
    """
    spec = pathspec(cwd, words)
    inside = [item.place for item in spec.items if item.word.endswith("/")]
    wanted = [item.place for item in spec.items]
    pending = [(b"", root)]
    while pending:
        path, entry = pending.pop()
        if path and (not wanted or _is_wanted(path, wanted, inside)):
            is_open = "recursive" in options and is_directory(entry)
            is_shown = entry.is_dir or "only-trees" not in options
            if is_shown and (not is_open or "trees" in options or "only-trees" in options):
                yield path, entry
            if not is_open:
                continue
        elif path and not any(each.startswith(path + b"/") or each == path for each in wanted):
            continue
        if is_directory(entry):
            prefix = path + b"/" if path else b""
            entries = _entries(request, entry)
            pending += [(prefix + each.name, each) for each in reversed(list(entries))]


def _is_wanted(path: bytes, wanted: list[bytes], inside: list[bytes]) -> bool:
    if path in inside:
        return False
    return any(path == each or path.startswith(each + b"/") or not each for each in wanted)


def _entries(request: Request, directory: Entry) -> Iterator[Entry]:
    """Yield the entries in git's order: a directory as if its name ended with a slash."""
    raws = read_entries(request.repository.store, TreeId(directory.oid))
    entries = [decode_entry(raw)[0] for raw in raws]
    yield from sorted(entries, key=lambda each: each.name + b"/" * each.is_dir)


def _row(options: Options, path: bytes, entry: Entry, cwd: str) -> str:
    place = relative(cwd, path)
    name = text_of(place) if "null" in options else quote_path(place)
    if "name-only" in options:
        return name
    if "object-only" in options:
        return _id(entry)
    return _line(entry, name, with_size="long" in options, is_short="abbrev" in options)


def _line(
    entry: Entry, name: str | None = None, *, with_size: bool = False, is_short: bool = False
) -> str:
    kind = "tree" if is_directory(entry) else "commit" if is_gitlink(entry) else "blob"
    oid = _id(entry)
    size = len(entry.target) if stat.S_ISLNK(entry.mode) else entry.size
    middle = f" {'-' if entry.is_dir else size:>7}" if with_size else ""
    shown = quote_path(entry.name) if name is None else name
    return f"{_mode(entry)} {kind} {oid[:SHORT_DIGITS] if is_short else oid}{middle}\t{shown}"


def _id(entry: Entry) -> str:
    return (entry.oid if is_directory(entry) else shown_id(entry)).hex()


def _mode(entry: Entry) -> str:
    if is_directory(entry):
        return "040000"
    return git_mode(entry) if git_part(entry) is not None else f"{entry.mode:06o}"
