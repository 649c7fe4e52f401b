"""A mount as a user other than root: by fusermount3's leave, with that user's rights."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.mount.conftest import SECONDS

UID = pwd.getpwnam("nobody").pw_uid
"""fusermount3 wants somebody who has a name."""

# In namespaces of their own: what is mounted and what runs there goes with the shell.  /dev/fuse
# is root's alone on some machines, so there it is a node that everybody may open.  The home is
# mounted where everybody can get, for temporary directories may be the tester's alone.  The one
# right kept is to read what lies below directories of others, for the interpreter may be such.
HOME = Path("/media")
ENTER = """
set -e
mount -t tmpfs -o mode=755 none dev
mknod -m 666 dev/fuse c 10 229
mount --bind dev/fuse /dev/fuse
mount --bind . {home}
cd {home}
exec setpriv --reuid {uid} --regid {uid} --clear-groups \
    --inh-caps=-all,+dac_read_search --ambient-caps=-all,+dac_read_search \
    --bounding-set=-all,+dac_read_search,+setuid,+setgid,+sys_admin,+dac_override sh -c "$1"
"""


@pytest.fixture
def home() -> Iterator[Path]:
    """A directory that the user owns, as fusermount3 wants it."""
    path = Path(tempfile.mkdtemp(prefix="heliosfs-user-"))
    path.chmod(0o755)
    (path / "dev").mkdir()
    (path / "ws").mkdir()
    (path / "ws/old").write_text("old\n")
    for place in (path, path / "ws", path / "ws/old"):
        os.chown(place, UID, UID)
    yield path
    shutil.rmtree(path)


def as_that_user(home: Path, script: str) -> subprocess.CompletedProcess[str]:
    helios = f"{sys.executable} -m heliosfs.cli"
    return subprocess.run(
        [
            *("unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"),
            *("sh", "-c", ENTER.format(uid=UID, home=HOME)),
            *("sh", script.replace("helios ", f"{helios} ")),
        ],
        cwd=home,
        env={
            **os.environ,
            "HOME": str(HOME),
            "XDG_STATE_HOME": str(HOME / "state"),
            "PYTHONPATH": str(Path(__file__).parents[2]),
        },
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


def test_work_as_another_user(home: Path) -> None:
    done = as_that_user(
        home,
        "set -e; helios mount ws > mount.out; cd ws; cat old; mkdir -m 700 d; echo text > d/file;"
        "echo message > .helios/ctl/commit; cut -d' ' -f2 .helios/log;"
        "chmod 500 d; ! touch d/other 2> /dev/null; stat -c '%u %g %a' d d/file;"
        "ln -s old link; cat link; chmod 700 d; echo more >> d/file; cd ..;"
        "helios umount ws > umount.out; ls ws; helios mount ws > mount.out; cat ws/d/file",
    )
    assert (done.stderr, done.returncode) == ("", 0)
    assert done.stdout.splitlines() == [
        *("old", "message", f"{UID} {UID} 500", f"{UID} {UID} 644", "old"),
        *("HELIOS-NOT-MOUNTED", "old", "text", "more"),
    ]


def test_others_are_let_in_only_where_the_machine_allows(home: Path) -> None:
    done = as_that_user(
        home, "mount --bind /dev/null /etc/fuse.conf 2>&1; helios mount -o allow_other ws"
    )
    assert done.returncode != 0
    assert "allow_other needs a line 'user_allow_other' in /etc/fuse.conf" in done.stderr
    assert os.listdir(home / "ws") == ["old"]
