"""Surveys by programs beside this one: each CPU reads a part of L2.

A survey is hashing and decoding of many small objects, which keeps the interpreter for itself.  In
programs of its own it takes a part of the time, and none of the interpreter of a mount.  Such a
program opens the file to read, as LMDB allows, and writes portions of the survey to its output.
What one of them could not survey, for whatever reason, is looked up one by one.
"""

from __future__ import annotations

import contextlib
import gc
import os
import select
import struct
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterator

import lmdb

from heliosfs.emptying import empty_later
from heliosfs.isolated import command, give_way
from heliosfs.store.directory import Directory
from heliosfs.store.encoding.packs import Packs
from heliosfs.store.gc.survey import Survey
from heliosfs.store.l2.database import ObjectDatabase
from heliosfs.store.l2.environment import FILE, open_beside, open_tables
from heliosfs.store.l2.reader import Snapshot, Unindexed

SHARED_FROM = 40_000
"""Objects from which several programs survey them: starting them takes 0.15 s."""
_PROGRAMS_MAX = 4
_WAIT_SECONDS = 0.05
_OUTPUT_BYTES = 256 * 1024
_LENGTH = struct.Struct("<I")
"""Length of a portion, in front of it."""


def program_count() -> int:
    """Return how many programs share a survey; 0 if there is one CPU for all."""
    count = len(os.sched_getaffinity(0))
    return min(count, _PROGRAMS_MAX) if count > 1 else 0


class Surveyors:
    """Programs that survey the objects of a database, in equal parts."""

    def __init__(
        self, database: ObjectDatabase, first: int, is_sole: bytearray, *, reads_blobs: bool
    ) -> None:
        """Start them for the objects from `first` on, one for each byte of `is_sole`.  OSError."""
        self._database = database
        self._first = first
        self._count = len(is_sole)
        self._reads_blobs = reads_blobs
        self._programs: list[subprocess.Popen[bytes]] = []
        self._unread: list[bytearray] = []
        """Output of each program that is no whole portion yet."""
        self._portions: list[deque[bytes]] = []
        """Portions of each program that are whole and not joined yet."""
        self._survey = Survey(first, bytearray(), reads_blobs=reads_blobs)
        """The joined portions: all of the programs before `_joining`, and some of its own."""
        self._joining = 0
        """Index of the program whose portions are joined."""
        self._open: dict[int, int] = {}
        """Index of each program whose output has not ended, by descriptor."""
        try:
            for begin, end in self._cuts():
                self._start(begin, end)
            # They begin together: each reads all of this before it does anything else.
            for program, (begin, end) in zip(self._programs, self._cuts(), strict=True):
                assert program.stdin is not None
                # If it has ended already, its output tells.
                with contextlib.suppress(BrokenPipeError), program.stdin:
                    program.stdin.write(is_sole[begin - first : end - first])
        except BaseException:
            self.close()
            raise

    def _cuts(self) -> Iterator[tuple[int, int]]:
        shares = program_count()
        for share in range(shares):
            yield (
                self._first + self._count * share // shares,
                self._first + self._count * (share + 1) // shares,
            )

    def _start(self, begin: int, end: int) -> None:
        fd = self._database.directory.fd
        numbers = (fd, self._database.map_bytes, begin, end, int(self._reads_blobs))
        program = subprocess.Popen(
            command(__name__, *map(str, numbers)),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            pass_fds=[fd],
        )
        self._programs.append(program)
        self._unread.append(bytearray())
        self._portions.append(deque())
        assert program.stdout is not None
        self._open[program.stdout.fileno()] = len(self._programs) - 1

    def advance(self) -> bool:
        """Wait a little for the programs, and join one portion; return True if there is more."""
        is_ready = self._portions[self._joining] or self._joining not in self._open.values()
        seconds = 0.0 if is_ready else _WAIT_SECONDS
        ready, _, _ = select.select(list(self._open), [], [], seconds)
        for fd in ready:
            data = os.read(fd, _OUTPUT_BYTES)
            if data:
                self._take(self._open[fd], data)
            else:
                del self._open[fd]
        return self._join()

    def _join(self) -> bool:
        """Join the next portion if it is there; return False if there will be none."""
        if self._portions[self._joining]:
            self._survey.join(self._portions[self._joining].popleft())
        elif self._joining not in self._open.values():
            if self._joining == len(self._programs) - 1:
                return False
            self._joining += 1
            cuts = list(self._cuts())
            self._survey.begin_part(cuts[self._joining][0])
        return True

    def _take(self, index: int, data: bytes) -> None:
        """Take the whole portions of a program's output."""
        unread, at = self._unread[index], 0
        unread += data
        while len(unread) >= at + _LENGTH.size:
            (size,) = _LENGTH.unpack_from(unread, at)
            end = at + _LENGTH.size + size
            if len(unread) < end:
                break
            self._portions[index].append(bytes(unread[at + _LENGTH.size : end]))
            at = end
        del unread[:at]

    def survey(self) -> Survey:
        """Return the survey of all, once there is no more."""
        whole = self._survey
        self._survey = Survey(self._first, bytearray(), reads_blobs=self._reads_blobs)
        whole.begin_part(self._first + self._count)
        return whole

    def close(self) -> None:
        """End the programs if they still run.  Idempotent."""
        for program in self._programs:
            if program.stdout is not None:
                program.stdout.close()
            if program.poll() is None:
                program.kill()
                threading.Thread(target=program.wait, name="reaper", daemon=True).start()
        if self._programs:
            # A killed program leaves its place among the readers, which keeps old pages in use.
            self._database.env.reader_check()
        empty_later(*self._survey.containers())
        self._programs, self._open, self._portions = [], {}, []


def main(argv: list[str]) -> None:
    """Survey some objects; standard input has a byte for each, as `Listing.is_sole` does."""
    # Whatever it was started by: requests of the mount go first.
    give_way()
    # Much is allocated and nothing of it is cyclic: the collector would only walk it.
    gc.disable()
    dir_fd, map_bytes, begin, end, reads_blobs = map(int, argv)
    survey = Survey(begin, bytearray(sys.stdin.buffer.read()), reads_blobs=bool(reads_blobs))
    assert survey.end == end
    directory = Directory(dir_fd)
    packs = Packs(directory, is_read_only=True)
    with open_beside(directory.path_of(FILE), map_bytes) as env:
        tables = open_tables(env, create=False)
        # The file may have grown further than it is mapped: then the rest is not surveyed.
        with contextlib.suppress(lmdb.Error):
            while not survey.is_done:
                # A transaction for each part: one keeps old pages from being reused.
                with env.begin() as txn:
                    survey.advance(Snapshot(txn, tables, Unindexed({}), packs))
                portion = survey.portion()
                sys.stdout.buffer.write(_LENGTH.pack(len(portion)) + portion)
                sys.stdout.buffer.flush()
