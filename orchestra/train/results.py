"""Keeps account of a train: what became of each agent, in sentences, with the log to read on, and in the ledger.

Invariant: an agent is entered once. Refuses: to decide anything; it explains what was decided.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from orchestra.blueprint.model import AgentName, Builtin
from orchestra.candidates.builder import NothingToMerge
from orchestra.candidates.text_conflict import Conflict, conflict_hunks
from orchestra.fleet import Fleet
from orchestra.gates.builtin import BuiltinResult
from orchestra.git.objects import Objects
from orchestra.git.refs import CommitId, Kind, agent_ref
from orchestra.ledger import Json
from orchestra.review.agent_notes import landed_notes, summarize_notes
from orchestra.train.bisect import Case, Cause
from orchestra.train.conflict_blame import Clash
from orchestra.train.entries import Passenger
from orchestra.train.events import Teller
from orchestra.train.eviction_report import Work, failed_tests, touch
from orchestra.train.eviction_report import tell as explanation
from orchestra.train.test_run import GateRun, Report
from orchestra.train.train_report import Blocked, Evicted, EvictReason, Landed, Offer, Waiting

Fate = Landed | Evicted | Blocked | Waiting


class Account:
    """The fates of one train. ``rehearsed``: gate results are recorded, fates are only told."""

    def __init__(self, fleet: Fleet, teller: Teller, *, rehearsed: bool) -> None:
        self._fleet, self._teller, self._rehearsed = fleet, teller, rehearsed
        self._fates: dict[AgentName, Fate] = {}
        self._checks: dict[AgentName, tuple[BuiltinResult, ...]] = {}
        self.judged = self.rejected = 0
        self.conflicted: list[Passenger] = []  # evicted because their text does not merge
        self.advice: list[str] = []

    @property
    def out(self) -> frozenset[AgentName]:
        """Who does not land in this run."""
        return frozenset(name for name, fate in self._fates.items() if not isinstance(fate, Landed))

    @property
    def fates(self) -> tuple[Fate, ...]:
        """In the order in which they were decided."""
        return tuple(self._fates.values())

    def counts(self) -> dict[str, int]:
        """Landed, evicted, blocked, waiting -> how many."""
        kinds = [_KIND[type(fate)] for fate in self._fates.values()]
        return {kind: kinds.count(kind) for kind in _KIND.values()}

    def knows(self, agent: AgentName) -> bool:
        return agent in self._fates

    def add(self, fate: Fate, report: Report | None = None) -> None:
        """Enter what became of an agent; ``report`` is the test that decided it."""
        if fate.agent in self._fates:
            raise AssertionError(f"{fate.agent} is decided twice")
        self._fates[fate.agent] = fate
        if report is not None:
            self.judged += 1
            self.rejected += isinstance(fate, Evicted)
            self._record_gates(fate.agent, report.commit, report.tree, report.runs)
        if isinstance(fate, Evicted) and not self._rehearsed:
            log = str(fate.log) if fate.log else None
            facts: dict[str, Json] = {
                "head": fate.head,
                "reason": fate.reason,
                "detail": fate.detail,
                "with": list(fate.with_),
                "log": log,
                "gate": fate.gate,
            }
            self._fleet.ledger.record("evicted", fate.agent, **facts)
        self._teller.tell(_KIND[type(fate)], (fate.agent,), self._told(fate), **_facts(fate))

    # -- the built-in gates -------------------------------------------------------------------------------------

    def check(self, passenger: Passenger, checks: tuple[BuiltinResult, ...]) -> None:
        """Enter what the built-in gates say of a branch; the first that stops it evicts it."""
        name = passenger.agent.name
        self._checks[name] = checks
        for checked in checks:
            facts: dict[str, Json] = {"gate": checked.gate, "outcome": checked.outcome, "detail": checked.detail}
            self._fleet.ledger.record("gate", name, **facts, candidate=passenger.branch.tip)
        stopped = next((checked for checked in checks if checked.stops), None)
        if stopped is not None:
            reason = EvictReason.SCOPE if stopped.builtin is Builtin.SCOPE else EvictReason.GATE
            self.add(Evicted(name, passenger.branch.tip, reason, stopped.detail, gate=stopped.gate))

    def checked(self, agent: AgentName) -> Mapping[str, str]:
        """Built-in gate -> its outcome."""
        return {checked.gate: checked.outcome for checked in self._checks.get(agent, ())}

    # -- evictions ----------------------------------------------------------------------------------------------

    def evict_empty(self, passenger: Passenger, found: NothingToMerge) -> None:
        self.add(Evicted(passenger.agent.name, passenger.branch.tip, EvictReason.EMPTY, found.sentence))

    def evict_conflict(
        self, passenger: Passenger, conflict: Conflict, clash: Clash, target: CommitId, objects: Objects
    ) -> None:
        """Its text does not merge with the target: say with whose work, and keep the hunks."""
        name = passenger.agent.name
        log = self._fleet.folder / "gates" / f"{passenger.branch.tip[:12]}.{name}.conflict.txt"
        shown = conflict_hunks(self._fleet.repository.git, objects, conflict, str(name)) if conflict.stages else ""
        told = [f"{name} on {self._fleet.target} at {target}", *conflict.messages]
        intents = "".join(self._intent_of(other) for other in clash.agents)
        write_log(log, "\n".join(told) + f"\n\n{shown}\n{intents}")
        told_with = conflict.sentence + clash.told
        self.add(Evicted(name, passenger.branch.tip, EvictReason.CONFLICT, told_with, clash.agents, log))
        if conflict.stages:
            self.conflicted.append(passenger)

    def offer(self, agent: AgentName, offer: Offer) -> None:
        """How the conflict of an agent that was evicted could be resolved, or why nobody knows."""
        fate = self._fates[agent]
        if not isinstance(fate, Evicted):
            raise AssertionError(f"{agent} was not evicted")
        self._fates[agent] = replace(fate, proposal=offer)
        stage = "offered" if offer.commit else "not-offered"
        facts = proposal_facts(stage, offer.commit, offer.resolved, offer.gates)
        self._fleet.ledger.record("proposal", agent, detail=offer.detail, **facts)
        self._teller.tell("proposal", (agent,), f"{agent}: {offer.line}", **facts)

    def _intent_of(self, agent: AgentName) -> str:
        """What the other side was after, from the notes that are kept with its landed commit."""
        ref = agent_ref(self._fleet.name, agent, Kind.LANDED)
        commit = self._fleet.repository.resolve(ref)
        said = summarize_notes(landed_notes(self._fleet.repository.git, commit)) if commit else ()
        return f"{agent} says of its work:\n" + "".join(f"  {line}\n" for line in said) + "\n" if said else ""

    def evict_red(self, passenger: Passenger, report: Report, target: CommitId) -> None:
        """A gate is red on the target with this branch, and green on the target without it."""
        run = report.decided_by
        if run is None:
            raise AssertionError(f"{report.state} was not red")
        what = f"{run.gate} {run.outcome}" + (f" ({run.detail})" if run.detail else "")
        detail = f"{what} on {self._fleet.target} at {target[:10]} with this branch, and passes without it"
        detail += " (as the rehearsal found; another merge tests it again)" if run.cached else ""
        name, head = passenger.agent.name, passenger.branch.tip
        self.add(Evicted(name, head, EvictReason.GATE, detail, (), run.log, run.gate), report)

    def explain(self, case: Case, cause: Cause) -> None:
        """A red branch was green alone: say with what it is red, where they meet, and what each was after."""
        agent, run = case.passenger.agent.name, case.report.decided_by
        if run is None:
            raise AssertionError(f"{case.report.state} was not red")
        git = self._fleet.repository.git
        mine = Work(str(agent), case.fork, case.passenger.branch.tip, case.passenger.notes)
        others = [Work(u.name, u.onto, u.commit, landed_notes(git, u.commit)) for u in cause.units]
        touches = {other.name: touch(git, mine, other) for other in others}
        tests = failed_tests(run.log)
        names = " and ".join(other.name for other in others)
        sure = "" if cause.proven else ", together with what landed before"
        detail = f"{run.gate} passes without {names} and fails with it{sure}"
        meet = [*dict.fromkeys(name for met in touches.values() for name in (*met.names, *met.files))]
        detail += f"; fails: {', '.join(tests[:_SHOWN])}" if tests else ""
        detail += f"; both touch {', '.join(meet[:_SHOWN])}" if meet else ""
        log = self._fleet.folder / "gates" / f"{case.passenger.branch.tip[:12]}.{agent}.logical-conflict.txt"
        write_log(log, explanation(f"{agent}: {detail}", tests, touches, (mine, *others), run.log))
        reason = EvictReason.LOGICAL_CONFLICT if cause.agents else EvictReason.GATE
        del self._fates[agent]
        self.add(Evicted(agent, case.passenger.branch.tip, reason, detail, cause.agents, log, run.gate))

    # -- telling ------------------------------------------------------------------------------------------------

    def _record_gates(self, agent: AgentName, commit: CommitId, tree: str, runs: Iterable[GateRun]) -> None:
        for run in runs:
            facts: dict[str, Json] = {"gate": run.gate, "outcome": run.outcome.value, "seconds": run.seconds}
            log = str(run.log) if run.log else None
            self._fleet.ledger.record("gate", agent, **facts, log=log, tree=tree, candidate=commit, cached=run.cached)

    def _told(self, fate: Fate) -> str:
        match fate:
            case Landed(agent, commit):
                return f"{agent} {'would land' if self._rehearsed else 'landed'} as {commit[:10]}"
            case Evicted(agent, _, reason, detail):
                return f"{agent} {'would be evicted' if self._rehearsed else 'evicted'}, {reason}: {detail}"
            case Blocked(agent, reason, by):
                return f"{agent} blocked by {by}: {reason}"
            case Waiting(agent, reason):
                return f"{agent} waits: {reason}"


_SHOWN = 3
_KIND = {Landed: "landed", Evicted: "evicted", Blocked: "blocked", Waiting: "waiting"}


def _facts(fate: Fate) -> dict[str, Json]:
    match fate:
        case Landed(_, commit, gates):
            return {"commit": commit, "gates": dict(gates)}
        case Evicted(_, _, reason, detail, with_, log):
            return {"reason": reason, "detail": detail, "with": list(with_), "log": str(log) if log else None}
        case Blocked(_, reason, by):
            return {"reason": reason, "by": by}
        case Waiting(_, reason):
            return {"reason": reason}


def proposal_facts(
    stage: str, commit: CommitId | None, resolved: Mapping[str, str], gates: Mapping[str, str]
) -> dict[str, Json]:
    """What an event about a proposal says."""
    return {"stage": stage, "commit": commit, "resolved": dict(resolved), "gates": dict(gates)}


def write_log(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8", "surrogateescape")
