"""Checks before a spawn: everything that prevents it, found before anything is created and reported at once.

Reads only. A branch belongs to the fleet when its agent has a ``base`` ref; a worktree when git has it registered for
an agent that has one.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from orchestra.blueprint.model import Agent
from orchestra.fleet import Fleet, FleetSnapshot, explain_missing_target, newest_target, read_snapshot
from orchestra.git import worktree_admin
from orchestra.git.refs import PREFIX, AgentRefs, CommitId, RefName, branch_ref, find_odd_refs
from orchestra.git.repository import Worktree
from orchestra.plan.disk_space import estimate_disk
from orchestra.workspace.paths import LOCAL_STANDARDS, NOTES, PORTS_FILE, STANDARDS, TASK, InstructionNames, names_with


@dataclass(frozen=True)
class Ground:
    """The state of git and the disk before a spawn or a clean, read once. ``base`` None: the target has no commit.

    ``leaving``: worktrees that are removed before anything is made.
    """

    snapshot: FleetSnapshot
    base: CommitId | None
    leaving: frozenset[Path] = frozenset()

    @property
    def fleet(self) -> Fleet:
        return self.snapshot.fleet

    @property
    def branches(self) -> Mapping[str, CommitId]:
        """Short branch name -> tip."""
        return self.snapshot.branches

    @cached_property
    def registered(self) -> Mapping[Path, Worktree]:
        """Real path -> the worktree that git has registered there."""
        return {real(worktree.path): worktree for worktree in self.snapshot.worktrees}

    def of(self, agent: Agent) -> AgentRefs:
        return self.snapshot.agent_refs(agent.name)

    def is_ours(self, agent: Agent) -> bool:
        """Return whether orchestra created the agent's branch."""
        refs = self.of(agent)
        return refs.base is not None and refs.adopted is None and not agent.adopted

    def worktree(self, agent: Agent) -> Worktree | None:
        """Return the registration of the agent's worktree, whether or not its folder exists."""
        return self.registered.get(real(self.fleet.worktree(agent)))

    def is_there(self, agent: Agent) -> bool:
        """Return whether the agent's worktree exists."""
        return self.worktree(agent) is not None and (self.fleet.worktree(agent) / ".git").exists()

    @property
    def tracked(self) -> Mapping[str, str]:
        """What ``tracked_at`` returns for the base."""
        return self.tracked_at(self.base) if self.base else {}

    @property
    def names(self) -> InstructionNames:
        """The instruction files of agents that start from the base."""
        return self.names_at(self.base) if self.base else names_with(self.fleet.blueprint, STANDARDS)

    def tracked_at(self, commit: CommitId) -> Mapping[str, str]:
        """Return which of the paths that matter to spawn a commit tracks -> their type: blob, tree or commit."""
        if commit not in self._tracked:
            names = {
                STANDARDS,
                LOCAL_STANDARDS,
                TASK,
                NOTES,
                PORTS_FILE,
                ".gitmodules",
                *self.fleet.blueprint.templates,
            }
            parents = {str(parent) for name in names for parent in Path(name).parents} - {"."}
            rows = self.fleet.repository.git.run("ls-tree", "-z", commit, "--", *sorted(names | parents)).fields
            facts = (row.partition("\t") for row in rows)
            self._tracked[commit] = {name: fact.split(" ")[1] for fact, _, name in facts}
        return self._tracked[commit]

    def names_at(self, commit: CommitId) -> InstructionNames:
        """Return the instruction files of agents that start from a commit."""
        standards = LOCAL_STANDARDS if STANDARDS in self.tracked_at(commit) else STANDARDS
        return names_with(self.fleet.blueprint, standards)

    @cached_property
    def _tracked(self) -> dict[CommitId, Mapping[str, str]]:
        return {}


def real(path: Path) -> Path:
    return Path(os.path.realpath(path))


def survey(fleet: Fleet) -> Ground:
    """Read the state. The base is the newest commit of the target; without one, where the fleet started from."""
    snapshot = read_snapshot(fleet)
    bases = (snapshot.agent_refs(agent.name).base for agent in fleet.blueprint.agents)
    return Ground(snapshot, newest_target(snapshot) or next((base for base in bases if base is not None), None))


def find_problems(
    ground: Ground, agents: Sequence[Agent], *, sound: Collection[RefName] | None = None
) -> Iterator[str]:
    """Yield what prevents the worktrees of ``agents``, each as a sentence with its fix.

    ``sound``: the refs that were read, where the ground describes a later state.
    """
    yield from _root_problems(ground.fleet)
    if ground.base is None:
        yield "; ".join(explain_missing_target(ground.fleet))
        return
    missing = sum(not ground.is_there(agent) for agent in agents)
    if missing:
        yield from _tracked_names(ground)
    fleet = ground.fleet
    folder = fleet.repository.common_dir / PREFIX / fleet.name
    has_refs = bool(ground.snapshot.agents) or folder.exists()  # a first spawn has none, and need not look
    odd_refs = find_odd_refs(fleet.repository.git, fleet.name, sound or ground.snapshot.refs) if has_refs else {}
    for agent in agents:
        if agent.name in odd_refs:
            yield f"agent {agent.name}: {odd_refs[agent.name]}"
            continue
        yield from _branch_problems(ground, agent)
        yield from _folder_problems(ground, agent)
    if missing:
        yield from _space_problems(ground, missing)


