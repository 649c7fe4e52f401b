"""Control channels: when bytes become requests, and which reply belongs to which.

Each test writes what a shell was seen to write, call by call.
"""

from __future__ import annotations

import pytest

from heliosfs.clock import FixedClock
from heliosfs.errors import HeliosError, NotFound, TooLarge, UsageError
from heliosfs.objects.ids import CommitId
from heliosfs.repo.identity import Identity
from heliosfs.repo.repository import Repository
from heliosfs.store.memory import MemoryStore
from heliosfs.vfs.control import (
    REQUEST_MAX_BYTES,
    Channel,
    CommandChannel,
    ErrorLog,
    MessageChannel,
)
from heliosfs.vfs.control_request import BegunBarrier, ControlRequest


class Control:
    """Channels on a repository, with what the adapter does to a request."""

    def __init__(self) -> None:
        identity = Identity(b"n", b"e@x", 0, 0)
        self.repository = Repository.open(MemoryStore(), FixedClock(), identity)
        self.errors = ErrorLog()

    def change(self) -> None:
        """Something that a commit can hold."""
        workspace = self.repository.root.workspace
        name = b"file %d" % self.repository.clock.now_ns()
        workspace.create(workspace.root, name, 0o100644, 0, 0)

    def message(self) -> MessageChannel:
        return MessageChannel(self.errors, self.repository, lambda: self.repository.root)

    def command(self, verb: str | None = None) -> CommandChannel:
        return CommandChannel(
            self.errors, self.repository, lambda: self.repository.root, verb, lambda: "usage\n"
        )

    def run(self, channel: Channel, requests: list[ControlRequest]) -> None:
        for request in requests:
            try:
                text = request.run()
            except HeliosError as error:
                channel.fail(error)
                raise
            channel.answer(text)

    def write(self, channel: Channel, data: bytes) -> None:
        self.run(channel, channel.write(data))

    def flush(self, channel: Channel) -> None:
        self.run(channel, channel.finish())

    def read(self, channel: Channel, length: int = 65536) -> bytes:
        self.run(channel, channel.finish())
        return channel.read(length)

    @property
    def messages(self) -> list[bytes]:
        """Messages of all commits, the newest first."""
        return [commit.message for _, commit in self.repository.history.walk(self.head)]

    @property
    def head(self) -> CommitId | None:
        return self.repository.root.head

    @property
    def head_text(self) -> bytes:
        assert self.head is not None
        return self.head.hex().encode() + b"\n"


@pytest.fixture
def control() -> Control:
    made = Control()
    made.change()
    return made


def test_bash_echo(control: Control) -> None:
    channel = control.message()
    control.flush(channel)
    assert channel.write(b"fix the parser\n") == []
    assert control.head is None
    control.flush(channel)
    assert control.messages == [b"fix the parser"]


def test_bash_printf_of_several_lines_is_one_commit(control: Control) -> None:
    channel = control.message()
    control.flush(channel)
    for line in (b"a\n", b"\n", b"b\n"):
        control.write(channel, line)
    control.flush(channel)
    assert control.messages == [b"a\n\nb"]


def test_cat_or_python_in_one_write(control: Control) -> None:
    channel = control.message()
    text = b"subject\n\n" + b"x" * (REQUEST_MAX_BYTES - 100)
    control.write(channel, text)
    control.flush(channel)
    assert control.messages == [text]


def test_a_descriptor_that_stays_open(control: Control) -> None:
    channel = control.message()
    replies = []
    for number in range(3):
        control.change()
        control.write(channel, b"message %d\n" % number)
        control.flush(channel)
        replies.append(control.read(channel))
        assert replies[-1] == control.head_text
    assert len(set(replies)) == 3
    assert control.messages == [b"message 2", b"message 1", b"message 0"]


def test_dash_reads_byte_by_byte(control: Control) -> None:
    channel = control.message()
    control.write(channel, b"m\n")
    control.flush(channel)
    reply = b"".join(control.read(channel, 1) for _ in range(65))
    assert reply == control.head_text
    assert control.read(channel, 1) == b""
    assert len(control.messages) == 1


