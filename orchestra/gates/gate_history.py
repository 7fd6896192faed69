"""The history of gates: how often each ran, how long it took, and how often it was flaky. Reads the ledger."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median

from orchestra.ledger import Event, Ledger

RUN_EVENT = "gate-run"
FLAKY_EVENT = "flaky"


@dataclass(frozen=True, slots=True)
class GateHistory:
    """The runs of one gate on any candidate, those that passed before and were not repeated left out.

    ``flaky``: how often it was red and then green on the same commit. Times are seconds of runs that passed, and None
    where none did; ``last`` is a POSIX timestamp.
    """

    gate: str
    runs: int
    passed: int
    failed: int
    flaky: int
    usual_s: float | None
    longest_s: float | None
    last: float | None

    @property
    def flaky_rate(self) -> float | None:
        """The share of runs that failed although the gate passes on the same commit."""
        return self.flaky / self.runs if self.runs else None


def read_gate_history(ledger: Ledger, gates: Iterable[str]) -> tuple[GateHistory, ...]:
    """Return the history of each of ``gates``, in that order."""
    runs, flakes = ledger.events(RUN_EVENT), ledger.events(FLAKY_EVENT)
    return tuple(_history(gate, runs, flakes) for gate in gates)


def _history(gate: str, runs: Iterable[Event], flakes: Iterable[Event]) -> GateHistory:
    own_runs = [event for event in runs if event.data.get("gate") == gate]
    outcomes = [event.data.get("outcome") for event in own_runs]
    times = [
        float(seconds)
        for event in own_runs
        if event.data.get("outcome") == "passed" and isinstance(seconds := event.data.get("seconds"), int | float)
    ]
    return GateHistory(
        gate,
        runs=len(own_runs),
        passed=outcomes.count("passed"),
        failed=outcomes.count("failed") + outcomes.count("timed-out"),
        flaky=sum(event.data.get("gate") == gate for event in flakes),
        usual_s=median(times) if times else None,
        longest_s=max(times, default=None),
        last=max((event.at for event in own_runs), default=None),
    )
