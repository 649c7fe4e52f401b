"""Ordinary programs at work in a mounted workspace."""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.mount.programs import CACHING_PYTHON, names, put, run, shell

if TYPE_CHECKING:
    from tests.mount.conftest import Mounted, Mounter

STDLIB = Path(os.__file__).parent
PACKAGES = ("asyncio", "email", "encodings", "json", "lib2to3", "multiprocessing", "unittest")


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A few hundred files of the standard library, with links among them."""
    tree = tmp_path_factory.mktemp("sources") / "tree"
    for name in PACKAGES:
        if (STDLIB / name).is_dir():
            ignore = shutil.ignore_patterns("__pycache__")
            shutil.copytree(STDLIB / name, tree / name, symlinks=True, ignore=ignore)
    (tree / "link").symlink_to("json/decoder.py")
    (tree / "dangling").symlink_to("nowhere")
    os.link(tree / "json/encoder.py", tree / "hard")
    (tree / "json/tool.py").chmod(0o4711)
    os.utime(tree / "json/__init__.py", ns=(1, 1_234_567_890_123_456_789))
    (tree / "empty").mkdir(mode=0o700)
    assert sum(len(files) for _, _, files in os.walk(tree)) > 300
    return tree


def describe(root: Path) -> dict[str, tuple[object, ...]]:
    """Return what `cp -a` is to keep of every path below a directory."""
    found: dict[str, tuple[object, ...]] = {}
    for directory, directories, files in os.walk(root):
        for name in [*directories, *files]:
            path = Path(directory, name)
            status = path.lstat()
            links = status.st_nlink if stat.S_ISREG(status.st_mode) else 0
            size = 0 if stat.S_ISDIR(status.st_mode) else status.st_size
            found[str(path.relative_to(root))] = (
                oct(status.st_mode),
                status.st_uid,
                status.st_gid,
                size,
                status.st_mtime_ns,
                links,
                os.readlink(path) if path.is_symlink() else "",
            )
    return found


def test_a_source_tree_is_copied_compiled_and_kept(mounted: Mounted, sources: Path) -> None:
    run("cp", "-a", sources, "tree", cwd=mounted.path)
    run("diff", "-r", "--no-dereference", sources, "tree", cwd=mounted.path)
    assert describe(mounted.path / "tree") == describe(sources)
    mounted.commit("as it came")
    run(*CACHING_PYTHON, "-m", "compileall", "-q", "tree/json", "tree/asyncio", cwd=mounted.path)
    assert list((mounted.path / "tree/json/__pycache__").glob("*.pyc"))
    shutil.rmtree(mounted.path / "tree/json/__pycache__")
    shutil.rmtree(mounted.path / "tree/asyncio/__pycache__")
    assert mounted.command("commit", "-m", "only times").returncode == 1
    mounted.remount()
    run("diff", "-r", "--no-dereference", sources, "tree", cwd=mounted.path)
    run("cp", "-a", "tree", "again", cwd=mounted.path)
    assert describe(mounted.path / "again") == describe(mounted.path / "tree")
    assert describe(mounted.path / ".helios/snapshots/HEAD/tree") == describe(sources)


def test_a_tar_round_trip(mounted: Mounted, sources: Path) -> None:
    shell(f"tar -C {sources} --posix -cf - . | tar xf -", cwd=mounted.path)
    shell("tar --posix -cf ../t.tar * && mkdir out && tar xf ../t.tar -C out", cwd=mounted.path)
    assert describe(mounted.path / "out") == describe(sources)


def test_git_clones_and_commits(mounted: Mounted, sources: Path, tmp_path: Path) -> None:
    origin = tmp_path / "origin"
    shutil.copytree(sources, origin, symlinks=True)
    git = ["git", "-c", "user.name=n", "-c", "user.email=e@x"]
    run(*git, "init", "-q", "-b", "main", cwd=origin)
    run(*git, "add", ".", cwd=origin)
    run(*git, "commit", "-qm", "one", cwd=origin)
    run(*git, "clone", "-q", origin, "clone", cwd=mounted.path)
    clone = mounted.path / "clone"
    assert run(*git, "status", "--porcelain", cwd=clone).stdout == ""
    put(clone / "json/decoder.py", "changed\n")
    (clone / "link").unlink()
    assert run(*git, "status", "--porcelain", cwd=clone).stdout == " M json/decoder.py\n D link\n"
    run(*git, "commit", "-qam", "two", cwd=clone)
    run(*git, "gc", "-q", cwd=clone)
    run(*git, "fsck", "--strict", cwd=clone)
    run(*git, "checkout", "-q", "HEAD~1", cwd=clone)
    assert (clone / "json/decoder.py").read_text() == (sources / "json/decoder.py").read_text()


def test_a_workspace_may_itself_be_a_git_tree_without_dot_helios(mounted: Mounted) -> None:
    run("git", "init", "-q", ".", cwd=mounted.path)
    put(mounted.path / "a", "a\n")
    assert run("git", "status", "--porcelain", cwd=mounted.path).stdout == "?? a\n"


def test_append_by_several_processes(mounted: Mounted) -> None:
    shell(
        "for w in 1 2 3 4; do (for i in $(seq 50); do echo $w-$i >> log; done) & done; wait",
        cwd=mounted.path,
    )
    lines = (mounted.path / "log").read_text().splitlines()
    assert sorted(lines) == sorted(f"{w}-{i}" for w in range(1, 5) for i in range(1, 51))


def test_rename_as_editors_save(mounted: Mounted) -> None:
    path = mounted.path / "file"
    put(path, "old\n")
    for number in range(20):
        put(mounted.path / ".file.swp", f"version {number}\n")
        os.rename(mounted.path / ".file.swp", path)
        assert path.read_text() == f"version {number}\n"
    put(mounted.path / "file~", "backup\n")
    assert names(mounted.path) == ["file", "file~"]


def test_sqlite_in_wal_mode(mounted: Mounted) -> None:
    import sqlite3

    path = mounted.path / "data.db"
    one = sqlite3.connect(path, isolation_level=None)
    assert one.execute("pragma journal_mode=wal").fetchone() == ("wal",)
    one.execute("create table t (value)")
    other = sqlite3.connect(path, isolation_level=None)
    for number in range(50):
        (one if number % 2 else other).execute("insert into t values (?)", (number,))
    assert one.execute("select count(*), sum(value) from t").fetchone() == (50, 1225)
    assert other.execute("pragma integrity_check").fetchone() == ("ok",)
    one.close()
    other.close()
    mounted.remount()
    again = sqlite3.connect(path)
    assert again.execute("select count(*) from t").fetchone() == (50,)
    again.close()


def test_make_and_a_compiler(mounted: Mounted) -> None:
    put(mounted.path / "main.c", '#include <stdio.h>\nint main(void) { puts("ok"); return 0; }\n')
    put(mounted.path / "Makefile", "prog: main.o\n\tcc -o $@ $^\n")
    run("make", "-s", cwd=mounted.path)
    assert run("./prog", cwd=mounted.path).stdout == "ok\n"
    assert "up to date" in run("make", cwd=mounted.path).stdout
    (mounted.path / "main.c").touch()
    assert "main.c" in run("make", cwd=mounted.path).stdout


@pytest.mark.parametrize("shared", [False, True])
def test_modes_are_kept_to_for_other_users(mounter: Mounter, *, shared: bool) -> None:
    """Another user reads no file that its mode keeps from him, in history and diffs neither."""
    workspace = mounter("-o", "allow_other=history" if shared else "allow_other")
    # Whoever asks must reach the mount point.
    for parent in workspace.path.parents:
        if str(parent).startswith("/tmp/"):
            parent.chmod(parent.stat().st_mode | 0o011)
    put(workspace.path / "secret", "x")
    (workspace.path / "secret").chmod(0o600)
    put(workspace.path / "public", "x")
    (workspace.path / "drop").mkdir()
    (workspace.path / "drop").chmod(0o1777)
    put(workspace.path / "drop/mine", "x")
    workspace.commit("what others may see")
    script = (
        "cat public; cat secret; echo x > public; rm drop/mine; echo x > new; echo y > drop/new;"
        " echo msg > .helios/ctl/commit; cat .helios/branch;"
        " cat .helios/diff/HEAD.. .helios/report.html .helios/snapshots/HEAD/public"
        " .helios/oplog .helios/status > /dev/null && echo all of it"
    )
    done = run(
        "setpriv",
        "--reuid=1000",
        "--regid=1000",
        "--clear-groups",
        "sh",
        "-c",
        script,
        cwd=workspace.path,
        ok=False,
    )
    assert done.stdout == ("xmain\nall of it\n" if shared else "x")
    refused = done.stderr.lower().count("denied") + done.stderr.count("not permitted")
    assert refused == (5 if shared else 11)
    assert (workspace.path / "drop/new").stat().st_uid == 1000
