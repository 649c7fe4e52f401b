"""Earlier states, as a request names them and as a reply describes them."""

from __future__ import annotations

from heliosfs.clock import SECOND_NS
from heliosfs.commands.moments import ago, parse_moment
from heliosfs.commands.options import Options
from heliosfs.commands.pathspec import chosen_in_steps, is_magic
from heliosfs.commands.render import iso_time
from heliosfs.commands.verb import Request
from heliosfs.errors import NotFound
from heliosfs.objects.ids import TreeId
from heliosfs.objects.tree import Entry
from heliosfs.repo.returning import Past, recent_states, state_at
from heliosfs.repo.saves import COUNT_MAX
from heliosfs.repo.view import View
from heliosfs.steps import ALONE, TURN, Steps
from heliosfs.store.base import Store
from heliosfs.trees.gitless import git_dir_of, put_at
from heliosfs.trees.graft import graft
from heliosfs.trees.same import differs
from heliosfs.trees.stored import find_entry, has_changes, walk_changes

_LAST_OF_A_SECOND = SECOND_NS - 1


def moment_state(request: Request, options: Options) -> Past:
    """Return the state of the view at the moment of `--at`.  Raise UsageError or NotFound."""
    value = options.value("at")
    assert value is not None
    now_seconds = request.repository.clock.now_ns() // SECOND_NS
    try:
        seconds = parse_moment(value, now_seconds)
    except (ValueError, OverflowError) as error:
        raise options.misuse(
            f"--at takes a moment, such as '10 min ago' or 14:05, not {value[:80]!r}"
        ) from error
    try:
        return state_at(request.view, seconds * SECOND_NS + _LAST_OF_A_SECOND)
    except NotFound as error:
        raise NotFound(f"{error} ({kept_saves(request.view)})") from error


def last_save(request: Request) -> Past:
    """Return the last save of the view that differs from its state now.  Raise NotFound."""
    view = request.view
    root = view.state().root
    for save in reversed(view.saves.all()):
        state = view.saves.read(save)
        if _would_change(request.repository.store, b"", root, state.root):
            return Past(state, save.time_ns, None)
    raise NotFound(f"no save differs from the files as they are now ({kept_saves(view)})")


def kept_saves(view: View) -> str:
    """Return a line about the saves: how many there are, and how many there may be."""
    saves = view.saves.all()
    if not saves:
        return "nothing was saved yet"
    oldest = iso_time(saves[0].time_ns // SECOND_NS)
    count = "1 save is" if len(saves) == 1 else f"{len(saves)} saves are"
    return f"{count} kept, of at most {COUNT_MAX}; the oldest is of {oldest}"


def describe_past(past: Past) -> str:
    """Describe an earlier state, for the operation log."""
    operation = past.operation
    if operation is None:
        return f"the save of {iso_time(past.time_ns // SECOND_NS)}"
    side = "before" if past.is_before else "after"
    return f"the state {side} operation {operation.sequence}, {operation.verb}: {operation.text}"


def described(request: Request, past: Past) -> str:
    """Describe an earlier state in one line, with how long ago it was."""
    now_ns = request.repository.clock.now_ns()
    text = "".join(mark if mark.isprintable() else "?" for mark in describe_past(past))
    return f"{text} ({ago(max(0, now_ns - past.time_ns) // SECOND_NS)})"


def restored(
    request: Request, options: Options, words: list[str]
) -> Steps[list[tuple[Past, list[bytes]]]]:
    """Restore paths from saves, as one operation; return each state and what it changed.

    With `--at` all come from the state of that moment, else each from the last save, or state
    beside an operation, that has something else there than the working tree.  Ignored files that
    are meant come, too.
    Raise NotFound or UsageError.
    """
    before = request.view.state()
    if options.value("at") is not None:
        past = moment_state(request, options)
        problem = f"at {iso_time(past.time_ns // SECOND_NS)}"
        sides = before.root, past.state.root
        found = [(past, (yield from chosen_in_steps(request, words, sides, problem)))]
    else:
        together = any(map(is_magic, words))
        found = []
        for each in [words] if together else [[word] for word in words]:
            found.append((yield from _last_other(request, before.root, each)))
    yield ALONE
    with request.repository.transaction:
        return _put_back(request, words, found)


def _put_back(
    request: Request, words: list[str], found: list[tuple[Past, list[bytes]]]
) -> list[tuple[Past, list[bytes]]]:
    """Restore the paths of earlier states; return those of them that changed."""
    view, store = request.view, request.repository.store
    # Files may have been written meanwhile: those that are not meant stay as they are now.
    before, root = view.state(), view.selected()
    for past, paths in found:
        now_ns = request.repository.clock.now_ns()
        root, changed = graft(store, root, past.state.root, paths, now_ns)
        for git_dir in {each for path in changed if (each := git_dir_of(path)) is not None}:
            # I64: one that is here stays as it is; one that was lost comes back as a whole.
            if find_entry(store, before.root, git_dir) is not None and find_entry(
                store, root, git_dir
            ):
                root = put_at(store, root, git_dir, None)
    after = before._replace(root=view.ignoring.keep(root, before.root))
    if has_other_content(store, after.root, before.root):
        text = f"{describe_past(found[0][0])}: {' '.join(words)}"
        view.move("restore", text, before, after, view.stage.root)
    return [
        (past, [path for path in paths if _differs_at(store, path, before.root, after.root)])
        for past, paths in found
    ]


def _last_other(request: Request, here: Entry, words: list[str]) -> Steps[tuple[Past, list[bytes]]]:
    """Find the last known state with other versions of these paths; return it and the paths."""
    store = request.repository.store
    seen = {here.oid}
    for past in recent_states(request.view):
        root = past.state.root
        if root.oid in seen:
            continue
        seen.add(root.oid)
        try:
            paths = yield from chosen_in_steps(request, words, (here, root), "in a save")
        except NotFound:
            continue
        others = []
        for path in paths:
            yield TURN
            if find_entry(store, root, path) is not None and _would_change(store, path, here, root):
                others.append(path)
        if others:
            return past, others
    meant = " ".join(words)[:80]
    raise NotFound(f"no save has a different {meant!r} ({kept_saves(request.view)})")


def _differs_at(store: Store, path: bytes, one: Entry, other: Entry) -> bool:
    here, there = find_entry(store, one, path), find_entry(store, other, path)
    if here is None or there is None:
        return here is not there
    return has_other_content(store, here, there)


def _would_change(store: Store, path: bytes, here: Entry, past: Entry) -> bool:
    """Return True if a path of an earlier state has something else than here, or here is nothing.

    A `.git` that is here does not count, because it is not restored.
    """
    now, then = find_entry(store, here, path), find_entry(store, past, path)
    if now is None or then is None or now.is_dir != then.is_dir or differs(now, then):
        return now is not then
    if not now.is_dir:
        return False
    prefix = path + b"/" if path else b""
    for change in walk_changes(store, TreeId(now.oid), TreeId(then.oid), prefix):
        git_dir = git_dir_of(change.path)
        if git_dir is None or find_entry(store, here, git_dir) is None:
            return True
    return False


def has_other_content(store: Store, one: Entry, other: Entry) -> bool:
    """Return True if two entries differ in more than times, with all below them."""
    if differs(one, other) or one.is_dir != other.is_dir:
        return True
    return one.is_dir and has_changes(store, TreeId(one.oid), TreeId(other.oid))
