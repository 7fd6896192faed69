"""Landing: the one commit point, and everything that follows from it.

The order (facts/merge.md 2.5): ``candidate`` refs pin the commits; the intent is written; with a remote to push to, the
push; the compare-and-swap of the target; checkouts of it are brought along; ``landed`` refs, notes and the ledger are
written; the intent goes. Whatever a kill cuts off is derived again by ``settle`` from the refs and the intent.

Invariant: the target moves only by compare-and-swap, only forward, only to a commit whose very tree was tested green;
an agent lands only at the tip that was tested, under a verdict that still stands at that moment. Refuses: a checkout
whose work is in the way, verdicts that changed, a remote that moved.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from orchestra.blueprint.model import AgentName, FleetName, Review
from orchestra.errors import GitError, GroundError, MovedError
from orchestra.fleet import Fleet
from orchestra.git.ancestry import is_ancestor
from orchestra.git.checkout import can_follow, in_the_way
from orchestra.git.git_process import Git
from orchestra.git.lock import exclusive
from orchestra.git.refs import (
    NOTES,
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
from orchestra.git.tree_diff import tree_of
from orchestra.ledger import Ledger
from orchestra.review.verdicts import Verdict, commit_to_land, verdict
from orchestra.train.entries import Passenger
from orchestra.train.landing_journal import Intent, drop_intent, read_intent, write_intent
from orchestra.train.stale_checkouts import behind, bring_along, catch_up
from orchestra.train.target_checks import quiet_checkouts

_WAIT_S = 60.0


class VerdictChanged(Exception):  # noqa: N818 - a turn of events inside the train
    """An agent may not land as it was tested: ``reason`` is why."""

    def __init__(self, agent: AgentName, reason: str) -> None:
        super().__init__(f"{agent}: {reason}")
        self.agent, self.reason = agent, reason


class TargetMoved(Exception):  # noqa: N818
    """The target moved, here or on the remote, or candidates were lost: they are to be built again."""


@dataclass(frozen=True, slots=True)
class Landing:
    """What is to land. ``commits``: each passenger's commit, in order; the last is the target's new value.

    ``old`` is the target's branch here, ``remote_old`` the remote's. ``tested`` is the tree whose gates were green.
    """

    old: CommitId
    remote_old: CommitId | None
    commits: tuple[tuple[Passenger, CommitId], ...]
    tested: str
    push: bool

    @property
    def new(self) -> CommitId:
        return self.commits[-1][1]


def land(fleet: Fleet, landing: Landing) -> tuple[str, ...]:
    """Land it; sentences about what a person should know. Raises VerdictChanged, TargetMoved, or GroundError."""
    git = fleet.repository.git
    _require_proof(git, landing)
    with exclusive(fleet.repository.state_folder, "merge", wait_s=_WAIT_S):
        refs = read_fleet(git, fleet.name)
        _require_verdicts(fleet, landing, refs)
        _require_clear_checkouts(fleet, landing)
        _write_approvals(fleet, landing, refs)
        _pin(fleet, landing, refs)
        _require_whole(git, landing)
        intent = _intend(fleet, landing)
        _push(fleet, intent)
        _swap(fleet, intent)
        return _follow_up(fleet.repository, intent)


# -- before ------------------------------------------------------------------------------------------------------


def _require_proof(git: Git, landing: Landing) -> None:
    """What lands was tested exactly as it lands (law 2), and holds what the target has."""
    tree = tree_of(git, landing.new)
    if tree != landing.tested:
        raise AssertionError(f"{landing.new} has tree {tree}, but {landing.tested} was tested")
    if not is_ancestor(git, landing.old, landing.new):
        raise AssertionError(f"{landing.new} does not contain {landing.old}")


def _require_verdicts(fleet: Fleet, landing: Landing, refs: Mapping[AgentName, AgentRefs]) -> None:
    for passenger, _ in landing.commits:
        agent = passenger.agent
        own = refs.get(agent.name, AgentRefs())
        head = fleet.repository.branch_tip(agent.branch)
        if commit_to_land(own, head) != passenger.branch.tip:
            taken = own.proposed is not None and own.approved == own.proposed and own.proposed_for == head
            what = "had a proposal taken" if taken else "was committed to" if head else "lost its branch"
            raise VerdictChanged(agent.name, f"it {what} while the train ran")
        now = verdict(own, head)
        if now not in (Verdict.APPROVED, passenger.decided):
            raise VerdictChanged(agent.name, f"its verdict changed to {now} while the train ran")


def _require_clear_checkouts(fleet: Fleet, landing: Landing) -> None:
    shown = behind(fleet.repository.state_folder)
    for folder in quiet_checkouts(fleet.repository, fleet.target):
        note = shown.get(str(folder))
        obstacles = can_follow(folder, note.shows if note else landing.old, landing.new)
        if obstacles:
            raise in_the_way(folder, obstacles)


def _write_approvals(fleet: Fleet, landing: Landing, refs: Mapping[AgentName, AgentRefs]) -> None:
    """Where a person's word is required, work that lands by ``--yes`` is approved by it, at exactly this commit."""
    if fleet.blueprint.merge.review is not Review.REQUIRED:
        return
    for passenger, _ in landing.commits:
        name = passenger.agent.name
        if passenger.decided is not Verdict.APPROVED and refs.get(name, AgentRefs()).approved is None:
            ref = agent_ref(fleet.name, name, Kind.APPROVED)
            update(fleet.repository.git, [RefUpdate(ref, passenger.branch.tip, None)], reason="finished and green")
            fleet.ledger.record("verdict.approved", name, commit=passenger.branch.tip, by="merge")


