"""Import of git's objects and refs, in small steps."""

from __future__ import annotations

from functools import partial

from heliosfs.git.adopt import Outcome, adopt
from heliosfs.git.filters import ConversionCounts, converted_in, info_attributes
from heliosfs.git.health import Damaged, check_complete, name_missing
from heliosfs.git.ids import IdMap
from heliosfs.git.origins import Names, identify
from heliosfs.git.prepare import PORTION_BYTES, Portion, prepared_of
from heliosfs.git.process import Git
from heliosfs.git.refs import DETACHED, CommitCount, GitRef, GitRefs
from heliosfs.git.source import Source
from heliosfs.git.translate import Translator, write
from heliosfs.repo.repository import Repository
from heliosfs.repo.view import View
from heliosfs.steps import TURN, Progress, Steps, on_thread
from heliosfs.store.base import Bulk

WRITTEN_BYTES = 8 * 1024 * 1024
"""Bytes of objects that are gathered before they are written."""
WRITTEN_COUNT = 8 * 1024
"""Approximate number of notes that are gathered before they are written."""
_ROWS_TURN = 256


class Import:
    """The import of some refs.

    Nothing of it is visible in the repository before the last step, and then everything at once.
    If an import ends early, its objects are kept, and the next one continues from there.  Memory:
    60 MB at most for what repeats, the trees of one commit, and what is written at once.
    """

    def __init__(
        self,
        repository: Repository,
        git: Git,
        refs: GitRefs,
        own: View | None = None,
        *,
        name: str | None = None,
        portion_bytes: int = PORTION_BYTES,
        written_count: int = WRITTEN_COUNT,
    ) -> None:
        """Prepare an import.

        `own` is the view whose files are git's working tree, if there is one.  `name` distinguishes
        the repository from others (`identify`).  `portion_bytes` are read from git at once,
        `written_count` notes written at once.
        """
        self.commit_count = 0
        """Number of commits imported by this run."""
        self.object_count = 0
        self.converted = ConversionCounts()
        """Files of the checked-out branch that git converts."""
        self.covered_count = 0
        """Number of versions of what is called `.helios` that this run imported."""
        self._repository = repository
        self._store = repository.store
        self._git = git
        self._refs = refs
        self._own = own
        self._name = name
        self._portion_bytes = portion_bytes
        self._written_count = written_count
        self._ids = IdMap(repository.store)
        self._source: Source | None = None
        self._count: CommitCount | None = None

    def run(self) -> Steps[Outcome]:
        """Import all objects, then create and move refs in one publish.  Raise HeliosError."""
        ids = self._ids
        origin = yield from identify(ids, self._repository.refs, self._git, self._name)
        names = Names(ids, self._repository.refs, origin)
        left = self._choose(names)
        # Only what is complete: of refs that were imported, or of an import that was cut short.
        known = {each.imported for _, _, each in ids.origins.refs()}
        known = {git_id for git_id in known if ids.is_complete(git_id)}
        known.update(git_id for git_id, _ in ids.unfinished.commits())
        known = {git_id for git_id in known if len(git_id) == self._git.id_bytes}
        lacking = [ref for ref in self._refs.chosen if ref.git_id not in known]
        if lacking:
            yield from check_complete(self._git, lacking, known, ids.commit)
            wanted = [ref.git_id for ref in lacking]
            bulk = self._store.bulk()
            try:
                yield from self._take_history(bulk, wanted, known)
            except Damaged as error:
                raise (yield from self._with_advice(error)) from error
            finally:
                bulk.close()
                if self._source is not None:
                    self._source.close()
                if self._count is not None:
                    self._count.close()
            yield from self._look_for_filters(lacking)
        outcome = yield from adopt(self._repository, ids, self._refs, names, self._own)
        outcome.deleted += left
        return outcome

    def _look_for_filters(self, taken: list[GitRef]) -> Steps[None]:
        """Count the files that git converts in its checked-out branch, or in the first one."""
        branches = sorted((ref for ref in taken if ref.is_branch), key=self._is_elsewhere)
        oid = self._ids.commit_of(branches[0].git_id) if branches else None
        if oid is not None:
            root = self._repository.history.read(oid).root
            info = yield from on_thread(partial(info_attributes, self._git))
            self.converted = yield from converted_in(self._store, root, info)

    def _is_elsewhere(self, ref: GitRef) -> bool:
        return ref.name != self._refs.head

    def _choose(self, names: Names) -> list[str]:
        """Leave out refs that stay deleted, with their history; return their names here."""
        refs, repository = self._refs, self._repository
        is_first = all(branch.head is None for branch in repository.refs)
        if is_first or not refs.detached_in or DETACHED in names.known or refs.asked:
            refs.with_head()
        left: list[GitRef] = []
        taken: list[GitRef] = []
        for ref in refs.chosen:
            stays = names.is_deleted(ref) and not refs.restores(ref)
            (left if stays else taken).append(ref)
        refs.chosen = taken
        return [names.of(ref) for ref in left]

    def _take_history(self, bulk: Bulk, wanted: list[bytes], known: set[bytes]) -> Steps[None]:
        opening = partial(self._open, wanted, known, prefer_zstd=bulk.prefer_zstd)
        source, count, is_shallow = yield from on_thread(opening)
        translator = Translator(
            self._store, bulk, self._ids, self._repository.identity, self._git.id_bytes
        )
        translator.is_shallow = is_shallow
        while portion := (yield from on_thread(source.read)):
            yield from self._take(portion, bulk, translator)
            self.commit_count = translator.commit_count
            if self._ids.noted_count >= self._written_count or bulk.waiting_bytes >= WRITTEN_BYTES:
                yield from write(self._ids, bulk)
            yield Progress(self.commit_count, count.so_far(), "commits", self.object_count)
        yield from translator.close_commits()
        yield from write(self._ids, bulk)
        self.commit_count = translator.commit_count
        self.covered_count = translator.covered_count

    def _with_advice(self, error: Damaged) -> Steps[Damaged]:
        """Return the error with the ref that needs the object, and advice, added."""
        git = self._git
        find = partial(name_missing, git, self._refs.chosen, error.oid)
        where = (yield from on_thread(find)) if error.oid else ""
        return Damaged(
            f"{error}{f'; {where}' if where else ''}: 'git fsck' in {git.git_dir} lists what is "
            "damaged; fetch it anew, or name the branches to take with --branch",
            error.oid,
        )

    def _open(
        self, wanted: list[bytes], known: set[bytes], *, prefer_zstd: bool
    ) -> tuple[Source, CommitCount, bool]:
        """Start the programs that read git; on a thread, because git may be slow."""
        self._source = source = Source(
            self._git, wanted, known, self._portion_bytes, prefer_zstd=prefer_zstd
        )
        self._count = count = self._refs.count_commits(wanted, known)
        return source, count, self._git.is_shallow()

    def _take(self, portion: Portion, bulk: Bulk, translator: Translator) -> Steps[None]:
        rows, files, others = portion
        for count, row in enumerate(rows):
            bulk.add_prepared(prepared_of(row))
            if not count % _ROWS_TURN:
                yield TURN
        self._ids.note_files(files)
        yield TURN
        self.object_count += len(files) + len(others)
        yield from translator.take(others)
