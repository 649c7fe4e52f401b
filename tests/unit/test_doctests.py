"""The examples in the docstrings are true."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import heliosfs


def test_examples() -> None:
    attempted = 0
    for found in pkgutil.walk_packages(heliosfs.__path__, "heliosfs."):
        if not found.name.endswith("__main__"):
            result = doctest.testmod(importlib.import_module(found.name))
            assert not result.failed, found.name
            attempted += result.attempted
    assert attempted > 20
