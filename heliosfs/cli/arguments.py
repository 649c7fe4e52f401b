"""An argument parser that raises UsageError, and accepts no abbreviated options."""

from __future__ import annotations

import argparse
from typing import Any, NoReturn

from heliosfs.errors import UsageError


class LocalVerbParser(argparse.ArgumentParser):
    """Parser of the arguments of a verb that the command line carries out itself."""

    def __init__(self, **options: Any) -> None:
        super().__init__(
            formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False, **options
        )

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}; see '{self.prog} --help'")
