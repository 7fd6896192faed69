"""Landing: the one commit point, and everything that follows from it.

The order: ``candidate`` refs pin the commits; the journal is written; with a remote, the push; the compare-and-swap of
the target; its checkouts are updated; ``landed`` refs, notes and the ledger are written; the journal is deleted.
Whatever a kill interrupts is finished by ``recover`` from the refs and the journal.

Invariant: the target moves only by compare-and-swap, only forward, only to a commit whose tree passed its gates; an
agent lands only at the tip that was tested, under a verdict that still holds at that moment.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from orchestra.blueprint.model import AgentName, FleetName, Review
from orchestra.errors import DiskFull, GitError, GroundError, LockHeld, MovedError
from orchestra.fleet import Fleet, FleetSnapshot, read_snapshot
from orchestra.git.ancestry import is_ancestor
from orchestra.git.checkout import can_follow, in_the_way
from orchestra.git.git_process import Git
from orchestra.git.lock import exclusive
from orchestra.git.notes import write_notes
from orchestra.git.refs import (
    AgentRefs,
    CommitId,
    Kind,
    RefUpdate,
    agent_ref,
    branch_ref,
    read_fleet,
    resolve,
    update,
)
from orchestra.git.remote import Pushed, look, push
from orchestra.git.repository import Repository
from orchestra.git.tree_diff import changes, tree_of
from orchestra.ledger import Ledger
from orchestra.review.verdicts import Verdict, commit_to_land, verdict
from orchestra.train.entries import Entry
from orchestra.train.landing_journal import Landing, delete_journal, is_interrupted, read_journal, write_journal
from orchestra.train.target_branch import (
    quiet_checkouts,
    read_stale_checkouts,
    update_checkouts,
    update_stale_checkouts,
)

LOCK_WAIT_S = 60.0
_NO_REFS = AgentRefs()
Announce = Callable[[str], None]


class VerdictChanged(Exception):  # noqa: N818 - an event inside the train
    """An agent may not land as it was tested: ``reason`` says why."""

    def __init__(self, agent: AgentName, reason: str) -> None:
        super().__init__(f"{agent}: {reason}")
        self.agent, self.reason = agent, reason


class TargetMoved(Exception):  # noqa: N818
    """The target moved, here or on the remote, or candidates were lost: they must be built again."""


def land(
    fleet: Fleet, landing: Landing, entries: Sequence[Entry], tested_tree: str, announce: Announce
) -> tuple[str, ...]:
    """Land ``entries`` as ``landing`` says; return sentences that a person should read.

    ``announce`` receives what is waited for.
    Raises VerdictChanged, TargetMoved or GroundError; then nothing has landed here.
    """
    repository, git = fleet.repository, fleet.repository.git
    # What lands is exactly what was tested.
    tree = tree_of(git, landing.new)
    if tree != tested_tree:
        raise AssertionError(f"{landing.new} has tree {tree}, but {tested_tree} was tested")
    with exclusive(repository.state_folder, "merge", wait_s=LOCK_WAIT_S, announce=announce):
        # The deliberate second look, under the lock: verdicts, branches and checkouts may have changed.
        snapshot = read_snapshot(fleet)
        refs = snapshot.agents
        require_verdicts(snapshot, entries)
        stale = read_stale_checkouts(repository.state_folder)
        for folder in quiet_checkouts(repository, fleet.target, snapshot.worktrees):
            note = stale.get(str(folder))
            if obstacles := can_follow(folder, note.shows if note else landing.old, landing.new):
                if name := _first_in_the_way(git, landing, obstacles):
                    raise VerdictChanged(name, wait_for_local_changes(folder, obstacles))
                raise in_the_way(folder, obstacles)
        # Pin what lands, so that no gc can take it, and make sure that none did before.
        write_approvals(fleet, entries, refs)
        pins = [
            RefUpdate(
                agent_ref(fleet.name, entry.agent.name, Kind.CANDIDATE),
                landing.agents[entry.agent.name],
                refs.get(entry.agent.name, _NO_REFS).candidate,
            )
            for entry in entries
        ]
        update(git, [pin for pin in pins if pin.new != pin.old], reason="about to land")
        # All its objects exist, and it contains the target: some commit's parent is the target's.
        walk = ("rev-list", "--objects", "--no-object-names", "--parents", landing.new, f"^{landing.old}", "--")
        objects = git.run(*walk, ok=(0, 1, 128))
        if objects.code:
            reason = objects.stderr.strip()
            raise TargetMoved(f"objects of {landing.new[:10]} are missing, removed by git gc perhaps: {reason}")
        if not any(landing.old in line.split(" ")[1:] for line in objects.lines):
            raise AssertionError(f"{landing.new} does not contain {landing.old}")
        # Journal, push, swap, follow up.
        write_journal(repository.state_folder, landing)
        _push(repository, landing, announce)
        _move_target(repository, landing)
        refs = {name: replace(refs.get(name, _NO_REFS), candidate=landing.agents[name]) for name in landing.agents}
        return _follow_up(repository, landing, refs)


def land_as_merged(fleet: Fleet, landing: Landing, announce: Announce) -> tuple[str, ...]:
    """Fast-forward the target to what the remote has, and record the agents that were merged there.

    ``announce`` receives what is waited for.
    Raises GroundError where a checkout of the target has changes in the way; then nothing has moved.
    """
    repository = fleet.repository
    if not is_ancestor(repository.git, landing.old, landing.new):
        raise AssertionError(f"{landing.new} does not contain {landing.old}")
    with exclusive(repository.state_folder, "merge", wait_s=LOCK_WAIT_S, announce=announce):
        snapshot = read_snapshot(fleet)
        stale = read_stale_checkouts(repository.state_folder)
        for folder in quiet_checkouts(repository, fleet.target, snapshot.worktrees):
            note = stale.get(str(folder))
            if obstacles := can_follow(folder, note.shows if note else landing.old, landing.new):
                raise in_the_way(folder, obstacles)
        write_journal(repository.state_folder, landing)
        _move_target(repository, landing)
        return _follow_up(repository, landing, snapshot.agents)


def wait_for_local_changes(checkout: Path, paths: Sequence[str]) -> str:
    """Return why an agent waits that changes ``paths``, in which a checkout of the target has local changes."""
    error = in_the_way(checkout, paths)
    return f"{error.message}; {error.hint}"


def _first_in_the_way(git: Git, landing: Landing, obstacles: Sequence[str]) -> AgentName | None:
    """Return the first agent that changes one of ``obstacles``, or a file below or above it; None where none does."""
    before = landing.old
    for name, commit in landing.agents.items():
        for path in changes(git, before, commit):
            if any(f"{path}/".startswith(f"{each}/") or each.startswith(f"{path}/") for each in obstacles):
                return name
        before = commit
    return None


def require_verdicts(snapshot: FleetSnapshot, entries: Sequence[Entry]) -> None:
    """Raise VerdictChanged for the first agent that may no longer land as it was tested."""
    for entry in entries:
        agent = entry.agent
        agent_refs, head = snapshot.agent_refs(agent.name), snapshot.branch_tip(agent)
        if commit_to_land(agent_refs, head) != entry.branch.tip:
            accepted = agent_refs.proposed is not None and agent_refs.approved == agent_refs.proposed
            if accepted and agent_refs.proposed_for == head:
                raise VerdictChanged(agent.name, "a proposal for it was accepted while the train ran")
            event = "it got new commits" if head else "its branch was deleted"
            raise VerdictChanged(agent.name, f"{event} while the train ran")
        decision = verdict(agent_refs, head)
        if decision not in (Verdict.APPROVED, entry.decided):
            raise VerdictChanged(agent.name, f"its verdict changed to {decision} while the train ran")


def write_approvals(fleet: Fleet, entries: Sequence[Entry], refs: Mapping[AgentName, AgentRefs]) -> None:
    """Record that ``--yes`` approves work without a verdict, at exactly the commit that lands."""
    if fleet.blueprint.merge.review is not Review.REQUIRED:
        return
    for entry in entries:
        name, tip = entry.agent.name, entry.branch.tip
        if entry.decided is not Verdict.APPROVED and refs.get(name, _NO_REFS).approved is None:
            approval = RefUpdate(agent_ref(fleet.name, name, Kind.APPROVED), tip, None)
            update(fleet.repository.git, [approval], reason="finished and green")
            fleet.ledger.record("verdict.approved", name, commit=tip, by="merge")


def _push(repository: Repository, landing: Landing, announce: Announce) -> None:
    if landing.remote is None:
        return
    announce(f"pushing {landing.target} to {landing.remote}")
    result = push(repository.git, landing.remote, landing.target, landing.remote_old, landing.new)
    if result.outcome is Pushed.DONE:
        return
    _abandon(repository, landing)
    if result.outcome is Pushed.MOVED:
        raise TargetMoved(f"{landing.remote}/{landing.target} moved to {result.tip}")
    raise GroundError(
        f"{landing.remote} declined the push to {landing.target}: {result.message}",
        hint="nothing was landed; get the right to push there, or merge without --push",
    )


def _move_target(repository: Repository, landing: Landing) -> None:
    """Move the target by compare-and-swap: the commit point."""
    move = RefUpdate(branch_ref(landing.target), landing.new, landing.old)
    try:
        update(repository.git, [move], reason=f"land {', '.join(landing.agents)}")
    except MovedError as error:
        if landing.remote is not None:  # it has landed there already
            raise _landed_on_remote_only(landing) from error
        _abandon(repository, landing)
        raise TargetMoved(str(error)) from error
    except GitError as error:
        if landing.remote is None:
            _abandon(repository, landing)
        raise GroundError(f"{landing.target} cannot be moved: {error}", hint=error.hint) from error


def _landed_on_remote_only(landing: Landing) -> GroundError:
    return GroundError(
        f"{', '.join(landing.agents)} landed on {landing.remote}, but {landing.target} moved here at the same moment",
        hint=f"bring them together: git switch {landing.target} && git pull --no-rebase {landing.remote} "
        f"{landing.target}; the next orchestra command records what landed",
    )


# -- after the target has moved ----------------------------------------------------------------------------------


def recover(repository: Repository, announce: Announce) -> tuple[str, ...]:
    """Finish or take back what a killed merge left; return sentences for a person. Takes the locks itself.

    ``announce`` receives what is waited for.
    """
    if not is_interrupted(repository.state_folder):
        return ()
    try:
        with exclusive(repository.state_folder / "train", "recover"):
            return recover_within(repository, announce)
    except LockHeld:
        return ()  # a train runs, and the journal is its own


def recover_within(repository: Repository, announce: Announce) -> tuple[str, ...]:
    """Do the same as ``recover`` for a caller that holds the train's lock."""
    if not is_interrupted(repository.state_folder):
        return ()
    with exclusive(repository.state_folder, "recover", wait_s=LOCK_WAIT_S, announce=announce):
        landing = read_journal(repository.state_folder)
        finished = _finish(repository, landing, announce) if landing else ()
        return (*finished, *update_stale_checkouts(repository))