def _pin(fleet: Fleet, landing: Landing, refs: Mapping[AgentName, AgentRefs]) -> None:
    """From here on no ``gc`` can take what is about to land."""
    for passenger, commit in landing.commits:
        name = passenger.agent.name
        ref = agent_ref(fleet.name, name, Kind.CANDIDATE)
        pin = RefUpdate(ref, commit, refs.get(name, AgentRefs()).candidate)
        update(fleet.repository.git, [pin], reason="about to land")


def _require_whole(git: Git, landing: Landing) -> None:
    """Every object of what lands is there: a ``gc --prune=now`` may have taken some before they were pinned."""
    done = git.run("rev-list", "--objects", "--quiet", landing.new, f"^{landing.old}", "--", ok=(0, 1, 128))
    if done.code:
        raise TargetMoved(f"objects of {landing.new[:10]} are gone (git gc?): {done.stderr.strip()}")


def _intend(fleet: Fleet, landing: Landing) -> Intent:
    """Write down what is about to happen."""
    agents = {passenger.agent.name: commit for passenger, commit in landing.commits}
    notes = {passenger.agent.name: passenger.notes for passenger, _ in landing.commits if passenger.notes}
    remote = fleet.remote if landing.push else None
    intent = Intent(
        fleet.name,
        fleet.target,
        landing.old,
        landing.new,
        {str(name): commit for name, commit in agents.items()},
        {str(name): text for name, text in notes.items()},
        remote,
        landing.remote_old if remote else None,
    )
    write_intent(fleet.repository.state_folder, intent)
    return intent


def _push(fleet: Fleet, intent: Intent) -> None:
    if intent.remote is None:
        return
    done = push(fleet.repository.git, intent.remote, intent.target, intent.remote_old, intent.new)
    if done.outcome is Pushed.DONE:
        return
    _abandon(fleet.repository, intent)
    if done.outcome is Pushed.MOVED:
        raise TargetMoved(f"{intent.remote}/{intent.target} moved to {done.tip}")
    raise GroundError(
        f"{intent.remote} declines the push to {intent.target}: {done.message}",
        hint="nothing was landed; give it the right to push there, or merge without --push",
    )


def _swap(fleet: Fleet, intent: Intent) -> None:
    """The commit point."""
    move = RefUpdate(branch_ref(intent.target), intent.new, intent.old)
    try:
        update(fleet.repository.git, [move], reason=f"land {', '.join(intent.agents)}")
    except MovedError as error:
        if intent.remote is not None:  # it has landed there already
            raise _only_there(intent) from error
        _abandon(fleet.repository, intent)
        raise TargetMoved(str(error)) from error
    except GitError as error:
        if intent.remote is None:
            _abandon(fleet.repository, intent)
        told = next(iter(error.stderr.splitlines()), str(error))
        raise GroundError(f"{intent.target} cannot be moved: {told}", hint=error.hint) from error


def _only_there(intent: Intent) -> GroundError:
    return GroundError(
        f"{', '.join(intent.agents)} landed on {intent.remote}, but {intent.target} moved here at the same moment",
        hint=f"bring them together: git switch {intent.target} && git pull --rebase {intent.remote} {intent.target}; "
        "the next orchestra command notes what landed",
    )


# -- after -------------------------------------------------------------------------------------------------------


def settle(repository: Repository) -> tuple[str, ...]:
    """Finish, or take back, what a killed landing left open, and checkouts that could not be brought along.

    The caller holds both locks. Done twice it is nothing.
    """
    intent = read_intent(repository.state_folder)
    finished = _finish(repository, intent) if intent else ()
    return (*finished, *catch_up(repository))


