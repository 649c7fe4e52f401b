"""The benchmarks' arithmetic, table and trees; nothing is measured here."""

from __future__ import annotations

import itertools
import json
from collections import Counter

import pytest

from benchmarks.pages import BEGIN, END, updated_figures, updated_readme
from benchmarks.table import Figure, Peer, Row, Unit, document, figure_of, render, show
from benchmarks.trees import FANOUT, HOT_BYTES, Tree, nested_path, revised, text, versions

GIT = Peer("git", Figure(10_000.0, 20_000.0, 5), limit=1.0)


def row(median: float, p95: float = 0.0, **fields: object) -> Row:
    return Row("commit", "one file", Figure(median, p95, 10), **fields)  # type: ignore[arg-type]


def test_a_figure_is_the_median_and_the_95th_percentile() -> None:
    assert figure_of(range(1, 101)) == Figure(50.5, 95, 100)
    assert figure_of([7.0]) == Figure(7.0, 7.0, 1)
    assert figure_of([1.0] * 19 + [100.0]) == Figure(1.0, 1.0, 20)
    assert figure_of([1.0] * 18 + [100.0] * 2) == Figure(1.0, 100.0, 20)


def test_a_figure_needs_samples() -> None:
    with pytest.raises(ValueError, match="no samples"):
        figure_of([])


@pytest.mark.parametrize(
    ("measured", "is_met"),
    [
        (row(60, 900), None),
        (row(60, 900, budget=60), True),
        (row(61, 900, budget=60), False),
        (row(60, 900, budget=60, budget_p95=900), True),
        (row(60, 901, budget=60, budget_p95=900), False),
    ],
)
def test_a_budget_holds_the_median_and_if_it_says_so_the_p95(
    measured: Row, is_met: bool | None
) -> None:
    assert measured.is_met is is_met


def test_a_ratio_is_ours_to_the_peers() -> None:
    assert row(5_000).ratio(GIT) == 0.5
    assert row(5_000).is_within(GIT) is True
    assert row(10_001).is_within(GIT) is False
    assert row(5_000).is_within(Peer("git", GIT.figure)) is None
    unmeasured = Peer("git", None, limit=1.0)
    assert row(5_000).ratio(unmeasured) is None
    assert row(5_000).is_within(unmeasured) is None


@pytest.mark.parametrize(
    ("value", "unit", "shown"),
    [
        (0, Unit.NS, "0 ns"),
        (7.25, Unit.NS, "7.25 ns"),
        (999.4, Unit.NS, "999 ns"),
        (999.6, Unit.NS, "1.00 us"),
        (60_000, Unit.NS, "60.0 us"),
        (2.5e9, Unit.NS, "2.50 s"),
        (5e12, Unit.NS, "5000 s"),
        (300, Unit.BYTES, "300 B"),
        (60e6, Unit.BYTES, "60.0 MB"),
        (-2_000_000, Unit.BYTES, "-2.00 MB"),
        (0.00231, Unit.TIMES, "0.00231"),
        (1.2, Unit.TIMES, "1.20"),
        (1234, Unit.TIMES, "1230"),
        (0.0123, Unit.SHARE, "1.23 %"),
        (1.5e9, Unit.BYTES_PER_SECOND, "1.50 GB/s"),
        (43_100, Unit.PER_SECOND, "43.1 thousand/s"),
    ],
)
def test_values_are_shown_with_three_digits(value: float, unit: Unit, shown: str) -> None:
    assert show(value, unit) == shown


def test_the_table_has_a_line_for_each_row_and_each_further_peer() -> None:
    rows = [
        row(5_000, 6_000, budget=6_000, peers=(GIT, Peer("jj", None, note="not installed"))),
        Row("memory", "at rest", Figure(70e6, 70e6, 1), Unit.BYTES, budget=60e6, note="RSS"),
    ]
    lines = render(rows).splitlines()
    assert [" ".join(line.split()) for line in lines[2:]] == [
        "[commit]",
        "one file 5.00 us 6.00 us 6.00 us met git 10.0 us 0.500 1.00 met",
        "jj [1] none",
        "[memory]",
        "at rest [2] 70.0 MB 60.0 MB MISSED",
        "[1] not installed",
        "[2] RSS",
    ]
    assert lines[0].index("ratio") + len("ratio") == lines[3].index("0.500") + len("0.500")


def test_equal_notes_share_a_number() -> None:
    shown = render([row(1, note="noisy"), row(2, note="noisy"), row(3, note="quiet")])
    assert shown.count("one file [1]") == 2
    assert shown.count("[1] noisy") == 1
    assert shown.endswith("[2] quiet\n")


