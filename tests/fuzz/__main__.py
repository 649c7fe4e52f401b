"""Run a harness: `python -m tests.fuzz NAME --seconds 60`; without a name, list them.

With atheris (`pip install atheris`), inputs are chosen by the lines that they reach; without, they
are mutations of the corpus by a seed.  What fails is written to `--crashes` and shown.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from tests.fuzz.harness import INPUT_MAX_BYTES, Harness
from tests.fuzz.mutations import mutations

MEMORY_MAX_MB = 1024


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("name", nargs="?", help="harness, or `all`")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--crashes", type=Path, default=Path(tempfile.gettempdir()) / "crashes")
    parser.add_argument("--plain", action="store_true", help="do not use atheris")
    given = parser.parse_args()
    if given.name is None:
        print("\n".join(_table()))
        return 0
    given.crashes.mkdir(parents=True, exist_ok=True)
    if given.name != "all":
        return _fuzz(_table()[given.name], given)
    return max(_mutate(harness, given) for harness in _table().values())


def _table() -> dict[str, Harness]:
    # Imported after atheris, which only sees what is imported through it.
    from tests.fuzz.table import HARNESSES

    return HARNESSES


def _fuzz(harness: Harness, given: argparse.Namespace) -> int:
    atheris: Any = sys.modules.get("atheris")
    if given.plain or atheris is None:
        return _mutate(harness, given)
    with tempfile.TemporaryDirectory() as corpus:
        for number, data in enumerate(harness.inputs()):
            Path(corpus, str(number)).write_bytes(data)
        options = [
            f"-max_total_time={int(given.seconds)}",
            f"-max_len={INPUT_MAX_BYTES}",
            f"-seed={given.seed}",
            f"-rss_limit_mb={MEMORY_MAX_MB}",
            f"-artifact_prefix={given.crashes}/{harness.name}-",
            "-timeout=10",
            "-print_final_stats=1",
        ]
        atheris.Setup([sys.argv[0], *options, corpus], _one(harness))
        atheris.Fuzz()
    return 0


def _one(harness: Harness) -> Callable[[bytes], None]:
    def one(data: bytes) -> None:
        try:
            harness.run(data)
        except harness.refuses:
            pass

    return one


def _mutate(harness: Harness, given: argparse.Namespace) -> int:
    begin, count, failures = time.monotonic(), 0, set()
    inputs = harness.inputs()
    for round_number in itertools.count():
        for data in mutations(inputs, harness.words, given.seed + round_number, 200):
            count += 1
            try:
                harness.check(data)
            except Exception as error:  # noqa: BLE001
                where = traceback.extract_tb(error.__traceback__)[-1]
                kind = type(error).__name__, where.filename, where.lineno
                if kind not in failures:
                    failures.add(kind)
                    path = given.crashes / f"{harness.name}-{hashlib.sha256(data).hexdigest()[:12]}"
                    path.write_bytes(data)
                    print(f"{harness.name}: {path}")
                    traceback.print_exc()
        if time.monotonic() - begin > given.seconds:
            break
    print(f"{harness.name}: {count} executions, {len(failures)} kinds of failure")
    return int(bool(failures))


if __name__ == "__main__":
    if "--plain" not in sys.argv:
        try:
            atheris: Any = import_module("atheris")
        except ImportError:
            pass
        else:
            with atheris.instrument_imports(include=["heliosfs"]):
                _table()
    sys.exit(main())
