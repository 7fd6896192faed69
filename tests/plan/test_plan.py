"""The whole plan, of real repositories: golden text, a valid document, and nothing written."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from orchestra.blueprint.load import list_blueprints, load_blueprint, shipped_data_folder
from orchestra.blueprint.model import AgentName, Blueprint, RunnerKind
from orchestra.errors import ExitCode
from orchestra.fleet import Fleet, make_fleet
from orchestra.git.refs import CommitId
from orchestra.git.repository import Repository
from orchestra.plan.capacity import Machine
from orchestra.plan.finding import Code, Severity
from orchestra.plan.plan import plan, read_machine
from orchestra.plan.plan_report import PlanReport, Spawning
from orchestra.plan.plan_text import MOST_OF_A_KIND, MOST_SHOWN, WIDTH, draw_plan, scope_summary
from orchestra.workspace.spawn_plan import plan_spawn
from tests.conftest import Checkout, Content, MakeRepository
from tests.plan.conftest import Written

GOLDEN = Path(__file__).parent / "golden"
MACHINE = Machine(cores=4, memory_bytes=16_000_000_000, free_bytes=50_000_000_000, block_bytes=4096)


def fleet(checkout: Checkout, blueprint: Blueprint) -> Fleet:
    return make_fleet(Repository.discover(checkout.path), blueprint)


def written_out(report: PlanReport, *, all_findings: bool = False) -> str:
    return "".join(f"{line}\n" for line, _ in draw_plan(report, all_findings=all_findings))


def one_line(report: PlanReport) -> str:
    """The whole text without its line breaks."""
    return " ".join(written_out(report).split())


def valid(report: PlanReport) -> dict[str, Any]:
    schema = json.loads((shipped_data_folder() / "schemas" / "plan.schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    document: dict[str, Any] = json.loads(json.dumps(report.to_json()))
    jsonschema.validate(document, schema)
    return document


def spawning(checkout: Checkout) -> Spawning:
    """What a spawn of mvp5 would do, in brief."""
    schema, api = AgentName("schema"), AgentName("api")
    steps = ((None, "mkdir ../worktrees"), (schema, "add schema"), (api, "add api"), (api, "write TASK.md"))
    return Spawning(CommitId(checkout.git("rev-parse", "HEAD")), steps, (), ("nothing is called .env",))


def service_history() -> list[dict[str, Content | None]]:
    """A service as it may be before mvp5: some code, settings, and files that all commits touch."""
    package = '{"scripts": {"test": "vitest run"}}'
    first: dict[str, Content | None] = {"package.json": package, "src/version.ts": "1", "README.md": "# Orders\n"}
    first |= {"package-lock.json": "{}", "tsconfig.json": "{}"}
    history = [first]
    for number in range(4):
        settings = package + "\n" * number
        history.append({f"src/db/t{number}.ts": "x", "src/errors.ts": str(number), "package.json": settings})
        history.append({"src/auth/index.ts": str(number), "src/errors.ts": f"a{number}", f"docs/auth/{number}.md": "x"})
    return history


def test_mvp5_reads_as_it_was_agreed(make_repository: MakeRepository) -> None:
    """To accept a change of the text: ORCHESTRA_WRITE_GOLDEN=1 pytest tests/plan, then read the diff."""
    made = make_repository(*service_history())
    shutil.copytree(shipped_data_folder() / "blueprints", made.path / "blueprints")
    blueprint = load_blueprint(made.path / "blueprints" / "mvp5.yaml")
    machine = replace(MACHINE, missing=frozenset({"claude"}))
    report = plan(fleet(made, blueprint), spawning=spawning(made), machine=machine)
    text = f"{written_out(report)}\n\n# plan --all\n\n{written_out(report, all_findings=True)}"
    golden = GOLDEN / "mvp5.txt"
    if os.environ.get("ORCHESTRA_WRITE_GOLDEN"):
        golden.write_text(text, encoding="utf-8")
    assert text == golden.read_text(encoding="utf-8")
    for line in text.splitlines():
        assert len(line) <= WIDTH, line


@pytest.mark.parametrize("name", [listed.name for listed in list_blueprints(None)])
def test_the_shipped_fleets_have_no_errors_and_no_overlaps(make_repository: MakeRepository, name: str) -> None:
    blueprint = load_blueprint(shipped_data_folder() / "blueprints" / f"{name}.yaml")
    report = plan(fleet(make_repository(*service_history()), blueprint), machine=MACHINE)
    assert not report.errors
    assert not [finding for finding in report.findings if finding.code is Code.SCOPE_OVERLAP]
    document = valid(report)
    assert [agent["name"] for agent in document["agents"]] == [agent.name for agent in blueprint.agents]
    reports_costs = all(agent.runner.kind is RunnerKind.CLAUDE for agent in blueprint.agents)
    assert (document["cost"]["high_usd"] is not None) is reports_costs
    assert {finding["line"] > 1 for finding in document["findings"]} == {True}


def test_planning_writes_nothing(make_repository: MakeRepository, written: Written) -> None:
    made = make_repository(*service_history())
    made.write({"untracked": "x"})

    def everything() -> dict[str, tuple[int, bytes]]:
        files = [path for path in made.path.parent.rglob("*") if path.is_file()]
        return {str(path): (path.stat().st_mtime_ns, path.read_bytes()) for path in files}

    blueprint = written("- {name: a, scope: [src/**]}\n- {name: b}", "gates: {t: {run: pytest}}")
    before = everything()
    plan(fleet(made, blueprint))
    assert everything() == before


def test_the_same_ground_gives_the_same_plan(make_repository: MakeRepository, written: Written) -> None:
    made = make_repository(*service_history())
    blueprint = written("- {name: a, scope: [src/**]}\n- {name: b, scope: [src/db/**]}")
    assert plan(fleet(made, blueprint), machine=MACHINE) == plan(fleet(made, blueprint), machine=MACHINE)


def test_a_target_without_a_commit_is_an_error_and_the_plan_is_still_shown(tmp_path: Path, written: Written) -> None:
    made = Checkout(tmp_path / "empty")
    made.path.mkdir()
    made.git("init", "-q", "-b", "main")
    report = plan(fleet(made, written("- {name: a, scope: [x]}\n- {name: b, scope: [y]}")), machine=MACHINE)
    assert [finding.code for finding in report.errors] == [Code.NO_COMMIT]
    assert report.exit_code is ExitCode.WRONG_GROUND
    assert not [finding for finding in report.findings if finding.code is Code.SCOPE_MATCHES_NOTHING]
    assert "(no commit)" in written_out(report)
    assert valid(report)["target"] == {"branch": "main", "commit": None}


def test_a_misspelled_target_is_named_with_the_nearest_branch(repository: Checkout, written: Written) -> None:
    blueprint = replace(written("- {name: a, scope: [README.md]}"), target="mian")
    (error,) = plan(fleet(repository, blueprint), machine=MACHINE).errors
    assert error.message == "the target branch mian does not exist"
    assert error.advice.startswith('did you mean "main"?')


def test_reasons_why_spawn_refuses_are_errors_in_its_words(repository: Checkout, written: Written) -> None:
    ground = fleet(repository, written("- {name: a, scope: [README.md]}"))
    refused = Spawning(None, (), ("main has no commit yet", "agent-1 belongs to another fleet"))
    report = plan(ground, spawning=refused, machine=replace(MACHINE, free_bytes=0))
    assert [(finding.code, finding.message) for finding in report.errors] == [
        (Code.SPAWN_REFUSED, "main has no commit yet"),
        (Code.SPAWN_REFUSED, "agent-1 belongs to another fleet"),
    ]
    assert report.exit_code is ExitCode.WRONG_GROUND
    assert "spawn would\n  refuse, for the errors above\n" in written_out(report)
    assert valid(report)["steps"] == []


def test_a_second_spawn_has_nothing_to_do(repository: Checkout, written: Written) -> None:
    nothing = Spawning(CommitId(repository.git("rev-parse", "HEAD")))
    report = plan(fleet(repository, written("- {name: a}")), spawning=nothing, machine=MACHINE)
    assert "spawn would\n  have nothing to do\n" in written_out(report)


def test_agents_start_from_the_remote_where_that_is_ahead(make_repository: MakeRepository, written: Written) -> None:
    origin = make_repository({"a": "1"}, {"b": "2"}, name="origin")
    origin.git("clone", "-q", str(origin.path), "../repo")
    clone = Checkout(origin.path.parent / "repo")
    ahead = clone.git("rev-parse", "HEAD")
    ground = fleet(clone, written("- {name: a}", "remote: origin"))
    clone.git("reset", "-q", "--keep", "HEAD~1")
    assert plan(ground, machine=MACHINE).commit == ahead
    (behind,) = [f for f in plan(ground, machine=MACHINE).findings if f.code is Code.TARGET_BEHIND]
    assert behind.message == "main is 1 commit behind origin/main, as last fetched"
    assert behind.advice.endswith("to update main: git merge --ff-only origin/main")
    mine = clone.commit("diverged", {"c": "3"})
    assert plan(ground, machine=MACHINE).commit == mine
    (diverged,) = [f for f in plan(ground, machine=MACHINE).findings if f.code is Code.TARGET_DIVERGED]
    assert diverged.message == "main and origin/main have diverged: 1 commit only in main, 1 only in origin/main"
    note = "; ".join((diverged.message, diverged.advice))
    assert plan_spawn(ground).notes == (note,)
    spawning = Spawning(CommitId(mine), (), (), (note,))
    assert one_line(plan(ground, spawning=spawning, machine=MACHINE)).count("have diverged") == 1
    clone.git("checkout", "-q", "--detach")
    clone.git("branch", "-q", "-D", "main")
    assert plan(ground, machine=MACHINE).commit == ahead


def test_errors_of_the_blueprint_come_before_those_of_the_ground(repository: Checkout, written: Written) -> None:
    poor = replace(MACHINE, free_bytes=0)
    both = "- {name: a, scope: [x]}\n- {name: b, scope: [x]}"
    report = plan(fleet(repository, written(both, "overlap: error")), machine=poor)
    assert {finding.code for finding in report.errors} == {Code.SCOPE_OVERLAP, Code.DISK_FULL}
    assert report.exit_code is ExitCode.WRONG_INPUT
    assert plan(fleet(repository, written(both)), machine=poor).exit_code is ExitCode.WRONG_GROUND
    assert plan(fleet(repository, written(both)), machine=MACHINE).exit_code is ExitCode.DONE
    severities = [finding.severity for finding in report.findings]
    assert severities == sorted(severities, key=list(Severity).index)


def test_worktrees_that_are_there_need_no_more_space(repository: Checkout, written: Written) -> None:
    blueprint = written("- {name: a}\n- {name: b}", "gates: {t: {run: x}}\nlimits: {gates: 3}")
    ground = fleet(repository, blueprint)
    assert plan(ground, machine=MACHINE).disk.worktrees == 5
    for folder in ("agent-1", "repo.gates/1", "repo.gates/1.tmp", "repo.gates/0"):
        (ground.worktrees_root / folder).mkdir(parents=True)
    assert plan(ground, machine=MACHINE).disk.worktrees == 3
    no_commands = written("- {name: a}\n- {name: b}", "gates: {n: {builtin: notes}}")
    assert plan(fleet(repository, no_commands), machine=MACHINE).disk.worktrees == 1


def test_where_an_agent_may_touch_everything_nothing_is_outside(
    make_repository: MakeRepository, written: Written
) -> None:
    made = make_repository(*service_history())
    scoped = written("- {name: a, scope: [src/db/**]}\n- {name: b, scope: [src/auth/**]}")
    open_to_all = written("- {name: a, scope: [src/db/**]}\n- {name: b}", name="other.yaml")
    of_history = {Code.HOT_FILE, Code.OUTSIDE_SCOPES, Code.PROTECTED_NEEDED}
    assert of_history & {finding.code for finding in plan(fleet(made, scoped), machine=MACHINE).findings}
    assert not of_history & {finding.code for finding in plan(fleet(made, open_to_all), machine=MACHINE).findings}


def test_many_findings_of_a_kind_do_not_hide_the_others(repository: Checkout, written: Written) -> None:
    agents = "\n".join(f"- {{name: a{number}, scope: [src/**]}}" for number in range(8))
    report = plan(fleet(repository, written(agents)), machine=MACHINE)
    assert len([finding for finding in report.findings if finding.code is Code.SCOPE_OVERLAP]) == 28
    warnings = [line for line, severity in draw_plan(report) if severity is Severity.WARNING]
    assert len(warnings) == MOST_SHOWN
    assert "  orchestra plan --all: 23 more warnings, 9 notes and what to change\n" in written_out(report)
    assert written_out(report, all_findings=True).count("[scope-overlap]") == 28
    errors = plan(fleet(repository, written(agents, "overlap: error")), machine=MACHINE)
    assert written_out(errors).count("may both change") == MOST_OF_A_KIND
    assert "  error: 20 more of this kind (--all) [scope-overlap]\n" in written_out(errors)
    assert len(valid(report)["findings"]) == len(report.findings)


def test_a_partial_clone_reports_what_it_does_not_know(
    make_repository: MakeRepository, written: Written, tmp_path: Path
) -> None:
    made = make_repository(*service_history())
    made.git("config", "uploadpack.allowFilter", "true")
    made.git("clone", "-q", "--no-checkout", "--filter=blob:none", f"file://{made.path}", str(tmp_path / "partial"))
    report = plan(fleet(Checkout(tmp_path / "partial"), written("- {name: a}")), machine=MACHINE)
    assert "1 worktree to make, of a size that this partial clone does not know; 50.0 GB are free" in one_line(report)
    assert valid(report)["disk"]["bytes_per_worktree"] is None


def test_a_long_scope_is_cut_on_one_line(written: Written) -> None:
    many = ", ".join(f"src/module-{number}/**" for number in range(9))
    blueprint = written(f"- {{name: a, scope: {{include: [{many}], exclude: [x]}}}}\n- {{name: b, may_edit: [lock]}}")
    first, second = blueprint.agents
    assert scope_summary(first) == "src/module-0/**, src/module-1/**, src/module-2/**, ... (7 more)"
    assert scope_summary(second) == "everything that is not protected, +lock"


def test_this_machine_is_read(tmp_path: Path) -> None:
    machine = read_machine(tmp_path / "not" / "there", ["sh", "no-such-command-anywhere"])
    assert machine.missing == {"no-such-command-anywhere"}
    assert machine.cores >= 1
    assert machine.memory_bytes > 10**8
    assert machine.free_bytes > 0
    assert machine.block_bytes >= 512
