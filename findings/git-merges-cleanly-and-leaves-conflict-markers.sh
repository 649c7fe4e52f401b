#!/bin/sh
# git says that a merge is clean, and the file that it makes has conflict markers in it.
#
# One side renames a file and changes a line; the other changes the same line under the old name,
# and has an empty file under the new one. Git merges the renamed file first, which collides; then
# it merges the text, markers and all, with the empty file, over nothing: only one side has a text
# there, so that is the result. The exit code is 0, and `git merge` commits it.
#
# A second one of the kind: both sides add equal files where one of them has moved another file to.
# What the other side changed in the file that was moved is gone, without a word.
#
# Seen with git 2.39.5 (merge-ort), the git of Debian 12:
#   empty file at the new name: exit code 0, markers in the file
#   equal files at the new name: exit code 0, the change is lost
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_SYSTEM=/dev/null
export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@example.org
export GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@example.org
git --version

git init -q -b main "$work/empty" && cd "$work/empty"
seq 1 9 > old && git add . && git commit -qm base
git branch other
git mv old new && sed -i 's/^9$/ours/' new && git commit -qam ours
git checkout -q other && sed -i 's/^9$/theirs/' old && : > new && git add . && git commit -qm theirs
tree=$(git merge-tree --write-tree main other | head -1)
git merge-tree --write-tree main other > /dev/null && echo "empty file at the new name: exit code 0"
git cat-file -p "$tree:new" | grep '^[<=>]\{7\}'

git init -q -b main "$work/equal" && cd "$work/equal"
seq 1 9 > old && git add . && git commit -qm base
git branch other
cp old new && sed -i 's/^1$/one/' old && git add . && git commit -qm 'ours: a copy, and a change'
git checkout -q other && git mv old new && git commit -qm 'theirs: moved'
tree=$(git merge-tree --write-tree main other | head -1)
git merge-tree --write-tree main other > /dev/null && echo "equal files at the new name: exit code 0"
git ls-tree --name-only "$tree" | tr '\n' ' '
if git grep -q one "$tree"; then
    echo "the change is there: this finding is out of date"
    exit 1
fi
echo "and the change is lost"
