"""Publish what passed as a pull request, where ``merge.via`` says so, and take in what was merged there.

The order: verdicts are read again under the lock; a record of what is about to be pushed; the push, with a lease on
what orchestra pushed last; the record becomes that of the push; the pull request is opened or updated. Whatever a kill
interrupts, the next train continues: the remote's branch says whether the push happened, the forge whether the pull
request exists.

Invariant: only ``orchestra/FLEET/train`` is pushed, only to a commit whose tree passed its gates, and never over a
commit that orchestra did not push, unless the target contains its changes. The local target moves by nothing but a
fast-forward to the remote's, when the pull request was merged there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from orchestra.blueprint.model import AgentName
from orchestra.candidates.builder import AGENT_TRAILER
from orchestra.candidates.containment import find_merge
from orchestra.errors import GroundError
from orchestra.fleet import Fleet, FleetSnapshot, read_snapshot
from orchestra.forge.description import AgentPart, LeftOut, format_description, format_title, replace_section
from orchestra.forge.pull_request import Forge, PullRequestState
from orchestra.forge.train_branch import (
    PushedAgent,
    PushedTrain,
    settle_push,
    train_branch,
    write_pushing,
)
from orchestra.git.lock import exclusive
from orchestra.git.refs import CommitId
from orchestra.git.remote import Pushed, fetch, look, push
from orchestra.git.tree_diff import tree_of
from orchestra.review.pushed_work import pending_agents
from orchestra.text import format_count, format_list, one_line
from orchestra.train.entries import Entry
from orchestra.train.landing import (
    LOCK_WAIT_S,
    Announce,
    TargetMoved,
    land_as_merged,
    require_verdicts,
    write_approvals,
)
from orchestra.train.landing_journal import Landing
from orchestra.train.target_branch import TargetPosition
from orchestra.train.test_run import TestReport
from orchestra.train.train_context import TrainContext
from orchestra.train.train_report import (
    Blocked,
    Evicted,
    InPullRequest,
    Landed,
    PullRequestAction,
    PullRequestReport,
)

_LONGEST_SUBJECT = 60


@dataclass(frozen=True, slots=True)
class PassedEntry:
    """An agent that may be published: ``landed`` has its commit in the candidate that passed."""

    entry: Entry
    landed: Landed
    report: TestReport


@dataclass(frozen=True, slots=True)
class Publisher:
    """The one branch of a fleet, and the forge that it is pushed to. ``announce`` receives what is waited for."""

    fleet: Fleet
    forge: Forge
    remote: str
    announce: Announce

    @property
    def branch(self) -> str:
        return train_branch(self.fleet.name)

    def require_same_target(self, position: TargetPosition) -> None:
        """Raise GroundError where a pull request cannot be made of what would be built."""
        target = self.fleet.target
        if position.remote_tip is None:
            raise GroundError(
                f"{self.remote} has no branch {target}, so there is nothing to open a {self.forge.noun} into",
                hint=f"git push {self.remote} {target}",
            )
        ahead = self.fleet.repository.count_commits(position.remote_tip, position.local)
        if ahead:
            raise GroundError(
                f"{target} has {format_count(ahead, 'commit')} that {self.remote}/{target} lacks, and they would be in "
                f"the {self.forge.noun}",
                hint=f"git push {self.remote} {target}; or keep them on a branch: git branch KEEP {target}",
            )

    # -- what was merged there ----------------------------------------------------------------------------------

    def record_merged(self, snapshot: FleetSnapshot, position: TargetPosition) -> tuple[str, ...]:
        """Record the agents whose pushed work the remote's target contains; return sentences for a person.

        The target here follows by fast-forward. Nothing is recorded where a checkout of it is in the way.
        """
        fleet, git = self.fleet, self.fleet.repository.git
        pushed = settle_push(git, fleet.name, look(git, self.remote, self.branch))
        pending = pending_agents(snapshot, pushed) if pushed else {}
        if pushed is None or not pending or position.remote_tip is None:
            return ()
        merge = find_merge(git, position.remote_tip, pushed.base, pushed.commit)
        if merge is None:
            return ()
        commits = _commits_on_target(fleet, pushed, merge, pending)
        landing = Landing(
            fleet.name, fleet.target, position.local, position.remote_tip, commits, _notes_by_agent(commits, pending)
        )
        try:
            sentences = land_as_merged(fleet, landing, self.announce)
        except GroundError as error:
            hint = f" ({error.hint})" if error.hint else ""
            return (f"{format_list(commits)} landed on {self.remote}, and {fleet.target} cannot follow: {error}{hint}",)
        text = f"{format_list(commits)} landed on {self.remote} as {merge[:10]}; {fleet.target} followed to "
        return (f"{text}{position.remote_tip[:10]}", *sentences)

    # -- the push -----------------------------------------------------------------------------------------------

    def require_own_branch(self, position: TargetPosition) -> CommitId | None:
        """Return where the remote's branch is. Raises GroundError where commits on it would be lost by a push."""
        git, fleet = self.fleet.repository.git, self.fleet
        tip = look(git, self.remote, self.branch)
        pushed = settle_push(git, fleet.name, tip)
        if tip is None or (pushed is not None and tip == pushed.commit):
            return tip
        fetch(git, self.remote, self.branch)
        target = position.remote_tip
        base = pushed.base if pushed else fleet.repository.merge_base(tip, target or tip)
        if target is not None and base is not None and find_merge(git, target, base, tip) is not None:
            return tip  # it was merged as it is
        known = f"^{pushed.commit}" if pushed else f"^{target}"
        subjects = git.run("log", "--format=%h %s", "--max-count=3", tip, known, "--").lines
        shown = "; ".join(one_line(subject, _LONGEST_SUBJECT) for subject in subjects) or tip[:10]
        raise GroundError(
            f"{self.branch} on {self.remote} has commits that were not pushed from this repository: {shown}",
            hint=f"keep them: git branch {fleet.name}-train-kept {self.remote}/{self.branch}; then make way: "
            f"git push {self.remote} --delete {self.branch}",
        )

    def push(self, passed: Sequence[PassedEntry], position: TargetPosition) -> bool:
        """Push the candidate that passed; return False where the branch has it already.

        Raises VerdictChanged, TargetMoved or GroundError; then nothing was pushed.
        """
        fleet, git = self.fleet, self.fleet.repository.git
        new, report = passed[-1].landed.commit, passed[-1].report
        if tree_of(git, new) != report.tree:
            raise AssertionError(f"{new} is not what was tested: {report.tree}")
        with exclusive(fleet.repository.state_folder, "merge", wait_s=LOCK_WAIT_S, announce=self.announce):
            # The deliberate second look, under the lock: verdicts, branches and the remote may have changed.
            snapshot = read_snapshot(fleet)
            entries = [each.entry for each in passed]
            require_verdicts(snapshot, entries)
            if (target_tip := look(git, self.remote, fleet.target)) != position.start:
                raise TargetMoved(f"{self.remote}/{fleet.target} moved to {target_tip}")
            old = self.require_own_branch(position)
            write_approvals(fleet, entries, snapshot.agents)
            write_pushing(git, fleet.name, _record(passed, position.start))
            result = push(git, self.remote, self.branch, old, new, replace=True)
            settle_push(git, fleet.name, result.tip)
        if result.outcome is Pushed.DONE:
            return old != new
        if result.outcome is Pushed.MOVED:
            moved = f"{self.branch} on {self.remote} moved to {result.tip or 'nothing'} during the push"
            raise GroundError(moved, hint="orchestra merge tries again")
        raise GroundError(
            f"{self.remote} declined the push to {self.branch}: {result.message}",
            hint=f"nothing was pushed; get the right to push to {self.branch}",
        )

    # -- the pull request ---------------------------------------------------------------------------------------

    def publish(
        self, context: TrainContext, passed: Sequence[PassedEntry], position: TargetPosition
    ) -> PullRequestReport:
        """Push what passed, open or update the pull request, and record the agents. Raises as ``push`` does.

        In a rehearsal it makes the same checks and changes nothing.
        """
        commit = passed[-1].landed.commit
        if context.rehearsed:
            is_new = self.require_own_branch(position) != commit
        else:
            self.announce(f"pushing {commit[:10]} to {self.branch} on {self.remote}")
            is_new = self.push(passed, position)
        self.announce(f"asking {self.forge.address.program} about the {self.forge.noun}")
        try:
            report = self._open_or_update(context, passed, position.start, is_new=is_new)
        except GroundError as error:  # it is pushed all the same
            if context.rehearsed:
                raise
            failed = PullRequestAction.FAILED
            report = PullRequestReport(
                self.forge.noun, self.remote, self.branch, commit, failed, None, None, problem=str(error)
            )
        for each in passed:
            landed = each.landed
            result = InPullRequest(landed.agent, landed.commit, landed.gates, landed.not_needed)
            context.recorder.add(result, each.report)
        if not context.rehearsed:
            facts = {"branch": self.branch, "commit": commit, "number": report.number, "url": report.url}
            self.fleet.ledger.record("pull-request", None, action=report.action.value, **facts)
        return report

    def _open_or_update(
        self, context: TrainContext, passed: Sequence[PassedEntry], base: CommitId, *, is_new: bool
    ) -> PullRequestReport:
        """Open or update the pull request (in a rehearsal: say which). ``is_new``: its branch has moved."""
        fleet, forge, commit = self.fleet, self.forge, passed[-1].landed.commit
        parts = [_part(each) for each in passed]
        built_on = f"{fleet.target} at {base[:10]}"
        section = format_description(fleet.name, built_on, commit, parts, _left_out(context))
        title = format_title(fleet.name, [part.name for part in parts])
        found = forge.find(self.branch, fleet.target)
        action, number, url = PullRequestAction.OPENED, None, None
        if found is not None and found.state is PullRequestState.OPEN:
            number, url = found.number, found.url
            body = replace_section(found.body, section)
            # A title that a person gave it stays.
            title = title if found.title.startswith(f"{fleet.name}: ") else found.title
            is_same = body == found.body.replace("\r\n", "\n") and title == found.title
            action = PullRequestAction.UNCHANGED if is_same and not is_new else PullRequestAction.UPDATED
            if not (is_same or context.rehearsed):
                forge.update(found.number, title, body)
        elif not context.rehearsed:
            opened = forge.open(self.branch, fleet.target, title, section)
            number, url = opened.number, opened.url
        return PullRequestReport(forge.noun, self.remote, self.branch, commit, action, number, url)


