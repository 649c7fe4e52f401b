"""Declarations of the verbs that scripts use: rev-list, cat-file, ls-tree and the like."""

from __future__ import annotations

from heliosfs.commands.declarations.shared_options import (
    COLOUR,
    E_AMBIGUOUS,
    E_REVISION,
    E_STORE,
    E_USAGE,
    REF_LIST,
    SELECTION,
)
from heliosfs.commands.options import JSON, Option
from heliosfs.commands.verb import READS, REPLACES_ONCE, Verb

REV_LIST = Verb(
    name="rev-list",
    module="log.rev_list",
    summary="list the ids of commits, or count them",
    synopsis=("[OPTION]... (REV | A..B | ^A | --all)... [--] [PATH]...",),
    description="Lists the commits that 'log' would show, one id a line, newest first.",
    options=(
        Option(("--count",), "show only their number"),
        Option(("--parents",), "show the ids of the parents, too"),
        Option(("--timestamp",), "show the time of the commit, in seconds, before its id"),
        Option(("--abbrev-commit",), "show 12 digits of each id"),
        Option(("--oneline",), "show the subject, too"),
        Option(
            ("--pretty", "--format"), "the format, as for 'log', after a line 'commit ID'", "FORM"
        ),
        Option(("--date",), "default, iso, short, rfc, relative, unix or raw", "FORM"),
        *SELECTION,
        JSON,
    ),
    errors=(E_USAGE, ("ENOENT", "a word is neither a revision nor a path"), E_AMBIGUOUS, E_STORE),
    example="--count HEAD~3..HEAD",
    effect=READS,
    takes_paths=True,
    is_reading=True,
)

CAT_FILE = Verb(
    name="cat-file",
    module="plumbing.cat_file",
    summary="show the kind, the size or the content of an object",
    synopsis=("(-t | -s | -p | -e) OBJECT", "(commit | tree | blob) OBJECT"),
    description=(
        "An object is a commit, or a file or directory in one: REV, REV:PATH, REV^{tree}, or\n"
        "an id. A commit is shown in git's form, with the ids of heliosfs."
    ),
    options=(
        Option(("-t",), "show its kind: commit, tree or blob"),
        Option(("-s",), "show its size in bytes, in the form that -p shows"),
        Option(("-p",), "show its content"),
        Option(("-e",), "print nothing; the exit code says whether it exists"),
    ),
    errors=(
        E_USAGE,
        ("ENOENT", "there is no such object, or it is of another kind"),
        E_AMBIGUOUS,
        ("EMSGSIZE", "the file is larger than 64 MiB: read it below .helios/snapshots"),
        E_STORE,
    ),
    example="-p HEAD:src/main.c",
    effect=READS,
    exit_codes="-e: there is no such object",
    is_reading=True,
)

LS_TREE = Verb(
    name="ls-tree",
    module="plumbing.cat_file",
    summary="list a directory of a commit: mode, kind, id and name",
    synopsis=("[-r] [-d] [-t] [-l] [-z] [--name-only] REV[:PATH] [PATH]...",),
    description=(
        "Lists the entries of the tree, or those at the paths; a path that ends with a slash\n"
        "stands for the entries in it. Called below the root, it lists the entries of the\n"
        "current directory."
    ),
    options=(
        Option(("-r", "--recursive"), "list the files in directories instead of the directories"),
        Option(("-t", "--trees"), "with -r, list the directories as well"),
        Option(("-d", "--only-trees"), "list only directories"),
        Option(("-l", "--long"), "show the size of files, too"),
        Option(("-z", "--null"), "end each entry with a NUL, and quote nothing"),
        Option(("--name-status", "--name-only"), "show only the paths"),
        Option(("--object-only",), "show only the ids"),
        Option(("--abbrev",), "show 12 digits of each id", "N", is_optional=True),
        Option(("--full-name",), "show paths from the root of the workspace"),
        Option(("--full-tree",), "as if the current directory were the root"),
        JSON,
    ),
    errors=(E_USAGE, ("ENOENT", "there is no such tree"), E_AMBIGUOUS, E_STORE),
    example="-r HEAD src",
    effect=READS,
    takes_paths=True,
    is_reading=True,
)

