"""Effects of verbs on the model, each at the moment at which the product has it."""

from __future__ import annotations

import errno
from collections.abc import Callable

import trio

from heliosfs.commands import table
from heliosfs.config.schema import DAY_NS
from heliosfs.errors import HeliosError
from heliosfs.repo.stash import stashed
from heliosfs.repo.view import View
from tests.simulation.disk import Disk, is_for_want_of_room
from tests.simulation.kernel import Handle, Inode
from tests.simulation.model import DETACHED, Frozen, Model, PathBytes, Picture, Tree, Work, World
from tests.simulation.mount import Fault, Hooks, Life

_OPERATIONS_MAX = 200
"""Number of operations of a branch that no life reaches."""
_ALWAYS = (errno.EBUSY, errno.EINVAL, errno.ENOENT, errno.EEXIST, errno.EAGAIN, errno.EINTR)
_READING = ("status", "log", "diff", "oplog", "gc", "fsck", "show", "blame", "grep", "ls-files")
_OF_DISK = (errno.EIO, errno.ENOSPC, errno.EROFS)


class Oracle(Hooks):
    """The model beside a life of the product."""

    def __init__(self, model: Model, disk: Disk) -> None:
        self.model = model
        self.disk = disk
        self.verbs = 0
        self.adoptions = 0
        self.checkpoints: dict[trio.lowlevel.Task, int] = {}
        """Number of the batch that each task has saved last."""
        self.asked: dict[trio.lowlevel.Task, int] = {}
        """Number of the last store through a mapping before each task's request."""
        self.sources: dict[str, tuple[int, dict[PathBytes, bytes]]] = {}
        """By the path of a directory that is taken in: the number of versions of the tree before
        that, and the directory's files."""
        self._is_plain = True
        """True if nothing was staged, and no merge open, when the verb began."""
        self._effects: dict[str, Callable[[View, str, list[str]], None]] = {
            "commit": self._commit,
            "reset": self._reset,
            "undo": self._undo,
            "redo": self._redo,
            "checkout": self._checkout,
            "branch": self._branch,
            "tag": self._tag,
            "stash": self._stash,
            "merge": self._merge,
            "import": self._import,
        }

    def attach(self, life: Life) -> None:
        """Follow a life that has just begun."""
        self.life = life
        life.tell(self)

    # Hooks.

    def published(self, number: int) -> None:
        self.model.unsealed.append(number)
        if not self.is_in_verb:
            self.model.seal()

    def begins(self, view: View, verb: str) -> None:
        self._is_plain = view.stage.root is None and view.merging is None
        store = self.life.cache.first_store()
        asked = self.asked.get(trio.lowlevel.current_task(), 0)
        declared = table.VERBS[verb]
        # A long verb has its barrier before the last of its steps.
        is_due = declared.barrier and not declared.is_long
        if store is not None and store.number <= asked and is_due:
            raise Fault(f"{verb} does not see what a mapping changed before it")

    def wrote_back(self, handle: Handle, offset: int, data: bytes) -> None:
        """The daemon has bytes that came through a mapping."""
        file = handle.file
        if file is None or not file.is_known:
            self.doubt(handle.inode)
            self.adopt()
            return
        file.data = file.data[:offset] + data + file.data[offset + len(data) :]
        for work in self.model.works.values():
            work.note()

    def went_on(self) -> None:
        self.model.seal()

    def collects(self, argv: list[str]) -> None:
        """A collection begins, which may drop operations."""
        settings = self.life.repository.configuration.settings
        if (
            "--before=0s" not in argv
            and settings.snapshot_ttl_ns >= DAY_NS
            and settings.retention_count > _OPERATIONS_MAX
        ):
            return
        if "--dry-run" in argv:
            return
        for work in self.model.works.values():
            work.undo = work.redo = None

    def writes_settings(self, text: bytes) -> None:
        self.model.settings.append(text)

    def wrote_settings(self, text: bytes) -> None:
        self.model.settings = [text]

    def checkpointed(self) -> None:
        """Everything that is shown is saved."""
        model, repository = self.model, self.life.repository
        model.seal()
        for view in repository.views():
            work = model.works[view.branch or DETACHED]
            work.saved = max(0, len(work.versions) - 1)
        number = self.life.store.number
        model.worlds[number] = model.freeze()
        if trio.lowlevel.in_trio_task():
            self.checkpoints[trio.lowlevel.current_task()] = number

    def kept_commits(self) -> set[bytes]:
        """Commits that a branch or a tag names."""
        found = {work.head for work in self.model.works.values()} | set(self.model.tags.values())
        return {oid for oid in found if oid is not None}

    def refused(self, name: str, argv: list[str], error: HeliosError) -> None:
        """A verb that fails changes nothing."""
        self.model.seal()
        code = error.errno
        if code in _OF_DISK and (self.disk.is_full or self.disk.has_failed):
            return
        if is_for_want_of_room(error):
            # There may be room again by now.
            return
        if argv[0] in ("undo", "redo") and code == errno.ENOENT:
            work = self.model.works[name]
            if work.undo if argv[0] == "undo" else work.redo:
                raise Fault(f"{name}: nothing to {argv[0]}, though there is")
        if argv[0] == "fsck" and self.life.repository.findings:
            # It repeats what the open has told of, which was judged then.
            return
        if code == errno.ENODATA and (argv[0] != "commit" or not self._is_plain):
            return
        if code == errno.ENODATA:
            work = self.model.works[name]
            before = self.model.commits[work.head] if work.head else Picture({}, frozenset())
            if work.tree.picture() != before:
                raise Fault(f"{name}: nothing to commit, though there is")
            return
        if code not in _ALWAYS:
            raise Fault(f"{argv} refused: {type(error).__name__}: {error}") from error

    def carried_out(self, view: View, name: str, argv: list[str]) -> None:
        self.verbs += 1
        self._effects.get(argv[0], self._other)(view, name, argv)
        for work in self.model.works.values():
            work.note()
        self.model.seal()

    # Adoption, where the model cannot tell.

    def doubt(self, inode: Inode) -> None:
        """Bytes of a file change, and the model cannot tell how.

        Before the kernel is told of a checkout, a path may lead it to the file that was there
        before.  That has no name any more, and no picture shows its bytes: whoever has had it open
        since it had one is no longer judged.
        """
        for handle in inode.handles:
            if handle.file is not None:
                handle.file.is_known = False

    def adopt(self) -> None:
        """Take over what the product shows."""
        self.adoptions += 1
        model, life = self.model, self.life
        repository = life.repository
        root = repository.root.branch or DETACHED
        if root != model.root and model.root in model.works:
            self._move_root(root)
        model.root = root
        names = {branch.name for branch in repository.refs}
        for name in set(model.works) - names - {DETACHED}:
            del model.works[name]
        if model.root == DETACHED or repository.kept_state(0) is not None:
            names.add(DETACHED)
        for name in names:
            self._adopt_work(name)
        model.tags = {tag: bytes(oid) for tag, oid in repository.refs.tags.items()}
        for work in model.works.values():
            self.note_commit(work.head)

    def _move_root(self, name: str) -> None:
        """The files at the root, and the handles on them, belong to another branch now."""
        works = self.model.works
        leaving = works[self.model.root]
        tree, leaving.tree = leaving.tree, Tree(leaving.tree.picture())
        if name in works:
            works[name].tree = tree
        else:
            works[name] = Work(self.head(name), tree, undo=None, redo=None)

    def _adopt_work(self, name: str) -> None:
        life, works = self.life, self.model.works
        picture = life.picture_of(name)
        head = self.head(name)
        work = works.get(name)
        if work is None:
            work = works[name] = Work(head, Tree(picture), undo=None, redo=None)
        else:
            if work.head != head:
                work.head, work.undo, work.redo = head, None, None
            work.tree.adopt(picture)
        work.note()
        if not self._is_shown(name):
            work.saved = max(0, len(work.versions) - 1)

    def _is_shown(self, name: str) -> bool:
        return any((view.branch or DETACHED) == name for view in self.life.repository.views())

    def head(self, name: str) -> bytes | None:
        repository = self.life.repository
        branch = repository.refs.find(name) if name else None
        if branch is not None:
            return bytes(branch.head) if branch.head else None
        if repository.root.branch is None:
            return bytes(repository.root.head) if repository.root.head else None
        state = repository.kept_state(0)
        return bytes(state.head) if state and state.head else None

    def note_commit(self, oid: bytes | None) -> None:
        if oid is not None and oid not in self.model.commits:
            self.model.commits[oid] = self.life.commit_picture(oid)

    # Verbs.

    def _saved(self, work: Work) -> None:
        work.note()
        work.saved = max(0, len(work.versions) - 1)

    def _commit(self, view: View, name: str, argv: list[str]) -> None:
        work = self.model.works[name]
        before = work.past()
        head = view.head
        assert head is not None
        if bytes(head) == work.head and "--amend" not in argv:
            raise Fault("a commit that is no new one")
        work.head = bytes(head)
        if self._is_plain and "--amend" not in argv:
            self.model.commits[work.head] = before.picture
        else:
            self.note_commit(work.head)
        work.moved(before)
        self._saved(work)

    def _reset(self, view: View, name: str, argv: list[str]) -> None:
        work = self.model.works[name]
        before = work.past()
        work.head = bytes(view.head) if view.head else None
        self.note_commit(work.head)
        if "--hard" in argv and work.head:
            work.tree.show(self.model.commits[work.head])
        work.moved(before)
        self._saved(work)

    def _undo(self, view: View, name: str, argv: list[str]) -> None:
        self._go(name, is_undo=True)

    def _redo(self, view: View, name: str, argv: list[str]) -> None:
        self._go(name, is_undo=False)

    def _go(self, name: str, *, is_undo: bool) -> None:
        self.model.stash = None
        work = self.model.works[name]
        back = work.undo if is_undo else work.redo
        if name == DETACHED or back is None:
            work.undo = work.redo = None
            self.adopt()
            return
        if not back:
            raise Fault(f"{name}: there was nothing to undo or redo")
        before, target = work.past(), back[-1]
        work.head = target.head
        work.tree.show(target.picture)
        forward = work.redo if is_undo else work.undo
        forward = None if forward is None else (*forward, before)
        if is_undo:
            work.undo, work.redo = back[:-1], forward
        else:
            work.redo, work.undo = back[:-1], forward
        self._saved(work)

    def _show(self, name: str, head: bytes | None, picture: Picture) -> Work:
        """Show another working state at the root."""
        model = self.model
        leaving = model.works[model.root]
        self._saved(leaving)
        root_tree = leaving.tree
        leaving.tree = Tree(root_tree.picture())
        work = model.works.get(name)
        if work is None:
            work = model.works[name] = Work(head, root_tree)
        work.head = head
        work.tree = root_tree
        root_tree.show(picture)
        model.root = name
        self._saved(work)
        return work

    def _checkout(self, view: View, name: str, argv: list[str]) -> None:
        model, repository = self.model, self.life.repository
        after = repository.root.branch or DETACHED
        if argv[1] == "-b":
            before = model.works[model.root]
            picture = before.tree.picture()
            if len(argv) > 3:
                head = self.head(after)
                self.note_commit(head)
                picture = model.commits[head] if head else picture
            else:
                head = before.head
            self._show(after, head, picture)
            return
        if after == DETACHED:
            head = bytes(repository.root.head or b"")
            self.note_commit(head)
            if model.root == DETACHED:
                work = model.works[DETACHED]
                work.head = head
                work.tree.show(model.commits[head])
            else:
                work = self._show(DETACHED, head, model.commits[head])
            work.undo = work.redo = None
            self._saved(work)
        elif after != model.root:
            work = model.works[after]
            self._show(after, work.head, work.tree.picture())

    def _branch(self, view: View, name: str, argv: list[str]) -> None:
        model = self.model
        if len(argv) == 1:
            return
        if argv[1] == "-m":
            model.works[argv[3]] = model.works.pop(argv[2])
            model.root = argv[3] if model.root == argv[2] else model.root
            return
        if argv[1] not in ("-D", "--fork") and argv[1].startswith("-"):
            self._other(view, name, argv)
            return
        if argv[1] == "-D":
            del model.works[argv[2]]
        elif argv[1] == "--fork":
            work = model.works[name]
            model.works[argv[2]] = Work(work.head, Tree(work.tree.picture()))
        else:
            head = self.head(argv[1])
            self.note_commit(head)
            picture = model.commits[head] if head else Picture({}, frozenset())
            model.works[argv[1]] = Work(head, Tree(picture))
        for work in model.works.values():
            work.note()

    def _tag(self, view: View, name: str, argv: list[str]) -> None:
        tags = self.life.repository.refs.tags
        self.model.tags[argv[-2]] = bytes(tags[argv[-2]])

    def _stash(self, view: View, name: str, argv: list[str]) -> None:
        model = self.model
        work = model.works[name]
        base = model.commits[work.head] if work.head else Picture({}, frozenset())
        before = work.past()
        entries = len(stashed(self.life.store))
        if "pop" not in argv:
            if before.picture == base:
                if model.stash is not None and entries != len(model.stash):
                    raise Fault("something was stashed, though there are no changes")
                return
            if model.stash is not None and entries == len(model.stash):
                raise Fault("nothing was stashed, though there are changes")
            work.tree.show(base)
            model.stash = None if model.stash is None else (*model.stash, before)
        elif model.stash is not None and model.stash:
            *rest, entry = model.stash
            if entry.head == work.head and before.picture == base:
                work.tree.show(entry.picture)
            else:
                self.adopt()
            model.stash = tuple(rest)
        else:
            self.adopt()
        work.moved(before)
        self._saved(work)

    def _merge(self, view: View, name: str, argv: list[str]) -> None:
        work = self.model.works[name]
        before = work.past()
        undo, redo = work.undo, work.redo
        self.adopt()
        work.undo, work.redo = undo, redo
        if work.head != before.head or work.tree.picture() != before.picture:
            work.moved(before)
            self._saved(work)
        elif "--squash" in argv or "--no-commit" in argv:
            # The merge is recorded where the other side has what is here already, too.
            work.undo = work.redo = None

    def _import(self, view: View, name: str, argv: list[str]) -> None:
        """Files were taken in that were not there; nothing else has changed."""
        work = self.model.works[name]
        before = work.past()
        work.note()
        seen_count = len(work.versions)
        self._merge(view, name, argv)
        after = work.tree.picture()
        for path, shown in before.picture.files.items():
            there = after.files.get(path)
            if there is None or (there != shown and not shown.is_directory):
                raise Fault(f"an import has changed {path}")
        count, files = self.sources.pop(argv[2])
        since = [*work.versions[count:seen_count], before.picture]
        for path, data in files.items():
            # What was there for a moment may be left out.
            above = [seen.files.get(path[:at]) for seen in since for at in range(1, len(path))]
            is_blocked = any(each is not None and not each.is_directory for each in above)
            if not any(path in seen.files for seen in since) and not is_blocked:
                check(f"bytes of {path}, which was taken in", after.files[path].data, data)

    def _other(self, view: View, name: str, argv: list[str]) -> None:
        """Take over what a verb did of which the model knows only whether it changes anything."""
        if argv[0] in _READING:
            return
        self.adopt()
        for each in self.model.works.values():
            each.undo = each.redo = None
        self.model.stash = None

    # After a crash.

    def come_back(self, number: int, world: World | None) -> None:
        """Take over what a life has found, and compare it with what was there after a batch."""
        model = self.model
        if world is None:
            model.works.clear()
            self.adopt()
            model.stash = None
        else:
            self._compare_names(world)
            model.works = {
                name: self._compare_work(name, frozen) for name, frozen in world.works.items()
            }
            model.root, model.tags, model.stash = world.root, dict(world.tags), world.stash
        model.worlds = {number: model.freeze()}
        model.unsealed.clear()

    def _compare_names(self, world: World) -> None:
        repository = self.life.repository
        names = {branch.name for branch in repository.refs}
        check("branches", names, world.works.keys() - {DETACHED})
        check("the branch at the root", repository.root.branch or DETACHED, world.root)
        tags = {tag: bytes(oid) for tag, oid in repository.refs.tags.items()}
        check("tags", tags, world.tags)

    def _compare_work(self, name: str, frozen: Frozen) -> Work:
        check(f"HEAD of {name!r}", self.head(name), frozen.head)
        picture = self.life.picture_of(name)
        allowed = frozen.versions[frozen.saved : frozen.last + 1]
        if picture not in allowed:
            raise Fault(
                f"after a crash {name!r} is {shown(picture)}, "
                f"and may be {' or '.join(map(shown, allowed))}"
            )
        work = Work(frozen.head, Tree(picture), frozen.undo, frozen.redo)
        work.note()
        return work


def check(what: str, found: object, wanted: object) -> None:
    if found != wanted:
        raise Fault(f"{what}: {found!r}, not {wanted!r}")


def shown(picture: Picture) -> str:
    """A picture for people."""
    files = {
        b"/".join(path).decode("latin-1"): f"{shown.mode:o} {shown.data[:12]!r}+{len(shown.data)}"
        for path, shown in sorted(picture.files.items())
    }
    return f"{files} links={[sorted(group) for group in picture.links]}"
