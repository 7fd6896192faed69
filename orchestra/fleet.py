"""A fleet: a blueprint at work in a repository.

Invariant: a ``Fleet`` names a valid blueprint, an existing repository and one target branch; everything else about
it is read from refs when it is needed. Refuses to change anything but the memory of which fleet was spawned last.
"""

from __future__ import annotations

import json
import os
import shlex
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from types import MappingProxyType

from orchestra.blueprint.adopted_agents import AdoptedBranch, read_adopted, with_adopted
from orchestra.blueprint.git_names import branch_problem, fleet_name_problem, safe_folder_name
from orchestra.blueprint.inline_templates import render_root
from orchestra.blueprint.model import Agent, AgentName, Blueprint, FleetName
from orchestra.errors import GroundError, UsageError
from orchestra.files import read_regular, write_atomically
from orchestra.git import worktree_admin
from orchestra.git.refs import PREFIX, AgentRefs, CommitId, RefName, RefUpdate, branch_ref, group_by_agent, read_refs
from orchestra.git.remote import tracking_ref
from orchestra.git.repository import Repository, Worktree
from orchestra.ledger import Ledger
from orchestra.text import did_you_mean, format_list

BRANCH_RECORD = "branch"  # in an agent's folder: the branch that spawn created for it
PORTS_RECORD = "ports.json"  # in an agent's folder: the ports that spawn gave it
ADOPTED_RECORD = "adopted.json"  # in the fleet's folder: the branches that adopt took in
_LOCKED_FOR = "orchestra: "


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
        """The folder of what orchestra stores about this fleet in addition to refs: ledger, logs, settings."""
        return self.repository.state_folder / "fleets" / self.name

    @property
    def adopted(self) -> dict[AgentName, AdoptedBranch]:
        """The adopted branches as they are recorded now."""
        return read_adopted(self.folder / ADOPTED_RECORD)

    @property
    def ledger(self) -> Ledger:
        return Ledger(self.folder)

    @property
    def target_ref(self) -> RefName:
        return branch_ref(self.target)

    @property
    def worktrees_root(self) -> Path:
        """Absolute; ``worktrees.root`` is relative to the main checkout."""
        repository = safe_folder_name(self.repository.home.name)
        root = render_root(self.blueprint.worktrees.root, fleet=self.name, repository=repository)
        return Path(os.path.normpath(self.repository.home / root))

    def worktree(self, agent: Agent) -> Path:
        """The path of the agent's worktree, existing or not.

        That is where git has it registered, whatever the blueprint says by now about its folder. The blueprint names
        new places only; where it names the worktree of another agent, the agent's name is added. An adopted branch may
        be checked out anywhere, also in the main checkout, or nowhere.
        """
        if agent.adopted:
            main = None if self.repository.bare else self.repository.home
            checkout = worktree_admin.checkout_of(self.repository.common_dir, agent.branch, main)
            return checkout or self.worktrees_root / agent.directory
        declared = self.worktrees_root / agent.directory
        reason = self.lock_reason(agent)
        registered = worktree_admin.place_of(self.repository.common_dir, reason, agent.branch, likely=declared.name)
        if registered is not None:
            return registered
        owner = worktree_admin.reason_at(self.repository.common_dir, declared)
        if owner is not None and owner.startswith(_LOCKED_FOR) and owner != reason:
            return declared.with_name(f"{declared.name}-{agent.name}")
        return declared

    def has_worktree(self, agent: Agent) -> bool:
        """Return True when the agent has a worktree, as far as it can be looked at; runs no git."""
        return os.path.exists(self.worktree(agent) / ".git")  # noqa: PTH110 - no error where it cannot be entered

    def lock_reason(self, agent: Agent) -> str:
        """The reason that git records for the lock of the agent's worktree: it says whose worktree it is."""
        return f"{_LOCKED_FOR}{self.name}/{agent.name}"

    def agent_folder(self, agent: AgentName) -> Path:
        """The folder of what orchestra stores about one agent: set-up log, rendered copies, session files."""
        return self.folder / "agents" / agent

    def target_tip(self) -> CommitId | None:
        """Return the tip of the target; None where it has no commit yet."""
        return self.repository.resolve(self.target_ref)

    def require_agent(self, name_or_number: str) -> Agent:
        """Return the agent with that name or number. Raises UsageError, with a similar name, where there is none."""
        agent = self.blueprint.agent(name_or_number)
        if agent is None:
            names = [agent.name for agent in self.blueprint.agents]
            hint = did_you_mean(name_or_number, names, otherwise=f"the agents are {', '.join(names)}")
            raise UsageError(f"no agent {name_or_number!r} in fleet {self.name}", hint=hint)
        return agent


