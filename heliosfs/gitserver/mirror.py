"""The mirror: a bare repository in the directory of the store, in which git talks to a server.

It has the refs of the server below `refs/seen/`, and all that they need, so that git has less to
transfer.  It is a cache, without a working tree, a hook or a setting of anybody: it is made again
when something in it is missing or damaged.

One process owns a store, and one verb at a time uses a mirror of it.  A git that lives on after the
process that began it is waited for (`running`).

The directory of a store is mostly beneath a mount, where no path leads.  So git is given the path
of a descriptor, which its processes inherit.  Git itself resolves that path where it looks for
working trees, and does not mind if the last name of it is missing: so the mirror lies in the
store's directory itself, whose name is also that of a directory in the mount.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing, suppress
from functools import partial
from typing import NamedTuple

from heliosfs.errors import HeliosError, StoreError
from heliosfs.git.process import Git
from heliosfs.gitserver.listing import listed
from heliosfs.gitserver.running import mark, wait_for_marked
from heliosfs.gitserver.transfer import Transfer
from heliosfs.remote.foundrefs import RefName
from heliosfs.repo.remotes import HEADS, TAGS
from heliosfs.store.base import Store

_NAME = "git-mirror-"
"""Beginning of the names of mirrors in the directory of the store."""
_SEEN = "refs/seen/"
_MARK = "running"
"""File with the mark of the git that was begun last, until all is well."""
_PACKS_MAX = 20
_NAME_DIGITS = 32
_REPACK_SECONDS = 600
_HEAD = b"ref: refs/heads/none\n"
_CONFIGS = {
    "sha1": b"[core]\n\trepositoryformatversion = 0\n\tbare = true\n",
    "sha256": b"[core]\n\trepositoryformatversion = 1\n\tbare = true\n"
    b"[extensions]\n\tobjectformat = sha256\n",
}


class BrokenMirror(HeliosError):
    """The mirror has lost something, and has to be made again."""


class SeenTag(NamedTuple):
    """An object that a ref names, and the one that annotated tags lead to from there."""

    git_id: bytes
    target: bytes
    kind: str
    """Kind of the target: `commit`, and for a tag also `tree` or `blob`."""


class MirrorGit(Git):
    """The git repository of a mirror, by a descriptor of its directory."""

    def __init__(self, fd: int) -> None:
        """Ask git about it.  Raise HeliosError."""
        self.fds = (fd,)
        super().__init__(f"/proc/self/fd/{fd}")
        # Its path must not be resolved: what it leads to has no path beneath a mount.
        self.common_dir = self.git_dir


class Mirror:
    """The mirror of one URL, for one verb.

    All methods but `__init__` and `close` wait for the disk or for git, and belong on a thread.
    """

    def __init__(self, store: Store, url: str) -> None:
        """Prepare; git may still be running in it."""
        self._name = _NAME + hashlib.sha256(os.fsencode(url)).hexdigest()[:_NAME_DIGITS]
        self._fd = store.directory_beside(self._name)
        self._mark = -1
        self._git: MirrorGit | None = None
        self._is_settled = False
        self.is_new = False
        """True once it was made anew: then nothing that is wrong with it is its own fault."""

    def open(self) -> None:
        """Wait for a git that was left alone, and look whether the mirror is whole.

        Busy, StoreError.
        """
        try:
            flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
            self._mark = os.open(_MARK, flags, 0o600, dir_fd=self._fd)
            if wait_for_marked(self._mark):
                _remove_locks(self._fd)
            is_made = self._is_made()
        except OSError as error:
            raise StoreError(f"cannot use {self._name} in the store: {error.strerror}") from error
        # Without git, the first command that talks to the server says so.
        if is_made:
            with suppress(HeliosError, FileNotFoundError):
                self._git = MirrorGit(self._fd)

    def close(self) -> None:
        """Close the descriptors.  Idempotent."""
        if self._mark >= 0 and self._is_settled:
            with suppress(OSError):
                os.ftruncate(self._mark, 0)
        for fd in (self._mark, self._fd):
            if fd >= 0:
                os.close(fd)
        self._mark = self._fd = -1

    @property
    def is_empty(self) -> bool:
        """True if it has to be made: `make` was not called since it was found missing."""
        return self._git is None

    @property
    def git(self) -> MirrorGit:
        """The repository, once it is made."""
        assert self._git is not None
        return self._git

    def make(self, hash_name: str) -> None:
        """Make it anew, without refs and objects, for ids of a hash.  Raise HeliosError."""
        self._git = None
        try:
            for name in os.listdir(self._fd):
                if name != _MARK:
                    _remove(name, self._fd)
            for name in ("objects", "objects/info", "objects/pack", "refs"):
                os.mkdir(name, 0o700, dir_fd=self._fd)
            self._write("HEAD", _HEAD)
            # Last: without it, nothing is taken for a whole mirror.
            self._write("config", _CONFIGS[hash_name])
        except OSError as error:
            raise StoreError(f"cannot make {self._name} in the store: {error.strerror}") from error
        self._git = MirrorGit(self._fd)
        self.is_new = True

    def remove(self) -> None:
        """Remove all of it, as far as that goes."""
        # Its path must not be resolved: above it may be a mount.
        shutil.rmtree(f"/proc/self/fd/{self._fd}/../{self._name}", ignore_errors=True)

    def transfer(self, argv: Sequence[str]) -> Transfer:
        """Prepare a command of git in it that talks to a server."""
        return Transfer(
            argv, git_dir=self.git.git_dir, fds=self.git.fds, begun=partial(mark, self._mark)
        )

    def refs(self) -> dict[RefName, bytes]:
        """Return git's ids by kind and name, as the last fetch or push has left them.

        Raise BrokenMirror.
        """
        try:
            said, errors = self.git.ask_with_errors(
                "for-each-ref", "--format=%(objectname) %(refname)", _SEEN, seconds=None
            )
        except HeliosError as error:
            raise BrokenMirror(str(error)) from error
        if errors:
            raise BrokenMirror(errors.decode("utf-8", "replace")[:200])
        return listed(said.replace(b" " + _SEEN.encode(), b"\trefs/"))

    def peeled(self, git_ids: Iterable[bytes]) -> dict[bytes, SeenTag]:
        """Return what ids lead to.  Raise BrokenMirror."""
        asked = sorted(set(git_ids))
        data = b"".join(b"%s^{}\n" % each.hex().encode() for each in asked)
        argv = ("cat-file", "--batch-check=%(objectname) %(objecttype)", "--buffer")
        try:
            lines = self.git.ask(*argv, data=data, seconds=None).decode("ascii").splitlines()
        except (HeliosError, UnicodeDecodeError) as error:
            raise BrokenMirror(str(error)) from error
        found = {}
        for git_id, line in zip(asked, lines, strict=True):
            target, _, kind = line.partition(" ")
            if kind not in ("commit", "tree", "blob"):
                raise BrokenMirror(f"{git_id.hex()} is {kind}")
            found[git_id] = SeenTag(git_id, bytes.fromhex(target), kind)
        return found

    def is_forward(self, old: bytes, new: bytes) -> bool:
        """Return True if a commit reaches another in git.  BrokenMirror if git cannot tell."""
        data = f"{old.hex()}\n^{new.hex()}\n".encode()
        try:
            return not self.git.ask("rev-list", "--max-count=1", "--stdin", data=data, seconds=None)
        except HeliosError as error:
            raise BrokenMirror(str(error)) from error

    def note(self, changes: Mapping[RefName, bytes | None]) -> None:
        """Let refs be those that a push has made; what fails costs the next fetch a transfer."""
        lines = []
        for (kind, name), git_id in changes.items():
            ref = f"{_SEEN}{kind}/{name}"
            lines.append(f"update {ref} {git_id.hex()}" if git_id else f"delete {ref}")
        with suppress(HeliosError):
            data = os.fsencode("".join(f"{line}\n" for line in lines))
            self.git.ask("update-ref", "--no-deref", "--stdin", data=data)

    def pack_bytes(self) -> int:
        """Return the size of all packs."""
        return sum(size for _, size in self._packs())

    def settle(self) -> None:
        """Note that no git was ended early; join small packs when there are many."""
        self._is_settled = True
        if len(self._packs()) > _PACKS_MAX:
            with suppress(HeliosError):
                self.git.ask("repack", "--geometric=2", "-d", "--quiet", seconds=_REPACK_SECONDS)

    def _packs(self) -> list[tuple[str, int]]:
        place = os.path.join(self.git.git_dir, "objects", "pack")
        with suppress(OSError), os.scandir(place) as found:
            return [(e.name, e.stat().st_size) for e in found if e.name.endswith(".pack")]
        return []

    def _is_made(self) -> bool:
        """Return True if what git needs to see a repository is as `make` wrote it."""
        return self._read("HEAD") == _HEAD and self._read("config") in _CONFIGS.values()

    def _read(self, name: str) -> bytes:
        with suppress(OSError):
            fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=self._fd)
            with os.fdopen(fd, "rb") as file:
                return file.read()
        return b""

    def _write(self, name: str, data: bytes) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        with os.fdopen(os.open(name, flags, 0o600, dir_fd=self._fd), "wb") as file:
            file.write(data)


def refspec(kind: str, name: str = "*") -> str:
    """Return the words by which git fetches refs of a kind into a mirror."""
    return f"+refs/{kind}/{name}:{_SEEN}{kind}/{name}"


ALL_REFS = (refspec(HEADS), refspec(TAGS))


def remove_mirror(store: Store, url: str) -> None:
    """Remove the mirror of a URL, unless a git that is ending uses it."""
    with suppress(HeliosError), closing(Mirror(store, url)) as mirror:
        mirror.open()
        mirror.remove()


def _remove(name: str, dir_fd: int) -> None:
    try:
        os.unlink(name, dir_fd=dir_fd)
    except IsADirectoryError:
        shutil.rmtree(f"/proc/self/fd/{dir_fd}/{name}")


def _remove_locks(dir_fd: int) -> None:
    """Remove the lock files of a git that was killed; it does not run any more."""
    for _, _, names, fd in os.fwalk(".", dir_fd=dir_fd):
        for name in names:
            if name.endswith(".lock") or name.startswith("tmp_"):
                with suppress(OSError):
                    os.unlink(name, dir_fd=fd)
