"""The programs of the Helios guide at work, as they stand in it; `tests/standins` answers."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from tests.compat.guide import AGENTS, REFACTORING, SCORE, Guide
from tests.git_repository import Clone
from tests.mount.conftest import Mounted, Mounter
from tests.mount.programs import names, put
from tests.posix.consistency import assert_sound

BLOCKS = re.compile(r"^## (\w+)\n\n```\w+\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PROGRAMS = dict(BLOCKS.findall(Path(__file__).with_name("guide.md").read_text()))
COMMITTED = re.compile(r"^\[(\S+)(?: \(first\))? ([0-9a-f]{12})\] snapshot$", re.MULTILINE)

IN_VIEWS = (
    (
        'subprocess.run(["helios", "checkout", branch_name])',
        'view = f".helios/branches/{branch_name}"',
    ),
    ('open(f"solution_{agent_id}.py", "w")', 'open(f"{view}/solution_{agent_id}.py", "w")'),
    ('"commit", "--work", "."])', '"commit", "--work", "."], cwd=view)'),
    ('"HEAD~1"])', '"HEAD~1"], cwd=view)'),
    ('"rev-parse", "HEAD"]', '"rev-parse", "HEAD"], cwd=view'),
)  # fmt: skip
"""Changes that make the agents safe from each other: a live view for each."""


@pytest.fixture
def guide(mounted: Mounted, tmp_path: Path) -> Guide:
    made = Guide(mounted, tmp_path)
    made.begin()
    return made


def test_fifty_variants_of_which_the_best_stay(guide: Guide) -> None:
    after = "print('best', score, repr(best_code))"
    said = guide.run(
        PROGRAMS["variants"], SCORE + "run_performance_tests = lambda: score('solution.py')", after
    )
    scores = [number * 37 % 101 for number in range(1, 51)]
    best = [score for number, score in enumerate(scores) if score > max([0, *scores[:number]])]
    assert len(COMMITTED.findall(said)) == 50
    assert said.count("HEAD is now at ") == 50 - len(best)
    assert f"best {best[-1]} " in said
    assert f"SCORE = {best[-1]}\n" in (guide.path / "solution.py").read_text()
    assert guide.subjects() == ["snapshot"] * len(best) + ["base"]
    assert len(list((guide.path / ".helios/snapshots").iterdir())) == 51
    assert guide.is_clean()


def winner(said: str) -> int:
    found = re.search(r"^智能体 (\d) 以分数 0\.9\d+ 获胜$", said, re.MULTILINE)
    assert found, said
    return int(found[1])


def test_five_agents_each_in_a_view_of_its_own(guide: Guide) -> None:
    program = PROGRAMS["agents"]
    for old, new in IN_VIEWS:
        assert old in program
        program = program.replace(old, new)
    said = guide.run(program, AGENTS)
    assert "nothing to commit" not in said
    made = COMMITTED.findall(said)
    for number in range(5):
        branch = f"agent-{number}-experiment"
        ids = [oid for name, oid in made if name == branch]
        assert len(ids) > 1 and set(ids) <= guide.ids(branch)
        view = guide.path / ".helios/branches" / branch
        assert names(view) == ["README", f"solution_{number}.py"]
    assert guide.branch == "main"
    assert names(guide.path) == ["README", f"solution_{winner(said)}.py"]
    assert guide.is_clean()
    assert_sound(guide.mounted)


def test_five_agents_in_one_directory_do_what_they_were_told(guide: Guide) -> None:
    """They get in each other's way, as the guide has it; each reply says what was done where."""
    said = guide.run(PROGRAMS["agents"], AGENTS)
    winner(said)
    made = COMMITTED.findall(said)
    assert made
    for name in {name for name, _ in made}:
        assert {oid for where, oid in made if where == name} <= guide.ids(name)
    # Each commit told of itself once, and no commit went untold.
    assert len(set(made)) == len(made)
    shown = {path.name[:12] for path in (guide.path / ".helios/snapshots").iterdir()}
    assert {oid for _, oid in made} <= shown
    assert len(shown) == 1 + len(made) + said.count("Merge made")
    assert guide.branch == "main"
    assert_sound(guide.mounted)


@pytest.mark.parametrize("passes", [True, False])
def test_a_refactoring_that_ends_at_its_checkpoint_when_it_fails(
    guide: Guide, passes: bool
) -> None:
    put(guide.path / "src/one.py", "old\n")
    put(guide.path / "src/two.py", "old\n")
    said = guide.run(PROGRAMS["refactoring"], REFACTORING.replace("PASSES", str(passes)))
    made = COMMITTED.findall(said)
    assert len(made) == 2
    text = {path.read_text() for path in (guide.path / "src").iterdir()}
    if passes:
        assert (text, guide.branch) == ({"new\n"}, "main")
        return
    assert "已回滚到安全状态" in said
    assert f"HEAD is now at {made[0][1]}" in said
    assert (text, guide.branch) == ({"old\n"}, "(detached)")
    assert guide.is_clean()
    # The branch has what failed, for who wants to look.
    assert guide.subjects("main") == ["snapshot", "snapshot", "base"]


def test_the_loop_with_openai(guide: Guide) -> None:
    before = SCORE + "run_tests = lambda: score('generated.py') > 50"
    said = guide.run(PROGRAMS["openai"], before, "ai_code_generation_loop('sort')")
    kept = sum(number * 37 % 101 > 50 for number in range(1, 11))
    assert len(COMMITTED.findall(said)) == 10
    assert guide.subjects() == ["snapshot"] * kept + ["base"]


def test_the_loop_with_langchain(guide: Guide) -> None:
    said = guide.run(
        PROGRAMS["langchain"],
        after="langchain_with_version_control(AgentExecutor(), 'write')\n"
        "try:\n    langchain_with_version_control(AgentExecutor(), 'fail')\n"
        "except RuntimeError as error:\n    print(error)\n",
    )
    # Both checkpoints found nothing new.
    assert said.count("nothing to commit") == 2
    assert len(COMMITTED.findall(said)) == 1
    assert "the agent broke off" in said
    assert guide.branch == "(detached)"
    assert "# write" in (guide.path / "generated.py").read_text()
    assert guide.is_clean()


def test_the_steps_from_git(mounter: Mounter, tmp_path: Path) -> None:
    workspace = mounter(start=False)
    project = Clone(workspace.path, "main")
    for number in range(12):
        project.write("a.py", b"%d\n" % number)
        project.commit(f"change {number}")
    project.write("untracked", b"x")
    guide = Guide(workspace, tmp_path)
    script = PROGRAMS["migration"].replace("/path/to/your/ai-project", str(workspace.path))
    said = guide.type("bash", "-e", "-c", script)
    assert "12 commits, " in said
    assert said.count(" change ") > 10
    assert {".git", ".helios"} <= set(said.split())
    one_line = guide.type("helios", "log", "--oneline").splitlines()
    assert [line.split(" ", 1)[1] for line in one_line] == [
        f"change {number}" for number in reversed(range(12))
    ]
    workspace.mount()
    assert os.listdir(workspace.path).count(".helios") == 0
    assert names(workspace.path) == [".git", "a.py", "untracked"]
    # What the guide's last line shows, mounted: one of the two is found by its name alone.
    assert guide.type("bash", "-c", "ls -d .git .helios") == ".git\n.helios\n"
    assert guide.type("git", "status", "--short") == "?? untracked\n"
    assert guide.type("helios", "checkout", "main").startswith("Already on 'main'")
