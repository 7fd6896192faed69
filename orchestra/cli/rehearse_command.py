"""``orchestra rehearse``: run the train without landing anything."""

from __future__ import annotations

from invoke.context import Context

from orchestra.cli.context import load_fleet, select_names
from orchestra.cli.program import task
from orchestra.cli.train_output import print_train_report, read_unfinished, train_listener
from orchestra.cli.trust_command import require_trust
from orchestra.errors import ExitCode


@task()
def rehearse(
    c: Context,
    agents: str | None = None,
    repo: str | None = None,
    blueprint: str | None = None,
    json: bool = False,
    events: bool = False,
) -> ExitCode:
    """Run the whole train with its gates and land nothing: what would land, what would not, and why.

    Approved and finished work takes part. A later merge reuses the gate results.
    """
    from orchestra.train.merge import rehearse as run

    fleet = load_fleet(repo, blueprint)
    require_trust(fleet)
    with train_listener(events) as listener:
        names = select_names(fleet, agents)
        report = run(fleet, agents=names, unfinished=lambda: read_unfinished(fleet), progress=listener)
    return print_train_report(report, json)
