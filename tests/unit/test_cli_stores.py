"""Stores: where a workspace has its own, and what is said when it is not there."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from heliosfs.cli import locate, runfiles, stores
from heliosfs.cli.main import main
from heliosfs.errors import HeliosError, NotFound, StoreBusy, StoreError


def test_a_new_store_is_private(tmp_path: Path) -> None:
    os.close(stores.open_store(str(tmp_path), None, create=True))
    assert (tmp_path / ".helios").stat().st_mode & 0o777 == 0o700


@pytest.fixture(autouse=True)
def _state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


def make(store: Path, store_id: str) -> Path:
    store.mkdir()
    (store / "format").touch()
    (store / "id").write_text(store_id + "\n")
    return store


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """A workspace whose store is `store` beside it."""
    assert main(["init", "--store", str(tmp_path / "store"), str(tmp_path / "work")]) == 0
    return tmp_path / "work"


def opened(work: Path, store: Path | None = None, *, create: bool = True) -> Path:
    fd = stores.open_store(str(work), str(store) if store else None, create=create)
    try:
        return Path(os.readlink(f"/proc/self/fd/{fd}"))
    finally:
        os.close(fd)


def test_a_store_elsewhere_is_remembered(work: Path) -> None:
    store = work.parent / "store"
    store_id = (store / "id").read_text()
    assert len(store_id) == 33
    assert (work / ".helios/store-path").read_text() == f"{store}\n{store_id}"
    assert locate.has_repository(str(work))
    for create in (True, False):
        assert opened(work, create=create) == store
        assert opened(work, store, create=create) == store


def remove(store: Path) -> None:
    store.rename(store.with_name("away"))


def empty(store: Path) -> None:
    remove(store)
    store.mkdir()


def other(store: Path) -> None:
    remove(store)
    make(store, "another")


def others_files(store: Path) -> None:
    empty(store)
    (store / "file").touch()


@pytest.mark.parametrize(
    ("lose", "text"),
    [
        (remove, "no directory .*is its disk mounted"),
        (empty, "is empty; is its disk mounted"),
        (others_files, "holds no store"),
        (other, "another store .*its id is another"),
    ],
)
@pytest.mark.parametrize("create", [True, False])
def test_a_remembered_store_is_never_made_anew(
    work: Path, lose: Callable[[Path], None], text: str, create: bool
) -> None:
    store = work.parent / "store"
    lose(store)
    before = sorted(work.parent.rglob("*"))
    for named in (None, store):
        with pytest.raises(HeliosError, match=text) as raised:
            opened(work, named, create=create)
        assert str(store) in str(raised.value)
    assert sorted(work.parent.rglob("*")) == before
    assert opened(work, work.parent / "away") == work.parent / "away"


def test_a_store_that_was_moved_is_remembered_where_it_is(work: Path) -> None:
    moved = work.parent / "moved"
    (work.parent / "store").rename(moved)
    make(work.parent / "third", "another")
    for wrong in ("third", "none", "state"):
        with pytest.raises(HeliosError, match="it was in"):
            opened(work, work.parent / wrong)
    fd = os.open(moved, os.O_RDONLY)
    store_id = stores.remember_store(str(work), str(moved), fd)
    os.close(fd)
    assert (work / ".helios/store-path").read_text() == f"{moved}\n{store_id}\n"
    assert opened(work) == moved


def test_a_store_can_be_moved_into_its_workspace(work: Path) -> None:
    home = work / ".helios"
    for path in (work.parent / "store").iterdir():
        path.rename(home / path.name)
    assert opened(work, home) == home
    fd = os.open(home, os.O_RDONLY)
    stores.remember_store(str(work), str(home), fd)
    os.close(fd)
    assert not (home / "store-path").exists()
    assert opened(work) == home


def test_a_pointer_without_an_id_follows_when_the_old_place_is_empty(work: Path) -> None:
    store = work.parent / "store"
    (work / ".helios/store-path").write_text(f"{store}\n")
    copy = make(work.parent / "copy", "any")
    assert opened(work) == store
    with pytest.raises(StoreError, match="has its store in"):
        opened(work, copy)
    remove(store)
    assert opened(work, copy) == copy


def know(work: Path, store: Path) -> None:
    """Let a workspace have been mounted before."""
    runfiles.Registration(runfiles.KnownWorkspace(str(work), str(store), "id"), "/log").close()


def test_a_workspace_whose_directory_was_emptied_is_told_from_a_new_one(tmp_path: Path) -> None:
    work, store = tmp_path / "work", tmp_path / "disk/store"
    work.mkdir()
    know(work, store)
    with pytest.raises(NotFound, match=r"is its disk mounted.* helios umount --forget"):
        opened(work, store)
    (tmp_path / "disk").mkdir()
    make(store, "id")
    with pytest.raises(StoreError, match=r"has its store in .*disk/store: helios mount --store"):
        opened(work)
    assert opened(work, store) == store
    runfiles.forget(str(work))
    assert opened(work) == work / ".helios"


def test_who_has_a_store_open_is_named_with_its_workspace(tmp_path: Path) -> None:
    registered = runfiles.Registration(runfiles.KnownWorkspace("/the/ws", "/store", "id"), "/log")
    said = stores.with_served_workspace(StoreBusy("process 1 has the store open", os.getpid()))
    assert str(said) == "process 1 has the store open: it serves /the/ws"
    registered.close()
    plain = StoreBusy("process 1 has the store open", os.getpid())
    assert stores.with_served_workspace(plain) is plain


def test_store_option_that_names_the_default_leaves_no_pointer(tmp_path: Path) -> None:
    os.close(stores.open_store(str(tmp_path), str(tmp_path / ".helios"), create=True))
    assert os.listdir(tmp_path / ".helios") == []


def test_a_workspace_with_a_store_cannot_get_another(tmp_path: Path) -> None:
    os.close(stores.open_store(str(tmp_path), None, create=True))
    (tmp_path / ".helios/format").touch()
    with pytest.raises(StoreError, match="is a store already"):
        stores.open_store(str(tmp_path), str(tmp_path / "elsewhere"), create=True)


def test_opening_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no store at"):
        stores.open_store(str(tmp_path), None, create=False)
    (tmp_path / ".helios").touch()
    with pytest.raises(StoreError, match="not a directory"):
        stores.open_store(str(tmp_path), None, create=False)
