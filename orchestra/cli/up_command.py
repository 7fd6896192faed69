"""``orchestra up``: from a blueprint to agents at work, with one question."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from orchestra.blueprint.model import AgentName
from orchestra.cli.call import Call, recover_landing
from orchestra.cli.check_command import check_to_json, print_check
from orchestra.cli.console import Tone, ask, is_terminal, print_note, print_result, progress, show_json
from orchestra.cli.doctor_command import findings_to_json, print_findings
from orchestra.cli.plan_command import plan_fleet
from orchestra.cli.program import task
from orchestra.cli.session_actions import print_start_report, start_agents, start_report_to_json
from orchestra.cli.spawn_command import print_spawn_report, spawn_report_to_json
from orchestra.cli.trust_command import show_untrusted
from orchestra.cli.workspace_output import COMMANDS_AT_ONCE, phase_progress
from orchestra.errors import ExitCode, UsageError
from orchestra.fleet import Fleet
from orchestra.text import format_count

if TYPE_CHECKING:
    from orchestra.plan.plan_report import PlanReport


@task(
    "[BLUEPRINT]",
    help={"yes": "Go on without asking, and trust the commands that the blueprint executes."},
    examples=("up mvp5", "up --yes"),
    exits={
        0: "every agent has its worktree, and its session is started or queued",
        1: "the set-up or a gate failed, or the answer was no",
    },
)
def up(call: Call, yes: bool = False) -> ExitCode:
    """Check, spawn and start a fleet in one go.

    The errors of `plan`, the failures of `doctor`, then after one question `check`, `spawn` and `start`.

    It stops at the first of them that refuses. `check` is left out where it passed on the target's newest commit.
    Run again, it continues: what exists is kept, and agents at work are left alone.
    """
    from orchestra.doctor import Level, examine
    from orchestra.workspace.trust import needs_trust, trust

    fleet = call.load_fleet()
    document: dict[str, object] = {"fleet": fleet.name, "stopped_by": None, "findings": [], "failures": []}
    document |= {"check": None, "spawn": None, "started": None}

    def stop(verb: str, code: ExitCode) -> ExitCode:
        if call.json:
            show_json(document | {"stopped_by": verb})
        return code

    # What can be read: the errors of the plan, the failures of this machine.
    plan = plan_fleet(fleet)
    if plan.errors:
        document["findings"] = plan.to_json()["findings"]
        _print_errors(call, plan)
        return stop("plan", plan.exit_code)
    failures = [finding for finding in examine(fleet) if finding.level is Level.FAIL]
    if failures:
        document["failures"] = findings_to_json(failures)
        print_findings([] if call.json else failures)
        return stop("doctor", ExitCode.WRONG_GROUND)

    # One question, before anything is executed.
    is_new = needs_trust(fleet)
    if is_new:
        show_untrusted(fleet)
    if not yes and not _agrees(plan):
        return stop("question", ExitCode.SHORT)
    if is_new:
        trust(fleet)

    # Set-up and gates on the target, unless they passed on this very commit.
    is_checked = plan.last_green is not None and plan.last_green.commit == plan.commit
    if not is_checked and not _passes_check(call, fleet, document):
        return stop("check", ExitCode.SHORT)

    # Worktrees, then sessions.
    recover_landing(fleet)
    if not_ready := _spawn(call, fleet, document):
        call.print_next(f"spawn {' '.join(not_ready)}", with_blueprint=False)
        return stop("spawn", ExitCode.SHORT)
    started = start_agents(fleet, None)
    if call.json:
        show_json(document | {"started": start_report_to_json(started)})
    else:
        print_start_report(started)
    call.print_next("status --watch" if started.queued or started.running else "status", with_blueprint=False)
    return ExitCode.DONE


def _spawn(call: Call, fleet: Fleet, document: dict[str, object]) -> list[AgentName]:
    """Make the worktrees; return the agents whose set-up failed."""
    from orchestra.engine.local import LocalEngine
    from orchestra.workspace.spawn import spawn

    with LocalEngine(COMMANDS_AT_ONCE) as engine, phase_progress("spawn") as listener:
        report = spawn(fleet, engine=engine, progress=listener)
    document["spawn"] = spawn_report_to_json(fleet, report)
    if not call.json:
        print_spawn_report(fleet, report)
    return [place.agent for place in report.not_ready]


def _print_errors(call: Call, plan: PlanReport) -> None:
    from orchestra.plan.plan_text import draw_finding

    for error in plan.errors if not call.json else ():
        for line in draw_finding(error, plan.repository):
            print_result(line, Tone.BAD)


def _passes_check(call: Call, fleet: Fleet, document: dict[str, object]) -> bool:
    from orchestra.train.target_gates import check_target_gates

    with progress("check") as step:
        result = check_target_gates(fleet, announce=step)
    document["check"] = check_to_json(fleet, result)
    if not call.json:
        print_check(fleet, result)
    return result.passed


def _agrees(plan: PlanReport) -> bool:
    """Ask whether to go on. Raises UsageError without a terminal."""
    from orchestra.plan.capacity import dollars

    cost = ", without a cost limit" if plan.cost.high is None else f", about {dollars(plan.cost.high)}"
    agents = format_count(len(plan.agents), "agent")
    worktrees = format_count(plan.disk.worktrees, "worktree")
    print_note(f"{plan.blueprint.name} on {plan.target}: {agents}{cost}; {worktrees} to make, gate slots included")
    if not (is_terminal(sys.stdin) and is_terminal(sys.stderr)):
        raise UsageError("nothing was executed: up asks before it begins", hint="add --yes to go on without asking")
    return ask("Check the target, spawn and start?", ("yes", "no")) == "yes"
