"""Estimate the resources of a fleet on this machine: slots, disk, cost.

Every figure has a source: bytes are tracked bytes, dollars are declared budgets, and what is not counted is listed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from orchestra.blueprint.model import PROGRAMS, Agent, Blueprint, RunnerKind, RunnerMode
from orchestra.plan.finding import Code, Finding, Severity, place
from orchestra.text import format_count


@dataclass(frozen=True, slots=True)
class Machine:
    """``free_bytes`` and ``block_bytes`` are of the file system where the worktrees will be."""

    cores: int  # that this process may run on
    memory_bytes: int  # of the whole machine
    free_bytes: int  # without the part reserved for root
    block_bytes: int
    shell: str = "dash"  # the program that sh is
    missing: frozenset[str] = frozenset()  # requested commands that are not on PATH


CLIENT_BYTES = 200_000_000
"""Resident memory of one Claude Code client, as measured on version 2.1: about 200 MB, 113 MB of it private."""
TIGHT_SHARE = 0.8
"""Worktrees that need more of the free space than this leave too little for set-up and builds."""


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
    """``worktrees`` still to make (agents' and gate slots'); ``bytes_per_worktree`` of tracked files, in whole blocks.

    ``bytes_per_worktree`` None: a partial clone does not know the sizes of files it never fetched.
    """

    worktrees: int
    bytes_per_worktree: int | None
    free_bytes: int

    @property
    def needed_bytes(self) -> int | None:
        return None if self.bytes_per_worktree is None else self.worktrees * self.bytes_per_worktree

    @property
    def is_full(self) -> bool:
        """Whether the tracked files alone do not fit."""
        return self.needed_bytes is not None and self.needed_bytes > self.free_bytes

    @property
    def is_tight(self) -> bool:
        """Whether too little remains for set-up and builds."""
        return self.needed_bytes is not None and self.needed_bytes > TIGHT_SHARE * self.free_bytes

    def format_need(self, place: object) -> str:
        """Return what is needed and what is free in a folder, as a clause."""
        count = format_count(self.worktrees, "worktree")
        if self.needed_bytes is None:
            return f"{count} in {place}, of a size that this partial clone does not know"
        need = "need" if self.worktrees != 1 else "needs"
        return f"{count} {need} about {size(self.needed_bytes)} in {place}, where {size(self.free_bytes)} are free"


@dataclass(frozen=True, slots=True)
class Cost:
    """US dollars for one run of every agent: at most ``high``; None where nothing declared bounds it.

    The lower bound is zero: the real cost is known only afterwards.
    """

    high: float | None
    assumptions: tuple[str, ...]
    low: float = 0.0


def slots(blueprint: Blueprint, machine: Machine) -> Slots:
    """Return the most that runs at once, and what the machine has."""
    agents = min(blueprint.limits.agents, len(blueprint.agents))
    claude = min(agents, sum(1 for agent in blueprint.agents if agent.runner.kind is RunnerKind.CLAUDE))
    return Slots(agents, blueprint.limits.gates, machine.cores, claude * CLIENT_BYTES, machine.memory_bytes)


def cost(blueprint: Blueprint) -> Cost:
    """Return the bound that the declared budgets give. Only headless sessions of the Claude client keep to a budget."""
    able = [agent for agent in blueprint.agents if _keeps_to_a_budget(agent)]
    budgets = [budget for agent in able if (budget := agent.runner.max_budget_usd) is not None]
    agents_bound = sum(budgets) if budgets and len(budgets) == len(able) else None
    assumptions: list[str] = []
    if budgets:
        total = dollars(sum(budgets))
        assumptions.append(f"max_budget_usd of {_many(budgets)}: {total} together, over all their sessions")
    if len(budgets) < len(able):
        assumptions.append(f"{_many(able[len(budgets) :])} without max_budget_usd")
    fleet = blueprint.limits.budget_usd
    if fleet is not None:
        assumptions.append(f"limits.budget_usd: {dollars(fleet)} for the fleet")
    bounds = [bound for bound in (agents_bound, fleet) if bound is not None]
    if bounds:
        assumptions.append("a session may exceed its limit by one request: the client counts the cost after the answer")
    unbounded = _unbounded_agents(blueprint.agents)
    people = [agent for agent in blueprint.agents if agent.runner.kind is RunnerKind.NONE]
    assumptions += [f"{_many(agents)} {why}" for why, agents in unbounded.items()]
    assumptions += [f"{_many(people)} started by a person, not counted"] if people else []
    return Cost(None if unbounded or not bounds else min(bounds), tuple(assumptions))


def capacity_findings(blueprint: Blueprint, slots: Slots, disk: Disk, cost: Cost) -> Iterator[Finding]:
    """Find what does not fit this machine."""
    if slots.gates > slots.cores:
        yield Finding(
            Severity.WARNING,
            Code.SLOTS_EXCEED_CORES,
            f"{slots.gates} candidates under test at once on {slots.cores} cores: each runs slower, and "
            "time-sensitive tests may fail",
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
    if disk.needed_bytes is not None and disk.is_tight:
        yield Finding(
            Severity.ERROR if disk.is_full else Severity.WARNING,
            Code.DISK_FULL if disk.is_full else Code.DISK_TIGHT,
            f"{disk.worktrees} worktrees need {size(disk.needed_bytes)} for their tracked files alone; "
            f"{size(disk.free_bytes)} are free",
            "put worktrees.root on a bigger disk, free space, or spawn fewer agents at a time "
            "(`orchestra spawn AGENT...`)",
            place(blueprint, "worktrees", "root"),
        )
    if cost.high is None and any(agent.runner.kind is not RunnerKind.NONE for agent in blueprint.agents):
        unbounded = [agent for agents in _unbounded_agents(blueprint.agents).values() for agent in agents]
        message = "no budget is declared for this fleet"
        advice = "set runner.max_budget_usd (each agent) or limits.budget_usd (the fleet)"
        if unbounded:
            message = f"no budget limits the cost of {', '.join(agent.name for agent in unbounded)}"
            advice = "only `kind: claude` with `mode: headless` enforces a budget; limit the others yourself"
        names = tuple(agent.name for agent in unbounded)
        yield Finding(Severity.NOTE, Code.COST_UNBOUNDED, message, advice, place(blueprint, "runner"), names)


def dollars(amount: float) -> str:
    """Return ``$12`` or ``$12.50``."""
    return f"${amount:,.0f}" if amount == int(amount) else f"${amount:,.2f}"


def size(count: float) -> str:
    """Format bytes: ``812 B``, ``8.4 MB``; powers of 1,000."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:  # noqa: PLR2004
            return f"{count:.0f} {unit}" if unit == "B" or count >= 100 else f"{count:.1f} {unit}"  # noqa: PLR2004
        count /= 1000
    return f"{count:.1f} TB"


def _keeps_to_a_budget(agent: Agent) -> bool:
    return agent.runner.kind is RunnerKind.CLAUDE and agent.runner.mode is RunnerMode.HEADLESS


def _unbounded_agents(agents: Collection[Agent]) -> dict[str, list[Agent]]:
    """Return the agents whose cost orchestra can neither see nor limit, by reason."""
    unbounded: dict[str, list[Agent]] = {}
    for agent in agents:
        if agent.runner.kind is RunnerKind.COMMAND:
            unbounded.setdefault("with their own command, whose cost orchestra cannot see", []).append(agent)
        elif agent.runner.kind in PROGRAMS:
            unbounded.setdefault(f"of {agent.runner.kind}, which does not enforce a budget", []).append(agent)
        elif agent.runner.kind is RunnerKind.CLAUDE and not _keeps_to_a_budget(agent):
            unbounded.setdefault("in tmux, where the client does not enforce a budget", []).append(agent)
    return unbounded


def _many(agents: Collection[object]) -> str:
    return format_count(len(agents), "agent")
