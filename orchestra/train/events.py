"""The events of a running train: values for a live view, plain lines, or JSON lines.

Nothing is decided from an event, so a listener may lose any of them. schemas/train-event.schema.json and docs/train.md
describe ``data``, kind by kind; ``run`` numbers the test runs of one train from 1 and is the same in all events about
one run.
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
    "test.cancelled",  # its result no longer matters; its slot is free when the test is finished
    "test.finished",
    "landing",
    "landed",
    "pushed",  # for a pull request
    "evicted",
    "blocked",
    "waiting",
    "train.result",  # all is decided; evictions are still being explained
    "proposal",  # a resolution of an evicted agent's text conflict: tried, offered, or not
    "recovered",
    "train.interrupted",
    "train.finished",
)


@dataclass(frozen=True, slots=True)
class TrainEvent:
    """``kind`` is one of KINDS, ``text`` one line for a person, ``at`` a POSIX timestamp."""

    kind: str
    agents: tuple[str, ...]
    text: str
    data: Mapping[str, Json] = field(default_factory=dict)
    at: float = 0.0

    def to_json(self) -> dict[str, Json]:
        """Return one line of ``--events``."""
        document: dict[str, Json] = {"kind": self.kind, "at": self.at, "agents": list(self.agents)}
        return document | {"text": self.text, "data": dict(self.data)}


Listener = Callable[[TrainEvent], None]


def ignore(_: TrainEvent) -> None:
    """Drop the event."""


class EventSink:
    """Adds the time to events and hands them to a listener."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener

    def emit(self, kind: str, agents: tuple[str, ...], text: str, **data: Json) -> None:
        if kind not in KINDS:
            raise ValueError(f"{kind} is not an event kind")
        self._listener(TrainEvent(kind, agents, text, MappingProxyType(data), time.time()))

    def announce(self, text: str) -> None:
        """Emit what the train itself waits for: a remote, a lock, another process."""
        self.emit("waiting", (), text)
