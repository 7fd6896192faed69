"""The input and output of the planner: facts and actions, as values. Pure.

A merge group is a tuple of agents: the target as it is now with their branches on it, in that order. Facts are about
groups on the target as it is now; when something lands, their owner drops its agents from the front.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

from orchestra.blueprint.model import AgentName, Guarantee, Train

MergeGroup = tuple[AgentName, ...]
BROKEN_TRIES = 3  # runs that end without a verdict before a group is given up


class BuildOutcome(StrEnum):
    """How building a group went; it is about the last agent in it."""

    CLEAN = "clean"  # there is a candidate, and its audit found nothing
    CONFLICT = "conflict"  # text conflict with what is before it
    EMPTY = "empty"  # it changes nothing


@dataclass(frozen=True, slots=True)
class TestRecord:
    """What is known of a group's gates. ``reds`` is a verdict once it reaches ``needed`` (1 and the gate's retries)."""

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
        """Red as often as its gate allows."""
        return not self.green and self.reds >= self.needed

    @property
    def stuck(self) -> bool:
        """It could not be tested at all."""
        return not self.green and self.broken >= BROKEN_TRIES


_UNTESTED = TestRecord()


@dataclass(frozen=True, slots=True)
class Facts:
    """All that a decision depends on.

    ``order``: the undecided agents, predecessors first. ``after``: who must land before each. ``out``: agents that
    will not land in this run, whatever happens. ``decided`` and ``rejected`` count what gates have judged so far.
    ``recall``: results of tests may be known from before as soon as a group is built.
    """

    order: tuple[AgentName, ...]
    after: Mapping[AgentName, frozenset[AgentName]] = field(default_factory=lambda: MappingProxyType({}))
    out: frozenset[AgentName] = frozenset()
    built: Mapping[MergeGroup, BuildOutcome] = field(default_factory=lambda: MappingProxyType({}))
    tests: Mapping[MergeGroup, TestRecord] = field(default_factory=lambda: MappingProxyType({}))
    slots: int = 1
    policy: Train = Train.SERIAL
    guarantee: Guarantee = Guarantee.TIP_GREEN
    decided: int = 0
    rejected: int = 0
    recall: bool = False

    def test(self, group: MergeGroup) -> TestRecord:
        return self.tests.get(group, _UNTESTED)

    def may_land(self, group: MergeGroup) -> bool:
        """Return whether there is a candidate whose gates passed."""
        return self.test(group).green and self.built.get(group) is BuildOutcome.CLEAN

    def before(self, agent: AgentName) -> frozenset[AgentName]:
        return self.after.get(agent, frozenset())


class EvictionCause(StrEnum):
    """Why an agent is evicted."""

    CONFLICT = "conflict"
    EMPTY = "empty"
    GATE = "gate"


class HoldReason(StrEnum):
    """Why an agent has to wait for another run."""

    RED_TARGET = "red-target"  # the target without it is red, so no agent can be blamed
    STUCK = "stuck"  # its gates could not be run to an end, those of the target could
    STUCK_TARGET = "stuck-target"  # nothing can be tested here


@dataclass(frozen=True, slots=True)
class Build:
    group: MergeGroup


@dataclass(frozen=True, slots=True)
class Run:
    group: MergeGroup


@dataclass(frozen=True, slots=True)
class Cancel:
    group: MergeGroup


@dataclass(frozen=True, slots=True)
class Land:
    group: MergeGroup


@dataclass(frozen=True, slots=True)
class Evict:
    agent: AgentName
    why: EvictionCause


@dataclass(frozen=True, slots=True)
class Block:
    agent: AgentName
    by: AgentName


@dataclass(frozen=True, slots=True)
class Hold:
    agent: AgentName
    reason: HoldReason


Action = Build | Run | Cancel | Land | Evict | Block | Hold
