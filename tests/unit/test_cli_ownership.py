"""Owners: what another user made is not used, and how the user allows it all the same."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from heliosfs.cli import doctor, ownership, runfiles, stores
from heliosfs.cli.main import main
from heliosfs.errors import NotPermitted

OTHER = os.geteuid() + 12345


@pytest.fixture(autouse=True)
def _places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("state", "config"):
        monkeypatch.setenv(f"XDG_{name.upper()}_HOME", str(tmp_path / name))
    for variable in (ownership.VARIABLE, "SUDO_UID"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A workspace that another user has made; who runs it is told, not changed."""
    work = tmp_path / "work"
    assert main(["init", str(work)]) == 0
    monkeypatch.setattr(os, "geteuid", lambda: OTHER)
    return work


def files(work: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (work / ".helios").iterdir()}


@pytest.mark.parametrize(
    "words", [["status"], ["log"], ["commit", "-m", "x"], ["gc"], ["export", "--to-git", "out"]]
)
def test_a_store_of_another_user_is_refused_by_every_verb(
    work: Path, words: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    before = files(work)
    assert main(["-C", str(work), *words]) == 1
    said = capfd.readouterr().err
    assert f"{work}/.helios belongs to another user" in said
    assert f"echo {work} >> " in said
    assert files(work) == before


def test_it_is_refused_when_it_is_mounted_or_looked_after(
    work: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    before = files(work)
    with pytest.raises(NotPermitted, match="belongs to another user"):
        stores.open_store(str(work), None, create=True)
    assert main(["mount", "--foreground", str(work)]) == 1
    assert "belongs to another user" in capfd.readouterr().err
    bad = {each.subject for each in doctor.examine(str(work)) if each.state == doctor.BAD}
    assert "store" in bad
    assert files(work) == before


def test_a_file_that_names_a_store_is_refused_as_well(work: Path, tmp_path: Path) -> None:
    """Both `.helios` with `store-path` and the store it leads to must be the user's own."""
    (tmp_path / "store").mkdir()
    (work / ".helios").rename(work / "away")
    (work / ".helios").mkdir()
    (work / ".helios/store-path").write_text(f"{tmp_path}/store\n\n")
    with pytest.raises(NotPermitted, match=rf"{work}/.helios belongs to"):
        stores.open_store(str(work), None, create=False)


def test_a_store_elsewhere_is_refused_for_its_own_owner(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work, store = tmp_path / "work", tmp_path / "store"
    assert main(["init", "--store", str(store), str(work)]) == 0
    real = os.fstat

    def fstat(fd: int) -> os.stat_result:
        found = list(real(fd))
        if os.readlink(f"/proc/self/fd/{fd}") == str(store):
            found[4] = OTHER
        return os.stat_result(found)

    monkeypatch.setattr(os, "fstat", fstat)
    with pytest.raises(NotPermitted, match=rf"{store} belongs to"):
        stores.open_store(str(work), None, create=False)


@pytest.mark.parametrize("said", ["{work}", "{above}/*", "*", "{work}/", "{work}/.helios"])
def test_it_is_used_once_the_user_has_named_it(
    work: Path, tmp_path: Path, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = said.format(work=work, above=work.parent)
    (tmp_path / "config/heliosfs").mkdir(parents=True)
    (tmp_path / "config/heliosfs/safe-directories").write_text(f"# mine\n\n{line}\n")
    assert main(["-C", str(work), "status"]) == 0
    (tmp_path / "config/heliosfs/safe-directories").write_text(f"#{line}\n/other\n{work}er\n")
    assert main(["-C", str(work), "status"]) == 1
    monkeypatch.setenv(ownership.VARIABLE, f"/other:{line}")
    assert main(["-C", str(work), "status"]) == 0


def test_for_one_call_it_is_said_on_the_command_line(
    work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(ownership.VARIABLE, "/other")
    assert main(["-c", f"safe.directory={work}", "-C", str(work), "status"]) == 0


def test_a_directory_says_nothing_of_itself(work: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for name in ("safe-directories", ".helios/safe-directories"):
        (work / name).write_text("*\n")
    (work / ".helios/helios.yaml").write_text("safe:\n  directory: '*'\n")
    assert main(["-C", str(work), "status"]) == 1
    assert "belongs to another user" in capfd.readouterr().err


def test_root_by_sudo_may_use_what_the_caller_owns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUDO_UID", str(OTHER))
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert ownership.own_ids() == {0, OTHER}
    monkeypatch.setattr(os, "geteuid", lambda: 77)
    assert ownership.own_ids() == {77}
    assert ownership.trusted_ids() == {0, 77}


def test_a_state_directory_of_another_user_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "state/heliosfs").mkdir(parents=True)
    os.close(runfiles.open_log(runfiles.log_path("/ws")))
    real = os.lstat

    def lstat(path: str) -> os.stat_result:
        found = list(real(path))
        if str(path) == str(tmp_path / "state/heliosfs"):
            found[4] = OTHER
        return os.stat_result(found)

    monkeypatch.setattr(os, "lstat", lstat)
    for use in (
        lambda: runfiles.log_path("/ws"),
        lambda: runfiles.find("/ws"),
        runfiles.workspaces,
    ):
        with pytest.raises(NotPermitted, match=r"the state directory .* belongs to another user"):
            use()


def test_the_state_directory_is_the_users_alone(tmp_path: Path) -> None:
    state = tmp_path / "state/heliosfs"
    os.close(runfiles.open_log(runfiles.log_path("/ws")))
    assert state.stat().st_mode & 0o777 == 0o700
    assert all(each.stat().st_mode & 0o077 == 0 for each in state.iterdir())
    state.chmod(0o755)
    runfiles.Registration(runfiles.KnownWorkspace("/ws", "/store", "5" * 32), "/log").close()
    assert state.stat().st_mode & 0o777 == 0o700


def test_a_log_that_another_user_has_put_there_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "log"
    log.write_text("theirs\n")
    link = tmp_path / "link"
    link.symlink_to(log)
    for path in (log, link):
        os.close(runfiles.open_log(str(path)))
    real = os.lstat

    def lstat(path: str) -> os.stat_result:
        found = list(real(path))
        found[4] = OTHER
        return os.stat_result(found)

    monkeypatch.setattr(os, "lstat", lstat)
    for path in (log, link):
        with pytest.raises(NotPermitted, match="belongs to another user"):
            runfiles.open_log(str(path))
    assert log.read_text() == "theirs\n"


def test_an_id_outside_of_the_user_namespace(monkeypatch: pytest.MonkeyPatch) -> None:
    assert ownership._outer_id(os.geteuid()) is not None
    assert ownership._outer_id(2**32) is None
