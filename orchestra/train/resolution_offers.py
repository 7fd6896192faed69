"""After a train: resolve the text conflicts of evicted agents, test the results, and offer them to a person.

The proposals themselves are made in ``candidates.resolution.proposal``. Invariant: a proposal is offered only after
every gate passed on exactly the tree that would land, and nothing of it lands unless a person accepts it
(``approve AGENT --proposal``). Its ref is written last, so that a kill before that leaves nothing. The target is always
the current one, without work that has not landed, and an agent's branch is never changed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from types import MappingProxyType

from orchestra.blueprint.model import AgentName
from orchestra.blueprint.model import Proposer as Name
from orchestra.candidates.builder import Branch, BuiltCandidate
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
from orchestra.train.candidate_tests import CandidateTest, run_and_wait
from orchestra.train.entries import Entry
from orchestra.train.results import proposal_data
from orchestra.train.test_run import TestOutcome, TestReport
from orchestra.train.train_context import TrainContext
from orchestra.train.train_report import Offer

_NONE: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class _Draft:
    """A proposal that is being tested. ``candidate`` is what would land: its tree is the proposal's."""

    entry: Entry
    head: CommitId
    proposal: Proposal
    id: CommitId
    candidate: CommitId


class ResolutionOffers:
    """Makes the offers of one train that is otherwise idle."""

    def __init__(self, context: TrainContext) -> None:
        self._context, self._fleet, self._git = context, context.fleet, context.fleet.repository.git

    def offer(self, conflicted: Sequence[Entry], target: CommitId) -> None:
        """Try to make a proposal for each entry on ``target``, the branch's own value; record what came of it."""
        if self._fleet.blueprint.merge.proposals:
            drafts = [draft for entry in conflicted if (draft := self._draft(entry, target)) is not None]
            names = {draft.id: (draft.entry.agent.name,) for draft in drafts}
            tests = [CandidateTest(names[draft.id], draft.candidate, base=target) for draft in drafts]
            reports = run_and_wait(self._context.tester, tests)
            for draft in drafts:
                self._finish(draft, reports[names[draft.id]])
        if conflicted or any(refs.proposed for refs in self._context.snapshot.agents.values()):
            delete_stale_proposals(self._fleet)

    # -- drafting -----------------------------------------------------------------------------------------------

    def _draft(self, entry: Entry, target: CommitId) -> _Draft | None:
        name = entry.agent.name
        head = self._fleet.repository.branch_tip(entry.agent.branch)
        if head is None:
            return None
        try:
            draft = self._attempt(entry, replace(entry.branch, tip=head), target)
        except GroundError as error:  # objects removed by a ``gc`` meanwhile: another run makes them again
            self._context.integrators.forget()
            self._context.recorder.offer(name, Offer(None, _NONE, f"no proposal could be made: {error}"))
            return None
        if isinstance(draft, _Draft):
            text = f"trying a proposal for {name}: {_describe(draft.proposal.resolved)}"
            data = proposal_data("tried", draft.id, draft.proposal.resolved, {})
            self._context.events.emit("proposal", (name,), text, **data)
            return draft
        self._delete_outdated(entry)
        uses_mergiraf = draft.asked and Name.MERGIRAF in self._fleet.blueprint.merge.proposals
        missing = f"; {PROGRAM} is not installed here" if uses_mergiraf and not is_installed() else ""
        self._context.recorder.offer(name, Offer(None, _NONE, f"no proposal: {draft.sentence}{missing}"))
        return None

    def _attempt(self, entry: Entry, branch: Branch, target: CommitId) -> _Draft | Unresolved:
        repository, integrators = self._fleet.repository, self._context.integrators
        integrator = integrators.on(target)
        if isinstance(integrator.build(target, entry.branch), BuiltCandidate):
            return Unresolved(f"it conflicts with work that has not landed on {self._fleet.target}")
        log = self._fleet.folder / "gates" / f"{entry.branch.tip[:12]}.{entry.agent.name}.mergiraf.log"
        available: dict[Name, Method] = {Name.RERERE: lambda question: recall(self._git, question)}
        if is_installed():
            available[Name.MERGIRAF] = lambda question: merge_syntax(question, log)
        proposers = self._fleet.blueprint.merge.proposals
        methods = [(proposer.value, available[proposer]) for proposer in proposers if proposer in available]
        message = f"Merge {self._fleet.target} into {entry.agent.branch}, with its conflicts resolved"
        proposer = Proposer(integrator, lambda style: integrators.on(target, style), methods)
        proposal = proposer.propose(branch, message)
        if isinstance(proposal, Unresolved):
            return proposal
        commit = integrator.objects.write_commit(proposal.commit)
        # Audited against what the agent itself changed, not against what the proposal says that it did.
        fork = repository.fork(target, branch.tip, branch.base)
        if findings := audit(self._git, LandingStep(target, commit, fork, branch.tip, branch.kept_out)):
            return Unresolved(f"the audit rejects it: {findings[0].path} {findings[0].sentence}")
        if repository.fork(target, commit, branch.base) != target:
            return Unresolved(f"{self._fleet.target} does not contain the commit that the branch is based on")
        candidate = integrator.build(target, replace(branch, tip=commit))
        if not isinstance(candidate, BuiltCandidate) or candidate.tree != proposal.commit.tree:
            return Unresolved("it would not land as it was proposed")
        self._context.candidate_refs.pin({entry.agent.name: candidate.commit})
        return _Draft(entry, branch.tip, proposal, commit, candidate.commit)

    # -- offering -----------------------------------------------------------------------------------------------

    def _finish(self, draft: _Draft, report: TestReport) -> None:
        """Offer a draft whose gates passed; record why another is not offered."""
        name, resolved = draft.entry.agent.name, draft.proposal.resolved
        description, run = _describe(resolved), report.decided_by
        is_green = report.ended is TestOutcome.GREEN
        before = read_fleet(self._git, self._fleet.name).get(name, AgentRefs())
        obstacle = self._write_ref(draft, before.proposed) if is_green else ""
        if is_green and not obstacle:
            hint = f"see: orchestra review {name} --proposal; take it: orchestra approve {name} --proposal"
            if before.approved not in (None, draft.id) and before.approved == before.proposed:
                hint += "; it replaces the one that was approved"
            offer = Offer(draft.id, resolved, f"{description}; its gates passed; {hint}", None, report.gates)
        elif run is None:
            offer = Offer(None, resolved, f"{description}, but {obstacle}", None, report.gates)
        else:
            outcome = f"{run.gate} {run.outcome}" + (f" ({run.detail})" if run.detail else "")
            offer = Offer(
                None, resolved, f"{description}, but it is not offered: {outcome} on it", run.log, report.gates
            )
            if report.ended is TestOutcome.RED:
                self._delete_outdated(draft.entry)
        self._context.recorder.offer(name, offer)

    def _write_ref(self, draft: _Draft, old: CommitId | None) -> str:
        """Write the commit again and point the ref at it, last of all; return what prevented that, if anything."""
        agent = draft.entry.agent
        if self._fleet.repository.branch_tip(agent.branch) != draft.head:
            return f"{agent.name} got new commits meanwhile"
        ref = agent_ref(self._fleet.name, agent.name, Kind.PROPOSED)
        try:
            with Objects(self._git) as objects:  # no ref protected it while the gates ran
                objects.write_commit(draft.proposal.commit)
            update_refs(self._git, [RefUpdate(ref, draft.id, old)], reason="proposed")
        except GroundError as error:  # a lock of a dead git, say: the report of the train must still come out
            return f"it could not be stored: {error}"
        return ""

    def _delete_outdated(self, entry: Entry) -> None:
        """Delete an earlier proposal that would not land today, unless a person has accepted it."""
        name = entry.agent.name
        refs = read_fleet(self._git, self._fleet.name).get(name, AgentRefs())
        if refs.proposed is not None and refs.proposed != refs.approved:
            _delete(self._fleet, name, refs.proposed, "it would not land any more")


