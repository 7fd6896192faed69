"""Removal of one agent's worktree and branch, without losing what is in them.

Uncommitted work is saved under ``saved/N`` first, and ignored files that were created or changed by hand are kept in
the agent's state folder. The refs ``cleaned`` and ``cleaned-work`` record what there was, for ``restore``.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestra.blueprint.model import Agent, AgentName
from orchestra.engine.job import Engine
from orchestra.errors import GroundError
from orchestra.fleet import BRANCH_RECORD, PORTS_RECORD, Fleet
from orchestra.git import worktree_admin, worktree_removal
from orchestra.git.refs import (
    AgentRefs,
    CommitId,
    Kind,
    RefName,
    RefUpdate,
    agent_ref,
    branch_ref,
    read_fleet,
    resolve,
    update,
)
from orchestra.git.unsaved_work import (
    Snapshot,
    find_unsaved,
    keep_snapshot,
    next_saved,
    saved_as,
    take_lost_snapshot,
    take_snapshot,
)
from orchestra.git.worktree_admin import retired
from orchestra.text import format_count
from orchestra.workspace import git_excludes
from orchestra.workspace.instruction_files import RENDERED, is_as_rendered
from orchestra.workspace.paths import format_command
from orchestra.workspace.progress import Counter, Listener, Phase, explain
from orchestra.workspace.provision import MARK, SETUP_LOG, TEARDOWN_LOG, Failure, run_commands
from orchestra.workspace.spawn_checks import Ground, real
from orchestra.workspace.untracked_files import COPIES, copied_folders, is_as_copied

KEPT = "kept"  # in an agent's state folder: ignored files of its worktree that were made or changed by hand
MOST_BYTES, MOST_FILES = 50_000_000, 1_000  # of uncommitted work that is saved without ``save_all``
_STATE_FILES = (MARK, COPIES, SETUP_LOG, TEARDOWN_LOG, BRANCH_RECORD, PORTS_RECORD, *git_excludes.FILES)


@dataclass(frozen=True, slots=True)
class AgentRemoval:
    """What is removed of one agent, in order. ``lost_index``: as in ``AgentSpawn``."""

    agent: Agent
    worktree: Path
    lost_index: RefName | None = None
    saved_as: RefName | None = None
    teardown: tuple[str, ...] = ()
    removes_worktree: bool = False
    branch_tip: CommitId | None = None
    forgets: bool = False  # rendered copies, set-up log and marks

    @property
    def name(self) -> AgentName:
        return self.agent.name

    def lines(self) -> list[str]:
        """Return one line for each step, in order."""
        lines = []
        if self.lost_index:
            lines.append(f"save what was staged in {self.worktree}, which is gone, as {self.lost_index}")
        if self.saved_as:
            lines.append(self.save_line(self.saved_as))
        lines += [f"(cd {format_command(self.worktree)} && {command})" for command in self.teardown]
        return lines + self.removal_lines()

    def save_line(self, ref: RefName) -> str:
        return f"save the uncommitted work in {self.worktree} as {ref}"

    def removal_lines(self) -> list[str]:
        lines = []
        if self.removes_worktree:
            lines.append(format_command("git", "worktree", "remove", self.worktree))
        if self.branch_tip:
            branch = branch_ref(self.agent.branch)
            lines.append(format_command("git", "update-ref", "-d", branch, self.branch_tip[:12]))
        return [*lines, f"forget the rendered files and the set-up of {self.name}"] if self.forgets else lines


def plan_removal(ground: Ground, agent: Agent, admin: Path | None, save_all: bool) -> AgentRemoval:
    """Plan one agent's removal. Raises GroundError or OSError where its worktree cannot be removed."""
    fleet, path = ground.fleet, ground.fleet.worktree(agent)
    git, is_there = fleet.repository.git, admin is not None and path.exists()
    lost_index, saved_ref = None, None
    if admin is not None and is_there:
        if not save_all:
            _refuse_much_work(path)
        if not worktree_removal.inspect(real(path), admin, fleet.lock_reason(agent)).saved:
            saved_ref = next_saved(git, fleet.name, agent.name)
    elif admin is not None:
        lost_index = next_saved(git, fleet.name, agent.name)
    elif retired(path).exists() and not worktree_admin.belongs_to(retired(path), fleet.repository):
        raise GroundError(f"{retired(path)} belongs to another repository")
    folder = fleet.agent_folder(agent.name)
    return AgentRemoval(
        agent,
        path,
        lost_index=lost_index,
        saved_as=saved_ref,
        teardown=fleet.blueprint.worktrees.setup.teardown if is_there else (),
        removes_worktree=admin is not None or retired(path).exists(),
        branch_tip=ground.branches.get(agent.branch),
        forgets=any((folder / name).exists() for name in (*_STATE_FILES, RENDERED)),
    )


