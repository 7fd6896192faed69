"""Remove the worktrees and branches of agents whose work landed or was discarded.

Everything that is removed is held by a ref. Uncommitted work is saved under ``saved/N`` first, ignored files created or
changed by hand are kept in the agent's state folder, and a branch is deleted only while a verdict's ref reaches its
tip. An agent that cannot be removed keeps its worktree and is reported with the reason; the others go on.
Of an adopted agent only orchestra's records go; its branch and its worktree stay.
"""

from __future__ import annotations

import contextlib
import os
import shlex
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from orchestra.blueprint.model import Agent, AgentName
from orchestra.engine.job import Engine
from orchestra.errors import GroundError
from orchestra.files import read_regular
from orchestra.fleet import Fleet
from orchestra.git import worktree_admin, worktree_removal
from orchestra.git.lock import exclusive
from orchestra.git.refs import AgentRefs
from orchestra.text import format_count
from orchestra.workspace.adoption import forget, forget_line
from orchestra.workspace.paths import format_command
from orchestra.workspace.progress import Listener, disk_errors, explain, record
from orchestra.workspace.removal import AgentRemoval, RemovalRun, plan_removal
from orchestra.workspace.renewal import next_round
from orchestra.workspace.spawn import MADE_ROOT
from orchestra.workspace.spawn_checks import Ground, real, survey


@dataclass(frozen=True, slots=True)
class CleanPlan:
    """``skipped``: landed or discarded agents that keep their worktree, each with the reason.

    ``root``: the folder of the worktrees, which spawn made, where it will be empty.
    """

    agents: tuple[AgentRemoval, ...]
    skipped: tuple[tuple[AgentName, str], ...]
    root: Path | None
    forgotten: tuple[tuple[Agent, str], ...] = ()  # adopted agents, each with the line of its step

    def lines(self) -> list[str]:
        """Return one line for each step."""
        root = [format_command("rmdir", self.root)] if self.root else []
        removals = [line for removal in self.agents for line in removal.lines()]
        return [*removals, *root, *(line for _, line in self.forgotten)]


@dataclass(frozen=True, slots=True)
class CleanReport:
    """``steps``: the lines of what was done; ``kept_files``: ignored files, at their new place."""

    steps: tuple[str, ...]
    skipped: tuple[tuple[AgentName, str], ...]
    kept_files: tuple[Path, ...]


def clean(
    fleet: Fleet,
    agents: Collection[AgentName] | None = None,
    *,
    engine: Engine,
    save_all: bool = False,
    progress: Listener = lambda _: None,
) -> CleanReport:
    """Remove what is landed or discarded, of ``agents`` (None: all). Raises LockHeld, DiskFull.

    Run again after an interruption, it continues. ``save_all``: also save much uncommitted work, that is more than
    ``removal.MOST_BYTES`` or ``MOST_FILES``.
    """
    with disk_errors(fleet), exclusive(fleet.repository.state_folder, "clean"):
        # Bring removals that were killed to an end. The plan finds and reports the same problems.
        for agent in fleet.blueprint.agents:
            if agent.adopted:
                continue
            try:
                worktree_removal.settle(fleet.repository, real(fleet.worktree(agent)))
            except (GroundError, OSError) as error:
                explain(error)  # raises what concerns every agent
        plan = plan_clean(fleet, agents, save_all=save_all)
        run = RemovalRun(fleet, progress)
        try:
            run.remove_all(plan.agents, engine)
            if plan.root and remove_root(fleet, plan.root):
                run.lines.append(format_command("rmdir", plan.root))
            number = next_round(fleet, [agent for agent, _ in plan.forgotten]) if plan.forgotten else 0
            for agent, line in plan.forgotten:
                with run.skipping(agent.name):
                    forget(fleet, agent, number)
                    run.lines.append(line)
        finally:
            record(
                fleet,
                "clean",
                len(run.lines),
                [*(r.name for r in plan.agents), *(agent.name for agent, _ in plan.forgotten)],
            )
    return CleanReport(tuple(run.lines), (*plan.skipped, *run.skipped.items()), tuple(run.kept_files))


