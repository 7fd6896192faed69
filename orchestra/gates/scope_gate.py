"""What a branch changes that its agent was not to touch. Pure: paths in, findings out.

The rule: a path is the agent's when it is in its scope (any path, without one); a protected path needs ``may_edit``
as well, which also stands for the scope. Policy is the blueprint's, never the branch's (law 6).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from orchestra.blueprint.model import Agent, Blueprint, Scope
from orchestra.blueprint.scope import Matcher


class ScopeReason(StrEnum):
    OUT_OF_SCOPE = "outside the agent's scope"
    PROTECTED = "protected, and not in the agent's may_edit"

    @property
    def short(self) -> str:
        """For a narrow column: "out of scope", "protected"."""
        return self.name.lower().replace("_", " ")


@dataclass(frozen=True, slots=True, order=True)
class ScopeFinding:
    """One path that the agent was not to touch, and why."""

    path: str
    why: ScopeReason


def scope_findings(blueprint: Blueprint, agent: Agent, paths: Iterable[str]) -> tuple[ScopeFinding, ...]:
    """The findings for the paths that a branch changes, sorted by path. A rename counts as both of its paths."""
    allowed = Matcher(Scope(agent.may_edit))
    protected = Matcher(Scope(blueprint.protected))
    scope = Matcher(agent.scope) if agent.scope is not None else None
    found = []
    for path in paths:
        if allowed.matches(path):
            continue
        if protected.matches(path):
            found.append(ScopeFinding(path, ScopeReason.PROTECTED))
        elif scope is not None and not scope.matches(path):
            found.append(ScopeFinding(path, ScopeReason.OUT_OF_SCOPE))
    return tuple(sorted(found))
