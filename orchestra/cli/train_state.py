"""What a live view knows of a train, folded from its events.

Invariant: a value; ``fold`` is total. Events that are lost, repeated, late or made of nonsense give a poorer picture,
never an error, and a run that ended does not come back. Refuses: clocks, drawing, and deciding anything.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from types import MappingProxyType

from orchestra.cli.console import Tone
from orchestra.ledger import Json
from orchestra.train.events import TrainEvent

FATES = ("landed", "evicted", "blocked", "waiting")


class Phase(StrEnum):
    """Where a test run is."""

    QUEUED = "waits for a slot"
    PREPARING = "making the slot ready"
    GATE = "gate"  # a command runs, or is about to
    STOPPING = "giving up"  # its outcome no longer matters; its processes are being ended


@dataclass(frozen=True, slots=True)
class Run:
    """A candidate under test. ``agents`` ride on the target as it was when the run began; times are POSIX seconds.

    ``explains``: not to land, but to find out why ``agents`` failed. ``expected_s`` None: never measured.
    """

    number: int
    agents: tuple[str, ...]
    explains: bool
    phase: Phase
    since: float
    slot: int | None = None
    gate: str = ""
    step: int = 0
    steps: int = 0
    expected_s: float | None = None


@dataclass(frozen=True, slots=True)
class Fate:
    """What became of an agent: one of FATES, and when that was reported."""

    kind: str
    at: float


def _none_yet() -> Mapping[str, Fate]:
    return MappingProxyType({})


def _no_runs() -> Mapping[int, Run]:
    return MappingProxyType({})


@dataclass(frozen=True, slots=True)
class TrainState:
    """``order``: who rides, in train order. ``eta``: how many seconds were left, and at which moment.

    ``ended``: runs that are over, and whether they came to a verdict. ``doing``: what happens while nothing is tested.
    """

    target: str = "the target"
    order: tuple[str, ...] = ()
    rehearsed: bool = False
    started_at: float | None = None
    fates: Mapping[str, Fate] = field(default_factory=_none_yet)
    runs: Mapping[int, Run] = field(default_factory=_no_runs)
    ended: Mapping[int, bool] = field(default_factory=lambda: MappingProxyType({}))
    eta: tuple[float, float] | None = None
    doing: str = "getting ready"
    interrupted: bool = False
    finished: bool = False

    @property
    def runs_done(self) -> int:
        """Runs that came to a verdict."""
        return sum(self.ended.values())

    @property
    def testing(self) -> frozenset[str]:
        """Agents in a candidate that is being tested to land, and not yet decided."""
        held = {name for run in self.runs.values() if not run.explains for name in run.agents}
        return frozenset(name for name in held if name not in self.fates)

    def aboard(self, run: Run) -> tuple[str, ...]:
        """Return the agents of a run that have not landed since it started."""
        return tuple(name for name in run.agents if self.fates.get(name, _OPEN).kind != "landed")


_OPEN = Fate("", -math.inf)
_ENDLESS_S = 1e9
_BUILDING = "building candidates"


def tone_of(event: TrainEvent) -> Tone:
    """Return the tone of an event's line."""
    return _TONES.get(event.kind, Tone.QUIET)


_TONES = {
    "landed": Tone.GOOD,
    "evicted": Tone.BAD,
    "blocked": Tone.WAITING,
    "waiting": Tone.WAITING,
    "recovered": Tone.WAITING,
}


def fold(state: TrainState, event: TrainEvent) -> TrainState:
    """The state after one more event. Total: what it does not understand changes nothing."""
    step = _STEPS.get(event.kind)
    return state if step is None or not math.isfinite(event.at) else step(state, event)


# -- one event ----------------------------------------------------------------------------------------------------


def _started(state: TrainState, event: TrainEvent) -> TrainState:
    return replace(
        state,
        target=_text(event, "target") or state.target,
        order=tuple(dict.fromkeys(event.agents)),
        rehearsed=event.data.get("rehearsed") is True,
        started_at=event.at,
        doing=_BUILDING,
    )


