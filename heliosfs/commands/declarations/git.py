"""Declarations of the verbs that exchange history with git: import, export, and for clones."""

from __future__ import annotations

from heliosfs.commands.declarations.shared_options import E_FULL, E_USAGE
from heliosfs.commands.options import JSON, Option
from heliosfs.commands.verb import ADDS_ONCE, REPLACES_ONCE, Verb

_E_SILENT = ("EBUSY", "git does not answer there")

IMPORT = Verb(
    name="import",
    module="exchange.importing",
    client="transfer",
    summary="import the history of a git repository, or the files of a directory",
    synopsis=(
        "--from-git REPO [--as NAME] [--branch B]... [--deleted] [--json]",
        "--from-dir DIR [--keep-both] [--dry-run] [--json]",
        "--beneath [--keep-both] [--dry-run] [--json]",
        "--verify REPO [--json]",
    ),
    description=(
        "--from-git imports all commits that branches and tags of REPO reach, and creates and\n"
        "moves branches and tags here. Called again, it imports what is new. A branch that has\n"
        "commits or changes of its own here stays, and git's branch becomes 'imported/B'. But\n"
        "if its uncommitted files are those of git's working tree, or of one of git's commits,\n"
        "the branch moves with git's, and the files stay. A detached HEAD becomes branch\n"
        "'imported/HEAD'. A branch or tag whose name belongs to another repository here becomes\n"
        "NAME/B, after the directory of REPO; with --as, all of them do. What was deleted here\n"
        "stays deleted until git moves it. Refs with missing objects are reported, and not\n"
        "imported in part.\n"
        "If it is interrupted, nothing has changed, and the next call goes on from there. On the\n"
        "command line, outside of a workspace, it first makes one of the current directory.\n"
        "--from-dir imports the files of DIR as uncommitted changes. Nothing is overwritten:\n"
        "where the workspace has another file of that name, the file is reported and left out,\n"
        "or, with --keep-both, imported as NAME.imported. --beneath imports files that were\n"
        "written beneath the mount point while nothing was mounted; --from-dir with the path of\n"
        "the mount point means the same.\n"
        "--verify compares every commit's tree with git's, from the bytes of every file."
    ),
    options=(
        Option(("--from-git",), "a git repository: its working tree, or its git directory", "REPO"),
        Option(
            ("--as",),
            "call its refs NAME/...; a known NAME: it has moved to REPO",
            "NAME",
        ),
        Option(
            ("--branch",), "import only this branch and the tags below it; may be repeated", "B"
        ),
        Option(("--deleted",), "import again what was deleted here, even if git did not move it"),
        Option(("--from-dir",), "import the files of a directory", "DIR"),
        Option(("--beneath",), "import what is new in the directory beneath the mount point"),
        Option(("--keep-both",), "import a file beside the one that has its name"),
        Option(("--dry-run",), "for a directory: only list what would be imported"),
        Option(("--verify",), "compare with a git repository; changes nothing", "REPO"),
        JSON,
    ),
    errors=(
        E_USAGE,
        ("EINVAL", "a path that is not absolute, in a control file"),
        ("ENOENT", "no such repository, directory or branch of git"),
        ("EEXIST", "NAME is another repository, a branch or a tag; REPO has another name here"),
        ("EBUSY", "--from-dir: DIR lies in a mounted workspace"),
        ("EBUSY", "REPO may be one of several repositories that moved: name it with --as"),
        _E_SILENT,
        (
            "EIO",
            "broken ref, shallow or partial clone, damaged object; --verify found a difference",
        ),
        E_FULL,
    ),
    example="--from-git /srv/project.git",
    effect=ADDS_ONCE,
    barrier=True,
    is_long=True,
)

