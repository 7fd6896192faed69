"""Remove the worktrees and branches of agents whose work landed or was discarded.

Everything that is removed is held by a ref. Uncommitted work is saved under ``saved/N`` first, ignored files created or
changed by hand are kept in the agent's state folder, and a branch is deleted only while a verdict's ref reaches its
tip. An agent that cannot be removed keeps its worktree and is reported with the reason; the others go on.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from orchestra.blueprint.model import Agent, AgentName
from orchestra.engine.job import Engine
from orchestra.errors import GroundError
from orchestra.files import read_regular
from orchestra.fleet import BRANCH_RECORD, Fleet
from orchestra.git import worktree_admin, worktree_removal
from orchestra.git.lock import exclusive
from orchestra.git.refs import CommitId, RefName, RefUpdate, branch_ref, update
from orchestra.git.unsaved_work import Snapshot, find_unsaved, keep_snapshot, next_saved, saved_as, take_snapshot
from orchestra.git.worktree_admin import retired
from orchestra.text import format_count
from orchestra.workspace import git_excludes
from orchestra.workspace.instruction_files import RENDERED, is_as_rendered
from orchestra.workspace.progress import Counter, Listener, Phase, disk_errors, explain, record
from orchestra.workspace.provision import MARK, SETUP_LOG, TEARDOWN_LOG, Failure, run_commands
from orchestra.workspace.spawn import MADE_ROOT, registered_names, save_lost_index
from orchestra.workspace.spawn_checks import Ground, real, survey
from orchestra.workspace.spawn_plan import format_command
from orchestra.workspace.untracked_files import COPIES, is_as_copied

KEPT = "kept"  # in an agent's state folder: ignored files of its worktree that were made or changed by hand
_STATE_FILES = (MARK, COPIES, SETUP_LOG, TEARDOWN_LOG, BRANCH_RECORD, *git_excludes.FILES)
MOST_BYTES, MOST_FILES = 50_000_000, 1_000  # of uncommitted work that is saved without ``save_all``


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


@dataclass(frozen=True, slots=True)
class CleanPlan:
    """``skipped``: landed or discarded agents that keep their worktree, each with the reason.

    ``root``: the folder of the worktrees, which spawn made, where it will be empty.
    """

    agents: tuple[AgentRemoval, ...]
    skipped: tuple[tuple[AgentName, str], ...]
    root: Path | None

    def lines(self) -> list[str]:
        """Return one line for each step."""
        root = [format_command("rmdir", self.root)] if self.root else []
        return [line for removal in self.agents for line in removal.lines()] + root


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

    Run again after an interruption, it continues. ``save_all``: also save uncommitted work of more than ``MOST_BYTES``
    or ``MOST_FILES``.
    """
    with disk_errors(fleet), exclusive(fleet.repository.state_folder, "clean"):
        # Bring removals that were killed to an end. The plan finds and reports the same problems.
        for agent in fleet.blueprint.agents:
            try:
                worktree_removal.settle(fleet.repository, real(fleet.worktree(agent)))
            except (GroundError, OSError) as error:
                explain(error)  # raises what concerns every agent
        plan = plan_clean(fleet, agents, save_all=save_all)
        run = _Run(fleet, progress)
        try:
            # All work is saved before anything is removed.
            for removal in plan.agents:
                with run.skipping(removal.name):
                    run.save(removal)
            run.tear_down([removal for removal in plan.agents if removal.name not in run.skipped], engine)
            remaining = [removal for removal in plan.agents if removal.name not in run.skipped]
            count = Counter(Phase.REMOVE, sum(removal.removes_worktree for removal in remaining), progress)
            for removal in remaining:
                with run.skipping(removal.name):
                    run.remove(removal)
                if removal.removes_worktree:
                    count(removal.name, run.skipped.get(removal.name, ""))
            if plan.root:
                run.remove_root(plan.root)
        finally:
            record(fleet, "clean", len(run.lines), [removal.name for removal in plan.agents])
    return CleanReport(tuple(run.lines), (*plan.skipped, *run.skipped.items()), tuple(run.kept_files))


def plan_clean(fleet: Fleet, agents: Collection[AgentName] | None = None, *, save_all: bool = False) -> CleanPlan:
    """Plan what ``clean`` would do now, with the same checks. Changes nothing."""
    ground, admins = survey(fleet), worktree_admin.admins(fleet.repository)
    skipped: dict[AgentName, str] = {}
    removals: list[AgentRemoval] = []
    for agent in fleet.blueprint.agents:
        refs = ground.of(agent)
        if agents is not None and agent.name not in agents:
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
                removals.append(_plan_removal(ground, agent, admins.get(real(fleet.worktree(agent))), save_all))
        except (GroundError, OSError) as error:
            skipped[agent.name] = explain(error)
    root = fleet.worktrees_root if _is_root_leaving(fleet, {removal.name for removal in removals}) else None
    return CleanPlan(tuple(removal for removal in removals if removal.lines()), tuple(skipped.items()), root)


