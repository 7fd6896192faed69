"""``orchestra clean``: remove the worktrees and branches of landed and discarded agents."""

from __future__ import annotations

from orchestra.cli.call import Call, recover_landing
from orchestra.cli.console import Tone, print_note, print_result, progress, show_json
from orchestra.cli.program import task
from orchestra.cli.trust_command import require_trust
from orchestra.cli.workspace_output import COMMANDS_AT_ONCE, phase_progress, print_steps
from orchestra.errors import ExitCode
from orchestra.fleet import Fleet
from orchestra.text import format_count


@task(
    "[AGENT...]",
    help={
        "dry-run": "Print the steps and change nothing.",
        "save-all": "Also save uncommitted work of more than 50 MB or 1,000 files.",
        "gates": "Remove the gate slots instead; the next train makes them again.",
    },
    examples=("clean --dry-run", "clean api", "clean --gates"),
)
def clean(
    call: Call, agents: tuple[str, ...], dry_run: bool = False, save_all: bool = False, gates: bool = False
) -> ExitCode:
    """Remove worktrees and branches that are done with.

    Those are of agents whose work has landed or was discarded. Uncommitted work in them is first saved under
    refs/orchestra/FLEET/AGENT/saved; more than 50 MB or 1,000 files only with --save-all. An agent whose removal would
    lose anything keeps its worktree, and the reason is printed. The tmux window of a session that has ended closes with
    the agent's worktree.

    Gate slots stay for the next train. --gates removes them: never one in use, and never while a train runs.
    """
    if gates:
        if agents or save_all:
            raise call.wrong_line("--gates removes the gate slots alone", hint="orchestra clean --gates")
        return _clean_gates(call, dry_run=dry_run)
    from orchestra.engine.local import LocalEngine
    from orchestra.sessions.ended_windows import close_ended_windows, find_ended_windows
    from orchestra.workspace.clean import clean as run
    from orchestra.workspace.clean import plan_clean

    fleet = call.load_fleet()
    names = call.names(fleet, agents)
    chosen = [agent for agent in fleet.blueprint.agents if names is None or agent.name in names]
    if dry_run:
        fleet.repository.require_writable()
        plan = plan_clean(fleet, names, save_all=save_all)
        leaving = [removal.name for removal in plan.agents if removal.removes_worktree]
        windows = [window.line() for window in find_ended_windows(fleet, chosen, leaving=leaving)]
        print_steps([*plan.lines(), *windows], skipped=plan.skipped, json=call.json, nothing="Nothing to do.")
        return ExitCode.DONE
    require_trust(fleet)
    recover_landing(fleet)
    with LocalEngine(COMMANDS_AT_ONCE) as engine, phase_progress("clean") as listener:
        report = run(fleet, names, engine=engine, save_all=save_all, progress=listener)
    windows = close_ended_windows(find_ended_windows(fleet, chosen))
    nothing = "Nothing to clean: no agent with a worktree or branch has landed or was discarded."
    print_steps([*report.steps, *windows], skipped=report.skipped, json=call.json, nothing=nothing)
    if not call.json:
        _offer_gates(call, fleet)
    return ExitCode.DONE


def _clean_gates(call: Call, *, dry_run: bool) -> ExitCode:
    from orchestra.plan.capacity import size
    from orchestra.train.slot_removal import plan_slot_removal, remove_slots

    fleet = call.load_fleet()
    if dry_run:
        fleet.repository.require_writable()
        removal = plan_slot_removal(fleet)
    else:
        recover_landing(fleet)
        with progress("clean") as step:
            removal = remove_slots(fleet, progress=step)
    stays = [slot for slot in removal.slots if slot.reason]
    if call.json:
        slots = [{"path": str(slot.path), "bytes": slot.bytes, "reason": slot.reason} for slot in removal.slots]
        freed = {"freed_bytes": removal.freed_bytes, "slots": slots}
        show_json({"steps": removal.lines(), "notes": [], "skipped": [], **freed})
    else:
        for line in removal.lines():
            print_result(line)
        for slot in stays:
            print_result(f"{slot.path} stays: {slot.reason}", Tone.WAITING)
        if removal.removed:
            count, freed_size = format_count(len(removal.removed), "gate slot"), size(removal.freed_bytes)
            print_result(f"{count}, {freed_size}, would be removed" if dry_run else f"removed {count}, {freed_size}")
        elif not stays:
            print_result("Nothing to clean: this fleet has no gate slot.")
    return ExitCode.SHORT if stays else ExitCode.DONE


def _offer_gates(call: Call, fleet: Fleet) -> None:
    """Name the command that removes the gate slots, where nothing is left to land."""
    from orchestra.fleet import read_snapshot
    from orchestra.workspace.disk_usage import find_slots

    snapshot, slots = read_snapshot(fleet), find_slots(fleet)
    refs = [snapshot.agent_refs(agent.name) for agent in fleet.blueprint.agents if not agent.adopted]
    is_over = all(one.landed is not None or one.discarded is not None for one in refs)
    if slots and is_over:
        count = format_count(len(slots), "gate slot")
        print_note(f"Every agent has landed or was discarded; {count} still in {slots[0].parent}.")
        call.print_next("clean --gates")
