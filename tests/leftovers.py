"""Ends every mount and daemon that was left below a directory: `python -m tests.leftovers DIR`.

Exit code 1, and a line for each, when there were any.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from heliosfs.mounttable import mounts


def main(directory: str) -> int:
    below = os.path.realpath(directory) + "/"
    found = [mount.path for mount in mounts() if mount.path.startswith(below)]
    for path in reversed(found):
        print(f"left mounted: {path}", file=sys.stderr)
        subprocess.run(["fusermount3", "-uz", path], check=False)
    daemons = list(_daemons(Path(below)))
    for pid in daemons:
        print(f"left running: {pid}", file=sys.stderr)
        os.kill(pid, signal.SIGKILL)
    return 1 if found or daemons else 0


def _daemons(below: Path) -> Iterator[int]:
    """Yield the daemons that live, each of which holds the lock of its run file."""
    for path in below.rglob("state/heliosfs/*.json"):
        with open(path) as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                # A line for each thing that became known of it.
                yield int(json.loads(file.readline())["pid"])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
