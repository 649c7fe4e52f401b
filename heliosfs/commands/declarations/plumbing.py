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
from heliosfs.commands.verb import Verb

REV_LIST = Verb(
    name="rev-list",
    module="log.rev_list",
    summary="the ids of commits, or how many there are",
    synopsis=("[OPTION]... (REV | A..B | ^A | --all)... [--] [PATH]...",),
    description="The commits that 'log' would show, an id on each line, the newest first.",
    options=(
        Option(("--count",), "only how many there are"),
        Option(("--parents",), "with the ids of the parents"),
        Option(("--timestamp",), "after the seconds of the commit"),
        Option(("--abbrev-commit",), "ids of 12 digits"),
        Option(("--oneline",), "with the subject"),
        Option(("--pretty", "--format"), "as 'log' has it, after a line 'commit ID'", "FORM"),
        Option(("--date",), "default, iso, short, rfc, relative, unix or raw", "FORM"),
        *SELECTION,
        JSON,
    ),
    errors=(E_USAGE, ("ENOENT", "a word is neither a revision nor a path"), E_AMBIGUOUS, E_STORE),
    example="--count HEAD~3..HEAD",
    takes_paths=True,
    is_reading=True,
)

CAT_FILE = Verb(
    name="cat-file",
    module="plumbing.cat_file",
    summary="the kind, the size or the content of an object",
    synopsis=("(-t | -s | -p | -e) OBJECT", "(commit | tree | blob) OBJECT"),
    description=(
        "An object is a commit, or a file or directory in one: REV, REV:PATH, REV^{tree}, an\n"
        "id. A commit is shown as git would have it, with ids of heliosfs."
    ),
    options=(
        Option(("-t",), "its kind: commit, tree or blob"),
        Option(("-s",), "its size in bytes, as -p shows it"),
        Option(("-p",), "its content"),
        Option(("-e",), "only the exit code: whether it is there"),
    ),
    errors=(
        E_USAGE,
        ("ENOENT", "there is no such object, or it is of another kind"),
        E_AMBIGUOUS,
        ("EMSGSIZE", "the file is larger than 64 MiB: read it below .helios/snapshots"),
        E_STORE,
    ),
    example="-p HEAD:src/main.c",
    exit_codes="-e: there is no such object",
    is_reading=True,
)

LS_TREE = Verb(
    name="ls-tree",
    module="plumbing.cat_file",
    summary="what a directory of a commit has: mode, kind, id and name",
    synopsis=("[-r] [-d] [-t] [-l] [-z] [--name-only] REV[:PATH] [PATH]...",),
    description=(
        "The entries of the tree, or those at the paths; a path with a slash at its end stands\n"
        "for what is in it. Below the root, what the current directory has."
    ),
    options=(
        Option(("-r", "--recursive"), "with what is in directories, instead of these"),
        Option(("-t", "--trees"), "with -r, directories as well"),
        Option(("-d", "--only-trees"), "only directories"),
        Option(("-l", "--long"), "with the size of files"),
        Option(("-z", "--null"), "NUL after each entry, and nothing quoted"),
        Option(("--name-status", "--name-only"), "only the paths"),
        Option(("--object-only",), "only the ids"),
        Option(("--abbrev",), "ids of 12 digits", "N", is_optional=True),
        Option(("--full-name",), "paths from the root of the workspace"),
        Option(("--full-tree",), "as if the current directory were the root"),
        JSON,
    ),
    errors=(E_USAGE, ("ENOENT", "the name names no tree"), E_AMBIGUOUS, E_STORE),
    example="-r HEAD src",
    takes_paths=True,
    is_reading=True,
)

MERGE_BASE = Verb(
    name="merge-base",
    module="plumbing.merge_base",
    summary="what commits have in common",
    synopsis=(
        "[--all] REV REV...",
        "--is-ancestor REV REV",
        "--independent REV REV...",
        "--octopus [--all] REV REV...",
    ),
    description="The newest common ancestor of two commits, at which a merge of them begins.",
    options=(
        Option(("-a", "--all"), "all, if there are several"),
        Option(("--is-ancestor",), "only the exit code: whether the first leads to the second"),
        Option(("--independent",), "those that none of the others leads to"),
        Option(("--octopus",), "what all of them have in common"),
    ),
    errors=(E_USAGE, E_REVISION, E_AMBIGUOUS, E_STORE),
    example="main idea-7",
    exit_codes="nothing is in common; --is-ancestor: it is none",
    is_reading=True,
)

