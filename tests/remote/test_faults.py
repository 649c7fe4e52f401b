"""Push and fetch against what fails: races, kills, lost answers, and buckets that lie."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest
from blake3 import blake3

from heliosfs.errors import HeliosError
from heliosfs.objects.commit import Commit, Signature, encode_commit
from heliosfs.objects.ids import CommitId, Kind, Oid, object_id
from heliosfs.objects.tree import Entry, encode_entry, join_leaf
from heliosfs.remote import packfile, treesfile, upload
from heliosfs.remote.bucket import Changed, Got, StoredObject, Unreachable
from heliosfs.remote.buckets.memory import MemoryBucket
from heliosfs.remote.layout import ref_key, trees_key
from heliosfs.remote.packfile import RemoteObject
from heliosfs.remote.refplace import NotFastForward
from heliosfs.repo.remotes import HEADS
from heliosfs.steps import Progress, Steps, Turn, perform
from tests.remote.machines import Machine, forged_bucket


class KilledError(BaseException):
    """The process ends here."""


def _interleaved(rng: random.Random, *all_steps: Steps[object]) -> list[BaseException | None]:
    """Drive several machines by turns; return how each ended."""
    ends: list[BaseException | None] = [None] * len(all_steps)
    running = list(range(len(all_steps)))
    while running:
        at = rng.choice(running)
        try:
            step = next(all_steps[at])
            if not isinstance(step, Turn | Progress):
                perform(step)
        except StopIteration:
            running.remove(at)
        except NotFastForward as error:
            ends[at] = error
            running.remove(at)
    return ends


def test_two_pushers_race_for_one_branch() -> None:
    bucket, rng = MemoryBucket(), random.Random(3)
    machines = [Machine(bucket), Machine(bucket)]
    machines[0].commit(a=b"1")
    machines[0].push()
    machines[1].pull()
    made = set()
    won = [0, 0]
    for number in range(200):
        for at, each in enumerate(machines):
            made.add(each.commit("work", **{f"f{at}": b"%d" % number}))
        ends = _interleaved(rng, *(each.pushing() for each in machines))
        assert sum(end is None for end in ends) == 1
        winner = ends.index(None)
        won[winner] += 1
        loser = machines[1 - winner]
        loser.pull()
        made.add(loser.head)
        loser.push()
        machines[winner].pull()
        assert machines[0].head == machines[1].head
    assert min(won) > 50
    assert made <= machines[0].commits()
    third = Machine(bucket)
    third.pull()
    third.check()
    assert third.commits() == machines[0].commits()


@pytest.fixture
def small_packs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Packs of a few objects, so that a push takes many requests."""
    monkeypatch.setattr(packfile, "PACK_FULL_BYTES", 3_000)
    monkeypatch.setattr(upload, "SMALL_BYTES", 0)
    monkeypatch.setattr(treesfile, "FRAMES_FULL_BYTES", 1_000)
    monkeypatch.setattr(treesfile, "FRAME_BYTES", 500)


def _filled(bucket: MemoryBucket) -> Machine:
    rng = random.Random(5)
    machine = Machine(bucket)
    machine.commit(first=b"1")
    machine.push()
    for number in range(6):
        machine.commit("work", **{f"f{number}": rng.randbytes(1_000), "d/e": b"%d" % number})
    return machine


def _dying(count: int, error: Callable[[], BaseException]) -> Callable[[str, str], None]:
    left = [count]

    def hook(method: str, key: str) -> None:
        left[0] -= 1
        if not left[0]:
            raise error()

    return hook


@pytest.mark.usefixtures("small_packs")
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("error", [KilledError, lambda: Unreachable("no answer")])
def test_a_push_that_ends_at_any_request(when: str, error: Callable[[], BaseException]) -> None:
    undisturbed = MemoryBucket()
    machine = _filled(undisturbed)
    undisturbed.requests.clear()
    machine.push()
    total = undisturbed.requests.total()
    assert total >= 5
    # Nothing comes after the last one, which finds that there never was a collection.
    for count in range(1, total + (when == "before")):
        bucket = MemoryBucket()
        machine = _filled(bucket)
        old = machine.origin_main
        setattr(bucket, when, _dying(count, error))
        with pytest.raises((KilledError, Unreachable)):
            machine.push()
        bucket.before = bucket.after = None
        machine.crash()
        reader = Machine(bucket)
        reader.pull()
        reader.check()
        # The last request looks whether a collection has taken something away.
        is_done = count == total or (when == "after" and count == total - 1)
        assert reader.head == (machine.head if is_done else old)
        stored = {each.key for each in bucket.list("")}
        created: list[str] = []
        bucket.before = _noting(created)
        machine.push()
        assert stored.isdisjoint(created)
        bucket.before = None
        assert {each.key for each in bucket.list("")} == _keys(undisturbed)
        reader.pull()
        reader.check()
        assert reader.head == machine.head == machine.origin_main


def _noting(created: list[str]) -> Callable[[str, str], None]:
    return lambda method, key: created.append(key) if method == "create" else None


def _keys(bucket: MemoryBucket) -> set[str]:
    return {each.key for each in bucket.list("")}