MERGE_BASE = Verb(
    name="merge-base",
    module="plumbing.merge_base",
    summary="show the common ancestor of commits",
    synopsis=(
        "[--all] REV REV...",
        "--is-ancestor REV REV",
        "--independent REV REV...",
        "--octopus [--all] REV REV...",
    ),
    description="Shows the best common ancestor of two commits, which a merge compares with.",
    options=(
        Option(("-a", "--all"), "show all of them, if there are several"),
        Option(
            ("--is-ancestor",),
            "print nothing; exit code 0 if it is an ancestor, else 1",
        ),
        Option(("--independent",), "show the commits that no other given commit reaches"),
        Option(("--octopus",), "show the best common ancestor of all"),
    ),
    errors=(E_USAGE, E_REVISION, E_AMBIGUOUS, E_STORE),
    example="main idea-7",
    effect=READS,
    exit_codes="there is no common ancestor; --is-ancestor: it is not one",
    is_reading=True,
)

FOR_EACH_REF = Verb(
    name="for-each-ref",
    module="refs.for_each_ref",
    summary="list branches and tags in a chosen format",
    synopsis=("[--count N] [--sort KEY] [--format FORM] [PATTERN]...",),
    description=(
        "Lists full names: refs/heads/main, refs/tags/v1.0. A pattern matches a whole name, or\n"
        "all names below it. Fields are refname, objectname, objecttype, subject, body,\n"
        "contents, author, committer, tagger, creator (each with name, email or date after it),\n"
        "HEAD, tree and parent, with git's meanings; the id of a tag with a message is that of\n"
        "its commit."
    ),
    options=(Option(("--count",), "list at most N", "N"), *REF_LIST, *COLOUR, JSON),
    errors=(E_USAGE, E_REVISION, E_AMBIGUOUS, E_STORE),
    example="--format='%(refname:short) %(committerdate:short)' refs/heads",
    effect=READS,
    is_reading=True,
)

CHECK_IGNORE = Verb(
    name="check-ignore",
    module="plumbing.check_ignore",
    client="lines",
    summary="show which paths are ignored, and by which line of which file",
    synopsis=("[-v [-n]] [-z] [--no-index] PATH...", "-q PATH", "--stdin [-v [-n]]"),
    description=(
        "A path that HEAD or the stage contains is never ignored. A path does not have to\n"
        "exist; one that ends with a slash is taken for a directory. --stdin works only on the\n"
        "command line."
    ),
    options=(
        Option(
            ("-v", "--verbose"), "show file, line and pattern; also where a pattern with ! decides"
        ),
        Option(("-n", "--non-matching"), "with -v, show paths that no pattern matches, too"),
        Option(("-q", "--quiet"), "print nothing; the exit code is for the one path"),
        Option(("-z", "--null"), "end each field with a NUL, and quote nothing"),
        Option(("--no-index",), "do not exempt paths that HEAD or the stage contains"),
        Option(("--stdin",), "read the paths from standard input, one a line"),
        JSON,
    ),
    errors=(E_USAGE, E_STORE),
    example="-v build/x.o",
    effect=READS,
    exit_codes="none of the paths is ignored",
    barrier=True,
    takes_paths=True,
    is_reading=True,
)

ARCHIVE = Verb(
    name="archive",
    module="client_verbs",
    client="archive",
    summary="write the tree of a commit as a tar or zip file",
    synopsis=("[--format FORMAT] [--prefix DIR/] [-o FILE] REV[:PATH] [PATH]...", "--list"),
    description=(
        "Writes to standard output, or into a file, whose name decides the format. Called below\n"
        "the root, it archives the current directory. All times are that of the commit; modes\n"
        "and owners are those of 'git archive'. The attributes export-ignore and export-subst\n"
        "have no effect. Works only on the command line, which reads the snapshot itself, so\n"
        "that nobody in the workspace has to wait."
    ),
    options=(
        Option(("--format",), "tar (default), tar.gz, tgz or zip", "FORMAT"),
        Option(("--prefix",), "put this before each name; it includes its slash", "DIR/"),
        Option(("-o", "--output"), "write into this file", "FILE"),
        Option(("-v", "--verbose"), "print the names to standard error"),
        Option(("-l", "--list"), "list the formats"),
    ),
    errors=(
        ("EINVAL", "wrong syntax; asked for by a control file"),
        ("ENOENT", "the revision names no tree, or nothing matches a path"),
        E_AMBIGUOUS,
        E_STORE,
    ),
    example="--prefix app/ -o /tmp/app.tar.gz HEAD",
    effect=REPLACES_ONCE,
    control_file=False,
    takes_paths=True,
)

DECLARED_PLUMBING = (REV_LIST, CAT_FILE, LS_TREE, MERGE_BASE, FOR_EACH_REF, CHECK_IGNORE, ARCHIVE)
"""Declarations in the order of the reference page."""
