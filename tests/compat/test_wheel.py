"""The wheel: everything that the program needs at run time is in it."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

from heliosfs.cli.man import pages

SOURCES = Path(__file__).parents[2]
SECONDS = 120


def test_the_wheel_has_all_of_the_package_and_the_launcher(tmp_path: Path) -> None:
    copy = tmp_path / "sources"
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        copy.mkdir(exist_ok=True)
        shutil.copy(SOURCES / name, copy)
    left_out = shutil.ignore_patterns("__pycache__")
    shutil.copytree(SOURCES / "heliosfs", copy / "heliosfs", ignore=left_out)
    plugin = SOURCES / "integrations/plugin"
    shutil.copytree(plugin, copy / "integrations/plugin", symlinks=True)
    # With the setuptools of the lock, so that nothing is fetched.
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", str(tmp_path)]
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "-q", *options, str(copy)],
        check=True,
        capture_output=True,
        timeout=SECONDS,
    )
    [wheel] = tmp_path.glob("*.whl")
    assert wheel.name.endswith("-py3-none-any.whl")
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if ".dist-info/" not in name}
        manuals = {name for name in packed if "/data/share/man/man1/" in name}
        assert {Path(name).name for name in manuals} == set(dict(pages()))
        packed -= manuals
        scripts = {name for name in packed if not name.startswith("heliosfs/")}
        [launcher] = scripts
        assert archive.read(launcher) == (SOURCES / "heliosfs/cli/helios").read_bytes()
        metadata = next(name for name in archive.namelist() if name.endswith("entry_points.txt"))
        programs = archive.read(metadata)
        assert b"helios-py = heliosfs.cli.main:main" in programs
        assert b"git-remote-helios = heliosfs.cli.git_remote:main" in programs
    sources = {
        str(path.relative_to(copy))
        for path in (copy / "heliosfs").rglob("*")
        if path.is_file() and path.name != "helios"
    }
    plugged = {f"heliosfs/plugin/{path.relative_to(plugin)}" for path in files_below(plugin)}
    assert {
        ".claude-plugin/plugin.json",
        ".codex-plugin/plugin.json",
        ".github/plugin/plugin.json",
        "gemini/gemini-extension.json",
        "hooks/hooks.json",
        "qwen-extension.json",
        "skills/helios-rewind/SKILL.md",
    } <= {name.removeprefix("heliosfs/plugin/") for name in plugged}
    assert packed - scripts == sources | plugged


def files_below(directory: Path) -> list[Path]:
    return [path for path in directory.rglob("*") if path.is_file()]
