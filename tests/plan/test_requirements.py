"""What must be on the target before a fleet is spawned."""

from __future__ import annotations

from dataclasses import replace

from orchestra.blueprint.load import find_blueprint
from orchestra.plan.finding import Code, Severity
from orchestra.plan.requirements import requirement_findings
from tests.plan.conftest import Written


def test_patterns_that_match_no_tracked_file_are_an_error_at_the_first_of_them(written: Written) -> None:
    blueprint = written("- {name: a}", 'requires: ["src/*.ts", package.json, web]')
    tracked = ["src/deep/a.ts", "web/index.html"]
    (finding,) = requirement_findings(blueprint, "main", tracked)
    assert (finding.severity, finding.code, finding.origin.line) == (Severity.ERROR, Code.REQUIRED_MISSING, 6)
    assert finding.message == "main has no src/*.ts and package.json, which demo requires"
    assert finding.advice == "commit src/*.ts and package.json to main, or remove it from `requires`"
    assert finding.paths == ("src/*.ts", "package.json")
    assert not list(requirement_findings(blueprint, "main", [*tracked, "src/a.ts", "package.json"]))


def test_a_shipped_fleet_with_a_starter_names_the_command_that_adds_it(written: Written) -> None:
    blueprint = replace(
        written("- {name: a}", "requires: [package.json]"),
        starter="typescript-service",
        source=find_blueprint("mvp5", None),
    )
    (finding,) = requirement_findings(blueprint, "main", [])
    assert finding.advice == "run `orchestra init --from=mvp5`, which adds the starter typescript-service to main"
