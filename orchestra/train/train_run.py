"""Conducts a train: asks the planner what to do, does it, and tells what came of it, until every agent is decided.

Invariant: decisions are the planner's (``queue``), facts are git's and the gates'; this module only carries between
them. Every event is answered by planning anew from all facts. In a rehearsal the target moves in memory alone.
Refuses: to land what its own audit does not pass, and to go on after the target moved under it without building anew.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from orchestra.blueprint.model import AgentName
from orchestra.candidates.builder import BuiltCandidate, Candidate, CandidateBuilder, NothingToMerge
from orchestra.candidates.containment import LandingStep, audit, unclaimed_paths
from orchestra.candidates.text_conflict import Conflict
from orchestra.errors import GitError, GroundError
from orchestra.fleet import Fleet
from orchestra.git.refs import CommitId
from orchestra.ledger import Json
from orchestra.train import planner
from orchestra.train.bisect import Case, Diagnosis
from orchestra.train.candidate_refs import Pins
from orchestra.train.conflict_blame import Clashes
from orchestra.train.entries import Passenger, Roster
from orchestra.train.eta import seconds_left, spoken, typical_seconds
from orchestra.train.events import Teller
from orchestra.train.landing import Landing, TargetMoved, VerdictChanged, land
from orchestra.train.planner_model import (
    Action,
    Block,
    Build,
    Built,
    Cancel,
    Evict,
    Facts,
    HeldBy,
    Hold,
    Land,
    Record,
    Run,
    State,
    Why,
)
from orchestra.train.results import Account
from orchestra.train.stacked_branches import begun_on, in_order
from orchestra.train.target_checks import Ground, survey
from orchestra.train.target_state import Railway
from orchestra.train.test_run import Ended, Report
from orchestra.train.tester import Tester
from orchestra.train.train_report import Blocked, Landed, Waiting

_MOVES = 20  # times that the target may move under a train before it gives up
_LOSSES = 20  # times that candidates may be taken from it before they are pinned


class Conductor:
    """One run of a train over a roster."""

    def __init__(
        self,
        fleet: Fleet,
        roster: Roster,
        ground: Ground,
        *,
        tester: Tester,
        integrator: Callable[[CommitId], CandidateBuilder],
        teller: Teller,
        account: Account,
        pins: Pins,
        rehearsed: bool,
        push: bool,
    ) -> None:
        self._fleet, self._roster, self._ground, self._tester = fleet, roster, ground, tester
        self._integrator_for, self._teller, self._account = integrator, teller, account
        self._rehearsed, self._push, self._pins = rehearsed, push, pins
        riding = tuple(p.agent.name for p in roster.passengers if not account.knows(p.agent.name))
        branches = tuple(passenger.branch for passenger in roster.passengers)
        self._after = begun_on(fleet.repository, ground.start, branches, fleet.blueprint.predecessors)
        self._order = in_order(riding, self._after)
        self._railway = Railway(ground.start)
        self._integrator = integrator(ground.start)
        self._clashes = Clashes(fleet, integrator)
        self._made: set[CommitId] = set()
        self._moves = self._losses = 0
        self._red: list[Case] = []
        tester.reds.begin(rehearsed=rehearsed)

    # -- the loop -----------------------------------------------------------------------------------------------

    def run(self) -> CommitId:
        """Conduct it to the end; where the target is then (or would be). The account holds what became of whom."""
        while self._order or self._railway.tests:
            actions = planner.plan(self._facts())
            known = [action for action in actions if isinstance(action, Run) and self._is_known(action.state)]
            for action in known or actions:  # what is known may make the rest needless
                self._carry_out(action)
            if (known or not actions) and not self._listen():
                break
        self._diagnose()
        return self._railway.target

    def _facts(self) -> Facts:
        merge = self._fleet.blueprint.merge
        return Facts(
            order=self._order,
            after=self._after,
            out=self._account.out | self._roster.aside,
            built={state: _as_built(candidate) for state, candidate in self._railway.built.items()},
            tests=self._railway.tests,
            slots=self._fleet.blueprint.limits.gates,
            policy=merge.train,
            guarantee=merge.guarantee,
            decided=self._account.judged,
            rejected=self._account.rejected,
            recall=self._recalls(),
        )

    def _recalls(self) -> bool:
        """Until something had to be run, all that a rehearsal before us found is looked up as it is built."""
        return self._tester.tests_run == 0

    def _is_known(self, state: State) -> bool:
        try:
            return self._tester.known(state, self._railway.commit(state)) is not None
        except GitError:  # the candidate was lost before it was pinned: starting its test will say so
            return False

    def _recall(self, state: State) -> None:
        if self._recalls() and self._is_known(state):
            self._carry_out(Run(state))
            self._listen()

    def _listen(self) -> bool:
        """Wait until a test ends; False when none runs."""
        if not any(test.running for test in self._railway.tests.values()):
            return False
        if self._order:
            self._tell_progress()
        for report in self._tester.wait():
            if report.ended is not Ended.CANCELLED:
                self._note(report)
        self._require_own_target()
        return True

    def _tell_progress(self) -> None:
        """How far the train is, for whoever draws it: who is where, what runs, how long it may take."""
        facts = self._facts()
        one_run = typical_seconds(self._tester.measured, (gate.name for gate in self._tester.gates))
        left = seconds_left(facts, one_run)
        running: list[Json] = [list[Json](state) for state, test in facts.tests.items() if test.running]
        counts = self._account.counts()
        told = ", ".join(f"{count} {what}" for what, count in counts.items() if count)
        words = [part for part in (told, f"{len(self._order)} to go", spoken(left)) if part]
        self._teller.tell(
            "train.progress", self._order, ", ".join(words), running=running, counts=dict(counts), eta_s=left
        )

    def _note(self, report: Report) -> None:
        test = self._railway.tests.get(report.state, Record())
        # What ended without a verdict does not say how many reds make one.
        needed = 1 + self._tester.retries(report) if report.ended is Ended.RED else test.needed
        if report.unheld:
            self._build_afresh()
        self._railway.reports[report.state] = report
        self._railway.tests[report.state] = replace(
            test,
            running=False,
            green=test.green or report.ended is Ended.GREEN,
            reds=max(test.reds + (report.ended is Ended.RED), needed * report.recalled_red),
            broken=test.broken + (report.ended is Ended.BROKEN),
            needed=needed,
        )

    def _build_afresh(self) -> None:
        """Forget what was built: a ``gc --prune=now`` beside us may have taken it. The same commits come out again."""
        self._railway.built = {}
        self._integrator = self._integrator_for(self._railway.target)

    def _carry_out(self, action: Action) -> None:
        match action:
            case Build(state):
                self._build(state)
            case Run(state):
                self._railway.tests[state] = replace(self._railway.tests.get(state, Record()), running=True)
                self._tester.start(state, self._railway.commit(state))
            case Cancel(state):
                self._railway.tests[state] = replace(self._railway.tests[state], running=False)
                self._tester.cancel(state)
            case Land(state):
                self._land(state)
            case Evict(agent, why):
                self._evict(agent, why)
            case Block(agent, by):
                reason = f"it must land after {by}, which does not land in this run"
                self._decide(Blocked(agent, reason, by))
            case Hold(agent, by):
                self._decide(Waiting(agent, self._why_held(agent, by)))

    def _decide(self, fate: Blocked | Waiting) -> None:
        self._order = tuple(name for name in self._order if name != fate.agent)
        self._account.add(fate)

    # -- building -----------------------------------------------------------------------------------------------

    def _build(self, state: State) -> None:
        try:
            candidate = self._built(state)
            if isinstance(candidate, BuiltCandidate):
                self._made.add(candidate.commit)
                self._pins.pin(state[-1], candidate.commit)
        except GroundError:  # what it is built of was lost: a ``gc --prune=now`` beside us takes what no ref holds
            self._losses += 1
            if self._losses > _LOSSES:
                raise
            self._build_afresh()
            return
        self._railway.built[state] = candidate
        self._tell_built(state, candidate)
        if isinstance(candidate, BuiltCandidate):
            self._recall(state)

    def _built(self, state: State) -> Candidate:
        passenger = self._roster.passenger(state[-1])
        onto = self._railway.commit(state[:-1])
        candidate = self._integrator.build(onto, passenger.branch)
        if isinstance(candidate, BuiltCandidate):
            findings = audit(self._fleet.repository.git, _step(onto, candidate, passenger))
            if findings:
                told = tuple(f"the audit stops it: {finding.path} {finding.sentence}" for finding in findings)
                return Conflict(tuple(finding.path for finding in findings), told)
        return candidate

    def _tell_built(self, state: State, candidate: Candidate) -> None:
        if isinstance(candidate, Conflict):
            text = f"{state[-1]} does not fit: {candidate.sentence}"
            self._teller.tell("candidate.conflict", state, text, paths=list(candidate.paths))
        elif isinstance(candidate, BuiltCandidate):
            self._teller.tell("candidate.built", state, f"built {', '.join(state)}", commit=candidate.commit)

    # -- deciding -----------------------------------------------------------------------------------------------

    def _evict(self, agent: AgentName, why: Why) -> None:
        passenger = self._roster.passenger(agent)
        self._order = tuple(name for name in self._order if name != agent)
        candidate = self._railway.built[(agent,)]
        if why is Why.EMPTY and isinstance(candidate, NothingToMerge):
            self._account.evict_empty(passenger, candidate)
        elif isinstance(candidate, Conflict):
            target = self._railway.target
            clash = self._clashes.find(passenger.branch, candidate, target, self._integrator)
            self._account.evict_conflict(passenger, candidate, clash, target, self._integrator.objects)
        elif isinstance(candidate, BuiltCandidate):
            report = self._railway.reports[(agent,)]
            self._account.evict_red(passenger, report, self._railway.target)
            self._red.append(Case(passenger, self._railway.target, candidate.fork, report))

    def _diagnose(self) -> None:
        """Who was red together with others, though green alone: find with whom. Nothing else runs any more."""
        diagnosis = Diagnosis(self._fleet, self._tester, self._integrator_for)
        causes = diagnosis.causes(self._red) if self._red else {}
        for case in self._red:
            cause = causes.get(case.passenger.agent.name)
            if cause is not None:
                self._account.explain(case, cause)

    def _why_held(self, agent: AgentName, by: HeldBy) -> str:
        about: State = (agent,) if by is HeldBy.STUCK else ()
        report = self._railway.reports.get(about)
        run = report.decided_by if report else None
        told = f": {run.gate} {run.detail or run.outcome}" if run else ""
        log = f" (log: {run.log})" if run and run.log else ""
        if by is HeldBy.RED_TARGET:
            return f"the target itself is red, so nobody can be blamed{told}{log}"
        if by is HeldBy.STUCK:
            return f"its gates could not be run to an end{told}{log}"
        return f"gates cannot be run here at all{told}{log}"

    # -- landing ------------------------------------------------------------------------------------------------

    def _land(self, state: State) -> None:
        commits = tuple(
            (self._roster.passenger(name), self._railway.commit(state[: n + 1])) for n, name in enumerate(state)
        )
        report = self._railway.reports[state]
        self._require_contained(state)
        self._teller.tell("landing", state, f"landing {', '.join(state)}", commit=self._railway.commit(state))
        try:
            if not self._rehearsed:
                self._told(self._commit_to(commits, report))
        except VerdictChanged as turn:
            self._decide(Waiting(turn.agent, turn.reason))
            return
        except TargetMoved as turn:
            self._start_again(turn)
            return
        except GroundError as error:
            self._stop(error)
            return
        for passenger, commit in commits:
            self._pins.landed(passenger.agent.name)
            self._account.add(Landed(passenger.agent.name, commit, self._gates_of(passenger, report)), report)
        self._order = tuple(name for name in self._order if name not in state)
        self._rebase(state)

    def _commit_to(self, commits: tuple[tuple[Passenger, CommitId], ...], report: Report) -> tuple[str, ...]:
        landing = Landing(self._ground.local, self._ground.remote_tip, commits, report.tree, self._push)
        told = land(self._fleet, landing)
        new = landing.new
        remote_tip = new if self._push and self._fleet.remote else self._ground.remote_tip
        self._ground = replace(self._ground, local=new, start=new, remote_tip=remote_tip)
        return told

    def _require_contained(self, state: State) -> None:
        """The whole of what lands, once more and from the ends: nothing beyond what its branches changed."""
        steps = []
        for n in range(len(state)):
            onto, candidate = self._railway.commit(state[:n]), self._railway.built[state[: n + 1]]
            if isinstance(candidate, BuiltCandidate):
                steps.append(_step(onto, candidate, self._roster.passenger(state[n])))
        lost = unclaimed_paths(self._fleet.repository.git, self._railway.target, self._railway.commit(state), steps)
        if lost:
            raise AssertionError(f"{', '.join(lost)} would change though none of {', '.join(state)} changes it")

    def _gates_of(self, passenger: Passenger, report: Report) -> Mapping[str, str]:
        return {**report.gates, **self._account.checked(passenger.agent.name)}

    def _told(self, sentences: tuple[str, ...]) -> None:
        self._account.advice.extend(sentences)

    def _rebase(self, state: State) -> None:
        for running, test in self._railway.tests.items():
            if test.running and running[: len(state)] != state:
                self._tester.cancel(running)
        names = {s: s[len(state) :] for s in self._railway.tests if s[: len(state)] == state}
        self._tester.rename(names)
        self._railway = self._railway.after(state)

    def _require_own_target(self) -> None:
        """Nobody but us knows our candidates, so who moved the target to one is a gate; then nothing more lands.

        Anywhere else a person may have moved it, and the next landing finds out.
        """
        now = self._fleet.target_tip()
        if now is None or now == self._ground.local or now not in self._made:
            return
        was, target = self._ground.local, self._fleet.target
        mend = f"git update-ref refs/heads/{target} {was} {now}"
        self._stop(GroundError(f"{target} was moved to the candidate {now[:10]}, and not by this train", hint=mend))

    def _start_again(self, turn: TargetMoved) -> None:
        """The target moved under us: everything is built anew on what it is now; gate results are kept by tree."""
        self._moves += 1
        if self._moves > _MOVES:
            self._stop(GroundError(f"the target keeps moving: {turn}"))
            return
        self._teller.tell("waiting", (), f"{turn}; building again")
        self._cancel_all()
        try:
            self._ground = survey(self._fleet.repository, self._fleet.target, self._fleet.remote)
        except GroundError as error:
            self._stop(error)
            return
        self._railway = Railway(self._ground.start)
        self._integrator = self._integrator_for(self._ground.start)

    def _stop(self, error: GroundError) -> None:
        """Nothing more can land in this run; whoever is left waits for the next."""
        self._cancel_all()
        hint = f" ({error.hint})" if error.hint else ""
        for name in self._order:
            self._account.add(Waiting(name, f"{error}{hint}"))
        self._order = ()
        self._railway.tests = {}

    def _cancel_all(self) -> None:
        for state, test in self._railway.tests.items():
            if test.running:
                self._tester.cancel(state)


def _as_built(candidate: Candidate) -> Built:
    if isinstance(candidate, BuiltCandidate):
        return Built.CLEAN
    return Built.EMPTY if isinstance(candidate, NothingToMerge) else Built.CONFLICT


def _step(onto: CommitId, candidate: BuiltCandidate, passenger: Passenger) -> LandingStep:
    return LandingStep(onto, candidate.commit, candidate.fork, passenger.branch.tip, passenger.branch.kept_out)
