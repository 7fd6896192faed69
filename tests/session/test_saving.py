"""Saving uncommitted work while somebody else saves it, too."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from orchestra.session.saving import save_work

from .conftest import Site


def test_many_that_save_at_once_find_it_saved(make_site: Callable[..., Site]) -> None:
    """As the supervisor and stop do, when a session falls while it is stopped."""
    site = make_site("a")
    place = site.fleet.worktree(site.agent("a"))
    (place / "precious.txt").write_text("1\n", "utf-8")
    with ThreadPoolExecutor(6) as pool:
        refs = list(pool.map(lambda _: save_work(site.fleet.name, site.agent("a").name, place, "test"), range(6)))
    assert None not in refs
    for ref in refs:
        assert site.world.checkout.git("show", f"{ref}:precious.txt") == "1"
