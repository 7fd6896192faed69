"""Remember in the ledger when set-up and gates last passed on the target alone, for ``plan`` to show."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

from orchestra.git.refs import CommitId
from orchestra.ledger import Ledger

_KIND = "check"


@dataclass(frozen=True, slots=True)
class GreenCheck:
    """All gates passed on ``commit``, at a POSIX time."""

    commit: CommitId
    at: float

    @property
    def age_s(self) -> float:
        return max(0.0, time.time() - self.at)


def record_check(ledger: Ledger, commit: CommitId, outcomes: Mapping[str, str], *, passed: bool) -> None:
    """Record a check of ``commit``. ``outcomes``: how the set-up and each gate ended."""
    ledger.record(_KIND, commit=commit, passed=passed, outcomes=dict(outcomes))


def last_green_check(ledger: Ledger) -> GreenCheck | None:
    """Return the newest check that passed; None where there is none."""
    for event in reversed(ledger.events(_KIND)):
        commit = event.data.get("commit")
        if event.data.get("passed") is True and isinstance(commit, str):
            return GreenCheck(CommitId(commit), event.at)
    return None