@dataclass(frozen=True)
class FleetSnapshot:
    """The refs and registered worktrees of a fleet's repository, as they were when they were read.

    ``refs``: every ref of the fleet, every branch, and the remote-tracking ref of the target -> the commit it peels
    to. Immutable; ``after`` gives an updated copy without reading again.
    """

    fleet: Fleet
    refs: Mapping[RefName, CommitId]
    worktrees: tuple[Worktree, ...]

    @cached_property
    def agents(self) -> Mapping[AgentName, AgentRefs]:
        """The refs of every agent that has any, also of agents that the blueprint no longer declares."""
        return group_by_agent(self.refs, self.fleet.name)

    @cached_property
    def branches(self) -> Mapping[str, CommitId]:
        """Short branch name -> tip."""
        return {ref.removeprefix("refs/heads/"): tip for ref, tip in self.refs.items() if ref.startswith("refs/heads/")}

    def agent_refs(self, agent: AgentName) -> AgentRefs:
        return self.agents.get(agent, AgentRefs())

    def branch_tip(self, agent: Agent) -> CommitId | None:
        """The tip of the agent's declared branch; None where there is no such branch."""
        return self.refs.get(branch_ref(agent.branch))

    @property
    def target_tip(self) -> CommitId | None:
        """The tip of the local target; None where it has no commit."""
        return self.refs.get(self.fleet.target_ref)

    @property
    def remote_target_tip(self) -> CommitId | None:
        """The target of the fleet's remote as last fetched; None where the fleet has no remote or it has no target."""
        fleet = self.fleet
        return self.refs.get(tracking_ref(fleet.remote, fleet.target)) if fleet.remote else None

    def worktree_at(self, path: Path) -> Worktree | None:
        """The worktree registered at ``path``, symlinks resolved; None where git knows of none."""
        real = os.path.realpath(path)
        return next((worktree for worktree in self.worktrees if os.path.realpath(worktree.path) == real), None)

    def after(self, updates: Iterable[RefUpdate]) -> FleetSnapshot:
        """Return a copy as it is after ``updates`` were made."""
        refs = dict(self.refs)
        for update in updates:
            if update.new is None:
                refs.pop(update.ref, None)
            else:
                refs[update.ref] = update.new
        return replace(self, refs=refs)


def read_snapshot(fleet: Fleet) -> FleetSnapshot:
    """Read the refs and worktrees of the fleet's repository with two git processes."""
    repository = fleet.repository
    tracked = [tracking_ref(fleet.remote, fleet.target)] if fleet.remote else []
    refs = read_refs(repository.git, [f"{PREFIX}{fleet.name}/", "refs/heads/", *tracked])
    return FleetSnapshot(fleet, refs, repository.worktrees())


def newest_target(snapshot: FleetSnapshot) -> CommitId | None:
    """Return the target's tip, or the remote's where that is ahead of it; None where there is neither."""
    local, remote = snapshot.target_tip, snapshot.remote_target_tip
    if local is None or remote is None or local == remote:
        return local or remote
    return remote if snapshot.fleet.repository.is_ancestor(local, remote) else local


def explain_missing_target(fleet: Fleet) -> tuple[str, str]:
    """Return a message and a hint for a target without a commit: a misspelled name, or a new repository."""
    agent_branches = {agent.branch for agent in fleet.blueprint.agents}
    branches = sorted(set(read_snapshot(fleet).branches) - agent_branches)
    if not branches:
        return f"{fleet.target} has no commit yet", "commit at least one file there: agents start from it"
    suggestion = did_you_mean(fleet.target, branches, otherwise=f"The branches are {format_list(branches, most=8)}.")
    create = f"git branch {shlex.quote(fleet.target)} COMMIT"
    return (
        f"the target branch {fleet.target} does not exist",
        f"{suggestion} Set `target:` in the blueprint, or create the branch: {create}",
    )


def make_fleet(repository: Repository, blueprint: Blueprint) -> Fleet:
    """Build the fleet of ``blueprint`` in ``repository``. Raises GroundError where the target is undefined.

    A target that the blueprint leaves open is recorded by the first spawn: the branch that is checked out later must
    not decide where the work lands.
    """
    remote = blueprint.remote or repository.default_remote()
    if remote is not None and remote not in repository.remotes():
        raise GroundError(f"{repository.home} has no remote {remote!r}", hint=f"git remote add {remote} URL")
    target = blueprint.target or spawned_target(repository, blueprint.name) or repository.default_target(remote)
    if target is None:
        hint = "name the branch where work lands: `target: main` in the blueprint, or check a branch out"
        raise GroundError(f"the blueprint names no target, and HEAD is detached in {repository.home}", hint=hint)
    target = repository.resolve_symbolic_branch(target)
    adopted = read_adopted(repository.state_folder / "fleets" / blueprint.name / ADOPTED_RECORD)
    blueprint = with_adopted(blueprint, {name: one for name, one in adopted.items() if one.branch != target})
    records = {agent.name: _recorded_branch(repository, blueprint.name, agent.name) for agent in blueprint.agents}
    # A record that names the target or the branch of another record is damaged: it is not this agent's branch.
    times = Counter([target, *records.values()])
    agents = tuple(
        replace(agent, branch=branch)
        if (branch := records[agent.name]) and times[branch] == 1 and not agent.adopted
        else agent
        for agent in blueprint.agents
    )
    if names := blueprint.worktrees.setup.ports:
        folder = repository.state_folder / "fleets" / blueprint.name / "agents"
        recorded = [read_ports(folder / agent.name / PORTS_RECORD) for agent in agents]
        agents = tuple(
            replace(agent, ports=MappingProxyType({name: ports[name] for name in names if name in ports}))
            for agent, ports in zip(agents, recorded, strict=True)
        )
    return Fleet(repository, replace(blueprint, agents=agents), target, remote)


