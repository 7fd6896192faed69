"""Carrying out the steps of a spawn plan, many of a kind at once.

Steps are taken by kind, in the order in which a plan lists the kinds: refs in one transaction, worktrees by one writer
per core, set-up commands as the engine has places. Invariant: a step is in ``done`` when it has happened, and
what has happened by the time of a kill is what a new plan does not list any more. Refuses: steps of a clean.
"""

from __future__ import annotations

import contextlib
import errno
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

from orchestra.blueprint.model import AgentName
from orchestra.engine.job import Engine
from orchestra.errors import MovedError
from orchestra.files import write_atomically
from orchestra.fleet import BRANCH_RECORD, Fleet, remember
from orchestra.git import worktree_admin, worktrees
from orchestra.git.fork_pool import run_forked
from orchestra.git.refs import RefUpdate, branch_ref, update
from orchestra.git.repository import Repository
from orchestra.git.unsaved_work import find_unsaved, keep_snapshot, saved_as, take_lost_snapshot
from orchestra.git.worktrees import Place, as_ground_error
from orchestra.workspace import git_excludes, steps
from orchestra.workspace.instruction_files import rewrite, write_new
from orchestra.workspace.paths import clear_aside
from orchestra.workspace.provision import SETUP_LOG, Failure, Ready, mark, run_commands
from orchestra.workspace.spawn_checks import real
from orchestra.workspace.steps import Step
from orchestra.workspace.submodules import fill_submodules
from orchestra.workspace.untracked_files import copy_file, remember_copies, share_folder

MADE_ROOT = "made-root"
_UNFINISHED = "its set-up has not finished: run spawn again"
StepKind = TypeVar("StepKind", bound=Step)


class Phase(StrEnum):
    WORKTREES = "worktrees"
    SUBMODULES = "submodules"
    SHARE = "share"
    SETUP = "set-up"
    TEARDOWN = "teardown"
    REMOVE = "remove"


@dataclass(frozen=True, slots=True)
class Progress:
    """``done`` of ``total`` in a phase; ``agent`` is the one that was just done, ``detail`` what went wrong with it."""

    phase: Phase
    completed: int
    total: int
    agent: AgentName
    detail: str = ""


class Counter:
    """Reports progress of one phase, one agent at a time."""

    def __init__(self, phase: Phase, total: int, tell: Callable[[Progress], None]) -> None:
        self._phase, self._total, self._tell, self._done = phase, total, tell, 0

    def __call__(self, agent: AgentName, detail: str = "") -> None:
        self._done += 1
        self._tell(Progress(self._phase, self._done, self._total, agent, detail))


@contextlib.contextmanager
def disk_errors(fleet: Fleet) -> Iterator[None]:
    """Turn an OSError into DiskFull or a GroundError that names the path."""
    try:
        yield
    except OSError as error:
        raise as_ground_error(error, Path(error.filename or fleet.folder)) from error


def record(fleet: Fleet, kind: str, completed: Sequence[Step]) -> None:
    """Tell the ledger, which is no more than memory: a full disk must not hide the error that it caused."""
    if completed:
        agents = sorted({step.agent for step in completed if step.agent is not None})
        with contextlib.suppress(sqlite3.Error, OSError):
            fleet.ledger.record(kind, steps=len(completed), agents=[str(name) for name in agents])


