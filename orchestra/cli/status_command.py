"""``orchestra status``: one row an agent, once or live."""

from __future__ import annotations

import sys
from dataclasses import replace

from orchestra.cli.call import Call
from orchestra.cli.console import Tone, is_terminal, print_note, progress, show_json
from orchestra.cli.program import task
from orchestra.cli.status_table import print_status
from orchestra.errors import ExitCode

_LOOK_S = 1.0  # for reading worktrees; a small repository needs a tenth of it


@task(
    "[AGENT...]",
    help={
        "watch": "Show it live until Ctrl-C.",
        "bell": "With --watch: ring the terminal's bell when an agent begins to wait for a person.",
        "conflicts": "Show which branches conflict as they stand, uncommitted work included, and in which order least.",
        "disk": "Show the disk that worktrees, gate slots and saved work take, and what is free.",
    },
    examples=("status", "status --watch", "status --conflicts", "status --disk"),
)
def status(
    call: Call,
    agents: tuple[str, ...],
    watch: bool = False,
    bell: bool = False,
    conflicts: bool = False,
    disk: bool = False,
) -> ExitCode:
    """Show each agent's state, work and verdict.

    One row an agent, derived from git, sessions and set-up.

    state and since: what the agent does and for how long; commits: on its branch; behind: commits of the target it
    lacks; dirty: uncommitted files (? when unknown; an older count with its age where reading takes long); look at:
    why the last merge evicted this work, conflicts with other pending work, paths outside its scope; pull request:
    its number, state and checks (asked once, for 5 seconds at most; --watch asks when it begins).
    """
    from orchestra.cli.next_step import next_command
    from orchestra.review.dirty_files import BackgroundLooks, look_within
    from orchestra.review.pushed_work import read_train_pull_request
    from orchestra.status import read_status

    if bell and not watch:
        raise call.wrong_line("--bell is only for --watch", hint="orchestra status --watch --bell")
    if watch + conflicts + disk > 1:
        raise call.wrong_line(
            "--watch, --conflicts and --disk are shown one at a time", hint="orchestra status --conflicts"
        )
    fleet = call.load_fleet()
    selected = call.agents(fleet, agents)
    usage = None
    if disk:
        from orchestra.cli.disk_table import print_disk
        from orchestra.workspace.disk_usage import measure_disk

        with progress("status") as step:
            usage = measure_disk(fleet, selected, progress=step if is_terminal(sys.stderr) else lambda _: None)
        if not call.json:
            print_disk(fleet, usage)
            return ExitCode.DONE
    if watch:
        from orchestra.cli.status_live import watch_status

        rounds, asked = BackgroundLooks(), read_train_pull_request(fleet)
        watch_status(lambda: replace(read_status(fleet, selected, look=rounds), pull_request=asked), bell=bell)
        return ExitCode.DONE
    asked = read_train_pull_request(fleet)
    current = replace(read_status(fleet, selected, look=look_within(_LOOK_S)), pull_request=asked)
    if current.unknown:
        print_note(current.unknown, Tone.WAITING)
    if conflicts:
        from orchestra.cli.conflicts_table import show_conflicts

        show_conflicts(current, as_json=call.json)
    elif call.json:
        show_json(current.to_json() | ({"disk": usage.to_json()} if usage else {}))
    else:
        print_status(current)
        call.print_next(next_command(current))
    return ExitCode.DONE
