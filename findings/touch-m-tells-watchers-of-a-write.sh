#!/bin/sh
# `touch` tells watchers of attributes, `touch -m` of a write, though neither writes a byte.
#
# Linux, inotify(7) and fanotify(7), fsnotify_change() in include/linux/fsnotify.h: utimensat(2) with
# both times is IN_ATTRIB, with the modification time alone IN_MODIFY, also when that is the time
# which the file has. On a symbolic link and on a directory, too: `touch -m` of what did not change
# makes whatever watches rebuild, `touch` does not.
# watchdog 7.1.0 calls on_modified for the second only; for the first it has an event of its own,
# FileAttribEvent, which handlers written for older versions do not know.
#
# Seen with Linux 6.18 (tmpfs and ext4), coreutils 9.1, watchdog 7.1.0, Python 3.11:
#   touch       FileAttribEvent
#   touch -m    FileModifiedEvent
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" --quiet --disable-pip-version-check install watchdog==7.1.0
mkdir "$work/watched"
echo text > "$work/watched/file"
cat > "$work/watch.py" <<'PYTHON'
import subprocess
import sys
import time

from watchdog.events import FileSystemEventHandler
from watchdog.observers import Observer

heard = []


class Handler(FileSystemEventHandler):
    def on_any_event(self, event):
        if not event.is_directory and event.event_type not in ("opened", "closed_no_write"):
            heard.append(type(event).__name__)


observer = Observer()
observer.schedule(Handler(), sys.argv[1])
observer.start()
for options in ([], ["-m"]):
    heard.clear()
    # The time that the file has: nothing at all changes but the time of the change.
    file = sys.argv[1] + "/file"
    subprocess.run(["touch", *options, "-r", file, file], check=True)
    time.sleep(1)
    print(" ".join(["touch", *options]).ljust(11), *sorted(set(heard) - {"FileClosedEvent"}))
observer.stop()
observer.join()
PYTHON
seen=$(timeout 60 "$work/venv/bin/python" "$work/watch.py" "$work/watched")
echo "$seen"
[ "$seen" = "touch       FileAttribEvent
touch -m    FileModifiedEvent" ]
