"""What agents may edit: policy, settings, guard and hook, without a client."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestra.blueprint.model import Agent, Builtin, BuiltinGate, Policy, RunGate, Scope, Setup
from orchestra.blueprint.scope import Matcher
from orchestra.fleet import Fleet, make_fleet
from orchestra.sessions import hook
from orchestra.sessions.guard import judge
from orchestra.sessions.policy import make_policy
from orchestra.sessions.runners.claude_settings import hook_command, make_settings
from orchestra.sessions.runners.claude_stream import GREETING
from orchestra.sessions.sandbox import sandbox_available
from tests.conftest import Checkout
from tests.fleets import World, make_world
from tests.gates.branches import github_token

INSTRUCTIONS = ("CLAUDE.md", "TASK.md", "AGENT_NOTES.md")


@pytest.fixture
def world(repository: Checkout) -> World:
    return make_world(repository, "a")


def declare(
    world: World,
    *,
    scope: Scope | None = None,
    protected: Sequence[str] = (),
    may_edit: Sequence[str] = (),
    gates: Sequence[RunGate] = (),
    policy: Policy | None = Policy.BLOCK,
    setup: Sequence[str] = (),
) -> tuple[Fleet, Agent]:
    agent = replace(world.fleet.blueprint.agents[0], scope=scope, may_edit=tuple(may_edit))
    scope_gates = () if policy is None else (BuiltinGate("scope", Builtin.SCOPE, policy),)
    blueprint = replace(
        world.fleet.blueprint,
        agents=(agent,),
        protected=tuple(protected),
        gates=MappingProxyType({gate.name: gate for gate in (*scope_gates, *gates)}),
        worktrees=replace(world.fleet.blueprint.worktrees, setup=Setup(run=tuple(setup))),
    )
    return replace(world.fleet, blueprint=blueprint), agent


def policy_of(world: World, **declared: Any) -> dict[str, Any]:
    fleet, agent = declare(world, **declared)
    made: dict[str, Any] = json.loads(
        json.dumps(make_policy(fleet, agent, world.checkout.git("rev-parse", "HEAD"), INSTRUCTIONS))
    )
    return made


SRC = Scope(("src/**",), ("src/gen/**",))


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("src/a.ts", ""),
        ("src/new/deep/a.ts", ""),
        ("AGENT_NOTES.md", ""),
        ("package.json", "is protected"),
        ("config/app.json", ""),  # protected, and may_edit
        ("config/db.json", "is protected"),
        ("src/gen/a.ts", "outside your scope, which is src/**, not src/gen/**"),
        ("lib/a.ts", "outside your scope"),
        ("TASK.md", "written by orchestra"),
        ("CLAUDE.md", "written by orchestra"),
        (".git", "belongs to git"),
        ("../agent-2/src/a.ts", "outside your worktree"),
        ("/etc/passwd", "outside your worktree"),
        ("src/../package.json", "is protected"),
        ("src/../../x", "outside your worktree"),
        ("~/.bashrc", "outside your worktree"),
        ("src/\u00fc.ts", ""),
        ("src/a\nb.ts", ""),
    ],
)
def test_paths(world: World, path: str, words: str) -> None:
    policy = policy_of(world, scope=SRC, protected=["package.json", "config/*.json"], may_edit=["config/app.json"])
    reason = judge(policy, "Edit", {"file_path": path}, policy["worktree"])
    assert words in reason
    assert bool(words) == bool(reason)


@pytest.mark.parametrize("gate", [Policy.JUSTIFY, Policy.WARN, None])
def test_the_guard_refuses_what_task_md_forbids_and_no_more(world: World, gate: Policy | None) -> None:
    """Without a gate that blocks, TASK.md asks for a reason, but not to touch protected files inside a scope."""
    policy = policy_of(world, scope=SRC, protected=["package.json"], policy=gate)
    place = policy["worktree"]
    assert judge(policy, "Write", {"file_path": "lib/a.ts"}, place) == ""
    assert "is protected" in judge(policy, "Write", {"file_path": "package.json"}, place)
    rules = settings_of(world, scope=SRC, protected=["package.json"], policy=gate)["permissions"]
    assert f"Edit(/{place}/**)" in rules["allow"]
    assert f"Edit(/{place}/package.json)" in rules["deny"]
    unscoped = policy_of(world, protected=["package.json"], policy=gate)
    assert judge(unscoped, "Write", {"file_path": "package.json"}, place) == ""


def test_links_are_followed(world: World) -> None:
    policy = policy_of(world, scope=SRC)
    place = Path(policy["worktree"])
    (place / "src").mkdir()
    (place / "src/out").symlink_to("/etc")
    assert "outside your worktree" in judge(policy, "Write", {"file_path": "src/out/x"}, str(place))


def test_without_a_scope_everything_unprotected_is_open(world: World) -> None:
    policy = policy_of(world, protected=["package.json"])
    assert judge(policy, "Write", {"file_path": "anything/at/all"}, policy["worktree"]) == ""
    assert "protected" in judge(policy, "NotebookEdit", {"notebook_path": "package.json"}, policy["worktree"])


def test_other_tools_are_not_judged(world: World) -> None:
    policy = policy_of(world, scope=SRC)
    assert judge(policy, "Read", {"file_path": "/etc/passwd"}, policy["worktree"]) == ""


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("npm test && git add src && git commit -m 'push it'", ""),
        ("git push", "orchestra lands your branch"),
        ("cd src && git  push origin HEAD", "orchestra lands your branch"),
        ("git -c a.b=c push", "orchestra lands your branch"),
        ("git stash pop", "shared by all agents"),
        ("git worktree add ../x", "orchestra manages the worktrees"),
        ("git -C ../../repo log", "leads out of your worktree"),
        ("git --git-dir=/tmp/x log", "leads out of your worktree"),
        ("git -C src log", ""),
        ("echo x > package.json", "is protected"),
        ("echo x >> package.json", "is protected"),
        ("echo x >| package.json", "is protected"),
        ("echo x 2> lib/err.txt", "outside your scope"),
        ("sed -i s/a/b/ package.json", "is protected"),
        ("sed s/a/b/ package.json", ""),
        ("cp package.json src/copy.json", ""),
        ("cp src/copy.json package.json", "is protected"),
        ("mv package.json src/", "is protected"),
        ("rm -rf src lib", "outside your scope"),
        ("touch lib/x", "outside your scope"),
        ("true | tee lib/x", "outside your scope"),
        ("A=1 B=2 rm package.json", "is protected"),
        ("npm test > /dev/null 2>&1", ""),
        ("npm test > /tmp/out.txt", ""),
        ("cat package.json", ""),
        ("echo 'unbalanced", ""),
        ("", ""),
        ("cat <<EOF > src/x\npush\nEOF", ""),
    ],
)
def test_shell_commands(world: World, command: str, words: str) -> None:
    policy = policy_of(world, scope=SRC, protected=["package.json"])
    reason = judge(policy, "Bash", {"command": command}, policy["worktree"])
    assert words in reason, reason
    assert bool(words) == bool(reason), reason


_PARTS = st.sampled_from(["src", "gen", "lib", "a.ts", "b", "package.json", "*", "**"])
_PATTERNS = st.lists(_PARTS, min_size=1, max_size=3).map("/".join)
_PATHS = st.lists(_PARTS.filter(lambda part: "*" not in part), min_size=1, max_size=4).map("/".join)


@given(st.lists(_PATTERNS, min_size=1, max_size=3), st.lists(_PATTERNS, max_size=2), _PATHS)
def test_the_guard_says_what_the_matcher_says(include: list[str], exclude: list[str], path: str) -> None:
    """The hook has its own three lines of matching; they must be the scope gate's."""
    from orchestra.sessions.policy import _source

    scope = Scope(tuple(include), tuple(exclude))
    policy = {
        "worktree": "/w/t",
        "instructions": [],
        "may_edit": _source(()),
        "protected": _source(()),
        "include": _source(scope.include),
        "exclude": _source(scope.exclude),
        "scope_text": [],
    }
    assert (judge(policy, "Edit", {"file_path": path}, "/w/t") == "") == Matcher(scope).matches(path)


