"""The three ways to use the train: land, rehearse, test a few.

Invariant: one train at a time in a repository, by a lock of its own, so that verdicts can be given beside it. What is
wrong with the ground or the blueprint is said before anything runs. Refuses: to print.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

from orchestra.blueprint.model import AgentName, ConflictRule, Regenerate, Scope, Union
from orchestra.blueprint.scope import Matcher
from orchestra.candidates.builder import CandidateBuilder, open_builder
from orchestra.candidates.conflict_forecast import conflicts_by_agent, forecast_conflicts
from orchestra.candidates.containment import is_at_or_below
from orchestra.candidates.text_conflict import RuleOf
from orchestra.engine.job import Engine
from orchestra.engine.local import LocalEngine
from orchestra.errors import UsageError
from orchestra.fleet import Fleet
from orchestra.gates.builtin import require_supported_builtins, run_builtin_gates
from orchestra.git.checkout import changed_among, in_the_way
from orchestra.git.lock import exclusive
from orchestra.git.refs import CommitId
from orchestra.git.tree_diff import changes
from orchestra.git.worktrees import as_ground_error
from orchestra.ledger import Json
from orchestra.train.candidate_refs import Pins
from orchestra.train.entries import Accept, Passenger, Roster, read_roster
from orchestra.train.events import Listener, Teller, ignore
from orchestra.train.landing import derive_landed, mark_derived
from orchestra.train.landing_journal import read_intent
from orchestra.train.order_advice import advise
from orchestra.train.recover import recover_within
from orchestra.train.regenerate import Workbench
from orchestra.train.resolution_offers import Proposals
from orchestra.train.results import Account
from orchestra.train.target_checks import Ground, survey
from orchestra.train.tester import Tester
from orchestra.train.train_report import Blocked, Evicted, Landed, MergeReport, Waiting
from orchestra.train.train_run import Conductor

_NOBODY: Mapping[AgentName, str] = MappingProxyType({})
_WAIT_S = 60.0
_PathsOf = Mapping[AgentName, tuple[str, ...]]  # what each branch itself changes


@dataclass(frozen=True, slots=True)
class _Ride:
    """What is asked of a train."""

    command: str
    accept: Accept
    agents: Collection[AgentName] | None
    unfinished: Mapping[AgentName, str]
    rehearsed: bool
    push: bool


def merge(
    fleet: Fleet,
    *,
    agents: Collection[AgentName] | None = None,
    push: bool | None = None,
    accept_finished: bool = False,
    unfinished: Mapping[AgentName, str] = _NOBODY,
    progress: Listener = ignore,
    engine: Engine | None = None,
) -> MergeReport:
    """Land what is approved, in order, each as it was tested.

    ``agents`` (None: all) limits who rides. ``push`` None: as the blueprint says. ``accept_finished`` also takes what
    has no verdict, is not in ``unfinished`` (agent -> why) and has nothing uncommitted, and approves it as it lands.
    ``engine`` None: the local one, ``limits.gates`` places. Raises UsageError, GroundError, LockHeld, DiskFull; what
    had landed by then has landed, and the next run goes on from there.
    """
    accept = Accept.FINISHED if accept_finished else Accept.APPROVED
    wanted = fleet.blueprint.merge.push if push is None else push
    return _run(fleet, _Ride("merge", accept, agents, unfinished, rehearsed=False, push=wanted), progress, engine)


def rehearse(
    fleet: Fleet,
    *,
    agents: Collection[AgentName] | None = None,
    unfinished: Mapping[AgentName, str] = _NOBODY,
    progress: Listener = ignore,
    engine: Engine | None = None,
) -> MergeReport:
    """The whole train with its gates, landing nothing: what is approved or finished rides. Passes are kept."""
    ride = _Ride("rehearse", Accept.FINISHED, agents, unfinished, rehearsed=True, push=False)
    return _run(fleet, ride, progress, engine)


def rebase_and_test(
    fleet: Fleet, agents: Sequence[AgentName], *, progress: Listener = ignore, engine: Engine | None = None
) -> MergeReport:
    """The named agents, whatever their verdict, together on today's target with the gates; nothing lands or moves."""
    ride = _Ride("rebase-and-test", Accept.NAMED, agents, _NOBODY, rehearsed=True, push=False)
    return _run(fleet, ride, progress, engine)


def _run(fleet: Fleet, ride: _Ride, progress: Listener, engine: Engine | None) -> MergeReport:
    try:
        return _conducted(fleet, ride, progress, engine)
    except OSError as error:  # a full or read-only disk, said as such; what had landed has landed
        raise as_ground_error(error, Path(error.filename or fleet.repository.state_folder)) from error


