#!/bin/sh
# What mfusepy mounts loses a modification time that is set alone, or makes 1970 of it: no error.
#
# libfuse 2.9, fuse_lib_setattr() in lib/fuse.c: a request for one of the two times is answered with
# success and not passed on, unless the file system sets flag_utime_omit_ok. `tar -x` and `touch -m`
# are such requests, `cp -p` is not: files unpacked from an archive are as new as the unpacking.
# mfusepy, as fusepy before it, hands the flag on when the class of operations has it, and then what
# libfuse puts in place of a time: UTIME_NOW and UTIME_OMIT of utimensat(2) are numbers in the field
# of the nanoseconds, which it adds to second 0. A plain `touch` is a second after the epoch then.
# Remedy: the flag, and a `utimens` that knows 1073741823 (UTIME_NOW) and 1073741822 (UTIME_OMIT).
#
# Seen with mfusepy 3.1.1, libfuse 2.9.9, coreutils 9.1, tar 1.34, a file of 2020 in the archive:
#   without the flag   tar: the present   touch -m -d 2021: the present   touch: the present
#   with the flag      tar: 2020   touch -m -d 2021: 2021   touch: 1970
# Needs /dev/fuse, fusermount3 and libfuse 2.
set -eu
work=$(mktemp -d)
pid=
finish() {
    fusermount3 -uzq "$work/mount" || true
    if [ -n "$pid" ]; then wait "$pid" || true; fi
    rm -rf "$work"
}
trap finish EXIT
export TZ=UTC
mkdir "$work/mount" "$work/source"
echo text > "$work/source/file"
touch -d 2020-06-01 "$work/source/file"
tar -C "$work/source" -cf "$work/archive.tar" file
python3 -m venv "$work/venv"
"$work/venv/bin/pip" --quiet --disable-pip-version-check install mfusepy==3.1.1
cat > "$work/loopback.py" <<'PYTHON'
"""A directory at another place; with a third argument, the flag is set."""

import os
import sys

import mfusepy

assert mfusepy.fuse_version_major == 2, "not libfuse 2"


class Loopback(mfusepy.Operations):
    use_ns = True

    def __init__(self, root):
        self.root = root

    def getattr(self, path, fh=None):
        try:
            status = os.lstat(self.root + path)
        except OSError as error:
            raise mfusepy.FuseOSError(error.errno) from None
        names = ("st_mode", "st_nlink", "st_size", "st_uid", "st_gid")
        return {name: getattr(status, name) for name in names} | {"st_mtime": status.st_mtime_ns}

    def readdir(self, path, fh):
        return [".", "..", *os.listdir(self.root + path)]

    def open(self, path, flags):
        return os.open(self.root + path, flags)

    def create(self, path, mode, fi=None):
        return os.open(self.root + path, os.O_RDWR | os.O_CREAT, mode)

    def write(self, path, data, offset, fh):
        return os.pwrite(fh, data, offset)

    def release(self, path, fh):
        os.close(fh)
        return 0

    def chmod(self, path, mode):
        os.chmod(self.root + path, mode)
        return 0

    def chown(self, path, uid, gid):
        return 0

    def utimens(self, path, times=None):
        os.utime(self.root + path, ns=times)
        return 0


if sys.argv[3:]:
    Loopback.flag_utime_omit_ok = 1
mfusepy.FUSE(Loopback(sys.argv[1]), sys.argv[2], foreground=True)
PYTHON
present=$(date +%Y)
year() { stat -c %y "$work/$name/file" | cut -d- -f1 | sed "s/$present/the present/"; }
try() { # what the modification time is after each of three commands; $name is a new directory
    mkdir "$work/$name"
    "$work/venv/bin/python" "$work/loopback.py" "$work/$name" "$work/mount" "$@" &
    pid=$!
    for _ in 1 2 3 4 5 6 7 8 9 10; do
        mountpoint -q "$work/mount" && break
        sleep 0.5
    done
    tar -C "$work/mount" -xf "$work/archive.tar"
    unpacked=$(year)
    touch -m -d 2021-06-01 "$work/mount/file"
    dated=$(year)
    touch "$work/mount/file"
    seen="tar: $unpacked   touch -m -d 2021: $dated   touch: $(year)"
    fusermount3 -u "$work/mount"
    wait "$pid"
    pid=
}
name=plain
try
plain=$seen
echo "without the flag   $plain"
name=flagged
try flag
echo "with the flag      $seen"
[ "$plain" = "tar: the present   touch -m -d 2021: the present   touch: the present" ]
[ "$seen" = "tar: 2020   touch -m -d 2021: 2021   touch: 1970" ]
