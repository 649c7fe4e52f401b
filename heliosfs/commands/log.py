"""`log`: the commits that led to a revision."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from heliosfs.commands.options import Options
from heliosfs.commands.render import (
    commit_document,
    git_date,
    json_reply,
    person,
    short,
    text_of,
)
from heliosfs.commands.verb import Request
from heliosfs.errors import NotFound
from heliosfs.objects.commit import Commit
from heliosfs.objects.ids import CommitId
from heliosfs.repo.repository import Repository
from heliosfs.repo.revisions import resolve
from heliosfs.repo.view import View


def log(request: Request, options: Options) -> str:
    """The history in git's medium format, or a line for each commit."""
    options.only_one("oneline", "json")
    options.at_most(1)
    limit = options.number("max-count")
    repository, view = request.repository, request.view
    if not options.words and view.head is None:
        place = f"your current branch {view.branch!r}" if view.branch else "HEAD"
        raise NotFound(f"{place} does not have any commits yet")
    start = resolve(repository, options.words[0] if options.words else "HEAD", view.head)
    commits = islice(repository.history.by_date(start), limit)
    if "json" in options:
        return json_reply([commit_document(oid, commit) for oid, commit in commits])
    names = decorations(repository, view) if "decorate" in options else {}
    if "oneline" in options:
        return oneline(commits, names)
    return "\n".join(medium(oid, commit, names) for oid, commit in commits)


def oneline(commits: Iterator[tuple[CommitId, Commit]], names: dict[CommitId, str]) -> str:
    """A line for each commit."""
    return "".join(
        f"{short(oid)}{names.get(oid, '')} {commit.subject}".rstrip(" ") + "\n"
        for oid, commit in commits
    )


def medium(oid: CommitId, commit: Commit, names: dict[CommitId, str]) -> str:
    """A commit as `git log` shows it; metadata after the date."""
    lines = [f"commit {oid.hex()}{names.get(oid, '')}"]
    if len(commit.parents) > 1:
        lines.append(f"Merge: {' '.join(map(short, commit.parents))}")
    author = commit.author
    lines.append(f"Author: {person(author)}")
    lines.append(f"Date:   {git_date(author.seconds, author.offset_minutes)}")
    lines += [f"Meta:   {key}={value}" for key, value in commit.metadata.items()]
    lines.append("")
    message = text_of(commit.message).rstrip("\n")
    lines += [f"    {line}".rstrip(" ") for line in message.split("\n")]
    return "\n".join(lines) + "\n"


def decorations(repository: Repository, view: View) -> dict[CommitId, str]:
    """The names of commits, in parentheses, as `git log --decorate` shows them."""
    names: dict[CommitId, list[str]] = {}
    if view.head is not None:
        head = f"HEAD -> {view.branch}" if view.branch else "HEAD"
        names[view.head] = [head]
    for tag, oid in sorted(repository.refs.tags.items()):
        names.setdefault(oid, []).append(f"tag: {tag}")
    for branch in sorted(repository.refs, key=lambda branch: branch.name):
        if branch.head is not None and branch.slot != view.slot:
            names.setdefault(branch.head, []).append(branch.name)
    return {oid: f" ({', '.join(each)})" for oid, each in names.items()}
