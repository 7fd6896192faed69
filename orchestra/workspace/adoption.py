"""Take branches that orchestra did not create into a fleet, and let go of them again.

The branch of each is recorded in the fleet's ``adopted.json``; the refs ``base`` and ``adopted`` mark its agent. The
record is written first and deleted last, so that a killed command can be run again. The branch and its worktree are
never moved, written or removed.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestra.blueprint.adopted_agents import (
    AdoptedBranch,
    agent_name_problem,
    derive_agent_name,
    format_adopted,
    read_adopted,
    with_adopted,
)
from orchestra.blueprint.git_names import branch_problem
from orchestra.blueprint.model import Agent, AgentName
from orchestra.errors import GroundError, OrchestraError, UsageError
from orchestra.files import read_regular, write_atomically
from orchestra.fleet import ADOPTED_RECORD, BRANCH_RECORD, Fleet, explain_missing_target, newest_target, remember
from orchestra.git.lock import exclusive
from orchestra.git.refs import AgentRefs, CommitId, Kind, RefUpdate, agent_ref, branch_ref, update
from orchestra.text import did_you_mean, format_count
from orchestra.workspace.renewal import archive_refs
from orchestra.workspace.spawn_checks import Ground, survey


@dataclass(frozen=True, slots=True)
class Adoption:
    """A branch that becomes an agent. ``base``: where it forks from the target; ``commits`` since then."""

    agent: Agent
    base: CommitId
    tip: CommitId
    commits: int
    worktree: Path | None  # where the branch is checked out, if anywhere
    stage: str | None
    updates: tuple[RefUpdate, ...]

    def line(self) -> str:
        place = f"checked out at {self.worktree}" if self.worktree else "not checked out"
        stage = f", stage {self.agent.stage}" if self.agent.stage else ""
        return f"{self.agent.name}: branch {self.agent.branch}, {format_count(self.commits, 'commit')}, {place}{stage}"


@dataclass(frozen=True, slots=True)
class AdoptionPlan:
    """``existing``: agents whose branch was adopted before. ``refusals``: branch -> why it cannot be adopted."""

    fleet: Fleet
    new: tuple[Adoption, ...]
    existing: tuple[Agent, ...]
    refusals: Mapping[str, OrchestraError]


def adopt(fleet: Fleet, branches: Sequence[str], *, stage: str | None = None, name: str | None = None) -> AdoptionPlan:
    """Adopt what can be adopted; return what was done. Run again, it has nothing to do. Raises LockHeld.

    ``stage``: of all of them. ``name``: of the agent of the only branch; None: derived from the branch.
    """
    with exclusive(fleet.repository.state_folder, "adopt"):
        plan = plan_adoption(fleet, branches, stage=stage, name=name)
        if plan.new:
            records = fleet.adopted
            records |= {
                adoption.agent.name: AdoptedBranch(adoption.agent.branch, adoption.stage) for adoption in plan.new
            }
            write_atomically(fleet.folder / ADOPTED_RECORD, format_adopted(records), durable=True)
            update(fleet.repository.git, [each for adoption in plan.new for each in adoption.updates], reason="adopt")
            for adoption in plan.new:
                fleet.ledger.record("adopted", adoption.agent.name, commit=adoption.tip, branch=adoption.agent.branch)
            remember(fleet)
    return plan


def plan_adoption(
    fleet: Fleet, branches: Sequence[str], *, stage: str | None = None, name: str | None = None
) -> AdoptionPlan:
    """Plan what ``adopt`` would do now, with the same checks. Changes nothing."""
    if name is not None and len(branches) != 1:
        raise UsageError("--as names the agent of one branch", hint="adopt the other branches in a call of their own")
    if stage is not None and stage not in fleet.blueprint.stages:
        stages = ", ".join(fleet.blueprint.stages) or "none"
        raise UsageError(f"no stage {stage!r} in fleet {fleet.name}", hint=f"the stages are: {stages}")
    if name is not None and (problem := agent_name_problem(name)):
        raise UsageError(f"the name {name!r} {problem}", hint="--as NAME: letters and digits, with - _ or . between")
    ground = survey(fleet)
    target = newest_target(ground.snapshot)
    if target is None:
        message, hint = explain_missing_target(fleet)
        raise GroundError(message, hint=hint)
    listed = fleet.repository.git.run("for-each-ref", "--format=%(refname)%00%(symref)", "refs/heads/").lines
    symbolic = dict(line.split("\0") for line in listed)
    new: list[Adoption] = []
    existing: list[Agent] = []
    refusals: dict[str, OrchestraError] = {}
    for word in dict.fromkeys(branches):
        branch = word.removeprefix("refs/heads/")
        try:
            owner = _owner(ground, branch)
            if owner is not None and owner.adopted and ground.of(owner).base is not None and name in (None, owner.name):
                existing.append(owner)
                continue
            _check_branch(ground, branch, owner, symbolic.get(branch_ref(branch), ""))
            taken = {agent.name for agent in fleet.blueprint.agents} | set(ground.snapshot.agents)
            taken |= {adoption.agent.name for adoption in new}
            agent_name = _agent_name(ground, branch, owner, taken, name)
            new.append(_plan_one(ground, branch, agent_name, target, stage))
        except (UsageError, GroundError) as error:
            refusals[word] = error
    return AdoptionPlan(fleet, tuple(new), tuple(existing), refusals)


def _owner(ground: Ground, branch: str) -> Agent | None:
    """Return the agent whose branch that is, as it is recorded or declared."""
    return next((agent for agent in ground.fleet.blueprint.agents if agent.branch == branch), None)


def _check_branch(ground: Ground, branch: str, owner: Agent | None, symbolic: str) -> None:
    """Raise UsageError where a branch cannot be adopted."""
    fleet, snapshot = ground.fleet, ground.snapshot
    shown = shlex.quote(branch)
    if branch == fleet.target:
        raise UsageError(
            f"{branch} is the target of fleet {fleet.name}", hint="name branches whose work is to land on it"
        )
    if symbolic:
        meant = symbolic.removeprefix("refs/heads/")
        raise UsageError(f"{branch} is a symbolic ref to {meant}", hint=f"orchestra adopt {shlex.quote(meant)}")
    if branch not in snapshot.branches:
        if fleet.repository.resolve(f"refs/remotes/{branch}") is not None:
            local = shlex.quote(branch.partition("/")[2])
            hint = f"adopt a local branch of it: git branch {local} {shown} && orchestra adopt {local}"
            raise UsageError(f"{branch} is a remote-tracking branch, which every fetch moves", hint=hint)
        names = sorted(set(snapshot.branches) - {fleet.target})
        raise UsageError(
            f"there is no branch {branch}", hint=did_you_mean(branch, names, otherwise="git branch lists them")
        )
    if problem := branch_problem(branch):
        hint = f"rename it: git branch -m {shown} NEW_NAME"
        raise UsageError(f"the branch name {branch!r} {problem}", hint=hint)
    if (elsewhere := _owner_in_another_fleet(fleet, branch)) is not None:
        other_fleet, agent = elsewhere
        hint = f"land it with that fleet: orchestra review {agent} -b {other_fleet}"
        raise UsageError(f"{branch} is the branch of agent {agent} of fleet {other_fleet}", hint=hint)
    if owner is not None and ground.of(owner).base is not None:
        fact = f"was adopted as agent {owner.name}" if owner.adopted else f"is the branch of agent {owner.name}"
        raise UsageError(f"{branch} {fact} already", hint=f"orchestra review {owner.name}")


def _owner_in_another_fleet(fleet: Fleet, branch: str) -> tuple[str, AgentName] | None:
    """Return the fleet and the agent that the branch belongs to: that fleet's ``clean`` may remove it."""
    for folder in sorted(fleet.folder.parent.glob("*")):
        if folder != fleet.folder:
            spawned = {
                AgentName(record.parent.name): _branch_in(record) for record in folder.glob(f"agents/*/{BRANCH_RECORD}")
            }
            adopted = {name: record.branch for name, record in read_adopted(folder / ADOPTED_RECORD).items()}
            for name, owned in (spawned | adopted).items():
                if owned == branch:
                    return folder.name, name
    return None