def plan_clean(fleet: Fleet, agents: Collection[AgentName] | None = None, *, save_all: bool = False) -> CleanPlan:
    """Plan what ``clean`` would do now, with the same checks. Changes nothing."""
    ground, admins = survey(fleet), worktree_admin.admins(fleet.repository)
    skipped: dict[AgentName, str] = {}
    removals: list[AgentRemoval] = []
    forgotten: list[tuple[Agent, str]] = []
    for agent in fleet.blueprint.agents:
        refs = ground.of(agent)
        if agents is not None and agent.name not in agents:
            continue
        # A record without refs is what a killed call left.
        if agent.adopted and (refs.landed or refs.discarded or refs == AgentRefs()):
            forgotten.append((agent, forget_line(fleet, agent)))
            continue
        if refs.landed is None and refs.discarded is None:
            if agents is not None:
                skipped[agent.name] = "it has neither landed nor been discarded"
            continue
        if not ground.is_ours(agent):
            continue
        try:
            if reason := _reason_to_stay(ground, agent):
                skipped[agent.name] = reason
            else:
                removals.append(plan_removal(ground, agent, admins.get(real(fleet.worktree(agent))), save_all))
        except (GroundError, OSError) as error:
            skipped[agent.name] = explain(error)
    root = fleet.worktrees_root if is_root_leaving(fleet, {removal.name for removal in removals}) else None
    removed = tuple(removal for removal in removals if removal.lines())
    return CleanPlan(removed, tuple(skipped.items()), root, tuple(forgotten))


def _reason_to_stay(ground: Ground, agent: Agent) -> str | None:
    fleet, tip, refs = ground.fleet, ground.branches.get(agent.branch), ground.of(agent)
    path = real(fleet.worktree(agent))
    # A verdict's ref has to reach the branch's tip, so that deleting the branch loses nothing.
    held = [commit for commit in (refs.approved, refs.discarded, refs.landed, refs.base) if commit is not None]
    is_held = tip is None or tip in held or any(fleet.repository.is_ancestor(tip, commit) for commit in held)
    if tip is not None and not is_held:
        later = fleet.repository.count_commits(refs.discarded or refs.approved or refs.base or tip, tip)
        commits = format_count(later, "commit")
        look = f"to decide on them: orchestra review {agent.name}"
        return f"{agent.branch} has {commits} made after the verdict; its tip is {tip[:12]} ({look})"
    for place, worktree in ground.registered.items():
        if worktree.branch == agent.branch and place != path:
            fix = f"git -C {shlex.quote(str(place))} switch --detach"
            return f"{agent.branch} is checked out at {place} (to clean it: {fix})"
    worktree_here = ground.registered.get(path)
    if worktree_here is not None and worktree_here.locked not in (None, fleet.lock_reason(agent)):
        return explain(worktree_removal.locked_by_another(path, worktree_here.locked))
    return None


def _made_folders(fleet: Fleet) -> list[Path]:
    """Return the worktrees' root and the folders above it that spawn made; none where it existed."""
    folders = read_regular(fleet.folder / MADE_ROOT) or b""
    return [Path(os.fsdecode(line)) for line in folders.split(b"\n") if line]


def is_root_leaving(fleet: Fleet, removed: set[AgentName], also: Collection[str] = ()) -> bool:
    """Return whether spawn made the root and nothing but the removed worktrees is in it.

    ``also``: names of other folders in it that are removed.
    """
    root = fleet.worktrees_root
    try:
        is_made = _made_folders(fleet)[:1] == [root]
        present = {entry.name for entry in root.iterdir()}
    except OSError:
        return False
    leaving: set[str] = {worktree_admin.NEW, worktree_admin.OLD, *also}
    staying: set[str] = set()
    for agent in fleet.blueprint.agents:
        path = fleet.worktree(agent)
        if not agent.adopted and path.is_relative_to(root) and (agent.name in removed or path.exists()):
            (leaving if agent.name in removed else staying).add(path.relative_to(root).parts[0])
    return is_made and present <= leaving - staying


def remove_root(fleet: Fleet, root: Path) -> bool:
    """Remove the root, and the folders of worktrees in it, where they are empty."""
    for agent in fleet.blueprint.agents:
        for parent in list(Path(agent.directory).parents)[:-1]:
            worktree_admin.remove_if_empty(root / parent)
    made = _made_folders(fleet)
    try:
        root.rmdir()
        (fleet.folder / MADE_ROOT).unlink(missing_ok=True)
    except OSError:
        return False
    with contextlib.suppress(OSError):  # up to the first that another fleet or repository uses
        for folder in made[1:]:
            folder.rmdir()
    return True
