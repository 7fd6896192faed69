"""The status of a fleet: facts from git, sessions and set-up in, one row an agent out.

It is derived on every call and never stored. Each state names its source and the age of the facts behind it; the pure
rule is ``sessions.state.derive_state``. A worktree that could not be read is unknown, not clean.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from orchestra.blueprint.model import Agent, AgentName
from orchestra.candidates.conflict_forecast import BranchConflict
from orchestra.errors import DiskFull
from orchestra.fleet import Fleet, read_snapshot
from orchestra.gates.notes_gate import notes_filled
from orchestra.gates.scope_gate import ScopeFinding
from orchestra.git.refs import CommitId
from orchestra.ledger import Event, Json
from orchestra.review.branch_forecast import BranchForecast, forecast_branches
from orchestra.review.branch_status import BranchStatus, read_branch_statuses, undeclared_agents
from orchestra.review.dirty_files import DirtyFiles, Look, look_at_all
from orchestra.review.pushed_work import TrainPullRequest
from orchestra.review.verdicts import Verdict, commit_to_land
from orchestra.sessions.session_facts import read_session_facts
from orchestra.sessions.state import AgentState, SessionFacts, State, Usage, WorkFacts, derive_state
from orchestra.sessions.usage import add
from orchestra.text import format_count
from orchestra.workspace.provision import readiness

_SETTLED = (State.FINISHED, State.LANDED)


@dataclass(frozen=True, slots=True)
class Evicted:
    """The last merge left out the very work that would land now. Remembered by the ledger, and gone with it."""

    reason: str
    detail: str
    others: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Row:
    """One agent. ``tree``: its uncommitted files, which may be an older look's figure, with its time; the forecast
    names the branches that its branch conflicts with today, what it changes outside its scope and what it changes about
    its own judges."""

    standing: BranchStatus
    tree: DirtyFiles
    state: AgentState
    session: SessionFacts | None
    notes_filled: bool
    conflicts_with: tuple[AgentName, ...]
    scope_findings: tuple[ScopeFinding, ...]
    judging_changes: tuple[str, ...]
    evicted: Evicted | None

    @property
    def agent(self) -> Agent:
        return self.standing.agent

    @property
    def unfinished(self) -> str | None:
        """Why this work is not finished, in a person's words; None when it is, or has landed."""
        if self.state.state in _SETTLED:
            return None
        if self.tree.files:
            return format_count(self.tree.files, "uncommitted file")
        if self.state.state is State.WORKING and self.state.source == "git" and self.state.reason:
            return self.state.reason  # a person works there
        return f"{self.state.state}: {self.state.reason}" if self.state.reason else str(self.state.state)


@dataclass(frozen=True, slots=True)
class Status:
    """A fleet at one moment, a POSIX timestamp. ``not_declared`` have refs but are not in the blueprint any more.

    ``conflicts``: the pairs of pending branches that do not merge, with the paths. ``pull_request`` is read by itself,
    since it asks a server. ``unknown``: what could not be looked at, and why.
    """

    fleet: Fleet
    target_commit: CommitId | None
    rows: tuple[Row, ...]
    not_declared: tuple[AgentName, ...]
    taken_at: float
    pull_request: TrainPullRequest | None = None
    unknown: str = ""
    conflicts: tuple[BranchConflict, ...] = ()

    @property
    def usage(self) -> Usage:
        """What the sessions of all its rows used together."""
        used = Usage()
        for row in self.rows:
            used = add(used, row.session.usage) if row.session is not None else used
        return used

    def to_json(self) -> dict[str, Json]:
        """As ``status --json`` prints it; validates against schemas/status.schema.json."""
        return {
            "fleet": self.fleet.name,
            "target": {"branch": self.fleet.target, "commit": self.target_commit},
            "agents": [_row_json(row, self.taken_at) for row in self.rows],
            "not_declared": list(self.not_declared),
            "pull_request": self.pull_request.to_json() if self.pull_request else None,
            **_usage_json(self.usage),
            "budget_usd": self.fleet.blueprint.limits.budget_usd,
        }


