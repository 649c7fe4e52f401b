"""`show`: a commit and what it changed, or a path as it was in one."""

from __future__ import annotations

import stat

from heliosfs.clock import SECOND_NS
from heliosfs.commands.diff.changes import entry_document
from heliosfs.commands.diff.diff import compared
from heliosfs.commands.diff.form import changes_document, changes_text, chosen_changes
from heliosfs.commands.diff.patch import PATCH_MAX_BYTES
from heliosfs.commands.log.form import form_of
from heliosfs.commands.moments import show_moment
from heliosfs.commands.options import Options
from heliosfs.commands.pathspec import is_magic
from heliosfs.commands.render import commit_document, json_reply, person, quote_path, text_of
from heliosfs.commands.revision_words import spec_of, split_words
from heliosfs.commands.verb import Request
from heliosfs.errors import NotFound, TooLarge
from heliosfs.git.annotations import all_annotations
from heliosfs.objects.ids import CommitId, TreeId
from heliosfs.objects.tree import Entry, decode_entry
from heliosfs.repo.object_names import find_object
from heliosfs.repo.revisions import resolve
from heliosfs.steps import Steps
from heliosfs.trees.files import read_file
from heliosfs.trees.stored import read_entries


def show(request: Request, options: Options) -> Steps[str]:
    """Show the commit that a revision names, HEAD if none, or REV:PATH."""
    repository = request.repository
    if options.words and (":" in options.words[0] or options.words[0].endswith("^{tree}")):
        options.at_most(1)
        if not is_magic(options.words[0]):
            return _show_object(request, options, options.words[0])
    revisions, words = split_words(request, options)
    spec = spec_of(request, words)
    form = form_of(request, options)
    documents: list[dict[str, object]] = []
    entries: list[tuple[str, str | None]] = []
    shown: set[CommitId] = set()
    for name in revisions or ["HEAD"]:
        oid = resolve(repository, name, request.view.head, request.view)
        said = _tag_text(request, options, name)
        if said:
            entries.append((said, None))
        if oid in shown:
            continue
        shown.add(oid)
        commit = repository.history.read(oid)
        parent = repository.history.read(commit.parents[0]).root if commit.parents else None
        changes = yield from compared(request, options, parent, commit.root, spec)
        changes = chosen_changes(options, changes)
        if "json" in options:
            document = yield from changes_document(request, options, changes)
            documents.append(commit_document(oid, commit) | {"changes": document})
            continue
        text: str | None = None
        if "no-patch" not in options and changes:
            text = yield from changes_text(request, options, changes)
        entries.append((form.show(oid, commit), text))
    if "json" in options:
        return json_reply(documents if len(revisions) > 1 else documents[0])
    return form.join(entries)


def _tag_text(request: Request, options: Options, name: str) -> str:
    """Return the text of an annotated tag, which comes before the commit that it names."""
    if name in request.repository.refs or name not in request.repository.refs.tags:
        return ""
    note = all_annotations(request.repository).get(name)
    if note is None:
        return ""
    lines = [f"tag {name}"]
    if note.tagger is not None and "oneline" not in options:
        lines.append(f"Tagger: {person(note.tagger)}")
    is_medium = "oneline" not in options and options.value("format") in (None, "medium")
    if note.tagger is not None and is_medium:
        now_seconds = request.repository.clock.now_ns() // SECOND_NS
        date = show_moment(note.tagger, options.value("date") or "default", now_seconds)
        lines.append(f"Date:   {date}")
    message = text_of(note.message).rstrip("\n")
    return "\n".join([*lines, "", message, ""])


def _show_object(request: Request, options: Options, word: str) -> str:
    repository = request.repository
    found = find_object(repository, request.view, word, request.cwd)
    entry = found.entry
    assert entry is not None
    if "json" in options:
        return json_reply(entry_document(entry))
    if entry.is_dir:
        return _names(request, entry)
    if stat.S_ISLNK(entry.mode):
        return text_of(entry.target) + "\n"
    if not stat.S_ISREG(entry.mode):
        raise NotFound(f"{word[:80]!r} is a pipe, a socket or a device")
    if entry.size > PATCH_MAX_BYTES:
        raise TooLarge(f"{word[:80]!r} has {entry.size} bytes: read it below .helios/snapshots")
    return text_of(read_file(repository.store, entry))


def _names(request: Request, directory: Entry) -> str:
    lines = []
    for raw in read_entries(request.repository.store, TreeId(directory.oid)):
        entry, _ = decode_entry(raw)
        lines.append(quote_path(entry.name) + "/" * entry.is_dir + "\n")
    return "".join(lines)
