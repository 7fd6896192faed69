"""The branch that merge pushes for a pull request, and the record of what was pushed there last.

The record is an annotated tag object under ``refs/orchestra/_train/FLEET/``: it peels to the pushed commit, and its
message says which agents are in it, each with its commit there and the commit that was approved. ``pushing`` is written
before a push and becomes ``pushed`` after it, so that after a kill the remote decides which of the two holds.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from orchestra.blueprint.model import AgentName, FleetName
from orchestra.git.git_process import Git
from orchestra.git.refs import PREFIX, CommitId, RefName, RefUpdate, update


@dataclass(frozen=True, slots=True)
class PushedAgent:
    """``commit``: its last commit in what was pushed; ``tip``: the commit of its branch that was tested."""

    commit: CommitId
    tip: CommitId
    notes: str | None = None


@dataclass(frozen=True, slots=True)
class PushedTrain:
    """``commit`` is built on ``base``, a commit of the remote's target. ``agents`` are in landing order."""

    commit: CommitId
    base: CommitId
    agents: Mapping[AgentName, PushedAgent]


def train_branch(fleet: FleetName) -> str:
    """Return the one branch that merge pushes for a pull request."""
    return f"orchestra/{fleet}/train"


def pushed_ref(fleet: FleetName) -> RefName:
    """Return the ref of what the remote has; no fleet's name begins with an underscore."""
    return RefName(f"{PREFIX}_train/{fleet}/pushed")


def pushing_ref(fleet: FleetName) -> RefName:
    """Return the ref of what is being pushed."""
    return RefName(f"{PREFIX}_train/{fleet}/pushing")


def read_pushed(git: Git, ref: RefName) -> PushedTrain | None:
    """Return a record; None where there is none, or where something else than orchestra wrote it."""
    tag = git.run("cat-file", "tag", ref, ok=(0, 1, 128))
    if tag.code:
        return None
    head, _, message = tag.stdout.decode("utf-8", "replace").partition("\n\n")
    try:
        facts = json.loads(message)
        agents = {AgentName(name): PushedAgent(*row) for name, row in facts["agents"].items()}
        return PushedTrain(CommitId(head.split("\n")[0].removeprefix("object ")), CommitId(facts["base"]), agents)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def write_pushing(git: Git, fleet: FleetName, train: PushedTrain) -> None:
    """Record what is about to be pushed."""
    agents = {name: [agent.commit, agent.tip, agent.notes] for name, agent in train.agents.items()}
    facts = json.dumps({"base": train.base, "agents": agents})
    # Always the same tagger: the record of one push is one object, however often it is written.
    head = f"object {train.commit}\ntype commit\ntag {fleet}-train\ntagger orchestra <orchestra@localhost> 0 +0000"
    tag = CommitId(git.text("mktag", stdin=f"{head}\n\n{facts}\n".encode()))
    ref = pushing_ref(fleet)
    update(git, [RefUpdate(ref, tag, _read_tag(git, ref))], reason="about to push for a pull request")


def settle_push(git: Git, fleet: FleetName, remote_tip: CommitId | None) -> PushedTrain | None:
    """Return what orchestra pushed last, with the remote's branch at ``remote_tip``. Ends a push that was killed."""
    pushed, pushing = pushed_ref(fleet), pushing_ref(fleet)
    unfinished = read_pushed(git, pushing)
    if unfinished is not None and unfinished.commit == remote_tip:
        move = RefUpdate(pushed, _read_tag(git, pushing), _read_tag(git, pushed))
        update(git, [move], reason="pushed for a pull request")
    leftover = _read_tag(git, pushing)
    update(git, [RefUpdate(pushing, None, leftover)], reason="the push has ended")
    return read_pushed(git, pushed)


def _read_tag(git: Git, ref: RefName) -> CommitId | None:
    output = git.run("rev-parse", "--verify", "--quiet", ref, ok=(0, 1, 128))
    return CommitId(output.text) if output.code == 0 else None
