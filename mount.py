#!/usr/bin/env python3
"""Mount a workspace on a fresh machine: ./mount.py DIR (see --help)."""

import os
import sys

if sys.version_info < (3, 10):
    sys.exit("helios: needs Python 3.10 or later, this is %d.%d" % sys.version_info[:2])

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))

from heliosfs.cli.bootstrap import main

sys.exit(main(["mount", *sys.argv[1:]]))
