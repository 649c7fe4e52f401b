"""A new store of what a damaged one still has: all of it, and whatever is lost is told."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from heliosfs.errors import HeliosError
from heliosfs.objects.ids import CommitId, Oid
from heliosfs.repo import keys
from heliosfs.repo.lost_paths import lost_paths
from heliosfs.repo.remotes import HEADS, TrackedRef
from heliosfs.repo.rescue import Rescue
from heliosfs.store.l2.environment import FILE
from heliosfs.store.l2.sealed import seal
from tests.crash.damage import Answers, Opened, observe
from tests.crash.spoil import spoil

ROOT = Path(__file__).parents[2]
_BUILD = (
    "import sys, pathlib; from tests.crash.damage import build; build(pathlib.Path(sys.argv[1]))"
)


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("stores")
    subprocess.run([sys.executable, "-c", _BUILD, str(path)], cwd=ROOT, check=True, timeout=120)
    return path


def answers_of(path: Path) -> Answers:
    found, told = observe(path)
    assert told == []
    return found


@pytest.fixture(scope="module")
def models(stores: Path) -> dict[str, Answers]:
    found = {}
    for kind in ("closed", "killed"):
        shutil.copytree(stores / kind, stores / f"{kind}-asked")
        found[kind] = answers_of(stores / f"{kind}-asked")
    return found


@pytest.fixture
def old(stores: Path, tmp_path: Path) -> Path:
    path = tmp_path / "old"
    shutil.copytree(stores / "closed", path)
    return path


def rescue(old: Path, new: Path) -> list[str]:
    """Make the new store; return what was told.  The old one is as it was."""
    before = {name: (old / name).read_bytes() for name in os.listdir(old)}
    new.mkdir()
    fds = [os.open(path, os.O_RDONLY | os.O_DIRECTORY) for path in (old, new)]
    made = Rescue(*fds)
    try:
        made.run()
    finally:
        made.damaged.close()
        for fd in fds:
            os.close(fd)
    assert {name: (old / name).read_bytes() for name in os.listdir(old)} == before
    return made.lost


@pytest.mark.parametrize("kind", ["closed", "killed"])
def test_nothing_is_lost_of_a_sound_store(
    stores: Path, models: dict[str, Answers], tmp_path: Path, kind: str
) -> None:
    assert rescue(stores / kind, tmp_path / "new") == []
    assert answers_of(tmp_path / "new") == models[kind]


def test_remotes_stay_and_what_they_had_is_fetched_anew(old: Path, tmp_path: Path) -> None:
    opened = Opened(old, 0)
    remotes = opened.repository.remotes
    with opened.repository.transaction:
        remotes.add("origin", "file:///srv/team")
        lost = CommitId(Oid(bytes(32)))
        remotes.track("origin", HEADS, "main", TrackedRef(lost, lost, 1, "v"), 0)
    opened.close()
    rescue(old, tmp_path / "new")
    opened = Opened(tmp_path / "new", 0)
    remotes = opened.repository.remotes
    assert [remotes.url(name) for name in remotes.names] == ["file:///srv/team"]
    assert list(remotes.branches()) == []
    opened.close()


@pytest.mark.parametrize("page", [0, 1])
def test_nothing_is_lost_with_a_meta_page(
    models: dict[str, Answers], old: Path, tmp_path: Path, page: int
) -> None:
    with open(old / FILE, "r+b") as file:
        file.seek(page * 4096)
        file.write(bytes(4096))
    lost = rescue(old, tmp_path / "new")
    answers, _ = observe(tmp_path / "new")
    # With the newer one goes the way to the newest pages, but not the pages.
    assert answers["commits"] == models["closed"]["commits"] or lost


def test_a_branch_comes_back_from_its_operation_log(
    models: dict[str, Answers], old: Path, tmp_path: Path
) -> None:
    data = (old / FILE).read_bytes()
    key = keys.BRANCH + b"main"
    (old / FILE).write_bytes(data.replace(key, keys.BRANCH + b"maim"))
    lost = rescue(old, tmp_path / "new")
    assert any("the state under branch/maim cannot be read" in text for text in lost)
    assert any(text.startswith("branch maim is as its operation log says") for text in lost)
    opened = Opened(tmp_path / "new", 1_800_000_000 * 10**9)
    head = opened.repository.refs.branch("maim").head
    assert head is not None
    # Its last operation names the commit at which it was.
    assert head.hex()[:12] in models["closed"]["branch -v"]
    opened.close()


def test_a_working_state_comes_back_from_the_last_save(old: Path, tmp_path: Path) -> None:
    work = keys.of_slot(keys.WORK, 1)
    data = bytearray((old / FILE).read_bytes())
    for found in range(len(data)):
        if data.startswith(work, found):
            data[found + len(work) + 2] ^= 1
    (old / FILE).write_bytes(data)
    lost = rescue(old, tmp_path / "new")
    assert any("the working state of slot 1 is now that of" in text for text in lost)
    answers, _ = observe(tmp_path / "new")
    assert not answers["root"].startswith("refused")


def test_what_lay_in_a_lost_pack_is_named_by_commit_and_path(old: Path, tmp_path: Path) -> None:
    for file in old.glob("pack-*"):
        file.unlink()
    lost = rescue(old, tmp_path / "new")
    assert any("pack" in text for text in lost)
    opened = Opened(tmp_path / "new", 1_800_000_000 * 10**9)
    paths = {each.path for each in lost_paths(opened.repository)}
    opened.close()
    assert b"large" in paths


@pytest.mark.parametrize("seed", range(20))
def test_whatever_is_damaged_the_new_store_is_sound_or_says_what_is_lost(
    stores: Path, models: dict[str, Answers], tmp_path: Path, seed: int
) -> None:
    numbers = random.Random(seed)
    kind = numbers.choice(("closed", "killed"))
    old = tmp_path / "old"
    shutil.copytree(stores / kind, old)
    for _ in range(1 + seed % 3):
        spoil(old, stores / "older", numbers)
    if not (old / FILE).exists():
        with pytest.raises(HeliosError, match=FILE):
            rescue(old, tmp_path / "new")
        return
    lost = rescue(old, tmp_path / "new")
    answers, told = observe(tmp_path / "new")
    assert answers["open"] == ""
    wrong = [name for name, answer in answers.items() if answer != models[kind][name]]
    assert not wrong or lost or told


def test_seals_of_other_values_are_not_taken(old: Path, tmp_path: Path) -> None:
    data = (old / FILE).read_bytes()
    key = keys.TAG + b"v1"
    data = data.replace(key, keys.TAG + b"v3")
    (old / FILE).write_bytes(data)
    assert seal(key, b"") != seal(keys.TAG + b"v3", b"")
    lost = rescue(old, tmp_path / "new")
    assert any("tag/v3 cannot be read" in text for text in lost)
