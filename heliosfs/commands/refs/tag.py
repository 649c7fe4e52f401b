"""`tag`: list, create, delete names for commits."""

from __future__ import annotations

from heliosfs.commands.colours import paint_of
from heliosfs.commands.declarations.shared_options import LISTED
from heliosfs.commands.message import checked_message
from heliosfs.commands.options import Options
from heliosfs.commands.refs.form import TAGS, Ref, RefForm, listed, refs_of, shown_lines
from heliosfs.commands.render import bytes_of, json_reply, short, text_of
from heliosfs.commands.verb import Request
from heliosfs.errors import NotFound
from heliosfs.repo.revisions import resolve
from heliosfs.repo.tag_notes import Annotation
from heliosfs.repo.tagging import create_tag, delete_tag
from heliosfs.steps import Steps
from heliosfs.trees.wildmatch import matcher


def tag(request: Request, options: Options) -> str | Steps[str]:
    """Carry out the form that the options choose; without words, list."""
    options.only_one("delete", "force", "list")
    for key in LISTED:
        options.only_one("delete", key)
    if "delete" in options:
        return _delete(request, options)
    if any(key in options for key in ("list", *LISTED)) or not options.words:
        if "force" in options or "annotate" in options or "message" in options:
            raise options.misuse("give the name of the new tag")
        return _list(request, options)
    options.at_most(2)
    name, revision = (*options.words, "HEAD")[:2]
    repository, view = request.repository, request.view
    oid = resolve(repository, revision, view.head, view)
    note = None
    if "file" in options:
        raise options.misuse("only the command line reads files (-F): here, give the text with -m")
    said = options.values("message")
    if said:
        message = checked_message(said).encode("utf-8", "surrogateescape") + b"\n"
        note = Annotation(repository.identity.sign(repository.clock), message)
    elif "annotate" in options:
        raise options.misuse("an annotated tag needs a message: give it with -m")
    create_tag(repository, name, oid, force="force" in options, note=note)
    return json_reply({"name": name, "id": oid.hex()}) if "json" in options else ""


def _delete(request: Request, options: Options) -> str:
    repository = request.repository
    names = list(dict.fromkeys(options.words))
    if not names:
        raise options.misuse("give the name of a tag")
    for name in names:
        if name not in repository.refs.tags:
            raise NotFound(f"no tag {name[:80]!r}")
    gone = {name: delete_tag(repository, name) for name in names}
    if "json" in options:
        return json_reply({"deleted": names})
    return "".join(f"Deleted tag {name!r} (was {short(oid)})\n" for name, oid in gone.items())


def _list(request: Request, options: Options) -> Steps[str]:
    refs = yield from refs_of(request, options, (TAGS,))
    tests = [matcher(bytes_of(each)) for each in options.words]
    refs = [ref for ref in refs if not tests or any(fits(bytes_of(ref.short)) for fits in tests)]
    if "json" in options:
        return json_reply(
            [{"name": ref.short, "id": ref.oid.hex(), "message": _message(ref)} for ref in refs]
        )
    template = options.value("format")
    if template is not None:
        return listed(refs, RefForm(request, template, paint_of(request, options)))
    if "lines" not in options:
        return "".join(f"{ref.short}\n" for ref in refs)
    count = options.number("lines") if options.value("lines") else 1
    assert count is not None
    lines = []
    for ref in refs:
        message = ref.note.message if ref.note is not None else ref.commit.message
        lines.append(f"{ref.short:<15} {shown_lines(message, count)}".rstrip() + "\n")
    return "".join(lines)


def _message(ref: Ref) -> str | None:
    return text_of(ref.note.message) if ref.note is not None else None