def read_status(fleet: Fleet, agents: Sequence[Agent] | None = None, *, look: Look = look_at_all) -> Status:
    """Return the status of ``agents`` (None: all), in declared order.

    ``look`` reads the uncommitted files. A status on which a decision rests reads all of them now.
    """
    selected = fleet.blueprint.agents if agents is None else tuple(agents)
    sessions = read_session_facts(fleet)  # first, so that the work that is read is never older than a session's end
    snapshot = read_snapshot(fleet)
    statuses = read_branch_statuses(fleet, selected, trees=False, snapshot=snapshot)
    trees = look(fleet, [status.agent for status in statuses if status.spawned])
    now = time.time()
    try:
        forecast, unknown = forecast_branches(fleet, statuses, snapshot.target_tip), ""
    except DiskFull as error:  # git merges branches by writing objects; the rest needs no space
        forecast, unknown = BranchForecast(), f"conflicts and scope are unknown: {error.message}"
    evictions = {str(event.agent): event for event in fleet.ledger.events("evicted")}
    rows = []
    for status in statuses:
        name = status.agent.name
        session, tree = sessions.get(name), trees.get(name, DirtyFiles(there=False))
        if status.agent.adopted and status.head is not None and not fleet.has_worktree(status.agent):
            tree = DirtyFiles(0, now)  # it is not checked out, so that there can be nothing uncommitted
        filled = status.notes is not None and notes_filled(status.notes)
        state = derive_state(_work(fleet, status, tree, filled), session)
        new_commits = format_count(status.new_commits, "new commit") if status.new_commits else ""
        more = f"{new_commits} since; orchestra approve {name} to land more" if new_commits else ""
        if status.refs.landed is not None and (reason := forecast.lost.get(name) or more):
            state = replace(state, reason="; ".join(filter(None, (reason, state.reason))))
        evicted = _still_evicted(status, evictions.get(name))
        conflicts, findings = forecast.conflicts.get(name, ()), forecast.scope.get(name, ())
        judging = forecast.judging.get(name, ())
        rows.append(Row(status, tree, state, session, filled, conflicts, findings, judging, evicted))
    return Status(
        fleet,
        snapshot.target_tip,
        tuple(rows),
        tuple(sorted(undeclared_agents(snapshot))),
        now,
        unknown=unknown,
        conflicts=forecast.pairs,
    )


def _still_evicted(standing: BranchStatus, event: Event | None) -> Evicted | None:
    settled = standing.refs.landed is not None or standing.verdict is Verdict.DISCARDED
    if event is None or settled or event.data.get("head") != commit_to_land(standing.refs, standing.head):
        return None
    others = event.data.get("with")
    names = tuple(str(name) for name in others) if isinstance(others, list) else ()
    return Evicted(str(event.data.get("reason")), str(event.data.get("detail")), names)


def _work(fleet: Fleet, standing: BranchStatus, tree: DirtyFiles, filled: bool) -> WorkFacts:
    ready = readiness(fleet, standing.agent.name)
    return WorkFacts(
        spawned=standing.spawned,
        ready={"ready": True, "not-ready": False}.get(ready.state),
        ready_reason=ready.reason,
        commits=standing.commits,
        uncommitted=tree.files,
        # The author of an adopted branch was not asked for notes.
        notes_filled=filled or (standing.agent.adopted and standing.notes is None),
        landed=standing.refs.landed is not None,
        discarded=standing.verdict is Verdict.DISCARDED,
        worktree_exists=tree.there,
        observed_at=tree.at if tree.earlier else None,
        head=standing.head or "",
        unanswered=standing.verdict is Verdict.CHANGES_REQUESTED,
    )


def _row_json(row: Row, now: float) -> dict[str, Json]:
    standing, agent = row.standing, row.agent
    evicted: Json = None
    if (eviction := row.evicted) is not None:
        evicted = {"reason": eviction.reason, "detail": eviction.detail, "with": list(eviction.others)}
    used = row.session.usage if row.session is not None else Usage()
    age, looked = row.state.age_s(now), row.tree.age_s(now)
    return {
        "name": agent.name,
        "number": agent.number,
        "title": agent.title,
        "stage": agent.stage,
        "branch": agent.branch,
        "worktree": str(standing.worktree),
        "adopted": agent.adopted,
        "ports": dict(agent.ports),
        "base": standing.refs.base,
        "head": standing.head,
        "state": row.state.state.value,
        "state_reason": row.state.reason,
        "state_source": row.state.source,
        "state_age_s": None if age is None else round(age, 1),
        "commits": standing.commits,
        "behind": standing.behind,
        "uncommitted_files": row.tree.files,
        "uncommitted_age_s": None if row.tree.files is None or looked is None else round(looked, 1),
        "notes": "filled" if row.notes_filled else "empty",
        "verdict": standing.verdict.value,
        "proposal": standing.proposal,
        "landed": standing.refs.landed,
        "evicted": evicted,
        "conflicts_with": list(row.conflicts_with),
        "scope_findings": [{"path": finding.path, "reason": finding.reason} for finding in row.scope_findings],
        "judging_changes": list(row.judging_changes),
        "refused_calls": row.session.refused_calls if row.session is not None else 0,
        **_usage_json(used),
    }


def _usage_json(used: Usage) -> dict[str, Json]:
    return {
        "cost_usd": used.cost_usd,
        "sessions_without_cost": used.sessions_without_cost,
        "tokens": {"input": used.input_tokens, "output": used.output_tokens, "cache": used.cache_tokens},
    }
