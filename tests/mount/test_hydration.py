"""Contents that a server has, in mounts: read when they are needed, and without it nothing else."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from heliosfs.remote.buckets import cloud_settings
from tests import ready_process
from tests.mount.conftest import SECONDS, Mounted, Mounter
from tests.mount.lazy import COUNT, LARGE, SIZE, URL, Link, copied, fill, linked
from tests.remote.promised import noise


@pytest.fixture
def link() -> Iterator[Link]:
    with linked() as link:
        yield link


@pytest.fixture
def two(mounter: Mounter, tmp_path: Path, link: Link) -> Mounted:
    """A workspace without contents, of which nothing was read yet."""
    one = mounter(name="one")
    fill(one)
    found = copied(mounter, tmp_path)
    link.server.requests.clear()
    return found


def _sound(mounted: Mounted) -> None:
    """Check that nothing is damaged, and nothing half."""
    mounted.helios("fsck")


def _refused(path: Path) -> int:
    with pytest.raises(OSError) as caught:
        path.read_bytes()
    assert caught.value.errno is not None
    return caught.value.errno


def test_a_file_is_one_request_and_its_neighbours_none(two: Mounted, link: Link) -> None:
    names = subprocess.run(
        ["ls", "-lR", str(two.path)], check=True, capture_output=True, text=True, timeout=SECONDS
    ).stdout
    assert names.count(f" {SIZE} ") == COUNT
    assert "nothing to commit" in two.helios("status")
    assert link.request_count == 0
    assert (two.path / "1/20").read_bytes() == noise(20, SIZE)
    assert link.request_count == 1
    for number in range(21, 40):
        assert (two.path / f"1/{number}").read_bytes() == noise(number, SIZE)
    assert link.request_count == 1
    _sound(two)


def test_large_files_in_sequence_and_by_pieces(two: Mounted, link: Link) -> None:
    with (two.path / "large").open("rb") as file:
        assert os.pread(file.fileno(), 100, 3_000_000) == LARGE[3_000_000:3_000_100]
    assert link.request_count <= 2
    assert (two.path / "large").read_bytes() == LARGE
    assert link.request_count <= 6


def test_others_are_answered_while_a_content_is_on_its_way(two: Mounted, link: Link) -> None:
    (two.path / "own").write_bytes(b"own")
    with ThreadPoolExecutor(4) as pool, link.held_up():
        readers = [pool.submit((two.path / "0/00").read_bytes) for _ in range(2)]
        assert link.reached.wait(SECONDS)
        # What lies behind comes with it; were this one the first, the other would be another range.
        readers.append(pool.submit((two.path / "0/01").read_bytes))
        assert (two.path / "own").read_bytes() == b"own"
        (two.path / "more").write_bytes(b"more")
        two.commit("beside")
        assert "more" in two.helios("log", "--stat", "-1")
        two.helios("branch", "beside")
        assert not any(each.done() for each in readers)
        link.go_on.set()
        assert [each.result(SECONDS) for each in readers] == [
            noise(0, SIZE),
            noise(0, SIZE),
            noise(1, SIZE),
        ]
    assert link.request_count == 1


def test_a_verb_that_waits_for_a_content_holds_nothing(two: Mounted, link: Link) -> None:
    with ThreadPoolExecutor(2) as pool, link.held_up():
        verb = pool.submit(two.helios, "show", "--stat", "-p", "HEAD", "--", "0")
        assert link.reached.wait(SECONDS)
        (two.path / "own").write_bytes(b"own")
        two.commit("beside")
        two.helios("checkout", "-b", "other")
        two.helios("reset", "--hard", "HEAD~1")
        assert not verb.done()
        link.go_on.set()
        assert "first" in verb.result(SECONDS)


def test_a_reader_that_is_killed_leaves_at_once(two: Mounted, link: Link) -> None:
    with link.held_up():
        with subprocess.Popen(["cat", str(two.path / "0/00")], stdout=subprocess.DEVNULL) as reader:
            assert link.reached.wait(SECONDS)
            reader.kill()
            assert reader.wait(SECONDS) < 0
        link.reached.clear()
        command = [sys.executable, "-m", "heliosfs.cli", "grep", "nothing", "--", "large"]
        with subprocess.Popen(command, cwd=two.path, stderr=subprocess.DEVNULL) as verb:
            assert link.reached.wait(SECONDS)
            verb.terminate()
            assert verb.wait(SECONDS) != 0
    assert (two.path / "0/00").read_bytes() == noise(0, SIZE)


def _interrupt(link: Link, path: Path, words: tuple[str, ...]) -> None:
    """Interrupt a command when a request of it stands still, and see that it ends."""
    with link.held_up():
        command = [sys.executable, "-m", "heliosfs.cli", *words]
        with subprocess.Popen(command, cwd=path, stderr=subprocess.DEVNULL) as verb:
            try:
                assert link.reached.wait(SECONDS)
                verb.send_signal(signal.SIGINT)
                began = time.monotonic()
                assert verb.wait(SECONDS) in (1, 130)
                # Less than any request waits for an answer.
                assert time.monotonic() - began < cloud_settings.PATIENT.answer / 2
            finally:
                verb.kill()


@pytest.mark.parametrize(
    "words",
    [("push",), ("push", "--work"), ("push", "--all"), ("remote", "add", "more", f"{URL}-2")],
)
def test_a_push_that_is_interrupted_ends_while_the_remote_does_not_answer(
    two: Mounted, link: Link, words: tuple[str, ...]
) -> None:
    (two.path / "new").write_bytes(noise(5, SIZE))
    two.commit("more")
    (two.path / "newer").write_bytes(noise(6, SIZE))
    _interrupt(link, two.path, words)
    two.helios(*words)
    two.helios("fsck")


@pytest.mark.parametrize(
    "words", [("push",), ("fetch",), ("fetch", "--contents"), ("remote", "gc")]
)
def test_without_a_mount_an_interrupt_ends_the_wait_too(
    two: Mounted, link: Link, words: tuple[str, ...]
) -> None:
    (two.path / "new").write_bytes(noise(5, SIZE))
    two.commit("more")
    two.umount()
    _interrupt(link, two.path, words)
    done = ready_process.run(words, cwd=two.path, timeout=SECONDS)
    assert done.returncode == 0, done.stderr
    assert ready_process.run(("fsck",), cwd=two.path, timeout=SECONDS).returncode == 0


def test_a_clone_that_is_interrupted_ends_and_leaves_nothing(
    two: Mounted, link: Link, tmp_path: Path
) -> None:
    _interrupt(link, tmp_path, ("clone", URL, "three"))
    assert not (tmp_path / "three").exists()


@pytest.mark.parametrize("words", [("fetch",), ("fetch", "--contents"), ("pull",)])
def test_a_fetch_that_is_interrupted_ends_while_the_remote_does_not_answer(
    two: Mounted, link: Link, words: tuple[str, ...]
) -> None:
    _interrupt(link, two.path, words)
    # No long verb is under way any more.
    assert "still at a remote" in two.helios("fsck")
    two.helios("fetch", "--contents")
    assert (two.path / "large").read_bytes() == LARGE


def test_an_unmount_does_not_wait_for_a_remote(two: Mounted, link: Link) -> None:
    with link.held_up(), ThreadPoolExecutor(1) as pool:
        reader = pool.submit(_refused, two.path / "0/00")
        assert link.reached.wait(SECONDS)
        two.terminate()
        assert reader.result(SECONDS) in (
            errno.EINTR,
            errno.EIO,
            errno.ENOTCONN,
            errno.ECONNABORTED,
        )


def test_a_daemon_that_is_killed_while_contents_come(two: Mounted, link: Link) -> None:
    with link.held_up(), ThreadPoolExecutor(1) as pool:
        reader = pool.submit(_refused, two.path / "0/00")
        assert link.reached.wait(SECONDS)
        two.kill9()
        assert reader.result(SECONDS)
    subprocess.run(["fusermount3", "-uz", str(two.path)], check=True, timeout=SECONDS)
    two.mount()
    _sound(two)
    assert (two.path / "0/00").read_bytes() == noise(0, SIZE)
    assert (two.path / "large").read_bytes() == LARGE
    two.kill9()
    subprocess.run(["fusermount3", "-uz", str(two.path)], check=True, timeout=SECONDS)
    two.mount()
    _sound(two)
    assert (two.path / "large").read_bytes() == LARGE


def test_a_daemon_that_is_killed_at_any_moment(two: Mounted, link: Link) -> None:
    paths = [two.path / f"{number // 20}/{number:02}" for number in range(COUNT)]
    for attempt in range(4):
        with ThreadPoolExecutor(4) as pool:
            readers = [pool.submit(_any_bytes, each) for each in (two.path / "large", *paths[::7])]
            time.sleep(0.01 * 3**attempt)
            two.kill9()
            for each in readers:
                each.result(SECONDS)
        subprocess.run(["fusermount3", "-uz", str(two.path)], check=True, timeout=SECONDS)
        two.mount()
        _sound(two)
    for number, path in enumerate(paths):
        assert path.read_bytes() == noise(number, SIZE)
    assert (two.path / "large").read_bytes() == LARGE


def _any_bytes(path: Path) -> None:
    with suppress(OSError):
        path.read_bytes()


def test_a_server_that_has_something_else(two: Mounted, link: Link) -> None:
    packs = {key: each for key, each in link.server.objects.items() if "packs/" in key}
    for key, each in packs.items():
        data = bytearray(each.data)
        data[100::997] = bytes(len(data[100::997]))
        link.server.objects[key] = each._replace(data=bytes(data))
    assert _refused(two.path / "0/00") == errno.EIO
    told = (two.path / ".helios/ctl/error").read_text()
    assert "is still at the remote 'origin', which has something else in its place: " in told
    done = two.command("show", "HEAD:0/01")
    assert "which has something else in its place" in done.stderr
    for key in packs:
        del link.server.objects[key]
    assert _refused(two.path / "0/00") == errno.EIO
    assert "which does not have it any more" in (two.path / ".helios/ctl/error").read_text()
    assert "hydration_content_count: 0\n" in two.helios("stats")
    _sound(two)
    link.server.objects.update(packs)
    assert (two.path / "0/00").read_bytes() == noise(0, SIZE)


def test_without_the_server_all_else_goes_on(
    two: Mounted, link: Link, mounter: Mounter, tmp_path: Path
) -> None:
    assert (two.path / "0/05").read_bytes() == noise(5, SIZE)
    link.is_cut = True
    assert (two.path / "0/06").read_bytes() == noise(6, SIZE)
    asked = link.request_count
    assert _refused(two.path / "2/50") == errno.EIO
    assert link.request_count > asked
    for number in range(51, 60):
        assert _refused(two.path / f"2/{number}") == errno.EIO
    told = (two.path / ".helios/ctl/error").read_text()
    assert "is still at the remote 'origin', which cannot be reached: " in told
    assert "attempts to read some failed: cat .helios/ctl/error" in two.helios("doctor")
    (two.path / "0/05").write_bytes(b"changed")
    (two.path / "new").write_bytes(b"new")
    (two.path / "2/59").write_bytes(b"replaced")
    head = two.commit("offline")
    two.helios("checkout", "-b", "idea")
    (two.path / "new").write_bytes(b"newer")
    two.commit("idea")
    two.helios("checkout", "main")
    two.helios("merge", "idea")
    two.helios("reset", "--hard", head)
    _sound(two)
    two.helios("gc")
    assert "offline" in two.helios("log")
    done = two.command("show", "HEAD~1", "--", "2/50")
    assert done.returncode == 1
    assert "is still at the remote 'origin', which cannot be reached: " in done.stderr
    told = two.command("diff", "--json", "--stat", "HEAD~1", "HEAD", "--", "2/59").stdout
    assert "is still at the remote" in json.loads(told)["error"]
    assert (two.path / "2/50").stat().st_size == SIZE
    two.remount()
    assert _refused(two.path / "2/50") == errno.EIO
    link.is_cut = False
    _until(lambda: (two.path / "2/50").read_bytes() == noise(50, SIZE))
    two.helios("push", "origin", "main")
    three = copied(mounter, tmp_path, "three")
    assert (three.path / "0/05").read_bytes() == b"changed"
    assert (three.path / "2/59").read_bytes() == b"replaced"
    assert (three.path / "large").read_bytes() == LARGE
    _sound(three)


def _until(check: Callable[[], bool]) -> None:
    """Try until it works: the remote is left alone for up to ten seconds."""
    for _ in range(150):
        with suppress(OSError):
            assert check()
            return
        time.sleep(0.1)
    raise AssertionError


def test_changes_of_promised_files(two: Mounted, link: Link) -> None:
    path = two.path
    with (path / "0/00").open("r+b") as file:
        file.write(b"head")
    assert (path / "0/00").read_bytes() == b"head" + noise(0, SIZE)[4:]
    with (path / "1/20").open("ab") as file:
        file.write(b"tail")
    assert (path / "1/20").read_bytes() == noise(20, SIZE) + b"tail"
    os.truncate(path / "2/45", 100)
    assert (path / "2/45").read_bytes() == noise(45, SIZE)[:100]
    with (path / "large").open("r+b") as file:
        os.pwrite(file.fileno(), b"middle", 2_000_000)
        os.pwrite(file.fileno(), b"across", 131_072 * 3 - 3)
    changed = bytearray(LARGE)
    changed[2_000_000:2_000_006] = b"middle"
    changed[131_072 * 3 - 3 : 131_072 * 3 + 3] = b"across"
    two.commit("pieces")
    assert (path / "large").read_bytes() == changed
    _sound(two)


def test_a_materialize_without_the_remote_leaves_nothing(
    two: Mounted, link: Link, tmp_path: Path
) -> None:
    assert (two.path / "0/00").read_bytes() == noise(0, SIZE)
    out = tmp_path / "away"
    link.is_cut = True
    out.mkdir()
    for name in ("away/new", "away"):
        done = two.command("materialize", "HEAD", str(tmp_path / name))
        assert done.returncode == 1
        assert "cannot read" in done.stderr
        assert os.listdir(out) == []
    link.is_cut = False
    _until(lambda: (two.path / "large").read_bytes() == LARGE)
    two.helios("materialize", "HEAD", str(out))
    assert (out / "large").read_bytes() == LARGE


def test_what_replaces_a_promised_file_needs_no_fetch(two: Mounted, link: Link) -> None:
    path = two.path
    link.is_cut = True
    (path / "0/00").write_bytes(b"new")
    os.truncate(path / "0/01", 0)
    (path / "other").write_bytes(b"other")
    os.rename(path / "other", path / "0/02")
    os.chmod(path / "0/03", 0o600)
    os.utime(path / "0/03")
    os.rename(path / "0/04", path / "moved")
    os.link(path / "0/05", path / "linked")
    os.unlink(path / "0/06")
    with (path / "1/20").open("rb") as source, (path / "copy").open("wb") as target:
        assert os.copy_file_range(source.fileno(), target.fileno(), SIZE) == SIZE
    with (path / "large").open("r+b") as file:
        os.pwrite(file.fileno(), noise(3, 131_072), 131_072)
        with pytest.raises(OSError):
            os.pwrite(file.fileno(), b"part", 131_072 * 4 + 5)
        os.posix_fallocate(file.fileno(), 0, 100)
        assert os.lseek(file.fileno(), 0, os.SEEK_HOLE) == len(LARGE)
        assert os.lseek(file.fileno(), 0, os.SEEK_DATA) == 0
    two.commit("without the server")
    link.is_cut = False
    expected = LARGE[:131_072] + noise(3, 131_072) + LARGE[2 * 131_072 :]
    _until(lambda: (path / "large").read_bytes() == expected)
    assert (path / "copy").read_bytes() == noise(20, SIZE)
    assert (path / "moved").read_bytes() == noise(4, SIZE)
    assert (path / "linked").read_bytes() == noise(5, SIZE)
    assert (path / "0/03").read_bytes() == noise(3, SIZE)
    assert (path / "0/03").stat().st_mode & 0o777 == 0o600
    assert "nothing to commit" in two.helios("status")


_MAPPING = """
import mmap, sys
with open("large", "r+b") as file, mmap.mmap(file.fileno(), 0) as mapped:
    sys.stdout.buffer.write(mapped[4_000_000:4_000_010])
    mapped[1_000_000:1_000_002] = b"xy"
