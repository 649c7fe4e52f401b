"""Bucket in a directory: crashes, processes that race, links, and disks that are not mounted."""

from __future__ import annotations

import errno
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from heliosfs.errors import AlreadyExists
from heliosfs.remote.bucket import Changed, NoObject, Unreachable
from heliosfs.remote.buckets.file_names import NEW
from heliosfs.remote.buckets.shared_directory import DirectoryBucket

# A child that another test's threads could not harm: it makes system calls, and ends.
pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")

CALLS = ("open", "write", "utime", "fsync", "mkdir", "link", "rename", "unlink", "fchmod")
PROCESSES_COUNT = 4
ROUNDS_COUNT = 12


@pytest.fixture
def bucket(tmp_path: Path) -> DirectoryBucket:
    bucket = DirectoryBucket(str(tmp_path / "bucket"))
    bucket.make()
    return bucket


def in_child(body: Callable[[], int]) -> int:
    """Return the exit code of a child that runs a function, and nothing behind it."""
    pid = os.fork()
    if pid == 0:
        code = 99
        try:
            code = body()
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def dying_at(number: int) -> None:
    """Let this process end at its n-th system call that writes, before it is made."""
    left = number

    def dying(call: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*args: Any, **words: Any) -> Any:
            nonlocal left
            left -= 1
            if left == 0:
                os._exit(7)
            return call(*args, **words)

        return wrapped

    for name in CALLS:
        setattr(os, name, dying(getattr(os, name)))


REQUESTS: list[Callable[[DirectoryBucket, str], object]] = [
    lambda bucket, version: bucket.create("refs/heads/new", b"new"),
    lambda bucket, version: bucket.swap("refs/heads/old", b"new", version),
    lambda bucket, version: bucket.delete("refs/heads/old", version),
]


@pytest.mark.parametrize("request_number", range(len(REQUESTS)))
def test_a_kill_leaves_the_old_or_the_new(tmp_path: Path, request_number: int) -> None:
    seen = set()
    for number in range(1, 100):
        bucket = DirectoryBucket(str(tmp_path / f"bucket{number}"))
        bucket.make()
        version = bucket.create("refs/heads/old", b"old")

        def body(
            bucket: DirectoryBucket = bucket, version: str = version, number: int = number
        ) -> int:
            dying_at(number)
            REQUESTS[request_number](DirectoryBucket(bucket.path), version)
            return 0

        code = in_child(body)
        there = {each.key: bucket.get(each.key).data for each in bucket.list("")}
        seen.add(tuple(sorted(there.items())))
        # Whatever was left behind, the next one has its way.
        if there.get("refs/heads/old") == b"old":
            bucket.swap("refs/heads/old", b"next", bucket.get("refs/heads/old").version)
        if "refs/heads/new" not in there:
            bucket.create("refs/heads/new", b"next")
        if code == 0:
            break
        assert code == 7
    else:
        pytest.fail("it never ends")
    before = (("refs/heads/old", b"old"),)
    after: list[tuple[tuple[str, bytes], ...]] = [
        (("refs/heads/new", b"new"), ("refs/heads/old", b"old")),
        (("refs/heads/old", b"new"),),
        (),
    ]
    assert seen == {before, after[request_number]}


def test_what_a_crash_left_goes_after_a_day(bucket: DirectoryBucket) -> None:
    new = Path(bucket.path, NEW)
    for name, age in (("old", 90_000), ("young", 3_000)):
        (new / name).write_bytes(b"left")
        os.utime(new / name, (time.time() - age,) * 2)
    DirectoryBucket(bucket.path).create("a", b"")
    assert os.listdir(new) == ["young"]


def test_processes_race(bucket: DirectoryBucket) -> None:
    """Each process increases a counter by swaps, and creates what only one of them can."""
    bucket.create("counter", b"0")

    def body(number: int) -> int:
        own = DirectoryBucket(bucket.path)
        won = 0
        for round_number in range(ROUNDS_COUNT):
            try:
                own.create(f"round/{round_number}", b"%d" % number)
                won += 1
            except Changed:
                pass
            while True:
                got = own.get("counter")
                try:
                    own.swap("counter", b"%d" % (int(got.data) + 1), got.version)
                    break
                except Changed:
                    continue
        return won

    pids = []
    for number in range(PROCESSES_COUNT):
        pid = os.fork()
        if pid == 0:
            code = 99
            try:
                code = body(number)
            finally:
                os._exit(code)
        pids.append(pid)
    won = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]
    assert sum(won) == ROUNDS_COUNT
    assert bucket.get("counter").data == b"%d" % (PROCESSES_COUNT * ROUNDS_COUNT)
    owners = [bucket.get(f"round/{number}").data for number in range(ROUNDS_COUNT)]
    assert won == [owners.count(b"%d" % number) for number in range(PROCESSES_COUNT)]


