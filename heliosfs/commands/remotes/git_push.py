"""`push` to a git server: all refs by one command of git."""

from __future__ import annotations

from collections.abc import Sequence

from heliosfs.commands.options import Options
from heliosfs.commands.remotes.outcomes import PushedRef, RefOutcome
from heliosfs.commands.verb import Request
from heliosfs.errors import HeliosError
from heliosfs.gitserver.push import Pushed, RefPush, push
from heliosfs.repo.remotes import EXPERIMENTS, TAGS
from heliosfs.steps import Steps


def push_refs(
    request: Request, options: Options, remote: str, refs: Sequence[PushedRef]
) -> Steps[tuple[list[RefOutcome], str]]:
    """Push branches and tags; a refused one does not keep the others.

    Return also what is to be told of files that git cannot hold.
    """
    if any(each.kind == EXPERIMENTS for each in refs) and "all" not in options:
        raise options.misuse(
            f"{remote} is a git server, and experiments do not travel through git: push the "
            "branch, or use a remote of another storage for them"
        )
    refs = [each for each in refs if each.kind != EXPERIMENTS]
    wanted = [
        RefPush(each.kind, each.there, each.commit, each.name if each.kind == TAGS else "")
        for each in refs
    ]
    with_lease = "force-with-lease" in options
    pushed = yield from push(request.repository, remote, wanted, with_lease=with_lease)
    outcomes = []
    for ref, result in zip(refs, pushed.results, strict=True):
        if not isinstance(result, HeliosError):
            outcomes.append(RefOutcome(ref, result, ""))
        elif len(refs) == 1:
            raise result
        else:
            outcomes.append(RefOutcome(ref, None, str(result)))
    return outcomes, _lost(pushed)


def _lost(pushed: Pushed) -> str:
    counts = (
        (pushed.empty_count, "empty directories"),
        (pushed.special_count, "FIFOs, sockets and devices"),
    )
    told = " and ".join(f"{what} ({count})" for count, what in counts if count)
    return f"git cannot hold {told}: they stay here\n" if told else ""