def test_who_reads_ahead_may_go_back(control: Control) -> None:
    """A seek back works as bash's `read` makes it for a line: the request ended at offset 7."""
    channel = control.command()
    control.write(channel, b"branch\n")
    reply = b"* main\n"
    for offset, expected in ((7, reply), (12, reply[5:]), (9, reply[2:]), (7 + len(reply), b"")):
        channel.seek(offset)
        assert channel.read(4096) == expected


def test_offsets_say_nothing_across_a_request(control: Control) -> None:
    channel = control.command()
    replies = []
    for offset in (0, 4, 2):
        control.write(channel, b"branch\n")
        channel.seek(offset)
        replies += [channel.read(4), channel.read(65536)]
    assert set(replies) == {b"* ma", b"in\n"}
    # Neither what lies before the reply, nor what lies after it.
    for offset in (0, 1000):
        channel.seek(offset)
        assert channel.read(4) == b""


def test_a_read_without_a_flush_runs_the_request(control: Control) -> None:
    channel = control.message()
    control.write(channel, b"m")
    assert control.read(channel) == control.head_text


def test_a_flush_with_nothing_written_does_nothing(control: Control) -> None:
    channel = control.message()
    for _ in range(3):
        control.flush(channel)
    assert control.head is None


def test_a_request_runs_once(control: Control) -> None:
    channel = control.message()
    control.write(channel, b"m\n")
    control.flush(channel)
    control.change()
    control.flush(channel)
    assert control.read(channel) == control.head_text
    assert len(control.messages) == 1


def test_read_without_a_request(control: Control) -> None:
    assert control.read(control.message()) == b""
    control.repository.root.commit("one")
    assert control.read(control.message()) == control.head_text
    assert control.read(control.command("branch")) == b"usage\n"


def test_replies_are_private(control: Control) -> None:
    one, other = control.message(), control.message()
    control.write(one, b"one\n")
    control.write(other, b"other\n")
    control.flush(one)
    first = control.head_text
    control.change()
    control.flush(other)
    second = control.head_text
    assert first != second
    assert control.read(other) == second
    assert control.read(one) == first
    assert control.messages == [b"other", b"one"]


@pytest.mark.parametrize("size", [REQUEST_MAX_BYTES + 1, 1024 * 1024])
def test_more_than_64_kib_in_one_write(control: Control, size: int) -> None:
    for channel in (control.message(), control.command(), control.command("branch")):
        with pytest.raises(TooLarge, match="64 KiB"):
            control.write(channel, b"x" * size)
        assert control.read(channel).startswith(b"error: ")
    assert control.head is None


@pytest.mark.parametrize(
    "bad", [b"nul \0 in it\n", b"no \xff utf-8\n", b"a surrogate \xed\xa0\x80\n"]
)
def test_bytes_that_are_no_text_are_refused_in_write(control: Control, bad: bytes) -> None:
    for channel in (control.message(), control.command(), control.command("branch")):
        with pytest.raises(UsageError, match=r"NUL|UTF-8"):
            control.write(channel, bad)
        assert control.read(channel).startswith(b"error: usage: ")
    assert control.head is None
    assert [branch.name for branch in control.repository.refs] == ["main"]


TEXT = "é€𝄞 ende".encode()


@pytest.mark.parametrize("cut", range(1, len(TEXT)))
def test_a_character_may_be_cut_by_the_end_of_a_write(control: Control, cut: int) -> None:
    channel = control.message()
    control.write(channel, TEXT[:cut])
    control.write(channel, TEXT[cut:])
    control.flush(channel)
    assert control.messages == [TEXT]


def test_each_byte_in_a_write_of_its_own(control: Control) -> None:
    message, command = control.message(), control.command("branch")
    for at in range(len(TEXT)):
        control.write(message, TEXT[at : at + 1])
    control.flush(message)
    assert control.messages == [TEXT]
    for at in range(4):
        control.write(command, "né\n".encode()[at : at + 1])
    assert "né" in control.repository.refs


@pytest.mark.parametrize("tail", [b"\xff", b"a", b"\xc3\xa9"])
def test_a_cut_character_that_goes_on_wrongly_is_refused_in_write(
    control: Control, tail: bytes
) -> None:
    channel = control.message()
    control.write(channel, b"cut \xe2\x82")
    with pytest.raises(UsageError, match="UTF-8"):
        control.write(channel, tail)
    control.flush(channel)
    assert control.head is None


