"""The built-in gates ``scope`` and ``notes``: checks of a branch that need no checkout.

They are decided before any candidate is built. Their rules come from the blueprint and the paths from git, so nothing
that the branch contains can change them.
"""

from __future__ import annotations

from dataclasses import dataclass

from orchestra.blueprint.model import Agent, Blueprint, Builtin, BuiltinGate, Policy
from orchestra.gates.branch_content import BranchContent
from orchestra.gates.notes_gate import NOTES_FILE, justifies, notes_filled
from orchestra.gates.scope_gate import ScopeFinding, branch_scope_findings

_MOST_SHOWN = 3


@dataclass(frozen=True, slots=True)
class BuiltinResult:
    """The result of a built-in gate on a branch: ``outcome`` passed, warned or failed; ``detail`` a sentence."""

    gate: str
    builtin: Builtin
    outcome: str
    detail: str = ""

    @property
    def stops(self) -> bool:
        return self.outcome == "failed"


def run_builtin_gates(
    blueprint: Blueprint, agent: Agent, content: BranchContent, notes: str | None
) -> tuple[BuiltinResult, ...]:
    """Run every built-in gate on a branch; ``notes`` is the text of AGENT_NOTES.md, if any."""
    results = []
    for gate in blueprint.gates.values():
        if isinstance(gate, BuiltinGate) and gate.builtin is Builtin.SCOPE:
            results.append(_scope(gate, branch_scope_findings(blueprint, agent, content), notes or ""))
        elif isinstance(gate, BuiltinGate) and gate.builtin is Builtin.NOTES:
            results.append(_notes(gate, notes))
    return tuple(results)


def _scope(gate: BuiltinGate, findings: tuple[ScopeFinding, ...], notes: str) -> BuiltinResult:
    unjustified, reminder = findings, ""
    if gate.policy is Policy.JUSTIFY:
        unjustified = tuple(finding for finding in findings if not justifies(notes, finding.path))
        reminder = f", and {NOTES_FILE} does not name the path, in backticks, with a reason"
    if not findings:
        return BuiltinResult(gate.name, gate.builtin, "passed")
    if gate.policy is Policy.WARN or not unjustified:
        return BuiltinResult(gate.name, gate.builtin, "warned", _sentence(findings))
    return BuiltinResult(gate.name, gate.builtin, "failed", _sentence(unjustified) + reminder)


def _sentence(findings: tuple[ScopeFinding, ...]) -> str:
    shown = [f"{finding.path} is {finding.reason}" for finding in findings[:_MOST_SHOWN]]
    if len(findings) > _MOST_SHOWN:
        shown.append(f"and {len(findings) - _MOST_SHOWN} more")
    return "; ".join(shown)


def _notes(gate: BuiltinGate, notes: str | None) -> BuiltinResult:
    if notes is not None and notes_filled(notes):
        return BuiltinResult(gate.name, gate.builtin, "passed")
    detail = f"{NOTES_FILE} is missing" if notes is None else f"{NOTES_FILE} is not filled in"
    return BuiltinResult(gate.name, gate.builtin, "warned" if gate.policy is Policy.WARN else "failed", detail)
