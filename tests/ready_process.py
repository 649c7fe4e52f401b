"""A process that has imported heliosfs, and forks for each command: its start costs 10 ms, not 70.

A `helios mount` imports most of heliosfs, half a second of CPU time, and the tests run thousands
of commands.  Each is a process of its own here, too, with its own arguments, environment, current
directory, umask and standard files; only the interpreter has been started, and the modules have
been imported, before.  Tests of the start itself begin a new interpreter, and so does `run` for an
environment that an interpreter reads when it starts.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_SOURCES = Path(__file__).resolve().parent.parent
_REQUEST_MAX_BYTES = 128 * 1024
"""Largest request: one message of a socket, whose buffer is a little larger."""
_PIPE_BYTES = 65536
_READ_AT_START = ("PYTHON", "LC_", "LANG")
"""Beginnings of the names of variables that an interpreter reads when it starts."""

_Variables = frozenset[tuple[str, str]]
_started: dict[tuple[int, _Variables], tuple[socket.socket, subprocess.Popen[bytes]]] = {}
"""Processes that wait for requests: by the process that started them, and its variables."""
_starting = threading.Lock()


def run(
    argv: Sequence[str], *, cwd: Path, stdin: str = "", timeout: float
) -> subprocess.CompletedProcess[str]:
    """Run `python -m heliosfs.cli` with `argv`, as subprocess.run(), with text in all pipes.

    Raise subprocess.TimeoutExpired after `timeout` seconds; the process has been killed then.
    """
    request = json.dumps([list(argv), dict(os.environ), _umask()]).encode()
    ready = _ready_process(os.getpid(), _start_variables())
    if len(request) > _REQUEST_MAX_BYTES:
        command = [sys.executable, "-m", "heliosfs.cli", *argv]
        return subprocess.run(
            command,
            cwd=cwd,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
    command = ["helios", *argv]
    call = _Call(ready, request, cwd)
    feeder = threading.Thread(target=call.feed, args=(stdin.encode(),))
    feeder.start()
    try:
        code, out, err = call.result(command, timeout)
    finally:
        feeder.join()
    return subprocess.CompletedProcess(command, code, out.decode(), err.decode())


class _Call:
    """A command that runs in a fork, seen from the process that wants it."""

    def __init__(self, ready: socket.socket, request: bytes, cwd: Path) -> None:
        stdin, self._stdin = os.pipe()
        self._stdout, stdout = os.pipe()
        self._stderr, stderr = os.pipe()
        self._status, status = os.pipe()
        directory = os.open(cwd, os.O_RDONLY | os.O_DIRECTORY)
        theirs = [stdin, stdout, stderr, directory, status]
        try:
            socket.send_fds(ready, [request], theirs)
        finally:
            for fd in theirs:
                os.close(fd)

    def feed(self, data: bytes) -> None:
        """Write the standard input, and close it."""
        with contextlib.suppress(BrokenPipeError), open(self._stdin, "wb", buffering=0) as file:
            file.write(data)

    def result(self, command: list[str], timeout: float) -> tuple[int, bytes, bytes]:
        """Return the exit code, the standard output and the standard error.

        Raise subprocess.TimeoutExpired.
        """
        deadline = time.monotonic() + timeout
        found = {self._stdout: b"", self._stderr: b"", self._status: b""}
        waiting = set(found)
        poller = select.poll()
        for fd in waiting:
            poller.register(fd, select.POLLIN)
        try:
            while waiting:
                events = poller.poll(max(deadline - time.monotonic(), 0) * 1000)
                if not events:
                    self._kill(found[self._status])
                    raise subprocess.TimeoutExpired(command, timeout, found[self._stdout])
                for fd, _ in events:
                    data = os.read(fd, _PIPE_BYTES)
                    found[fd] += data
                    if not data:
                        poller.unregister(fd)
                        waiting.remove(fd)
        finally:
            for fd in found:
                os.close(fd)
        _pid, _, code = found[self._status].partition(b"\n")
        return int(code), found[self._stdout], found[self._stderr]

    def _kill(self, status: bytes) -> None:
        """End the process, given what is known of it, and wait for its end."""
        while b"\n" not in status:
            status += os.read(self._status, _PIPE_BYTES)
        pid, _, code = status.partition(b"\n")
        if not code:
            os.kill(int(pid), signal.SIGKILL)
            while os.read(self._status, _PIPE_BYTES):
                pass


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def _start_variables() -> _Variables:
    return frozenset(each for each in os.environ.items() if each[0].startswith(_READ_AT_START))


def _ready_process(user: int, variables: _Variables) -> socket.socket:
    """Return the way to the process that forks for the process `user`; start it if there is none.

    It ends with its user.
    """
    with _starting:
        if (user, variables) not in _started:
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            with theirs:
                process = subprocess.Popen(
                    [sys.executable, "-m", "tests.ready_process", str(theirs.fileno())],
                    cwd=_SOURCES,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    pass_fds=[theirs.fileno()],
                )
            _started[user, variables] = ours, process
        return _started[user, variables][0]


def end() -> None:
    """End the processes that wait for requests of this one."""
    for key in [key for key in _started if key[0] == os.getpid()]:
        wanted, process = _started.pop(key)
        wanted.close()
        process.wait()


@dataclass(frozen=True)
class _Request:
    """A command as the process that forks hears it."""

    argv: list[str]
    environment: dict[str, str]
    umask: int
    stdin: int
    stdout: int
    stderr: int
    directory: int
    status: int

    def become(self) -> None:
        """Let this process be the one that was wanted."""
        os.environ.clear()
        os.environ.update(self.environment)
        os.umask(self.umask)
        os.fchdir(self.directory)
        for number, fd in enumerate((self.stdin, self.stdout, self.stderr)):
            os.dup2(fd, number)
        os.closerange(3, max(map(int, os.listdir("/proc/self/fd"))) + 1)
        sys.argv[1:] = self.argv


def _receive(wanted: socket.socket) -> _Request | None:
    """Return the next request; None when nobody can make one any more."""
    data, fds, _, _ = socket.recv_fds(wanted, 2 * _REQUEST_MAX_BYTES, 5)
    return _Request(*json.loads(data), *fds) if data else None


def _serve(wanted: socket.socket) -> _Request | None:
    """Fork for each request; return it in the child, and None in the parent at the end."""
    children: dict[int, tuple[int, int]] = {}
    poller = select.poll()
    poller.register(wanted, select.POLLIN)
    while True:
        for fd, _ in poller.poll():
            if fd != wanted.fileno():
                poller.unregister(fd)
                pid, status = children.pop(fd)
                _, code = os.waitpid(pid, 0)
                os.close(fd)
                os.write(status, str(os.waitstatus_to_exitcode(code)).encode())
                os.close(status)
                continue
            request = _receive(wanted)
            if request is None:
                return None
            pid = os.fork()
            if pid == 0:
                wanted.detach()
                return request
            os.write(request.status, b"%d\n" % pid)
            for each in (request.stdin, request.stdout, request.stderr, request.directory):
                os.close(each)
            ended = os.pidfd_open(pid)
            children[ended] = pid, request.status
            poller.register(ended, select.POLLIN)


def _import_all() -> None:
    """Import what a command or a daemon would."""
    import pkgutil
    from importlib import import_module

    import heliosfs

    for module in pkgutil.walk_packages(heliosfs.__path__, "heliosfs."):
        # Agents' modules want an extra, which takes a second.
        if not module.name.startswith("heliosfs.mcp") and not module.name.endswith("__main__"):
            import_module(module.name)


def _main() -> int:
    """Import all, and serve the socket that the only argument names."""
    _import_all()
    # What the collector does not visit stays shared among the processes.
    gc.collect()
    gc.freeze()
    request = _serve(socket.socket(fileno=int(sys.argv[1])))
    if request is None:
        return 0
    request.become()
    from heliosfs.cli.main import main

    code = main()
    # As at the end of an interpreter, but for the destruction of all modules: 150 ms.
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    sys.exit(_main())
