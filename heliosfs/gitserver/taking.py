"""The intake of what a mirror has: commits become ours, refs are checked one by one.

A ref whose commits cannot be here, as they have an entry `.git` or `..`, is left out, and does not
keep the others.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from io import BytesIO
from typing import NamedTuple

from heliosfs.errors import HeliosError
from heliosfs.git.adopt import announce
from heliosfs.git.boundary import Pairing, find_boundary
from heliosfs.git.health import Damaged, Unfit
from heliosfs.git.ids import IdMap
from heliosfs.git.intake import Intake
from heliosfs.git.raw import parse_tag
from heliosfs.git.refs import GitRef
from heliosfs.git.served import Served
from heliosfs.git.stream import FORMAT, CutShort, MissingInGit, ObjectStream
from heliosfs.gitserver.listing import name_problem
from heliosfs.gitserver.mirror import BrokenMirror, Mirror, MirrorGit
from heliosfs.objects.ids import CommitId
from heliosfs.remote.foundrefs import RefName
from heliosfs.repo.remotes import HEADS, TrackedRef
from heliosfs.repo.repository import Repository
from heliosfs.steps import Steps, on_thread

_TAG_DEPTH_MAX = 100
_TAGS_READ_BYTES = 1024 * 1024


class TakenRef(NamedTuple):
    """A ref whose commit is here."""

    git_id: bytes
    commit: CommitId


class Taking:
    """The intake of some refs of a server."""

    def __init__(
        self, repository: Repository, mirror: Mirror, before: Mapping[RefName, TrackedRef]
    ) -> None:
        """Prepare; `before` has the refs of the server as they were last seen."""
        self.taken: dict[RefName, TakenRef] = {}
        self.damaged: dict[RefName, str] = {}
        """Refs that cannot be had here, and why."""
        self.commit_count = self.object_count = 0
        self._repository = repository
        self._mirror = mirror
        self._before = before
        self._targets: dict[RefName, bytes] = {}
        """Git's id of the commit that each ref leads to."""

    def run(self, refs: Mapping[RefName, bytes]) -> Steps[None]:
        """Take in what refs need that are not as they were.  Raise BrokenMirror."""
        changed = {name: git_id for name, git_id in refs.items() if self._has_moved(name, git_id)}
        seen = yield from on_thread(partial(self._mirror.peeled, changed.values()))
        for name, git_id in changed.items():
            problem = name_problem(name)
            if problem:
                self.damaged[name] = problem
            elif seen[git_id].kind == "commit":
                self._targets[name] = seen[git_id].target
            elif name[0] == HEADS:
                self.damaged[name] = "it names no commit"
        yield from self._take_all(list(self._targets))
        yield from self._take_tags(changed)
        ids = IdMap(self._repository.store)
        yield from announce(self._repository, ids)
        for name, target in self._targets.items():
            oid = ids.commit(target)
            if name not in self.damaged and oid is not None:
                self.taken[name] = TakenRef(changed[name], oid)

    def _has_moved(self, name: RefName, git_id: bytes) -> bool:
        seen = self._before.get(name)
        return seen is None or seen.version != git_id.hex()

    def _take_all(self, names: list[RefName]) -> Steps[None]:
        """Take the commits of all refs, and leave out those that cannot be had."""
        try:
            yield from self._take(names)
        except Damaged as error:
            if len(names) == 1:
                self._spoil(names[0], error)
                return
        else:
            return
        for name in names:
            try:
                yield from self._take([name])
            except Damaged as error:
                self._spoil(name, error)

    def _spoil(self, name: RefName, error: Damaged) -> None:
        # The intake adds advice for a repository that people see.
        cause = error.__cause__ if isinstance(error.__cause__, Damaged) else error
        if not isinstance(cause, Unfit) and not self._mirror.is_new:
            raise BrokenMirror(str(cause)) from error
        self.damaged[name] = str(cause)

    def _take(self, names: Iterable[RefName]) -> Steps[None]:
        """Take commits in.  Raise Damaged, or BrokenMirror if git fails otherwise."""
        try:
            yield from self._take_in(names)
        except HeliosError as error:
            # All others have a class of their own: this is a command of git.
            if type(error) is HeliosError:
                raise BrokenMirror(str(error)) from error
            raise

    def _take_in(self, names: Iterable[RefName]) -> Steps[None]:
        repository, git = self._repository, self._mirror.git
        # What an intake notes before it fails is about objects that were not written.
        ids = IdMap(repository.store)
        refs = [GitRef(f"refs/{kind}/{name}", self._targets[kind, name]) for kind, name in names]
        lacking = [each for each in refs if ids.commit(each.git_id) is None]
        if not lacking:
            return
        wanted = [each.git_id for each in lacking]
        boundary = yield from find_boundary(git, wanted, ids, self._known(ids))
        yield from Pairing(repository.store, repository.history, git, ids).run(boundary)
        intake = Intake(repository, git, ids)
        try:
            yield from intake.run(lacking, boundary)
        finally:
            self.commit_count += intake.commit_count
            self.object_count += intake.commit_count + intake.object_count

    def _known(self, ids: IdMap) -> set[bytes]:
        """Return git's ids of commits that are here, so that git need not list what is older."""
        repository = self._repository
        served = Served(repository, self._mirror.git.hash_name)
        heads = {branch.head for branch in repository.refs if branch.head is not None}
        heads.update(each.commit for each in self._before.values())
        found = (served.known_id(head) for head in heads if head in repository.history)
        return {git_id for git_id in found if git_id and ids.commit(git_id) is not None}

    def _take_tags(self, changed: Mapping[RefName, bytes]) -> Steps[None]:
        """Note the annotated tags of refs."""
        ids = IdMap(self._repository.store)
        annotated = {
            changed[name]
            for name, target in self._targets.items()
            if changed[name] != target and ids.tag(changed[name]) is None
        }
        if annotated:
            tags = yield from on_thread(partial(_tags, self._mirror.git, annotated))
            for git_id, data in tags.items():
                ids.note_tag(git_id, data)
            ids.publish()


def _tags(git: MirrorGit, git_ids: Iterable[bytes]) -> dict[bytes, bytes]:
    """Return the bytes of annotated tags, and of those that they lead to.  Raise BrokenMirror."""
    found: dict[bytes, bytes] = {}
    wanted = set(git_ids)
    for _ in range(_TAG_DEPTH_MAX):
        asked = b"".join(b"%s\n" % each.hex().encode() for each in sorted(wanted))
        try:
            said = git.ask("cat-file", FORMAT, "--buffer", data=asked, seconds=None)
            stream = ObjectStream(BytesIO(said))
            tags: dict[bytes, bytes] = {}
            while objects := stream.read(_TAGS_READ_BYTES):
                tags.update((each.id, each.data) for each in objects if each.kind == b"tag")
            found.update(tags)
            wanted = {parse_tag(data).target for data in tags.values()} - set(found)
        except (HeliosError, MissingInGit, CutShort, ValueError) as error:
            raise BrokenMirror(str(error)) from error
        if not tags or not wanted:
            break
    return found
