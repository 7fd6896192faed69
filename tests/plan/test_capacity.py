"""What the fleet takes, from what is declared and what the machine has."""

from __future__ import annotations

import pytest

from orchestra.plan.capacity import (
    CLIENT_BYTES,
    Disk,
    Machine,
    Slots,
    capacity_findings,
    cost,
    dollars,
    size,
    slots,
)
from orchestra.plan.finding import Code, Severity
from tests.plan.conftest import Written

CALM = Machine(cores=8, memory_bytes=64_000_000_000, free_bytes=10**12, block_bytes=4096)
ROOMY = Slots(1, 1, 8, 0, 10**12)
AGENTS = "- {name: a}\n- {name: b}\n- {name: c, runner: {kind: none}}"


def test_slots(written: Written) -> None:
    assert slots(written(AGENTS, "limits: {agents: 50, gates: 3}"), CALM) == Slots(
        3, 3, 8, 2 * CLIENT_BYTES, 64_000_000_000
    )
    assert slots(written(AGENTS, "limits: {agents: 1}"), CALM).client_bytes == CLIENT_BYTES


def test_the_need_of_a_fleet_in_words() -> None:
    assert Disk(2, 4096, 3_000).format_need("/w") == "2 worktrees need about 8.2 kB in /w, where 3.0 kB are free"
    assert Disk(1, 10, 3_000).format_need("/w") == "1 worktree needs about 10 B in /w, where 3.0 kB are free"
    assert "of a size that this partial clone does not know" in Disk(1, None, 3_000).format_need("/w")


@pytest.mark.parametrize(
    ("agents", "more", "high", "message"),
    [
        ("- {name: a}\n- {name: b}", "runner: {max_budget_usd: 12}", 24, "max_budget_usd of 2 agents: $24 together"),
        (
            "- {name: a}\n- {name: b}",
            "runner: {max_budget_usd: 12}\nlimits: {budget_usd: 10}",
            10,
            "limits.budget_usd: $10",
        ),
        (
            "- {name: a}\n- {name: b, runner: {max_budget_usd: 1.5}}",
            "limits: {budget_usd: 9}",
            9,
            "1 agent without max_b",
        ),
        (
            "- {name: a}\n- {name: b, runner: {max_budget_usd: 1.5}}",
            "",
            None,
            "max_budget_usd of 1 agent: $1.50 together",
        ),
        ("- {name: a}", "", None, "1 agent without max_budget_usd"),
        ("- {name: a, runner: {kind: none}}", "", None, "1 agent started by a person, not counted"),
        ("- {name: a, runner: {max_budget_usd: 3}}\n- {name: b, runner: {kind: none}}", "", 3, "not counted"),
        # what cannot be seen is bounded by nothing, whatever is declared
        ("- {name: a, runner: {kind: command, command: [x]}}", "limits: {budget_usd: 9}", None, "cannot see"),
        ("- {name: a}\n- {name: b, runner: {mode: tmux}}", "runner: {max_budget_usd: 3}", None, "1 agent in tmux"),
    ],
)
def test_the_bound_on_cost_is_what_budgets_declare(
    written: Written, agents: str, more: str, high: float | None, message: str
) -> None:
    estimate = cost(written(agents, more))
    assert (estimate.low, estimate.high) == (0, high)
    assert any(message in assumption for assumption in estimate.assumptions), estimate.assumptions


def codes(
    written: Written, slots: Slots, disk: Disk, more: str = "runner: {max_budget_usd: 1}"
) -> list[tuple[str, str]]:
    blueprint = written("- {name: a}", more)
    return [(f.severity, f.code) for f in capacity_findings(blueprint, slots, disk, cost(blueprint))]


def test_what_fits_is_nothing_to_tell(written: Written) -> None:
    assert codes(written, ROOMY, Disk(3, 10, 100)) == []
    assert codes(written, ROOMY, Disk(3, None, 0)) == []


@pytest.mark.parametrize(
    ("slots", "disk", "severity", "code"),
    [
        (Slots(1, 9, 8, 0, 10**12), Disk(1, 1, 100), Severity.WARNING, Code.SLOTS_EXCEED_CORES),
        (Slots(9, 1, 8, 90, 100), Disk(1, 1, 100), Severity.WARNING, Code.AGENTS_EXCEED_MEMORY),
        (ROOMY, Disk(9, 10, 100), Severity.WARNING, Code.DISK_TIGHT),
        (ROOMY, Disk(11, 10, 100), Severity.ERROR, Code.DISK_FULL),
    ],
)
def test_what_does_not_fit(written: Written, slots: Slots, disk: Disk, severity: Severity, code: Code) -> None:
    assert codes(written, slots, disk) == [(severity, code)]


def test_an_undeclared_bound_is_a_note_unless_people_start_the_agents(written: Written) -> None:
    assert codes(written, ROOMY, Disk(1, 1, 100), "") == [(Severity.NOTE, Code.COST_UNBOUNDED)]
    assert codes(written, ROOMY, Disk(1, 1, 100), "runner: {kind: none}") == []


def test_agents_that_keep_to_no_budget_are_named(written: Written) -> None:
    blueprint = written("- {name: a}\n- {name: b, runner: {mode: tmux}}", "runner: {max_budget_usd: 1}")
    (found,) = capacity_findings(blueprint, ROOMY, Disk(1, 1, 100), cost(blueprint))
    assert (found.message, found.agents) == ("no budget limits the cost of b", ("b",))


@pytest.mark.parametrize(
    ("count", "message"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (8_440_000, "8.4 MB"), (123_456_789, "123 MB"), (5e12, "5.0 TB")],
)
def test_sizes(count: float, message: str) -> None:
    assert size(count) == message


def test_dollars() -> None:
    assert (dollars(50), dollars(1234.5)) == ("$50", "$1,234.50")
