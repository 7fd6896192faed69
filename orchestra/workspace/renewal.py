"""A new start for agents of a fleet from today's target.

``spawn --fresh`` archives what they have. A plain ``spawn`` moves those that have no work of their own.

Uncommitted work is saved and each worktree removed as ``clean`` does it. Then the agent's refs and its branch go below
``refs/orchestra/archive/FLEET/N/AGENT/``, created there before they are deleted, and its state folder goes to
``archive/N/AGENT`` in the fleet's folder. An agent whose removal fails stays as it is, and the others go on.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace

from orchestra.blueprint.model import Agent, AgentName, FleetName
from orchestra.engine.job import Engine
from orchestra.errors import GroundError
from orchestra.fleet import Fleet, newest_target
from orchestra.git import worktree_admin
from orchestra.git.refs import PREFIX, AgentRefs, CommitId, Kind, RefName, RefUpdate, branch_ref, update
from orchestra.git.unsaved_work import find_unsaved
from orchestra.text import format_list
from orchestra.workspace.progress import Listener, explain
from orchestra.workspace.removal import AgentRemoval, RemovalRun, is_unchanged, made_folders, plan_removal
from orchestra.workspace.spawn_checks import Ground, real

_QUEUED, _RUNS = (
    "request.json",
    "runs",
)  # in an agent's folder: a session that waits; those that ran (sessions/store.py)


@dataclass(frozen=True, slots=True)
class Renewal:
    """``removals``: of the agents that start again; what they have is archived as round ``number`` of the fleet.

    Without a number they have no work of their own, and only move to the commit ``target``.
    """

    fleet: FleetName
    target: CommitId | None
    number: int | None
    removals: tuple[AgentRemoval, ...]

    def lines(self) -> list[str]:
        """Return one line for each step."""
        return [line for removal in self.removals for line in [*removal.lines(), self.archive_line(removal)]]

    def notes(self) -> list[str]:
        """Return what a person should know about moved agents."""
        if self.number is not None or not self.removals:
            return []
        names = format_list([removal.name for removal in self.removals], most=5)
        return [f"moved to today's target, since they have no work of their own: {names}"]

    def archive_line(self, removal: AgentRemoval) -> str:
        if self.number is None:
            target = self.target[:12] if self.target else ""
            return f"move {removal.name}, which has no work of its own, to {target}"
        place = _archive_prefix(self.fleet, self.number, removal.name)
        return f"move the refs of {removal.name} and its branch {removal.agent.branch} to {place}"


def _archive_prefix(fleet: FleetName, number: int, agent: AgentName) -> str:
    return f"{PREFIX}archive/{fleet}/{number}/{agent}/"


def plan_renewal(ground: Ground, agents: Collection[Agent]) -> tuple[Renewal, list[str]]:
    """Plan to archive what the agents have; return also what prevents it, each as a sentence."""
    fleet, admins = ground.fleet, worktree_admin.admins(ground.fleet.repository)
    removals: list[AgentRemoval] = []
    problems: list[str] = []
    for agent in agents:
        if not ground.is_ours(agent):
            continue
        if (fleet.agent_folder(agent.name) / _QUEUED).exists():
            problems.append(f"a session of {agent.name} is queued: orchestra stop {agent.name}")
        try:
            removal = plan_removal(ground, agent, admins.get(real(fleet.worktree(agent))), save_all=True)
            removals.append(replace(removal, branch_tip=None, forgets=False))  # both are archived
        except (GroundError, OSError) as error:
            problems.append(f"{agent.name} cannot begin a new round: {explain(error)}")
    number = next_round(fleet, [removal.agent for removal in removals])
    return Renewal(fleet.name, newest_target(ground.snapshot), number, tuple(removals)), problems


def plan_moves(ground: Ground, agents: Collection[Agent]) -> Renewal:
    """Plan to move the agents that have no commits, no session and no uncommitted work to today's target."""
    fleet, admins = ground.fleet, worktree_admin.admins(ground.fleet.repository)
    removals = []
    for agent in agents:
        # Whatever cannot be looked at stays where it is.
        with suppress(GroundError, OSError):
            admin = admins.get(real(fleet.worktree(agent)))
            if admin is not None and _is_untouched(ground, agent):
                removals.append(replace(plan_removal(ground, agent, admin, save_all=True), branch_tip=None))
    return Renewal(fleet.name, newest_target(ground.snapshot), None, tuple(removals))


def _is_untouched(ground: Ground, agent: Agent) -> bool:
    """Return whether the agent has its worktree and nothing in it but what spawn made."""
    fleet, refs, worktree = ground.fleet, ground.of(agent), ground.worktree(agent)
    folder, path = fleet.agent_folder(agent.name), fleet.worktree(agent)
    if refs != AgentRefs(base=refs.base) or refs.base is None or ground.branches.get(agent.branch) != refs.base:
        return False
    target = ground.base
    if target in (None, refs.base) or not fleet.repository.is_ancestor(refs.base, target):
        return False
    if worktree is None or worktree.branch != agent.branch or not ground.is_there(agent):
        return False
    if any((folder / name).exists() for name in (_QUEUED, _RUNS)):
        return False
    unsaved = find_unsaved(path)
    if unsaved.changed or unsaved.untracked or unsaved.unreadable:
        return False
    made = all(is_unchanged(fleet, agent.name, name, path / name) for name in unsaved.ignored)
    return made and set(unsaved.ignored_folders) <= made_folders(fleet, agent.name)