"""


def test_mappings(two: Mounted, link: Link) -> None:
    # Its faults hold its interpreter, and the server is in this one.
    done = subprocess.run(
        [sys.executable, "-c", _MAPPING],
        cwd=two.path,
        check=True,
        capture_output=True,
        timeout=SECONDS,
    )
    assert done.stdout == LARGE[4_000_000:4_000_010]
    two.commit("mapped")
    assert (two.path / "large").read_bytes() == LARGE[:1_000_000] + b"xy" + LARGE[1_000_002:]
    _sound(two)


def test_snapshots_live_branches_and_checkouts(two: Mounted, link: Link) -> None:
    two.helios("branch", "idea")
    (two.path / "0/00").write_bytes(b"newer")
    two.commit("newer")
    assert (two.path / ".helios/snapshots/HEAD~1/0/00").read_bytes() == noise(0, SIZE)
    assert (two.path / ".helios/branches/idea/1/25").read_bytes() == noise(25, SIZE)
    two.helios("checkout", "HEAD~1")
    assert (two.path / "0/00").read_bytes() == noise(0, SIZE)
    assert (two.path / "2/59").read_bytes() == noise(59, SIZE)


def test_verbs_that_read_contents(two: Mounted, link: Link) -> None:
    assert two.command("grep", "-c", "nothing that is there").returncode == 1
    # All contents: 1, 2, 4 MiB.
    assert link.request_count <= 12
    link.is_cut = True
    assert "first" in two.helios("log", "-p")
    assert "nothing" not in two.helios("show", "HEAD")


def test_a_verb_without_a_mount(two: Mounted, link: Link) -> None:
    two.unmount()
    link.is_cut = True
    done = two.command("grep", "-c", "nothing that is there")
    assert done.returncode == 2
    assert "is still at the remote 'origin', which cannot be reached: " in done.stderr
    link.is_cut = False
    assert two.command("grep", "-c", "nothing that is there").returncode == 1
    link.is_cut = True
    assert two.command("grep", "-c", "nothing that is there").returncode == 1
    two.mount()
    assert (two.path / "large").read_bytes() == LARGE


def test_a_clone_brings_the_rules(link: Link, mounter: Mounter, tmp_path: Path) -> None:
    one = mounter(name="one")
    (one.path / "deep").mkdir()
    (one.path / ".heliosignore").write_text("*.o\n")
    (one.path / "deep" / ".heliosignore").write_text("*.p\n")
    fill(one)
    two = copied(mounter, tmp_path)
    link.is_cut = True
    (two.path / "deep" / "ignored.p").write_bytes(b"")
    (two.path / "new").write_bytes(b"")
    assert two.helios("status", "-s") == " A new\n"
    assert two.helios("commit", "-q", "-m", "offline") == ""
    assert two.helios("status", "-s") == ""
    assert _refused(two.path / "0/00") == errno.EIO


def _read_ahead(
    mounted: Mounted, least_bytes: int, count: str = "hydration_prefetched_bytes"
) -> None:
    """Wait until so much was read ahead."""
    deadline = time.monotonic() + SECONDS
    while json.loads(mounted.helios("stats", "--json"))[count] < least_bytes:
        assert time.monotonic() < deadline, mounted.helios("stats")
        time.sleep(0.2)


def test_contents_are_read_ahead(link: Link, mounter: Mounter, tmp_path: Path) -> None:
    fill(mounter(name="one"))
    two = copied(mounter, tmp_path, reads_ahead=True)
    total = COUNT * SIZE + len(LARGE) + (two.path / "run").stat().st_size
    _read_ahead(two, total)
    link.is_cut = True
    assert (two.path / "large").read_bytes() == LARGE
    assert two.command("grep", "-c", "nothing that is there").returncode == 1
    _sound(two)


def test_verbs_share_a_connection(two: Mounted, link: Link) -> None:
    two.helios("fetch")
    before = link.server.connection_count
    for number in range(4):
        (two.path / "own").write_bytes(b"%d" % number)
        two.commit("own")
        two.helios("push")
        two.helios("fetch")
    assert link.server.connection_count == before


def test_a_live_branch_is_read_ahead_when_somebody_works_there(
    mounter: Mounter, tmp_path: Path, link: Link
) -> None:
    one = mounter(name="one")
    fill(one)
    one.helios("checkout", "-b", "idea")
    # Too large to come along with what is read.
    (one.path / "own").write_bytes(noise(7, 3_000_000))
    one.commit("idea")
    one.helios("push", "origin", "idea")
    two = copied(mounter, tmp_path, reads_ahead=True)
    two.helios("branch", "idea", "origin/idea")
    total = COUNT * SIZE + len(LARGE) + (two.path / "run").stat().st_size
    _read_ahead(two, total)
    live = two.path / ".helios/branches/idea"
    with (live / "own").open("rb") as file:
        assert len(os.pread(file.fileno(), 10, 2_999_000)) == 10
    _read_ahead(two, total + 1_000_000)
    _read_ahead(two, total + 3_000_000, "hydration_received_bytes")
    link.is_cut = True
    assert (live / "own").read_bytes() == noise(7, 3_000_000)
