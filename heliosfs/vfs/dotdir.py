"""The directory `.helios` of a view, with its reports, control files, snapshots and branches."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from weakref import WeakValueDictionary

from heliosfs.commands import dotfiles
from heliosfs.commands.table import VERBS, Verb
from heliosfs.errors import HeliosError, NotFound
from heliosfs.objects.ids import CommitId, Oid
from heliosfs.repo.repository import Repository
from heliosfs.repo.revisions import is_stable, resolve
from heliosfs.repo.view import View
from heliosfs.steps import Steps
from heliosfs.vfs.control import (
    Channel,
    CommandChannel,
    ErrorLog,
    HookChannel,
    MessageChannel,
)
from heliosfs.vfs.virtual import (
    BuiltText,
    ControlDir,
    ControlFile,
    FixedText,
    LinkDir,
    MountContext,
    MountPoint,
    PlaceDir,
    VirtualDir,
    VirtualLink,
    VirtualNode,
    VirtualText,
)
from heliosfs.workspace.nodes import DirNode
from heliosfs.workspace.workspace import Workspace

_IGNORE = "/*\n"
"""Pattern for all of `.helios`.  It is anchored, because some programs match the files of a live
view, too, against the ignore files above it."""
REPORTS = b"reports"
"""Directory of the texts beside the control files: what the daemon must open lies there."""
CONFINED = b"confined"
"""Directory of the control files that `helios run --sandbox` shows in place of all of them."""
HOOK = "hook"
_ABOVE_LIVE_VIEWS = {
    b".gitignore": _IGNORE,
    b".ignore": _IGNORE,
    b".editorconfig": "root = true\n",
}
"""Files that programs look for in the directories above a live view.  The last one ends their
search, which would else find the settings of the branch at the mount point."""


class DotDirs:
    """The `.helios` directories of all open views.

    Snapshots and live views lie in that of the root alone, so that a directory has one path.
    A live view has links to them under the same names; `helios run` mounts the directories of
    the root over these links, where the live view is mounted somewhere else.
    """

    def __init__(self, repository: Repository, site: MountContext) -> None:
        self._repository = repository
        self._site = site
        self.errors = ErrorLog()
        self._snapshots = repository.open_snapshots
        self._live: dict[int, VirtualDir] = {}
        self._gone: list[list[VirtualNode]] = []
        """Control files of views that are gone, of those mounts that the kernel still has."""
        self._nested: WeakValueDictionary[str, VirtualDir] = WeakValueDictionary()
        self.on_shown: Callable[[MountPoint], None] = lambda _point: None
        """Function to call when a program looks up a live view, with the mount point in it."""
        places = PlaceDir(site, self._find_view), PlaceDir(site, self._find_live)
        self._root = _DotDir(self, repository, site, lambda: repository.root, places).directory

    def of(self, workspace: Workspace) -> VirtualDir | None:
        """Return the `.helios` at the root of a workspace; None for a snapshot, which has none."""
        if workspace is self._repository.root.workspace:
            return self._root
        for slot, view in self._repository.live.items():
            if view.workspace is workspace:
                if slot not in self._live:
                    self._drop_gone()
                    find = partial(self._view_of_slot, slot)
                    self._live[slot] = _DotDir(self, self._repository, self._site, find).directory
                return self._live[slot]
        return None

    def mount_point(self, workspace: Workspace) -> MountPoint:
        """Return the mount point in the `.helios` of a workspace that shows a branch."""
        directory = self.of(workspace)
        assert directory is not None
        return _mount_point(directory)

    def drop_snapshot(self, workspace: Workspace) -> None:
        """Drop the tree of a commit, now that the kernel has forgotten its root."""
        for oid, held in self._snapshots.items():
            if held is workspace:
                del self._snapshots[oid]
                return

    def unmounted(self, device: int) -> None:
        """Note that the kernel has forgotten the nodes of a mount inside, which it does not tell.

        `device` is the descriptor that the mount had.
        """
        roots = [self._root, *self._live.values()]
        shown = [[*_mount_point(directory).control.descendants()] for directory in roots]
        for nodes in [*shown, *self._gone]:
            site = nodes[0].site
            if site.fd == device:
                site.fd = None
                for node in [*nodes, *site.passing]:
                    node.forget(node.lookups)
                    _reclaim(node)
        self._gone = [nodes for nodes in self._gone if nodes[0].site.fd is not None]

    def _drop_gone(self) -> None:
        """Drop the `.helios` of each view that is no longer open.

        What the kernel refers to goes with its last reference.
        """
        for slot in self._live.keys() - self._repository.live.keys():
            directory = self._live.pop(slot)
            inner = [*_mount_point(directory).control.descendants()]
            for node in [*directory.descendants(), *inner]:
                node.is_fixed = False
                # Without this they would refer to each other, and wait for a collection of all
                # garbage, which a daemon hardly ever makes.
                if isinstance(node, VirtualDir):
                    node.children = {}
                _reclaim(node)
            if inner[0].site.fd is not None:
                self._gone.append(inner)

    def prefix_directory(self, path: str, make: Callable[[], VirtualDir]) -> VirtualDir:
        """Return the directory for a prefix of branch names with slashes; make it if need be."""
        directory = self._nested.get(path)
        if directory is None:
            directory = self._nested[path] = make()
        return directory

    def _view_of_slot(self, slot: int) -> View:
        view = self._repository.live.get(slot)
        if view is None:
            raise NotFound("the branch of this view was deleted, or is shown elsewhere now")
        return view

    def _find_view(self, name: bytes) -> DirNode | None:
        text = name.decode("ascii", "replace")
        if not is_stable(text):
            return None
        oid = CommitId(Oid(bytes.fromhex(text)))
        workspace = self._snapshots.get(oid)
        if workspace is None:
            # A tree or file has an id as well, and a commit that is not listed is garbage.
            if oid not in self._repository.history:
                return None
            workspace = self._snapshots[oid] = self._repository.snapshot(oid)
        return workspace.root

    def _find_live(self, name: bytes, prefix: str = "") -> DirNode | VirtualDir | None:
        path = prefix + _text(name)
        refs = self._repository.refs
        branch = refs.find(path)
        if branch is None:
            if not refs.is_prefix(path):
                return None
            find = partial(self._find_live, prefix=path + "/")
            return self.prefix_directory(
                f"live {path}", lambda: PlaceDir(self._site, find, is_fixed=False)
            )
        # A branch is shown at one place: this one is at the mount point.
        if branch.slot == self._repository.root.slot:
            return None
        workspace = self._repository.live_view(path).workspace
        if self._site.is_split:
            self.on_shown(self.mount_point(workspace))
        return workspace.root


def _mount_point(directory: VirtualDir) -> MountPoint:
    point = directory.children[b"ctl"]
    assert isinstance(point, MountPoint)
    return point


def _reclaim(node: VirtualNode) -> None:
    if not (node.is_fixed or node.is_used):
        node.site.inodes.nodes.pop(node.ino, None)


class _DotDir:
    """Builder of the `.helios` of one view, and the functions by which its nodes find things.

    `view` is called at each use, since the branch of a view may change or be deleted.
    """

    def __init__(
        self,
        owner: DotDirs,
        repository: Repository,
        site: MountContext,
        view: Callable[[], View],
        places: tuple[VirtualDir, VirtualDir] | None = None,
    ) -> None:
        self._owner = owner
        self._repository = repository
        self._site = site
        self._view = view
        self.directory = VirtualDir(site)
        children = self.directory.children
        children[b"README"] = FixedText(site, dotfiles.readme())
        for name, text in _ABOVE_LIVE_VIEWS.items():
            children[name] = FixedText(site, text)
        self._inner = site.inner()
        control = self._control()
        children[b"ctl"] = MountPoint(site, control, self._place)
        reports = control.children[REPORTS]
        assert isinstance(reports, VirtualDir)
        for report_name in reports.children:
            target = b"ctl/%s/%s" % (REPORTS, report_name)
            children[report_name] = VirtualLink(site, target, is_fixed=True)
        children[b"snapshots"] = LinkDir(site, self._find_snapshot, self._list_snapshots)
        children[b"branches"] = self._branches("")
        children[b"view"], children[b"live"] = places or (
            LinkDir(site, self._find_view, _no_names),
            self._branches("", is_listed=False),
        )

    def _reports(self) -> dict[bytes, VirtualNode]:
        """Make the texts that are generated when they are opened."""
        site = self._inner
        reports: dict[bytes, VirtualNode] = {}
        for report_name, report in dotfiles.FILES.items():
            reports[report_name.encode()] = VirtualText(site, partial(self._report, report))
        for built_name, build in dotfiles.BUILT_FILES.items():
            steps = partial(self._build, build)
            barrier = built_name in dotfiles.OF_WORKING_STATE
            store = self._repository.store
            reports[built_name.encode()] = BuiltText(site, steps, store, barrier=barrier)
        reports[b"diff"] = PlaceDir(site, self._find_diff)
        return reports

    def _place(self) -> bytes:
        """Return the path of the control files below the mount point of the workspace."""
        view = self._view()
        if view is self._repository.root:
            return b".helios/ctl"
        return b".helios/live/%s/.helios/ctl" % _bytes(view.branch or "")

    def _report(self, report: Callable[[Repository, View], str]) -> str:
        return report(self._repository, self._view())

    def _build(self, build: Callable[[Repository, View], Steps[str]]) -> Steps[str]:
        return build(self._repository, self._view())

    def _top(self) -> bytes:
        """Return the relative path from a directory of this `.helios` to the root's `.helios`."""
        view = self._view()
        if view is self._repository.root:
            return b"../"
        return b"../../../../" + b"../" * (view.branch or "").count("/")

    def _control(self) -> ControlDir:
        """Make the directory of the control files, with that for sandboxes in it."""
        directory = self._control_files(is_confined=False)
        directory.children[CONFINED] = confined = self._control_files(is_confined=True)
        for each in (directory, confined):
            each.children[REPORTS] = reports = VirtualDir(self._inner)
            reports.children.update(self._reports())
        return directory

    def _control_files(self, *, is_confined: bool) -> ControlDir:
        site = self._inner
        directory = ControlDir(site)
        channel = partial(self._open_channel, None, is_confined)
        directory.children[b"command"] = ControlFile(site, channel, is_long=True)
        for name, verb in VERBS.items():
            if not verb.control_file or (is_confined and not verb.is_confined and name != HOOK):
                continue
            channel = partial(self._open_channel, verb, is_confined)
            is_long = verb.is_long or verb.can_read
            directory.children[name.encode()] = ControlFile(site, channel, is_long=is_long)
        directory.children[b"error"] = VirtualText(site, self._owner.errors.text)
        return directory

    def _open_channel(self, verb: Verb | None, is_confined: bool) -> Channel:
        errors, repository, view = self._owner.errors, self._repository, self._view
        if verb is None:
            usage = dotfiles.command_usage
            return CommandChannel(errors, repository, view, None, usage, is_confined=is_confined)
        if verb.name == "commit":
            return MessageChannel(errors, repository, view)
        usage = partial(dotfiles.control_usage, verb)
        if verb.name == HOOK:
            return HookChannel(errors, repository, view, usage, is_confined=is_confined)
        return CommandChannel(errors, repository, view, verb.name, usage, is_confined=is_confined)

    def _find_snapshot(self, name: bytes) -> bytes | None:
        try:
            oid = resolve(self._repository, _text(name), self._view().head)
            return b"../view/" + oid.hex().encode()
        except HeliosError:
            return None

    def _list_snapshots(self) -> Iterator[bytes]:
        return (oid.hex().encode() for oid in self._repository.history.ids())

    def _find_view(self, name: bytes) -> bytes | None:
        return self._top() + b"view/" + name if is_stable(_text(name)) else None

    def _branches(self, prefix: str, *, is_listed: bool = True) -> LinkDir:
        """Make a directory of links to branches: `branches`, or the `live` of a live view."""
        return LinkDir(
            self._site,
            partial(self._find_branch, prefix, is_listed),
            partial(self._list_branches, prefix) if is_listed else _no_names,
            is_fixed=not prefix,
        )

    def _find_branch(self, prefix: str, is_listed: bool, name: bytes) -> bytes | VirtualDir | None:
        path = prefix + _text(name)
        refs = self._repository.refs
        branch = refs.find(path)
        if branch is None:
            if not refs.is_prefix(path):
                return None
            key = f"branches {id(self)} {is_listed} {path}"
            return self._owner.prefix_directory(
                key, lambda: self._branches(path + "/", is_listed=is_listed)
            )
        up = b"../" * prefix.count("/")
        is_way_out = self._view() is self._repository.root or not is_listed
        if self._repository.root.slot == branch.slot and is_way_out:
            return up + self._top() + b".."
        return up + (b"../" if is_listed else self._top()) + b"live/" + _bytes(path)

    def _list_branches(self, prefix: str) -> Iterator[bytes]:
        names = {
            branch.name[len(prefix) :].split("/", 1)[0]: None
            for branch in self._repository.refs
            if branch.name.startswith(prefix)
        }
        return (_bytes(name) for name in names)

    def _find_diff(self, name: bytes) -> VirtualText | None:
        old, dots, new = _text(name).partition("..")
        if not dots:
            return None
        try:
            for revision in (old, new):
                resolve(self._repository, revision or "HEAD", self._view().head)
        except HeliosError:
            return None

        def steps() -> Steps[str]:
            return dotfiles.diff_text(self._repository, self._view(), old, new)

        return BuiltText(self._inner, steps, self._repository.store, is_fixed=False)


def _text(name: bytes) -> str:
    return name.decode("utf-8", "surrogateescape")


def _bytes(name: str) -> bytes:
    return name.encode("utf-8", "surrogateescape")


def _no_names() -> Iterator[bytes]:
    return iter(())
