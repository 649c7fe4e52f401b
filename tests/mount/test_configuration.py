"""The configuration of a mount: what is read at the start, and what changes while it runs."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
from pathlib import Path

import pytest

from heliosfs import mounttable
from heliosfs.fuse.idle_cpus import DEVICE, openable
from tests.mount.conftest import Mounted, Mounter

MIB = 1024**2


def measures(mounted: Mounted) -> dict[str, float]:
    document: dict[str, float] = json.loads(mounted.helios("stats", "--json"))
    return document


@pytest.fixture(autouse=True)
def config_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return tmp_path / "config"


def test_set_takes_effect_on_the_running_mount(mounted: Mounted) -> None:
    for number in range(24):
        (mounted.path / f"{number}").write_bytes(os.urandom(MIB))
    assert measures(mounted)["content_resident_bytes"] >= 24 * MIB
    mounted.helios("config", "set", "performance.working_set", "16MB")
    after = measures(mounted)
    assert after["content_budget_bytes"] == 16 * MIB
    assert after["content_resident_bytes"] <= 16 * MIB
    assert (mounted.path / "0").stat().st_size == MIB
    mounted.control("config", "set performance.l1_cache_size 64MB\n")
    assert measures(mounted)["cache_capacity_bytes"] == 64 * MIB
    shown = (mounted.path / ".helios" / "helios.yaml").read_text()
    assert shown == "performance:\n  working_set: 16MB\n  l1_cache_size: 64MB\n"


def test_commits_are_safe_when_answered_once_that_is_set(mounted: Mounted) -> None:
    mounted.helios("config", "set", "durability", "sync")
    for number in range(3):
        (mounted.path / "file").write_text(str(number))
        mounted.commit(f"commit {number}")
    assert mounted.helios("config", "get", "durability.mode") == "sync\n"
    mounted.kill9()
    mounted.mount()
    assert mounted.helios("log", "--oneline").count("\n") == 3
    assert mounted.helios("config", "get", "durability.mode") == "sync\n"


def test_idle_cpus_are_the_daemons_business_only_where_it_pays(mounted: Mounted) -> None:
    opened = set()
    for each in Path(f"/proc/{mounted.pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            opened.add(os.readlink(each))
    assert (DEVICE in opened) == openable()
    for number in range(200):
        (mounted.path / f"{number}").touch()
    mounted.helios("config", "set", "performance.keep_cpus_awake", "false")
    assert mounted.helios("config", "get", "performance.keep_cpus_awake") == "false\n"


def test_the_file_keeps_its_comments_and_outlives_the_mount(mounted: Mounted) -> None:
    mounted.unmount()
    file = mounted.path / ".helios" / "helios.yaml"
    file.write_text("# ours\nperformance:\n  compression: zstd   # small\n")
    mounted.mount()
    assert mounted.helios("config", "get", "performance.compression") == "zstd\n"
    mounted.helios("config", "set", "performance.compression", "lz4")
    text = "# ours\nperformance:\n  compression: lz4   # small\n"
    assert (mounted.path / ".helios" / "helios.yaml").read_text() == text
    mounted.unmount()
    assert file.read_text() == text
    mounted.helios("config", "set", "performance.compression", "zstd")
    assert file.read_text() == text.replace("lz4", "zstd")


def test_a_broken_file_mounts_nothing(mounter: Mounter, config_home: Path) -> None:
    mounted = mounter(start=False)
    file = config_home / "heliosfs" / "helios.yaml"
    file.parent.mkdir(parents=True)
    file.write_text("performance:\n  l1_cache_size: 2QB\n")
    done = mounted.command("mount", str(mounted.path), cwd=Path("/"))
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == (
        f"helios: {file} line 2: performance.l1_cache_size: "
        "'2QB' is not a size such as 512MB or 2GB\n"
    )
    assert mounttable.mount_at(str(mounted.path)) is None
    file.write_text("performance:\n  l1_cache_size: 2GB\n")
    mounted.mount()
    assert measures(mounted)["cache_capacity_bytes"] == 2048 * MIB


def test_the_file_cannot_be_written_through_the_mount(mounted: Mounted) -> None:
    path = mounted.path / ".helios" / "helios.yaml"
    assert path.read_text().startswith("# ")
    with pytest.raises(PermissionError):
        path.write_text("durability: sync\n")
    refused = mounted.command("config", "set", "performance.zzz", "1")
    assert refused.returncode == 2
    assert refused.stderr == "helios: performance.zzz: unknown key\n"


def test_measures_of_a_mount(mounted: Mounted) -> None:
    for number in range(4):
        (mounted.path / "file").write_text(str(number))
        mounted.commit("a commit")
    found = measures(mounted)
    assert found["commit_count"] == found["commits_per_hour"] == 4
    assert 0 < found["commit_latency_p50"] <= found["commit_latency_p99"] < 10
    assert 10 * MIB < found["memory_usage"] < 500 * MIB
    assert found["active_snapshots"] == 0
    with open(mounted.path / ".helios" / "snapshots" / "HEAD~1" / "file") as file:
        assert file.read() == "2"
        assert measures(mounted)["active_snapshots"] == 1
    dot = mounted.path / ".helios"
    lines = (dot / "stats").read_text().splitlines()
    shown = subprocess.run(
        ["grep", "commit_latency", dot / "stats"], capture_output=True, text=True, check=True
    )
    assert shown.stdout.splitlines() == lines[:3]
    assert "heliosfs_commit_latency_seconds_count 4\n" in (dot / "metrics").read_text()


def test_the_doctor_knows_the_mount(mounted: Mounted) -> None:
    mounted.helios("config", "set", "storage.pebbledb.write_buffer_size", "512MB")
    done = mounted.command("doctor", "--json")
    assert done.returncode == 0, done.stdout
    findings = {each["subject"]: each["text"] for each in json.loads(done.stdout)}
    assert findings["workspace"] == f"{mounted.path} is mounted, served by process {mounted.pid}"
    assert findings["log"] == str(mounted.log)
    assert findings["configuration"].startswith("1 key set in helios.yaml; 1 of them without")