def test_the_document_says_everything_in_the_rows_unit() -> None:
    measured = row(5_000, 6_000, budget=6_000, peers=(GIT, Peer("jj", None, note="not there")))
    told = json.loads(json.dumps(document([measured], {"cpus": 2})))
    assert told == {
        "version": 1,
        "environment": {"cpus": 2},
        "rows": [
            {
                "benchmark": "commit",
                "what": "one file",
                "unit": "ns",
                "median": 5_000,
                "p95": 6_000,
                "samples": 10,
                "budget": 6_000,
                "budget_p95": None,
                "met": True,
                "note": "",
                "peers": [
                    {
                        "name": "git",
                        "median": 10_000,
                        "p95": 20_000,
                        "samples": 5,
                        "ratio": 0.5,
                        "limit": 1.0,
                        "met": True,
                        "note": "",
                    },
                    {
                        "name": "jj",
                        "median": None,
                        "ratio": None,
                        "limit": None,
                        "met": None,
                        "note": "not there",
                    },
                ],
            }
        ],
    }


@pytest.mark.parametrize("count", [1, 33, 34, 1_000, 10_000])
def test_no_directory_of_a_nested_tree_has_more_than_its_fanout(count: int) -> None:
    paths = {nested_path(index, count) for index in range(count)}
    assert len(paths) == count
    nodes = set()
    for path in paths:
        while path:
            nodes.add(path)
            path = path.rpartition("/")[0]
    assert max(Counter(node.rpartition("/")[0] for node in nodes).values()) <= FANOUT


def test_a_wide_tree_has_directories_of_equal_size() -> None:
    tree = Tree(1_000, directories=10)
    held = Counter(tree.path(index).rpartition("/")[0] for index in range(tree.file_count))
    assert set(held.values()) == {100}
    assert len(held) == 10


def test_the_files_that_change_are_large_and_spread_over_the_tree() -> None:
    tree = Tree(1_000)
    sizes = {path: len(data) for path, data in tree.files()}
    assert len(sizes) == 1_000
    assert {path for path, size in sizes.items() if size == HOT_BYTES} == set(tree.hot)
    assert len({path.rpartition("/")[0] for path in tree.hot}) == 30


def test_a_revision_changes_one_line_and_no_two_are_the_same() -> None:
    data = text("file", HOT_BYTES)
    made = {revised(data, number) for number in range(1_000)}
    assert len(made) == 1_000
    for each in made:
        assert len(each) == HOT_BYTES
        assert sum(old != new for old, new in zip(data, each, strict=True)) <= 15


def test_versions_of_a_file_differ_from_the_one_before_in_one_line() -> None:
    made = [data.split(b"\n") for data in versions(HOT_BYTES, 100)]
    for old, new in itertools.pairwise(made):
        assert len(Counter(new) - Counter(old)) <= 1
        assert old != new
        assert abs(len(new) - len(old)) <= 1
    assert list(versions(HOT_BYTES, 20)) == list(versions(HOT_BYTES, 20))


WHERE = {
    "time": "2026-11-30T22:00:00+0000",
    "python": "3.11.7",
    "git": "2.39",
    "kernel": "6.18",
    "libfuse": "3.14",
    "cpus": 2,
    "cpu": "a CPU",
    "disk": "ext4",
    "load_average": 0.25,
    "quick": False,
}


def test_a_rate_is_met_by_more_and_a_time_by_less() -> None:
    half = Peer("C", Figure(2e6, 2e6, 5), limit=1.0)
    assert row(1e6, unit=Unit.BYTES_PER_SECOND).is_within(half) is False
    assert row(3e6, unit=Unit.BYTES_PER_SECOND).is_within(half) is True
    assert row(3e6).is_within(half) is False


def test_a_rate_has_no_p95_for_that_would_be_its_best() -> None:
    lines = render([row(5e6, 9e6, unit=Unit.BYTES_PER_SECOND)]).splitlines()
    assert lines[-1].split() == ["one", "file", "5.00", "MB/s"]


EMPTY = f"before\n{BEGIN}{END}\nafter\n"
ORDER = ("commit", "files", "warm", "large", "memory")


