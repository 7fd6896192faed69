"""What the planner is told, and what it answers: facts and actions, as values. Pure.

A *state* is a tuple of agents: the target as it is now with their branches on it, in that order. Invariant: facts speak
of states on the target as it is now; when something lands, whoever keeps them drops its agents from the front.
Refuses: to decide anything; ``queue`` does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

from orchestra.blueprint.model import AgentName, Guarantee, Train

State = tuple[AgentName, ...]
BROKEN_TRIES = 3  # runs that end without a verdict before a state is given up


class Built(StrEnum):
    """How building a state went; it speaks of the last agent in it."""

    CLEAN = "clean"  # there is a candidate, and its audit found nothing
    CONFLICT = "conflict"  # text conflict with what is before it
    EMPTY = "empty"  # it changes nothing


@dataclass(frozen=True, slots=True)
class Record:
    """What is known of a state's gates. ``reds`` is a verdict once it reaches ``needed`` (1 and the gate's retries)."""

    green: bool = False
    reds: int = 0
    broken: int = 0
    running: bool = False
    needed: int = 1

    @property
    def failing(self) -> bool:
        """Red so far, or unable to run: not worth building on."""
        return not self.green and (self.reds > 0 or self.broken >= BROKEN_TRIES)

    @property
    def red(self) -> bool:
        """Red for good."""
        return not self.green and self.reds >= self.needed

    @property
    def stuck(self) -> bool:
        """It could not be tested at all."""
        return not self.green and self.broken >= BROKEN_TRIES


_UNTESTED = Record()


@dataclass(frozen=True, slots=True)
class Facts:
    """All that a decision rests on.

    ``order``: the undecided agents, predecessors first. ``after``: who must land before each. ``out``: agents that
    will not land in this run, whatever happens. ``decided`` and ``rejected`` count what gates have judged so far.
    ``recall``: how tests came out may be known from before as soon as a state is built.
    """

    order: tuple[AgentName, ...]
    after: Mapping[AgentName, frozenset[AgentName]] = field(default_factory=lambda: MappingProxyType({}))
    out: frozenset[AgentName] = frozenset()
    built: Mapping[State, Built] = field(default_factory=lambda: MappingProxyType({}))
    tests: Mapping[State, Record] = field(default_factory=lambda: MappingProxyType({}))
    slots: int = 1
    policy: Train = Train.SERIAL
    guarantee: Guarantee = Guarantee.TIP_GREEN
    decided: int = 0
    rejected: int = 0
    recall: bool = False

    def test(self, state: State) -> Record:
        return self.tests.get(state, _UNTESTED)

    def may_land(self, state: State) -> bool:
        """There is a candidate, and its gates passed."""
        return self.test(state).green and self.built.get(state) is Built.CLEAN

    def before(self, agent: AgentName) -> frozenset[AgentName]:
        return self.after.get(agent, frozenset())


class Why(StrEnum):
    """Why an agent is evicted."""

    CONFLICT = "conflict"
    EMPTY = "empty"
    GATE = "gate"


class HeldBy(StrEnum):
    """Why an agent has to wait for another run."""

    RED_TARGET = "red-target"  # the target without it is red, so nobody can be blamed
    STUCK = "stuck"  # its gates could not be run to an end, those of the target could
    STUCK_TARGET = "stuck-target"  # nothing can be tested here


@dataclass(frozen=True, slots=True)
class Build:
    state: State


@dataclass(frozen=True, slots=True)
class Run:
    state: State


@dataclass(frozen=True, slots=True)
class Cancel:
    state: State


@dataclass(frozen=True, slots=True)
class Land:
    state: State


@dataclass(frozen=True, slots=True)
class Evict:
    agent: AgentName
    why: Why


@dataclass(frozen=True, slots=True)
class Block:
    agent: AgentName
    by: AgentName


@dataclass(frozen=True, slots=True)
class Hold:
    agent: AgentName
    by: HeldBy


Action = Build | Run | Cancel | Land | Evict | Block | Hold
