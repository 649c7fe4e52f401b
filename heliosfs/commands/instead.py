"""Verbs of git that are not here, with what to use instead of each."""

from __future__ import annotations

from collections.abc import Iterable

_IMPORT = "'helios import --from-git REPO' again imports what is new"
_EXPORT = "'helios export --to-git REPO BRANCH' writes branches into a git repository"
_MAIL = "'helios export --to-git REPO' first, then git's own verb there"
_STAGE = "'helios add PATH' stages, 'helios reset PATH' unstages, 'helios ls-files -s' lists"
_WORKTREE = "every branch is a directory, .helios/branches/NAME"
_MERGE = "'helios merge' merges; 'helios merge --dry-run' shows what would conflict"
_GC = "'helios gc' removes what nothing needs, 'helios fsck' checks the rest"
_READ = "'helios cat-file', 'helios ls-tree' and .helios/snapshots/REV read objects"
_TREES = "'helios diff --raw A B' compares two commits, or 'helios diff' with the working tree"
_HOOK = "a program can watch .helios/oplog, or run before 'helios commit'"

OF_GIT = {
    "am": "'git apply' works on the files here; then 'helios commit -m TEXT'",
    "annotate": "'helios blame PATH'",
    "apply": "'git apply' and patch(1) work on the files here, outside of a git repository too",
    "bisect": "every commit is a directory, .helios/snapshots/ID: test it there",
    "bundle": "'helios export --to-git REPO', then 'git bundle' there",
    "cherry": "'helios log A..B' lists the commits of B that A does not have",
    "clean": "'helios reset --hard' leaves what HEAD has; 'helios undo' brings the rest back",
    "commit-tree": "'helios commit -m TEXT' makes a commit of the working tree",
    "describe": "'helios log --decorate' shows tags, 'helios tag --points-at REV' lists them",
    "diff-files": _TREES,
    "diff-index": _TREES,
    "diff-tree": _TREES,
    "difftool": "diff two snapshots with any tool: diff -r .helios/snapshots/A .helios/snapshots/B",
    "fast-export": _EXPORT,
    "fast-import": "'helios import --from-git REPO' imports a repository",
    "filter-branch": "'helios export', rewrite there, 'helios import' into a new workspace",
    "format-patch": "'helios show REV' is a patch that 'git apply' takes",
    "fsmonitor--daemon": "not needed: the file system knows what changed",
    "hash-object": "'helios rev-parse REV:PATH' shows the id of a file",
    "instaweb": "'helios report FILE' writes a page for any browser",
    "interpret-trailers": "'helios commit --meta KEY=VALUE' keeps metadata with a commit",
    "ls-remote": "'helios fetch', then 'helios branch -r'",
    "maintenance": _GC,
    "merge-file": _MERGE,
    "merge-tree": _MERGE,
    "mergetool": "edit what 'helios merge --markers' wrote; 'merge --continue' ends it",
    "mktree": "'helios commit -m TEXT' makes trees and a commit of the working tree",
    "name-rev": "'helios branch --contains REV' and 'helios tag --contains REV'",
    "notes": "'helios commit --meta KEY=VALUE' keeps metadata with a commit",
    "pack-refs": _GC,
    "prune": _GC,
    "range-diff": "'helios diff A...B' shows the changes of B since the merge base",
    "read-tree": "'helios restore -s REV .' takes the files of a commit",
    "rebase": "'helios merge', or 'helios merge --squash', brings branches together",
    "reflog": "'helios log -g', or 'helios oplog': what was done; 'helios undo' takes it back",
    "repack": _GC,
    "replace": "history does not change: 'helios commit --amend' replaces the last commit",
    "request-pull": _MAIL,
    "rerere": "'helios undo' and 'helios redo' go back and forth over a merge",
    "send-email": _MAIL,
    "shortlog": "'helios log --format=%an | sort | uniq -c' counts commits by author",
    "show-branch": "'helios log --graph --oneline --all' draws the branches",
    "show-ref": "'helios for-each-ref' lists branches and tags",
    "sparse-checkout": "a workspace is virtual: files that are not read cost nothing",
    "stage": _STAGE,
    "stripspace": "a message is kept as it is given",
    "submodule": "import keeps submodules as links to commits, and export gives them back",
    "subtree": "'helios export --to-git REPO', then git's own verb there",
    "svn": "git-svn makes a git repository; 'helios import --from-git' imports it",
    "symbolic-ref": "'helios branch --show-current' or 'helios rev-parse --abbrev-ref HEAD'",
    "update-index": _STAGE,
    "update-ref": "'helios branch -f NAME REV' moves a branch to another commit",
    "var": "'helios config user.name' and 'helios config user.email' show who commits",
    "verify-commit": "'helios export' gives imported commits back with their signatures",
    "verify-tag": "'helios export' gives imported tags back with their signatures",
    "whatchanged": "'helios log --raw', or --name-status, -p, --stat",
    "worktree": _WORKTREE,
    "write-tree": "'helios rev-parse HEAD^{tree}' shows the id of the tree of HEAD",
}
"""Advice for each verb of git that is not here."""


