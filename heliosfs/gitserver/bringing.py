"""Transfers into the mirror by `git fetch`: of all refs at once, or one by one.

Git brings all that it is asked for or nothing.  So when it fails, the server is asked for its refs,
and those that can be had are brought without the others.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from typing import NamedTuple

from heliosfs.gitserver.listing import ServerRefs, ask_listing, check_has, name_problem
from heliosfs.gitserver.mirror import ALL_REFS, BrokenMirror, Mirror, refspec
from heliosfs.remote.damage import DamagedRemote
from heliosfs.remote.foundrefs import RefName
from heliosfs.steps import Steps, on_thread

_FETCH = (
    "fetch",
    "--progress",
    "--force",
    "--no-recurse-submodules",
    "--no-show-forced-updates",
    "--no-tags",
)
_SINGLY_MAX = 200
"""Largest number of refs that are asked for one by one after all together have failed."""


class BroughtRefs(NamedTuple):
    """The refs of a server, which the mirror has with all that they need."""

    refs: dict[RefName, bytes]
    left: dict[RefName, str]
    """Refs that the server has, and git could not bring, with git's reasons."""


def bring(
    mirror: Mirror, url: str, remote: str, names: Sequence[RefName] = ()
) -> Steps[BroughtRefs]:
    """Bring all branches and tags of a server into the mirror, or some by their names.

    Raise Unreachable, DamagedRemote, NotFound if a name is not there, and BrokenMirror if the
    mirror may be to blame.
    """
    specs = [refspec(*each) for each in names] or [*ALL_REFS, "--prune"]
    outcome = yield from mirror.transfer(_fetch(url, specs)).run()
    if not outcome.code:
        refs = yield from on_thread(mirror.refs)
        return BroughtRefs({each: refs[each] for each in names or refs if each in refs}, {})
    # The server says itself whether it is there, and has what was asked for.
    listing = yield from ask_listing(url, remote)
    check_has(remote, listing.refs, names)
    if not mirror.is_new:
        raise BrokenMirror(outcome.reason)
    wanted = list(names or listing.refs)
    if len(wanted) == 1 or len(wanted) > _SINGLY_MAX:
        raise DamagedRemote(f"nothing could be fetched from {remote}: {outcome.reason}")
    return (yield from _bring_singly(mirror, url, remote, listing, wanted))


def make_mirror(mirror: Mirror, url: str, remote: str) -> Steps[None]:
    """Make a mirror anew, for the ids that the server has.  Unreachable."""
    listing = yield from ask_listing(url, remote)
    yield from on_thread(partial(mirror.make, listing.hash_name))


def _bring_singly(
    mirror: Mirror, url: str, remote: str, listing: ServerRefs, wanted: Iterable[RefName]
) -> Steps[BroughtRefs]:
    left = {}
    for name in wanted:
        left[name] = name_problem(name)
        if not left[name]:
            outcome = yield from mirror.transfer(_fetch(url, [refspec(*name)])).run()
            left[name] = outcome.reason if outcome.code else ""
    reasons = {reason for reason in left.values() if reason}
    if all(left.values()) and len(reasons) == 1:
        # It is not about any of them.
        raise DamagedRemote(f"nothing could be fetched from {remote}: {reasons.pop()}")
    refs = yield from on_thread(mirror.refs)
    here = {each: refs[each] for each in listing.refs if each in refs and not left.get(each)}
    return BroughtRefs(here, {name: reason for name, reason in left.items() if reason})


def _fetch(url: str, specs: Sequence[str]) -> list[str]:
    options = [each for each in specs if each.startswith("-")]
    return [*_FETCH, *options, "--", url, *(each for each in specs if each not in options)]
