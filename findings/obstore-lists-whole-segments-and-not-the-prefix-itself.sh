#!/bin/sh
# obstore lists by whole segments of a path: the prefix of a name lists nothing, a name not itself.
#
# S3's ListObjectsV2 takes any string as its prefix, and boto3 passes it on. obstore cuts the prefix
# at slashes, as the Rust crate beneath it does: `list(store, "logs/2026")` finds neither
# `logs/2026-11` nor `logs/2026` itself, only what lies below `logs/2026/`, and says nothing of it.
# Whoever asks with it whether an object is there, or lists keys that begin with a date or a part of
# a hash, is told that there is none; `offset`, which compares strings, finds them.
#
# Seen with obstore 0.12.1 and its store in memory, Python 3.11, beside the same keys asked for by
# strings:
#   prefix logs/2026     strings: logs/2026 logs/2026-11 logs/2026/11   obstore: logs/2026/11
#   prefix logs/20       strings: logs/2026 logs/2026-11 logs/2026/11   obstore: -
#   offset logs/2026-    obstore: logs/2026-11 logs/2026/11
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" --quiet --disable-pip-version-check install obstore==0.12.1
cat > "$work/list.py" <<'PYTHON'
import obstore
from obstore.store import MemoryStore

KEYS = ["logs/2026", "logs/2026-11", "logs/2026/11"]
store = MemoryStore()
for key in KEYS:
    obstore.put(store, key, b"")


def listed(**arguments):
    found = obstore.list(store, **arguments).collect()
    return " ".join(sorted(each["path"] for each in found)) or "-"


for prefix in ("logs/2026", "logs/20"):
    strings = " ".join(key for key in KEYS if key.startswith(prefix))
    print(f"prefix {prefix:13} strings: {strings}   obstore: {listed(prefix=prefix)}")
print(f"offset {'logs/2026-':13} obstore: {listed(offset='logs/2026-')}")
PYTHON
seen=$("$work/venv/bin/python" "$work/list.py")
echo "$seen"
[ "$seen" = "prefix logs/2026     strings: logs/2026 logs/2026-11 logs/2026/11   obstore: logs/2026/11
prefix logs/20       strings: logs/2026 logs/2026-11 logs/2026/11   obstore: -
offset logs/2026-    obstore: logs/2026-11 logs/2026/11" ]
