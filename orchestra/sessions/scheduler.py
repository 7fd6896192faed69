"""Decide which session starts next, and how the fleet backs off: pure functions, no clock, no disk.

Back-off belongs to the fleet, not to a session: all sessions share one account, so one 429 concerns all. While the API
refuses, nothing new starts, and fewer sessions run at once; each minute without a refusal gives one slot back.

Invariant: the money spent and the money reserved for running sessions never exceed the budget.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

FIRST_PAUSE_S, LONGEST_PAUSE_S = 15.0, 600.0
QUIET_S = 60.0
_DAY_S = 86400.0
ATTEMPTS = 5  # refusals after which a session counts as failed
LONGEST_LIMIT_S, LIMIT_MARGIN_S = 8 * 86400.0, 60.0  # usage limits are reset within a week
LEAST_USD = 0.01  # with less, a session cannot even answer once


@dataclass(frozen=True, slots=True)
class Candidate:
    """A queued session. ``remaining_usd``: what its agent may still cost, None without a limit; ``reports_cost``: its
    program reports what it costs and can be limited."""

    agent: str
    at: float
    not_before: float = 0.0
    remaining_usd: float | None = None
    reports_cost: bool = True


@dataclass(frozen=True, slots=True)
class BackoffState:
    """How the API treats the fleet. ``slots`` None: as many as the limit allows. ``held``: why nothing may start until
    a person has acted, such as a refused login. ``limit``: the usage limit that is reset at ``limited_until``."""

    level: int = 0
    until: float = 0.0
    noticed_at: float = 0.0
    slots: int | None = None
    reason: str = ""
    held: str = ""
    limit: str = ""
    limited_until: float = 0.0


@dataclass(frozen=True, slots=True)
class Budget:
    """US dollars: the fleet's limit (None: no limit), the spent, and the reserved for running sessions."""

    limit: float | None = None
    spent: float = 0.0
    reserved: float = 0.0

    @property
    def free(self) -> float | None:
        return None if self.limit is None else self.limit - self.spent - self.reserved


@dataclass(frozen=True, slots=True)
class Start:
    """Start that session; it may cost ``cap_usd`` at most (None: no limit)."""

    agent: str
    cap_usd: float | None


@dataclass(frozen=True, slots=True)
class Hold:
    """Start nothing. ``until`` None: until something changes."""

    reason: str
    until: float | None = None


@dataclass(frozen=True, slots=True)
class Refuse:
    """Never start that session, for this reason."""

    agent: str
    reason: str


@dataclass(frozen=True, slots=True)
class SchedulerInput:
    """The facts of a decision. Times are POSIX seconds."""

    now: float
    queue: tuple[Candidate, ...]
    running: int
    limit: int
    last_start: float = 0.0
    stagger_s: float = 0.0
    backoff: BackoffState = BackoffState()
    budget: Budget = Budget()


def decide(facts: SchedulerInput) -> Start | Hold | Refuse:
    """Return the one thing to do next; call again when it is done."""
    backoff = facts.backoff
    # Reasons that hold the whole queue.
    if backoff.held:
        return Hold(backoff.held)
    if is_limited(backoff, facts.now):
        at = time.strftime(
            "%H:%M" if backoff.limited_until - facts.now < _DAY_S else "%a %H:%M", time.localtime(backoff.limited_until)
        )
        return Hold(f"{backoff.limit}; continues at {at}", backoff.limited_until)
    if _is_pending(facts.now, backoff.until):
        return Hold(f"paused: {backoff.reason}", backoff.until)
    slots = facts.limit if backoff.slots is None else min(facts.limit, backoff.slots)
    if facts.running >= slots:
        return Hold(f"waiting for a free slot: {facts.running} of {slots} sessions run")
    # A clock that was set back must not hold the fleet for as long as it was set back.
    if 0 <= facts.now - facts.last_start < facts.stagger_s:
        return Hold(f"waiting: sessions start {facts.stagger_s:g} s apart", facts.last_start + facts.stagger_s)
    # First come, first served, among those whose pause is over.
    due = [candidate for candidate in facts.queue if not _is_pending(facts.now, candidate.not_before)]
    if not due:
        soonest = min((candidate.not_before for candidate in facts.queue), default=None)
        return Hold("waiting for the end of its pause" if facts.queue else "nothing is queued", soonest)
    first = min(due, key=lambda candidate: (candidate.at, candidate.agent))
    # Money: an equal share of what is free, and no more than the agent may cost.
    if not first.reports_cost:
        return Start(first.agent, None)
    if refusal := budget_refusal(first.remaining_usd, facts.budget):
        return Refuse(first.agent, refusal)
    free = facts.budget.free
    if free is None:
        return Start(first.agent, first.remaining_usd)
    if free < LEAST_USD:
        return Hold("waiting for budget that is reserved for running sessions")
    share = free / sum(1 for candidate in facts.queue if candidate.reports_cost)
    return Start(first.agent, share if first.remaining_usd is None else min(share, first.remaining_usd))


