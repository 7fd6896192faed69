"""Which commands are needed, read off shell without parsing more of it than is sure."""

from __future__ import annotations

import pytest

from orchestra.plan.finding import Code, Finding, Severity
from orchestra.plan.required_commands import command_findings, first_word, needed_commands, script_name
from tests.plan.conftest import Written


@pytest.mark.parametrize(
    ("run", "word"),
    [
        ("pytest", "pytest"),
        ("  npm test", "npm"),
        ("CI=1 NODE_ENV=test npm test", "npm"),
        ("go vet ./... && go test ./...", "go"),
        ("make; true", "make"),
        ("tool>out", "tool"),
        ("c++ x.cc", "c++"),
        ("./scripts/check.sh --all", "./scripts/check.sh"),
        ("/usr/bin/env x", "/usr/bin/env"),
        ('"uv" run pytest', "uv"),
        ("ruff check \\\n  src", "ruff"),
        ("mypy\npytest", "mypy"),
        ("x # 'unclosed", "x"),
        # the shell's own, or the shell's to decide
        ("cd web && npm test", None),
        ("test -f x", None),
        ("if true; then x; fi", None),
        ("(cd web; npm test)", None),
        ("! grep -r debugger src", None),
        ("$RUNNER test", None),
        ("`which x`", None),
        ("~/bin/x", None),
        ("'my tool' x", None),
        ("{ x; }", None),
        ("echo 'unclosed", None),
        ("x 'unclosed", None),
        ("A=1", None),
        ("# nothing", None),
        ("", None),
    ],
)
def test_first_word(run: str, word: str | None) -> None:
    assert first_word(run) == word


@pytest.mark.parametrize(
    ("run", "name"),
    [
        ("npm test", "test"),
        ("npm t", "test"),
        ("CI=1 npm run lint:all -- --fix", "lint:all"),
        ("pnpm run build && x", "build"),
        ("npm run-script e2e", "e2e"),
        # not sure
        ("npm run lint --if-present", None),
        ("npm run lint --workspace=web", None),
        ("npm run -w web lint", None),
        ("npm --prefix web test", None),
        ("npm run", None),
        ("npm ci", None),
        ("npm start", None),
        ("npm", None),
        ("npm run $X", None),
        ("yarn test", None),
        ("pnpm -r run test", None),
        ("cd web && npm test", None),
    ],
)
def test_script_name(run: str, name: str | None) -> None:
    assert script_name(run) == name


def findings(written: Written, more: str, **facts: object) -> list[Finding]:
    blueprint = written("- {name: a}\n- {name: b, runner: {kind: command, command: [codex, '{prompt}']}}", more)
    known = {"missing": (), "tracked": (), "scripts": None, **facts}
    return list(command_findings(blueprint, known["missing"], known["tracked"], known["scripts"]))  # type: ignore[arg-type]


def test_everything_there_is_nothing_to_tell(written: Written) -> None:
    gates = "gates: {t: {run: npm test}, s: {run: scripts/x.sh}, n: {builtin: notes}}"
    assert findings(written, gates, tracked=["scripts/x.sh", "package.json"], scripts={"test"}) == []


def test_a_command_that_is_not_on_path(written: Written) -> None:
    (found,) = findings(written, "gates: {t: {run: tox -e py}}", missing={"tox"})
    assert (found.severity, found.code, found.origin.line) == (Severity.WARNING, Code.GATE_CANNOT_RUN, 7)
    assert found.message == "gate t cannot run here: tox is not on PATH"


def test_a_gate_with_a_path_of_its_own_is_not_judged_by_ours(written: Written) -> None:
    assert findings(written, "gates: {t: {run: tox, env: {PATH: /opt/bin}}}", missing={"tox"}) == []
    setup = "worktrees: {setup: {env: {PATH: /opt/bin}}}"
    assert findings(written, f"gates: {{t: {{run: tox}}}}\n{setup}", missing={"tox", "claude", "codex"}) == []
    assert findings(written, "runner: {env: {PATH: /opt/bin}}", missing={"claude", "codex"}) == []


@pytest.mark.parametrize(
    ("setup", "reported"),
    [("", True), ("worktrees: {setup: {run: [make]}}", False), ("worktrees: {setup: {share: [bin]}}", False)],
)
def test_an_untracked_program_that_no_set_up_creates_is_reported(written: Written, setup: str, reported: bool) -> None:
    found = findings(written, f"gates: {{t: {{run: ./bin/check x}}}}\n{setup}", tracked=["bin/other"])
    assert [f.code for f in found] == [Code.GATE_CANNOT_RUN] * reported


def test_an_npm_script_that_is_not_there(written: Written) -> None:
    (found,) = findings(written, "gates: {l: {run: npm run lint}}", tracked=["package.json"], scripts={"test"})
    assert (
        found.message
        == "gate l cannot run: it needs the npm script lint; package.json on the target has no such script"
    )
    (found,) = findings(written, "gates: {l: {run: npm run lint}}", scripts=frozenset())
    assert found.message.endswith("package.json on the target is missing")


def test_programs_of_agents_that_are_not_there(written: Written) -> None:
    one, two = findings(written, "runner: {kind: claude}", missing={"claude", "codex"})
    assert one.message == "claude is not on PATH, so the sessions of a cannot start here"
    assert (one.code, one.agents, one.origin.line) == (Code.RUNNER_NOT_FOUND, ("a",), 7)
    assert (two.agents, two.origin.line) == (("b",), 6)


def test_needed_commands(written: Written) -> None:
    agents = """
- {name: a}
- {name: b, runner: {kind: command, command: [codex]}}
- {name: c, runner: {kind: command, command: ["{{ agent.name }}-agent"]}}
- {name: d, runner: {kind: none}}
- {name: e, runner: {kind: command, command: [./agent.sh]}}
"""
    gates = "gates: {t: {run: npm test}, s: {run: scripts/x.sh}, o: {run: /opt/x}, n: {builtin: notes}}"
    blueprint = written(agents, f"runner: {{mode: tmux}}\n{gates}")
    assert needed_commands(blueprint) == {"claude", "tmux", "codex", "npm", "/opt/x"}