FOR_EACH_REF = Verb(
    name="for-each-ref",
    module="refs.for_each_ref",
    summary="branches and tags, in a form of one's own",
    synopsis=("[--count N] [--sort KEY] [--format FORM] [PATTERN]...",),
    description=(
        "Names in full: refs/heads/main, refs/tags/v1.0. A pattern fits a whole name, or all\n"
        "below it. Fields are refname, objectname, objecttype, subject, body, contents, author,\n"
        "committer, tagger, creator (with name, email, date after them), HEAD, tree, parent, as\n"
        "git has them; the id of a tag with a message is that of its commit."
    ),
    options=(Option(("--count",), "at most so many", "N"), *REF_LIST, *COLOUR, JSON),
    errors=(E_USAGE, E_REVISION, E_AMBIGUOUS, E_STORE),
    example="--format='%(refname:short) %(committerdate:short)' refs/heads",
    is_reading=True,
)

CHECK_IGNORE = Verb(
    name="check-ignore",
    module="plumbing.check_ignore",
    client="lines",
    summary="which paths are ignored, and by which line of which file",
    synopsis=("[-v [-n]] [-z] [--no-index] PATH...", "-q PATH", "--stdin [-v [-n]]"),
    description=(
        "A path that HEAD or the stage has is not ignored; a path need not be there, and one\n"
        "with a slash at its end is taken for a directory. --stdin is for the command line."
    ),
    options=(
        Option(("-v", "--verbose"), "with file, line and pattern; also where a ! decides"),
        Option(("-n", "--non-matching"), "with -v, also paths that nothing decides about"),
        Option(("-q", "--quiet"), "only the exit code, of one path"),
        Option(("-z", "--null"), "NUL after each field, and nothing quoted"),
        Option(("--no-index",), "also paths that HEAD or the stage has"),
        Option(("--stdin",), "read the paths from the input, one on a line"),
        JSON,
    ),
    errors=(E_USAGE, E_STORE),
    example="-v build/x.o",
    exit_codes="none of the paths is ignored",
    barrier=True,
    takes_paths=True,
    is_reading=True,
)

ARCHIVE = Verb(
    name="archive",
    module="client_verbs",
    client="archive",
    summary="the tree of a commit as a tar or zip file",
    synopsis=("[--format FORMAT] [--prefix DIR/] [-o FILE] REV[:PATH] [PATH]...", "--list"),
    description=(
        "To the output, or into a file whose name tells the format. Below the root, what the\n"
        "current directory has. Times are that of the commit, modes and owner those of 'git\n"
        "archive'; its attributes export-ignore and export-subst are not looked at. Only the\n"
        "command line does this: it reads the snapshot, and nobody in the workspace waits."
    ),
    options=(
        Option(("--format",), "tar (default), tar.gz, tgz or zip", "FORMAT"),
        Option(("--prefix",), "before each name, with its slash", "DIR/"),
        Option(("-o", "--output"), "write into a file", "FILE"),
        Option(("-v", "--verbose"), "tell the names on the error output"),
        Option(("-l", "--list"), "list the formats"),
    ),
    errors=(
        ("EINVAL", "wrong syntax; asked for by a control file"),
        ("ENOENT", "the revision names no tree, or nothing matches a path"),
        E_AMBIGUOUS,
        E_STORE,
    ),
    example="--prefix app/ -o /tmp/app.tar.gz HEAD",
    control_file=False,
    takes_paths=True,
)

DECLARED_PLUMBING = (REV_LIST, CAT_FILE, LS_TREE, MERGE_BASE, FOR_EACH_REF, CHECK_IGNORE, ARCHIVE)
"""Declarations in the order of the reference page."""
