"""The fleet's money, from the digests of its sessions: spent, and left to each agent.

Invariant: nothing is kept here; every figure is read anew from runs that are over. What a session cost that was ended
before it could say so is known to nobody, and in no sum: status counts such sessions. Money is US dollars.
"""

from __future__ import annotations

from orchestra.blueprint.model import AgentName, RunnerKind
from orchestra.sessions.scheduler import Candidate, Purse
from orchestra.sessions.store import FleetFolder, Order
from orchestra.sessions.usage import total


class Treasury:
    """Answers for one fleet."""

    def __init__(self, fleet: FleetFolder) -> None:
        self._fleet = fleet

    def spent(self, agent: AgentName) -> float:
        """By all sessions of that agent."""
        digests = [run.digest for run in self._fleet.agent(agent).runs()]
        return total(digest for digest in digests if digest is not None).cost_usd or 0.0

    def left(self, order: Order) -> float:
        """What the agent may still cost; infinite without a limit of its own."""
        return float("inf") if order.max_budget_usd is None else order.max_budget_usd - self.spent(order.agent)

    def purse(self, budget: float | None, promised: float) -> Purse:
        """``promised``: what running sessions may still spend."""
        if budget is None:
            return Purse()
        return Purse(budget, sum(self.spent(agent.name) for agent in self._fleet.agents()), promised)

    def candidate(self, order: Order, not_before: float) -> Candidate:
        """A queued order as the schedule sees it. Only the client's sessions tell their costs and keep to a limit."""
        left = None if order.max_budget_usd is None else self.left(order)
        return Candidate(order.agent, order.at, not_before, left, order.kind is RunnerKind.CLAUDE)
