"""The commit barrier: a commit has every byte that was written before it was asked for."""

from __future__ import annotations

import errno
import mmap
import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from tests.mount.programs import SECONDS, put

if TYPE_CHECKING:
    from tests.mount.conftest import Mounted


def test_files_that_are_still_open(mounted: Mounted) -> None:
    with open(mounted.path / "open", "wb", buffering=0) as file:
        file.write(b"x" * 1234)
        mounted.commit("one")
        file.write(b"y" * 1000)
        mounted.commit("two")
        file.write(b"z")
    read = (mounted.path / ".helios/snapshots/HEAD~1/open").read_bytes()
    assert read == b"x" * 1234
    read = (mounted.path / ".helios/snapshots/HEAD/open").read_bytes()
    assert read == b"x" * 1234 + b"y" * 1000


def test_stores_through_a_shared_mapping_without_msync(mounted: Mounted) -> None:
    size = 50 * 4096
    path = mounted.path / "mapped"
    path.write_bytes(bytes(size))
    with open(path, "r+b") as file, mmap.mmap(file.fileno(), size) as mapped:
        for number in range(20):
            mapped[number * 9000 : number * 9000 + 4] = b"%04d" % number
            mounted.commit(f"{number}")
            snapshot = mounted.path / ".helios/snapshots/HEAD/mapped"
            assert snapshot.read_bytes() == bytes(mapped)


def test_a_mapping_whose_file_was_closed(mounted: Mounted) -> None:
    path = mounted.path / "mapped"
    path.write_bytes(bytes(4096))
    with open(path, "r+b") as file:
        mapped = mmap.mmap(file.fileno(), 4096)
    with mapped:
        mapped[:5] = b"bytes"
        mounted.commit("one")
    assert (mounted.path / ".helios/snapshots/HEAD/mapped").read_bytes()[:5] == b"bytes"


def test_a_mapping_alone_is_a_change_for_status_and_reset(mounted: Mounted) -> None:
    path = mounted.path / "mapped"
    path.write_bytes(bytes(4096))
    mounted.commit("one")
    with open(path, "r+b") as file, mmap.mmap(file.fileno(), 4096) as mapped:
        mapped[:5] = b"bytes"
        assert mounted.control("status", "--short\n") == " M mapped\n"
        mounted.control("reset", "--hard\n")
    assert path.read_bytes() == bytes(4096)
    mounted.control("undo", "\n")
    assert path.read_bytes()[:5] == b"bytes"


def test_what_is_stored_where_nothing_can_be_is_gone_and_stops_no_verb(mounted: Mounted) -> None:
    """A snapshot, and a branch deleted meanwhile: the one that stored gets the error."""
    if mounted.are_opens_asked:
        pytest.skip("a snapshot is not opened for writing, nor a branch deleted that is in use")
    put(mounted.path / "file", "text" * 1024)
    oid = mounted.commit("one")
    mounted.control("branch", "idea\n")
    for where, code in ((f"snapshots/{oid}", errno.EROFS), ("live/idea", errno.ESTALE)):
        path = mounted.path / ".helios" / where / "file"
        with open(path, "r+b") as file, mmap.mmap(file.fileno(), 4096) as mapped:
            if code == errno.ESTALE:
                mounted.control("branch", "-D idea\n")
            for word in (b"once", b"more"):
                mapped[:4] = word
                for number in range(3):
                    put(mounted.path / "other", f"{code} {word!r} {number}\n")
                    mounted.commit("another")
                deadline = time.monotonic() + SECONDS
                while mapped[:4] != b"text":
                    assert time.monotonic() < deadline, mapped[:4]
                    time.sleep(0.01)
                assert os.pread(file.fileno(), 9, 0) == b"texttextt"
            mapped[:4] = b"lost"
            with pytest.raises(OSError) as failed:
                mapped.flush()
            assert failed.value.errno == code
    assert (mounted.path / f".helios/snapshots/{oid}/file").read_text() == "text" * 1024
    assert "could not write back" not in mounted.log.read_text()


def test_a_file_in_a_live_view_that_is_open(mounted: Mounted) -> None:
    put(mounted.path / "file", "old")
    mounted.commit("one")
    mounted.control("branch", "idea\n")
    live = mounted.path / ".helios/branches/idea"
    with open(live / "file", "w") as file:
        file.write("new")
        file.flush()
        mounted.commit("on idea", view=".helios/branches/idea")
        assert (live / ".helios/snapshots/HEAD/file").read_text() == "new"
        assert (mounted.path / "file").read_text() == "old"


