"""The real client against a scripted model, on an old and on the newest version: no key, loopback only."""

from __future__ import annotations

import json
import os
import signal
from dataclasses import replace
from typing import Any

import pytest

from orchestra.blueprint.model import Limits, RunGate
from orchestra.engine import process
from orchestra.sessions.logs import read_log
from orchestra.sessions.sandbox import sandbox_available
from orchestra.sessions.start import send_message
from orchestra.sessions.state import State

from .clients import VERSIONS, client_folder
from .office import READ_NOTES, WRITE_NOTES, MakeOffice, Turns, office, tool, work

pytestmark = [pytest.mark.client, pytest.mark.timeout(180)]
__all__ = ["office"]


def test_a_fleet_of_five_works_and_finishes(office: MakeOffice) -> None:
    site = office("a", "b", "c", "d", "e")
    with site.model({name: work() for name in "abcde"}) as server:
        site.start()
        site.wait_for_the_end()
    assert server.misses == []
    assert {name: site.state(name).state for name in "abcde"} == dict.fromkeys("abcde", State.FINISHED), site.log()
    for name in "abcde":
        assert site.world.at(name).read("src/f.js") == "1"
        facts = site.facts(name)
        assert facts.usage.cost_usd is not None
        assert facts.usage.cost_usd > 0
        assert facts.usage.output_tokens > 0
        kinds = [event["event"] for event in site.events(name)]
        assert kinds[0] == "SessionStart"
        assert {"PreToolUse", "Stop", "SessionEnd"} <= set(kinds)
    shown = list(read_log(site.fleet, site.agent("a")))
    assert "> Write " + str(site.fleet.worktree(site.agent("a")) / "src/f.js") in shown
    assert "Done." in shown


def test_a_protected_file_is_refused_and_the_reason_reaches_the_model(office: MakeOffice) -> None:
    site = office("a")
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
    with site.model({"a": turns}) as server:
        site.start()
        site.wait_for_the_end()
    assert server.misses == []
    place = site.fleet.worktree(site.agent("a"))
    assert not (place / "package.json").exists()
    assert not (place / "lib").exists()
    assert (place / "TASK.md").read_text("utf-8") == "This is the task of a.\n"
    assert any(event["detail"].startswith("refused: Write: package.json is protected") for event in site.events("a"))
    assert site.state("a").reason == "it ended without a commit"


def test_may_edit_opens_a_protected_file(office: MakeOffice) -> None:
    site = office("a")
    agents = tuple(replace(agent, may_edit=("package.json",)) for agent in site.fleet.blueprint.agents)
    site.fleet = replace(site.fleet, blueprint=replace(site.fleet.blueprint, agents=agents))
    turns: Turns = [
        {"tools": [tool("Write", file_path="${CWD}/package.json", content="{}\n"), READ_NOTES]},
        {"tools": [tool("Bash", command="git add package.json && git commit -qm p")]},
        {"tools": [WRITE_NOTES]},
        {"text": "Done."},
    ]
    with site.model({"a": turns}):
        site.start()
        site.wait_for_the_end()
    assert site.world.at("a").read("package.json") == "{}"
    assert site.state("a").state is State.FINISHED


def test_one_that_stops_without_notes_is_asked_again(office: MakeOffice) -> None:
    site = office("a")
    turns: Turns = [
        *work(notes=False),
        {
            "expect": "fill in AGENT_NOTES.md",
            "tools": [WRITE_NOTES],
        },
        {"text": "Now really done."},
    ]
    with site.model({"a": turns}) as server:
        site.start()
        site.wait_for_the_end()
    assert server.misses == []
    assert (site.state("a").state, site.state("a").reason) == (State.FINISHED, "")
    assert site.facts("a").result is not None
    assert site.facts("a").result.text == "Now really done."  # type: ignore[union-attr]


def test_one_that_never_writes_notes_may_end_and_it_shows(office: MakeOffice) -> None:
    site = office("a")
    with site.model({"a": work(notes=False)}) as server:
        site.start()
        site.wait_for_the_end()
    asked = [request for request in server.requests if "Before you stop" in json.dumps(request["messages"][-2:])]
    assert len(asked) == 3
    assert (site.state("a").state, site.state("a").reason) == (State.FINISHED, "AGENT_NOTES.md is not filled in")


