"""The operation log: what a commit says of its own operation is not written a second time."""

from __future__ import annotations

from heliosfs.repo import keys
from heliosfs.repo.operation import COMMIT, ORDINARY, SUBJECT, encode_operation
from tests.tree_builder import Stage

_FLAGS_AT = 32
_SAID = COMMIT | SUBJECT | ORDINARY


def stored(stage: Stage) -> list[bytes]:
    """The bytes of all operations, which are compared with their encoding."""
    view, store = stage.view, stage.store
    found = []
    for operation in reversed(list(view.log.operations())):
        key = keys.of_log(view.slot)[0] + keys.NUMBER.pack(operation.sequence)
        data = store.get(key)
        assert data is not None
        history = stage.repository.history
        assert data == encode_operation(operation, view.slot, history), operation
        found.append(data)
    return found


def test_operations_are_written_as_if_nothing_was_known_of_them() -> None:
    stage = Stage()
    stage.commit(a=b"1")
    for number in range(3):
        stage.files.write(b"a", b"%d" % number)
        stage.run("commit", "-m", f"message {number}\n\nand a body")
    assert [data[_FLAGS_AT] for data in stored(stage)] == [_SAID] * 4
    stage.run("undo")
    stage.files.write(b"a", b"after an undo")
    stage.run("commit", "-m", "after an undo")
    assert stored(stage)[-1][_FLAGS_AT] == COMMIT | SUBJECT
    stage.files.write(b"b", b"staged")
    stage.files.write(b"a", b"not staged")
    stage.run("add", "b")
    stage.run("commit", "-m", "a part")
    assert not stored(stage)[-1][_FLAGS_AT] & COMMIT
    stage.run("commit", "-m", "the rest")
    assert stored(stage)[-1][_FLAGS_AT] == _SAID
    stage.run("commit", "--amend", "-m", "amended")
    stage.run("reset", "--hard", "HEAD~1")
    stage.files.write(b"a", b"last")
    stage.run("commit", "-m", "last")
    stored(stage)


def test_a_merge_and_a_commit_after_it() -> None:
    stage = Stage()
    stage.commit(a=b"1\n", b=b"1\n")
    stage.run("branch", "other")
    stage.files.write(b"a", b"2\n")
    stage.run("commit", "-m", "here")
    stage.run("checkout", "other")
    stage.files.write(b"b", b"3\n")
    stage.run("commit", "-m", "there")
    stage.run("checkout", "main")
    stage.run("merge", "--no-commit", "other")
    stage.files.write(b"a", b"both\n")
    stage.run("commit", "-m", "concluded")
    stage.files.write(b"a", b"more\n")
    stage.run("commit", "-m", "after it")
    assert stored(stage)[-1][_FLAGS_AT] == _SAID
    assert stage.run("undo").startswith("undid commit: after it\n")
