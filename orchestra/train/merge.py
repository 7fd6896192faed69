"""The three ways to use the train: merge, rehearse, and test a few candidates.

One train runs at a time in a repository, under a lock of its own, so that verdicts can be given meanwhile. Problems of
the target, its checkouts or the blueprint are reported before anything runs.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from orchestra.blueprint.model import AgentName, Strategy, Via
from orchestra.candidates.conflict_forecast import conflicts_by_agent, forecast_conflicts
from orchestra.candidates.text_conflict import conflict_rules, is_resolved_by_rule, quote_path
from orchestra.engine.job import Engine
from orchestra.engine.local import LocalEngine
from orchestra.errors import GroundError, UsageError, as_ground_error
from orchestra.fleet import Fleet, FleetSnapshot, read_snapshot
from orchestra.gates.branch_content import BranchSpan, read_branches
from orchestra.gates.builtin import run_builtin_gates
from orchestra.gates.environment import describe_removed
from orchestra.git.checkout import changed_among, in_the_way, shows_earlier_commit
from orchestra.git.lock import exclusive
from orchestra.git.objects import Objects
from orchestra.git.refs import CommitId
from orchestra.git.tree_diff import changes
from orchestra.ledger import Json
from orchestra.text import format_count, format_list
from orchestra.train.entries import Accept, Entries, Entry, read_entries
from orchestra.train.events import EventSink, Listener, ignore
from orchestra.train.explanations import Explanations
from orchestra.train.landing import (
    find_unrecorded_landings,
    record_landings,
    recover_within,
    wait_for_local_changes,
)
from orchestra.train.landing_journal import read_journal
from orchestra.train.landing_order import advise
from orchestra.train.publication import Publisher
from orchestra.train.pull_request_train import decide, open_publisher, take_in_merged
from orchestra.train.resolution_offers import ResolutionOffers
from orchestra.train.results import ResultRecorder
from orchestra.train.target_branch import TargetPosition, check_target
from orchestra.train.tester import Tester
from orchestra.train.train_context import CandidateRefs, Integrators, Regenerator, TrainContext
from orchestra.train.train_report import Evicted, EvictReason, Landed, MergeReport, Waiting
from orchestra.train.tree_checks import malformed_trees, undeclared_repositories

Unfinished = Callable[[], Mapping[AgentName, str]]
"""Read which agents are not finished, and why. Called only when it is needed, since it looks at every worktree."""


def _no_agent() -> Mapping[AgentName, str]:
    return {}


@dataclass(frozen=True, slots=True)
class TrainRequest:
    """What a train is asked to do. ``agents`` None: all of the fleet."""

    command: str
    accept: Accept
    agents: Collection[AgentName] | None
    unfinished: Unfinished
    rehearsed: bool
    push: bool
    fresh_gates: bool
    publishes: bool = False


def merge(
    fleet: Fleet,
    *,
    agents: Collection[AgentName] | None = None,
    push: bool | None = None,
    accept_finished: bool = False,
    unfinished: Unfinished = _no_agent,
    progress: Listener = ignore,
    engine: Engine | None = None,
    fresh_gates: bool = False,
) -> MergeReport:
    """Land what is approved, in order, each as it was tested; or push it for a pull request, as ``merge.via`` says.

    ``agents`` (None: all) limits what may land. ``push`` None: as the blueprint says. ``accept_finished`` also takes
    agents without a verdict that are not ``unfinished`` and have nothing uncommitted, and approves them as they land.
    ``fresh_gates``: every gate runs, whatever passed before. ``engine`` None: a local one with ``limits.gates`` places.
    Raises UsageError, GroundError, LockHeld, DiskFull; what had landed by then has landed, and the next run continues.
    """
    accept = Accept.FINISHED if accept_finished else Accept.APPROVED
    push = fleet.blueprint.merge.push if push is None else push
    publishes = fleet.blueprint.merge.via is Via.PULL_REQUEST
    if publishes and push:
        hint = "merge without --push, or set merge.via: push in the blueprint"
        raise UsageError("merge.via is pull-request, so that merge does not push the target", hint=hint)
    request = TrainRequest("merge", accept, agents, unfinished, False, push, fresh_gates, publishes)
    return _run(fleet, request, progress, engine)


def rehearse(
    fleet: Fleet,
    *,
    agents: Collection[AgentName] | None = None,
    unfinished: Unfinished = _no_agent,
    progress: Listener = ignore,
    engine: Engine | None = None,
    fresh_gates: bool = False,
) -> MergeReport:
    """Run the whole train with its gates and land nothing: approved and finished agents take part. Passes are kept."""
    publishes = fleet.blueprint.merge.via is Via.PULL_REQUEST
    request = TrainRequest("rehearse", Accept.FINISHED, agents, unfinished, True, False, fresh_gates, publishes)
    return _run(fleet, request, progress, engine)


def rebase_and_test(
    fleet: Fleet,
    agents: Sequence[AgentName],
    *,
    progress: Listener = ignore,
    engine: Engine | None = None,
    fresh_gates: bool = False,
) -> MergeReport:
    """Test the named agents, whatever their verdict, together on today's target; nothing lands or moves."""
    request = TrainRequest("rebase-and-test", Accept.NAMED, agents, _no_agent, True, False, fresh_gates)
    return _run(fleet, request, progress, engine)