def test_a_red_quick_gate_is_shown_before_the_end(office: MakeOffice) -> None:
    site = office("a")
    gates = {
        "quick": RunGate("quick", "test -e src/g.js || { echo g.js is missing; exit 1; }", timeout_s=30),
        "slow": RunGate("slow", "touch ran-the-slow-one; exit 1", timeout_s=3600),
    }
    site.fleet = replace(site.fleet, blueprint=replace(site.fleet.blueprint, gates=gates))
    turns: Turns = [
        *work(),
        {"expect": "g.js is missing", "tools": [tool("Write", file_path="${CWD}/src/g.js", content="2\n")]},
        {"tools": [tool("Bash", command="git add -A && git commit -qm g")]},
        {"text": "Done."},
    ]
    with site.model({"a": turns}) as server:
        site.start()
        site.wait_for_the_end()
    assert server.misses == []
    assert site.state("a").state is State.FINISHED
    assert not (site.fleet.worktree(site.agent("a")) / "ran-the-slow-one").exists()


@pytest.mark.parametrize(
    "refusal", [{"error": {"status": 529, "times": 2}}, {"error": {"status": 429, "times": 2}}, {"drop": 2}]
)
def test_what_the_api_refuses_for_a_moment_is_no_failure(office: MakeOffice, refusal: dict[str, Any]) -> None:
    site = office("a")
    turns = work()
    turns[1] = {**turns[1], **refusal}
    with site.model({"a": turns}) as server:
        site.start()
        site.wait_for_the_end()
    assert server.misses == []
    assert site.state("a").state is State.FINISHED, site.log()


