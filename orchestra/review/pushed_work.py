"""Work that was pushed for a pull request and has not landed: which of it a person still wants."""

from __future__ import annotations

from dataclasses import dataclass

from orchestra.blueprint.model import AgentName, Via
from orchestra.errors import OrchestraError
from orchestra.fleet import Fleet, FleetSnapshot, read_snapshot
from orchestra.forge.pull_request import PullRequest
from orchestra.forge.selection import open_forge
from orchestra.forge.train_branch import PushedAgent, PushedTrain, pushed_ref, read_pushed, train_branch
from orchestra.git.refs import CommitId
from orchestra.ledger import Json
from orchestra.review.verdicts import commit_to_land

_ANSWER_S = 5.0  # for the forge to say how the pull request is: status does not wait for long


@dataclass(frozen=True, slots=True)
class TrainPullRequest:
    """What was pushed last, and its pull request as the forge reports it.

    ``agents`` are in it as they are approved now, and have not landed; ``withdrawn`` are in it and no longer approved
    as they are there. ``request`` None: the forge has none, or could not be asked (``problem`` says why).
    """

    branch: str
    commit: CommitId
    agents: tuple[AgentName, ...]
    withdrawn: tuple[AgentName, ...]
    request: PullRequest | None
    problem: str | None

    def describe(self, agent: AgentName) -> str:
        """Return the cell of an agent: ``#12 open, checks passing``; empty where the agent is not in it."""
        if agent not in self.agents:
            return ""
        if self.request is None:
            return "?" if self.problem else "pushed"
        checks = "" if self.request.checks == "none" else f", checks {self.request.checks}"
        return f"#{self.request.number} {self.request.state}{checks if self.request.state == 'open' else ''}"

    def to_json(self) -> dict[str, Json]:
        """Return the key ``pull_request`` of ``status --json``."""
        request = self.request
        document: dict[str, Json] = {"branch": self.branch, "commit": self.commit, "agents": list(self.agents)}
        document |= {"withdrawn": list(self.withdrawn)}
        document |= {"number": request.number if request else None, "url": request.url if request else None}
        document |= {"state": request.state.value if request else None}
        return document | {"checks": request.checks.value if request else None, "problem": self.problem}


def read_train_pull_request(fleet: Fleet) -> TrainPullRequest | None:
    """Ask the forge once for the pull request of a fleet; None where nothing was pushed for one.

    An unreachable forge is a problem in the result, never an error.
    """
    if fleet.blueprint.merge.via is not Via.PULL_REQUEST:
        return None
    pushed = read_pushed(fleet.repository.git, pushed_ref(fleet.name))
    if pushed is None:
        return None
    request, problem = None, None
    try:
        request = open_forge(fleet, timeout_s=_ANSWER_S).find(train_branch(fleet.name), fleet.target)
    except OrchestraError as error:
        problem = error.message
    snapshot = read_snapshot(fleet)
    agents = tuple(pending_agents(snapshot, pushed))
    withdrawn = withdrawn_agents(snapshot, pushed)
    return TrainPullRequest(train_branch(fleet.name), pushed.commit, agents, withdrawn, request, problem)


def withdrawn_agents(snapshot: FleetSnapshot, train: PushedTrain) -> tuple[AgentName, ...]:
    """Return the agents that were pushed, have not landed, and are no longer approved as they were pushed."""
    pending = pending_agents(snapshot, train)
    return tuple(name for name in train.agents if name not in pending and snapshot.agent_refs(name).landed is None)


def pending_agents(snapshot: FleetSnapshot, train: PushedTrain) -> dict[AgentName, PushedAgent]:
    """Return the agents that were pushed as they are approved now, and have not landed."""
    pending = {}
    for agent in snapshot.fleet.blueprint.agents:
        refs, pushed = snapshot.agent_refs(agent.name), train.agents.get(agent.name)
        decided = (refs.landed, refs.discarded, refs.changes_requested)
        if pushed is None or refs.base is None or decided != (None, None, None):
            continue
        # New commits without a new approval leave the approval of what was pushed.
        if pushed.tip in (refs.approved, commit_to_land(refs, snapshot.branch_tip(agent))):
            pending[agent.name] = pushed
    return pending
