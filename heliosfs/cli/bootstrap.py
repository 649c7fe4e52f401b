"""Set-up from nothing: system packages, then `.venv` beside the sources, then the real program.

Runs under any Python 3.10 or later with the standard library alone.  When everything is in
place it costs a few milliseconds: a stamp in `.venv` says for which lock it was made.
"""

from __future__ import annotations

import os
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
VENV = os.path.join(ROOT, ".venv")
PYTHON = os.path.join(VENV, "bin", "python")

_HOME = os.path.join(VENV, "heliosfs-home")
_STAMPED = ("requirements.lock", "requirements-dev.lock", "pyproject.toml", "heliosfs/cli/helios")
"""Files that decide what is in `.venv`."""


BROWSERS = ("chromium", "chromium-browser", "google-chrome")
"""Names of Chromium's program; the test of the report page takes the first that is there."""

_STEERING = frozenset(
    {
        "PIP_CONSTRAINT",
        "PIP_DRY_RUN",
        "PIP_EDITABLE",
        "PIP_NO_DEPS",
        "PIP_PREFIX",
        "PIP_REQUIREMENT",
        "PIP_REQUIRE_VIRTUALENV",
        "PIP_ROOT",
        "PIP_TARGET",
        "PIP_USER",
        "PYTHONHOME",
        "PYTHONPATH",
    }
)
"""Variables that would change where pip installs, or what."""


class SetupError(Exception):
    """Reason why the set-up cannot continue, in one line."""


