"""Options and errors that several verbs declare in the same words."""

from __future__ import annotations

from heliosfs.commands.options import Option

QUIET = Option(("-q", "--quiet"), "reply with nothing", is_for_text=True)
NUMBER = Option(("-n", "--max-count"), "show at most N; -5 is short for -n 5", "N", is_number=True)
COLOUR = (
    Option(
        ("--color",),
        "use colours: always, never or auto (the default)",
        "WHEN",
        is_optional=True,
        is_for_text=True,
    ),
    Option(("--no-color",), "the same as --color=never", is_for_text=True),
)
AT = Option(("--at",), "go back to a moment, such as '10 min ago', if it is known", "WHEN")

E_USAGE = ("EINVAL", "wrong syntax")
E_REVISION = ("ENOENT", "the revision names no commit")
E_AMBIGUOUS = ("ENOTUNIQ", "more than one commit id begins with these digits")
E_FULL = ("ENOSPC, EIO", "the store is full, or failed")
E_STORE = ("EIO", "the store failed")
CONTEXT = Option(("-U", "--unified"), "show N lines of context (default: 3)", "N")
FORMATS = (
    Option(
        ("--stat",),
        "count the changed lines of each file",
        "WIDTH[,NAME[,COUNT]]",
        is_optional=True,
    ),
    Option(("--shortstat",), "show only their sum", is_for_text=True),
    Option(("--numstat",), "show the counts in a form for programs", is_for_text=True),
    Option(
        ("--summary",),
        "list created, deleted and renamed files, and changed modes",
        is_for_text=True,
    ),
    Option(
        ("--name-status",),
        "show only the paths, with A, M, D, R or T before each",
        is_for_text=True,
    ),
    Option(("--name-only",), "show only the paths", is_for_text=True),
    Option(("--raw",), "show modes, ids and paths", is_for_text=True),
    Option(
        ("-z", "--null"),
        "with these, end each path with a NUL, and quote nothing",
        is_for_text=True,
    ),
)
COMPARISON = (
    Option(("-w", "--ignore-all-space"), "ignore spaces"),
    Option(("-b", "--ignore-space-change"), "ignore changes in the number of spaces"),
    Option(("--ignore-space-at-eol",), "ignore spaces at the end of a line"),
    Option(
        ("--word-diff",),
        "mark words, not lines: plain (default), color, porcelain or none",
        "MODE",
        is_optional=True,
        is_for_text=True,
    ),
    Option(
        ("--color-words",),
        "the same as --word-diff=color",
        "REGEX",
        is_optional=True,
        is_for_text=True,
    ),
    Option(
        ("--diff-filter",),
        "show only changes of these letters; a lower-case letter excludes",
        "LETTERS",
    ),
    Option(("-a", "--text"), "treat binary files as text"),
    Option(("--binary",), "include binary files in a patch for 'git apply'"),
    Option(
        ("-M", "--find-renames"),
        "find renames: similar deleted and new files (the default)",
        "N",
        is_optional=True,
        is_for_text=True,
    ),
    Option(("--no-renames",), "do not find renames"),
    Option(("--no-ext-diff",), "accepted: no external program is ever used", is_for_text=True),
    Option(("--no-textconv",), "accepted, for the same reason", is_for_text=True),
    Option(
        ("--minimal", "--patience", "--histogram", "--diff-algorithm"),
        "accepted: there is one algorithm",
        "NAME",
        is_optional=True,
        is_for_text=True,
    ),
)
"""Options of all verbs that compare trees."""

PICKAXE = (
    Option(("-S",), "only commits that change how often TEXT occurs", "TEXT"),
    Option(("-G",), "only commits with a changed line that matches", "PATTERN"),
    Option(("--pickaxe-regex",), "take the text of -S as a pattern"),
    Option(
        ("--pickaxe-all",), "with -S and -G, show all changes of such a commit", is_for_text=True
    ),
)

SELECTION = (
    NUMBER,
    Option(("--skip",), "leave out the first N", "N"),
    Option(("--reverse",), "show the oldest of them first"),
    Option(("--all",), "start at all branches and tags, those of remotes included"),
    Option(
        ("--branches",),
        "start at all branches, or at those that match",
        "PATTERN",
        is_optional=True,
    ),
    Option(("--tags",), "start at all tags, or at those that match", "PATTERN", is_optional=True),
    Option(
        ("--remotes",),
        "start at the branches of all remotes, or at those that match",
        "PATTERN",
        is_optional=True,
    ),
    Option(
        ("--author",),
        "only by this author: a pattern of 'Name <email>'",
        "PATTERN",
        is_repeated=True,
    ),
    Option(("--committer",), "only by this committer", "PATTERN", is_repeated=True),
    Option(
        ("--grep",), "only with a message that matches; any of several", "PATTERN", is_repeated=True
    ),
    Option(("-i", "--regexp-ignore-case"), "ignore case in patterns"),
    Option(("-F", "--fixed-strings"), "patterns are plain text"),
    Option(("-E", "--extended-regexp"), "patterns are extended regular expressions"),
    Option(("-P", "--perl-regexp"), "patterns are those of Perl (the default)"),
    Option(("--after", "--since"), "only commits since a date, or '2 weeks ago'", "DATE"),
    Option(("--before", "--until"), "only commits until a date", "DATE"),
    Option(("--merges",), "only merges"),
    Option(("--no-merges",), "no merges"),
    Option(("--min-parents",), "only commits with at least N parents", "N"),
    Option(("--max-parents",), "only commits with at most N parents", "N"),
    Option(("--first-parent",), "follow only the first parent of each merge"),
    Option(("--date-order", "--topo-order"), "show no parent before all of its children"),
)
"""Options that say which commits, in which order."""

REF_LIST = (
    Option(
        ("--contains",),
        "list those with REV, or HEAD, in their history",
        "REV",
        is_last_optional=True,
        is_repeated=True,
    ),
    Option(
        ("--no-contains",), "list those without it", "REV", is_last_optional=True, is_repeated=True
    ),
    Option(
        ("--merged",),
        "list those in the history of REV, or HEAD",
        "REV",
        is_last_optional=True,
        is_repeated=True,
    ),
    Option(
        ("--no-merged",), "list those not in it", "REV", is_last_optional=True, is_repeated=True
    ),
    Option(
        ("--points-at",),
        "list those that name REV, or HEAD",
        "REV",
        is_last_optional=True,
        is_repeated=True,
    ),
    Option(
        ("--sort",),
        "sort by refname, creatordate, version:refname, …; -KEY reverses",
        "KEY",
        is_repeated=True,
    ),
    Option(
        ("--format",),
        "show each as '%(refname:short) %(objectname)' or the like",
        "FORM",
        is_for_text=True,
    ),
)
"""Options of lists of branches and tags."""

LISTED = ("contains", "no-contains", "merged", "no-merged", "points-at", "sort", "format", "lines")
"""Keys of these options, and that of `tag -n`: each of them asks for a list."""
