"""Tables fit their terminal and never shorten a cell."""

from __future__ import annotations

import pytest

from orchestra.cli import table_layout
from orchestra.cli.console import Cell, Tone
from orchestra.cli.status_table import FITTED_COLUMNS

REASON = "evicted: tests failed with api, billing and search; conflicts with src/payments/checkout.py"


def draw(width: int, *names: str, verdict: str = "changes-requested") -> list[str]:
    rows: list[list[str | Cell]] = [
        [str(number), name, "", "discarded", "12min", "3", "", "2, 5min ago", "filled", Cell(verdict), "", "0123456789"]
        for number, name in enumerate(names, 1)
    ]
    reasons = [[Cell(REASON)] if name == names[0] else [] for name in names]
    return [
        "".join(cell.text for cell in line) for line in table_layout.fit_table(FITTED_COLUMNS, rows, reasons, width)
    ]


@pytest.mark.parametrize("width", [200, 132, 100, 80, 70, 60, 59, 40, 20])
@pytest.mark.parametrize("name", ["a", "health-check", "an-agent-with-a-name-of-63-characters" + "-x" * 13])
def test_agent_state_and_verdict_are_whole_at_every_width(width: int, name: str) -> None:
    lines = draw(width, name, "other")
    text = " ".join(" ".join(lines).split())
    for word in (name, "other", "discarded", "changes-requested", "0123456789", "2, 5min ago", REASON):
        assert word in text
    longest_word = max(len(name) + 4, len("  verdict changes-requested"), len("src/payments/checkout.py") + 4)
    assert all(len(line) <= max(width, longest_word) for line in lines)


def test_empty_columns_are_left_out() -> None:
    header = draw(80, "schema")[0]
    assert "stage" not in header
    assert "behind" not in header


def test_reason_stands_on_its_own_lines_below_its_row() -> None:
    lines = draw(80, "schema", "api")
    first, second = (next(n for n, line in enumerate(lines) if name in line) for name in ("schema", "2  api"))
    assert " ".join("".join(lines[first + 1 : second]).split()).endswith(REASON)
    assert "evicted" not in lines[first]


def test_narrow_terminals_show_one_block_per_agent() -> None:
    assert draw(40, "schema")[:3] == ["1 schema", "  state discarded", "  verdict changes-requested"]
    lines = draw(59, "schema", "api")
    assert lines[:2] == ["1 schema", "  state discarded  verdict changes-requested"]
    assert "2 api" in lines


def test_no_agents_draw_a_header_only() -> None:
    assert len(table_layout.fit_table(FITTED_COLUMNS, [], [], 80)) == 2


@pytest.mark.parametrize(
    ("width", "expected"),
    [
        (
            80,
            [
                "agent   branch                   set-up",
                "---------------------------------------",
                "schema  agent/shop/schema  made  ready",
                "  worktree /home/someone/projects/worktrees/shop/shop/agent-1",
            ],
        ),
        (
            40,
            ["schema", "  branch agent/shop/schema, worktree", "  /home/someone/projects/worktrees/shop/shop/agent-1,"],
        ),
    ],
)
def test_a_long_path_moves_below_its_row_and_is_whole(width: int, expected: list[str]) -> None:
    row = ["schema", "agent/shop/schema", "/home/someone/projects/worktrees/shop/shop/agent-1", "made", "ready"]
    columns = table_layout.Columns(("agent", "branch", "worktree", "", "set-up"), ("agent",))
    lines = [
        "".join(cell.text for cell in line).rstrip() for line in table_layout.fit_table(columns, [row], [()], width)
    ]
    assert lines[: len(expected)] == expected


def test_a_table_in_a_pipe_is_aligned_whole_lines(capsys: pytest.CaptureFixture[str]) -> None:
    rows: list[list[str | Cell]] = [["schema", Cell("landed", Tone.GOOD)], ["x" * 200, "evil\n\x1b[0m"]]
    table_layout.show_table(["agent", "state"], rows)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "agent".ljust(200) + "  state"
    assert lines[1] == "schema".ljust(200) + "  landed"
    assert lines[2] == "x" * 200 + "  evil ^[[0m"
