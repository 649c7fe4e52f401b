"""Setting of every level: a home of its own, and no test that passes by skipping in CI."""

from __future__ import annotations

import faulthandler
import os
import signal
from collections.abc import Iterator

import pytest
from hypothesis import settings

from tests import ready_process

# A machine that runs tests side by side is slow now and then; what hangs is ended by faulthandler.
settings.register_profile("heliosfs", deadline=None)
settings.load_profile("heliosfs")

_SOURCES = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--long",
        type=float,
        default=0.0,
        metavar="SECONDS",
        help="let each test that enumerates or draws go on for SECONDS, in place of its sample",
    )


@pytest.fixture
def long_seconds(request: pytest.FixtureRequest) -> float:
    """Return the seconds for which a test that enumerates goes on; 0 for its sample."""
    seconds: float = request.config.getoption("--long")
    if seconds:
        # That of each other test, after which the whole run would end (`faulthandler_timeout`).
        faulthandler.cancel_dump_traceback_later()
    return seconds


@pytest.fixture(autouse=True)
def _own_pipes() -> Iterator[None]:
    """Undo what a client called in this process has set: tests after it write to pipes, too."""
    before = signal.getsignal(signal.SIGPIPE)
    yield
    if signal.getsignal(signal.SIGPIPE) is not before:
        signal.signal(signal.SIGPIPE, before)


@pytest.fixture(autouse=True, scope="session")
def _own_environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Nothing of the user's settings reaches a test, and nothing of a test reaches the user."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(home))
        patch.setenv("XDG_STATE_HOME", str(home / "state"))
        patch.setenv("XDG_CONFIG_HOME", str(home / "config"))
        patch.setenv("GIT_CONFIG_NOSYSTEM", "1")
        # Programs that tests start run these sources, whatever is installed.
        patch.setenv("PYTHONPATH", _SOURCES)
        # A thousand of them would compile it each time, where the user keeps no bytecode.
        if "PYTHONDONTWRITEBYTECODE" in os.environ:
            patch.delenv("PYTHONDONTWRITEBYTECODE")
            patch.setenv("PYTHONPYCACHEPREFIX", str(home / "bytecode"))
        for name in ("HELIOS_DEBUG", "HELIOS_AUTHOR_NAME", "HELIOS_AUTHOR_EMAIL"):
            patch.delenv(name, raising=False)
        yield
        ready_process.end()


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, exitstatus: int, config: pytest.Config
) -> None:
    if _skipped_in_ci(terminalreporter):
        terminalreporter.write_line("a test was skipped: that is a failure in CI", red=True)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is not None and _skipped_in_ci(reporter) and not session.exitstatus:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def _skipped_in_ci(reporter: pytest.TerminalReporter) -> bool:
    return bool(os.environ.get("CI")) and bool(reporter.stats.get("skipped"))
