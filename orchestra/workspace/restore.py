"""Bring an agent back that was cleaned or discarded: its branch, its worktree and its uncommitted work.

``clean`` records the branch's tip and the work that the worktree held. Both are in the new worktree before it appears;
the records, and the verdict of a discarded agent, are deleted last, so that a restore that was killed can be run again.
"""

from __future__ import annotations

import contextlib
import filecmp
import os
from dataclasses import dataclass
from pathlib import Path

from orchestra.blueprint.model import Agent
from orchestra.engine.job import Engine
from orchestra.errors import GroundError
from orchestra.files import sync_filesystem
from orchestra.fleet import Fleet
from orchestra.git import worktree_removal
from orchestra.git.lock import exclusive
from orchestra.git.refs import CommitId, Kind, RefName, RefUpdate, agent_ref, resolve, saved_ref, update
from orchestra.workspace.paths import format_command
from orchestra.workspace.ports import with_ports
from orchestra.workspace.progress import Listener, disk_errors
from orchestra.workspace.provision import Readiness, readiness
from orchestra.workspace.removal import KEPT
from orchestra.workspace.spawn import execute
from orchestra.workspace.spawn_checks import Ground, find_problems, real, survey
from orchestra.workspace.spawn_plan import Restored, SpawnPlan, SpawnRefused, plan_agents


@dataclass(frozen=True, slots=True)
class RestorePlan:
    """``refs``: those that are deleted at the end. Without lines there is nothing to restore."""

    agent: Agent
    spawn: SpawnPlan
    refs: tuple[tuple[RefName, CommitId], ...]
    kept_in: Path  # where clean kept ``kept_files``
    kept_files: tuple[str, ...]

    def lines(self) -> list[str]:
        """Return one line for each step."""
        return [*self.spawn.lines(), *self.ref_lines()]

    def ref_lines(self) -> list[str]:
        return [format_command("git", "update-ref", "-d", ref, commit[:12]) for ref, commit in self.refs]


@dataclass(frozen=True, slots=True)
class RestoreReport:
    """``steps``: the lines of what was done."""

    agent: Agent
    worktree: Path
    steps: tuple[str, ...]
    notes: tuple[str, ...]
    readiness: Readiness


def restore(fleet: Fleet, agent: Agent, *, engine: Engine, progress: Listener = lambda _: None) -> RestoreReport:
    """Restore one agent. Raises SpawnRefused and other GroundErrors, LockHeld, DiskFull; run again, it continues."""
    with disk_errors(fleet), exclusive(fleet.repository.state_folder, "restore"):
        with contextlib.suppress(GroundError):  # the plan's checks say what is in the way
            if not agent.adopted:
                worktree_removal.settle(fleet.repository, real(fleet.worktree(agent)))
        fleet = with_ports(fleet, [agent.name], reserve=True)
        plan = plan_restore(fleet, agent)
        run = execute(fleet, plan.spawn, engine, progress)
        if not agent.adopted and (plan.kept_files or plan.refs):
            sync_filesystem(fleet.worktree(agent))  # what was restored, before its other copies go
        for name in plan.kept_files:  # they are in the worktree again
            kept_file = plan.kept_in / name
            with contextlib.suppress(OSError):
                if filecmp.cmp(kept_file, fleet.worktree(agent) / name, shallow=False):
                    kept_file.unlink()
        deletions = [RefUpdate(ref, None, commit) for ref, commit in plan.refs]
        update(fleet.repository.git, deletions, reason=f"restore {fleet.name}/{agent.name}")
        run.completed(*plan.ref_lines())
    notes = (*plan.spawn.notes, *run.notes)
    return RestoreReport(agent, fleet.worktree(agent), tuple(run.lines), notes, readiness(fleet, agent.name))


def plan_restore(fleet: Fleet, agent: Agent) -> RestorePlan:
    """Plan what ``restore`` would do now, with the same checks. Changes nothing."""
    fleet = with_ports(fleet, [agent.name])
    agent = fleet.require_agent(agent.name)
    ground = survey(fleet)
    refs = ground.of(agent)
    if refs.base is None:
        raise GroundError(f"{agent.name} was never spawned", hint=f"orchestra spawn {agent.name}")
    if agent.adopted:  # its branch and its worktree were never touched
        verdict = ((agent_ref(fleet.name, agent.name, Kind.DISCARDED), refs.discarded),) if refs.discarded else ()
        return RestorePlan(agent, SpawnPlan(ground.base), verdict, fleet.agent_folder(agent.name) / KEPT, ())
    if problems := tuple(find_problems(ground, [agent])):
        raise SpawnRefused(problems)
    ended = {Kind.DISCARDED: refs.discarded, Kind.CLEANED: refs.cleaned, Kind.CLEANED_WORK: refs.cleaned_work}
    deleted = tuple((agent_ref(fleet.name, agent.name, kind), commit) for kind, commit in ended.items() if commit)
    kept_in = fleet.agent_folder(agent.name) / KEPT
    kept_paths = [Path(folder, name).relative_to(kept_in) for folder, _, names in os.walk(kept_in) for name in names]
    kept_files = tuple(sorted(path.as_posix() for path in kept_paths))
    if ground.is_there(agent):  # discarded and not cleaned, or a restore that was killed
        return RestorePlan(agent, plan_agents(ground, [agent]), deleted, kept_in, kept_files)
    tip = ground.branches.get(agent.branch) or refs.cleaned or refs.discarded or refs.approved or refs.base
    work, notes = _find_work(ground, agent, tip)
    plan = plan_agents(ground, [agent], notes=notes, restored=Restored(tip, work, kept_in, kept_files))
    return RestorePlan(agent, plan, deleted, kept_in, kept_files)


def _find_work(ground: Ground, agent: Agent, tip: CommitId) -> tuple[CommitId | None, list[str]]:
    """Return the uncommitted work to restore at ``tip``, and notes about work that does not belong there."""
    fleet, refs = ground.fleet, ground.of(agent)
    # Before clean recorded it: the newest saved work, where it was saved at that tip.
    work = refs.cleaned_work or (None if refs.cleaned or not refs.saved else refs.saved[-1])
    if work is None:
        return None, []
    if resolve(fleet.repository.git, f"{work}^") == tip and work != tip:
        return work, []
    number = refs.saved.index(work) + 1 if work in refs.saved else len(refs.saved)
    place = saved_ref(fleet.name, agent.name, number)
    return None, [f"{agent.name}: its uncommitted work was made on another commit; it stays saved as {place}"]
