#!/bin/sh
# isomorphic-git calls a merge of two binary files clean, and breaks every byte above 127 in it.
#
# Git does not merge a file that has a NUL byte or the attribute `binary`: changed on both sides, it
# is a conflict. isomorphic-git looks for neither. Its mergeBlobs() decodes the three files as UTF-8,
# merges the lines and writes them as UTF-8 again, so that what is not UTF-8 is U+FFFD from then on,
# three bytes each. `merge` returns the id of a commit, also with `abortOnConflict: true`; its page
# says no word of binary files. A driver of one's own, `mergeDriver`, gets the broken texts as well.
# dulwich merges such files by lines, too, with or without the attribute, but keeps their bytes:
# two halves of a database in one file, and no conflict.
#
# Seen with git 2.39.5, isomorphic-git 1.44.19 (Node.js 20.20.2), dulwich 1.2.21 with merge3 1.0.0, and a
# file of 1,024 bytes whose first byte is changed on one side, its last but one on the other:
#   git             conflict
#   isomorphic-git  clean, 2942 bytes
#   dulwich         clean, 1024 bytes
# Needs node and npm.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_SYSTEM=/dev/null
export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@example.org
export GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@example.org
npm --silent --prefix "$work" install --no-audit --no-fund isomorphic-git@1.44.19
python3 -m venv "$work/venv"
"$work/venv/bin/pip" --quiet --disable-pip-version-check install dulwich==1.2.21 merge3==1.0.0
cat > "$work/merge.mjs" <<'SCRIPT'
import fs from 'fs';
import git from 'isomorphic-git';

const author = { name: 'a', email: 'a@example.org' };
const dir = process.argv[2];
await git.merge({ fs, dir, ours: 'ours', theirs: 'theirs', author, abortOnConflict: true });
SCRIPT
cat > "$work/merge.py" <<'PYTHON'
from dulwich import porcelain

who = b"a <a@example.org>"
_, conflicts = porcelain.merge(".", b"theirs", message=b"merge", author=who, committer=who)
assert not conflicts
PYTHON
cat > "$work/make.py" <<'PYTHON'
with open("file.bin", "wb") as file:
    for number in range(16):
        file.write(b"\0%02d" % number + b"\xf0" * 60 + b"\n")
PYTHON
change() { # the byte at an offset is made an X
    printf X | dd of=file.bin bs=1 seek="$1" conv=notrunc status=none
}
try() {
    case $1 in
    git) git merge -q theirs ;;
    isomorphic-git) node "$work/merge.mjs" . ;;
    dulwich) "$work/venv/bin/python" "$work/merge.py" ;;
    esac
}
git --version
seen=
for who in git isomorphic-git dulwich; do
    git init -q -b ours "$work/$who" && cd "$work/$who"
    echo '*.bin binary' > .gitattributes
    python3 "$work/make.py"
    git add . && git commit -qm base
    git branch theirs
    change 0 && git commit -qam ours
    git checkout -q theirs && change 1022 && git commit -qam theirs
    git checkout -q ours
    if try "$who" > /dev/null 2>&1; then
        git merge-base --is-ancestor theirs ours
        result="clean, $(git cat-file -s ours:file.bin) bytes"
    else
        result=conflict
    fi
    printf '%-15s %s\n' "$who" "$result"
    seen="$seen$who $result;"
done
[ "$seen" = "git conflict;isomorphic-git clean, 2942 bytes;dulwich clean, 1024 bytes;" ]
