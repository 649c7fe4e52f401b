"""Verbs that the actors of a simulation run through control files."""

from __future__ import annotations

import errno
import json
import os
import shutil
import stat
from typing import cast

import trio

from tests.simulation.actions import BRANCHES, Actor, Failed, Place, outcome
from tests.simulation.effects import check
from tests.simulation.kernel import Handle
from tests.simulation.model import PathBytes
from tests.simulation.mount import CALLERS, Fault

SETTINGS = {
    "durability.mode": ("sync", "async"),
    "durability.interval": ("1ms", "1s"),
    "durability.checkpoint_interval": ("10ms", "1s"),
    "mount.helios": ("listed", "hidden"),
    "checkout.times": ("commit", "now"),
    "performance.compression": ("zstd", "lz4"),
    "performance.working_set": ("16MB", "1GB"),
    "performance.l1_cache_size": ("0B", "1MB"),
    "ai_optimizations.snapshot_retention": ("0", "1", "3", "500"),
    "cleanup.auto_gc_enabled": ("true", "false"),
    "cleanup.snapshot_ttl": ("0s", "30d"),
    "cleanup.interval": ("1ms", "1s", "1h"),
}
COLLECTIONS = (
    ("gc",),
    ("gc",),
    ("gc", "--dry-run"),
    ("gc", "--aggressive"),
    ("gc", "--remove-old-snapshots", "--before=0s"),
    ("gc", "--aggressive", "--remove-old-snapshots", "--before=0s"),
)
SOURCES = ("a", "b", "d/a", "d/b/c")
"""Files of a directory elsewhere."""
LOOKS = (("status",), ("log",), ("log", "-p"), ("diff",), ("fsck",), ("grep", "a"))
_DOT = b".helios"