def _tracked_names(ground: Ground) -> Iterator[str]:
    """Yield instruction files that the repository has itself."""
    names = ground.names
    for name in sorted((names.all - {STANDARDS}) & set(ground.tracked)):
        fix = "rename it" if name in (TASK, NOTES, PORTS_FILE) else "leave it out of `templates`"
        if name == LOCAL_STANDARDS:
            fix = (
                "it is meant to be private: git rm --cached it, and ignore it (other checkouts lose the file when they "
                "pull that commit, so tell their owners to copy it first)"
            )
        yield f"the repository tracks {name}, which orchestra would have to overwrite in every worktree: {fix}"
    parents = {str(parent) for name in names.all for parent in Path(name).parents}
    for parent in sorted(parents & set(ground.tracked)):
        if ground.tracked[parent] != "tree":
            yield f"`templates` names files below {parent}, which is a file in the repository"


def _root_problems(fleet: Fleet) -> Iterator[str]:
    repository = fleet.repository
    root, home, common = real(fleet.worktrees_root), real(repository.home), real(repository.common_dir)
    if root == home or root.is_relative_to(common):
        yield f"worktrees.root is {root}, which is the repository itself: name a folder next to it"
    elif not repository.bare and root.is_relative_to(home):
        inside = root.relative_to(home).as_posix()
        if repository.git.run("check-ignore", "--quiet", "--no-index", "--", f"{inside}/file", ok=(0, 1)).code:
            yield (
                f"worktrees.root {root} is inside the checkout and not ignored, so its files would be committed: "
                f"add /{inside}/ to .git/info/exclude or .gitignore, or name a folder next to {home}"
            )
    nearest = next(folder for folder in (root, *root.parents) if os.path.lexists(folder))
    if not nearest.is_dir():
        yield f"{nearest} is not a folder, so there can be no worktrees in {root}"
    elif not os.access(nearest, os.W_OK | os.X_OK):
        yield f"{nearest} cannot be written, so there can be no worktrees in {root}"


def _branch_problems(ground: Ground, agent: Agent) -> Iterator[str]:
    branch, fleet = agent.branch, ground.fleet
    if branch in ground.branches and not ground.is_ours(agent):
        yield (
            f"branch {branch} of agent {agent.name} already exists and was not created by orchestra: take it in as it "
            f"is (orchestra adopt {branch} --as {agent.name}), rename it (git branch -m {branch} NEW_NAME), or change "
            "worktrees.branch"
        )
    name = branch_ref(branch)
    if (
        branch not in ground.branches
        and ground.is_ours(agent)
        and fleet.repository.git.succeeds("rev-parse", "--verify", "--quiet", name)
    ):
        yield (
            f"branch {branch} of agent {agent.name} points to an object that is missing or damaged: git fsck shows "
            f"what is; to point it to a sound commit: git update-ref {name} COMMIT"
        )
    for existing in ground.branches:
        if existing.startswith(f"{branch}/") or branch.startswith(f"{existing}/"):
            yield (
                f"branch {branch} of agent {agent.name} cannot exist next to branch {existing}, since git stores them "
                "as a folder and a file: rename one of them"
            )
    places = real(fleet.worktree(agent)), real(worktree_admin.staged(fleet.worktree(agent)))
    for path, worktree in ground.registered.items():
        if worktree.branch == branch and path not in places:
            yield f"branch {branch} of agent {agent.name} is checked out at {path}: check out another branch there"


def _folder_problems(ground: Ground, agent: Agent) -> Iterator[str]:
    path, worktree = ground.fleet.worktree(agent), ground.worktree(agent)
    root, home = real(ground.fleet.worktrees_root), real(ground.fleet.repository.home)
    place = f"{path}, the worktree of agent {agent.name},"
    if worktree is not None and ground.is_there(agent) and ground.is_ours(agent):
        return
    if not real(path.parent).is_relative_to(root) and worktree is None:
        yield f"{place} would be outside {root}: a symbolic link leads out of it"
    elif real(path.parent).is_relative_to(home) and not root.is_relative_to(home):
        yield f"{place} would be inside the checkout: change worktrees.directory"
    elif (worktree is not None and not ground.is_ours(agent)) or (
        worktree is None and os.path.lexists(path) and real(path) not in ground.leaving
    ):
        yield (
            f"{path} already exists: {_owner(ground, path)}. Set worktrees.root (or worktrees.directory) to another "
            f"folder for agent {agent.name}"
        )
    elif worktree is not None and worktree.locked not in (None, ground.fleet.lock_reason(agent)):
        yield (
            f"{place} is missing, and git has it locked ({worktree.locked}): mount its disk, or, if it is gone for "
            f"good, git worktree unlock {path}"
        )


def _owner(ground: Ground, path: Path) -> str:
    """Return whose an existing folder is, as a clause."""
    worktree = ground.registered.get(real(path))
    if worktree is not None:
        branch = f", with branch {worktree.branch}" if worktree.branch else ""
        return f"it is a worktree of this repository{branch}"
    try:
        admin = worktree_admin.admin_of(path)
    except OSError:
        return "orchestra did not create it"
    return f"it is a worktree of the repository {admin.parent.parent.parent}"


def _space_problems(ground: Ground, count: int) -> Iterator[str]:
    assert ground.base is not None  # noqa: S101 - the caller has looked
    disk = estimate_disk(ground.fleet, ground.base, count)
    if disk.is_full:
        yield (
            f"{disk.format_need(real(ground.fleet.worktrees_root))}: make space, name another worktrees.root, or spawn "
            "fewer: orchestra spawn AGENT..."
        )
