"""`python -m heliosfs.cli`: the same as `helios`, without the launcher."""

from __future__ import annotations

import sys

from heliosfs.cli.main import main

sys.exit(main())
