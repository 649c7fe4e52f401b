"""`remote`: name the storage with which commits are shared."""

from __future__ import annotations

from functools import partial

from heliosfs.commands.options import Options
from heliosfs.commands.remotes.collection import collect_remote
from heliosfs.commands.render import json_reply
from heliosfs.commands.verb import Request
from heliosfs.errors import UsageError
from heliosfs.gitserver.addresses import check_no_git_meant, is_git_url
from heliosfs.gitserver.listing import ask_listing
from heliosfs.gitserver.mirror import remove_mirror
from heliosfs.remote.buckets.opening import open_bucket
from heliosfs.remote.buckets.probe import probe
from heliosfs.remote.contents import release
from heliosfs.remote.layout import settle_format
from heliosfs.repo.remotes import DEFAULT_REMOTE
from heliosfs.repo.repository import Repository
from heliosfs.steps import ALONE, Steps, on_thread, read_far, send_far

_INSTEAD = {
    "prune": "'helios fetch --prune REMOTE' forgets branches, 'helios remote gc' deletes objects",
    "rename": "'helios remote remove OLD' and 'helios remote add NEW URL'",
    "show": "'helios fetch REMOTE', then 'helios branch -r'",
    "update": "'helios fetch'",
}
"""Advice for each form of git that is not here."""


def remote(request: Request, options: Options) -> Steps[str]:
    """Add, remove, list or collect remotes."""
    form, *words = options.words or ["list"]
    if form != "gc" and ("dry-run" in options or "grace" in options):
        raise options.misuse("--dry-run and --grace belong to 'remote gc'")
    if form == "add":
        return (yield from _add(request, options, words))
    if form in ("remove", "rm"):
        return (yield from _remove(request, options, words))
    if form == "set-url":
        return (yield from _set_url(request, options, words))
    if form == "get-url":
        return _url(request, options, words)
    if form == "gc":
        return (yield from collect_remote(request, options, words))
    if form != "list":
        advice = _INSTEAD.get(form, "add, remove, set-url, get-url, gc or list")
        raise options.misuse(f"{advice}, not {form[:80]!r}")
    if words:
        raise options.misuse(f"one argument too many: {words[0]!r}")
    return _listed(request, options)


def _add(request: Request, options: Options, words: list[str]) -> Steps[str]:
    """Add a remote once its storage was asked whether it keeps what a remote needs."""
    if len(words) not in (1, 2):
        raise options.misuse("give a name and a URL, as in 'remote add origin file:///srv/team'")
    name, url = words if len(words) == 2 else (DEFAULT_REMOTE, words[0])
    repository = request.repository
    # Refused before anything is asked or written elsewhere.
    repository.remotes.check_new(name, url)
    is_git = yield from _prepare(url)
    yield ALONE
    with repository.transaction:
        repository.remotes.add(name, url)
        repository.remotes.notes.note_git(name, is_git=is_git)
    return json_reply({"name": name, "url": url}) if "json" in options else ""


def _prepare(url: str) -> Steps[bool]:
    """Ask the storage, or the git server, whether it can be used; return True for the latter."""
    is_git = yield from read_far(partial(is_git_url, url))
    if is_git:
        yield from ask_listing(url)
    else:
        yield from read_far(partial(check_no_git_meant, url))
        yield from send_far(partial(_prepare_bucket, url))
    return is_git


def _prepare_bucket(url: str) -> None:
    bucket = open_bucket(url, make=True)
    probe(bucket)
    settle_format(bucket)


def _remove(request: Request, options: Options, words: list[str]) -> Steps[str]:
    """Forget a remote and its branches; nothing there changes."""
    if len(words) != 1:
        raise options.misuse("give the name of the remote")
    repository = request.repository
    url = repository.remotes.url(words[0])
    yield from release(repository, words[0])
    yield from _drop_mirror(repository, words[0], url)
    yield ALONE
    with repository.transaction:
        repository.remotes.remove(words[0], repository.clock.now_ns())
    return json_reply({"removed": words[0]}) if "json" in options else ""


def _set_url(request: Request, options: Options, words: list[str]) -> Steps[str]:
    """Keep another URL for a remote, and forget its branches.

    What to send is told by what is known of the branches, which may be true of the old place alone.
    """
    if len(words) != 2:
        raise options.misuse("give a name and a URL")
    name, url = words
    repository = request.repository
    before = repository.remotes.url(name)
    repository.remotes.check_url(url)
    yield from release(repository, name)
    is_git = yield from _prepare(url)
    yield from _drop_mirror(repository, name, before)
    yield ALONE
    with repository.transaction:
        repository.remotes.remove(name, repository.clock.now_ns())
        repository.remotes.add(name, url)
        repository.remotes.notes.note_git(name, is_git=is_git)
    return json_reply({"name": name, "url": url}) if "json" in options else ""


def _drop_mirror(repository: Repository, name: str, url: str) -> Steps[None]:
    """Remove the mirror of a git server, which is a cache."""
    if repository.remotes.notes.is_git(name):
        yield from on_thread(partial(remove_mirror, repository.store, url))


def _url(request: Request, options: Options, words: list[str]) -> str:
    if len(words) > 1:
        raise options.misuse("give the name of one remote")
    name = words[0] if words else DEFAULT_REMOTE
    url = request.repository.remotes.url(name)
    return json_reply({"name": name, "url": url}) if "json" in options else f"{url}\n"


def _listed(request: Request, options: Options) -> str:
    remotes = request.repository.remotes
    if "json" in options:
        return json_reply([{"name": name, "url": remotes.url(name)} for name in remotes.names])
    return "".join(f"{name}\t{remotes.url(name)}\n" for name in remotes.names)


def named_remote(request: Request, word: str | None, branch: str | None = None) -> str:
    """Return the remote of that name, or the one that is meant without a name.  NotFound."""
    remotes = request.repository.remotes
    if word is None:
        return remotes.default(branch)
    remotes.url(word)
    return word


def check_words(options: Options, most: int) -> None:
    """Check that at most `most` words are given, none of them empty.  Raise UsageError."""
    options.at_most(most)
    if "" in options.words:
        raise UsageError("usage: an empty word names nothing")
