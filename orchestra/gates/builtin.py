"""The built-in gates: checks of a branch that need no checkout, as functions of its content and its notes.

They are decided before any candidate is built, all in one round. Their rules come from the blueprint and the target and
the content from git, so nothing that the branch contains can change them. The client's stop hook, which has no
blueprint, calls ``check_content`` alone.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from orchestra.blueprint.model import Agent, Blueprint, Builtin, BuiltinGate, Policy
from orchestra.gates.branch_content import BranchContent
from orchestra.gates.commits_gate import check_commits
from orchestra.gates.dependencies_gate import check_dependencies
from orchestra.gates.gate_finding import GateFinding
from orchestra.gates.notes_gate import NOTES_FILE, justifies, notes_filled
from orchestra.gates.scope_gate import ScopeFinding, branch_scope_findings
from orchestra.gates.secrets_gate import check_secrets
from orchestra.gates.tests_gate import check_tests_kept

_MOST_SHOWN = 3


@dataclass(frozen=True, slots=True)
class BuiltinResult:
    """The result of a built-in gate on a branch: ``outcome`` is passed, warned or failed."""

    gate: str
    builtin: Builtin
    outcome: str
    findings: tuple[GateFinding, ...] = ()
    remark: str = ""

    @property
    def stops(self) -> bool:
        return self.outcome == "failed"

    @property
    def detail(self) -> str:
        """Return the first findings as one sentence, each with what to do about it."""
        shown = [f"{each} ({each.fix})" if each.fix else str(each) for each in self.findings[:_MOST_SHOWN]]
        if len(self.findings) > _MOST_SHOWN:
            shown.append(f"and {len(self.findings) - _MOST_SHOWN} more")
        return "; ".join(shown) + self.remark


def run_builtin_gates(
    blueprint: Blueprint, agent: Agent, content: BranchContent, notes: str | None
) -> tuple[BuiltinResult, ...]:
    """Run every built-in gate on a branch; ``notes`` is the text of AGENT_NOTES.md, if any."""
    results = []
    for gate in blueprint.gates.values():
        if isinstance(gate, BuiltinGate) and gate.builtin is Builtin.SCOPE:
            scope = branch_scope_findings(blueprint, agent, content)
            findings = [_scope_gate_finding(finding, content) for finding in scope]
            remark = f", and {NOTES_FILE} does not name the path, in backticks, with a reason"
            results.append(_apply_policy(gate, findings, notes or "", remark))
        elif agent.adopted and isinstance(gate, BuiltinGate) and gate.builtin is Builtin.NOTES and notes is None:
            results.append(BuiltinResult(gate.name, gate.builtin, "passed"))  # its author was not asked for notes
        elif isinstance(gate, BuiltinGate):
            results.append(check_content(gate, content, notes))
    return tuple(results)


def check_content(gate: BuiltinGate, content: BranchContent, notes: str | None) -> BuiltinResult:
    """Run a built-in gate other than ``scope``."""
    if gate.builtin is Builtin.NOTES:
        is_filled = notes is not None and notes_filled(notes)
        reason = "is missing" if notes is None else "is not filled in"
        findings = [] if is_filled else [GateFinding(NOTES_FILE, reason)]
    elif gate.builtin is Builtin.SECRETS:
        findings = check_secrets(content, notes)
    elif gate.builtin is Builtin.DEPENDENCIES:
        findings = check_dependencies(content, notes)
    elif gate.builtin is Builtin.TESTS_KEPT:
        findings = check_tests_kept(content, notes, gate.untested)
    else:
        findings = check_commits(content, time.time())
    if gate.builtin is Builtin.COMMITS:
        return _apply_policy(gate, findings, notes or "")
    # Notes excuse no secret; for the other gates they decide already.
    stops = gate.policy is not Policy.WARN and not all(finding.is_advisory for finding in findings)
    outcome = "passed" if not findings else "failed" if stops else "warned"
    return BuiltinResult(gate.name, gate.builtin, outcome, tuple(findings))


def _scope_gate_finding(finding: ScopeFinding, content: BranchContent) -> GateFinding:
    """Return a finding of the scope, with the commit where a later commit takes the change back."""
    reason = f"is {finding.reason}"
    commits = [own.id for own in content.commits if finding.path in own.changes]
    if finding.path in content.changes or not commits:
        return GateFinding(finding.path, reason)
    fix = f"the branch takes it back later, but each of its commits lands: git rebase -i {content.fork[:10]}"
    return GateFinding(finding.path, reason, fix, commit=commits[0])


def _apply_policy(gate: BuiltinGate, findings: Sequence[GateFinding], notes: str, remark: str = "") -> BuiltinResult:
    unjustified = tuple(findings)
    if gate.policy is Policy.JUSTIFY:
        unjustified = tuple(each for each in findings if not each.path or not justifies(notes, each.path))
    if not findings:
        return BuiltinResult(gate.name, gate.builtin, "passed")
    if gate.policy is Policy.WARN or not unjustified:
        return BuiltinResult(gate.name, gate.builtin, "warned", tuple(findings))
    return BuiltinResult(
        gate.name, gate.builtin, "failed", unjustified, remark if gate.policy is Policy.JUSTIFY else ""
    )
