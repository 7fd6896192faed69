"""What came of a train, as values: the answer of merge, rehearse and rebase-and-test, for people and for scripts.

Invariant: every agent that was asked about is in exactly one list, and every one that did not land says why in one
sentence. The JSON is CONTRACT.md's; its schema is schemas/merge.schema.json.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType

from orchestra.blueprint.model import AgentName
from orchestra.errors import ExitCode
from orchestra.gates.junit_report import FailedTest
from orchestra.git.refs import CommitId
from orchestra.ledger import Json
from orchestra.text import format_list


class EvictReason(StrEnum):
    CONFLICT = "conflict"  # its text does not merge
    GATE = "gate"  # a gate is red on target-now plus this branch, and green without it
    LOGICAL_CONFLICT = "logical-conflict"  # green alone, red together with ``with_``
    SCOPE = "scope"  # it changes what its agent may not change
    EMPTY = "empty"  # it changes nothing
    MALFORMED = "malformed"  # a server or a checkout would refuse its trees


@dataclass(frozen=True, slots=True)
class Landed:
    """``commit`` is the agent's commit on the target (the last one, with strategy rebase).

    ``not_needed``: gate -> why its result is that of the target, so that it was not run.
    """

    agent: AgentName
    commit: CommitId
    gates: Mapping[str, str]
    not_needed: Mapping[str, str] = field(default_factory=lambda: NO_GATES)


@dataclass(frozen=True, slots=True)
class InPullRequest:
    """It passed, and was pushed for a pull request. ``commit`` is the agent's commit in what was pushed."""

    agent: AgentName
    commit: CommitId
    gates: Mapping[str, str]
    not_needed: Mapping[str, str] = field(default_factory=lambda: NO_GATES)


class PullRequestAction(StrEnum):
    OPENED = "opened"  # there was none that is open
    UPDATED = "updated"  # another commit or another description
    UNCHANGED = "unchanged"  # it has this commit and this description already
    FAILED = "failed"  # pushed, and the forge did not take the request: ``problem`` says why


@dataclass(frozen=True, slots=True)
class PullRequestReport:
    """The pull request of a train. ``commit`` is its head; in a rehearsal nothing of it has happened yet."""

    noun: str
    remote: str
    branch: str
    commit: CommitId
    action: PullRequestAction
    number: int | None
    url: str | None
    problem: str | None = None

    def to_json(self) -> dict[str, Json]:
        """Return the key ``pull_request`` of ``merge --json``."""
        document: dict[str, Json] = {"remote": self.remote, "branch": self.branch, "commit": self.commit}
        document |= {"action": self.action.value, "number": self.number, "url": self.url, "problem": self.problem}
        return document

    def render_line(self, *, rehearsed: bool) -> str:
        """Return what was pushed and opened, or would be."""
        place = f"{self.commit[:10]} to {self.branch} on {self.remote}"
        named = f"{self.noun} {self.number}: {self.url}" if self.number else f"a {self.noun}"
        if self.action is PullRequestAction.FAILED:
            return f"pushed {place}, and opened no {self.noun}: {self.problem}; orchestra merge tries again"
        if rehearsed:
            verb = "would open" if self.action is PullRequestAction.OPENED else "would update"
            return f"would push {place}, and {verb} {named}"
        return f"pushed {place}; {self.action} {named}"


@dataclass(frozen=True, slots=True)
class Offer:
    """How a text conflict could be resolved: ``commit`` waits for a person to take it; None: nothing is offered.

    ``resolved``: path -> the method that resolved it. ``detail`` is a sentence, ``gates`` what they said of it, ``log``
    where to read on.
    """

    commit: CommitId | None
    resolved: Mapping[str, str]
    detail: str
    log: Path | None = None
    gates: Mapping[str, str] = field(default_factory=lambda: NO_GATES)

    @property
    def line(self) -> str:
        return f"{self.detail} (log: {self.log})" if self.log else self.detail


@dataclass(frozen=True, slots=True)
class Evicted:
    """``head``: the work it was about. ``detail`` is a sentence; ``with_`` the other side; ``log`` where to read on."""

    agent: AgentName
    head: CommitId
    reason: EvictReason
    detail: str
    with_: tuple[AgentName, ...] = ()
    log: Path | None = None
    gate: str | None = None
    failed_tests: tuple[FailedTest, ...] = ()  # as the gate's JUnit report names them
    proposal: Offer | None = None  # None: the blueprint asks for none, or it is no conflict of text


@dataclass(frozen=True, slots=True)
class Blocked:
    """It must land after ``by``, which does not land."""

    agent: AgentName
    reason: str
    by: AgentName


@dataclass(frozen=True, slots=True)
class Waiting:
    """It could land in another run. ``expected``: it is approved or was named, so the work fell short."""

    agent: AgentName
    reason: str
    expected: bool = True


AgentResult = Landed | InPullRequest | Evicted | Blocked | Waiting


