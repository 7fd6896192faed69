"""Verdicts of a person on an agent's work; ``approval`` has the one that lets it land.

A verdict is a ref, moved by compare-and-swap. An approval names one exact commit: the branch's tip, or a proposal that
was made for that tip. Any other tip, and any other proposal, makes it stale. An agent's branch is never touched.
"""

from __future__ import annotations

import shlex
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from orchestra.blueprint.model import Agent, AgentName
from orchestra.errors import GroundError, UsageError
from orchestra.files import read_regular, write_below
from orchestra.fleet import Fleet
from orchestra.git.refs import (
    PREFIX,
    AgentRefs,
    CommitId,
    Kind,
    RefName,
    RefUpdate,
    agent_ref,
    branch_ref,
    group_by_agent,
    read_refs,
    update,
)
from orchestra.review.verdict_giver import given_by

_SHORTEST_ID = 7
_LONGEST_TASK = 1 << 20  # bytes


class Verdict(StrEnum):
    NONE = "none"  # no decision yet
    APPROVED = "approved"  # the branch is at the approved commit, or at the one of the approved proposal
    STALE = "stale"  # it was approved, and then the branch moved
    CHANGES_REQUESTED = "changes-requested"  # sent back with a message, and nothing was committed since
    ANSWERED = "answered"  # changes were requested, and the branch has moved since: to be reviewed again
    DISCARDED = "discarded"  # taken out; its head is kept


@dataclass(frozen=True, slots=True)
class Decision:
    """The result of a verdict: the commit it is about, and lines that a person should read.

    ``is_refused``: approved work that a built-in gate will refuse as it is.
    """

    agent: AgentName
    verdict: Verdict
    commit: CommitId
    remarks: tuple[str, ...] = ()
    is_refused: bool = False


def verdict(refs: AgentRefs, head: CommitId | None) -> Verdict:
    """Return the verdict in force for a branch at ``head``. Pure. A landed agent keeps the verdict that landed it."""
    if refs.discarded is not None:
        return Verdict.DISCARDED
    if refs.changes_requested is not None:
        return Verdict.CHANGES_REQUESTED if head in (refs.changes_requested, None) else Verdict.ANSWERED
    if refs.approved is None:
        return Verdict.NONE
    approved = refs.approved == commit_to_land(refs, head) or refs.landed is not None
    return Verdict.APPROVED if approved else Verdict.STALE


def commit_to_land(refs: AgentRefs, head: CommitId | None) -> CommitId | None:
    """Return what is to land for a branch at ``head``: the approved proposal for it, else ``head`` itself. Pure."""
    accepted = refs.approved is not None and refs.approved == refs.proposed
    return refs.approved if accepted and head is not None and refs.proposed_for == head else head


def require_proposal(agent: Agent, refs: AgentRefs, head: CommitId | None) -> CommitId:
    """Return the proposal for a branch at ``head``. UsageError where there is none, or only one for another head."""
    hint = f"orchestra rebase-and-test {agent.name} looks for one, where merge.proposals names a method"
    if refs.proposed is None:
        raise UsageError(f"there is no proposal for {agent.name}", hint=hint)
    if refs.proposed_for != head:
        made_for = (refs.proposed_for or "")[:10]
        raise UsageError(f"the proposal for {agent.name} is for {made_for}, and its branch has moved", hint=hint)
    return refs.proposed


def request_changes(fleet: Fleet, agent: Agent, message: str, *, reviewed: str | None = None) -> Decision:
    """Send the work back: the message goes into TASK.md, the ledger and a tag object under the agent's refs."""
    if not message.strip():
        raise UsageError(
            "a request for changes needs a message", hint=f"orchestra request-changes {agent.name} 'MESSAGE'"
        )
    refs, head = require_undecided(fleet, agent, reviewed)
    _require_not_landed(agent, refs)
    folder = fleet.worktree(agent)
    if not agent.adopted and not folder.is_dir():
        raise GroundError(
            f"the worktree of {agent.name} does not exist", hint=f"orchestra spawn {agent.name} creates it"
        )
    if not agent.adopted:  # no file is written into the worktree of another author
        _append_request(fleet, agent, folder, f"\n## Changes requested on {head[:10]}\n\n{message.strip()}\n")
    change_ref(fleet, agent, Kind.APPROVED, refs.approved, None, reason="request changes")
    git = fleet.repository.git
    # An identity of our own where the user has none: a verdict must not fail on an empty git configuration.
    user = git.run("var", "GIT_COMMITTER_IDENT", ok=(0, 128))
    tagger = user.text if user.code == 0 else f"orchestra <orchestra@localhost> {int(time.time())} +0000"
    lines = f"object {head}\ntype commit\ntag {agent.name}-changes-requested\ntagger {tagger}\n\n{message.strip()}\n"
    tag = CommitId(git.text("mktag", stdin=lines.encode("utf-8", "surrogateescape")))
    change_ref(fleet, agent, Kind.CHANGES_REQUESTED, refs.changes_requested, tag, reason="request changes")
    fleet.ledger.record("verdict.changes-requested", agent.name, commit=head, message=message, **given_by())
    return Decision(agent.name, Verdict.CHANGES_REQUESTED, head)


def _append_request(fleet: Fleet, agent: Agent, folder: Path, section: str) -> None:
    """Append a request for changes to the TASK.md of the agent's worktree, unless it ends with it."""
    # The agent may have put a link, a pipe or an endless file in its place; then the text that was rendered counts.
    content = read_regular(folder / "TASK.md", most=_LONGEST_TASK + 1)
    if content is None or len(content) > _LONGEST_TASK:
        rendered = fleet.agent_folder(agent.name) / "rendered" / "TASK.md"
        content = read_regular(rendered, most=_LONGEST_TASK) or b""
    text = content.decode("utf-8", "surrogateescape")
    if not text.endswith(section):  # a killed call may have written it already
        write_below(folder, "TASK.md", text + section)


