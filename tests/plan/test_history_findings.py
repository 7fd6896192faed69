"""The words of findings from history."""

from __future__ import annotations

from collections.abc import Sequence, Set

from orchestra.blueprint.model import Blueprint
from orchestra.plan.finding import Code, Finding, Severity
from orchestra.plan.history_findings import MOST, history_findings, path_demands
from orchestra.plan.ownership import PathIndex, claims
from tests.plan.conftest import Written

TWO = "- {name: api, scope: [api/**]}\n- {name: db, scope: [db/**]}"


def found(blueprint: Blueprint, commits: Sequence[Set[str]]) -> list[Finding]:
    index = PathIndex({path for commit in commits for path in commit})
    tree = claims(blueprint, index)
    return list(history_findings(blueprint, path_demands(commits, tree.owners, tree.protected), tree, index))


def test_a_file_that_two_agents_will_want_is_hot(written: Written) -> None:
    (hot,) = found(written(TWO), [{"api/x", "app"}] * 3 + [{"db/x", "app"}] * 4 + [{"db/x"}])
    assert (hot.severity, hot.code, hot.agents, hot.paths) == (Severity.WARNING, Code.HOT_FILE, ("api", "db"), ("app",))
    assert hot.message == (
        "app is outside all scopes, and changed in 3 of 3 commits on files of api and 4 of 5 commits on files of db"
    )
    assert (
        hot.advice
        == "give it one owner: add it to the scope of api, which lands first, and mention that in the other tasks"
    )
    assert hot.origin.line == 5


def test_the_advice_names_the_agent_that_lands_first(written: Written) -> None:
    blueprint = written("- {name: api, scope: [api/**], merge_after: [db]}\n- {name: db, scope: [db/**]}")
    (hot,) = found(blueprint, [{"api/x", "app"}, {"db/x", "app"}] * 3)
    assert "the scope of db, which lands first" in hot.advice
    assert hot.origin.line == 6


def test_a_file_that_has_one_owner_and_another_taker_is_a_note(written: Written) -> None:
    (hot,) = found(written(TWO), [{"api/x", "db/x"}] * 3 + [{"db/x"}] * 13)
    assert (hot.severity, hot.code, hot.paths) == (Severity.NOTE, Code.HOT_FILE, ("db/x",))
    assert hot.message == "db/x is in the scope of db, and changed in 3 of 3 commits on files of api"


def test_files_that_merge_by_rule_are_not_hot_but_for_a_forbidden_one(written: Written) -> None:
    commits = [{"api/x", "log"}, {"db/x", "log"}] * 3
    (outside,) = found(written(TWO, 'merge: {conflicts: {"log": union}}'), commits)
    assert (outside.severity, outside.code) == (Severity.NOTE, Code.OUTSIDE_SCOPES)
    advice = "add it to the scope of each agent that is to write to it: `merge.conflicts` merges log"
    assert outside.advice == advice
    assert found(written(TWO, 'merge: {conflicts: {"log": forbid}}'), commits)[0].code is Code.HOT_FILE


def test_a_folder_outside_all_scopes_is_reported_once(written: Written) -> None:
    commits = [{"api/x", f"tests/{number % 2}"} for number in range(8)]
    (outside,) = found(written(TWO), commits)
    assert (outside.severity, outside.code, outside.paths) == (Severity.WARNING, Code.OUTSIDE_SCOPES, ("tests/",))
    assert outside.message == "tests/** is outside all scopes, and changed in 8 of 8 commits on files of api"
    assert outside.advice.startswith("add the part of tests/** that api needs to its scope")


def test_a_folder_that_several_want_is_to_be_divided(written: Written) -> None:
    commits = [{owner, f"tests/{number}"} for number in range(2) for owner in ("api/x", "db/x") for _ in range(2)]
    (outside,) = found(written(TWO), commits)
    assert outside.agents == ("api", "db")
    assert outside.advice.startswith("give each its own part of tests/**, or all of it to api")


def test_a_protected_file_that_agents_are_likely_to_need_is_a_note(written: Written) -> None:
    commits = [{"api/x", "lock"}, {"db/x", "lock"}] * 3
    (needed,) = found(written(TWO, "protected: [lock]"), commits)
    assert (needed.severity, needed.code, needed.paths) == (Severity.NOTE, Code.PROTECTED_NEEDED, ("lock",))
    given = "- {name: api, scope: [api/**], may_edit: [lock]}\n- {name: db, scope: [db/**]}"
    assert found(written(given, "protected: [lock]"), commits) == []


def test_many_takers_are_counted(written: Written) -> None:
    agents = "\n".join(f"- {{name: a{number}, scope: ['{number}/**']}}" for number in range(7))
    (hot,) = found(written(agents), [{f"{number}/x", "app"} for number in range(7) for _ in range(3)])
    assert hot.message.endswith("3 of 3 commits on files of a3 and those of 3 more agents")
    assert len(hot.agents) == 7


def test_only_the_most_likely_paths_are_reported(written: Written) -> None:
    files = {f"f{number}" for number in range(MOST + 5)}
    findings = found(written(TWO), [{"api/x", *files}] * 3 + [{"api/x", "f3"}] * 2)
    assert len(findings) == MOST
    assert findings[0].paths == ("f3",)
