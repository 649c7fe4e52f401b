"""`for-each-ref`: branches and tags for scripts."""

from __future__ import annotations

from heliosfs.commands.colours import paint_of
from heliosfs.commands.options import Options
from heliosfs.commands.refs.form import HEADS, REMOTES, TAGS, RefForm, fits, listed, refs_of
from heliosfs.commands.render import json_reply
from heliosfs.commands.verb import Request
from heliosfs.steps import Steps

_DEFAULT = "%(objectname) %(objecttype)\t%(refname)"


def for_each_ref(request: Request, options: Options) -> Steps[str]:
    """Return a line for each ref that fits one of the patterns, or for all without any."""
    form = RefForm(request, options.value("format") or _DEFAULT, paint_of(request, options))
    refs = yield from refs_of(request, options, (HEADS, REMOTES, TAGS))
    test = fits(options.words)
    chosen = [ref for ref in refs if test(ref.name)][: options.number("count") or None]
    if "json" in options:
        return json_reply([{"name": ref.name, "id": ref.oid.hex()} for ref in chosen])
    return listed(chosen, form)
