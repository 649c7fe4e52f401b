"""Whether who waits for a reply still wants it.

A process that is to be killed, or gets a signal, while it waits for a request stays until we
answer (`request_wait_answer` in fs/fuse/dev.c).  The kernel says so by an INTERRUPT, of the one
request that is waited for; a long verb lasts over many.  So the signals that wait for the
process are looked at instead.
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
    """Whether a signal that ends programs waits for the thread (proc_pid_status(5)): 30 us.

    A thread that cannot be seen, for example in another pid namespace, never does.
    """
    try:
        with open(f"/proc/{pid}/status", "rb") as file:
            lines = file.read().split(b"\n")
    except OSError:
        return False
    fields = (line.split(b":\t", 1) for line in lines if b"Pnd:" in line)
    return any(int(value, 16) & _ENDING for _, value in fields)
