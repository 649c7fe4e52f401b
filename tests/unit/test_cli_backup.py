"""`helios backup`: what it copies, what it refuses, and the way back."""

from __future__ import annotations

import json
import os
import random
import shutil
from pathlib import Path

import pytest

from heliosfs.cli.main import main
from heliosfs.errors import NotPermitted
from heliosfs.repo import keys
from heliosfs.repo.backup_directory import MARKER, open_backup
from heliosfs.store.copying import differences
from heliosfs.store.l2.environment import FILE
from heliosfs.store.local import LocalStore
from tests.crash.damage import Answers, Opened, observe
from tests.tree_builder import TreeBuilder
from tests.verb_scenarios import build

START_NS = 1_700_000_000 * 10**9
ID = "0123456789abcdef" * 2
RANDOM = random.Random(5).randbytes(3000)
"""Bytes that no codec makes smaller, so that they lie in the store's file as they are."""


class Place:
    """A workspace that is not mounted, and a directory for its backup."""

    def __init__(self, path: Path) -> None:
        self.path = path / "ws"
        self.store = self.path / ".helios"
        self.backup = path / "backup"
        self.store.mkdir(parents=True)
        (self.store / "id").write_text(f"{ID}\n")
        opened = Opened(self.store, START_NS)
        build(opened.repository)
        files = TreeBuilder(opened.repository.root.workspace)
        files.write(b"random", RANDOM)
        files.write(b"large", random.Random(6).randbytes(1_200_000))
        opened.verb("commit", "-q", "--work", "-m", "bytes")
        opened.verb("config", "performance.l1_cache_size", "64MB")
        opened.verb("experiment", "record", "score=0.5", "-e", "idea", "--commit", "HEAD")
        files.write(b"note", b"not committed\n")
        opened.close()

    def commit(self, *contents: bytes) -> None:
        opened = Opened(self.store, START_NS + 10**12)
        for at, data in enumerate(contents):
            TreeBuilder(opened.repository.root.workspace).write(b"file", data)
            opened.verb("commit", "-q", "--work", "-m", f"number {at}")
        opened.close()

    def verbs(self, *verbs: tuple[str, ...]) -> None:
        opened = Opened(self.store, START_NS + 2 * 10**12)
        for argv in verbs:
            opened.verb(*argv)
        opened.close()

    def answers(self) -> Answers:
        return answers_of(self.store)


def answers_of(store: Path) -> Answers:
    """Answer every question about a store; nothing may be told."""
    copy = store.parent / f"{store.name}-asked"
    shutil.copytree(store, copy)
    found, told = observe(copy)
    shutil.rmtree(copy)
    assert told == []
    return found


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    place = Place(tmp_path)
    monkeypatch.chdir(place.path)
    return place


def said(capfd: pytest.CaptureFixture[str], *argv: str) -> dict[str, object]:
    """Run a verb that must succeed, and return its JSON."""
    capfd.readouterr()
    assert main([argv[0], "--json", *argv[1:]]) == 0
    document: dict[str, object] = json.loads(capfd.readouterr().out)
    return document


def refused(capfd: pytest.CaptureFixture[str], *argv: str) -> str:
    """Run a verb that must be refused; return the errno and the text."""
    capfd.readouterr()
    assert main([argv[0], "--json", *argv[1:]]) == 2
    document = json.loads(capfd.readouterr().out)
    return f"{document['errno']} {document['error']}"


def content(path: Path) -> dict[str, bytes]:
    return {each.name: each.read_bytes() for each in path.iterdir() if each.is_file()}


def test_everything_comes_back(place: Place, capfd: pytest.CaptureFixture[str]) -> None:
    before = place.answers()
    done = said(capfd, "backup", str(place.backup))
    assert done["new_object_count"] == done["object_count"]
    assert done["damaged"] == []
    assert main(["backup", "--verify", str(place.backup)]) == 0
    assert capfd.readouterr().out.endswith("all sound\n")
    new = place.path.parent / "new"
    assert main(["backup", "--restore", str(place.backup), str(new)]) == 0
    told = capfd.readouterr().out
    assert told.startswith(f"restored {done['object_count']} objects, as of 20")
    assert told.endswith(f"mount it with: helios mount {new}\n")
    assert answers_of(new / ".helios") == before
    assert (new / ".helios/id").read_text() == f"{ID}\n"
    assert main(["-C", str(new), "fsck"]) == 0
    assert "all sound" in capfd.readouterr().out