def _refuse_much_work(worktree: Path) -> None:
    """Raise GroundError where saving the uncommitted work would write a lot into the repository."""
    unsaved = find_unsaved(worktree)
    sizes: dict[str, int] = {}
    for name in {*unsaved.changed, *unsaved.untracked}:
        with contextlib.suppress(OSError):  # deleted, or gone meanwhile
            sizes[name] = (worktree / name).lstat().st_size
    total = sum(sizes.values())
    if total <= MOST_BYTES and len(sizes) <= MOST_FILES:
        return
    by_folder: dict[str, tuple[int, int]] = {}
    for name, size in sizes.items():
        folder = name.split("/")[0] if "/" in name else "."
        byte_count, file_count = by_folder.get(folder, (0, 0))
        by_folder[folder] = byte_count + size, file_count + 1
    biggest = max(by_folder, key=lambda folder: by_folder[folder] if total > MOST_BYTES else by_folder[folder][::-1])
    size, count = by_folder[biggest]
    files = format_count(len(sizes), "uncommitted file")
    raise GroundError(
        f"{worktree} has {files} of {total / 1e6:,.0f} MB to save, most of them in {worktree / biggest} "
        f"({format_count(count, 'file')}, {size / 1e6:,.0f} MB)",
        hint="delete or ignore what is not needed, or save all of it: orchestra clean --save-all",
    )


