"""`helios completion`: made from the table of verbs; bash runs it here."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from heliosfs.cli.completion import vocabulary
from heliosfs.cli.local_verbs import LOCAL_VERBS
from heliosfs.cli.main import main
from heliosfs.commands.table import VERBS


def script(shell: str, capsys: pytest.CaptureFixture[str]) -> str:
    assert main(["completion", shell]) == 0
    return capsys.readouterr().out


def test_every_verb_is_known() -> None:
    assert {word.name for word in vocabulary()} == {*VERBS, *LOCAL_VERBS}


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_every_verb_and_option_is_in_the_script(
    shell: str, capsys: pytest.CaptureFixture[str]
) -> None:
    text = script(shell, capsys)
    assert text.endswith("\n")
    for word in vocabulary():
        assert word.name in text
        for name in word.options:
            shown = name.lstrip("-") if shell == "fish" else name
            assert shown in text, (word.name, name)
    assert "performance.l1_cache_size" in text


def test_unknown_shells_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", "csh"]) == 2
    assert "csh" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["che"], {"check-ignore", "checkout", "cherry-pick"}),
        (["config", "get", "performance.l"], {"performance.l1_cache_size"}),
        (["log", "--onel"], {"--oneline"}),
        (["completion", "b"], {"bash"}),
        (["checkout", "ide"], {"idea-7"}),
        (["mount", "di"], {"directory"}),
        (["zzz", ""], set()),
    ],
)
def test_bash_completes(
    words: list[str], expected: set[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "directory").mkdir()
    branches = "helios() { printf '* main\\n  idea-7\\n'; }\n"
    ask = (
        f"COMP_WORDS=(helios {' '.join(repr(word) for word in words)}); "
        f"COMP_CWORD={len(words)}; _helios; printf '%s\\n' \"${{COMPREPLY[@]}}\""
    )
    done = subprocess.run(
        ["bash", "-c", script("bash", capsys) + branches + ask],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=20,
        check=True,
    )
    assert set(done.stdout.split()) == expected
    assert done.stderr == ""


def test_bash_neither_runs_nor_shows_what_a_branch_is_called(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Branches may come from an import; `$(…)` and U+202E are allowed in their names."""
    names = ["x$(touch${IFS}made)", "x`touch${IFS}made`", "x{a,b}", "x\u202egnp", "x\x9b1m", "xä"]
    (tmp_path / "names").write_text("".join(f"  {name}\n" for name in names))
    ask = (
        "COMP_WORDS=(helios checkout x); COMP_CWORD=2; _helios; printf '%s\\n' \"${COMPREPLY[@]}\""
    )
    done = subprocess.run(
        ["bash", "-c", script("bash", capsys) + "helios() { cat names; }\n" + ask],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=20,
        check=True,
    )
    assert done.stdout.splitlines() == [*names[:3], "xä"]
    assert done.stderr == ""
    assert os.listdir(tmp_path) == ["names"]
