"""Declarations of the verbs that keep and show experiments: experiment, report."""

from __future__ import annotations

from heliosfs.commands.declarations.shared_options import E_AMBIGUOUS, E_FULL, E_STORE, QUIET
from heliosfs.commands.options import JSON, Option
from heliosfs.commands.verb import REPLACES, REPLACES_ONCE, Verb

EXPERIMENT = Verb(
    name="experiment",
    module="experiments.experiment",
    summary="start experiments, record scores, compare them, find the best",
    synopsis=(
        "start NAME [--from REV] [--param K=V]... [--minimize METRIC]...",
        "record METRIC=NUMBER... [-e NAME] [--commit REV [--add]]",
        "[list] [--sort score|age|commits|name] [--reverse] [--by METRIC]",
        "show [NAME] [--sort score|age|name] [--reverse] [--by METRIC]",
        "best [NAME] [--by METRIC] [--min | --max]",
        "resume REMOTE/NAME [NEW-NAME]",
        "finish [NAME]",
        "abandon [NAME]",
    ),
    description=(
        "An experiment is a branch with a record. 'start' creates the branch without checking\n"
        "it out: work in .helios/branches/NAME. Until it ends, every commit made on it belongs\n"
        "to the experiment, even one that a reset leaves behind. 'record' gives numbers to the\n"
        "commit at HEAD: 3, 0.93, 1e-4 or 41/42. 'best' prints only an id, for\n"
        "'helios merge $(helios experiment best NAME)'; of equal commits the first. NAME is by\n"
        "default the experiment of the current branch. 'finish' keeps the branch; 'abandon'\n"
        "deletes it, unless it is in use, and its commits stay until gc. The metric shown is\n"
        "'score' or, where there is none, the one that was recorded. What 'fetch' brings is\n"
        "REMOTE/NAME: 'list', 'show' and 'best' know it, and 'resume' goes on with it here, on a\n"
        "branch; once more, it takes over what came since."
    ),
    options=(
        Option(("--from",), "start: begin at this revision (HEAD)", "REV"),
        Option(
            ("--param",), "start: a parameter to remember; may be repeated", "K=V", is_repeated=True
        ),
        Option(
            ("--minimize",), "start: a metric for which less is better", "METRIC", is_repeated=True
        ),
        Option(("--checkout",), "start: show the branch at the mount point"),
        Option(("-e", "--experiment"), "record: at the HEAD of this experiment", "NAME"),
        Option(("--commit",), "record: for this commit, of any branch", "REV"),
        Option(("--add",), "record: count the commit as one that the experiment made"),
        Option(("--sort",), "list, show: by score, age, commits or name (age)", "KEY"),
        Option(("--reverse",), "list, show: reverse the order"),
        Option(("--by",), "list, show, best: use this metric", "METRIC"),
        Option(("--min",), "best: less is better"),
        Option(("--max",), "best: more is better, even if --minimize was given"),
        QUIET,
        JSON,
    ),
    errors=(
        ("EINVAL", "wrong syntax; a value that is no finite number; a name no branch may have"),
        ("EEXIST", "start, resume: a branch or an experiment has that name"),
        ("ENOENT", "no such experiment or revision; no commits yet; nothing recorded"),
        E_AMBIGUOUS,
        E_FULL,
    ),
    example="record score=0.93 tests=41/42",
    effect=REPLACES,
    is_tool=True,
    barrier=True,
    reading_words=("", "list"),
)

REPORT = Verb(
    name="report",
    module="report.page",
    client="report",
    summary="write a page with experiments, scores and the graph of commits",
    synopsis=("[FILE]",),
    description=(
        "Writes one HTML page into FILE, or to standard output. It needs no network and no\n"
        "server: open it in a browser, attach it, keep it. The same page is\n"
        ".helios/report.html, made when it is opened. It has up to 20,000 commits, with\n"
        "messages and diffs of the most important ones, and for the others the command that\n"
        "shows them."
    ),
    options=(QUIET,),
    errors=(("EINVAL", "wrong syntax; a FILE, asked for by a control file"), E_STORE),
    example="report.html",
    effect=REPLACES_ONCE,
    control_file=False,
    is_long=True,
)

DECLARED_EXPERIMENTS = (EXPERIMENT, REPORT)
"""Declarations in the order of the reference page."""
