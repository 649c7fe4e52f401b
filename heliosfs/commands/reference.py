"""Reference page of the control files, made from the table of verbs.

`python -m heliosfs.commands.reference` prints docs/reference/control-files.md.
"""

from __future__ import annotations

import errno
import sys
from collections.abc import Iterator

from heliosfs.commands.dotfiles import CONTENTS
from heliosfs.commands.table import VERBS, Verb
from heliosfs.errors import HeliosError, PosixError

_INTRODUCTION = """\
# Control files

Every workspace has a directory `.helios/ctl` with a file for each verb. (`.helios` is found by
its name; `ls` does not show it.) A request is written to a control file, and the reply is read
from the same descriptor. The command line (`helios VERB`) sends
the same words to the same code: this page describes both.

<!-- Made by `python -m heliosfs.commands.reference` from the table of verbs. -->

## Requests and replies

- `ctl/commit` takes text: the message. `echo fix the parser > .helios/ctl/commit`. The message
  is complete when the file is flushed (a program closes it), read or synced: a message of
  several lines that a shell writes in pieces is one commit. The reply is the id of the commit as
  64 hex digits and a newline. Read without a request, the file gives HEAD.
- Every other control file takes lines: the words of the verb, as on the command line, without its
  name. `echo --hard HEAD~1 > .helios/ctl/reset`; no words at all: `echo > .helios/ctl/undo`. A line
  is carried out at its newline, within `write`. Read without a request, the file gives the usage of
  its verb.
- `ctl/command` takes any verb: `echo log --oneline -5 > .helios/ctl/command`.
- Each open file is a channel of its own: its reply is complete and answers its own request,
  whatever others write meanwhile. `exec 3<>.helios/ctl/command; echo status >&3; cat <&3`.
- A refused request changes nothing. `write` fails with the errno (`ctl/commit`: `close` may), and
  the reply begins with `error: `, or with `error: usage: ` where the request was wrong in
  itself. It is one line; that of a merge with conflicts names each of them on a line
  more, and the ways to continue. `ctl/error` lists the last errors.
- A verb acts on the view whose `.helios` the file is in: the mount point, or the live workspace
  of a branch. It is there when the verb has replied; nothing has to be waited for.
- A request has at most 64 KiB, no NUL byte, and is UTF-8.
- A long verb, which its section calls so, holds nobody up: other verbs and all file requests go
  on beside it, up to its last step. One runs at a time; a second one is refused with EBUSY. A
  signal that ends programs (Ctrl-C) ends it with EINTR, and so does the end of the mount.

A line is words, quoted as in a shell, or JSON where quoting is in the way: a list of words, or
an object that also tells where relative paths begin.

    {"argv": ["diff", "HEAD~1", "--", "a file"], "cwd": "src"}

With `"branch": "idea-7"` in such an object, the verb acts on that branch, wherever the control file
is: in a container, that sees the workspace but not the control files of a new live view.

With `--json` the reply is one JSON document, whose [fields are listed](json.md). Times are
ISO 8601 with seconds since the epoch beside them, ids are full. Bytes of a path or a message that
are no UTF-8 come as lone surrogates (`\\udc80` to `\\udcff`, PEP 383): Python's `os.fsencode`
gives the bytes back.

A refusal is JSON as well then: `{"error": "no branch 'x'", "errno": "ENOENT"}`, on one line, on
standard output, where a program that asked for JSON reads; the exit code tells it from a reply. A
merge with conflicts adds `conflicts` and `ways`. From a control file it comes after `error: `.

With `"progress": true` in such an object, `write` returns before a long verb is done. Each read
then gives a line, until it is done and the reply follows; closing the descriptor ends the verb:

    progress: {"done": 120, "total": 4000, "unit": "commits", "objects": 2600}

With `"exit": true` in it, a reply begins with a line `exit: 0`, or `exit: 1` where the section
of its verb says so: nothing matched, something differs. It is the exit code of the command line,
which ends such a verb with 2 if it is refused.

With `"color": true` in it, a reply has the colours that `git` would give it, as with `--color`,
unless the words say no; without, it has none, wherever it goes. `"columns": 120` is the width of
a terminal that shows it, which counts for `--stat`, and lets `log` name branches and tags. For a
terminal, control characters of messages, names and files are shown (`^[`, `<U+202E>`); errors and
the words in `.helios/log`, `oplog`, `status` and `conflicts` have them so wherever they go.

In text, a path with bytes outside of printable ASCII, quotes or backslashes is in C quotes, as in
git (`core.quotePath`): `"gr\\303\\274n"`. With `-z` and `--json` it is not.

Paths are git's pathspecs: a name stands for all below it; `*`, `?` and `[` make a pattern, in
which `*` matches slashes too; `:!PATH` or `:(exclude)PATH` leaves out, `:(glob)`, `:(icase)`,
`:(literal)` and `:/` mean what they do in git. What is put aside, staged, restored or committed
by a pattern is what matches and differs.
"""


def page() -> str:
    """Return the page in Markdown."""
    parts = [_INTRODUCTION, _errors(), _files()]
    parts += [_verb(verb) for verb in VERBS.values()]
    return "\n".join(parts)


def _errors() -> str:
    rows = {_meaning(kind): _errno_name(kind) for kind in _subclasses(HeliosError)}
    lines = [f"| {name} | {meaning} |" for meaning, name in rows.items()]
    head = "## Errors\n\n| errno | meaning |\n|---|---|\n"
    return head + "\n".join(sorted(lines)) + "\n"


def _files() -> str:
    lines = [f"| `{name}` | {text} |" for name, text in CONTENTS.items()]
    head = "## What can be read in `.helios`\n\n| file | content |\n|---|---|\n"
    return head + "\n".join(lines) + "\n"


def _verb(verb: Verb) -> str:
    lines = [f"## {verb.name}", "", _sentence(verb.summary), ""]
    lines += [f"    helios {verb.name} {words}".rstrip() for words in verb.synopsis]
    lines += ["", verb.description, ""]
    if verb.is_long:
        lines += ["A long verb.", ""]
    lines += ["| option | |", "|---|---|"]
    lines += [f"| `{each.synopsis}` | {each.summary} |" for each in verb.options]
    lines += ["", "| errno | when |", "|---|---|"]
    lines += [f"| {name} | {when} |" for name, when in verb.errors]
    if verb.exit_codes:
        lines += ["", f"The exit code is 1 when: {verb.exit_codes}."]
    lines += ["", *_example(verb), ""]
    return "\n".join(lines)


def _example(verb: Verb) -> Iterator[str]:
    words = f" {verb.example}" if verb.example else ""
    if verb.name == "commit":
        yield "    echo fix the parser > .helios/ctl/commit"
    elif verb.control_file:
        yield f"    echo{words} > .helios/ctl/{verb.name}"
    yield f"    helios {verb.name}{words}"


def _subclasses(kind: type[HeliosError]) -> Iterator[type[HeliosError]]:
    for each in kind.__subclasses__():
        if each is not PosixError and each.__module__ == HeliosError.__module__:
            yield each
            yield from _subclasses(each)


def _errno_name(kind: type[HeliosError]) -> str:
    return errno.errorcode[kind.errno]


def _meaning(kind: type[HeliosError]) -> str:
    return (kind.__doc__ or "").split("\n", 1)[0].rstrip(".")


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


if __name__ == "__main__":
    sys.stdout.write(page())
