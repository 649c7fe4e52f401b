"""`log`: the commits that led to a revision."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from heliosfs.commands.graph import Graph
from heliosfs.commands.options import Options
from heliosfs.commands.render import (
    below,
    commit_document,
    git_date,
    json_reply,
    person,
    short,
    text_of,
)
from heliosfs.commands.verb import Request
from heliosfs.commands.words import range_of, split_words
from heliosfs.errors import NotFound
from heliosfs.objects.commit import Commit
from heliosfs.objects.ids import CommitId
from heliosfs.repo.mergebase import merge_bases
from heliosfs.repo.pathlog import PathLog
from heliosfs.repo.repository import Repository
from heliosfs.repo.revisions import resolve
from heliosfs.repo.view import View
from heliosfs.repo.walks import Stepper, Visit, by_date, hidden_by, topological, whole


def log(request: Request, options: Options) -> str:
    """The history in git's medium format, or a line for each commit."""
    options.only_one("oneline", "json")
    options.only_one("graph", "json")
    limit = options.number("max-count")
    visits = islice(_visits(request, options), limit)
    if "json" in options:
        return json_reply([commit_document(each.oid, each.commit) for each in visits])
    names = decorations(request.repository, request.view) if "decorate" in options else {}
    if "graph" in options:
        return graph_text(visits, names, is_short="oneline" in options)
    commits = ((each.oid, each.commit) for each in visits)
    if "oneline" in options:
        return oneline(commits, names)
    return "\n".join(medium(oid, commit, names) for oid, commit in commits)


def _visits(request: Request, options: Options) -> Iterator[Visit]:
    """The commits that the words ask for, in the order that the options ask for."""
    repository, view = request.repository, request.view
    history = repository.history
    revisions, words = split_words(request, options)
    paths = [below(request.cwd, word) for word in words]
    tips, excluded = _tips(request, options, revisions)
    hidden = hidden_by(history, tips, excluded) if excluded else ()
    step: Stepper = whole
    if "follow" in options and len(paths) != 1:
        raise options.misuse("--follow takes one path")
    if paths:
        step = PathLog(repository.store, history, paths, follows="follow" in options).step
    if not tips:
        place = f"your current branch {view.branch!r}" if view.branch else "HEAD"
        raise NotFound(f"{place} does not have any commits yet")
    walk = topological if "graph" in options else by_date
    return walk(history, tips, hidden, step)


def _tips(
    request: Request, options: Options, revisions: list[str]
) -> tuple[list[CommitId], list[CommitId]]:
    """The commits that the walk begins at, and those whose history is left out."""
    repository, head = request.repository, request.view.head
    tips: list[CommitId] = []
    excluded: list[CommitId] = []
    for revision in revisions:
        found = range_of(revision)
        if found is None:
            tips.append(resolve(repository, revision, head))
            continue
        old, new = (resolve(repository, each, head) for each in (found.old, found.new))
        tips += [old, new] if found.is_symmetric else [new]
        if found.is_symmetric:
            excluded += merge_bases(repository.history, old, new)
        else:
            excluded.append(old)
    if "all" in options:
        branches = sorted(repository.refs, key=lambda branch: branch.name)
        named = [branch.head for branch in branches]
        named += [oid for _, oid in sorted(repository.refs.tags.items())]
        tips += [oid for oid in (*named, head) if oid is not None]
    elif not revisions and head is not None:
        tips.append(head)
    return tips, excluded


def oneline(commits: Iterator[tuple[CommitId, Commit]], names: dict[CommitId, str]) -> str:
    """A line for each commit."""
    return "".join(f"{_line(oid, commit, names)}\n" for oid, commit in commits)


def graph_text(visits: Iterator[Visit], names: dict[CommitId, str], *, is_short: bool) -> str:
    """The commits with the lines of history between them drawn on the left."""
    graph = Graph()
    lines: list[str] = []
    for oid, commit, parents in visits:
        text = _line(oid, commit, names) if is_short else medium(oid, commit, names)
        graph.begin(oid, parents)
        if lines and not is_short:
            lines.append(graph.padding())
        first, *rest = text.removesuffix("\n").split("\n")
        is_commit = False
        while not is_commit:
            row, is_commit = graph.row()
            lines.append(row + first if is_commit else row)
        lines += [graph.row()[0] + line for line in rest]
        while not graph.is_done:
            lines.append(graph.row()[0])
    return "".join(f"{line}\n" for line in lines)


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


def _line(oid: CommitId, commit: Commit, names: dict[CommitId, str]) -> str:
    return f"{short(oid)}{names.get(oid, '')} {commit.subject}".rstrip(" ")


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