@given(st.text(max_size=60), st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=3))
def test_the_guard_judges_any_call_without_an_error(command: str, extra: dict[str, str]) -> None:
    policy: dict[str, Any] = {
        "worktree": "/w/t",
        "instructions": [],
        "may_edit": "(?!)",
        "protected": "(?!)",
        "include": None,
    }
    assert isinstance(judge(policy, "Bash", {"command": command, **extra}, "/w/t"), str)


# -- settings -------------------------------------------------------------------------------------------------------


def settings_of(world: World, *, sandbox: bool = False, interactive: bool = False, **declared: Any) -> dict[str, Any]:
    policy = policy_of(world, **declared)
    window_run = Path("/state/a b/runs/1") if interactive else None
    return make_settings(policy, Path("/state/a b"), window_run=window_run, sandbox=sandbox)


def test_rules_are_absolute_and_follow_the_declaration(world: World) -> None:
    place = os.path.realpath(world.fleet.worktree(world.fleet.blueprint.agents[0]))
    made = settings_of(world, scope=SRC, protected=["package.json"], may_edit=["config/app.json"])["permissions"]
    assert f"Edit(/{place}/src/**)" in made["allow"]
    assert f"Edit(/{place}/config/app.json)" in made["allow"]
    assert f"Edit(/{place}/AGENT_NOTES.md)" in made["allow"]
    assert f"Edit(/{os.path.realpath(world.fleet.repository.home)}/**)" in made["deny"]
    assert {"Bash(git push *)", "Bash(git push)", "EnterWorktree"} <= set(made["deny"])
    assert all(not rule.startswith("Edit(") or rule.startswith("Edit(//") for rule in made["allow"] + made["deny"])


