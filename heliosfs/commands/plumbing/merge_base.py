"""`merge-base`: what commits have in common."""

from __future__ import annotations

from heliosfs.commands.options import Options
from heliosfs.commands.verb import Request, answer
from heliosfs.objects.ids import CommitId
from heliosfs.repo.ancestry import find_merge_bases, reaches
from heliosfs.repo.revisions import resolve
from heliosfs.steps import Steps


def merge_base(request: Request, options: Options) -> Steps[str]:
    """Return the best common ancestors of commits, or tell if one is an ancestor of the other."""
    options.only_one("is-ancestor", "all", "independent", "octopus")
    repository, view = request.repository, request.view
    ids = [resolve(repository, word, view.head, view) for word in options.words]
    if len(ids) < 2 or ("is-ancestor" in options and len(ids) != 2):
        raise options.misuse("give two commits")
    history = repository.history
    if "is-ancestor" in options:
        is_ancestor = yield from reaches(history, ids[1:], ids[0])
        return answer("", 0 if is_ancestor else 1)
    if "independent" in options:
        found = []
        for oid in dict.fromkeys(ids):
            others = [other for other in ids if other != oid]
            if not (yield from reaches(history, others, oid)):
                found.append(oid)
    elif "octopus" in options:
        found = [ids[0]]
        for other in ids[1:]:
            bases: dict[CommitId, None] = {}
            for each in found:
                bases.update(dict.fromkeys((yield from find_merge_bases(history, each, other))))
            found = list(bases)
    else:
        # The newest first, as git lists them.
        found = (yield from find_merge_bases(history, *ids))[::-1]
    if not found:
        return answer("", 1)
    if "all" not in options and "independent" not in options:
        found = found[:1]
    return "".join(f"{oid.hex()}\n" for oid in found)
