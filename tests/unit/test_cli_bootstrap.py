"""Set-up on a fresh machine: what is looked for, what is installed, when it is done again."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from heliosfs.cli import bootstrap

ROOT = Path(bootstrap.ROOT)
SECONDS = 30
VERSION = f"{sys.version_info[0]}.{sys.version_info[1]}"


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tree of sources of its own; the steps that would install something are recorded."""
    root = tmp_path / "sources"
    (root / "heliosfs/cli").mkdir(parents=True)
    for name in bootstrap._STAMPED:
        (root / name).write_text(name)
    monkeypatch.setattr(bootstrap, "ROOT", str(root))
    monkeypatch.setattr(bootstrap, "VENV", str(root / ".venv"))
    monkeypatch.setattr(bootstrap, "PYTHON", str(root / ".venv/bin/python"))
    monkeypatch.setattr(bootstrap, "_HOME", str(root / ".venv/heliosfs-home"))
    return root


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The commands that would have run."""
    run: list[list[str]] = []

    def record(command: list[str], failure: str, *, fatal: bool = True) -> None:
        if "venv" in command:
            os.makedirs(command[-1], exist_ok=True)
        run.append(command)

    monkeypatch.setattr(bootstrap, "_run", record)
    monkeypatch.setattr(bootstrap, "missing_packages", lambda *, dev: [])
    return run


def which(monkeypatch: pytest.MonkeyPatch, *there: str) -> None:
    def find(name: str) -> str | None:
        return f"/usr/bin/{name}" if name in there else None

    monkeypatch.setattr(shutil, "which", find)


def test_a_set_up_is_done_once_and_after_every_change_of_the_lock(
    tree: Path, steps: list[list[str]]
) -> None:
    bootstrap.ensure(dev=False)
    assert [step[2] for step in steps] == ["venv", "pip", "pip"]
    assert str(tree / "requirements.lock") in steps[1]
    steps.clear()
    bootstrap.ensure(dev=False)
    assert steps == []
    (tree / "requirements.lock").write_text("other")
    bootstrap.ensure(dev=False)
    assert steps


def test_what_tests_need_serves_a_mount_too_but_not_the_other_way(
    tree: Path, steps: list[list[str]]
) -> None:
    bootstrap.ensure(dev=False)
    steps.clear()
    bootstrap.ensure(dev=True)
    assert str(tree / "requirements-dev.lock") in steps[-2]
    steps.clear()
    bootstrap.ensure(dev=False)
    bootstrap.ensure(dev=True)
    assert steps == []


def test_an_interrupted_set_up_is_done_again(
    tree: Path, steps: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    bootstrap.ensure(dev=False)
    (tree / "pyproject.toml").write_text("changed")

    def interrupted(command: list[str], failure: str, *, fatal: bool = True) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(bootstrap, "_run", interrupted)
        with pytest.raises(KeyboardInterrupt):
            bootstrap.ensure(dev=False)
    (tree / "pyproject.toml").write_text("pyproject.toml")
    steps.clear()
    bootstrap.ensure(dev=False)
    assert steps


def test_a_venv_that_was_moved_is_made_anew(tree: Path, steps: list[list[str]]) -> None:
    bootstrap.ensure(dev=False)
    (tree / ".venv/heliosfs-home").write_text("/elsewhere")
    (tree / ".venv/heliosfs-run").unlink()
    steps.clear()
    bootstrap.ensure(dev=False)
    assert "--clear" in steps[0]


def test_root_installs_packages_and_says_so(
    monkeypatch: pytest.MonkeyPatch, steps: list[list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    which(monkeypatch, "apt-get")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    bootstrap.install_packages(["fuse3", "gcc"])
    assert capsys.readouterr().out == "helios: installing packages: fuse3 gcc\n"
    update, install = steps
    assert update[:4] == ["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "update"]
    assert install[:4] == ["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "install"]
    assert install[-2:] == ["fuse3", "gcc"]


def test_a_user_needs_sudo(monkeypatch: pytest.MonkeyPatch, steps: list[list[str]]) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    which(monkeypatch, "apt-get", "sudo")
    bootstrap.install_packages(["fuse3"])
    assert steps[0][:3] == ["sudo", "-n", "env"]
    which(monkeypatch, "apt-get")
    with pytest.raises(bootstrap.SetupError, match="as root, run apt-get install fuse3"):
        bootstrap.install_packages(["fuse3"])


def test_another_distribution_is_told_the_names(
    monkeypatch: pytest.MonkeyPatch, steps: list[list[str]]
) -> None:
    which(monkeypatch)
    with pytest.raises(bootstrap.SetupError, match="packages are missing, in Debian fuse3 gcc:"):
        bootstrap.install_packages(["fuse3", "gcc"])
    bootstrap.install_packages([])
    assert steps == []


def test_what_is_missing_is_found_out_by_looking(monkeypatch: pytest.MonkeyPatch) -> None:
    which(monkeypatch)
    missing = bootstrap.missing_packages(dev=True)
    assert {"fuse3", "pkg-config", "gcc", "git"} <= set(missing)
    which(monkeypatch, "fusermount3", "pkg-config", "gcc")
    assert "fuse3" not in bootstrap.missing_packages(dev=False)


@pytest.mark.parametrize("system", ["debian", "ubuntu"])
def test_a_browser_is_wanted_where_a_package_has_one(
    monkeypatch: pytest.MonkeyPatch, system: str
) -> None:
    monkeypatch.setattr(bootstrap, "_read", lambda path: f"NAME=x\nID={system}\n")
    which(monkeypatch)
    assert ("chromium" in bootstrap.missing_packages(dev=True)) == (system == "debian")
    assert "chromium" not in bootstrap.missing_packages(dev=False)
    which(monkeypatch, "google-chrome")
    assert "chromium" not in bootstrap.missing_packages(dev=True)


def test_python_s_own_packages_are_those_of_its_version(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import sysconfig

    monkeypatch.setattr(sysconfig, "get_paths", lambda: {"include": str(tmp_path)})
    monkeypatch.setattr(sys, "base_prefix", "/usr")
    assert f"python{VERSION}-dev" in bootstrap.missing_packages(dev=False)
    monkeypatch.setattr(sys, "base_prefix", "/opt/python")
    with pytest.raises(bootstrap.SetupError, match=r"/opt/python has no .*Python\.h"):
        bootstrap.missing_packages(dev=False)


def test_a_step_that_fails_shows_what_it_said(capfd: pytest.CaptureFixture[str]) -> None:
    command = ["sh", "-c", "echo because; exit 3"]
    with pytest.raises(bootstrap.SetupError, match="cannot do it: sh ended with exit code 3"):
        bootstrap._run(command, "cannot do it")
    assert capfd.readouterr().err == "because\n"
    bootstrap._run(command, "cannot do it", fatal=False)


def test_variables_that_would_lead_pip_astray_do_not_reach_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PIP_TARGET", "/nowhere")
    monkeypatch.setenv("PIP_NO_CACHE_DIR", "1")
    check = "[ -z ${PIP_TARGET+x} ] && [ $PIP_NO_CACHE_DIR = 1 ]"
    bootstrap._run(["sh", "-c", check], "it reached it")


def test_a_failed_set_up_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*, dev: bool) -> None:
        raise bootstrap.SetupError("needs packages")

    monkeypatch.setattr(bootstrap, "ensure", fail)
    assert bootstrap.main(["mount", "/ws"]) == 1
    assert capsys.readouterr().err == "helios: needs packages\n"


def test_help_needs_nothing_but_the_standard_library(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-I", "-S", ROOT / "mount.py", "--help"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=True,
    )
    assert done.stdout.startswith("usage: helios mount")
    assert "--store" in done.stdout
