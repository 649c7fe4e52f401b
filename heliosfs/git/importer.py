"""Import of git's objects and refs, in small steps."""

from __future__ import annotations

from functools import partial

from heliosfs.git.adopt import Outcome, adopt
from heliosfs.git.filters import ConversionCounts, converted_in, info_attributes
from heliosfs.git.ids import IdMap
from heliosfs.git.intake import WRITTEN_COUNT, Intake
from heliosfs.git.origins import Names, identify
from heliosfs.git.prepare import PORTION_BYTES
from heliosfs.git.process import Git
from heliosfs.git.refs import DETACHED, GitRef, GitRefs
from heliosfs.repo.repository import Repository
from heliosfs.repo.view import View
from heliosfs.steps import Steps, on_thread


class Import:
    """The import of some refs.

    Nothing of it is visible in the repository before the last step, and then everything at once.
    If an import ends early, its objects are kept, and the next one continues from there.  Memory:
    that of the intake.
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
        self.converted = ConversionCounts()
        """Files of the checked-out branch that git converts."""
        self._repository = repository
        self._store = repository.store
        self._git = git
        self._refs = refs
        self._own = own
        self._name = name
        self._ids = IdMap(repository.store)
        self.intake = Intake(
            *(repository, git, self._ids),
            portion_bytes=portion_bytes,
            written_count=written_count,
        )
        """Intake of the objects, which counts them."""

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
            yield from self.intake.run(lacking, known)
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
