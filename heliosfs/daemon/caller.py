"""Detection of a caller that was killed or signalled, so that a long verb can be abandoned.

A process that gets a signal while it waits for a request stays until the request is answered
(`request_wait_answer` in fs/fuse/dev.c).  The kernel reports it by an INTERRUPT, which concerns
that one request; a long verb lasts over many.  So the pending signals of the process are read
instead.
"""

from __future__ import annotations

import signal

_ENDING = sum(
    1 << (number - 1)
    for number in (
        signal.SIGHUP,
        signal.SIGINT,
        signal.SIGQUIT,
        signal.SIGKILL,
        signal.SIGTERM,
    )
)


def wants_to_end(pid: int) -> bool:
    """Return True if a signal that ends programs is pending for a thread, and not blocked: 30 us.

    A program that blocks a signal reads it with sigwait(3) or signalfd(2), and goes on until then.
    Source: proc_pid_status(5).  False for a thread that cannot be seen, for example in another pid
    namespace.
    """
    try:
        with open(f"/proc/{pid}/status", "rb") as file:
            lines = file.read().split(b"\n")
    except OSError:
        return False
    fields = dict(line.split(b":\t", 1) for line in lines if line.startswith((b"Sig", b"Shd")))
    pending = int(fields[b"SigPnd"], 16) | int(fields[b"ShdPnd"], 16)
    return bool(pending & ~int(fields[b"SigBlk"], 16) & _ENDING)
