"""Take back the places of agents whose work landed or was discarded: teardown, worktree, branch, state.

Invariant: nothing goes that no ref of ours holds. Uncommitted work is saved under ``saved/N`` first, ignored files that
somebody made or changed are kept in the agent's state folder, a branch is deleted only while its tip is held by a
verdict. Refuses, agent by agent and with the reason: a branch with later commits, a worktree in use or
locked by somebody else, a teardown that fails. The refs of the fleet stay.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from orchestra.blueprint.model import Agent, AgentName
from orchestra.engine.job import Engine
from orchestra.errors import GitError
from orchestra.fleet import Fleet
from orchestra.git import worktree_admin, worktree_removal
from orchestra.git.folder_users import occupants
from orchestra.git.lock import exclusive
from orchestra.git.refs import CommitId
from orchestra.git.unsaved_work import has_work, next_saved
from orchestra.workspace import steps
from orchestra.workspace.apply_clean import STATE, Cleaning
from orchestra.workspace.apply_spawn import MADE_ROOT, Progress, disk_errors, record
from orchestra.workspace.spawn_checks import Ground, lock_reason, real, survey
from orchestra.workspace.steps import Step

Skipped = tuple[AgentName, str]


@dataclass(frozen=True, slots=True)
class CleanPlan:
    """``skipped`` are settled agents that keep their place, and why."""

    steps: tuple[Step, ...]
    skipped: tuple[Skipped, ...]


@dataclass(frozen=True, slots=True)
class CleanReport:
    """``steps`` are those that were executed; ``kept`` ignored files, where they are now."""

    steps: tuple[Step, ...]
    skipped: tuple[Skipped, ...]
    kept: tuple[Path, ...]


def _silent(_: Progress) -> None:
    return None


def clean(fleet: Fleet, *, engine: Engine, progress: Callable[[Progress], None] = _silent) -> CleanReport:
    """Remove what is settled. Raises LockHeld, DiskFull, GitError; run again, it goes on where it was."""
    with disk_errors(fleet), exclusive(fleet.repository.state_folder, "clean"):
        for agent in fleet.blueprint.agents:
            worktree_removal.settle(fleet.repository, real(fleet.worktree(agent)))
        plan = plan_clean(fleet)
        cleaning = Cleaning(fleet, engine, progress)
        try:
            cleaning.run(plan.steps)
        finally:
            record(fleet, "clean", cleaning.done)
    return CleanReport(tuple(cleaning.done), (*plan.skipped, *cleaning.skipped.items()), tuple(cleaning.kept))


# -- planning ------------------------------------------------------------------------------------------------------


def plan_clean(fleet: Fleet) -> CleanPlan:
    """What ``clean`` would do now. Changes nothing."""
    ground = survey(fleet)
    settled = [agent for agent in fleet.blueprint.agents if _is_settled(ground, agent)]
    reasons = {agent.name: why for agent in settled if (why := _reason_to_stay(ground, agent)) is not None}
    planned: list[Step] = []
    for agent in settled:
        try:
            planned += _save(ground, agent) if agent.name not in reasons else ()
        except GitError as error:
            reasons[agent.name] = f"git cannot look into its worktree: {error} (git worktree repair may help)"
    going = [agent for agent in settled if agent.name not in reasons]
    for part in (_tear_down, _remove, _delete_branch, _forget):
        for agent in going:
            planned += part(ground, agent)
    planned += _remove_root(ground, going)
    return CleanPlan(tuple(planned), tuple(reasons.items()))


def _is_settled(ground: Ground, agent: Agent) -> bool:
    refs = ground.of(agent)
    return ground.is_ours(agent) and (refs.landed is not None or refs.discarded is not None)


def _reason_to_stay(ground: Ground, agent: Agent) -> str | None:
    fleet, tip = ground.fleet, ground.branches.get(agent.branch)
    path = real(fleet.worktree(agent))
    if tip is not None and not _is_held(ground, agent, tip):
        refs = ground.of(agent)
        later = fleet.repository.count_commits(refs.discarded or refs.approved or refs.base or tip, tip)
        return f"{agent.branch} has {later} commits made after the verdict; its tip is {tip[:12]}"
    for other, there in ground.registered.items():
        if there.branch == agent.branch and other != path:
            return f"{agent.branch} is checked out at {other}"
    known = ground.registered.get(path)
    if known is not None and known.locked not in (None, lock_reason(fleet, agent)):
        return f"{path} is locked: {known.locked or 'no reason given'}"
    if ground.is_there(agent) and (inside := occupants(path)):
        return f"{path} is in use by {inside[0]}"
    return None


def _is_held(ground: Ground, agent: Agent, tip: CommitId) -> bool:
    """Whether a verdict of the agent holds the branch's tip: deleting the branch then loses nothing."""
    refs = ground.of(agent)
    held = [commit for commit in (refs.approved, refs.discarded, refs.landed, refs.base) if commit is not None]
    return tip in held or any(ground.fleet.repository.is_ancestor(tip, commit) for commit in held)


def _save(ground: Ground, agent: Agent) -> Iterator[Step]:
    path = ground.fleet.worktree(agent)
    if ground.is_there(agent) and has_work(path):
        ref = next_saved(ground.fleet.repository.git, ground.fleet.name, agent.name)
        yield steps.SaveWork(agent.name, path, ref)


def _tear_down(ground: Ground, agent: Agent) -> Iterator[Step]:
    setup = ground.fleet.blueprint.worktrees.setup
    if ground.is_there(agent):
        for command in setup.teardown:
            yield steps.RunCommand(agent.name, ground.fleet.worktree(agent), command, setup.timeout_s)


def _remove(ground: Ground, agent: Agent) -> Iterator[Step]:
    path = ground.fleet.worktree(agent)
    if ground.worktree(agent) is not None or worktree_admin.retired(path).exists():
        yield steps.RemoveWorktree(agent.name, path)


def _delete_branch(ground: Ground, agent: Agent) -> Iterator[Step]:
    tip = ground.branches.get(agent.branch)
    if tip is not None:
        yield steps.DeleteBranch(agent.name, agent.branch, tip)


def _forget(ground: Ground, agent: Agent) -> Iterator[Step]:
    folder = ground.fleet.agent_folder(agent.name)
    if any((folder / name).exists() for name in STATE):
        yield steps.ForgetAgent(agent.name, folder)


def _remove_root(ground: Ground, going: list[Agent]) -> Iterator[Step]:
    root = ground.fleet.worktrees_root
    try:
        made = (ground.fleet.folder / MADE_ROOT).read_text("utf-8", "surrogateescape") == f"{root}\n"
        present = {entry.name for entry in root.iterdir()}
    except OSError:
        return
    leaving = {Path(agent.directory).parts[0] for agent in going} | {worktree_admin.NEW, worktree_admin.OLD}
    staying = {
        Path(agent.directory).parts[0]
        for agent in ground.fleet.blueprint.agents
        if agent not in going and (root / agent.directory).exists()
    }
    if made and present <= leaving - staying:
        yield steps.RemoveRoot(root)
