"""Saving uncommitted work while somebody else saves it, too."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

from orchestra.sessions.stop import save_work

from .conftest import LiveFleet


def test_many_that_save_at_once_find_it_saved(make_live_fleet: Callable[..., LiveFleet]) -> None:
    """As the supervisor and stop do, when a session falls while it is stopped."""
    live = make_live_fleet("a")
    place = live.fleet.worktree(live.agent("a"))
    (place / "precious.txt").write_text("1\n", "utf-8")
    given = (live.fleet.name, live.agent("a").name, place, "test")
    with ProcessPoolExecutor(4, get_context("forkserver")) as pool:
        saved = [pool.submit(save_work, *given) for _ in range(12)]
    for ref in [one.result() for one in saved]:
        assert ref is not None
        assert live.world.checkout.git("show", f"{ref}:precious.txt") == "1"
