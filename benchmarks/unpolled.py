"""`python -m benchmarks.unpolled mount …`: helios, but its loop goes to sleep without polling."""

from __future__ import annotations

import sys

from heliosfs.cli.main import main
from heliosfs.fuse import loop

if __name__ == "__main__":
    loop.POLL_NS = 0
    sys.exit(main())
