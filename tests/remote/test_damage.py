"""Damage of one ref does not keep the others, and is told as that of the place where it is."""

from __future__ import annotations

import json
from typing import NamedTuple

import pytest

from heliosfs.commands.remotes import fetch as fetch_verbs
from heliosfs.commands.remotes import push as push_verbs
from heliosfs.commands.verb import exit_code_of
from heliosfs.errors import CorruptObject, HeliosError, MissingObject, StoreFormat
from heliosfs.objects.ids import CommitId, Kind, Oid
from heliosfs.remote.buckets.memory import MemoryBucket
from heliosfs.remote.damage import DamagedHere, DamagedRemote
from heliosfs.remote.layout import FORMAT_KEY, ref_key, settle_format, trees_key
from heliosfs.repo.remotes import EXPERIMENTS, HEADS
from heliosfs.store.memory import MemoryStore
from tests.remote.machines import Machine


class SpoiltStore(MemoryStore):
    """A store in which some objects are damaged or missing."""

    def __init__(self) -> None:
        super().__init__()
        self.spoilt: dict[bytes, type[HeliosError]] = {}

    def read(self, oid: Oid, kind: Kind) -> bytes:
        if oid in self.spoilt:
            raise self.spoilt[oid](f"object {oid.hex()} is spoilt")
        return super().read(oid, kind)


class Shared(NamedTuple):
    bucket: MemoryBucket
    one: Machine
    other: Machine


@pytest.fixture
def shared(monkeypatch: pytest.MonkeyPatch) -> Shared:
    """Two machines and a bucket that the verbs open; the other has the first commit."""
    bucket = MemoryBucket()
    settle_format(bucket)
    monkeypatch.setattr(fetch_verbs, "open_bucket", lambda url: bucket)
    monkeypatch.setattr(push_verbs, "open_bucket", lambda url: bucket)
    one, other = Machine(bucket, SpoiltStore()), Machine(bucket, SpoiltStore())
    one.commit("first", a=b"1\n")
    one.run("push")
    other.run("pull", "-q", "origin", "main")
    for name in ("good", "bad"):
        one.run("branch", name)
        one.live(name).write(b"big", name.encode() * 40_000)
        one.run("commit", "-q", "-m", name, branch=name)
        one.run("push", "-q", "origin", name)
    one.commit("second", b=b"2\n")
    one.run("push", "-q", "origin", "main")
    return Shared(bucket, one, other)


def spoil_record(bucket: MemoryBucket, name: str, kind: str = HEADS) -> None:
    key = ref_key(kind, name)
    bucket.swap(key, b"{}", bucket.get(key).version)


def head_of(machine: Machine, name: str) -> CommitId:
    head = machine.repository.refs.branch(name).head
    assert head is not None
    return head


@pytest.mark.parametrize("damage", ["record", "trees", "other trees"])
def test_the_other_refs_move(shared: Shared, damage: str) -> None:
    bucket, one, other = shared
    key = trees_key(head_of(one, "bad"))
    if damage == "record":
        spoil_record(bucket, "bad")
    else:
        bucket.delete(key)
        if damage == "other trees":
            bucket.create(key, b"something else")
    reply = other.run("fetch")
    assert exit_code_of(reply) == 1
    assert " ! [damaged] origin/bad (" in reply
    assert " * [new branch] good -> origin/good\n" in reply
    assert other.origin_main == one.head
    assert other.run("show", "origin/good:big") == "good" * 40_000
    assert (HEADS, "bad") not in other.tracked
    # It is looked at again, and told again, even if nothing else is new.
    again = other.run("fetch", "-q")
    assert (exit_code_of(again), again.count("\n")) == (1, 1)
    document = json.loads(other.run("fetch", "--json"))
    assert [(each["name"], each["kind"]) for each in document["damaged"]] == [("bad", "branch")]
    other.check()


def test_a_damaged_ref_stays_as_it_was_seen_until_it_is_mended(shared: Shared) -> None:
    bucket, one, other = shared
    other.run("fetch")
    before = other.tracked[HEADS, "bad"]
    one.live("bad").write(b"more", b"3\n")
    one.run("commit", "-q", "-m", "more", branch="bad")
    one.run("push", "-q", "origin", "bad")
    key = trees_key(head_of(one, "bad"))
    whole = bucket.get(key).data
    bucket.delete(key)
    assert exit_code_of(other.run("fetch")) == 1
    assert other.tracked[HEADS, "bad"] == before
    bucket.create(key, whole)
    assert exit_code_of(other.run("fetch")) == 0
    assert other.run("rev-parse", "origin/bad") == one.run("rev-parse", "bad")


