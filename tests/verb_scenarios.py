"""A call of every verb that changes state, and a picture of all that a user could see."""

from __future__ import annotations

from typing import NamedTuple

from heliosfs.commands.table import VERBS, run
from heliosfs.repo.gc.roots import log_of, slots
from heliosfs.repo.remotes import EXPERIMENTS, TrackedRef
from heliosfs.repo.repository import Repository
from heliosfs.repo.shared_experiments import Measured, carrier, shared_of
from heliosfs.repo.stash import stashed
from heliosfs.repo.tag_notes import annotation
from tests.tree_builder import TreeBuilder


class Scenario(NamedTuple):
    """Words that change something in the repository that `build` makes."""

    argv: tuple[str, ...]
    before: tuple[tuple[str, ...], ...] = ()
    """Verbs to be run first."""

    @property
    def name(self) -> str:
        return " ".join(self.argv)


def _after(*before: str) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(line.split()) for line in before)


_HOOK = ("hook", "Stop", "--payload", '{"session_id": "s", "turn_id": "t"}')

CHANGING: dict[str, list[Scenario]] = {
    "add": [Scenario(("add", "b")), Scenario(("add", "-u"))],
    "commit": [
        Scenario(("commit", "-m", "third")),
        Scenario(("commit", "--work", "-m", "third")),
        Scenario(("commit", "-m", "third", "b")),
        Scenario(("commit", "--amend", "-m", "again")),
        Scenario(
            ("commit", "--allow-markers", "-m", "merged"),
            _after("commit --work -m x", "merge --markers other"),
        ),
    ],
    "branch": [
        Scenario(("branch", "new")),
        Scenario(("branch", "--fork", "new")),
        Scenario(("branch", "-m", "side", "renamed")),
        Scenario(("branch", "-c", "side", "copied")),
        Scenario(("branch", "-d", "side", "side2")),
        Scenario(("branch", "-D", "other", "side")),
        Scenario(("branch", "-f", "side", "HEAD~1")),
    ],
    "checkout": [
        Scenario(("checkout", "side")),
        Scenario(("checkout", "HEAD~1")),
        Scenario(("checkout", "-b", "new")),
        Scenario(("checkout", "-b", "new", "HEAD~1")),
        Scenario(("checkout", "HEAD~1", "--", "a")),
        Scenario(("checkout", "HEAD"), _after("checkout HEAD~1")),
        Scenario(("checkout", "-B", "side", "HEAD~1")),
        Scenario(("checkout", "HEAD~1", "--", "*a", ":!d")),
    ],
    "switch": [
        Scenario(("switch", "side")),
        Scenario(("switch", "-c", "new")),
        Scenario(("switch", "--detach", "HEAD~1")),
    ],
    "reset": [
        Scenario(("reset", "--hard", "HEAD~1")),
        Scenario(("reset", "--soft", "HEAD~1")),
        Scenario(("reset",)),
        Scenario(("reset", "c")),
    ],
    "undo": [
        Scenario(("undo",)),
        Scenario(("undo",), _after("reset --hard HEAD~1")),
        Scenario(("undo",), _after("checkout HEAD~1")),
        Scenario(("undo", "2"), _after("reset --hard HEAD~1")),
        Scenario(("undo", "--at", "now"), _after("reset --hard HEAD~1")),
    ],
    "redo": [
        Scenario(("redo",), _after("reset --hard HEAD~1", "undo")),
        Scenario(("redo", "2"), _after("reset --hard HEAD~1", "undo 2")),
    ],
    "oplog": [Scenario(("oplog", "restore", "1"))],
    "merge": [
        Scenario(("merge", "more"), _after("commit --work -m x")),
        Scenario(("merge", "--markers", "other"), _after("commit --work -m x")),
        Scenario(("merge", "--squash", "more"), _after("commit --work -m x")),
        Scenario(("merge", "--no-commit", "more"), _after("commit --work -m x")),
        Scenario(("merge", "--abort"), _after("commit --work -m x", "merge --markers other")),
        Scenario(("merge", "more"), _after("reset --hard")),
        Scenario(
            ("merge", "--continue", "--allow-markers"),
            _after("commit --work -m x", "merge --markers other"),
        ),
    ],
    "cherry-pick": [
        Scenario(("cherry-pick", "more"), _after("commit --work -m x")),
        Scenario(("cherry-pick", "--markers", "more", "other"), _after("commit --work -m x")),
        Scenario(("cherry-pick", "-n", "more"), _after("commit --work -m x")),
        Scenario(
            ("cherry-pick", "--continue", "--allow-markers"),
            _after("commit --work -m x", "cherry-pick --markers other more"),
        ),
        Scenario(
            ("cherry-pick", "--skip"),
            _after("commit --work -m x", "cherry-pick --markers other more"),
        ),
        Scenario(
            ("cherry-pick", "--abort"),
            _after("commit --work -m x", "cherry-pick --markers other more"),
        ),
    ],
    "revert": [
        Scenario(("revert", "HEAD"), _after("commit --work -m x")),
        Scenario(("revert", "-n", "HEAD"), _after("commit --work -m x")),
    ],
    "tag": [
        Scenario(("tag", "v2")),
        Scenario(("tag", "-a", "-m", "why", "v2")),
        Scenario(("tag", "-f", "-m", "why", "v1")),
        Scenario(("tag", "-f", "v1", "HEAD~1")),
        Scenario(("tag", "-d", "v1", "v1b")),
    ],
    "restore": [
        Scenario(("restore", "-s", "HEAD~1", "a")),
        Scenario(("restore", "--staged", "c")),
        Scenario(("restore", "--saved", "a"), _after("reset --hard HEAD~1")),
    ],
    "rm": [
        Scenario(("rm", "-f", "a")),
        Scenario(("rm", "-r", "d")),
        Scenario(("rm", "--cached", "a")),
    ],
    "stash": [
        Scenario(("stash",)),
        Scenario(("stash", "push", "-k", "-m", "half")),
        Scenario(("stash", "push", "--", "b")),
        Scenario(("stash", "pop"), _after("stash")),
        Scenario(("stash", "pop", "--index"), _after("stash")),
        Scenario(("stash", "apply"), _after("stash")),
        Scenario(("stash", "drop"), _after("stash")),
        Scenario(("stash", "clear"), _after("stash", "stash apply", "stash")),
        Scenario(("stash", "branch", "new"), _after("stash")),
        Scenario(("undo",), _after("stash")),
        Scenario(("redo",), _after("stash", "undo")),
    ],
    "hook": [
        Scenario(("hook", "UserPromptSubmit", "--payload", '{"session_id": "s", "prompt": "x"}')),
        Scenario(("hook", "WorktreeCreate", "--payload", '{"name": "fresh"}')),
        Scenario(
            ("hook", "WorktreeRemove", "--payload", '{"worktree_path": "/w/.helios/live/side"}')
        ),
    ],
    "rewind": [Scenario(("rewind", "1"), (_HOOK,))],
    "experiment": [
        Scenario(("experiment", "start", "fresh")),
        Scenario(("experiment", "start", "fresh", "--checkout")),
        Scenario(("experiment", "record", "-e", "idea", "--commit", "HEAD", "score=1")),
        Scenario(("experiment", "record", "-e", "idea", "--commit", "HEAD", "--add", "score=1")),
        Scenario(("experiment", "resume", "origin/far")),
        Scenario(("experiment", "resume", "origin/far", "side")),
        Scenario(("experiment", "finish", "idea")),
        Scenario(("experiment", "abandon", "idea")),
    ],
}
"""By verb.  A verb that is neither here nor in `UNCHANGING` fails the test of this table."""

