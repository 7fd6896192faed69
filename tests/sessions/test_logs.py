"""The lines of several agents' sessions, together."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from orchestra.errors import UsageError
from orchestra.sessions.logs import read_logs

from .conftest import COMMIT, LiveFleet

MakeLiveFleet = Callable[..., LiveFleet]


def test_lines_of_agents_at_work_come_as_they_are_written(make_live_fleet: MakeLiveFleet) -> None:
    live = make_live_fleet("a", "b", "c")
    live.use_script(f"echo begins; {live.hold}; echo ends; {COMMIT}")
    live.start("a", "b")
    for name in "ab":
        live.who(name)
    lines = read_logs(live.fleet, None, follow=True)
    seen: list[tuple[str, str]] = []

    def read_until(*expected: tuple[str, str]) -> None:
        while not set(expected) <= set(seen):
            seen.append(next(lines))

    read_until(("a", "begins"), ("b", "begins"))
    live.go("b")
    read_until(("b", "ends"))  # a, which is silent, does not hold it up
    assert ("a", "ends") not in seen
    live.go("a")
    seen += lines
    assert {(name, "-- run 1 ended: exit code 0") for name in "ab"} <= set(seen)
    live.wait_until_done()
    assert {name for name, _ in read_logs(live.fleet, None)} == {"a", "b"}


def test_an_agent_without_a_session_is_refused_by_name(make_live_fleet: MakeLiveFleet) -> None:
    live = make_live_fleet("a")
    with pytest.raises(UsageError, match="a has had no session yet"):
        read_logs(live.fleet, [live.agent("a")])
    with pytest.raises(UsageError, match="no agent of fleet demo has had a session yet"):
        read_logs(live.fleet, None)
