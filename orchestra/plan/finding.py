"""A finding about a fleet before it runs: the fact, its place in the blueprint, and what to change there."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from orchestra.blueprint.model import AgentName, Blueprint, Key, Origin


class Severity(StrEnum):
    ERROR = "error"  # spawn, start or merge will refuse, or cannot end well
    WARNING = "warning"  # work is likely to be wasted: a conflict, a gate that cannot pass
    NOTE = "note"  # worth knowing; often right as it is


class Code(StrEnum):
    """The kind of finding, for scripts."""

    SCOPE_OVERLAP = "scope-overlap"  # two agents may change the same path
    NO_SCOPE = "no-scope"  # an agent may change everything, so it overlaps all others
    SCOPE_MATCHES_NOTHING = "scope-matches-nothing"  # a pattern that matches no tracked file
    SCOPE_ALL_PROTECTED = "scope-all-protected"  # a pattern all of whose paths are protected
    PROTECTED_IN_SCOPE = "protected-in-scope"  # tracked protected files inside a scope, not to be edited
    MAY_EDIT_UNPROTECTED = "may-edit-unprotected"  # may_edit has a path that is not protected
    OUTSIDE_SCOPES = "outside-scopes"  # history: an agent is likely to change a path outside all scopes
    HOT_FILE = "hot-file"  # history: several agents are likely to change one file
    PROTECTED_NEEDED = "protected-needed"  # history: an agent is likely to need a protected file
    GATE_CANNOT_RUN = "gate-cannot-run"  # the gate's command or npm script is missing
    SETUP_CANNOT_RUN = "setup-cannot-run"  # the target lacks what a set-up command reads, or sh a word of it
    GATE_MATCHES_NOTHING = "gate-matches-nothing"  # a pattern of `when` or `inputs` matches no tracked file
    SLOT_REUSE = "slot-reuse"  # what `slots.keep` lets one candidate leave for the next
    SETUP_PROGRAM_MISSING = "setup-program-missing"  # the program of a set-up command is not on PATH
    RUNNER_NOT_FOUND = "runner-not-found"  # the agents' program is not on PATH
    SLOTS_EXCEED_CORES = "slots-exceed-cores"  # more candidates under test than cores
    AGENTS_EXCEED_MEMORY = "agents-exceed-memory"  # the clients alone would fill the memory
    DISK_FULL = "disk-full"  # the worktrees do not fit
    DISK_TIGHT = "disk-tight"  # the worktrees alone take most of the free space
    COST_UNBOUNDED = "cost-unbounded"  # no budget is declared
    REQUIRED_MISSING = "required-missing"  # the target lacks a file that the blueprint requires
    TARGET_BEHIND = "target-behind"  # the remote's target, as last fetched, has commits that the local one lacks
    TARGET_DIVERGED = "target-diverged"  # and the local one has others
    CLIENT_DENIES = "client-denies"  # settings of the Claude client deny agents a tool or files of their scope
    CLIENT_SETTINGS = "client-settings"  # hooks, variables or a model from settings of the Claude client
    PULL_REQUEST = "pull-request"  # what merge will push and open
    FORGE_NOT_READY = "forge-not-ready"  # merge cannot open a pull request: no program, no login, no such remote
    HOOKS_MISSING = "hooks-missing"  # the repository expects git hooks that agents' worktrees do not have
    NO_COMMIT = "no-commit"  # the target has no commit to start from
    SPAWN_REFUSED = "spawn-refused"  # spawn would refuse: a branch or folder belongs to another fleet, ...


GROUND = frozenset(
    {Code.NO_COMMIT, Code.SETUP_PROGRAM_MISSING, Code.DISK_FULL, Code.SPAWN_REFUSED, Code.FORGE_NOT_READY}
)
"""Errors in the machine or repository, not in the blueprint."""


@dataclass(frozen=True, slots=True)
class Finding:
    """``message`` is the fact, ``advice`` what to change in the blueprint, ``origin`` where; lists are sorted."""

    severity: Severity
    code: Code
    message: str
    advice: str
    origin: Origin
    agents: tuple[AgentName, ...] = ()
    paths: tuple[str, ...] = ()


def sentence(finding: Finding) -> str:
    """Return the fact and the advice on one line."""
    return f"{finding.message}; {finding.advice}"


_RANK = {severity: rank for rank, severity in enumerate(Severity)}


def by_severity(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Sort findings, errors first; within a severity the order in which they were found."""
    return tuple(sorted(findings, key=lambda finding: _RANK[finding.severity]))


def place(blueprint: Blueprint, *key: str | int) -> Origin:
    """Return the place where ``key`` was set, else that of the nearest value around it, else the blueprint's start."""
    path: Key = key
    while path and path not in blueprint.origins:
        path = path[:-1]
    return blueprint.origins.get(path) or Origin(blueprint.source, 1, 1)