UNCHANGING = {
    "archive": "runs in the client",
    "backup": "writes into another store: tests/crash/test_backup_crash.py",
    "blame": "reads",
    "cat-file": "reads",
    "check-ignore": "reads",
    "config": "replaces one file, as a whole",
    "debug": "reads",
    "diff": "reads",
    "export": "writes into git; what it notes are ids that can be made again",
    "fetch": "in steps; its refs are one transaction: tests/remote/test_faults.py",
    "for-each-ref": "reads",
    "fsck": "reads",
    "gc": "removes in steps what nobody names; tests/crash/test_gc_crash.py",
    "grep": "reads",
    "import": "in steps; its refs are one transaction: tests/compat/test_git_origins.py",
    "log": "reads",
    "ls-files": "reads",
    "ls-tree": "reads",
    "materialize": "runs in the client",
    "merge-base": "reads",
    "mv": "runs in the client: rename(2), then add",
    "pull": "fetch, then merge",
    "push": "keeps what the remote has in one transaction: tests/remote/test_faults.py",
    "race": "runs in the client",
    "receive-pack": "in steps; its refs are one transaction: tests/compat/test_git_push.py",
    "remote": "one key: tests/remote/test_exchange.py",
    "report": "reads",
    "rev-list": "reads",
    "rev-parse": "reads",
    "run": "runs in the client",
    "show": "reads",
    "stats": "reads",
    "status": "reads",
    "try": "runs in the client",
    "upload-pack": "adds ids of git in steps: tests/compat/test_git_remote.py",
    "version": "reads",
}

