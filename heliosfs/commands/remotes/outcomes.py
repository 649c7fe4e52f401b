"""Results of a push, one for each ref: as text, and as a value for JSON."""

from __future__ import annotations

from typing import NamedTuple

from heliosfs.commands.render import short
from heliosfs.objects.ids import CommitId
from heliosfs.remote.push import PushResult
from heliosfs.repo.experiments import Experiment
from heliosfs.repo.remotes import EXPERIMENTS, KIND_WORDS, TAGS


class PushedRef(NamedTuple):
    """A branch, tag or experiment to push, and its name there."""

    kind: str
    name: str
    there: str
    commit: CommitId | None
    """None to delete what is there, and of an experiment until its record is made."""
    experiment: Experiment | None = None


class RefOutcome(NamedTuple):
    """A branch, tag or experiment after its push: the results, or why it was refused."""

    ref: PushedRef
    result: PushResult | None
    refusal: str
    score_count: int = 0
    """Number of commits in no experiment whose scores were sent beside the branch."""


def exit_code(outcomes: list[RefOutcome]) -> int:
    """Return the exit code of a push."""
    return 1 if any(each.result is None for each in outcomes) else 0


def document_of(remote: str, url: str, outcomes: list[RefOutcome]) -> dict[str, object]:
    """Return the results as a value for JSON."""
    pushed, refused = [], []
    for ref, result, refusal, _ in outcomes:
        if result is None:
            refused.append({"name": ref.there, "kind": KIND_WORDS[ref.kind], "error": refusal})
            continue
        pushed.append(
            {
                "name": ref.there,
                "kind": KIND_WORDS[ref.kind],
                "tag": ref.kind == TAGS,
                "before": result.before.hex() if result.before else None,
                "after": ref.commit.hex() if ref.commit else None,
                "forced": result.is_forced,
                "commit_count": result.commit_count,
                "object_count": result.object_count,
                "sent_bytes": result.sent_bytes,
            }
        )
    return {"remote": remote, "url": url, "pushed": pushed, "refused": refused}


def kind_mark(kind: str) -> str:
    """Return what follows the name of a ref in a text, if it might be taken for a branch."""
    return f" ({KIND_WORDS[kind]})" if kind == EXPERIMENTS else ""


def text_of(url: str, outcomes: list[RefOutcome]) -> str:
    """Return the results as text."""
    lines = []
    for ref, result, refusal, scores in outcomes:
        names = f"{ref.name} -> {ref.there}"
        if result is None:
            lines.append(f" ! [refused] {names} ({refusal})\n")
        elif ref.commit is None:
            lines.append(f" - [deleted] {ref.there}{kind_mark(ref.kind)}\n")
        elif result.before == ref.commit:
            if scores:
                lines.append(f"   scores of {scores} commits, {names}\n")
        elif result.before is None:
            lines.append(f" * [new {KIND_WORDS[ref.kind]}] {names}\n")
        elif result.is_forced and ref.kind != EXPERIMENTS:
            lines.append(f" + {short(result.before)}...{short(ref.commit)} {names} (forced)\n")
        else:
            moved = f"{short(result.before)}..{short(ref.commit)} {names}"
            lines.append(f"   {moved}{kind_mark(ref.kind)}\n")
    if not lines:
        return "Everything up-to-date\n"
    results = [each.result for each in outcomes if each.result is not None]
    objects = sum(each.object_count for each in results)
    size = sum(each.sent_bytes for each in results)
    commits = sum(each.commit_count for each in results)
    told = f"{commits} commits, {objects} objects, {size} bytes sent\n" if objects else ""
    return f"To {url}\n{''.join(lines)}{told}"
