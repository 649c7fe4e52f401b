"""Push and fetch: what travels, what is refused, and how many requests that takes."""

from __future__ import annotations

import random

import pytest

from heliosfs.errors import NotFound
from heliosfs.remote.buckets.memory import MemoryBucket
from heliosfs.remote.fetch import fetch
from heliosfs.remote.push import delete
from heliosfs.remote.refplace import NotFastForward
from heliosfs.remote.upload import SMALL_BYTES
from heliosfs.repo.gc.collect import collect_garbage
from heliosfs.repo.gc.retention import Retention
from heliosfs.repo.remotes import HEADS
from heliosfs.steps import Progress, Turn, perform, run_to_end
from heliosfs.store.encoding.codecs import encode
from tests.remote.machines import Machine

_LARGE = random.Random(7).randbytes(3 * 1024 * 1024)


def test_everything_in_a_tree_arrives() -> None:
    bucket = MemoryBucket()
    one, two = Machine(bucket), Machine(bucket)
    one.files.write(b"deep/er/a", b"1", 0o755)
    one.files.write(b"large", _LARGE)
    one.files.write(b"empty", b"")
    one.files.symlink(b"link", b"deep/er/a")
    one.files.fifo(b"fifo")
    one.files.directory(b"nothing")
    for number in range(300):
        one.files.write(b"many/%03d" % number, b"%d" % number)
    one.commit()
    one.push()
    two.pull()
    assert two.files.tree() == one.files.tree()
    assert two.head == one.head
    two.check()


def test_only_what_is_new_is_sent() -> None:
    bucket = MemoryBucket()
    one = Machine(bucket)
    for number in range(300):
        one.files.write(b"many/%03d" % number, b"%d" % number)
    one.files.write(b"deep/er/a", b"1" * 2_000)
    one.commit()
    assert one.push().object_count > 300
    data = random.Random(1).randbytes(10_000)
    one.files.write(b"deep/er/a", data)
    one.commit()
    bucket.requests.clear()
    bucket.sent_bytes = 0
    # A blob, three trees and a commit.
    assert one.push().object_count == 5
    assert bucket.requests == {"create": 1, "swap": 1, "get": 1}
    assert bucket.sent_bytes <= 2 * len(encode(data).body)


