"""`fsck --repair NEW`: a new store of what a damaged one still has, which is left as it is."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import sys

from heliosfs.cli.client import current_directory, repository_over
from heliosfs.cli.locate import find_view
from heliosfs.cli.stores import open_store
from heliosfs.commands.options import Options
from heliosfs.errors import AlreadyExists, Busy, HeliosError

_LISTED_COUNT = 20


def fsck(argv: list[str], options: Options) -> int | list[str]:
    """Make a new store for `--repair`; return all other requests."""
    given = options.value("repair")
    if given is None:
        return argv
    options.at_most(0)
    where = current_directory()
    if find_view(where) is not None:
        raise Busy("the workspace is mounted: unmount it first, then repair its store")
    place = repository_over(where)
    new = os.path.abspath(given)
    old_fd = open_store(place.root, None, create=False)
    try:
        old = os.path.realpath(f"/proc/self/fd/{old_fd}")
        document = _repaired(old_fd, new)
    finally:
        os.close(old_fd)
    if "json" in options:
        print(json.dumps({"old": old, "new": new, **document}))
    else:
        _print(old, new, document)
    return 0


def _repaired(old_fd: int, new: str) -> dict[str, object]:
    """Make the new store; return what is told of it.  After HeliosError there is no store."""
    from heliosfs.repo.rescue import Rescue

    try:
        os.mkdir(new, 0o700)
    except FileExistsError as error:
        raise AlreadyExists(f"{new} is there already: name a directory to be made") from error
    except OSError as error:
        raise HeliosError(f"cannot make {new}: {error.strerror}") from error
    new_fd = os.open(new, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        rescue = Rescue(old_fd, new_fd)
        try:
            rescue.run()
        finally:
            rescue.damaged.close()
        paths = _lost_paths(new_fd)
    except BaseException:
        shutil.rmtree(new, ignore_errors=True)
        raise
    finally:
        os.close(new_fd)
    lost = list(dict.fromkeys(rescue.lost))
    return {"object_count": rescue.object_count, "lost": lost, "lost_paths": paths}


def _lost_paths(new_fd: int) -> list[dict[str, str]]:
    """Open the new store, and name the paths that cannot be read.  Raise HeliosError."""
    from heliosfs.clock import SystemClock
    from heliosfs.repo.identity import Identity
    from heliosfs.repo.lost_paths import lost_paths
    from heliosfs.repo.repository import Repository
    from heliosfs.store.local import LocalStore

    store = LocalStore.open(new_fd)
    try:
        who = Identity(b"", b"", os.getuid(), os.getgid())
        repository = Repository.open(store, SystemClock(), who)
        found = [
            {"commit": each.commit, "path": os.fsdecode(each.path)}
            for each in lost_paths(repository)
        ]
        repository.close()
        return found
    finally:
        store.close()


def _print(old: str, new: str, document: dict[str, object]) -> None:
    lost, paths = document["lost"], document["lost_paths"]
    assert isinstance(lost, list) and isinstance(paths, list)
    print(f"made {new} of {document['object_count']} objects; {old} is as it was")
    lines = [str(text) for text in lost]
    lines += [f"{each['path'] or '/'} in {each['commit']} cannot be read" for each in paths]
    if lines:
        print(f"lost, or not as it was ({len(lines)}):")
        sys.stdout.writelines(f"  {line}\n" for line in lines[:_LISTED_COUNT])
        if len(lines) > _LISTED_COUNT:
            print(f"  and {len(lines) - _LISTED_COUNT} more (--json lists them)")
    else:
        print("nothing is lost")
    place, aside = shlex.quote(old), shlex.quote(f"{old}.damaged")
    print(f"to use it: mv {place} {aside} && mv {shlex.quote(new)} {place}")
