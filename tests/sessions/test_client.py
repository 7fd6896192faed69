"""The real client against a scripted model, on an old and on the newest version: no key, loopback only."""

from __future__ import annotations

import json
import os
import signal
import time
from dataclasses import replace
from typing import Any

import pytest

from orchestra.blueprint.model import Limits, RunGate
from orchestra.engine import process
from orchestra.sessions.logs import read_logs
from orchestra.sessions.sandbox import sandbox_available
from orchestra.sessions.start import send_message
from orchestra.sessions.state import State
from orchestra.sessions.stop import stop_fleet

from .client_fleet import READ_NOTES, WRITE_NOTES, MakeClientFleet, Turns, client_fleet, tool, work
from .clients import VERSIONS, client_folder

pytestmark = pytest.mark.client
__all__ = ["client_fleet"]

# For what does not depend on the client's version beyond what the other tests show of both.
NEWEST_ONLY = pytest.mark.parametrize("client_fleet", VERSIONS[-1:], indirect=True)


def test_a_fleet_of_five_works_and_finishes(client_fleet: MakeClientFleet) -> None:
    live = client_fleet("a", "b", "c", "d", "e")
    with live.model({name: work() for name in "abcde"}) as server:
        live.start()
        live.wait_until_done()
    assert server.misses == []
    states = {name: (live.state(name).state, live.state(name).reason) for name in "abcde"}
    assert states == dict.fromkeys("abcde", (State.FINISHED, "")), live.log()
    for name in "abcde":
        assert live.world.at(name).read("src/f.js") == "1"
        facts = live.facts(name)
        assert facts.usage.cost_usd is not None
        assert facts.usage.cost_usd > 0
        assert facts.usage.output_tokens > 0
        kinds = [event["event"] for event in live.events(name)]
        assert kinds[0] == "SessionStart"
        assert {"PreToolUse", "Stop", "SessionEnd"} <= set(kinds)
    shown = [line for _, line in read_logs(live.fleet, [live.agent("a")])]
    assert "> Write " + str(live.fleet.worktree(live.agent("a")) / "src/f.js") in shown
    assert "Done." in shown


def test_a_protected_file_is_refused_and_the_reason_reaches_the_model(client_fleet: MakeClientFleet) -> None:
    live = client_fleet("a")
    turns: Turns = [
        {"tools": [tool("Write", file_path="${CWD}/package.json", content="{}")]},
        {"expect": "is protected", "tools": [tool("Bash", command="echo '{}' > package.json")]},
        {"expect": "is protected", "tools": [tool("Write", file_path="${CWD}/lib/x.js", content="1")]},
        {"expect": "outside your scope, which is src/**", "tools": [tool("Bash", command="git push origin HEAD")]},
        {"expect": "orchestra lands your branch", "tools": [tool("Bash", command="rm TASK.md")]},
        {"expect": "written by orchestra", "tools": [tool("Write", file_path="/etc/x", content="1")]},
        {"expect": "outside your worktree", "tools": [tool("Bash", command="git -C ../../repo reset --hard HEAD")]},
        {"expect": "leads out of your worktree", "text": "I cannot change package.json: it is protected."},
    ]
    with live.model({"a": turns}) as server:
        live.start()
        live.wait_until_done()
    assert server.misses == []
    place = live.fleet.worktree(live.agent("a"))
    assert not (place / "package.json").exists()
    assert not (place / "lib").exists()
    assert (place / "TASK.md").read_text("utf-8") == "This is the task of a.\n"
    assert any(event["detail"].startswith("refused: Write: package.json is protected") for event in live.events("a"))
    assert live.facts("a").refused_calls == 7
    assert live.state("a").reason == "it ended without a commit"


