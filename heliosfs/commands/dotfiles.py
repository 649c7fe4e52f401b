"""Texts of the files in `.helios` that are read without a request."""

from __future__ import annotations

from collections.abc import Callable

from heliosfs.commands.log.form import line
from heliosfs.commands.measures.stats import metrics_text, stats_text
from heliosfs.commands.operations.oplog import operation_lines
from heliosfs.commands.report.page import page_steps
from heliosfs.commands.status.conflicts import conflict_lines
from heliosfs.commands.status.status import long_status
from heliosfs.commands.table import VERBS, Verb, begin
from heliosfs.commands.visible import visible
from heliosfs.repo.repository import Repository
from heliosfs.repo.view import View
from heliosfs.repo.view_merge import open_conflicts
from heliosfs.repo.walks import Visit, by_date
from heliosfs.steps import TURN, Steps

LINES_MAX = 1000

_README = """\
This is a heliosfs workspace. Work in it as in any directory; everything that
'ls -A' shows belongs to the next commit. This directory, .helios, is found by
its name, here and in each live workspace, and not listed.

  echo fix the parser > .helios/ctl/commit   make a commit
  cat .helios/status .helios/log             what changed; the last commits
  ls .helios/snapshots/HEAD~2                an old commit, as a read-only tree
  diff -r .helios/snapshots/HEAD/src src     what changed in it since then
  echo idea-7 > .helios/ctl/branch           a branch at HEAD
  cd .helios/branches/idea-7                 its own live workspace, writable
  echo idea-7 > .helios/ctl/checkout         show it here instead
  echo --hard HEAD~1 > .helios/ctl/reset     go back, files and all
  echo > .helios/ctl/undo                    take that back, with what was lost
  echo start try-9 > .helios/ctl/experiment  a branch whose commits get scores

Every file in ctl is a channel of its own: write a line to it, read the reply
from the same descriptor. It begins with 'error: ' if the request was refused.
  exec 3<>.helios/ctl/commit; echo a message >&3; read -r id <&3
A control file that is read without a request shows its usage. ctl/command takes
any verb, and ctl/error has the last errors. 'helios VERB' does the same as the
control files, and prints the reply.

HEAD, branch, log, status, oplog, conflicts, stats: read them. diff/A..B: the
changes from A to B. grep -r and find skip the history: it lies behind links.
"""


def readme() -> str:
    """Return the instructions for this directory, which fit on a screen."""
    return _README


def head(repository: Repository, view: View) -> str:
    """Return the id of HEAD; nothing before the first commit."""
    return f"{view.head.hex()}\n" if view.head else ""


def branch(repository: Repository, view: View) -> str:
    """Return the name of the branch."""
    return f"{view.branch or '(detached)'}\n"


def status(repository: Repository, view: View) -> Steps[str]:
    """Return the status, in words."""
    return visible((yield from long_status(view, "")))


def log(repository: Repository, view: View) -> Steps[str]:
    """Return a line for each of the last commits."""
    tips = [view.head] if view.head is not None else []
    lines: list[str] = []
    for each in by_date(repository.history, tips):
        if isinstance(each, Visit):
            lines.append(line(each.oid, each.commit))
            if len(lines) == LINES_MAX:
                break
        yield TURN
    return visible("".join(lines))


def oplog(repository: Repository, view: View) -> Steps[str]:
    """Return a line for each of the last operations."""
    return visible((yield from operation_lines(view.log.listed(), LINES_MAX)))


def report(repository: Repository, view: View) -> Steps[str]:
    """Return the page of the report."""
    return page_steps(repository)


def conflicts(repository: Repository, view: View) -> str:
    """Return kind and path of each conflict of the open merge, or of the one refused last."""
    return visible(conflict_lines(open_conflicts(view)))


def helios_yaml(repository: Repository, view: View) -> str:
    """Return the settings of this repository; without any, the defaults as comments."""
    return repository.configuration.shown()


FILES: dict[str, Callable[[Repository, View], str]] = {
    "HEAD": head,
    "branch": branch,
    "conflicts": conflicts,
    "stats": stats_text,
    "metrics": metrics_text,
    "helios.yaml": helios_yaml,
}
"""Function that makes the text of a file in `.helios`, at once."""

BUILT_FILES: dict[str, Callable[[Repository, View], Steps[str]]] = {
    "status": status,
    "log": log,
    "oplog": oplog,
    "report.html": report,
}
"""Steps that make the text of a file in `.helios`, if it can take long."""

CONTENTS = {
    "HEAD": "The id of HEAD; nothing before the first commit",
    "branch": "The name of the branch",
    "status": "What differs from HEAD",
    "log": "A line for each of the last commits",
    "oplog": "A line for each of the last operations",
    "conflicts": "The kind and path of each conflict of the open merge, or of the one refused last",
    "stats": "The measures of the mount, a line each",
    "metrics": "The same for Prometheus, in its text format",
    "helios.yaml": "The settings of this repository; the defaults, as comments, while it has none",
}
"""Description of each file in `.helios`, for the reference page."""

OF_WORKING_STATE = frozenset({"status"})
"""Names of files whose reader must run the commit barrier first."""


def diff_text(repository: Repository, view: View, old: str, new: str) -> Steps[str]:
    """Return the text of `diff/OLD..NEW`; an empty side is HEAD."""
    return begin(repository, view, ["diff", old or "HEAD", new or "HEAD", "--"])


def control_usage(verb: Verb) -> str:
    """Return the text of a control file that has received no request yet."""
    ways = "".join(
        f"{'   or' if at else 'usage'}: echo {words} > .helios/ctl/{verb.name}\n"
        for at, words in enumerate(verb.synopsis)
    )
    return f"{ways}\n{verb.details}"


def command_usage() -> str:
    """Return the text of `ctl/command` while it has received no request yet."""
    lines = [f"  {name:<10} {verb.summary}" for name, verb in VERBS.items()]
    return (
        "usage: echo VERB [ARGUMENT]... > .helios/ctl/command\n"
        '   or: a line of JSON, {"argv": ["VERB", ...], "cwd": "a/directory"}\n\n'
        + "\n".join(lines)
        + "\n"
    )
