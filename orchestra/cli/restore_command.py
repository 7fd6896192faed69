"""``orchestra restore``: bring a cleaned or discarded agent back."""

from __future__ import annotations

from orchestra.cli.call import Call, recover_landing
from orchestra.cli.console import Tone, print_note, print_result, show_json
from orchestra.cli.program import task
from orchestra.cli.trust_command import require_trust
from orchestra.cli.workspace_output import COMMANDS_AT_ONCE, phase_progress, print_not_ready
from orchestra.errors import ExitCode


@task(
    "AGENT",
    help={"dry-run": "Print the steps and change nothing."},
    examples=("restore api --dry-run", "restore api"),
    exits={0: "the agent is back", 1: "the agent is back, but its set-up failed"},
)
def restore(call: Call, agent: str, dry_run: bool = False) -> ExitCode:
    """Bring a cleaned or discarded agent back as it was.

    Its branch, its worktree and the uncommitted work in it are restored, and the set-up runs. A discarded agent is no
    longer discarded. Nothing is replaced: what is in the way is named. Run again, it has nothing to do.
    """
    from orchestra.engine.local import LocalEngine
    from orchestra.workspace.provision import Ready
    from orchestra.workspace.restore import plan_restore
    from orchestra.workspace.restore import restore as run

    fleet = call.load_fleet()
    declared = call.agent(fleet, agent)
    document: dict[str, object] = {"fleet": fleet.name, "agent": declared.name, "branch": declared.branch}
    if dry_run:
        fleet.repository.require_writable()
        plan = plan_restore(fleet, declared)
        steps, notes, reason = plan.lines(), list(plan.spawn.notes), ""
        document |= {"worktree": str(fleet.worktree(declared)), "ready": None, "log": None}
    else:
        require_trust(fleet)
        recover_landing(fleet)
        with LocalEngine(COMMANDS_AT_ONCE) as engine, phase_progress("restore") as listener:
            report = run(fleet, declared, engine=engine, progress=listener)
        steps, notes = list(report.steps), list(report.notes)
        reason = report.readiness.reason if report.readiness.state is Ready.NOT_READY else ""
        log = str(report.readiness.log) if report.readiness.log else None
        document |= {"worktree": str(report.worktree), "ready": not reason, "log": log}
    if call.json:
        show_json(document | {"reason": reason or None, "steps": steps, "notes": notes})
    else:
        for step in steps:
            print_result(step)
        for note in notes:
            print_note(note, Tone.WAITING)
        if not steps:
            place = f"on its branch {declared.branch}" if declared.adopted else f"in {document['worktree']}"
            print_result(f"Nothing to restore: {declared.name} is {place}.")
        elif reason:
            print_not_ready([(declared.name, report.readiness)])
    return ExitCode.SHORT if reason else ExitCode.DONE
