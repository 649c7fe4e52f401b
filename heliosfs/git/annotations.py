"""Annotations of tags, imported or made here."""

from __future__ import annotations

from heliosfs.git import raw
from heliosfs.git.ids import IdMap
from heliosfs.git.refs import TAGS
from heliosfs.repo.repository import Repository
from heliosfs.repo.tag_notes import Annotation, annotation


def all_annotations(repository: Repository) -> dict[str, Annotation]:
    """Return annotations by name of the tag.  Cost: all tags that were ever imported."""
    ids = IdMap(repository.store)
    tags = repository.refs.tags
    found: dict[str, Annotation] = {}
    for _, ref, known in ids.origins.refs():
        name = known.name
        if not ref.startswith(TAGS) or name not in tags or name in found:
            continue
        data = ids.tag(known.git_id)
        if data is not None and ids.commit_of(known.git_id) == tags[name]:
            said = raw.tag_text(data)
            found[name] = Annotation(said.tagger, said.message)
    for name in tags:
        note = annotation(repository.store, name)
        if note is not None:
            found[name] = note
    return found
