"""`helios doctor`: checks of this machine and this workspace, each with its remedy."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import NamedTuple

from heliosfs import __version__, mounttable
from heliosfs.cli import locate, runfiles
from heliosfs.cli.arguments import LocalVerbParser
from heliosfs.cli.client import ask, ask_json, lost_daemon, with_repository
from heliosfs.cli.holders import find_holders
from heliosfs.cli.mountcheck import check_fuse
from heliosfs.cli.stores import open_store
from heliosfs.commands.table import run
from heliosfs.config.settings import Settings, resolve
from heliosfs.errors import HeliosError

OK, HINT, BAD = "ok", "hint", "bad"

_KERNEL_MIN = (5, 4)
"""The oldest kernel with all that is used: renameat2 and readdirplus over FUSE, syncfs."""
_HALT_POLL = "/sys/module/haltpoll/parameters/guest_halt_poll_ns"
_HALT_POLL_NS = 200_000
_CPU_INFO = "/proc/cpuinfo"
_MEMORY_INFO = "/proc/meminfo"
_CGROUP = "/proc/self/cgroup"
_CGROUP_ROOT = "/sys/fs/cgroup"
_FREE_LOW_BYTES = 1024**3
_FREE_MIN_BYTES = 64 * 1024**2
_DAEMON_BYTES = 256 * 1024**2
"""Memory that the daemon needs beside its caches, at rest and under load."""
_MIB = 1024**2
_LINE_MAX = 200


class Finding(NamedTuple):
    """Result of one check."""

    subject: str
    state: str
    text: str


def doctor_parser() -> LocalVerbParser:
    """Return the parser of the arguments of `helios doctor`."""
    parser = LocalVerbParser(
        prog="helios doctor",
        description="Check this machine, and the workspace that DIR is in.\n\n"
        "The exit code is 1 if something has to be done before a workspace can be mounted.",
    )
    parser.add_argument("directory", metavar="DIR", nargs="?", default=".")
    parser.add_argument(
        "--store", action="store_true", help="also read and check everything in the store"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    return parser


def doctor(argv: Sequence[str]) -> int:
    """Run `helios doctor` and return the exit code."""
    asked = doctor_parser().parse_args(argv)
    findings = list(examine(os.path.realpath(asked.directory), reads_all=asked.store))
    if asked.json:
        print(json.dumps([finding._asdict() for finding in findings], indent=2))
    else:
        for finding in findings:
            print(f"{finding.state:<5} {finding.subject:<14} {finding.text}")
    return 1 if any(finding.state == BAD for finding in findings) else 0


def examine(directory: str, *, reads_all: bool = False) -> Iterator[Finding]:
    """Yield every finding about a directory, which may lie in a workspace or not.

    With `reads_all`, every object in the store is read: seconds to minutes.
    """
    python = ".".join(map(str, sys.version_info[:3]))
    yield Finding("version", OK, f"helios {__version__}, Python {python}")
    yield _kernel(os.uname().release)
    yield _fuse()
    yield _fusermount()
    from heliosfs.fuse.idle_cpus import openable

    yield _halt_poll(_read(_HALT_POLL), _read(_CPU_INFO), are_kept_awake=openable())
    view, place, dead = locate.find_view(directory), None, None
    if view is None:
        dead = locate.find_dead_mount(directory)
        place = None if dead else locate.find_repository(directory)
    settings: Settings | None = None
    try:
        settings = _settings(view, place)
        yield Finding("configuration", OK, _sources(settings))
    except HeliosError as error:
        yield Finding("configuration", BAD, str(error))
    yield _memory(settings or resolve([]), memory_limit_bytes(_read))
    if view is not None:
        yield from _mounted(view)
    elif place is not None:
        yield from _unmounted(place)
    elif dead is not None:
        yield from _dead(dead)
    else:
        yield Finding("workspace", OK, f"{directory} is in no workspace")
        yield _disk(directory)
    if reads_all and (view is not None or place is not None):
        yield _objects(view, place)
    elif reads_all and dead is not None:
        yield Finding("objects", HINT, "cannot be read until the workspace is mounted again")


def _kernel(release: str) -> Finding:
    digits = release.partition("-")[0].split(".")[:2]
    version = tuple(int(each) for each in digits if each.isdigit())
    if version < _KERNEL_MIN:
        return Finding("kernel", HINT, f"Linux {release}: nothing older than 5.4 is tested")
    return Finding("kernel", OK, f"Linux {release}")


def _fuse() -> Finding:
    try:
        check_fuse(allow_other=False)
    except HeliosError as error:
        return Finding("fuse", BAD, str(error))
    return Finding("fuse", OK, "/dev/fuse can be opened")


def _fusermount() -> Finding:
    path = shutil.which("fusermount3")
    if path is not None:
        return Finding("fusermount3", OK, path)
    return Finding("fusermount3", BAD, "missing: install the package fuse3")


def _halt_poll(
    setting: str | None, cpu_info: str | None, *, are_kept_awake: bool = False
) -> Finding:
    """Check whether a virtual CPU without work is halted at once: waking it costs 40 us."""
    subject = "guest halt poll"
    if setting is not None and setting.strip().isdigit() and int(setting) >= _HALT_POLL_NS:
        return Finding(subject, OK, f"{int(setting)} ns")
    if are_kept_awake:
        text = "a mount keeps idle CPUs awake while requests come (performance.keep_cpus_awake)"
        return Finding(subject, OK, text)
    if setting is not None:
        advice = f"echo {_HALT_POLL_NS} > {_HALT_POLL}"
        return Finding(subject, HINT, f"requests wait until halted CPUs wake up; as root: {advice}")
    if "hypervisor" in (cpu_info or "").split():
        advice = "modprobe cpuidle-haltpoll, if the kernel has it, makes them poll first"
        return Finding(subject, HINT, f"requests wait until halted virtual CPUs wake up: {advice}")
    return Finding(subject, OK, "not a virtual machine")


def _settings(view: locate.Location | None, place: locate.Location | None) -> Settings:
    """Return the settings of a workspace, or those that a new one would have."""
    from heliosfs.cli.configuration import configuration, layers
    from heliosfs.repo.configuration import FILE as CONFIGURATION_FILE
    from heliosfs.store.sidefile import StoredFile

    if place is not None:
        try:
            fd = open_store(place.root, None, create=False)
        except HeliosError:
            return resolve(layers())  # what is wrong with the store is a finding of its own
        try:
            return configuration(StoredFile(fd, CONFIGURATION_FILE)).settings
        finally:
            os.close(fd)
    below = layers()
    if view is None:
        return resolve(below)
    asked = ask_json(view, "config", "list", "--changed")
    known = resolve([])
    said = {each["key"]: each for each in asked}
    entries = tuple(
        entry._replace(value=said[entry.key.path]["value"], source=said[entry.key.path]["source"])
        if entry.key.path in said
        else entry
        for entry in known.entries
    )
    return Settings.of(entries)


def _sources(settings: Settings) -> str:
    changed = [entry for entry in settings.entries if entry.line or entry.source != "default"]
    idle = sum(1 for entry in changed if entry.key.no_effect)
    files = dict.fromkeys(entry.source for entry in changed)
    if not changed:
        return "the defaults"
    count = "1 key" if len(changed) == 1 else f"{len(changed)} keys"
    text = f"{count} set in {', '.join(files)}"
    return text + (f"; {idle} of them without effect: see 'helios config list'" if idle else "")


def memory_limit_bytes(read: Callable[[str], str | None]) -> int:
    """Return the memory this process may use: the limit of its control groups, or all.

    0 if it is unknown.
    """
    memory = (read(_MEMORY_INFO) or "").splitlines()
    limits = [int(line.split()[1]) * 1024 for line in memory if line.startswith("MemTotal:")]
    for line in (read(_CGROUP) or "").splitlines():
        _, controllers, group = line.split(":", 2)
        if controllers == "":
            limits += _group_limits(read, _CGROUP_ROOT, group, "memory.max")
        elif "memory" in controllers.split(","):
            root = os.path.join(_CGROUP_ROOT, "memory")
            limits += _group_limits(read, root, group, "memory.limit_in_bytes")
    return min(limits, default=0)


def _group_limits(
    read: Callable[[str], str | None], root: str, group: str, name: str
) -> Iterator[int]:
    """Yield the limits of a control group and of those around it (cgroups(7), both versions)."""
    path = group.strip("/")
    while True:
        text = (read(os.path.join(root, path, name)) or "").strip()
        if text.isdigit():
            yield int(text)
        if not path:
            return
        path = path.rpartition("/")[0]


def _memory(settings: Settings, limit_bytes: int) -> Finding:
    wanted = settings.working_set_bytes + _DAEMON_BYTES
    text = f"{limit_bytes // _MIB} MB; a mount may use {wanted // _MIB} MB"
    if limit_bytes and wanted > limit_bytes:
        return Finding("memory", HINT, f"{text}: lower performance.working_set")
    return Finding("memory", OK, text if limit_bytes else "the limit is unknown")


def _mounted(view: locate.Location) -> Iterator[Finding]:
    from heliosfs.store.version import VERSION

    mount = mounttable.mount_over(view.root)
    root = mount.path if mount else view.root
    daemon = runfiles.find(root)
    served = f"served by process {daemon.pid}" if daemon else "served by another user's daemon"
    yield Finding("workspace", OK, f"{root} is mounted, {served}")
    yield Finding("store", OK, f"format {VERSION}, open")
    yield _opens(root)
    yield from _contents(view)
    if daemon:
        yield Finding("log", OK, daemon.log)
    yield _disk(view.root)


def _opens(mountpoint: str) -> Finding:
    """Tell whether programs wait for the daemon at each open and close: 15 us."""
    subject = "opens"
    control = os.path.join(mountpoint, locate.CONTROL)
    if any(each.path == control for each in mounttable.control_mounts(mountpoint)):
        return Finding(subject, OK, "the kernel opens files by itself")
    known = runfiles.known(mountpoint)
    if known is not None and "opens=asked" in known.options:
        return Finding(subject, OK, "the daemon is asked, as by the option opens=asked")
    return Finding(
        subject,
        HINT,
        f"the daemon is asked at each, because nothing is mounted at {control}: if root mounts the "
        "workspace, or another user with allow_other, the kernel opens files by itself",
    )


def _contents(view: locate.Location) -> Iterator[Finding]:
    """Tell of contents that remotes have promised, and whether they come."""
    try:
        counts = ask_json(view, "stats")
    except (HeliosError, OSError):
        return
    promised, came = counts["hydration_promised_count"], counts["hydration_content_count"]
    failures = counts["hydration_failure_count"]
    if promised and failures:
        told = f"{failures} attempts to read some failed: cat .helios/ctl/error"
        yield Finding("contents", HINT, f"remotes have promised {promised}; {told}")
    elif promised:
        text = f"remotes have promised {promised}, of which {came} came since the mount"
        yield Finding("contents", OK, text)


def _dead(mountpoint: str) -> Iterator[Finding]:
    """Explain a mount whose daemon was killed: its store is beneath the mount, out of reach."""
    yield Finding("workspace", BAD, str(lost_daemon(mountpoint)))
    log = runfiles.last_log(mountpoint)
    if os.path.exists(log):
        lines = (_read(log) or "").strip().splitlines()
        last = lines[-1][:_LINE_MAX] if lines else ""
        yield Finding("log", OK, f"{log} (ends with: {last})")
    known = runfiles.known(mountpoint)
    if known is not None and not known.store.startswith(mountpoint + "/"):
        with suppress(OSError):
            yield _disk(known.store)


def _held(mountpoint: str) -> Iterator[Finding]:
    """Tell of a daemon that serves on after its workspace was unmounted."""
    daemon = runfiles.find(mountpoint)
    if daemon is not None:
        holders = find_holders(mountpoint, daemon.device, daemon.pid)
        why = f"held by {'; '.join(map(str, holders))}" if holders else "it is still saving"
        yield Finding("daemon", HINT, f"process {daemon.pid} still serves it: {why}")


def _unmounted(place: locate.Location) -> Iterator[Finding]:
    advice = f"files written here now are not part of it; helios mount {shlex.quote(place.root)}"
    yield Finding("workspace", HINT, f"{place.root} is not mounted: {advice}")
    yield from _held(place.root)
    try:
        fd = open_store(place.root, None, create=False)
    except HeliosError as error:
        yield Finding("store", BAD, str(error))
        return
    try:
        yield _store(fd)
        yield _disk(f"/proc/self/fd/{fd}")
    finally:
        os.close(fd)
    log = runfiles.log_path(place.root)
    if os.path.exists(log):
        yield Finding("log", OK, f"{log} (the last mount's)")


def _store(fd: int) -> Finding:
    from heliosfs.store.directory import Directory
    from heliosfs.store.version import VERSION, read_format

    directory = Directory(fd)
    try:
        version = read_format(directory)
    except HeliosError as error:
        return Finding("store", BAD, str(error))
    finally:
        directory.close()
    if version is None:
        return Finding("store", BAD, "there is no heliosfs store where the repository should be")
    if version < VERSION:
        return Finding("store", OK, f"format {version}; a mount makes it format {VERSION}")
    return Finding("store", OK, f"format {version}")


def _objects(view: locate.Location | None, place: locate.Location | None) -> Finding:
    """Yield the findings of `helios fsck`."""
    try:
        if place is not None:
            text = with_repository(place, lambda found: run(found, found.root, ["fsck"]))
        else:
            assert view is not None
            text = ask(view, ["fsck"]).decode()
    except HeliosError as error:
        return Finding("objects", BAD, str(error))
    return Finding("objects", OK, text.strip())


def _disk(path: str) -> Finding:
    """Check the free space of the store's disk, which statfs(2) of its mount reports."""
    disk = os.statvfs(path)
    free_bytes = disk.f_bavail * disk.f_frsize
    text = f"{free_bytes // _MIB} MB free"
    if free_bytes < _FREE_MIN_BYTES:
        return Finding("disk", BAD, f"{text}: nothing can be saved when it is full")
    return Finding("disk", HINT if free_bytes < _FREE_LOW_BYTES else OK, text)


def _read(path: str) -> str | None:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return None
