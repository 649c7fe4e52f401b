"""The page of the report, as a real browser shows it."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from heliosfs.clock import FixedClock
from heliosfs.commands.report.template import PAGE_BEGIN, PAGE_END
from tests.browser import devtools
from tests.browser.devtools import Browser, Tab
from tests.tree_builder import Stage

HOSTILE = (
    "</script><script>window.harmed=1</script><img src=x onerror=window.harmed=2>"
    "<!--<script>\u2028\u202e\x1b[31m\x07\ud800 &lt;b&gt; `${window.harmed=3}` {data} {script}"
)
SECOND_NS = 10**9


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    program = devtools.find()
    if program is None:
        pytest.skip("there is no Chromium here")
    started = Browser(program, tmp_path_factory.mktemp("profile"))
    yield started
    started.close()


@pytest.fixture
def stage() -> Stage:
    """Two experiments, one of them with a commit that a reset left behind."""
    stage = Stage(clock=FixedClock(start_ns=1_700_000_000 * SECOND_NS, step_ns=0))
    stage.commit("first", **{"sums.py": b"x = 0\n"})
    for name in ("fast", "slow"):
        stage.run("experiment", "start", name, "--param", f"model={name}", "--minimize", "seconds")
    for name, score in (("fast", "0.5"), ("fast", "0.9"), ("slow", "0.3"), ("fast", "0.7")):
        attempt(stage, name, f"{name} {score}", f"score={score}", f"seconds={score}")
    stage.run("reset", "--hard", "HEAD~1", branch="fast")
    attempt(stage, "slow", "no numbers")
    stage.run("experiment", "finish", "slow")
    stage.clock.time_ns += 3600 * SECOND_NS
    return stage


def attempt(stage: Stage, name: str, text: str, *scores: str) -> str:
    stage.clock.time_ns += 60 * SECOND_NS
    stage.live(name).write(b"sums.py", f"x = '{text}'\n".encode("utf-8", "surrogateescape"))
    argv = ["commit", "--allow-empty", "-m", text, "--json"]
    oid = str(json.loads(stage.run(*argv, branch=name))["id"])
    if scores:
        stage.run("experiment", "record", *scores, branch=name)
    return oid


def show(
    browser: Browser, stage: Stage, place: Path, *, width: int = 1400, dark: bool = False
) -> Tab:
    """Open the report of a repository."""
    page = place / "report.html"
    page.write_text(stage.run("report"), encoding="utf-8")
    return browser.open(page, width=width, dark=dark)


def check_quiet(tab: Tab) -> None:
    """Nothing was loaded but the page, and nothing went wrong."""
    assert [url for url in tab.requested() if not url.startswith(("file:", "data:"))] == []
    assert sum(url.startswith("file:") for url in tab.requested()) == 1
    assert tab.problems() == []


def texts(tab: Tab, selector: str) -> list[str]:
    found = tab.evaluate(
        f"[...document.querySelectorAll({json.dumps(selector)})].map((e) => e.textContent)"
    )
    assert isinstance(found, list)
    return found


def drawn(tab: Tab) -> list[int]:
    """Return the number of dots that each series of the chart has."""
    paths = "[...document.querySelectorAll('#chart .dots')]"
    counts = tab.evaluate(f"{paths}.map((path) => path.getAttribute('d').split('M').length - 1)")
    assert isinstance(counts, list)
    return counts


def detail(tab: Tab) -> str:
    """The chosen commit, once it is there with its diff."""
    tab.wait_for("document.getElementById('detail').dataset.ready === location.hash.slice(1)")
    return str(tab.evaluate("document.getElementById('detail').textContent"))


def test_the_chart_has_every_scored_commit(browser: Browser, stage: Stage, tmp_path: Path) -> None:
    tab = show(browser, stage, tmp_path)
    assert sorted(drawn(tab)) == [1, 3]
    assert texts(tab, "#legend button") == ["fast", "slow"]
    tab.evaluate("document.querySelector('#axis input[value=order]').click()")
    assert sorted(drawn(tab)) == [1, 3]
    tab.evaluate(
        "(() => { const e = document.getElementById('metric'); e.value = 'seconds';"
        " e.dispatchEvent(new Event('change')); })()"
    )
    assert texts(tab, "#legend button") == ["slow", "fast"]
    assert texts(tab, ".tile .number")[0] == "0.3"
    check_quiet(tab)


def test_pointing_at_a_dot_names_it_and_a_click_opens_it(
    browser: Browser, stage: Stage, tmp_path: Path
) -> None:
    tab = show(browser, stage, tmp_path)
    box = "document.getElementById('chart').getBoundingClientRect()"
    x, y = tab.evaluate(
        f"(() => {{ const b = {box}; const d = document.querySelector('#chart .dots.c1')"
        ".getAttribute('d').match(/M([\\d.]+) ([\\d.]+)/); return [b.x + +d[1], b.y + +d[2]]; })()"
    )
    tab.move_to(x + 3, y - 2)
    tab.wait_for("!document.getElementById('tip').hidden")
    assert "slow 0.3" in texts(tab, "#tip")[0]
    tab.click_at(x + 3, y - 2)
    assert "slow 0.3" in detail(tab)
    tab.evaluate("document.getElementById('chart').focus()")
    tab.press("ArrowRight")
    tab.press("Enter")
    tab.wait_for("document.querySelector('#detail .subject').textContent === 'fast 0.7'")
    check_quiet(tab)


def test_a_click_on_a_commit_shows_its_diff_and_the_way_there(
    browser: Browser, stage: Stage, tmp_path: Path
) -> None:
    tab = show(browser, stage, tmp_path)
    assert "fast 0.9" in detail(tab), "the best one is open at first"
    assert len(texts(tab, "#graph .row")) == 6
    tab.evaluate(
        "[...document.querySelectorAll('#graph .row')]"
        ".find((row) => row.textContent.includes('fast 0.7')).id = 'wanted'"
    )
    tab.click("#wanted")
    tab.wait_for("document.querySelector('#detail .subject').textContent === 'fast 0.7'")
    shown = detail(tab)
    oid = tab.evaluate("location.hash.slice(1)")
    assert texts(tab, "#detail .diff .del") == ["-x = 'fast 0.9'"]
    assert texts(tab, "#detail .diff .add") == ["+x = 'fast 0.7'"]
    assert texts(tab, "#detail .diff .file") == ["sums.py"]
    commands = texts(tab, "#detail .command code")
    assert commands[0] == f"helios checkout {oid}"
    assert commands[1] == f"cd .helios/snapshots/{oid}"
    assert "−0.2" in shown
    assert "model" in shown
    tab.click("#detail .copy")
    tab.wait_for("document.querySelector('#detail .copy').textContent === 'copied'")
    check_quiet(tab)


def test_all_of_it_by_keyboard(browser: Browser, stage: Stage, tmp_path: Path) -> None:
    tab = show(browser, stage, tmp_path)
    tab.evaluate("document.getElementById('graph').focus()")
    tab.press("End")
    assert "first" in detail(tab)
    tab.press("ArrowUp")
    chosen = tab.evaluate("document.getElementById('graph').getAttribute('aria-activedescendant')")
    assert tab.evaluate(f"document.getElementById('{chosen}').getAttribute('aria-selected')")
    tab.press("/")
    assert tab.evaluate("document.activeElement.id") == "filter"
    tab.type("slow")
    tab.wait_for("document.querySelectorAll('#graph .row').length === 2")
    assert texts(tab, "#graph-count") == ["2 of 6 commits"]
    assert len(texts(tab, "#table .rows .row")) == 1
    check_quiet(tab)


def test_the_table_sorts_and_chooses(browser: Browser, stage: Stage, tmp_path: Path) -> None:
    tab = show(browser, stage, tmp_path)
    names = "#table .rows .name span:last-child"
    assert texts(tab, names) == ["fast", "slow"]
    tab.click("#table [role=columnheader]:nth-child(4) button")
    assert texts(tab, names) == ["slow", "fast"]
    assert (
        tab.evaluate("document.querySelector('[aria-sort=ascending] button').textContent") == "Best"
    )
    tab.click("#table .rows .row")
    tab.wait_for("document.querySelectorAll('#graph .row').length === 2")
    assert tab.evaluate("document.querySelectorAll('#chart .faded').length") > 0
    tab.click("#states label:nth-child(3)")
    tab.wait_for("document.querySelectorAll('#table .rows .row').length === 1")
    check_quiet(tab)


def test_hostile_text_stays_text(browser: Browser, stage: Stage, tmp_path: Path) -> None:
    name = "a'b$(id)<b>&amp;\u202e"
    stage.run("experiment", "start", name, "--param", f"k={HOSTILE}")
    stage.live(name).write(HOSTILE[:60].replace("/", "_").encode(), b"new\n")
    message = HOSTILE.encode("utf-8", "surrogatepass").decode("utf-8", "replace")
    attempt(stage, name, message, "score=1")
    view = stage.repository.live_view(name)
    stage.live(name).write(b"sums.py", b"\xff\xfe" + HOSTILE.encode("utf-8", "replace"))
    view.commit("bytes that are no text \udcff\udc80</script>")
    stage.run("tag", "<i>x</i>", name)
    tab = show(browser, stage, tmp_path)
    shown = detail(tab)
    tab.evaluate("document.getElementById('graph').focus()")
    tab.press("Home")
    tab.wait_for("document.querySelector('#detail .subject').textContent.includes('no text')")
    detail(tab)
    assert "window.harmed" in texts(tab, "#detail .diff")[0]
    assert tab.evaluate("document.querySelectorAll('img, i, script').length") == 2
    assert tab.evaluate("typeof window.harmed") == "undefined"
    assert "</script>" in shown
    assert "U+202E" in shown
    assert "\u202e" not in shown
    assert "\x1b" not in shown
    assert not any("$(" in command for command in texts(tab, "#detail .command code"))
    assert "<i>x</i>" in texts(tab, "#graph .ref")
    check_quiet(tab)


def test_a_name_is_quoted_where_a_shell_reads_it(
    browser: Browser, stage: Stage, tmp_path: Path
) -> None:
    stage.run("experiment", "start", "it's;$HOME")
    attempt(stage, "it's;$HOME", "one", "score=1")
    tab = show(browser, stage, tmp_path)
    detail(tab)
    command = texts(tab, "#detail .command code")[-1]
    assert command == "helios experiment show 'it'\\''s;$HOME'"


@pytest.mark.parametrize("dark", [False, True])
def test_both_schemes_are_readable(
    browser: Browser, stage: Stage, tmp_path: Path, *, dark: bool
) -> None:
    """Text against what is behind it: at least 4.5 to 1 (WCAG 2.2, 1.4.3)."""
    tab = show(browser, stage, tmp_path, dark=dark)
    detail(tab)
    ratios = tab.evaluate(Path(__file__).with_name("contrast.js").read_text())
    assert len(ratios) > 30
    poor = {text: ratio for text, ratio in ratios if ratio < 4.5}
    assert poor == {}
    assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_a_narrow_window_has_no_overflow(browser: Browser, stage: Stage, tmp_path: Path) -> None:
    tab = show(browser, stage, tmp_path, width=400)
    detail(tab)
    assert tab.evaluate("document.documentElement.scrollWidth") <= 400


def test_an_empty_repository(browser: Browser, tmp_path: Path) -> None:
    stage = Stage()
    tab = show(browser, stage, tmp_path)
    assert "No commits yet" in texts(tab, "#chart")[0]
    assert texts(tab, "#table .none:not([hidden])") == ["None yet: helios experiment start NAME"]
    check_quiet(tab)
    stage.commit("only one", a=b"1\n")
    tab = show(browser, stage, tmp_path)
    assert "only one" in detail(tab)
    assert "No numbers recorded" in texts(tab, "#chart")[0]
    check_quiet(tab)


def test_ten_thousand_commits_stay_usable(browser: Browser, tmp_path: Path) -> None:
    """Made up: the data that the page carries, without a repository that would have it."""
    count, groups = 10_000, 100
    commits = [
        [
            f"{at:012x}", 1_700_000_000 + 30 * at, [max(0, at - groups)] if at else [],
            f"variant {at}", 0, at % groups, {"score": f"{(at * 7919 % 10007) / 10007:.4f}"}, -1,
        ]
        for at in range(count)
    ]  # fmt: skip
    experiments = [
        {
            "name": f"exp-{at}", "state": "running", "branch": f"exp-{at}", "parameters": {},
            "started": 1_700_000_000, "minimize": [], "own": list(range(at, count, groups)),
        }
        for at in range(groups)
    ]  # fmt: skip
    data = {
        "made": 1_700_400_000, "branch": "main", "left_out": False, "authors": ["Ada"], "refs": [],
        "experiments": experiments, "chunks": [], "commits": commits,
    }  # fmt: skip
    page = tmp_path / "large.html"
    page.write_text(PAGE_BEGIN + json.dumps(data) + PAGE_END)
    tab = browser.open(page)
    drawn = (
        "[...document.querySelectorAll('#chart .dots')].reduce((n, e) => n + +e.dataset.count, 0)"
    )
    assert tab.evaluate(drawn) == count
    assert 10 < tab.evaluate("document.querySelectorAll('#graph .row').length") < 60
    assert tab.evaluate("document.querySelectorAll('*').length") < 5000
    tab.evaluate("document.getElementById('graph').focus()")
    tab.press("End")
    tab.wait_for("location.hash === '#000000000000'")
    assert "helios show 000000000000" in detail(tab)
    tab.evaluate("document.getElementById('filter').focus()")
    tab.type("exp-42")
    tab.wait_for("document.getElementById('graph-count').textContent === '100 of 10,000 commits'")
    check_quiet(tab)


def test_the_page_names_all_that_it_runs(stage: Stage) -> None:
    """Style and script are allowed by digest, and nothing by place."""
    page = stage.run("report")
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)
    assert policy is not None
    assert html.unescape(policy[1]).startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy[1]
    assert "http:" not in page.replace("http://www.w3.org/2000/svg", "")
    assert "https:" not in page


def test_the_page_says_which_project_it_is(browser: Browser, stage: Stage, tmp_path: Path) -> None:
    stage.repository.path = "/home/ada/work/sums"
    tab = show(browser, stage, tmp_path)
    assert texts(tab, "h1") == ["sums"]
    assert tab.evaluate("document.title") == "sums: helios report of main"
    assert texts(tab, "#subtitle")[0].startswith("/home/ada/work/sums · main at the mount point")
    stage.repository.path = f"/srv/{HOSTILE.replace('/', '')}"
    tab = show(browser, stage, tmp_path)
    assert tab.evaluate("window.harmed") is None
    stage.repository.path = ""
    assert texts(show(browser, stage, tmp_path), "h1") == ["Experiments"]


@pytest.mark.parametrize("width", [320, 360, 640])
def test_the_table_can_be_read_on_a_telephone(
    browser: Browser, stage: Stage, tmp_path: Path, width: int
) -> None:
    """Nothing that is shown is cut off, but a long name, and the page is not wider than that."""
    stage.repository.path = "/home/ada/work/a-project-with-rather-a-long-name"
    tab = show(browser, stage, tmp_path, width=width)
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    cut = tab.evaluate(
        "[...document.querySelectorAll('#table .cell')].filter((e) => e.offsetParent"
        " && e.scrollWidth > e.clientWidth).map((e) => e.textContent)"
    )
    assert cut == []
    assert texts(tab, "#table .rows .row:first-child .cell.name") == ["fast"]
    tab.evaluate("document.getElementById('table').scrollIntoView({block: 'center'})")
    tab.screenshot(tmp_path / "page.png")
