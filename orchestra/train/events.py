"""What a train tells while it runs: values for a live view, plain lines, or JSON lines.

Invariant: nothing is decided from an event; whoever listens may lose every one of them. What ``data`` holds, kind by
kind, is in schemas/train-event.schema.json and docs/train.md; ``run`` numbers the test runs of one train from 1 and is
the same in all events about one run.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from orchestra.ledger import Json

KINDS = (
    "train.started",
    "advice",
    "train.progress",
    "candidate.built",
    "candidate.conflict",
    "test.queued",  # it waits for a slot
    "test.preparing",  # the candidate is put into its slot
    "test.started",
    "gate.started",
    "gate.finished",
    "test.cancelled",  # nobody wants to know any more; its slot is free when the test is finished
    "test.finished",
    "landing",
    "landed",
    "evicted",
    "blocked",
    "waiting",
    "proposal",  # how the text conflict of somebody evicted could be resolved: tried, offered, or not
    "recovered",
    "train.interrupted",
    "train.finished",
)


def _nothing() -> Mapping[str, Json]:
    return MappingProxyType({})


@dataclass(frozen=True, slots=True)
class TrainEvent:
    """``kind`` is one of KINDS, ``text`` one line for a person, ``at`` a POSIX timestamp."""

    kind: str
    agents: tuple[str, ...]
    text: str
    data: Mapping[str, Json] = field(default_factory=_nothing)
    at: float = 0.0

    def to_json(self) -> dict[str, Json]:
        """One line of ``--events``."""
        return {
            "kind": self.kind,
            "at": self.at,
            "agents": list(self.agents),
            "text": self.text,
            "data": dict(self.data),
        }


Listener = Callable[[TrainEvent], None]


def ignore(_: TrainEvent) -> None:
    """A listener that does not."""


class Teller:
    """Stamps events and hands them to a listener."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener

    def tell(self, kind: str, agents: tuple[str, ...], text: str, **data: Json) -> None:
        if kind not in KINDS:
            raise ValueError(f"{kind} is no kind of event")
        self._listener(TrainEvent(kind, agents, text, MappingProxyType(data), time.time()))
