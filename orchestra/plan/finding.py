"""A finding: one thing about a fleet that is worth knowing before money is spent.

Invariant: a finding says what is so, where in the blueprint that is decided, and what to change there. Refuses:
reading anything; each room that finds something gives its findings as values.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from orchestra.blueprint.model import AgentName, Blueprint, Key, Origin


class Severity(StrEnum):
    ERROR = "error"  # spawn, start or merge will refuse, or cannot end well
    WARNING = "warning"  # work is likely to be lost time: a conflict, a gate that cannot pass
    NOTE = "note"  # worth knowing; right as it is, as often as not


class Code(StrEnum):
    """What kind of finding it is; the word that scripts look for."""

    SCOPE_OVERLAP = "scope-overlap"  # two agents may touch the same path
    NO_SCOPE = "no-scope"  # an agent may touch everything, so overlaps everybody
    SCOPE_MATCHES_NOTHING = "scope-matches-nothing"  # a pattern that matches no file of today's tree
    SCOPE_ALL_PROTECTED = "scope-all-protected"  # a pattern all of whose paths are protected
    PROTECTED_IN_SCOPE = "protected-in-scope"  # tracked protected files inside a scope, not to be edited
    MAY_EDIT_UNPROTECTED = "may-edit-unprotected"  # may_edit names what is not protected
    OUTSIDE_SCOPES = "outside-scopes"  # history says that an agent will touch what is in nobody's scope
    HOT_FILE = "hot-file"  # history says that several agents will touch one file
    PROTECTED_NEEDED = "protected-needed"  # history says that an agent will want a protected file
    GATE_CANNOT_RUN = "gate-cannot-run"  # the gate's command or npm script is not there
    GATE_RESERVED = "gate-reserved"  # a built-in gate that this version does not have
    RUNNER_NOT_FOUND = "runner-not-found"  # the agents' program is not on PATH
    SLOTS_EXCEED_CORES = "slots-exceed-cores"  # more candidates under test than cores
    AGENTS_EXCEED_MEMORY = "agents-exceed-memory"  # the clients alone would fill the memory
    DISK_FULL = "disk-full"  # the worktrees do not fit
    DISK_TIGHT = "disk-tight"  # the worktrees alone take most of the free space
    COST_UNBOUNDED = "cost-unbounded"  # no budget is declared
    NO_COMMIT = "no-commit"  # the target has no commit to start from
    SPAWN_REFUSED = "spawn-refused"  # something stands in spawn's way: a branch or folder of somebody else, ...


GROUND = frozenset({Code.NO_COMMIT, Code.DISK_FULL, Code.SPAWN_REFUSED})
"""Errors that no change of the blueprint has to mend."""


@dataclass(frozen=True, slots=True)
class Finding:
    """``message`` is what is so, ``advice`` what to change in the blueprint, ``origin`` where; lists are sorted."""

    severity: Severity
    code: Code
    message: str
    advice: str
    origin: Origin
    agents: tuple[AgentName, ...] = ()
    paths: tuple[str, ...] = ()


_RANK = {severity: rank for rank, severity in enumerate(Severity)}


def by_severity(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Errors first; within a severity the order in which they were found."""
    return tuple(sorted(findings, key=lambda finding: _RANK[finding.severity]))


def place(blueprint: Blueprint, *key: str | int) -> Origin:
    """Where the value at ``key`` was set, else the nearest value around it, else the start of the blueprint."""
    path: Key = key
    while path and path not in blueprint.origins:
        path = path[:-1]
    return blueprint.origins.get(path) or Origin(blueprint.source, 1, 1)
