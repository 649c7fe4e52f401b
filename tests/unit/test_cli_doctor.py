"""`helios doctor`: what it finds, from what the machine says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from heliosfs.cli import doctor as doctor_module
from heliosfs.cli.doctor import BAD, HINT, OK, Finding, doctor, examine, memory_limit_bytes
from heliosfs.cli.main import main

GIB = 1024**3


def found(directory: Path) -> dict[str, Finding]:
    return {finding.subject: finding for finding in examine(str(directory))}


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


def test_outside_of_a_workspace(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    findings = found(tmp_path)
    assert findings["workspace"] == Finding("workspace", OK, f"{tmp_path} is in no workspace")
    assert findings["configuration"].text == "the defaults"
    assert "MB free" in findings["disk"].text
    doctor([str(tmp_path), "--json"])
    document = json.loads(capsys.readouterr().out)
    assert [each["subject"] for each in document] == list(findings)
    assert {each["state"] for each in document} <= {OK, HINT, BAD}


def test_a_workspace_that_is_not_mounted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ws = tmp_path / "ws"
    assert main(["init", str(ws)]) == 0
    capsys.readouterr()
    findings = found(ws)
    assert findings["workspace"].text.startswith(f"{ws} is not mounted: ")
    assert findings["store"] == Finding("store", OK, "format 3")
    (ws / ".helios" / "helios.yaml").write_text("performance: {working_set: 900GB}\n")
    findings = found(ws)
    assert findings["configuration"].text == "1 key set in helios.yaml"
    assert findings["memory"].state == HINT
    (ws / ".helios" / "helios.yaml").write_text("zzz: 1\n")
    assert found(ws)["configuration"] == Finding(
        "configuration", BAD, "helios.yaml line 1: zzz: unknown key"
    )
    assert doctor([str(ws)]) == 1
    (ws / ".helios" / "format").write_text("heliosfs store\nversion 99\n")
    assert found(ws)["store"].state == BAD


def test_everything_in_the_store_is_read_if_asked(tmp_path: Path) -> None:
    ws = tmp_path / "ws"
    assert main(["init", str(ws)]) == 0
    findings = {each.subject: each for each in examine(str(ws), reads_all=True)}
    assert findings["objects"] == Finding(
        "objects", OK, "0 commits, 0 operations, 0 objects: all sound"
    )
    assert "objects" not in found(ws)
    (ws / ".helios" / "store.lmdb").write_bytes(b"no store at all" * 1000)
    findings = {each.subject: each for each in examine(str(ws), reads_all=True)}
    assert findings["objects"].state == BAD


def test_the_users_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "config" / "heliosfs" / "helios.yaml"
    path.parent.mkdir(parents=True)
    path.write_text("durability: sync\nstorage: {pebbledb: {x: 1}}\n")
    text = found(tmp_path)["configuration"].text
    assert text.startswith(f"2 keys set in {path}; 1 of them without effect")
    path.write_bytes(b"\xff")
    finding = found(tmp_path)["configuration"]
    assert (finding.state, str(path) in finding.text) == (BAD, True)


@pytest.mark.parametrize(
    ("setting", "cpu_info", "state"),
    [
        ("200000\n", "flags : hypervisor", OK),
        ("50000\n", "flags : hypervisor", HINT),
        (None, "flags : fpu hypervisor", HINT),
        (None, "flags : fpu", OK),
        (None, None, OK),
    ],
)
def test_halted_cpus(setting: str | None, cpu_info: str | None, state: str) -> None:
    assert doctor_module._halt_poll(setting, cpu_info).state == state


def test_cpus_that_a_mount_keeps_awake_need_no_advice() -> None:
    finding = doctor_module._halt_poll("0\n", "flags : hypervisor", are_kept_awake=True)
    assert finding.state == OK
    assert "performance.keep_cpus_awake" in finding.text


@pytest.mark.parametrize(
    ("release", "state"), [("6.18.4-x1", OK), ("5.4.0", OK), ("5.3-rc1", HINT), ("4.19.0", HINT)]
)
def test_kernels(release: str, state: str) -> None:
    assert doctor_module._kernel(release).state == state


def test_memory_limits_of_both_versions_of_control_groups() -> None:
    files = {
        "/proc/meminfo": "MemTotal:       8388608 kB\nMemFree: 1 kB\n",
        "/proc/self/cgroup": "0::/a/b\n",
        "/sys/fs/cgroup/a/b/memory.max": "max\n",
        "/sys/fs/cgroup/a/memory.max": f"{2 * GIB}\n",
    }

    def read(path: str) -> str | None:
        return files.get(path)

    assert memory_limit_bytes(read) == 2 * GIB
    files["/proc/self/cgroup"] = "5:cpu:/x\n4:memory:/c\n0::/\n"
    files["/sys/fs/cgroup/memory/c/memory.limit_in_bytes"] = f"{3 * GIB}\n"
    assert memory_limit_bytes(read) == 3 * GIB
    del files["/proc/self/cgroup"]
    assert memory_limit_bytes(read) == 8 * GIB
    files.clear()
    assert memory_limit_bytes(read) == 0


def test_missing_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name: None)
    assert doctor_module._fusermount().state == BAD
