"""The status of each agent's branch, for a whole fleet with a fixed number of git processes.

Only the working trees, which cost most, are read one by one, a few at once. Reads only.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from orchestra.blueprint.model import Agent, AgentName
from orchestra.errors import OrchestraError
from orchestra.fleet import Fleet, FleetSnapshot, read_snapshot
from orchestra.git.git_process import Output
from orchestra.git.refs import AgentRefs, CommitId
from orchestra.git.repository import Repository
from orchestra.review.agent_notes import read_landed_notes, read_notes
from orchestra.review.landed_work import was_made_on_branch
from orchestra.review.verdicts import Verdict, uncommitted_paths, verdict

_AT_ONCE = 4


@dataclass(frozen=True, slots=True)
class BranchStatus:
    """One agent's work as git sees it.

    ``commits``: its own since its base, without those that came from the target (of a branch that was removed: of what
    was kept of it); ``behind``: on the target, not in the branch;
    ``new_commits``: since the branch landed; ``landing_contained``: the target's history contains the landed commit;
    ``uncommitted``: paths, None when the worktree is missing or cannot be read; ``notes``: AGENT_NOTES.md of the
    worktree, else as kept with the landed commit, else None.
    """

    agent: Agent
    worktree: Path
    refs: AgentRefs
    head: CommitId | None
    commits: int
    behind: int
    uncommitted: tuple[str, ...] | None
    notes: str | None
    new_commits: int = 0
    landing_contained: bool = True

    @property
    def verdict(self) -> Verdict:
        return verdict(self.refs, self.head)

    @property
    def proposal(self) -> CommitId | None:
        """The proposal that resolves the branch's conflict with the target; None where there is none for its head."""
        applies = self.head is not None and self.refs.proposed_for == self.head and self.refs.landed is None
        return self.refs.proposed if applies else None

    @property
    def spawned(self) -> bool:
        return self.refs.base is not None


def read_branch_statuses(
    fleet: Fleet, agents: Sequence[Agent], *, trees: bool = True, snapshot: FleetSnapshot | None = None
) -> list[BranchStatus]:
    """Return the status of each of ``agents``, in their order; ``trees`` False leaves out the working trees.

    Four git processes for the fleet (without a ``snapshot``), and a ``git status`` for each working tree.
    """
    snapshot = snapshot or read_snapshot(fleet)
    target = snapshot.target_tip
    all_refs = [snapshot.agent_refs(agent.name) for agent in agents]
    tips = [snapshot.branch_tip(agent) for agent in agents]
    tips += [commit for refs in all_refs for commit in (refs.approved, refs.discarded, refs.landed)]
    graph = _Graph(fleet.repository, target, [refs.base for refs in all_refs], tips)
    landed_notes = read_landed_notes(fleet.repository.git, [refs.landed for refs in all_refs if refs.landed])

    def count_commits(agent: Agent, refs: AgentRefs, tip: CommitId | None) -> int:
        since_base = graph.between(tip, refs.base)
        own = since_base if refs.landed else graph.between(tip, refs.base, target)
        if own or not since_base or tip is None:
            return len(own)
        # The target contains the branch: a person merged it there, or only brought it up to date with the target.
        git, branch = fleet.repository.git, f"refs/heads/{agent.branch}"
        is_work = not graph.on_first_parent_line(target, tip) or was_made_on_branch(git, branch, tip)
        return len(since_base) if is_work else 0

    def read(agent: Agent) -> BranchStatus:
        refs, head = snapshot.agent_refs(agent.name), snapshot.branch_tip(agent)
        folder = fleet.worktree(agent)
        notes = read_notes(folder) if refs.base is not None else None
        new_commits = graph.between(head, refs.approved, refs.landed, target) if refs.landed and head else ()
        return BranchStatus(
            agent=agent,
            worktree=folder,
            refs=refs,
            head=head,
            commits=count_commits(agent, refs, head or refs.approved or refs.discarded) if refs.base else 0,
            behind=len(graph.between(target, head)) if head is not None else 0,
            uncommitted=read_uncommitted(fleet, agent) if trees and refs.base is not None else None,
            notes=notes or (landed_notes.get(refs.landed) if refs.landed else None),
            new_commits=sum(1 for _ in graph.without_merges(new_commits)),
            landing_contained=refs.landed is None or graph.contains(target, refs.landed),
        )

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return list(pool.map(read, agents))


