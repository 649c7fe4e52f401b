"""Real S3 servers, started for the contract of buckets: moto, and SeaweedFS.

They are in no requirements, as they take 290 MB: `tests/remote/test.sh` installs them, and names
their directory in HELIOS_S3_SERVERS.
"""

from __future__ import annotations

import os
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

DIRECTORY = os.environ.get("HELIOS_S3_SERVERS", "")
_START_SECONDS = 120


@contextmanager
def moto(path: Path) -> Iterator[str]:
    """Run moto's server, and return its endpoint."""
    (port,) = _free_ports(1)
    with _running([f"{DIRECTORY}/moto_server", "-H", "127.0.0.1", "-p", str(port)], path):
        yield _ready(port)


@contextmanager
def seaweedfs(path: Path) -> Iterator[str]:
    """Run SeaweedFS, all of it in one process, and return the endpoint of its S3 gateway."""
    names = ("s3", "master", "volume", "filer")
    ports = dict(zip(names, _free_ports(len(names)), strict=True))
    command = [
        f"{DIRECTORY}/weed",
        "mini",
        f"-dir={path}",
        "-bucket=bucket",
        "-ip=127.0.0.1",
        "-ip.bind=127.0.0.1",
        "-admin.ui=false",
        "-webdav=false",
        "-s3.iam=false",
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",
        *(f"-{name}.port={port}" for name, port in ports.items()),
        # Where they are put by default may be above 65535, or taken.
        *(f"-{name}.port.grpc={port}" for name, port in zip(names, _free_ports(4), strict=True)),
    ]
    with _running(command, path):
        yield _ready(ports["s3"])


@contextmanager
def _running(command: list[str], path: Path) -> Iterator[None]:
    environment = os.environ | {
        "AWS_ACCESS_KEY_ID": "access",
        "AWS_SECRET_ACCESS_KEY": "secret-of-tests",
    }
    with (path / "server.log").open("wb") as log:
        server = subprocess.Popen(command, cwd=path, env=environment, stdout=log, stderr=log)
    try:
        yield
    finally:
        server.terminate()
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait(20)


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def _ready(port: int) -> str:
    """Wait until a server answers; return its endpoint."""
    endpoint = f"http://127.0.0.1:{port}"
    end = time.monotonic() + _START_SECONDS
    while True:
        try:
            with urllib.request.urlopen(endpoint, timeout=10):
                return endpoint
        except urllib.error.HTTPError:
            return endpoint
        except OSError:
            assert time.monotonic() < end, "the server does not start"
        time.sleep(0.2)
