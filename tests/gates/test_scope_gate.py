"""Which paths an agent was not to touch: a table of the rule."""

from __future__ import annotations

from dataclasses import replace

import pytest

from orchestra.blueprint.model import Scope
from orchestra.gates.scope_gate import ScopeFinding, ScopeReason, scope_findings
from tests.fleets import make_agent, make_blueprint


@pytest.mark.parametrize(
    ("scope", "may_edit", "path", "why"),
    [
        (Scope(("src/**",)), (), "src/a", None),
        (Scope(("src/**",)), (), "docs/a", ScopeReason.OUT_OF_SCOPE),
        (Scope(("src/**",), ("src/gen/**",)), (), "src/gen/a", ScopeReason.OUT_OF_SCOPE),
        (Scope(("src/**",)), ("package.json",), "package.json", None),
        (Scope(("**",)), (), "package.json", ScopeReason.PROTECTED),
        (Scope(("**",)), ("package.json",), "package.json", None),
        (Scope(("src/**",)), ("tsconfig.json",), "package.json", ScopeReason.PROTECTED),
        (None, (), "anything/at/all", None),
        (None, (), "package.json", ScopeReason.PROTECTED),
        (None, (), "sub/package.json", None),
        (None, (), "sub/tsconfig.base.json", ScopeReason.PROTECTED),
        (Scope(("src/**",)), (), "src/ü\n", None),
    ],
)
def test_the_rule(scope: Scope | None, may_edit: tuple[str, ...], path: str, why: ScopeReason | None) -> None:
    agent = replace(make_agent("schema"), scope=scope, may_edit=may_edit)
    blueprint = replace(make_blueprint("schema"), protected=("package.json", "**/tsconfig*.json"))
    assert scope_findings(blueprint, agent, [path]) == ((ScopeFinding(path, why),) if why else ())
