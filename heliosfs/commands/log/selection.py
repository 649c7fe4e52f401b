"""Selection of the commits in a log: by person, date and message (git-log(1))."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from heliosfs.commands.agent_trace import trace_of
from heliosfs.commands.moments import parse_moment
from heliosfs.commands.options import Options
from heliosfs.commands.render import bytes_of
from heliosfs.objects.commit import Commit, Signature
from heliosfs.repo.regex.expressions import Syntax, compile_expression, search_steps
from heliosfs.steps import Steps

Filter = Callable[[Commit], Steps[bool]]


def filter_of(options: Options, now_seconds: int) -> Filter | None:
    """Return a test for the commits that are wanted; None when all are.  Raise UsageError."""
    options.only_one("merges", "no-merges")
    tests = list(_tests(options, now_seconds))
    searches = [
        *_search(options, "author", lambda commit: _person(commit.author)),
        *_search(options, "committer", lambda commit: _person(commit.committer)),
        *_search(options, "grep", lambda commit: commit.message),
    ]
    if not tests and not searches:
        return None

    def is_wanted(commit: Commit) -> Steps[bool]:
        if not all(test(commit) for test in tests):
            return False
        for search in searches:
            if not (yield from search(commit)):
                return False
        return True

    return is_wanted


def _tests(options: Options, now_seconds: int) -> Iterator[Callable[[Commit], bool]]:
    since, until = (_moment(options, key, now_seconds) for key in ("since", "until"))
    if since is not None:
        yield lambda commit: commit.committer.seconds >= since
    if until is not None:
        yield lambda commit: commit.committer.seconds <= until
    if "merges" in options:
        yield lambda commit: len(commit.parents) > 1
    if "no-merges" in options:
        yield lambda commit: len(commit.parents) < 2
    if "agent" in options:
        words = [value.casefold() for value in options.values("agent") if value]
        yield lambda commit: _is_of_agent(commit, words)
    least, most = options.number("min-parents"), options.number("max-parents")
    if least is not None:
        yield lambda commit: len(commit.parents) >= least
    if most is not None:
        yield lambda commit: len(commit.parents) <= most


def _is_of_agent(commit: Commit, words: list[str]) -> bool:
    """Return True if a hook made the commit, and its agent, session or prompt has all words."""
    trace = trace_of(commit)
    if trace is None:
        return False
    told = f"{trace.who} {trace.session} {trace.prompt} {trace.after}".casefold()
    return all(word in told for word in words)


def _search(options: Options, key: str, text: Callable[[Commit], bytes]) -> list[Filter]:
    """Return a test for any of the patterns, if there are some."""
    patterns = [bytes_of(value) for value in options.values(key)]
    if not patterns:
        return []
    ignore_case = "regexp-ignore-case" in options
    expression = compile_expression(patterns, syntax_of(options), ignore_case=ignore_case)
    return [lambda commit: search_steps(expression, text(commit))]


def syntax_of(options: Options) -> Syntax:
    """Return the language of patterns that the options ask for.  Raise UsageError."""
    options.only_one("fixed-strings", "basic-regexp", "extended-regexp", "perl-regexp")
    if "fixed-strings" in options:
        return Syntax.FIXED
    if "basic-regexp" in options:
        return Syntax.BASIC
    return Syntax.EXTENDED if "extended-regexp" in options else Syntax.PERL


def _person(signature: Signature) -> bytes:
    return b"%s <%s>" % (signature.name, signature.email)


def _moment(options: Options, key: str, now_seconds: int) -> int | None:
    value = options.value(key)
    if value is None:
        return None
    try:
        return parse_moment(value, now_seconds)
    except (ValueError, OverflowError) as error:
        raise options.misuse(
            f"--{key} takes a date, such as 2026-11-27, '2 weeks ago' or yesterday, "
            f"not {value[:80]!r}"
        ) from error
