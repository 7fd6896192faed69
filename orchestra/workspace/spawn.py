"""Give every agent its place: branch, worktree, instruction files, set-up.

Run again, ``spawn`` has nothing to do; run after a kill, it does what is left. Refs are made in one transaction,
worktrees by one writer per core, set-up commands run as the engine has places for them.
"""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from orchestra.blueprint.model import AgentName
from orchestra.engine.job import Engine
from orchestra.errors import GroundError
from orchestra.files import write_atomically
from orchestra.fleet import BRANCH_RECORD, Fleet, remember
from orchestra.git import worktree_admin, worktree_removal, worktrees
from orchestra.git.fork_pool import run_forked
from orchestra.git.lock import exclusive
from orchestra.git.refs import CommitId, RefUpdate, branch_ref, update
from orchestra.git.unsaved_work import (
    Unsaved,
    find_unsaved,
    restore_uncommitted,
)
from orchestra.git.worktrees import Place
from orchestra.text import format_list
from orchestra.workspace import git_excludes
from orchestra.workspace.instruction_files import rewrite, write_new
from orchestra.workspace.paths import clear_aside
from orchestra.workspace.ports import record_ports, with_ports
from orchestra.workspace.progress import Counter, Listener, Phase, disk_errors, record
from orchestra.workspace.provision import SETUP_LOG, Failure, Readiness, Ready, mark, readiness, run_commands
from orchestra.workspace.removal import save_lost_index
from orchestra.workspace.renewal import renew
from orchestra.workspace.spawn_checks import real
from orchestra.workspace.spawn_plan import AgentSpawn, SpawnPlan, SpawnRefused, plan_spawn
from orchestra.workspace.submodules import fill_submodules
from orchestra.workspace.untracked_files import copy_file, remember_copies, share_folder, untracked_since

MADE_ROOT = "made-root"  # in the fleet's folder: the root and those above that spawn made; clean removes empty ones
_UNFINISHED = "its set-up has not finished: run spawn again"


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
class SpawnReport:
    """``steps`` are the lines of the plan that were executed; ``places`` reports a set-up that failed.

    ``not_renewed``: agents that ``fresh`` left as they are; the notes give the reasons.
    """

    base: CommitId
    steps: tuple[str, ...]
    places: tuple[AgentPlace, ...]
    notes: tuple[str, ...]
    not_renewed: tuple[AgentName, ...] = ()

    @property
    def not_ready(self) -> tuple[AgentPlace, ...]:
        return tuple(place for place in self.places if place.readiness.state is Ready.NOT_READY)


def spawn(
    fleet: Fleet,
    *,
    engine: Engine,
    agents: Collection[AgentName] | None = None,
    fresh: bool = False,
    progress: Listener = lambda _: None,
) -> SpawnReport:
    """Make what is missing. Raises SpawnRefused, LockHeld, DiskFull; run again, it goes on where it was.

    The arguments are those of ``plan_spawn``. A set-up command that fails raises nothing: it is in the report, and the
    next spawn tries it again.
    """
    with disk_errors(fleet), exclusive(fleet.repository.state_folder, "spawn"):
        for agent in fleet.blueprint.agents:  # a clean that was killed may have put a worktree out of sight
            with contextlib.suppress(GroundError):  # the plan's checks say what is in the way
                if not agent.adopted:
                    worktree_removal.settle(fleet.repository, real(fleet.worktree(agent)))
        fleet = with_ports(fleet, agents, reserve=True)
        plan = plan_spawn(fleet, agents=agents, fresh=fresh)
        if plan.problems or plan.base is None:
            raise SpawnRefused(plan.problems, plan.blueprint_errors)
        base, lines = plan.base, list[str]()
        notes: list[str] = []
        not_renewed: tuple[AgentName, ...] = ()
        if plan.renewal and plan.renewal.removals:
            renewed = renew(fleet, plan.renewal, engine, progress)
            lines, notes = renewed.lines, [f"{name} stays as it is: {why}" for name, why in renewed.skipped.items()]
            not_renewed = tuple(renewed.skipped) if fresh else ()
            plan = replace(plan, agents=tuple(p for p in plan.agents if p.name not in renewed.skipped))
        run = execute(fleet, plan, engine, progress)
    places = []
    for agent in fleet.blueprint.agents:
        if not agent.adopted and (agents is None or agent.name in agents):
            origin = WorktreeOrigin.MADE if agent.name in plan.new_agents else WorktreeOrigin.EXISTING
            origin = WorktreeOrigin.SETTLED if agent.name in plan.settled else origin
            ready = readiness(fleet, agent.name)
            places.append(AgentPlace(agent.name, agent.branch, fleet.worktree(agent), origin, ready))
    return SpawnReport(base, (*lines, *run.lines), tuple(places), (*notes, *plan.notes, *run.notes), not_renewed)