@NEWEST_ONLY
def test_may_edit_opens_a_protected_file(client_fleet: MakeClientFleet) -> None:
    live = client_fleet("a")
    agents = tuple(replace(agent, may_edit=("package.json",)) for agent in live.fleet.blueprint.agents)
    live.fleet = replace(live.fleet, blueprint=replace(live.fleet.blueprint, agents=agents))
    turns: Turns = [
        {"tools": [tool("Write", file_path="${CWD}/package.json", content="{}\n"), READ_NOTES]},
        {"tools": [tool("Bash", command="git add package.json && git commit -qm p")]},
        {"tools": [WRITE_NOTES]},
        {"text": "Done."},
    ]
    with live.model({"a": turns}):
        live.start()
        live.wait_until_done()
    assert live.world.at("a").read("package.json") == "{}"
    assert live.state("a").state is State.FINISHED


def test_a_session_that_stops_without_notes_is_reminded(client_fleet: MakeClientFleet) -> None:
    live = client_fleet("a")
    turns: Turns = [
        *work(notes=False),
        {
            "expect": "fill in AGENT_NOTES.md",
            "tools": [WRITE_NOTES],
        },
        {"text": "Now really done."},
    ]
    with live.model({"a": turns}) as server:
        live.start()
        live.wait_until_done()
    assert server.misses == []
    assert (live.state("a").state, live.state("a").reason) == (State.FINISHED, "")
    assert live.facts("a").result is not None
    assert live.facts("a").result.text == "Now really done."  # type: ignore[union-attr]


@NEWEST_ONLY
def test_a_session_that_never_writes_notes_may_end_and_status_shows_it(client_fleet: MakeClientFleet) -> None:
    live = client_fleet("a")
    with live.model({"a": work(notes=False)}) as server:
        live.start()
        live.wait_until_done()
    asked = [request for request in server.requests if "Before you stop" in json.dumps(request["messages"][-2:])]
    assert len(asked) == 3
    assert (live.state("a").state, live.state("a").reason) == (State.FINISHED, "AGENT_NOTES.md is not filled in")


@NEWEST_ONLY
def test_a_failing_quick_gate_is_shown_before_the_session_ends(client_fleet: MakeClientFleet) -> None:
    live = client_fleet("a")
    gates = {
        "quick": RunGate("quick", "test -e src/g.js || { echo g.js is missing; exit 1; }", timeout_s=30),
        "slow": RunGate("slow", "touch ran-the-slow-one; exit 1", timeout_s=3600),
    }
    live.fleet = replace(live.fleet, blueprint=replace(live.fleet.blueprint, gates=gates))
    turns: Turns = [
        *work(),
        {"expect": "g.js is missing", "tools": [tool("Write", file_path="${CWD}/src/g.js", content="2\n")]},
        {"tools": [tool("Bash", command="git add -A && git commit -qm g")]},
        {"text": "Done."},
    ]
    with live.model({"a": turns}) as server:
        live.start()
        live.wait_until_done()
    assert server.misses == []
    assert live.state("a").state is State.FINISHED
    assert not (live.fleet.worktree(live.agent("a")) / "ran-the-slow-one").exists()


@NEWEST_ONLY
@pytest.mark.parametrize(
    "refusal", [{"error": {"status": 529, "times": 2}}, {"error": {"status": 429, "times": 2}}, {"drop": 2}]
)
def test_a_short_refusal_of_the_api_is_no_failure(client_fleet: MakeClientFleet, refusal: dict[str, Any]) -> None:
    live = client_fleet("a")
    turns = work()
    turns[1] = {**turns[1], **refusal}
    with live.model({"a": turns}) as server:
        live.start()
        live.wait_until_done()
    assert server.misses == []
    assert live.state("a").state is State.FINISHED, live.log()