def _progress(state: TrainState, event: TrainEvent) -> TrainState:
    seconds = _number(event, "eta_s")
    return replace(state, eta=None if seconds is None else (event.at, seconds))


def _built(state: TrainState, event: TrainEvent) -> TrainState:
    return replace(state, doing=_BUILDING)


def _landing(state: TrainState, event: TrainEvent) -> TrainState:
    return replace(state, doing=event.text)


def _fate(state: TrainState, event: TrainEvent) -> TrainState:
    if not event.agents:  # the train itself waits
        return replace(state, doing=event.text) if event.kind == "waiting" else state
    fates = dict(state.fates)
    for name in event.agents:
        if fates.get(name, _OPEN).at <= event.at:
            fates[name] = Fate(event.kind, event.at)
    is_open = any(name not in fates for name in state.order) or state.started_at is None
    return replace(state, fates=MappingProxyType(fates), doing=state.doing if is_open else "finishing")


def _queued(state: TrainState, event: TrainEvent) -> TrainState:
    return _seen(state, event, lambda run: replace(run, phase=Phase.QUEUED, slot=None))


def _preparing(state: TrainState, event: TrainEvent) -> TrainState:
    return _seen(state, event, lambda run: replace(run, phase=Phase.PREPARING))


def _gate(state: TrainState, event: TrainEvent) -> TrainState:
    return _seen(
        state,
        event,
        lambda run: replace(
            run,
            phase=Phase.GATE,
            gate=_text(event, "gate"),
            step=_count(event, "step") or 0,
            steps=_count(event, "steps") or 0,
            expected_s=_number(event, "expected_s"),
        ),
    )


def _cancelled(state: TrainState, event: TrainEvent) -> TrainState:
    return _seen(state, event, lambda run: replace(run, phase=Phase.STOPPING))


def _seen(state: TrainState, event: TrainEvent, change: Callable[[Run], Run]) -> TrainState:
    """A run shows a sign of life: it takes over its slot from an earlier run, unless it has ended."""
    number, slot = _count(event, "run"), _count(event, "slot")
    if number is None or number in state.ended:
        return state
    fresh = Run(number, event.agents, event.data.get("purpose") == "explain", Phase.QUEUED, event.at)
    run = change(replace(state.runs.get(number, fresh), slot=slot, since=event.at))
    other_runs = {n: r for n, r in state.runs.items() if n != number and (r.slot is None or r.slot != run.slot)}
    return replace(state, runs=MappingProxyType({**other_runs, number: run}))


def _ended(state: TrainState, event: TrainEvent) -> TrainState:
    number = _count(event, "run")
    if number is None:
        return state
    reached_verdict = _text(event, "outcome") != "cancelled" and event.data.get("cached") is not True
    runs = {n: run for n, run in state.runs.items() if n != number}
    return replace(state, runs=MappingProxyType(runs), ended=MappingProxyType({**state.ended, number: reached_verdict}))


def _interrupted(state: TrainState, event: TrainEvent) -> TrainState:
    return replace(state, interrupted=True)


def _finished(state: TrainState, event: TrainEvent) -> TrainState:
    return replace(state, finished=True, runs=_no_runs(), eta=None)


_STEPS: Mapping[str, Callable[[TrainState, TrainEvent], TrainState]] = MappingProxyType(
    {
        "train.started": _started,
        "train.progress": _progress,
        "candidate.built": _built,
        "candidate.conflict": _built,
        "test.queued": _queued,
        "test.preparing": _preparing,
        "gate.started": _gate,
        "test.cancelled": _cancelled,
        "test.finished": _ended,
        "landing": _landing,
        **dict.fromkeys(FATES, _fate),
        "train.interrupted": _interrupted,
        "train.finished": _finished,
    }
)


# -- what an event's data holds -----------------------------------------------------------------------------------


def _text(event: TrainEvent, key: str) -> str:
    value: Json = event.data.get(key)
    return value if isinstance(value, str) else ""


def _number(event: TrainEvent, key: str) -> float | None:
    value: Json = event.data.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if 0 <= value < _ENDLESS_S else None  # NaN is neither


def _count(event: TrainEvent, key: str) -> int | None:
    value: Json = event.data.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