def _run(fleet: Fleet, request: TrainRequest, progress: Listener, engine: Engine | None) -> MergeReport:
    started = time.monotonic()
    repository = fleet.repository
    for name in request.agents or ():
        fleet.require_agent(name)
    if request.push and fleet.remote is None:
        raise UsageError("there is no remote to push to", hint="git remote add origin URL, or merge without --push")
    events = EventSink(progress)
    try:
        with exclusive(repository.state_folder / "train", request.command), Objects(repository.git) as objects:
            # Finish what a killed train left, then read once where everything is.
            snapshot, recovered = _recover(fleet, events)
            publisher = open_publisher(fleet, events) if request.publishes else None
            snapshot, position, merged = _find_start(snapshot, request, publisher, events)
            recovered += merged
            accept, agents, unfinished = request.accept, request.agents, request.unfinished
            entries = read_entries(snapshot, objects, position.start, accept, agents, read_unfinished=unfinished)
            # What a person merged has landed, so that what depends on it may land.
            by_hand = {name: tip for name, tip in entries.merged.items() if repository.is_ancestor(tip, position.local)}
            if by_hand and not request.rehearsed:
                record_landings(fleet, by_hand, events.announce)
                recovered.append(f"recorded that {', '.join(by_hand)} had been merged by hand")
                events.emit("recovered", tuple(by_hand), recovered[-1])
            # Decide what can be decided before anything is built.
            recorder = ResultRecorder(fleet, events, rehearsed=request.rehearsed)
            for waiting in entries.waiting:
                recorder.add(waiting)
            paths = _check_branches(fleet, objects, position.start, entries.queued, recorder)
            if not (request.rehearsed or publisher):
                _hold_back_for_local_changes(fleet, position, paths, recorder)
            _announce(fleet, request, entries, recorder)
            # Build, test and land the rest; then explain what did not land.
            with _open_context(snapshot, objects, request, recorder, engine) as context:
                try:
                    explanations = Explanations(context)
                    tip, pull_request = decide(context, entries, position, publisher, explanations)
                except KeyboardInterrupt:
                    events.emit("train.interrupted", (), "interrupted: stopping tests; landed commits are kept")
                    raise
                _explain(context, explanations, position.start if request.rehearsed or publisher else tip, tip)
                report = MergeReport(
                    fleet.name,
                    fleet.target,
                    position.local,
                    _after(fleet, request, recorder, position, tip),
                    recorder.results,
                    tuple(recorder.advice),
                    tuple(recovered),
                    recorder.headline,
                    rehearsed=request.rehearsed,
                    push=request.push,
                    tests_run=context.tester.tests_run,
                    seconds=time.monotonic() - started,
                    pull_request=pull_request,
                )
            events.emit("train.finished", (), report.render_lines()[-1], seconds=report.seconds)
            return report
    except OSError as error:  # a full or read-only disk: report it as that; what had landed has landed
        raise as_ground_error(error, Path(error.filename or repository.state_folder)) from error


# -- before anything is built -------------------------------------------------------------------------------------


