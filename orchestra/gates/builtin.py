"""Checks of orchestra's own, on what a branch changes and says: ``scope`` and ``notes``.

They need no checkout and no machine, so they are decided before any candidate is built. Invariant: the rules are the
blueprint's and the paths are git's; nothing that the branch holds can change them (law 6). Refuses: a train whose
blueprint names a built-in that no train runs yet.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from orchestra.blueprint.model import Agent, Blueprint, Builtin, BuiltinGate, Policy
from orchestra.errors import UsageError
from orchestra.gates.scope_gate import ScopeFinding, scope_findings
from orchestra.workspace.render import notes_filled

_RUN_HERE = frozenset({Builtin.SCOPE, Builtin.NOTES})
_SHOWN = 3


@dataclass(frozen=True, slots=True)
class BuiltinResult:
    """What a built-in gate says of a branch: ``outcome`` passed, warned or failed; ``detail`` a sentence."""

    gate: str
    builtin: Builtin
    outcome: str
    detail: str = ""

    @property
    def stops(self) -> bool:
        return self.outcome == "failed"


def require_supported_builtins(blueprint: Blueprint) -> None:
    """Raises UsageError naming the line of a built-in gate that cannot be run."""
    for name, gate in blueprint.gates.items():
        if isinstance(gate, BuiltinGate) and gate.builtin not in _RUN_HERE:
            origin = blueprint.origins.get(("gates", name, "builtin")) or blueprint.origins.get(("gates", name))
            where = f"{origin}: " if origin else ""
            raise UsageError(
                f"{where}gate {name}: the built-in {gate.builtin} cannot be run yet, so no train may leave",
                hint=f"remove the gate, or run a tool of your own: {name}: {{run: ...}}",
            )


def run_builtin_gates(
    blueprint: Blueprint, agent: Agent, paths: Iterable[str], notes: str | None
) -> tuple[BuiltinResult, ...]:
    """Every built-in gate on a branch that changes ``paths``; ``notes`` is the text of AGENT_NOTES.md, if any."""
    changed = tuple(paths)
    found = []
    for gate in blueprint.gates.values():
        if not isinstance(gate, BuiltinGate):
            continue
        if gate.builtin is Builtin.SCOPE:
            found.append(_scope(gate, scope_findings(blueprint, agent, changed), notes or ""))
        elif gate.builtin is Builtin.NOTES:
            found.append(_notes(gate, notes))
    return tuple(found)


def _scope(gate: BuiltinGate, findings: tuple[ScopeFinding, ...], notes: str) -> BuiltinResult:
    open_ = findings
    if gate.policy is Policy.JUSTIFY:
        open_ = tuple(finding for finding in findings if finding.path not in notes)
    if not findings:
        return BuiltinResult(gate.name, gate.builtin, "passed")
    if gate.policy is Policy.WARN or not open_:
        return BuiltinResult(gate.name, gate.builtin, "warned", _told(findings))
    mend = ", and AGENT_NOTES.md does not say why" if gate.policy is Policy.JUSTIFY else ""
    return BuiltinResult(gate.name, gate.builtin, "failed", _told(open_) + mend)


def _told(findings: tuple[ScopeFinding, ...]) -> str:
    shown = "; ".join(f"{finding.path} is {finding.why}" for finding in findings[:_SHOWN])
    return shown + (f"; and {len(findings) - _SHOWN} more" if len(findings) > _SHOWN else "")


def _notes(gate: BuiltinGate, notes: str | None) -> BuiltinResult:
    if notes is not None and notes_filled(notes):
        return BuiltinResult(gate.name, gate.builtin, "passed")
    what = "AGENT_NOTES.md is not there" if notes is None else "AGENT_NOTES.md is still the empty form"
    return BuiltinResult(gate.name, gate.builtin, "warned" if gate.policy is Policy.WARN else "failed", what)