def test_headlines_are_updated_one_by_one_and_say_what_missed() -> None:
    commit, text = "commit, one 10 KB file changed, 1,000 files", "write, source text half"
    first = [
        Row("commit", commit, Figure(90_000, 120_000, 3), budget=60_000),
        Row("commit", "something else", Figure(50_000, 60_000, 3), budget=60_000),
        Row("large", f"{text} of 2 GiB", Figure(2e6, 2e6, 3), Unit.BYTES_PER_SECOND),
        Row("large", f"{text} and fsync of 2 GiB", Figure(1e6, 2e6, 3), Unit.BYTES_PER_SECOND),
    ]
    page = updated_readme(EMPTY, first, WHERE)
    heads = "| what | median | budget | beside it, in the same run | when, and on which CPU |"
    lines = [
        heads,
        "|---|---:|---|---|---|",
        f"| {commit} | 90.0 us | 60.0 us, missed |  | 2026-11-30, a CPU |",
        f"| {text} | 2.00 MB/s |  |  | 2026-11-30, a CPU |",
    ]
    assert page == f"before\n{BEGIN}\n" + "\n".join(lines) + f"\n\n{END}\nafter\n"
    peers = (Peer("git", Figure(1e5, 2e5, 3), 1),)
    later = [Row("commit", commit, Figure(50_000, 60_000, 3), budget=60_000, peers=peers)]
    again = updated_readme(page, later, {**WHERE, "time": "2027-01-01T00:00:00", "cpu": "another"})
    told = "50.0 us | 60.0 us; 1 x git | git 100 us | 2027-01-01, another"
    lines[2] = f"| {commit} | {told} |"
    assert again == f"before\n{BEGIN}\n" + "\n".join(lines) + f"\n\n{END}\nafter\n"


def test_a_section_is_replaced_alone_and_says_where_it_was_measured() -> None:
    files = Row("files", "rename", Figure(5e4, 6e4, 3), peers=(Peer("C", Figure(1e5, 2e5, 3)),))
    warm = Row("warm", "stat", Figure(2e3, 3e3, 3), peers=(Peer("C", Figure(1e3, 2e3, 3), 1.5),))
    page = updated_figures(EMPTY, [warm, files], WHERE, ORDER)
    quick = {**WHERE, "quick": True, "time": "2027-01-01T00:00:00"}
    faster = Row("warm", "stat", Figure(1e3, 3e3, 3))
    again = updated_figures(page, [faster], quick, ORDER)
    assert again.startswith(f"before\n{BEGIN}\n### files\n\n2026-11-30: Python 3.11.7, ")
    assert again.endswith(f"| stat | 1.00 us | 3.00 us |  |  |\n\n{END}\nafter\n")
    kept, _, new = again.partition("### warm\n\n")
    assert kept == page.partition("### warm")[0]
    assert "load average before the run 0.2.\n" in kept
    assert new.startswith("2027-01-01: Python 3.11.7, ")
    assert "0.2; a quick run" in new
    assert updated_figures(again, [], WHERE, ORDER) == again


def test_a_page_has_a_table_for_each_benchmark_with_a_column_for_each_peer() -> None:
    c, jj = Peer("C", Figure(1e5, 2e5, 3), 0.5, "the example"), Peer("jj", None, note="not here")
    rows = [
        Row("files", "rename", Figure(50_000, 60_000, 3), peers=(c, jj)),
        Row("files", "unlink", Figure(60_000, 60_000, 3), peers=(c, jj), note="twice"),
        Row("memory", "at rest", Figure(7e7, 7e7, 1), Unit.BYTES, budget=6e7),
        Row("memory", "more", Figure(7e6, 7e6, 1), Unit.BYTES, peers=(jj,)),
    ]
    page = updated_figures(EMPTY, rows, WHERE, ORDER)
    files, _, memory = page.partition("### memory")
    assert files.endswith(
        "before the run 0.2.\n\n"
        "| what | heliosfs | p95 | budget | C | jj |\n"
        "|---|---:|---:|---|---:|---:|\n"
        "| rename | 50.0 us | 60.0 us | 0.5 x C | 100 us (x 0.500) | none |\n"
        "| unlink | 60.0 us | 60.0 us | 0.5 x C, missed | 100 us (x 0.600) | none |\n"
        "\n- the example\n- not here\n- twice\n\n"
    )
    assert "| at rest | 70.0 MB |  | 60.0 MB, missed |  |\n| more | 7.00 MB |  |  |  |" in memory


def test_a_page_without_marks_is_refused() -> None:
    with pytest.raises(ValueError, match="no marks"):
        updated_readme("nothing here", [], WHERE)
    with pytest.raises(ValueError, match="no marks"):
        updated_figures(f"{BEGIN} alone", [], WHERE, ORDER)
