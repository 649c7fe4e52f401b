"""Declarations of the verbs that share history through storage: remote, push, fetch, pull."""

from __future__ import annotations

from heliosfs.commands.declarations.shared_options import E_FULL, E_USAGE, QUIET
from heliosfs.commands.options import JSON, Option
from heliosfs.commands.verb import REPLACES_ONCE, Verb

_VERBOSE = Option(("-v", "--verbose"), "accepted: the text has all that there is", is_for_text=True)
_E_RUNS = ("EBUSY", "another long verb, a garbage collection or an import runs")
_E_REMOTE = ("ENOENT", "no such remote, or no such branch")
_E_STORAGE = ("EIO", "the storage does not answer, refuses the credentials, or is damaged")

REMOTE = Verb(
    name="remote",
    module="remotes.remote",
    summary="name the storage with which commits are shared",
    synopsis=(
        "[list] [--json]",
        "add [NAME] URL [--json]",
        "set-url NAME URL [--json]",
        "get-url [NAME] [--json]",
        "remove NAME [--json]",
        "gc [NAME] [--grace TIME] [--dry-run] [--json]",
    ),
    description=(
        "A remote is a directory that machines share (file:///DIR), a bucket (s3://, gs://,\n"
        "az://), or a git server (https://, ssh://, git://, USER@HOST:PATH, the path of a git\n"
        "repository), into which 'push' puts branches and from which 'fetch' takes them. NAME is\n"
        "'origin' unless given. 'add' probes whether the storage keeps what a remote needs, or\n"
        "the git server answers. Names are kept in the store, not in helios.yaml; credentials\n"
        "never are, they come from the environment, and those of a git server from git's\n"
        "settings. 'remove' changes nothing there. 'set-url' probes, too, and forgets the\n"
        "branches of the old place: the next 'fetch' finds those of the new one. Both are refused\n"
        "while contents are still at the remote.\n"
        "'gc' merges in the storage what small pushes have left, notes what no branch, tag or\n"
        "experiment there needs any more, and deletes what an earlier run has noted, a day later\n"
        "at the soonest: run it once a day, on any machine. Others push and fetch meanwhile, and\n"
        "lose nothing. A git server does that itself."
    ),
    options=(
        Option(("-v", "--verbose"), "accepted: the URL is always shown", is_for_text=True),
        Option(
            ("--grace",),
            "gc: time between note and deletion, at least 1h (default: 24h)",
            "TIME",
        ),
        Option(("-n", "--dry-run"), "gc: change nothing; tell what would be done"),
        JSON,
    ),
    errors=(
        ("EINVAL", "wrong syntax, or a URL of no known kind"),
        ("EEXIST", "the name is taken, or the directory holds something else"),
        ("ENOENT", "no such remote"),
        ("EBUSY", "contents are still at the remote; or another long verb or a gc runs"),
        _E_STORAGE,
        E_FULL,
    ),
    example="add origin file:///srv/team/project",
    effect=REPLACES_ONCE,
    is_long=True,
)

PUSH = Verb(
    name="push",
    module="remotes.push",
    summary="send commits to a remote, and let its branches name them",
    synopsis=(
        "[--force-with-lease] [--tags] [REMOTE] [BRANCH[:NAME]]...",
        "--all [REMOTE]",
        "--delete [REMOTE] NAME...",
        "--work [--all] [REMOTE]",
    ),
    description=(
        "Without BRANCH the current branch is pushed; without REMOTE it goes to 'origin', or to\n"
        "the only one there is. A BRANCH may be a tag, too, and with NAME any revision. Only\n"
        "what the remote lacks is sent, and its branch moves last, so that nobody sees a branch\n"
        "without its files. A push that ends early has changed nothing there; the next one sends\n"
        "the rest.\n"
        "A branch that has commits there which this one lacks is not moved: 'pull' first. With\n"
        "--force-with-lease it loses them, if it still is what was last fetched or pushed.\n"
        "With --delete, or as ':NAME', a branch or tag there goes, if it still is what was last\n"
        "seen of it; its commits stay.\n"
        "The experiment of a branch goes with it, and what others measured stays: all scores are\n"
        "merged. One without a branch is pushed by its name, or as refs/experiments/NAME. Scores\n"
        "of commits in no experiment go with a branch that has these. To a git server no\n"
        "experiment and no score goes.\n"
        "With --work, the uncommitted changes of the branch (--all: of each) become a commit, on\n"
        "machines/MACHINE/BRANCH, and nothing changes here: another machine can take them over.\n"
        "The next one replaces it, and a push of the branch deletes it when all is committed.\n"
        "Ignored files, the operation log and, without --work, uncommitted changes stay here."
    ),
    options=(
        Option(("--all",), "push every branch and experiment"),
        Option(("--tags",), "push every tag, too"),
        Option(("-d", "--delete"), "delete branches or tags of the remote"),
        Option(("--work",), "push uncommitted changes instead, for another machine"),
        Option(("--force-with-lease",), "let the branch lose commits that were seen here"),
        Option(
            ("-u", "--set-upstream"),
            "accepted: the branch of the same name is always the upstream",
            is_for_text=True,
        ),
        _VERBOSE,
        QUIET,
        JSON,
    ),
    errors=(
        E_USAGE,
        ("ENOENT", "no such remote, branch or tag; the branch has no commit"),
        ("ESTALE", "the branch there has, or may have, commits that this one lacks"),
        ("EPERM", "the git server refuses: a protected branch, a hook"),
        ("EMSGSIZE", "an object has more than 64 MiB: files are cut into parts, and have not"),
        _E_RUNS,
        _E_STORAGE,
        E_FULL,
    ),
    example="origin main",
    effect=REPLACES_ONCE,
    barrier=True,
    is_long=True,
    exit_codes="several branches: some were refused, and the others pushed",
)

