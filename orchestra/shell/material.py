"""What scripts are made of: a blueprint and all that orchestra would write for it.

Invariant: no repository is needed, since the scripts run in repositories that nobody has seen yet.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from orchestra.blueprint.model import Blueprint


@dataclass(frozen=True, slots=True)
class Material:
    """``source`` is what ``--blueprint`` calls the blueprint; ``texts``: agent -> path in its worktree -> text."""

    blueprint: Blueprint
    source: str
    texts: Mapping[str, Mapping[str, str]]
