"""Views and repositories, from a path."""

from __future__ import annotations

from pathlib import Path

from heliosfs.cli import locate


def make_view(root: Path) -> None:
    (root / ".helios/ctl").mkdir(parents=True)
    (root / ".helios/ctl/command").touch()


def test_the_nearest_view_wins(tmp_path: Path) -> None:
    make_view(tmp_path)
    live = tmp_path / ".helios/live/idea"
    make_view(live)
    (live / "src").mkdir()
    (tmp_path / "src/a").mkdir(parents=True)
    assert locate.find_view(str(tmp_path)) == locate.Location(str(tmp_path), "")
    assert locate.find_view(str(tmp_path / "src/a")) == locate.Location(str(tmp_path), "src/a")
    assert locate.find_view(str(live / "src")) == locate.Location(str(live), "src")


def test_no_view_and_no_repository(tmp_path: Path) -> None:
    assert locate.find_view(str(tmp_path)) is None
    (tmp_path / ".helios").mkdir()
    assert locate.find_repository(str(tmp_path)) is None


def test_a_repository_is_found_by_its_format_file(tmp_path: Path) -> None:
    (tmp_path / ".helios").mkdir()
    (tmp_path / ".helios/format").touch()
    (tmp_path / "a").mkdir()
    assert locate.find_repository(str(tmp_path / "a")) == locate.Location(str(tmp_path), "a")


def test_a_directory_that_answers_is_not_dead(tmp_path: Path) -> None:
    assert not locate.is_dead(str(tmp_path))
    assert not locate.is_dead(str(tmp_path / "missing"))
    assert locate.find_dead_mount(str(tmp_path)) is None