def _reason_to_stay(ground: Ground, agent: Agent) -> str | None:
    fleet, tip, refs = ground.fleet, ground.branches.get(agent.branch), ground.of(agent)
    path = real(fleet.worktree(agent))
    # A verdict's ref has to reach the branch's tip, so that deleting the branch loses nothing.
    held = [commit for commit in (refs.approved, refs.discarded, refs.landed, refs.base) if commit is not None]
    is_held = tip is None or tip in held or any(fleet.repository.is_ancestor(tip, commit) for commit in held)
    if tip is not None and not is_held:
        later = fleet.repository.count_commits(refs.discarded or refs.approved or refs.base or tip, tip)
        return f"{agent.branch} has {later} commits made after the verdict; its tip is {tip[:12]}"
    for place, worktree in ground.registered.items():
        if worktree.branch == agent.branch and place != path:
            return f"{agent.branch} is checked out at {place}"
    worktree_here = ground.registered.get(path)
    if worktree_here is not None and worktree_here.locked not in (None, fleet.lock_reason(agent)):
        return f"{path} is locked: {worktree_here.locked or 'no reason given'}"
    return None


def _plan_removal(ground: Ground, agent: Agent, admin: Path | None, save_all: bool) -> AgentRemoval:
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


def _made_folders(fleet: Fleet) -> list[Path]:
    """Return the worktrees' root and the folders above it that spawn made; none where it existed."""
    made = read_regular(fleet.folder / MADE_ROOT) or b""
    return [Path(os.fsdecode(line)) for line in made.split(b"\n") if line]


def _is_root_leaving(fleet: Fleet, removed: set[AgentName]) -> bool:
    """Return whether spawn made the root and nothing but the removed worktrees is in it."""
    root = fleet.worktrees_root
    try:
        is_made = _made_folders(fleet)[:1] == [root]
        present = {entry.name for entry in root.iterdir()}
    except OSError:
        return False
    leaving: set[str] = {worktree_admin.NEW, worktree_admin.OLD}
    staying: set[str] = set()
    for agent in fleet.blueprint.agents:
        path = fleet.worktree(agent)
        if path.is_relative_to(root) and (agent.name in removed or path.exists()):
            (leaving if agent.name in removed else staying).add(path.relative_to(root).parts[0])
    return is_made and present <= leaving - staying


class _Run:
    """One run of a clean plan. ``skipped``: agents that stay from that step on, each with the reason."""

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
        if removal.removes_worktree:
            path, snapshot = real(removal.worktree), None
            if (path / ".git").exists():
                snapshot = take_snapshot(path)  # again: teardown has run since the work was saved
                ref = next_saved(self._git, fleet.name, removal.name)
                if self._keep(removal, ref, snapshot):
                    self.lines.append(removal.save_line(ref))
            removed = worktree_removal.remove(
                fleet.repository,
                path,
                reason=fleet.lock_reason(removal.agent),
                keep=folder / KEPT,
                saved=snapshot,
                # Files that spawn wrote and that are unchanged.
                disposable=lambda name, file: (
                    is_as_rendered(fleet, removal.name, name, file) or is_as_copied(folder, name, file)
                ),
            )
            self.kept_files += removed.kept_files
        if removal.branch_tip:
            deletion = RefUpdate(branch_ref(removal.agent.branch), None, removal.branch_tip)
            update(self._git, [deletion], reason=f"clean {fleet.name}/{removal.name}")
        if removal.forgets:
            git_excludes.remove_entries(fleet, registered_names(fleet))
            if (folder / RENDERED).is_dir():
                shutil.rmtree(folder / RENDERED, ignore_errors=True)
            for name in _STATE_FILES:
                (folder / name).unlink(missing_ok=True)
        self.lines += removal.removal_lines()

    def remove_root(self, root: Path) -> None:
        """Remove empty folders only."""
        for agent in self._fleet.blueprint.agents:
            for parent in list(Path(agent.directory).parents)[:-1]:
                worktree_admin.remove_if_empty(root / parent)
        with contextlib.suppress(OSError):
            made = _made_folders(self._fleet)
            root.rmdir()
            (self._fleet.folder / MADE_ROOT).unlink(missing_ok=True)
            self.lines.append(format_command("rmdir", root))
            for folder in made[1:]:  # up to the first that another fleet or repository uses
                folder.rmdir()
