"""The git directory that a remote of a workspace belongs to, and the objects that arrive in it."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from hashlib import sha256

from heliosfs.errors import HeliosError, NotFound

_HOME = "helios"
"""Directory in the git directory, with one below it for each remote."""
_INCOMING = "incoming-"
_PLACES = "places"
"""File with the absolute path of each relative one that a remote has had."""
_LEFT_OUT = "left-out"
"""File with the refs that git cannot have, and why, as they were told last."""
_NAME = re.compile(r"\w[\w-]*(?:[./]\w[\w-]*)*", re.ASCII)
_PACK_FILES = (".pack", ".rev", ".idx")
"""Files of a pack, in the order in which they appear: the last one makes git see it."""


class GitDirectory:
    """A git directory, and what is kept in it for one remote."""

    def __init__(self, git_dir: str, name: str, url: str) -> None:
        """Ask git about the directory; `name` is that of the remote, or its URL if it has none."""
        argv = ("--git-common-dir", "--git-path", "objects", "--show-object-format")
        common, objects, form = _ask(["rev-parse", *argv]).splitlines()
        self.common = os.path.abspath(common)
        """Absolute path of the directory of refs and objects."""
        self.object_format = form
        """Name of the hash of its ids: `sha1` or `sha256`."""
        self._objects = os.path.abspath(objects)
        self._is_named = name != url and _NAME.fullmatch(name) is not None
        key = name if self._is_named else f"url-{sha256(os.fsencode(url)).hexdigest()[:16]}"
        self._home = os.path.join(self.common, _HOME, key)

    def place_of(self, path: str) -> str:
        """Return the absolute path of a workspace.

        A relative one means what it meant when it was used first, which for a clone is the
        directory in which `git clone` ran.
        """
        if os.path.isabs(path):
            return path
        return self._places().get(path, os.path.abspath(path))

    def remember(self, path: str, place: str) -> None:
        """Remember the absolute path that a relative one was found to mean."""
        if not os.path.isabs(path) and self._places().get(path) != place:
            self._keep(_PLACES, self._places() | {path: place})

    def newly_left_out(self, found: Mapping[str, str]) -> dict[str, str]:
        """Return those of the refs that are left out which were not told before, and keep all."""
        told = self._kept(_LEFT_OUT)
        if told != found:
            self._keep(_LEFT_OUT, found)
        return {ref: why for ref, why in found.items() if told.get(ref) != why}

    def _places(self) -> dict[str, str]:
        return self._kept(_PLACES)

    def _kept(self, name: str) -> dict[str, str]:
        try:
            with open(os.path.join(self._home, name), encoding="utf-8") as file:
                found: dict[str, str] = json.load(file)
                return found
        except (OSError, ValueError):
            return {}

    def _keep(self, name: str, found: Mapping[str, str]) -> None:
        """Write a file for a remote that has a name; of others nothing is kept."""
        if not self._is_named:
            return
        os.makedirs(self._home, exist_ok=True)
        file = os.path.join(self._home, name)
        with open(f"{file}.new", "w", encoding="utf-8", errors="surrogateescape") as new:
            json.dump(found, new)
        os.replace(f"{file}.new", file)

    def arrivals(self) -> Arrivals:
        """Return a new place for objects that arrive."""
        return Arrivals(self._home, self._objects, self.object_format)

    def ids_of(self, sources: Sequence[str]) -> dict[str, str]:
        """Return git's id of each ref or other name.  Raise NotFound."""
        names = list(dict.fromkeys(sources))
        said = _ask(["cat-file", "--batch-check=%(objectname)"], "".join(f"{n}\n" for n in names))
        found = dict(zip(names, said.splitlines(), strict=True))
        for name, git_id in found.items():
            if " " in git_id:
                raise NotFound(f"there is no {name!r} to push: {git_id}")
        return found


class Arrivals:
    """A bare repository in which objects arrive, beside those of the git directory.

    Nothing in it is seen by git before `keep`.
    """

    def __init__(self, home: str, objects: str, object_format: str) -> None:
        os.makedirs(home, exist_ok=True)
        with open(os.path.join(home, "lock"), "ab") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            _remove_abandoned(home)
            self.path = tempfile.mkdtemp(prefix=_INCOMING, dir=home)
            # Held as long as this process lives.
            self._fd = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            fcntl.flock(self._fd, fcntl.LOCK_EX)
        self._target = objects
        for name in ("refs", "objects/info", "objects/pack"):
            os.makedirs(os.path.join(self.path, name))
        self._write("HEAD", "ref: refs/heads/none\n")
        version = "repositoryformatversion = "
        if object_format == "sha1":
            config = f"[core]\n\t{version}0\n\tbare = true\n"
        else:
            config = (
                f"[core]\n\t{version}1\n\tbare = true\n"
                f"[extensions]\n\tobjectformat = {object_format}\n"
            )
        self._write("config", config)
        self._write("objects/info/alternates", f"{objects}\n")

    def close(self) -> None:
        """Remove it, with what was not kept.  Idempotent."""
        if self._fd >= 0:
            shutil.rmtree(self.path, ignore_errors=True)
            os.close(self._fd)
            self._fd = -1

    def write(self, name: str, lines: Sequence[str]) -> str:
        """Write a file that the workspace will read, and return its path."""
        self._write(name, "".join(f"{line}\n" for line in lines))
        return os.path.join(self.path, name)

    def keep(self) -> None:
        """Move all packs to git's objects, each of them whole or not at all."""
        source = os.path.join(self.path, "objects", "pack")
        target = os.path.join(self._target, "pack")
        os.makedirs(target, exist_ok=True)
        names = sorted(os.listdir(source))
        for suffix in _PACK_FILES:
            for name in names:
                if name.endswith(suffix):
                    _move(os.path.join(source, name), os.path.join(target, name))

    def _write(self, name: str, text: str) -> None:
        path = os.path.join(self.path, name)
        with open(path, "w", encoding="utf-8", errors="surrogateescape") as file:
            file.write(text)


def _remove_abandoned(home: str) -> None:
    """Remove the directories of processes that have ended; the caller holds the lock."""
    for name in os.listdir(home):
        if not name.startswith(_INCOMING):
            continue
        path = os.path.join(home, name)
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(path, ignore_errors=True)
        except BlockingIOError:
            # Its process is at work.
            pass
        finally:
            os.close(fd)


def _move(source: str, target: str) -> None:
    try:
        os.rename(source, target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        # The objects lie on another file system: a copy appears under its name as a whole.
        half = os.path.join(os.path.dirname(target), f"tmp_{os.path.basename(target)}")
        shutil.copy(source, half)
        os.rename(half, target)


def _ask(argv: Sequence[str], text: str = "") -> str:
    """Return what git says about the repository in its environment.  Raise HeliosError."""
    done = subprocess.run(["git", *argv], input=os.fsencode(text), capture_output=True, check=False)
    if done.returncode:
        lines = os.fsdecode(done.stderr).strip().splitlines() or ["git failed"]
        raise HeliosError(lines[-1].removeprefix("fatal: "))
    return os.fsdecode(done.stdout)
