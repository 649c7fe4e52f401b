"""Lists of branches and tags: selection, order and form (git-for-each-ref(1))."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from heliosfs.clock import SECOND_NS
from heliosfs.commands.colours import PLAIN, Paint
from heliosfs.commands.log.form import decorations
from heliosfs.commands.moments import show_moment
from heliosfs.commands.options import Options
from heliosfs.commands.render import SHORT_DIGITS, bytes_of, text_of
from heliosfs.commands.verb import Request
from heliosfs.errors import StoreError, UsageError
from heliosfs.git.annotations import all_annotations
from heliosfs.objects.commit import Commit, Signature, split_message
from heliosfs.objects.ids import CommitId
from heliosfs.repo.ancestry import reaches
from heliosfs.repo.history import History
from heliosfs.repo.revisions import resolve
from heliosfs.repo.tag_notes import Annotation
from heliosfs.repo.upstream import compare_upstream
from heliosfs.steps import TURN, Steps, at_once
from heliosfs.trees.wildmatch import matcher

HEADS, REMOTES, TAGS = "refs/heads/", "refs/remotes/", "refs/tags/"

_FIELD = re.compile(r"%(?:\((\*?)([a-zA-Z]+)(?::([^)]*))?\)|([0-9a-fA-F]{2})|(%))")
_DIGITS = re.compile(r"(\d+)")


class Ref(NamedTuple):
    """A branch or a tag."""

    name: str
    """Full name."""
    oid: CommitId
    commit: Commit
    note: Annotation | None = None
    is_current: bool = False

    @property
    def short(self) -> str:
        return self.name.split("/", 2)[2]


def refs_of(request: Request, options: Options, kinds: Sequence[str]) -> Steps[list[Ref]]:
    """Return the refs that the options let through, in their order.

    Raise UsageError or NotFound.
    """
    repository, view = request.repository, request.view
    history = repository.history
    found: list[Ref] = []
    if HEADS in kinds:
        for branch in repository.refs:
            if branch.head is not None:
                current = branch.slot == view.slot
                commit = _commit_of(history, f"branch {branch.name!r}", branch.head)
                found.append(Ref(HEADS + branch.name, branch.head, commit, None, current))
    if REMOTES in kinds:
        for name, oid in repository.remotes.branches():
            commit = _commit_of(history, f"branch {name!r}", oid)
            found.append(Ref(REMOTES + name, oid, commit))
    if TAGS in kinds and repository.refs.tags:
        notes = all_annotations(repository)
        for name, oid in repository.refs.tags.items():
            commit = _commit_of(history, f"tag {name!r}", oid)
            found.append(Ref(TAGS + name, oid, commit, notes.get(name)))
    found = yield from _chosen(request, options, found)
    return _sorted(options, found)


def _commit_of(history: History, whose: str, oid: CommitId) -> Commit:
    """Return the commit of a ref.  StoreError, which names the ref."""
    try:
        return history.read(oid)
    except StoreError as error:
        raise type(error)(f"{oid.hex()[:12]} of {whose} cannot be read ({error})") from error


def _chosen(request: Request, options: Options, refs: list[Ref]) -> Steps[list[Ref]]:
    """Return the refs that have, or have not, certain commits in their history."""
    history = request.repository.history

    def commits(key: str) -> list[CommitId]:
        words = options.values(key)
        repository, view = request.repository, request.view
        return [resolve(repository, word or "HEAD", view.head, view) for word in words]

    wanted = [(oid, True) for oid in commits("contains")]
    wanted += [(oid, False) for oid in commits("no-contains")]
    within = [(oid, True) for oid in commits("merged")]
    within += [(oid, False) for oid in commits("no-merged")]
    pointed = commits("points-at")

    def is_chosen(ref: Ref) -> Steps[bool]:
        if pointed and ref.oid not in pointed:
            return False
        for oid, is_it in wanted:
            if (yield from reaches(history, [ref.oid], oid)) != is_it:
                return False
        for oid, is_it in within:
            if (yield from reaches(history, [oid], ref.oid)) != is_it:
                return False
        return True

    found = []
    for ref in refs:
        if (yield from is_chosen(ref)):
            found.append(ref)
        yield TURN
    return found


def _sorted(options: Options, refs: list[Ref]) -> list[Ref]:
    """Sort by --sort; of several keys the last one counts most, as in git."""
    refs = sorted(refs, key=lambda ref: bytes_of(ref.name))
    for word in options.values("sort"):
        key = word.removeprefix("-")
        refs = sorted(refs, key=_sort_key(options, key), reverse=word.startswith("-"))
    return refs


def _sort_key(options: Options, key: str) -> Callable[[Ref], Any]:
    if key in ("version:refname", "v:refname"):
        return lambda ref: [
            (int(part), "") if part.isdigit() else (-1, part) for part in _DIGITS.split(ref.name)
        ]
    if key in ("creatordate", "taggerdate", "committerdate", "authordate"):
        return lambda ref: _signature(ref, key.removesuffix("date")).seconds
    if key in ("refname", "refname:short", "objectname", "subject", "authorname", "committername"):
        name, _, part = key.partition(":")
        return lambda ref: _plain(ref, name, part)
    raise options.misuse(f"--sort takes refname, creatordate, committerdate, …, not {key[:80]!r}")


def fits(patterns: Sequence[str]) -> Callable[[str], bool]:
    """Return a test of names: a pattern fits a whole name, a plain one also all names below it."""
    tests = [matcher(bytes_of(each)) for each in patterns]
    prefixes = tuple(each.rstrip("/") + "/" for each in patterns)
    return lambda name: (
        not patterns or name.startswith(prefixes) or any(test(bytes_of(name)) for test in tests)
    )


class RefForm:
    """Format that the caller spells out: `%(refname:short) %(objectname)`."""

    def __init__(self, request: Request, template: str, paint: Paint = PLAIN) -> None:
        """Prepare a format.  Raise UsageError when a field is unknown."""
        self._core = request.repository
        self._paint = paint
        self._now_seconds = request.repository.clock.now_ns() // SECOND_NS
        self._template = template
        self._decorations = (
            decorations(request.repository, request.view) if "%(decorate" in template else {}
        )
        for found in _FIELD.finditer(template):
            if found[2]:
                self._check(found[2], found[3] or "")

    def show(self, ref: Ref) -> str:
        """Return the line of a ref, without its end."""
        return _FIELD.sub(lambda found: self._field(ref, found), self._template)

    def _check(self, name: str, part: str) -> None:
        who = re.fullmatch(r"(author|committer|creator|tagger)(name|email|date)?", name)
        if who is None and name not in (*_PLAIN, "color"):
            raise UsageError(f"usage: --format has no field {name[:80]!r}")
        if who is not None and who[2] == "date" and part:
            try:
                show_moment(Signature(b"", b"", 0, 0), part, 0)
            except ValueError:
                raise UsageError(f"usage: not a date format: {part[:80]!r}") from None

    def _field(self, ref: Ref, found: re.Match[str]) -> str:
        star, name, part, code, percent = found.groups()
        if percent:
            return "%"
        if code:
            return chr(int(code, 16))
        if name == "color":
            return self._paint.named(part or "reset")
        if star:
            # Of what an annotated tag names; of anything else git has nothing to say.
            return _plain(ref._replace(note=None), name, part or "") if ref.note else ""
        if name in ("upstream", "push"):
            return self._upstream(ref, part or "")
        who = re.fullmatch(r"(author|committer|creator|tagger)(name|email|date)?", name)
        if who is None:
            return _plain(ref, name, part or "")
        if (who[1] == "tagger" and ref.note is None) or (
            who[1] in ("author", "committer") and ref.note is not None
        ):
            return ""
        signature = _signature(ref, who[1])
        if who[2] == "name":
            return text_of(signature.name)
        if who[2] == "email":
            return f"<{text_of(signature.email)}>" if not part else text_of(signature.email)
        date = show_moment(signature, part or "default", self._now_seconds)
        if who[2] == "date":
            return date
        raw = show_moment(signature, "raw", 0)
        return f"{text_of(signature.name)} <{text_of(signature.email)}> {raw}"

    def _upstream(self, ref: Ref, part: str) -> str:
        """Return the upstream of a branch, or how far the two are apart."""
        found = self._core.remotes.upstream(ref.short) if ref.name.startswith(HEADS) else None
        if found is None:
            return ""
        if part.startswith("track"):
            apart = at_once(compare_upstream(self._core, ref.short, ref.oid))
            assert apart is not None
            if part == "trackshort":
                return "<" * bool(apart.behind) + ">" * bool(apart.ahead) or "="
            return f"[{apart}]" if str(apart) and part == "track" else str(apart)
        if part == "remotename":
            return found[0].partition("/")[0]
        return ref.name if part == "remoteref" else _name(REMOTES + found[0], part)


def _signature(ref: Ref, who: str) -> Signature:
    if ref.note is not None and ref.note.tagger is not None and who in ("creator", "tagger"):
        return ref.note.tagger
    return ref.commit.author if who == "author" else ref.commit.committer


_PLAIN = (
    "refname", "objectname", "objecttype", "subject", "body", "contents", "HEAD", "upstream",
    "symref", "tree", "parent", "numparent", "tag", "push", "objectsize", "worktreepath",
)  # fmt: skip


def _plain(ref: Ref, name: str, part: str) -> str:
    message = ref.note.message if ref.note is not None else ref.commit.message
    lines, body = split_message(message)
    parents = () if ref.note is not None else ref.commit.parents
    if name == "refname":
        return _name(ref.name, part)
    if name == "objectname":
        digits = SHORT_DIGITS
        if part.startswith("short="):
            digits = max(int(part[6:]), 4) if part[6:].isdigit() else SHORT_DIGITS
        return ref.oid.hex()[:digits] if part.startswith("short") else ref.oid.hex()
    texts: dict[str, str] = {
        "objecttype": "tag" if ref.note is not None else "commit",
        "subject": text_of(b" ".join(lines)),
        "body": text_of(body),
        "HEAD": "*" if ref.is_current else " ",
        "tag": ref.short if ref.note is not None else "",
        "tree": "" if ref.note is not None else ref.commit.tree.hex(),
        "parent": " ".join(each.hex() for each in parents),
        "numparent": "" if ref.note is not None else str(len(parents)),
    }
    if name == "contents":
        if part == "subject":
            return texts["subject"]
        if part == "body":
            return texts["body"]
        if part.startswith("lines="):
            return shown_lines(message, int(part[6:]) if part[6:].isdigit() else 1)
        return text_of(message)
    return texts.get(name, "")


def _name(name: str, part: str) -> str:
    if part == "short":
        return name.split("/", 2)[2]
    found = re.fullmatch(r"(?:l?strip)=(-?\d+)", part)
    if found is None:
        return name
    parts = name.split("/")
    count = int(found[1])
    return "/".join(parts[min(count, len(parts) - 1) :] if count >= 0 else parts[count:])


def shown_lines(message: bytes, count: int) -> str:
    """Return the first lines of a message, those after the first indented by four blanks."""
    lines = text_of(message).strip("\n").split("\n")[:count]
    return "\n    ".join(lines)


def listed(refs: Iterable[Ref], form: RefForm) -> str:
    """Return a line for each ref."""
    return "".join(f"{form.show(ref)}\n" for ref in refs)
