"""Give every agent its place: branch, worktree, instruction files, set-up.

``plan_spawn`` looks and returns steps, problems and notes; ``spawn`` takes the lock, plans again and executes exactly
those steps, so that a second run has nothing to do and a run after a kill does what is left.

Invariant: nothing is made while anything refuses; the base is pinned once for the whole fleet; what spawn did not
make is left as it is and named. Refuses (``SpawnRefused``) with every problem at once.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from orchestra.blueprint.model import Agent, AgentName
from orchestra.engine.job import Engine
from orchestra.errors import ExitCode, GroundError
from orchestra.fleet import Fleet, last_blueprint, spawned_target
from orchestra.git import worktree_admin, worktree_removal
from orchestra.git.lock import exclusive
from orchestra.git.refs import CommitId, Kind, agent_ref
from orchestra.git.unsaved_work import next_saved
from orchestra.plan.requirements import blueprint_errors
from orchestra.workspace import git_excludes, steps
from orchestra.workspace.apply_spawn import Execution, Progress, disk_errors, record
from orchestra.workspace.instruction_files import Verdict, compare
from orchestra.workspace.paths import ASIDE, InstructionNames, instruction_names
from orchestra.workspace.provision import Readiness, Ready, readiness
from orchestra.workspace.render import render_files
from orchestra.workspace.spawn_checks import Ground, find_problems, real, starting_points, survey
from orchestra.workspace.steps import Step
from orchestra.workspace.submodules import has_submodules
from orchestra.workspace.untracked_files import Belongings, find_belongings


class SpawnRefused(GroundError):  # noqa: N818 - says what it is
    """Nothing was made. ``problems`` is never empty; ``declared`` of them are in the blueprint, not on the ground."""

    def __init__(self, problems: Sequence[str], declared: Sequence[str] = ()) -> None:
        self.problems = tuple(problems)
        if set(self.problems) <= set(declared):
            self.exit_code = ExitCode.WRONG_INPUT
        super().__init__("\n".join(self.problems))


class WorktreeOrigin(StrEnum):
    MADE = "made"  # its worktree was made by this run
    EXISTING = "there"  # it had its worktree
    SETTLED = "settled"  # its work landed or was discarded: it gets none


@dataclass(frozen=True, slots=True)
class AgentPlace:
    """What became of one agent."""

    agent: AgentName
    branch: str
    path: Path
    origin: WorktreeOrigin
    readiness: Readiness


@dataclass(frozen=True, slots=True)
class SpawnPlan:
    """``base`` is None only where there are problems; ``made`` are the agents that get a worktree."""

    base: CommitId | None
    steps: tuple[Step, ...]
    problems: tuple[str, ...]
    notes: tuple[str, ...]
    new_agents: tuple[AgentName, ...]
    settled: tuple[AgentName, ...]  # landed or discarded: they get no worktree
    blueprint_errors: tuple[str, ...] = ()  # those of the problems that are in the blueprint


@dataclass(frozen=True, slots=True)
class SpawnReport:
    """``steps`` are those that were executed, in order; ``places`` reports a set-up that failed."""

    base: CommitId
    steps: tuple[Step, ...]
    places: tuple[AgentPlace, ...]
    notes: tuple[str, ...]

    @property
    def not_ready(self) -> tuple[AgentPlace, ...]:
        return tuple(place for place in self.places if place.readiness.state is Ready.NOT_READY)


def _silent(_: Progress) -> None:
    return None


def spawn(
    fleet: Fleet,
    *,
    engine: Engine,
    agents: Collection[AgentName] | None = None,
    progress: Callable[[Progress], None] = _silent,
) -> SpawnReport:
    """Make what is missing. Raises SpawnRefused, LockHeld, DiskFull; run again, it goes on where it was.

    ``agents`` None means all. A set-up command that fails raises nothing: it is in the report, and the next spawn
    tries it again.
    """
    with disk_errors(fleet), exclusive(fleet.repository.state_folder, "spawn"):
        for agent in fleet.blueprint.agents:  # a clean that was killed may have put a worktree out of sight
            with contextlib.suppress(GroundError):  # the checks below say what is in the way
                worktree_removal.settle(fleet.repository, real(fleet.worktree(agent)))
        plan = plan_spawn(fleet, agents=agents)
        if plan.problems or plan.base is None:
            raise SpawnRefused(plan.problems, plan.blueprint_errors)
        execution = Execution(fleet, engine, progress)
        try:
            execution.run(plan.steps)
        finally:
            record(fleet, "spawn", execution.completed)
        shown = _shown(fleet, plan)
    return SpawnReport(
        plan.base, tuple(execution.completed), _places(fleet, agents, plan), (*plan.notes, *execution.notes, *shown)
    )


def plan_spawn(fleet: Fleet, *, agents: Collection[AgentName] | None = None) -> SpawnPlan:
    """Plan what ``spawn`` would do now, with the same checks. Changes nothing."""
    ground = survey(fleet)
    chosen = [agent for agent in fleet.blueprint.agents if agents is None or agent.name in agents]
    living = [agent for agent in chosen if not _is_settled(ground, agent)]
    notes = [f"{agent.name} {_fate(ground, agent)}: it gets no worktree" for agent in chosen if agent not in living]
    settled = tuple(agent.name for agent in chosen if agent not in living)
    names = _names(ground)
    creates_worktrees = not all(ground.is_there(agent) for agent in living)
    declared = blueprint_errors(fleet, ground.base, creates_worktrees=creates_worktrees)
    problems = (*declared, *find_problems(ground, living, names))
    if problems or ground.base is None:
        return SpawnPlan(ground.base, (), problems, tuple(notes), (), settled, declared)
    planner = _Planner(ground, living, names, find_belongings(fleet))
    planned = tuple(planner.steps())
    new_agents = tuple(step.agent for step in planned if isinstance(step, steps.AddWorktree))
    return SpawnPlan(ground.base, planned, (), (*notes, *planner.notes), new_agents, settled)


def _is_settled(ground: Ground, agent: Agent) -> bool:
    refs = ground.of(agent)
    return refs.landed is not None or refs.discarded is not None


def _fate(ground: Ground, agent: Agent) -> str:
    return "has landed" if ground.of(agent).landed else "was discarded"


def _names(ground: Ground) -> InstructionNames:
    if ground.base is None:
        return InstructionNames("CLAUDE.md")
    return instruction_names(ground.fleet.repository, ground.fleet.blueprint, ground.base)


class _Planner:
    """The steps that are missing, in the order in which they are taken."""

    def __init__(
        self, ground: Ground, agents: Sequence[Agent], names: InstructionNames, belongings: Belongings | None
    ) -> None:
        self._ground = ground
        self._fleet = ground.fleet
        self._agents = agents
        self._new = [agent for agent in agents if not ground.is_there(agent)]
        self._names = names
        self._belongings = belongings
        self._has_submodules = ground.base is not None and has_submodules(self._fleet.repository.git, ground.base)
        self._points = starting_points(ground, agents)
        self.notes: list[str] = []

    def steps(self) -> Iterator[Step]:
        if not self._agents:
            return
        yield from self._remember()
        yield from self._refs()
        yield from self._worktrees()
        for agent in self._agents:
            yield from self._files(agent)
        for agent in self._agents:
            yield from self._set_up(agent)
        if self._new and self._belongings is not None:
            self.notes += [f"setup: nothing untracked is called {name}" for name in self._belongings.missing]

    def _remember(self) -> Iterator[Step]:
        fleet = self._fleet
        recorded = last_blueprint(fleet.repository), spawned_target(fleet.repository, fleet.name)
        if recorded != (str(fleet.blueprint.source), fleet.target):
            yield steps.Remember(fleet.blueprint.source)

    def _refs(self) -> Iterator[Step]:
        base = self._ground.base
        for agent in self._agents:
            if not self._ground.is_ours(agent) and base is not None:
                yield steps.PinBase(agent.name, agent_ref(self._fleet.name, agent.name, Kind.BASE), base)
        for agent in self._agents:
            if agent.branch not in self._ground.branches:
                yield steps.CreateBranch(agent.name, agent.branch, self._points[agent.name])

    def _worktrees(self) -> Iterator[Step]:
        text = git_excludes.excludes_text(self._fleet, self._hidden())
        existing = [agent for agent in self._agents if agent not in self._new]
        if self._new or not git_excludes.is_hidden(self._fleet, text, self._git_names(existing)):
            yield steps.HideFiles(self._fleet.folder / "excludes", text)
        if self._new and not self._fleet.worktrees_root.is_dir():
            yield steps.MakeRoot(self._fleet.worktrees_root)
        for agent in self._new:
            path = self._fleet.worktree(agent)
            if self._ground.worktree(agent) is not None:
                ref = next_saved(self._fleet.repository.git, self._fleet.name, agent.name)
                yield steps.KeepStaged(agent.name, path, ref, self._fleet.name)
                self.notes.append(f"{agent.name}: {path} was deleted; it is created again from the branch")
            yield steps.AddWorktree(agent.name, path, agent.branch, self._points[agent.name])

    def _git_names(self, agents: Sequence[Agent]) -> list[str]:
        admins = worktree_admin.admins(self._fleet.repository)
        return [admins[place].name for agent in agents if (place := real(self._fleet.worktree(agent))) in admins]

    def _hidden(self) -> set[str]:
        visible = self._belongings.visible if self._belongings else ()
        return {*self._names.all, *visible, ASIDE}

    def _files(self, agent: Agent) -> Iterator[Step]:
        worktree = self._fleet.worktree(agent)
        for name, text in render_files(self._fleet, agent, self._names).items():
            verdict = Verdict.WRITE if agent in self._new else compare(self._fleet, agent, name, text)
            if verdict is Verdict.WRITE:
                yield steps.WriteFile(agent.name, worktree, name, text)
            elif verdict is Verdict.KEEP:
                self.notes.append(f"{agent.name}: {name} was edited or replaced, so it is kept as it is")
        if agent in self._new and self._belongings is not None:
            for name in self._belongings.files:
                yield steps.CopyFile(agent.name, self._belongings.source / name, worktree, name)

    def _set_up(self, agent: Agent) -> Iterator[Step]:
        """Yield the missing set-up of a new worktree, or of one whose set-up failed or was interrupted."""
        state = readiness(self._fleet.repository, self._fleet.name, agent.name).state
        if agent not in self._new and state is not Ready.NOT_READY:
            return
        worktree, setup = self._fleet.worktree(agent), self._fleet.blueprint.worktrees.setup
        base = self._ground.of(agent).base or self._ground.base
        if base is not None and self._has_submodules:
            yield steps.FillSubmodules(agent.name, worktree, base)
        if self._belongings is not None:
            for name in self._belongings.folders:
                if not os.path.lexists(worktree / name):
                    yield steps.ShareFolder(agent.name, self._belongings.source / name, worktree, name)
        for command in setup.run:
            yield steps.RunCommand(agent.name, worktree, command, setup.timeout_s)
        yield steps.MarkReady(agent.name)


def _shown(fleet: Fleet, plan: SpawnPlan) -> tuple[str, ...]:
    """Note that a .gitignore of the repository makes git show the rendered files; one worktree stands for all."""
    if not plan.new_agents:
        return ()
    agent = fleet.require_agent(plan.new_agents[0])
    written = [step.name for step in plan.steps if isinstance(step, steps.WriteFile) and step.agent == agent.name]
    names = git_excludes.shown(fleet.worktree(agent), written)
    if not names:
        return ()
    return (f"a .gitignore of this repository makes git status show {', '.join(names)}; they will not land",)


def _places(fleet: Fleet, agents: Collection[AgentName] | None, plan: SpawnPlan) -> tuple[AgentPlace, ...]:
    places = []
    for agent in fleet.blueprint.agents:
        if agents is None or agent.name in agents:
            origin = WorktreeOrigin.MADE if agent.name in plan.new_agents else WorktreeOrigin.EXISTING
            if agent.name in plan.settled:
                origin = WorktreeOrigin.SETTLED
            ready = readiness(fleet.repository, fleet.name, agent.name)
            places.append(AgentPlace(agent.name, agent.branch, fleet.worktree(agent), origin, ready))
    return tuple(places)


__all__ = [
    "AgentPlace",
    "Progress",
    "SpawnPlan",
    "SpawnRefused",
    "SpawnReport",
    "WorktreeOrigin",
    "plan_spawn",
    "spawn",
]