def test_what_the_blueprint_runs_agents_may_run(world: World) -> None:
    gates = [RunGate("t", "CI=1 npm test && ./scripts/check.sh | tee x"), RunGate("l", "cd web; yarn lint")]
    allowed = settings_of(world, gates=gates, setup=["uv sync --frozen"])["permissions"]["allow"]
    for program in ("npm", "./scripts/check.sh", "yarn", "uv", "git"):
        assert f"Bash({program} *)" in allowed
    assert "Bash(cd *)" not in allowed


def test_a_runner_may_allow_more(world: World) -> None:
    fleet, agent = declare(world, scope=SRC)
    agent = replace(agent, runner=replace(agent.runner, allow=("Bash(docker compose *)",)))
    policy = make_policy(fleet, agent, world.checkout.git("rev-parse", "HEAD"), INSTRUCTIONS)
    made = make_settings(policy, Path("/s"), sandbox=False)
    assert "Bash(docker compose *)" in made["permissions"]["allow"]


def test_deny_rules_exist_only_where_an_allow_rule_matches(world: World) -> None:
    place = os.path.realpath(world.fleet.worktree(world.fleet.blueprint.agents[0]))
    rule = f"Edit(/{place}/package.json)"
    protected = ["package.json"]
    assert rule not in settings_of(world, scope=SRC, protected=protected)["permissions"]["deny"]
    boxed = settings_of(world, scope=SRC, protected=protected, sandbox=True)["permissions"]["deny"]
    assert rule not in boxed
    assert f"Edit(/{os.path.realpath(world.fleet.repository.home)}/**)" not in boxed
    assert rule in settings_of(world, protected=protected)["permissions"]["deny"]
    assert rule in settings_of(world, scope=Scope(("*.json",)), protected=protected)["permissions"]["deny"]
    opened = settings_of(world, protected=["*.json"], may_edit=["package.json"])["permissions"]
    assert f"Edit(/{place}/*.json)" not in opened["deny"]


def test_a_worktree_inside_the_main_checkout_is_not_shut_with_it(repository: Checkout) -> None:
    world = make_world(repository, "a")
    agent = world.fleet.blueprint.agents[0]
    inside = repository.path / ".orchestra/worktrees/agent-1"
    inside.parent.mkdir(parents=True)
    repository.git("worktree", "move", "--force", "--force", str(world.fleet.worktree(agent)), str(inside))
    fleet = make_fleet(world.fleet.repository, world.fleet.blueprint)
    assert fleet.worktree(agent) == inside
    policy = make_policy(fleet, agent, "base", INSTRUCTIONS)
    deny = make_settings(policy, Path("/s"), sandbox=False)["permissions"]["deny"]
    assert f"Edit(/{os.path.realpath(repository.path)}/**)" not in deny