def read_ports(record: Path) -> dict[str, int]:
    """Return variable -> port as recorded; empty where there is no record, or it is damaged."""
    try:
        rows = json.loads(read_regular(record) or b"{}")
        ports = {str(name): int(port) for name, port in rows.items()}
    except (ValueError, TypeError, AttributeError, OverflowError, RecursionError):
        return {}
    return ports if all(0 < port < 1 << 16 for port in ports.values()) else {}


def _recorded_branch(repository: Repository, fleet: FleetName, agent: AgentName) -> str | None:
    """Return the branch that spawn created for an agent, which the blueprint may name otherwise by now."""
    file = repository.state_folder / "fleets" / fleet / "agents" / agent / BRANCH_RECORD
    branch = _read_record(file)
    return None if branch_problem(branch) else branch


def open_fleet(folder: Path, blueprint: str | None) -> Fleet:
    """Open the fleet that ``--repo`` and ``--blueprint`` name, or the one of ``default_blueprint``."""
    repository = Repository.discover(folder)
    return make_fleet(repository, load_named_blueprint(blueprint or default_blueprint(repository), repository))


def default_blueprint(repository: Repository) -> str:
    """Return the blueprint of the fleet that was spawned last, else the only one in ``blueprints/``.

    Raises UsageError where there is neither.
    """
    from orchestra.blueprint.catalog import names_in
    from orchestra.blueprint.load import list_blueprints

    if (last := last_blueprint(repository)) is not None:
        return last
    names = names_in(repository.top / "blueprints")
    if len(names) > 1:  # some may be fragments that others extend
        names = [listed.name for listed in list_blueprints(repository.top) if not listed.shipped]
    if len(names) == 1:
        return names[0]
    hint = "orchestra blueprints lists what can be named; orchestra init writes one for this repository"
    if names:
        hint = f"name one of {format_list(names, conjunction='or', most=8)}: -b {names[0]}"
    raise UsageError("no fleet was spawned in this repository yet: which blueprint?", hint=hint)


def load_named_blueprint(name: str, repository: Repository) -> Blueprint:
    """Load the blueprint that ``--blueprint`` names: a file, one of the repository's, or a shipped one.

    What the main checkout lacks is looked up in the worktree where the command runs.
    """
    from orchestra.blueprint.catalog import named_file
    from orchestra.blueprint.load import find_blueprint, load_blueprint

    root = repository.home if named_file(name, [repository.home / "blueprints"]) else repository.top
    return load_blueprint(find_blueprint(name, root), blueprint_paths=[root / "blueprints"])


def remember(fleet: Fleet) -> None:
    """Record that this fleet was spawned last, and its target."""
    write_atomically(fleet.folder / "blueprint.json", json.dumps({"source": str(fleet.blueprint.source)}) + "\n")
    write_atomically(fleet.folder / "target", f"{fleet.target}\n")
    write_atomically(fleet.repository.state_folder / "current", f"{fleet.name}\n")


def last_blueprint(repository: Repository) -> str | None:
    """Return the path of the blueprint that was spawned last in this repository, or None."""
    name = _read_record(repository.state_folder / "current")
    if fleet_name_problem(name) is not None:
        return None
    try:
        return str(json.loads(_read_record(repository.state_folder / "fleets" / name / "blueprint.json"))["source"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


def spawned_target(repository: Repository, fleet: FleetName) -> str | None:
    """Return the target that was recorded when the fleet of that name was spawned; None where there is no record."""
    target = _read_record(repository.state_folder / "fleets" / fleet / "target")
    return target if target and branch_problem(target) is None else None


def _read_record(file: Path) -> str:
    """Return the text of a small file that orchestra stores; empty where it cannot be read, or is no regular file."""
    return (read_regular(file) or b"").decode("utf-8", "replace").strip()
