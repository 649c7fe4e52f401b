"""A throttled link: a relay of TCP connections in a process of its own.

Each direction takes half of the latency, and all connections share its bandwidth.  A connection
carries its first bytes after the time that a handshake takes.  Neither TCP's slow start nor lost
packets are imitated.
"""

from __future__ import annotations

import argparse
import asyncio
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_CHUNK_BYTES = 256 * 1024
_QUEUED_CHUNKS = 64
_END_SECONDS = 10


@contextmanager
def throttled(port: int, latency_ms: float, megabytes_per_second: float) -> Iterator[int]:
    """Relay to a port of this machine; yield the port of the other end."""
    argv = [sys.executable, "-m", __name__, str(port), str(latency_ms), str(megabytes_per_second)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline())
        finally:
            process.terminate()
            process.wait(_END_SECONDS)


class _Direction:
    """One way of the link."""

    def __init__(self, latency_seconds: float, bytes_per_second: float) -> None:
        self._latency_seconds = latency_seconds
        self._bytes_per_second = bytes_per_second
        self._free_at = 0.0

    async def pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass on what comes, each chunk when it has arrived, up to the end."""
        queue: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(_QUEUED_CHUNKS)
        arriving = asyncio.create_task(self._deliver(queue, writer))
        now = asyncio.get_running_loop().time
        try:
            while True:
                data = await reader.read(_CHUNK_BYTES)
                self._free_at = max(self._free_at, now()) + len(data) / self._bytes_per_second
                await queue.put((self._free_at + self._latency_seconds, data))
                if not data:
                    break
            await arriving
        except ConnectionError:
            arriving.cancel()
            writer.close()

    @staticmethod
    async def _deliver(
        queue: asyncio.Queue[tuple[float, bytes]], writer: asyncio.StreamWriter
    ) -> None:
        now = asyncio.get_running_loop().time
        while True:
            due, data = await queue.get()
            await asyncio.sleep(max(0.0, due - now()))
            if not data:
                if writer.can_write_eof():
                    writer.write_eof()
                return
            writer.write(data)
            await writer.drain()


async def _relay(port: int, latency_seconds: float, bytes_per_second: float) -> None:
    there = _Direction(latency_seconds / 2, bytes_per_second)
    back = _Direction(latency_seconds / 2, bytes_per_second)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(latency_seconds)
        to_server = await asyncio.open_connection("127.0.0.1", port)
        for each in (writer, to_server[1]):
            each.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            await asyncio.gather(
                there.pass_on(reader, to_server[1]), back.pass_on(to_server[0], writer)
            )
        except ConnectionError:
            # One side has gone; the other one is told below.
            pass
        finally:
            writer.close()
            to_server[1].close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def _main() -> None:
    parser = argparse.ArgumentParser(description="Relay connections to a port, throttled.")
    parser.add_argument("port", type=int)
    parser.add_argument("latency_ms", type=float)
    parser.add_argument("megabytes_per_second", type=float)
    asked = parser.parse_args()
    asyncio.run(_relay(asked.port, asked.latency_ms / 1e3, asked.megabytes_per_second * 1e6))


if __name__ == "__main__":
    _main()
