"""Show a proposal for a verdict: what it decides where the agent and the target disagree, and what it would change.

What it decides is the difference from the mechanical merge, which is rebuilt here with markers, base and both sides, so
that a method cannot hide what it did elsewhere. Reads only.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from orchestra.blueprint.model import Agent
from orchestra.candidates.builder import Branch, open_builder
from orchestra.candidates.containment import is_at_or_below
from orchestra.candidates.resolution.proposal import resolved_by
from orchestra.errors import UsageError
from orchestra.fleet import Fleet
from orchestra.gates.scope_gate import ScopeFinding, scope_findings
from orchestra.git.log import FileChange, changes, patch
from orchestra.git.objects import Objects
from orchestra.git.refs import CommitId, Kind, agent_ref
from orchestra.ledger import Json
from orchestra.review.branch_status import BranchStatus, read_branch_statuses
from orchestra.review.verdicts import require_proposal
from orchestra.workspace.paths import instruction_names

_PARENTS = 2
_LABEL = re.compile(r"^(-(<{7}|\|{7}|>{7}) )[0-9a-f]{7,64}$", re.MULTILINE)  # git knows the sides by their ids alone


@dataclass(frozen=True, slots=True)
class ProposalReview:
    """``target`` is the value of the target that it merges, ``behind`` how many commits the target has had since.

    ``decides``: the difference from the mechanical merge, conflict markers and all, to the proposal. ``changes`` and
    ``patch``: what it would change on that target. ``gates``: gate -> what it said of it when it was made.
    """

    standing: BranchStatus
    commit: CommitId
    target: CommitId
    behind: int
    resolved: Mapping[str, str]
    decides: str
    changes: tuple[FileChange, ...]
    patch: str
    findings: tuple[ScopeFinding, ...]
    gates: Mapping[str, str]


def review_proposal(fleet: Fleet, agent: Agent) -> ProposalReview:
    """Return the proposal for ``agent``. UsageError where there is none for its branch as it is."""
    (standing,) = read_branch_statuses(fleet, [agent])
    commit = require_proposal(agent, standing.refs, standing.head)
    repository = fleet.repository
    with Objects(repository.git) as objects:
        proposed = objects.commit(commit)
    if len(proposed.parents) != _PARENTS:
        ref = agent_ref(fleet.name, agent.name, Kind.PROPOSED)
        raise UsageError(f"{commit[:10]} is no proposal", hint=f"git update-ref --no-deref -d {ref}")
    head, target = proposed.parents
    base = standing.refs.base or head
    hidden = tuple(sorted(instruction_names(repository, fleet.blueprint, base).all))
    visible = tuple(change for change in changes(repository, target, commit) if not is_at_or_below(change.path, hidden))
    touched = {path for change in visible for path in (change.path, change.renamed_from) if path}
    now = fleet.target_tip()
    # What the gates said when it was made, as the ledger remembers; the train runs them again anyway.
    events = reversed(fleet.ledger.events("proposal", agent.name))
    recorded = next((event.data.get("gates") for event in events if event.data.get("commit") == commit), None)
    gates = {name: str(outcome) for name, outcome in recorded.items()} if isinstance(recorded, dict) else {}
    branch = Branch(agent.name, fleet.name, base, head, agent.title, kept_out=hidden)
    return ProposalReview(
        standing=standing,
        commit=commit,
        target=target,
        behind=repository.count_commits(target, now) if now else 0,
        resolved=resolved_by(proposed),
        decides=_decides(fleet, branch, commit, target),
        changes=visible,
        patch=patch(repository, target, commit, leave_out=hidden),
        findings=scope_findings(fleet.blueprint, agent, touched),
        gates=MappingProxyType(gates),
    )


def _decides(fleet: Fleet, branch: Branch, commit: CommitId, target: CommitId) -> str:
    with open_builder(fleet.repository.git, target, style="diff3") as build:
        merged = build.whole(target, branch)
    if merged is None:
        return ""
    diff = patch(fleet.repository, CommitId(merged.tree), commit, leave_out=branch.kept_out)
    names = {"<": fleet.target, "|": "base", ">": branch.agent}
    return _LABEL.sub(lambda found: f"{found[1]}{names[found[2][0]]}", diff)


def to_json(shown: ProposalReview) -> dict[str, Json]:
    """Return it as ``review --proposal --json`` prints it."""
    standing = shown.standing
    return {
        "agent": standing.agent.name,
        "branch": standing.agent.branch,
        "head": standing.head,
        "verdict": standing.verdict.value,
        "proposal": {
            "commit": shown.commit,
            "target": shown.target,
            "behind": shown.behind,
            "approved": standing.refs.approved == shown.commit,
            "resolved": dict(shown.resolved),
            "gates": dict(shown.gates),
            "resolution_patch": shown.decides,
            "changes": [
                {"path": c.path, "added": c.added, "removed": c.removed, "renamed_from": c.renamed_from}
                for c in shown.changes
            ],
            "scope_findings": [{"path": f.path, "reason": f.reason} for f in shown.findings],
            "patch": shown.patch,
        },
    }
