"""`RemoteClient`: the verbs that share history through a remote, as methods."""

from __future__ import annotations

from typing import Literal

from heliosfs.client.values import FetchOutcome, MergeOutcome, PushOutcome
from heliosfs.client.view import ViewClient
from heliosfs.client.words import flags, given, values

Favor = Literal["ours", "theirs", "markers"]


class RemoteClient(ViewClient):
    """A view from which branches are pushed to a remote, and fetched from it.

    These calls last as long as the transfer; others that use the workspace are not kept.
    """

    def push(
        self,
        remote: str | None = None,
        *refs: str,
        all: bool = False,  # noqa: A002 - named as the option
        tags: bool = False,
        delete: bool = False,
        work: bool = False,
        force_with_lease: bool = False,
    ) -> PushOutcome:
        """Push the current branch or other refs, `main` or `main:name-there`, with what they need.

        `work` pushes the uncommitted changes instead, for another machine.  Of several refs, those
        that were refused are in the result.  Raise Stale if the only one was, because the remote
        has commits that are not here; StoreError if it does not answer.
        """
        words = flags(
            all=all, tags=tags, delete=delete, work=work, force_with_lease=force_with_lease
        )
        return PushOutcome.of(self._json("push", "--json", *words, *given(remote, *refs)))

    def fetch(
        self,
        remote: str | None = None,
        *branches: str,
        prune: bool = False,
        depth: int | None = None,
        unshallow: bool = False,
    ) -> FetchOutcome:
        """Bring the branches, tags and experiments of a remote up to date, or some branches.

        Of a history that was cloned with a depth, `depth` brings the last commits of each branch,
        and `unshallow` all of it.

        What is damaged at the remote stays as it was seen, and is in the result.  Raise NotFound;
        StoreError if the remote does not answer, or is damaged as a whole.
        """
        words = flags(prune=prune, unshallow=unshallow) + values(depth=depth)
        return FetchOutcome.of(self._json("fetch", "--json", *words, *given(remote, *branches)))

    def pull(
        self,
        remote: str | None = None,
        branch: str | None = None,
        *,
        favor: Favor | None = None,
        ff_only: bool = False,
        no_ff: bool = False,
    ) -> MergeOutcome:
        """Fetch, and merge a branch of the remote, by default the one of the same name.

        Raise UnmergedPaths as `merge` does; what was fetched stays.
        """
        words = [f"--{favor}"] if favor else []
        words += flags(ff_only=ff_only, no_ff=no_ff)
        return MergeOutcome.of(self._json("pull", "--json", *words, *given(remote, branch)))
