#!/bin/sh
# git rebase drops a commit that differs from one of upstream in nothing but blanks.
#
# Upstream calls `close()` at the end of a function, you call it in the `if` above: the same line, two
# meanings in Python, YAML or a makefile. A rebase, `git log --cherry-pick` and `git format-patch
# --ignore-if-in-upstream` tell what upstream has by the id of the patch, which git-patch-id(1) and
# git-cherry(1) take without blanks and line numbers; git-rebase(1) speaks of "the same textual
# changes". Your commit is dropped as applied already: exit code 0, one warning, and only upstream's
# meaning in the file. `git merge` of the same two stops with a conflict.
# Remedy: --reapply-cherry-picks.
#
# Seen with git 2.39.5, the git of Debian 12:
#   git merge                          exit code 1
#   git rebase                         exit code 0, 0 commits of mine are left
#   git rebase --reapply-cherry-picks  exit code 1
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_SYSTEM=/dev/null LC_ALL=C
export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@example.org
export GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@example.org
git --version

git init -q -b upstream "$work/repository" && cd "$work/repository"
printf 'def done(file):\n    if file:\n        flush(file)\n' > code.py
git add . && git commit -qm base
git branch mine
printf '    close(file)\n' >> code.py && git commit -qam 'close in any case'
git checkout -q mine
printf '        close(file)\n' >> code.py && git commit -qam 'close what is open'

try() {
    code=0
    "$@" > /dev/null 2>&1 || code=$?
    echo "$code"
}
merged=$(try git merge upstream)
git merge --abort
printf '%-35s%s\n' "git merge" "exit code $merged"
reapplied=$(try git rebase --reapply-cherry-picks upstream)
git rebase --abort
rebased=$(try git rebase upstream)
left=$(git rev-list --count upstream..mine)
printf '%-35s%s\n' "git rebase" "exit code $rebased, $left commits of mine are left"
printf '%-35s%s\n' "git rebase --reapply-cherry-picks" "exit code $reapplied"
[ "$merged $rebased $left $reapplied" = "1 0 0 1" ]
