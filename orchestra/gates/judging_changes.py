"""What a branch changes about its own judges: the blueprint, CI, and what the commands of gates run.

A review shows these changes first, also where the agent may make them, since a gate that runs them can no longer be
believed by itself.
"""

from __future__ import annotations

from dataclasses import dataclass

from orchestra.blueprint.judging_files import MANIFESTS, changed_sections, judging_paths
from orchestra.blueprint.model import Agent, Blueprint, Scope
from orchestra.blueprint.scope import Matcher
from orchestra.gates.branch_content import BranchContent


@dataclass(frozen=True, slots=True)
class JudgingChange:
    """``sections``: the parts of a manifest that gates read; empty for a file of which everything counts.

    ``allowed``: the agent's ``may_edit`` names the file.
    """

    path: str
    sections: tuple[str, ...]
    allowed: bool

    def __str__(self) -> str:
        return f"{self.path} ({', '.join(self.sections)})" if self.sections else self.path


def judging_changes(blueprint: Blueprint, agent: Agent, content: BranchContent) -> tuple[JudgingChange, ...]:
    """Return the changes to what judges the branch, sorted by path. A manifest that the branch adds does not count."""
    may_edit = Matcher(Scope(agent.may_edit))
    sections: dict[str, set[str]] = {path: set() for path in judging_paths(blueprint, content.paths)}
    for _, path, change in content.landing_changes:
        if path.rpartition("/")[2] in MANIFESTS and change.old is not None:
            old, new = content.blobs.read(change.old), content.blobs.read(change.new) if change.new else None
            if changed := changed_sections(path, old, new):
                sections.setdefault(path, set()).update(changed)
    paths = sorted(sections)
    return tuple(JudgingChange(path, tuple(sorted(sections[path])), may_edit.matches(path)) for path in paths)
