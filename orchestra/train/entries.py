"""The entries of a train: which agents take part, each at one exact commit, and why the others do not.

A stale approval is not an approval, work without a verdict does not land where one is required, and an agent counts as
finished only if something says so.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum

from orchestra.blueprint.model import Agent, AgentName, Review, Scope
from orchestra.blueprint.scope import Matcher
from orchestra.candidates.builder import Branch
from orchestra.fleet import Fleet
from orchestra.git.refs import AgentRefs, CommitId, branch_ref, read_refs
from orchestra.review.agent_notes import pinned_notes, read_notes
from orchestra.review.landed_work import merged_by_hand
from orchestra.review.verdicts import Verdict, commit_to_land, uncommitted_paths, verdict
from orchestra.train.train_report import Waiting
from orchestra.workspace.paths import NOTES, STANDARDS, instruction_names

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
    fleet: Fleet,
    refs: Mapping[AgentName, AgentRefs],
    target: CommitId,
    *,
    accept: Accept,
    agents: Collection[AgentName] | None,
    read_unfinished: Callable[[], Mapping[AgentName, str]],
) -> Entries:
    """Return which of ``agents`` (None: all) take part on top of ``target``, by the verdicts that ``accept`` allows."""
    git, blueprint = fleet.repository.git, fleet.blueprint
    heads = read_refs(git, [branch_ref(agent.branch) for agent in blueprint.agents])
    if accept is Accept.APPROVED and blueprint.merge.review is Review.NONE:
        accept = Accept.FINISHED
    queued: list[Entry] = []
    waiting: list[Waiting] = []
    excluded: set[AgentName] = set()
    unfinished: Mapping[AgentName, str] | None = None
    branches = {agent.name: (branch_ref(agent.branch), refs.get(agent.name, AgentRefs())) for agent in blueprint.agents}
    merged = merged_by_hand(git, target, branches)
    by_name = {agent.name: agent for agent in blueprint.agents}
    for agent in (by_name[name] for name in blueprint.merge_order):
        agent_refs, head = refs.get(agent.name, AgentRefs()), heads.get(branch_ref(agent.branch))
        if agent_refs.landed is not None or agent_refs.discarded is not None or agent.name in merged:
            continue
        if agents is not None and agent.name not in agents:
            excluded.add(agent.name)
            continue
        if agent_refs.base is None or head is None:
            reason = "not spawned" if agent_refs.base is None else f"branch {agent.branch} does not exist"
            waiting.append(Waiting(agent.name, reason))
            continue
        decision = verdict(agent_refs, head)
        refusal: str | None = None
        if accept is Accept.NAMED or decision is Verdict.APPROVED:
            pass
        elif decision is Verdict.CHANGES_REQUESTED:
            refusal = "changes were requested"
        elif decision is Verdict.ANSWERED:
            refusal = f"it has new commits since changes were requested: orchestra review {agent.name}"
        elif decision is Verdict.STALE and blueprint.merge.review is Review.REQUIRED:
            refusal = "its approval is stale: the branch has new commits"
        elif accept is Accept.APPROVED:
            refusal = NO_VERDICT
        else:
            unfinished = read_unfinished() if unfinished is None else unfinished
            refusal = _unfinished_reason(fleet, agent, unfinished)
        if refusal is not None:
            waiting.append(Waiting(agent.name, refusal))
            continue
        # At its branch's head, or at the proposal for it that a person accepted.
        tip = commit_to_land(agent_refs, head) or head
        excluded_paths = tuple(sorted(_excluded_paths(fleet, agent, agent_refs.base)))
        strategy = blueprint.merge.strategy
        branch = Branch(agent.name, fleet.name, agent_refs.base, tip, agent.title, strategy, excluded_paths)
        queued.append(Entry(agent, branch, _read_notes(fleet, agent, head, decision, tip), decision))
    # What is only tested may be tested without those that would have to land before it.
    blocking = frozenset[AgentName]() if accept is Accept.NAMED else frozenset(excluded)
    return Entries(tuple(queued), tuple(waiting), blocking, merged)


def _unfinished_reason(fleet: Fleet, agent: Agent, unfinished: Mapping[AgentName, str]) -> str | None:
    if agent.name in unfinished:
        return f"not finished: {unfinished[agent.name]}"
    if not (fleet.worktree(agent) / ".git").exists():
        return None
    dirty = len(uncommitted_paths(fleet, agent))
    return f"not finished: {dirty} uncommitted files in {fleet.worktree(agent)}" if dirty else None


def _excluded_paths(fleet: Fleet, agent: Agent, base: CommitId) -> set[str]:
    """Return the instruction files, which never land. A tracked CLAUDE.md stays, unless the agent may edit it."""
    paths = set(instruction_names(fleet.repository, fleet.blueprint, base).all)
    if not Matcher(Scope(agent.may_edit)).matches(STANDARDS):
        paths.add(STANDARDS)
    return paths


def _read_notes(fleet: Fleet, agent: Agent, head: CommitId, decision: Verdict, tip: CommitId) -> str | None:
    """Return the agent's notes: those that were approved with it, else the file in its worktree or in its branch."""
    if decision is Verdict.APPROVED:
        pinned, notes = pinned_notes(fleet.repository.git, fleet.name, agent.name, tip)
        if pinned and notes is not None:
            return notes
        if pinned:
            return _committed_notes(fleet, head)
    notes = read_notes(fleet.worktree(agent))
    return notes if notes is not None else _committed_notes(fleet, head)


def _committed_notes(fleet: Fleet, head: CommitId) -> str | None:
    blob = fleet.repository.git.run("cat-file", "blob", f"{head}:{NOTES}", ok=(0, 128))
    return blob.stdout.decode("utf-8", "replace") if blob.code == 0 else None