COMMITTER = """
import errno, os, sys
name, count = sys.argv[1], int(sys.argv[2])
control = os.open(".helios/ctl/commit", os.O_RDWR)
number = 0
while count:
    number += 1
    with open(name, "w") as file:
        file.write(str(number))
    os.write(control, f"{name} {number}\\n".encode())
    try:
        oid = os.read(control, 100)
    except OSError as error:
        # The change went into a commit that another process made just now.
        assert error.errno == errno.ENODATA
        continue
    count -= 1
    print(name, number, oid.decode().strip(), flush=True)
"""


def test_eight_processes_that_commit_at_once(mounted: Mounted) -> None:
    """Each reads the id of its own commit from its own descriptor."""
    count = 12
    command = [sys.executable, "-IS", "-c", COMMITTER]
    processes = [
        subprocess.Popen(
            [*command, f"p{number}", str(count)],
            cwd=mounted.path,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(8)
    ]
    lines = [
        line.split()
        for process in processes
        for line in process.communicate(timeout=SECONDS)[0].splitlines()
    ]
    assert [process.returncode for process in processes] == [0] * 8
    ids = {oid: (name, number) for name, number, oid in lines}
    assert len(ids) == 8 * count
    log = mounted.control("command", '["log", "--json"]\n')
    for oid, (name, number) in ids.items():
        assert oid in log
        snapshot = mounted.path / ".helios/snapshots" / oid
        assert (snapshot / name).read_text() == number
        assert mounted.control("show", f"{oid} --name-only\n").count(f"{name} {number}") == 1
    depth = mounted.control("command", "log --oneline\n").count("\n")
    assert depth == 8 * count


CROWD = """
import mmap, os, sys, threading
count = int(sys.argv[1])
file = open("mapped", "w+b")
file.truncate(count * 4096)
mapped = mmap.mmap(file.fileno(), count * 4096)
start = threading.Barrier(count)

def work(number):
    control = os.open(".helios/ctl/commit", os.O_RDWR)
    os.write(control, b"%d" % number)
    start.wait()
    mapped[number * 4096] = 1
    try:
        os.read(control, 100)
    except OSError:
        pass  # The change went into a commit that another thread made just now.
    os.close(control)

threads = [threading.Thread(target=work, args=(number,)) for number in range(count)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
mapped.close()
file.close()
"""


def test_a_crowd_that_waits_leaves_somebody_to_serve_what_it_waits_for(mounted: Mounted) -> None:
    count = 150
    process = subprocess.Popen([sys.executable, "-IS", "-c", CROWD, str(count)], cwd=mounted.path)
    try:
        assert process.wait(SECONDS) == 0
    finally:
        # Requests that are never answered end with the connection alone.
        if process.poll() is None:
            mounted.kill9()
            process.kill()
            process.wait(SECONDS)
    mounted.helios("commit", "--allow-empty", "-m", "last")
    data = (mounted.path / ".helios/snapshots/HEAD/mapped").read_bytes()
    assert data[::4096] == b"\1" * count


def test_a_writer_in_full_swing_tears_no_commit_of_a_rename(mounted: Mounted) -> None:
    """A whole file that is renamed into place is whole in every commit."""
    script = (
        "import os,itertools\n"
        "for n in itertools.count():\n"
        "    open('new','w').write(str(n % 10) * 50_000)\n"
        "    os.rename('new','file')\n"
    )
    process = subprocess.Popen([sys.executable, "-IS", "-c", script], cwd=mounted.path)
    try:
        while not (mounted.path / "file").exists():
            assert process.poll() is None
        for number in range(30):
            mounted.control("command", f"commit --allow-empty -m {number}\n")
    finally:
        process.kill()
        process.wait(SECONDS)
    for number in range(30):
        data = (mounted.path / f".helios/snapshots/HEAD~{number}/file").read_text()
        assert len(data) == 50_000
        assert len(set(data)) == 1


def test_control_files_are_seekable_and_private(mounted: Mounted) -> None:
    put(mounted.path / "a", "a")
    one = os.open(mounted.path / ".helios/ctl/commit", os.O_RDWR)
    other = os.open(mounted.path / ".helios/ctl/commit", os.O_RDWR)
    os.lseek(one, 1000, os.SEEK_SET)
    os.write(one, b"m")
    oid = os.pread(one, 100, 5000)
    assert len(oid) == 65
    assert os.read(other, 100) == oid  # Without a request: HEAD, as of the read.
    os.close(one)
    os.close(other)
