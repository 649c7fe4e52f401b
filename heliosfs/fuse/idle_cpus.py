"""Keep the idle CPUs of a virtual machine from halting while requests come in a row.

A request of a program that waits needs two wake-ups, of this process and of the program.  To wake a
virtual CPU that has been halted takes 20 to 40 us, several times as long as the request itself,
while one that looks for work is there at once.  The loop's polls spare the first wake-up; only the
kernel can spare the second.  It does for whoever asks for a latency of 0 in /dev/cpu_dma_latency
(Documentation/power/pm_qos_interface.rst): an idle CPU then looks for work instead of halting.  It
still lets everything else run at once, but takes power, and its host's time.

So it is asked for only where it is known to pay (`openable`), only while many requests come, and
the kernel withdraws it when this process ends, however that happens.
"""

from __future__ import annotations

import errno
import logging
import os
import struct
from pathlib import Path

import trio

from heliosfs.config.settings import Settings
from heliosfs.fuse.loop import RequestLoop
from heliosfs.pace import Pace

DEVICE = "/dev/cpu_dma_latency"
_DRIVER = "/sys/devices/system/cpu/cpuidle/current_driver"
_HALT_POLL = "/sys/module/haltpoll/parameters/guest_halt_poll_ns"
WINDOW_SECONDS = 0.005
REQUESTS_MIN = 5
"""Fewest requests in a window for which the CPUs stay awake: 1,000 a second."""
_CPUS_MAX = 8
"""Most CPUs of a machine whose idle ones are kept awake, since that means all of them."""
_LATENCY = struct.Struct("=i")
AWAKE = _LATENCY.pack(0)
MAY_HALT = _LATENCY.pack(2_000_000_000)
"""The value that asks for nothing (PM_QOS_CPU_LATENCY_DEFAULT_VALUE)."""

log = logging.getLogger(__name__)


def openable(
    device: str = DEVICE, driver: str = _DRIVER, halt_poll: str = _HALT_POLL, cpus: int = 0
) -> bool:
    """Return True if idle CPUs may be kept awake here, and if that pays.

    It does where the driver of idle CPUs is `haltpoll`: in a virtual machine of which the host or
    the administrator has said that halting is dear.  Where the administrator lets CPUs poll before
    they halt, there is nothing to gain; on a machine with many CPUs it would be too dear.
    """
    if _read(driver) != "haltpoll" or _read(halt_poll) not in ("0", ""):
        return False
    return (cpus or os.cpu_count() or 1) <= _CPUS_MAX and os.access(device, os.W_OK)


class IdleCpus:
    """The machine's idle CPUs, which halt unless many requests come to a loop."""

    def __init__(self, loop: RequestLoop, device: str | None) -> None:
        """Follow the streaks of `loop`; do nothing without a device."""
        self._loop = loop
        self._lot = trio.lowlevel.ParkingLot()
        self._fd = -1
        self._is_allowed = True
        self.are_awake = False
        if device is not None:
            try:
                self._fd = os.open(device, os.O_WRONLY | os.O_CLOEXEC)
            except OSError as error:
                log.info("%s: %s; idle CPUs may halt", device, error.strerror)
                return
            loop.on_streak = self._begin

    def close(self) -> None:
        """Let the CPUs halt.  Idempotent."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def apply(self, settings: Settings) -> None:
        """Leave the CPUs alone if the settings say so, from the next window on."""
        self._is_allowed = settings.keeps_cpus_awake

    async def run(self) -> None:
        """Let the CPUs halt again when the requests of a streak become few; run forever."""
        while True:
            if not self._loop.is_streak:
                await self._lot.park()
            before = Pace.request_count
            await trio.sleep(WINDOW_SECONDS)
            if not self._is_allowed or Pace.request_count - before < REQUESTS_MIN:
                self._ask(are_awake=False)
                self._loop.is_streak = False

    def _begin(self) -> None:
        """Begin a streak: 15 us with two CPUs, since each idle one is told."""
        if self._is_allowed:
            self._ask(are_awake=True)
        self._lot.unpark()

    def _ask(self, *, are_awake: bool) -> None:
        if are_awake == self.are_awake or self._fd < 0:
            return
        try:
            os.write(self._fd, AWAKE if are_awake else MAY_HALT)
        except OSError as error:
            log.warning("%s: %s", DEVICE, errno.errorcode.get(error.errno or 0, error))
            return
        self.are_awake = are_awake


def _read(path: str) -> str:
    """Return the text of a file without its newline; empty if it cannot be read."""
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""
