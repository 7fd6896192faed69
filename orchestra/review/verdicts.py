"""What a person decided about an agent's work: approve, request changes, discard.

Invariant: a verdict is a ref, moved by compare-and-swap, and an approval names one exact commit: the branch's tip, or a
proposal that was made for that tip. Any other tip, and any other proposal, makes it stale. Refuses to judge what has
landed or does not exist, and never touches an agent's branch.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from orchestra.blueprint.model import Agent, AgentName
from orchestra.errors import GroundError, UsageError
from orchestra.files import read_regular, write_below
from orchestra.fleet import Fleet
from orchestra.git.refs import AgentRefs, CommitId, Kind, RefUpdate, agent_ref, read_fleet, update


class Verdict(StrEnum):
    NONE = "none"  # nobody decided yet
    APPROVED = "approved"  # the branch is at exactly the commit that was approved, or that a proposal taken is for
    STALE = "stale"  # it was approved, and then the branch moved
    CHANGES_REQUESTED = "changes-requested"  # sent back with a message
    DISCARDED = "discarded"  # out; its head is kept


@dataclass(frozen=True, slots=True)
class Decision:
    """What a verdict did: the commit it is about, and lines that a person should read."""

    agent: AgentName
    verdict: Verdict
    commit: CommitId
    remarks: tuple[str, ...] = ()


def verdict(refs: AgentRefs, head: CommitId | None) -> Verdict:
    """The verdict in force for a branch at ``head``. Pure. A landed agent keeps the verdict that landed it."""
    if refs.discarded is not None:
        return Verdict.DISCARDED
    if refs.changes_requested is not None:
        return Verdict.CHANGES_REQUESTED
    if refs.approved is None:
        return Verdict.NONE
    approved = refs.approved == commit_to_land(refs, head) or refs.landed is not None
    return Verdict.APPROVED if approved else Verdict.STALE


def commit_to_land(refs: AgentRefs, head: CommitId | None) -> CommitId | None:
    """What is to land for a branch at ``head``: the proposal for it that a person took, else ``head`` itself. Pure."""
    taken = refs.approved is not None and refs.approved == refs.proposed
    return refs.approved if taken and head is not None and refs.proposed_for == head else head


def approve(fleet: Fleet, agent: Agent, *, proposal: bool = False) -> Decision:
    """Pin the branch's tip, or the ``proposal`` for it, as what may land; what is not committed is named."""
    refs, head = _judged(fleet, agent)
    if refs.base == head:
        raise UsageError(f"{agent.name} has no commits to approve", hint=f"look at {fleet.worktree(agent)}")
    commit = require_proposal(agent, refs, head) if proposal else head
    # Withdrawn first: a kill between the two leaves no verdict rather than two.
    _move(fleet, agent, _Move(Kind.CHANGES_REQUESTED, refs.changes_requested, None), "approve")
    _move(fleet, agent, _Move(Kind.APPROVED, refs.approved, commit), "approve")
    fleet.ledger.record("verdict.approved", agent.name, commit=commit, proposal=proposal)
    return Decision(agent.name, Verdict.APPROVED, commit, _unfinished(fleet, agent))


def require_proposal(agent: Agent, refs: AgentRefs, head: CommitId | None) -> CommitId:
    """The proposal for a branch at ``head``. UsageError where there is none, or only one for another head."""
    again = f"orchestra rebase-and-test {agent.name} tries for one, where merge.proposals names what may make it"
    if refs.proposed is None:
        raise UsageError(f"there is no proposal for {agent.name}", hint=again)
    if refs.proposed_for != head:
        made_for = (refs.proposed_for or "")[:10]
        raise UsageError(f"the proposal for {agent.name} is for {made_for}, and its branch has moved", hint=again)
    return refs.proposed


def request_changes(fleet: Fleet, agent: Agent, message: str) -> Decision:
    """Send the work back: the message goes into TASK.md, the ledger and a tag object under the agent's refs."""
    if not message.strip():
        raise UsageError("a request for changes needs a message", hint='--message "what is to change"')
    refs, head = _judged(fleet, agent)
    _append_to_task(fleet, agent, head, message)
    _move(fleet, agent, _Move(Kind.APPROVED, refs.approved, None), "request changes")
    tag = _tag(fleet, agent, head, message)
    _move(fleet, agent, _Move(Kind.CHANGES_REQUESTED, refs.changes_requested, tag), "request changes")
    fleet.ledger.record("verdict.changes-requested", agent.name, commit=head, message=message)
    return Decision(agent.name, Verdict.CHANGES_REQUESTED, head)


def discard(fleet: Fleet, agent: Agent, reason: str) -> Decision:
    """Take the work out. Its head stays under a ref, and the remarks say how to bring it back."""
    if not reason.strip():
        raise UsageError("a discard needs a reason", hint='--reason "why it is not wanted"')
    refs, head = _judged(fleet, agent)
    kept = agent_ref(fleet.name, agent.name, Kind.DISCARDED)
    _move(fleet, agent, _Move(Kind.DISCARDED, None, head), f"discard: {reason}")
    _move(fleet, agent, _Move(Kind.APPROVED, refs.approved, None), "discard")
    _move(fleet, agent, _Move(Kind.CHANGES_REQUESTED, refs.changes_requested, None), "discard")
    fleet.ledger.record("verdict.discarded", agent.name, commit=head, reason=reason)
    remarks = (
        f"its head is kept as {kept}",
        f"to bring it back while its branch is there: git update-ref -d {kept}",
        f"to bring it back after clean: git branch {agent.branch} {kept} && git update-ref -d {kept} "
        f"&& orchestra spawn --agents {agent.name}",
    )
    return Decision(agent.name, Verdict.DISCARDED, head, remarks)


