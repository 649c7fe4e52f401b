#!/bin/sh
# What GNU tar archives with --sparse, tar and tar-stream of npm unpack wrong, and say nothing.
#
# A file with holes can be stored in four ways (GNU tar's manual, "Storing Sparse Files"): as an entry
# of type `S`, which --sparse makes, and with three sets of PAX headers, one in files of --format=posix.
# npm's tar passes over type `S` like padding (ReadEntry: `ignore`): the file is neither written nor
# listed, and the warning TAR_ENTRY_UNSUPPORTED of its page does not come, also with `strict`.
# Of the rest it writes what lies in the archive, without the holes, at times under the name that
# tar made up for programs that know no better, and in one kind with the map of the holes in front.
# tar-stream does so for all four. GNU tar's own reader and Python's tarfile know them all.
#
# Seen with Node.js 20.20.2, tar 7.5.23, tar-stream 3.2.2, GNU tar 1.34; the file is 1048581 bytes:
#   gnu      tarfile file 1048581   tar -                        tar-stream file 4101
#   pax 0.0  tarfile file 1048581   tar file 4101                tar-stream file 4101
#   pax 0.1  tarfile file 1048581   tar GNUSparseFile/file 4101  tar-stream GNUSparseFile/file 4101
#   pax 1.0  tarfile file 1048581   tar GNUSparseFile/file 4613  tar-stream GNUSparseFile/file 4613
# Needs node, npm, and a file system for temporary files that knows holes.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
npm --silent --prefix "$work" install --no-audit --no-fund tar@7.5.23 tar-stream@3.2.2
cat > "$work/unpack.mjs" <<'SCRIPT'
import fs from 'fs';
import { pipeline } from 'stream/promises';
import stream from 'tar-stream';
import * as tar from 'tar';

const [archive, directory] = process.argv.slice(2);
// The name that GNU tar makes up has the number of its process in it.
const said = (name, size) => `${name.replace(/^(\.\/)?GNUSparseFile\.\d+/, 'GNUSparseFile')} ${size}`;

fs.mkdirSync(directory);
await tar.x({ file: archive, cwd: directory, strict: true });
const written = fs.readdirSync(directory, { recursive: true })
  .map((name) => [name, fs.statSync(`${directory}/${name}`)])
  .filter(([, status]) => status.isFile())
  .map(([name, status]) => said(name, status.size));

const streamed = [];
const extract = stream.extract();
extract.on('entry', (header, bytes, next) => {
  let size = 0;
  bytes.on('data', (chunk) => { size += chunk.length; });
  bytes.on('end', () => { streamed.push(said(header.name, size)); next(); });
});
await pipeline(fs.createReadStream(archive), extract);
const shown = `tar ${written.join() || '-'}`;
console.log(`${shown.padEnd(27)}  tar-stream ${streamed.join()}`);
SCRIPT
cat > "$work/list.py" <<'PYTHON'
import sys
import tarfile

with tarfile.open(sys.argv[1]) as archive:
    print(*(f"{each.name} {len(archive.extractfile(each).read())}" for each in archive))
PYTHON
cd "$work"
printf 'begin' > file && truncate -s 1M file && printf 'e n d' >> file
try() { # name, options of tar
    name=$1
    shift
    tar --sparse "$@" -cf archive.tar file
    printf '%-7s  tarfile %s   %s\n' "$name" "$(python3 list.py archive.tar)" "$(node unpack.mjs archive.tar "$name")"
}
seen=$(
    try gnu --format=gnu
    for version in 0.0 0.1 1.0; do
        try "pax $version" --format=posix --sparse-version="$version"
    done
)
echo "$seen"
[ "$seen" = "gnu      tarfile file 1048581   tar -                        tar-stream file 4101
pax 0.0  tarfile file 1048581   tar file 4101                tar-stream file 4101
pax 0.1  tarfile file 1048581   tar GNUSparseFile/file 4101  tar-stream GNUSparseFile/file 4101
pax 1.0  tarfile file 1048581   tar GNUSparseFile/file 4613  tar-stream GNUSparseFile/file 4613" ]
