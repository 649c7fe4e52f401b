"""Control channels: a program writes a request to a control file and reads the reply from it.

A channel decides when a request is complete; it does not run it, because a request may have
to wait for the kernel (the commit barrier) and only the daemon can wait.  Prior art: Plan 9
ctl files, and simple-transaction files (fs/libfs.c).
"""

from __future__ import annotations

import codecs
from collections import deque
from collections.abc import Callable
from functools import partial

from heliosfs.commands.agents.failure import told_to_user
from heliosfs.commands.agents.payload import confined
from heliosfs.commands.commit import commit_message
from heliosfs.commands.refusal import tell_as_json
from heliosfs.commands.table import VERBS, begin, find_verb, parse_line, run
from heliosfs.commands.visible import visible
from heliosfs.errors import (
    HeliosError,
    NotPermitted,
    PromisedObject,
    TooLarge,
    Unfetched,
    UsageError,
)
from heliosfs.repo.repository import Repository
from heliosfs.repo.view import View
from heliosfs.vfs.control_request import BegunBarrier, ControlRequest, LongRequest

REQUEST_MAX_BYTES = 64 * 1024
PAYLOAD_KEPT_BYTES = 256 * 1024
"""Bytes of an agent's payload that are kept: it may hold whole files, and what counts is short."""


class ErrorLog:
    """Log of the last 32 errors of all channels, for `ctl/error`."""

    def __init__(self) -> None:
        self._lines: deque[str] = deque(maxlen=32)

    def note(self, text: str) -> None:
        self._lines.append(text)

    def text(self) -> str:
        """Return the errors, one a line, the newest last."""
        return "".join(f"{line}\n" for line in self._lines)


class Channel:
    """One open control file.

    Invariant: `_pending` holds the bytes that were written and are not yet part of a request.  A
    reply belongs to the last write that completed a request.  The cursor is the channel's own,
    because reads and writes share the kernel's offset.  `_start` is the kernel's offset of the
    reply's first byte, known while nothing but reads and seeks can have moved that offset.

    A request may take many writes, and some writers go on after one of them failed: the rest
    of a refused request is refused too, or its tail would pass for a request of its own.
    """

    def __init__(self, errors: ErrorLog, idle_text: Callable[[], str]) -> None:
        self._errors = errors
        self._idle_text = idle_text
        self._pending = bytearray()
        self._refusal: HeliosError | None = None
        """Error with which the pending request was refused."""
        self._reply: bytes | None = None
        self._cursor = 0
        self._start: int | None = None
        self.position = 0
        """Kernel's offset at which the last write ended."""
        self.opener_pid = 0
        """Thread that opened the file; 0 if it is not known."""
        self.begun_barrier: BegunBarrier | None = None
        """Barrier that began after the last write."""

    @property
    def needs_barrier_soon(self) -> bool:
        """Return True if the bytes so far become a request with a barrier once they end."""
        return False

    @property
    def is_read(self) -> bool:
        """Return True if the caller has read all of the reply that exists so far."""
        return self._reply is not None and self._cursor >= len(self._reply)

    def write(self, data: bytes) -> list[ControlRequest]:
        """Add bytes to the pending request; return the requests that they complete.

        HeliosError refuses them: nothing of the pending request is kept.
        """
        self._start = None
        if self._refusal is None:
            try:
                requests = self._take(data)
            except HeliosError as error:
                self.fail(error)
                # I49: its tail would pass for a request of its own.
                self._refusal = error
            else:
                if requests:
                    self._begin_reply()
                return requests
        refusal = self._refusal
        if self._ends_request(data):
            self._refusal = None
        raise refusal

    def finish(self) -> list[ControlRequest]:
        """End the pending request, at a flush, a read or an fsync; return it, if there is one."""
        # A flush or a read ends the request that was refused, whatever was left of it.
        self._refusal = None
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
        """Make an error the reply, and drop the pending request."""
        # Words for a person, in which names are that somebody else may have chosen.
        text = visible(str(error))
        self._errors.note(text.split("\n", 1)[0])
        self._pending.clear()
        self._begin_reply()
        self.answer(f"error: {text}\n")

    def seek(self, offset: int) -> None:
        """Prepare for a read at an offset of the kernel's: go back in the reply if the reader did.

        bash's `read` asks for 4 KiB, and seeks back to the end of the line that it wanted.
        """
        start = self._start
        # The reader went back within what it has read of this reply.
        if start is not None and start <= offset < start + self._cursor:
            self._cursor = offset - start
        else:
            self._start = offset - self._cursor

    def read(self, length: int) -> bytes:
        """Return the next bytes of the reply; without a request, of the text about the file."""
        if self._reply is None:
            self.answer(self._idle_text())
        assert self._reply is not None
        data = self._reply[self._cursor : self._cursor + length]
        self._cursor += len(data)
        return data

    def end(self) -> int:
        """Return the kernel's offset at which the reply, or the text about the file, ends."""
        if self._reply is None:
            self.answer(self._idle_text())
        assert self._reply is not None
        return self.position + len(self._reply)

    def page(self, offset: int, length: int) -> bytes:
        """Return bytes for the kernel's page cache, in which the reply follows the last write.

        The bytes before it are zeros, since nobody reads a request back.
        """
        end = self.end()
        assert self._reply is not None
        before = max(0, self.position - offset)
        data = bytes(min(before, length)) + self._reply[max(0, offset - self.position) :]
        self._start = self.position
        self._cursor = max(self._cursor, min(offset + length, end) - self.position)
        return data[:length]

    def _begin_reply(self) -> None:
        # I48: a reply belongs to the last request of its own channel.
        self._reply = b""
        self._cursor = 0
        self._start = None

    def _take(self, data: bytes) -> list[ControlRequest]:
        self._pending += data
        if len(self._pending) > REQUEST_MAX_BYTES:
            raise TooLarge(f"a request of more than {REQUEST_MAX_BYTES // 1024} KiB")
        if b"\0" in data:
            raise UsageError("usage: a request may not contain a NUL byte")
        return self._complete(data)

    def _complete(self, data: bytes) -> list[ControlRequest]:
        raise NotImplementedError

    def _ends_request(self, data: bytes) -> bool:
        raise NotImplementedError

    def _last(self) -> list[ControlRequest]:
        raise NotImplementedError


