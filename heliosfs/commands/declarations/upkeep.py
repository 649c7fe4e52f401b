"""Declarations of the verbs that keep a store small and sound: gc, fsck, debug."""

from __future__ import annotations

from heliosfs.commands.declarations.shared_options import E_AMBIGUOUS, E_FULL, E_USAGE
from heliosfs.commands.options import JSON, Option
from heliosfs.commands.verb import Verb

_E_RUNS = ("EBUSY", "another long verb runs")
_E_DAMAGE = ("EIO", "an object that is needed is missing or damaged; nothing was removed")

GC = Verb(
    name="gc",
    module="gc",
    summary="remove what is not needed any more",
    synopsis=(
        "[--dry-run] [--json]",
        "--remove-old-snapshots [--before=AGE] [--aggressive] [--dry-run] [--json]",
        "--aggressive [--dry-run] [--json]",
    ),
    description=(
        "What branches, tags, working states and experiments reach stays, and so does what\n"
        "undo can go back to. Removed are the operations that are older than\n"
        "cleanup.snapshot_ttl, or beyond the newest ai_optimizations.snapshot_retention of\n"
        "their branch; the commits that nothing reaches, once they are older than\n"
        "cleanup.snapshot_ttl; and all files that only these needed. The workspace can be\n"
        "used meanwhile. Freed space is used again; the file gets shorter after unmounting."
    ),
    options=(
        Option(
            ("--remove-old-snapshots",), "commits and operations by the age that --before gives"
        ),
        Option(("--before",), "an age instead of cleanup.snapshot_ttl: 48h, 30m, 7d, 2w", "AGE"),
        Option(("--aggressive",), "commits that nothing reaches, of any age; pack the rest"),
        Option(("--dry-run",), "change nothing, and say what would go"),
        JSON,
    ),
    errors=(E_USAGE, _E_RUNS, _E_DAMAGE, E_FULL),
    example="--remove-old-snapshots --before=48h",
    is_long=True,
)

FSCK = Verb(
    name="fsck",
    module="fsck",
    summary="read everything in the store, and say what is damaged",
    synopsis=("[--json]",),
    description=(
        "Reads every file, tree and commit that commits, working states and operations reach,\n"
        "and compares it with its id. What is damaged is listed with what needs it."
    ),
    options=(JSON,),
    errors=(E_USAGE, _E_RUNS, ("EIO", "something is missing or damaged"), E_FULL),
    example="",
    barrier=True,
    is_long=True,
)

DEBUG = Verb(
    name="debug",
    module="debug",
    client="debug",
    summary="what the store has, as it has it",
    synopsis=(
        "object ID [--limit N] [--json]",
        "chain ID [--json]",
        "state [PREFIX] [--limit N] [--json]",
        "journal [--limit N] [--json]",
    ),
    description=(
        "For whoever looks for a fault; nothing is changed, and the form of the reply may\n"
        "change with any version. object: the fields of any object in the store, whether\n"
        "something names it or not; an id may be cut to 4 digits, and REV and REV:PATH name\n"
        "objects as well. chain: the records that are needed to decode it, itself first.\n"
        "state: keys and values, and whether each lies in L2 or above it. journal: the batches\n"
        "that lie in the journal's files, drained ones that were not written over yet\n"
        "included; of a workspace that is not mounted, without opening the store, which would\n"
        "move them into L2."
    ),
    options=(Option(("--limit",), "at most so many rows: 50, if nothing is said", "N"), JSON),
    errors=(
        E_USAGE,
        ("ENOENT", "there is no such object"),
        E_AMBIGUOUS,
        ("EIO", "the object, or the store, is damaged"),
    ),
    example="chain HEAD:notes",
    control_file=False,
    is_reading=True,
)

DECLARED_UPKEEP = (GC, FSCK, DEBUG)