def test_the_sandbox_is_all_or_nothing(world: World) -> None:
    assert "sandbox" not in settings_of(world)
    place = os.path.realpath(world.fleet.worktree(world.fleet.blueprint.agents[0]))
    assert settings_of(world, sandbox=True, protected=["package.json", "*.lock"])["sandbox"] == {
        "enabled": True,
        "failIfUnavailable": True,
        "autoAllowBashIfSandboxed": True,
        "allowUnsandboxedCommands": False,
        "filesystem": {
            "denyWrite": [
                os.path.realpath(world.checkout.path / ".git/orchestra"),
                f"{place}/package.json",
                f"{place}/CLAUDE.md",
                f"{place}/TASK.md",
            ]
        },
    }
    opened = settings_of(world, sandbox=True, protected=["package.json"], may_edit=["package.json"])["sandbox"]
    assert f"{place}/package.json" not in opened["filesystem"]["denyWrite"]


def test_hooks_survive_a_shell_and_odd_folders(world: World) -> None:
    command = settings_of(world)["hooks"]["SessionStart"][0]["hooks"][0]["command"]
    words = shlex.split(command)
    assert words[0] == sys.executable
    assert words[-2:] == ["greet", "/state/a b"]
    interactive = settings_of(world, interactive=True)["hooks"]
    assert {"PermissionRequest", "Notification", "PostToolUse", "StopFailure"} <= set(interactive)
    assert interactive["Stop"][0]["hooks"][0]["command"].split()[-3] == "turn"


def test_only_an_interactive_session_has_a_line_below_its_prompt(world: World) -> None:
    line = settings_of(world, interactive=True)["statusLine"]
    assert (line["type"], line["command"].endswith("line '/state/a b/runs/1'")) == ("command", True)
    assert "statusLine" not in settings_of(world)


# -- the hook as the client calls it --------------------------------------------------------------------------------


@pytest.fixture
def folder(world: World, tmp_path: Path) -> Path:
    made = tmp_path / "agent folder"
    made.mkdir()
    (made / "policy.json").write_text(json.dumps(policy_of(world, scope=SRC, protected=["package.json"])), "utf-8")
    return made


def call(what: str, folder: Path, event: dict[str, Any] | str, *, env: dict[str, str] | None = None) -> Any:
    given = event if isinstance(event, str) else json.dumps(event)
    return subprocess.run(
        hook_command(what, folder), shell=True, input=given, capture_output=True, text=True, check=False, env=env
    )


def events(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "events.jsonl").read_text("utf-8").splitlines()]


