"""What spawn would do for each agent, as values: a dry run prints the plan, a run executes exactly it.

Nothing is made while anything refuses; what spawn did not make is left as it is and named. A line of a plan is the
command that a person would type, where there is one.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from orchestra.blueprint.model import Agent, AgentName
from orchestra.errors import ExitCode, GroundError
from orchestra.fleet import Fleet, last_blueprint, spawned_target
from orchestra.git import worktree_admin
from orchestra.git.refs import CommitId, Kind, RefName, agent_ref
from orchestra.git.unsaved_work import next_saved
from orchestra.plan.requirements import blueprint_errors, remote_notes
from orchestra.text import format_list
from orchestra.workspace import git_excludes
from orchestra.workspace.adoption import former_agent_notes
from orchestra.workspace.instruction_files import Verdict, compare
from orchestra.workspace.paths import ASIDE, format_command
from orchestra.workspace.ports import format_ports, ports_to_record, with_ports
from orchestra.workspace.provision import Ready, readiness
from orchestra.workspace.render import render_files
from orchestra.workspace.renewal import Renewal, ground_after, plan_moves, plan_renewal
from orchestra.workspace.spawn_checks import Ground, find_problems, real, survey
from orchestra.workspace.untracked_files import Belongings, find_belongings

_SHORT = 12


class SpawnRefused(GroundError):  # noqa: N818 - says what it is
    """Nothing was made. ``problems`` is never empty; ``declared`` of them are in the blueprint, not on the machine."""

    def __init__(self, problems: Sequence[str], declared: Sequence[str] = ()) -> None:
        self.problems = tuple(problems)
        if set(self.problems) <= set(declared):
            self.exit_code = ExitCode.WRONG_INPUT
        super().__init__("\n".join(self.problems))


@dataclass(frozen=True, slots=True)
class AgentSpawn:
    """What is missing for one agent, in the order in which it is made.

    ``tip``: where its branch is, or will be created. ``lost_index``: the worktree's folder was deleted by hand; what
    was staged or committed there alone is saved as that ref. ``copied`` and ``shared`` come from ``source``.
    """

    agent: Agent
    worktree: Path
    tip: CommitId
    pinned_base: tuple[RefName, CommitId] | None = None
    creates_branch: bool = False
    ports: Mapping[str, int] = field(default_factory=dict)  # to be recorded as the agent's
    lost_index: RefName | None = None
    creates_worktree: bool = False
    files: Mapping[str, str] = field(default_factory=dict, repr=False)  # instruction files: name -> text
    source: Path = Path()
    copied: tuple[str, ...] = ()
    restored_work: CommitId | None = None  # uncommitted work that goes into the new worktree
    kept_in: Path = Path()  # where clean kept ``kept_files``, which go into it, too
    kept_files: tuple[str, ...] = ()
    submodules_of: CommitId | None = None  # their base: only URLs that it declares are contacted
    shared: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()
    sets_up: bool = False  # marked as ready at the end, unless a command fails

    @property
    def name(self) -> AgentName:
        return self.agent.name

    def lines(self) -> list[str]:
        """Return one line for each step, in order."""
        ready = [self.ready_line()] if self.sets_up else []
        return [
            *self.ref_lines(),
            *(
                [f"save what was staged in {self.worktree}, which is gone, as {self.lost_index}"]
                if self.lost_index
                else []
            ),
            *self.worktree_lines(),
            *self.submodule_lines(),
            *self.share_lines(),
            *map(self.command_line, self.commands),
            *ready,
        ]

    def ref_lines(self) -> Iterator[str]:
        if self.pinned_base:
            ref, commit = self.pinned_base
            yield format_command("git", "update-ref", ref, commit[:_SHORT])
        if self.creates_branch:
            yield format_command("git", "branch", "--no-track", self.agent.branch, self.tip[:_SHORT])
        if self.ports:
            yield f"give {self.name} the ports {format_ports(self.ports)}"

    def worktree_lines(self) -> Iterator[str]:
        if self.creates_worktree:
            yield format_command("git", "worktree", "add", "--lock", self.worktree, self.agent.branch)
        for name, text in self.files.items():
            yield f"write {self.worktree / name} ({len(text.encode())} bytes)"
        for name in self.copied:
            yield format_command("cp", "-p", self.source / name, self.worktree / name)
        if self.restored_work:
            yield f"restore the uncommitted work {self.restored_work[:_SHORT]} in {self.worktree}"
        for name in self.kept_files:
            yield format_command("cp", "-p", self.kept_in / name, self.worktree / name)

    def submodule_lines(self) -> Iterator[str]:
        if self.submodules_of:
            yield format_command("git", "-C", self.worktree, "submodule", "update", "--init", "--recursive")

    def share_lines(self) -> Iterator[str]:
        for name in self.shared:
            yield format_command("cp", "-a", "--reflink=auto", self.source / name, self.worktree / name)

    def command_line(self, command: str) -> str:
        return f"(cd {shlex.quote(str(self.worktree))} && {command})"

    def ready_line(self) -> str:
        return f"mark {self.name} as ready"


@dataclass(frozen=True, slots=True)
class Restored:
    """What goes into the worktree of an agent that is restored: see ``AgentSpawn``."""

    tip: CommitId
    work: CommitId | None
    kept_in: Path
    kept_files: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SpawnPlan:
    """``base`` is None only where there are problems. ``agents``: those for which something is missing.

    ``excludes`` is the text to write to ``excludes_file``; ``root`` is to be created; ``remembered``: the blueprint to
    record as spawned last. ``settled`` agents have landed or were discarded: they get no worktree.
    """

    base: CommitId | None
    agents: tuple[AgentSpawn, ...] = ()
    problems: tuple[str, ...] = ()
    blueprint_errors: tuple[str, ...] = ()  # those of the problems that are in the blueprint
    notes: tuple[str, ...] = ()
    settled: tuple[AgentName, ...] = ()
    remembered: Path | None = None
    excludes_file: Path | None = None
    excludes: str = field(default="", repr=False)
    root: Path | None = None
    renewal: Renewal | None = None  # what is archived before anything is made

    @property
    def new_agents(self) -> tuple[AgentName, ...]:
        """The agents that get a worktree."""
        return tuple(planned.name for planned in self.agents if planned.creates_worktree)

    def fleet_lines(self) -> list[str]:
        """Return the lines of what is done once for the whole fleet."""
        return [line for line in (self.remember_line(), self.excludes_line(), self.root_line()) if line]

    def lines(self) -> list[str]:
        """Return one line for each step."""
        renewal = self.renewal.lines() if self.renewal else []
        return [*renewal, *self.fleet_lines(), *(line for planned in self.agents for line in planned.lines())]

    def remember_line(self) -> str | None:
        return f"remember {self.remembered} as the fleet spawned last" if self.remembered else None

    def excludes_line(self) -> str | None:
        if self.excludes_file is None:
            return None
        count = self.excludes.count("\n")
        return f"write {self.excludes_file} ({count} lines) and include it for the agents' worktrees"

    def root_line(self) -> str | None:
        return format_command("mkdir", "-p", self.root) if self.root else None


def plan_spawn(fleet: Fleet, *, agents: Collection[AgentName] | None = None, fresh: bool = False) -> SpawnPlan:
    """Plan what ``spawn`` would do now, with the same checks. Changes nothing.

    ``agents`` None means all. ``fresh``: what they have is archived first, and they start from today's target.
    """
    fleet = with_ports(fleet, agents)
    ground = survey(fleet)
    named = [agent for agent in fleet.blueprint.agents if agents is None or agent.name in agents]
    chosen = [agent for agent in named if not agent.adopted]
    if not chosen:
        adopted = format_list([agent.name for agent in named], most=5)
        note = f"{adopted}: adopted, so spawn has nothing to create"
        if not named:
            note = f"{fleet.blueprint.source} declares no agent: orchestra adopt BRANCH... takes in branches"
        return replace(_plan(ground, chosen, None), notes=(note,))
    if fresh:
        renewal, obstacles = plan_renewal(ground, chosen)
        return _plan(ground, chosen, renewal, obstacles)
    # Agents without work of their own move to today's target, unless something prevents that.
    moves = plan_moves(ground, chosen)
    plan = _plan(ground, chosen, moves)
    if moves.removals and plan.problems:
        reason = f"no agent was moved to today's target: {plan.problems[0]}"
        plan = _plan(ground, chosen, None)
        return plan if plan.problems else replace(plan, notes=(*plan.notes, reason))
    return plan


def _plan(ground: Ground, chosen: Sequence[Agent], renewal: Renewal | None, obstacles: Sequence[str] = ()) -> SpawnPlan:
    """Plan what follows a renewal, if there is one, with all checks."""
    fleet, sound = ground.fleet, ground.snapshot.refs
    living: list[Agent] = []
    notes = renewal.notes() if renewal else []
    if renewal and renewal.removals:
        ground = ground_after(ground, renewal)
    for agent in chosen:
        refs = ground.of(agent)
        if refs.landed is None and refs.discarded is None:
            living.append(agent)
        else:
            notes.append(f"{agent.name} {'has landed' if refs.landed else 'was discarded'}: it gets no worktree")
    settled = tuple(agent.name for agent in chosen if agent not in living)
    new = [agent for agent in living if not ground.is_there(agent)]
    notes += remote_notes(fleet) if new else []
    notes += former_agent_notes(ground, [agent.name for agent in new if agent.branch not in ground.branches])
    # In a new repository the starter, which the first of these errors names, also makes the first commit.
    starts_here = fleet.blueprint.starter is not None and not ground.snapshot.branches
    creates_worktrees = bool(new) and (ground.base is not None or starts_here)
    declared = blueprint_errors(fleet, ground.base, creates_worktrees=creates_worktrees)
    ground_problems = () if declared and ground.base is None else find_problems(ground, living, sound=sound)
    problems = (*declared, *obstacles, *ground_problems)
    if problems or ground.base is None or not living:
        return SpawnPlan(ground.base, problems=problems, blueprint_errors=declared, notes=tuple(notes), settled=settled)
    return replace(plan_agents(ground, living, notes=notes, settled=settled), renewal=renewal)


def plan_agents(
    ground: Ground,
    living: Sequence[Agent],
    *,
    notes: Sequence[str] = (),
    settled: tuple[AgentName, ...] = (),
    restored: Restored | None = None,
) -> SpawnPlan:
    """Plan what is missing for agents whose checks have passed. ``restored``: of the only agent."""
    fleet, repository, notes = ground.fleet, ground.fleet.repository, list(notes)
    new = [agent for agent in living if not ground.is_there(agent)]

    # What the whole fleet needs.
    belongings = find_belongings(fleet)
    recorded = last_blueprint(repository), spawned_target(repository, fleet.name)
    is_remembered = recorded == (str(fleet.blueprint.source), fleet.target)
    visible = belongings.visible if belongings else ()
    excludes = git_excludes.excludes_text(fleet, {*ground.names.all, *visible, ASIDE})
    admins = worktree_admin.admins(repository)
    places = [real(fleet.worktree(agent)) for agent in living if agent not in new]
    existing = [admins[place].name for place in places if place in admins]
    is_hidden = not new and git_excludes.is_hidden(fleet, excludes, existing)

    # What each agent needs.
    planned = [_plan_agent(ground, agent, agent in new, belongings, notes, restored=restored) for agent in living]
    if new and belongings is not None:
        notes += [
            f"worktrees.setup names {name}, but {belongings.source} has no untracked file or folder of that name"
            for name in belongings.missing
        ]
        notes += [
            f"setup: {name} is not shared: a virtual environment names the folder that it was made in, and would "
            "install into the main checkout; create it in each worktree with setup.run"
            for name in belongings.virtual_environments
        ]
    return SpawnPlan(
        ground.base,
        tuple(agent_spawn for agent_spawn in planned if agent_spawn.lines()),
        notes=tuple(notes),
        settled=settled,
        remembered=None if is_remembered else fleet.blueprint.source,
        excludes_file=None if is_hidden else fleet.folder / "excludes",
        excludes=excludes,
        root=fleet.worktrees_root if new and not fleet.worktrees_root.is_dir() else None,
    )


def _plan_agent(
    ground: Ground,
    agent: Agent,
    is_new: bool,
    belongings: Belongings | None,
    notes: list[str],
    *,
    restored: Restored | None,
) -> AgentSpawn:
    """Plan what is missing for one agent; add what a person should know to ``notes``."""
    fleet, refs, worktree = ground.fleet, ground.of(agent), ground.fleet.worktree(agent)
    assert ground.base is not None  # noqa: S101 - the caller has looked
    base = refs.base or ground.base
    # A deleted branch is restored where it was approved.
    tip = restored.tip if restored else ground.branches.get(agent.branch) or refs.approved or base
    lost_index = None
    admin = worktree_admin.admins(fleet.repository).get(real(worktree)) if is_new and ground.worktree(agent) else None
    # A run that was killed right before it moved the folder to its path: no agent has seen it, so no work is lost.
    was_never_there = admin is not None and worktree_admin.is_linked(worktree_admin.staged(real(worktree)), admin)
    if is_new and ground.worktree(agent) is not None and not was_never_there:
        lost_index = next_saved(fleet.repository.git, fleet.name, agent.name)
        notes.append(f"{agent.name}: {worktree} was deleted; it is created again from the branch")

    files = {}
    for name, text in render_files(fleet, agent, ground.names_at(base)).items():
        verdict = Verdict.WRITE if is_new else compare(fleet, agent, name, text)
        if verdict is Verdict.WRITE:
            files[name] = text
        elif verdict is Verdict.KEEP:
            notes.append(f"{agent.name}: {name} was edited or replaced, so it is kept as it is")

    # Set-up of a new worktree, or of one whose set-up failed or was interrupted.
    sets_up = is_new or readiness(fleet, agent.name).state is Ready.NOT_READY
    folders = belongings.folders if belongings else ()
    return AgentSpawn(
        agent,
        worktree,
        tip,
        pinned_base=None if refs.base else (agent_ref(fleet.name, agent.name, Kind.BASE), ground.base),
        creates_branch=agent.branch not in ground.branches,
        ports=agent.ports if is_new else ports_to_record(fleet, agent),
        lost_index=lost_index,
        creates_worktree=is_new,
        files=files,
        source=belongings.source if belongings else Path(),
        copied=belongings.files if is_new and belongings else (),
        restored_work=restored.work if restored else None,
        kept_in=restored.kept_in if restored else Path(),
        kept_files=restored.kept_files if restored else (),
        submodules_of=base if sets_up and ".gitmodules" in ground.tracked_at(base) else None,
        shared=tuple(name for name in folders if is_new or (sets_up and not os.path.lexists(worktree / name))),
        commands=fleet.blueprint.worktrees.setup.run if sets_up else (),
        sets_up=sets_up,
    )
