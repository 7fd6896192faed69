"""Execute the steps of a clean plan, kind by kind.

Invariant: an agent whose step fails is skipped from that step on, with the reason, and the others go on; what a skipped
agent had is unchanged, or saved. Only a full disk stops the command.
"""

from __future__ import annotations

import contextlib
import errno
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from orchestra.blueprint.model import AgentName
from orchestra.engine.job import Engine
from orchestra.errors import DiskFull, GroundError
from orchestra.fleet import BRANCH_RECORD, Fleet
from orchestra.git import worktree_admin, worktree_removal
from orchestra.git.refs import RefUpdate, branch_ref, update
from orchestra.git.unsaved_work import Snapshot, keep_snapshot, next_saved, saved_as, take_snapshot
from orchestra.workspace import git_excludes, steps
from orchestra.workspace.apply_spawn import MADE_ROOT, Counter, Phase, Progress, save_lost_index
from orchestra.workspace.instruction_files import RENDERED, is_as_rendered
from orchestra.workspace.provision import MARK, SETUP_LOG, TEARDOWN_LOG, Failure, run_commands
from orchestra.workspace.spawn_checks import real
from orchestra.workspace.steps import Step
from orchestra.workspace.untracked_files import COPIES, is_as_copied

KEPT = "kept"  # in an agent's state folder: ignored files of its worktree that were made or changed by hand
STATE = (MARK, COPIES, SETUP_LOG, TEARDOWN_LOG, RENDERED, BRANCH_RECORD)
StepKind = TypeVar("StepKind", bound=Step)


def _silent(_agent: AgentName, _detail: str) -> None:
    return None


class Cleaning:
    """One run of a clean plan. ``done``: executed steps; ``skipped``: agents that stay, each with the reason."""

    def __init__(self, fleet: Fleet, engine: Engine, tell: Callable[[Progress], None]) -> None:
        self._fleet = fleet
        self._git = fleet.repository.git
        self._engine = engine
        self._tell = tell
        self._planned: Sequence[Step] = ()
        self.completed: list[Step] = []
        self.skipped: dict[AgentName, str] = {}
        self.kept_files: list[Path] = []

    def run(self, planned: Sequence[Step]) -> None:
        """Execute the steps. Raises DiskFull; what is done by then stays done."""
        self._planned = planned
        self._each(steps.KeepStaged, lambda step: save_lost_index(self._fleet.repository, step))
        self._each(steps.SaveWork, self._save)
        self._tear_down()
        count = Counter(Phase.REMOVE, len(self._left(steps.RemoveWorktree)), self._tell)
        self._each(steps.RemoveWorktree, self._remove, count)
        self._each(steps.DeleteBranch, self._delete_branch)
        self._each(steps.ForgetAgent, self._forget)
        for root in self._left(steps.RemoveRoot):
            self._remove_root(root)

    def _left(self, kind: type[StepKind]) -> list[StepKind]:
        return [step for step in self._planned if isinstance(step, kind) and step.agent not in self.skipped]

    def _each(
        self, kind: type[StepKind], act: Callable[[StepKind], object], count: Callable[[AgentName, str], None] = _silent
    ) -> None:
        for step in self._left(kind):
            agent = step.agent
            assert agent is not None  # noqa: S101 - every kind that comes here has one
            try:
                happened = act(step) is not False
            except DiskFull:
                raise
            except GroundError as error:
                self.skipped[agent] = f"{error.message} ({error.hint})" if error.hint else error.message
            except OSError as error:
                if error.errno in (errno.ENOSPC, errno.EDQUOT):
                    raise
                self.skipped[agent] = f"{error.filename}: {error.strerror}"
            else:
                self.completed += [step] if happened else []
            count(agent, self.skipped.get(agent, ""))

    def _save(self, step: steps.SaveWork) -> None:
        self._keep(step, take_snapshot(step.worktree))

    def _keep(self, step: steps.SaveWork, snapshot: Snapshot) -> None:
        """Save a snapshot, unless a command that was killed has saved it already."""
        if not snapshot.saved and saved_as(self._git, self._fleet.name, step.agent, snapshot) is None:
            keep_snapshot(step.worktree, snapshot, step.ref, f"uncommitted work of {step.agent}")

    def _tear_down(self) -> None:
        commands = self._left(steps.RunCommand)
        count = Counter(Phase.TEARDOWN, len({step.agent for step in commands}), self._tell)

        def ended(agent: AgentName, failure: Failure | None) -> None:
            if failure is not None:
                self.skipped[agent] = f"teardown: {failure.reason}; see {failure.log}"
            count(agent, self.skipped.get(agent, ""))

        run_commands(
            self._fleet, commands, engine=self._engine, log_name=TEARDOWN_LOG, began=self.completed.append, ended=ended
        )

    def _remove(self, step: steps.RemoveWorktree) -> None:
        path = real(step.path)
        snapshot = None
        if (path / ".git").exists():
            snapshot = take_snapshot(path)  # again: teardown has run since the work was saved
            if not snapshot.saved:
                self._save_again(step.agent, path, snapshot)
        removed = worktree_removal.remove(
            self._fleet.repository,
            path,
            reason=self._fleet.lock_reason(self._fleet.require_agent(step.agent)),
            keep=self._fleet.agent_folder(step.agent) / KEPT,
            saved=snapshot,
            disposable=lambda name, file: self._is_disposable(step.agent, name, file),
        )
        self.kept_files += removed.kept_files

    def _save_again(self, agent: AgentName, path: Path, snapshot: Snapshot) -> None:
        if saved_as(self._git, self._fleet.name, agent, snapshot) is None:
            save = steps.SaveWork(agent, path, next_saved(self._git, self._fleet.name, agent))
            self._keep(save, snapshot)
            self.completed.append(save)

    def _is_disposable(self, agent: AgentName, name: str, file: Path) -> bool:
        """Return True for a file that spawn wrote and that is unchanged."""
        folder = self._fleet.agent_folder(agent)
        return is_as_rendered(self._fleet, agent, name, file) or is_as_copied(folder, name, file)

    def _delete_branch(self, step: steps.DeleteBranch) -> None:
        deletion = RefUpdate(branch_ref(step.branch), None, step.commit)
        update(self._git, [deletion], reason=f"clean {self._fleet.name}/{step.agent}")

    def _forget(self, step: steps.ForgetAgent) -> None:
        admins = worktree_admin.admins(self._fleet.repository)
        ours = {real(self._fleet.worktree(agent)) for agent in self._fleet.blueprint.agents}
        git_excludes.remove_entries(self._fleet, [admin.name for path, admin in admins.items() if path in ours])
        shutil.rmtree(step.folder / RENDERED, ignore_errors=True)
        for name in STATE:
            if name != RENDERED:
                (step.folder / name).unlink(missing_ok=True)

    def _remove_root(self, step: steps.RemoveRoot) -> None:
        """Remove empty folders only."""
        for agent in self._fleet.blueprint.agents:
            for parent in list(Path(agent.directory).parents)[:-1]:
                worktree_admin.remove_if_empty(step.path / parent)
        with contextlib.suppress(OSError):
            step.path.rmdir()
            (self._fleet.folder / MADE_ROOT).unlink(missing_ok=True)
            self.completed.append(step)
