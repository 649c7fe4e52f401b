"""`git-remote-helios`: the program that git runs for `helios::DIR` (gitremote-helpers(7)).

git talks to it on standard input and output.  It asks the workspace at DIR, by the control file of
a mount or in this process, for its refs and objects, and to take in what is pushed.

Objects first arrive in a directory of their own below `helios/` in the git directory, as a push to
git's own server does, and are moved to git's objects when git asks for them.  One that is left
there by a process that was killed is removed by the next.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from io import TextIOWrapper
from typing import IO, TYPE_CHECKING, Any

from heliosfs.errors import HeliosError, UsageError

if TYPE_CHECKING:
    from heliosfs.cli.git_arrivals import Arrivals, GitDirectory
    from heliosfs.steps import Progress

_SCHEME = "helios://"
_FAILED = 128
_CAPABILITIES = ("option", "fetch", "push", "object-format")
_SHALLOW = ("depth", "deepen-since", "deepen-not", "deepen-relative")


class RemoteHelper:
    """A workspace, as a remote of one git repository."""

    def __init__(self, name: str, url: str, stdin: IO[str], stdout: IO[str]) -> None:
        """Prepare; `name` is that of the remote, or its URL if it has none."""
        from heliosfs.cli.git_arrivals import GitDirectory

        self._in = stdin
        self._out = stdout
        git_dir = os.environ.get("GIT_DIR")
        self._git = GitDirectory(git_dir, name, url) if git_dir is not None else None
        self._path = url.removeprefix(_SCHEME)
        self._place = self._path if self._git is None else self._git.place_of(self._path)
        self._arrivals: Arrivals | None = None
        self._refs: dict[str, str] = {}
        """Git's id in hex by full name, as git was told; `?` if git never had the commit."""
        self._is_dry = False
        self._is_atomic = False
        self._shows_progress = False
        self._is_cloning = False
        self._other_format = ""
        """Format of the workspace's ids, if the git directory has another one."""

    def serve(self) -> None:
        """Answer git's commands until it has no more.  Raise HeliosError."""
        try:
            while line := self._in.readline():
                command, _, rest = line.rstrip("\n").partition(" ")
                if not command:
                    return
                self._answer(command, rest)
                self._out.flush()
        finally:
            self._drop_arrivals()

    def _answer(self, command: str, rest: str) -> None:
        if command == "capabilities":
            self._say(*_CAPABILITIES, "")
        elif command == "option":
            name, _, value = rest.partition(" ")
            self._say(self._option(name, value))
        elif command == "list":
            self._list(is_for_push=rest == "for-push")
        elif command == "fetch":
            self._fetch([rest, *self._batch("fetch ")])
        elif command == "push":
            self._push([rest, *self._batch("push ")])
        else:
            raise UsageError(f"git asks for {command[:80]!r}, which is not known here")

    def _option(self, name: str, value: str) -> str:
        if name in _SHALLOW and value not in ("0", "false"):
            raise UsageError(
                "a clone of a workspace cannot be shallow: leave --depth and --shallow-* out; "
                "--single-branch fetches one branch alone"
            )
        if name == "dry-run":
            self._is_dry = value == "true"
        elif name == "atomic":
            self._is_atomic = value == "true"
        elif name == "progress":
            self._shows_progress = value == "true"
        elif name == "cloning":
            self._is_cloning = value == "true"
        elif name not in ("verbosity", "cas", "object-format", "followtags"):
            return "unsupported"
        return "ok"

    def _list(self, *, is_for_push: bool) -> None:
        git = self._git
        words = ["upload-pack"]
        if is_for_push:
            words.append("--known")
        if git is not None:
            words.append(f"--object-format={git.object_format}")
            if not is_for_push:
                words.append(f"--to-git={self._arriving().path}")
        found = self._ask(words)
        left_out: dict[str, str] = found["left_out"]
        if git is not None and not is_for_push:
            left_out = git.newly_left_out(left_out)
        for ref, why in left_out.items():
            print(f"helios: {_seen(f'{ref} is left out: {why}')}", file=sys.stderr)
        self._say(f":object-format {found['object_format']}")
        if git is not None and found["object_format"] != git.object_format:
            self._other_format = found["object_format"]
        refs: dict[str, str | None] = found["refs"]
        if found["head"] in refs and found["head"] != "HEAD":
            self._say(f"@{found['head']} HEAD")
        for ref, git_id in refs.items():
            self._refs[ref] = git_id or "?"
            self._say(f"{self._refs[ref]} {ref}")
            if ref in found["peeled"]:
                self._say(f"{found['peeled'][ref]} {ref}^{{}}")
        self._say("")

    def _fetch(self, wanted: list[str]) -> None:
        git = self._need_git()
        if self._other_format:
            # git has made a clone anew with the format that it was told.
            if not self._is_cloning:
                raise UsageError(
                    f"the workspace has ids of {self._other_format}, and {git.common} those of "
                    f"{git.object_format}"
                )
            git.object_format = self._other_format
            self._drop_arrivals()
        arrivals = self._arriving()
        git_ids = sorted({line.split(" ", 1)[0] for line in wanted})
        path = arrivals.write("want", git_ids)
        self._ask(["upload-pack", f"--to-git={arrivals.path}", f"--want={path}"])
        arrivals.keep()
        self._say("")

    def _push(self, specs: list[str]) -> None:
        git = self._need_git()
        arrivals = self._arriving()
        sources = [spec.removeprefix("+").partition(":")[0] for spec in specs]
        ids = git.ids_of([source for source in sources if source])
        lines, refs = [], []
        for spec, source in zip(specs, sources, strict=True):
            ref = spec.rpartition(":")[2]
            old = self._refs.get(ref, "-")
            mark = "+" if spec.startswith("+") else "="
            lines.append(f"{mark} {old} {ids[source] if source else '-'} {ref}")
            refs.append(ref)
        words = ["receive-pack", f"--from-git={git.common}"]
        words += ["--atomic"] if self._is_atomic else []
        words += ["--dry-run"] if self._is_dry else []
        found = self._ask([*words, f"--updates={arrivals.write('updates', lines)}"])
        # A daemon of an earlier version says nothing of it.
        for ref, lost in found.get("lost", {}).items():
            print(f"helios: {_seen(_lost(ref, lost))}", file=sys.stderr)
        refused = found["refused"]
        for ref in refs:
            self._say(f"error {ref} {_seen(refused[ref])}" if ref in refused else f"ok {ref}")
        self._say("")

    def _batch(self, prefix: str) -> list[str]:
        """Return the rest of a batch of commands, without their names."""
        lines = []
        while (line := self._in.readline().rstrip("\n")).startswith(prefix):
            lines.append(line[len(prefix) :])
        return lines

    def _ask(self, words: list[str]) -> dict[str, Any]:
        """Return the workspace's reply to a verb.  Raise HeliosError."""
        from heliosfs.cli.client import enter, run
        from heliosfs.cli.progress import ProgressLine

        line = ProgressLine()
        tell = line.tell if self._shows_progress else _untold
        parts: list[bytes] = []
        here = os.getcwd()
        enter(self._place)
        try:
            run(words, tell, parts.append)
        finally:
            line.end()
            os.chdir(here)
        found: dict[str, Any] = json.loads(b"".join(parts))
        if self._git is not None:
            self._git.remember(self._path, self._place)
        return found

    def _arriving(self) -> Arrivals:
        if self._arrivals is None:
            self._arrivals = self._need_git().arrivals()
        return self._arrivals

    def _drop_arrivals(self) -> None:
        if self._arrivals is not None:
            self._arrivals.close()
            self._arrivals = None

    def _need_git(self) -> GitDirectory:
        if self._git is None:
            raise UsageError("GIT_DIR is not set: git runs this program, people run git")
        return self._git

    def _say(self, *lines: str) -> None:
        for line in lines:
            self._out.write(f"{line}\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Run `git-remote-helios NAME URL`; return 0 when git is done, 128 if something failed."""
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        if len(words) != 2:
            raise UsageError(
                "git runs this program, for 'git clone helios::DIR' and the like, with the name "
                "of a remote and its URL"
            )
        name, url = words
        for stream in (sys.stdin, sys.stdout):
            assert isinstance(stream, TextIOWrapper)
            # Names of refs are bytes.
            stream.reconfigure(encoding="utf-8", errors="surrogateescape", newline="\n")
        RemoteHelper(name, url, sys.stdin, sys.stdout).serve()
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        return _FAILED
    except HeliosError as error:
        return _complain(str(error).removeprefix("usage: "))
    except OSError as error:
        where = f": {error.filename}" if error.filename else ""
        return _complain(f"{(error.strerror or str(error)).lower()}{where}")
    return 0


def _lost(ref: str, lost: dict[str, int]) -> str:
    return (
        f"{ref.removeprefix('refs/heads/')}: git holds neither empty directories nor FIFOs, "
        f"sockets and devices: {lost['empty_directories']} and {lost['special_files']} of them are "
        "gone from the branch; 'helios undo' there takes the push back"
    )


def _complain(text: str) -> int:
    print(f"helios: {_seen(text)}", file=sys.stderr)
    return _FAILED


def _seen(text: str) -> str:
    """Return one line that a terminal does not obey: git shows it as it is."""
    from heliosfs.commands.visible import visible

    return visible(" ".join(text.split("\n")))


def _untold(progress: Progress) -> None:
    """Show nothing of the progress."""