class _RepeatingBucket:
    """A bucket whose every write is sent twice, because the first answer was lost."""

    def __init__(self, bucket: MemoryBucket) -> None:
        self._bucket = bucket

    def get(self, key: str, start: int = 0, length: int | None = None) -> Got:
        return self._bucket.get(key, start, length)

    def create(self, key: str, data: bytes) -> str:
        with suppress(Changed):
            self._bucket.create(key, data)
        return self._bucket.create(key, data)

    def swap(self, key: str, data: bytes, expected: str) -> str:
        with suppress(Changed):
            self._bucket.swap(key, data, expected)
        return self._bucket.swap(key, data, expected)

    def list(self, prefix: str, after: str = "") -> Iterator[StoredObject]:
        return self._bucket.list(prefix, after)

    def delete(self, key: str, expected: str | None = None) -> None:
        self._bucket.delete(key, expected)


def test_an_answer_that_was_lost_is_no_refusal() -> None:
    bucket = MemoryBucket()
    one, two = Machine(_RepeatingBucket(bucket)), Machine(bucket)
    one.commit(a=b"1" * 100)
    one.push()
    one.commit(a=b"2" * 100)
    one.push()
    two.pull()
    assert two.head == one.head == one.origin_main
    two.check()


def _damages(data: bytes, others: list[bytes]) -> Iterator[bytes]:
    rng = random.Random(len(data))
    yield b""
    for _ in range(6):
        yield data[: rng.randrange(len(data))]
    yield data + b"\0"
    yield from others
    for _ in range(40):
        at = rng.randrange(len(data))
        yield data[:at] + bytes((data[at] ^ 1 << rng.randrange(8),)) + data[at + 1 :]


@pytest.mark.usefixtures("small_packs")
def test_a_bucket_whose_bytes_are_others() -> None:
    bucket = MemoryBucket()
    pusher = _filled(bucket)
    pusher.push()
    sound = {each.key: bucket.get(each.key).data for each in bucket.list("")}
    refused = 0
    for key, data in sound.items():
        others = [each for other, each in sound.items() if other != key]
        for damaged in _damages(data, others[:4]):
            for forget in (True, False):
                lying = MemoryBucket()
                for other, each in sound.items():
                    if other != key:
                        lying.create(other, each)
                    elif damaged or not forget:
                        lying.create(other, damaged)
                reader = Machine(lying)
                try:
                    reader.fetch()
                except HeliosError:
                    refused += 1
                    assert reader.tracked == {}
                    assert list(reader.repository.history.ids()) == []
                else:
                    # What changes nothing of a commit, such as the name of who pushed it.
                    assert not reader.tracked or reader.origin_main in pusher.commits()
                reader.check()
                if damaged:
                    break
    assert refused > 30 * (len(sound) - 1)


def _commit_of(*entries: Entry) -> tuple[RemoteObject, RemoteObject]:
    data = join_leaf(map(encode_entry, entries))
    tree = RemoteObject(Kind.TREE, object_id(Kind.TREE, data), data)
    root = Entry(b"", 0o40755, 0, 0, 0, 0, tree.oid)
    who = Signature(b"Eve", b"eve@example.org", 0, 0)
    said = encode_commit(Commit(root, (), who, who, b"hello"))
    return tree, RemoteObject(Kind.COMMIT, object_id(Kind.COMMIT, said), said)


def _empty_file(name: bytes, mode: int = 0o100644) -> Entry:
    return Entry(name, mode, 0, 0, 0, 0, Oid(bytes(32)))


@pytest.mark.parametrize(
    "entries",
    [
        [_empty_file(b"..")],
        [_empty_file(b"a/b")],
        [_empty_file(b"")],
        [_empty_file(b"b"), _empty_file(b"a")],
        [_empty_file(b"a"), _empty_file(b"a")],
        [_empty_file(b"a", 0o170644)],
        [_empty_file(b"a")._replace(size=5)],
    ],
)
def test_trees_that_no_file_system_has(entries: list[Entry]) -> None:
    objects = _commit_of(*entries)
    commit = CommitId(objects[1].oid)
    reader = Machine(forged_bucket(objects, commit))
    with pytest.raises(HeliosError, match="nothing was changed"):
        reader.fetch()
    assert reader.tracked == {}
    assert commit not in reader.repository.history


def test_a_git_directory_in_a_commit_is_not_shown() -> None:
    objects = _commit_of(_empty_file(b".git"), _empty_file(b"a"))
    reader = Machine(forged_bucket(objects, CommitId(objects[1].oid)))
    reader.pull()
    assert list(reader.files.tree()) == [b"a"]
    reader.reopen()
    assert reader.run("ls-files") == "a\n"


def test_sizes_are_checked_before_memory_is_taken() -> None:
    objects = _commit_of(_empty_file(b"a"))
    commit = CommitId(objects[1].oid)
    bucket = forged_bucket(objects, commit)
    data = bucket.get(trees_key(commit)).data[:-32]
    frame_at = len(treesfile.HEAD) + 12
    for size in (2**32 - 1, 2**31):
        bad = data[: frame_at + 1] + size.to_bytes(4, "little") + data[frame_at + 5 :]
        lying = MemoryBucket()
        lying.create(trees_key(commit), bad + blake3(bad).digest())
        lying.create(ref_key(HEADS, "main"), bucket.get(ref_key(HEADS, "main")).data)
        with pytest.raises(HeliosError, match="impossible frame"):
            Machine(lying).fetch()
