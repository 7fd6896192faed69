"""Everything that could refuse a spawn, looked at before anything is made, and told at once.

Invariant: reads only. Whose a branch or a folder is, is told by refs: a branch is ours when its agent has a ``base``
ref, a worktree when git has it registered where the blueprint puts it and its agent has one. Refuses what is not
ours, by name, and never guesses.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestra.blueprint.model import Agent, AgentName
from orchestra.fleet import Fleet
from orchestra.git import worktree_admin
from orchestra.git.refs import AgentRefs, CommitId, read_fleet, read_refs
from orchestra.git.remote import tracking_ref
from orchestra.git.repository import Worktree
from orchestra.workspace.paths import LOCAL_STANDARDS, STANDARDS, InstructionNames, tracked

_BLOCK = 4096  # bytes that a small file takes


@dataclass(frozen=True)
class Ground:
    """What git and the disk say before a spawn, read once."""

    fleet: Fleet
    refs: Mapping[AgentName, AgentRefs]
    branches: Mapping[str, CommitId]
    registered: Mapping[Path, Worktree]  # by real path
    base: CommitId | None  # None: the target has no commit

    def of(self, agent: Agent) -> AgentRefs:
        return self.refs.get(agent.name, AgentRefs())

    def is_ours(self, agent: Agent) -> bool:
        return self.of(agent).base is not None

    def worktree(self, agent: Agent) -> Worktree | None:
        """What git has registered where the agent's worktree belongs, whether or not the folder is there."""
        return self.registered.get(real(self.fleet.worktree(agent)))

    def is_there(self, agent: Agent) -> bool:
        """Whether the agent has its worktree."""
        return self.worktree(agent) is not None and (self.fleet.worktree(agent) / ".git").exists()


def real(path: Path) -> Path:
    return Path(os.path.realpath(path))


def survey(fleet: Fleet) -> Ground:
    """Read the ground for a spawn of ``fleet``."""
    git = fleet.repository.git
    refs = read_fleet(git, fleet.name)
    branches = {ref.removeprefix("refs/heads/"): commit for ref, commit in read_refs(git, ["refs/heads/"]).items()}
    registered = {real(known.path): known for known in fleet.repository.worktrees()}
    return Ground(fleet, refs, branches, registered, _base(fleet, refs))


def _base(fleet: Fleet, refs: Mapping[AgentName, AgentRefs]) -> CommitId | None:
    """The commit that the fleet starts from: the one that it started from already, else the target's newest."""
    for agent in fleet.blueprint.agents:
        if (pinned := refs.get(agent.name, AgentRefs()).base) is not None:
            return pinned
    own = fleet.target_tip()
    theirs = fleet.repository.resolve(tracking_ref(fleet.remote, fleet.target)) if fleet.remote else None
    if own is None or theirs is None:
        return own or theirs
    return theirs if fleet.repository.is_ancestor(own, theirs) else own


def find_problems(ground: Ground, agents: Sequence[Agent], names: InstructionNames) -> Iterator[str]:
    """What stands in the way of giving ``agents`` their worktrees, each as a sentence with its mend."""
    yield from _root_problems(ground.fleet)
    if ground.base is None:
        yield f"{ground.fleet.target} has no commit yet, so there is nothing to start from: make a first commit"
        return
    yield from _tracked_names(ground, names)
    for agent in agents:
        yield from _branch_problems(ground, agent)
        yield from _folder_problems(ground, agent)
    missing = [agent for agent in agents if not ground.is_there(agent)]
    if missing:
        yield from _space_problems(ground, len(missing))


def _root_problems(fleet: Fleet) -> Iterator[str]:
    root, home, common = real(fleet.worktrees_root), real(fleet.repository.home), real(fleet.repository.common_dir)
    if root == home or root.is_relative_to(common):
        yield f"worktrees.root is {root}, which is the repository itself: name a folder beside it"
    elif not fleet.repository.bare and root.is_relative_to(home) and not _is_ignored(fleet, root):
        inside = root.relative_to(home).as_posix()
        yield (
            f"worktrees.root {root} is inside the checkout and not ignored, so that its files would be committed: "
            f"add /{inside}/ to .git/info/exclude or .gitignore, or name a folder beside {home}"
        )
    nearest = next(folder for folder in (root, *root.parents) if os.path.lexists(folder))
    if not nearest.is_dir():
        yield f"{nearest} is not a folder, so that there can be no worktrees in {root}"
    elif not os.access(nearest, os.W_OK | os.X_OK):
        yield f"{nearest} cannot be written, so that there can be no worktrees in {root}"