def _record(passed: Sequence[PassedEntry], base: CommitId) -> PushedTrain:
    agents = {
        each.entry.agent.name: PushedAgent(each.landed.commit, each.entry.branch.tip, each.entry.notes)
        for each in passed
    }
    return PushedTrain(passed[-1].landed.commit, base, agents)


def _part(passed: PassedEntry) -> AgentPart:
    agent, landed = passed.entry.agent, passed.landed
    gates = {**landed.gates, **dict.fromkeys(landed.not_needed, "not needed")}
    return AgentPart(agent.name, agent.title, landed.commit, gates, passed.entry.notes)


def _left_out(context: TrainContext) -> list[LeftOut]:
    left_out = []
    for result in context.recorder.results:
        if isinstance(result, Evicted):
            left_out.append(LeftOut(result.agent, f"evicted ({result.reason})", result.detail))
        elif isinstance(result, Blocked):
            left_out.append(LeftOut(result.agent, "blocked", result.reason))
    return left_out


def _commits_on_target(
    fleet: Fleet, pushed: PushedTrain, merge: CommitId, pending: Mapping[AgentName, PushedAgent]
) -> dict[AgentName, CommitId]:
    """Return each agent's own commit on the target, where the forge kept one; else the commit that holds all.

    After a rebase the commits have their trailers still; after a squash there is one commit for all agents.
    """
    git = fleet.repository.git
    shape = f"--format=%H%x00%(trailers:key={AGENT_TRAILER},valueonly,separator=%x2C)"
    own: dict[str, CommitId] = {}
    for line in git.run("log", shape, merge, f"^{pushed.base}", "--").lines:
        commit, _, agents = line.partition("\0")
        if "," not in agents:  # a squashed message may end with the trailers of several agents
            own.setdefault(agents, CommitId(commit))
    return {name: own.get(name, merge) for name in pending}


def _notes_by_agent(
    commits: Mapping[AgentName, CommitId], pending: Mapping[AgentName, PushedAgent]
) -> dict[AgentName, str]:
    """Return the notes to attach: a commit has one note, so that agents with the same commit share it."""
    notes = {}
    for name, commit in commits.items():
        together = [other for other in commits if commits[other] == commit and pending[other].notes]
        texts = [pending[other].notes or "" for other in together]
        if len(together) > 1:
            texts = [f"# {other}\n\n{text}" for other, text in zip(together, texts, strict=True)]
        if pending[name].notes:
            notes[name] = "\n\n".join(texts)
    return notes
