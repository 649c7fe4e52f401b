#!/bin/sh
# zstandard reads a file that begins with a skippable frame as empty, by half of its interfaces.
#
# A file of Zstandard is any number of frames, and those that are skippable have nothing to unpack
# (RFC 8878, 3.1.2). pzstd, a program of the zstd package, has one before each frame, others keep a
# note or an index in it. To zstandard it is a frame like the rest, of no bytes. `read_to_iter`, whose
# documentation has no word of frames, and `decompressobj`, where reading on is off unless asked for,
# end after the first one: no bytes, no error, `eof`. `open`, `stream_reader`, `copy_stream` and
# `stream_writer` go on to the next. `decompress` raises what else stands for damaged data.
# The zstd program, and `decompress` and `open` of backports.zstd (Python 3.14's own), read all of it.
#
# Seen with zstandard 0.25.0, backports.zstd 1.8.0, Python 3.11, of a skippable frame and b"text":
#   zstandard  open             b'text'
#   zstandard  stream_reader    b'text'
#   zstandard  copy_stream      b'text'
#   zstandard  stream_writer    b'text'
#   zstandard  read_to_iter     b''
#   zstandard  decompressobj    b''
#   zstandard  decompress       ZstdError: decompression error: decompressed 0 bytes; expected 7
#   backports  decompress       b'text'
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" --quiet --disable-pip-version-check install \
    zstandard==0.25.0 backports.zstd==1.8.0
cat > "$work/read.py" <<'PYTHON'
import io

import zstandard
from backports import zstd

NOTE = b"by whom"
FRAMES = (
    (0x184D2A50).to_bytes(4, "little")
    + len(NOTE).to_bytes(4, "little")
    + NOTE
    + zstandard.compress(b"text")
)
unpacker = zstandard.ZstdDecompressor


def copied():
    target = io.BytesIO()
    unpacker().copy_stream(io.BytesIO(FRAMES), target)
    return target.getvalue()


def written():
    target = io.BytesIO()
    unpacker().stream_writer(target).write(FRAMES)
    return target.getvalue()


def said(read):
    try:
        return repr(read())
    except zstandard.ZstdError as error:
        return f"ZstdError: {error}"


WAYS = {
    "zstandard  open": lambda: zstandard.open(io.BytesIO(FRAMES)).read(),
    "zstandard  stream_reader": lambda: unpacker().stream_reader(io.BytesIO(FRAMES)).read(),
    "zstandard  copy_stream": copied,
    "zstandard  stream_writer": written,
    "zstandard  read_to_iter": lambda: b"".join(unpacker().read_to_iter(io.BytesIO(FRAMES))),
    "zstandard  decompressobj": lambda: unpacker().decompressobj().decompress(FRAMES),
    "zstandard  decompress": lambda: unpacker().decompress(FRAMES),
    "backports  decompress": lambda: zstd.decompress(FRAMES),
}
for name, read in WAYS.items():
    print(f"{name:27} {said(read)}")
PYTHON
seen=$("$work/venv/bin/python" "$work/read.py")
echo "$seen"
[ "$seen" = "zstandard  open             b'text'
zstandard  stream_reader    b'text'
zstandard  copy_stream      b'text'
zstandard  stream_writer    b'text'
zstandard  read_to_iter     b''
zstandard  decompressobj    b''
zstandard  decompress       ZstdError: decompression error: decompressed 0 bytes; expected 7
backports  decompress       b'text'" ]
