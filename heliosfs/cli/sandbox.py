"""A sandbox: the workspace is writable, the rest is not, and there is no network unless it is asked
for.

It is made by bubblewrap where that is installed and works.  Otherwise by the mount namespace that
`helios run` makes anyway, with a network namespace, and Landlock, which keeps what is inside from
taking these apart; and where there is no namespace, by Landlock alone.  Each says what it holds.

Of `.helios`, what shows history and the control files of the branch are left.  The control files
are those of `ctl/confined`, which refuse verbs that reach other branches or what lies outside.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
import subprocess
import sys
from contextlib import suppress
from typing import NamedTuple

from heliosfs.cli import landlock
from heliosfs.cli.locate import REPOSITORY
from heliosfs.cli.namespace import MountPlan, NoNamespace, confine_mounts
from heliosfs.errors import HeliosError

_PRIVATE = ("/tmp", "/var/tmp", "/run", "/dev/shm")
"""Directories with the sockets of other programs, and with files that all may write."""
_SHOWN = ("/run/current-system", "/run/opengl-driver", "/run/wrappers")
"""Directories below those with programs and libraries (NixOS)."""
_DEVICES = ("null", "zero", "full", "random", "urandom", "tty", "ptmx", "pts")
_OF_THE_KERNEL = ("sys", "sysrq-trigger", "irq", "bus", "fs", "scsi", "acpi")
"""Names in /proc with settings of the kernel, which belong to root."""
_CONFINED = "ctl/confined"
_TRIAL_SECONDS = 10.0
_ONLY_WRITABLE = "only {}, /tmp and /dev/shm can be written; /tmp and /run are empty"


class SandboxWish(NamedTuple):
    """Sandbox as the options ask for it."""

    with_network: bool
    is_quiet: bool


class _Claims(NamedTuple):
    """Statements about a sandbox."""

    held: list[str]
    not_held: list[str]

    def note_no_namespace(
        self, place: SandboxPlace, reason: str, version: int, *, denies_tcp: bool
    ) -> None:
        """Note what Landlock alone holds."""
        self.held.append(f"names and contents of files can be changed only in {place.source}")
        self.not_held.append(
            f"no namespace ({reason}): modes, owners and times of other files can be changed, "
            "sockets outside be reached, and control files take every verb"
        )
        if place.source == place.top:
            self.not_held.append("other branches can be changed")
        if denies_tcp and version >= landlock.NETWORK_SINCE:
            self.held.append("no TCP")
            self.not_held.append("UDP and other protocols reach the network")
        elif denies_tcp:
            self.not_held.append("the network can be reached")

    def note_processes(self, version: int) -> None:
        """Note what holds between processes that see each other."""
        self.not_held.append(
            "processes outside: their names and arguments can be seen, their priorities changed"
        )
        if version >= landlock.SCOPES_SINCE:
            self.held.append("no signal reaches a process outside")
        else:
            self.not_held.append("processes of this user outside get signals")


class SandboxPlace(NamedTuple):
    """Directory that a sandbox shows, and where."""

    source: str
    """Root of the view of the branch."""
    top: str
    """Mount point of the workspace, where it is shown."""
    below: str
    """Directory below it in which the command begins."""


def confine(place: SandboxPlace, wish: SandboxWish) -> tuple[list[str], str]:
    """Take this process into a sandbox, or find the words of the program that makes one.

    Return words to put before a command, and the directory in which it sees the branch.  Raise
    HeliosError where no sandbox can be made.
    """
    _close_directories()
    bubblewrap = shutil.which("bwrap")
    reason = ""
    if bubblewrap is not None:
        words = _bubblewrap_words(bubblewrap, place, wish)
        reason = _failure_of([*words, "true"])
        if not reason:
            _tell(wish, "bubblewrap", _Claims(_held_by_bubblewrap(place, wish), _not_held(wish)))
            return words, place.top
    return [], _confine_here(place, wish, reason)


def _close_directories() -> None:
    """Let no open directory go to the command: paths from there are those of outside."""
    for name in os.listdir("/proc/self/fd"):
        with suppress(OSError):
            if stat.S_ISDIR(os.fstat(int(name)).st_mode):
                fcntl.fcntl(int(name), fcntl.F_SETFD, fcntl.FD_CLOEXEC)


def _confine_here(place: SandboxPlace, wish: SandboxWish, reason: str) -> str:
    """Confine this process by namespaces and Landlock; return the directory with the branch.

    `reason` is why bubblewrap fails, if it is there.
    """
    version = landlock.version()
    if not version:
        missing = f"bwrap fails ({reason})" if reason else "bubblewrap (bwrap) is not installed"
        raise HeliosError(f"no sandbox: {missing}, and this kernel has no Landlock")
    claims = _Claims([], _not_held(wish))
    root, writable = place.top, [place.top, *_present(_PRIVATE)]
    denies_tcp = False
    try:
        confine_mounts(_mount_plan(place, wish), with_network=wish.with_network)
        claims.held.append(_ONLY_WRITABLE.format(place.top))
        if not wish.with_network:
            claims.held.append("no network")
    except NoNamespace as error:
        root, writable = place.source, [place.source]
        denies_tcp = not wish.with_network
        claims.note_no_namespace(place, str(error), version, denies_tcp=denies_tcp)
    claims.note_processes(version)
    landlock.drop_capabilities()
    devices = [os.path.join("/dev", name) for name in _DEVICES]
    landlock.restrict(writable, devices, denies_tcp=denies_tcp)
    program = landlock.call_filter()
    if program:
        landlock.filter_calls(program)
    else:
        claims.not_held.append(
            "a program can type into the terminal (TIOCSTI), use keys of this user in the kernel, "
            "and set limits of processes outside"
        )
    if reason:
        claims.not_held.append(f"bubblewrap would hold more, but fails: {reason}")
    _tell(wish, f"Landlock, version {version}", claims)
    return root


def _mount_plan(place: SandboxPlace, wish: SandboxWish) -> MountPlan:
    home = os.path.join(place.top, REPOSITORY)
    return MountPlan(
        place.source,
        place.top,
        [
            (os.path.join(home, "view"), os.path.join(home, "view")),
            (os.path.join(place.source, REPOSITORY, _CONFINED), os.path.join(home, "ctl")),
        ],
        [os.path.join(home, "live")],
        _present(_PRIVATE),
        _shown(wish),
    )


def _bubblewrap_words(program: str, place: SandboxPlace, wish: SandboxWish) -> list[str]:
    plan = _mount_plan(place, wish)
    words = [program, "--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc"]
    # bwrap 0.8 takes them for protected where root has lost its capabilities, but root owns them.
    for name in _OF_THE_KERNEL:
        words += ["--ro-bind-try", f"/proc/{name}", f"/proc/{name}"]
    for each in plan.private:
        if not each.startswith("/dev/"):
            words += ["--tmpfs", each]
    for each in plan.shown:
        words += ["--ro-bind", each, each]
    for source, target in [(plan.source, plan.target), *plan.inner]:
        words += ["--bind", source, target]
    for each in plan.hidden:
        words += ["--tmpfs", each, "--remount-ro", each]
    begin = os.path.normpath(os.path.join(place.source, place.below))
    while begin != place.source and not os.path.isdir(begin):
        begin = os.path.dirname(begin)
    shown = os.path.normpath(os.path.join(place.top, os.path.relpath(begin, place.source)))
    words += ["--chdir", shown, "--setenv", "PWD", shown]
    words += ["--unshare-all", "--cap-drop", "ALL", "--die-with-parent"]
    if wish.with_network:
        words.append("--share-net")
    program_of_calls = landlock.call_filter()
    if program_of_calls:
        fd = os.memfd_create("seccomp", 0)
        os.write(fd, program_of_calls)
        words += ["--seccomp", str(fd)]
    return [*words, "--"]


def _failure_of(words: list[str]) -> str:
    """Return the reason why bubblewrap fails to run a command; "" if it does not."""
    fds = [int(words[words.index("--seccomp") + 1])] if "--seccomp" in words else []
    try:
        for fd in fds:
            os.lseek(fd, 0, os.SEEK_SET)
        done = subprocess.run(
            words,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_TRIAL_SECONDS,
            check=False,
            pass_fds=fds,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    finally:
        # It reads the program from where the offset is, and leaves it at the end.
        for fd in fds:
            os.lseek(fd, 0, os.SEEK_SET)
    return "" if done.returncode == 0 else (done.stderr.strip() or f"exit {done.returncode}")


def _held_by_bubblewrap(place: SandboxPlace, wish: SandboxWish) -> list[str]:
    held = [_ONLY_WRITABLE.format(place.top), "other processes are neither seen nor signalled"]
    return held if wish.with_network else [*held, "no network"]


def _not_held(wish: SandboxWish) -> list[str]:
    """Return what no kind of sandbox holds."""
    not_held = ["files outside can be read, and sockets at paths outside of /tmp and /run used"]
    if wish.with_network:
        not_held.append(
            "--net: what is read can be sent, and services of this machine be reached, also those "
            "with abstract sockets"
        )
    return not_held


def _shown(wish: SandboxWish) -> list[str]:
    """Return the directories that programs need although they lie in private ones."""
    shown = list(_present(_SHOWN))
    if wish.with_network:
        resolver = os.path.dirname(os.path.realpath("/etc/resolv.conf"))
        if resolver.startswith("/run/"):
            shown += _present([resolver])
    return shown


def _present(paths: tuple[str, ...] | list[str]) -> list[str]:
    return [path for path in paths if os.path.isdir(path) and not os.path.islink(path)]


def _tell(wish: SandboxWish, kind: str, claims: _Claims) -> None:
    if not wish.is_quiet:
        print(
            f"helios: sandbox by {kind}: {'; '.join(claims.held)}\n"
            f"helios: sandbox does not hold: {'; '.join(claims.not_held)}",
            file=sys.stderr,
        )
        sys.stderr.flush()
