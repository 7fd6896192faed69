"""The entries of a train: which agents take part, each at one exact commit, and why the others do not.

A stale approval is not an approval, work without a verdict does not land where one is required, and an agent counts as
finished only if something says so.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache

from orchestra.blueprint.model import Agent, AgentName, Review
from orchestra.candidates.builder import Branch
from orchestra.errors import GroundError
from orchestra.fleet import Fleet, FleetSnapshot
from orchestra.git.objects import Objects
from orchestra.git.refs import CommitId, branch_ref, find_odd_refs
from orchestra.review.agent_notes import pinned_notes, read_notes
from orchestra.review.gate_preview import kept_out_names, kept_out_paths
from orchestra.review.landed_work import merged_by_hand
from orchestra.review.verdicts import Verdict, commit_to_land, uncommitted_paths, verdict
from orchestra.text import format_count
from orchestra.train.train_report import Waiting
from orchestra.workspace.paths import NOTES

NO_VERDICT = "no verdict"


class Accept(StrEnum):
    APPROVED = "approved"  # only what a person approved
    FINISHED = "finished"  # also what has no verdict, but is finished
    NAMED = "named"  # whatever its verdict: it is only tested


@dataclass(frozen=True, slots=True)
class Entry:
    """An agent's work at one commit, and the verdict under which it takes part."""

    agent: Agent
    branch: Branch
    notes: str | None
    decided: Verdict


@dataclass(frozen=True, slots=True)
class Entries:
    """``queued`` in train order. ``excluded``: not selected, and neither landed nor discarded.

    ``merged``: agents that a person merged by hand; the target contains that very tip.
    """

    queued: tuple[Entry, ...]
    waiting: tuple[Waiting, ...]
    excluded: frozenset[AgentName]
    merged: Mapping[AgentName, CommitId]

    def entry(self, name: AgentName) -> Entry:
        return next(entry for entry in self.queued if entry.agent.name == name)


def read_entries(
    snapshot: FleetSnapshot,
    objects: Objects,
    target: CommitId,
    accept: Accept,
    agents: Collection[AgentName] | None,
    *,
    read_unfinished: Callable[[], Mapping[AgentName, str]],
) -> Entries:
    """Return which of ``agents`` (None: all) take part on top of ``target``, by the verdicts that ``accept`` allows."""
    fleet, blueprint = snapshot.fleet, snapshot.fleet.blueprint
    if accept is Accept.APPROVED and blueprint.merge.review is Review.NONE:
        accept = Accept.FINISHED
    queued: list[Entry] = []
    waiting: list[Waiting] = []
    excluded: set[AgentName] = set()
    unfinished = cache(read_unfinished)  # read when the first agent needs it
    branches = {agent.name: (branch_ref(agent.branch), snapshot.agent_refs(agent.name)) for agent in blueprint.agents}
    merged = merged_by_hand(fleet.repository.git, target, branches)
    odd_refs = find_odd_refs(fleet.repository.git, fleet.name, snapshot.refs)
    by_name = {agent.name: agent for agent in blueprint.agents}
    names_kept_out = cache(lambda base: kept_out_names(fleet, base))  # most agents start from the same commit
    for agent in (by_name[name] for name in blueprint.merge_order):
        agent_refs, head = snapshot.agent_refs(agent.name), snapshot.branch_tip(agent)
        if agent_refs.landed is not None or agent_refs.discarded is not None or agent.name in merged:
            continue
        if agents is not None and agent.name not in agents:
            excluded.add(agent.name)
            continue
        if agent.name in odd_refs or agent_refs.base is None or head is None:
            reason = "not spawned" if agent_refs.base is None else f"branch {agent.branch} does not exist"
            waiting.append(Waiting(agent.name, odd_refs.get(agent.name, reason), expected=agents is not None))
            continue
        decision = verdict(agent_refs, head)
        refusal = _refusal(fleet, agent, decision, accept, unfinished)
        if refusal is not None:
            waiting.append(Waiting(agent.name, refusal, agents is not None or decision is Verdict.STALE))
            continue
        # At its branch's head, or at the proposal for it that a person accepted.
        tip = commit_to_land(agent_refs, head) or head
        strategy, paths = blueprint.merge.strategy, kept_out_paths(agent, names_kept_out(agent_refs.base))
        branch = Branch(agent.name, fleet.name, agent_refs.base, tip, agent.title, strategy, paths)
        notes = _read_notes(fleet, objects, agent, head, tip if decision is Verdict.APPROVED else None)
        queued.append(Entry(agent, branch, notes, decision))
    # What is only tested may be tested without those that would have to land before it.
    blocking = frozenset[AgentName]() if accept is Accept.NAMED else frozenset(excluded)
    return Entries(tuple(queued), tuple(waiting), blocking, merged)


def _refusal(
    fleet: Fleet,
    agent: Agent,
    decision: Verdict,
    accept: Accept,
    read_unfinished: Callable[[], Mapping[AgentName, str]],
) -> str | None:
    """Return why an agent with that verdict does not take part; None when it does."""
    if accept is Accept.NAMED or decision is Verdict.APPROVED:
        return None
    if decision is Verdict.CHANGES_REQUESTED:
        return "changes were requested"
    if decision is Verdict.ANSWERED:
        return f"it has new commits since changes were requested: orchestra review {agent.name}"
    if decision is Verdict.STALE and fleet.blueprint.merge.review is Review.REQUIRED:
        return "its approval is stale: the branch has new commits"
    if accept is Accept.APPROVED:
        return NO_VERDICT
    if agent.name in read_unfinished():
        return f"not finished: {read_unfinished()[agent.name]}"
    folder = fleet.worktree(agent)
    try:
        dirty = len(uncommitted_paths(fleet, agent)) if fleet.has_worktree(agent) else 0
    except GroundError as error:  # what cannot be looked at counts as work
        return f"its worktree cannot be read: {error}"
    return f"not finished: {format_count(dirty, 'uncommitted file')} in {folder}" if dirty else None


def _read_notes(fleet: Fleet, objects: Objects, agent: Agent, head: CommitId, approved: CommitId | None) -> str | None:
    """Return the agent's notes: those that were approved with it, else the file in its worktree or in its branch."""
    pinned, notes = pinned_notes(objects, fleet.name, agent.name, approved) if approved else (False, None)
    if not pinned:
        notes = read_notes(fleet.worktree(agent))
    if notes is not None:
        return notes
    committed = objects.find_blob(f"{head}:{NOTES}")
    return None if committed is None else committed.decode("utf-8", "replace")