def test_a_signal_is_one_line(folder: Path) -> None:
    done = call(
        "signal", folder, {"hook_event_name": "Notification", "notification_type": "idle_prompt", "session_id": "s"}
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    [event] = events(folder)
    assert (event["event"], event["detail"], event["session"]) == ("Notification", "idle_prompt", "s")


def test_a_question_and_a_permission_keep_their_text(folder: Path) -> None:
    """The client sends the request first and, six seconds later, a notification that does not repeat it."""
    options = [{"label": "SQLite"}, {"label": "Postgres"}]
    tool_input = {"questions": [{"question": "Which database?", "options": options}]}
    asks = {"tool_name": "AskUserQuestion", "tool_input": tool_input, "session_id": "s"}
    call("signal", folder, {**asks, "hook_event_name": "PermissionRequest"})
    notification = {"hook_event_name": "Notification", "notification_type": "permission_prompt", "session_id": "s"}
    call("signal", folder, notification)
    call("signal", folder, notification)
    first, second, third = (event["detail"] for event in events(folder))
    assert first == "AskUserQuestion Which database? (SQLite / Postgres)"
    assert second == f"permission_prompt: {first}"
    assert third == "permission_prompt"


def test_the_greeting_says_who_the_session_is(folder: Path) -> None:
    done = call("greet", folder, {"hook_event_name": "SessionStart", "source": "startup"})
    told = json.loads(done.stdout)["hookSpecificOutput"]
    assert told["hookEventName"] == "SessionStart"
    assert GREETING in told["additionalContext"]
    assert "src/**" in told["additionalContext"]
    assert events(folder)[0]["detail"] == "startup"


def test_the_greeting_has_the_policy_of_the_scope_gate(folder: Path, world: World) -> None:
    policy = policy_of(world, scope=SRC, policy=Policy.JUSTIFY)
    (folder / "policy.json").write_text(json.dumps(policy), "utf-8")
    greeting = call("greet", folder, {"hook_event_name": "SessionStart", "session_id": "s"})
    assert "a change elsewhere needs its path and reason in AGENT_NOTES.md" in greeting.stdout


def test_the_guard_blocks_with_the_reason(folder: Path, world: World) -> None:
    place = str(world.fleet.worktree(world.fleet.blueprint.agents[0]))
    event = {
        "hook_event_name": "PreToolUse",
        "tool_name": "Write",
        "tool_input": {"file_path": "package.json"},
        "cwd": place,
    }
    done = call("guard", folder, event)
    assert done.returncode == 2
    assert "package.json is protected" in done.stderr
    assert events(folder)[0]["detail"].startswith("refused: Write")
    allowed = call("guard", folder, {**event, "tool_input": {"file_path": "src/x"}})
    assert (allowed.returncode, allowed.stderr) == (0, "")
    assert events(folder)[1]["detail"] == "Write src/x"


@pytest.mark.parametrize("spoil", ["no policy", "torn policy", "not json"])
def test_the_guard_fails_closed(folder: Path, spoil: str) -> None:
    if spoil == "no policy":
        (folder / "policy.json").unlink()
    elif spoil == "torn policy":
        (folder / "policy.json").write_text('{"worktree": ', "utf-8")
    event = {"tool_name": "Write", "tool_input": {"file_path": "src/x"}}
    done = call("guard", folder, "{" if spoil == "not json" else event)
    assert done.returncode == 2
    assert "could not judge" in done.stderr


@pytest.mark.parametrize("what", ["signal", "gate", "turn"])
def test_all_else_fails_open(folder: Path, what: str) -> None:
    (folder / "policy.json").unlink()
    assert call(what, folder, "{").returncode == 0
    assert call(what, folder, {"hook_event_name": "Stop"}).returncode == 0


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_events_that_cannot_be_written_do_not_stop_the_work(folder: Path, world: World) -> None:
    (folder / "events.jsonl").symlink_to("/dev/full")
    place = str(world.fleet.worktree(world.fleet.blueprint.agents[0]))
    event = {"tool_name": "Write", "tool_input": {"file_path": "src/x"}, "cwd": place}
    assert call("guard", folder, event).returncode == 0
    assert call("guard", folder, {**event, "tool_input": {"file_path": "lib/x"}}).returncode == 2


def test_the_hook_needs_nothing_but_the_standard_library(folder: Path) -> None:
    """No PYTHONPATH, no site-packages, no HOME: what a client passes on is not ours to choose."""
    done = call("signal", folder, {"hook_event_name": "SessionStart"}, env={"PATH": "/usr/bin:/bin"})
    assert done.returncode == 0
    assert events(folder)[0]["event"] == "SessionStart"


def stop_event(again: bool = False) -> dict[str, Any]:
    return {"hook_event_name": "Stop", "session_id": "s", "stop_hook_active": again}


def test_an_unfinished_session_is_reminded_three_times(folder: Path, world: World) -> None:
    asked = [call("gate", folder, stop_event(again)) for again in (False, True, True, True)]
    assert [done.returncode for done in asked] == [2, 2, 2, 0]
    assert "fill in AGENT_NOTES.md" in asked[0].stderr
    assert call("gate", folder, stop_event()).returncode == 2  # a new prompt begins anew


def test_a_session_that_answers_no_request_for_changes_is_reminded(folder: Path, world: World) -> None:
    place = world.at("a")
    head = place.commit("work", {"AGENT_NOTES.md": "## What I Built\n\nIt.\n"})
    place.git("update-ref", "refs/orchestra/demo/a/changes-requested", head)
    assert "changes were requested and nothing is committed since" in call("gate", folder, stop_event()).stderr
    place.commit("answer", {"y": "2\n"})
    assert call("gate", folder, stop_event()).returncode == 0


def test_a_finished_session_may_end(folder: Path, world: World) -> None:
    place = world.at("a")
    first = call("gate", folder, stop_event())
    assert "no commit on agent/demo/a yet" in first.stderr
    place.write({"x": "1"})
    assert "not committed: x" in call("gate", folder, stop_event()).stderr
    place.commit("work", {"AGENT_NOTES.md": "## What I Built\n\nIt.\n"})
    assert call("gate", folder, stop_event()).returncode == 0


def test_quick_gates_are_run_and_only_verdicts_count(folder: Path, world: World) -> None:
    place = world.at("a")
    place.commit("work", {"AGENT_NOTES.md": "## What I Built\n\nIt.\n"})
    policy = json.loads((folder / "policy.json").read_text("utf-8"))
    policy["base"] = place.git("rev-parse", "HEAD~1")
    checks = {"red": "echo boom; exit 1", "missing": "no-such-program", "slow": "sleep 60", "green": 'test "$X" = 1'}
    policy["checks"] = [{"name": n, "run": run, "timeout": 0.2, "env": {"X": "1"}} for n, run in checks.items()]
    (folder / "policy.json").write_text(json.dumps(policy), "utf-8")
    done = call("gate", folder, stop_event())
    assert done.returncode == 2
    assert "`echo boom; exit 1` fails (exit 1)" in done.stderr
    assert done.stderr.count("fails") == 1


@pytest.mark.parametrize(
    ("when", "path", "code"),
    [(["src/**"], "docs/a.md", 0), (["src/**"], "src/a.py", 2), (["src/**"], "package.json", 2), ([], "docs/a.md", 2)],
)
def test_a_quick_gate_runs_only_where_the_branch_changes_its_files(
    folder: Path, world: World, when: list[str], path: str, code: int
) -> None:
    place = world.at("a")
    place.commit("work", {"AGENT_NOTES.md": "## What I Built\n\nIt.\n", path: "{}\n"})
    gate = RunGate("g", "npm test || exit 1; exit 1", timeout_s=20.0, when=tuple(when))
    policy = policy_of(world, gates=[gate])
    policy["base"] = place.git("rev-parse", "HEAD~1")
    (folder / "policy.json").write_text(json.dumps(policy), "utf-8")
    done = call("gate", folder, stop_event())
    assert done.returncode == code, done.stderr
    assert ("it must pass" in done.stderr) == (code != 0)


def with_gate(folder: Path, world: World, run: str, *, sandbox: bool) -> dict[str, Any]:
    """Give an agent that lacks nothing one quick gate; the policy."""
    place = world.at("a")
    place.commit("work", {"AGENT_NOTES.md": "## What I Built\n\nIt.\n"})
    policy: dict[str, Any] = json.loads((folder / "policy.json").read_text("utf-8"))
    policy["base"] = place.git("rev-parse", "HEAD~1")
    policy["checks"] = [{"name": "g", "run": run, "timeout": 20.0, "env": {"X": "1"}}]
    (folder / "policy.json").write_text(json.dumps(policy), "utf-8")
    settings = make_settings(policy, folder, sandbox=sandbox)
    (folder / "settings.json").write_text(json.dumps(settings), "utf-8")
    return policy


@pytest.mark.parametrize("sandbox", [False, True])
def test_a_quick_gate_sees_no_token(folder: Path, world: World, monkeypatch: pytest.MonkeyPatch, sandbox: bool) -> None:
    if sandbox and not sandbox_available():
        pytest.skip("no sandbox on this machine")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "sk-4242")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-4242")
    with_gate(folder, world, 'test "$X" = 1 && ! env | grep 4242', sandbox=sandbox)
    done = call("gate", folder, stop_event())
    assert (done.returncode, done.stderr) == (0, "")


