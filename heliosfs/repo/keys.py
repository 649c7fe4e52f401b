"""Keys of stored state: every prefix, and the rest of the key after it.

No other module spells one.  `docs/reference/on-disk-format.md` has the same table, with the bytes
of the values.  L2 packs keys that begin with `@` or `~`, so such a prefix also determines the form
of the rest of the key.
"""

from __future__ import annotations

import struct

COMMIT = b"@commit/"
"""Id of a commit: lists it."""
SHALLOW = b"shallow/"
"""Id of a commit whose parents are not here: the ids of these."""
MILESTONE = b"milestone/"
"""Id of a commit whose depth is a multiple of 64: its place and its jumps."""
BRANCH = b"branch/"
"""Name of a branch: its slot and its commit."""
TAG = b"tag/"
"""Name of a tag: its commit."""
TAG_NOTE = b"tag-note/"
"""Name of an annotated tag: tagger and message."""
DROPPED = b"dropped/"
"""Time and id: a commit that a ref named until then."""

WORK = b"work/"
"""Slot: the working state, as last saved."""
SAVE = b"save/"
"""Slot and sequence: an automatic save."""
STAGE = b"stage/"
"""Slot: the staged tree."""
STASH = b"stash/"
"""Number: the commit of an entry of the stash."""

OPERATION = b"~op/"
"""Slot and sequence: an operation."""
LAST_OPERATION = b"oplast/"
"""Slot: sequence of the last operation."""
FIRST_OPERATION = b"opfirst/"
"""Slot: sequence of the oldest operation that is left."""
STAGE_BEFORE = b"op-stage/"
"""Slot and sequence: the staged tree before an operation."""
STASH_CHANGE = b"op-stash/"
"""Slot and sequence: the entries of the stash that an operation added or took out."""

EXPERIMENT = b"experiment/"
"""Name: the record of an experiment."""
VARIANTS = b"variants/"
"""Slot, or slot and number: commits of an experiment."""
SCORE = b"score/"
"""Id of a commit: its scores."""
SCORED_AT = b"scored-at/"
"""Id of a commit: when each of its scores was recorded."""

GIT_ID = b"git/"
"""Git's id: the object that it became here."""
GIT_OF = b"git-of/"
"""Id: git's id of it."""
GIT_SERVED = b"git-served/"
"""Id of a commit made here: git's id of it in a clone."""
GIT_ORIGIN = b"git-origin/"
"""Number: a repository that was imported, or exported to."""
GIT_REF = b"git-ref/"
"""Number of an origin, and a ref: the object that it named last."""
GIT_TAG = b"git-tag/"
"""Git's id: an annotated tag, as git has it."""
GIT_TAKEN = b"git-taken/"
"""Number: commits of an import that is under way."""

REMOTE = b"remote/"
"""Name of a remote: its URL."""
REMOTE_REF = b"remote-ref/"
"""Name of a remote, a slash, kind and name of a ref: what the remote has there, as last seen."""
PUSHING = b"remote-push/"
"""Name of a remote: present while a push to it is under way, or was cut short."""
REMOTE_LAZY = b"remote-lazy/"
"""Name of a remote: present if fetches from it leave contents there."""
REMOTE_GIT = b"remote-git/"
"""Name of a remote: present if it is a git server."""
REMOTE_KEPT = b"remote-kept/"
"""Name of a remote: up to where it is known that what it lost is here, if somebody needs it."""
REMOTE_BELOW = b"remote-below/"
"""Name of a remote, a slash, kind and name of a ref: version of one whose commits are not here."""
REMOTE_SCORES = b"remote-scores/"
"""Name of a remote, a slash, name of a branch: the record of its scores there, as last seen."""
REMOTE_STAGE = b"remote-gc/"
"""Name of a remote: the stage of its garbage collections, as last seen."""

ROOT = b"repo/root"
"""The slot that the mount point shows."""
PREVIOUS = b"repo/previous"
"""The slot that the mount point showed before, and its HEAD then."""
NEXT_SLOT = b"repo/next-slot"
"""The next free slot."""
NEXT_STASH = b"repo/next-stash"
"""The number of the next entry of the stash."""
BENEATH = b"repo/beneath"
"""Record of the files beneath the mount point."""
TAKEN_IN = b"repo/taken-in"
"""Present once the files beneath the first mount were imported."""
NUMBERED = b"repo/numbered"
"""Present once a mount has kept the numbers of inodes in a file."""
GIT_DIRS = b"repo/git-dirs"
"""`none` if no commit has a `.git`, `some` if one may; a store of an earlier version lacks it."""
GIT_SEEN = b"repo/git-seen"
"""Present once a working tree had a `.git`."""
SETTINGS = b"repo/settings"
"""Digest of `helios.yaml` as it was last read."""
MILESTONES = b"repo/milestones"
"""Present once every chain of first parents that refs name has its milestones."""
MACHINE = b"repo/machine"
"""Name of this store on this machine, and a digest of the machine."""
BACKUP = b"repo/backup"
"""Present in the store of a backup alone: what was backed up last, up to which object."""
BACKUP_FILE = b"backup-file/"
"""Name: the bytes of a file beside the store that was backed up."""
GC_LAST = b"gc/last"
"""Results of the last garbage collection."""
GC_HANDOVER = b"gc/handover"
"""Record of what the last garbage collection looked at, and the next one need not."""

NUMBER = struct.Struct(">Q")
"""Number at the end of a key, big-endian, so that state is scanned in its order."""
_OPERATION = struct.Struct(">QQ")


def of_name(prefix: bytes, name: str) -> bytes:
    """Return the key of a branch or tag."""
    return prefix + name.encode("utf-8", "surrogateescape")


def name_in(prefix: bytes, key: bytes) -> str:
    """Return the name in a key of `of_name`."""
    return key[len(prefix) :].decode("utf-8", "surrogateescape")


def of_slot(prefix: bytes, slot: int) -> bytes:
    """Return the key of a slot under `work/`, `save/`, `stage/` or `variants/`, its prefix."""
    return b"%s%016x" % (prefix, slot)


def slot_in(prefix: bytes, key: bytes) -> int:
    """Return the slot in a key of `of_slot`."""
    return int(key[len(prefix) : len(prefix) + 16], 16)


def of_number(prefix: bytes, number: int) -> bytes:
    """Return the key that ends with a number, such as that of the log of a slot."""
    return prefix + NUMBER.pack(number)


def number_in(prefix: bytes, key: bytes) -> int:
    """Return the number in a key of `of_number`."""
    return int(NUMBER.unpack_from(key, len(prefix))[0])


def of_log(slot: int) -> tuple[bytes, bytes, bytes]:
    """Return the prefix of a slot's operations, and the keys of its last and first number."""
    number = NUMBER.pack(slot)
    return OPERATION + number, LAST_OPERATION + number, FIRST_OPERATION + number


def of_operation(prefix: bytes, slot: int, sequence: int) -> bytes:
    """Return the key of state that belongs to an operation."""
    return prefix + _OPERATION.pack(slot, sequence)


def of_operations(prefix: bytes, slot: int) -> bytes:
    """Return the prefix of the keys of `of_operation` of a slot."""
    return prefix + NUMBER.pack(slot)


def operation_in(prefix: bytes, key: bytes) -> tuple[int, int]:
    """Return slot and sequence in a key of `of_operation`."""
    slot, sequence = _OPERATION.unpack_from(key, len(prefix))
    return slot, sequence
