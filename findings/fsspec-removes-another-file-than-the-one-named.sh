#!/bin/sh
# fsspec's `rm`, given the exact name of a file, removes another one and leaves that.
#
# What takes one path or many (rm, mv, copy, get, put, cat) first looks for wildcards in it
# (AbstractFileSystem.expand_path; docstring of `rm`: "Files or directories to delete"), and `[1]` is
# one, also where a file of just this name is there. If there is a file that the pattern means, it is
# taken without a word. `exists`, `info`, `open` and `find` take names as they are, so what `find`
# returns is no argument for `rm`. The local file system has a `rm` and a `mv` of its own, without
# patterns: a program that was tried on files removes another one in `memory`, and on S3 by s3fs.
# Remedy: the single forms (rm_file, cp_file, get_file, put_file, cat_file), or glob.escape().
#
# Seen with fsspec 2026.9.0, Python 3.11, each time of `part[1].csv` and `part1.csv`:
#   file    rm part[1].csv removes part[1].csv   mv part[1].csv moves part[1].csv
#   memory  rm part[1].csv removes part1.csv     mv part[1].csv moves part1.csv
#   memory  rm_file and rm of the escaped name remove part[1].csv
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" --quiet --disable-pip-version-check install fsspec==2026.9.0
cat > "$work/remove.py" <<'PYTHON'
import glob
import sys
from itertools import count

import fsspec

NAME, OTHER = "part[1].csv", "part1.csv"
number = count()


def fresh(system, root):
    """Return the path of NAME in a new directory, where OTHER is, too."""
    directory = f"{root}/{next(number)}"
    system.mkdir(directory)
    for name in (NAME, OTHER):
        system.pipe_file(f"{directory}/{name}", name.encode())
    path = f"{directory}/{NAME}"
    assert path in system.find(directory)
    return path


def removed(system, path, action):
    action(path)
    left = {each.rpartition("/")[2] for each in system.find(path.rpartition("/")[0])}
    [name] = {NAME, OTHER} - left
    return name


def moved(system, path):
    target = path.rpartition("/")[0] + "-moved"
    system.mv(path, target)
    [file] = system.find(target)
    return system.cat_file(file).decode()


for protocol, root in (("file", sys.argv[1]), ("memory", "")):
    system = fsspec.filesystem(protocol)
    name = removed(system, fresh(system, root), system.rm)
    other = moved(system, fresh(system, root))
    print(f"{protocol:6}  rm {NAME} removes {name:11}   mv {NAME} moves {other}")
names = {
    removed(system, fresh(system, root), system.rm_file),
    removed(system, fresh(system, root), lambda path: system.rm(glob.escape(path))),
}
print("memory  rm_file and rm of the escaped name remove", *names)
PYTHON
seen=$("$work/venv/bin/python" "$work/remove.py" "$work")
echo "$seen"
[ "$seen" = "file    rm part[1].csv removes part[1].csv   mv part[1].csv moves part[1].csv
memory  rm part[1].csv removes part1.csv     mv part[1].csv moves part1.csv
memory  rm_file and rm of the escaped name remove part[1].csv" ]