def read_uncommitted(fleet: Fleet, agent: Agent) -> tuple[str, ...] | None:
    """Return the uncommitted paths; None when the worktree is missing or cannot be read."""
    if not fleet.has_worktree(agent):
        return None
    try:
        return tuple(uncommitted_paths(fleet, agent))
    except OrchestraError:  # removed or broken meanwhile: unknown, not clean
        return None


class _Graph:
    """The commits of a fleet above its common base, from one walk."""

    def __init__(
        self,
        repository: Repository,
        target: CommitId | None,
        bases: Iterable[CommitId | None],
        tips: Iterable[CommitId | None],
    ) -> None:
        known_bases = sorted({base for base in bases if base is not None})
        starts = sorted({tip for tip in (*tips, target, *known_bases) if tip is not None})
        self._repository = repository
        self._parents: dict[CommitId, Sequence[CommitId]] = {}
        self._reachable: dict[CommitId, frozenset[CommitId]] = {}
        if starts and known_bases:
            floor: Sequence[str] = known_bases
            if len(known_bases) > 1:
                common = repository.git.run("merge-base", "--octopus", *known_bases, ok=(0, 1))
                floor = common.lines if common.code == 0 else ()
            words = ("rev-list", "--parents", "--topo-order", "--stdin")
            excluded = [f"^{commit}" for commit in floor]

            def walk_from(commits: Iterable[str]) -> Output:
                script = "\n".join([*commits, *excluded]) + "\n"
                return repository.git.run(*words, stdin=script.encode(), ok=(0, 128))

            walk = walk_from(starts)
            if walk.code:  # the history of one of them is damaged: the others are walked without it
                walk = walk_from([commit for commit in starts if walk_from([commit]).code == 0])
            for line in walk.lines:
                commit, *parents = map(CommitId, line.split())
                self._parents[commit] = parents

    def between(self, until: CommitId | None, *since: CommitId | None) -> frozenset[CommitId]:
        """Return the commits of ``until`` that none of ``since`` contains; nothing where either is unknown."""
        commits = [commit for commit in since if commit is not None]
        if until is None or not commits:
            return frozenset()
        return self._reach(until).difference(*(self._reach(commit) for commit in commits))

    def without_merges(self, commits: Iterable[CommitId]) -> Iterator[CommitId]:
        return (commit for commit in commits if len(self._parents[commit]) <= 1)

    def contains(self, tip: CommitId | None, commit: CommitId) -> bool:
        """Return True when ``commit`` is in the history of ``tip``, also below the walk."""
        return tip is not None and (commit in self._reach(tip) or self._repository.is_ancestor(commit, tip))

    def on_first_parent_line(self, tip: CommitId | None, commit: CommitId) -> bool:
        """Return True when ``tip`` itself was at ``commit`` once, as far as the walk goes."""
        while tip is not None and tip != commit:
            tip = next(iter(self._parents.get(tip, ())), None)
        return tip is not None

    def _reach(self, tip: CommitId) -> frozenset[CommitId]:
        if tip not in self._reachable:
            seen, todo = set[CommitId](), [tip]
            while todo:
                commit = todo.pop()
                if commit in seen or commit not in self._parents:
                    continue
                seen.add(commit)
                todo.extend(self._parents[commit])
            self._reachable[tip] = frozenset(seen)
        return self._reachable[tip]


def undeclared_agents(snapshot: FleetSnapshot) -> Mapping[AgentName, AgentRefs]:
    """Return agents that have refs in this fleet and are no longer in its blueprint; their work is kept."""
    declared = {agent.name for agent in snapshot.fleet.blueprint.agents}
    return {name: refs for name, refs in snapshot.agents.items() if name not in declared}