def test_the_findings_of_built_in_gates_are_told_before_the_session_ends(folder: Path, world: World) -> None:
    policy = with_gate(folder, world, "true", sandbox=False)
    policy["builtin"] = [
        {"name": "keys", "builtin": "secrets", "policy": "block"},
        {"name": "lock", "builtin": "dependencies", "policy": "warn"},
    ]
    (folder / "policy.json").write_text(json.dumps(policy), "utf-8")
    assert call("gate", folder, stop_event()).returncode == 0
    secret = github_token()
    world.at("a").commit("with a key", {"src/a.py": f"{secret}\n", "requirements.txt": "evil\n"})
    done = call("gate", folder, stop_event())
    assert done.returncode == 2
    assert "the gate keys will refuse the branch: src/a.py:1 holds a GitHub token" in done.stderr
    assert secret not in done.stderr
    assert "evil" not in done.stderr  # its policy only warns


def test_a_quick_gate_sees_no_environment_of_another_checkout(folder: Path, world: World) -> None:
    inside = world.fleet.repository.home / ".venv/bin"
    inside.mkdir(parents=True)
    with_gate(folder, world, 'case ":$PATH:" in *.venv*) exit 0;; esac; exit 1', sandbox=False)
    done = call("gate", folder, stop_event(), env={**os.environ, "PATH": f"{inside}:{os.environ['PATH']}"})
    assert done.returncode == 2
    assert f"removed {inside} from PATH" in done.stderr


