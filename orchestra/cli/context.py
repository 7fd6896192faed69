"""Turn ``--repo``, ``--blueprint`` and ``--agents`` into a fleet and its agents, for every command."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from orchestra.blueprint.model import Agent, AgentName
from orchestra.cli.console import print_note
from orchestra.fleet import Fleet, open_fleet


def load_fleet(repo: str | None, blueprint: str | None) -> Fleet:
    """Return the fleet that a command line names. Raises UsageError, BlueprintError, GroundError."""
    return open_fleet(Path(repo or "."), blueprint)


def select_agents(fleet: Fleet, agents: str | None) -> Sequence[Agent] | None:
    """Return the agents of a comma-separated list of names or numbers; None where no list was given."""
    if agents is None:
        return None
    return [fleet.require_agent(word.strip()) for word in agents.split(",") if word.strip()]


def select_names(fleet: Fleet, agents: str | None) -> list[AgentName] | None:
    """Return the names of ``select_agents``."""
    selected = select_agents(fleet, agents)
    return None if selected is None else [agent.name for agent in selected]


def recover_landing(fleet: Fleet) -> None:
    """Finish or undo a landing that was interrupted, and print what was done."""
    from orchestra.train.landing_journal import is_interrupted

    if is_interrupted(fleet.repository.state_folder):
        from orchestra.train.landing import recover

        for sentence in recover(fleet.repository):
            print_note(sentence)
