"""From ``--repo`` and ``--blueprint`` to a fleet; from ``--agents`` to agents. Shared by every task over a fleet.

Invariant: what was typed wrong ends here, before anything is read twice or changed.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from orchestra.blueprint.model import Agent, Blueprint
from orchestra.cli.console import tell
from orchestra.fleet import Fleet, open_fleet
from orchestra.git.repository import Repository


def load(named: str, repository: Repository) -> Blueprint:
    """The blueprint that ``--blueprint`` names: a file, one of the repository's, or a shipped one."""
    from orchestra.blueprint.load import find_blueprint, load_blueprint

    return load_blueprint(find_blueprint(named, repository.home), blueprint_paths=[repository.home / "blueprints"])


def opened(repo: str | None, blueprint: str | None) -> Fleet:
    """The fleet that a task is about."""
    return open_fleet(Path(repo or "."), blueprint, load)


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