def _is_ignored(fleet: Fleet, root: Path) -> bool:
    """Whether an untracked file below ``root`` would be ignored."""
    inside = root.relative_to(real(fleet.repository.home)).as_posix()
    git = fleet.repository.git
    found = git.run("check-ignore", "--quiet", "--no-index", "--", f"{inside}/file", ok=(0, 1))
    return found.code == 0


def _tracked_names(ground: Ground, names: InstructionNames) -> Iterator[str]:
    assert ground.base is not None  # noqa: S101 - the caller has looked
    git = ground.fleet.repository.git
    wanted = names.all - {STANDARDS}
    for name in tracked(git, ground.base, sorted(wanted)):
        mend = "rename it" if name in (names.task, names.notes) else "leave it out of `templates`"
        if name == LOCAL_STANDARDS:
            mend = "it is meant to be private: git rm --cached it, and ignore it"
        yield f"the repository tracks {name}, which orchestra would have to overwrite in every worktree: {mend}"
    parents = {str(parent) for name in wanted for parent in Path(name).parents if str(parent) != "."}
    for entry in git.run("ls-tree", "-z", ground.base, "--", *sorted(parents)).fields if parents else ():
        kind, _, name = entry.partition("\t")
        if " tree " not in f"{kind} ":
            yield f"`templates` names files below {name}, which is a file in the repository"


def _branch_problems(ground: Ground, agent: Agent) -> Iterator[str]:
    branch, fleet = agent.branch, ground.fleet
    if branch in ground.branches and not ground.is_ours(agent):
        yield (
            f"the branch {branch} of agent {agent.name} exists and is not ours: rename it "
            f"(git branch -m {branch} OTHER), or change worktrees.branch"
        )
    for other in ground.branches:
        if other.startswith(f"{branch}/") or branch.startswith(f"{other}/"):
            yield f"the branch {branch} of agent {agent.name} cannot be beside the branch {other}: rename one of them"
    here = real(fleet.worktree(agent))
    staged = real(worktree_admin.staged(fleet.worktree(agent)))
    for path, known in ground.registered.items():
        if known.branch == branch and path not in (here, staged):
            yield f"the branch {branch} of agent {agent.name} is checked out at {path}: check out another one there"


def _folder_problems(ground: Ground, agent: Agent) -> Iterator[str]:
    path, known = ground.fleet.worktree(agent), ground.worktree(agent)
    root, home = real(ground.fleet.worktrees_root), real(ground.fleet.repository.home)
    what = f"{path}, the worktree of agent {agent.name},"
    if not real(path.parent).is_relative_to(root):
        yield f"{what} would lie outside {root}: a symbolic link leads out"
    elif real(path.parent).is_relative_to(home) and not root.is_relative_to(home):
        yield f"{what} would lie inside the checkout: change worktrees.directory"
    elif known is not None and not ground.is_ours(agent):
        yield f"{what} is a worktree that is not ours: move or remove it"
    elif known is None and os.path.lexists(path):
        yield f"{what} exists and is not ours: move it, or change worktrees.directory"
    elif (
        known is not None
        and not ground.is_there(agent)
        and known.locked not in (None, lock_reason(ground.fleet, agent))
    ):
        yield f"{what} is gone, and locked ({known.locked}): git worktree unlock {path}"


def lock_reason(fleet: Fleet, agent: Agent) -> str:
    """Why the worktree of an agent is locked."""
    return f"orchestra: {fleet.name}/{agent.name}"


def _space_problems(ground: Ground, count: int) -> Iterator[str]:
    root = real(ground.fleet.worktrees_root)
    nearest = next(folder for folder in (root, *root.parents) if folder.is_dir())
    free = shutil.disk_usage(nearest).free
    needed = count * _tree_bytes(ground)
    if needed > free:
        yield (
            f"{count} worktrees need about {needed / 1e6:,.0f} MB in {root}, where {free / 1e6:,.0f} MB are free: "
            "make space, name another worktrees.root, or spawn fewer with --agents"
        )


def _tree_bytes(ground: Ground) -> int:
    """What the files of the base take on disk, in whole blocks; filters such as LFS are not known beforehand."""
    assert ground.base is not None  # noqa: S101 - the caller has looked
    listed = ground.fleet.repository.git.run("ls-tree", "-r", "-z", "--format=%(objectsize)", ground.base).fields
    sizes = (int(size) for size in listed if size.isdigit())
    return sum(-(-size // _BLOCK) * _BLOCK for size in sizes)


def starting_points(ground: Ground, agents: Sequence[Agent]) -> dict[AgentName, CommitId]:
    """Where each agent's branch is, or will be: a branch of ours that was deleted comes back where it was approved."""
    assert ground.base is not None  # noqa: S101
    points = {}
    for agent in agents:
        refs = ground.of(agent)
        points[agent.name] = ground.branches.get(agent.branch) or refs.approved or refs.base or ground.base
    return points
