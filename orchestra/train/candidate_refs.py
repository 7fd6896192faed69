"""Keeps what a train has built from ``gc`` until it is decided: the ``candidate`` refs of the agents.

A candidate's commit has those of everybody before it as ancestors, so that the pin of the last holds them all; what is
being tested is held by its slot's HEAD as well. Invariant: a pin of somebody who did not land is gone when the train
ends, or when the next one begins. Refuses: to touch any other ref.
"""

from __future__ import annotations

from dataclasses import replace

from orchestra.blueprint.model import AgentName
from orchestra.errors import MovedError
from orchestra.fleet import Fleet
from orchestra.git.refs import AgentRefs, CommitId, Kind, RefUpdate, agent_ref, read_fleet, update


class Pins:
    """The pins of one fleet. The caller holds the train's lock, so nobody else moves them."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        refs = read_fleet(fleet.repository.git, fleet.name)
        self._at = {name: own.candidate for name, own in refs.items() if own.candidate is not None}

    def pin(self, agent: AgentName, commit: CommitId) -> None:
        """From here on no ``gc`` takes ``commit``, until this agent's next one is pinned."""
        ref = agent_ref(self._fleet.name, agent, Kind.CANDIDATE)
        move = RefUpdate(ref, commit, self._at.get(agent))
        try:
            update(self._fleet.repository.git, [move], reason="a candidate")
        except MovedError as moved:  # a landing that was taken back took its pin along
            update(
                self._fleet.repository.git,
                [replace(move, old=CommitId(moved.actual) if moved.actual else None)],
                reason="a candidate",
            )
        self._at[agent] = commit

    def release(self) -> None:
        """Take away every pin that is left."""
        refs = read_fleet(self._fleet.repository.git, self._fleet.name)
        for agent in refs:
            found = refs.get(agent, AgentRefs()).candidate
            if found is not None:
                gone = RefUpdate(agent_ref(self._fleet.name, agent, Kind.CANDIDATE), None, found)
                update(self._fleet.repository.git, [gone], reason="decided")
        self._at.clear()

    def landed(self, agent: AgentName) -> None:
        """Its pin went with its landing."""
        self._at.pop(agent, None)
