"""Intake of objects of git: all that some refs reach, and that is not here, in small steps."""

from __future__ import annotations

from functools import partial

from heliosfs.git.health import Damaged, check_complete, name_missing
from heliosfs.git.ids import IdMap
from heliosfs.git.prepare import PORTION_BYTES, Portion, prepared_of
from heliosfs.git.process import Git
from heliosfs.git.refs import CommitCount, GitRef
from heliosfs.git.source import Source
from heliosfs.git.translate import Translator, write
from heliosfs.repo.repository import Repository
from heliosfs.steps import TURN, Progress, Steps, on_thread
from heliosfs.store.base import Bulk

WRITTEN_BYTES = 8 * 1024 * 1024
"""Bytes of objects that are gathered before they are written."""
WRITTEN_COUNT = 8 * 1024
"""Approximate number of notes that are gathered before they are written."""
_ROWS_TURN = 256


class Intake:
    """An intake of objects from a repository.

    Nothing of it is visible here: its commits are in the list of unfinished ones, so that they are
    kept and need not be taken again if it ends early.  Memory: 60 MB at most for what repeats, the
    trees of one commit, and what is written at once.
    """

    def __init__(
        self,
        repository: Repository,
        git: Git,
        ids: IdMap,
        *,
        portion_bytes: int = PORTION_BYTES,
        written_count: int = WRITTEN_COUNT,
    ) -> None:
        """Prepare; `portion_bytes` are read from git at once, `written_count` notes written."""
        self.commit_count = 0
        """Number of commits that were taken in."""
        self.object_count = 0
        self.covered_count = 0
        """Number of versions of what is called `.helios` that were taken in."""
        self._repository = repository
        self._store = repository.store
        self._git = git
        self._ids = ids
        self._portion_bytes = portion_bytes
        self._written_count = written_count
        self._source: Source | None = None
        self._count: CommitCount | None = None

    def run(self, refs: list[GitRef], known: set[bytes]) -> Steps[None]:
        """Take in what `refs` reach and `known` does not, all of which is here.

        Raise Damaged, which names the object that is missing or damaged.
        """
        yield from check_complete(self._git, refs, known, self._ids.commit)
        bulk = self._store.bulk()
        try:
            yield from self._take_history(bulk, [ref.git_id for ref in refs], known)
        except Damaged as error:
            raise (yield from self._with_advice(error, refs)) from error
        finally:
            bulk.close()
            if self._source is not None:
                self._source.close()
            if self._count is not None:
                self._count.close()

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

    def _with_advice(self, error: Damaged, refs: list[GitRef]) -> Steps[Damaged]:
        """Return the error with the ref that needs the object, and advice, added."""
        git = self._git
        find = partial(name_missing, git, refs, error.oid)
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
        self._count = count = CommitCount(self._git, wanted, known)
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
