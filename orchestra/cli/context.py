"""From ``--repo`` and ``--blueprint`` to a fleet; from ``--agents`` to agents. Shared by every task over a fleet.

Invariant: what was typed wrong ends here, before anything is read twice or changed.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from orchestra.blueprint.model import Agent
from orchestra.cli.console import tell
from orchestra.fleet import Fleet, open_fleet


def opened(repo: str | None, blueprint: str | None) -> Fleet:
    """The fleet that a task is about."""
    return open_fleet(Path(repo or "."), blueprint)


def chosen(fleet: Fleet, agents: str | None) -> Sequence[Agent] | None:
    """The agents of a comma-separated list of names or numbers; None where no list was given."""
    if agents is None:
        return None
    return [fleet.require_agent(word.strip()) for word in agents.split(",") if word.strip()]


def finish_landing(fleet: Fleet) -> None:
    """Finish, or take back, what a killed merge left, and say so: the first step of whatever changes things."""
    from orchestra.train.recover import recover

    for sentence in recover(fleet.repository):
        tell(sentence)
