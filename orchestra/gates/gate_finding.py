"""A finding of a built-in gate: what is wrong, where it is, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass

from orchestra.candidates.text_conflict import quote_path
from orchestra.git.refs import CommitId


@dataclass(frozen=True, slots=True)
class GateFinding:
    """``reason`` continues the place: "src/a.py:3 holds a GitHub token".

    ``path`` is empty where it is not about a file; ``commit`` is set where the branch's tip does not hold it. ``fix``
    says what to do. An advisory finding is reported and stops nothing, whatever the policy is.
    """

    path: str
    reason: str
    fix: str = ""
    line: int | None = None
    commit: CommitId | None = None
    is_advisory: bool = False

    def __str__(self) -> str:
        place = quote_path(self.path) + (f":{self.line}" if self.line else "") if self.path else ""
        if self.commit:
            place += f" in commit {self.commit[:10]}" if place else f"commit {self.commit[:10]}"
        return f"{place} {self.reason}" if place else self.reason
