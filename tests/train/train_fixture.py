"""A fleet ready to land: a real repository, branches and worktrees by plain git, gates that are shell commands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

from orchestra.blueprint.model import (
    AgentName,
    Builtin,
    BuiltinGate,
    ConflictRule,
    Gate,
    Guarantee,
    Limits,
    Merge,
    Policy,
    Review,
    RunGate,
    Scope,
    Setup,
    Strategy,
    Train,
)
from orchestra.fleet import Fleet
from orchestra.git.refs import CommitId
from orchestra.review.approval import approve
from orchestra.train.merge import merge, rehearse
from orchestra.train.train_report import MergeReport
from tests.conftest import Checkout, Content
from tests.fleets import World, make_world

NOTES = """# Notes

## What I Built
A thing that works.

## Key Decisions
None that matter.

## Files Changed
Those in the diff.

## Dependencies Added
None.

## Open Questions
None.
"""
# Red when any file says so; two files can be red together.
TESTS = "! grep -rqs RED --include=*.txt . && { [ ! -e left.txt ] || [ ! -e right.txt ] || grep -qs PEACE left.txt; }"


@dataclass
class TrainFixture:
    """A world with knobs. Every change of the blueprint makes a new fleet; the repository stays."""

    world: World

    @property
    def checkout(self) -> Checkout:
        return self.world.checkout

    @property
    def fleet(self) -> Fleet:
        return self.world.fleet

    def blueprint(self, **changed: object) -> TrainFixture:
        blueprint = replace(self.fleet.blueprint, **changed)  # type: ignore[arg-type]
        self.world = World(self.checkout, replace(self.fleet, blueprint=blueprint))
        return self

    def gates(self, *gates: Gate) -> TrainFixture:
        return self.blueprint(gates=MappingProxyType({gate.name: gate for gate in gates}))

    def merge_settings(self, **changed: object) -> TrainFixture:
        return self.blueprint(merge=replace(self.fleet.blueprint.merge, **changed))  # type: ignore[arg-type]

    def setup(self, **changed: object) -> TrainFixture:
        places = self.fleet.blueprint.worktrees
        setup = replace(places.setup, **changed)  # type: ignore[arg-type]
        return self.blueprint(worktrees=replace(places, setup=setup))

    def after(self, **before: tuple[str, ...]) -> TrainFixture:
        """``after(tests=("api",))``: tests lands after api."""
        found = dict(self.fleet.blueprint.predecessors)
        for name, names in before.items():
            found[AgentName(name)] = frozenset(AgentName(one) for one in names)
        return self.blueprint(predecessors=MappingProxyType(found))

    def agent(self, name: str, **changed: object) -> TrainFixture:
        agents = tuple(
            replace(agent, **changed) if agent.name == name else agent  # type: ignore[arg-type]
            for agent in self.fleet.blueprint.agents
        )
        return self.blueprint(agents=agents)

    def commit(self, name: str, files: Mapping[str, Content | None], message: str | None = None) -> CommitId:
        """A commit in an agent's worktree."""
        return CommitId(self.world.at(name).commit(message or f"{name} works", files))

    def notes(self, name: str, text: str = NOTES) -> None:
        """Filled in, and hidden from git as spawn hides it."""
        exclude = self.checkout.path / ".git/info/exclude"
        exclude.parent.mkdir(exist_ok=True)
        exclude.write_text("AGENT_NOTES.md\n", "utf-8")
        self.world.at(name).write({"AGENT_NOTES.md": text})

    def approve(self, *names: str) -> None:
        for name in names:
            approve(self.fleet, self.fleet.require_agent(name))

    def approved(self, **files: Mapping[str, Content | None]) -> TrainFixture:
        """One commit for each agent, approved."""
        for name, content in files.items():
            self.commit(name, content)
            self.approve(name)
        return self

    def tip(self, name: str = "main") -> CommitId:
        return CommitId(self.checkout.git("rev-parse", name))

    def merge(self, **asked: object) -> MergeReport:
        return merge(self.fleet, **asked)  # type: ignore[arg-type]

    def rehearse(self, **asked: object) -> MergeReport:
        return rehearse(self.fleet, **asked)  # type: ignore[arg-type]


def make_train(checkout: Checkout, *names: str) -> TrainFixture:
    """Agents with the ``tests`` gate, serial, approvals required."""
    train = TrainFixture(make_world(checkout, *names))
    train.gates(RunGate("tests", TESTS, timeout_s=60.0))
    return train.blueprint(merge=Merge(train=Train.SERIAL), limits=Limits(gates=2))


def landed(report: MergeReport) -> list[str]:
    return [item.agent for item in report.landed]


def reasons(report: MergeReport) -> dict[str, str]:
    """Agent -> why it did not land: an eviction's reason, or the list it is in."""
    found = {item.agent: item.reason.value for item in report.evicted}
    found |= {item.agent: f"blocked by {item.by}" for item in report.blocked}
    return {str(k): v for k, v in {**found, **{item.agent: item.reason for item in report.waiting}}.items()}


__all__ = [
    "NOTES",
    "Builtin",
    "BuiltinGate",
    "ConflictRule",
    "Guarantee",
    "Path",
    "Policy",
    "Review",
    "RunGate",
    "Scope",
    "Setup",
    "Strategy",
    "Train",
    "TrainFixture",
    "landed",
    "make_train",
    "reasons",
]