def _finish(repository: Repository, landing: Landing, announce: Announce) -> tuple[str, ...]:
    git, refs = repository.git, read_fleet(repository.git, FleetName(landing.fleet))
    names = ", ".join(landing.agents)
    tip = resolve(git, branch_ref(landing.target))
    if tip is not None and repository.is_ancestor(landing.new, tip):
        return (f"finished landing {names}", *_follow_up(repository, landing, refs, resume=True))
    if landing.remote is not None:
        announce(f"reading {landing.target} of {landing.remote}, where a landing was interrupted")
    if landing.remote is not None and look(git, landing.remote, landing.target) == landing.new:
        if tip != landing.old:
            raise _landed_on_remote_only(landing)
        move = RefUpdate(branch_ref(landing.target), landing.new, landing.old)
        update(git, [move], reason=f"land {names}, as pushed")
        return (f"finished landing {names}", *_follow_up(repository, landing, refs))
    _abandon(repository, landing)
    return (f"took back a landing of {names} that had not started",)


def _follow_up(
    repository: Repository, landing: Landing, refs: Mapping[AgentName, AgentRefs], *, resume: bool = False
) -> tuple[str, ...]:
    """Do all that follows from the swap. Every step happens at most once, however often this is called."""
    fleet = FleetName(landing.fleet)
    ledger = Ledger(repository.state_folder / "fleets" / fleet)
    sentences = tuple(update_checkouts(repository, landing.target, landing.old, landing.new, resume=resume))
    for name, commit in landing.agents.items():
        if refs.get(name, _NO_REFS).landed is None:
            ledger.record("landed", name, commit=commit, target=landing.target)
    git, notes = repository.git, {name: landing.notes[name] for name in landing.agents if landing.notes.get(name)}
    try:
        attached = [write_notes(git, {landing.agents[name]: text for name, text in notes.items()})] if notes else []
        update(git, [*attached, *_landed_updates(fleet, landing.agents, refs)], reason="landed")
    except DiskFull:
        raise
    except GroundError:  # one of these refs is in the way: write each by itself, since the work has landed all the same
        for name, commit in landing.agents.items():
            try:
                update(git, [write_notes(git, {commit: notes[name]})] if name in notes else [], reason="add a note")
            except GroundError as error:
                sentences += (f"the notes of {name} are not attached to {commit[:10]}: {error}",)
            try:
                update(git, _landed_updates(fleet, {name: commit}, read_fleet(git, fleet)), reason="landed")
            except GroundError as error:
                sentences += (f"{name} landed as {commit[:10]}, which cannot be recorded: {error}",)
    delete_journal(repository.state_folder)
    return sentences