def budget_refusal(remaining_usd: float | None, budget: Budget) -> str:
    """Return why no session can start for want of money, "" where one can, or could when running ones have ended."""
    if remaining_usd is not None and remaining_usd < LEAST_USD:
        return "its budget is spent: raise `max_budget_usd` of its runner in the blueprint, then run orchestra start"
    if budget.free is not None and budget.free < LEAST_USD and not budget.reserved:
        spent = f"the fleet's budget of {budget.limit:g} USD is spent"
        return f"{spent}: raise `limits.budget_usd`, then run orchestra start"
    return ""


def _is_pending(now: float, moment: float) -> bool:
    """Return True when a pause is not over. No pause is longer than LONGEST_PAUSE_S: then the clock was set back."""
    return now < moment <= now + LONGEST_PAUSE_S


def is_limited(backoff: BackoffState, now: float) -> bool:
    """Return True while the account's usage limit is reached. A limit that is too far off: the clock was set back."""
    return now < backoff.limited_until <= now + LONGEST_LIMIT_S


def record_limit(backoff: BackoffState, reason: str, resets_at: float) -> BackoffState:
    """Return the back-off of a fleet whose account has reached a usage limit."""
    return replace(backoff, limit=reason, limited_until=resets_at + LIMIT_MARGIN_S)


def record_refusal(
    backoff: BackoffState, now: float, *, running: int, reason: str, wait_s: float = 0.0
) -> BackoffState:
    """Return the back-off after a refusal. Refusals within the pause that the first one caused do not add up."""
    if _is_pending(now, backoff.until):
        return replace(backoff, until=max(backoff.until, now + min(wait_s, LONGEST_PAUSE_S)), noticed_at=now)
    pause = min(LONGEST_PAUSE_S, max(FIRST_PAUSE_S * 2**backoff.level, wait_s))
    slots = max(1, running // 2)
    return replace(backoff, level=backoff.level + 1, until=now + pause, noticed_at=now, slots=slots, reason=reason)


def relax(backoff: BackoffState, now: float) -> BackoffState:
    """Return the back-off as of now: each minute without a refusal gives one slot back, until it is forgotten."""
    if not backoff.level or backoff.held:
        return backoff
    quiet = now - max(backoff.until, backoff.noticed_at)
    if _is_pending(now, backoff.until) or 0 <= quiet < QUIET_S:
        return backoff
    if backoff.level == 1:
        return BackoffState(limit=backoff.limit, limited_until=backoff.limited_until)
    slots = None if backoff.slots is None else backoff.slots + 1
    return replace(backoff, level=backoff.level - 1, slots=slots, noticed_at=now)


@dataclass(frozen=True, slots=True)
class Retry:
    """Resume that session, not before ``not_before``, as its ``attempt``-th try against the API."""

    not_before: float
    attempt: int


def retry_after(
    fault: str, *, attempt: int, remaining_usd: float, capped: bool, backoff: BackoffState, now: float
) -> Retry | None:
    """Return when a session that ended badly is resumed; None where a person has to look.

    ``fault``: of SessionResult. Three kinds are resumed: the API refused it (ATTEMPTS times at most, each pause twice
    the one before), the account's usage limit was reached, which holds the whole fleet and counts as no attempt, and it
    used up its share of the fleet's budget while more may be free.
    """
    if fault == "limit" and is_limited(backoff, now):
        return Retry(now, attempt)
    if fault == "budget" and capped and remaining_usd > LEAST_USD:
        return Retry(now, attempt)
    if fault in ("busy", "limit") and attempt + 1 < ATTEMPTS:
        pause = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2**attempt)
        return Retry(max(now + pause, backoff.until), attempt + 1)
    return None