def test_who_has_the_branch_mends_it(shared: Shared) -> None:
    bucket, one, other = shared
    bucket.delete(trees_key(head_of(one, "bad")))
    for each in list(bucket.list("packs/")):
        bucket.delete(each.key)
    assert exit_code_of(other.run("fetch")) == 1
    one.run("push", "-q", "--delete", "origin", "bad")
    one.run("push", "-q", "origin", "bad")
    assert exit_code_of(other.run("fetch")) == 0
    assert other.run("show", "origin/bad:big") == "bad" * 40_000


def test_pull_merges_its_branch_beside_a_damaged_one(shared: Shared) -> None:
    bucket, _, other = shared
    spoil_record(bucket, "bad")
    reply = other.run("pull")
    assert "Fast-forward" in reply
    assert " ! [damaged] origin/bad (" in reply
    assert exit_code_of(reply) == 1
    assert other.files.read(b"b") == b"2\n"
    spoil_record(bucket, "main")
    before = other.head
    for words in (["pull"], ["pull", "origin", "main"]):
        with pytest.raises(DamagedRemote):
            other.run(*words)
    with pytest.raises(DamagedRemote):
        other.run("fetch", "origin", "bad")
    assert other.head == before


def test_the_record_of_an_experiment_may_be_damaged_alone(shared: Shared) -> None:
    bucket, one, other = shared
    one.run("experiment", "start", "idea")
    one.run("push", "-q", "origin", "idea")
    # Someone lets it name a commit that carries no record.
    main, idea = ref_key(HEADS, "main"), ref_key(EXPERIMENTS, "idea")
    bucket.swap(idea, bucket.get(main).data, bucket.get(idea).version)
    reply = other.run("fetch")
    assert " ! [damaged] origin/idea (" in reply
    assert other.origin_main == one.head
    assert other.run("experiment", "list").startswith("no experiments")


@pytest.mark.parametrize("kind", [CorruptObject, MissingObject])
def test_damage_here_is_not_told_as_that_of_the_remote(
    shared: Shared, kind: type[HeliosError]
) -> None:
    bucket, one, other = shared
    assert isinstance(other.store, SpoiltStore)
    assert isinstance(one.store, SpoiltStore)
    root = other.repository.history.read(head_of(other, "main")).root.oid
    other.store.spoilt[root] = kind
    with pytest.raises(DamagedHere, match=r"the store here is damaged.*'helios fsck'"):
        other.run("fetch")
    other.store.spoilt.clear()
    keys = [each.key for each in bucket.list("refs/")]
    one.commit("third", c=b"3\n")
    one.store.spoilt[head_of(one, "main")] = kind
    with pytest.raises(DamagedHere, match=r"the store here is damaged.*'helios fsck'"):
        one.run("push", "origin", "main")
    assert [each.key for each in bucket.list("refs/")] == keys
    assert other.run("fetch")


@pytest.mark.parametrize("is_alone", [False, True])
def test_a_newer_format_is_refused_as_such(shared: Shared, is_alone: bool) -> None:
    bucket, _, other = shared
    bucket.swap(FORMAT_KEY, b"helios-remote 7\n", bucket.get(FORMAT_KEY).version)
    spoil_record(bucket, "bad")
    words = ["fetch", "origin", "bad"] if is_alone else ["fetch"]
    with pytest.raises(StoreFormat, match=r"helios-remote 7.*a later heliosfs"):
        other.run(*words)


def test_a_push_looks_at_the_format_where_something_does_not_fit(shared: Shared) -> None:
    bucket, one, _ = shared
    spoil_record(bucket, "main")
    one.commit("third", c=b"3\n")
    # Nothing is said of the store here, which has no damage.
    with pytest.raises(
        DamagedRemote, match=r"the remote's record .*: remove refs/heads/\w+ there, 'helios fetch"
    ):
        one.run("push", "origin", "main")
    bucket.swap(FORMAT_KEY, b"helios-remote 7\n", bucket.get(FORMAT_KEY).version)
    with pytest.raises(StoreFormat, match="helios-remote 7"):
        one.run("push", "origin", "main")
