"""`config` as a verb, and what a change does to a repository at once."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from heliosfs.clock import FixedClock
from heliosfs.commands import dotfiles
from heliosfs.config.settings import Layer, Settings
from heliosfs.errors import NotFound, StoreFull, UsageError
from heliosfs.repo.configuration import Configuration
from heliosfs.repo.repository import Repository
from heliosfs.store.encoding.codecs import Codec
from heliosfs.store.local import LocalStore
from heliosfs.store.sidefile import MemoryFile, StoredFile
from tests.tree_builder import IDENTITY, Stage, TreeBuilder


@pytest.fixture
def stage() -> Stage:
    return Stage()


def test_get_set_unset(stage: Stage) -> None:
    path = "performance.l1_cache_size"
    assert stage.run("config", "get", path) == "512MB\n"
    assert stage.run("config", "set", path, "2048 MiB") == f"{path} = 2GB  (helios.yaml line 2)\n"
    assert stage.run("config", "get", path) == "2GB\n"
    assert stage.run("config", "unset", path) == f"{path} = 512MB  (default)\n"
    with pytest.raises(NotFound, match=rf"^{path} is not set in helios\.yaml$"):
        stage.run("config", "unset", path)


def test_the_short_form_of_durability(stage: Stage) -> None:
    stage.run("config", "set", "durability", "sync")
    assert stage.run("config", "get", "durability") == "sync\n"
    assert stage.run("config", "get", "durability.mode") == "sync\n"
    assert stage.repository.configuration.settings.is_sync
    assert stage.run("config", "unset", "durability").startswith("durability.mode = async")


def test_list_tells_sources_and_what_has_no_effect(stage: Stage) -> None:
    stage.run("config", "set", "storage.pebbledb.write_buffer_size", "512MB")
    lines = stage.run("config").splitlines()
    assert stage.run("config", "list").splitlines() == lines
    assert "performance.compression = lz4  (default)" in lines
    changed = stage.run("config", "list", "--changed").splitlines()
    assert len(changed) == 1
    assert changed[0].startswith(
        "storage.pebbledb.write_buffer_size = 512MB  (helios.yaml line 3)  no effect: "
    )
    documents = {each["key"]: each for each in json.loads(stage.run("config", "--json"))}
    assert documents["performance.compression"]["effect"] is True
    assert documents["cleanup.auto_gc_enabled"]["effect"] is True
    assert documents["storage.pebbledb.write_buffer_size"]["value"] == 512 * 1024**2
    one = json.loads(stage.run("config", "get", "durability.interval", "--json"))
    assert (one["text"], one["value"], one["line"]) == ("100ms", 10**8, None)


@pytest.mark.parametrize(
    ("argv", "problem"),
    [
        (["frob"], "give get, set, unset, list or a key, not 'frob'"),
        (["list", "x"], "'config list' takes no key"),
        (["get"], "which key?"),
        (["set", "performance.compression"], "which key and value?"),
        (["unset"], "which key?"),
        (["get", "performance.zzz"], "performance.zzz: unknown key"),
        (["get", "performance"], "performance: has keys below it: performance.working_set, "),
        (["set", "l1_cache_size", "1GB"], "did you mean performance.l1_cache_size?"),
        (["set", "performance.compression", "gzip"], "performance.compression: 'gzip' is not one"),
        (["set", "performance.batch_size", "0"], "performance.batch_size: '0' is out of range"),
        (["set", "durability.checkpoint_interval", "2s"], "'2s' is out of range: 10ms to 1s"),
    ],
)
def test_wrong_use(stage: Stage, argv: list[str], problem: str) -> None:
    with pytest.raises(UsageError) as refused:
        stage.run("config", *argv)
    assert str(refused.value).startswith("usage: ")
    assert problem in str(refused.value)
    assert stage.repository.configuration.text == ""


def test_the_file_in_the_dot_directory(stage: Stage) -> None:
    def shown() -> str:
        return dotfiles.FILES["helios.yaml"](stage.repository, stage.view)

    assert all(line.startswith("#") for line in shown().splitlines())
    assert "#   l1_cache_size: 512MB\n" in shown()
    stage.run("config", "set", "performance.compression", "zstd")
    assert shown() == "performance:\n  compression: zstd\n"


def test_the_repository_follows_its_configuration(stage: Stage) -> None:
    stage.files.write(b"a", b"x" * 20 * 1024**2)
    contents = stage.repository.working_set
    assert contents.account.resident_bytes == 20 * 1024**2
    stage.repository.configure(Configuration(MemoryFile(b"performance: {working_set: 64MB}")))
    assert contents.budget_bytes == 64 * 1024**2
    assert contents.account.resident_bytes == 20 * 1024**2
    stage.run("config", "set", "performance.working_set", "16MB")
    assert contents.budget_bytes == 16 * 1024**2
    assert contents.account.resident_bytes <= 16 * 1024**2


def test_the_store_follows_its_configuration(tmp_path: Path) -> None:
    fd = os.open(tmp_path, os.O_RDONLY)
    store = LocalStore.open(fd, create=True)
    repository = Repository.open(store, FixedClock(), IDENTITY)
    repository.configure(Configuration(StoredFile(fd, "helios.yaml")))
    text = b"".join(b"line %d of a text\n" % number for number in range(500))

    def drained_codec(name: bytes) -> Codec:
        TreeBuilder(repository.root.workspace).write(name, name + text)
        repository.checkpoint()
        work = store.plan_drain()
        assert work is not None
        work.execute()
        work.apply()
        return next(
            entry.codec for entry in reversed(store._cache._new.values()) if entry.size > 5000
        )

    assert drained_codec(b"one") == Codec.LZ4
    repository.configuration.set("performance.compression", "zstd")
    assert drained_codec(b"two") == Codec.ZSTD
    assert store.stats().cache_bytes > 0
    repository.configuration.set("performance.l1_cache_size", "0")
    assert store.stats().cache_bytes == 0
    repository.close()
    os.close(fd)
    assert (tmp_path / "helios.yaml").read_text() == (
        "performance:\n  compression: zstd\n  l1_cache_size: 0B\n"
    )


def test_a_configuration_that_cannot_be_written_does_not_change() -> None:
    class FullFile(MemoryFile):
        def replace(self, data: bytes) -> None:
            raise StoreFull("cannot write helios.yaml: no space left on device")

    configuration = Configuration(FullFile(b"durability: sync\n"), [Layer("below", "")])
    seen: list[Settings] = []
    configuration.follow(seen.append)
    with pytest.raises(StoreFull):
        configuration.set("durability", "async")
    assert configuration.settings.is_sync
    assert configuration.text == "durability: sync\n"
    assert seen == [configuration.settings]


def test_a_broken_file_is_refused() -> None:
    with pytest.raises(UsageError, match=r"^helios\.yaml line 1: zzz: unknown key$"):
        Configuration(MemoryFile(b"zzz: 1"))
    with pytest.raises(UsageError, match=r"^helios\.yaml is not UTF-8"):
        Configuration(MemoryFile(b"\xff"))


def test_a_stored_file_is_replaced_whole(tmp_path: Path) -> None:
    fd = os.open(tmp_path, os.O_RDONLY)
    file = StoredFile(fd, "helios.yaml")
    assert file.read() is None
    file.replace(b"one")
    file.replace(b"2")
    assert file.read() == b"2"
    os.close(fd)
    assert [path.name for path in tmp_path.iterdir()] == ["helios.yaml"]


def test_a_program_is_named_by_the_user_alone(stage: Stage) -> None:
    """A user who writes to a workspace, or made its store, cannot have `log` run a program."""
    with pytest.raises(UsageError, match=r"set it in ~/\.config/heliosfs/helios\.yaml"):
        stage.run("config", "set", "ui.pager", "touch made")
    here = b"ui:\n  pager: touch made\n  color: never\n"
    stage.repository.configure(Configuration(MemoryFile(here)))
    assert stage.run("config", "get", "ui.pager") == "\n"
    assert stage.run("config", "get", "ui.color") == "never\n"
    below = [Layer("/home/me/helios.yaml", "ui: {pager: less -S}")]
    stage.repository.configure(Configuration(MemoryFile(here), below))
    assert stage.run("config", "get", "ui.pager") == "less -S\n"
