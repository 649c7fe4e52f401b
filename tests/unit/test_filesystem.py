"""The namespace: `.helios` and what it leads to, what is kept of it, and what no kernel refuses."""

from __future__ import annotations

import errno
import os
import stat
from typing import Any

import pytest

from heliosfs.clock import FixedClock
from heliosfs.commands.table import run
from heliosfs.errors import HeliosError, PosixError
from heliosfs.objects.ids import CommitId
from heliosfs.repo.branching import create_branch, delete_branch
from heliosfs.repo.identity import Identity
from heliosfs.repo.repository import Repository
from heliosfs.repo.undoing import undo
from heliosfs.store.memory import MemoryStore
from heliosfs.vfs.files import FILE_MAX_BYTES, Files, SetAttributes
from heliosfs.vfs.filesystem import FileSystem
from heliosfs.vfs.naming import Naming
from heliosfs.vfs.xattrs import XATTRS_MAX_BYTES, get_xattr, list_xattrs, set_xattr
from heliosfs.workspace.nodes import DirNode, FileNode, Node

FILE = stat.S_IFREG | 0o644
DIRECTORY = stat.S_IFDIR | 0o755


class Caller:
    """Calls as the kernel makes them, with the references that it holds."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        identity = Identity(b"n", b"e@x", 0, 0)
        self.repository = Repository.open(self.store, FixedClock(), identity)
        self.filesystem = FileSystem(self.repository)
        self.naming = Naming(self.filesystem)
        self.files = Files(self.filesystem)

    @property
    def root(self) -> DirNode:
        return self.repository.root.workspace.root

    def walk(self, path: str) -> Any:
        """The node at a path, links followed; each step is a reference."""
        node: Any = self.root
        trail = [node]
        parts = [part for part in path.split("/") if part]
        while parts:
            part = parts.pop(0)
            if part == "..":
                trail.pop()
                continue
            node = self.filesystem.lookup(trail[-1], part.encode())
            if node is None:
                raise PosixError(errno.ENOENT)
            node.lookups += 1
            if stat.S_ISLNK(node.mode):
                parts = self.filesystem.readlink(node).decode().split("/") + parts
            else:
                trail.append(node)
        return trail[-1]

    def write(self, path: str, data: bytes) -> FileNode:
        """Make a file, or replace its content."""
        directory, _, name = path.rpartition("/")
        parent = self.walk(directory)
        node: object = self.filesystem.lookup(parent, name.encode())
        if node is None:
            node = self.naming.create(parent, name.encode(), FILE, 0, 0)
        assert isinstance(node, FileNode)
        node.lookups += 1
        fh = self.files.open(node, os.O_WRONLY | os.O_TRUNC)
        self.files.write(self.files.handles[fh], 0, data)
        self.files.release(fh)
        return node

    def read(self, path: str) -> bytes:
        """The bytes of a file, opened and closed."""
        fh = self.files.open(self.walk(path), os.O_RDONLY)
        try:
            return bytes(self.files.read(self.files.handles[fh], 0, 1 << 20))
        finally:
            self.files.release(fh)

    def mkdir(self, path: str) -> None:
        directory, _, name = path.rpartition("/")
        self.naming.create(self.walk(directory), name.encode(), DIRECTORY, 0, 0)

    def names(self, path: str) -> list[str]:
        return sorted(name.decode() for name in self.filesystem.names(self.walk(path)))

    def forget_all(self) -> None:
        """The kernel drops its references, children before parents or after them."""
        for node in list(self.filesystem.nodes.values()):
            if node is not self.root and node.lookups:
                self.filesystem.forget(node.ino, node.lookups)

    def commit(self, message: str = "m") -> CommitId:
        return self.repository.root.commit(message)


@pytest.fixture
def caller() -> Caller:
    return Caller()


def code(call: Any, *arguments: Any, **keywords: Any) -> str:
    """The name of the errno that a call fails with; "ok" when it does not."""
    try:
        call(*arguments, **keywords)
    except HeliosError as error:
        return errno.errorcode[error.errno]
    return "ok"


def test_dot_helios_is_at_the_root_alone(caller: Caller) -> None:
    caller.mkdir("d")
    assert caller.names("") == ["d"]
    assert caller.names("d") == []
    assert caller.walk(".helios").mode == stat.S_IFDIR | 0o500
    assert code(caller.walk, "d/.helios") == "ENOENT"
    assert code(caller.mkdir, "d/.helios") == "EPERM"
    assert {"ctl", "snapshots", "branches", "HEAD"} <= set(caller.names(".helios"))


def plant(caller: Caller, directory: str) -> None:
    """Make `.helios/ctl/command` where no program can: as an import of such a tree does."""
    workspace = caller.repository.root.workspace
    above = caller.walk(directory) if directory else workspace.root
    for name in (b".helios", b"ctl"):
        assert isinstance(above, DirNode)
        above = workspace.create(above, name, stat.S_IFDIR | 0o755, 0, 0)
    assert isinstance(above, DirNode)
    workspace.create(above, b"command", stat.S_IFREG | 0o644, 0, 0)


def test_a_tree_has_no_say_in_what_dot_helios_is(caller: Caller) -> None:
    """Neither at the root of a view nor below it, in a live view, or in a snapshot."""
    caller.mkdir("d")
    for directory in ("", "d"):
        plant(caller, directory)
    commit = caller.commit()
    create_branch(caller.repository, "b", commit)
    for place in ("", ".helios/live/b/", f".helios/view/{commit.hex()}/"):
        assert caller.names(place.rstrip("/")) == ["d"]
        assert caller.names(f"{place}d") == []
        assert code(caller.walk, f"{place}d/.helios") == "ENOENT"
        if "view" in place:
            assert code(caller.walk, f"{place}.helios") == "ENOENT"
        else:
            assert caller.walk(f"{place}.helios").mode == stat.S_IFDIR | 0o500
            assert "stats" in caller.names(f"{place}.helios")
    assert code(caller.naming.rmdir, caller.root, b".helios") == "EPERM"
    assert code(caller.naming.rmdir, caller.root, b"d") == "ENOTEMPTY"
    caller.repository.configuration.set("mount.helios", "listed")
    assert sorted(caller.names("")) == [".helios", "d"]
    assert caller.names("d") == []
    # It is still part of what is committed.
    caller.write("file", b"one")
    caller.commit()
    listed = run(caller.repository, caller.repository.root, ["ls-files"]).splitlines()
    assert listed == [".helios/ctl/command", "d/.helios/ctl/command", "file"]
    run(caller.repository, caller.repository.root, ["rm", "-r", "-f", ".helios", "d"])
    assert run(caller.repository, caller.repository.root, ["ls-files"]) == "file\n"


def test_dot_helios_is_listed_when_that_is_set(caller: Caller) -> None:
    caller.write("file", b"one")
    caller.commit()
    create_branch(caller.repository, "b", caller.repository.root.head)
    live = ".helios/live/b"
    caller.walk(live)
    for value, expected in (("listed", [".helios", "file"]), ("hidden", ["file"])):
        caller.repository.configuration.set("mount.helios", value)
        stale = caller.repository.take_stale()
        assert set(stale.listings) == {caller.root.ino, caller.walk(live).ino}
        assert caller.root.is_listing_stale
        assert caller.names("") == caller.names(live) == expected
        assert caller.names(".helios/snapshots/HEAD") == ["file"]
        caller.repository.configuration.set("mount.helios", value)
        assert not caller.repository.take_stale()


@pytest.mark.parametrize("is_listed", [True, False])
def test_what_was_asked_for_a_mount_is_stronger_than_the_configuration(
    caller: Caller, is_listed: bool
) -> None:
    filesystem = FileSystem(caller.repository, is_listed)
    for value in ("listed", "hidden"):
        caller.repository.configuration.set("mount.helios", value)
        assert filesystem.names(caller.root) == [b".helios"] * is_listed


def test_a_snapshot_is_reached_by_its_link(caller: Caller) -> None:
    caller.write("file", b"one")
    first = caller.commit()
    caller.write("file", b"two")
    caller.commit()
    assert caller.read(".helios/snapshots/HEAD~1/file") == b"one"
    assert caller.read(f".helios/snapshots/{first.hex()}/file") == b"one"
    assert caller.read(f".helios/view/{first.hex()}/file") == b"one"
    assert code(caller.write, ".helios/snapshots/HEAD/file", b"") == "EROFS"
    assert code(caller.mkdir, ".helios/snapshots/HEAD/new") == "EROFS"
    assert code(caller.walk, ".helios/snapshots/HEAD/.helios") == "ENOENT"


def test_a_snapshot_has_the_same_inodes_while_the_kernel_knows_it(caller: Caller) -> None:
    caller.write("file", b"one")
    caller.commit()
    one = caller.walk(".helios/snapshots/HEAD/file")
    assert caller.walk(".helios/snapshots/main/file") is one


def test_what_was_looked_at_in_snapshots_is_let_go(caller: Caller) -> None:
    for number in range(20):
        caller.write("file", b"%d" % number * 1000)
        caller.write(f"other{number}", b"x")
        caller.commit()
    caller.walk(".helios/snapshots")
    caller.forget_all()
    nodes = len(caller.filesystem.nodes)
    resident = caller.repository.working_set.account.resident_bytes
    for number in range(20):
        assert caller.read(f".helios/snapshots/HEAD~{number}/file")
        assert caller.names(f".helios/snapshots/HEAD~{number}")
        assert caller.read(f".helios/diff/HEAD~{number}..HEAD") is not None
    caller.forget_all()
    assert len(caller.filesystem.nodes) == nodes
    assert caller.repository.working_set.account.resident_bytes == resident
    assert not caller.filesystem.dot._snapshots


def test_the_helios_of_deleted_branches_is_let_go(caller: Caller) -> None:
    caller.write("file", b"x")
    caller.commit()
    counts = set()
    for number in range(5):
        create_branch(caller.repository, f"b{number}", caller.repository.root.head)
        held = caller.walk(f".helios/live/b{number}/.helios/ctl")
        assert caller.read(f".helios/live/b{number}/.helios/branch") == b"b%d\n" % number
        assert caller.filesystem.nodes[held.ino] is held
        delete_branch(caller.repository, f"b{number}", force=True)
        caller.forget_all()
        counts.add(len(caller.filesystem.nodes))
    assert len(counts) == 1


def test_files_that_come_and_go_leave_nothing(caller: Caller) -> None:
    caller.write("kept", b"x")
    caller.mkdir("d")
    caller.forget_all()
    nodes = len(caller.filesystem.nodes)
    resident = caller.repository.working_set.account.resident_bytes
    for number in range(50):
        node = caller.write("d/file", b"content %d" % number)
        fh = caller.files.open(node, os.O_RDWR)
        caller.naming.unlink(caller.walk("d"), b"file")
        assert caller.files.read(caller.files.handles[fh], 0, 7) == b"content"
        caller.files.write(caller.files.handles[fh], 0, b"y" * 5000)
        caller.forget_all()
        assert node.ino in caller.filesystem.nodes
        caller.files.release(fh)
        assert node.ino not in caller.filesystem.nodes
    assert len(caller.filesystem.nodes) == nodes
    assert caller.repository.working_set.account.resident_bytes == resident
    assert caller.filesystem.repository.working_set.writers == 0
    assert caller.repository.root.workspace.handles == 0


def test_what_a_checkout_replaced_is_let_go(caller: Caller) -> None:
    for number in range(10):
        caller.write(f"file{number}", b"one")
    first = caller.commit()
    for number in range(10):
        caller.write(f"file{number}", b"two, longer")
    caller.commit()
    nodes = len(caller.filesystem.nodes)
    for _ in range(20):
        caller.repository.root.reset(first)
        for number in range(10):
            assert caller.read(f"file{number}") == b"one"
        undo(caller.repository, caller.repository.root)
        for number in range(10):
            assert caller.read(f"file{number}") == b"two, longer"
        caller.forget_all()
    assert len(caller.filesystem.nodes) <= nodes
    contents = caller.repository.working_set
    contents.reduce(0)
    contents.reduce(0)
    assert contents.account.resident_bytes == 0
    assert not contents._loaded


def test_clean_nodes_go_when_there_are_many(
    caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    caller.filesystem.repository.nodes_max = 0
    caller.mkdir("a")
    caller.mkdir("a/b")
    for number in range(50):
        caller.write(f"a/b/{number}", b"x")
    caller.commit()
    dirty = caller.write("a/dirty", b"not saved")
    caller.forget_all()
    kept = {node for node in caller.filesystem.nodes.values() if isinstance(node, Node)}
    assert dirty in kept
    assert len([node for node in kept if isinstance(node, FileNode)]) == 1
    assert caller.read("a/b/49") == b"x"
    assert caller.read("a/dirty") == b"not saved"
    assert caller.names("a/b") == sorted(map(str, range(50)))


def test_an_inode_number_is_never_given_twice(caller: Caller) -> None:
    seen = set()
    for number in range(50):
        ino = caller.write("file", b"x").ino
        assert ino not in seen
        seen.add(ino)
        caller.naming.unlink(caller.root, b"file")
        caller.forget_all()
        assert code(caller.filesystem.node, ino) == "ESTALE", number


def test_a_live_view_has_a_dot_helios_whose_links_lead_out(caller: Caller) -> None:
    caller.write("file", b"one")
    caller.commit()
    create_branch(caller.repository, "a/b/c", caller.repository.root.head)
    live = ".helios/branches/a/b/c"
    assert caller.read(f"{live}/file") == b"one"
    assert caller.read(f"{live}/.helios/branch") == b"a/b/c\n"
    assert caller.read(f"{live}/.helios/snapshots/HEAD/file") == b"one"
    assert caller.walk(f"{live}/.helios/branches/main") is caller.root
    assert caller.walk(f"{live}/.helios/branches/a/b/c") is caller.walk(live)
    assert caller.walk(f"{live}/.helios/live/a/b/c") is caller.walk(live)
    assert list(caller.names(f"{live}/.helios/view")) == []
    assert list(caller.names(f"{live}/.helios/live/a")) == []
    caller.write(f"{live}/file", b"two")
    assert caller.read("file") == b"one"


def test_between_workspaces_is_exdev(caller: Caller) -> None:
    file = caller.write("file", b"one")
    caller.commit()
    create_branch(caller.repository, "b", caller.repository.root.head)
    live = caller.walk(".helios/branches/b")
    snapshot = caller.walk(".helios/snapshots/HEAD")
    rename, link = caller.naming.rename, caller.naming.link
    assert code(rename, caller.root, b"file", live, b"x", 0) == "EXDEV"
    assert code(rename, live, b"file", caller.root, b"x", 0) == "EXDEV"
    assert code(rename, snapshot, b"file", caller.root, b"x", 0) == "EROFS"
    assert code(rename, caller.root, b"file", snapshot, b"x", 0) == "EROFS"
    assert code(link, file, live, b"x") == "EXDEV"
    assert code(link, caller.walk(".helios/snapshots/HEAD/file"), caller.root, b"x") == "EXDEV"
    assert code(link, caller.walk(".helios/HEAD"), caller.root, b"x") in ("EXDEV", "EPERM")


def test_a_view_that_is_shown_nowhere_is_stale(caller: Caller) -> None:
    caller.write("file", b"one")
    caller.commit()
    create_branch(caller.repository, "b", caller.repository.root.head)
    live = caller.walk(".helios/branches/b")
    reports = caller.walk(".helios/branches/b/.helios/ctl/reports")
    file = caller.walk(".helios/branches/b/file")
    delete_branch(caller.repository, "b")
    assert code(caller.filesystem.lookup, live, b"file") == "ESTALE"
    assert code(caller.naming.create, live, b"new", FILE, 0, 0) == "ESTALE"
    assert code(caller.files.open, file, os.O_RDWR) == "ESTALE"
    branch = caller.filesystem.lookup(reports, b"branch")
    assert code(caller.files.open, branch, os.O_RDONLY) in ("ENOENT", "ESTALE")
    caller.forget_all()
    assert file.ino not in caller.filesystem.nodes


def test_a_directory_that_was_removed_takes_nothing_in(caller: Caller) -> None:
    caller.mkdir("d")
    directory = caller.walk("d")
    caller.naming.rmdir(caller.root, b"d")
    assert code(caller.naming.create, directory, b"x", FILE, 0, 0) == "ENOENT"
    assert caller.filesystem.names(directory) == []
    assert directory.link_count == 0


def test_limits(caller: Caller) -> None:
    file = caller.write("file", b"x")
    fh = caller.files.open(file, os.O_RDWR)
    handle = caller.files.handles[fh]
    assert code(caller.files.write, handle, FILE_MAX_BYTES, b"x") == "EFBIG"
    set_attributes = caller.files.set_attributes
    assert code(set_attributes, file, SetAttributes(size=FILE_MAX_BYTES + 1)) == "EFBIG"
    set_attributes(file, SetAttributes(size=FILE_MAX_BYTES))
    assert caller.files.read(handle, FILE_MAX_BYTES - 10, 100) == bytes(10)
    assert caller.files.read(handle, FILE_MAX_BYTES, 100) == b""
    assert code(caller.naming.create, caller.root, b"x" * 256, FILE, 0, 0) == "ENAMETOOLONG"
    assert code(caller.filesystem.lookup, caller.root, b"x" * 256) == "ENAMETOOLONG"


@pytest.mark.parametrize("mtime_ns", [-(2**63), -1, 0, 2**63 - 1])
def test_any_time_that_fits_is_kept(caller: Caller, mtime_ns: int) -> None:
    file = caller.write("file", b"x")
    caller.files.set_attributes(file, SetAttributes(mtime_ns=mtime_ns))
    caller.commit()
    assert caller.walk(".helios/snapshots/HEAD/file").mtime_ns == mtime_ns


@pytest.mark.parametrize(
    ("asked", "kept"),
    [(2**63, 2**63 - 1), (-(2**63) - 1, -(2**63)), (2**80, 2**63 - 1)],
)
def test_a_time_that_does_not_fit_becomes_the_nearest_that_does(
    caller: Caller, asked: int, kept: int
) -> None:
    """utimensat(2) takes 64 bits of seconds; no file may be one that cannot be committed."""
    file = caller.write("file", b"x")
    caller.files.set_attributes(file, SetAttributes(atime_ns=asked, mtime_ns=asked))
    assert (file.atime_ns, file.mtime_ns) == (kept, kept)
    caller.commit()
    assert caller.walk(".helios/snapshots/HEAD/file").mtime_ns == kept


def test_user_xattrs(caller: Caller) -> None:
    file = caller.write("file", b"x")
    filesystem = caller.filesystem
    set_xattr(filesystem, file, b"user.a", b"1")
    set_xattr(filesystem, file, b"user.b", b"")
    assert code(set_xattr, filesystem, file, b"trusted.a", b"1") == "ENOTSUP"
    assert code(set_xattr, filesystem, file, b"user.big", bytes(XATTRS_MAX_BYTES + 1)) == "ENOSPC"
    assert code(get_xattr, file, b"user.none") == "ENODATA"
    assert code(set_xattr, filesystem, file, b"user.none", None) == "ENODATA"
    first = caller.commit()
    snapshot = caller.walk(".helios/snapshots/HEAD/file")
    assert list_xattrs(snapshot) == [b"user.a", b"user.b"]
    assert get_xattr(snapshot, b"user.a") == b"1"
    assert code(set_xattr, filesystem, snapshot, b"user.a", b"2") == "EROFS"
    set_xattr(filesystem, file, b"user.a", None)
    caller.commit()
    caller.repository.root.reset(first)
    assert list_xattrs(caller.walk("file")) == [b"user.a", b"user.b"]


def test_nothing_can_be_written_after_the_store_failed(caller: Caller) -> None:
    file = caller.write("file", b"x")
    fh = caller.files.open(file, os.O_RDWR)
    caller.filesystem.failure = "the mount is read-only since its store failed"
    assert code(caller.write, "file", b"y") == "EROFS"
    assert code(caller.mkdir, "d") == "EROFS"
    assert code(caller.files.write, caller.files.handles[fh], 0, b"y") == "EROFS"
    assert code(caller.files.open, file, os.O_WRONLY) == "EROFS"
    assert caller.read("file") == b"x"


def test_virtual_files_know_their_size_only_when_it_is_fixed(caller: Caller) -> None:
    assert caller.walk(".helios/.gitignore").size == len("/*\n")
    assert caller.walk(".helios/README").size > 500
    assert caller.walk(".helios/HEAD").size == 0


def test_hard_links_over_a_commit_and_a_reset(caller: Caller) -> None:
    """The names of one file stay one file, whichever of them a reset brings back."""
    one = caller.write("one", b"x")
    caller.naming.link(one, caller.root, b"two")
    first = caller.commit()
    caller.naming.rename(caller.root, b"one", caller.root, b"renamed", 0)
    caller.naming.link(one, caller.root, b"three")
    caller.commit()
    caller.repository.root.reset(first)
    assert {caller.walk(name).ino for name in ("one", "two")} == {caller.walk("one").ino}
    assert caller.walk("one").link_count == 2
    undo(caller.repository, caller.repository.root)
    nodes = {caller.walk(name) for name in ("renamed", "two", "three")}
    assert len(nodes) == 1
    assert nodes.pop().link_count == 3