def _recover(fleet: Fleet, events: EventSink) -> tuple[FleetSnapshot, list[str]]:
    recovered = list(recover_within(fleet.repository, events.announce))
    snapshot = read_snapshot(fleet)
    if commits := find_unrecorded_landings(snapshot):
        record_landings(fleet, commits, events.announce)
        recovered.append(f"recorded that {', '.join(commits)} had landed")
        snapshot = read_snapshot(fleet)
    for sentence in recovered:
        events.emit("recovered", (), sentence)
    return snapshot, recovered


def _find_start(
    snapshot: FleetSnapshot, request: TrainRequest, publisher: Publisher | None, events: EventSink
) -> tuple[FleetSnapshot, TargetPosition, tuple[str, ...]]:
    """Return the refs, where the train starts, and sentences about what was merged on the forge meanwhile."""
    fleet = snapshot.fleet
    if fleet.remote is not None:
        events.announce(f"fetching {fleet.target} from {fleet.remote}")
    position = check_target(snapshot, push=request.push)
    if publisher is None:
        return snapshot, position, ()
    return take_in_merged(publisher, snapshot, position, events, rehearsed=request.rehearsed)


def _check_branches(
    fleet: Fleet, objects: Objects, target: CommitId, queued: Sequence[Entry], recorder: ResultRecorder
) -> dict[AgentName, frozenset[str]]:
    """Check each entry's trees and run the built-in gates on it; return what the branches themselves change."""
    git, paths, sound = fleet.repository.git, dict[AgentName, frozenset[str]](), []
    try:
        all_sound = not malformed_trees(git, target, {entry.branch.tip for entry in queued})
    except GroundError:
        all_sound = False
    for entry in queued:
        name, tip = entry.agent.name, entry.branch.tip
        try:
            problems = () if all_sound else malformed_trees(git, target, [tip])
        except GroundError as error:  # this branch cannot be read; the others go on
            recorder.add(Waiting(name, f"its branch cannot be read: {error}"))
            continue
        if problems:
            recorder.add(Evicted(name, tip, EvictReason.MALFORMED, "; ".join(problems[:3])))
        else:
            sound.append(entry)
    is_squashed = fleet.blueprint.merge.strategy is Strategy.SQUASH
    spans = [BranchSpan(e.branch.base, e.branch.tip, e.branch.kept_out, is_squashed) for e in sound]
    with read_branches(git, target, spans, objects) as contents:
        for entry, content in zip(sound, contents, strict=True):
            name, tip = entry.agent.name, entry.branch.tip
            if content is None:
                recorder.add(Waiting(name, "its branch cannot be read"))
            elif nested := undeclared_repositories(git, content.fork, tip):
                path = quote_path(nested[0])
                detail = f"{path} is a nested repository without an entry in .gitmodules, so a clone cannot fill it: "
                detail += f"git rm --cached {path}, or git submodule add"
                recorder.add(Evicted(name, tip, EvictReason.MALFORMED, detail))
            else:
                paths[name] = content.paths
                checks = run_builtin_gates(fleet.blueprint, entry.agent, content, entry.notes)
                recorder.add_builtin_checks(entry, checks)
    return paths


def _hold_back_for_local_changes(
    fleet: Fleet, position: TargetPosition, paths: Mapping[AgentName, Collection[str]], recorder: ResultRecorder
) -> None:
    """Let agents wait that change a file in which a checkout of the target has local changes; the others go on.

    Raises GroundError where that stops every agent: before anything runs.
    """
    is_behind = position.local != position.start
    of_remote = set(changes(fleet.repository.git, position.local, position.start)) if is_behind else set[str]()
    undecided = {name: touched for name, touched in paths.items() if not recorder.is_decided(name)}
    for folder in position.checkouts if undecided else ():
        of_agents = set().union(*undecided.values())
        changed = set(changed_among(folder, of_agents | of_remote))
        in_way = {name: obstacles for name, touched in undecided.items() if (obstacles := changed & set(touched))}
        # Files that the remote changed stop every agent. So do conflicts, with which git moves nothing, and a checkout
        # without which something else moved the target.
        stops_all = changed & of_remote or changed - of_agents or in_way.keys() == undecided.keys()
        if changed and (stops_all or shows_earlier_commit(folder)):
            raise in_the_way(folder, sorted(changed))
        for name, obstacles in in_way.items():
            recorder.add(Waiting(name, wait_for_local_changes(folder, sorted(obstacles))))
        undecided = {name: touched for name, touched in undecided.items() if name not in in_way}


