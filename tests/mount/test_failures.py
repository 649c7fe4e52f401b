"""Failures of the parts below a mount: the errno says so, and the mount goes on."""

from __future__ import annotations

import os
import random
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.mount.programs import errno_of, names, put

if TYPE_CHECKING:
    from tests.mount.conftest import Mounted

BYTES = random.Random(1).randbytes(50_000)
"""Bytes that no compression makes shorter, and so can be found in the store as they are."""


def damage(mounted: Mounted, data: bytes) -> None:
    """Change a byte of what the store keeps, wherever these bytes lie in it."""
    found = 0
    for path in Path(mounted.path / ".helios").rglob("*"):
        if path.is_file():
            stored = path.read_bytes()
            at = stored.find(data)
            while at >= 0:
                found += 1
                with open(path, "r+b") as file:
                    file.seek(at)
                    file.write(bytes([stored[at] ^ 0xFF]))
                at = stored.find(data, at + 1)
    assert found


@pytest.fixture
def damaged(mounted: Mounted) -> Mounted:
    """A workspace with one file whose content was damaged in the store, and one sound file."""
    (mounted.path / "broken").write_bytes(BYTES)
    put(mounted.path / "sound", "sound\n")
    mounted.commit("one")
    mounted.unmount()
    damage(mounted, BYTES[20_000:20_100])
    mounted.mount()
    return mounted


def test_a_damaged_object_is_eio_and_never_other_bytes(damaged: Mounted) -> None:
    path = damaged.path / "broken"
    assert path.stat().st_size == len(BYTES)
    for _ in range(2):
        assert errno_of(path.read_bytes) == "EIO"
    assert errno_of((damaged.path / ".helios/snapshots/HEAD/broken").read_bytes) == "EIO"
    assert (damaged.path / "sound").read_text() == "sound\n"
    assert names(damaged.path) == ["broken", "sound"]


def test_a_workspace_with_a_damaged_file_can_be_worked_in(damaged: Mounted) -> None:
    put(damaged.path / "new", "new\n")
    damaged.commit("two")
    (damaged.path / "broken").write_bytes(b"whole again")
    damaged.commit("three")
    assert (damaged.path / "broken").read_bytes() == b"whole again"
    damaged.control("reset", "--hard HEAD~1\n")
    assert errno_of((damaged.path / "broken").read_bytes) == "EIO"
    damaged.control("undo", "\n")
    assert (damaged.path / "broken").read_bytes() == b"whole again"
    damaged.remount()
    assert (damaged.path / "broken").read_bytes() == b"whole again"


def test_a_damaged_file_can_be_moved_linked_and_removed(damaged: Mounted) -> None:
    os.rename(damaged.path / "broken", damaged.path / "moved")
    os.link(damaged.path / "moved", damaged.path / "linked")
    (damaged.path / "moved").chmod(0o600)
    damaged.commit("moved")
    (damaged.path / "moved").unlink()
    os.truncate(damaged.path / "linked", 0)
    (damaged.path / "linked").unlink()
    damaged.commit("removed")
    assert names(damaged.path) == ["sound"]


def test_a_workspace_whose_head_is_damaged_is_mounted(mounted: Mounted) -> None:
    """The working state has a tree of its own, and the other branches have theirs."""
    put(mounted.path / "a", "1\n")
    first = mounted.commit("one")
    mounted.helios("branch", "other")
    put(mounted.path / "a", "2\n")
    message = random.Random(2).randbytes(400).hex()
    second = mounted.commit(message)
    put(mounted.path / "b", "uncommitted\n")
    mounted.unmount()
    damage(mounted, message[100:120].encode())
    mounted.mount()
    assert f"{second[:12]}, the HEAD of branch 'main', cannot be read" in mounted.told
    assert ((mounted.path / "a").read_text(), (mounted.path / "b").read_text()) == (
        "2\n",
        "uncommitted\n",
    )
    refused = mounted.command("status")
    assert refused.returncode == 1
    assert "'helios reset REV' leads it to another commit" in refused.stderr
    put(mounted.path / ".helios/branches/other/c", "3\n")
    mounted.commit("three", view=".helios/branches/other")
    mounted.helios("reset", first)
    assert mounted.helios("status", "-s") == " M a\n A b\n"
    mounted.commit("two again")
    mounted.remount()
    assert "cannot be read" not in mounted.told
