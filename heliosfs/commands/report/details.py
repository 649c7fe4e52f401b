"""Details of the commits in the report: rest of the message, metadata, and diff.

They are bounded in number and in bytes, and lie in the page compressed, many to a chunk.
"""

from __future__ import annotations

import json
from base64 import b64encode
from itertools import islice
from zlib import DEFLATED, MAX_WBITS, compressobj

from heliosfs.commands.diff.changes import FileChange, by_file, find_renames_in_steps
from heliosfs.commands.diff.patch import Patch, attributes_of
from heliosfs.commands.render import quote_path, text_of
from heliosfs.commands.report.commits import Row
from heliosfs.errors import MissingObject, PromisedObject
from heliosfs.objects.commit import Commit
from heliosfs.objects.ids import CommitId, TreeId
from heliosfs.repo.experiments import METADATA_KEY
from heliosfs.repo.repository import Repository
from heliosfs.steps import TURN, Steps
from heliosfs.trees.stored import EMPTY_TREE, walk_changes

DETAILS_MAX_COUNT = 4_000
DETAILS_MAX_BYTES = 6 * 1024 * 1024
"""Largest size of all details, before they are compressed to a fifth or less."""
DIFF_MAX_BYTES = 24 * 1024
_FILES_MAX = 100
_SHOWN_FILE_MAX_BYTES = 64 * 1024
_BODY_MAX_CHARACTERS = 4000
_CHUNK_BYTES = 64 * 1024


class DetailChunks:
    """Details of commits (message, metadata, diff) in compressed chunks, and the chunk of each."""

    def __init__(self, repository: Repository) -> None:
        self._repository = repository
        self._attributes = attributes_of(repository.root)
        self.chunks: list[str] = []
        """Deflated JSON in base64: the details for each id."""
        self.places: dict[CommitId, int] = {}
        self._open: dict[str, dict[str, object]] = {}
        self._open_bytes = 0
        self._all_bytes = 0

    @property
    def has_room(self) -> bool:
        """True if the details of one more commit may be added."""
        return len(self.places) < DETAILS_MAX_COUNT and self._all_bytes < DETAILS_MAX_BYTES

    def add(self, row: Row) -> Steps[None]:
        """Add the details of a commit, if the commit is still in the store."""
        try:
            commit = self._repository.history.read(row.oid)
            detail = _about(commit)
            yield from self._add_diff(commit, detail)
        except PromisedObject:
            raise
        except MissingObject:
            return
        self._open[row.shown_id] = detail
        self.places[row.oid] = len(self.chunks)
        size = sum(len(value) for value in detail.values() if isinstance(value, str)) + 100
        self._open_bytes += size
        self._all_bytes += size
        if self._open_bytes >= _CHUNK_BYTES:
            self.close()
        yield TURN

    def close(self) -> None:
        """Compress the open chunk."""
        if self._open:
            text = json.dumps(self._open, separators=(",", ":"))
            packer = compressobj(6, DEFLATED, -MAX_WBITS)
            packed = packer.compress(text.encode()) + packer.flush()
            self.chunks.append(b64encode(packed).decode())
            self._open, self._open_bytes = {}, 0

    def _add_diff(self, commit: Commit, detail: dict[str, object]) -> Steps[None]:
        """Add the diff to the first parent, or as much of it as the page has room for."""
        repository = self._repository
        store, history = repository.store, repository.history
        old = history.read(commit.parents[0]).root.oid if commit.parents else EMPTY_TREE
        walked = walk_changes(store, TreeId(old), TreeId(commit.root.oid))
        changes = list(islice(walked, _FILES_MAX + 1))
        remarks = ["there are more files"] if len(changes) > _FILES_MAX else []
        text = ""
        maker = Patch(store, attributes=self._attributes)
        for change in (yield from find_renames_in_steps(store, by_file(changes[:_FILES_MAX]))):
            yield TURN
            if _is_large(change):
                remarks.append(f"{quote_path(change.path)} is large")
                continue
            text += text_of((yield from maker.text([change])))
            if len(text) > DIFF_MAX_BYTES:
                text = text[: text.rfind("\n", 0, DIFF_MAX_BYTES) + 1]
                remarks.append("the diff is long")
                break
        detail["diff"] = text
        if remarks:
            shown = "; ".join(remarks[:4]) + ("; …" if len(remarks) > 4 else "")
            detail["remark"] = f"Not all of it: {shown}. The whole:"


def _about(commit: Commit) -> dict[str, object]:
    """Return the rest of the message, and the metadata that the page does not show anyway."""
    detail: dict[str, object] = {}
    body = text_of(commit.body).strip("\r\n").replace("\r\n", "\n")
    if body:
        detail["body"] = body[:_BODY_MAX_CHARACTERS]
    metadata = {
        key: value[:_BODY_MAX_CHARACTERS]
        for key, value in commit.metadata.items()
        if key != METADATA_KEY
    }
    if metadata:
        detail["metadata"] = metadata
    return detail


def _is_large(change: FileChange) -> bool:
    sizes = (entry.size for entry in (change.old, change.new) if entry is not None)
    return max(sizes, default=0) > _SHOWN_FILE_MAX_BYTES
