"""Say what merge will push and open where work lands through a pull request, and what will keep it from that."""

from __future__ import annotations

from collections.abc import Iterator

from orchestra.blueprint.model import Via
from orchestra.errors import OrchestraError
from orchestra.fleet import Fleet
from orchestra.forge.selection import open_forge
from orchestra.forge.train_branch import train_branch
from orchestra.plan.finding import Code, Finding, Severity, place

_ANSWER_S = 10.0  # for the program to say whether it is logged in


def pull_request_findings(fleet: Fleet) -> Iterator[Finding]:
    """Make the checks that merge makes before a train: the remote, the program and its login."""
    if fleet.blueprint.merge.via is not Via.PULL_REQUEST:
        return
    where = place(fleet.blueprint, "merge", "via")
    try:
        forge = open_forge(fleet, timeout_s=_ANSWER_S)
        forge.require_login()
    except OrchestraError as error:
        yield Finding(Severity.ERROR, Code.FORGE_NOT_READY, error.message, error.hint or "merge needs it", where)
        return
    branch, address = train_branch(fleet.name), forge.address
    message = (
        f"merge pushes what passed to {branch} on {fleet.remote} and opens or updates one {forge.noun} into "
        f"{fleet.target} of {address.host}/{address.path}, with {address.program}"
    )
    advice = f"{fleet.target} moves when that is merged; orchestra rehearse shows it without pushing"
    yield Finding(Severity.NOTE, Code.PULL_REQUEST, message, advice, where)