def test_a_cut_character_at_the_end_is_refused(control: Control) -> None:
    channel = control.message()
    control.write(channel, b"cut \xe2\x82")
    with pytest.raises(UsageError, match="UTF-8"):
        control.flush(channel)
    assert control.read(channel).startswith(b"error: usage: ")
    assert control.head is None
    control.write(channel, b"and then a good one")
    assert control.read(channel) == control.head_text


@pytest.mark.parametrize("bad", [b"one \xff\n", b"one \0\n", b"x" * (REQUEST_MAX_BYTES + 1)])
def test_the_rest_of_a_refused_message_makes_no_commit(control: Control, bad: bytes) -> None:
    """bash's printf goes on with the next line after one could not be written."""
    channel = control.message()
    with pytest.raises(HeliosError):
        control.write(channel, bad)
    with pytest.raises(HeliosError):
        control.write(channel, b"another line\n")
    control.flush(channel)
    assert control.head is None
    assert control.read(channel).startswith(b"error: ")


def test_the_rest_of_a_refused_line_is_no_command(control: Control) -> None:
    channel = control.command("branch")
    with pytest.raises(TooLarge):
        control.write(channel, b"x" * (REQUEST_MAX_BYTES + 1))
    with pytest.raises(TooLarge):
        control.write(channel, b"tail")
    with pytest.raises(TooLarge):
        control.write(channel, b"end --fork\n")
    control.write(channel, b"--fork good\n")
    assert sorted(branch.name for branch in control.repository.refs) == ["good", "main"]


@pytest.mark.parametrize("bad", [b"m \xff", b"m \0", b"x" * (REQUEST_MAX_BYTES + 1), b"  \n"])
def test_after_an_error_a_good_message_on_the_same_handle(control: Control, bad: bytes) -> None:
    channel = control.message()
    with pytest.raises(HeliosError):
        control.write(channel, bad)
        control.flush(channel)
    assert control.read(channel).startswith(b"error: ")
    control.write(channel, b"good\n")
    assert control.read(channel) == control.head_text
    assert control.messages == [b"good"]


def test_after_an_error_a_good_command_on_the_same_handle(control: Control) -> None:
    control.repository.root.commit("one")
    channel = control.command()
    with pytest.raises(NotFound):
        control.write(channel, b"rev-parse HEAD~9\n")
    with pytest.raises(UsageError, match="did you mean 'branch'"):
        control.write(channel, b"brnch\n")
    control.write(channel, b"rev-parse HEAD\n")
    assert control.read(channel) == control.head_text


def test_a_command_runs_at_its_newline(control: Control) -> None:
    control.repository.root.commit("one")
    channel = control.command("branch")
    control.write(channel, b"ide")
    assert "ide" not in control.repository.refs
    control.write(channel, b"a-7\n")
    assert "idea-7" in control.repository.refs


def test_a_command_without_a_newline_runs_at_the_flush(control: Control) -> None:
    control.repository.root.commit("one")
    channel = control.command("branch")
    control.write(channel, b"idea")
    assert "idea" not in control.repository.refs
    control.flush(channel)
    control.flush(channel)
    assert "idea" in control.repository.refs


def test_several_command_lines_in_one_write(control: Control) -> None:
    control.repository.root.commit("one")
    channel = control.command()
    control.write(channel, b"branch a\nrev-parse HEAD\nrev-parse --abbrev-ref HEAD\nbranch b")
    assert control.read(channel) == b""
    assert {"a", "b"} <= {branch.name for branch in control.repository.refs}
    control.write(channel, b"rev-parse HEAD\nrev-parse --abbrev-ref HEAD\n")
    assert control.read(channel) == control.head_text + b"main\n"


def test_of_several_lines_those_before_the_error_ran(control: Control) -> None:
    control.repository.root.commit("one")
    channel = control.command()
    with pytest.raises(NotFound):
        control.write(channel, b"branch a\nbranch b nowhere\nbranch c\n")
    assert sorted(branch.name for branch in control.repository.refs) == ["a", "main"]
    assert control.read(channel).startswith(b"error: ")


