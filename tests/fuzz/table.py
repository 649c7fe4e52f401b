"""All harnesses by name."""

from __future__ import annotations

from tests.fuzz import git_input, l2_input, objects, remotes, storage, with_git, words

HARNESSES = {
    each.name: each
    for each in (
        *objects.HARNESSES,
        *storage.HARNESSES,
        *remotes.HARNESSES,
        *l2_input.HARNESSES,
        *words.HARNESSES,
        *git_input.HARNESSES,
        *with_git.HARNESSES,
    )
}
