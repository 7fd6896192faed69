"""Record the results of a train: each agent's result as sentences, with the log to read, and in the ledger.

An agent gets exactly one result. Nothing is decided here; it explains what was decided.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from orchestra.blueprint.model import AgentName, Builtin
from orchestra.candidates.builder import NothingToMerge
from orchestra.candidates.text_conflict import Conflict, conflict_hunks
from orchestra.fleet import Fleet
from orchestra.gates.builtin import BuiltinResult
from orchestra.gates.junit_report import FailedTest
from orchestra.git.objects import Objects
from orchestra.git.refs import CommitId, Kind, agent_ref
from orchestra.ledger import Json
from orchestra.review.agent_notes import landed_notes, summarize_notes
from orchestra.review.eviction import end_of
from orchestra.text import first_error_line, format_count
from orchestra.train.entries import Entry
from orchestra.train.events import EventSink
from orchestra.train.eviction_report import (
    ConflictSide,
    FailedEntry,
    FailureCause,
    OtherSide,
    failed_tests,
    find_overlap,
    format_explanation,
)
from orchestra.train.planner_model import HoldReason
from orchestra.train.test_run import NOT_NEEDED, TestReport
from orchestra.train.train_report import (
    AgentResult,
    Blocked,
    Evicted,
    EvictReason,
    InPullRequest,
    Landed,
    Offer,
    Waiting,
)

_KIND = {Landed: "landed", InPullRequest: "pushed", Evicted: "evicted", Blocked: "blocked", Waiting: "waiting"}
_MOST_NAMES = 3  # in one sentence
_LOG_BYTES = 256_000


class ResultRecorder:
    """The results of one train. ``rehearsed``: gate results are recorded, results of agents are only reported."""

    def __init__(self, fleet: Fleet, events: EventSink, *, rehearsed: bool) -> None:
        self._fleet, self.events, self._rehearsed = fleet, events, rehearsed
        self._results: dict[AgentName, AgentResult] = {}
        self._builtin_checks: dict[AgentName, tuple[BuiltinResult, ...]] = {}
        self.judged = self.rejected = 0
        self.conflicted: list[Entry] = []  # evicted because their text does not merge
        self.advice: list[str] = []
        self.headline = ""

    @property
    def not_landing(self) -> frozenset[AgentName]:
        """The agents that do not land in this run."""
        return frozenset(
            name for name, result in self._results.items() if not isinstance(result, Landed | InPullRequest)
        )

    @property
    def results(self) -> tuple[AgentResult, ...]:
        """In the order in which they were decided."""
        return tuple(self._results.values())

    def counts(self) -> dict[str, int]:
        """Return landed, evicted, blocked, waiting -> number of agents."""
        kinds = [_KIND[type(result)] for result in self._results.values()]
        return {kind: kinds.count(kind) for kind in _KIND.values() if kind != _KIND[InPullRequest]}

    def is_decided(self, agent: AgentName) -> bool:
        return agent in self._results

    def add(self, result: AgentResult, report: TestReport | None = None) -> None:
        """Record an agent's result; ``report`` is the test that decided it."""
        agent, ledger = result.agent, self._fleet.ledger
        if agent in self._results:
            raise AssertionError(f"{agent} is decided twice")
        self._results[agent] = result
        if report is not None:
            self.judged += 1
            self.rejected += isinstance(result, Evicted)
            for run in report.runs:
                log = str(run.log) if run.log else None
                row: dict[str, Json] = {"gate": run.gate, "outcome": run.outcome.value, "seconds": run.seconds}
                row |= {"failed_tests": [str(test) for test in run.failed_tests]}
                row |= {"log": log, "tree": report.tree, "candidate": report.commit, "cached": run.cached}
                ledger.record("gate", agent, **row)
            for skipped_gate, why in report.skipped.items():
                ledger.record("gate", agent, gate=skipped_gate, outcome=NOT_NEEDED, detail=why, candidate=report.commit)
        would = "would " if self._rehearsed else ""
        data: dict[str, Json]
        match result:
            case Landed(_, commit, gates, not_needed):
                text = f"{agent} {'would land' if would else 'landed'} as {commit[:10]}"
                data = {"commit": commit, "gates": dict(gates), "not_needed": dict(not_needed)}
            case InPullRequest(_, commit, gates, not_needed):
                text = f"{agent} {'would be pushed' if would else 'pushed'} as {commit[:10]}"
                data = {"commit": commit, "gates": dict(gates), "not_needed": dict(not_needed)}
            case Evicted(_, head, reason, detail, with_, log_path, gate, _):
                text = f"{agent} {'would be evicted' if would else 'evicted'}, {reason}: {detail}"
                log = str(log_path) if log_path else None
                data = {"reason": reason, "detail": detail, "with": list(with_), "log": log}
                if self._rehearsed:
                    ledger.record("rehearsed", agent, head=head, outcome="evicted")
                else:
                    ledger.record("evicted", agent, head=head, gate=gate, **data)
            case Blocked(_, reason_text, by):
                text, data = f"{agent} {reason_text}", {"reason": reason_text, "by": by}
            case Waiting(_, reason_text, _):
                text, data = f"{agent} waits: {reason_text}", {"reason": reason_text}
        self.events.emit(_KIND[type(result)], (agent,), text, **data)

    def end_on_red_target(self, report: TestReport) -> None:
        """Set the headline: the target fails without any branch, so that nothing can be judged."""
        run = report.decided_by
        if run is None or self.headline:
            return
        reason = first_error_line(end_of(run.log, _LOG_BYTES)) if run.log else None
        self.headline = f"{self._fleet.target} itself fails `{run.gate}` ({run.detail or run.outcome})"
        reason = _name_tests(run.failed_tests) or reason
        self.headline += f": {reason}" if reason else ""
        self.headline += f" (log: {run.log})" if run.log else ""
        self.events.emit("advice", (), self.headline)

    def advise(self, sentence: str, about: tuple[AgentName, ...]) -> None:
        """Add a sentence to the report that is not an agent's result."""
        self.advice.append(sentence)
        self.events.emit("advice", about, sentence)

    # -- the built-in gates -------------------------------------------------------------------------------------

    def add_builtin_checks(self, entry: Entry, checks: tuple[BuiltinResult, ...]) -> None:
        """Record what the built-in gates found in a branch; those that stop it evict it together."""
        name = entry.agent.name
        self._builtin_checks[name] = checks
        for check in checks:
            row: dict[str, Json] = {"gate": check.gate, "outcome": check.outcome, "detail": check.detail}
            self._fleet.ledger.record("gate", name, **row, candidate=entry.branch.tip)
        if stopping := [check for check in checks if check.stops]:
            reason = EvictReason.SCOPE if stopping[0].builtin is Builtin.SCOPE else EvictReason.GATE
            detail = "; ".join(f"{check.gate}: {check.detail}" for check in stopping)
            detail = detail if len(stopping) > 1 else stopping[0].detail
            self.add(Evicted(name, entry.branch.tip, reason, detail, gate=stopping[0].gate))

    def builtin_outcomes(self, agent: AgentName) -> Mapping[str, str]:
        """Return built-in gate -> its outcome."""
        return {check.gate: check.outcome for check in self._builtin_checks.get(agent, ())}

    def add_flaky_gate(self, red: TestReport) -> None:
        """Report and count a gate that was red and then green on the same commit; ``red`` is the first of the two."""
        run, ledger = red.decided_by, self._fleet.ledger
        gate = run.gate if run else ""
        log = str(run.log) if run and run.log else None
        earlier = sum(1 for event in ledger.events("flaky") if event.data.get("gate") == gate)
        ledger.record("flaky", None, gate=gate, tree=red.tree, candidate=red.commit, log=log)
        text = f"{gate} is flaky: it failed once and passed when run again on the same commit {red.commit[:10]}"
        text += f", as it did {format_count(earlier, 'time')} before" if earlier else ""
        text += f" (log of the failure: {log})" if log else ""
        self.advise(text, red.group)

    # -- evictions ----------------------------------------------------------------------------------------------

    def evict_empty(self, entry: Entry, candidate: NothingToMerge) -> None:
        self.add(Evicted(entry.agent.name, entry.branch.tip, EvictReason.EMPTY, candidate.sentence))

    def evict_conflict(
        self, entry: Entry, conflict: Conflict, other_side: OtherSide, target: CommitId, objects: Objects
    ) -> None:
        """Evict a branch whose text does not merge with the target: name the other side, and keep the hunks."""
        name, git = entry.agent.name, self._fleet.repository.git
        log = self._fleet.folder / "gates" / f"{entry.branch.tip[:12]}.{name}.conflict.txt"
        lines = [f"{name} on {self._fleet.target} at {target}", *conflict.messages, ""]
        lines.append(conflict_hunks(git, objects, conflict, str(name)) if conflict.stages else "")
        for agent in other_side.agents:  # what the other side was after, from the notes of its landed commit
            commit = self._fleet.repository.resolve(agent_ref(self._fleet.name, agent, Kind.LANDED))
            if purpose := summarize_notes(landed_notes(git, commit)) if commit else ():
                lines += [f"{agent} says of its work:", *(f"  {line}" for line in purpose), ""]
        _write_log(log, "\n".join(lines) + "\n")
        detail = conflict.sentence + other_side.remark
        self.add(Evicted(name, entry.branch.tip, EvictReason.CONFLICT, detail, other_side.agents, log))
        if conflict.stages:
            self.conflicted.append(entry)

    def offer(self, agent: AgentName, offer: Offer) -> None:
        """Add to an eviction how its conflict could be resolved, or why no resolution is offered."""
        result = self._results[agent]
        if not isinstance(result, Evicted):
            raise AssertionError(f"{agent} was not evicted")
        self._results[agent] = replace(result, proposal=offer)
        stage = "offered" if offer.commit else "not-offered"
        data = proposal_data(stage, offer.commit, offer.resolved, offer.gates)
        self._fleet.ledger.record("proposal", agent, detail=offer.detail, **data)
        self.events.emit("proposal", (agent,), f"{agent}: {offer.line}", **data)

    def evict_red(self, entry: Entry, report: TestReport, target: CommitId) -> None:
        """Evict a branch with which a gate is red on the target, and without which it is green."""
        run = report.decided_by
        if run is None:
            raise AssertionError(f"{report.group} was not red")
        outcome = f"{run.gate} {run.outcome}" + (f" ({run.detail})" if run.detail else "")
        detail = f"{outcome} on {self._fleet.target} at {target[:10]} with this branch, and passes without it"
        detail += " (as the rehearsal found; another merge tests it again)" if run.cached else ""
        tests = _name_tests(run.failed_tests) or ", ".join(failed_tests(run.log)[:_MOST_NAMES])
        detail += f"; fails: {tests}" if tests else ""
        name, head = entry.agent.name, entry.branch.tip
        self.add(Evicted(name, head, EvictReason.GATE, detail, (), run.log, run.gate, run.failed_tests), report)

    def explain(self, failure: FailedEntry, cause: FailureCause) -> None:
        """Explain a red branch that is green alone: with what it is red, where they meet, what each was after."""
        entry, run = failure.entry, failure.report.decided_by
        if run is None:
            raise AssertionError(f"{failure.report.group} was not red")
        agent, git = entry.agent.name, self._fleet.repository.git
        branch = ConflictSide(str(agent), failure.fork, entry.branch.tip, entry.notes)
        culprits = [ConflictSide(c.name, c.onto, c.commit, landed_notes(git, c.commit)) for c in cause.changes]
        overlaps = {culprit.name: find_overlap(git, branch, culprit) for culprit in culprits}
        tests = tuple(test.name for test in run.failed_tests) or failed_tests(run.log)
        names = " and ".join(culprit.name for culprit in culprits)
        earlier = "" if cause.proven else ", together with what landed before"
        detail = f"{run.gate} passes without {names} and fails with it{earlier}"
        shared = [*dict.fromkeys(name for found in overlaps.values() for name in (*found.names, *found.files))]
        detail += f"; fails: {', '.join(tests[:_MOST_NAMES])}" if tests else ""
        detail += f"; both touch {', '.join(shared[:_MOST_NAMES])}" if shared else ""
        log = self._fleet.folder / "gates" / f"{entry.branch.tip[:12]}.{agent}.logical-conflict.txt"
        _write_log(log, format_explanation(f"{agent}: {detail}", tests, overlaps, (branch, *culprits), run.log))
        reason = EvictReason.LOGICAL_CONFLICT if cause.agents else EvictReason.GATE
        del self._results[agent]
        self.add(Evicted(agent, entry.branch.tip, reason, detail, cause.agents, log, run.gate, run.failed_tests))


