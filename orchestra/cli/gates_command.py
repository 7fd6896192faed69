"""``orchestra gates``: the gates, their history, and the results that later runs reuse."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from orchestra.cli.call import Call
from orchestra.cli.console import Cell, Tone, print_note, print_result, show_json
from orchestra.cli.program import task
from orchestra.cli.table_layout import show_table
from orchestra.errors import ExitCode, UsageError
from orchestra.text import did_you_mean, format_count, format_duration

if TYPE_CHECKING:
    from orchestra.blueprint.model import Gate
    from orchestra.gates.gate_history import GateHistory
    from orchestra.gates.result_cache import GatePass

_EVERYTHING = "all"


@task(
    help={
        "history": "Show how often each gate ran, how long it took and how often it was flaky.",
        "cached": "List the results that later runs reuse.",
        "clear": "GATE: Delete the reusable results of a gate of this repository, or `all`; the gates run again then.",
    },
    examples=("gates", "gates --history", "gates --cached", "gates --clear tests", "gates --clear all"),
)
def gates(call: Call, history: bool = False, cached: bool = False, clear: str | None = None) -> ExitCode:
    """Show the gates, their history, and the results that are reused.

    A gate that is flaky failed and then passed on the same commit. Results are reused where everything that a gate
    depends on is the same; `merge --fresh-gates` ignores them once, and --clear deletes them.
    """
    from orchestra.gates.gate_history import read_gate_history
    from orchestra.gates.result_cache import delete_results, list_passes

    fleet = call.load_fleet()
    declared, folder = fleet.blueprint.gates, fleet.repository.state_folder / "gates"
    passes = list_passes(folder)
    deleted = None
    if clear is not None:
        # A gate of another fleet or an older blueprint may have results, too.
        names = [*dict.fromkeys((*declared, *(each.gate for each in passes)))]
        if clear not in (*names, _EVERYTHING):
            hint = did_you_mean(clear, names, otherwise=f"gates: {', '.join((*names, _EVERYTHING))}")
            raise UsageError(f'no gate "{clear}"', hint=hint)
        deleted = delete_results(folder, None if clear == _EVERYTHING else clear)
        passes = list_passes(folder)
    histories = read_gate_history(fleet.ledger, declared)
    if call.json:
        rows = [
            {
                **_declared(declared[each.gate]),
                "reusable": sum(result.gate == each.gate for result in passes),
                **_row(each),
            }
            for each in histories
        ]
        results = [
            {"gate": each.gate, "content": each.tree, "seconds": each.seconds, "at": each.at, "log": each.log}
            for each in passes
        ]
        show_json({"fleet": fleet.name, "gates": rows, "cached": results, "deleted": deleted})
        return ExitCode.DONE
    if deleted is not None:
        print_result(f"deleted {format_count(deleted, 'result')}: the next run tests again", Tone.GOOD)
    elif history:
        columns = ["gate", "runs", "passed", "failed", "flaky", "usual", "longest", "last run"]
        show_table(columns, [_history_cells(each) for each in histories if each.runs])
        if idle := [each.gate for each in histories if not each.runs]:
            print_note(f"no run recorded: {', '.join(idle)}")
    elif cached:
        show_table(
            ["gate", "passed", "took", "on", "log"],
            [[each.gate, _ago(each.at), format_duration(each.seconds), each.tree[:10], each.log] for each in passes],
        )
    else:
        show_table(["gate", "does", "runs for", "reusable"], [_gate_cells(gate, passes) for gate in declared.values()])
    return ExitCode.DONE


def _declared(gate: Gate) -> dict[str, object]:
    """Return what the blueprint says about a gate; what its kind does not have is None."""
    from orchestra.blueprint.model import RunGate

    if not isinstance(gate, RunGate):
        fields: dict[str, object] = {"builtin": gate.builtin, "policy": gate.policy}
        return {"name": gate.name, "run": None, **fields, "when": [], "inputs": None}
    inputs = list(gate.inputs) if isinstance(gate.inputs, tuple) else gate.inputs
    fields = {"run": gate.run, "builtin": None, "policy": None}
    return {"name": gate.name, **fields, "when": list(gate.when), "inputs": inputs}


def _row(history: GateHistory) -> dict[str, object]:
    return {
        "runs": history.runs,
        "passed": history.passed,
        "failed": history.failed,
        "flaky": history.flaky,
        "flaky_rate": history.flaky_rate,
        "usual_s": history.usual_s,
        "longest_s": history.longest_s,
        "last": datetime.fromtimestamp(history.last, UTC).isoformat() if history.last else None,
    }


def _history_cells(history: GateHistory) -> list[str | Cell]:
    flaky = f"{history.flaky} ({history.flaky_rate:.0%})" if history.flaky and history.flaky_rate else "0"
    usual, longest = (format_duration(s) if s is not None else "" for s in (history.usual_s, history.longest_s))
    counts = (history.runs, history.passed, history.failed)
    tone = Tone.WAITING if history.flaky else Tone.PLAIN
    return [history.gate, *map(str, counts), Cell(flaky, tone), usual, longest, _ago(history.last)]


def _gate_cells(gate: Gate, passes: list[GatePass]) -> list[str | Cell]:
    from orchestra.blueprint.model import RunGate

    if not isinstance(gate, RunGate):
        return [gate.name, f"built in: {gate.builtin}, {gate.policy}", "every branch", ""]
    count = sum(result.gate == gate.name for result in passes)
    runs_for = f"changes in {', '.join(gate.when)}" if gate.when else "every candidate"
    return [gate.name, gate.run, runs_for, format_count(count, "pass", "passes")]


def _ago(at: float | None) -> str:
    return f"{format_duration(time.time() - at)} ago" if at is not None else ""