class VerbActor(Actor):
    """An actor that runs verbs, too."""

    async def _channel(self, place: Place) -> Handle | None:
        """Open a control file; None if the place is gone."""
        path = (*place.prefix, _DOT, b"ctl", b"command")
        handle = await outcome(self.cache.retried(self.cache.open, path, os.O_RDWR, self.pid))
        if isinstance(handle, Failed):
            if handle.code not in (errno.ENOENT, errno.ESTALE):
                raise Fault(f"no control file in {place}: {os.strerror(handle.code)}")
            return None
        return cast("Handle", handle)

    async def _verb(self, *words: str, place: Place | None = None) -> str:
        """Run a verb by a control file; returns the reply, or the error."""
        place = place or Place(self.model.root, ())
        handle = await self._channel(place)
        if handle is None:
            return ""
        line = " ".join(f"'{word}'" if " " in word else word for word in words)
        self.oracle.asked[trio.lowlevel.current_task()] = self.cache.store_count
        try:
            written = await outcome(self.cache.write(handle, 0, line.encode() + b"\n"))
            text = await outcome(self.cache.read(handle, len(line) + 1, 1 << 16))
        finally:
            if not self.disk.is_dead:
                await self.cache.close(handle)
        reply = text.decode("utf-8", "surrogateescape") if isinstance(text, bytes) else repr(text)
        self.log.append(f"{line} in {place.branch!r}: {written} {reply[:120]!r}")
        if (
            isinstance(written, Failed)
            and written.code == errno.EIO
            and not self._is_excused(written)
            and not (words[0] == "fsck" and self.life.repository.findings)
        ):
            raise Fault(f"{line}: {reply}")
        self._code = written.code if isinstance(written, Failed) else 0
        return reply

    _code = 0
    """The errno of the last verb."""

    async def do_commit(self) -> None:
        words = ["commit", "-m", f"commit {self.oracle.verbs}"]
        is_safe = self.random.random() < 0.3
        if is_safe:
            words.insert(1, "--sync")
        await self._verb(*words, place=self._place())
        if is_safe and not self._code:
            self._promise()

    async def do_branch(self) -> None:
        words = self.random.choice((("branch",), ("branch", "--fork"), ("checkout", "-b")))
        free = [name for name in BRANCHES if name not in self.model.works]
        await self._verb(*words, self.random.choice(free or BRANCHES))

    def _branch(self) -> str:
        """A branch, mostly one that is there."""
        there = [name for name in self.model.works if name and name != self.model.root]
        if there and self.random.random() < 0.9:
            return self.random.choice(there)
        return self.random.choice(BRANCHES)

    async def do_delete_branch(self) -> None:
        await self._verb("branch", "-D", self._branch())

    async def do_checkout(self) -> None:
        await self._verb("checkout", self._branch())

    async def do_detach(self) -> None:
        await self._verb("checkout", self._revision())

    def _revision(self) -> str:
        commits = sorted(self.model.commits)
        words = ["HEAD", "HEAD~1", "HEAD~1", *self.model.tags]
        if commits and self.random.random() < 0.6:
            return self.random.choice(commits).hex()
        return self.random.choice(words)

    async def do_reset(self) -> None:
        how = self.random.choice(("--hard", "--hard", "--soft", "--mixed"))
        await self._verb("reset", how, self._revision(), place=self._place())

    async def do_undo(self) -> None:
        await self._verb("undo", place=self._place())

    async def do_redo(self) -> None:
        await self._verb("redo", place=self._place())

    async def do_tag(self) -> None:
        await self._verb("tag", "-f", f"t{self.random.randrange(3)}", self._revision())

    async def do_stash(self) -> None:
        await self._verb("stash", place=self._place())

    async def do_pop(self) -> None:
        await self._verb("stash", "pop", place=self._place())

    async def do_merge(self) -> None:
        await self._verb("merge", self._branch(), place=self._place())

    async def do_add(self) -> None:
        place = self._place()
        await self._verb("add", self._word(place), place=place)

    def _word(self, place: Place) -> str:
        return b"/".join(self._file(place)).decode()

    async def do_restore(self) -> None:
        place = self._place()
        how = self.random.choice((("-s", "HEAD~1"), ("--staged",), ("--saved",), ()))
        await self._verb("restore", *how, self._word(place), place=place)

    async def do_remove(self) -> None:
        place = self._place()
        await self._verb("rm", "-r", "-f", self._word(place), place=place)

    async def do_pick(self) -> None:
        place = self._place()
        verb = self.random.choice(("cherry-pick", "revert"))
        how = self.random.choice(((), ("-n",), ("--markers",)))
        await self._verb(verb, *how, self._revision(), place=place)

    async def do_conclude(self) -> None:
        """End what a merge or a pick has left open."""
        place = self._place()
        verb = self.random.choice(("merge", "cherry-pick", "revert"))
        how = self.random.choice(("--abort", "--continue"))
        await self._verb(verb, how, place=place)

    async def do_merge_marked(self) -> None:
        how = self.random.choice(("--markers", "--no-commit", "--squash", "--theirs", "--no-ff"))
        await self._verb("merge", how, self._branch(), place=self._place())

    async def do_amend(self) -> None:
        await self._verb("commit", "--amend", "-m", "again", place=self._place())

    async def do_experiment(self) -> None:
        name = f"e{self.random.randrange(2)}"
        words = self.random.choice(
            (("start", name), ("start", name, "--checkout"), ("finish", name), ("abandon", name))
        )
        await self._verb("experiment", *words)

    async def do_configure(self) -> None:
        key, values = self.random.choice(sorted(SETTINGS.items()))
        if self.random.random() < 0.2:
            await self._verb("config", "unset", key)
        else:
            await self._verb("config", key, self.random.choice(values))
        # On the disk when it is answered, and in force.
        if not self._code and len(self.model.settings) > 1:
            raise Fault(f"{key} was not written")

    async def do_collect_soon(self) -> None:
        """Let the mount collect by itself after each change, when it is idle for a moment."""
        await self._verb("config", "cleanup.interval", "1ms")
        await self._verb("config", "cleanup.auto_gc_enabled", "true")
        if self.random.random() < 0.5:
            await trio.sleep(1.0)
            await self.do_undo()

    async def do_import_directory(self) -> None:
        """Take in the files of a directory elsewhere."""
        path = self.disk.path.with_name(f"{self.disk.path.name}-source-{self.pid}")
        place = self._place()
        wanted: dict[PathBytes, bytes] = {}
        count = len(self.model.works[place.branch].versions) - 1
        self.oracle.sources[str(path)] = max(0, count), wanted
        path.mkdir()
        try:
            for name in self.random.sample(SOURCES, 2):
                wanted[tuple(os.fsencode(name).split(b"/"))] = data = self._bytes()
                (path / name).parent.mkdir(parents=True, exist_ok=True)
                (path / name).write_bytes(data)
            await self._verb("import", "--from-dir", str(path), place=place)
        finally:
            shutil.rmtree(path)

    async def do_rename_branch(self) -> None:
        await self._verb("branch", "-m", self._branch(), f"r{self.random.randrange(3)}")

    async def do_status(self) -> None:
        await self._verb(self.random.choice(("status", "log", "diff", "oplog", "branch")))

    async def do_gc(self) -> None:
        await self._verb(*self.random.choice(COLLECTIONS))
        if self.random.random() < 0.5:
            await self.do_undo()

    async def do_interrupted(self) -> None:
        """Run a verb whose caller gets a signal meanwhile."""
        CALLERS.signal(self.pid, self.random.randrange(12))
        line = self.random.choice((*COLLECTIONS, *COLLECTIONS, *LOOKS))
        try:
            await self._verb(*line, place=self._place())
        finally:
            CALLERS.calm(self.pid)

    async def do_abandoned(self) -> None:
        """Die while a long verb tells of its progress."""
        handle = await self._channel(Place(self.model.root, ()))
        if handle is None:
            return
        words = self.random.choice(COLLECTIONS)
        line = json.dumps({"argv": words, "progress": True}).encode() + b"\n"
        try:
            at = await outcome(self.cache.write(handle, 0, line))
            count = self.random.choice((0, 1, 4, 20))
            while not isinstance(at, Failed) and count:
                count -= 1
                data = await outcome(self.cache.read(handle, len(line), 1 << 16))
                if isinstance(data, Failed) or not data.startswith(b"progress: "):
                    break
        finally:
            if not self.disk.is_dead:
                await self.cache.close(handle)

    async def do_fsck(self) -> None:
        reply = await self._verb("fsck")
        is_excused = self._code == errno.EBUSY or self.disk.has_failed or self.disk.is_full
        if "error: " in reply and not is_excused and not self.life.repository.findings:
            raise Fault(f"fsck: {reply}")

    async def do_look_back(self) -> None:
        """Read a commit through `.helios/view`."""
        if not self.model.commits:
            return
        oid = self.random.choice(sorted(self.model.commits))
        prefix = (_DOT, b"view", oid.hex().encode())
        for path, shown in sorted(self.model.commits[oid].files.items()):
            if not stat.S_ISREG(shown.mode):
                continue
            handle = await outcome(self.cache.retried(self.cache.open, prefix + path, os.O_RDONLY))
            if isinstance(handle, Failed):
                if oid in self.oracle.kept_commits() and not self._is_excused(handle):
                    raise Fault(f"{path} of {oid.hex()[:8]}: {os.strerror(handle.code)}")
                return
            data = await outcome(self.cache.read(handle, 0, 1 << 20))
            await self.cache.close(handle)
            check(f"{path} of commit {oid.hex()[:8]}", data, shown.data)
