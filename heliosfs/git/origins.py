"""Origins: the git repositories that this one knows, and which names here belong to which.

A repository is recognized by its path and its commits: at the path of the last time, with a commit
that was seen then, it is the same one.  One that moved is found again by its commits, once nothing
is left at the old path.  A copy or a fork has the same commits while the first one is still there,
so it is another origin.  Nothing is written into git as a mark.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple

from heliosfs.errors import AlreadyExists, Busy, CorruptObject, HeliosError
from heliosfs.git.ids import IdMap
from heliosfs.git.process import Git
from heliosfs.git.refs import ASIDE, DETACHED, TAGS, GitRef
from heliosfs.git.remembered import LEGACY_ORIGIN, RememberedRef
from heliosfs.repo.ref_names import check_name
from heliosfs.repo.refs import Refs
from heliosfs.steps import Steps, on_thread

ASIDE_REF = "aside:"
"""Prefix of the full name of a ref under which its branch below `imported/` is remembered."""
_ROOTS_MAX = 100
_NAME_TRIES = 1000
_UNFIT = re.compile(r"[^\w.-]+|\.\.+")
"""Characters of a directory's name that are replaced to make it part of a branch's name."""


@dataclass(frozen=True, slots=True)
class Origin:
    """A git repository from which there was an import, or to which there was an export."""

    number: int
    name: str
    """Prefix of the names of its branches and tags, where others have the same names."""
    path: str
    """Git directory of the origin at the last time; empty if it turned out to be another origin."""
    roots: tuple[bytes, ...] = ()
    """Commits without parents, as of the first time."""
    is_apart: bool = False
    """True if all its names here are below `name`."""
    is_imported: bool = False
    """True if there was an import from it, and not only exports to it."""

    @property
    def hash_name(self) -> str:
        """Name of the hash that its ids are made with, according to `roots`."""
        return "sha256" if any(len(root) == 32 for root in self.roots) else "sha1"

    def encode(self) -> bytes:
        """Return the value that the store keeps."""
        document = {
            "name": self.name,
            "path": self.path,
            "roots": [root.hex() for root in self.roots],
            "apart": self.is_apart,
            "imported": self.is_imported,
        }
        return json.dumps(document).encode()


def decode_origin(number: int, data: bytes) -> Origin:
    """Read the value of `Origin.encode`.  Raise CorruptObject."""
    try:
        said = json.loads(data)
        roots = tuple(bytes.fromhex(root) for root in said["roots"])
        return Origin(number, said["name"], said["path"], roots, said["apart"], said["imported"])
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise CorruptObject(f"git repository {number} cannot be read: {error}") from error


def identify(ids: IdMap, refs: Refs, git: Git, name: str | None = None) -> Steps[Origin]:
    """Return the origin of a git repository: a known one, or a new one, not yet noted.

    `name` selects one, or names a new one.  Raise AlreadyExists, Busy or UsageError.
    """
    known = [decode_origin(*each) for each in ids.origins.all()]
    here = []
    for each in known:
        is_here = each.path == git.common_dir
        if is_here and (yield from _is_related(ids, git, each)):
            here.append(each)
    if name is not None:
        return (yield from _named(ids, refs, git, name, known, here))
    if here:
        return here[0]
    for each in known:
        if each.path == git.common_dir and not each.is_imported:
            # An export made a repository there, and now there is another one.
            for ref, _ in ids.origins.refs_of(each.number):
                ids.origins.note_ref(each.number, ref, None)
            return each
    lost = []
    for each in known:
        # Only a repository that is gone from its old path can have moved; else this is a copy.
        is_there = yield from on_thread(partial(os.path.exists, each.path))
        if each.path and not is_there and (yield from _is_related(ids, git, each)):
            lost.append(each)
    if len(lost) > 1:
        names = " or ".join(repr(each.name) for each in lost)
        raise Busy(f"{git.git_dir} may be {names}, which moved: say which one with --as NAME")
    if lost:
        return replace(lost[0], path=git.common_dir)
    return (yield from _new(ids, git, known, _free_name(refs, known, git.common_dir)))


def _named(
    ids: IdMap, refs: Refs, git: Git, name: str, known: list[Origin], here: list[Origin]
) -> Steps[Origin]:
    """Return the origin of that name; `here` are the origins known at the repository's path."""
    named = next((each for each in known if each.name == name), None)
    if named is not None:
        is_used = next(iter(ids.origins.refs_of(named.number)), None) is not None
        if is_used and not (yield from _is_related(ids, git, named)):
            raise AlreadyExists(
                f"{name!r} is another repository, {named.path}, of which {git.git_dir} has no "
                "commit: choose another name"
            )
        for each in here:
            if each is not named:
                # Whoever took it for another one has learnt better.
                ids.origins.note(each.number, replace(each, path="").encode())
        return replace(named, path=git.common_dir)
    if here:
        raise AlreadyExists(f"{git.git_dir} is known as {here[0].name!r} already")
    check_name(name)
    if name in refs or name in refs.tags:
        raise AlreadyExists(f"there is a branch or tag {name!r}: choose another name")
    return replace((yield from _new(ids, git, known, name)), is_apart=True)


def _new(ids: IdMap, git: Git, known: list[Origin], name: str) -> Steps[Origin]:
    number = max((each.number for each in known), default=LEGACY_ORIGIN) + 1
    roots = yield from on_thread(partial(_roots, git))
    yield from _inherit(ids, git, number)
    return Origin(number, name, git.common_dir, roots)


