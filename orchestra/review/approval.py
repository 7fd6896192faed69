"""Approve agents' work, one or many at once with a fixed number of git processes.

An approval pins one exact commit and the notes as they are now; the gates judge these notes, and they land with it.
What the gates will refuse is said at once. The gates are run again when the work lands.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from orchestra.blueprint.model import Agent, AgentName, BuiltinGate
from orchestra.errors import GroundError, OrchestraError, UsageError
from orchestra.fleet import Fleet
from orchestra.git import worktree_admin
from orchestra.git.refs import PREFIX, AgentRefs, CommitId, Kind, RefUpdate, agent_ref, branch_ref, read_refs, update
from orchestra.git.unsaved_work import unfinished_operation
from orchestra.review.agent_notes import pin_notes, read_notes
from orchestra.review.branch_status import BranchStatus, read_uncommitted
from orchestra.review.gate_preview import BranchWork, preview_gates
from orchestra.review.landed_work import Landing, count_new_commits, landing_of, lost_landings
from orchestra.review.verdict_giver import given_by
from orchestra.review.verdicts import Decision, Verdict, change_ref, require_proposal, require_undecided
from orchestra.sessions.session_facts import read_session_facts
from orchestra.text import format_list

_MOST_SHOWN, _AT_ONCE, _LONGEST_PLACE = 3, 4, 60


@dataclass(frozen=True, slots=True)
class ApprovalRequest:
    """``reviewed``: at least 7 digits of the commit that was reviewed; None: any. ``proposal``: approve that one."""

    agent: Agent
    reviewed: str | None = None
    proposal: bool = False


@dataclass(frozen=True, slots=True)
class Refusal:
    """An agent whose work cannot be approved, and why."""

    agent: AgentName
    error: OrchestraError


def approve(fleet: Fleet, agent: Agent, *, proposal: bool = False, reviewed: str | None = None) -> Decision:
    """Approve one agent's work. Raises UsageError or GroundError where that is not possible."""
    (answer,) = approve_all(fleet, [ApprovalRequest(agent, reviewed, proposal)])
    if isinstance(answer, Refusal):
        raise answer.error
    return answer


def approve_all(fleet: Fleet, requests: Sequence[ApprovalRequest]) -> list[Decision | Refusal]:
    """Approve what can be approved, in the order of ``requests``; one refusal stops no other.

    Work that has landed can be approved again where the branch has new commits, or the target lost it.
    """
    git = fleet.repository.git
    # Look at everything once, and decide.
    all_refs = read_refs(git, [f"{PREFIX}{fleet.name}/", *(branch_ref(request.agent.branch) for request in requests)])
    works: dict[AgentName, BranchWork] = {}
    before: dict[AgentName, AgentRefs] = {}
    refusals: dict[AgentName, Refusal] = {}
    for request in requests:
        agent = request.agent
        try:
            refs, head = require_undecided(fleet, agent, request.reviewed, all_refs)
            if (landing := landing_of(agent.name, refs)) is not None:
                refs = _reopen(fleet, agent, refs, landing, head)
            elif refs.base == head:
                raise UsageError(f"{agent.name} has no commits to approve", hint=f"look at {fleet.worktree(agent)}")
            commit = require_proposal(agent, refs, head) if request.proposal else head
        except (UsageError, GroundError) as error:
            refusals[agent.name] = Refusal(agent.name, error)
            continue
        before[agent.name] = refs
        works[agent.name] = BranchWork(agent, refs.base or head, commit, read_notes(fleet.worktree(agent)))
    # The withdrawals come first: after a kill there is no verdict rather than half of one.
    for name, work in works.items():
        requested = before[name].changes_requested
        change_ref(fleet, work.agent, Kind.CHANGES_REQUESTED, requested, None, reason="approve")
    notes = pin_notes(git, fleet.name, {name: (work.tip, work.notes) for name, work in works.items()})
    approvals = [
        RefUpdate(agent_ref(fleet.name, name, Kind.APPROVED), work.tip, before[name].approved)
        for name, work in works.items()
    ]
    try:
        update(git, [*notes, *approvals], reason="approve")
    except GroundError:  # a ref of one of them, maybe: then each by itself
        for name, pinned, approval in zip(works, notes, approvals, strict=True):
            try:
                update(git, [pinned, approval], reason="approve")
            except GroundError as error:
                refusals[name] = Refusal(name, error)
        works = {name: work for name, work in works.items() if name not in refusals}
    proposals = {request.agent.name for request in requests if request.proposal}
    for name, work in works.items():
        fleet.ledger.record("verdict.approved", name, commit=work.tip, proposal=name in proposals, **given_by())
    refused, remarks = _forecast_refusals(fleet, works), _remarks(fleet, works)
    decisions = {
        name: Decision(name, Verdict.APPROVED, work.tip, (*refused[name], *remarks[name]), bool(refused[name]))
        for name, work in works.items()
    }
    names = dict.fromkeys(request.agent.name for request in requests)
    return [refusals[name] if name in refusals else decisions[name] for name in names]


