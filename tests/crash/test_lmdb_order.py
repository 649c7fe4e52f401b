"""LMDB makes its calls in the order that the record of a disk assumes: pages, sync, meta page."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SHIM = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <sys/uio.h>
#include <unistd.h>
#include <fcntl.h>

static void note(const char *call, int fd, long at) {
    char line[96];
    int flags = fcntl(fd, F_GETFL);
    int n = snprintf(line, sizeof line, "%s %ld %d\n", call, at, (flags & O_DSYNC) != 0);
    static ssize_t (*plain)(int, const void *, size_t);
    if (!plain) plain = dlsym(RTLD_NEXT, "write");
    plain(2, line, n);
}
ssize_t pwrite(int fd, const void *data, size_t size, off_t at) {
    static ssize_t (*next)(int, const void *, size_t, off_t);
    if (!next) next = dlsym(RTLD_NEXT, "pwrite");
    note("write", fd, at);
    return next(fd, data, size, at);
}
ssize_t pwrite64(int fd, const void *data, size_t size, off_t at) {
    return pwrite(fd, data, size, at);
}
ssize_t pwritev(int fd, const struct iovec *data, int count, off_t at) {
    static ssize_t (*next)(int, const struct iovec *, int, off_t);
    if (!next) next = dlsym(RTLD_NEXT, "pwritev");
    note("write", fd, at);
    return next(fd, data, count, at);
}
ssize_t writev(int fd, const struct iovec *data, int count) {
    static ssize_t (*next)(int, const struct iovec *, int);
    if (!next) next = dlsym(RTLD_NEXT, "writev");
    note("write", fd, lseek(fd, 0, SEEK_CUR));
    return next(fd, data, count);
}
int fdatasync(int fd) {
    static int (*next)(int);
    if (!next) next = dlsym(RTLD_NEXT, "fdatasync");
    note("sync", fd, 0);
    return next(fd);
}
"""
SCRIPT = """
import sys
from heliosfs.store.l2.environment import open_environment
env = open_environment(sys.argv[1], 1 << 24)
for number in range(3):
    with env.begin(write=True) as txn:
        for key in range(40):
            txn.put(b"%d" % key, b"%d " % number * 200)
    sys.stderr.write("committed\\n")
    sys.stderr.flush()
"""


def test_pages_then_a_sync_then_the_meta_page(tmp_path: Path) -> None:
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler")
    (tmp_path / "shim.c").write_text(SHIM)
    shim = tmp_path / "shim.so"
    arguments = ["-shared", "-fPIC", "-O1", "-o", str(shim), str(tmp_path / "shim.c"), "-ldl"]
    subprocess.run([compiler, *arguments], check=True, timeout=60)
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path / "file")],
        env=os.environ | {"LD_PRELOAD": str(shim)},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    commits = done.stderr.split("committed\n")[1:-1]
    assert len(commits) == 2
    for commit in commits:
        calls = [line.split() for line in commit.splitlines()]
        *pages, sync, meta = calls
        assert pages and all(
            call == "write" and int(at) >= 8192 and not int(waits) for call, at, waits in pages
        )
        assert sync[0] == "sync"
        # Its descriptor has O_DSYNC: the write returns when it is on the disk.
        assert meta[0] == "write" and int(meta[1]) < 8192 and int(meta[2])