def _finish(repository: Repository, intent: Intent) -> tuple[str, ...]:
    git = repository.git
    now = resolve(git, branch_ref(intent.target))
    if now is not None and repository.is_ancestor(intent.new, now):
        return (f"finished landing {', '.join(intent.agents)}", *_follow_up(repository, intent, resume=True))
    if intent.remote is not None and look(git, intent.remote, intent.target) == intent.new:
        if now != intent.old:
            raise _only_there(intent)
        move = RefUpdate(branch_ref(intent.target), intent.new, intent.old)
        update(git, [move], reason=f"land {', '.join(intent.agents)}, as pushed")
        return (f"finished landing {', '.join(intent.agents)}", *_follow_up(repository, intent))
    _abandon(repository, intent)
    return (f"took back a landing of {', '.join(intent.agents)} that had not begun",)


def _follow_up(repository: Repository, intent: Intent, *, resume: bool = False) -> tuple[str, ...]:
    """All that follows from the swap. Every step is done at most once, however often this is called."""
    told = [*bring_along(repository, intent.target, intent.old, intent.new, resume=resume)]
    ledger = Ledger(repository.state_folder / "fleets" / intent.fleet)
    refs = read_fleet(repository.git, FleetName(intent.fleet))
    for name, commit in intent.agents.items():
        own = refs.get(AgentName(name), AgentRefs())
        _note(repository.git, commit, intent.notes.get(name))
        if own.landed is None:
            ledger.record("landed", name, commit=commit, target=intent.target)
        _mark_landed(repository.git, intent, AgentName(name), own)
    drop_intent(repository.state_folder)
    return tuple(told)


def _mark_landed(git: Git, intent: Intent, agent: AgentName, own: AgentRefs) -> None:
    """``landed`` first, ``candidate`` after: at every moment one of them says where the work is."""
    fleet = FleetName(intent.fleet)
    commit = intent.agents[agent]
    if own.landed != commit:
        landed = RefUpdate(agent_ref(fleet, agent, Kind.LANDED), commit, own.landed)
        update(git, [landed], reason="landed")
    if own.candidate is not None:
        update(git, [RefUpdate(agent_ref(fleet, agent, Kind.CANDIDATE), None, own.candidate)], reason="landed")


def _note(git: Git, commit: CommitId, text: str | None) -> None:
    """What the agent said of its work, kept with the commit that landed."""
    if not text:
        return
    known = git.run("var", "GIT_COMMITTER_IDENT", ok=(0, 128)).code == 0
    who = {f"GIT_{role}_{part}": "orchestra" for role in ("AUTHOR", "COMMITTER") for part in ("NAME", "EMAIL")}
    writer = git if known else git.with_env(**who)
    data = text.encode("utf-8", "surrogateescape")
    writer.run("notes", f"--ref={NOTES}", "add", "-f", "-F", "-", commit, stdin=data)


def _abandon(repository: Repository, intent: Intent) -> None:
    """It did not happen: unpin, and forget."""
    refs = read_fleet(repository.git, FleetName(intent.fleet))
    for name, commit in intent.agents.items():
        if refs.get(AgentName(name), AgentRefs()).candidate == commit:
            ref = agent_ref(FleetName(intent.fleet), AgentName(name), Kind.CANDIDATE)
            update(repository.git, [RefUpdate(ref, None, commit)], reason="did not land")
    drop_intent(repository.state_folder)


def derive_landed(fleet: Fleet, target: CommitId) -> Mapping[AgentName, CommitId]:
    """Agents whose ``candidate`` the target holds: they landed, whatever else was lost (the intent, say)."""
    refs = read_fleet(fleet.repository.git, fleet.name)
    pinned = {name: own.candidate for name, own in refs.items() if own.candidate is not None and own.landed is None}
    return {name: c for name, c in pinned.items() if fleet.repository.is_ancestor(c, target)}


def mark_derived(fleet: Fleet, found: Mapping[AgentName, CommitId]) -> None:
    """Write ``landed`` for what ``derive_landed`` found."""
    refs = read_fleet(fleet.repository.git, fleet.name)
    target = fleet.target_tip() or CommitId("")
    for name, commit in found.items():
        intent = Intent(fleet.name, fleet.target, target, target, {str(name): commit}, {})
        fleet.ledger.record("landed", name, commit=commit, target=fleet.target)
        _mark_landed(fleet.repository.git, intent, name, refs[name])
