"""Python calls of the paths that are taken most: exact figures, the same on every machine.

A call costs some 60 ns, and a path that grew by calls shows here when the time of a busy machine
shows nothing.  What C functions do is not counted.
"""

from __future__ import annotations

import gc
import os
import stat
import struct
import sys
from collections.abc import Callable, Iterator, Mapping
from itertools import chain, count, cycle
from types import FrameType

from benchmarks.measure import Plan
from benchmarks.table import Row, Unit, figure_of
from benchmarks.trees import Tree
from benchmarks.worlds import World, world
from heliosfs.commands.status.uncommitted import uncommitted
from heliosfs.daemon.barrier import Barrier
from heliosfs.daemon.kernel import Kernel
from heliosfs.daemon.service import Service
from heliosfs.daemon.watchers import Watchers
from heliosfs.fuse import wire
from heliosfs.fuse.handler import Answer
from heliosfs.fuse.loop import RequestLoop
from heliosfs.fuse.notices import Notices
from heliosfs.fuse.wire import Opcode, Valid
from heliosfs.repo.branching import create_branch
from heliosfs.repo.undoing import undo
from heliosfs.workspace.nodes import DirNode

MOST = {
    "request: look up a free name": 3,
    "request: create a file": 33,
    "request: write 4 KB": 9,
    "request: set a time": 13,
    "request: set an owner": 12,
    "request: set a mode": 10,
    "request: list a directory of 33 files": 235,
    "write 4 KB of an open file": 8,
    "commit, one file changed": 68,
    "commit, one file changed, with a .git": 163,
    "save, one file changed": 50,
    "commit after that save": 46,
    "reset --hard, one file changed": 145,
    "checkout, branches differ in one file": 130,
    "undo of a commit": 130,
    "status, one file changed": 100,
    "branch": 28,
}
"""Most Python calls that each may take, which a test holds; now it takes at most a tenth less."""
_WARM_UP = 4
_TIMES = 12


def calls(plan: Plan) -> Iterator[Row]:
    """Python calls of the requests of tar, of a write, and of the verbs that are used most."""
    for what, counts in measured(plan).items():
        figure = figure_of([float(count) for count in counts])
        yield Row("calls", what, figure, Unit.CALLS, budget=MOST[what])


def measured(
    plan: Plan, prepare: Callable[[World], object] = lambda where: None
) -> Mapping[str, list[int]]:
    """Return what is measured, and how many calls each of some runs took."""
    with world(plan, Tree(1_000)) as where:
        prepare(where)
        found = {}
        for what, action, before in chain(_requests(where), _paths(where)):
            for _ in range(_WARM_UP):
                before()
                action()
            found[what] = [_counted(action, before) for _ in range(_TIMES)]
        return found


def _paths(where: World) -> Iterator[tuple[str, Callable[[], object], Callable[[], object]]]:
    repository = where.repository
    view = repository.root
    files = where.files
    handle = files.handles[files.open_node(where.find(where.tree.hot[0]), writing=True)]
    data = bytes(4096)
    yield "write 4 KB of an open file", lambda: files.write(handle, 0, data), lambda: None

    def saved() -> None:
        where.change()
        view.checkpoint()

    yield "commit, one file changed", lambda: view.commit("message"), where.change
    yield "commit after that save", lambda: view.commit("message"), saved
    yield "save, one file changed", view.checkpoint, where.change
    head = view.commit("message", allow_empty=True)
    yield "reset --hard, one file changed", lambda: view.reset(head), where.change_first
    yield "status, one file changed", lambda: uncommitted(view), where.change_first
    numbers = iter(range(1_000))
    yield "branch", lambda: create_branch(repository, f"b{next(numbers)}", head), lambda: None
    create_branch(repository, "other", view.commit("message"))

    def committed() -> None:
        where.change()
        view.commit("message")
        repository.take_stale()

    yield "undo of a commit", lambda: undo(repository, view), committed
    view.reset(head)
    names = cycle(("other", "main"))
    what = "checkout, branches differ in one file"
    yield what, lambda: repository.checkout_branch(next(names)), repository.take_stale
    # From here on the tree has what a commit leaves out.
    workspace = repository.root.workspace
    git_dir = workspace.create(workspace.root, b".git", stat.S_IFDIR | 0o755, 0, 0)
    assert isinstance(git_dir, DirNode)
    workspace.create(git_dir, b"HEAD", stat.S_IFREG | 0o644, 0, 0)
    what = "commit, one file changed, with a .git"
    yield what, lambda: repository.root.commit("message"), where.change