def test_small_contents_travel_with_the_trees() -> None:
    bucket = MemoryBucket()
    one, two = Machine(bucket), Machine(bucket)
    drawn = random.Random(2)
    one.commit(first=b"1")
    one.push()
    two.pull()
    sizes = (SMALL_BYTES // 2, SMALL_BYTES // 2, SMALL_BYTES + 1)
    for number, (size, most) in enumerate(zip(sizes, (3, 3, 4), strict=True)):
        one.commit("work", **{f"f{number}": drawn.randbytes(size)})
        bucket.requests.clear()
        one.push()
        assert bucket.requests.total() == most
        bucket.requests.clear()
        two.pull()
        # All refs are listed, and the one that has moved is read.
        assert bucket.requests.total() == most
        two.check()
    # What is small as it is sent, and not when it is read.
    one.commit("plain", plain=b"".join(bytes((byte,)) * 65_536 for byte in range(32)))
    bucket.requests.clear()
    one.push()
    assert bucket.requests.total() == 4
    two.pull()
    assert two.files.tree() == one.files.tree()


def test_a_name_that_moves_within_what_is_there_sends_nothing() -> None:
    bucket = MemoryBucket()
    one, two = Machine(bucket), Machine(bucket)
    one.commit(a=b"1")
    one.run("branch", "old")
    one.commit(a=b"2")
    one.push()
    bucket.requests.clear()
    assert one.push("old").object_count == 0
    # Whether the trees are there, and no collection is about to delete them.
    assert bucket.requests == {"create": 1, "get": 3}
    one.repository.refs.branch("old")
    two.fetch()
    assert two.run("log", "--format=%s", "origin/old") == "work\n"
    two.check()


def test_a_thousand_commits_are_fetched_by_few_requests() -> None:
    bucket = MemoryBucket()
    one, two = Machine(bucket), Machine(bucket)
    for number in range(1_000):
        one.commit(a=b"%d" % number)
    one.push()
    bucket.requests.clear()
    assert two.fetch().commit_count == 1_000
    assert bucket.requests.total() <= 10
    assert two.run("rev-parse", "origin/main~900") == one.run("rev-parse", "HEAD~900")
    two.check()


def test_many_pushes_are_fetched_several_at_once() -> None:
    bucket = MemoryBucket()
    one, two = Machine(bucket), Machine(bucket)
    for number in range(100):
        one.commit(a=b"%d" % number)
        one.push()
    # What a push that was cut short has left, and nobody needs.
    bucket.create(f"trees/{'ab' * 32}", b"damaged")
    bucket.requests.clear()
    steps = fetch(two.repository, two.bucket, "origin")
    waits = 0
    for step in steps:
        if not isinstance(step, Turn | Progress):
            before = bucket.requests.total()
            perform(step)
            waits += bucket.requests.total() > before
    assert two.origin_main == one.head
    assert bucket.requests["get"] <= 102
    assert bucket.requests["list"] == 2
    assert waits <= 24
    two.check()


def test_a_fetch_of_nothing_new_is_one_request() -> None:
    bucket = MemoryBucket()
    one = Machine(bucket)
    one.commit(a=b"1")
    one.push()
    bucket.requests.clear()
    assert one.fetch().moved == []
    assert bucket.requests == {"list": 1}


def test_a_push_that_would_lose_commits_is_refused() -> None:
    bucket = MemoryBucket()
    one, two = Machine(bucket), Machine(bucket)
    one.commit(a=b"1")
    one.push()
    two.pull()
    two.commit(b=b"2")
    two.push()
    one.commit(a=b"3")
    with pytest.raises(NotFastForward, match="was moved by Ada"):
        one.push()
    with pytest.raises(NotFastForward):
        one.push(with_lease=True)
    one.fetch()
    with pytest.raises(NotFastForward, match="force-with-lease"):
        one.push()
    assert one.push(with_lease=True).is_forced
    moved = two.fetch().moved
    assert [each.is_forced for each in moved] == [True]
    assert two.origin_main == one.head


def test_a_remote_that_was_copied_is_the_same() -> None:
    bucket, copy = MemoryBucket(), MemoryBucket()
    one = Machine(bucket)
    one.commit(a=b"1")
    one.push()
    copy.create("before/all/others", b"so that the versions differ")
    for each in bucket.list(""):
        copy.create(each.key, bucket.get(each.key).data)
    one.bucket = copy
    one.commit(a=b"2")
    assert not one.push().is_forced
    two = Machine(copy)
    two.fetch()
    assert two.origin_main == one.head


def test_a_ref_that_is_gone_is_told_of_and_forgotten_on_request() -> None:
    bucket = MemoryBucket()
    one = Machine(bucket)
    one.commit(a=b"1")
    one.push()
    bucket.delete("refs/heads/main")
    one.commit(a=b"2")
    with pytest.raises(NotFastForward, match="--prune"):
        one.push()
    assert [each.name for each in one.fetch().gone] == ["main"]
    assert one.tracked
    one.fetch(prunes=True)
    assert not one.tracked
    one.push()
    assert one.origin_main == one.head


def test_names_that_contain_each_other_and_are_not_ascii() -> None:
    bucket = MemoryBucket()
    one, two, three = Machine(bucket), Machine(bucket), Machine(bucket)
    one.commit(a=b"1")
    one.push()
    two.pull()
    for machine, name in ((one, "x"), (two, "x/y"), (two, "größe/ü%2F")):
        machine.run("branch", name)
        machine.push(name)
    three.fetch()
    assert sorted(name for _, name in three.tracked) == ["größe/ü%2F", "main", "x", "x/y"]


def test_a_collection_keeps_what_a_remote_had() -> None:
    bucket = MemoryBucket()
    one, two = Machine(bucket), Machine(bucket)
    one.commit(a=b"1" * 500)
    one.commit(a=b"2" * 500)
    one.push()
    two.fetch()
    retention = Retention(two.repository.clock.now_ns(), 1, keeps_unreached=False)
    run_to_end(collect_garbage(two.repository, retention, packs=True), two.store)
    two.check()
    assert two.run("show", "origin/main:a") == "2" * 500
    two.run("merge", "origin/main")
    assert two.head == one.head


def test_what_is_known_of_a_remote_survives_reopening() -> None:
    bucket = MemoryBucket()
    one = Machine(bucket)
    one.commit(a=b"1")
    one.push()
    before = one.tracked
    one.reopen()
    assert one.tracked == before
    with one.repository.transaction:
        one.repository.remotes.remove("origin", 0)
    one.reopen()
    assert one.repository.remotes.names == []
    assert list(one.repository.remotes.branches()) == []


def test_a_transaction_that_fails_leaves_the_names_as_they_were() -> None:
    one = Machine(MemoryBucket())
    one.commit(a=b"1")
    one.push()
    before = one.tracked
    remotes = one.repository.remotes
    with pytest.raises(RuntimeError), one.repository.transaction:
        remotes.track("origin", HEADS, "main", None, 0)
        remotes.add("other", "memory:")
        remotes.remove("origin", 0)
        raise RuntimeError
    assert one.tracked == before
    assert remotes.names == ["origin"]


def test_merges_travel_whole() -> None:
    bucket = MemoryBucket()
    one, two = Machine(bucket), Machine(bucket)
    one.commit(a=b"1")
    one.push()
    two.pull()
    for number in range(5):
        one.commit("work", **{f"one{number}": b"1"})
        two.commit("work", **{f"two{number}": b"2"})
        one.push()
        two.pull()
        two.push()
        one.pull()
    three = Machine(bucket)
    three.pull()
    three.check()
    assert three.commits() == one.commits() == two.commits()
    assert three.files.tree() == one.files.tree()


def test_a_deleted_ref_leaves_what_others_need() -> None:
    bucket = MemoryBucket()
    one, late = Machine(bucket), Machine(bucket)
    first = one.commit(a=b"1")
    one.run("branch", "early")
    one.commit(a=b"2")
    one.push()
    # Nothing is sent for it: it is read from what the push of main has left.
    one.push("early")
    run_to_end(delete(one.repository, bucket, "origin", "main"), one.store)
    assert list(one.tracked) == [(HEADS, "early")]
    late.fetch()
    assert [seen.commit.hex() for seen in late.tracked.values()] == [first]
    late.check()
    one.push()
    late.fetch()
    assert late.origin_main == one.head
    late.check()


def test_a_deletion_whose_answer_is_lost_is_repeated() -> None:
    bucket = MemoryBucket()
    one = Machine(bucket)
    one.commit(a=b"1")
    one.push()
    bucket.delete("refs/heads/main")
    run_to_end(delete(one.repository, bucket, "origin", "main"), one.store)
    assert not one.tracked
    with pytest.raises(NotFound, match="was seen"):
        run_to_end(delete(one.repository, bucket, "origin", "main"), one.store)
