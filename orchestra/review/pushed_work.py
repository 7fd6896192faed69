"""Work that was pushed for a pull request and has not landed: which of it a person still wants."""

from __future__ import annotations

from orchestra.blueprint.model import AgentName
from orchestra.fleet import FleetSnapshot
from orchestra.forge.train_branch import PushedAgent, PushedTrain
from orchestra.review.verdicts import commit_to_land


def pending_agents(snapshot: FleetSnapshot, train: PushedTrain) -> dict[AgentName, PushedAgent]:
    """Return the agents that were pushed as they are approved now, and have not landed."""
    pending = {}
    for agent in snapshot.fleet.blueprint.agents:
        refs, pushed = snapshot.agent_refs(agent.name), train.agents.get(agent.name)
        if pushed is None or refs.base is None or refs.landed is not None or refs.discarded is not None:
            continue
        # New commits without a new approval leave the approval of what was pushed.
        if pushed.tip in (refs.approved, commit_to_land(refs, snapshot.branch_tip(agent))):
            pending[agent.name] = pushed
    return pending
