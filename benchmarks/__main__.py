"""`python -m benchmarks`: measure, print the table, write the JSON."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from benchmarks import (
    agents,
    backups,
    bounded,
    calls,
    fileops,
    fleet,
    forks,
    importing,
    inprocess,
    large,
    longhistory,
    memory,
    mounted,
    passes,
    polling,
    programs,
    remotes,
    storage,
    waits,
    warm,
)
from benchmarks.git import set_git_environment
from benchmarks.large import GIB
from benchmarks.measure import Plan, environment
from benchmarks.pages import updated_figures, updated_readme
from benchmarks.table import Row, document, render

BENCHMARKS: dict[str, Callable[[Plan], Iterator[Row]]] = {
    "calls": calls.calls,
    "commit": inprocess.commit,
    "verbs": inprocess.verbs,
    "L0": inprocess.working_state,
    "store": inprocess.store,
    "control": mounted.control,
    "command": mounted.command,
    "hooks": agents.hooks,
    "files": fileops.files,
    "placement": fileops.placement,
    "warm": warm.warm,
    "passes": passes.passes,
    "storage": storage.storage,
    "import": importing.importing,
    "memory": memory.memory,
    "idle": polling.idle,
    "programs": programs.programs,
    "dependencies": forks.dependencies,
    "forks": forks.forks,
    "polling": polling.polling,
    "large": large.large,
    "bounded": bounded.bounded,
    "history": longhistory.history,
    "backup": backups.backups,
    "waits": waits.waits,
    "remotes": remotes.remotes,
    "fleet": fleet.fleet,
}
LONG = {
    "programs",
    "forks",
    "polling",
    "large",
    "bounded",
    "history",
    "backup",
    "waits",
    "remotes",
    "fleet",
}
"""Benchmarks that take minutes each."""
JSON_PATH = Path(__file__).parents[1] / "build" / "benchmarks.json"


def main(argv: Sequence[str]) -> int:
    """Run the benchmarks that are asked for; return the exit code."""
    parser = _parser()
    asked = parser.parse_args(argv)
    for name in asked.names:
        if name not in BENCHMARKS:
            parser.error(f"there is no benchmark {name!r}: there are {', '.join(BENCHMARKS)}")
    if asked.list:
        for name, function in BENCHMARKS.items():
            title = (function.__doc__ or "").partition("\n")[0]
            print(f"{name:<10} {title}{' [long]' if name in LONG else ''}")
        return 0
    signal.signal(signal.SIGTERM, _stop)
    with _scratch(asked.dir) as scratch:
        plan = Plan(
            scratch,
            quick=asked.quick,
            repeats=asked.repeats,
            size_bytes=int(asked.size * GIB) if asked.size else None,
            file_count=asked.count,
        )
        _set_environment(scratch)
        where = environment(plan)
        began = time.monotonic()
        rows: list[Row] = []
        failed = [name for name in _names(asked) if not _measure(name, plan, rows)]
        where["failed"] = failed
        where["seconds"] = round(time.monotonic() - began, 1)
    print(render(rows), end="")
    asked.json.parent.mkdir(parents=True, exist_ok=True)
    asked.json.write_text(json.dumps(document(rows, where), indent=1) + "\n")
    if asked.readme is not None:
        asked.readme.write_text(updated_readme(asked.readme.read_text(), rows, where))
    if asked.page is not None:
        page = updated_figures(asked.page.read_text(), rows, where, list(BENCHMARKS))
        asked.page.write_text(page)
    print(f"{where['seconds']} s; written to {asked.json}", file=sys.stderr)
    return 1 if failed else 0


def _names(asked: argparse.Namespace) -> Sequence[str]:
    """The benchmarks to run, in their order in the table when none is named."""
    if asked.names:
        names: Sequence[str] = asked.names
        return names
    return [name for name in BENCHMARKS if asked.all or name not in LONG]


def _measure(name: str, plan: Plan, rows: list[Row]) -> bool:
    """Add the rows of a benchmark; False, with a traceback, when it failed."""
    began = time.monotonic()
    print(f"measuring {name}", file=sys.stderr, end="", flush=True)
    try:
        rows += BENCHMARKS[name](plan)
    except Exception:  # noqa: BLE001 - the others' figures are worth having
        print(file=sys.stderr)
        traceback.print_exc()
        return False
    print(f": {time.monotonic() - began:.1f} s", file=sys.stderr)
    return True


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="all but the long ones by default")
    parser.add_argument("--all", action="store_true", help="the long ones, too")
    parser.add_argument("--quick", action="store_true", help="fewer samples, smaller trees")
    parser.add_argument("--repeats", type=_count, metavar="N", help="samples for each figure")
    parser.add_argument("--size", type=float, metavar="GIB", help="of the file: large, bounded")
    parser.add_argument("--count", type=_count, metavar="N", help="files in the tree of bounded")
    parser.add_argument("--json", type=Path, default=JSON_PATH, metavar="FILE")
    parser.add_argument(
        "--dir",
        default=os.environ.get("TMPDIR", "/var/tmp"),
        help="a directory on the disk to measure ($TMPDIR, or /var/tmp)",
    )
    parser.add_argument(
        "--readme", type=Path, metavar="FILE", help="write the most important into this page, too"
    )
    parser.add_argument(
        "--page", type=Path, metavar="FILE", help="write all of them into this page, too"
    )
    parser.add_argument("--list", action="store_true", help="name the benchmarks")
    return parser


def _count(text: str) -> int:
    count = int(text)
    if count < 1:
        raise ValueError(text)
    return count


def _stop(number: int, frame: FrameType | None) -> None:
    """Let every mount be unmounted on the way out."""
    raise SystemExit(128 + number)


@contextmanager
def _scratch(directory: str) -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="heliosfs-benchmarks-", dir=directory)).resolve()
    try:
        yield path
    finally:
        shutil.rmtree(path)


def _set_environment(scratch: Path) -> None:
    """Nothing of the user's is read, and nothing is written outside of the scratch directory."""
    set_git_environment()
    os.environ["PYTHONPATH"] = str(Path(__file__).parents[1])
    os.environ["npm_config_cache"] = str(scratch / "npm")  # noqa: SIM112 - the name that npm reads
    os.environ["XDG_STATE_HOME"] = str(scratch / "state")
    os.environ["HELIOS_AUTHOR_NAME"] = "bench"
    os.environ["HELIOS_AUTHOR_EMAIL"] = "bench@example.org"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
