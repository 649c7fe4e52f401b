"""The guide's programs, shortened with the Python client: those of docs/how-to/python.md."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.compat.guide import AGENTS, REFACTORING, SCORE, Guide
from tests.mount.conftest import Mounted
from tests.mount.programs import names, put

PAGE = Path(__file__).parents[2] / "docs/how-to/python.md"
SECTIONS = re.compile(r"^## ([^\n]+)\n(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PROGRAMS = {name: CODE.findall(text) for name, text in SECTIONS.findall(PAGE.read_text())}


def program(section: str) -> str:
    (code,) = PROGRAMS[section]
    assert isinstance(code, str)
    return code


@pytest.fixture
def guide(mounted: Mounted, tmp_path: Path) -> Guide:
    made = Guide(mounted, tmp_path)
    made.begin()
    return made


def test_the_beginning(guide: Guide) -> None:
    (code,) = CODE.findall(PAGE.read_text().partition("\n## ")[0])
    put(guide.path / "new", "x\n")
    guide.run(code.replace('Path.home() / "ws"', repr(str(guide.path))))
    assert guide.subjects() == ["a first step", "base"]


def test_the_sample_of_the_readme(guide: Guide) -> None:
    put(guide.path / "src/app.py", "print()\n")
    guide.type("helios", "commit", "-m", "app")
    text = (PAGE.parents[2] / "README.md").read_text().partition("## From Python\n")[2]
    guide.run(CODE.findall(text)[0])
    assert guide.subjects() == ["quotes", "app", "base"]
    assert (guide.path / "src/app.py").read_text() == "print('hello')\n"


def test_share_with_other_machines(guide: Guide, tmp_path: Path) -> None:
    url = f"file://{tmp_path}/remote"
    guide.type("helios", "remote", "add", "origin", url)
    guide.run(program("Share with other machines"), after="publish()")
    guide.type("helios", "clone", "-q", "--no-mount", url, str(tmp_path / "other"))
    other = ("helios", "-C", str(tmp_path / "other"))
    guide.type(*other, "commit", "-q", "--allow-empty", "-m", "sooner")
    guide.type(*other, "push", "-q")
    put(guide.path / "new", "x\n")
    guide.type("helios", "commit", "-m", "later")
    said = guide.run(program("Share with other machines"), after="publish()")
    assert said.endswith(" bytes sent\n")
    assert guide.subjects()[:1] == ["Merge remote-tracking branch 'origin/main'"]
    assert set(guide.subjects()[1:3]) == {"later", "sooner"}


def test_keep_what_is_better(guide: Guide) -> None:
    before = SCORE + "measure, run_performance_tests = score, lambda: measure('solution.py')"
    said = guide.run(program("Keep what is better"), before, "print(best, repr(solution))")
    scores = [number * 37 % 101 for number in range(1, 51)]
    best = [score for number, score in enumerate(scores) if score > max([0, *scores[:number]])]
    assert said.startswith(f"{best[-1]} ")
    assert f"SCORE = {best[-1]}\n" in (guide.path / "solution.py").read_text()
    assert len(guide.subjects()) == len(best) + 1
    assert len(list((guide.path / ".helios/snapshots").iterdir())) == 51
    assert guide.is_clean()


def test_several_agents(guide: Guide) -> None:
    after = "print(score)"
    said = guide.run(program("Several agents, each in a directory of its own"), AGENTS, after)
    assert float(said) >= 0.9
    assert len([name for name in names(guide.path) if name.startswith("solution_")]) == 1
    listed = guide.type("helios", "experiment", "list")
    assert listed.count("finished") == 5
    assert guide.branch == "main"
    assert guide.is_clean()


@pytest.mark.parametrize("passes", [True, False])
def test_a_large_change_that_may_fail(guide: Guide, passes: bool) -> None:
    put(guide.path / "src/one.py", "old\n")
    put(
        guide.path / "check.py",
        f"raise SystemExit(open('src/one.py').read() != 'new\\n' or {not passes})\n",
    )
    said = guide.run(
        program("A large change that may fail"), REFACTORING, "print(success, workspace.branches())"
    )
    assert said.startswith(f"{passes} (BranchInfo(name='main',")
    assert (guide.path / "src/one.py").read_text() == ("new\n" if passes else "old\n")
    assert guide.subjects() == (["refactored", "base"] if passes else ["base"])


def test_undo_what_does_not_pass(guide: Guide) -> None:
    before = SCORE + "run_tests = lambda: score('generated.py') > 50"
    guide.run(program("Undo what does not pass"), before)
    kept = sum(number * 37 % 101 > 50 for number in range(1, 11))
    assert guide.subjects() == ["passes"] * kept + ["base"]


def test_a_checkpoint_around_any_agent(guide: Guide) -> None:
    said = guide.run(
        program("A checkpoint around any agent"),
        after="from langchain.agents import AgentExecutor\n"
        "langchain_with_version_control(AgentExecutor(), 'write')\n"
        "try:\n    langchain_with_version_control(AgentExecutor(), 'fail')\n"
        "except RuntimeError as error:\n    print(error)\n",
    )
    assert said == "the agent broke off\n"
    assert guide.subjects() == ["before: fail", "write", "before: write", "base"]
    assert "# write" in (guide.path / "generated.py").read_text()
    assert (guide.branch, guide.is_clean()) == ("main", True)


def test_on_asyncio(guide: Guide) -> None:
    guide.run(program("On asyncio and trio"))
    assert guide.subjects() == ["idea 2", "base"]
    assert (guide.path / "idea.py").read_text() == "print(2)\n"
    assert guide.type("helios", "branch") == "* main\n"


def test_the_programs_are_shorter_than_the_originals() -> None:
    originals = (Path(__file__).with_name("guide.md")).read_text()
    others = {"On asyncio and trio", "Share with other machines"}
    five = [program(name) for name in PROGRAMS if PROGRAMS[name] and name not in others]
    assert len(five) == 5
    original = originals.partition("## migration")[0].count("\n")
    assert sum(each.count("\n") for each in five) < original * 0.6