def test_a_line_that_cannot_be_parsed_lets_none_run(control: Control) -> None:
    control.repository.root.commit("one")
    channel = control.command()
    with pytest.raises(UsageError):
        control.write(channel, b"branch a\nbranch 'b\n")
    assert [branch.name for branch in control.repository.refs] == ["main"]


def test_a_blank_line(control: Control) -> None:
    """To a verb's own file it is the verb without arguments; `ctl/command` ignores it."""
    control.repository.root.commit("one")
    control.change()
    control.repository.root.commit("two")
    every = control.command()
    control.write(every, b"\n  \n\n")
    assert control.read(every) == b"usage\n"
    control.write(control.command("undo"), b"\n")
    assert control.messages == [b"one"]
    listing = control.command("branch")
    control.write(listing, b"\n")
    assert control.read(listing) == b"* main\n"


def test_a_new_request_replaces_the_reply(control: Control) -> None:
    control.repository.root.commit("one")
    channel = control.command()
    control.write(channel, b"rev-parse HEAD\n")
    assert control.read(channel, 10) == control.head_text[:10]
    control.write(channel, b"rev-parse --abbrev-ref HEAD\n")
    assert control.read(channel) == b"main\n"
    assert control.read(channel) == b""


def test_a_barrier_that_began_with_a_message_is_that_of_its_commit(control: Control) -> None:
    control.change()
    channel = control.message()
    assert not channel.needs_barrier_soon
    channel.write(b"")
    assert not channel.needs_barrier_soon
    for text in (b"a message", b" in two writes"):
        channel.write(text)
        assert channel.needs_barrier_soon
    channel.begun_barrier = begun = BegunBarrier(7, 1)
    (request,) = channel.finish()
    assert request.barrier and request.begun_barrier is begun
    assert not channel.needs_barrier_soon
    channel.write(b"another")
    assert channel.finish()[0].begun_barrier is None
    command = control.command()
    command.write(b"commit -m message")
    assert not command.needs_barrier_soon, "it runs within the write that ends its line"


def test_an_empty_message_is_refused(control: Control) -> None:
    for text in (b"\n", b"  \n\n", b"\t"):
        channel = control.message()
        control.write(channel, text)
        with pytest.raises(UsageError, match="empty message"):
            control.flush(channel)
    assert control.head is None


def test_the_last_errors_are_kept(control: Control) -> None:
    for number in range(40):
        with pytest.raises(UsageError):
            control.write(control.command(), b"nonsense%d\n" % number)
    lines = control.errors.text().splitlines()
    assert len(lines) == 32
    assert "nonsense39" in lines[-1]


def test_only_verbs_that_look_at_the_files_wait_for_the_kernel(control: Control) -> None:
    channel = control.command()
    barriers = {
        line: channel.write(line + b"\n")[0].barrier
        for line in (b"commit -m x", b"reset --hard", b"status", b"log", b"rev-parse HEAD")
    }
    assert barriers == {
        b"commit -m x": True,
        b"reset --hard": True,
        b"status": True,
        b"log": False,
        b"rev-parse HEAD": False,
    }
    assert [request.sync for request in channel.write(b"commit --sync\ncommit\n")] == [True, False]


def test_a_request_about_another_branch(control: Control) -> None:
    """The view of the branch acts: a live view, which need not be open, or the mount point."""
    channel = control.command()
    control.write(channel, b"commit -m base\nbranch side\n")
    control.write(channel, b'{"argv": ["commit", "--allow-empty", "-m", "x"], "branch": "side"}\n')
    refs = control.repository.refs
    assert control.read(channel).startswith(b"[side ")
    assert refs.branch("side").head != control.head
    control.write(channel, b'{"argv": ["rev-parse", "--abbrev-ref", "HEAD"], "branch": "side"}\n')
    assert control.read(channel) == b"side\n"
    control.write(channel, b'{"argv": ["rev-parse", "HEAD"], "branch": "main"}\n')
    assert control.read(channel) == control.head_text
    with pytest.raises(NotFound, match="no branch 'none'"):
        control.write(channel, b'{"argv": ["status"], "branch": "none"}\n')
