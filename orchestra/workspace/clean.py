"""Remove the worktrees and branches of agents whose work landed or was discarded.

Invariant: everything that is removed is held by a ref. Uncommitted work is saved under ``saved/N`` first, ignored files
created or changed by hand are kept in the agent's state folder, and a branch is deleted only while a verdict's
ref reaches its tip. An agent that cannot be removed keeps its worktree and is reported with the reason; the others go
on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from orchestra.blueprint.model import Agent, AgentName
from orchestra.engine.job import Engine
from orchestra.errors import DiskFull, GroundError
from orchestra.fleet import Fleet
from orchestra.git import worktree_admin, worktree_removal
from orchestra.git.lock import exclusive
from orchestra.git.refs import CommitId
from orchestra.git.unsaved_work import next_saved
from orchestra.workspace import steps
from orchestra.workspace.apply_clean import STATE, Cleaning
from orchestra.workspace.apply_spawn import MADE_ROOT, Progress, disk_errors, record
from orchestra.workspace.spawn_checks import Ground, real, survey
from orchestra.workspace.steps import Step

Skipped = tuple[AgentName, str]


@dataclass(frozen=True, slots=True)
class CleanPlan:
    """``skipped``: landed or discarded agents that keep their worktree, each with the reason."""

    steps: tuple[Step, ...]
    skipped: tuple[Skipped, ...]


@dataclass(frozen=True, slots=True)
class CleanReport:
    """``steps``: those that were executed; ``kept``: ignored files, at their new place."""

    steps: tuple[Step, ...]
    skipped: tuple[Skipped, ...]
    kept_files: tuple[Path, ...]


def clean(fleet: Fleet, *, engine: Engine, progress: Callable[[Progress], None] = lambda _: None) -> CleanReport:
    """Remove what is landed or discarded. Raises LockHeld, DiskFull; run again, it continues."""
    with disk_errors(fleet), exclusive(fleet.repository.state_folder, "clean"):
        for agent in fleet.blueprint.agents:
            try:
                worktree_removal.settle(fleet.repository, real(fleet.worktree(agent)))
            except DiskFull:
                raise
            except (GroundError, OSError):
                continue  # the plan finds the same problem and reports it
        plan = plan_clean(fleet)
        cleaning = Cleaning(fleet, engine, progress)
        try:
            cleaning.run(plan.steps)
        finally:
            record(fleet, "clean", cleaning.completed)
    return CleanReport(
        tuple(cleaning.completed), (*plan.skipped, *cleaning.skipped.items()), tuple(cleaning.kept_files)
    )


def plan_clean(fleet: Fleet) -> CleanPlan:
    """Plan what ``clean`` would do now, with the same checks. Changes nothing."""
    ground = survey(fleet)
    admins = worktree_admin.admins(fleet.repository)
    skipped: dict[AgentName, str] = {}
    by_agent: list[tuple[Agent, list[Step]]] = []
    for agent in fleet.blueprint.agents:
        refs = ground.of(agent)
        if not ground.is_ours(agent) or (refs.landed is None and refs.discarded is None):
            continue
        try:
            if reason := _reason_to_stay(ground, agent):
                skipped[agent.name] = reason
            else:
                by_agent.append((agent, list(_steps(ground, agent, admins.get(real(fleet.worktree(agent)))))))
        except DiskFull:
            raise
        except GroundError as error:
            skipped[agent.name] = f"{error.message} ({error.hint})" if error.hint else error.message
        except OSError as error:
            skipped[agent.name] = f"{error.filename} cannot be read: {error.strerror}"
    root = _remove_root(ground, [agent for agent, _ in by_agent])
    ordered = sorted((step for _, planned in by_agent for step in planned), key=lambda step: _ORDER.index(type(step)))
    return CleanPlan((*ordered, *root), tuple(skipped.items()))


# The order in which the steps are executed: all work is saved before anything is removed.
_ORDER = (
    *(steps.KeepStaged, steps.SaveWork, steps.RunCommand),
    *(steps.RemoveWorktree, steps.DeleteBranch, steps.ForgetAgent),
)


def _reason_to_stay(ground: Ground, agent: Agent) -> str | None:
    fleet, tip = ground.fleet, ground.branches.get(agent.branch)
    path = real(fleet.worktree(agent))
    if tip is not None and not _is_held(ground, agent, tip):
        refs = ground.of(agent)
        later = fleet.repository.count_commits(refs.discarded or refs.approved or refs.base or tip, tip)
        return f"{agent.branch} has {later} commits made after the verdict; its tip is {tip[:12]}"
    for place, worktree in ground.registered.items():
        if worktree.branch == agent.branch and place != path:
            return f"{agent.branch} is checked out at {place}"
    worktree_here = ground.registered.get(path)
    if worktree_here is not None and worktree_here.locked not in (None, fleet.lock_reason(agent)):
        return f"{path} is locked: {worktree_here.locked or 'no reason given'}"
    return None


def _is_held(ground: Ground, agent: Agent, tip: CommitId) -> bool:
    """Return whether a verdict's ref reaches the branch's tip, so that deleting the branch loses nothing."""
    refs = ground.of(agent)
    held = [commit for commit in (refs.approved, refs.discarded, refs.landed, refs.base) if commit is not None]
    return tip in held or any(ground.fleet.repository.is_ancestor(tip, commit) for commit in held)


def _steps(ground: Ground, agent: Agent, admin: Path | None) -> Iterator[Step]:
    """Yield the steps of one agent. Raises GroundError where its worktree cannot be removed."""
    fleet, path, tip = ground.fleet, ground.fleet.worktree(agent), ground.branches.get(agent.branch)
    git, setup = fleet.repository.git, fleet.blueprint.worktrees.setup
    if admin is not None and not path.exists():
        yield steps.KeepStaged(agent.name, path, next_saved(git, fleet.name, agent.name), fleet.name)
    elif admin is not None:
        if not worktree_removal.inspect(real(path), admin, fleet.lock_reason(agent)).saved:
            yield steps.SaveWork(agent.name, path, next_saved(git, fleet.name, agent.name))
        for command in setup.teardown:
            yield steps.RunCommand(agent.name, path, command, setup.timeout_s)
    elif worktree_admin.retired(path).exists() and not worktree_admin.belongs_to(
        worktree_admin.retired(path), fleet.repository
    ):
        raise GroundError(f"{worktree_admin.retired(path)} belongs to another repository")
    if admin is not None or worktree_admin.retired(path).exists():
        yield steps.RemoveWorktree(agent.name, path)
    if tip is not None:
        yield steps.DeleteBranch(agent.name, agent.branch, tip)
    folder = fleet.agent_folder(agent.name)
    if any((folder / name).exists() for name in STATE):
        yield steps.ForgetAgent(agent.name, folder)


def _remove_root(ground: Ground, removed: list[Agent]) -> Iterator[Step]:
    fleet, root = ground.fleet, ground.fleet.worktrees_root
    try:
        created = (fleet.folder / MADE_ROOT).read_text("utf-8", "surrogateescape") == f"{root}\n"
        present = {entry.name for entry in root.iterdir()}
    except OSError:
        return

    def top(agent: Agent) -> str | None:
        path = fleet.worktree(agent)
        return path.relative_to(root).parts[0] if path.is_relative_to(root) else None

    leaving = {top(agent) for agent in removed} | {worktree_admin.NEW, worktree_admin.OLD}
    staying = {
        top(agent) for agent in fleet.blueprint.agents if agent not in removed and fleet.worktree(agent).exists()
    }
    if created and present <= leaving - staying:
        yield steps.RemoveRoot(root)