def main(argv: list[str]) -> int:
    """Set up, then replace this process with `helios ARGV`: `mount` and its arguments.

    Return only for help, and when the set-up failed.
    """
    if len(argv) == 1 or not {"-h", "--help"}.isdisjoint(argv):
        return _help()
    try:
        ensure(dev=False)
    except SetupError as error:
        print(f"helios: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return os.execv(PYTHON, [PYTHON, "-I", "-m", "heliosfs.cli", *argv])


def _help() -> int:
    """Return the help of `helios mount` for the time before anything is installed."""
    from heliosfs.cli.mount import mount_parser

    mount_parser().print_help()
    return 0


def ensure(*, dev: bool) -> None:
    """Make `.venv` match the lock file; with `dev`, add the tools of `test.sh`.  Raise SetupError.

    Calls at the same time wait for each other; an interrupted set-up is done again.
    """
    stamp = _stamp()
    if _is_current(stamp, dev):
        return
    import fcntl

    try:
        lock = open(VENV + ".lock", "a")  # noqa: SIM115 - held until the process ends or execs
    except OSError as error:
        raise SetupError(f"cannot set up in {ROOT}: {(error.strerror or '').lower()}") from error
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if _is_current(stamp, dev):
            return
        install_packages(missing_packages(dev=dev))
        _make_venv(dev=dev)
        _write(_stamp_path(dev), stamp)


def missing_packages(*, dev: bool) -> list[str]:
    """Return Debian's names of missing packages that `.venv` or a mount needs.

    Raise SetupError when they are missing from a Python that is not Debian's.
    """
    import shutil
    import sysconfig
    from importlib.util import find_spec

    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    headers = os.path.join(sysconfig.get_paths()["include"], "Python.h")
    python = {
        f"python{version}-venv": find_spec("ensurepip") is not None,
        f"python{version}-dev": os.path.exists(headers),
    }
    if sys.base_prefix != "/usr" and not all(python.values()):
        raise SetupError(f"the Python in {sys.base_prefix} has no ensurepip, or no {headers}")
    checks = {
        **python,
        "fuse3": shutil.which("fusermount3") is not None,
        "pkg-config": shutil.which("pkg-config") is not None,
        "libfuse3-dev": _has_fuse3(),
        "gcc": shutil.which("gcc") is not None,
        "libc6-dev": os.path.exists("/usr/include/stdio.h"),
    }
    if dev:
        tools = ("git", "make", "patch", "rsync")
        checks |= {name: shutil.which(name) is not None for name in tools}
        # It reads the manual pages, and a test that is skipped fails in CI.
        checks["groff-base"] = shutil.which("groff") is not None
        if not _is_ubuntu():
            checks["chromium"] = any(map(shutil.which, BROWSERS))
    return [name for name, is_there in checks.items() if not is_there]


def install_packages(names: list[str]) -> None:
    """Install Debian packages as root or by sudo.  Raise SetupError, which names them."""
    import shutil

    if not names:
        return
    wanted = " ".join(names)
    if shutil.which("apt-get") is None:
        raise SetupError(f"packages are missing, in Debian {wanted}: install them and try again")
    prefix = ["env", "DEBIAN_FRONTEND=noninteractive"]
    if os.geteuid() != 0:
        if shutil.which("sudo") is None:
            raise SetupError(f"packages are missing: as root, run apt-get install {wanted}")
        # Asks for a password only where somebody can give it.
        prefix = ["sudo", *([] if sys.stdin.isatty() else ["-n"]), *prefix]
    print(f"helios: installing packages: {wanted}", flush=True)
    _run([*prefix, "apt-get", "update", "-q"], f"cannot install {wanted}", fatal=False)
    install = ["apt-get", "install", "-q", "-y", "--no-install-recommends", *names]
    _run([*prefix, *install], f"cannot install {wanted}")


def _make_venv(*, dev: bool) -> None:
    """Build `.venv` anew unless the one that is there works, and install the lock."""
    print(f"helios: installing Python packages into {VENV}", flush=True)
    for each in (False, True):
        if os.path.exists(_stamp_path(each)):
            os.unlink(_stamp_path(each))
    if not _works():
        command = [sys.executable, "-m", "venv", "--clear", VENV]
        _run(command, f"cannot make {VENV}")
        _write(_HOME, ROOT)
    lock = "requirements-dev.lock" if dev else "requirements.lock"
    pip = [PYTHON, "-m", "pip", "--disable-pip-version-check", "--no-input", "install", "-q"]
    locked = [*pip, "--require-hashes", "-r", os.path.join(ROOT, lock)]
    _run(locked, "cannot install the Python packages")
    # Built with the setuptools of the lock: nothing more is fetched.
    own = [*pip, "--no-deps", "--no-build-isolation", "--no-index", "-e", ROOT]
    _run(own, "cannot install heliosfs itself")


def _run(command: list[str], failure: str, *, fatal: bool = True) -> None:
    """Run a step quietly, and show its output if it fails."""
    import subprocess

    environment = {name: value for name, value in os.environ.items() if name not in _STEERING}
    done = subprocess.run(
        command,
        env=environment,
        stdin=None if command[0] == "sudo" else subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=None if command[0] == "sudo" and sys.stdin.isatty() else subprocess.STDOUT,
        check=False,
    )
    if done.returncode and fatal:
        sys.stderr.write(done.stdout.decode(errors="replace"))
        raise SetupError(
            f"{failure}: {os.path.basename(command[0])} ended with exit code {done.returncode}"
        )


def _works() -> bool:
    """Return True if `.venv` can be used as it is.

    It was made at this path, which its scripts name, and its Python starts, has the version
    of the one that runs this, and has pip.
    """
    import subprocess

    if _read(_HOME) != ROOT:
        return False
    check = f"import pip, sys; sys.exit(sys.version_info[:2] != {sys.version_info[:2]})"
    try:
        done = subprocess.run([PYTHON, "-I", "-c", check], capture_output=True, check=False)
        return done.returncode == 0
    except OSError:
        return False


def _has_fuse3() -> bool:
    import subprocess

    try:
        return subprocess.run(["pkg-config", "--exists", "fuse3"], check=False).returncode == 0
    except OSError:
        return False


def _is_ubuntu() -> bool:
    """Return True on Ubuntu, where Chromium is a snap, which a container cannot install."""
    return "ID=ubuntu\n" in _read("/etc/os-release")


def _stamp() -> str:
    """Return a digest of the path of `.venv` and of the files that decide its content."""
    from hashlib import sha256

    digest = sha256(ROOT.encode("utf-8", "surrogateescape"))
    for name in _STAMPED:
        with open(os.path.join(ROOT, name), "rb") as file:
            digest.update(file.read())
    return digest.hexdigest()


def _stamp_path(dev: bool) -> str:
    return os.path.join(VENV, "heliosfs-dev" if dev else "heliosfs-run")


def _is_current(stamp: str, dev: bool) -> bool:
    """Return True if the stamp matches; a `.venv` made for `test.sh` serves a mount too."""
    return any(_read(_stamp_path(each)) == stamp for each in {dev, True})


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return file.read()
    except OSError:
        return ""


def _write(path: str, text: str) -> None:
    """Write the file whole or not at all: a rename takes its place."""
    with open(path + ".new", "w", encoding="utf-8", errors="surrogateescape") as file:
        file.write(text)
    os.replace(path + ".new", path)


if __name__ == "__main__":
    # test.sh: set up for development and nothing else.
    try:
        ensure(dev=True)
    except SetupError as error:
        sys.exit(f"helios: {error}")