def delete_stale_proposals(fleet: Fleet) -> None:
    """Delete proposals for heads that no branch has any more, and those of agents that are decided."""
    git, refs = fleet.repository.git, read_fleet(fleet.repository.git, fleet.name)
    by_name = {agent.name: branch_ref(agent.branch) for agent in fleet.blueprint.agents}
    proposed = {
        name: agent_refs for name, agent_refs in refs.items() if agent_refs.proposed is not None and name in by_name
    }
    heads = read_refs(git, [by_name[name] for name in proposed]) if proposed else {}
    for name, agent_refs in proposed.items():
        decided = agent_refs.landed is not None or agent_refs.discarded is not None
        if agent_refs.proposed is not None and (decided or heads.get(by_name[name]) != agent_refs.proposed_for):
            _delete(fleet, name, agent_refs.proposed, "stale")


def _describe(resolved: Mapping[str, str]) -> str:
    """Return a phrase such as "a proposal by rerere resolves a.py, by mergiraf resolves b.py and c.py"."""
    if not resolved:
        return "a proposal: the branch merges as a whole, though not commit by commit"
    by_method: dict[str, list[str]] = {}
    for path, method in sorted(resolved.items()):
        by_method.setdefault(method, []).append(quote_path(path))
    return "a proposal " + ", ".join(f"by {method} resolves {few(paths)}" for method, paths in by_method.items())


def _delete(fleet: Fleet, agent: AgentName, commit: CommitId, reason: str) -> None:
    ref = agent_ref(fleet.name, agent, Kind.PROPOSED)
    with suppress(GroundError):  # deleted by hand, or a lock of a dead git: the next train tries again
        update_refs(fleet.repository.git, [RefUpdate(ref, None, commit)], reason=reason)