class RemovalRun:
    """One run of removals. ``skipped``: agents that stay from that step on, each with the reason."""

    def __init__(self, fleet: Fleet, progress: Listener) -> None:
        self._fleet, self._git, self._progress = fleet, fleet.repository.git, progress
        self.lines: list[str] = []
        self.skipped: dict[AgentName, str] = {}
        self.kept_files: list[Path] = []

    @contextlib.contextmanager
    def skipping(self, agent: AgentName) -> Iterator[None]:
        """Skip the agent where the body raises. Raises what concerns every agent."""
        try:
            yield
        except (GroundError, OSError) as error:
            self.skipped[agent] = explain(error)

    def remove_all(self, removals: Sequence[AgentRemoval], engine: Engine) -> None:
        """Save all work before anything is removed, run the teardown commands, then remove agent by agent."""
        for removal in removals:
            with self.skipping(removal.name):
                self.save(removal)
        self.tear_down([removal for removal in removals if removal.name not in self.skipped], engine)
        remaining = [removal for removal in removals if removal.name not in self.skipped]
        count = Counter(Phase.REMOVE, sum(removal.removes_worktree for removal in remaining), self._progress)
        for removal in remaining:
            with self.skipping(removal.name):
                self.remove(removal)
            if removal.removes_worktree:
                count(removal.name, self.skipped.get(removal.name, ""))

    def save(self, removal: AgentRemoval) -> None:
        """Save the uncommitted work, or what git still has of a worktree whose folder was deleted."""
        if removal.lost_index and save_lost_index(self._fleet, removal.name, removal.worktree, removal.lost_index):
            self.lines.append(removal.lines()[0])
        if removal.saved_as:
            self._keep(removal, removal.saved_as, take_snapshot(removal.worktree))
            self.lines.append(removal.save_line(removal.saved_as))

    def _keep(self, removal: AgentRemoval, ref: RefName, snapshot: Snapshot) -> bool:
        """Save a snapshot, unless it is saved already, for instance by a command that was killed."""
        if snapshot.saved or saved_as(self._git, self._fleet.name, removal.name, snapshot) is not None:
            return False
        keep_snapshot(removal.worktree, snapshot, ref, f"uncommitted work of {removal.name}")
        return True

    def _record_state(self, removal: AgentRemoval, snapshot: Snapshot | None) -> None:
        """Record the branch's tip and the work that the worktree held, before it goes. A killed run has done so."""
        refs = read_fleet(self._git, self._fleet.name).get(removal.name, AgentRefs())
        work = refs.cleaned_work
        if snapshot is not None:
            saved = None if snapshot.saved else saved_as(self._git, self._fleet.name, removal.name, snapshot)
            work = resolve(self._git, saved) if saved else None
        elif removal.lost_index:
            work = resolve(self._git, removal.lost_index)
        tip_ref, work_ref = (
            agent_ref(self._fleet.name, removal.name, kind) for kind in (Kind.CLEANED, Kind.CLEANED_WORK)
        )
        tip = RefUpdate(tip_ref, removal.branch_tip or refs.cleaned, refs.cleaned)
        update(self._git, [tip, RefUpdate(work_ref, work, refs.cleaned_work)], reason="record what is cleaned")

    def tear_down(self, removals: list[AgentRemoval], engine: Engine) -> None:
        commands = {removal.name: removal.teardown for removal in removals if removal.teardown}
        count = Counter(Phase.TEARDOWN, len(commands), self._progress)
        worktrees = {removal.name: format_command(removal.worktree) for removal in removals}

        def ended(agent: AgentName, failure: Failure | None) -> None:
            if failure is not None:
                self.skipped[agent] = f"teardown: {failure.reason}; see {failure.log}"
            count(agent, self.skipped.get(agent, ""))

        run_commands(
            self._fleet,
            commands,
            engine=engine,
            log_name=TEARDOWN_LOG,
            began=lambda agent, command: self.lines.append(f"(cd {worktrees[agent]} && {command})"),
            ended=ended,
        )

    def remove(self, removal: AgentRemoval) -> None:
        """Remove the worktree, then the branch, then what orchestra stores about the agent."""
        fleet, folder = self._fleet, self._fleet.agent_folder(removal.name)
        path, snapshot = real(removal.worktree), None
        if removal.removes_worktree and (path / ".git").exists():
            snapshot = take_snapshot(path)  # again: teardown has run since the work was saved
            ref = next_saved(self._git, fleet.name, removal.name)
            if self._keep(removal, ref, snapshot):
                self.lines.append(removal.save_line(ref))
        self._record_state(removal, snapshot)
        if removal.removes_worktree:
            removed = worktree_removal.remove(
                fleet.repository,
                path,
                reason=fleet.lock_reason(removal.agent),
                keep=folder / KEPT,
                saved=snapshot,
                disposable=lambda name, file: is_unchanged(fleet, removal.name, name, file),
            )
            self.kept_files += removed.kept_files
        if removal.branch_tip:
            deletion = RefUpdate(branch_ref(removal.agent.branch), None, removal.branch_tip)
            update(self._git, [deletion], reason=f"clean {fleet.name}/{removal.name}")
        if removal.forgets:
            git_excludes.remove_entries(fleet, git_excludes.registered_names(fleet))
            if (folder / RENDERED).is_dir():
                shutil.rmtree(folder / RENDERED, ignore_errors=True)
            for name in _STATE_FILES:
                (folder / name).unlink(missing_ok=True)
        self.lines += removal.removal_lines()


def is_unchanged(fleet: Fleet, agent: AgentName, name: str, file: Path) -> bool:
    """Return whether spawn or set-up made an ignored file and it is as it was then."""
    return is_as_rendered(fleet, agent, name, file) or is_as_copied(fleet.agent_folder(agent), name, file)


def made_folders(fleet: Fleet, agent: AgentName) -> set[str]:
    """Return the ignored folders of an agent's worktree that spawn or set-up made, each with a final slash."""
    shared = {f"{name.rstrip('/')}/" for name in fleet.blueprint.worktrees.setup.share}
    return shared | copied_folders(fleet.agent_folder(agent))


def save_lost_index(fleet: Fleet, agent: AgentName, worktree: Path, ref: RefName) -> bool:
    """Save what was staged or committed only in a worktree whose folder was deleted. False where there was nothing."""
    repository, path = fleet.repository, real(worktree)
    admin, entry = worktree_admin.admins(repository).get(path), worktree_admin.entry(repository, path)
    if admin is None or entry is None:
        return False
    snapshot = take_lost_snapshot(repository.git, admin, entry.head)
    if snapshot.saved or saved_as(repository.git, fleet.name, agent, snapshot) is not None:
        return False
    keep_snapshot(repository.home, snapshot, ref, f"staged in {path}, which was deleted")
    return True
