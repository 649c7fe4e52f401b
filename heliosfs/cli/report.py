"""`helios report`: the page, written where the user says.

In a mounted workspace it is the content of `.helios/report.html`; otherwise it is made from the
store.
"""

from __future__ import annotations

import os
import sys

from heliosfs.cli.client import current_directory, repository_over, with_repository
from heliosfs.cli.locate import find_view
from heliosfs.commands.options import Options
from heliosfs.errors import UsageError

_PAGE = os.path.join(".helios", "report.html")


def report(argv: list[str], options: Options) -> int:
    """Write the page, and return the exit code.  Raise NotFound, StoreError or UsageError."""
    options.at_most(1)
    out = options.words[0] if options.words else "-"
    if out == "-" and sys.stdout.isatty():
        raise UsageError(
            "name the file to write: helios report FILE, or > FILE; "
            "a mounted workspace has it as .helios/report.html"
        )
    page = _page(current_directory())
    if out == "-":
        sys.stdout.buffer.write(page)
        return 0
    with open(out, "wb") as file:
        file.write(page)
    if "quiet" not in options:
        print(f"{out}: {len(page) / 1e6:.1f} MB, for any browser")
    return 0


def _page(where: str) -> bytes:
    view = find_view(where)
    if view is not None:
        with open(os.path.join(view.root, _PAGE), "rb") as file:
            return file.read()
    place = repository_over(where)
    from heliosfs.commands.report.page import page_steps
    from heliosfs.steps import run_to_end

    return with_repository(place, lambda each: run_to_end(page_steps(each), each.store)).encode()