def _conducted(fleet: Fleet, ride: _Ride, progress: Listener, engine: Engine | None) -> MergeReport:
    begun = time.monotonic()
    _require_sense(fleet, ride)
    teller = Teller(progress)
    with exclusive(fleet.repository.state_folder / "train", ride.command):
        recovered = _recover(fleet, teller)
        ground = survey(fleet.repository, fleet.target, fleet.remote)
        roster = read_roster(fleet, ground.start, ride.accept, ride.agents, ride.unfinished)
        if not ride.rehearsed:
            recovered = (*recovered, *_note_merged_by_hand(fleet, ground, roster, teller))
        account = Account(fleet, teller, rehearsed=ride.rehearsed)
        paths = {passenger.agent.name: _paths(fleet, ground, passenger) for passenger in roster.passengers}
        _enter_known_fates(fleet, roster, paths, account)
        if not ride.rehearsed:
            _require_clear_checkouts(fleet, ground, paths)
        _announce(fleet, roster, teller, account, rehearsed=ride.rehearsed)
        with _pins(fleet) as pins, _tester(fleet, engine, teller) as tester, _integrators(fleet, tester) as build:
            conductor = Conductor(
                fleet,
                roster,
                ground,
                tester=tester,
                integrator=build,
                teller=teller,
                account=account,
                pins=pins,
                rehearsed=ride.rehearsed,
                push=ride.push,
            )
            try:
                after = conductor.run()
                proposals = Proposals(fleet, tester=tester, build=build, teller=teller, account=account, pins=pins)
                proposals.offer(account.conflicted, ground.start if ride.rehearsed else after)
            except KeyboardInterrupt:
                teller.tell("train.interrupted", (), "interrupted: ending what runs; what has landed stays landed")
                raise
        report = replace(
            _report(fleet, ride, account, ground, after),
            tests_run=tester.tests_run,
            seconds=time.monotonic() - begun,
            recovered=recovered,
        )
        teller.tell("train.finished", (), report.render_lines()[-1], seconds=report.seconds)
        return report


# -- before it leaves --------------------------------------------------------------------------------------------


def _require_sense(fleet: Fleet, ride: _Ride) -> None:
    require_supported_builtins(fleet.blueprint)
    for name in ride.agents or ():
        fleet.require_agent(name)
    if ride.push and fleet.remote is None:
        raise UsageError("there is no remote to push to", hint="git remote add origin URL, or leave --push out")


def _recover(fleet: Fleet, teller: Teller) -> tuple[str, ...]:
    recovered = recover_within(fleet.repository)
    target = fleet.target_tip()
    derived = derive_landed(fleet, target) if target else {}
    if derived:
        with exclusive(fleet.repository.state_folder, "recover", wait_s=_WAIT_S):
            mark_derived(fleet, derived)
        recovered = (*recovered, f"noted that {', '.join(derived)} had landed")
    for sentence in recovered:
        teller.tell("recovered", (), sentence)
    return recovered


def _note_merged_by_hand(fleet: Fleet, ground: Ground, roster: Roster, teller: Teller) -> tuple[str, ...]:
    """A branch that a person merged has landed: say so once, so that what comes after it may."""
    held = {name: tip for name, tip in roster.merged.items() if fleet.repository.is_ancestor(tip, ground.local)}
    if not held:
        return ()
    with exclusive(fleet.repository.state_folder, "merge", wait_s=_WAIT_S):
        mark_derived(fleet, held)
    told = f"noted that {', '.join(held)} had been merged by hand"
    teller.tell("recovered", tuple(held), told)
    return (told,)


def _enter_known_fates(fleet: Fleet, roster: Roster, paths: _PathsOf, account: Account) -> None:
    """Who is decided before anything is built: no verdict, not finished, or stopped by a built-in gate."""
    for waiting in roster.waiting:
        account.add(waiting)
    for passenger in roster.passengers:
        known = run_builtin_gates(fleet.blueprint, passenger.agent, paths[passenger.agent.name], passenger.notes)
        account.check(passenger, known)


def _paths(fleet: Fleet, ground: Ground, passenger: Passenger) -> tuple[str, ...]:
    """What the branch itself changes, seen from where it left the target."""
    branch = passenger.branch
    fork = fleet.repository.fork(ground.start, branch.tip, branch.base)
    return tuple(
        path for path in changes(fleet.repository.git, fork, branch.tip) if not is_at_or_below(path, branch.kept_out)
    )


