"""What spawn and clean do, step by step, as values.

Invariant: a plan is a tuple of these, a dry run prints it, and a run executes exactly it: there is no step that a plan
does not hold. ``str(step)`` is one line; where git does it, it is the command that a person would type.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field
from pathlib import Path

from orchestra.blueprint.model import AgentName, FleetName
from orchestra.git.refs import CommitId, RefName

_SHORT = 12


def _line(*words: object) -> str:
    return shlex.join(str(word) for word in words)


@dataclass(frozen=True, slots=True)
class MakeRoot:
    """The folder of the worktrees does not exist yet; what we make, clean removes when it is empty."""

    path: Path
    agent: AgentName | None = None

    def __str__(self) -> str:
        return _line("mkdir", "-p", self.path)


@dataclass(frozen=True, slots=True)
class PinBase:
    """The commit that the agent's branch is cut from; from here on the branch is ours."""

    agent: AgentName
    ref: RefName
    commit: CommitId

    def __str__(self) -> str:
        return _line("git", "update-ref", self.ref, self.commit[:_SHORT])


@dataclass(frozen=True, slots=True)
class CreateBranch:
    agent: AgentName
    branch: str
    commit: CommitId

    def __str__(self) -> str:
        return _line("git", "branch", "--no-track", self.branch, self.commit[:_SHORT])


@dataclass(frozen=True, slots=True)
class KeepStaged:
    """A worktree's folder was deleted by hand; what was staged or committed in it alone is still there to keep."""

    agent: AgentName
    worktree: Path
    ref: RefName
    fleet: FleetName

    def __str__(self) -> str:
        return f"save what was staged in {self.worktree}, which is gone, as {self.ref}"


@dataclass(frozen=True, slots=True)
class AddWorktree:
    agent: AgentName
    path: Path
    branch: str
    commit: CommitId  # what the branch points at

    def __str__(self) -> str:
        return _line("git", "worktree", "add", "--lock", self.path, self.branch)


@dataclass(frozen=True, slots=True)
class HideFiles:
    """The excludes that hold in the agents' worktrees and nowhere else (``workspace.hiding``)."""

    path: Path
    text: str = field(repr=False)
    agent: AgentName | None = None

    def __str__(self) -> str:
        return f"write {self.path} ({self.text.count(chr(10))} lines) and include it for the agents' worktrees"


@dataclass(frozen=True, slots=True)
class WriteFile:
    """An instruction file. ``text`` replaces what was rendered earlier, never what a person or agent wrote."""

    agent: AgentName
    worktree: Path
    name: str
    text: str = field(repr=False)

    def __str__(self) -> str:
        return f"write {self.worktree / self.name} ({len(self.text.encode())} bytes)"


@dataclass(frozen=True, slots=True)
class CopyFile:
    """An untracked file of the main checkout, brought along; nothing that is there already is replaced."""

    agent: AgentName
    source: Path
    worktree: Path
    name: str

    def __str__(self) -> str:
        return _line("cp", "-p", self.source, self.worktree / self.name)


@dataclass(frozen=True, slots=True)
class ShareFolder:
    """A big untracked folder: cloned where the file system can, else copied."""

    agent: AgentName
    source: Path
    worktree: Path
    name: str

    def __str__(self) -> str:
        return _line("cp", "-a", "--reflink=auto", self.source, self.worktree / self.name)


@dataclass(frozen=True, slots=True)
class FillSubmodules:
    """The submodules of a new worktree; only URLs that ``base`` declares are contacted."""

    agent: AgentName
    worktree: Path
    base: CommitId

    def __str__(self) -> str:
        return _line("git", "-C", self.worktree, "submodule", "update", "--init", "--recursive")


@dataclass(frozen=True, slots=True)
class RunCommand:
    """A set-up or teardown command of the blueprint, in the agent's worktree."""

    agent: AgentName
    worktree: Path
    command: str
    timeout_s: float

    def __str__(self) -> str:
        return f"(cd {shlex.quote(str(self.worktree))} && {self.command})"


@dataclass(frozen=True, slots=True)
class MarkReady:
    """The agent's set-up is done; the agent may start. Not executed for one whose set-up failed."""

    agent: AgentName

    def __str__(self) -> str:
        return f"mark {self.agent} as ready"


@dataclass(frozen=True, slots=True)
class Remember:
    """Which blueprint was spawned last in this repository."""

    source: Path
    agent: AgentName | None = None

    def __str__(self) -> str:
        return f"remember {self.source} as the fleet spawned last"


@dataclass(frozen=True, slots=True)
class SaveWork:
    """Uncommitted work of an agent, kept before its worktree goes."""

    agent: AgentName
    worktree: Path
    ref: RefName

    def __str__(self) -> str:
        return f"save the uncommitted work in {self.worktree} as {self.ref}"


@dataclass(frozen=True, slots=True)
class RemoveWorktree:
    agent: AgentName
    path: Path

    def __str__(self) -> str:
        return _line("git", "worktree", "remove", self.path)


@dataclass(frozen=True, slots=True)
class DeleteBranch:
    """Only while it still points at ``commit``, which an orchestra ref holds."""

    agent: AgentName
    branch: str
    commit: CommitId

    def __str__(self) -> str:
        return _line("git", "update-ref", "-d", f"refs/heads/{self.branch}", self.commit[:_SHORT])


@dataclass(frozen=True, slots=True)
class ForgetAgent:
    """Rendered copies, set-up log and marks of an agent that has no worktree any more."""

    agent: AgentName
    folder: Path

    def __str__(self) -> str:
        return f"forget the rendered files and the set-up of {self.agent}"


@dataclass(frozen=True, slots=True)
class RemoveRoot:
    """The folder of the worktrees, which we made, once it is empty."""

    path: Path
    agent: AgentName | None = None

    def __str__(self) -> str:
        return _line("rmdir", self.path)


Step = (
    MakeRoot
    | PinBase
    | CreateBranch
    | KeepStaged
    | AddWorktree
    | HideFiles
    | WriteFile
    | CopyFile
    | ShareFolder
    | FillSubmodules
    | RunCommand
    | MarkReady
    | Remember
    | SaveWork
    | RemoveWorktree
    | DeleteBranch
    | ForgetAgent
    | RemoveRoot
)
