"""``orchestra rebase-and-test``: build candidates on today's target and run the gates."""

from __future__ import annotations

from invoke.context import Context

from orchestra.cli.context import load_fleet, select_names
from orchestra.cli.program import task
from orchestra.cli.train_output import print_train_report, train_listener
from orchestra.cli.trust_command import require_trust
from orchestra.errors import ExitCode


@task(positional=["agents"], name="rebase-and-test", help={"agents": "Names or numbers, separated by commas."})
def rebase_and_test(
    c: Context,
    agents: str,
    repo: str | None = None,
    blueprint: str | None = None,
    json: bool = False,
    events: bool = False,
) -> ExitCode:
    """Build the candidate of one or more agents (a,b) on today's target and run the gates on it; land nothing.

    No branch, worktree or checkout is changed: candidates are built in memory and tested in a separate worktree.
    """
    from orchestra.train.merge import rebase_and_test as run

    fleet = load_fleet(repo, blueprint)
    require_trust(fleet)
    names = select_names(fleet, agents) or []
    with train_listener(events) as listener:
        report = run(fleet, names, progress=listener)
    return print_train_report(report, json)