def test_a_quick_gate_of_a_sandboxed_session_runs_in_the_sandbox(folder: Path, world: World, tmp_path: Path) -> None:
    if not sandbox_available():
        pytest.skip("no sandbox on this machine")
    outside, worktree = tmp_path / "outside", world.at("a").path
    (worktree / "CLAUDE.md").write_text("the rules\n", "utf-8")
    script = f"touch {outside}; echo x > CLAUDE.md; echo y > result.txt; touch $TMPDIR/t && ls /sys/class/net; exit 1"
    with_gate(folder, world, script, sandbox=True)
    (worktree / ".git").read_text("utf-8")
    done = call("gate", folder, stop_event())
    assert done.returncode == 2, done.stderr
    assert not outside.exists()
    assert (worktree / "CLAUDE.md").read_text("utf-8") == "the rules\n"
    assert (worktree / "result.txt").read_text("utf-8") == "y\n"


def test_a_sandbox_that_cannot_start_gives_no_verdict(folder: Path, world: World, tmp_path: Path) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "bwrap").write_text("#!/bin/sh\necho 'bwrap: No permissions to create new namespace' >&2\nexit 1\n")
    (tools / "bwrap").chmod(0o755)
    with_gate(folder, world, "exit 1", sandbox=True)
    path = f"{tools}{os.pathsep}{os.environ['PATH']}"
    assert call("gate", folder, stop_event(), env={**os.environ, "PATH": path}).returncode == 0


@pytest.mark.parametrize("name", ["AGENT_NOTES.md"])
def test_a_pipe_in_place_of_the_notes_does_not_block_the_hook(folder: Path, world: World, name: str) -> None:
    place = world.at("a").path / name
    place.unlink(missing_ok=True)
    os.mkfifo(place)
    assert "fill in AGENT_NOTES.md" in call("turn", folder, stop_event()).stderr


def test_an_interactive_session_is_reminded_once(folder: Path) -> None:
    assert [call("turn", folder, stop_event(again)).returncode for again in (False, True, True)] == [2, 0, 0]


def test_fifty_sessions_signal_at_once_and_none_is_lost(tmp_path: Path) -> None:
    """The append itself, from many processes: one write each, whole."""
    code = (
        "import sys; from pathlib import Path; from orchestra.sessions.hook import append\n"
        "for n in range(100):\n"
        "  append(Path(sys.argv[1]), {'hook_event_name': 'Stop', 'session_id': f'{sys.argv[2]}.{n}'}, 'x' * 300)"
    )
    writers = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path), str(n)]) for n in range(10)]
    assert [writer.wait() for writer in writers] == [0] * 10
    assert len({event["session"] for event in events(tmp_path)}) == 1000


def test_the_hook_answers_each_command_of_the_settings(world: World) -> None:
    asked = set()
    for interactive in (True, False):
        settings = settings_of(world, interactive=interactive)
        commands = [hook["command"] for rows in settings["hooks"].values() for row in rows for hook in row["hooks"]]
        commands += [settings["statusLine"]["command"]] if interactive else []
        asked |= {shlex.split(command)[-2] for command in commands}
    assert asked == set(hook._ANSWERS)
