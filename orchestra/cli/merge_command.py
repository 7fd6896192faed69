"""``orchestra merge``: land what is approved."""

from __future__ import annotations

import sys

from orchestra.cli.call import Call
from orchestra.cli.console import is_terminal
from orchestra.cli.program import task
from orchestra.cli.train_output import print_train_report, read_unfinished, train_listener
from orchestra.cli.trust_command import require_trust
from orchestra.errors import ExitCode


@task(
    "[AGENT...]",
    help={
        "yes": "Approve what is finished and whose gates pass, instead of asking.",
        "push": "Push the target to its remote, with a lease. Default: as the blueprint says.",
        "fresh-gates": "Run every gate again; believe no result from before.",
    },
    examples=("merge", "merge --yes api auth"),
    exits={0: "all that was approved has landed", 1: "some of it has not: a conflict, a gate, an eviction"},
)
def merge(
    call: Call,
    agents: tuple[str, ...],
    yes: bool = False,
    push: bool = False,
    events: bool = False,
    fresh_gates: bool = False,
) -> ExitCode:
    """Land what is approved, in order.

    Each candidate is rebased, tested, and lands exactly as it was tested.
    In a terminal it first shows each agent without a verdict and asks for one; elsewhere it skips and names them.
    An agent that conflicts or fails a gate is evicted with a reason and a log; agents that depend on it are blocked;
    the others land. After an interruption, the same command continues.
    """
    from orchestra.train.merge import merge as run

    fleet = call.load_fleet()
    require_trust(fleet)
    names = call.names(fleet, agents)
    if not yes and not call.json and is_terminal() and is_terminal(sys.stdin):
        from orchestra.cli.review_loop import review_undecided

        if not review_undecided(fleet, names):
            return ExitCode.SHORT
    with train_listener(events) as listener:
        report = run(
            fleet,
            agents=names,
            push=push or None,
            accept_finished=yes,
            unfinished=lambda: read_unfinished(fleet),
            progress=listener,
            fresh_gates=fresh_gates,
        )
    return print_train_report(call, fleet, report)
