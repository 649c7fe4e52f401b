"""Declarations of the verbs that look at content or copy it elsewhere: grep, blame and more."""

from __future__ import annotations

from heliosfs.commands.declarations.shared_options import (
    COLOUR,
    E_AMBIGUOUS,
    E_REVISION,
    E_STORE,
    E_USAGE,
)
from heliosfs.commands.options import JSON, Option
from heliosfs.commands.verb import ADDS_ONCE, READS, Verb

GREP = Verb(
    name="grep",
    module="grep.grep",
    summary="search the working tree or commits for lines that match a pattern",
    synopsis=("[OPTION]... PATTERN [REV]... [--] [PATH]...",),
    description=(
        "Searches the working tree below the current directory, or the commits that are\n"
        "named. The pattern is a regular expression as in Perl and Python, without\n"
        "back-references and look-around: its time is bounded by the size of what is\n"
        "searched. It matches within a line. One request searches at most 256 MiB;\n"
        "grep -r and rg on the mounted files have no limit."
    ),
    options=(
        Option(("-n", "--line-number"), "show the number of each line"),
        Option(("-i", "--ignore-case"), "ignore case"),
        Option(("-w", "--word-regexp"), "match only whole words"),
        Option(("-v", "--invert-match"), "show the lines that do not match"),
        Option(("-F", "--fixed-strings"), "the pattern is plain text"),
        Option(("-G", "--basic-regexp"), "the pattern is a basic regular expression"),
        Option(("-E", "--extended-regexp"), "the pattern is an extended regular expression"),
        Option(("-P", "--perl-regexp"), "the pattern is one of Perl (the default)"),
        Option(("-l", "--name-only", "--files-with-matches"), "show only the paths"),
        Option(("-L", "--files-without-match"), "show only the paths of files without a match"),
        Option(("-c", "--count"), "show only the number of matching lines of each file"),
        Option(("-o", "--only-matching"), "show only the matching parts of each line"),
        Option(("-q", "--quiet"), "print nothing; set only the exit code"),
        Option(("-A", "--after-context"), "show N lines after each match", "N"),
        Option(("-B", "--before-context"), "show N lines before each match", "N"),
        Option(("-C", "--context"), "show N lines before and after each match", "N"),
        Option(("-h", "--no-filename"), "do not show the path of each line"),
        Option(("-H", "--with-filename"), "show the path of each line (the default)"),
        Option(("--heading",), "show each path once, above the lines of its file"),
        Option(("--full-name",), "show paths from the root of the workspace"),
        Option(("-z", "--null"), "with -l, end each path with a NUL"),
        Option(("-a", "--text"), "treat binary files as text"),
        Option(("-I",), "treat binary files as without a match"),
        Option(("-r", "--recursive"), "accepted: directories are always searched"),
        Option(("-e", "--regexp"), "a pattern; a line has to match any of several", "PATTERN"),
        *COLOUR,
        JSON,
    ),
    errors=(
        ("EINVAL", "wrong syntax, or no pattern"),
        ("ENOENT", "a word is neither a revision nor a path"),
        E_AMBIGUOUS,
        ("EMSGSIZE", "more than 256 MiB to search, or more than 64 MiB of matches"),
        E_STORE,
    ),
    example="-n TODO HEAD~1 -- src",
    effect=READS,
    exit_codes="nothing matches",
    barrier=True,
    is_reading=True,
    takes_paths=True,
)

BLAME = Verb(
    name="blame",
    module="blame",
    summary="show which commit added each line of a file",
    synopsis=("[-L START,STOP] [--agent | --json] [REV] [--] PATH",),
    description=(
        "Shows id, author, date, number and text of each line, as git blame does. Without REV\n"
        "it shows the file in the working tree, with uncommitted lines as 'Not Committed Yet'.\n"
        "Renamed files are followed. ^ before an id means that the search ended there without\n"
        "an answer (after 50,000 commits, or at versions that differ too much)."
    ),
    options=(
        Option(("-L", "--lines"), "show only these lines: 10,20 or 10,+5", "START,STOP"),
        Option(
            ("--agent",),
            "name the agent that made a line, and its prompt",
            is_for_text=True,
        ),
        JSON,
    ),
    errors=(
        E_USAGE,
        ("ENOENT", "the revision names no commit, or there is no such file"),
        E_AMBIGUOUS,
        ("EMSGSIZE", "the file is binary, or larger than 8 MiB"),
        E_STORE,
    ),
    example="src/main.c",
    effect=READS,
    is_tool=True,
    barrier=True,
    is_reading=True,
    takes_paths=True,
)

MATERIALIZE = Verb(
    name="materialize",
    module="client_verbs",
    client="materialize",
    summary="write the tree of a commit into a directory outside of the workspace",
    synopsis=("[--include GLOB]... [--exclude GLOB]... REV OUT",),
    description=(
        "Keeps modes, times, symbolic and hard links, owners (for root) and user attributes.\n"
        "OUT must be empty or missing, and stays so if something fails. A pattern matches a path\n"
        "or a name, with * ? and []; a directory stands for everything in it. Works only on the\n"
        "command line, which reads the snapshot itself, so that nobody in the workspace has to\n"
        "wait. From a mounted workspace, attributes are kept only with the mount option xattr."
    ),
    options=(
        Option(("--include",), "write only what matches; may be repeated", "GLOB"),
        Option(("--exclude",), "leave out what matches; may be repeated", "GLOB"),
        Option(("-q", "--quiet"), "print nothing"),
    ),
    errors=(
        ("EINVAL", "wrong syntax; asked for by a control file"),
        E_REVISION,
        E_AMBIGUOUS,
        ("EEXIST", "OUT is a file, or not empty"),
        E_STORE,
    ),
    example="HEAD~1 /tmp/out --exclude '*.o'",
    effect=ADDS_ONCE,
    control_file=False,
)

VERSION = Verb(
    name="version",
    module="version",
    client="version",
    summary="show the version of heliosfs",
    synopsis=("[--json]",),
    description="Shows the name of the program and its version.",
    options=(JSON,),
    errors=(E_USAGE,),
    example="",
    effect=READS,
)

DECLARED_SEARCH = (GREP, BLAME, MATERIALIZE, VERSION)
"""Declarations in the order of the reference page."""
