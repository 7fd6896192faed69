"""A fleet: a blueprint at work in a repository.

Invariant: a ``Fleet`` names a valid blueprint, an existing repository and one target branch; everything else about
it is read from refs when it is needed. Refuses to change anything but the memory of which fleet was spawned last.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from orchestra.blueprint.model import Agent, AgentName, Blueprint, FleetName
from orchestra.errors import GroundError, UsageError
from orchestra.git.refs import CommitId, RefName, branch_ref
from orchestra.git.repository import Repository
from orchestra.ledger import Ledger


@dataclass(frozen=True)
class Fleet:
    """A blueprint, the repository it works in, the branch where its work lands (short name), and its remote."""

    repository: Repository
    blueprint: Blueprint
    target: str
    remote: str | None

    @property
    def name(self) -> FleetName:
        return self.blueprint.name

    @property
    def folder(self) -> Path:
        """What orchestra keeps of this fleet beside the refs: ledger, logs, settings."""
        return self.repository.state_folder / "fleets" / self.name

    @property
    def ledger(self) -> Ledger:
        return Ledger(self.folder)

    @property
    def target_ref(self) -> RefName:
        return branch_ref(self.target)

    @property
    def worktrees_root(self) -> Path:
        """Absolute; ``worktrees.root`` is relative to the main checkout."""
        return Path(os.path.normpath(self.repository.home / self.blueprint.worktrees.root))

    def worktree(self, agent: Agent) -> Path:
        """Where the agent's worktree is, or would be."""
        return self.worktrees_root / agent.directory

    def agent_folder(self, agent: AgentName) -> Path:
        """What orchestra keeps of one agent: set-up log, rendered copies, session files."""
        return self.folder / "agents" / agent

    def target_tip(self) -> CommitId | None:
        """Where the target is; None when it has no commit yet."""
        return self.repository.resolve(self.target_ref)

    def require_agent(self, name_or_number: str) -> Agent:
        """The agent called that, or with that number; UsageError with near names where there is none."""
        found = self.blueprint.agent(name_or_number)
        if found is None:
            from difflib import get_close_matches

            names = [agent.name for agent in self.blueprint.agents]
            near = get_close_matches(name_or_number, names, n=1)
            hint = f"did you mean {near[0]}?" if near else f"the agents are {', '.join(names)}"
            raise UsageError(f"no agent {name_or_number!r} in fleet {self.name}", hint=hint)
        return found


def make_fleet(repository: Repository, blueprint: Blueprint) -> Fleet:
    """The fleet of ``blueprint`` in ``repository``. GroundError where no target can be told.

    A target that the blueprint leaves open is settled by the first spawn: which branch somebody checks out later must
    not decide where the work lands.
    """
    remote = blueprint.remote or repository.default_remote()
    if remote is not None and remote not in repository.remotes():
        raise GroundError(f"{repository.home} has no remote {remote!r}", hint=f"git remote add {remote} URL")
    target = blueprint.target or spawned_target(repository, blueprint.name) or repository.default_target(remote)
    if target is None:
        hint = "name the branch where work lands: `target: main` in the blueprint, or check a branch out"
        raise GroundError(f"HEAD is detached in {repository.home}, so the target cannot be told", hint=hint)
    return Fleet(repository, blueprint, target, remote)


def open_fleet(folder: Path, blueprint: str | None, load: Callable[[str, Repository], Blueprint]) -> Fleet:
    """The fleet that ``--repo`` and ``--blueprint`` mean; without a blueprint, the one spawned here last."""
    repository = Repository.discover(folder)
    named = blueprint or last_blueprint(repository)
    if named is None:
        raise UsageError(
            "no fleet was spawned in this repository yet, so --blueprint is needed",
            hint="orchestra blueprints lists what can be named; orchestra init writes one for this repository",
        )
    return make_fleet(repository, load(named, repository))


def remember(fleet: Fleet) -> None:
    """Note that this fleet was spawned last, and where it lands. Written whole or not at all."""
    write_atomically(fleet.folder / "blueprint.json", json.dumps({"source": str(fleet.blueprint.source)}) + "\n")
    write_atomically(fleet.folder / "target", f"{fleet.target}\n")
    write_atomically(fleet.repository.state_folder / "current", f"{fleet.name}\n")


def last_blueprint(repository: Repository) -> str | None:
    """The path of the blueprint that was spawned last in this repository, or None."""
    try:
        name = (repository.state_folder / "current").read_text("utf-8").strip()
    except OSError:
        return None
    try:
        facts = json.loads((repository.state_folder / "fleets" / name / "blueprint.json").read_text("utf-8"))
        return str(facts["source"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def spawned_target(repository: Repository, fleet: FleetName) -> str | None:
    """The branch where the fleet of that name lands since it was spawned; None when it was not."""
    with suppress(OSError):
        return (repository.state_folder / "fleets" / fleet / "target").read_text("utf-8").strip() or None
    return None


def write_atomically(path: Path, text: str) -> None:
    """Replace ``path`` by ``text`` so that a reader, or a kill, sees the old or the new whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    aside.write_text(text, "utf-8", "surrogateescape")
    aside.replace(path)
