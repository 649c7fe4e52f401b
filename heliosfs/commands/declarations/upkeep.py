"""Declarations of the verbs that keep a store small and sound: gc, fsck, backup, debug."""

from __future__ import annotations

from heliosfs.commands.declarations.shared_options import E_AMBIGUOUS, E_FULL, E_USAGE
from heliosfs.commands.options import JSON, Option
from heliosfs.commands.verb import ADDS_ONCE, READS, REPLACES_ONCE, Verb

_E_RUNS = ("EBUSY", "another long verb runs")
_E_DAMAGE = ("EIO", "an object that is needed is missing or damaged; nothing was removed")

GC = Verb(
    name="gc",
    module="gc",
    summary="remove objects and operations that are no longer needed",
    synopsis=(
        "[--dry-run] [--json]",
        "--remove-old-snapshots [--before=AGE] [--aggressive] [--dry-run] [--json]",
        "--aggressive [--dry-run] [--json]",
    ),
    description=(
        "Keeps everything that branches, tags, working states, experiments and undo need.\n"
        "Removes operations that are older than cleanup.snapshot_ttl, or beyond the newest\n"
        "ai_optimizations.snapshot_retention of their branch; commits that nothing reaches,\n"
        "once they are older than cleanup.snapshot_ttl; and all files that only these needed.\n"
        "The workspace can be used meanwhile. Freed space is used again; the file of the store\n"
        "shrinks when the workspace is unmounted."
    ),
    options=(
        Option(
            ("--remove-old-snapshots",),
            "remove commits and operations by the age that --before gives",
        ),
        Option(("--before",), "an age instead of cleanup.snapshot_ttl: 48h, 30m, 7d, 2w", "AGE"),
        Option(("--aggressive",), "remove commits that nothing reaches, of any age; pack the rest"),
        Option(("--dry-run",), "change nothing; report what would be removed"),
        JSON,
    ),
    errors=(E_USAGE, _E_RUNS, _E_DAMAGE, E_FULL),
    example="--remove-old-snapshots --before=48h",
    effect=REPLACES_ONCE,
    is_long=True,
)

FSCK = Verb(
    name="fsck",
    module="fsck",
    summary="read everything in the store, and report damage",
    client="fsck",
    synopsis=("[--json]", "--repair NEW [--json]"),
    description=(
        "Reads every file, tree and commit that commits, working states and operations reach,\n"
        "and compares it with its id; looks at every page of the store's files and at all state.\n"
        "Lists each damaged object with what needs it. --repair, of an unmounted workspace:\n"
        "makes a new store at NEW of what can still be read, and lists what is lost, by commit\n"
        "and path; the damaged store is left as it is."
    ),
    options=(Option(("--repair",), "make a new store there of what can be read", "NEW"), JSON),
    errors=(
        E_USAGE,
        _E_RUNS,
        ("EIO", "something is missing or damaged"),
        ("EEXIST", "--repair: NEW is there already"),
        E_FULL,
    ),
    example="--repair /tmp/rescued",
    effect=ADDS_ONCE,
    barrier=True,
    is_long=True,
)

BACKUP = Verb(
    name="backup",
    module="backup",
    client="backup",
    summary="copy the whole store into a directory, and later what is new",
    synopsis=(
        "[--keep-going] [--json] DIR",
        "--verify [--json] DIR",
        "--restore [--keep-going] [--json] DIR NEW",
    ),
    description=(
        "DIR becomes a copy of all that the store has at one moment: commits, branches, tags,\n"
        "uncommitted work of every branch, the operation log, scores, settings. DIR is made, or\n"
        "is empty, or is a backup of this store: then only what is new is copied. The workspace\n"
        "can be used meanwhile. Every object is compared with its id. If it ends early, DIR has\n"
        "the last backup that was completed, and the next one goes on from there.\n"
        "--verify reads all of a backup and reports damage, as fsck does. --restore makes a\n"
        "workspace of a backup in NEW, a new or empty directory."
    ),
    options=(
        Option(("--keep-going",), "leave out what is damaged, and copy the rest"),
        Option(("--verify",), "check a backup; neither the store nor a workspace is needed"),
        Option(("--restore",), "make a workspace of a backup"),
        JSON,
    ),
    errors=(
        E_USAGE,
        _E_RUNS,
        ("EINVAL", "a path that is not absolute, in a control file"),
        ("EEXIST", "DIR holds something else, or is the backup of another store"),
        ("EEXIST", "--restore: NEW is not empty"),
        ("EPERM", "DIR lies in a workspace, is a symbolic link, or belongs to another user"),
        ("ENOENT", "the directory above DIR is missing; --verify, --restore: no backup there"),
        ("EBUSY", "another process uses DIR"),
        ("EIO", "something is damaged, and --keep-going was not given"),
        ("ENOSPC", "the disk of DIR is full; the last backup is as it was"),
    ),
    example="/srv/backup/project",
    effect=ADDS_ONCE,
    barrier=True,
    is_long=True,
    exit_codes="--keep-going: something is damaged, and not copied",
)

DEBUG = Verb(
    name="debug",
    module="debug",
    client="debug",
    summary="show the raw contents of the store",
    synopsis=(
        "object ID [--limit N] [--json]",
        "chain ID [--json]",
        "state [PREFIX] [--limit N] [--json]",
        "journal [--limit N] [--json]",
    ),
    description=(
        "For debugging. Changes nothing; the form of the reply may change with any version.\n"
        "object: the fields of any object in the store, whether something refers to it or not;\n"
        "an id may be cut to 4 digits, and REV and REV:PATH name objects as well. chain: the\n"
        "records that are needed to decode the object, its own first. state: keys and values,\n"
        "and whether each lies in L2 or above it. journal: the batches in the journal's files,\n"
        "also those that are in L2 already but not overwritten yet; for an unmounted workspace\n"
        "they are read without opening the store, which would move them into L2."
    ),
    options=(Option(("--limit",), "show at most N rows (default: 50)", "N"), JSON),
    errors=(
        E_USAGE,
        ("ENOENT", "there is no such object"),
        E_AMBIGUOUS,
        ("EIO", "the object, or the store, is damaged"),
    ),
    example="chain HEAD:notes",
    effect=READS,
    control_file=False,
    is_reading=True,
)

DECLARED_UPKEEP = (GC, FSCK, BACKUP, DEBUG)
