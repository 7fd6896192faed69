"""Plan a fleet before it is spawned. Writes nothing; starts git, for reading, and for pull requests gh or glab."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from orchestra.blueprint.model import Blueprint
from orchestra.fleet import Fleet, explain_missing_target, newest_target, read_snapshot
from orchestra.git.refs import CommitId
from orchestra.plan.capacity import Disk, Machine, capacity_findings, cost, slots
from orchestra.plan.client_settings import client_findings, read_client_settings
from orchestra.plan.disk_space import count_missing_worktrees, read_free_space, read_index_sizes, worktree_bytes
from orchestra.plan.expected_hooks import hook_findings
from orchestra.plan.finding import GROUND, Code, Finding, Severity, by_severity, place
from orchestra.plan.history_findings import history_findings, path_demands
from orchestra.plan.last_check import last_green_check
from orchestra.plan.merge_order_chart import merge_graph
from orchestra.plan.ownership import Claims, PathIndex, claims
from orchestra.plan.pattern_findings import pattern_findings
from orchestra.plan.plan_report import HistoryRead, PlannedAgent, PlanReport, Spawning
from orchestra.plan.pull_request_findings import pull_request_findings
from orchestra.plan.repository_scan import Survey, survey
from orchestra.plan.required_commands import command_findings, needed_commands
from orchestra.plan.requirements import remote_findings, requirement_findings, shell_name
from orchestra.plan.scope_findings import overlap_findings
from orchestra.plan.setup_commands import reuse_findings, setup_findings, shell_findings


def plan(fleet: Fleet, *, spawning: Spawning | None = None, machine: Machine | None = None) -> PlanReport:
    """Plan the fleet: what spawn and merge would meet. ``spawning`` is the spawn plan, where the caller has it.

    ``machine`` None: the one it runs on. Raises GitError where the repository cannot be read.
    """
    # Adopted branches have no scope, runner or folder that a blueprint declares.
    declared_agents = tuple(agent for agent in fleet.blueprint.agents if not agent.adopted)
    blueprint = replace(fleet.blueprint, agents=declared_agents)
    machine = machine or read_machine(fleet.worktrees_root, needed_commands(blueprint))
    ground = survey(fleet.repository, spawning.base if spawning else newest_target(read_snapshot(fleet)))
    index = PathIndex(ground.paths)
    tree = claims(blueprint, index)
    unprotected = frozenset(index.paths) - tree.protected
    needs = slots(blueprint, machine)
    each = worktree_bytes(ground.sizes, read_index_sizes(fleet.repository), machine.block_bytes)
    space = Disk(count_missing_worktrees(fleet), each, machine.free_bytes)
    money = cost(blueprint)
    findings = [
        *_tree_findings(blueprint, ground, index, tree),
        *remote_findings(fleet),
        *pull_request_findings(fleet),
        *client_findings(blueprint, read_client_settings(fleet.repository, ground.commit), tree, index),
        *hook_findings(fleet, ground),
        *requirement_findings(blueprint, fleet.target, index.paths),
        *(setup_findings(blueprint, ground.sizes, machine.missing) if ground.commit else ()),
        *shell_findings(blueprint, machine.shell),
        *reuse_findings(blueprint),
        *command_findings(blueprint, machine.missing, ground.sizes, ground.scripts),
        *capacity_findings(blueprint, needs, space, money),
    ]
    return PlanReport(
        blueprint=fleet.blueprint,
        repository=fleet.repository.home,
        target=fleet.target,
        commit=ground.commit,
        agents=tuple(
            PlannedAgent(a, fleet.worktree(a), len(tree.held.get(a.name, unprotected))) for a in fleet.blueprint.agents
        ),
        judging=tuple(sorted(tree.judging)),
        graph=merge_graph(fleet.blueprint),
        slots=needs,
        disk=space,
        cost=money,
        history=HistoryRead(ground.history.commits, ground.history.bulk, ground.history.cut),
        findings=by_severity(_with_refusals(fleet, findings, spawning, ground.commit)),
        spawning=spawning,
        last_green=last_green_check(fleet.ledger),
    )


def _with_refusals(
    fleet: Fleet, findings: Sequence[Finding], spawning: Spawning | None, commit: CommitId | None
) -> Iterator[Finding]:
    """Yield the findings, and the reasons why spawn would refuse, in its words where they are known."""
    if spawning is not None and spawning.problems:
        yield from (finding for finding in findings if finding.code not in GROUND)
        where = place(fleet.blueprint, "worktrees")
        advice = "spawn refuses until this is fixed, and creates nothing before"
        yield from (Finding(Severity.ERROR, Code.SPAWN_REFUSED, p, advice, where) for p in spawning.problems)
        return
    yield from findings
    if commit is None:
        message, advice = explain_missing_target(fleet)
        yield Finding(Severity.ERROR, Code.NO_COMMIT, message, advice, place(fleet.blueprint, "target"))


def _tree_findings(blueprint: Blueprint, ground: Survey, index: PathIndex, tree: Claims) -> Iterator[Finding]:
    changes = Counter(path for commit in ground.history.changes for path in commit)
    yield from overlap_findings(blueprint, tree.held, changes)
    if ground.sizes:
        yield from pattern_findings(blueprint, index, tree)
    # With an agent that may change everything, no path is outside, and every file has several owners.
    if blueprint.agents and all(agent.scope is not None for agent in blueprint.agents):
        demands = path_demands(ground.history.changes, tree.owners, tree.protected)
        yield from history_findings(blueprint, demands, tree, index)


def read_machine(root: Path, commands: Iterable[str]) -> Machine:
    """Return the machine as it is now. ``root`` is where worktrees will be; it may not exist yet."""
    import psutil

    free_bytes, block_bytes = read_free_space(root)
    return Machine(
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        memory_bytes=psutil.virtual_memory().total,
        free_bytes=free_bytes,
        block_bytes=block_bytes,
        shell=shell_name(),
        missing=frozenset(command for command in commands if shutil.which(command) is None),
    )
