"""Manual pages: one for each verb, which groff reads without a warning."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from heliosfs.cli.local_verbs import LOCAL_VERBS
from heliosfs.cli.main import main
from heliosfs.cli.man import pages
from heliosfs.commands.table import VERBS

SOURCES = Path(__file__).parents[2]
COUNT = "from heliosfs.cli.man import pages; print(len(dict(pages())))"
PAGES = dict(pages())


def test_every_verb_has_one() -> None:
    names = {f"helios-{name}.1" for name in (*VERBS, *LOCAL_VERBS)}
    assert set(PAGES) == {"helios.1", *names}


def test_the_standard_library_is_enough_to_make_them() -> None:
    """A wheel is built where nothing else is installed."""
    done = subprocess.run(
        [sys.executable, "-ISc", f"import sys; sys.path.insert(0, {str(SOURCES)!r}); {COUNT}"],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert (done.stdout, done.stderr) == (f"{len(PAGES)}\n", "")


def test_every_option_and_errno_is_on_the_page() -> None:
    for verb in VERBS.values():
        text = PAGES[f"helios-{verb.name}.1"].replace("\\-", "-")
        for option in verb.options:
            assert all(name in text for name in option.names), (verb.name, option.names)
        assert all(name in text for name, _ in verb.errors), verb.name


@pytest.mark.skipif(shutil.which("groff") is None, reason="there is no groff here")
def test_groff_has_nothing_to_say() -> None:
    for name, text in PAGES.items():
        done = subprocess.run(
            ["groff", "-man", "-Tutf8", "-ww", "-P-cbou"],
            input=text.encode(),
            capture_output=True,
            timeout=20,
            check=True,
        )
        assert done.stderr == b"", name
        assert done.stdout.decode().count("\nNAME\n") == 1, name
        if name == "helios-commit.1":
            shown = " ".join(done.stdout.decode().split())
            assert "'.' at the root is everything" in shown
            assert "helios commit -m 'fix the parser'" in shown


def test_they_are_written_where_one_says(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["man", str(tmp_path / "man1")]) == 0
    assert capsys.readouterr().out == f"{len(PAGES)} pages written to {tmp_path}/man1\n"
    assert {path.name for path in (tmp_path / "man1").iterdir()} == set(PAGES)