def ground_after(ground: Ground, renewal: Renewal) -> Ground:
    """Return the ground as it will be after the renewal, with today's target as its base."""
    fleet, snapshot = ground.fleet, ground.snapshot
    prefixes = tuple(f"{PREFIX}{fleet.name}/{removal.name}/" for removal in renewal.removals)
    branches = {branch_ref(removal.agent.branch) for removal in renewal.removals}
    moved = [
        RefUpdate(ref, None, at) for ref, at in snapshot.refs.items() if ref.startswith(prefixes) or ref in branches
    ]
    leaving = frozenset(real(removal.worktree) for removal in renewal.removals)
    worktrees = tuple(worktree for worktree in snapshot.worktrees if real(worktree.path) not in leaving)
    return Ground(replace(snapshot.after(moved), worktrees=worktrees), newest_target(snapshot), leaving)


def renew(fleet: Fleet, renewal: Renewal, engine: Engine, progress: Listener) -> RemovalRun:
    """Remove and archive. The run says what was done, and which agents stay as they are."""
    run = RemovalRun(fleet, progress)
    run.remove_all(renewal.removals, engine)
    for removal in renewal.removals:
        if removal.name not in run.skipped:
            with run.skipping(removal.name):
                if renewal.number is None:
                    _delete_refs(fleet, removal.agent, _agent_objects(fleet, removal.agent))
                else:
                    archive_refs(fleet, removal.agent, renewal.number)
                run.lines.append(renewal.archive_line(removal))
    return run


def archive_refs(fleet: Fleet, agent: Agent, number: int) -> None:
    """Move an agent's refs and state folder to a round of the archive, and its branch unless that was adopted.

    Repeated, it continues.
    """
    git, prefix = fleet.repository.git, _archive_prefix(fleet.name, number, agent.name)
    objects, archived = _agent_objects(fleet, agent), _read_objects(fleet, [prefix])
    copies = [RefUpdate(RefName(prefix + kind), at, archived.get(prefix + kind)) for kind, at in objects.items()]
    update(git, copies, reason=f"archive {fleet.name}/{agent.name}")
    folder = fleet.agent_folder(agent.name)
    if folder.exists():
        place = fleet.folder / "archive" / str(number) / agent.name
        place.parent.mkdir(parents=True, exist_ok=True)
        others = sum(path == place or path.name.startswith(f"{agent.name}.") for path in place.parent.iterdir())
        folder.rename(place.with_name(f"{agent.name}.{others + 1}") if others else place)
    _delete_refs(fleet, agent, objects)


def _delete_refs(fleet: Fleet, agent: Agent, objects: Mapping[str, CommitId]) -> None:
    """Delete an agent's refs and its branch. The base goes last: without it, the others would not count as ours.

    Of an adopted agent the verdict goes last: it says that the agent is to be forgotten.
    """
    origin = f"{PREFIX}{fleet.name}/{agent.name}/"
    names = {kind: RefName(origin + kind) for kind in objects} | {"branch": branch_ref(agent.branch)}
    ordered = sorted(objects, key=lambda kind: kind == "base")
    deletions = [RefUpdate(names[kind], None, objects[kind]) for kind in ordered]
    if agent.adopted:
        verdicts = {names[kind] for kind in (Kind.LANDED, Kind.DISCARDED) if kind in names}
        first = [deletion for deletion in deletions if deletion.ref not in verdicts]
        update(fleet.repository.git, first, reason="forget an adopted branch")
        deletions = [deletion for deletion in deletions if deletion.ref in verdicts]
    update(fleet.repository.git, deletions, reason="archived, or moved to today's target")


def _agent_objects(fleet: Fleet, agent: Agent) -> dict[str, CommitId]:
    """Return what an agent's refs hold, by their name below its prefix; ``branch`` is its branch, unless adopted."""
    prefix, branch = f"{PREFIX}{fleet.name}/{agent.name}/", branch_ref(agent.branch)
    objects = _read_objects(fleet, [prefix] if agent.adopted else [prefix, branch])
    return {"branch" if ref == branch else ref.removeprefix(prefix): at for ref, at in objects.items()}


def _read_objects(fleet: Fleet, patterns: Collection[str]) -> Mapping[str, CommitId]:
    """Return refs -> the object that each holds itself: a tag is not peeled."""
    rows = fleet.repository.git.run("for-each-ref", "--format=%(objectname) %(refname)", *patterns).lines
    return {name: CommitId(at) for at, _, name in (row.partition(" ") for row in rows)}


def next_round(fleet: Fleet, agents: Collection[Agent]) -> int:
    """Return the number of the next round, or that of a round whose archiving was interrupted."""
    archived = _read_objects(fleet, [f"{PREFIX}archive/{fleet.name}/"])
    numbers = [name.split("/")[4] for name in archived]
    newest = max((int(number) for number in numbers if number.isdecimal()), default=0)
    is_interrupted = False
    for agent in agents:
        for kind, at in _agent_objects(fleet, agent).items():
            held = archived.get(f"{_archive_prefix(fleet.name, newest, agent.name)}{kind}")
            if held not in (None, at):
                return newest + 1
            is_interrupted = is_interrupted or held is not None
    return newest if is_interrupted else newest + 1
