"""The three ways to use the train: merge, rehearse, and test a few candidates.

One train runs at a time in a repository, under a lock of its own, so that verdicts can be given meanwhile. Problems of
the target, its checkouts or the blueprint are reported before anything runs.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from orchestra.blueprint.model import AgentName, Strategy
from orchestra.candidates.conflict_forecast import conflicts_by_agent, forecast_conflicts
from orchestra.candidates.text_conflict import conflict_rules, is_resolved_by_rule, quote_path
from orchestra.engine.job import Engine
from orchestra.engine.local import LocalEngine
from orchestra.errors import GroundError, UsageError
from orchestra.fleet import Fleet
from orchestra.gates.branch_content import BranchSpan, read_branches
from orchestra.gates.builtin import run_builtin_gates
from orchestra.gates.environment import describe_removed
from orchestra.git.checkout import changed_among, in_the_way
from orchestra.git.lock import exclusive
from orchestra.git.refs import CommitId, read_fleet
from orchestra.git.tree_diff import changes
from orchestra.git.worktrees import as_ground_error
from orchestra.ledger import Json
from orchestra.train.candidate_refs import CandidateRefs
from orchestra.train.entries import Accept, Entries, Entry, read_entries
from orchestra.train.events import EventSink, Listener, ignore
from orchestra.train.landing import find_unrecorded_landings, record_landings, recover_within
from orchestra.train.landing_journal import read_journal
from orchestra.train.order_advice import advise
from orchestra.train.regenerate import Regenerator
from orchestra.train.resolution_offers import ResolutionOffers
from orchestra.train.results import ResultRecorder
from orchestra.train.target_checks import TargetPosition, check_target
from orchestra.train.tester import Tester
from orchestra.train.train_context import Integrators, TrainContext
from orchestra.train.train_report import Blocked, Evicted, EvictReason, Landed, MergeReport, Waiting
from orchestra.train.train_run import TrainRun
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


def merge(
    fleet: Fleet,
    *,
    agents: Collection[AgentName] | None = None,
    push: bool | None = None,
    accept_finished: bool = False,
    unfinished: Unfinished = _no_agent,
    progress: Listener = ignore,
    engine: Engine | None = None,
) -> MergeReport:
    """Land what is approved, in order, each as it was tested.

    ``agents`` (None: all) limits what may land. ``push`` None: as the blueprint says. ``accept_finished`` also takes
    agents without a verdict that are not ``unfinished`` and have nothing uncommitted, and approves them as they land.
    ``engine`` None: the local one with ``limits.gates`` places. Raises UsageError, GroundError, LockHeld, DiskFull;
    what had landed by then has landed, and the next run continues.
    """
    accept = Accept.FINISHED if accept_finished else Accept.APPROVED
    push = fleet.blueprint.merge.push if push is None else push
    return _run(fleet, TrainRequest("merge", accept, agents, unfinished, rehearsed=False, push=push), progress, engine)


def rehearse(
    fleet: Fleet,
    *,
    agents: Collection[AgentName] | None = None,
    unfinished: Unfinished = _no_agent,
    progress: Listener = ignore,
    engine: Engine | None = None,
) -> MergeReport:
    """Run the whole train with its gates and land nothing: approved and finished agents take part. Passes are kept."""
    request = TrainRequest("rehearse", Accept.FINISHED, agents, unfinished, rehearsed=True, push=False)
    return _run(fleet, request, progress, engine)


def rebase_and_test(
    fleet: Fleet, agents: Sequence[AgentName], *, progress: Listener = ignore, engine: Engine | None = None
) -> MergeReport:
    """Test the named agents, whatever their verdict, together on today's target; nothing lands or moves."""
    request = TrainRequest("rebase-and-test", Accept.NAMED, agents, _no_agent, rehearsed=True, push=False)
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
        with exclusive(repository.state_folder / "train", request.command):
            # Finish what a killed train left, then read where everything is.
            recovered = _recover(fleet, events)
            if fleet.remote is not None:
                events.emit("waiting", (), f"fetching {fleet.target} from {fleet.remote}")
            position = check_target(repository, fleet.target, fleet.remote, push=request.push)
            refs = read_fleet(repository.git, fleet.name)
            entries = read_entries(
                fleet,
                refs,
                position.start,
                accept=request.accept,
                agents=request.agents,
                read_unfinished=request.unfinished,
            )
            if not request.rehearsed:
                recovered += _record_merged_by_hand(fleet, position, entries, events)
            # Decide what can be decided before anything is built.
            recorder = ResultRecorder(fleet, events, rehearsed=request.rehearsed)
            for waiting in entries.waiting:
                recorder.add(waiting)
            paths = _check_branches(fleet, position.start, entries.queued, recorder)
            if not request.rehearsed:
                _require_clear_checkouts(fleet, position, paths)
            _announce(fleet, entries, events, recorder, rehearsed=request.rehearsed)
            # Build, test and land the rest; then look for resolutions of the conflicts.
            with _open_context(fleet, request, recorder, events, engine) as context:
                try:
                    tip = TrainRun(context, entries, position).run()
                    offers = ResolutionOffers(context)
                    offers.offer(recorder.conflicted, position.start if request.rehearsed else tip)
                except KeyboardInterrupt:
                    events.emit("train.interrupted", (), "interrupted: stopping tests; landed commits are kept")
                    raise
                report = _report(fleet, request, recorder, position, tip)
                report = replace(
                    report,
                    tests_run=context.tester.tests_run,
                    seconds=time.monotonic() - started,
                    recovered=tuple(recovered),
                )
            events.emit("train.finished", (), report.render_lines()[-1], seconds=report.seconds)
            return report
    except OSError as error:  # a full or read-only disk: report it as that; what had landed has landed
        raise as_ground_error(error, Path(error.filename or repository.state_folder)) from error


