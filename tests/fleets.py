"""Fleets for tests: a real repository, a blueprint made of values, branches and worktrees cut by plain git."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

from orchestra.blueprint.model import (
    Agent,
    AgentName,
    Blueprint,
    FleetName,
    Limits,
    Merge,
    Overlap,
    Runner,
    RunnerKind,
    Slots,
    Verdicts,
    Worktrees,
)
from orchestra.fleet import Fleet, make_fleet
from orchestra.git.refs import Kind, agent_ref
from orchestra.git.repository import Repository
from tests.conftest import Checkout


def make_agent(name: str, number: int = 1, *, fleet: str = "demo") -> Agent:
    """An agent that may touch anything, with the default branch and directory."""
    return Agent(
        name=AgentName(name),
        number=number,
        title=name.title(),
        stage=None,
        task=f"Do what {name} does.\n",
        done_when=(),
        scope=None,
        may_edit=(),
        merge_after=(),
        branch=f"agent/{fleet}/{name}",
        directory=f"agent-{number}",
        runner=Runner(kind=RunnerKind.NONE),
    )


def make_blueprint(*names: str, root: str = "../worktrees", fleet: str = "demo") -> Blueprint:
    """A blueprint without stages, gates, or order beyond the declared one."""
    agents = tuple(make_agent(name, number, fleet=fleet) for number, name in enumerate(names, 1))
    return Blueprint(
        version=1,
        name=FleetName(fleet),
        title=fleet,
        description="",
        target="main",
        remote=None,
        worktrees=Worktrees(root=root),
        standards=MappingProxyType({}),
        never=(),
        templates=MappingProxyType({}),
        protected=(),
        requires=(),
        starter=None,
        stages=(),
        overlap=Overlap.WARN,
        gates=MappingProxyType({}),
        runner=Runner(kind=RunnerKind.NONE),
        limits=Limits(),
        slots=Slots(),
        merge=Merge(),
        verdicts=Verdicts(),
        agents=agents,
        merge_order=tuple(agent.name for agent in agents),
        predecessors=MappingProxyType({agent.name: frozenset[AgentName]() for agent in agents}),
        source=Path("/nowhere/demo.yaml"),
        origins=MappingProxyType({}),
    )


@dataclass(frozen=True)
class World:
    """A fleet whose agents have worktrees made by plain git, without orchestra's own spawn."""

    checkout: Checkout
    fleet: Fleet

    def at(self, name: str) -> Checkout:
        """The worktree of an agent."""
        return Checkout(self.fleet.worktree(self.fleet.require_agent(name)))

    def refs(self) -> dict[str, str]:
        """Every ref of orchestra's, without its prefix -> the object it names."""
        listed = self.checkout.git("for-each-ref", "--format=%(refname) %(objectname)", "refs/orchestra/")
        pairs = (line.split(" ") for line in listed.splitlines())
        return {name.removeprefix("refs/orchestra/"): value for name, value in pairs}


def make_world(checkout: Checkout, *names: str) -> World:
    """Cut a branch and a worktree for every name, as spawn would leave them but for the rendered files."""
    fleet = make_fleet(Repository.discover(checkout.path), make_blueprint(*names))
    base = checkout.git("rev-parse", "HEAD")
    for agent in fleet.blueprint.agents:
        checkout.git("worktree", "add", "-q", "-b", agent.branch, str(fleet.worktree(agent)), base)
        checkout.git("update-ref", agent_ref(fleet.name, agent.name, Kind.BASE), base)
    return World(checkout, fleet)


__all__ = ["World", "make_agent", "make_blueprint", "make_world", "replace"]