def discard(fleet: Fleet, agent: Agent, reason: str, *, reviewed: str | None = None) -> Decision:
    """Take the work out. Its head stays under a ref, and the remarks say how to bring it back."""
    if not reason.strip():
        raise UsageError("a discard needs a reason", hint=f"orchestra discard {agent.name} 'REASON'")
    refs, head = require_undecided(fleet, agent, reviewed, or_discarded=True)
    _require_not_landed(agent, refs)
    ref = agent_ref(fleet.name, agent.name, Kind.DISCARDED)
    # A kill between two moves leaves no verdict rather than two: restore deletes only this one.
    change_ref(fleet, agent, Kind.APPROVED, refs.approved, None, reason="discard")
    change_ref(fleet, agent, Kind.CHANGES_REQUESTED, refs.changes_requested, None, reason="discard")
    change_ref(fleet, agent, Kind.DISCARDED, refs.discarded, head, reason=f"discard: {reason}")
    fleet.ledger.record("verdict.discarded", agent.name, commit=head, reason=reason, **given_by())
    remarks = (
        f"its head is kept as {ref}",
        f"its branch {agent.branch} stays as it is; to take it in again: orchestra restore {agent.name}"
        if agent.adopted
        else f"to bring it back, also after clean: orchestra restore {agent.name}",
    )
    return Decision(agent.name, Verdict.DISCARDED, head, remarks)


def requested_changes(fleet: Fleet, agent: Agent) -> str | None:
    """Return the message of the request for changes that is in force, or None."""
    ref = agent_ref(fleet.name, agent.name, Kind.CHANGES_REQUESTED)
    tag = fleet.repository.git.run("cat-file", "tag", ref, ok=(0, 1, 128))
    return tag.text.partition("\n\n")[2].strip() or None if tag.code == 0 else None


def uncommitted_paths(fleet: Fleet, agent: Agent) -> Sequence[str]:
    """Return paths in the agent's worktree that differ from its head, or are untracked and not ignored."""
    git = fleet.repository.at(fleet.worktree(agent)).with_env(GIT_OPTIONAL_LOCKS="0")
    fields = git.run("status", "--porcelain=v1", "-z", "--untracked-files=normal", "--no-renames").fields
    return [field[3:] for field in fields]


def require_undecided(
    fleet: Fleet,
    agent: Agent,
    reviewed: str | None,
    all_refs: Mapping[RefName, CommitId] | None = None,
    *,
    or_discarded: bool = False,
) -> tuple[AgentRefs, CommitId]:
    """Return the agent's refs and its branch's tip; ``all_refs`` None: read them.

    ``or_discarded``: an agent that was discarded at its branch's tip counts as undecided, so that a discard which was
    killed can be run again.

    Raises where it was not spawned or was discarded, and where it has no branch or one at another commit.
    """
    branch = branch_ref(agent.branch)
    if all_refs is None:
        all_refs = read_refs(fleet.repository.git, [f"{PREFIX}{fleet.name}/{agent.name}/", branch])
    refs = group_by_agent(all_refs, fleet.name).get(agent.name, AgentRefs())
    if refs.base is None:
        fix = f"adopt {shlex.quote(agent.branch)}" if agent.adopted else f"spawn {agent.name}"
        raise UsageError(f"{agent.name} was not spawned", hint=f"orchestra {fix}")
    head = all_refs.get(branch)
    if refs.discarded is not None and not (or_discarded and refs.discarded == head):
        raise UsageError(f"{agent.name} was discarded", hint=f"to bring it back: orchestra restore {agent.name}")
    if head is None:
        hint = f"its base is {refs.base[:10]}; if you know the last commit: git branch {agent.branch} COMMIT"
        raise GroundError(f"branch {agent.branch} of {agent.name} does not exist", hint=hint)
    if reviewed is not None and len(reviewed) < _SHORTEST_ID:
        raise UsageError(f"{reviewed!r} is too short for a commit", hint=f"give at least {_SHORTEST_ID} digits of it")
    if reviewed is not None and not head.startswith(reviewed.lower()):
        raise UsageError(
            f"{agent.branch} is at {head[:12]}, not at {reviewed}: it has moved since you looked",
            hint=f"orchestra review {agent.name}, then orchestra approve {agent.name}@{head[:12]}",
        )
    return refs, head


def _require_not_landed(agent: Agent, refs: AgentRefs) -> None:
    if refs.landed is not None:
        raise UsageError(
            f"{agent.name} has landed as {refs.landed[:10]}",
            hint=f"new commits on {agent.branch} can be approved: orchestra approve {agent.name}",
        )


def change_ref(
    fleet: Fleet, agent: Agent, kind: Kind, old: CommitId | None, new: CommitId | None, *, reason: str
) -> None:
    """Move one of an agent's refs from ``old`` to ``new``; None: it does not exist."""
    if old == new:
        return
    ref = agent_ref(fleet.name, agent.name, kind)
    if kind is Kind.CHANGES_REQUESTED and old is not None:  # a tag object, while AgentRefs has the commit
        old = CommitId(fleet.repository.git.text("rev-parse", "--verify", ref))
    update(fleet.repository.git, [RefUpdate(ref, new, old)], reason=reason)
