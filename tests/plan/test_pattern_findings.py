"""Patterns that match nothing, or nothing allowed."""

from __future__ import annotations

import pytest

from orchestra.blueprint.model import Blueprint
from orchestra.plan.finding import Code, Finding, Severity
from orchestra.plan.ownership import PathIndex, claims
from orchestra.plan.pattern_findings import near_name, pattern_findings
from tests.plan.conftest import Written

TREE = ["README.md", "src/services/orders/x.ts", "src/app.ts", "web/package.json", "package.json", "db/schema.sql"]


def found(blueprint: Blueprint) -> list[Finding]:
    index = PathIndex(TREE)
    return list(pattern_findings(blueprint, index, claims(blueprint, index)))


def test_scopes_that_match_are_nothing_to_tell(written: Written) -> None:
    assert found(written("- {name: a, scope: [src/**, README.md]}\n- {name: b}")) == []


def test_patterns_that_match_nothing_are_one_note_for_each_agent(written: Written) -> None:
    (note,) = found(written("- {name: a, scope: [src/**, new/**, old.md]}"))
    assert (note.severity, note.code, note.agents) == (Severity.NOTE, Code.SCOPE_MATCHES_NOTHING, ("a",))
    assert note.message == "scope of a: no tracked file matches new/**, old.md"
    assert (note.origin.line, note.origin.column) == (5, 40)


def test_a_slip_of_the_pen_is_a_warning_with_the_name_that_is_there(written: Written) -> None:
    (warning,) = found(written("- name: a\n  task: x\n  scope: {include: [src/**, src/Service/**]}"))
    assert (warning.severity, warning.code) == (Severity.WARNING, Code.SCOPE_MATCHES_NOTHING)
    assert warning.message == "scope of a: no tracked file matches src/Service/**, but src/services exists"
    assert warning.origin.line == 7


@pytest.mark.parametrize(
    ("pattern", "near"),
    [
        ("src/service/**", "src/services"),
        ("SRC/app.ts", "src"),
        ("src/services/order", "src/services/orders"),
        ("src/services/orders/**", None),
        ("src/server/**", None),
        ("src/*/nothing", None),
        ("**/app.tsx", None),
        ("data/**", None),
        (".db/**", None),
    ],
)
def test_near_names(pattern: str, near: str | None) -> None:
    folders = {"": {"src", "db"}, "src/": {"services", "app.ts"}, "src/services/": {"orders"}}
    assert near_name(pattern, folders) == near


def test_protected_files_inside_a_scope_are_a_note(written: Written) -> None:
    blueprint = written("- {name: a, scope: [web/**, src/**]}\n- {name: b}", "protected: ['**/package.json']")
    (note,) = found(blueprint)
    assert (note.severity, note.code, note.paths) == (Severity.NOTE, Code.PROTECTED_IN_SCOPE, ("web/package.json",))
    assert note.origin.line == 5
    assert (
        found(written("- {name: a, scope: [web/**], may_edit: [web/package.json]}", "protected: ['**/package.json']"))
        == []
    )


@pytest.mark.parametrize(
    ("scope", "protected", "barred"),
    [
        ("[package.json]", "'**/package.json'", "package.json"),
        ("[src/**, db/**]", "db/**", "db/**"),
        ("['db/*.sql']", "'**/*.sql'", "db/*.sql"),
        ("{include: [db/**], exclude: [db/x/**]}", "'db/[!x]*', 'db/[!x]*/**', 'db/x?*', 'db/x?*/**'", None),
        ("{include: [db/**], exclude: [db/x/**, db/x]}", "'db/[!x]*', 'db/[!x]*/**', 'db/x?*', 'db/x?*/**'", "db/**"),
        ("[db/**]", "'db/*.sql'", None),
    ],
)
def test_a_pattern_all_of_which_is_protected_is_a_warning(
    written: Written, scope: str, protected: str, barred: str | None
) -> None:
    findings = found(written(f"- {{name: a, scope: {scope}}}", f"protected: [{protected}]"))
    warnings = [finding for finding in findings if finding.severity is Severity.WARNING]
    assert [finding.code for finding in warnings] == ([Code.SCOPE_ALL_PROTECTED] if barred else [])
    if barred:
        assert f"everything that {barred} matches is protected" in warnings[0].message
        assert not [finding for finding in findings if finding.code is Code.PROTECTED_IN_SCOPE]


def test_a_protected_pattern_that_is_given_back_is_in_order(written: Written) -> None:
    assert found(written("- {name: a, scope: [db/**], may_edit: [db/**]}", "protected: [db/**]")) == []


def test_may_edit_of_an_unprotected_path_is_a_warning(written: Written) -> None:
    blueprint = written("- {name: a, scope: [src/**], may_edit: [package.json, packge.json]}", "protected: ['*.json']")
    assert found(blueprint) == []
    blueprint = written("- {name: a, scope: [src/**], may_edit: [package.json, src/x]}", "protected: [package.json]")
    (warning,) = found(blueprint)
    assert (warning.severity, warning.code) == (Severity.WARNING, Code.MAY_EDIT_UNPROTECTED)
    assert warning.message == "may_edit of a: src/x matches no protected path"
    assert (warning.origin.line, warning.origin.column) == (5, 66)
