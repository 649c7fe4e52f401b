"""`remote gc`: delete what the branches of a remote do not need any more."""

from __future__ import annotations

from functools import partial

from heliosfs.clock import SECOND_NS
from heliosfs.commands.options import Options
from heliosfs.commands.render import json_reply
from heliosfs.commands.verb import Request
from heliosfs.config.values import Duration
from heliosfs.errors import CorruptObject, MissingObject, NotFound
from heliosfs.remote.bucket import NoObject
from heliosfs.remote.buckets.opening import open_bucket
from heliosfs.remote.collection import (
    CONDEMNED_MIN_SECONDS,
    CONDEMNED_SECONDS,
    CollectionResult,
    collect,
)
from heliosfs.remote.damage import DamagedRemote
from heliosfs.remote.layout import check_format
from heliosfs.steps import Steps, read_far


def collect_remote(request: Request, options: Options, words: list[str]) -> Steps[str]:
    """Do what is due of the garbage collection of a remote."""
    if len(words) > 1:
        raise options.misuse("give the name of one remote")
    remotes = request.repository.remotes
    name = words[0] if words else remotes.default()
    url, grace_seconds = remotes.url(name), _grace_seconds(options)
    if remotes.notes.is_git(name):
        raise options.misuse(f"{name} is a git server, which collects its garbage itself")
    bucket = yield from read_far(partial(open_bucket, url))
    is_dry = "dry-run" in options
    try:
        yield from read_far(partial(check_format, bucket))
        done = yield from collect(bucket, grace_seconds=grace_seconds, is_dry=is_dry)
    except NoObject:
        raise NotFound(f"{url} is no remote: 'helios remote add' and 'push' make one") from None
    except (MissingObject, CorruptObject) as error:
        raise DamagedRemote(f"{name}: nothing was deleted: {error}") from error
    if "json" in options:
        return json_reply({"remote": name, "url": url, "dry_run": is_dry, **done._asdict()})
    return _text(name, done)


def _grace_seconds(options: Options) -> float:
    text = options.value("grace")
    if text is None:
        return CONDEMNED_SECONDS
    try:
        seconds = Duration().parse(text) / SECOND_NS
    except ValueError as error:
        raise options.misuse(f"--grace: {error}") from error
    if seconds < CONDEMNED_MIN_SECONDS:
        raise options.misuse("--grace is an hour at least: a push may take that long")
    return seconds


def _text(name: str, done: CollectionResult) -> str:
    lines = []
    if done.merged_count:
        lines.append(f"merged what {done.merged_count} pushes have left\n")
    if done.deleted_count:
        lines.append(f"deleted {done.deleted_count} objects: {done.deleted_bytes} bytes\n")
    if done.spared_count:
        lines.append(f"kept {done.spared_count} objects that are needed again\n")
    if done.condemned_count:
        hours = max(1, round(done.due_seconds / 3_600))
        when = f"a run in {hours} h" if done.due_seconds else "the next run"
        what = f"{done.condemned_count} objects, {done.condemned_bytes} bytes, are not needed"
        lines.append(f"{what}: {when} deletes them\n")
    return "".join(lines) or f"nothing to delete in {name}\n"
