"""After a train: how those who were evicted for a text conflict could be resolved, tested, and offered to a person.

What a proposal is: ``repository.proposal``. Invariant: it is offered only after every gate passed on exactly the tree
that would land, and nothing of it lands unless a person takes it (``approve AGENT --proposal``); the ref is written
last, so that a kill before it leaves nothing. Refuses: to propose on anything but the target as it is, to build on work
that has not landed, and to change an agent's branch.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from types import MappingProxyType

from orchestra.blueprint.model import AgentName
from orchestra.blueprint.model import Proposer as Name
from orchestra.candidates.builder import Branch, BuiltCandidate, CandidateBuilder
from orchestra.candidates.containment import LandingStep, audit
from orchestra.candidates.resolution.mergiraf import PROGRAM, is_installed, merge_syntax
from orchestra.candidates.resolution.proposal import Method, Proposal, Proposer, Unresolved
from orchestra.candidates.resolution.rerere import recall
from orchestra.candidates.text_conflict import few, quote_path
from orchestra.errors import GroundError
from orchestra.fleet import Fleet
from orchestra.git.objects import Objects
from orchestra.git.refs import AgentRefs, CommitId, Kind, RefUpdate, agent_ref, branch_ref, read_fleet, read_refs
from orchestra.git.refs import update as update_refs
from orchestra.train.candidate_refs import Pins
from orchestra.train.entries import Passenger
from orchestra.train.events import Teller
from orchestra.train.results import Account, proposal_facts
from orchestra.train.run_and_wait import Question, ask
from orchestra.train.test_run import Ended, Report
from orchestra.train.tester import Tester
from orchestra.train.train_report import Offer

BuildOn = Callable[[CommitId, str], CandidateBuilder]
"""Target, and the style in which conflicts are written -> an Integrator."""


@dataclass(frozen=True, slots=True)
class _Draft:
    """A proposal that is being tested. ``candidate`` is what would land: its tree is the proposal's."""

    passenger: Passenger
    head: CommitId
    proposal: Proposal
    id: CommitId
    candidate: CommitId


