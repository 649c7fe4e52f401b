"""Options and errors that several verbs declare in the same words."""

from __future__ import annotations

from heliosfs.commands.options import Option

QUIET = Option(("-q", "--quiet"), "reply with nothing")
NUMBER = Option(("-n", "--max-count"), "at most so many; -5 is short for -n 5", "N", is_number=True)
COLOUR = (
    Option(("--color",), "always, never or auto (default)", "WHEN", is_optional=True),
    Option(("--no-color",), "the same as --color=never"),
)
AT = Option(("--at",), "as it was at a moment, such as '10 min ago', if that is known", "WHEN")

E_USAGE = ("EINVAL", "wrong syntax")
E_REVISION = ("ENOENT", "the revision names no commit")
E_AMBIGUOUS = ("ENOTUNIQ", "more than one commit id begins so")
E_FULL = ("ENOSPC, EIO", "the store is full, or failed")
E_STORE = ("EIO", "the store failed")
CONTEXT = Option(("-U", "--unified"), "lines of context (3)", "N")
FORMATS = (
    Option(("--stat",), "count the changed lines of each file", "WIDTH", is_optional=True),
    Option(("--shortstat",), "only their sum"),
    Option(("--numstat",), "the counts for programs"),
    Option(("--summary",), "which files came, went, moved or got another mode"),
    Option(("--name-status",), "only the paths, with A, M, D, R or T before each"),
    Option(("--name-only",), "only the paths"),
    Option(("--raw",), "modes, ids and paths"),
    Option(("-z", "--null"), "with these, NUL after each path, and nothing quoted"),
)
COMPARISON = (
    Option(("-w", "--ignore-all-space"), "spaces do not count"),
    Option(("-b", "--ignore-space-change"), "how many spaces there are does not count"),
    Option(("--ignore-space-at-eol",), "spaces at the end of a line do not count"),
    Option(
        ("--word-diff",),
        "mark words, not lines: plain (default), color, porcelain, none",
        "MODE",
        is_optional=True,
    ),
    Option(("--color-words",), "the same as --word-diff=color", "REGEX", is_optional=True),
    Option(
        ("--diff-filter",), "only changes of these letters, not of those in lower case", "LETTERS"
    ),
    Option(("-a", "--text"), "show the lines of binary files, too"),
    Option(("--binary",), "a patch also of binary files, which 'git apply' takes"),
    Option(
        ("-M", "--find-renames"),
        "pair deleted with new files that are alike (the default)",
        "N",
        is_optional=True,
    ),
    Option(("--no-renames",), "do not"),
    Option(("--no-ext-diff",), "accepted: there are no other programs to ask"),
    Option(("--no-textconv",), "the same"),
    Option(
        ("--minimal", "--patience", "--histogram", "--diff-algorithm"),
        "accepted",
        "NAME",
        is_optional=True,
    ),
)
"""Options of all verbs that compare trees."""

PICKAXE = (
    Option(("-S",), "only where the number of times that a text occurs changed", "TEXT"),
    Option(("-G",), "only where a changed line matches", "PATTERN"),
    Option(("--pickaxe-regex",), "the text of -S is a pattern"),
    Option(("--pickaxe-all",), "with -S and -G, show all changes of such a commit"),
)

SELECTION = (
    NUMBER,
    Option(("--skip",), "leave out so many first", "N"),
    Option(("--reverse",), "the oldest of them first"),
    Option(("--all",), "of all branches and tags"),
    Option(("--branches",), "of all branches, or of those that match", "PATTERN", is_optional=True),
    Option(("--tags",), "of all tags, or of those that match", "PATTERN", is_optional=True),
    Option(("--remotes",), "accepted: there are none", "PATTERN", is_optional=True),
    Option(("--author",), "only what somebody wrote: a pattern of 'Name <email>'", "PATTERN"),
    Option(("--committer",), "only what somebody committed", "PATTERN"),
    Option(("--grep",), "only where the message has it; of several, any", "PATTERN"),
    Option(("-i", "--regexp-ignore-case"), "take A for a in patterns"),
    Option(("-F", "--fixed-strings"), "patterns are plain text"),
    Option(("-E", "--extended-regexp"), "patterns are those of egrep"),
    Option(("-P", "--perl-regexp"), "patterns are those of Perl; the default"),
    Option(("--after", "--since"), "only since a date, or '2 weeks ago'", "DATE"),
    Option(("--before", "--until"), "only until then", "DATE"),
    Option(("--merges",), "only merges"),
    Option(("--no-merges",), "no merges"),
    Option(("--min-parents",), "only with so many parents", "N"),
    Option(("--max-parents",), "only with so many parents at most", "N"),
    Option(("--first-parent",), "leave out what merges brought in"),
    Option(("--date-order", "--topo-order"), "no parent before all of its children"),
)
"""Options that say which commits, in which order."""

REF_LIST = (
    Option(
        ("--contains",),
        "those that have REV, or HEAD, in their history",
        "REV",
        is_last_optional=True,
    ),
    Option(("--no-contains",), "those that have it not", "REV", is_last_optional=True),
    Option(
        ("--merged",), "those that REV, or HEAD, has in its history", "REV", is_last_optional=True
    ),
    Option(("--no-merged",), "those that it has not", "REV", is_last_optional=True),
    Option(("--points-at",), "those that name it", "REV", is_last_optional=True),
    Option(("--sort",), "by refname, creatordate, version:refname, …; -KEY: the other way", "KEY"),
    Option(("--format",), "such as '%(refname:short) %(objectname)'", "FORM"),
)
"""Options of lists of branches and tags."""

LISTED = ("contains", "no-contains", "merged", "no-merged", "points-at", "sort", "format", "lines")
"""Keys of these options, and that of `tag -n`: each of them asks for a list."""
