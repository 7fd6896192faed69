"""``orchestra path``: where an agent's worktree is."""

from __future__ import annotations

import shlex

from orchestra.cli.call import Call
from orchestra.cli.console import print_result, show_json
from orchestra.cli.program import task
from orchestra.errors import ExitCode, GroundError
from orchestra.fleet import read_snapshot


@task("AGENT", examples=('path api        # cd "$(orchestra path api)"',))
def path(call: Call, agent: str) -> ExitCode:
    """Print the path of an agent's worktree."""
    fleet = call.load_fleet()
    declared = call.agent(fleet, agent)
    worktree = fleet.worktree(declared)
    if declared.adopted and not fleet.has_worktree(declared):
        hint = f"git worktree add FOLDER {shlex.quote(declared.branch)}"
        raise GroundError(f"{declared.name} has no worktree: branch {declared.branch} is not checked out", hint=hint)
    if not worktree.is_dir():
        cleaned = read_snapshot(fleet).agent_refs(declared.name).cleaned is not None
        hint = f"bring it back: orchestra restore {declared.name}" if cleaned else f"orchestra spawn {declared.name}"
        raise GroundError(f"{declared.name} has no worktree; it would be {worktree}", hint=hint)
    if call.json:
        show_json({"agent": declared.name, "worktree": str(worktree), "branch": declared.branch})
    else:
        print_result(str(worktree))
    return ExitCode.DONE
