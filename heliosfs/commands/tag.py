"""`tag`: list, create, delete names for commits."""

from __future__ import annotations

from heliosfs.commands.options import Options
from heliosfs.commands.render import bytes_of, json_reply, short
from heliosfs.commands.verb import Request
from heliosfs.errors import NotFound
from heliosfs.repo.revisions import resolve
from heliosfs.workspace.wildmatch import matcher


def tag(request: Request, options: Options) -> str:
    """Do what the options say; a list without any word."""
    options.only_one("delete", "force", "list")
    if "delete" in options:
        return _delete(request, options)
    if "list" in options or not options.words:
        if "force" in options:
            raise options.misuse("which name?")
        return _list(request, options)
    options.at_most(2)
    name, revision = (*options.words, "HEAD")[:2]
    oid = resolve(request.repository, revision, request.view.head)
    request.repository.create_tag(name, oid, force="force" in options)
    return json_reply({"name": name, "id": oid.hex()}) if "json" in options else ""


def _delete(request: Request, options: Options) -> str:
    repository = request.repository
    names = list(dict.fromkeys(options.words))
    if not names:
        raise options.misuse("which tag?")
    for name in names:
        if name not in repository.refs.tags:
            raise NotFound(f"no tag {name[:80]!r}")
    gone = {name: repository.delete_tag(name) for name in names}
    if "json" in options:
        return json_reply({"deleted": names})
    return "".join(f"Deleted tag {name!r} (was {short(oid)})\n" for name, oid in gone.items())


def _list(request: Request, options: Options) -> str:
    options.at_most(1)
    pattern = options.words[0] if options.words else "*"
    tags = request.repository.refs.tags
    fits = matcher(bytes_of(pattern))
    names = [name for name in sorted(tags) if fits(bytes_of(name))]
    if "json" in options:
        return json_reply([{"name": name, "id": tags[name].hex()} for name in names])
    return "".join(f"{name}\n" for name in names)