class _Request:
    """Requests to the handlers of a mount, as the kernel would send them."""

    def __init__(self, where: World) -> None:
        repository, notices = where.repository, Notices(-1)
        kernel = Kernel(RequestLoop(), Barrier("/", -1), notices)
        watchers = Watchers(repository, "/", notices)
        service = Service(repository, where.filesystem, kernel, notices, watchers)
        # It is not idle while a tree is unpacked.
        service.keeper.touch()
        self._handlers = service.handlers
        self._message = bytearray(wire.FUSE_MESSAGE_MAX_BYTES)
        self._root = repository.root.workspace.root.ino
        self._names = (b"new%d\0" % number for number in count())
        self._opcode = self._ino = self._end = 0

    def put(self, opcode: Opcode, body: bytes, ino: int | None = None) -> None:
        """Make a request about an inode, if not about the root."""
        self._opcode, self._ino = opcode, self._root if ino is None else ino
        self._end = wire.BODY_AT + len(body)
        wire.HEAD.pack_into(self._message, 0, self._end, opcode, 2, self._ino)
        self._message[wire.BODY_AT : self._end] = body

    def look_up(self) -> None:
        self.put(Opcode.LOOKUP, next(self._names))

    def create(self) -> None:
        mode = wire.CREATE.pack(os.O_WRONLY | os.O_CREAT, stat.S_IFREG | 0o600, 0, 0)
        self.put(Opcode.CREATE, mode + next(self._names))

    def made(self) -> int:
        """Create a file; return its inode."""
        self.create()
        answer = self.ask()
        assert isinstance(answer, bytes)
        return int(wire.NUMBER.unpack_from(answer)[0])

    def set(self, ino: int, valid: int) -> None:
        body = wire.SETATTR.pack(valid, 0, 0, 0, 0, 0, 1_700_000_000, *(0,) * 4, 0o644, 0, 0, 0)
        self.put(Opcode.SETATTR, body, ino)

    def ask(self) -> Answer:
        """Let the handler answer."""
        return self._handlers[self._opcode](self._ino, self._message, self._end)


def _requests(where: World) -> Iterator[tuple[str, Callable[[], object], Callable[[], object]]]:
    """Yield the requests that tar makes for each file, and a listing."""
    request = _Request(where)
    yield "request: look up a free name", request.ask, request.look_up
    yield "request: create a file", request.ask, request.create
    ino = request.made()
    data = struct.pack("=QQIIQII", 0, 0, 4096, 0, 0, 0, 0) + bytes(4096)
    yield "request: write 4 KB", request.ask, lambda: request.put(Opcode.WRITE, data, ino)
    yield "request: set a time", request.ask, lambda: request.set(ino, Valid.MTIME)
    yield "request: set an owner", request.ask, lambda: request.set(ino, Valid.OWNER)
    yield "request: set a mode", request.ask, lambda: request.set(ino, Valid.MODE)
    root = where.repository.root.workspace.root
    never_listed = (where.filesystem.lookup(root, b"d%02d" % number) for number in count())

    def list_next() -> None:
        directory = next(never_listed)
        assert directory is not None
        request.put(Opcode.READDIRPLUS, struct.pack("=QQI20x", 0, 0, 128 * 1024), directory.ino)

    yield "request: list a directory of 33 files", request.ask, list_next


def _counted(action: Callable[[], object], before: Callable[[], object]) -> int:
    before()
    count = 0

    def note(frame: FrameType, event: str, argument: object) -> None:
        nonlocal count
        count += event == "call"

    # Finalisers of earlier garbage would be counted.
    gc.disable()
    sys.setprofile(note)
    try:
        action()
    finally:
        sys.setprofile(None)
        gc.enable()
    # Not the action itself.
    return count - 1