@dataclass(frozen=True, slots=True)
class MergeReport:
    """``rehearsed``: nothing was landed; the results and ``after`` are what would have become of it.

    ``results`` are in the order in which they were decided. ``headline``: what kept the train from judging any branch.
    ``tests_run`` counts runs of gates on a candidate, ``seconds`` the wall time of the whole train.
    """

    fleet: str
    target: str
    before: CommitId
    after: CommitId
    results: tuple[AgentResult, ...] = ()
    advice: tuple[str, ...] = ()
    recovered: tuple[str, ...] = ()
    headline: str = ""
    rehearsed: bool = False
    push: bool = False
    tests_run: int = 0
    seconds: float = 0.0
    pull_request: PullRequestReport | None = None

    @property
    def landed(self) -> tuple[Landed, ...]:
        return tuple(result for result in self.results if isinstance(result, Landed))

    @property
    def in_pull_request(self) -> tuple[InPullRequest, ...]:
        return tuple(result for result in self.results if isinstance(result, InPullRequest))

    @property
    def evicted(self) -> tuple[Evicted, ...]:
        return tuple(result for result in self.results if isinstance(result, Evicted))

    @property
    def blocked(self) -> tuple[Blocked, ...]:
        return tuple(result for result in self.results if isinstance(result, Blocked))

    @property
    def waiting(self) -> tuple[Waiting, ...]:
        return tuple(result for result in self.results if isinstance(result, Waiting))

    @property
    def pushed(self) -> bool:
        return self.push and bool(self.landed) and not self.rehearsed

    @property
    def exit_code(self) -> ExitCode:
        not_opened = self.pull_request is not None and self.pull_request.problem is not None
        fell_short = not_opened or self.evicted or self.blocked or any(item.expected for item in self.waiting)
        return ExitCode.SHORT if fell_short else ExitCode.DONE

    def to_json(self) -> dict[str, Json]:
        """As ``merge --json`` prints it; paths are absolute."""
        return {
            "fleet": self.fleet,
            "target": {"branch": self.target, "before": self.before, "after": self.after},
            "landed": [_passed_json(item) for item in self.landed],
            "in_pull_request": [_passed_json(item) for item in self.in_pull_request],
            "evicted": [_evicted_json(item) for item in self.evicted],
            "blocked": [{"agent": i.agent, "reason": i.reason, "by": i.by} for i in self.blocked],
            "waiting": [{"agent": i.agent, "reason": i.reason} for i in self.waiting],
            "pull_request": self.pull_request.to_json() if self.pull_request else None,
            "rehearsed": self.rehearsed,
            "pushed": self.pushed,
            "tests_run": self.tests_run,
            "seconds": round(self.seconds, 3),
            "recovered": list(self.recovered),
            "headline": self.headline or None,
            "advice": list(self.advice),
        }

    def render_lines(self) -> list[str]:
        """Plain lines for a person, the good news first."""
        lines = [self.headline] if self.headline else []
        passed: list[Landed | InPullRequest] = [*self.landed, *self.in_pull_request]
        for item in passed:
            verbs = ("would land", "landed") if isinstance(item, Landed) else ("would be pushed", "pushed")
            verb = verbs[0] if self.rehearsed else verbs[1]
            outcomes = {**item.gates, **{name: f"not needed: {why}" for name, why in item.not_needed.items()}}
            gates = ", ".join(f"{name} {outcome}" for name, outcome in outcomes.items())
            lines.append(f"{item.agent}: {verb} as {item.commit[:10]}" + (f" ({gates})" if gates else ""))
        for out in self.evicted:
            log = f" (log: {out.log})" if out.log else ""
            with_agents = f" with {', '.join(out.with_)}" if out.with_ else ""
            outcome = "would be evicted" if self.rehearsed else "evicted"
            lines.append(f"{out.agent}: {outcome}, {out.reason}{with_agents}: {out.detail}{log}")
            lines += [f"{out.agent}: {out.proposal.line}"] if out.proposal else []
        lines += [f"{item.agent}: blocked by {item.by}: {item.reason}" for item in self.blocked]
        waiting = {item.agent: item.reason for item in self.waiting}
        if self.headline:  # the same reason for all: once
            by_reason = {reason: [n for n in waiting if waiting[n] == reason] for reason in waiting.values()}
            lines += [f"{format_list(names)}: waiting: {reason}" for reason, names in by_reason.items()]
        else:
            lines += [f"{name}: waiting: {reason}" for name, reason in waiting.items()]
        lines += self.advice
        if self.pull_request is not None:
            lines.append(self.pull_request.render_line(rehearsed=self.rehearsed))
        moved = "would go" if self.rehearsed else "went"
        if self.before == self.after:
            lines.append(f"{self.target} stays at {self.before[:10]}")
        elif self.landed:
            pushed = ", pushed" if self.pushed else ""
            lines.append(f"{self.target} {moved} from {self.before[:10]} to {self.after[:10]}{pushed}")
        else:
            was = f"{self.target} was at {self.before[:10]} and is at {self.after[:10]}"
            lines.append(f"{was}; this train landed nothing")
        return lines


def _passed_json(item: Landed | InPullRequest) -> dict[str, Json]:
    document: dict[str, Json] = {"agent": item.agent, "commit": item.commit}
    return document | {"gates": dict(item.gates), "not_needed": dict(item.not_needed)}


def _evicted_json(item: Evicted) -> dict[str, Json]:
    offer = item.proposal
    document: dict[str, Json] = {"agent": item.agent, "reason": item.reason.value, "detail": item.detail}
    document |= {"with": list(item.with_), "log": str(item.log) if item.log else None, "gate": item.gate}
    document["failed_tests"] = [
        {"name": test.name, "file": test.file or None, "message": test.message} for test in item.failed_tests
    ]
    document["proposal"] = None
    if offer:
        row: dict[str, Json] = {"commit": offer.commit, "resolved": dict(offer.resolved), "detail": offer.detail}
        document["proposal"] = row | {"log": str(offer.log) if offer.log else None, "gates": dict(offer.gates)}
    return document


NO_GATES: Mapping[str, str] = MappingProxyType({})
