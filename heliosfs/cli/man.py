"""`helios man`: a manual page for each verb, made from the table of verbs (man(7)).

`setup.py` puts them into the wheel (`share/man/man1`), for which nothing is needed but Python.
"""

from __future__ import annotations

import os
from argparse import RawDescriptionHelpFormatter
from collections.abc import Iterator, Sequence
from functools import partial

from heliosfs import __version__
from heliosfs.cli.arguments import LocalVerbParser
from heliosfs.cli.local_verbs import LOCAL_VERBS
from heliosfs.commands.table import VERBS
from heliosfs.commands.verb import Verb

_HEAD = '.TH "{title}" "1" "" "heliosfs {version}" "heliosfs"'
"""Header of a page.  It has no date, so that the same sources make the same pages."""
_ESCAPES = {"\\": r"\e", "-": r"\-", "^": r"\(ha", "~": r"\(ti", "`": r"\(ga", "'": r"\(aq"}
_COLUMNS = 78
_DEFAULT = "~/.local/share/man/man1"


def man_parser() -> LocalVerbParser:
    """Return the parser of the arguments of `helios man`."""
    parser = LocalVerbParser(
        prog="helios man",
        description="Write manual pages for helios and for each of its verbs, so that man(1) "
        "finds them:\n'man helios-commit'. A wheel installed with pip, uv or pipx has them.",
    )
    parser.add_argument(
        "directory", metavar="DIR", nargs="?", default=_DEFAULT, help=f"default: {_DEFAULT}"
    )
    return parser


def man(argv: Sequence[str]) -> int:
    """Run `helios man` and return the exit code."""
    directory = os.path.expanduser(man_parser().parse_args(argv).directory)
    os.makedirs(directory, exist_ok=True)
    count = 0
    for name, text in pages():
        with open(os.path.join(directory, name), "w", encoding="utf-8") as file:
            file.write(text)
        count += 1
    print(f"{count} pages written to {directory}")
    return 0


def pages() -> Iterator[tuple[str, str]]:
    """Yield the name and the text of every page."""
    yield "helios.1", _overview()
    for verb in VERBS.values():
        yield f"helios-{verb.name}.1", _verb(verb)
    for name, local in LOCAL_VERBS.items():
        parser = local.parser()
        # As wide on every terminal.
        parser.formatter_class = partial(RawDescriptionHelpFormatter, width=_COLUMNS)
        yield f"helios-{name}.1", _local(name, local.summary, parser.format_help())


def _verb(verb: Verb) -> str:
    parts = [
        *_begin(f"helios-{verb.name}", verb.summary),
        ".SH SYNOPSIS",
        *_lines([f"helios {verb.name} {words}".rstrip() for words in verb.synopsis]),
        ".SH DESCRIPTION",
        *map(_text, verb.description.splitlines()),
        ".SH OPTIONS",
    ]
    for option in (*verb.options, verb.help):
        parts += [".TP", rf"\fB{_plain(option.synopsis)}\fR", _text(option.summary)]
    parts.append(".SH EXIT STATUS")
    if verb.exit_codes:
        parts += [_text(f"1: {verb.exit_codes}."), ".br", _text("2: refused, or wrong usage.")]
    else:
        parts.append(_text("1 if it is refused, 2 for wrong usage."))
    parts.append(".SH ERRORS")
    for name, when in verb.errors:
        parts += [".TP", rf"\fB{_plain(name)}\fR", _text(when)]
    example = f"helios {verb.name} {verb.example}".rstrip()
    parts += [".SH EXAMPLE", *_lines([example]), *_end()]
    return "\n".join(parts) + "\n"


def _local(name: str, summary: str, help_text: str) -> str:
    shown = [".SH USAGE", *_lines(help_text.splitlines())]
    return "\n".join([*_begin(f"helios-{name}", summary), *shown, *_end()]) + "\n"


def _overview() -> str:
    parts = [
        *_begin("helios", "a file system for coding agents, with commits and branches in it"),
        ".SH SYNOPSIS",
        *_lines(["helios [-C DIR] [-c KEY=VALUE] [-P | -p] VERB [ARGUMENT]..."]),
        ".SH DESCRIPTION",
        _text("A verb acts on the workspace that the current directory is in, or DIR after -C."),
        ".SH VERBS",
    ]
    summaries = {name: local.summary for name, local in LOCAL_VERBS.items()}
    summaries |= {name: verb.summary for name, verb in VERBS.items()}
    for name, summary in summaries.items():
        parts += [".TP", rf"\fBhelios\-{_plain(name)}\fR(1)", _text(summary)]
    return "\n".join(parts) + "\n"


def _begin(title: str, summary: str) -> list[str]:
    head = _HEAD.format(title=title.upper(), version=__version__)
    return [head, ".nh", ".ad l", ".SH NAME", rf"{_plain(title)} \- {_plain(summary)}"]


def _end() -> list[str]:
    return [".SH SEE ALSO", r"\fBhelios\fR(1)"]


def _lines(lines: Sequence[str]) -> list[str]:
    """Return the text as lines that are not filled."""
    return [".nf", *map(_text, lines), ".fi"]


def _text(line: str) -> str:
    """Return a line of text, guarded where it begins like a request of roff."""
    shown = _plain(line)
    return rf"\&{shown}" if shown.startswith(".") else shown


def _plain(text: str) -> str:
    """Return the text with the characters of roff's escapes escaped (groff_char(7))."""
    return "".join(
        _ESCAPES.get(each, each) if each.isascii() else f"\\[u{ord(each):04X}]" for each in text
    )