EXPORT = Verb(
    name="export",
    module="exchange.exporting",
    client="transfer",
    summary="write branches and tags into a git repository",
    synopsis=("--to-git REPO [OPTION]... [BRANCH[:NAME]]...",),
    description=(
        "Imported commits and tags get back the ids that they have in git; new ones become\n"
        "ordinary commits. Without a BRANCH all branches and tags are exported. If REPO does\n"
        "not exist, it is created without a working tree. In an existing one only the named\n"
        "branches, and tags, change; a branch that is checked out there has to be exported\n"
        "under another NAME. Git keeps no empty directories, FIFOs, sockets, devices, owners\n"
        "and times. A file with a filter in .gitattributes is refused if it changed here:\n"
        "git's filter would encrypt it, or keep its contents elsewhere, but is not run here."
    ),
    options=(
        Option(("--to-git",), "a git repository: its working tree, or its git directory", "REPO"),
        Option(("--squash",), "make one commit for each branch of all that git does not have"),
        Option(("--with-filtered",), "export changed files with filters, too, as they are here"),
        Option(("--force",), "replace git's branch or tag even if it has other commits"),
        JSON,
    ),
    errors=(
        E_USAGE,
        ("EINVAL", "a path that is not absolute, in a control file"),
        ("ENOENT", "no such branch; REPO is a directory that holds something else"),
        ("EBUSY", "the branch is checked out in REPO, or has commits that the branch here lacks"),
        ("EPERM", "a changed file has a filter, and --with-filtered was not given"),
        _E_SILENT,
        ("EIO", "git refused the objects or the refs; nothing was changed"),
        E_FULL,
    ),
    example="--to-git /srv/project.git main",
    effect=REPLACES_ONCE,
    is_long=True,
)

UPLOAD_PACK = Verb(
    name="upload-pack",
    module="exchange.serving",
    summary="list the refs, and send the objects, that a git clone of this workspace asks for",
    synopsis=(
        "[--known] [--object-format FORM] [--to-git REPO]",
        "--to-git REPO --want FILE",
    ),
    description=(
        "This is the side of 'git fetch helios::DIR' that git-remote-helios calls; people call\n"
        "that. The reply is JSON: branches and tags by their full names, with the ids that they\n"
        "have in git. Objects of those that git never had go to REPO. With --known, these have\n"
        "no id, and nothing is written. With --want, the objects that the lines of FILE name go\n"
        "to REPO, with all that they reach and REPO lacks. No ref of REPO changes."
    ),
    options=(
        Option(("--known",), "give no id to what git never had"),
        Option(("--object-format",), "sha1 or sha256, where the history has neither", "FORM"),
        Option(("--to-git",), "the git directory that gets objects", "REPO"),
        Option(("--want",), "a file with git's ids, one a line", "FILE"),
    ),
    errors=(
        E_USAGE,
        ("EINVAL", "a path that is not absolute, in a control file"),
        ("ENOENT", "no such repository, file or object"),
        _E_SILENT,
        ("EIO", "git refused the objects; REPO has ids of another hash"),
        E_FULL,
    ),
    example="--known",
    effect=ADDS_ONCE,
    control_file=False,
    is_long=True,
)

RECEIVE_PACK = Verb(
    name="receive-pack",
    module="exchange.serving",
    summary="change branches and tags as a git push to this workspace asks for",
    synopsis=("--from-git REPO --updates FILE [--atomic] [--dry-run]",),
    description=(
        "This is the side of 'git push helios::DIR' that git-remote-helios calls; people call\n"
        "that. A line of FILE is '=' or, to force it, '+', the id before, the id after and the\n"
        "full name of a ref; '-' stands for no ref, '?' for an id that git does not know. Each\n"
        "branch that moves takes its files along, in all views, and 'undo' there reverts that.\n"
        "One with uncommitted changes is refused. The reply is JSON: the refs that were refused,\n"
        "and why; all others changed, in one transaction."
    ),
    options=(
        Option(("--from-git",), "the git directory that has the commits", "REPO"),
        Option(("--updates",), "a file with the refs to change", "FILE"),
        Option(("--atomic",), "change all refs or none"),
        Option(("--dry-run",), "only look what would be refused"),
    ),
    errors=(
        E_USAGE,
        ("EINVAL", "a path that is not absolute, in a control file"),
        ("ENOENT", "no such repository or file"),
        _E_SILENT,
        ("EIO", "shallow or partial clone, damaged object; REPO has ids of another hash"),
        E_FULL,
    ),
    example="--from-git /srv/clone/.git --updates /srv/clone/.git/updates",
    effect=REPLACES_ONCE,
    barrier=True,
    control_file=False,
    is_long=True,
)

DECLARED_GIT = (IMPORT, EXPORT, UPLOAD_PACK, RECEIVE_PACK)