def execute(fleet: Fleet, plan: SpawnPlan, engine: Engine, progress: Listener) -> SpawnRun:
    """Make what a plan lists, under the lock."""
    run = SpawnRun(fleet, plan, engine, progress)
    try:
        if plan.remembered:
            remember(fleet)
            run.completed(plan.remember_line())
        run.create_refs()
        if plan.excludes_file:
            git_excludes.write_excludes(fleet, plan.excludes)
            git_excludes.add_entries(fleet, git_excludes.registered_names(fleet))
            run.completed(plan.excludes_line())
        if plan.root:
            created = [folder for folder in (plan.root, *plan.root.parents) if not folder.exists()]
            write_atomically(fleet.folder / MADE_ROOT, "".join(f"{folder}\n" for folder in created))
            plan.root.mkdir(parents=True, exist_ok=True)
            run.completed(plan.root_line())
        run.create_worktrees()
        run.rewrite_files()
        run.fill_submodules()
        run.share_folders()
        run.set_up()
    finally:
        record(fleet, "spawn", len(run.lines), [planned.name for planned in plan.agents])
    run.note_shown_files()
    return run


class SpawnRun:
    """One run of a spawn plan. ``lines``: what has happened, in order."""

    def __init__(self, fleet: Fleet, plan: SpawnPlan, engine: Engine, progress: Listener) -> None:
        self._fleet, self._plan, self._engine, self._progress = fleet, plan, engine, progress
        self._git = fleet.repository.git
        self._failed: set[AgentName] = set()
        self.lines: list[str] = []
        self.notes: list[str] = []

    def completed(self, *lines: str | None) -> None:
        self.lines += [line for line in lines if line]

    def create_refs(self) -> None:
        """Pin the bases and create the branches. Bases come first: a branch without one would not count as ours."""
        agents = self._plan.agents
        pins = [RefUpdate(*planned.pinned_base, None) for planned in agents if planned.pinned_base]
        new = [planned for planned in agents if planned.creates_branch]
        branches = [RefUpdate(branch_ref(planned.agent.branch), planned.tip, None) for planned in new]
        update(self._git, [*pins, *branches], reason=f"spawn fleet {self._fleet.name}")
        for planned in agents:  # the blueprint may name another branch later; a killed run may not have come here
            branch_record = self._fleet.agent_folder(planned.name) / BRANCH_RECORD
            if planned.creates_branch or not branch_record.exists():
                write_atomically(branch_record, f"{planned.agent.branch}\n")
        for planned in agents:
            if planned.ports:
                record_ports(self._fleet, planned.agent)
            self.completed(*planned.ref_lines())

    def create_worktrees(self) -> None:
        """Create the worktrees, each with its files before it appears."""
        fleet = self._fleet
        for planned in self._plan.agents:
            if planned.lost_index and save_lost_index(fleet, planned.name, planned.worktree, planned.lost_index):
                self.completed(f"save what was staged in {planned.worktree}, which is gone, as {planned.lost_index}")
        for agent in fleet.blueprint.agents:  # a kill between the last worktree and this left it empty
            worktree_admin.remove_if_empty(worktree_admin.staged(real(fleet.worktree(agent))).parent)
        new = {
            Place(real(p.worktree), p.tip, p.agent.branch, fleet.lock_reason(p.agent)): p
            for p in self._plan.agents
            if p.creates_worktree
        }
        count = Counter(Phase.WORKTREES, len(new), self._progress)

        def placed(place: Place) -> None:
            self.completed(*new[place].worktree_lines())
            count(new[place].name)

        worktrees.add_all(
            fleet.repository,
            list(new),
            registered=lambda names: git_excludes.add_entries(fleet, names.values(), are_new=True),
            furnish=lambda place, folder: self._furnish(new[place], folder),
            placed=placed,
        )

    def _furnish(self, planned: AgentSpawn, folder: Path) -> None:
        """Put the instruction files and copies into a worktree that is not in its place yet."""
        agent_folder, copied = self._fleet.agent_folder(planned.name), []
        mark(agent_folder, Ready.NOT_READY, _UNFINISHED)
        if planned.restored_work:
            restore_uncommitted(folder, planned.tip, planned.restored_work)
        for name, text in planned.files.items():
            with self._one_file(planned, name):
                write_new(self._fleet, planned.name, folder, name, text)
        for name in planned.copied:
            with self._one_file(planned, name):
                copied += [name] if copy_file(planned.source, name, folder) else []
        for name in planned.kept_files:
            with self._one_file(planned, name):
                if (folder / name).is_file() or (folder / name).is_symlink():
                    (folder / name).unlink()  # as it was rendered or copied just now
                copy_file(planned.kept_in, name, folder)
        remember_copies(agent_folder, folder, [name for name in copied if name not in planned.kept_files])

    def rewrite_files(self) -> None:
        """Render again what changed in the worktrees that exist."""
        for planned in self._plan.agents:
            for name, text in {} if planned.creates_worktree else planned.files.items():
                with self._one_file(planned, name):
                    rewrite(self._fleet, planned.name, planned.worktree, name, text)
            self.completed(
                *(() if planned.creates_worktree or planned.name in self._failed else planned.worktree_lines())
            )

    @contextlib.contextmanager
    def _one_file(self, planned: AgentSpawn, name: str) -> Iterator[None]:
        """Mark an agent as not ready for a file that cannot be written. Raises the error where the disk is full."""
        try:
            yield
        except OSError as error:  # what the agent's branch has there is that agent's problem
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise
            self._failed.add(planned.name)
            reason = f"{planned.worktree / name} cannot be written: {error.strerror}"
            mark(self._fleet.agent_folder(planned.name), Ready.NOT_READY, reason)

    def fill_submodules(self) -> None:
        """Fill them, one agent after the other: git writes to the configuration that all worktrees share."""
        filling = [planned for planned in self._plan.agents if planned.submodules_of]
        count = Counter(Phase.SUBMODULES, len(filling), self._progress)
        for planned in filling:
            assert planned.submodules_of  # noqa: S101 - as chosen above
            problems = fill_submodules(planned.worktree, self._fleet.repository.common_dir, planned.submodules_of)
            self.notes += [f"{planned.name}: {problem}" for problem in problems]
            self.completed(*planned.submodule_lines())
            count(planned.name)

    def share_folders(self) -> None:
        """Copy the big folders, an agent's one after the other, since they share a temporary place."""
        sharing = [planned for planned in self._plan.agents if planned.shared]
        if not sharing:
            return
        count = Counter(Phase.SHARE, len(sharing), self._progress)

        def share_all(number: int) -> bool:
            for name in sharing[number].shared:
                share_folder(sharing[number].source, name, sharing[number].worktree)
            return True

        with contextlib.closing(run_forked(len(sharing), share_all, sharing[0].worktree)) as finished:
            for number in finished:
                self.completed(*sharing[number].share_lines())
                count(sharing[number].name)

    def set_up(self) -> None:
        """Run the set-up commands, and mark the agents whose set-up passed as ready."""
        planned_by_name = {planned.name: planned for planned in self._plan.agents}
        commands = {name: planned.commands for name, planned in planned_by_name.items() if planned.commands}
        count = Counter(Phase.SETUP, len(commands), self._progress)
        # What is in a worktree before a set-up is repeated may be work.
        before = {
            name: Unsaved(ignored=planned.kept_files)
            if planned.creates_worktree and not planned.restored_work
            else find_unsaved(planned.worktree)
            for name, planned in planned_by_name.items()
            if planned.commands
        }

        def ended(agent: AgentName, failure: Failure | None) -> None:
            if failure is not None:
                self._failed.add(agent)
                mark(
                    self._fleet.agent_folder(agent),
                    Ready.NOT_READY,
                    failure.reason,
                    error_line=failure.error_line,
                    elapsed_s=failure.elapsed_s,
                )
            count(agent, failure.reason if failure else "")

        run_commands(
            self._fleet,
            commands,
            engine=self._engine,
            log_name=SETUP_LOG,
            began=lambda agent, command: self.completed(planned_by_name[agent].command_line(command)),
            ended=ended,
        )
        by_files: dict[tuple[str, ...], list[AgentName]] = {}
        for name, known in before.items():
            if created := untracked_since(planned_by_name[name].worktree, known.untracked):
                git_excludes.hide_set_up_files(self._fleet, name, planned_by_name[name].worktree, created)
                by_files.setdefault(tuple(created), []).append(name)
        for files, names in by_files.items():
            created_files, agents = format_list(files, most=3), format_list(names, most=3)
            self.notes.append(f"{agents}: set-up created {created_files}, which git ignores there from now on")
        for planned in self._plan.agents:
            if planned.sets_up and planned.name not in self._failed:
                agent_folder = self._fleet.agent_folder(planned.name)
                clear_aside(planned.worktree)
                if planned.commands:  # files that set-up created and that stay unchanged need not be kept by clean
                    after, known = find_unsaved(planned.worktree), before[planned.name]
                    folders = set(after.ignored_folders) - set(known.ignored_folders)
                    made = set(after.ignored) - set(known.ignored)
                    remember_copies(agent_folder, planned.worktree, made, folders)
                mark(agent_folder, Ready.READY)
                self.completed(planned.ready_line())

    def note_shown_files(self) -> None:
        """Note that a .gitignore of the repository makes git show our files; one worktree stands for all."""
        new = [planned for planned in self._plan.agents if planned.creates_worktree]
        if new and (names := git_excludes.shown(new[0].worktree, new[0].files)):
            shown = ", ".join(names)
            self.notes.append(f"a .gitignore of this repository makes git status show {shown}; they will not land")
