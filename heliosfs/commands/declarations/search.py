"""Declarations of the verbs that look at content or copy it elsewhere: grep, run and more."""

from __future__ import annotations

from heliosfs.commands.declarations.shared_options import (
    COLOUR,
    E_AMBIGUOUS,
    E_REVISION,
    E_STORE,
    E_USAGE,
)
from heliosfs.commands.options import JSON, Option
from heliosfs.commands.verb import Verb

GREP = Verb(
    name="grep",
    module="grep.grep",
    summary="the lines that match a pattern, in the working tree or in commits",
    synopsis=("[OPTION]... PATTERN [REV]... [--] [PATH]...",),
    description=(
        "Searches the working tree below the current directory, or the commits that are\n"
        "named. The pattern is a regular expression as in Perl and Python, without\n"
        "back-references and look-around: its time is bounded by the size of what is\n"
        "searched. It matches within a line. One request searches at most 256 MiB;\n"
        "grep -r and rg on the mounted files have no limit."
    ),
    options=(
        Option(("-n", "--line-number"), "with the number of each line"),
        Option(("-i", "--ignore-case"), "upper and lower case are the same"),
        Option(("-w", "--word-regexp"), "only whole words"),
        Option(("-v", "--invert-match"), "the lines that do not match"),
        Option(("-F", "--fixed-strings"), "the pattern is plain text"),
        Option(("-G", "--basic-regexp"), "the pattern is one of grep"),
        Option(("-E", "--extended-regexp"), "the pattern is one of egrep"),
        Option(("-P", "--perl-regexp"), "the pattern is one of Perl; the default"),
        Option(("-l", "--name-only", "--files-with-matches"), "only the paths"),
        Option(("-L", "--files-without-match"), "only the paths of the others"),
        Option(("-c", "--count"), "only how many lines of each file match"),
        Option(("-o", "--only-matching"), "only what matches of each line"),
        Option(("-q", "--quiet"), "only the exit code"),
        Option(("-A", "--after-context"), "with so many lines after it", "N"),
        Option(("-B", "--before-context"), "with so many lines before it", "N"),
        Option(("-C", "--context"), "with so many before and after", "N"),
        Option(("-h", "--no-filename"), "without the path of each line"),
        Option(("-H", "--with-filename"), "with it; the default"),
        Option(("--heading",), "the path once, above the lines of its file"),
        Option(("--full-name",), "paths from the root of the workspace"),
        Option(("-z", "--null"), "with -l, NUL after each path"),
        Option(("-a", "--text"), "binary files are text"),
        Option(("-I",), "binary files do not match"),
        Option(("-r", "--recursive"), "accepted: it is always so"),
        Option(("-e", "--regexp"), "a pattern; of several, any may match", "PATTERN"),
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
    exit_codes="nothing matches",
    barrier=True,
    is_reading=True,
    takes_paths=True,
)

BLAME = Verb(
    name="blame",
    module="blame",
    summary="which commit gave each line of a file",
    synopsis=("[-L START,STOP] [--json] [REV] [--] PATH",),
    description=(
        "Id, author, date, number and text of each line, as git blame shows them. Without\n"
        "REV the file of the working tree; lines that no commit has are 'Not Committed\n"
        "Yet'. A file that was renamed is followed. ^ before an id says that the search\n"
        "ended there without an answer (after 50,000 commits, or in versions that differ\n"
        "too much to be compared)."
    ),
    options=(
        Option(("-L", "--lines"), "only these lines: 10,20 or 10,+5", "START,STOP"),
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
        "Modes, times, links, hard links, owners (for root) and user attributes come along.\n"
        "OUT must be empty or missing. A pattern matches a path or a name, with * ? and [];\n"
        "a directory stands for all that is in it. Only the command line does this: it\n"
        "reads the snapshot and nobody in the workspace has to wait. Through a mount\n"
        "attributes come only if it has the option xattr."
    ),
    options=(
        Option(("--include",), "only what matches; may be repeated", "GLOB"),
        Option(("--exclude",), "not what matches; may be repeated", "GLOB"),
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
    control_file=False,
)

RUN = Verb(
    name="run",
    module="client_verbs",
    client="run",
    summary="run a command in the workspace of a branch",
    synopsis=("[-b BRANCH [--fork]] [-q] [--] COMMAND [ARGUMENT]...",),
    description=(
        "The command sees the branch at the path of the mount point, in a mount namespace\n"
        "of its own: absolute paths of the workspace lead into the branch, and .helios is\n"
        "that of the branch. It begins in the same directory, if the branch has it. A\n"
        "branch that does not exist is made at HEAD; with --fork it has the uncommitted\n"
        "changes and the ignored files of the current one, too. Where no namespace can be\n"
        "had, the branch is only the current directory, and a line says so. HELIOS_BRANCH\n"
        "is its name. The exit code is that of the command. Only the command line does this."
    ),
    options=(
        Option(("-b", "--branch"), "the branch; without it the current one", "BRANCH"),
        Option(("--fork",), "a branch that is made begins with the files as they are now"),
        Option(("-q", "--quiet"), "do not tell of a new branch, or of a missing namespace"),
    ),
    errors=(
        ("EINVAL", "wrong syntax; asked for by a control file; a name that no branch may have"),
        ("ENOENT", "the workspace is not mounted; nothing was committed yet"),
        E_STORE,
    ),
    example="-b idea-7 -- make test",
    control_file=False,
    takes_command=True,
)

VERSION = Verb(
    name="version",
    module="version",
    client="version",
    summary="which version of heliosfs this is",
    synopsis=("[--json]",),
    description="The name of the program and its version.",
    options=(JSON,),
    errors=(E_USAGE,),
    example="",
)

DECLARED_SEARCH = (GREP, BLAME, MATERIALIZE, RUN, VERSION)
"""Declarations in the order of the reference page."""
