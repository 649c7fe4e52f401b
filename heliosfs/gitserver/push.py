"""Push to a git server: commits are converted into the mirror, and `git push` moves the refs.

Each ref is moved only from the object that was seen of it last: git compares it before it sends,
and the server once more under its lock.  So of two pushers one wins, and the other has done no
harm.  Git's ids of commits made here are noted before these are sent: whoever is killed in between
knows his own commits when he fetches them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, suppress
from functools import partial
from typing import NamedTuple

from heliosfs.errors import HeliosError, NotFound, NotPermitted, StoreError
from heliosfs.gitserver.bringing import bring
from heliosfs.gitserver.fetch import with_whole_mirror
from heliosfs.gitserver.holdings import Holdings
from heliosfs.gitserver.listing import ServerRefs, ask_listing
from heliosfs.gitserver.mirror import BrokenMirror, Mirror
from heliosfs.gitserver.sending import REFS_MAX, Answers, SentRef, answers_in, push_words
from heliosfs.objects.ids import CommitId, Kind
from heliosfs.remote.contents import bring_all_of
from heliosfs.remote.damage import DamagedRemote
from heliosfs.remote.push import PushResult, descends, refused_text
from heliosfs.remote.refplace import DeletedThere, NotFastForward
from heliosfs.repo.remotes import HEADS, TAGS, TrackedRef, check_same
from heliosfs.repo.repository import Repository
from heliosfs.steps import Steps, on_thread


class RefPush(NamedTuple):
    """A branch or tag to push."""

    kind: str
    name: str
    """Name there."""
    commit: CommitId | None
    """None to delete what is there: a branch of the name, or else a tag."""
    tag: str = ""
    """Name of a tag here."""


class Pushed(NamedTuple):
    """The results of a push."""

    results: list[PushResult | HeliosError]
    """Result of each ref, or the error that says why it was refused, and what to do."""
    empty_count: int
    """Number of empty directories that do not travel, in what was converted."""
    special_count: int
    """Number of FIFOs, sockets and devices that do not."""


def push(
    repository: Repository, remote: str, refs: Sequence[RefPush], *, with_lease: bool = False
) -> Steps[Pushed]:
    """Let refs of a git server name commits, and send what they need.

    Refs are refused one by one: NotFastForward, NotPermitted.  `with_lease` lets refs lose commits,
    if they still are what was last seen of them.  Raise Unreachable, and nothing here has changed.
    """
    return (yield from _Push(repository, remote, refs, with_lease=with_lease).run())


class _Push:
    """One push of some refs."""

    def __init__(
        self, repository: Repository, remote: str, refs: Sequence[RefPush], *, with_lease: bool
    ) -> None:
        self._repository = repository
        self._remote = remote
        self._url = repository.remotes.url(remote)
        self._refs = [self._named(each) for each in refs]
        self._with_lease = with_lease
        self._results: dict[RefPush, PushResult | HeliosError] = {}
        self._forced: set[RefPush] = set()
        self._counts = (0, 0, 0)
        """Numbers of commits, objects and bytes that no result has told yet."""
        self._lost = (0, 0)

    def run(self) -> Steps[Pushed]:
        for ref in self._refs:
            yield from self._check(ref)
        if len(self._results) < len(self._refs):
            heads = [each.commit for each in self._going() if each.commit is not None]
            yield from bring_all_of(self._repository, [(Kind.COMMIT, head) for head in heads])
            with closing(Mirror(self._repository.store, self._url)) as mirror:
                yield from on_thread(mirror.open)
                work = partial(self._push_once, mirror)
                yield from with_whole_mirror(mirror, self._url, self._remote, work)
        return Pushed([self._results[each] for each in self._refs], *self._lost)

    def _named(self, ref: RefPush) -> RefPush:
        is_tag = ref.commit is None and self._seen(ref) is None
        return ref._replace(kind=TAGS) if is_tag else ref

    def _seen(self, ref: RefPush) -> TrackedRef | None:
        return self._repository.remotes.tracked(self._remote, ref.kind, ref.name)

    def _going(self) -> list[RefPush]:
        return [each for each in self._refs if each not in self._results]

    def _check(self, ref: RefPush) -> Steps[None]:
        """Refuse what loses commits, as far as was seen here."""
        seen = self._seen(ref)
        if ref.commit is None:
            if seen is None:
                look = f"'helios fetch {self._remote}' looks"
                raise NotFound(f"no {ref.name[:80]!r} was seen at {self._remote}: {look}")
            return
        if seen is None or seen.commit == ref.commit:
            return
        if not (yield from descends(self._repository, ref.kind, ref.commit, seen.commit)):
            self._forced.add(ref)
            if not self._with_lease:
                self._results[ref] = NotFastForward(refused_text(self._remote, ref.name))

    def _push_once(self, mirror: Mirror) -> Steps[None]:
        """Convert and send all that is not done.  Raise BrokenMirror, Unreachable."""
        if mirror.is_new:
            # What the server has need not be converted, nor sent.
            with suppress(DamagedRemote):
                yield from bring(mirror, self._url, self._remote)
        sent = yield from self._convert(mirror)
        for ref, each in list(sent.items()):
            if ref.kind == HEADS and ref not in self._forced:
                yield from self._check_in_git(mirror, ref, each)
        sent = {ref: each for ref, each in sent.items() if ref not in self._results}
        removed = {ref: each for ref, each in sent.items() if each.new is None}
        moved = {ref: each for ref, each in sent.items() if each.new is not None}
        # A name may be free for `a/b` only when `a` is gone.
        for group in [*_groups(removed), *_groups(moved)]:
            yield from self._send(mirror, group)
        yield from on_thread(mirror.settle)

    def _check_in_git(self, mirror: Mirror, ref: RefPush, sent: SentRef) -> Steps[None]:
        """Refuse what loses commits of git's: a squashed export stands for other ones here."""
        if sent.old is None or sent.new is None or sent.old == sent.new:
            return
        try:
            is_forward = yield from on_thread(partial(mirror.is_forward, sent.old, sent.new))
        except BrokenMirror:
            if not mirror.is_new:
                raise
            # The server has not what was seen of it.
            is_forward = False
        if is_forward:
            return
        self._forced.add(ref)
        if not self._with_lease:
            name = f"{self._remote}/{ref.name}"
            self._results[ref] = NotFastForward(
                f"{name} has other commits in git than what is pushed: 'helios fetch "
                f"{self._remote}', or push to another branch; --force-with-lease drops them there"
            )

    def _convert(self, mirror: Mirror) -> Steps[dict[RefPush, SentRef]]:
        """Write what the server may lack into the mirror; return git's ids."""
        holdings = Holdings(self._repository, mirror)
        sent = {}
        with closing(holdings):
            for ref in self._going():
                seen = self._seen(ref)
                old = bytes.fromhex(seen.version) if seen is not None else None
                try:
                    new = yield from holdings.git_id(ref.kind, ref.commit, ref.tag, seen)
                except StoreError:
                    raise
                except BrokenMirror:
                    raise
                except HeliosError as error:
                    # One ref that git cannot have must not keep the others from it.
                    self._results[ref] = error
                    continue
                sent[ref] = SentRef((ref.kind, ref.name), old, new)
            self._counts = yield from holdings.settle()
            self._lost = holdings.lost_counts()
        return sent

    def _send(self, mirror: Mirror, group: dict[RefPush, SentRef]) -> Steps[None]:
        check_same(self._repository.remotes, self._remote, self._url)
        # I77: a ref moves only from what was seen of it.
        words = push_words(self._url, list(group.values()))
        outcome = yield from mirror.transfer(words).run()
        answers = answers_in(outcome)
        done = {ref for ref, each in group.items() if each.full in answers.done}
        if len(done) < len(group):
            # The answer may be lost, or the ref be what it was to be all the same.
            listing = yield from ask_listing(self._url, self._remote)
            is_answered = bool(answers.done or answers.reasons)
            if not is_answered and answers.is_own_fault and not mirror.is_new:
                raise BrokenMirror(answers.reason)
            done |= {ref for ref, each in group.items() if listing.refs.get(each.name) == each.new}
            for ref, each in group.items():
                if ref not in done:
                    self._results[ref] = self._refusal(each, listing, answers)
        self._note(group, done)
        changes = {each.name: each.new for ref, each in group.items() if ref in done}
        yield from on_thread(partial(mirror.note, changes))

    def _refusal(self, sent: SentRef, listing: ServerRefs, answers: Answers) -> HeliosError:
        """Return the error for a ref that is not as it was to be, with what to do."""
        name, fetch = f"{self._remote}/{sent.name[1]}", f"'helios fetch {self._remote}'"
        now = listing.refs.get(sent.name)
        if now == sent.old:
            return NotPermitted(
                f"{self._remote} refuses {sent.name[1]}: "
                f"{answers.reasons.get(sent.full) or answers.reason}"
            )
        if now is None:
            return DeletedThere(f"{name} was deleted there: {fetch} with --prune, then push")
        if sent.new is None:
            return NotFastForward(f"{name} has moved since it was seen: {fetch}, and look")
        return NotFastForward(
            f"{name} was moved by somebody else: {fetch}, merge, and push again, or 'helios pull'"
        )

    def _note(self, group: dict[RefPush, SentRef], done: Iterable[RefPush]) -> None:
        """Keep what the server has now of the refs that it has moved."""
        repository = self._repository
        now_ns = repository.clock.now_ns()
        with repository.transaction:
            check_same(repository.remotes, self._remote, self._url)
            for ref in done:
                seen, new = self._seen(ref), group[ref].new
                now = None
                if ref.commit is not None and new is not None:
                    now = TrackedRef(ref.commit, ref.commit, 0, new.hex())
                repository.remotes.track(self._remote, ref.kind, ref.name, now, now_ns)
                before = seen.commit if seen is not None else None
                counts, self._counts = self._counts, (0, 0, 0)
                self._results[ref] = PushResult(before, ref in self._forced, *counts)


def _groups(sent: dict[RefPush, SentRef]) -> Iterator[dict[RefPush, SentRef]]:
    """Yield the refs of one command after another."""
    refs = list(sent)
    for at in range(0, len(refs), REFS_MAX):
        yield {ref: sent[ref] for ref in refs[at : at + REFS_MAX]}
