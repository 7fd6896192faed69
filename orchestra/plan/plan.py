"""The plan: everything known of a fleet before it is spawned, put together.

Invariant: writes nothing and starts nothing but git for reading. The same repository, blueprint and machine give the
same plan. Refuses: to decide whether a finding matters; whoever asks looks at its severity.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from orchestra.blueprint.git_names import GATE_FOLDER_SUFFIX
from orchestra.blueprint.model import RunGate
from orchestra.fleet import Fleet
from orchestra.git.refs import CommitId
from orchestra.git.remote import tracking_ref
from orchestra.plan.capacity import capacity_findings, cost, disk, slots
from orchestra.plan.change_history import wanted_paths
from orchestra.plan.finding import GROUND, Code, Finding, Severity, by_severity, place
from orchestra.plan.history_findings import history_findings
from orchestra.plan.host import Machine, read_machine
from orchestra.plan.landing_graph import merge_graph
from orchestra.plan.ownership import Claims, PathIndex, claims
from orchestra.plan.pattern_findings import pattern_findings
from orchestra.plan.plan_report import PlannedAgent, PlanReport, Read, Spawning
from orchestra.plan.repository_scan import Survey, survey
from orchestra.plan.required_commands import command_findings, needed_commands
from orchestra.plan.scope_findings import overlap_findings


def plan(fleet: Fleet, *, spawning: Spawning | None = None, machine: Machine | None = None) -> PlanReport:
    """What spawn and merge would meet. ``spawning`` is what spawn would do, where the caller knows.

    ``machine`` None: the one it runs on. Raises GitError where the repository cannot be read.
    """
    blueprint = fleet.blueprint
    machine = machine or read_machine(fleet.worktrees_root, needed_commands(blueprint))
    ground = survey(fleet.repository, spawning.base if spawning else newest(fleet))
    index = PathIndex(ground.paths)
    tree = claims(blueprint, index)
    needs = slots(blueprint, machine)
    space = disk(tuple(ground.sizes.values()), machine, _worktrees_to_make(fleet))
    money = cost(blueprint)
    findings = [
        *_tree_findings(fleet, ground, index, tree),
        *command_findings(blueprint, machine.missing, ground.sizes, ground.scripts),
        *capacity_findings(blueprint, needs, space, money),
    ]
    return PlanReport(
        blueprint=blueprint,
        repository=fleet.repository.home,
        target=fleet.target,
        commit=ground.commit,
        agents=tuple(PlannedAgent(a, fleet.worktree(a), len(tree.held[a.name])) for a in blueprint.agents),
        graph=merge_graph(blueprint),
        slots=needs,
        disk=space,
        cost=money,
        history=Read(ground.history.commits, ground.history.bulk, ground.history.cut),
        findings=by_severity(_with_refusals(fleet, findings, spawning, ground.commit)),
        spawning=spawning,
    )


def newest(fleet: Fleet) -> CommitId | None:
    """What a new fleet starts from: the target, or the remote's where that is ahead; None where there is neither."""
    own = fleet.target_tip()
    theirs = fleet.repository.resolve(tracking_ref(fleet.remote, fleet.target)) if fleet.remote else None
    if own is None or theirs is None:
        return own or theirs
    return theirs if fleet.repository.is_ancestor(own, theirs) else own


def _with_refusals(
    fleet: Fleet, findings: Sequence[Finding], spawning: Spawning | None, commit: CommitId | None
) -> Iterator[Finding]:
    """The findings, and why spawn would refuse: in its own words where they are known, which say the rest too."""
    if spawning is not None and spawning.problems:
        yield from (finding for finding in findings if finding.code not in GROUND)
        where = place(fleet.blueprint, "worktrees")
        advice = "spawn refuses until then; it makes nothing before everything can be made"
        yield from (Finding(Severity.ERROR, Code.SPAWN_REFUSED, p, advice, where) for p in spawning.problems)
        return
    yield from findings
    if commit is None:
        yield Finding(
            Severity.ERROR,
            Code.NO_COMMIT,
            f"the target {fleet.target} has no commit, so there is nothing that agents could start from",
            "make a first commit there, or name another branch (`target:`)",
            place(fleet.blueprint, "target"),
        )


def _tree_findings(fleet: Fleet, ground: Survey, index: PathIndex, tree: Claims) -> Iterator[Finding]:
    blueprint = fleet.blueprint
    changes = Counter(path for commit in ground.history.changes for path in commit)
    yield from overlap_findings(blueprint, tree.held, changes)
    if ground.sizes:
        yield from pattern_findings(blueprint, index, tree)
    # Where an agent without a scope may touch everything, nothing is outside and every file has many owners.
    if all(agent.scope is not None for agent in blueprint.agents):
        wanted = wanted_paths(ground.history.changes, tree.owners, tree.protected)
        yield from history_findings(blueprint, wanted, tree, index)


def _worktrees_to_make(fleet: Fleet) -> int:
    """Agents' worktrees and gate slots that are not there yet."""
    agents = sum(1 for agent in fleet.blueprint.agents if not fleet.worktree(agent).exists())
    if not any(isinstance(gate, RunGate) for gate in fleet.blueprint.gates.values()):
        return agents
    folder = fleet.worktrees_root / f"{fleet.repository.home.name}{GATE_FOLDER_SUFFIX}"
    return agents + sum(1 for n in range(fleet.blueprint.limits.gates) if not (folder / str(n + 1)).exists())
