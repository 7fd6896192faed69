"""``orchestra rebase-and-test``: build candidates on today's target and run the gates."""

from __future__ import annotations

from orchestra.cli.call import Call
from orchestra.cli.program import task
from orchestra.cli.train_output import print_train_report, train_listener
from orchestra.cli.trust_command import require_trust
from orchestra.errors import ExitCode


@task(
    "AGENT...",
    help={"fresh-gates": "Run every gate again; believe no result from before."},
    examples=("rebase-and-test api", "rebase-and-test api auth"),
    exits={0: "every gate passed", 1: "a conflict, or a gate failed"},
)
def rebase_and_test(call: Call, agents: tuple[str, ...], events: bool = False, fresh_gates: bool = False) -> ExitCode:
    """Run the gates on agents' work, as it would land.

    Builds their candidate on today's target and runs the gates on it; lands nothing. No branch, worktree or checkout is
    changed: candidates are built in memory and tested in a separate worktree.
    """
    from orchestra.train.merge import rebase_and_test as run

    fleet = call.load_fleet()
    require_trust(fleet)
    names = call.names(fleet, agents) or []
    with train_listener(events) as listener:
        report = run(fleet, names, progress=listener, fresh_gates=fresh_gates)
    return print_train_report(call, fleet, report)
