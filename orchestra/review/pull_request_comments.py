"""Read what reviewers wrote on the pull request about an agent's work, as a request for changes."""

from __future__ import annotations

from orchestra.blueprint.model import Agent, Via
from orchestra.errors import UsageError
from orchestra.fleet import Fleet, read_snapshot
from orchestra.forge.comments import format_comments, select_comments
from orchestra.forge.pull_request import PullRequestState
from orchestra.forge.selection import open_forge
from orchestra.forge.train_branch import pushed_ref, read_pushed, train_branch
from orchestra.git.tree_diff import changes
from orchestra.text import format_count


def read_comments(fleet: Fleet, agent: Agent) -> str:
    """Return the message for ``agent``. Raises UsageError where there is no comment since the last request."""
    if fleet.blueprint.merge.via is not Via.PULL_REQUEST:
        raise UsageError("this fleet lands without pull requests", hint="merge: {via: pull-request} in the blueprint")
    git = fleet.repository.git
    pushed = read_pushed(git, pushed_ref(fleet.name))
    if pushed is None or agent.name not in pushed.agents:
        raise UsageError(f"{agent.name} is in no pull request", hint="orchestra status shows what is")
    forge = open_forge(fleet)
    found = forge.find(train_branch(fleet.name), fleet.target)
    if found is None or found.state is PullRequestState.MERGED:
        problem = f"was merged: {found.url}" if found else "does not exist"
        raise UsageError(f"the {forge.noun} of {fleet.name} {problem}", hint="orchestra merge takes that in")
    comments = forge.comments(found.number)
    tip, base = pushed.agents[agent.name].tip, read_snapshot(fleet).agent_refs(agent.name).base
    fork = fleet.repository.fork(pushed.base, tip, base or pushed.base)
    requests = fleet.ledger.events("verdict.changes-requested", agent.name)
    since = max((event.at for event in requests), default=0.0)
    selected = select_comments(comments, set(changes(git, fork, tip)), since)
    if not selected:
        others = sum(1 for comment in comments if not comment.may_write)
        left_out = (
            f"; {format_count(others, 'comment')} of people who may not push there are left out" if others else ""
        )
        earlier = " since changes were last requested" if since else ""
        raise UsageError(
            f"{forge.noun} {found.number} has no comment about {agent.name}{earlier}{left_out}",
            hint=f'orchestra request-changes {agent.name} "..." sends it back in your own words',
        )
    return format_comments(forge.noun, found.number, selected)
