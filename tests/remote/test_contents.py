"""Contents that are brought in bulk."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest

from heliosfs.commands.table import run
from heliosfs.errors import Busy, HeliosError, NotFound
from heliosfs.objects.ids import Kind, Oid
from heliosfs.remote import contents, packfile, upload
from heliosfs.remote.bucket import Unreachable
from heliosfs.remote.buckets.memory import MemoryBucket
from heliosfs.remote.contents import Brought, make_whole, release
from heliosfs.remote.hydration import Hydration
from heliosfs.remote.repetition import repeated
from heliosfs.repo.check import check_store
from heliosfs.repo.repository import Repository
from heliosfs.steps import run_to_end
from heliosfs.store.memory import MemoryStore
from tests.remote.machines import Machine
from tests.remote.trees_objects import move_contents, replace
from tests.stores import open_local
from tests.tree_builder import IDENTITY


@pytest.fixture(autouse=True)
def _small_packs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packfile, "PACK_FULL_BYTES", 30_000)
    monkeypatch.setattr(upload, "SMALL_BYTES", 0)


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> MemoryBucket:
    """A bucket with files of several commits, which the verbs find under every URL."""
    bucket = MemoryBucket()
    rng = random.Random(3)
    machine = Machine(bucket)
    for number in range(6):
        names = {f"d{at}/f": rng.randbytes(2_000) for at in range(10)}
        machine.commit("work", **names, **{f"n{number}": rng.randbytes(500)})
    machine.commit("large", large=rng.randbytes(2_000_000))
    machine.push()
    monkeypatch.setattr(contents, "open_bucket", lambda url: bucket)
    bucket.requests.clear()
    return bucket


def _of(bucket: MemoryBucket) -> Callable[[str], MemoryBucket]:
    return lambda url: bucket


def _lazy(bucket: MemoryBucket, store: object = None) -> Machine:
    machine = Machine(bucket, cast("MemoryStore | None", store), is_lazy=True)
    machine.pull()
    bucket.requests.clear()
    return machine


def _left(machine: Machine) -> set[Oid]:
    return {each.oid for each in machine.store.promises if not machine.store.contains(each.oid)}


def test_the_files_of_now_come_with_few_requests(bucket: MemoryBucket) -> None:
    machine = _lazy(bucket)
    before = _left(machine)
    told = machine.run("fetch", "--contents")
    # 10 files in directories, 6 beside them, 16 parts; those of older commits stay there.
    assert told.startswith(f"{10 + 6 + 16} contents, ")
    assert len(_left(machine)) == len(before) - 32 == 50
    # One for each pack at most.
    assert bucket.requests["get"] <= len(list(bucket.list("packs/")))
    machine.bucket = MemoryBucket()
    assert len(machine.files.tree()) > 20
    assert machine.run("fetch", "--contents") == "All contents are here already\n"


def test_paths_are_those_of_the_caller(bucket: MemoryBucket) -> None:
    machine = _lazy(bucket)
    before = _left(machine)
    machine.run("fetch", "--contents", "f", cwd="d3")
    assert len(before - _left(machine)) == 1
    machine.run("fetch", "--contents", "d4", "n1", "-q")
    assert len(before - _left(machine)) == 3
    machine.run("fetch", "--contents", "large")
    assert len(before - _left(machine)) == 3 + 16
    assert machine.files.read(b"d3/f") and machine.files.read(b"large")
    for words in (["nothing"], ["--all", "n1"], ["--prune"]):
        with pytest.raises(HeliosError):
            machine.run("fetch", "--contents", *words)
    with pytest.raises(NotFound, match="no file 'nothing'"):
        machine.run("fetch", "--contents", "nothing")
    with pytest.raises(HeliosError, match="belongs to --contents"):
        machine.run("fetch", "--all")


@pytest.mark.parametrize("kind", ["memory", "local"])
def test_all_of_it_makes_the_store_whole(bucket: MemoryBucket, kind: str, tmp_path: Path) -> None:
    store = open_local(tmp_path) if kind == "local" else MemoryStore()
    machine = _lazy(bucket, store)
    machine.run("fetch", "--contents", "d1")
    told = machine.run("fetch", "--contents", "--all", "--json")
    assert '"content_count": 81' in told
    assert len(machine.store.promises) == 0
    if kind == "local":
        # No promise is left, and a part of a large file is in blocks.
        assert not list(tmp_path.glob("promises-*"))
        assert (tmp_path / "format").read_text().endswith("version 5\n")
    machine.check()
    assert machine.run("fetch", "--contents", "--all") == "All contents are here already\n"
    # A later fetch is lazy again.
    assert machine.repository.remotes.notes.is_lazy("origin")
    store.close()


def test_versions_become_deltas_again(tmp_path: Path) -> None:
    bucket = MemoryBucket()
    pusher = Machine(bucket)
    rng = random.Random(8)
    text = rng.randbytes(10_000)
    for number in range(30):
        text = text[: number * 100] + b"%d" % number + text[number * 100 + 2 :]
        pusher.commit("work", a=text)
    pusher.push()
    store = open_local(tmp_path)
    machine = _lazy(bucket, store)
    run_to_end(make_whole(machine.repository, _of(bucket)), store)
    assert store.stats().stored_bytes < 60_000
    store.close()


def test_what_came_before_it_was_cut_off_stays(
    bucket: MemoryBucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contents, "READERS", 1)
    monkeypatch.setattr(contents, "_WAITING_BYTES", 0)
    machine = _lazy(bucket)
    total = len(_left(machine))
    for allowed in (1, 2, 3):
        gets = [0]

        def hook(method: str, key: str, gets: list[int] = gets, allowed: int = allowed) -> None:
            gets[0] += 1
            if gets[0] > allowed:
                raise Unreachable("no answer")

        bucket.before = hook
        before = len(_left(machine))
        with pytest.raises(Unreachable):
            machine.run("fetch", "--contents", "--all")
        assert len(_left(machine)) < before
        assert len(machine.store.promises) == total
    bucket.before = None
    left = len(_left(machine))
    assert 0 < left < total
    assert f'"content_count": {left}' in machine.run("fetch", "--contents", "--all", "--json")
    machine.check()


def _flipped(bucket: MemoryBucket, key: str) -> None:
    data = bytearray(bucket.get(key).data)
    data[40] ^= 0xFF
    replace(bucket, key, bytes(data))


def _cut(bucket: MemoryBucket, key: str) -> None:
    replace(bucket, key, bucket.get(key).data[:3_000])


def _gone(bucket: MemoryBucket, key: str) -> None:
    bucket.delete(key)


@pytest.mark.parametrize("spoil", [_flipped, _cut, _gone])
def test_damage_keeps_nothing_else_from_coming(
    bucket: MemoryBucket, spoil: Callable[[MemoryBucket, str], None]
) -> None:
    machine = _lazy(bucket)
    total = len(_left(machine))
    key = next(each.key for each in bucket.list("packs/"))
    sound = bucket.get(key).data
    spoil(bucket, key)
    with pytest.raises(HeliosError, match="cannot be had, the others are here"):
        machine.run("fetch", "--contents", "--all")
    left = _left(machine)
    assert 0 < len(left) < total / 3
    assert len(machine.store.promises) == total
    for oid in left:
        with pytest.raises(HeliosError, match="still at the remote"):
            machine.store.read(oid, Kind.BLOB)
    bucket.delete(key)
    bucket.create(key, sound)
    machine.run("fetch", "--contents", "--all")
    machine.check()


def test_a_remote_that_is_needed_stays(bucket: MemoryBucket, tmp_path: Path) -> None:
    machine = _lazy(bucket)
    for words in (["remove", "origin"], ["set-url", "origin", f"file://{tmp_path}/new"]):
        with pytest.raises(Busy, match=r"82 contents are still at origin.*--contents --all"):
            machine.run("remote", *words)
    with machine.repository.transaction:
        machine.repository.remotes.add("team", "memory:")
    machine.run("remote", "remove", "team")
    # Whatever way they came: no promise is left behind.
    for oid in _left(machine):
        bucket_of = Machine(bucket)
        bucket_of.pull()
        machine.store.add(oid, Kind.BLOB, bucket_of.store.read(oid, Kind.BLOB))
    machine.store.publish()
    machine.run("remote", "remove", "origin")
    assert len(machine.store.promises) == 0
    machine.check()


def test_nothing_promised_costs_no_request(bucket: MemoryBucket) -> None:
    full = Machine(bucket)
    full.pull()
    bucket.requests.clear()
    assert run_to_end(make_whole(full.repository), full.store) == Brought(0, 0)
    run_to_end(release(full.repository, "origin"), full.store)
    assert bucket.requests.total() == 0


@pytest.mark.parametrize("words", [["--all"], ["d3", "large"]])
def test_contents_that_were_moved_are_found(bucket: MemoryBucket, words: list[str]) -> None:
    """A merge of packs has replaced all that were promised."""
    machine = _lazy(bucket)
    before = _left(machine)
    move_contents(bucket)
    machine.run("fetch", "--contents", *words)
    assert machine.files.read(b"d3/f") and machine.files.read(b"large")
    assert len(_left(machine)) == (0 if words == ["--all"] else len(before) - 17)
    assert _left(machine) <= before
    machine.check()
    assert len(machine.store.promises) == (0 if words == ["--all"] else 2 * len(before))


def test_a_read_finds_what_was_moved(bucket: MemoryBucket) -> None:
    machine = _lazy(bucket)
    move_contents(bucket)
    wanted = sorted(_left(machine))
    hydration = Hydration(machine.repository, lambda url: bucket)

    def read() -> list[bytes]:
        return [machine.store.read(oid, Kind.BLOB) for oid in wanted]

    assert len(repeated(machine.repository, read, hydration=hydration)) == len(wanted)
    machine.check()


def test_what_is_nowhere_any_more_is_told(bucket: MemoryBucket) -> None:
    machine = _lazy(bucket)
    for each in list(bucket.list("packs/")):
        bucket.delete(each.key)
    with pytest.raises(HeliosError, match="origin does not have it any more"):
        machine.run("fetch", "--contents")
    hydration = Hydration(machine.repository, lambda url: bucket)
    some = next(iter(_left(machine)))
    bucket.requests.clear()
    for _ in range(5):
        with pytest.raises(HeliosError, match="which does not have it any more"):
            repeated(
                machine.repository, lambda: machine.store.read(some, Kind.BLOB), hydration=hydration
            )
    # The places were asked for once, and not at each read.
    assert bucket.requests["list"] == 1


@pytest.mark.parametrize("words", [[], ["--all"]])
def test_promises_that_were_lost_are_made_again(
    bucket: MemoryBucket, tmp_path: Path, words: list[str]
) -> None:
    store = open_local(tmp_path)
    machine = _lazy(bucket, store)
    total = len(machine.store.promises)
    machine.repository.checkpoint()
    machine.repository.close()
    store.close()
    file = tmp_path / "promises-1"
    file.write_bytes(file.read_bytes()[:-1])
    store = open_local(tmp_path)
    repository = Repository.open(store, machine.clock, IDENTITY)
    assert len(store.promises) == 0
    checked = run_to_end(check_store(repository), store)
    assert len(checked.problems) >= 1
    run(repository, repository.root, ["fetch", "--contents", *words])
    assert not file.exists()
    checked = run_to_end(check_store(repository), store)
    left = [each for each in checked.problems if each.place != "when it was opened"]
    assert (left, checked.promised) == ([], 0 if words else total - 32)
    store.close()
