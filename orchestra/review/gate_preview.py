"""What the train's built-in gates will say of branches, before a train runs: for reviews and approvals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from orchestra.blueprint.model import Agent, Scope, Strategy
from orchestra.blueprint.scope import Matcher
from orchestra.fleet import Fleet
from orchestra.gates.branch_content import BranchSpan, read_branches
from orchestra.gates.builtin import BuiltinResult, run_builtin_gates
from orchestra.gates.judging_changes import JudgingChange, judging_changes
from orchestra.gates.scope_gate import ScopeFinding, branch_scope_findings
from orchestra.git.refs import CommitId
from orchestra.workspace.paths import STANDARDS, instruction_names


@dataclass(frozen=True, slots=True)
class BranchWork:
    """An agent's branch from ``base`` to ``tip``, and its notes."""

    agent: Agent
    base: CommitId
    tip: CommitId
    notes: str | None


@dataclass(frozen=True, slots=True)
class GatePreview:
    """``judging``: what the branch changes about its own judges; ``scope``: findings, also without such a gate."""

    judging: tuple[JudgingChange, ...] = ()
    scope: tuple[ScopeFinding, ...] = ()
    results: tuple[BuiltinResult, ...] = ()


def preview_gates(fleet: Fleet, works: Sequence[BranchWork]) -> list[GatePreview]:
    """Return what the built-in gates say of each branch today; nothing of one that git cannot read."""
    target, git, blueprint = fleet.target_tip(), fleet.repository.git, fleet.blueprint
    if target is None or not works:
        return [GatePreview() for _ in works]
    names = {base: kept_out_names(fleet, base) for base in {work.base for work in works}}
    squashed = blueprint.merge.strategy is Strategy.SQUASH
    spans = [BranchSpan(w.base, w.tip, kept_out_paths(w.agent, names[w.base]), squashed) for w in works]
    with read_branches(git, target, spans) as contents:
        return [
            GatePreview(
                judging_changes(blueprint, work.agent, content),
                branch_scope_findings(blueprint, work.agent, content),
                run_builtin_gates(blueprint, work.agent, content, work.notes),
            )
            if content is not None
            else GatePreview()
            for work, content in zip(works, contents, strict=True)
        ]


def kept_out_names(fleet: Fleet, base: CommitId) -> frozenset[str]:
    """Return the instruction files of worktrees that start from ``base``."""
    return frozenset(instruction_names(fleet.repository, fleet.blueprint, base).all)


def kept_out_paths(agent: Agent, names: frozenset[str]) -> tuple[str, ...]:
    """Return the paths that never land. A tracked CLAUDE.md stays as it is, unless the agent may edit it.

    An adopted branch got no instruction files from orchestra, so that all of it lands.
    """
    if agent.adopted:
        return ()
    may_edit = Matcher(Scope(agent.may_edit)).matches(STANDARDS)
    return tuple(sorted(names if may_edit else names | {STANDARDS}))