def _announce(fleet: Fleet, request: TrainRequest, entries: Entries, recorder: ResultRecorder) -> None:
    """Emit what this train will do, and which branches conflict as text."""
    queued = [entry for entry in entries.queued if not recorder.is_decided(entry.agent.name)]
    names = tuple(entry.agent.name for entry in queued)
    text = (
        f"{format_count(len(names), 'agent')} for {fleet.target}: {', '.join(names)}" if names else "nothing to merge"
    )
    data: dict[str, Json] = {"target": fleet.target, "policy": fleet.blueprint.merge.train}
    data |= {"slots": fleet.blueprint.limits.gates, "rehearsed": request.rehearsed}
    recorder.events.emit("train.started", names, text, **data)
    rule_of = conflict_rules(fleet.blueprint)
    conflicts = [
        conflict
        for conflict in forecast_conflicts(fleet.repository.git, [entry.branch for entry in queued])
        if not all(is_resolved_by_rule(rule_of, path) for path in conflict.paths)
    ]
    for sentence in advise(names, fleet.blueprint.predecessors, conflicts_by_agent(conflicts)):
        recorder.advise(sentence, names)


# -- the train's tools and its result -----------------------------------------------------------------------------


@contextmanager
def _open_context(
    snapshot: FleetSnapshot, objects: Objects, request: TrainRequest, recorder: ResultRecorder, engine: Engine | None
) -> Iterator[TrainContext]:
    """Start what a train needs, and end it with the train. Pins of a killed train are deleted first."""
    fleet = snapshot.fleet
    places = fleet.blueprint.limits.gates
    with ExitStack() as stack:
        candidate_refs = CandidateRefs(snapshot)
        candidate_refs.delete_all()
        engine = engine or stack.enter_context(LocalEngine(places))
        tester = stack.enter_context(Tester(snapshot, engine, places, recorder.events, fresh=request.fresh_gates))
        if removed := describe_removed(os.environ, tester.slots.checkouts):
            recorder.advise(f"gates: {removed}", ())
        integrators = Integrators(fleet, stack, conflict_rules(fleet.blueprint), Regenerator(fleet, tester.slots))
        tools = (snapshot, objects, tester, recorder, candidate_refs, integrators)
        try:
            yield TrainContext(*tools, request.rehearsed, request.push, publishes=request.publishes)
        finally:
            if read_journal(fleet.repository.state_folder) is None:  # an open landing needs its pins
                candidate_refs.delete_all()


def _explain(context: TrainContext, explanations: Explanations, target: CommitId, tip: CommitId) -> None:
    """Find causes of red gates and resolutions of conflicts. The results stand, so that Ctrl-C ends only this."""
    recorder = context.recorder
    unclear = [failure.entry for failure in explanations.open_failures] + recorder.conflicted
    if unclear:
        counts = ", ".join(f"{count} {kind}" for kind, count in recorder.counts().items() if count)
        result = f"{counts}; {context.fleet.target} {'would be' if context.rehearsed else 'is'} at {tip[:10]}"
        names = tuple(entry.agent.name for entry in unclear)
        text = f"{result}; looking for what {format_list(names)} failed with (Ctrl-C ends only this)"
        recorder.events.emit("train.result", names, text)
    try:
        explanations.finish()
        ResolutionOffers(context).offer(recorder.conflicted, target)
    except KeyboardInterrupt:
        recorder.advise("interrupted before all evictions were explained; the results above stand", ())


def _after(
    fleet: Fleet, request: TrainRequest, recorder: ResultRecorder, position: TargetPosition, tip: CommitId
) -> CommitId:
    """Return where the target is after the train, from its ref: a gate or a person may have moved it."""
    after = tip if any(isinstance(result, Landed) for result in recorder.results) else position.local
    actual = None if request.rehearsed else fleet.target_tip()
    if actual is None or actual == after:
        return after
    recorder.advice.append(
        f"{fleet.target} is at {actual[:10]}, not at {after[:10]} where this train left it: something else moved it"
    )
    return actual