# -- before anything is built -------------------------------------------------------------------------------------


def _recover(fleet: Fleet, events: EventSink) -> list[str]:
    sentences = list(recover_within(fleet.repository))
    refs = read_fleet(fleet.repository.git, fleet.name)
    pinned = any(agent_refs.candidate is not None and agent_refs.landed is None for agent_refs in refs.values())
    target = fleet.target_tip() if pinned else None
    if target is not None and (commits := find_unrecorded_landings(fleet, refs, target)):
        record_landings(fleet, commits)
        sentences.append(f"recorded that {', '.join(commits)} had landed")
    for sentence in sentences:
        events.emit("recovered", (), sentence)
    return sentences


def _record_merged_by_hand(
    fleet: Fleet, position: TargetPosition, entries: Entries, events: EventSink
) -> tuple[str, ...]:
    """Record as landed what a person merged, so that what depends on it may land."""
    tips = {name: tip for name, tip in entries.merged.items() if fleet.repository.is_ancestor(tip, position.local)}
    if not tips:
        return ()
    record_landings(fleet, tips)
    sentence = f"recorded that {', '.join(tips)} had been merged by hand"
    events.emit("recovered", tuple(tips), sentence)
    return (sentence,)


def _check_branches(
    fleet: Fleet, target: CommitId, queued: Sequence[Entry], recorder: ResultRecorder
) -> dict[AgentName, frozenset[str]]:
    """Check each entry's trees and run the built-in gates on it; return what the branches themselves change."""
    git, paths, sound = fleet.repository.git, dict[AgentName, frozenset[str]](), []
    for entry in queued:
        name, tip = entry.agent.name, entry.branch.tip
        try:
            problems = malformed_trees(git, target, tip)
        except GroundError as error:  # this branch cannot be read; the others go on
            recorder.add(Waiting(name, f"its branch cannot be read: {error}"))
            continue
        if problems:
            recorder.add(Evicted(name, tip, EvictReason.MALFORMED, "; ".join(problems[:3])))
        else:
            sound.append(entry)
    is_squashed = fleet.blueprint.merge.strategy is Strategy.SQUASH
    spans = [BranchSpan(e.branch.base, e.branch.tip, e.branch.kept_out, is_squashed) for e in sound]
    with read_branches(git, target, spans) as contents:
        for entry, content in zip(sound, contents, strict=True):
            name, tip = entry.agent.name, entry.branch.tip
            if content is None:
                recorder.add(Waiting(name, "its branch cannot be read"))
            elif nested := undeclared_repositories(git, content.fork, tip):
                path = quote_path(nested[0])
                detail = (
                    f"{path} is a nested repository without an entry in .gitmodules, so a clone cannot fill it: "
                    f"git rm --cached {path}, or git submodule add"
                )
                recorder.add(Evicted(name, tip, EvictReason.MALFORMED, detail))
            else:
                paths[name] = content.paths
                checks = run_builtin_gates(fleet.blueprint, entry.agent, content, entry.notes)
                recorder.add_builtin_checks(entry, checks)
    return paths