def _forecast_refusals(fleet: Fleet, works: Mapping[AgentName, BranchWork]) -> dict[AgentName, list[str]]:
    """Return what the built-in gates will refuse, for each agent."""
    has_builtin_gates = any(isinstance(gate, BuiltinGate) for gate in fleet.blueprint.gates.values())
    previews = preview_gates(fleet, list(works.values())) if has_builtin_gates else ()
    refusals: dict[AgentName, list[str]] = {name: [] for name in works}
    for name, preview in zip(works, previews, strict=has_builtin_gates):
        refusals[name] += [
            f"merge will refuse it, by the gate {result.gate}: {result.detail}"
            for result in preview.results
            if result.stops
        ]
    return refusals


def _remarks(fleet: Fleet, works: Mapping[AgentName, BranchWork]) -> dict[AgentName, list[str]]:
    """Return what else a person should know of each approval: a session that goes on, and what is not committed."""
    sessions = read_session_facts(fleet)
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        uncommitted = list(pool.map(lambda work: read_uncommitted(fleet, work.agent), works.values()))
    remarks: dict[AgentName, list[str]] = {name: [] for name in works}
    for (name, work), paths in zip(works.items(), uncommitted, strict=True):
        if (session := sessions.get(name)) is not None and session.alive:
            remarks[name].append("its session is still open: a further commit makes this approval stale")
        remarks[name] += _elsewhere(fleet, work.agent)
        if paths:
            shown = format_list(paths, most=_MOST_SHOWN)
            folder = fleet.worktree(work.agent)
            remarks[name].append(f"not included, because not committed: {shown} (in {folder})")
    return remarks


def _elsewhere(fleet: Fleet, agent: Agent) -> list[str]:
    """Return a remark where the agent's worktree is not on its branch, which is what was approved."""
    folder = fleet.worktree(agent)
    try:
        admin = worktree_admin.admin_of(folder)
    except OSError:  # it is gone, or it is the main checkout of an adopted branch
        return []
    if operation := unfinished_operation(admin):
        return [f"not included: what the unfinished {operation} in {folder} makes"]
    head = worktree_admin.head_of(admin)
    if head is None or head == f"ref: {branch_ref(agent.branch)}":
        return []
    place = head.removeprefix("ref: refs/heads/")[:_LONGEST_PLACE]
    return [f"not included: commits on {place}, which {folder} is on instead of {agent.branch}"]


def _reopen(fleet: Fleet, agent: Agent, refs: AgentRefs, landing: Landing, head: CommitId) -> AgentRefs:
    """Let work after a landing be approved: what landed becomes the base of the branch. Raises UsageError without any.

    The base moves first and ``landed`` is deleted after it, so that a kill between them leaves a landed agent with its
    new commits.
    """
    repository = fleet.repository
    target = fleet.target_tip()
    git, base = repository.git, landing.base
    is_lost = False
    if target is not None:
        contained = [landing.commit] if repository.is_ancestor(landing.commit, target) else []
        is_lost = bool(lost_landings(git, [landing], target, contained=contained))
    if not is_lost:
        if not count_new_commits(git, landing, head, target):
            short = landing.commit[:10]
            raise UsageError(
                f"{agent.name} has already landed as {short} and has no commits since",
                hint=f"commit further work on {agent.branch}, then approve it",
            )
        ends = (landing.tip, landing.commit)
        fork = repository.fork(target, head, base) if target is not None else base
        base = next((end for end in ends if repository.is_ancestor(end, head)), fork)
    elif target is not None and not repository.is_ancestor(base, target):
        base = repository.fork(target, head, base)
    change_ref(fleet, agent, Kind.BASE, refs.base, base, reason="approve: continue after landing")
    change_ref(fleet, agent, Kind.LANDED, refs.landed, None, reason="approve: continue after landing")
    return replace(refs, base=base, landed=None)


def select_approvals(
    fleet: Fleet, statuses: Sequence[BranchStatus], unfinished: Mapping[AgentName, str], *, green: bool
) -> tuple[list[ApprovalRequest], dict[AgentName, str]]:
    """Return the approvals that ``--stage`` and ``--green`` stand for, each for the commit that was looked at.

    Also agent -> why it is skipped. ``green``: only those whose gates passed in the newest rehearsal of that commit.
    """
    rehearsed = {str(event.agent): event.data for event in fleet.ledger.events("rehearsed")}
    requests: list[ApprovalRequest] = []
    skipped: dict[AgentName, str] = {}
    for status in statuses:
        name, head = status.agent.name, status.head
        last = rehearsed.get(name, {})
        if status.verdict in (Verdict.APPROVED, Verdict.DISCARDED) and not status.new_commits:
            skipped[name] = "landed" if status.refs.landed else f"already {status.verdict}"
        elif head is None or not status.commits:
            skipped[name] = "no commits"
        elif name in unfinished:
            skipped[name] = f"not finished: {unfinished[name]} (approve it by name to let it land as it is)"
        elif green and (last.get("head") != head or last.get("outcome") != "landed"):
            skipped[name] = "the gates have not passed in a rehearsal of its newest commit (orchestra rehearse)"
        else:
            requests.append(ApprovalRequest(status.agent, head))
    return requests, skipped