class Proposals:
    """Makes the proposals of one train, which has nothing else to do any more. The caller holds the train's lock."""

    def __init__(
        self, fleet: Fleet, *, tester: Tester, build: BuildOn, teller: Teller, account: Account, pins: Pins
    ) -> None:
        self._fleet, self._tester, self._make_builder = fleet, tester, build
        self._teller, self._account, self._pins = teller, account, pins
        self._builders: dict[tuple[CommitId, str], CandidateBuilder] = {}

    def offer(self, conflicted: Sequence[Passenger], target: CommitId) -> None:
        """Try for a proposal for each, on ``target``, which is the branch's own value; the account tells what came."""
        if not self._fleet.blueprint.merge.proposals:
            conflicted = ()
        drafts = [draft for passenger in conflicted if (draft := self._draft(passenger, target)) is not None]
        reports = self._test(drafts)
        for draft in drafts:
            self._settle(draft, reports[draft.id])
        forget_stale(self._fleet)

    # -- drafting -----------------------------------------------------------------------------------------------

    def _draft(self, passenger: Passenger, target: CommitId) -> _Draft | None:
        name = passenger.agent.name
        head = self._fleet.repository.branch_tip(passenger.agent.branch)
        if head is None:
            return None
        try:
            made = self._attempt(passenger, replace(passenger.branch, tip=head), target)
        except GroundError as error:  # objects taken by a ``gc`` beside us: another run makes it again
            self._builders.clear()
            self._account.offer(name, Offer(None, _NONE, f"no proposal could be made: {error}"))
            return None
        if isinstance(made, _Draft):
            said = f"trying a proposal for {name}: {_told(made.proposal.resolved)}"
            facts = proposal_facts("tried", made.id, made.proposal.resolved, {})
            self._teller.tell("proposal", (name,), said, **facts)
            return made
        self._drop(passenger)
        absent = made.asked and Name.MERGIRAF in self._wanted and not is_installed()
        missing = f"; {PROGRAM} is not installed here" if absent else ""
        self._account.offer(name, Offer(None, _NONE, f"no proposal: {made.sentence}{missing}"))
        return None

    def _attempt(self, passenger: Passenger, branch: Branch, target: CommitId) -> _Draft | Unresolved:
        build = self._build(target, "merge")
        if isinstance(build.build(target, passenger.branch), BuiltCandidate):
            return Unresolved(f"it conflicts with work that has not landed on {self._fleet.target}")
        words = f"Merge {self._fleet.target} into {passenger.agent.branch}, with its conflicts resolved"
        styled = self._styled(target)
        found = Proposer(build, styled, self._methods(passenger)).propose(branch, words)
        if isinstance(found, Unresolved):
            return found
        made = build.objects.write_commit(found.commit)
        if wrong := audit(self._fleet.repository.git, self._step(branch, target, made)):
            return Unresolved(f"the audit stops it: {wrong[0].path} {wrong[0].sentence}")
        if self._fleet.repository.fork(target, made, branch.base) != target:
            return Unresolved(f"{self._fleet.target} does not hold the commit that the branch was begun at")
        candidate = build.build(target, replace(branch, tip=made))
        if not isinstance(candidate, BuiltCandidate) or candidate.tree != found.commit.tree:
            return Unresolved("it would not land as it was proposed")
        self._pins.pin(passenger.agent.name, candidate.commit)
        return _Draft(passenger, branch.tip, found, made, candidate.commit)

    def _step(self, branch: Branch, target: CommitId, made: CommitId) -> LandingStep:
        """Held against what the agent itself changed, not against what the proposal says that it did."""
        fork = self._fleet.repository.fork(target, branch.tip, branch.base)
        return LandingStep(target, made, fork, branch.tip, branch.kept_out)

    def _styled(self, target: CommitId) -> Callable[[str], CandidateBuilder]:
        return lambda style: self._build(target, style)

    def _build(self, target: CommitId, style: str) -> CandidateBuilder:
        """One for each target and style: every one keeps processes of git open until the train ends."""
        if (target, style) not in self._builders:
            self._builders[target, style] = self._make_builder(target, style)
        return self._builders[target, style]

    @property
    def _wanted(self) -> Collection[Name]:
        return self._fleet.blueprint.merge.proposals

    def _methods(self, passenger: Passenger) -> list[tuple[str, Method]]:
        git, name = self._fleet.repository.git, passenger.agent.name
        log = self._fleet.folder / "gates" / f"{passenger.branch.tip[:12]}.{name}.mergiraf.log"
        known: Mapping[Name, Method] = {
            Name.RERERE: lambda question: recall(git, question),
            Name.MERGIRAF: lambda question: merge_syntax(question, log),
        }
        there = [one for one in self._wanted if one is not Name.MERGIRAF or is_installed()]
        return [(one.value, known[one]) for one in there]

    # -- testing ------------------------------------------------------------------------------------------------

    def _test(self, drafts: Sequence[_Draft]) -> Mapping[CommitId, Report]:
        """Every gate on what would land."""
        names = {draft.id: (draft.passenger.agent.name,) for draft in drafts}
        reports = ask(self._tester, [Question(names[draft.id], draft.candidate) for draft in drafts])
        return {draft: reports[name] for draft, name in names.items()}

    # -- offering -----------------------------------------------------------------------------------------------

    def _settle(self, draft: _Draft, report: Report) -> None:
        name, resolved = draft.passenger.agent.name, draft.proposal.resolved
        told = _told(resolved)
        run = report.decided_by
        before = read_fleet(self._fleet.repository.git, self._fleet.name).get(name, AgentRefs())
        hitch = self._write(draft, before.proposed) if report.ended is Ended.GREEN else ""
        if report.ended is Ended.GREEN and not hitch:
            how = f"see: orchestra review {name} --proposal; take it: orchestra approve {name} --proposal"
            if before.approved not in (None, draft.id) and before.approved == before.proposed:
                how += "; it replaces the one that was approved"
            offer = Offer(draft.id, resolved, f"{told}; its gates passed; {how}", None, report.gates)
        elif run is None:
            offer = Offer(None, resolved, f"{told}, but {hitch}", None, report.gates)
        else:
            what = f"{run.gate} {run.outcome}" + (f" ({run.detail})" if run.detail else "")
            offer = Offer(None, resolved, f"{told}, but it is not offered: {what} on it", run.log, report.gates)
            if report.ended is Ended.RED:
                self._drop(draft.passenger)
        self._account.offer(name, offer)

    def _write(self, draft: _Draft, old: CommitId | None) -> str:
        """Point the ref at it, last of all, and its commit anew before it; what kept it from that, if anything did."""
        agent = draft.passenger.agent
        if self._fleet.repository.branch_tip(agent.branch) != draft.head:
            return f"{agent.name} was committed to meanwhile"
        ref = agent_ref(self._fleet.name, agent.name, Kind.PROPOSED)
        try:
            with Objects(self._fleet.repository.git) as objects:  # nothing held it while the gates ran
                objects.write_commit(draft.proposal.commit)
            update_refs(self._fleet.repository.git, [RefUpdate(ref, draft.id, old)], reason="proposed")
        except GroundError as error:  # a lock that a dead git left, say; what has landed is to be told all the same
            return f"it could not be kept: {error}"
        return ""

    def _drop(self, passenger: Passenger) -> None:
        """An earlier proposal that would not land today; one that a person took stays theirs to take back."""
        name = passenger.agent.name
        own = read_fleet(self._fleet.repository.git, self._fleet.name).get(name, AgentRefs())
        if own.proposed is not None and own.proposed != own.approved:
            _delete(self._fleet, name, own.proposed, "it would not land any more")


def forget_stale(fleet: Fleet) -> None:
    """Let go of proposals for heads that are not there any more, and of agents that are decided."""
    git, refs = fleet.repository.git, read_fleet(fleet.repository.git, fleet.name)
    by_name = {agent.name: branch_ref(agent.branch) for agent in fleet.blueprint.agents}
    proposed = {name: own for name, own in refs.items() if own.proposed is not None and name in by_name}
    heads = read_refs(git, [by_name[name] for name in proposed]) if proposed else {}
    for name, own in proposed.items():
        decided = own.landed is not None or own.discarded is not None
        if own.proposed is not None and (decided or heads.get(by_name[name]) != own.proposed_for):
            _delete(fleet, name, own.proposed, "stale")


_NONE: Mapping[str, str] = MappingProxyType({})


def _told(resolved: Mapping[str, str]) -> str:
    """A proposal by rerere resolves a.py; one by mergiraf b.py and c.py."""
    if not resolved:
        return "a proposal: the branch merges as a whole, though not commit by commit"
    by_method: dict[str, list[str]] = {}
    for path, method in sorted(resolved.items()):
        by_method.setdefault(method, []).append(quote_path(path))
    return "a proposal " + ", ".join(f"by {method} resolves {few(paths)}" for method, paths in by_method.items())


def _delete(fleet: Fleet, agent: AgentName, commit: CommitId, why: str) -> None:
    ref = agent_ref(fleet.name, agent, Kind.PROPOSED)
    with suppress(GroundError):  # somebody took it away by hand, or a dead git's lock: the next train looks again
        update_refs(fleet.repository.git, [RefUpdate(ref, None, commit)], reason=why)