FETCH = Verb(
    name="fetch",
    module="remotes.fetch",
    summary="bring the branches of a remote, with all that they need",
    synopsis=(
        "[REMOTE] [BRANCH]... [--json]",
        "-p [REMOTE] [--json]",
        "{--depth N | --unshallow} [REMOTE] [--json]",
        "--contents [PATH]... [--json]",
        "--contents --all [--json]",
    ),
    description=(
        "What the remote has becomes origin/NAME here, for every branch NAME; no branch and no\n"
        "file of yours changes. Such names are revisions: 'log origin/main', 'diff\n"
        "main...origin/main', 'merge origin/main'. New tags become tags, and 'experiment list'\n"
        "has origin/NAME. Everything that comes is compared with its id, and a name moves only\n"
        "when all that it needs is there: what is damaged at the remote is told, and stays as it\n"
        "was. 'undo' does not take a fetch back. With BRANCH, only this is asked for, and no tag.\n"
        "In a workspace of 'clone', contents of files stay at the remote until somebody reads\n"
        "them. --contents brings those of the files at each PATH, or of all files as they are\n"
        "now; with --all, those of every commit, so that the remote is not needed any more. It\n"
        "can be interrupted, and goes on where it was.\n"
        "A workspace of 'clone --depth' has the last commits of each branch. Later fetches bring\n"
        "what is new; --depth brings the last N commits of each branch, and --unshallow the whole\n"
        "history, with the tags and experiments that were left out."
    ),
    options=(
        Option(("-p", "--prune"), "forget branches that the remote has no more"),
        Option(("--depth",), "bring the last N commits of each branch", "N"),
        Option(("--unshallow",), "bring the history that a clone with --depth has left there"),
        Option(("--contents",), "bring contents that earlier fetches have left there"),
        Option(("--all",), "with --contents: those of all commits"),
        _VERBOSE,
        QUIET,
        JSON,
    ),
    errors=(E_USAGE, _E_REMOTE, _E_RUNS, _E_STORAGE, E_FULL),
    example="origin",
    effect=REPLACES_ONCE,
    is_long=True,
    exit_codes="a ref is damaged there, or needed contents are gone",
)

PULL = Verb(
    name="pull",
    module="remotes.fetch",
    summary="fetch, and merge the branch of the remote into this one",
    synopsis=("[OPTION]... [REMOTE] [BRANCH]",),
    description=(
        "Without BRANCH, the branch of the same name is merged. It is 'fetch', and then 'merge\n"
        "REMOTE/BRANCH', which moves the branch forward where possible. With conflicts the\n"
        "merge is refused, and says how to go on; what was fetched stays. 'undo' takes the\n"
        "merge back."
    ),
    options=(
        Option(("--ff-only",), "refuse anything but a fast-forward"),
        Option(("--no-ff",), "make a merge commit where a fast-forward is possible"),
        Option(("--ours",), "decide every conflict for HEAD"),
        Option(("--theirs",), "decide every conflict for the remote"),
        Option(("--markers",), "write conflicts into the files, in diff3 style"),
        Option(("--no-commit",), "leave the merge open for a look"),
        Option(("--no-rebase",), "accepted: a pull always merges", is_for_text=True),
        _VERBOSE,
        QUIET,
        JSON,
    ),
    errors=(
        E_USAGE,
        _E_REMOTE,
        ("EAGAIN", "conflicts: nothing was merged"),
        ("EBUSY", "a merge is open already, or uncommitted or staged changes are in the way"),
        _E_RUNS,
        _E_STORAGE,
        E_FULL,
    ),
    example="origin main",
    effect=REPLACES_ONCE,
    barrier=True,
    is_long=True,
    exit_codes="another ref is damaged at the remote; the branch was merged",
)

DECLARED_REMOTES = (REMOTE, PUSH, FETCH, PULL)
"""Declarations in the order of the reference page."""
