"""The repository to which an export is made: its objects, and the move of its refs."""

from __future__ import annotations

import mmap
import os
import subprocess
import tempfile
from bisect import bisect_left

from heliosfs.errors import Busy, HeliosError
from heliosfs.git import raw
from heliosfs.git.filters import info_attributes
from heliosfs.git.process import Git, complaint

_REFLOG = "helios export"
_UPDATE_SECONDS = 600
_LIST = ("cat-file", "--batch-all-objects", "--batch-check=%(objectname)", "--buffer")
_LINES_AT_ONCE = 20_000


class Target:
    """A git repository, whose objects and refs are read once, when this is created.

    Everything but `has` and `close` waits for git and therefore belongs on a thread: git may be
    reading from a mount that its caller serves.
    """

    def __init__(self, git: Git) -> None:
        self.git = git
        self.refs: dict[str, bytes] = {}
        """Raw id by full name; a detached HEAD is under `HEAD`."""
        for line in git.ask("for-each-ref", "--format=%(objectname) %(refname)").splitlines():
            git_id, _, name = line.partition(b" ")
            self.refs[os.fsdecode(name)] = bytes.fromhex(git_id.decode("ascii"))
        if git.symbolic_head() is None:
            head = git.ask("rev-parse", "--verify", "--quiet", "HEAD").decode("ascii")
            self.refs["HEAD"] = bytes.fromhex(head.strip())
        self._objects = ObjectIds(git)
        self.attributes = info_attributes(git)
        """Content of `info/attributes`: patterns of this repository alone."""

    def close(self) -> None:
        """Free memory.  Idempotent."""
        self._objects.close()

    def has(self, git_id: bytes) -> bool:
        """Return True if the repository has an object, with all objects reachable from it: 5 us."""
        at = bisect_left(self._objects, git_id)
        return at < len(self._objects) and self._objects[at] == git_id

    def has_file(self, data: bytes) -> bool:
        """Return True if the repository has a file with these bytes."""
        return self.has(raw.git_id(self.git.hash_name, b"blob", data))

    def is_ancestor(self, old: bytes, new: bytes) -> bool:
        """Return True if `old` is reachable from `new`; both must be in the repository."""
        data = f"{old.hex()}\n^{new.hex()}\n".encode()
        argv = ("rev-list", "--max-count=1", "--stdin")
        return not self.git.ask(*argv, data=data, seconds=_UPDATE_SECONDS)

    def checked_out(self) -> set[str]:
        """Return the full names of the branches that a working tree shows."""
        lines = self.git.ask("worktree", "list", "--porcelain").splitlines()
        shown = {os.fsdecode(line[7:]) for line in lines if line.startswith(b"branch ")}
        if self.git.ask("rev-parse", "--is-bare-repository").strip() == b"true":
            shown.discard(self.git.symbolic_head() or "")
        return shown

    def move(self, changes: dict[str, bytes]) -> None:
        """Move all refs to other objects, or none.  Raise HeliosError."""
        if not changes:
            return
        shown = self.checked_out() & {
            name for name, git_id in changes.items() if self.refs.get(name) != git_id
        }
        if shown:
            name = min(shown).removeprefix("refs/heads/")
            raise Busy(
                f"branch {name!r} is checked out in {self.git.git_dir}: export it under another "
                f"name ('{name}:NAME'), or check out something else there"
            )
        self._check_complete(changes)
        none = bytes(self.git.id_bytes)
        lines = ["start"]
        for name, git_id in changes.items():
            old = self.refs.get(name, none)
            # With the old value, git refuses all if somebody has moved a ref meanwhile
            # (git-update-ref(1)).
            lines.append(f"update {name} {git_id.hex()} {old.hex()}")
        text = "\n".join([*lines, "prepare", "commit", ""])
        self.git.ask(
            "update-ref", "-m", _REFLOG, "--stdin", data=os.fsencode(text), seconds=_UPDATE_SECONDS
        )

    def _check_complete(self, changes: dict[str, bytes]) -> None:
        """Raise HeliosError if a ref would lead to a missing object.

        Objects that no ref reaches may be there in part: git prunes each by its age.  As for a push
        (git's connected.c), the walk ends at what refs already reach.
        """
        if not len(self._objects):
            return
        wanted = [f"{git_id.hex()}\n" for git_id in changes.values()]
        known = [f"^{git_id.hex()}\n" for git_id in set(self.refs.values())]
        argv = ["rev-list", "--objects", "--quiet", "--ignore-missing", "--stdin"]
        if self.git.promisor():
            argv.append("--exclude-promisor-objects")
        try:
            data = "".join(wanted + known).encode("ascii")
            self.git.ask(*argv, data=data, seconds=_UPDATE_SECONDS)
        except HeliosError as error:
            raise HeliosError(
                f"{self.git.git_dir} has a part of what {', '.join(sorted(changes)[:5])} would "
                f"lead to, and not all ({error}): 'git fsck' there lists what is missing, and "
                "'git prune' removes the part if no ref needs it; then export again"
            ) from error


class ObjectIds:
    """The raw ids of all objects that a repository has or shares, sorted, in a temporary file.

    20 bytes each; git lists a million of them in a second.
    """

    def __init__(self, git: Git) -> None:
        self._id_bytes = git.id_bytes
        self._data: mmap.mmap | bytes = b""
        line_bytes = 2 * git.id_bytes + 1
        with tempfile.TemporaryFile() as file, tempfile.TemporaryFile() as errors:
            process = git.start(
                *_LIST, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors
            )
            assert process.stdout is not None
            while lines := process.stdout.read(_LINES_AT_ONCE * line_bytes):
                file.write(bytes.fromhex(lines.decode("ascii")))
            process.stdout.close()
            if process.wait():
                errors.seek(0)
                raise HeliosError(f"git cat-file: {complaint(errors.read())}")
            if file.tell():
                file.flush()
                self._data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self._count = len(self._data) // self._id_bytes

    def close(self) -> None:
        """Free memory.  Idempotent."""
        if isinstance(self._data, mmap.mmap):
            self._data.close()

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> bytes:
        at = index * self._id_bytes
        return self._data[at : at + self._id_bytes]