def _agent_name(ground: Ground, branch: str, owner: Agent | None, taken: set[AgentName], name: str | None) -> AgentName:
    """Return the agent's name. Raises UsageError where the name that was asked for is another agent's."""
    if name is None:
        if owner is not None:  # declared with this branch, or recorded by a call that was killed
            return owner.name
        return _former_owner(ground, branch) or derive_agent_name(branch, taken)
    agent_name = AgentName(name)
    declared = ground.fleet.blueprint.agent(name)
    has_branch = declared is not None and declared.branch != branch and declared.branch in ground.branches
    is_free = ground.snapshot.agent_refs(agent_name) == AgentRefs() and not has_branch
    if not is_free and _former_owner(ground, branch) != agent_name:
        hint = f"choose another name: orchestra adopt {shlex.quote(branch)} --as NAME"
        raise UsageError(f"agent {name} of fleet {ground.fleet.name} has work already", hint=hint)
    return agent_name


def _former_owner(ground: Ground, branch: str) -> AgentName | None:
    """Return the agent for which spawn created the branch, where the blueprint no longer declares it."""
    declared = {agent.name for agent in ground.fleet.blueprint.agents}
    for name, refs in ground.snapshot.agents.items():
        if name not in declared and refs.base is not None and former_branch(ground.fleet, name) == branch:
            return name
    return None


