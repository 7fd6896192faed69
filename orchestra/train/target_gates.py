"""Run the set-up and every gate once on the target as it is, in a gate slot: what a train would meet.

Nothing is built, judged or moved. A gate that fails does not keep the others from running; without a set-up none runs.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from orchestra.blueprint.model import RunGate
from orchestra.engine.job import Engine, Finished, JobId, Outcome, Result, shell_job
from orchestra.engine.local import LocalEngine
from orchestra.errors import GroundError
from orchestra.fleet import Fleet, explain_missing_target, newest_target, read_snapshot
from orchestra.gates.result_cache import new_log_path
from orchestra.git.lock import exclusive
from orchestra.git.refs import CommitId
from orchestra.plan.last_check import record_check
from orchestra.review.eviction import end_of
from orchestra.text import first_error_line
from orchestra.train.slots import Slots

_LOG_BYTES = 256_000


@dataclass(frozen=True, slots=True)
class CheckedCommand:
    """How a command ended on the target. ``name``: ``setup`` or the gate's; ``reason`` quotes a failed one's log."""

    name: str
    command: str
    outcome: Outcome
    seconds: float
    log: Path
    reason: str | None


@dataclass(frozen=True, slots=True)
class TargetCheck:
    """The result of ``orchestra check``. ``setup_kept``: the slot still had what an earlier set-up made."""

    target: str
    commit: CommitId
    slot: Path
    setup_kept: bool
    runs: tuple[CheckedCommand, ...]
    skipped: tuple[str, ...]  # gates that could not run because the set-up failed

    @property
    def passed(self) -> bool:
        return not self.skipped and all(run.outcome is Outcome.PASSED for run in self.runs)


def check_target_gates(
    fleet: Fleet, *, announce: Callable[[str], None] = lambda _: None, engine: Engine | None = None
) -> TargetCheck:
    """Check the target; record the result in the ledger. ``announce`` receives each command before it runs.

    Raises GroundError where the target has no commit or no slot could be made, LockHeld while a train runs.
    """
    commit = newest_target(read_snapshot(fleet))
    if commit is None:
        message, advice = explain_missing_target(fleet)
        raise GroundError(message, hint=advice)
    runs: list[CheckedCommand] = []
    gates = [gate for gate in fleet.blueprint.gates.values() if isinstance(gate, RunGate)]
    with exclusive(fleet.repository.state_folder / "train", "check"):
        engine = engine or LocalEngine(1)
        slots = Slots(read_snapshot(fleet), announce)
        try:
            announce("making a gate slot ready")
            setup = slots.prepare(1, commit)
            env = slots.environment(1)

            def run(name: str, command: str, timeout_s: float | None, extra: dict[str, str]) -> bool:
                announce(f"{name}: {command}")
                log = new_log_path(fleet.folder / "gates", commit, name)
                job = JobId(f"check-{name}-{secrets.token_hex(4)}")
                engine.submit(shell_job(job, command, slots.path(1), {**env, **extra}, log, timeout_s=timeout_s))
                result = _result_of(engine, job)
                passed = result.outcome is Outcome.PASSED
                reason = None if passed else first_error_line(end_of(log, _LOG_BYTES)) or result.detail or None
                seconds = result.ended_at - result.started_at
                runs.append(CheckedCommand(name, command, result.outcome, seconds, log, reason))
                return passed

            timeout_s = fleet.blueprint.worktrees.setup.timeout_s
            is_set_up = all(run("setup", command, timeout_s, {}) for command in setup.commands)
            if is_set_up:
                if setup.commands:
                    slots.setup_done(1, setup)
                for gate in gates:
                    run(gate.name, gate.sh_command, gate.timeout_s, dict(gate.env))
        finally:
            engine.close()
            slots.drop_scratch(1)
    skipped = () if is_set_up else tuple(gate.name for gate in gates)
    check = TargetCheck(fleet.target, commit, slots.path(1), not setup.commands, tuple(runs), skipped)
    record_check(fleet.ledger, commit, {run.name: run.outcome for run in runs}, passed=check.passed)
    return check


def _result_of(engine: Engine, job: JobId) -> Result:
    while True:
        for event in engine.wait():
            if isinstance(event, Finished) and event.job == job:
                return event.result
