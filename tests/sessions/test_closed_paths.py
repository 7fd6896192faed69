"""The paths that a program's own permissions close: few, and never one that the agent may need."""

from __future__ import annotations

import re

from orchestra.blueprint.model import Scope
from orchestra.blueprint.scope import Matcher
from orchestra.sessions.closed_paths import closed_paths

TRACKED = ("README.md", "package.json", "src/api/a.ts", "src/api/b.ts", "src/ui/x.ts", "lib/deep/y.ts", "odd[1]/z.ts")


def closed(include: tuple[str, ...], exclude: tuple[str, ...] = (), may_edit: tuple[str, ...] = ()) -> list[str]:
    scope, extra = Scope(include, exclude), Matcher(Scope(may_edit))
    matches = Matcher(scope).matches
    return closed_paths(TRACKED, lambda name: matches(name) or extra.matches(name), scope, may_edit)


def test_folders_are_closed_as_a_whole() -> None:
    assert closed(("src/**",)) == ["README.md", "lib", "package.json", "odd[1]/z.ts"]
    assert closed(("src/api/**",)) == ["README.md", "lib", "package.json", "odd[1]/z.ts", "src/ui"]


def test_a_folder_that_may_get_new_files_stays_open() -> None:
    assert "src" not in closed(("src/new/**",))
    assert {"src/api", "src/ui"} <= set(closed(("src/new/**",)))


def test_files_are_closed_next_to_those_of_the_scope() -> None:
    assert "src/api/b.ts" in closed(("src/**",), exclude=("src/api/b.ts",))
    assert "package.json" not in closed(("src/**",), may_edit=("package.json",))


def test_without_a_scope_only_what_is_refused_is_closed() -> None:
    is_open = re.compile(r"(?!package)").match
    assert closed_paths(TRACKED, lambda name: is_open(name) is not None, None, ()) == ["package.json"]


def test_there_are_at_most_two_hundred() -> None:
    tracked = [f"f{number}" for number in range(500)]
    assert len(closed_paths(tracked, lambda _: False, None, ())) == 200
