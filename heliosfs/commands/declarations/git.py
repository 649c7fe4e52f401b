"""Declarations of the verbs that exchange history with git: import, export."""

from __future__ import annotations

from heliosfs.commands.declarations.shared_options import E_FULL, E_USAGE
from heliosfs.commands.options import JSON, Option
from heliosfs.commands.verb import Verb

_E_SILENT = ("EBUSY", "git does not answer there")

IMPORT = Verb(
    name="import",
    module="exchange.importing",
    client="transfer",
    summary="take in the history of a git repository, or the files of a directory",
    synopsis=(
        "--from-git REPO [--as NAME] [--branch B]... [--deleted] [--json]",
        "--from-dir DIR [--keep-both] [--dry-run] [--json]",
        "--beneath [--keep-both] [--dry-run] [--json]",
        "--verify REPO [--json]",
    ),
    description=(
        "--from-git takes in all commits that branches and tags of REPO reach, and creates\n"
        "and moves branches and tags here. Again, it takes in what is new. A branch that has\n"
        "commits or changes of its own stays, and git's becomes 'imported/B'; but where the\n"
        "files are git's working tree, or as git's commits left them, it follows, and they stay.\n"
        "A detached HEAD becomes branch 'imported/HEAD'. What another repository has the name of\n"
        "here goes below NAME, that of this one's directory; with --as, all of it does. What was\n"
        "deleted here stays deleted until git moves it. What git lacks is named, and not half\n"
        "imported.\n"
        "Stopped, it leaves nothing to see and goes on from there when it is called again. On the\n"
        "command line, outside of a workspace, it makes one of the current directory first.\n"
        "--from-dir takes the files of DIR in, as uncommitted changes. Nothing is overwritten:\n"
        "what the workspace has otherwise is told and left out, or, with --keep-both, taken in as\n"
        "NAME.imported. --beneath takes in what was written beneath the mount point while nothing\n"
        "was mounted; --from-dir with the path of the mount point means the same.\n"
        "--verify compares every commit's tree with git's, from the bytes of every file."
    ),
    options=(
        Option(("--from-git",), "a git repository: its working tree, or its git directory", "REPO"),
        Option(
            ("--as",),
            "its refs become NAME/...; a known NAME: that lies at REPO now",
            "NAME",
        ),
        Option(("--branch",), "only this branch and the tags below it; may be repeated", "B"),
        Option(("--deleted",), "also what was deleted here and did not move in git since"),
        Option(("--from-dir",), "a directory", "DIR"),
        Option(("--beneath",), "the directory beneath the mount point: what it has that is new"),
        Option(("--keep-both",), "take a file in beside one of its name that the workspace has"),
        Option(("--dry-run",), "of a directory: only tell what would be taken in"),
        Option(("--verify",), "compare with a git repository; changes nothing", "REPO"),
        JSON,
    ),
    errors=(
        E_USAGE,
        ("EINVAL", "a path that is not absolute, in a control file"),
        ("ENOENT", "no such repository, directory or branch of git"),
        ("EEXIST", "NAME is another repository, a branch or a tag; REPO has another name here"),
        ("EBUSY", "--from-dir: DIR lies in a mounted workspace"),
        ("EBUSY", "REPO may be several that moved: --as says which"),
        _E_SILENT,
        (
            "EIO",
            "broken ref, shallow or partial clone, damaged object; --verify found a difference",
        ),
        E_FULL,
    ),
    example="--from-git /srv/project.git",
    barrier=True,
    is_long=True,
)

EXPORT = Verb(
    name="export",
    module="exchange.exporting",
    client="transfer",
    summary="put branches and tags into a git repository",
    synopsis=("--to-git REPO [OPTION]... [BRANCH[:NAME]]...",),
    description=(
        "Imported commits and tags get the ids that they have in git; new ones become\n"
        "ordinary commits. Without a BRANCH all branches and tags go. REPO is made, without\n"
        "a working tree, if it does not exist. Of an existing one only the named branches,\n"
        "and tags, change; a branch that is checked out there has to go under another NAME.\n"
        "Git keeps no empty directories, FIFOs, sockets, devices, owners and times. Files for\n"
        "which .gitattributes name a filter are refused if they changed here: git's filter would\n"
        "encrypt them, or keep their contents elsewhere, and nothing here runs it."
    ),
    options=(
        Option(("--to-git",), "a git repository: its working tree, or its git directory", "REPO"),
        Option(("--squash",), "one commit for all that git does not have yet, of each branch"),
        Option(("--with-filtered",), "also changed files with filters, as they are here"),
        Option(("--force",), "also where git's branch or tag has what ours has not"),
        JSON,
    ),
    errors=(
        E_USAGE,
        ("EINVAL", "a path that is not absolute, in a control file"),
        ("ENOENT", "no such branch; REPO is a directory with something else in it"),
        ("EBUSY", "the branch is checked out in REPO, or has commits that ours has not"),
        ("EPERM", "a changed file has a filter, and --with-filtered was not given"),
        _E_SILENT,
        ("EIO", "git refused the objects or the refs; nothing was changed"),
        E_FULL,
    ),
    example="--to-git /srv/project.git main",
    is_long=True,
)

DECLARED_GIT = (IMPORT, EXPORT)
