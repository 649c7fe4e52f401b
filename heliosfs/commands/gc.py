"""`gc`: garbage collection."""

from __future__ import annotations

from heliosfs.clock import SECOND_NS
from heliosfs.commands.options import Options
from heliosfs.commands.render import json_reply
from heliosfs.commands.verb import Request
from heliosfs.config.values import Duration
from heliosfs.git.retained import GitState
from heliosfs.repo.gc.collect import GcResult, collect_garbage
from heliosfs.repo.gc.retention import Retention
from heliosfs.repo.repository import Repository
from heliosfs.steps import Steps


def gc(request: Request, options: Options) -> Steps[str]:
    """Remove objects that are not needed any more, or list them only."""
    options.at_most(0)
    repository = request.repository
    is_aggressive, is_dry = "aggressive" in options, "dry-run" in options
    retention = _retention(repository, _age_ns(options), keeps_unreached=not is_aggressive)
    collected = yield from collect(repository, retention, dry_run=is_dry, packs=is_aggressive)
    if "json" in options:
        return json_reply({**_document(collected), "dry_run": is_dry})
    text = _text(collected, "would remove" if is_dry else "removed")
    return text + (_kept_for_undo(collected) if is_aggressive else "")


def automatic(repository: Repository) -> Steps[str]:
    """Collect garbage as the mount does by itself, and return a line for its log."""
    collected = yield from collect(repository, _retention(repository, None))
    return _text(collected, "removed")


def collect(
    repository: Repository, retention: Retention, *, dry_run: bool = False, packs: bool = False
) -> Steps[GcResult]:
    """Collect garbage, the state of imports included.  Busy, and what `collect_garbage` raises."""
    guests = [GitState(repository)]
    return collect_garbage(repository, retention, guests, dry_run=dry_run, packs=packs)


def _retention(
    repository: Repository, age_ns: int | None, *, keeps_unreached: bool = True
) -> Retention:
    settings = repository.configuration.settings
    age_ns = settings.snapshot_ttl_ns if age_ns is None else age_ns
    since_ns = max(0, repository.clock.now_ns() - age_ns)
    return Retention(since_ns, settings.retention_count, keeps_unreached)


def _age_ns(options: Options) -> int | None:
    text = options.value("before")
    if text is None:
        return None
    if "remove-old-snapshots" not in options:
        raise options.misuse("--before belongs to --remove-old-snapshots")
    try:
        return Duration().parse(text)
    except ValueError as error:
        raise options.misuse(f"--before: {error}") from error


def _text(collected: GcResult, did: str) -> str:
    counts = (
        (collected.commits, "commit"),
        (collected.operations, "operation"),
        (collected.objects, "object"),
    )
    parts = [f"{count} {name}{'s' * (count != 1)}" for count, name in counts if count]
    seconds = collected.duration_ns / SECOND_NS
    text = f"{did} {', '.join(parts)}: {collected.stored_bytes} bytes"
    packed = f"; the rest takes {collected.packed_bytes} bytes less"
    return (
        f"{text if parts else 'nothing to remove'}"
        f"{packed if collected.packed_bytes else ''} ({seconds:.1f} s)\n"
    )


def _kept_for_undo(collected: GcResult) -> str:
    count = collected.undo_commits
    if not count:
        return ""
    which = (
        "1 commit that only undo reaches stays"
        if count == 1
        else (f"{count} commits that only undo reaches stay")
    )
    return f"{which}: --remove-old-snapshots --before=0s takes what undo needs, too\n"


def _document(collected: GcResult) -> dict[str, object]:
    return {
        "commit_count": collected.commits,
        "operation_count": collected.operations,
        "object_count": collected.objects,
        "stored_bytes": collected.stored_bytes,
        "packed_bytes": collected.packed_bytes,
        "undo_commit_count": collected.undo_commits,
        "duration_seconds": collected.duration_ns / SECOND_NS,
    }
