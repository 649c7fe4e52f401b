"""`.helios/report.html` and `helios report`: the page where people get it."""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from tests.mount.programs import errno_of, put, shell

if TYPE_CHECKING:
    from tests.mount.conftest import Mounted


def attempt(mounted: Mounted, text: str, scores: str) -> str:
    view = ".helios/branches/idea"
    put(mounted.path / view / "a", text)
    oid = mounted.commit(text, view=view)
    mounted.control("experiment", f"record {scores}\n", view=view)
    return oid


def test_an_experiment_from_the_shell(mounted: Mounted) -> None:
    put(mounted.path / "a", "0")
    mounted.commit("first")
    mounted.control("experiment", "start idea\n")
    shell(
        "cd .helios/branches/idea && echo 1 > a && echo one > .helios/ctl/commit &&"
        " echo 'record score=0.93' > .helios/ctl/experiment",
        mounted.path,
    )
    best = attempt(mounted, "two", "score=0.95 tests=41/42")
    assert mounted.helios("experiment", "best", "idea") == f"{best}\n"
    assert "experiment=idea" in mounted.helios("log", "-2", "idea")
    done = shell("echo 'record score=nan' > .helios/branches/idea/.helios/ctl/experiment",
                 mounted.path, ok=False)  # fmt: skip
    assert "Invalid argument" in done.stderr
    mounted.kill9()
    mounted.mount()
    assert mounted.helios("experiment", "best", "idea") == f"{best}\n"
    assert "running_experiment_count: 1\n" in mounted.helios("stats")


def test_the_page_is_made_when_it_is_opened(mounted: Mounted, tmp_path: Path) -> None:
    put(mounted.path / "a", "0")
    mounted.commit("first")
    page = mounted.path / ".helios/report.html"
    assert "first" in page.read_text()
    mounted.control("experiment", "start idea\n")
    attempt(mounted, "a variant", "score=0.93")
    text = page.read_text()
    assert "a variant" in text
    assert text.startswith("<!doctype html>")
    assert text.endswith("</html>\n")
    live = mounted.path / ".helios/branches/idea/.helios/report.html"
    assert "a variant" in live.read_text()
    for flags in (os.O_WRONLY, os.O_RDWR, os.O_RDONLY | os.O_TRUNC):
        assert errno_of(os.open, page, flags) == errno.errorcode[errno.EPERM]
    out = tmp_path / "out.html"
    assert "for any browser" in mounted.helios("report", str(out))
    assert "a variant" in out.read_text()
    assert mounted.helios("report", "-q", str(out)) == ""
    assert "a variant" in mounted.helios("report")
    assert "a variant" in mounted.control("command", "report\n")
    mounted.unmount()
    assert "a variant" in mounted.helios("report")


def test_many_open_it_while_others_commit(mounted: Mounted) -> None:
    put(mounted.path / "a", "0")
    mounted.commit("first")
    mounted.control("experiment", "start idea\n")
    pages: list[str] = []

    def read() -> None:
        pages.extend((mounted.path / ".helios/report.html").read_text() for _ in range(4))

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    for at in range(40):
        attempt(mounted, f"variant {at}.", f"score={at}")
    for reader in readers:
        reader.join(60)
    assert len(pages) == 12
    assert all(page.endswith("</html>\n") for page in pages)
    assert "variant 39." in (mounted.path / ".helios/report.html").read_text()