def _require_clear_checkouts(fleet: Fleet, ground: Ground, paths: _PathsOf) -> None:
    """A checkout of the target with changes where work would land: refused before anything runs."""
    touched = set(changes(fleet.repository.git, ground.local, ground.start)).union(*paths.values())
    for folder in ground.checkouts:
        found = changed_among(folder, touched)
        if found:
            raise in_the_way(folder, found)


def _announce(fleet: Fleet, roster: Roster, teller: Teller, account: Account, *, rehearsed: bool) -> None:
    riding = [passenger for passenger in roster.passengers if not account.knows(passenger.agent.name)]
    names = tuple(passenger.agent.name for passenger in riding)
    merge = fleet.blueprint.merge
    text = (
        f"{len(names)} agent{'s' * (len(names) != 1)} for {fleet.target}: {', '.join(names)}"
        if names
        else "nobody rides in this train"
    )
    slots = fleet.blueprint.limits.gates
    facts: dict[str, Json] = {"target": fleet.target, "policy": merge.train, "slots": slots, "rehearsed": rehearsed}
    teller.tell("train.started", names, text, **facts)
    rule_of = conflict_rules(fleet)
    found = forecast_conflicts(fleet.repository.git, [passenger.branch for passenger in riding])
    clashes = conflicts_by_agent([clash for clash in found if not _is_settled(clash.paths, rule_of)])
    for sentence in advise(names, fleet.blueprint.predecessors, clashes):
        teller.tell("advice", names, sentence)
        account.advice.append(sentence)


# -- its parts ---------------------------------------------------------------------------------------------------


@contextmanager
def _pins(fleet: Fleet) -> Iterator[Pins]:
    """What a killed train left pinned is let go first; what landed was noted before."""
    pins = Pins(fleet)
    pins.release()
    try:
        yield pins
    finally:
        if read_intent(fleet.repository.state_folder) is None:  # else a landing is open, and needs its pins
            pins.release()


@contextmanager
def _tester(fleet: Fleet, engine: Engine | None, teller: Teller) -> Iterator[Tester]:
    places = fleet.blueprint.limits.gates
    if engine is not None:
        with Tester(fleet, engine, places, teller) as tester:
            yield tester
        return
    with LocalEngine(places) as own, Tester(fleet, own, places, teller) as tester:
        yield tester


class _Builders:
    """Integrators for the values that the target takes; all end with the train."""

    def __init__(self, fleet: Fleet, stack: ExitStack, rule_of: RuleOf, bench: Workbench) -> None:
        self._fleet, self._stack, self._rule_of, self._bench = fleet, stack, rule_of, bench

    def __call__(self, target: CommitId, style: str = "merge") -> CandidateBuilder:
        made = open_builder(self._fleet.repository.git, target, self._rule_of, self._bench.remake, style=style)
        return self._stack.enter_context(made)


@contextmanager
def _integrators(fleet: Fleet, tester: Tester) -> Iterator[_Builders]:
    with ExitStack() as stack:
        yield _Builders(fleet, stack, conflict_rules(fleet), Workbench(fleet, tester.slots))


def conflict_rules(fleet: Fleet) -> RuleOf:
    """``merge.conflicts``: the first glob that matches a path rules."""
    rules = [(Matcher(Scope((glob,))), rule) for glob, rule in fleet.blueprint.merge.conflicts.items()]

    def rule_of(path: str) -> ConflictRule | None:
        return next((rule for matcher, rule in rules if matcher.matches(path)), None)

    return rule_of


def _is_settled(paths: Collection[str], rule_of: RuleOf) -> bool:
    """Whether rules are there for all of these conflicts, so that nobody goes back for them."""
    return all(isinstance(rule_of(path), Union | Regenerate) for path in paths)


def _report(fleet: Fleet, ride: _Ride, account: Account, ground: Ground, after: CommitId) -> MergeReport:
    fates = account.fates
    landed = tuple(fate for fate in fates if isinstance(fate, Landed))
    return MergeReport(
        fleet=fleet.name,
        target=fleet.target,
        before=ground.local,
        after=after if landed else ground.local,
        landed=landed,
        evicted=tuple(fate for fate in fates if isinstance(fate, Evicted)),
        blocked=tuple(fate for fate in fates if isinstance(fate, Blocked)),
        waiting=tuple(fate for fate in fates if isinstance(fate, Waiting)),
        rehearsed=ride.rehearsed,
        pushed=ride.push and bool(landed) and not ride.rehearsed,
        advice=tuple(account.advice),
    )
