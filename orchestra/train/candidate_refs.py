"""The ``candidate`` refs of the agents: they protect what a train has built from ``git gc``.

A candidate's commit has those before it as ancestors, so the ref of the last one protects them all; what is being
tested is also held by its slot's HEAD. The ref of an agent that did not land is deleted when the train ends, or when
the next one starts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from orchestra.blueprint.model import AgentName
from orchestra.errors import MovedError
from orchestra.fleet import Fleet
from orchestra.git.refs import AgentRefs, CommitId, Kind, RefUpdate, agent_ref, update


class CandidateRefs:
    """The candidate refs of one fleet. The caller holds the train's lock, so nothing else moves them."""

    def __init__(self, fleet: Fleet, refs: Mapping[AgentName, AgentRefs]) -> None:
        self._fleet = fleet
        self._commits = {
            name: agent_refs.candidate for name, agent_refs in refs.items() if agent_refs.candidate is not None
        }

    def pin(self, agent: AgentName, commit: CommitId) -> None:
        """Protect ``commit`` from ``gc`` until this agent's next candidate is pinned."""
        self._move(agent, commit, "a candidate")
        self._commits[agent] = commit

    def delete_all(self) -> None:
        """Delete every pin of this fleet, those of a killed train included."""
        for agent in self._commits:
            self._move(agent, None, "decided")
        self._commits.clear()

    def _move(self, agent: AgentName, commit: CommitId | None, reason: str) -> None:
        git = self._fleet.repository.git
        move = RefUpdate(agent_ref(self._fleet.name, agent, Kind.CANDIDATE), commit, self._commits.get(agent))
        try:
            update(git, [move], reason=reason)
        except MovedError as moved:  # a landing moved or deleted it
            current = CommitId(moved.actual) if moved.actual else None
            update(git, [replace(move, old=current)] if current or commit else [], reason=reason)

    def forget(self, agent: AgentName) -> None:
        """Note that an agent's pin was deleted with its landing."""
        self._commits.pop(agent, None)
