"""Paths that a branch changes and its agent was not to touch. Pure: paths in, findings out.

A path belongs to the agent when it is in its scope (any path, without one). A protected path needs ``may_edit`` as
well, which also counts as scope. So does a file that decides how the branch is judged. The rules come from the
blueprint, never from the branch.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from enum import StrEnum

from orchestra.blueprint.judging_files import judging_files
from orchestra.blueprint.model import Agent, Blueprint, Scope
from orchestra.blueprint.scope import Matcher
from orchestra.gates.branch_content import BranchContent
from orchestra.gates.judging_changes import judging_changes


class ScopeReason(StrEnum):
    OUT_OF_SCOPE = "outside the agent's scope"
    PROTECTED = "protected, and not in the agent's may_edit"
    JUDGES = "used to judge the branch, and not in the agent's may_edit"

    @property
    def short(self) -> str:
        """Return the name for a narrow column, such as "out of scope"."""
        return self.name.lower().replace("_", " ")


@dataclass(frozen=True, slots=True, order=True)
class ScopeFinding:
    """One path that the agent was not to touch, and the rule that says so."""

    path: str
    reason: ScopeReason


def scope_findings(
    blueprint: Blueprint, agent: Agent, paths: Iterable[str], judging: Collection[str] = ()
) -> tuple[ScopeFinding, ...]:
    """Return the findings for the paths that a branch changes, sorted by path. A rename counts as both of its paths.

    ``judging``: manifests among them whose sections for gates differ.
    """
    may_edit = Matcher(Scope(agent.may_edit))
    # On a file system that ignores case, or stores names in another normal form, such a name is the protected file.
    protected = Matcher(Scope(blueprint.protected))
    protected_folded = Matcher(Scope(tuple(map(_folded, blueprint.protected))))
    scope = Matcher(agent.scope) if agent.scope is not None else None
    is_judging = judging_files(blueprint, agent)
    findings = []
    for path in paths:
        if may_edit.matches(path):
            continue
        if protected.matches(path) or protected_folded.matches(_folded(path)):
            findings.append(ScopeFinding(path, ScopeReason.PROTECTED))
        elif path in judging or is_judging(path):
            findings.append(ScopeFinding(path, ScopeReason.JUDGES))
        elif scope is not None and not scope.matches(path):
            findings.append(ScopeFinding(path, ScopeReason.OUT_OF_SCOPE))
    return tuple(sorted(findings))


def branch_scope_findings(blueprint: Blueprint, agent: Agent, content: BranchContent) -> tuple[ScopeFinding, ...]:
    """Return the findings for a branch, with the manifests whose sections for gates it changes."""
    manifests = {change.path for change in judging_changes(blueprint, agent, content) if change.sections}
    return scope_findings(blueprint, agent, content.paths, manifests)


def _folded(text: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFKC", text).casefold())