def test_a_b_a_is_detected(bucket: DirectoryBucket) -> None:
    first = version = bucket.create("ref", b"A")
    versions = {first}
    for data in (b"B", b"A") * 50:
        version = bucket.swap("ref", data, version)
        versions.add(version)
        with pytest.raises(Changed):
            bucket.swap("ref", b"C", first)
    assert len(versions) == 101


@pytest.mark.parametrize("code", [errno.EPERM, errno.EOPNOTSUPP])
def test_a_file_system_without_hard_links(
    bucket: DirectoryBucket, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def refuse(*args: object, **words: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "link", refuse)
    version = bucket.create("a", b"1")
    with pytest.raises(Changed):
        bucket.create("a", b"2")
    assert bucket.get("a") == (b"1", version)
    assert os.listdir(Path(bucket.path, NEW)) == []


def test_a_repeated_link_of_nfs_is_our_own(
    bucket: DirectoryBucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = os.link

    def repeat(*args: Any, **words: Any) -> None:
        link(*args, **words)
        link(*args, **words)

    monkeypatch.setattr(os, "link", repeat)
    assert bucket.create("a", b"1") == bucket.get("a").version


def test_links_are_not_followed(bucket: DirectoryBucket, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_bytes(b"secret")
    Path(bucket.path, "refs.d").symlink_to(outside)
    Path(bucket.path, "file").symlink_to(outside / "secret")
    Path(bucket.path, "pipe").unlink(missing_ok=True)
    os.mkfifo(Path(bucket.path, "pipe"))
    for key in ("refs/secret", "file", "pipe"):
        with pytest.raises(Unreachable):
            bucket.get(key)
    with pytest.raises(Unreachable, match="links are not followed"):
        bucket.create("refs/new", b"")
    with pytest.raises(Unreachable):
        bucket.delete("refs/secret")
    with pytest.raises(Changed):
        bucket.create("file", b"")
    assert list(bucket.list("")) == []
    assert os.listdir(outside) == ["secret"]
    assert (outside / "secret").read_bytes() == b"secret"


def test_names_that_no_object_has_are_not_listed(bucket: DirectoryBucket) -> None:
    bucket.create("refs/a", b"1")
    root = Path(bucket.path)
    (root / "re.m").mkdir()
    (root / "re.m" / "fs").touch()
    for name in (".nfs0001", "a\\b", "other.x", "refs.d/new\n", "refs.d/.hidden"):
        (root / name).touch()
    assert [each.key for each in bucket.list("")] == ["refs/a"]


def test_a_disk_that_is_not_mounted_is_not_taken_for_an_empty_one(
    bucket: DirectoryBucket, tmp_path: Path
) -> None:
    bucket.create("a", b"1")
    os.rename(bucket.path, tmp_path / "elsewhere")
    for is_mount_point_there in (False, True):
        if is_mount_point_there:
            os.mkdir(bucket.path)
        requests: list[Callable[[], object]] = [
            lambda: bucket.get("a"),
            lambda: bucket.create("b", b""),
            lambda: bucket.swap("a", b"", ""),
            lambda: bucket.delete("a"),
            lambda: list(bucket.list("")),
        ]
        for each in requests:
            with pytest.raises(Unreachable, match="is its disk mounted"):
                each()
    assert os.listdir(bucket.path) == []


def test_a_directory_that_holds_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").touch()
    with pytest.raises(AlreadyExists, match=r"photo\.jpg"):
        DirectoryBucket(str(tmp_path)).make()
    with pytest.raises(Unreachable, match="make it"):
        DirectoryBucket(str(tmp_path / "no" / "parent")).make()
    assert os.listdir(tmp_path) == ["photo.jpg"]


def test_a_disk_as_a_whole_can_be_a_remote(tmp_path: Path) -> None:
    (tmp_path / "lost+found").mkdir()
    bucket = DirectoryBucket(str(tmp_path))
    bucket.make()
    bucket.create("a", b"")
    assert [each.key for each in bucket.list("")] == ["a"]


def test_files_have_the_permissions_of_the_directory(tmp_path: Path) -> None:
    """A group whose directory it is can use it, whatever the umask of each member is."""
    path = tmp_path / "bucket"
    path.mkdir()
    path.chmod(0o2770)
    before = os.umask(0o077)
    try:
        bucket = DirectoryBucket(str(path))
        bucket.make()
        bucket.create("refs/a", b"")
    finally:
        os.umask(before)
    modes = {each.name: stat.S_IMODE(each.stat().st_mode) & 0o777 for each in path.rglob("*")}
    assert modes == {"lock.x": 0o660, "new.x": 0o770, "refs.d": 0o770, "a": 0o660}


@pytest.fixture
def open_to_all() -> Iterator[Path]:
    """A directory to which every user gets, as below that of the tests only the tester does."""
    path = Path(tempfile.mkdtemp(prefix="heliosfs-shared-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


GROUP = 53_000


def as_user(uid: int, groups: list[int], call: Callable[[], object]) -> str:
    """Call a function as a user of these groups, who keeps files to himself; return its result."""
    read_fd, write_fd = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            os.setgroups(groups)
            os.setgid(uid)
            os.setuid(uid)
            os.umask(0o077)
            try:
                said = str(call())
            except Unreachable as error:
                said = f"refused: {error}"
            os.write(write_fd, said.encode())
        finally:
            os._exit(0)
    os.close(write_fd)
    with open(read_fd, "rb") as file:
        said = file.read().decode()
    os.waitpid(pid, 0)
    return said


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be several users")
@pytest.mark.parametrize("mode", [0o2770, 0o770])
def test_users_of_a_group_share_a_directory(open_to_all: Path, mode: int) -> None:
    """Each with a primary group of his own, with and without the setgid bit."""
    path = open_to_all / "bucket"
    path.mkdir()
    os.chown(path, 0, GROUP)
    path.chmod(mode)

    def begin() -> str:
        bucket = DirectoryBucket(str(path))
        bucket.make()
        bucket.create("refs/heads/a", b"1")
        return bucket.create("packs/x", b"pack")

    def go_on() -> bytes:
        bucket = DirectoryBucket(str(path))
        data, version = bucket.get("refs/heads/a")
        bucket.swap("refs/heads/a", data + b"2", version)
        bucket.create("refs/tags/t", b"")
        bucket.delete("packs/x", bucket.get("packs/x").version)
        return bucket.get("refs/heads/a").data

    assert "refused" not in as_user(53_001, [GROUP], begin)
    assert as_user(53_002, [GROUP], go_on) == "b'12'"
    groups = {each.stat().st_gid for each in path.rglob("*")}
    assert groups == {GROUP}
    said = as_user(53_003, [], lambda: DirectoryBucket(str(path)).get("refs/heads/a"))
    assert "permission denied" in said
    assert "'chgrp -R GROUP'" in said
    said = as_user(53_003, [], lambda: DirectoryBucket(str(open_to_all / "new")).make())
    assert "cannot make it: permission denied: name one that is yours" in said


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be several users")
def test_who_may_only_read_reads_and_the_sticky_bit_is_named(open_to_all: Path) -> None:
    path = open_to_all / "bucket"
    path.mkdir(0o755)
    bucket = DirectoryBucket(str(path))
    bucket.make()
    bucket.create("refs/a", b"1")
    other = DirectoryBucket(str(path))
    assert as_user(53_001, [], lambda: other.get("refs/a").data) == "b'1'"
    assert "clone and fetch" in as_user(53_001, [], lambda: other.create("refs/b", b""))
    for each in (path, *path.rglob("*")):
        each.chmod(0o1777 if each.is_dir() else 0o666)
    version = bucket.get("refs/a").version
    said = as_user(53_001, [], lambda: other.swap("refs/a", b"2", version))
    assert "the sticky bit" in said
    assert bucket.get("refs/a").data == b"1"


@pytest.mark.parametrize(
    ("number", "advice"),
    [
        (errno.ENOSPC, "make room there, and push again"),
        (errno.EDQUOT, "make room there, and push again"),
        (errno.EROFS, "takes no push"),
        (errno.EACCES, "'chgrp -R GROUP'"),
    ],
)
def test_an_error_says_what_to_do(
    bucket: DirectoryBucket, monkeypatch: pytest.MonkeyPatch, number: int, advice: str
) -> None:
    def failing(*args: object) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "write", failing)
    with pytest.raises(Unreachable, match="cannot create refs/a: ") as found:
        bucket.create("refs/a", b"1")
    assert advice in str(found.value)
    assert bucket.path in str(found.value)


def test_a_full_disk_leaves_nothing(
    bucket: DirectoryBucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*args: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        with pytest.raises(Unreachable, match="no space left"):
            bucket.create("a", b"1")
    with pytest.raises(NoObject):
        bucket.get("a")
    assert os.listdir(Path(bucket.path, NEW)) == []


def test_an_object_that_another_machine_replaces_is_read_again(
    bucket: DirectoryBucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket.create("a", b"1")
    pread = os.pread
    failures = [errno.ESTALE, errno.ESTALE]

    def stale(*args: Any) -> bytes:
        if failures:
            code = failures.pop()
            raise OSError(code, os.strerror(code))
        return pread(*args)

    monkeypatch.setattr(os, "pread", stale)
    assert bucket.get("a").data == b"1"
    failures += [errno.ESTALE] * 9
    with pytest.raises(Unreachable):
        bucket.get("a")


def test_a_directory_whose_parent_is_not_there_is_not_made(tmp_path: Path) -> None:
    bucket = DirectoryBucket(str(tmp_path / "team" / "project"))
    with pytest.raises(Unreachable, match=r"team is not there: .*mkdir -p .*/team"):
        bucket.make()
    # The disk on which it lies may not be mounted.
    assert os.listdir(tmp_path) == []