def unknown_verb(name: str, known: Iterable[str]) -> str:
    """Say that there is no such verb, and what to use instead.

    Verbs with a similar name are proposed only for a word that is no verb of git: a user
    who types `rebase` does not mean `reset`.
    """
    if name in OF_GIT:
        return f"there is no verb {name!r} here: {OF_GIT[name]}"
    from difflib import get_close_matches

    near = get_close_matches(name, known, n=3)
    hint = (
        f": did you mean {' or '.join(map(repr, near))}?"
        if near
        else " ('helios --help' lists them)"
    )
    return f"unknown verb {name[:80]!r}{hint}"


_PATCHWISE = "whole files or paths: 'helios add PATH', 'helios restore PATH'"
_REMOTE = "the upstream of a branch is always the one of its name at 'origin'"
FORCE = "--force-with-lease drops commits of the remote that were seen here: 'helios fetch' first"
"""Advice for whoever forces a push without a look."""
_TO_PUSH = "'helios log origin/main..' shows what a push would send"
_REBASE = "'helios pull' merges; 'helios pull --ff-only' refuses what is no fast-forward"
_ATOMIC = "each branch moves by itself; push those alone that belong together"

OPTIONS_OF_GIT = {
    ("add", "-p"): _PATCHWISE,
    ("add", "-i"): _PATCHWISE,
    ("add", "-e"): _PATCHWISE,
    ("add", "-N"): "a new file belongs to the next commit without being added",
    ("branch", "-u"): _REMOTE,
    ("branch", "--set-upstream-to"): _REMOTE,
    ("branch", "--track"): _REMOTE,
    ("branch", "--unset-upstream"): _REMOTE,
    ("checkout", "-p"): _PATCHWISE,
    ("checkout", "--track"): _REMOTE,
    ("checkout", "-t"): _REMOTE,
    ("checkout", "--orphan"): "'helios init' makes a workspace without a history",
    ("commit", "-p"): _PATCHWISE,
    ("commit", "-C"): "'helios cherry-pick REV' takes a commit with its message",
    ("commit", "-c"): "'helios cherry-pick REV' takes a commit with its message",
    ("commit", "-S"): "commits are not signed: 'helios export', then sign with git",
    ("commit", "--fixup"): "'helios commit --amend' replaces the last commit",
    ("commit", "--date"): "a commit has the time at which it is made",
    ("commit", "-v"): "'helios diff' shows what would be committed",
    ("commit", "-n"): "there are no hooks to skip",
    ("diff", "--no-index"): "diff(1) compares any two files",
    ("diff", "--merge-base"): "'helios diff A...B'",
    ("fetch", "--dry-run"): "it changes no branch and no file: fetch, and look at origin/NAME",
    ("fetch", "--tags"): "a fetch that names no branch brings new tags anyway",
    ("fetch", "-t"): "a fetch that names no branch brings new tags anyway",
    ("fetch", "-f"): "origin/NAME is always what the remote has, whatever it was before",
    ("log", "--stdin"): "give the revisions as words",
    ("merge", "--quit"): "'helios merge --abort', or 'helios commit'",
    ("merge", "-S"): "commits are not signed: 'helios export', then sign with git",
    ("pull", "--autostash"): "'helios stash', 'helios pull', 'helios stash pop'",
    ("pull", "--rebase"): _REBASE,
    ("pull", "-r"): _REBASE,
    ("push", "--atomic"): _ATOMIC,
    ("push", "--dry-run"): _TO_PUSH,
    ("push", "-n"): _TO_PUSH,
    ("push", "--follow-tags"): "--tags pushes every tag",
    ("push", "--force"): FORCE,
    ("push", "-f"): FORCE,
    ("push", "--mirror"): "--all --tags pushes every branch and tag, and deletes none",
    ("reset", "-p"): _PATCHWISE,
    ("reset", "--keep"): "'helios stash', 'helios reset --hard REV', 'helios stash pop'",
    ("reset", "--merge"): "'helios merge --abort', or 'helios reset --hard'",
    ("restore", "-p"): _PATCHWISE,
    ("rev-parse", "--git-path"): "'helios rev-parse --git-dir' shows the directory",
    ("switch", "-t"): _REMOTE,
    ("switch", "--orphan"): "'helios init' makes a workspace without a history",
    ("tag", "-s"): "tags are not signed: 'helios export', then sign with git",
    ("tag", "-v"): "'helios export' gives imported tags back with their signatures",
}
"""Advice for each option of git that a verb does not have."""


def unknown_option(verb: str, name: str) -> str:
    """Say that a verb has no such option, and what to use instead."""
    text = f"unknown option {name[:80]!r}"
    instead = OPTIONS_OF_GIT.get((verb, name))
    return f"{text}: {instead}" if instead else text
