"""``orchestra stop``: end the agents' sessions."""

from __future__ import annotations

from orchestra.cli.call import Call, agent_rows
from orchestra.cli.console import Tone, print_note, print_result, show_json
from orchestra.cli.program import task
from orchestra.errors import ExitCode


@task(
    "[AGENT...]",
    help={"reason": "Recorded, and shown by status."},
    examples=("stop api", "stop"),
    exits={0: "they have ended", 1: "a process could not be ended, or work could not be saved"},
)
def stop(call: Call, agents: tuple[str, ...], reason: str = "stopped by you") -> ExitCode:
    """End the sessions of agents.

    Every process that they started ends too, and their uncommitted work is saved.
    """
    from orchestra.sessions.stop import stop_fleet

    fleet = call.load_fleet()
    report = stop_fleet(fleet, call.agents(fleet, agents), reason=reason)
    code = ExitCode.SHORT if report.survivors or report.unsaved or report.errors else ExitCode.DONE
    if call.json:
        survivors = ((name, list(pids)) for name, pids in report.survivors)
        rows = {"survivors": agent_rows(survivors, "pids"), "errors": agent_rows(report.errors, "error")}
        rows |= {"saved": agent_rows(report.saved, "ref"), "unsaved": agent_rows(report.unsaved, "error")}
        show_json({"fleet": fleet.name, "stopped": report.stopped, "unqueued": report.unqueued, **rows})
        return code
    for name in report.unqueued:
        print_result(f"{name}: removed from the queue")
    for name in report.stopped:
        print_result(f"{name}: stopped")
    for name, ref in report.saved:
        print_result(f"{name}: uncommitted work saved as {ref}; it is still in the worktree too")
    for name, error in report.unsaved:
        print_note(f"{name}: its uncommitted work is only in its worktree; saving it failed: {error}", Tone.BAD)
    for name, pids in report.survivors:
        print_note(f"{name}: these processes could not be ended: {', '.join(map(str, pids))}", Tone.BAD)
    for name, error in report.errors:
        print_note(f"{name}: {error}", Tone.BAD)
    if not report.stopped and not report.unqueued:
        print_result("No session is running.")
    call.print_next(" ".join(["start", *agents]) if report.stopped or report.unqueued else None)
    return code
