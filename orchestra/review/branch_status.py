"""Where each agent's branch stands, for a whole fleet in a handful of git calls.

Invariant: reads only. One ``for-each-ref`` and one ``rev-list`` answer for every agent; only the working trees, the
dear part (facts/spawn.md), are asked one by one, a few at once. Refuses to store what it can derive.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from orchestra.blueprint.model import Agent, AgentName
from orchestra.errors import OrchestraError
from orchestra.fleet import Fleet
from orchestra.git.refs import AgentRefs, CommitId, branch_ref, read_fleet, read_refs
from orchestra.git.repository import Repository
from orchestra.review.agent_notes import landed_notes
from orchestra.review.verdicts import Verdict, uncommitted_paths, verdict

_AT_ONCE = 4
_LONGEST_NOTES = 1 << 20


@dataclass(frozen=True, slots=True)
class BranchStatus:
    """One agent's work as git sees it.

    ``commits``: on the branch (or what was kept of it) since its base; ``behind``: on the target, not in the branch;
    ``uncommitted``: paths, None when the worktree is gone or cannot be read; ``notes``: the text of AGENT_NOTES.md in
    the worktree, else as kept with the landed commit, else None.
    """

    agent: Agent
    worktree: Path
    refs: AgentRefs
    head: CommitId | None
    commits: int
    behind: int
    uncommitted: tuple[str, ...] | None
    notes: str | None

    @property
    def verdict(self) -> Verdict:
        return verdict(self.refs, self.head)

    @property
    def proposal(self) -> CommitId | None:
        """How its conflict with the target could be resolved; None where nothing is proposed for it as it is."""
        mine = self.head is not None and self.refs.proposed_for == self.head and self.refs.landed is None
        return self.refs.proposed if mine else None

    @property
    def spawned(self) -> bool:
        return self.refs.base is not None


def read_branch_statuses(fleet: Fleet, agents: Sequence[Agent], *, trees: bool = True) -> list[BranchStatus]:
    """The standing of each of ``agents``, in their order; ``trees`` False leaves the working trees unasked."""
    git = fleet.repository.git
    refs = read_fleet(git, fleet.name)
    heads = read_refs(git, [branch_ref(agent.branch) for agent in agents])
    target = fleet.target_tip()
    known = {agent.name: heads.get(branch_ref(agent.branch)) for agent in agents}
    own_refs = [refs.get(agent.name, AgentRefs()) for agent in agents]
    tips = [*known.values(), *(commit for own in own_refs for commit in (own.approved, own.discarded))]
    distance = _Distances(fleet.repository, target, [own.base for own in own_refs], tips)

    def kept_notes(own: AgentRefs) -> str | None:
        return landed_notes(git, own.landed) if own.landed is not None else None

    def stand(agent: Agent) -> BranchStatus:
        own = refs.get(agent.name, AgentRefs())
        head = known[agent.name]
        folder = fleet.worktree(agent)
        paths = read_uncommitted(fleet, agent) if trees and own.base is not None else None
        return BranchStatus(
            agent=agent,
            worktree=folder,
            refs=own,
            head=head,
            commits=distance.between(own.base, head or own.approved or own.discarded),
            behind=distance.between(head, target),
            uncommitted=paths,
            notes=read_notes(folder) or kept_notes(own) if own.base is not None else None,
        )

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return list(pool.map(stand, agents))


def read_notes(worktree: Path) -> str | None:
    """AGENT_NOTES.md of a worktree as text, whatever bytes are in it, but no more than a million characters.

    None where there is none, and for what is no plain file: an agent may leave a pipe, which would hold up whoever
    reads it, or a link to what is not its to show.
    """
    try:
        handle = os.open(worktree / "AGENT_NOTES.md", os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        return None
    with os.fdopen(handle, encoding="utf-8", errors="replace") as file:
        return file.read(_LONGEST_NOTES)


def has_worktree(fleet: Fleet, agent: Agent) -> bool:
    """Whether the agent has a worktree; asks no git."""
    return (fleet.worktree(agent) / ".git").exists()


def read_uncommitted(fleet: Fleet, agent: Agent) -> tuple[str, ...] | None:
    """The uncommitted paths; None when the worktree is gone or cannot be read."""
    if not has_worktree(fleet, agent):
        return None
    try:
        return tuple(uncommitted_paths(fleet, agent))
    except OrchestraError:  # removed or broken under our hands: unknown, not clean
        return None


class _Distances:
    """Commits reachable from one and not from another, from one walk of the graph beyond the fleet's bases."""

    def __init__(
        self,
        repository: Repository,
        target: CommitId | None,
        bases: Iterable[CommitId | None],
        heads: Iterable[CommitId | None],
    ) -> None:
        known_bases = sorted({base for base in bases if base is not None})
        tips = sorted({tip for tip in (*heads, target, *known_bases) if tip is not None})
        self._parents: dict[str, Sequence[str]] = {}
        self._reach: dict[str, frozenset[str]] = {}
        if tips and known_bases:
            floor = known_bases if len(known_bases) == 1 else _common_floor(repository, known_bases)
            self._walk(repository, tips, floor)

    def _walk(self, repository: Repository, tips: Sequence[str], floor: Sequence[str]) -> None:
        script = "\n".join([*tips, *(f"^{commit}" for commit in floor)]) + "\n"
        walk = repository.git.run("rev-list", "--parents", "--topo-order", "--stdin", stdin=script.encode())
        for line in walk.lines:
            commit, *parents = line.split()
            self._parents[commit] = parents

    def between(self, since: CommitId | None, until: CommitId | None) -> int:
        """How many commits ``until`` has that ``since`` lacks; 0 where either is unknown."""
        if since is None or until is None:
            return 0
        return len(self._reachable(until) - self._reachable(since))

    def _reachable(self, tip: str) -> frozenset[str]:
        if tip not in self._reach:
            seen, todo = set[str](), [tip]
            while todo:
                commit = todo.pop()
                if commit in seen or commit not in self._parents:
                    continue
                seen.add(commit)
                todo.extend(self._parents[commit])
            self._reach[tip] = frozenset(seen)
        return self._reach[tip]


def _common_floor(repository: Repository, bases: Sequence[CommitId]) -> Sequence[str]:
    found = repository.git.run("merge-base", "--octopus", *bases, ok=(0, 1))
    return found.lines if found.code == 0 else ()


def undeclared_agents(fleet: Fleet) -> Mapping[AgentName, AgentRefs]:
    """Agents that have refs in this fleet but are not in its blueprint any more; their work is kept."""
    declared = {agent.name for agent in fleet.blueprint.agents}
    found = read_fleet(fleet.repository.git, fleet.name)
    return {name: refs for name, refs in found.items() if name not in declared}