class MessageChannel(Channel):
    """Channel of `ctl/commit`: the text is the message, complete at a flush, read or fsync."""

    def __init__(self, errors: ErrorLog, repository: Repository, view: Callable[[], View]) -> None:
        super().__init__(errors, lambda: _head_text(view()))
        self._repository = repository
        self._view = view
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        """Decoder that accepts a character whose bytes come in two writes."""

    @property
    def needs_barrier_soon(self) -> bool:
        return bool(self._pending)

    def fail(self, error: HeliosError) -> None:
        super().fail(error)
        self._decoder.reset()

    def _complete(self, data: bytes) -> list[ControlRequest]:
        try:
            self._decoder.decode(data)
        except UnicodeDecodeError as error:
            raise _not_utf8(error) from error
        return []

    def _ends_request(self, data: bytes) -> bool:
        return False

    def _last(self) -> list[ControlRequest]:
        self._decoder.reset()
        text = bytes(self._pending)
        self._pending.clear()
        begun, self.begun_barrier = self.begun_barrier, None
        return [
            ControlRequest(
                barrier=True,
                sync=False,
                run=lambda: commit_message(self._repository, self._view(), text),
                observe=self._repository.metrics.observe_commit,
                begun_barrier=begun,
            )
        ]


class _VerbChannel(Channel):
    """Channel whose requests name verbs."""

    def __init__(
        self,
        errors: ErrorLog,
        repository: Repository,
        view: Callable[[], View],
        idle_text: Callable[[], str],
        *,
        is_confined: bool = False,
    ) -> None:
        super().__init__(errors, idle_text)
        self._repository = repository
        self._view = view
        self._is_confined = is_confined
        """True for a program in a sandbox: other branches and what lies outside are not its."""


