"""Files of a project in which `helios agent` keeps lines of its own, between two marks."""

from __future__ import annotations

import json
import os
import shutil
from contextlib import suppress
from typing import NamedTuple

from heliosfs.errors import HeliosError

_BEGIN = "helios agent: begin"
_END = "helios agent: end"

INSTRUCTIONS = """\
## History of this directory

This directory is a helios workspace, if `helios status` answers: hooks commit all files at every
prompt and after every batch of tool calls, whatever wrote them. These commits are not those of git;
commit to git when the user asks for it.

- `helios log --agent` and `helios blame --agent FILE` tell which prompt made what, and
  `helios diff HEAD~1` what changed.
- `helios rewind` lists the prompts that changed files, `helios rewind N` goes back to before one,
  and `helios undo` comes back. Read files again after that.
- Try risky things in a fork: `helios branch --fork NAME` makes `.helios/branches/NAME`;
  `helios merge NAME` takes it, `helios branch -D NAME` drops it.
- Old files are in `.helios/snapshots/REV/`, and `.helios/README` tells more.
"""


class MarkedFile(NamedTuple):
    """A file with lines of ours, and how they are marked in its language."""

    name: str
    opening: str
    closing: str

    def block(self, text: str) -> str:
        """Return the lines between their marks."""
        by = "('helios agent remove' takes this out)"
        return f"{self._mark(f'{_BEGIN} {by}')}\n{text.rstrip()}\n{self._mark(_END)}\n"

    def _mark(self, text: str) -> str:
        return f"{self.opening}{text}{self.closing}"

    def place(self, content: str) -> tuple[int, int] | None:
        """Return begin and end of the marked lines in a text; None if there are none."""
        begin = content.find(f"{self.opening}{_BEGIN}")
        end = content.find(self._mark(_END), begin)
        if begin < 0 or end < 0:
            return None
        end += len(self._mark(_END))
        return begin, end + content.startswith("\n", end)


AGENTS = MarkedFile("AGENTS.md", "<!-- ", " -->")
CLAUDE = MarkedFile("CLAUDE.md", "<!-- ", " -->")
IGNORE = MarkedFile(".heliosignore", "# ", "")
MARKED = (AGENTS, CLAUDE, IGNORE)


def leads_outside(root: str, file: MarkedFile) -> bool:
    """Return True if a file of the project is a link to one elsewhere.

    Whoever works in the project may have made it, and what is written there others may run.
    """
    top = os.path.realpath(root)
    path = os.path.realpath(os.path.join(top, file.name))
    return os.path.commonpath((top, path)) != top


def put_block(root: str, file: MarkedFile, text: str) -> str:
    """Write our lines into a file of the project, in place of those from before.

    Return "made", "extended", "updated", or "" if nothing changed.  Raise HeliosError.
    """
    path = os.path.join(root, file.name)
    content = read_text(path)
    block = file.block(text)
    if content is None:
        write_text(path, block)
        return "made"
    place = file.place(content)
    if place is not None:
        changed = content[: place[0]] + block + content[place[1] :]
        if changed == content:
            return ""
        write_text(path, changed)
        return "updated"
    # One blank line before it, by which it is recognized for ours later.
    write_text(path, f"{content}\n{block}" if content else block)
    return "extended"


def take_block(root: str, file: MarkedFile, *, is_made: bool) -> bool:
    """Take our lines out of a file; return True if it had any.

    A file that was made for them (`is_made`) is removed if it has no others.
    """
    path = os.path.join(root, file.name)
    content = read_text(path)
    place = file.place(content) if content is not None else None
    if content is None or place is None:
        return False
    before, after = content[: place[0]], content[place[1] :]
    rest = before.removesuffix("\n") + after if before else after
    if rest or not is_made:
        write_text(path, rest)
    else:
        os.unlink(path)
    return True


def is_included(root: str) -> bool:
    """Return True if CLAUDE.md is AGENTS.md, or includes it, and so needs no lines of its own."""
    path = os.path.join(root, CLAUDE.name)
    with suppress(OSError):
        if os.path.samefile(path, os.path.join(root, AGENTS.name)):
            return True
    return any(line.strip() == "@AGENTS.md" for line in (read_text(path) or "").splitlines())


def read_text(path: str) -> str | None:
    """Return the text of a file, its line ends as they are; None if there is none.

    Raise HeliosError.
    """
    try:
        with open(path, encoding="utf-8", newline="") as file:
            return file.read()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except UnicodeDecodeError as error:
        raise HeliosError(f"{path} is not UTF-8: {error.reason}") from error


def write_text(path: str, text: str) -> None:
    """Write a file, to which links stay; if that fails, it is as it was.  Raise OSError."""
    path = os.path.realpath(path)
    is_there = os.path.exists(path)
    # A new file in its place would not have its other names.
    if is_there and os.stat(path).st_nlink > 1:
        with open(path, "w", encoding="utf-8", newline="") as file:
            file.write(text)
        return
    new = f"{path}.helios-new"
    written = open(new, "x", encoding="utf-8", newline="")  # noqa: SIM115 (closed below)
    try:
        with written as file:
            file.write(text)
        if is_there:
            shutil.copymode(path, new)
        os.replace(new, path)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(new)
        raise


def restore_json(path: str, old: str | None) -> bool:
    """Restore a JSON file as it was, if it still says the same; return False if it does not.

    A client leaves empty objects behind where it took its members out.
    """
    now = read_text(path)
    if now is None or now == old:
        return now == old
    try:
        if _without_empty(json.loads(now)) != _without_empty(json.loads(old or "{}")):
            return False
    except ValueError:
        return False
    if old is None:
        os.unlink(path)
        with suppress(OSError):
            os.rmdir(os.path.dirname(path))
    else:
        write_text(path, old)
    return True


def _without_empty(value: object) -> object:
    if not isinstance(value, dict):
        return value
    return {key: _without_empty(each) for key, each in value.items() if each != {}}