def hold_reason(reason: HoldReason, report: TestReport | None) -> str:
    """Return why an agent has to wait, in a sentence; ``report``: the test that said so."""
    run = report.decided_by if report else None
    if reason is HoldReason.RED_TARGET:
        run = None  # the headline of the train names the gate and its log
    detail = f": {run.gate} {run.detail or run.outcome}" if run else ""
    log = f" (log: {run.log})" if run and run.log else ""
    sentences = {
        HoldReason.RED_TARGET: "the target itself is red, so no agent can be blamed",
        HoldReason.STUCK: "its gates could not be run to an end",
        HoldReason.STUCK_TARGET: "no gate could be run on this machine",
    }
    return f"{sentences[reason]}{detail}{log}"


def proposal_data(
    stage: str, commit: CommitId | None, resolved: Mapping[str, str], gates: Mapping[str, str]
) -> dict[str, Json]:
    """Return what an event about a proposal contains."""
    return {"stage": stage, "commit": commit, "resolved": dict(resolved), "gates": dict(gates)}


def _name_tests(tests: Sequence[FailedTest]) -> str:
    """Return the first failed tests as one sentence part; empty without any."""
    more = f" and {len(tests) - _MOST_NAMES} more" if len(tests) > _MOST_NAMES else ""
    return ", ".join(map(str, tests[:_MOST_NAMES])) + more


def _write_log(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8", "surrogateescape")
