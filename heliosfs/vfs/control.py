"""Control channels: what is written to a control file is a request, what is read its reply.

A channel decides when a request is complete; it does not run it, because a request may have
to wait for the kernel (the commit barrier) and only the adapter can wait.  Prior art: Plan 9
ctl files, and simple-transaction files (fs/libfs.c).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from heliosfs.commands.commit import commit_message
from heliosfs.commands.table import find_verb, parse_line, run
from heliosfs.errors import HeliosError, TooLarge, UsageError
from heliosfs.repo.repository import Repository
from heliosfs.repo.view import View

REQUEST_MAX_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Request:
    """One verb to run."""

    barrier: bool
    """Whether the kernel must hand over its dirty pages first."""
    sync: bool
    """Whether the reply must wait until the store is safe from a power cut."""
    run: Callable[[], str]


class ErrorLog:
    """The last errors of all channels, for `ctl/error`."""

    def __init__(self) -> None:
        self._lines: deque[str] = deque(maxlen=32)

    def note(self, text: str) -> None:
        self._lines.append(text)

    def text(self) -> str:
        """A line each, the newest last."""
        return "".join(f"{line}\n" for line in self._lines)


class Channel:
    """One open control file.

    Invariant: `_pending` holds what was written and not yet taken as a request.  A reply
    belongs to the last write that made a request; the cursor is the channel's own, because
    reads and writes share the kernel's offset.
    """

    def __init__(self, errors: ErrorLog, idle_text: Callable[[], str]) -> None:
        self._errors = errors
        self._idle_text = idle_text
        self._pending = bytearray()
        self._reply: bytes | None = None
        self._cursor = 0
        self._is_answered = False

    def write(self, data: bytes) -> list[Request]:
        """Take bytes in, and give the requests that they complete.

        HeliosError refuses them: nothing of the pending request is kept.
        """
        try:
            self._pending += data
            if len(self._pending) > REQUEST_MAX_BYTES:
                raise TooLarge(f"a request of more than {REQUEST_MAX_BYTES // 1024} KiB")
            if b"\0" in data:
                raise UsageError("usage: a request may not contain a NUL byte")
            requests = self._complete()
        except HeliosError as error:
            self.fail(error)
            raise
        if requests:
            self._begin_reply()
        return requests

    def finish(self) -> list[Request]:
        """At a flush, a read or an fsync: the request that needs no more bytes, if any."""
        if not self._pending:
            return []
        try:
            requests = self._last()
        except HeliosError as error:
            self.fail(error)
            raise
        if requests:
            self._begin_reply()
        return requests

    def answer(self, text: str) -> None:
        """Add the reply to a request."""
        self._reply = (self._reply or b"") + text.encode("utf-8", "surrogateescape")

    def fail(self, error: HeliosError) -> None:
        """Make an error the reply, and drop what was written so far."""
        self._errors.note(str(error))
        self._pending.clear()
        self._begin_reply()
        self.answer(f"error: {error}\n")

    def read(self, length: int) -> bytes:
        """The next bytes of the reply; without a request, what the file says of itself."""
        if self._reply is None:
            self.answer(self._idle_text())
        assert self._reply is not None
        data = self._reply[self._cursor : self._cursor + length]
        self._cursor += len(data)
        return data

    def _begin_reply(self) -> None:
        self._reply = b""
        self._cursor = 0

    def _complete(self) -> list[Request]:
        raise NotImplementedError

    def _last(self) -> list[Request]:
        raise NotImplementedError


class MessageChannel(Channel):
    """`ctl/commit`: the text is the message, complete at a flush, a read or an fsync."""

    def __init__(self, errors: ErrorLog, repository: Repository, view: Callable[[], View]) -> None:
        super().__init__(errors, lambda: _head_text(view()))
        self._repository = repository
        self._view = view

    def _complete(self) -> list[Request]:
        text = self._pending
        if len(text) < 4 or text[-1] & 0x80 == 0:
            _check_utf8(text)
        return []

    def _last(self) -> list[Request]:
        text = bytes(self._pending)
        self._pending.clear()
        return [
            Request(
                barrier=True,
                sync=False,
                run=lambda: commit_message(self._repository, self._view(), text),
            )
        ]


class CommandChannel(Channel):
    """Any other control file: a command line runs at its newline.

    An empty line is the verb without arguments; `ctl/command` ignores it.
    """

    def __init__(
        self,
        errors: ErrorLog,
        repository: Repository,
        view: Callable[[], View],
        verb: str | None,
        idle_text: Callable[[], str],
    ) -> None:
        super().__init__(errors, idle_text)
        self._repository = repository
        self._view = view
        self._verb = verb
        """The verb of the file; None when the line names it (`ctl/command`)."""

    def _complete(self) -> list[Request]:
        *lines, rest = bytes(self._pending).split(b"\n")
        requests = [self._request(line) for line in lines if self._verb or line.strip()]
        self._pending[:] = rest
        return requests

    def _last(self) -> list[Request]:
        line = bytes(self._pending)
        self._pending.clear()
        return [self._request(line)] if line.strip() else []

    def _request(self, line: bytes) -> Request:
        _check_utf8(line)
        argv, cwd = parse_line(line.decode())
        if self._verb is not None:
            argv = [self._verb, *argv]
        if not argv:
            raise UsageError("usage: a command line names a verb")
        verb = find_verb(argv[0])
        return Request(
            verb.barrier, "--sync" in argv, lambda: run(self._repository, self._view(), argv, cwd)
        )


def _check_utf8(text: bytes | bytearray) -> None:
    try:
        text.decode()
    except UnicodeDecodeError as error:
        raise UsageError(f"usage: a request is UTF-8 text: {error.reason}") from error


def _head_text(view: View) -> str:
    head = view.head
    return f"{head.hex()}\n" if head else ""
