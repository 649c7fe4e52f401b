#!/bin/sh
# TypeScript 7 cannot watch a project on a FUSE file system when it is installed on another one.
#
# typescript 7.0.2: `tsc --watch` watches with one fanotify group both the project and its own
# library (node_modules/@typescript/typescript-linux-x64/lib). fanotify_mark(2), EXDEV: a group that
# reports file ids cannot have marks on a file system without an id (f_fsid of statfs is 0, as in
# every FUSE file system: sshfs, rclone, virtiofs, what runs in Docker Desktop) beside marks on
# another one. tsc prints the errno after "Starting compilation", compiles nothing, and stays as if it
# watched. `tsc` without --watch works. TypeScript 5 watches with inotify, and has no such limit.
# Remedy: install typescript below the same mount as the project.
#
# Seen with Linux 6.18, Node.js 20.20.2, typescript 7.0.2, and a loopback of mfusepy 3.1.1:
#   installed elsewhere   fanotify_mark on '…/typescript-linux-x64/lib' failed: invalid cross-device link
#   below the same mount  Found 0 errors. Watching for file changes.
# Needs node, npm, /dev/fuse, fusermount3 and libfuse.
set -eu
work=$(mktemp -d)
pid=
finish() {
    fusermount3 -uzq "$work/mount" || true
    if [ -n "$pid" ]; then wait "$pid" || true; fi
    rm -rf "$work"
}
trap finish EXIT
mkdir "$work/mount" "$work/below" "$work/below/src" "$work/elsewhere"
python3 -m venv "$work/venv"
"$work/venv/bin/pip" --quiet --disable-pip-version-check install mfusepy==3.1.1
cat > "$work/loopback.py" <<'PYTHON'
"""A directory, read-only, at another place."""

import os
import sys

import mfusepy


class Loopback(mfusepy.Operations):
    use_ns = True

    def __init__(self, root):
        self.root = root

    def getattr(self, path, fh=None):
        status = os.lstat(self.root + path)
        names = ("st_mode", "st_nlink", "st_size", "st_uid", "st_gid")
        return {name: getattr(status, name) for name in names} | {"st_mtime": status.st_mtime_ns}

    def readdir(self, path, fh):
        return [".", "..", *os.listdir(self.root + path)]

    def readlink(self, path):
        return os.readlink(self.root + path)

    def open(self, path, flags):
        return os.open(self.root + path, flags)

    def read(self, path, size, offset, fh):
        return os.pread(fh, size, offset)

    def release(self, path, fh):
        os.close(fh)
        return 0


mfusepy.FUSE(Loopback(sys.argv[1]), sys.argv[2], foreground=True, ro=True)
PYTHON
echo 'export const one: number = 1;' > "$work/below/src/one.ts"
echo '{"compilerOptions": {"noEmit": true}, "include": ["src"]}' > "$work/below/tsconfig.json"
npm --silent --prefix "$work/elsewhere" install --no-audit --no-fund typescript@7.0.2
cp -r "$work/elsewhere/node_modules" "$work/below"
"$work/venv/bin/python" "$work/loopback.py" "$work/below" "$work/mount" &
pid=$!
for _ in 1 2 3 4 5 6 7 8 9 10; do
    [ -e "$work/mount/tsconfig.json" ] && break
    sleep 0.5
done
cd "$work/mount"
watch() { NO_COLOR=1 timeout 10 node "$1/node_modules/typescript/bin/tsc" --watch --preserveWatchOutput 2>&1 || true; }
outside=$(watch "$work/elsewhere")
echo "$outside"
inside=$(watch "$work/mount")
echo "$inside"
cd /
case $outside in *"failed: invalid cross-device link"*) ;; *) exit 1 ;; esac
case $inside in *"Found 0 errors. Watching for file changes."*) ;; *) exit 1 ;; esac
