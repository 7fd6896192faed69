"""What the fleet will take: slots, disk, money. Each figure says what it rests on.

Invariant: pure, and no figure is invented: bytes are tracked bytes, dollars are declared budgets, and what is not
counted is said. Refuses: reading the machine or the repository.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from orchestra.blueprint.model import Agent, Blueprint, RunnerKind
from orchestra.plan.finding import Code, Finding, Severity, place
from orchestra.plan.machine import Machine

CLIENT_BYTES = 200_000_000
"""Resident memory of one Claude Code client, as measured (facts/client.md 1): about 200 MB, 113 MB of it private."""
TIGHT_SHARE = 0.8
"""Worktrees that take more of the free space than this leave little for what set-up and builds write."""


@dataclass(frozen=True, slots=True)
class Slots:
    """How much runs at once. ``client_bytes`` is what the Claude clients among the sessions take in memory."""

    agents: int
    gates: int
    cores: int
    client_bytes: int
    memory_bytes: int


@dataclass(frozen=True, slots=True)
class Disk:
    """``worktrees`` still to be made (agents' and gate slots'), ``each_bytes`` of tracked files, in whole blocks.

    ``each_bytes`` None: a partial clone does not know the sizes of files it never fetched.
    """

    worktrees: int
    each_bytes: int | None
    free_bytes: int

    @property
    def needed_bytes(self) -> int | None:
        return None if self.each_bytes is None else self.worktrees * self.each_bytes


@dataclass(frozen=True, slots=True)
class Cost:
    """US dollars for one run of every agent: at most ``high``; None where nothing declared bounds it.

    There is no lower bound to give but zero: what an agent really takes is known only afterwards.
    """

    high: float | None
    assumptions: tuple[str, ...]
    low: float = 0.0


def slots(blueprint: Blueprint, machine: Machine) -> Slots:
    """What runs at once at most, against what there is."""
    agents = min(blueprint.limits.agents, len(blueprint.agents))
    claude = min(agents, sum(1 for agent in blueprint.agents if agent.runner.kind is RunnerKind.CLAUDE))
    return Slots(agents, blueprint.limits.gates, machine.cores, claude * CLIENT_BYTES, machine.memory_bytes)


def disk(sizes: Collection[int | None], machine: Machine, worktrees: int) -> Disk:
    """Space for so many further worktrees with files of these sizes (bytes; None: unknown)."""
    known = [size for size in sizes if size is not None]
    block = machine.block_bytes
    each = sum(-(-size // block) * block for size in known) if len(known) == len(sizes) else None
    return Disk(worktrees, each, machine.free_bytes)


def cost(blueprint: Blueprint) -> Cost:
    """The bound that the declared budgets give."""
    own, assumptions = _agents_bound(blueprint.agents)
    fleet = blueprint.limits.budget_usd
    if fleet is not None:
        assumptions.append(f"limits.budget_usd: {dollars(fleet)} for the fleet")
    bounds = [bound for bound in (own, fleet) if bound is not None]
    if not bounds:
        return Cost(None, tuple(assumptions))
    if _claude(blueprint.agents):
        assumptions.append("a session may pass its bound by its last request, and a further session has it anew")
    return Cost(min(bounds), tuple(assumptions))


def capacity_findings(blueprint: Blueprint, slots: Slots, disk: Disk, cost: Cost) -> Iterator[Finding]:
    """What does not fit."""
    yield from _slot_findings(blueprint, slots)
    yield from _disk_findings(blueprint, disk)
    if cost.high is None and any(agent.runner.kind is not RunnerKind.NONE for agent in blueprint.agents):
        yield Finding(
            Severity.NOTE,
            Code.COST_UNBOUNDED,
            "nothing declared bounds the cost of this fleet",
            "set runner.max_budget_usd (each session of an agent) or limits.budget_usd (the fleet)",
            place(blueprint, "runner"),
        )


def dollars(amount: float) -> str:
    """``$12`` or ``$12.50``."""
    return f"${amount:,.0f}" if amount == int(amount) else f"${amount:,.2f}"


def size(count: float) -> str:
    """Bytes for people: ``812 B``, ``8.4 MB``; powers of 1,000."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:  # noqa: PLR2004
            return f"{count:.0f} {unit}" if unit == "B" or count >= 100 else f"{count:.1f} {unit}"  # noqa: PLR2004
        count /= 1000
    return f"{count:.1f} TB"


def _claude(agents: Collection[Agent]) -> list[Agent]:
    return [agent for agent in agents if agent.runner.kind is RunnerKind.CLAUDE]


def _agents_bound(agents: Collection[Agent]) -> tuple[float | None, list[str]]:
    """The sum of the agents' own budgets, None where one of them has none; and what to say about it."""
    claude = _claude(agents)
    budgets = [agent.runner.max_budget_usd for agent in claude]
    known = [budget for budget in budgets if budget is not None]
    said: list[str] = []
    if known:
        said.append(f"max_budget_usd of {len(known)} agents: {dollars(sum(known))} together, one session each")
    if len(known) < len(claude):
        said.append(f"{len(claude) - len(known)} agents have no max_budget_usd")
    other = sum(1 for agent in agents if agent.runner.kind is RunnerKind.COMMAND)
    if other:
        said.append(f"{other} agents run a command of your own, whose cost orchestra does not see")
    people = sum(1 for agent in agents if agent.runner.kind is RunnerKind.NONE)
    if people:
        said.append(f"{people} agents are started by a person and are not counted")
    whole = claude and len(known) == len(claude) and not other
    return (sum(known) if whole else None), said


def _slot_findings(blueprint: Blueprint, slots: Slots) -> Iterator[Finding]:
    if slots.gates > slots.cores:
        yield Finding(
            Severity.WARNING,
            Code.SLOTS_EXCEED_CORES,
            f"{slots.gates} candidates under test at once on {slots.cores} cores: each takes longer than alone, and "
            "tests that mind the time fail",
            f"set limits.gates to {slots.cores} or less",
            place(blueprint, "limits", "gates"),
        )
    if slots.client_bytes > TIGHT_SHARE * slots.memory_bytes:
        fitting = max(1, int(TIGHT_SHARE * slots.memory_bytes / CLIENT_BYTES))
        yield Finding(
            Severity.WARNING,
            Code.AGENTS_EXCEED_MEMORY,
            f"{slots.agents} sessions at once: the clients alone take about {size(slots.client_bytes)} of the "
            f"{size(slots.memory_bytes)} of memory here",
            f"set limits.agents to {fitting} or less",
            place(blueprint, "limits", "agents"),
        )


def _disk_findings(blueprint: Blueprint, disk: Disk) -> Iterator[Finding]:
    needed = disk.needed_bytes
    if needed is None or needed <= TIGHT_SHARE * disk.free_bytes:
        return
    full = needed > disk.free_bytes
    yield Finding(
        Severity.ERROR if full else Severity.WARNING,
        Code.DISK_FULL if full else Code.DISK_TIGHT,
        f"{disk.worktrees} worktrees need {size(needed)} for their tracked files alone; "
        f"{size(disk.free_bytes)} are free",
        "put worktrees.root on a bigger disk, make space, or spawn fewer agents at a time (--agents)",
        place(blueprint, "worktrees", "root"),
    )
