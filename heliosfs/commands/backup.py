"""`backup`: a copy of the whole store in a directory, and what is new since the last one."""

from __future__ import annotations

from functools import partial

from heliosfs.clock import SECOND_NS
from heliosfs.commands.options import Options
from heliosfs.commands.render import iso_time, json_reply
from heliosfs.commands.verb import Request, answer
from heliosfs.errors import HeliosError
from heliosfs.remote.contents import make_whole
from heliosfs.repo.backup import BackupResult, back_up
from heliosfs.repo.backup_directory import check_outside, plain_path
from heliosfs.repo.repository import Repository
from heliosfs.steps import Steps, on_thread

_LISTED_COUNT = 20


def backup(request: Request, options: Options) -> Steps[str]:
    """Bring a backup up to date; the client carries out the other forms."""
    if options.has_any(("verify", "restore")):
        raise options.misuse("only the command line verifies and restores backups")
    if len(options.words) != 1:
        raise options.misuse("name the directory of the backup, as in 'backup DIR'")
    name = options.words[0]
    if not name.startswith("/"):
        raise options.misuse(f"an absolute path is needed here, not {name[:80]!r}")
    repository = request.repository
    path = yield from on_thread(partial(plain_path, name))
    yield from on_thread(partial(check_outside, path, repository.path))
    left = yield from _bring(repository, keeps_going="keep-going" in options)
    done = yield from back_up(repository, path, keeps_going="keep-going" in options)
    done = done._replace(damaged=[*left, *done.damaged])
    text = json_reply(_document(path, done)) if "json" in options else _text(path, done)
    return answer(text, 1 if done.damaged else 0)


def _bring(repository: Repository, *, keeps_going: bool) -> Steps[list[str]]:
    """Bring what remotes have promised: a backup of places elsewhere would be none.

    Return lines about what stays there, for `keeps_going`.  Raise HeliosError.
    """
    try:
        yield from make_whole(repository)
    except HeliosError as error:
        if not keeps_going:
            raise type(error)(
                f"nothing was backed up, since contents are still at a remote: {error} "
                "(--keep-going leaves them out)"
            ) from error
        bringing = (
            "once it is there, 'helios fetch --contents --all' brings them into a restored one"
        )
        return [f"contents that are still at a remote ({bringing}): {error}"]
    return []


def _text(path: str, done: BackupResult) -> str:
    new = f"{done.new_object_count} new objects, {done.new_bytes} bytes"
    lines = [f"{path}: {new}; {done.object_count} objects in all"]
    if done.damaged:
        lines.append(f"damaged, and not in the backup ({len(done.damaged)}):")
        lines += [f"  {text}" for text in done.damaged[:_LISTED_COUNT]]
        if len(done.damaged) > _LISTED_COUNT:
            lines.append(f"  and {len(done.damaged) - _LISTED_COUNT} more (--json lists them)")
    return "".join(f"{line}\n" for line in lines)


def _document(path: str, done: BackupResult) -> dict[str, object]:
    return {
        "directory": path,
        "time": iso_time(done.time_ns // SECOND_NS),
        "object_count": done.object_count,
        "new_object_count": done.new_object_count,
        "new_bytes": done.new_bytes,
        "value_count": done.value_count,
        "damaged": done.damaged,
    }