def _landed_updates(
    fleet: FleetName, commits: Mapping[AgentName, CommitId], refs: Mapping[AgentName, AgentRefs]
) -> list[RefUpdate]:
    """Write ``landed`` and delete ``candidate``. Git deletes last, so that one of them always holds the work."""
    updates = []
    for agent, commit in commits.items():
        agent_refs = refs.get(agent, _NO_REFS)
        updates.append(RefUpdate(agent_ref(fleet, agent, Kind.LANDED), commit, agent_refs.landed))
        updates.append(RefUpdate(agent_ref(fleet, agent, Kind.CANDIDATE), None, agent_refs.candidate))
    return updates


def _abandon(repository: Repository, landing: Landing) -> None:
    """Delete the pins and the journal of a landing that did not happen."""
    fleet = FleetName(landing.fleet)
    refs = read_fleet(repository.git, fleet)
    held = {name: commit for name, commit in landing.agents.items() if refs.get(name, _NO_REFS).candidate == commit}
    pins = [RefUpdate(agent_ref(fleet, name, Kind.CANDIDATE), None, commit) for name, commit in held.items()]
    update(repository.git, pins, reason="did not land")
    delete_journal(repository.state_folder)


def find_unrecorded_landings(snapshot: FleetSnapshot) -> Mapping[AgentName, CommitId]:
    """Return the agents whose ``candidate`` the target contains: they landed, even if the journal was lost."""
    target, git = snapshot.target_tip, snapshot.fleet.repository.git
    pinned = {
        name: refs.candidate
        for name, refs in snapshot.agents.items()
        if refs.candidate is not None and refs.landed is None
    }
    return {name: commit for name, commit in pinned.items() if target and is_ancestor(git, commit, target)}


def record_landings(fleet: Fleet, commits: Mapping[AgentName, CommitId], announce: Announce) -> None:
    """Write the ``landed`` refs of agents whose commits the target contains."""
    git = fleet.repository.git
    with exclusive(fleet.repository.state_folder, "recover", wait_s=LOCK_WAIT_S, announce=announce):
        for name, commit in commits.items():
            fleet.ledger.record("landed", name, commit=commit, target=fleet.target)
        update(git, _landed_updates(fleet.name, commits, read_fleet(git, fleet.name)), reason="landed")
