#!/bin/sh
# The same merge is clean in five programs: three of them make one text of it, two another.
#
# The base is `setup`, `retry`. Ours no longer has `setup`, but `retry` twice; theirs has all three
# lines. What a side changed is a matter of the comparison: to git's (each of its algorithms) and to
# diff3's, ours made `setup` a `retry` and theirs added one below, so that two files of two `retry`
# make one of three. To merge3 (Breezy's, with difflib) and to the diff3 of npm, both sides added the
# same line at the end, which is one change. diff3's rule is kept by all five, and git-merge(1) speaks
# of neither; yet dulwich and isomorphic-git make of two commits another tree than git does, each with
# exit code 0 and no conflict. Of 1,500 small random merges, every fortieth was such a one.
#
# Seen with git 2.39.5, GNU diff3 3.8, libgit2 1.9 (pygit2 1.21.0), dulwich 1.2.21 with merge3 1.0.0,
# isomorphic-git 1.44.19 (Node.js 20.20.2):
#   git             retry retry retry
#   diff3           retry retry retry
#   libgit2         retry retry retry
#   dulwich         retry retry
#   isomorphic-git  retry retry
# Needs node and npm.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_SYSTEM=/dev/null
export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@example.org
export GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@example.org
npm --silent --prefix "$work" install --no-audit --no-fund isomorphic-git@1.44.19
python3 -m venv "$work/venv"
"$work/venv/bin/pip" --quiet --disable-pip-version-check install \
    dulwich==1.2.21 merge3==1.0.0 pygit2==1.21.0
cat > "$work/isomorphic.mjs" <<'SCRIPT'
import fs from 'fs';
import git from 'isomorphic-git';

const author = { name: 'a', email: 'a@example.org' };
await git.merge({ fs, dir: '.', ours: 'ours', theirs: 'theirs', author, abortOnConflict: true });
const oid = await git.resolveRef({ fs, dir: '.', ref: 'ours' });
const { blob } = await git.readBlob({ fs, dir: '.', oid, filepath: 'steps' });
process.stdout.write(blob);
SCRIPT
cat > "$work/with-libgit2.py" <<'PYTHON'
import pygit2

repository = pygit2.Repository(".")
sides = (repository.branches[name].target for name in ("ours", "theirs"))
index = repository.merge_commits(*sides)
assert index.conflicts is None
print(repository[index["steps"].id].data.decode(), end="")
PYTHON
cat > "$work/with-dulwich.py" <<'PYTHON'
from dulwich import porcelain

who = b"a <a@example.org>"
_, conflicts = porcelain.merge(".", b"theirs", message=b"merge", author=who, committer=who)
assert not conflicts
print(open("steps").read(), end="")
PYTHON
printf 'setup\nretry\n' > "$work/base"
printf 'retry\nretry\n' > "$work/ours"
printf 'setup\nretry\nretry\n' > "$work/theirs"
merge() {
    case $1 in
    git) git merge -q -m merge theirs > /dev/null && cat steps ;;
    diff3) diff3 -m "$work/ours" "$work/base" "$work/theirs" ;;
    libgit2 | dulwich) "$work/venv/bin/python" "$work/with-$1.py" ;;
    isomorphic-git) node "$work/isomorphic.mjs" ;;
    esac
}
git --version
for who in git diff3 libgit2 dulwich isomorphic-git; do
    git init -q -b ours "$work/$who" && cd "$work/$who"
    cp "$work/base" steps && git add . && git commit -qm base
    git branch theirs
    cp "$work/ours" steps && git commit -qam ours
    git checkout -q theirs && cp "$work/theirs" steps && git commit -qam theirs
    git checkout -q ours
    merge "$who" > "$work/merged"
    merged=$(echo $(cat "$work/merged"))
    printf '%-15s %s\n' "$who" "$merged"
    case $who in
    git | diff3 | libgit2) [ "$merged" = "retry retry retry" ] ;;
    *) [ "$merged" = "retry retry" ] ;;
    esac
done