SCENARIOS = [each for found in CHANGING.values() for each in found]


def missing_verbs() -> set[str]:
    """The verbs that have no place in the two tables above, and names there that are no verb."""
    return set(VERBS) ^ (set(CHANGING) | set(UNCHANGING))


def build(repository: Repository) -> None:
    """Fill a new repository: commits, branches, tags, an experiment, staged and other changes."""
    files = TreeBuilder(repository.root.workspace)

    def verb(line: str, branch: str | None = None) -> None:
        view = repository.live_view(branch) if branch else repository.root
        run(repository, view, line.split())

    files.write(b"a", b"one\n")
    files.write(b"d/deep", b"one\n")
    verb("commit -q -m first")
    files.write(b"a", b"two\n")
    verb("commit -q -m second")
    for name in ("side", "side2", "other", "more"):
        verb(f"branch {name}")
    TreeBuilder(repository.live_view("other").workspace).write(b"b", b"of other\n")
    verb("commit -q -m of-other", "other")
    TreeBuilder(repository.live_view("more").workspace).write(b"m", b"of more\n")
    verb("commit -q -m of-more", "more")
    TreeBuilder(repository.live_view("other").workspace).write(b"a", b"uncommitted in other\n")
    verb("tag v1")
    verb("tag v1b HEAD~1")
    verb("experiment start idea --param model=small")
    files.write(b"b", b"uncommitted\n")
    files.write(b"c", b"staged\n")
    verb("add c")
    files.write(b"c", b"staged, and changed\n")
    files.link(b"c", b"d/link")
    repository.checkpoint()


def _see_experiment(repository: Repository) -> None:
    """Keep what a fetch would of an experiment, `origin/far`, with a commit and its score."""
    variant = repository.refs.branch("other").head
    assert variant is not None
    idea = shared_of(repository, repository.experiments.get("idea"))
    scores = {variant: {"score": Measured("1", 0)}}
    record = idea._replace(started_ns=1, branch=None, commits=(variant,), scores=scores)
    with repository.transaction:
        oid = repository.history.write(carrier(repository, record))
        repository.remotes.add("origin", "file:///nowhere")
        seen = TrackedRef(oid, oid, 1, "version")
        repository.remotes.track("origin", EXPERIMENTS, "far", seen, 0)


def prepare(repository: Repository, scenario: Scenario) -> None:
    """Run what comes before the words of a scenario."""
    if any("origin/" in word for word in scenario.argv):
        _see_experiment(repository)
    for argv in scenario.before:
        run(repository, repository.root, list(argv))


def carry_out(repository: Repository, scenario: Scenario) -> str:
    """Run the words of a scenario at the mount point."""
    return run(repository, repository.root, list(scenario.argv))


def picture(repository: Repository) -> dict[str, object]:
    """Everything that a user could see: refs, HEADs, files, stages, logs, experiments, settings."""
    found: dict[str, object] = {
        "branches": {branch.name: (branch.slot, branch.head) for branch in repository.refs},
        "tags": dict(repository.refs.tags),
        "annotations": {name: annotation(repository.store, name) for name in repository.refs.tags},
        "dropped": sorted(oid for _, oid in repository.dropped),
        "stash": stashed(repository.store),
        "settings": repository.configuration.text,
        "experiments": {
            each.name: (each, repository.experiments.commits(each))
            for each in repository.experiments
        },
        "commits": {oid: repository.experiments.scores(oid) for oid in repository.history.ids()},
        "root": repository.root.slot,
    }
    for slot in slots(repository):
        operations = list(log_of(repository, slot).operations())
        found[f"log {slot}"] = [(each.sequence, each.verb, each.text) for each in operations]
    names = [branch.name for branch in repository.refs if branch.slot != repository.root.slot]
    for view in (repository.root, *(repository.live_view(name) for name in sorted(names))):
        state = view.state()
        tree = TreeBuilder(view.workspace).tree()
        last = view.log.last
        found[f"view {view.slot}"] = (
            state,
            view.head,
            view.merging,
            view.stage.root,
            last.sequence if last else 0,
            tree,
        )
    return found
