"""Which branches conflict as they stand, uncommitted work included, among each other and with the target.

Uncommitted work is taken as a snapshot into git's objects; no ref, index or file changes. Pairs are merged as the
forecast of ``status`` merges them, and cached by commits.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import combinations

from orchestra.blueprint.model import Agent, AgentName
from orchestra.candidates.conflict_forecast import BranchConflict, conflicts_by_agent
from orchestra.errors import DiskFull, GroundError
from orchestra.fleet import Fleet
from orchestra.git.objects import Commit, Objects, TreeId, our_ident
from orchestra.git.refs import CommitId
from orchestra.git.unsaved_work import take_snapshot
from orchestra.ledger import Json
from orchestra.review.branch_forecast import ForecastCache, conflicting_paths
from orchestra.review.branch_status import BranchStatus
from orchestra.review.verdicts import Verdict
from orchestra.workspace.paths import instruction_names

_AT_ONCE = 4


@dataclass(frozen=True, slots=True)
class ConflictRadar:
    """``with_target``: agent -> paths that conflict with the target. ``order``: the agents, fewest conflicts first.

    ``with_uncommitted``: agents whose uncommitted work was compared too; ``not_compared``: agent -> why its uncommitted
    work was not.
    """

    pairs: tuple[BranchConflict, ...]
    with_target: Mapping[AgentName, tuple[str, ...]]
    order: tuple[AgentName, ...]
    with_uncommitted: tuple[AgentName, ...]
    not_compared: Mapping[AgentName, str]

    def to_json(self) -> dict[str, Json]:
        """Return the ``conflicts`` of ``status --conflicts --json``; validates against schemas/status.schema.json."""
        return {
            "pairs": [{"agents": [pair.first, pair.second], "paths": list(pair.paths)} for pair in self.pairs],
            "with_target": [{"agent": name, "paths": list(paths)} for name, paths in self.with_target.items()],
            "order": list(self.order),
            "with_uncommitted": list(self.with_uncommitted),
            "not_compared": [{"agent": name, "reason": reason} for name, reason in self.not_compared.items()],
        }


def read_conflicts(
    fleet: Fleet, statuses: Sequence[BranchStatus], target: CommitId | None, *, clean: Collection[AgentName] = ()
) -> ConflictRadar:
    """Compare all work that has not landed and was not discarded. Raises DiskFull: git merges by writing objects.

    ``clean``: agents that are known to have no uncommitted work now.
    """
    tips = {
        status.agent.name: status.head
        for status in statuses
        if status.head and status.spawned and status.refs.landed is None and status.verdict is not Verdict.DISCARDED
    }
    bases = {status.refs.base for status in statuses if status.refs.base is not None and status.agent.name in tips}
    instructions = frozenset[str]().union(
        *(instruction_names(fleet.repository, fleet.blueprint, base).all for base in bases)
    )
    to_read = [
        status.agent
        for status in statuses
        if status.agent.name in tips and status.agent.name not in clean and fleet.has_worktree(status.agent)
    ]
    with_uncommitted: list[AgentName] = []
    not_compared: dict[AgentName, str] = {}
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for agent, work in zip(to_read, pool.map(partial(_uncommitted_work, fleet), to_read), strict=True):
            if isinstance(work, GroundError):
                not_compared[agent.name] = work.message
            elif work is not None:
                tips[agent.name] = work
                with_uncommitted.append(agent.name)
    tips = {name: tip for name, tip in tips.items() if tip != target}
    cache = ForecastCache(fleet, "conflicts.json")
    questions = {pair: (tips[pair[0]], tips[pair[1]]) for pair in combinations(tips, 2)}
    found = conflicting_paths(fleet, questions, instructions, cache)
    pairs = tuple(BranchConflict(*pair, found[pair]) for pair in questions if pair in found)
    against = {name: (target, tip) for name, tip in tips.items()} if target is not None else {}
    with_target = conflicting_paths(fleet, against, instructions, cache)
    cache.save()
    order = propose_order(
        [name for name in fleet.blueprint.merge_order if name in tips],
        fleet.blueprint.predecessors,
        conflicts_by_agent(pairs),
        with_target,
    )
    return ConflictRadar(pairs, with_target, order, tuple(with_uncommitted), not_compared)


def propose_order(
    names: Sequence[AgentName],
    predecessors: Mapping[AgentName, Collection[AgentName]],
    opponents: Mapping[AgentName, Collection[AgentName]],
    with_target: Collection[AgentName],
) -> tuple[AgentName, ...]:
    """Return ``names`` in an order that keeps all predecessors and in which few agents conflict with an earlier one.

    Of those that may come next, one that conflicts neither with the target nor with an earlier one goes first, and of
    these the one that conflicts with the fewest that remain. ``names`` is the order where that decides nothing.
    """
    remaining, order, clean = list(names), list[AgentName](), set[AgentName]()
    while remaining:
        free = [name for name in remaining if not set(predecessors.get(name, ())) & set(remaining)] or remaining

        def cost(name: AgentName) -> tuple[bool, int]:
            others = set(opponents.get(name, ()))
            return bool(others & clean) or name in with_target, len(others & set(remaining))

        chosen = min(free, key=cost)
        remaining.remove(chosen)
        order.append(chosen)
        if not set(opponents.get(chosen, ())) & clean and chosen not in with_target:
            clean.add(chosen)
    return tuple(order)


def _uncommitted_work(fleet: Fleet, agent: Agent) -> CommitId | GroundError | None:
    """Write the worktree's files as a commit on its branch that no ref names; None where all is committed.

    Return the error of a worktree that cannot be read. Raises DiskFull.
    """
    try:
        snapshot = take_snapshot(fleet.worktree(agent))
    except DiskFull:
        raise
    except GroundError as error:
        return error
    except OSError as error:
        return GroundError(f"{error.filename}: {error.strerror}")
    if snapshot.files == snapshot.head_tree or snapshot.head is None:
        return None
    ident = our_ident()  # without the time, so that equal work is the same commit
    with Objects(fleet.repository.git) as objects:
        work = Commit(TreeId(snapshot.files), (snapshot.head,), ident, ident, b"uncommitted work\n")
        return CommitId(objects.write_commit(work))