class Execution:
    """One run of a spawn plan. ``done`` are the steps that have happened, in order."""

    def __init__(self, fleet: Fleet, engine: Engine, tell: Callable[[Progress], None]) -> None:
        self._fleet = fleet
        self._git = fleet.repository.git
        self._engine = engine
        self._tell = tell
        self._planned: Sequence[Step] = ()
        self._contents: dict[AgentName, list[steps.WriteFile | steps.CopyFile]] = {}
        self._failed: dict[AgentName, Failure] = {}
        self.completed: list[Step] = []
        self.notes: list[str] = []

    def run(self, planned: Sequence[Step]) -> None:
        """Take the steps. Raises MovedError, GitError, GroundError, DiskFull; what is done by then stays done."""
        self._planned = planned
        self._remember()
        self._refs()
        self._hide()
        self._worktrees()
        self._rewrite()
        self._fill_submodules()
        self._share()
        self._set_up()

    def _all(self, kind: type[StepKind]) -> list[StepKind]:
        return [step for step in self._planned if isinstance(step, kind)]

    def _remember(self) -> None:
        for step in self._all(steps.Remember):
            remember(self._fleet)
            self.completed.append(step)

    def _refs(self) -> None:
        pins, branches = self._all(steps.PinBase), self._all(steps.CreateBranch)
        update(self._git, [RefUpdate(pin.ref, pin.commit, None) for pin in pins], reason="pin the base")
        try:
            created = [RefUpdate(branch_ref(step.branch), step.commit, None) for step in branches]
            update(self._git, created, reason=f"branches of fleet {self._fleet.name}")
        except MovedError:  # such a branch was created since the check: it must not count as the agent's
            update(self._git, [RefUpdate(pin.ref, None, pin.commit) for pin in pins], reason="take back")
            raise
        for step in branches:  # the blueprint may name another branch later
            write_atomically(self._fleet.agent_folder(step.agent) / BRANCH_RECORD, f"{step.branch}\n")
        self.completed += [*pins, *branches]

    def _hide(self) -> None:
        for hide in self._all(steps.HideFiles):
            git_excludes.write_excludes(self._fleet, hide.text)
            admins = worktree_admin.admins(self._fleet.repository)
            ours = {real(self._fleet.worktree(agent)) for agent in self._fleet.blueprint.agents}
            git_excludes.add_entries(self._fleet, [admin.name for path, admin in admins.items() if path in ours])
            self.completed.append(hide)

    def _worktrees(self) -> None:
        for root in self._all(steps.MakeRoot):
            write_atomically(self._fleet.folder / MADE_ROOT, f"{root.path}\n")
            root.path.mkdir(parents=True, exist_ok=True)
            self.completed.append(root)
        for staged in self._all(steps.KeepStaged):
            if save_lost_index(self._fleet.repository, staged):
                self.completed.append(staged)
        added = {self._place(step): step for step in self._all(steps.AddWorktree)}
        self._contents = {step.agent: [] for step in added.values()}
        for content in self._planned:
            if isinstance(content, steps.WriteFile | steps.CopyFile):
                self._contents.setdefault(content.agent, []).append(content)
        count = Counter(Phase.WORKTREES, len(added), self._tell)

        def placed(place: Place) -> None:
            self.completed += [added[place], *self._contents[added[place].agent]]
            count(added[place].agent)

        for agent in self._fleet.blueprint.agents:  # a kill between the last worktree and this left it empty
            worktree_admin.remove_if_empty(worktree_admin.staged(real(self._fleet.worktree(agent))).parent)
        worktrees.add_all(
            self._fleet.repository,
            list(added),
            registered=self._registered,
            furnish=lambda place, folder: self._furnish(added[place], folder),
            placed=placed,
        )

    def _place(self, step: steps.AddWorktree) -> Place:
        reason = self._fleet.lock_reason(self._fleet.require_agent(step.agent))
        return Place(real(step.path), step.commit, step.branch, reason)

    def _registered(self, names: Mapping[Path, str]) -> None:
        git_excludes.add_entries(self._fleet, names.values())

    def _furnish(self, worktree: steps.AddWorktree, folder: Path) -> None:
        agent_folder = self._fleet.agent_folder(worktree.agent)
        mark(agent_folder, Ready.NOT_READY, _UNFINISHED)
        copied = []
        for step in self._contents[worktree.agent]:
            try:
                if isinstance(step, steps.WriteFile):
                    write_new(self._fleet, step, folder)
                elif copy_file(step, folder):
                    copied.append(step.name)
            except OSError as error:  # what the agent's branch has there is that agent's problem
                self._fail(step, error)
        remember_copies(agent_folder, folder, copied)

    def _fail(self, step: steps.WriteFile | steps.CopyFile, error: OSError) -> None:
        """Mark an agent as not ready for a file that cannot be written. Raises the error where the disk is full."""
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise error
        folder = self._fleet.agent_folder(step.agent)
        reason = f"{step.worktree / step.name} cannot be written: {error.strerror}"
        self._failed[step.agent] = Failure(str(step), reason, folder / SETUP_LOG)
        mark(folder, Ready.NOT_READY, reason)

    def _rewrite(self) -> None:
        new = {step.agent for step in self._all(steps.AddWorktree)}
        for step in self._all(steps.WriteFile):
            if step.agent not in new:
                try:
                    rewrite(self._fleet, step)
                    self.completed.append(step)
                except OSError as error:
                    self._fail(step, error)

    def _fill_submodules(self) -> None:
        """One agent after the other: git writes to the configuration that all worktrees share."""
        fills = self._all(steps.FillSubmodules)
        count = Counter(Phase.SUBMODULES, len(fills), self._tell)
        for step in fills:
            problems = fill_submodules(step.worktree, self._fleet.repository.common_dir, step.base)
            self.notes += [f"{step.agent}: {problem}" for problem in problems]
            self.completed.append(step)
            count(step.agent)

    def _share(self) -> None:
        shares = self._all(steps.ShareFolder)
        if not shares:
            return
        count = Counter(Phase.SHARE, len(shares), self._tell)
        by_agent = {name: [s for s in shares if s.agent == name] for name in dict.fromkeys(s.agent for s in shares)}
        work = list(by_agent.values())
        with contextlib.closing(run_forked(len(work), lambda n: _share_all(work[n]), shares[0].worktree)) as finished:
            for number in finished:
                for step in work[number]:
                    self.completed.append(step)
                    count(step.agent)

    def _set_up(self) -> None:
        commands, marks = self._all(steps.RunCommand), self._all(steps.MarkReady)
        count = Counter(Phase.SETUP, len({step.agent for step in commands}), self._tell)

        def ended(agent: AgentName, failure: Failure | None) -> None:
            if failure is not None:
                self._failed[agent] = failure
                mark(self._fleet.agent_folder(agent), Ready.NOT_READY, failure.reason)
            count(agent, failure.reason if failure else "")

        run_commands(
            self._fleet, commands, engine=self._engine, log_name=SETUP_LOG, began=self.completed.append, ended=ended
        )
        ran = {step.agent for step in commands}
        for step in marks:
            if step.agent not in self._failed:
                self._mark_ready(step, ran=step.agent in ran)

    def _mark_ready(self, step: steps.MarkReady, *, ran: bool) -> None:
        worktree = self._fleet.worktree(self._fleet.require_agent(step.agent))
        agent_folder = self._fleet.agent_folder(step.agent)
        clear_aside(worktree)
        if ran:  # files that set-up created and that stay unchanged need not be kept by clean
            remember_copies(agent_folder, worktree, find_unsaved(worktree).ignored)
        mark(agent_folder, Ready.READY)
        self.completed.append(step)


def save_lost_index(repository: Repository, step: steps.KeepStaged) -> bool:
    """Save what was staged or committed only in a worktree whose folder was deleted. False where there was nothing."""
    path = real(step.worktree)
    admin = worktree_admin.admins(repository).get(path)
    entry = worktree_admin.entry(repository, path)
    if admin is None or entry is None:
        return False
    snapshot = take_lost_snapshot(repository.git, admin, entry.head)
    if snapshot.saved or saved_as(repository.git, step.fleet, step.agent, snapshot) is not None:
        return False
    keep_snapshot(repository.home, snapshot, step.ref, f"staged in {path}, which was deleted")
    return True


def _share_all(shares: Sequence[steps.ShareFolder]) -> bool:
    """In a writer process: one agent's folders, one after the other, since they share a temporary place."""
    for step in shares:
        share_folder(step)
    return True
