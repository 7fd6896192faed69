"""Who rides in this train, and why the others do not.

Invariant: read from refs and the branches' tips at one moment; a passenger is one exact commit. Refuses: stale
approvals, work without a verdict where one is required, and guessing that somebody is finished.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum

from orchestra.blueprint.model import Agent, AgentName, Review, Scope
from orchestra.blueprint.scope import Matcher
from orchestra.candidates.builder import Branch
from orchestra.fleet import Fleet
from orchestra.git.refs import AgentRefs, CommitId, RefName, branch_ref, read_fleet, read_refs
from orchestra.review.branch_status import read_notes
from orchestra.review.verdicts import Verdict, commit_to_land, uncommitted_paths, verdict
from orchestra.train.train_report import Waiting
from orchestra.workspace.paths import NOTES, STANDARDS, instruction_names

NO_VERDICT = "no verdict"


class Accept(StrEnum):
    APPROVED = "approved"  # only what a person approved
    FINISHED = "finished"  # also what has no verdict, but is finished
    NAMED = "named"  # whatever its verdict: it is only tested


@dataclass(frozen=True, slots=True)
class Passenger:
    """An agent's work at one commit, and the verdict under which it rides."""

    agent: Agent
    branch: Branch
    notes: str | None
    decided: Verdict


@dataclass(frozen=True, slots=True)
class Roster:
    """``passengers`` in train order. ``settled`` have landed or were discarded, and hold nobody up."""

    passengers: tuple[Passenger, ...]
    waiting: tuple[Waiting, ...]
    settled: frozenset[AgentName]
    aside: frozenset[AgentName]  # not asked for, and not settled
    merged: Mapping[AgentName, CommitId]  # somebody merged them by hand: the target holds that very tip

    def passenger(self, name: AgentName) -> Passenger:
        return next(p for p in self.passengers if p.agent.name == name)


def read_roster(
    fleet: Fleet,
    target: CommitId,
    accept: Accept,
    agents: Collection[AgentName] | None,
    unfinished: Mapping[AgentName, str],
) -> Roster:
    """Who rides on top of ``target``: of ``agents`` (None: all), those that ``accept`` lets in."""
    git, blueprint = fleet.repository.git, fleet.blueprint
    refs = read_fleet(git, fleet.name)
    heads = read_refs(git, [branch_ref(agent.branch) for agent in blueprint.agents])
    if accept is Accept.APPROVED and blueprint.merge.review is Review.NONE:
        accept = Accept.FINISHED
    riding: list[Passenger] = []
    waiting: list[Waiting] = []
    settled: set[AgentName] = set()
    aside: set[AgentName] = set()
    merged = _merged_by_hand(fleet, target, refs)
    by_name = {agent.name: agent for agent in blueprint.agents}
    for agent in (by_name[name] for name in blueprint.merge_order):
        own, head = refs.get(agent.name, AgentRefs()), heads.get(branch_ref(agent.branch))
        if own.landed is not None or own.discarded is not None or agent.name in merged:
            settled.add(agent.name)
        elif agents is not None and agent.name not in agents:
            aside.add(agent.name)
        elif own.base is None or head is None:
            waiting.append(Waiting(agent.name, "not spawned" if own.base is None else f"branch {agent.branch} is gone"))
        elif reason := _why_not(fleet, agent, verdict(own, head), accept, unfinished):
            waiting.append(Waiting(agent.name, reason))
        else:
            riding.append(_passenger(fleet, agent, own, head))
    # What is only tested may stand without those who would have to land before it.
    held_up = frozenset[AgentName]() if accept is Accept.NAMED else frozenset(aside)
    return Roster(tuple(riding), tuple(waiting), frozenset(settled), held_up, merged)


def _merged_by_hand(
    fleet: Fleet, target: CommitId, refs: Mapping[AgentName, AgentRefs]
) -> Mapping[AgentName, CommitId]:
    """Agents with commits of their own whose whole branch the target holds, though no train of ours landed it."""
    by_ref = {branch_ref(agent.branch): agent.name for agent in fleet.blueprint.agents}
    rows = fleet.repository.git.run("for-each-ref", "--merged", target, "--format=%(refname) %(objectname)", *by_ref)
    found: dict[AgentName, CommitId] = {}
    for row in rows.lines:
        ref, _, tip = row.partition(" ")
        own = refs.get(by_ref.get(RefName(ref), AgentName("")), AgentRefs())
        if RefName(ref) in by_ref and own.base not in (None, tip) and own.landed is None and own.discarded is None:
            found[by_ref[RefName(ref)]] = CommitId(tip)
    return found


def _why_not(
    fleet: Fleet, agent: Agent, decided: Verdict, accept: Accept, unfinished: Mapping[AgentName, str]
) -> str | None:
    """Why the agent does not ride; None when it does."""
    if accept is Accept.NAMED or decided is Verdict.APPROVED:
        return None
    if decided is Verdict.CHANGES_REQUESTED:
        return "changes were requested"
    if decided is Verdict.STALE and fleet.blueprint.merge.review is Review.REQUIRED:
        return "its approval is stale: it was committed to since"
    if accept is Accept.APPROVED:
        return NO_VERDICT
    return _why_unfinished(fleet, agent, unfinished)


def _why_unfinished(fleet: Fleet, agent: Agent, unfinished: Mapping[AgentName, str]) -> str | None:
    if agent.name in unfinished:
        return f"not finished: {unfinished[agent.name]}"
    if not (fleet.worktree(agent) / ".git").exists():
        return None
    dirty = len(uncommitted_paths(fleet, agent))
    return f"not finished: {dirty} uncommitted files in {fleet.worktree(agent)}" if dirty else None


def _passenger(fleet: Fleet, agent: Agent, own: AgentRefs, head: CommitId) -> Passenger:
    """At its branch's head, or at the proposal for it that a person took."""
    assert own.base is not None  # noqa: S101 - the caller has looked
    kept_out = tuple(sorted(_kept_out(fleet, agent, own.base)))
    tip = commit_to_land(own, head) or head
    branch = Branch(agent.name, fleet.name, own.base, tip, agent.title, fleet.blueprint.merge.strategy, kept_out)
    return Passenger(agent, branch, _notes(fleet, agent, head), verdict(own, head))


def _kept_out(fleet: Fleet, agent: Agent, base: CommitId) -> set[str]:
    """Our own files never land. A CLAUDE.md that the repository has stays as it is, unless the agent may edit it."""
    kept = set(instruction_names(fleet.repository, fleet.blueprint, base).all)
    if not Matcher(Scope(agent.may_edit)).matches(STANDARDS):
        kept.add(STANDARDS)
    return kept


def _notes(fleet: Fleet, agent: Agent, head: CommitId) -> str | None:
    """What the agent says of its work: the file in its worktree, else what it committed."""
    written = read_notes(fleet.worktree(agent))
    if written is not None:
        return written
    found = fleet.repository.git.run("cat-file", "blob", f"{head}:{NOTES}", ok=(0, 128))
    return found.stdout.decode("utf-8", "replace") if found.code == 0 else None
