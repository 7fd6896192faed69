"""``orchestra status``: one row an agent, once or live."""

from __future__ import annotations

from invoke.context import Context

from orchestra.cli.console import show_json
from orchestra.cli.context import load_fleet, select_agents
from orchestra.cli.program import task
from orchestra.cli.status_table import print_status
from orchestra.errors import ExitCode, UsageError

_LOOK_S = 1.0  # for reading worktrees; a small repository needs a tenth of it


@task(
    help={
        "watch": "Show it live until interrupted.",
        "bell": "With --watch: ring the terminal's bell when an agent begins to wait for a person.",
    }
)
def status(
    c: Context,
    agents: str | None = None,
    watch: bool = False,
    bell: bool = False,
    repo: str | None = None,
    blueprint: str | None = None,
    json: bool = False,
) -> ExitCode:
    """Show one row an agent: its state, its work and its verdict, derived from git, sessions and set-up.

    state and since: what the agent does and for how long; commits: on its branch; behind: commits of the target it
    lacks; dirty: uncommitted files (? when unknown; an older count with its age where reading takes long); look at:
    why the last merge evicted this work, conflicts with other pending work, paths outside its scope.
    """
    from orchestra.review.dirty_files import BackgroundLooks, look_within
    from orchestra.status import read_status

    if bell and not watch:
        raise UsageError("--bell is only for --watch", hint="orchestra status --watch --bell")
    fleet = load_fleet(repo, blueprint)
    selected = select_agents(fleet, agents)
    if watch:
        from orchestra.cli.status_live import watch_status

        rounds = BackgroundLooks()
        watch_status(lambda: read_status(fleet, selected, look=rounds), bell=bell)
        return ExitCode.DONE
    current = read_status(fleet, selected, look=look_within(_LOOK_S))
    if json:
        show_json(current.to_json())
    else:
        print_status(current)
    return ExitCode.DONE