def requested_changes(fleet: Fleet, agent: Agent) -> str | None:
    """The message of the request for changes that is in force, or None."""
    ref = agent_ref(fleet.name, agent.name, Kind.CHANGES_REQUESTED)
    found = fleet.repository.git.run("cat-file", "tag", ref, ok=(0, 1, 128))
    return found.text.partition("\n\n")[2].strip() or None if found.code == 0 else None


def _judged(fleet: Fleet, agent: Agent) -> tuple[AgentRefs, CommitId]:
    """The agent's refs and the tip of its branch, if there is something to judge."""
    refs = read_fleet(fleet.repository.git, fleet.name).get(agent.name, AgentRefs())
    if refs.base is None:
        raise UsageError(f"{agent.name} was not spawned", hint=f"orchestra spawn --agents {agent.name}")
    if refs.landed is not None:
        raise UsageError(f"{agent.name} has landed as {refs.landed[:10]}; what landed is not judged again")
    if refs.discarded is not None:
        kept = agent_ref(fleet.name, agent.name, Kind.DISCARDED)
        raise UsageError(f"{agent.name} was discarded", hint=f"to bring it back: git update-ref -d {kept}")
    head = fleet.repository.branch_tip(agent.branch)
    if head is None:
        raise GroundError(f"branch {agent.branch} of {agent.name} is gone", hint=f"git branch {agent.branch} COMMIT")
    return refs, head


@dataclass(frozen=True, slots=True)
class _Move:
    kind: Kind
    old: CommitId | None
    new: CommitId | None


def _move(fleet: Fleet, agent: Agent, move: _Move, reason: str) -> None:
    ref, old = agent_ref(fleet.name, agent.name, move.kind), move.old
    if move.kind is Kind.CHANGES_REQUESTED and old is not None:  # a tag object, while AgentRefs tells the commit
        old = CommitId(fleet.repository.git.text("rev-parse", "--verify", ref))
    update(fleet.repository.git, [RefUpdate(ref, move.new, old)], reason=reason)


def _tag(fleet: Fleet, agent: Agent, head: CommitId, message: str) -> CommitId:
    git = fleet.repository.git
    # A made-up identity where the user has none: a verdict must not fail on an empty git config.
    who = git.run("var", "GIT_COMMITTER_IDENT", ok=(0, 128))
    ident = who.text if who.code == 0 else f"orchestra <orchestra@localhost> {int(time.time())} +0000"
    head_lines = f"object {head}\ntype commit\ntag {agent.name}-changes-requested\ntagger {ident}\n\n"
    return CommitId(git.text("mktag", stdin=(head_lines + message.strip() + "\n").encode()))


def _append_to_task(fleet: Fleet, agent: Agent, head: CommitId, message: str) -> None:
    task = fleet.worktree(agent) / "TASK.md"
    if not task.parent.is_dir():
        raise GroundError(
            f"the worktree of {agent.name} is gone", hint=f"orchestra spawn --agents {agent.name} makes it again"
        )
    # The agent may have put a link, a pipe or an endless file in its place; then the text that was rendered counts.
    rendered = fleet.agent_folder(agent.name) / "rendered" / "TASK.md"
    content = read_regular(task, most=_LONGEST_TASK + 1)
    if content is None or len(content) > _LONGEST_TASK:
        content = read_regular(rendered, most=_LONGEST_TASK) or b""
    text = content.decode("utf-8", "surrogateescape")
    section = f"\n## Changes requested on {head[:10]}\n\n{message.strip()}\n"
    if not text.endswith(section):  # a killed call may have written it already
        write_below(task.parent, task.name, text + section)


def _unfinished(fleet: Fleet, agent: Agent) -> tuple[str, ...]:
    """What a person who approves should know is not part of it."""
    folder = fleet.worktree(agent)
    if not folder.is_dir():
        return ()
    dirty = uncommitted_paths(fleet, agent)
    if not dirty:
        return ()
    more = len(dirty) - _SHOWN
    shown = ", ".join(dirty[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
    return (f"not part of it, since it is not committed: {shown} (in {folder})",)


_SHOWN = 3
_LONGEST_TASK = 1 << 20  # bytes


def uncommitted_paths(fleet: Fleet, agent: Agent) -> Sequence[str]:
    """Paths in the agent's worktree that differ from its head or are untracked and not ignored."""
    git = fleet.repository.at(fleet.worktree(agent)).with_env(GIT_OPTIONAL_LOCKS="0")
    fields = git.run("status", "--porcelain=v1", "-z", "--untracked-files=normal", "--no-renames").fields
    return [field[3:] for field in fields]
