"""``orchestra rehearse``: run the train without landing anything."""

from __future__ import annotations

from orchestra.cli.call import Call
from orchestra.cli.program import task
from orchestra.cli.train_output import print_train_report, read_unfinished, train_listener
from orchestra.cli.trust_command import require_trust
from orchestra.errors import ExitCode


@task(
    "[AGENT...]",
    help={"fresh-gates": "Run every gate again; believe no result from before."},
    examples=("rehearse", "rehearse api auth"),
    exits={0: "all approved and finished work would land", 1: "some of it would not"},
)
def rehearse(call: Call, agents: tuple[str, ...], events: bool = False, fresh_gates: bool = False) -> ExitCode:
    """Run the merge with its gates, landing nothing.

    It shows what would land, what would not, and why. Approved and finished work takes part. A later merge reuses the
    gate results.
    """
    from orchestra.train.merge import rehearse as run

    fleet = call.load_fleet()
    require_trust(fleet)
    names = call.names(fleet, agents)
    with train_listener(events) as listener:
        report = run(
            fleet, agents=names, unfinished=lambda: read_unfinished(fleet), progress=listener, fresh_gates=fresh_gates
        )
    return print_train_report(call, fleet, report)