def _require_clear_checkouts(
    fleet: Fleet, position: TargetPosition, paths: Mapping[AgentName, Collection[str]]
) -> None:
    """Refuse before anything runs where a checkout of the target has changes in files that would be updated."""
    touched = set().union(*paths.values())
    if position.local != position.start:
        touched |= set(changes(fleet.repository.git, position.local, position.start))
    for folder in position.checkouts:
        if changed := changed_among(folder, touched):
            raise in_the_way(folder, changed)


def _announce(fleet: Fleet, entries: Entries, events: EventSink, recorder: ResultRecorder, *, rehearsed: bool) -> None:
    queued = [entry for entry in entries.queued if not recorder.is_decided(entry.agent.name)]
    names = tuple(entry.agent.name for entry in queued)
    agents = "agent" if len(names) == 1 else "agents"
    text = f"{len(names)} {agents} for {fleet.target}: {', '.join(names)}" if names else "nothing to merge"
    data: dict[str, Json] = {
        "target": fleet.target,
        "policy": fleet.blueprint.merge.train,
        "slots": fleet.blueprint.limits.gates,
        "rehearsed": rehearsed,
    }
    events.emit("train.started", names, text, **data)
    rule_of = conflict_rules(fleet.blueprint)
    conflicts = conflicts_by_agent(
        [
            conflict
            for conflict in forecast_conflicts(fleet.repository.git, [entry.branch for entry in queued])
            if not all(is_resolved_by_rule(rule_of, path) for path in conflict.paths)
        ]
    )
    for sentence in advise(names, fleet.blueprint.predecessors, conflicts):
        events.emit("advice", names, sentence)
        recorder.advice.append(sentence)


# -- the train's tools and its result -----------------------------------------------------------------------------


@contextmanager
def _open_context(
    fleet: Fleet, request: TrainRequest, recorder: ResultRecorder, events: EventSink, engine: Engine | None
) -> Iterator[TrainContext]:
    """Start what a train needs, and end it with the train. Pins of a killed train are deleted first."""
    places = fleet.blueprint.limits.gates
    with ExitStack() as stack:
        candidate_refs = CandidateRefs(fleet, read_fleet(fleet.repository.git, fleet.name))
        candidate_refs.delete_all()
        if engine is None:
            engine = stack.enter_context(LocalEngine(places))
        tester = stack.enter_context(Tester(fleet, engine, places, events))
        if removed := describe_removed(os.environ, tester.slots.checkouts):
            recorder.advice.append(f"gates: {removed}")
            events.emit("advice", (), f"gates: {removed}")
        integrators = Integrators(fleet, stack, conflict_rules(fleet.blueprint), Regenerator(fleet, tester.slots))
        try:
            yield TrainContext(
                fleet,
                tester,
                events,
                recorder,
                candidate_refs,
                integrators,
                rehearsed=request.rehearsed,
                push=request.push,
            )
        finally:
            if read_journal(fleet.repository.state_folder) is None:  # an open landing needs its pins
                candidate_refs.delete_all()


def _report(
    fleet: Fleet, request: TrainRequest, recorder: ResultRecorder, position: TargetPosition, tip: CommitId
) -> MergeReport:
    results = recorder.results
    landed = tuple(result for result in results if isinstance(result, Landed))
    after = tip if landed else position.local
    actual = None if request.rehearsed else fleet.target_tip()  # from the ref: a gate or a person may have moved it
    if actual is not None and actual != after:
        recorder.advice.append(
            f"{fleet.target} is at {actual[:10]}, not at {after[:10]} where this train left it: something else moved it"
        )
        after = actual
    return MergeReport(
        fleet=fleet.name,
        target=fleet.target,
        before=position.local,
        after=after,
        landed=landed,
        evicted=tuple(result for result in results if isinstance(result, Evicted)),
        blocked=tuple(result for result in results if isinstance(result, Blocked)),
        waiting=tuple(result for result in results if isinstance(result, Waiting)),
        rehearsed=request.rehearsed,
        pushed=request.push and bool(landed) and not request.rehearsed,
        advice=tuple(recorder.advice),
    )
