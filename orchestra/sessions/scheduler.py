"""Which session may start now, and how hard the fleet may push: decisions from facts, no clock, no disk.

Back-off is the fleet's, not a session's: all sessions share one account, so one 429 says something about all. While
the API refuses, nothing new starts, and the fleet runs with fewer places; each quiet minute gives one place back.

Invariant: the money promised to running sessions and the money spent never exceed the budget. Refuses: overdrafts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

FIRST_PAUSE_S, LONGEST_PAUSE_S = 15.0, 600.0
QUIET_S = 60.0
ATTEMPTS = 5  # refusals after which a session counts as failed
LEAST_USD = 0.01  # below it a session cannot even say a word


@dataclass(frozen=True, slots=True)
class Candidate:
    """A queued session. ``left_usd``: what its agent may still cost, None without a limit; ``costs``: it says so."""

    agent: str
    at: float
    not_before: float = 0.0
    left_usd: float | None = None
    costs: bool = True


@dataclass(frozen=True, slots=True)
class Weather:
    """How the API treats the fleet. ``places`` None: as many as the limit says. ``held``: why nothing may start at
    all until a person has acted, such as a login that is refused."""

    level: int = 0
    until: float = 0.0
    noticed_at: float = 0.0
    places: int | None = None
    reason: str = ""
    held: str = ""


@dataclass(frozen=True, slots=True)
class Purse:
    """US dollars: the fleet's budget (None: no limit), what is spent, what running sessions may still spend."""

    budget: float | None = None
    spent: float = 0.0
    promised: float = 0.0

    @property
    def free(self) -> float | None:
        return None if self.budget is None else self.budget - self.spent - self.promised


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
    """That session will never be started; why."""

    agent: str
    reason: str


@dataclass(frozen=True, slots=True)
class Situation:
    """What a decision rests on. Times are POSIX seconds."""

    now: float
    queue: tuple[Candidate, ...]
    running: int
    limit: int
    last_start: float = 0.0
    stagger_s: float = 0.0
    weather: Weather = Weather()
    purse: Purse = Purse()


def decide(facts: Situation) -> Start | Hold | Refuse:
    """The one thing to do next; ask again when it is done."""
    hold = _hold(facts)
    if hold is not None:
        return hold
    due = sorted(
        (one for one in facts.queue if not _ahead(facts.now, one.not_before)), key=lambda one: (one.at, one.agent)
    )
    if not due:
        soonest = min((one.not_before for one in facts.queue), default=None)
        return Hold("waits out a pause" if facts.queue else "nothing is queued", soonest)
    return _fund(facts, due)


def _ahead(now: float, moment: float) -> bool:
    """Whether a moment that we chose is still to come. No pause of ours is longer: then the clock was set back."""
    return now < moment <= now + LONGEST_PAUSE_S


def _hold(facts: Situation) -> Hold | None:
    weather = facts.weather
    if weather.held:
        return Hold(weather.held)
    if _ahead(facts.now, weather.until):
        return Hold(f"{weather.reason}: the fleet pauses", weather.until)
    places = facts.limit if weather.places is None else min(facts.limit, weather.places)
    if facts.running >= places:
        return Hold(f"waits for one of {places} places")
    # A clock that was set back must not hold the fleet for as long as it was set back.
    since = facts.now - facts.last_start
    if 0 <= since < facts.stagger_s:
        return Hold("waits for its turn to start", facts.last_start + facts.stagger_s)
    return None


def _fund(facts: Situation, due: Sequence[Candidate]) -> Start | Hold | Refuse:
    first = due[0]
    if not first.costs:
        return Start(first.agent, None)
    if first.left_usd is not None and first.left_usd < LEAST_USD:
        return Refuse(first.agent, "its budget is spent")
    free = facts.purse.free
    if free is None:
        return Start(first.agent, first.left_usd)
    if free < LEAST_USD:
        if facts.purse.promised > 0:
            return Hold("waits for money that running sessions may not need")
        return Refuse(first.agent, f"the fleet's budget of {facts.purse.budget:g} USD is spent")
    asking = sum(1 for one in facts.queue if one.costs)
    share = free / asking
    return Start(first.agent, share if first.left_usd is None else min(share, first.left_usd))


def worsen(weather: Weather, now: float, *, running: int, reason: str, wait_s: float = 0.0) -> Weather:
    """A refusal was noticed. Those that arrive within the pause it caused are the same weather, not worse."""
    if _ahead(now, weather.until):
        return replace(weather, until=max(weather.until, now + min(wait_s, LONGEST_PAUSE_S)), noticed_at=now)
    pause = min(LONGEST_PAUSE_S, max(FIRST_PAUSE_S * 2**weather.level, wait_s))
    return Weather(weather.level + 1, now + pause, now, max(1, running // 2), reason)


def improve(weather: Weather, now: float) -> Weather:
    """A minute without a refusal after the pause gives a place back, and then the weather is forgotten."""
    if not weather.level or weather.held:
        return weather
    quiet = now - max(weather.until, weather.noticed_at)
    if _ahead(now, weather.until) or 0 <= quiet < QUIET_S:
        return weather
    if weather.level == 1:
        return Weather()
    places = None if weather.places is None else weather.places + 1
    return replace(weather, level=weather.level - 1, places=places, noticed_at=now)


@dataclass(frozen=True, slots=True)
class Again:
    """Go on with that session, not before then, as its ``attempt``-th try against the API."""

    not_before: float
    attempt: int


def again(fault: str, *, attempt: int, left_usd: float, capped: bool, weather: Weather, now: float) -> Again | None:
    """Whether a session that ended badly goes on by itself; None where a person has to look.

    ``fault``: state.Digest's. Two kinds do: the API turned it away (at most so many times, each pause twice the one
    before), and it used up its share of the fleet's money while there may be more.
    """
    if fault == "budget" and capped and left_usd > LEAST_USD:
        return Again(now, attempt)
    if fault == "busy" and attempt + 1 < ATTEMPTS:
        pause = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2**attempt)
        return Again(max(now + pause, weather.until), attempt + 1)
    return None