@NEWEST_ONLY
def test_a_session_that_the_api_refused_resumes_after_the_back_off(
    client_fleet: MakeClientFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client gives up; orchestra pauses the whole fleet (15 s, in full) and resumes the very session."""
    live = client_fleet("a", "b")
    limits = Limits(agents=1)
    live.fleet = replace(live.fleet, blueprint=replace(live.fleet.blueprint, limits=limits))
    turns = work()
    turns[1] = {**turns[1], "error": {"status": 529, "times": 2}}
    with live.model({"a": turns, "b": work()}) as server:
        monkeypatch.setenv("CLAUDE_CODE_MAX_RETRIES", "1")
        live.start()
        live.wait_until(lambda: "the API refused it" in live.state("a").reason)
        assert [live.state(name).state for name in "ab"] == [State.QUEUED] * 2
        live.wait_until(lambda: "paused:" in live.state("b").reason)
        live.wait_until_done()
    assert [live.state(name).state for name in "ab"] == [State.FINISHED] * 2
    assert len({request["session"] for request in server.requests if request["agent"] == "a"}) == 1
    assert len(live.files("a").runs()) == 2


def test_a_usage_limit_of_a_subscription_holds_the_fleet_until_its_reset(
    client_fleet: MakeClientFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    live = client_fleet("a", "b")
    live.fleet = replace(live.fleet, blueprint=replace(live.fleet.blueprint, limits=Limits(agents=1)))
    reset = int(time.time()) + 7200
    headers = {
        "anthropic-ratelimit-unified-status": "rejected",
        "anthropic-ratelimit-unified-reset": str(reset),
        "anthropic-ratelimit-unified-representative-claim": "five_hour",
        "anthropic-ratelimit-unified-overage-status": "rejected",
    }
    refused = [{"error": {"status": 429, "message": "This request would exceed the rate limit", "headers": headers}}]
    with live.model({"a": refused, "b": refused}):
        monkeypatch.delenv("ANTHROPIC_API_KEY")
        monkeypatch.setenv("CLAUDE_CODE_OAUTH_TOKEN", "sk-ant-oat01-made-up-0123456789")
        live.start()
        live.wait_until(lambda: "limit is reached; continues at" in live.state("a").reason)
        assert live.state("a").state is State.QUEUED
        assert "limit is reached; continues at" in live.state("b").reason
        stop_fleet(live.fleet)
    assert len(live.files("a").runs()) == 1
    assert live.files("b").runs() == []


def test_a_refused_login_holds_the_fleet_and_status_says_so(
    client_fleet: MakeClientFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    live = client_fleet("a", "b")
    live.fleet = replace(live.fleet, blueprint=replace(live.fleet.blueprint, limits=Limits(agents=1)))
    script = {"a": [{**work()[0], "error": {"status": 401, "times": 10}}], "b": work()}
    with live.model(script):
        monkeypatch.setenv("CLAUDE_CODE_MAX_RETRIES", "1")
        live.start()
        live.wait_until_done()
        assert live.state("a").state is State.FAILED
        assert "login" in live.state("a").reason
        assert live.state("b").state is State.QUEUED
        assert "login" in live.state("b").reason
        live.start("b")
        live.wait_until_done()
    assert live.state("b").state is State.FINISHED


def test_a_killed_session_is_resumed(client_fleet: MakeClientFleet) -> None:
    live = client_fleet("a")
    turns = work()
    turns[2] = {**turns[2], "hold": "middle"}
    with live.model({"a": turns}) as server:
        live.start()
        server.reached("middle")
        run = live.newest("a")
        assert run.run is not None
        os.kill(run.run.keeper.pid, signal.SIGKILL)
        assert process.wait_gone(run.run.keeper, 30)
        live.wait_until_done()
        assert live.state("a").state is State.LOST
        killed = live.facts("a").usage
        assert (killed.cost_usd, killed.input_tokens > 0, killed.sessions_without_cost) == (None, True, 1)
        server.release("middle")
        session = live.facts("a").session_id
        assert live.start().queued == ["a"]
        live.wait_until_done()
    assert live.state("a").state is State.FINISHED, live.log()
    assert {request["session"] for request in server.requests} == {session}
    # Of the cost that the resumed run tells, the part of the killed one is missing, in either version.
    used = live.facts("a").usage
    assert used.cost_usd is not None
    assert (used.input_tokens > killed.input_tokens, used.sessions_without_cost) == (True, 1)


def test_requested_changes_resume_the_session_and_its_cost_is_counted_once(client_fleet: MakeClientFleet) -> None:
    live = client_fleet("a")
    more: Turns = [
        {"expect": "rename it", "tools": [tool("Bash", command="git mv src/f.js src/g.js && git commit -qm rename")]},
        {"text": "Renamed."},
    ]
    with live.model({"a": [*work(), *more]}) as server:
        live.start()
        live.wait_until_done()
        first = live.facts("a").usage
        assert send_message(live.fleet, live.agent("a"), "Please rename it to g.js").queued == ["a"]
        live.wait_until_done()
    assert server.misses == []
    assert live.world.at("a").read("src/g.js") == "1"
    assert live.state("a").state is State.FINISHED
    second = live.facts("a").usage
    assert first.cost_usd is not None
    assert second.cost_usd is not None
    per_turn = first.cost_usd / len(work())
    assert second.cost_usd == pytest.approx(per_turn * (len(work()) + len(more)), rel=0.05)
    assert second.output_tokens == 10 * (len(work()) + len(more))


@pytest.mark.parametrize(
    "spoil", ['s/"allow": \\[/"allow": "oops", "x": [/', "s:/[^ ]*python[^ ]* -I:/no/such/python -I:"]
)
def test_settings_or_hooks_that_do_not_work_stop_the_run(
    client_fleet: MakeClientFleet, monkeypatch: pytest.MonkeyPatch, spoil: str
) -> None:
    """A client of tomorrow finds one value in the file wrong and ignores all of it, without a word; or our
    interpreter is gone. Here a program that stands before the client spoils the file."""
    live = client_fleet("a")
    own = {"hooks": {"SessionStart": [{"hooks": [{"type": "command", "command": "echo a hook of their own"}]}]}}
    live.world.at("a").commit("their own", {".claude/settings.json": json.dumps(own)})
    folder = live.folder / "bin"
    folder.mkdir()
    settings = live.files("a").settings
    real = client_folder(live.version) / "claude"
    (folder / "claude").write_text(f"#!/bin/sh\nsed -i '{spoil}' '{settings}'\nexec '{real}' \"$@\"\n", "utf-8")
    (folder / "claude").chmod(0o755)
    turns = [{**work()[0], "hold": "first"}, *work()[1:]]
    with live.model({"a": turns}):
        monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
        live.start()
        live.wait_until_done()
    found = live.state("a")
    if sandbox_available() and "failed validation" in found.reason:
        assert found.state is State.FAILED  # this client refuses by itself to start without its sandbox
        return
    assert found.state is State.STOPPED
    assert "did not load orchestra's settings" in found.reason


def test_a_repository_with_settings_and_instructions_of_its_own(client_fleet: MakeClientFleet) -> None:
    live = client_fleet("a")
    own = {".claude/settings.json": json.dumps({"disableAllHooks": True, "permissions": {"allow": ["Edit"]}})}
    live.world.at("a").commit("their own", {**own, "CLAUDE.md": "Theirs.\n", "src/f.js": "0\n"})
    turns: Turns = [
        {"tools": [tool("Write", file_path="${CWD}/package.json", content="{}")]},
        {"expect": "is protected", "tools": [READ_NOTES]},
        {"tools": [WRITE_NOTES]},
        {"text": "Done."},
    ]
    with live.model({"a": turns}) as server:
        live.start()
        live.wait_until_done()
    assert server.misses == []
    assert live.state("a").state is State.FINISHED


def test_a_reached_turn_limit_is_the_reason(client_fleet: MakeClientFleet) -> None:
    live = client_fleet("a", max_turns=2)
    with live.model({"a": work()}):
        live.start()
        live.wait_until_done()
    assert (live.state("a").state, live.state("a").reason) == (State.FAILED, "it reached its limit of turns")


@NEWEST_ONLY
def test_an_agents_budget_is_a_limit(client_fleet: MakeClientFleet) -> None:
    live = client_fleet("a", max_budget_usd=0.02)
    turns = work()
    turns[1] = {**turns[1], "usage": {"input_tokens": 100_000, "output_tokens": 10_000}}
    with live.model({"a": turns}):
        live.start()
        live.wait_until_done()
        assert (live.state("a").state, live.state("a").reason) == (State.FAILED, "it reached its cost limit")
        report = live.start()
    assert report.queued == []
    assert [(name, reason.partition(":")[0]) for name, reason in report.skipped] == [("a", "its budget is spent")]
    assert live.state("a").state is State.FAILED


@NEWEST_ONLY
def test_the_fleets_budget_is_a_limit_and_work_is_saved(client_fleet: MakeClientFleet) -> None:
    live = client_fleet("a", "b")
    limits = Limits(agents=1, budget_usd=0.05)
    live.fleet = replace(live.fleet, blueprint=replace(live.fleet.blueprint, limits=limits))
    turns = work()
    turns[2] = {**turns[2], "usage": {"input_tokens": 100_000, "output_tokens": 10_000}}
    with live.model({"a": turns, "b": work()}):
        live.start()
        live.wait_until_done()
    assert live.state("b").state is State.STOPPED
    assert "budget of 0.05 USD is spent" in live.state("b").reason
    assert (live.fleet.worktree(live.agent("a")) / "src/f.js").exists()
    assert live.work("a").commits == 0
    assert "demo/a/saved/1" in live.world.refs()


@pytest.mark.skipif(not sandbox_available(), reason="no bubblewrap and socat, or none that work here")
def test_a_sandboxed_agent_cannot_write_files_that_are_trusted_outside_the_sandbox(
    client_fleet: MakeClientFleet,
) -> None:
    """An order would be run by the supervisor, and a git configuration by every git, both without a sandbox."""
    live = client_fleet("a")
    state = live.fleet.repository.state_folder
    request, config = live.files("a").path / "request.json", state / "worktrees.config"
    writes = [f"python3 -c \"open('{path}', 'a').write('mine')\"; true" for path in (request, config, "${CWD}/.git")]
    moves = f"mv '{state}' '{state}.mine'; mv '${{CWD}}/.git' '${{CWD}}/mine'; true"
    turns: Turns = [
        {"tools": [READ_NOTES, tool("Write", file_path="${CWD}/src/f.js", content="1\n")]},
        *({"tools": [tool("Bash", command=command)]} for command in (*writes, moves)),
        {"tools": [tool("Bash", command="git add -A && git commit -qm 'Add f'")]},
        {"tools": [WRITE_NOTES]},
        {"text": "Done."},
    ]
    pointer = (live.fleet.worktree(live.agent("a")) / ".git").read_text("utf-8")
    with live.model({"a": turns}):
        live.start()
        live.wait_until_done()
    assert not config.exists()
    assert live.files("a").request is None
    assert (live.fleet.worktree(live.agent("a")) / ".git").read_text("utf-8") == pointer
    assert live.world.at("a").tree() == ["README.md", "src/f.js"]
    assert live.state("a").state is State.FINISHED


@pytest.mark.skipif(not sandbox_available(), reason="no bubblewrap and socat, or none that work here")
def test_a_sandboxed_program_cannot_write_protected_files_and_can_commit(client_fleet: MakeClientFleet) -> None:
    live = client_fleet("a")
    python = "python3 -c \"open('package.json', 'w').write('mine')\"; true"
    outside = f"python3 -c \"open('{live.folder}/outside', 'w').write('mine')\"; true"
    turns: Turns = [
        {"tools": [READ_NOTES, tool("Write", file_path="${CWD}/src/f.js", content="1\n")]},
        {"tools": [tool("Bash", command=python), tool("Bash", command=outside)]},
        {"expect": "Read-only file system", "tools": [tool("Bash", command="git add -A && git commit -qm 'Add f'")]},
        {"tools": [WRITE_NOTES]},
        {"text": "Done."},
    ]
    with live.model({"a": turns}) as server:
        live.start()
        live.wait_until_done()
    assert server.misses == []
    assert live.world.at("a").tree() == ["README.md", "src/f.js"]
    assert not (live.fleet.worktree(live.agent("a")) / "package.json").exists()
    assert not (live.folder / "outside").exists()
    assert live.state("a").state is State.FINISHED