def test_nobody_else_can_read_it(place: Place) -> None:
    place.backup.mkdir(mode=0o755)
    assert main(["backup", str(place.backup)]) == 0
    assert place.backup.stat().st_mode & 0o777 == 0o700
    assert {each.stat().st_mode & 0o777 for each in place.backup.iterdir()} == {0o600}


def test_only_what_is_new_is_written(place: Place, capfd: pytest.CaptureFixture[str]) -> None:
    place.commit(*(b"line %d\n" % at * 40 for at in range(60)))
    said(capfd, "backup", str(place.backup))
    pack = (place.backup / "pack-1").stat()
    place.commit(b"one more\n")
    done = said(capfd, "backup", str(place.backup))
    # The file, its directory, the commit.
    assert done["new_object_count"] == 3
    assert isinstance(done["new_bytes"], int) and 0 < done["new_bytes"] < 2000
    assert (place.backup / "pack-1").stat() == pack
    done = said(capfd, "backup", str(place.backup))
    assert (done["new_object_count"], done["value_count"]) == (0, 0)


def test_deltas_of_later_backups_find_what_they_are_made_against(
    place: Place, capfd: pytest.CaptureFixture[str]
) -> None:
    said(capfd, "backup", str(place.backup))
    text = b"".join(b"line %d\n" % at for at in range(500))
    for round_ in range(5):
        place.commit(*(text + b"%d %d\n" % (round_, at) * 3 for at in range(40)))
        done = said(capfd, "backup", str(place.backup))
        # Not one of forty versions of 4 KB is stored whole, except where a chain begins.
        assert isinstance(done["new_bytes"], int) and done["new_bytes"] < 20_000
    before = place.answers()
    assert main(["backup", "--restore", str(place.backup), "../new"]) == 0
    assert answers_of(place.path.parent / "new/.helios") == before


def test_what_was_removed_is_removed(place: Place, capfd: pytest.CaptureFixture[str]) -> None:
    said(capfd, "backup", str(place.backup))
    place.verbs(("tag", "-d", "v1"), ("branch", "-D", "side2"), ("experiment", "finish", "idea"))
    assert said(capfd, "backup", str(place.backup))["value_count"] != 0
    before = place.answers()
    said(capfd, "backup", "--restore", str(place.backup), "../new")
    assert answers_of(place.path.parent / "new/.helios") == before


def test_what_a_collection_removed_stays_and_may_come_again(
    place: Place, capfd: pytest.CaptureFixture[str]
) -> None:
    place.commit(*(os.urandom(2000) for _ in range(40)), b"to come again\n")
    first = said(capfd, "backup", str(place.backup))
    place.verbs(
        ("reset", "--hard", "HEAD~41"),
        ("gc", "--aggressive", "--remove-old-snapshots", "--before=0s"),
    )
    second = said(capfd, "backup", str(place.backup))
    assert second["object_count"] >= first["object_count"]  # type: ignore[operator]
    place.commit(b"to come again\n")
    said(capfd, "backup", str(place.backup))
    before = place.answers()
    assert main(["backup", "--verify", str(place.backup)]) == 0
    said(capfd, "backup", "--restore", str(place.backup), "../new")
    assert answers_of(place.path.parent / "new/.helios") == before


