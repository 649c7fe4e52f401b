#!/bin/sh
# dulwich, pygit2 and GitPython commit a file after `git add -N` as an empty one.
#
# `git add --intent-to-add` says that a file will be added later, so that `git diff` shows it; its
# entry in the index has a flag and the id of the empty blob. git-add(1), and `git write-tree` with
# it, leave such a file out of a commit. All three libraries read the flag and have a name for it
# (dulwich EXTENDED_FLAG_INTEND_TO_ADD, libgit2 GIT_INDEX_ENTRY_INTENT_TO_ADD, GitPython
# CE_EXT_INTENT_TO_ADD), and none looks at it when it makes a tree of the index: the commit has the
# file with no bytes in it, and whoever checks that commit out has an empty file.
# To git, which still leaves the entry out, the file then is removed, and new.
#
# Seen with git 2.39.5, dulwich 1.2.21, pygit2 1.21.0 (libgit2 1.9), GitPython 3.2.1, where a file
# `ready` was added, and `draft` with -N:
#   git        commits ready
#   dulwich    commits draft (0 bytes) ready
#   pygit2     commits draft (0 bytes) ready
#   GitPython  commits draft (0 bytes) ready
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_SYSTEM=/dev/null
export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@example.org
export GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@example.org
python3 -m venv "$work/venv"
"$work/venv/bin/pip" --quiet --disable-pip-version-check install \
    dulwich==1.2.21 pygit2==1.21.0 GitPython==3.2.1
cat > "$work/commit.py" <<'PYTHON'
import sys


def with_dulwich():
    from dulwich import porcelain

    porcelain.commit(".", message=b"two", author=b"a <a@example.org>", committer=b"a <a@example.org>")


def with_pygit2():
    import pygit2

    repository = pygit2.Repository(".")
    who = pygit2.Signature("a", "a@example.org")
    tree = repository.index.write_tree()
    repository.create_commit("HEAD", who, who, "two", tree, [repository.head.target])


def with_gitpython():
    import git

    git.Repo(".").index.commit("two")


globals()["with_" + sys.argv[1].lower()]()
PYTHON
git --version
for who in git dulwich pygit2 GitPython; do
    git init -q -b main "$work/$who" && cd "$work/$who"
    git commit -q --allow-empty -m one
    echo text > ready && echo text > draft
    git add ready && git add -N draft
    case $who in
    git) git commit -qm two ;;
    *) "$work/venv/bin/python" "$work/commit.py" "$who" ;;
    esac
    [ "$(git log -1 --format=%s)" = two ]
    names=$(echo $(git ls-tree -l HEAD | sed 's/.* 0\t\(.*\)/\1 (0 bytes)/; s/.*\t//'))
    printf '%-10s commits %s\n' "$who" "$names"
    case $who in
    git) [ "$names" = "ready" ] ;;
    *) [ "$names" = "draft (0 bytes) ready" ] ;;
    esac
done
