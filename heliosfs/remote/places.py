"""Places of contents, read anew from a remote that has moved them.

A maintenance of the remote merges packs, and what it replaces is deleted a day later.  The refs
then lead to trees that name the new packs.  A fetch does not read these where nothing else is new,
so whoever finds that a pack is gone asks here, and then for the content again.
"""

from __future__ import annotations

from functools import partial

from heliosfs.errors import CorruptObject
from heliosfs.objects.ids import CommitId
from heliosfs.remote.bucket import Bucket, NoObject
from heliosfs.remote.damage import told_as_of
from heliosfs.remote.download import Download
from heliosfs.remote.layout import REF_BYTES_MAX, REFS, decode_ref, ref_key, ref_of
from heliosfs.remote.reading import READERS
from heliosfs.remote.threads import mapped
from heliosfs.repo.repository import Repository
from heliosfs.steps import Steps, read_far


def renew_places(repository: Repository, bucket: Bucket, remote: str) -> Steps[int]:
    """Promise all contents that the refs of a remote lead to, at their present places.

    Return the number of rows, which come before all older promises.  Cost: the refs, and every
    object with trees that they lead to, without the contents.  Unreachable, DamagedRemote.
    """
    with told_as_of(remote):
        tips = yield from read_far(partial(_tips, bucket))
        download = Download(repository, bucket, remote, is_lazy=True)
        yield from download.take_places(tips)
    return download.promised_count


def _tips(bucket: Bucket) -> list[CommitId]:
    """Return the commits by which `trees/` names what refs need; on a thread."""
    names = [ref for each in bucket.list(REFS) if (ref := ref_of(each.key)) is not None]

    def read(name: tuple[str, str]) -> CommitId | None:
        try:
            return decode_ref(name[1], bucket.get(ref_key(*name), 0, REF_BYTES_MAX).data).trees
        except (NoObject, CorruptObject):
            # It was deleted meanwhile, or a fetch tells of it.
            return None

    found = mapped(read, names, READERS)
    return list({each: None for each in found if each is not None})