@pytest.mark.parametrize("office", VERSIONS[-1:], indirect=True)
def test_what_the_api_turns_away_goes_on_after_the_fleets_pause(
    office: MakeOffice, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client gives up; orchestra pauses the whole fleet (15 s, in full) and resumes the very session."""
    site = office("a", "b")
    limits = Limits(agents=1)
    site.fleet = replace(site.fleet, blueprint=replace(site.fleet.blueprint, limits=limits))
    turns = work()
    turns[1] = {**turns[1], "error": {"status": 529, "times": 2}}
    with site.model({"a": turns, "b": work()}) as server:
        monkeypatch.setenv("CLAUDE_CODE_MAX_RETRIES", "1")
        site.start()
        site.until(lambda: "the API refused it" in site.state("a").reason)
        assert [site.state(name).state for name in "ab"] == [State.QUEUED] * 2
        site.until(lambda: "paused:" in site.state("b").reason)
        site.wait_for_the_end()
    assert [site.state(name).state for name in "ab"] == [State.FINISHED] * 2
    assert len({request["session"] for request in server.requests if request["agent"] == "a"}) == 1
    assert len(site.files("a").runs()) == 2


def test_a_refused_login_holds_the_fleet_and_says_so(office: MakeOffice, monkeypatch: pytest.MonkeyPatch) -> None:
    site = office("a", "b")
    site.fleet = replace(site.fleet, blueprint=replace(site.fleet.blueprint, limits=Limits(agents=1)))
    script = {"a": [{**work()[0], "error": {"status": 401, "times": 10}}], "b": work()}
    with site.model(script):
        monkeypatch.setenv("CLAUDE_CODE_MAX_RETRIES", "1")
        site.start()
        site.wait_for_the_end()
        assert site.state("a").state is State.FAILED
        assert "login" in site.state("a").reason
        assert site.state("b").state is State.QUEUED
        assert "login" in site.state("b").reason
        site.start("b")
        site.wait_for_the_end()
    assert site.state("b").state is State.FINISHED


def test_one_that_is_killed_goes_on_in_its_session(office: MakeOffice) -> None:
    site = office("a")
    turns = work()
    turns[2] = {**turns[2], "hold": "middle"}
    with site.model({"a": turns}) as server:
        site.start()
        server.reached("middle")
        run = site.newest("a")
        assert run.run is not None
        os.kill(run.run.keeper.pid, signal.SIGKILL)
        assert process.wait_gone(run.run.keeper, 30)
        site.wait_for_the_end()
        assert site.state("a").state is State.LOST
        killed = site.facts("a").usage
        assert (killed.cost_usd, killed.input_tokens > 0, killed.sessions_without_cost) == (None, True, 1)
        server.release("middle")
        session = site.facts("a").session_id
        assert site.start().queued == ["a"]
        site.wait_for_the_end()
    assert site.state("a").state is State.FINISHED, site.log()
    assert {request["session"] for request in server.requests} == {session}
    # Of the cost that the resumed run tells, the part of the killed one is missing, in either version.
    used = site.facts("a").usage
    assert used.cost_usd is not None
    assert (used.input_tokens > killed.input_tokens, used.sessions_without_cost) == (True, 1)


def test_one_is_sent_back_and_its_cost_is_counted_once(office: MakeOffice) -> None:
    site = office("a")
    more: Turns = [
        {"expect": "rename it", "tools": [tool("Bash", command="git mv src/f.js src/g.js && git commit -qm rename")]},
        {"text": "Renamed."},
    ]
    with site.model({"a": [*work(), *more]}) as server:
        site.start()
        site.wait_for_the_end()
        first = site.facts("a").usage
        assert send_message(site.fleet, site.agent("a"), "Please rename it to g.js").queued == ["a"]
        site.wait_for_the_end()
    assert server.misses == []
    assert site.world.at("a").read("src/g.js") == "1"
    assert site.state("a").state is State.FINISHED
    second = site.facts("a").usage
    assert first.cost_usd is not None
    assert second.cost_usd is not None
    per_turn = first.cost_usd / len(work())
    assert second.cost_usd == pytest.approx(per_turn * (len(work()) + len(more)), rel=0.05)
    assert second.output_tokens == 10 * (len(work()) + len(more))


@pytest.mark.parametrize(
    "spoil", ['s/"allow": \\[/"allow": "oops", "x": [/', "s:/[^ ]*python[^ ]* -I:/no/such/python -I:"]
)
def test_settings_or_hooks_that_do_not_work_stop_the_run(
    office: MakeOffice, monkeypatch: pytest.MonkeyPatch, spoil: str
) -> None:
    """A client of tomorrow finds one value in the file wrong and ignores all of it, without a word; or our
    interpreter is gone. Here a program that stands before the client spoils the file."""
    site = office("a")
    own = {"hooks": {"SessionStart": [{"hooks": [{"type": "command", "command": "echo a hook of their own"}]}]}}
    site.world.at("a").commit("their own", {".claude/settings.json": json.dumps(own)})
    folder = site.folder / "bin"
    folder.mkdir()
    settings = site.files("a").settings
    real = client_folder(site.version) / "claude"
    (folder / "claude").write_text(f"#!/bin/sh\nsed -i '{spoil}' '{settings}'\nexec '{real}' \"$@\"\n", "utf-8")
    (folder / "claude").chmod(0o755)
    turns = [{**work()[0], "hold": "first"}, *work()[1:]]
    with site.model({"a": turns}):
        monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
        site.start()
        site.wait_for_the_end()
    found = site.state("a")
    if sandbox_available() and "failed validation" in found.reason:
        assert found.state is State.FAILED  # this client refuses by itself to start without its sandbox
        return
    assert found.state is State.STOPPED
    assert "did not load orchestra's settings" in found.reason


def test_a_repository_with_settings_and_instructions_of_its_own(office: MakeOffice) -> None:
    site = office("a")
    own = {".claude/settings.json": json.dumps({"disableAllHooks": True, "permissions": {"allow": ["Edit"]}})}
    site.world.at("a").commit("their own", {**own, "CLAUDE.md": "Theirs.\n", "src/f.js": "0\n"})
    turns: Turns = [
        {"tools": [tool("Write", file_path="${CWD}/package.json", content="{}")]},
        {"expect": "is protected", "tools": [READ_NOTES]},
        {"tools": [WRITE_NOTES]},
        {"text": "Done."},
    ]
    with site.model({"a": turns}) as server:
        site.start()
        site.wait_for_the_end()
    assert server.misses == []
    assert site.state("a").state is State.FINISHED


def test_the_turn_limit_is_told(office: MakeOffice) -> None:
    site = office("a", max_turns=2)
    with site.model({"a": work()}):
        site.start()
        site.wait_for_the_end()
    assert (site.state("a").state, site.state("a").reason) == (State.FAILED, "it reached its limit of turns")


def test_the_agents_money_is_a_limit(office: MakeOffice) -> None:
    site = office("a", max_budget_usd=0.02)
    turns = work()
    turns[1] = {**turns[1], "usage": {"input_tokens": 100_000, "output_tokens": 10_000}}
    with site.model({"a": turns}):
        site.start()
        site.wait_for_the_end()
        assert (site.state("a").state, site.state("a").reason) == (State.FAILED, "it reached its cost limit")
        site.start()
        site.wait_for_the_end()
    assert site.state("a").state is State.STOPPED
        assert "its budget is spent" in site.state("a").reason


def test_the_fleets_money_is_a_limit_and_the_work_is_kept(office: MakeOffice) -> None:
    site = office("a", "b")
    limits = Limits(agents=1, budget_usd=0.05)
    site.fleet = replace(site.fleet, blueprint=replace(site.fleet.blueprint, limits=limits))
    turns = work()
    turns[2] = {**turns[2], "usage": {"input_tokens": 100_000, "output_tokens": 10_000}}
    with site.model({"a": turns, "b": work()}):
        site.start()
        site.wait_for_the_end()
    assert site.state("b").state is State.STOPPED
    assert "budget of 0.05 USD is spent" in site.state("b").reason
    assert (site.fleet.worktree(site.agent("a")) / "src/f.js").exists()
    assert site.work("a").commits == 0
    assert "demo/a/saved/1" in site.world.refs()


@pytest.mark.skipif(not sandbox_available(), reason="no bubblewrap and socat, or none that work here")
def test_in_the_sandbox_nobody_writes_what_orchestra_and_git_believe_outside_of_it(office: MakeOffice) -> None:
    """An order would be run by the supervisor, and a git configuration by every git, both without a sandbox."""
    site = office("a")
    state = site.fleet.repository.state_folder
    request, config = site.files("a").path / "request.json", state / "worktrees.config"
    writes = [f"python3 -c \"open('{path}', 'a').write('mine')\"; true" for path in (request, config, "${CWD}/.git")]
    moves = f"mv '{state}' '{state}.mine'; mv '${{CWD}}/.git' '${{CWD}}/mine'; true"
    turns: Turns = [
        {"tools": [READ_NOTES, tool("Write", file_path="${CWD}/src/f.js", content="1\n")]},
        *({"tools": [tool("Bash", command=command)]} for command in (*writes, moves)),
        {"tools": [tool("Bash", command="git add -A && git commit -qm 'Add f'")]},
        {"tools": [WRITE_NOTES]},
        {"text": "Done."},
    ]
    pointer = (site.fleet.worktree(site.agent("a")) / ".git").read_text("utf-8")
    with site.model({"a": turns}):
        site.start()
        site.wait_for_the_end()
    assert not config.exists()
    assert site.files("a").request is None
    assert (site.fleet.worktree(site.agent("a")) / ".git").read_text("utf-8") == pointer
    assert site.world.at("a").tree() == ["README.md", "src/f.js"]
    assert site.state("a").state is State.FINISHED


@pytest.mark.skipif(not sandbox_available(), reason="no bubblewrap and socat, or none that work here")
def test_in_the_sandbox_no_program_writes_what_is_protected_and_commits_work(office: MakeOffice) -> None:
    site = office("a")
    python = "python3 -c \"open('package.json', 'w').write('mine')\"; true"
    outside = f"python3 -c \"open('{site.folder}/outside', 'w').write('mine')\"; true"
    turns: Turns = [
        {"tools": [READ_NOTES, tool("Write", file_path="${CWD}/src/f.js", content="1\n")]},
        {"tools": [tool("Bash", command=python), tool("Bash", command=outside)]},
        {"expect": "Read-only file system", "tools": [tool("Bash", command="git add -A && git commit -qm 'Add f'")]},
        {"tools": [WRITE_NOTES]},
        {"text": "Done."},
    ]
    with site.model({"a": turns}) as server:
        site.start()
        site.wait_for_the_end()
    assert server.misses == []
    assert site.world.at("a").tree() == ["README.md", "src/f.js"]
    assert not (site.fleet.worktree(site.agent("a")) / "package.json").exists()
    assert not (site.folder / "outside").exists()
    assert site.state("a").state is State.FINISHED