def former_branch(fleet: Fleet, agent: AgentName) -> str | None:
    """Return the branch that spawn recorded for an agent; None where there is no record."""
    return _branch_in(fleet.agent_folder(agent) / BRANCH_RECORD)


def _branch_in(record: Path) -> str | None:
    return (read_regular(record) or b"").decode("utf-8", "replace").strip() or None


def former_agent_notes(ground: Ground, new: Sequence[AgentName]) -> list[str]:
    """Return how to take in the work of agents that the blueprint no longer declares: they may have been renamed.

    ``new``: declared agents that have no branch yet.
    """
    declared = {agent.name for agent in ground.fleet.blueprint.agents}
    notes = []
    for name, refs in sorted(ground.snapshot.agents.items()):
        branch = former_branch(ground.fleet, name)
        is_open = refs.base is not None and refs.landed is None and refs.discarded is None
        has_work = branch is not None and ground.branches.get(branch) not in (None, refs.base)
        if name in declared or not is_open or branch is None or not has_work or _owner(ground, branch) is not None:
            continue
        command = f"orchestra adopt {shlex.quote(branch)}"
        renamed = f", or before {new[0]} is spawned, if that is its new name: {command} --as {new[0]}" if new else ""
        notes.append(f"{name} is not in the blueprint any more; to land its branch all the same: {command}{renamed}")
    return notes


def _plan_one(ground: Ground, branch: str, name: AgentName, target: CommitId, stage: str | None) -> Adoption:
    fleet, repository, tip = ground.fleet, ground.fleet.repository, ground.branches[branch]
    if repository.is_ancestor(tip, target):
        raise UsageError(f"{branch} has no commit that {fleet.target} lacks", hint=f"commit work on {branch} first")
    base = repository.merge_base(target, tip)
    if base is None:
        raise UsageError(
            f"{branch} has no commit in common with {fleet.target}", hint="start the branch from the target"
        )
    refs = ground.snapshot.agent_refs(name)
    marks = [(Kind.BASE, refs.base or base, refs.base), (Kind.ADOPTED, tip, refs.adopted)]
    updates = tuple(RefUpdate(agent_ref(fleet.name, name, kind), new, old) for kind, new, old in marks if new != old)
    agent = with_adopted(fleet.blueprint, fleet.adopted | {name: AdoptedBranch(branch, stage)}).agent(name)
    assert agent is not None  # noqa: S101 - it was just added
    commits = repository.count_commits(base, tip)
    worktree = fleet.worktree(agent)
    return Adoption(agent, base, tip, commits, worktree if fleet.has_worktree(agent) else None, stage, updates)


# -- letting go ---------------------------------------------------------------------------------------------------


def forget_line(fleet: Fleet, agent: Agent) -> str:
    worktree = f" and its worktree {fleet.worktree(agent)} stay" if fleet.has_worktree(agent) else " stays"
    return f"forget {agent.name}, which was adopted; its branch {agent.branch}{worktree}"


def forget(fleet: Fleet, agent: Agent, number: int) -> None:
    """Archive an adopted agent's refs as part of a round, and delete its record. Repeated, it continues."""
    archive_refs(fleet, agent, number)
    records = fleet.adopted
    if records.pop(agent.name, None) is not None:
        write_atomically(fleet.folder / ADOPTED_RECORD, format_adopted(records), durable=True)
