"""The handshake of a mount: which flags the kernel is told, and what a refusal looks like."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from heliosfs.errors import HeliosError
from heliosfs.fuse.handshake import Connection, chosen

AUTO_INVAL_DATA = 1 << 12
CACHE_SYMLINKS = 1 << 23
EXPLICIT_INVAL_DATA = 1 << 25
OTHER = 1 << 5


def test_the_kernel_keeps_what_it_has() -> None:
    offered = AUTO_INVAL_DATA | CACHE_SYMLINKS | EXPLICIT_INVAL_DATA | OTHER
    answered = AUTO_INVAL_DATA | OTHER
    assert chosen(answered, offered) == CACHE_SYMLINKS | EXPLICIT_INVAL_DATA | OTHER


def test_an_old_kernel_is_asked_for_nothing_that_it_does_not_have() -> None:
    assert chosen(AUTO_INVAL_DATA | OTHER, AUTO_INVAL_DATA | OTHER) == OTHER


def test_a_mount_that_is_refused_says_why(tmp_path: Path) -> None:
    before = os.listdir("/proc/self/fd")
    with pytest.raises(HeliosError, match=r"cannot mount at .*/none: .*[Nn]o such file"):
        Connection(str(tmp_path / "none"), {"fsname=test"})
    assert len(os.listdir("/proc/self/fd")) == len(before)
