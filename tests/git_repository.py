"""Git repositories with everything that an import must carry, made by the real git."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

ENVIRONMENT = {
    "PATH": os.environ["PATH"],
    "HOME": "/nonexistent",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_AUTHOR_NAME": "Ada Łovelace",
    "GIT_AUTHOR_EMAIL": "ada@example.org",
    "GIT_COMMITTER_NAME": "Brian",
    "GIT_COMMITTER_EMAIL": "brian@example.org",
    "LC_ALL": "C.UTF-8",
}


class Clone:
    """A git repository with a working tree."""

    def __init__(self, path: Path, branch: str = "trunk", *, object_format: str = "sha1") -> None:
        self.path = path
        self.seconds = 1_600_000_000
        path.mkdir(parents=True)
        self.git("init", "--quiet", "-b", branch, f"--object-format={object_format}")

    def git(self, *argv: str, data: bytes = b"", **environment: str) -> bytes:
        return git(self.path, *argv, data=data, **environment)

    def write(self, path: str, data: bytes = b"", mode: int = 0o644) -> None:
        place = self.path / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)
        place.chmod(mode)

    def commit(self, message: str | bytes, *argv: str, **environment: str) -> str:
        """Commit all files, an hour after the last one; return the id in hex."""
        self.git("add", "--all", "--force")
        self.seconds += 3600
        when = f"{self.seconds} +0230"
        text = message if isinstance(message, bytes) else message.encode()
        self.git(
            *("commit", "--quiet", "--allow-empty", "--allow-empty-message"),
            *("--cleanup=verbatim", "-F", "-", *argv),
            data=text,
            **{"GIT_AUTHOR_DATE": when, "GIT_COMMITTER_DATE": when, **environment},
        )
        return self.id("HEAD")

    def object(self, kind: str, data: bytes) -> str:
        """Store an object as it is; return its id in hex."""
        argv = ("hash-object", "-t", kind, "-w", "--stdin", "--literally")
        return self.git(*argv, data=data).decode().strip()

    def id(self, revision: str) -> str:
        return self.git("rev-parse", revision).decode().strip()

    def merge(self, *branches: str) -> None:
        self.seconds += 3600
        when = f"{self.seconds} -0700"
        self.git(
            *("merge", "--quiet", "--no-ff", "-m", "Merge " + ", ".join(branches), *branches),
            GIT_AUTHOR_DATE=when,
            GIT_COMMITTER_DATE=when,
        )


def git(path: Path, *argv: str, data: bytes = b"", **environment: str) -> bytes:
    done = subprocess.run(
        ["git", *argv],
        cwd=path,
        input=data,
        env=ENVIRONMENT | environment,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, (argv, done.stderr.decode())
    return done.stdout


def quick_history(path: Path, count: int) -> Path:
    """A bare repository, its branch `trunk`, with four objects in each of `count` commits."""
    path.mkdir()
    git(path, "init", "--quiet", "--bare", "-b", "trunk")
    parts = []
    for number in range(count):
        body = b"%d\n" % number * 200
        parts.append(
            b"commit refs/heads/trunk\ncommitter A <a@b> %d +0000\ndata 3\nmsg\n" % number
            + b"M 100644 inline d%d/f%d\n" % (number % 7, number % 97)
            + b"data %d\n%s\n" % (len(body), body)
        )
    git(path, "fast-import", "--quiet", data=b"".join(parts))
    return path


def refs_of(path: Path) -> dict[str, str]:
    """Full name -> id, of branches and tags."""
    argv = ("for-each-ref", "--format=%(refname) %(objectname)", "refs/heads", "refs/tags")
    lines = git(path, *argv).decode("utf-8", "surrogateescape").splitlines()
    return dict(line.rsplit(" ", 1) for line in lines)


def fsck(path: Path) -> str:
    """Return the errors that git finds; empty when there are none."""
    argv = ["git", "fsck", "--full", "--strict", "--no-dangling", "--no-progress"]
    done = subprocess.run(
        argv, cwd=path, env=ENVIRONMENT, capture_output=True, timeout=60, check=False, text=True
    )
    return done.stdout + done.stderr


def everything(path: Path, *, object_format: str = "sha1") -> Clone:
    """Merges, an octopus, tags of every kind, links, modes old and new, encodings, signatures,
    a submodule, clocks that went wrong."""
    clone = Clone(path, object_format=object_format)
    clone.write("README", b"hello\n")
    clone.write("run.sh", b"#!/bin/sh\n", 0o755)
    clone.write("empty")
    clone.write("a/b/c/deep.txt", b"deep\n")
    clone.write("a.txt", b"sorts between a and a/ in git\n")
    clone.write("large.bin", bytes(range(256)) * 6000 + bytes(400_000))
    os.symlink("a/b/c/deep.txt", path / "link")
    os.symlink("/nowhere\n", path / "odd link")
    clone.write(os.fsdecode(b"latin-\xe9"), b"name\n")
    first = clone.commit("first line\nsecond of the subject\n\nbody\n")
    clone.git("tag", "light")
    clone.git("tag", "-a", "-m", "annotated\n\nwith a body", "v1.0")
    clone.git("tag", "-a", "-m", "a tag of a tag", "nested", "v1.0")
    clone.git("update-index", "--add", "--cacheinfo", f"160000,{first},sub/module")
    clone.git("commit", "--quiet", "-m", "submodule", GIT_COMMITTER_DATE="1600003700 +0000")
    clone.git("update-index", "--force-remove", "--", "sub/module")
    (path / "sub/module").mkdir(parents=True)
    clone.git("reset", "--quiet")
    for at in range(3):
        clone.git("checkout", "--quiet", "-b", f"side/{at}", "HEAD")
        clone.write(f"side{at}", b"side\n" * at)
        clone.git("add", f"side{at}")
        clone.git("commit", "--quiet", "-m", f"side {at}", GIT_COMMITTER_DATE="1600007400 +0000")
        clone.git("checkout", "--quiet", "trunk")
    clone.seconds += 7200
    clone.merge("side/0")
    clone.merge("side/1", "side/2")
    _odd_objects(clone)
    return clone


def _odd_objects(clone: Clone) -> None:
    """Commits that today's git would not make, on branches of their own."""
    tip, tree = clone.id("HEAD"), clone.id("HEAD^{tree}")
    blob = bytes.fromhex(clone.id("HEAD:README"))
    person = b"A U Thor <a@b> 1500000000 +0000"
    entries = b"".join(
        mode + b" " + name + b"\0" + blob
        for mode, name in ((b"100664", b"group"), (b"100600", b"mine"), (b"0100644", b"padded"))
    )
    odd = clone.object("tree", entries)
    empty = clone.object("tree", b"")
    holder = clone.object("tree", b"40000 nothing\0" + bytes.fromhex(empty))
    message = "café\n\nné".encode("latin-1")
    raws = {
        "modes": (odd, b"author %s\ncommitter %s\n\nodd modes\n" % (person, person)),
        "empty-tree": (holder, b"author %s\ncommitter %s\n\nempty\n" % (person, person)),
        "latin1": (
            tree,
            b"author Jos\xe9 <j@b> 1500000000 -1130\ncommitter %s\nencoding ISO-8859-1\n\n%s"
            % (person, message),
        ),
        "signed": (
            tree,
            b"author %s\ncommitter %s\ngpgsig -----BEGIN PGP SIGNATURE-----\n \n iQEzBAAB\n"
            b" -----END PGP SIGNATURE-----\n\nsigned" % (person, person),
        ),
        "strange": (tree, b"author nobody\ncommitter <> -5 +9999\n\n\n  leading\n\ttab \n\nrest"),
        "silent": (tree, b"author %s\ncommitter %s\n\n" % (person, person)),
    }
    for name, (root, rest) in raws.items():
        head = b"tree %s\nparent %s\n" % (root.encode(), tip.encode())
        clone.git("update-ref", f"refs/heads/odd/{name}", clone.object("commit", head + rest))
    clone.git("update-ref", "refs/tags/a-tree", tree)
    clone.git("update-ref", "refs/tags/a-blob", clone.id("HEAD:README"))
