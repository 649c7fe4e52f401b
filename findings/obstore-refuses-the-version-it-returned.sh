#!/bin/sh
# What obstore returns as the version of an object is refused when it is passed back.
#
# `put` returns the entries `e_tag` and `version`, and `put(..., mode=...)` takes the same two to
# replace an object only if it is still that version. A store without versions of its own (the one in
# memory, and a bucket of S3 with versioning off) says `version` None, which `mode` does not take:
# TypeError. It has to be left out.
#
# Seen with obstore 0.12.1, Python 3.11:
#   returned  e_tag="0" version=None
#   as it is  TypeError: 'None' is not an instance of 'str'
#   without   e_tag="1" version=None
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" --quiet --disable-pip-version-check install obstore==0.12.1
cat > "$work/swap.py" <<'PYTHON'
import obstore
from obstore.store import MemoryStore


def said(result):
    return f"e_tag={result['e_tag']} version={result['version']}"


store = MemoryStore()
first = obstore.put(store, "key", b"one")
print("returned ", said(first))
try:
    print("as it is ", said(obstore.put(store, "key", b"two", mode=first)))
except TypeError as error:
    print("as it is ", f"TypeError: {error}")
print("without  ", said(obstore.put(store, "key", b"two", mode={"e_tag": first["e_tag"]})))
PYTHON
seen=$("$work/venv/bin/python" "$work/swap.py")
echo "$seen"
[ "$seen" = "returned  e_tag=\"0\" version=None
as it is  TypeError: 'None' is not an instance of 'str'
without   e_tag=\"1\" version=None" ]
