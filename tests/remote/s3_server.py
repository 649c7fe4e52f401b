"""Small S3 server: the requests of a bucket, with latency, bandwidth, counters and faults.

    python -m tests.remote.s3_server --latency 20 --bandwidth 100

It answers as Amazon's documentation says: conditional PUT, ranges, pages of 1,000, ETags that are
the MD5 of the content.  Signatures are not checked, the id of the access key is.  It also knows the
generations of Google Cloud Storage, whose other requests are the same.  Objects are in memory.

As it is no copy of a real server, the contract is also tested on two that are (`test.sh` in this
directory).
"""

from __future__ import annotations

import argparse
import hashlib
import re
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email.utils import formatdate
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

PAGE_COUNT = 1000
_CHUNK_BYTES = 256 * 1024
_CREDIT_SECONDS = 0.01


class Stored(NamedTuple):
    data: bytes
    e_tag: str
    modified_at: float
    generation: int = 0


class Fault(NamedTuple):
    """An answer that a request gets in place of its own."""

    status: int
    """Status; 0 to close the connection."""
    code: str = "SlowDown"
    is_done: bool = False
    """Do what was asked for before: the answer alone is lost."""
    cut_bytes: int | None = None
    """Close the connection after so many bytes of the body; `status` is not used."""


class S3Server(ThreadingHTTPServer):
    """Server on a free port of this machine, with one bucket, `bucket`."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, latency_seconds: float = 0.0, bytes_per_second: float = 0.0) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.latency_seconds = latency_seconds
        self.bytes_per_second = bytes_per_second
        """Bandwidth of the link, which all connections share; 0 for no limit."""
        self.requests: Counter[str] = Counter()
        """Number of requests by method of HTTP; a listing counts as LIST."""
        self.connection_count = 0
        self.sent_bytes = 0
        self.received_bytes = 0
        self.faults: list[Fault] = []
        """Faults of the next requests, first to last."""
        self.fault: Callable[[str, str], Fault | None] | None = None
        """Function from method and key to a fault, asked when `faults` is empty."""
        self.is_backwards = False
        """True if pages of listings are in the wrong order."""
        self.generation = 0
        """Generation of the object that was written last, as Google Cloud Storage counts them."""
        self.access_key: str | None = "access"
        """Id of the key that requests have to name; None if they need none."""
        self.objects: dict[str, Stored] = {}
        self.lock = threading.Lock()
        self._link = threading.Lock()
        self._free_at = 0.0

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def take_fault(self, method: str, key: str) -> Fault | None:
        with self.lock:
            self.requests[method] += 1
            if self.faults:
                return self.faults.pop(0)
        return self.fault(method, key) if self.fault is not None else None

    def wait(self, size: int) -> None:
        """Wait as long as `size` bytes take over the link, behind those that are under way."""
        if not self.bytes_per_second:
            return
        with self._link:
            # A little of what passed unused counts: the link goes on while a chunk is copied.
            begin = max(self._free_at, time.monotonic() - _CREDIT_SECONDS)
            self._free_at = begin + size / self.bytes_per_second
            pause = self._free_at - time.monotonic()
        time.sleep(max(0.0, pause))

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of clients that go away."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: S3Server

    def setup(self) -> None:
        super().setup()
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with self.server.lock:
            self.server.connection_count += 1

    def log_message(self, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        self._serve()

    def do_HEAD(self) -> None:
        self._serve()

    def do_PUT(self) -> None:
        self._serve()

    def do_DELETE(self) -> None:
        self._serve()

    def _serve(self) -> None:
        body = self._body()
        parts = urlsplit(self.path)
        _, bucket, key = (*parts.path.split("/", 2), "")[:3]
        key = unquote(key)
        method = "LIST" if not key and self.command == "GET" else self.command
        server = self.server
        fault = server.take_fault(method, key)
        time.sleep(server.latency_seconds)
        with server.lock:
            server.received_bytes += len(body)
        if fault is not None and not fault.is_done and fault.cut_bytes is None:
            self._fail(fault)
            return
        self._cut_bytes = fault.cut_bytes if fault is not None else None
        self._is_lost = fault is not None and fault.cut_bytes is None
        key_id = f"Credential={server.access_key}/"
        if server.access_key and key_id not in self.headers.get("Authorization", ""):
            self._error(HTTPStatus.FORBIDDEN, "InvalidAccessKeyId")
        elif bucket != "bucket":
            self._error(HTTPStatus.NOT_FOUND, "NoSuchBucket")
        elif method == "LIST":
            self._list({name: values[0] for name, values in parse_qs(parts.query).items()})
        elif method == "PUT":
            self._put(key, body)
        elif method == "DELETE":
            with server.lock:
                there = server.objects.pop(key, None)
            if there is None and server.access_key is None:
                self._error(HTTPStatus.NOT_FOUND, "NoSuchKey")
            else:
                self._answer(HTTPStatus.NO_CONTENT)
        else:
            self._get(key)
        if self._is_lost and fault is not None:
            self._fail(fault)

    def _body(self) -> bytes:
        chunks = []
        left = int(self.headers.get("Content-Length") or 0)
        while left:
            chunk = self.rfile.read(min(left, _CHUNK_BYTES))
            if not chunk:
                break
            self.server.wait(len(chunk))
            chunks.append(chunk)
            left -= len(chunk)
        return b"".join(chunks)

    def _put(self, key: str, body: bytes) -> None:
        e_tag = f'"{hashlib.md5(body).hexdigest()}"'
        generation = self.headers.get("x-goog-if-generation-match")
        with self.server.lock:
            there = self.server.objects.get(key)
            known = 0 if there is None else there.generation
            is_taken = self.headers.get("If-None-Match") == "*" and there is not None
            if is_taken or (generation is not None and int(generation) != known):
                refused = (HTTPStatus.PRECONDITION_FAILED, "PreconditionFailed")
            elif "If-Match" in self.headers and there is None:
                refused = (HTTPStatus.NOT_FOUND, "NoSuchKey")
            elif there is not None and self.headers.get("If-Match", there.e_tag) != there.e_tag:
                refused = (HTTPStatus.PRECONDITION_FAILED, "PreconditionFailed")
            else:
                self.server.generation += 1
                known = self.server.generation
                self.server.objects[key] = Stored(body, e_tag, time.time(), known)
                refused = None
        if refused is not None:
            self._error(*refused)
        else:
            headers = {"ETag": e_tag, "x-goog-generation": str(known)}
            self._answer(HTTPStatus.OK, headers=headers)

    def _get(self, key: str) -> None:
        with self.server.lock:
            there = self.server.objects.get(key)
        if there is None:
            self._error(HTTPStatus.NOT_FOUND, "NoSuchKey")
            return
        headers = {
            "ETag": there.e_tag,
            "x-goog-generation": str(there.generation),
            "Last-Modified": formatdate(there.modified_at, usegmt=True),
        }
        size = len(there.data)
        found = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if found is None:
            self._answer(HTTPStatus.OK, there.data, headers)
            return
        start = int(found[1])
        end = min(size, int(found[2]) + 1 if found[2] else size)
        if start >= size:
            self._error(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, "InvalidRange")
            return
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
        self._answer(HTTPStatus.PARTIAL_CONTENT, there.data[start:end], headers)

    def _list(self, query: dict[str, str]) -> None:
        prefix = query.get("prefix", "")
        after = query.get("continuation-token", query.get("start-after", ""))
        with self.server.lock:
            objects = dict(self.server.objects)
        keys = sorted(key for key in objects if key.startswith(prefix) and key > after)
        page = keys[:PAGE_COUNT]
        is_cut = len(keys) > len(page)
        lines = [
            '<?xml version="1.0" encoding="UTF-8"?><ListBucketResult>',
            f"<IsTruncated>{str(is_cut).lower()}</IsTruncated><KeyCount>{len(page)}</KeyCount>",
        ]
        for key in reversed(page) if self.server.is_backwards else page:
            each = objects[key]
            modified_at = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(each.modified_at))
            lines.append(
                f"<Contents><Key>{escape(key)}</Key><LastModified>{modified_at}</LastModified>"
                f"<ETag>{escape(each.e_tag)}</ETag><Size>{len(each.data)}</Size></Contents>"
            )
        if is_cut:
            lines.append(f"<NextContinuationToken>{escape(page[-1])}</NextContinuationToken>")
        lines.append("</ListBucketResult>")
        self._answer(HTTPStatus.OK, "".join(lines).encode())

    def _fail(self, fault: Fault) -> None:
        self._is_lost = False
        self._cut_bytes = None
        if fault.status:
            self._error(HTTPStatus(fault.status), fault.code)
        else:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)

    def _error(self, status: HTTPStatus, code: str) -> None:
        self._answer(status, f"<Error><Code>{code}</Code></Error>".encode())

    def _answer(
        self, status: HTTPStatus, body: bytes = b"", headers: dict[str, str] | None = None
    ) -> None:
        if self._is_lost:
            return
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "HEAD":
            return
        with self.server.lock:
            self.server.sent_bytes += len(body)
        if self._cut_bytes is not None and self._cut_bytes < len(body):
            self.wfile.write(body[: self._cut_bytes])
            self.close_connection = True
        else:
            for at in range(0, len(body), _CHUNK_BYTES):
                chunk = memoryview(body)[at : at + _CHUNK_BYTES]
                self.server.wait(len(chunk))
                self.wfile.write(chunk)


@contextmanager
def s3_server(latency_seconds: float = 0.0, bytes_per_second: float = 0.0) -> Iterator[S3Server]:
    """Run a server as long as the context lasts."""
    server = S3Server(latency_seconds, bytes_per_second)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join(60)


def main() -> None:
    parser = argparse.ArgumentParser(description="Run the server until it is interrupted.")
    parser.add_argument("--latency", type=float, default=0.0, metavar="MILLISECONDS")
    parser.add_argument("--bandwidth", type=float, default=0.0, metavar="MEGABYTES")
    given = parser.parse_args()
    server = S3Server(given.latency / 1e3, given.bandwidth * 1e6)
    print(f"export AWS_ENDPOINT_URL={server.endpoint}")
    print("export AWS_ACCESS_KEY_ID=access AWS_SECRET_ACCESS_KEY=any AWS_REGION=us-east-1")
    print(
        "# the remote is s3://bucket/PREFIX; counters are printed at the end (Ctrl-C)", flush=True
    )
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        print(f"# requests {dict(server.requests)}")
        print(f"# received {server.received_bytes} bytes, sent {server.sent_bytes} bytes")


if __name__ == "__main__":
    main()
