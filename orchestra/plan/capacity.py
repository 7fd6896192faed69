"""What the fleet will take: slots, disk, money. Each figure says what it rests on.

Invariant: pure, and no figure is invented: bytes are tracked bytes, dollars are declared budgets, and what is not
counted is said. Refuses: reading the machine or the repository.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from orchestra.blueprint.model import Agent, Blueprint, RunnerKind, RunnerMode
from orchestra.plan.finding import Code, Finding, Severity, place
from orchestra.plan.host import Machine

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
    """``worktrees`` still to make (agents' and gate slots'); ``bytes_per_worktree`` of tracked files, in whole blocks.

    ``bytes_per_worktree`` None: a partial clone does not know the sizes of files it never fetched.
    """

    worktrees: int
    bytes_per_worktree: int | None
    free_bytes: int

    @property
    def needed_bytes(self) -> int | None:
        return None if self.bytes_per_worktree is None else self.worktrees * self.bytes_per_worktree


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
    """The bound that the declared budgets give. Only headless sessions of the Claude client keep to a budget."""
    own, assumptions = _own_budgets(blueprint.agents)
    fleet = blueprint.limits.budget_usd
    if fleet is not None:
        assumptions.append(f"limits.budget_usd: {dollars(fleet)} for the fleet")
    bounds = [bound for bound in (own, fleet) if bound is not None]
    if bounds:
        assumptions.append("a session may pass its bound by its last request: the client counts when it is answered")
    unseen = _unseen(blueprint.agents)
    people = [agent for agent in blueprint.agents if agent.runner.kind is RunnerKind.NONE]
    assumptions += [f"{_many(agents)} {why}" for why, agents in unseen.items()]
    assumptions += [f"{_many(people)} started by a person, not counted"] if people else []
    return Cost(None if unseen or not bounds else min(bounds), tuple(assumptions))


def capacity_findings(blueprint: Blueprint, slots: Slots, disk: Disk, cost: Cost) -> Iterator[Finding]:
    """What does not fit."""
    yield from _slot_findings(blueprint, slots)
    yield from _disk_findings(blueprint, disk)
    if cost.high is None and any(agent.runner.kind is not RunnerKind.NONE for agent in blueprint.agents):
        yield _unbounded(blueprint)


def _unbounded(blueprint: Blueprint) -> Finding:
    unseen = [agent for agents in _unseen(blueprint.agents).values() for agent in agents]
    if unseen:
        what = f"no budget bounds the cost of {', '.join(agent.name for agent in unseen)}"
        advice = "only `kind: claude` with `mode: headless` keeps to a budget; watch the others, or bound them yourself"
    else:
        what = "nothing declared bounds the cost of this fleet"
        advice = "set runner.max_budget_usd (each agent) or limits.budget_usd (the fleet)"
    where = place(blueprint, "runner")
    return Finding(Severity.NOTE, Code.COST_UNBOUNDED, what, advice, where, tuple(agent.name for agent in unseen))


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


def _own_budgets(agents: Collection[Agent]) -> tuple[float | None, list[str]]:
    """The sum of the budgets of those who can keep to one, None where one of them has none; and what to say of it."""
    able = [agent for agent in agents if _keeps_to_a_budget(agent)]
    budgets = [budget for agent in able if (budget := agent.runner.max_budget_usd) is not None]
    said: list[str] = []
    if budgets:
        said.append(f"max_budget_usd of {_many(budgets)}: {dollars(sum(budgets))} together, over all their sessions")
    if len(budgets) < len(able):
        said.append(f"{_many(able[len(budgets) :])} without max_budget_usd")
    return (sum(budgets) if budgets and len(budgets) == len(able) else None), said


def _keeps_to_a_budget(agent: Agent) -> bool:
    return agent.runner.kind is RunnerKind.CLAUDE and agent.runner.mode is RunnerMode.HEADLESS


def _unseen(agents: Collection[Agent]) -> dict[str, list[Agent]]:
    """Agents whose cost orchestra can neither see nor stop, by the reason why."""
    found: dict[str, list[Agent]] = {}
    for agent in agents:
        if agent.runner.kind is RunnerKind.COMMAND:
            found.setdefault("with a command of your own, whose cost orchestra does not see", []).append(agent)
        elif agent.runner.kind is RunnerKind.CLAUDE and not _keeps_to_a_budget(agent):
            found.setdefault("in tmux, where the client keeps to no budget", []).append(agent)
    return found


def _many(agents: Collection[object]) -> str:
    return f"{len(agents)} agent" if len(agents) == 1 else f"{len(agents)} agents"


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