def _inherit(ids: IdMap, git: Git, number: int) -> Steps[None]:
    """Take over the notes on refs from before origins were recorded."""
    held = dict(ids.origins.refs_of(LEGACY_ORIGIN))
    here = {each.git_id for each in held.values() if len(each.git_id) == git.id_bytes}
    missing = yield from on_thread(partial(git.missing, here))
    for ref, each in held.items():
        if each.git_id in here - missing:
            name = "" if ids.commit_of(each.git_id) is None else each.name
            ids.origins.note_ref(LEGACY_ORIGIN, ref, None)
            ids.origins.note_ref(number, ref, each._replace(name=name))


def _is_related(ids: IdMap, git: Git, origin: Origin) -> Steps[bool]:
    """Return True if a repository has a commit that was seen in `origin`."""
    seen = {each.git_id for _, each in ids.origins.refs_of(origin.number)} | set(origin.roots)
    return bool((yield from on_thread(partial(_present, git, seen))))


def _present(git: Git, git_ids: Iterable[bytes]) -> set[bytes]:
    """Return which commits a repository has, and those that annotated tags lead to."""
    asked = [each.hex() for each in git_ids if len(each) == git.id_bytes]
    if not asked:
        return set()
    # Unlike cat-file, this asks no remote of a partial clone.
    argv = ("rev-list", "--no-walk", "--missing=allow-any", "--ignore-missing", "--stdin")
    said = git.ask(*argv, data="".join(f"{each}\n" for each in asked).encode(), seconds=None)
    return {bytes.fromhex(line) for line in said.decode("ascii").split()}


def _roots(git: Git) -> tuple[bytes, ...]:
    argv = ("rev-list", "--max-parents=0", f"--max-count={_ROOTS_MAX}", "--all", "HEAD", "--")
    try:
        said = git.ask(*argv, seconds=None)
    except HeliosError:
        # No commit yet, or a damage that is named where it matters.
        return ()
    return tuple(bytes.fromhex(line) for line in said.decode("ascii").split())


def _free_name(refs: Refs, known: list[Origin], path: str) -> str:
    """Return the name of a repository's directory, with a number added if it is taken."""
    place = path.rstrip("/").removesuffix(".git").rstrip("/")
    plain = _UNFIT.sub("-", os.path.basename(place)).strip("-.") or "git"
    taken = {each.name for each in known} | {ASIDE.rstrip("/")} | set(refs.tags)
    taken |= {branch.name for branch in refs}
    for number in range(1, _NAME_TRIES):
        name = plain if number == 1 else f"{plain}-{number}"
        try:
            if check_name(name) not in taken:
                return name
        except HeliosError:
            plain = "git"
    raise AlreadyExists(f"no name is left for {path}: give one with --as NAME")


class _Owner(NamedTuple):
    origin: int
    ref: str
    git_id: bytes


class Names:
    """The names of an origin's refs here: `main`, or `NAME/main` beside another `main`."""

    def __init__(self, ids: IdMap, refs: Refs, origin: Origin) -> None:
        self.origin = origin
        self.known: dict[str, RememberedRef] = {}
        """Last values of each ref that was imported or exported."""
        self._refs = refs
        self._owners: dict[tuple[bool, str], list[_Owner]] = {}
        for number, ref, each in ids.origins.refs():
            if number == origin.number:
                self.known[ref] = each
            key = ref.startswith(TAGS), each.name
            self._owners.setdefault(key, []).append(_Owner(number, ref, each.git_id))

    def of(self, ref: GitRef) -> str:
        """Return the name of the branch or tag for a ref, whether it exists or not."""
        before = self.known.get(ref.name)
        if before is not None and before.name:
            return before.name
        apart = f"{self.origin.name}/{DETACHED if ref.name == DETACHED else ref.short}"
        if self.origin.is_apart or self.follows_other_ref(ref, ref.short):
            return apart
        return ref.short

    def follows_other_ref(self, ref: GitRef, name: str) -> bool:
        """Return True if an existing branch or tag follows another ref, and not this one."""
        owners = self._owners.get((not ref.is_branch, name), [])
        own = self.origin.number, ref.name
        is_own = not owners or any(own == (each.origin, each.ref) for each in owners)
        return not is_own and self.is_here(ref.name, name)

    def is_here(self, ref: str, name: str) -> bool:
        """Return True if a branch of that name exists; for a tag, a tag."""
        return name in (self._refs.tags if ref.startswith(TAGS) else self._refs)

    def is_deleted(self, ref: GitRef) -> bool:
        """Return True if the follower of a ref was deleted here, and the ref has not moved."""
        before = self.known.get(ref.name)
        if before is None or not before.name or self.is_here(ref.name, before.name):
            return False
        return before.git_id == ref.git_id

    def owners(self, name: str, *, tag: bool) -> set[int]:
        """Return the numbers of the origins that a branch or tag follows."""
        return {each.origin for each in self._owners.get((tag, name), ())}

    def followed(self, name: str) -> list[str]:
        """Return the full names of this origin's refs that a branch or tag follows."""
        own = self.origin.number
        held = [*self._owners.get((False, name), ()), *self._owners.get((True, name), ())]
        return [each.ref for each in held if each.origin == own]

    def tagged(self, name: str) -> list[bytes]:
        """Return the git ids of the refs that a tag follows, those of this origin first."""
        held = self._owners.get((True, name), [])
        return [each.git_id for each in sorted(held, key=self._is_of_other_repository)]

    def commitless(self) -> list[tuple[str, bytes]]:
        """Return full names and git ids of tags of no commit, those of this origin first."""
        held = sorted(self._owners.get((True, ""), []), key=self._is_of_other_repository)
        is_imported = self.origin.is_imported
        return [
            (each.ref, each.git_id)
            for each in held
            if not (is_imported and self._is_of_other_repository(each))
        ]

    def _is_of_other_repository(self, owner: _Owner) -> bool:
        return owner.origin != self.origin.number