class CommandChannel(_VerbChannel):
    """Channel of any other control file: a command line runs at its newline.

    An empty line is the verb without arguments; `ctl/command` ignores it.
    """

    def __init__(
        self,
        errors: ErrorLog,
        repository: Repository,
        view: Callable[[], View],
        verb: str | None,
        idle_text: Callable[[], str],
        *,
        is_confined: bool = False,
    ) -> None:
        super().__init__(errors, repository, view, idle_text, is_confined=is_confined)
        self._verb = verb
        """Verb of the file; None if the first word of a line is the verb (`ctl/command`)."""

    def _complete(self, data: bytes) -> list[ControlRequest]:
        *lines, rest = bytes(self._pending).split(b"\n")
        requests = [self._request(line) for line in lines if self._verb or line.strip()]
        self._pending[:] = rest
        return requests

    def _ends_request(self, data: bytes) -> bool:
        return data.endswith(b"\n")

    def _last(self) -> list[ControlRequest]:
        line = bytes(self._pending)
        self._pending.clear()
        return [self._request(line)] if line.strip() else []

    def _request(self, line: bytes) -> ControlRequest:
        try:
            text = line.decode()
        except UnicodeDecodeError as error:
            raise _not_utf8(error) from error
        argv, cwd, progress, wants_exit, screen, branch = parse_line(text)
        if self._verb is not None:
            argv = [self._verb, *argv]
        if not argv:
            raise UsageError("usage: the command line is empty: begin it with a verb")
        try:
            verb = find_verb(argv[0])
        except UsageError as error:
            tell_as_json(error, argv)
            raise
        if self._is_confined and (branch is not None or not verb.is_confined):
            what = "a request to another branch" if branch is not None else f"'{verb.name}'"
            raise NotPermitted(f"{what} is not allowed in a sandbox: run it outside")
        repository, view = self._repository, self._view
        if branch is not None:
            view = partial(_view_of, repository, branch)
        steps = LongRequest(
            verb.name, lambda: begin(repository, view(), argv, cwd, screen), progress
        )
        return ControlRequest(
            verb.barrier,
            "--sync" in argv,
            lambda: run(repository, view(), argv, cwd, screen=screen),
            repository.metrics.observe_commit if verb.name == "commit" else None,
            steps if verb.is_long else None,
            steps if verb.reads(argv[1:]) else None,
            exit=wants_exit,
            unfetched=partial(_told, argv),
        )


def _view_of(repository: Repository, name: str) -> View:
    """Return the view that shows a branch, its live view opened if necessary.  Raise NotFound."""
    return repository.view_of(repository.refs.branch(name)) or repository.live_view(name)


class HookChannel(_VerbChannel):
    """Channel of `ctl/hook`: a line with the event, then the client's JSON, complete as a message.

    Whatever the client writes is taken, because an agent whose hook fails may stop: the end of a
    long payload is dropped, and a refusal is a reply that tells the user.
    """

    def _take(self, data: bytes) -> list[ControlRequest]:
        self._pending += data[: max(0, PAYLOAD_KEPT_BYTES - len(self._pending))]
        return []

    def _ends_request(self, data: bytes) -> bool:
        return False

    def _last(self) -> list[ControlRequest]:
        text = bytes(self._pending).decode("utf-8", "replace")
        self._pending.clear()
        line, _, payload = text.partition("\n")
        if self._is_confined:
            line, payload = confined(line, payload)
        argv = ["hook", *line.split(), f"--payload={payload}"]

        def tell(error: HeliosError) -> str:
            self._errors.note(f"hook: {visible(str(error))}")
            return told_to_user(error, argv)

        def run_hook() -> str:
            try:
                return run(self._repository, self._view(), argv)
            except PromisedObject:
                # It is run again once the content is here.
                raise
            except HeliosError as error:
                return tell(error)

        barrier = VERBS["hook"].barrier
        return [ControlRequest(barrier=barrier, sync=False, run=run_hook, unfetched=tell)]


def _told(argv: list[str], error: Unfetched) -> str:
    """Raise the error as the request asked to be told of errors."""
    tell_as_json(error, argv)
    raise error


def _not_utf8(error: UnicodeDecodeError) -> UsageError:
    return UsageError(f"usage: a request is UTF-8 text: {error.reason}")


def _head_text(view: View) -> str:
    head = view.head
    return f"{head.hex()}\n" if head else ""