def test_a_restored_store_goes_on_with_its_backup(
    place: Place, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    said(capfd, "backup", str(place.backup))
    said(capfd, "backup", "--restore", str(place.backup), "../new")
    monkeypatch.chdir("../new")
    assert main(["commit", "-q", "--allow-empty", "-m", "after the disaster"]) == 0
    # Every object is compared; what is new are the commit, and the tree with the note.
    assert said(capfd, "backup", str(place.backup))["new_object_count"] == 1
    assert main(["backup", "--verify", str(place.backup)]) == 0


def test_an_older_copy_of_the_store_does_not_take_commits_away(
    place: Place, capfd: pytest.CaptureFixture[str]
) -> None:
    older = place.path.parent / "older"
    shutil.copytree(place.store, older)
    place.commit(b"the one that counts\n")
    said(capfd, "backup", str(place.backup))
    before = content(place.backup)
    shutil.rmtree(place.store)
    older.rename(place.store)
    # It is at another commit, with the same numbers.
    place.commit(b"another\n", b"and another\n")
    told = refused(capfd, "backup", str(place.backup))
    assert told.startswith(f"EEXIST {place.backup} has commits that this copy of the store lacks")
    left = content(place.backup)
    assert {name: left[name] for name in left if name != "witness"} == {
        name: before[name] for name in before if name != "witness"
    }


# What is refused changes nothing.


def test_a_directory_with_something_else(place: Place, capfd: pytest.CaptureFixture[str]) -> None:
    place.backup.mkdir(mode=0o755)
    (place.backup / "mine").write_text("mine")
    told = refused(capfd, "backup", str(place.backup))
    assert told == (
        f"EEXIST {place.backup} holds something else (mine): name a new or empty directory"
    )
    assert content(place.backup) == {"mine": b"mine"}
    assert place.backup.stat().st_mode & 0o777 == 0o755


def test_a_store_that_is_no_backup(place: Place, capfd: pytest.CaptureFixture[str]) -> None:
    other = place.path.parent / "other"
    assert main(["init", str(other)]) == 0
    before = content(other / ".helios")
    told = refused(capfd, "backup", str(other / ".helios"))
    # The workspace around it has not to be mounted.
    assert told.startswith("EEXIST") and "a store, and no backup" in told
    told = refused(capfd, "backup", str(other / ".helios/below"))
    assert told.startswith("EPERM") and f"lies in the store {other}/.helios" in told
    assert content(other / ".helios") == before


def test_a_backup_of_another_store(
    place: Place, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    said(capfd, "backup", str(place.backup))
    before = content(place.backup)
    other = place.path.parent / "other"
    assert main(["init", str(other)]) == 0
    monkeypatch.chdir(other)
    told = refused(capfd, "backup", str(place.backup))
    assert told.startswith(f"EEXIST {place.backup} is the backup of another store (its id is {ID},")
    assert content(place.backup) == before


@pytest.mark.parametrize("name", ["ws", "ws/below", "ws/.helios", "ws/.helios/backup"])
def test_a_directory_in_the_workspace(
    place: Place, capfd: pytest.CaptureFixture[str], name: str
) -> None:
    before = content(place.store)
    told = refused(capfd, "backup", str(place.path.parent / name))
    where = "is the workspace itself" if name == "ws" else f"lies in the workspace {place.path}"
    assert told.startswith("EPERM") and where in told
    assert sorted(os.listdir(place.path)) == [".helios"]
    left = content(place.store)
    assert left.keys() == before.keys()


def test_a_link_is_not_followed(place: Place, capfd: pytest.CaptureFixture[str]) -> None:
    elsewhere = place.path.parent / "elsewhere"
    elsewhere.mkdir()
    place.backup.symlink_to(elsewhere)
    told = refused(capfd, "backup", str(place.backup))
    assert told.startswith("EPERM") and "symbolic link" in told and str(elsewhere) in told
    assert os.listdir(elsewhere) == []


@pytest.mark.parametrize("name", [MARKER, "store.lmdb", "format", "lock", "witness"])
def test_no_link_in_it_is_followed(
    place: Place, capfd: pytest.CaptureFixture[str], name: str
) -> None:
    said(capfd, "backup", str(place.backup))
    victim = place.path.parent / "victim"
    (place.backup / name).rename(victim)
    before = victim.read_bytes()
    (place.backup / name).symlink_to(victim)
    place.commit(b"more\n")
    assert "symbolic link" in refused(capfd, "backup", str(place.backup))
    assert victim.read_bytes() == before


def test_another_users_directory(
    place: Place, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    place.backup.mkdir()
    monkeypatch.setattr(os, "geteuid", lambda: place.backup.stat().st_uid + 1)
    told = refused(capfd, "backup", str(place.backup))
    assert "belongs to another user" in told
    assert os.listdir(place.backup) == []


def test_a_directory_that_is_open_to_all(place: Place, capfd: pytest.CaptureFixture[str]) -> None:
    place.backup.mkdir()
    place.backup.chmod(0o777)
    assert "is open to all" in refused(capfd, "backup", str(place.backup))
    assert os.listdir(place.backup) == []


def test_a_directory_above_that_is_missing(place: Place, capfd: pytest.CaptureFixture[str]) -> None:
    told = refused(capfd, "backup", str(place.backup / "below"))
    assert told.startswith(f"ENOENT {place.backup} is not there: is its disk mounted?")


def test_a_backup_of_a_later_version(place: Place, capfd: pytest.CaptureFixture[str]) -> None:
    said(capfd, "backup", str(place.backup))
    text = (place.backup / MARKER).read_text()
    (place.backup / MARKER).write_text(text.replace("version 1", "version 2"))
    assert "install a newer heliosfs" in refused(capfd, "backup", str(place.backup))
    (place.backup / MARKER).write_text(text[:-5])
    assert "is damaged" in refused(capfd, "backup", str(place.backup))
    (place.backup / MARKER).write_text("a diary\n")
    assert "holds something else" in refused(capfd, "backup", str(place.backup))


def test_a_backup_that_somebody_else_has_open(
    place: Place, capfd: pytest.CaptureFixture[str]
) -> None:
    said(capfd, "backup", str(place.backup))
    store = open_backup(str(place.backup))
    try:
        told = refused(capfd, "backup", str(place.backup))
        assert told.startswith("EBUSY") and str(place.backup) in told
    finally:
        store.close()


def test_nobody_works_in_a_backup(place: Place, capfd: pytest.CaptureFixture[str]) -> None:
    said(capfd, "backup", str(place.backup))
    with pytest.raises(NotPermitted, match="this store is a backup"):
        Opened(place.backup, START_NS)


def test_words_that_make_no_sense(place: Place, capfd: pytest.CaptureFixture[str]) -> None:
    assert "name the directory" in refused(capfd, "backup")
    assert "name the directory" in refused(capfd, "backup", "--verify")
    assert "a backup and a new directory" in refused(capfd, "backup", "--restore", "a")
    assert "exclude each other" in refused(capfd, "backup", "--restore", "--verify", "a")
    assert "ENOENT" in refused(capfd, "backup", "--verify", str(place.backup))
    assert "is no backup" in refused(capfd, "backup", "--verify", str(place.store))


# The way back.


def test_restoring_never_writes_over_anything(
    place: Place, capfd: pytest.CaptureFixture[str]
) -> None:
    said(capfd, "backup", str(place.backup))
    before = content(place.store)
    told = refused(capfd, "backup", "--restore", str(place.backup), str(place.path))
    assert told == f"EEXIST {place.path} is not empty: name a new or empty directory"
    assert content(place.store) == before
    told = refused(capfd, "backup", "--restore", str(place.backup), str(place.backup / "new"))
    assert f"lies in the store {place.backup}" in told
    file = place.path.parent / "file"
    file.write_text("mine")
    told = refused(capfd, "backup", "--restore", str(place.backup), str(file))
    assert told.startswith("EEXIST") and file.read_text() == "mine"


def test_what_a_killed_restore_left_is_made_anew(
    place: Place, capfd: pytest.CaptureFixture[str]
) -> None:
    said(capfd, "backup", str(place.backup))
    new = place.path.parent / "new"
    (new / ".helios.new").mkdir(parents=True)
    (new / ".helios.new/store.lmdb").write_bytes(b"half a store")
    said(capfd, "backup", "--restore", str(place.backup), str(new))
    assert sorted(os.listdir(new)) == [".helios"]
    assert main(["-C", str(new), "fsck"]) == 0


def test_a_restore_that_fails_leaves_nothing(
    place: Place, capfd: pytest.CaptureFixture[str]
) -> None:
    said(capfd, "backup", str(place.backup))
    spoil_random(place.backup)
    new = place.path.parent / "new"
    told = refused(capfd, "backup", "--restore", str(place.backup), str(new))
    assert told.startswith("EIO 1 object is damaged:\n  blob ")
    assert not new.exists()


def test_a_backup_that_was_begun_is_no_backup_yet(
    place: Place, capfd: pytest.CaptureFixture[str]
) -> None:
    place.backup.mkdir(mode=0o700)
    (place.backup / MARKER).write_text(f"heliosfs backup\nversion 1\nof {ID}\n")
    open_backup(str(place.backup), create=True).close()
    for words in (["--verify", str(place.backup)], ["--restore", str(place.backup), "../new"]):
        assert "holds no complete backup" in refused(capfd, "backup", *words)
    assert not (place.path.parent / "new").exists()
    said(capfd, "backup", str(place.backup))


# Damage.


def spoil_random(store: Path) -> None:
    """Alter a byte of the blob whose bytes lie in the store's file as they are."""
    file = store / FILE
    data = bytearray(file.read_bytes())
    at = data.index(RANDOM[100:200])
    while at >= 0:
        data[at] ^= 1
        at = data.find(RANDOM[100:200], at)
    file.write_bytes(data)


def test_what_is_damaged_is_named_and_the_backup_stays(
    place: Place, capfd: pytest.CaptureFixture[str]
) -> None:
    spoil_random(place.store)
    told = refused(capfd, "backup", str(place.backup))
    assert told.startswith("EIO 1 object is damaged:\n  blob ")
    assert "its bytes have another id" in told
    assert "holds no complete backup" in refused(capfd, "backup", "--verify", str(place.backup))


def test_the_rest_of_a_damaged_store_is_saved_if_asked(
    place: Place, capfd: pytest.CaptureFixture[str]
) -> None:
    spoil_random(place.store)
    capfd.readouterr()
    assert main(["backup", "--keep-going", str(place.backup)]) == 1
    assert "damaged, and not in the backup (1):\n  blob " in capfd.readouterr().out
    assert main(["backup", "--verify", str(place.backup)]) == 2
    assert "is not in the store" in capfd.readouterr().err
    assert main(["backup", "--keep-going", "--json", str(place.backup)]) == 1
    assert len(json.loads(capfd.readouterr().out)["damaged"]) == 1
    said(capfd, "backup", "--restore", str(place.backup), "../new")
    # All but that blob is there.
    assert main(["-C", "../new", "fsck"]) == 1


def test_a_backup_heals_when_the_store_does(
    place: Place, capfd: pytest.CaptureFixture[str]
) -> None:
    sound = (place.store / FILE).read_bytes()
    spoil_random(place.store)
    assert main(["backup", "--keep-going", str(place.backup)]) == 1
    (place.store / FILE).write_bytes(sound)
    assert said(capfd, "backup", str(place.backup))["new_object_count"] == 1
    assert main(["backup", "--verify", str(place.backup)]) == 0


def test_damage_of_state_leaves_what_the_backup_has(
    place: Place, capfd: pytest.CaptureFixture[str]
) -> None:
    said(capfd, "backup", str(place.backup))
    before = content(place.backup)
    file = place.store / FILE
    data = file.read_bytes()
    assert b'"0.5"' in data
    file.write_bytes(data.replace(b'"0.5"', b'"0.7"'))
    told = refused(capfd, "backup", str(place.backup))
    assert told.startswith("EIO the state under score/")
    assert content(place.backup)[FILE] == before[FILE]
    assert main(["backup", "--keep-going", str(place.backup)]) == 1
    assert "the state under score/" in capfd.readouterr().out
    store = open_backup(str(place.backup))
    assert [value for _, value in store.scan(keys.SCORE)] == [b'{"score":"0.5"}']
    store.close()


@pytest.mark.parametrize("seed", range(16))
def test_what_a_check_calls_sound_comes_back(
    place: Place, capfd: pytest.CaptureFixture[str], seed: int
) -> None:
    """A backup with any damage, without the store it was made of, of which nothing is left."""
    before = place.answers()
    said(capfd, "backup", str(place.backup))
    shutil.rmtree(place.store)
    numbers = random.Random(seed)
    name = numbers.choice((FILE, FILE, FILE, "pack-1"))
    data = bytearray((place.backup / name).read_bytes())
    first = numbers.randrange(len(data))
    data[first : first + 64] = bytes(byte ^ 0x55 for byte in data[first : first + 64])
    (place.backup / name).write_bytes(data)
    capfd.readouterr()
    code = main(["backup", "--verify", str(place.backup)])
    told = capfd.readouterr().err
    if code:
        assert code == 2 and told.startswith("helios: ")
        return
    # It was in a page that is free, or in an object that nothing needs.
    assert main(["backup", "--restore", "--keep-going", str(place.backup), "../new"]) in (0, 1)
    assert answers_of(place.path.parent / "new/.helios") == before


# The comparison of state.


def test_differences_find_what_moved_and_what_changed() -> None:
    numbers = random.Random(3)
    for _ in range(200):
        old = {b"k%d" % numbers.randrange(30): b"%d" % numbers.randrange(3) for _ in range(15)}
        new = {b"k%d" % numbers.randrange(30): b"%d" % numbers.randrange(3) for _ in range(15)}
        changes = differences(
            sorted(new.items(), key=lambda item: item[0][::-1]), sorted(old.items()), bool
        )
        result = dict(old)
        for key, value in changes.items():
            assert result.get(key) != value
            if value is None:
                del result[key]
            else:
                result[key] = value
        assert result == new


def test_the_store_of_a_backup_says_what_it_is(
    place: Place, capfd: pytest.CaptureFixture[str]
) -> None:
    said(capfd, "backup", str(place.backup))
    store: LocalStore = open_backup(str(place.backup))
    files = {key[len(keys.BACKUP_FILE) :]: value for key, value in store.scan(keys.BACKUP_FILE)}
    store.close()
    assert files.keys() == {b"helios.yaml", b"id", b"inodes"}
    assert files[b"id"] == ID.encode() + b"\n"
