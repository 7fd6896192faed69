"""A fleet with the command runner: started, queued, joined, found again, stopped."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable

import pytest

from orchestra.blueprint.model import AgentName, Limits, Runner, RunnerKind
from orchestra.engine import process, process_tree
from orchestra.errors import GroundError
from orchestra.sessions.hook import append
from orchestra.sessions.scheduler import BackoffState
from orchestra.sessions.start import ensure_supervisor, send_message, start_fleet
from orchestra.sessions.state import State, Stop
from orchestra.sessions.stop import stop_fleet
from orchestra.sessions.store import FleetFolder, RunFolder

from .conftest import COMMIT, Site

MakeSite = Callable[..., Site]


def test_agents_work_and_finish(make_site: MakeSite) -> None:
    site = make_site("a", "b")
    site.run_script(f'echo "$1" > prompt.txt; {COMMIT}; git add prompt.txt; git commit -qm prompt; echo done')
    report = site.start()
    assert (report.queued, report.running, report.skipped) == (["a", "b"], [], [])
    site.wait_for_the_end()
    for name in "ab":
        assert site.state(name).state is State.FINISHED, site.log()
        assert "Read TASK.md" in site.world.at(name).read("prompt.txt")
        assert site.output(name) == "done\n"
    kinds = [event.kind for event in site.fleet.ledger.events("session")]
    assert sorted(kinds) == ["session.ended"] * 2 + ["session.queued"] * 2 + ["session.started"] * 2


def test_success_is_not_the_programs_word_alone(make_site: MakeSite) -> None:
    site = make_site("a", "b")
    site.run_script("case $PWD in *agent-1) exit 0;; *) echo left > left.txt; exit 0;; esac")
    site.start()
    site.wait_for_the_end()
    assert (site.state("a").state, site.state("a").reason) == (State.FAILED, "it ended without a commit")
    assert site.state("b").reason == "it ended without a commit, with 1 uncommitted file"


def test_a_failure_says_why_and_keeps_the_work(make_site: MakeSite) -> None:
    site = make_site("a")
    site.run_script("echo precious > precious.txt; exit 7")
    site.start()
    site.wait_for_the_end()
    assert (site.state("a").state, site.state("a").reason) == (State.FAILED, "exit code 7")
    assert site.world.checkout.read("precious.txt", site.world.refs()["demo/a/saved/1"]) == "precious"
    assert (site.fleet.worktree(site.agent("a")) / "precious.txt").read_text("utf-8") == "precious\n"


def test_a_program_that_is_not_there_is_told_before_anything_is_queued(make_site: MakeSite) -> None:
    site = make_site("a", "b")
    site.use(Runner(kind=RunnerKind.COMMAND, command=("no-such-program-anywhere", "{prompt}")))
    with pytest.raises(GroundError, match="no-such-program-anywhere"):
        site.start()
    assert [site.state(name).state for name in "ab"] == [State.READY] * 2


def test_a_program_that_goes_missing_later_is_told_too(make_site: MakeSite) -> None:
    site = make_site("a", "b")
    tool = site.folder / "tool"
    tool.write_text(f"#!/bin/sh\n{site.hold}; rm {tool}; {COMMIT}\n", "utf-8")
    tool.chmod(0o755)
    site.use(Runner(kind=RunnerKind.COMMAND, command=(str(tool), "{prompt}")), Limits(agents=1))
    site.start()
    site.who("a")
    site.go("a")
    site.wait_for_the_end()
    assert site.state("a").state is State.FINISHED
    assert site.state("b").state is State.FAILED
    assert str(tool) in site.state("b").reason


def test_a_time_limit_ends_a_session(make_site: MakeSite) -> None:
    site = make_site("a")
    site.run_script("sleep 600", timeout_s=0.3)
    site.start()
    site.wait_for_the_end()
    assert (site.state("a").state, site.state("a").reason) == (State.FAILED, "it ran longer than its time limit")


def test_no_more_at_once_than_the_limit_and_the_rest_waits(make_site: MakeSite) -> None:
    site = make_site("a", "b", "c")
    site.run_script(f"{site.hold}; {COMMIT}", limits=Limits(agents=1))
    site.start()
    for working in "abc":
        site.who(working)
        states = {name: site.state(name).state for name in "abc"}
        assert states.pop(working) is State.WORKING
        assert State.WORKING not in states.values()
        site.go(working)
    site.wait_for_the_end()
    assert [site.state(name).state for name in "abc"] == [State.FINISHED] * 3


def test_a_second_start_joins(make_site: MakeSite) -> None:
    site = make_site("a", "b")
    site.run_script(f"{site.hold}; {COMMIT}")
    first = site.start("a")
    site.who("a")
    second = site.start("a", "b")
    assert second.running == ["a"]
    assert second.queued == ["b"]
    assert second.supervisor == first.supervisor
    site.who("b")
    assert len(site.files("a").runs()) == 1
    site.go("a", "b")
    site.wait_for_the_end()
    assert [site.state(name).state for name in "ab"] == [State.FINISHED] * 2


def test_what_is_finished_is_started_again_only_when_asked(make_site: MakeSite) -> None:
    site = make_site("a")
    site.run_script(COMMIT)
    site.start()
    site.wait_for_the_end()
    assert [name for name, _ in site.start().skipped] == ["a"]
    assert site.start(again=True).queued == ["a"]
    site.wait_for_the_end()
    assert len(site.files("a").runs()) == 2


def test_what_failed_goes_on_in_its_own_session(make_site: MakeSite) -> None:
    site = make_site("a")
    site.run_script('echo "$2"; exit 1', resume=f'echo "$2"; {COMMIT}')
    site.start()
    site.wait_for_the_end()
    session = site.output("a")
    site.start()
    site.wait_for_the_end()
    assert site.output("a").splitlines()[0] == session.strip()
    assert site.state("a").state is State.FINISHED


def test_sent_back_with_a_message(make_site: MakeSite) -> None:
    site = make_site("a")
    site.run_script(COMMIT, resume='printf "%s" "$1" > answer.txt; git add answer.txt; git commit -qm answer')
    site.start()
    site.wait_for_the_end()
    assert send_message(site.fleet, site.agent("a"), 'Please name it `better` & "quoted".').queued == ["a"]
    site.wait_for_the_end()
    assert 'Please name it `better` & "quoted".' in site.world.at("a").read("answer.txt")


def test_sent_back_while_at_work_waits_for_its_end(make_site: MakeSite) -> None:
    site = make_site("a")
    site.run_script(f"{site.hold}; {COMMIT}", resume="echo answer; git commit -q --allow-empty -m b")
    site.start()
    site.who("a")
    send_message(site.fleet, site.agent("a"), "more")
    assert site.state("a").state is State.WORKING
    site.go("a")
    site.wait_for_the_end()
    assert site.output("a") == "answer\n"
    assert site.work("a").commits == 2


def test_a_killed_supervisor_is_followed_by_one_that_finds_the_sessions(make_site: MakeSite) -> None:
    site = make_site("a", "b")
    site.run_script(f"{site.hold}; {COMMIT}", limits=Limits(agents=1))
    site.start()
    session = site.who("a")
    supervisor = site.supervisor()
    assert supervisor is not None
    os.kill(supervisor.pid, signal.SIGKILL)
    assert process.wait_gone(supervisor, 30)
    assert process_tree.is_alive(session)
    assert {name: site.state(name).state for name in "ab"} == {"a": State.WORKING, "b": State.QUEUED}
    assert "orchestra start" in site.state("b").reason
    report = site.start()
    assert (report.running, report.queued) == (["a"], ["b"])
    site.go("a")
    site.who("b")
    site.go("b")
    site.wait_for_the_end()
    assert [site.state(name).state for name in "ab"] == [State.FINISHED] * 2
    assert [len(site.files(name).runs()) for name in "ab"] == [1, 1]


def test_a_session_that_ends_while_nobody_looks_is_still_known(make_site: MakeSite) -> None:
    site = make_site("a")
    site.run_script(f"{site.hold}; {COMMIT}; exit 4")
    site.start()
    session, supervisor = site.who("a"), site.supervisor()
    assert supervisor is not None
    os.kill(supervisor.pid, signal.SIGKILL)
    run = site.newest("a")
    assert run.run is not None
    site.go("a")
    assert process.wait_gone(session, 30)
    assert process.wait_gone(run.run.keeper, 30)
    assert (site.state("a").state, site.state("a").reason) == (State.FAILED, "exit code 4")


def test_a_killed_keeper_means_lost_and_start_goes_on(make_site: MakeSite) -> None:
    site = make_site("a")
    site.run_script(f"{site.hold}; exec sleep 600", resume=COMMIT)
    site.start()
    session = site.who("a")
    run = site.newest("a")
    assert run.run is not None
    os.kill(run.run.keeper.pid, signal.SIGKILL)
    assert process.wait_gone(session, 30)
    site.wait_for_the_end()
    assert site.state("a").state is State.LOST
    assert site.start().queued == ["a"]
    site.wait_for_the_end()
    assert site.state("a").state is State.FINISHED


def test_stop_ends_everything_and_saves_what_is_not_committed(make_site: MakeSite) -> None:
    site = make_site("a", "b")
    script = f"echo precious > precious.txt; setsid sh -c '{site.hold}' & exec sleep 600"
    site.run_script(script, limits=Limits(agents=1))
    site.start()
    daemon = site.who("a")
    report = stop_fleet(site.fleet)
    assert (report.stopped, report.unqueued, report.survivors, report.unsaved) == (["a"], ["b"], [], [])
    assert not process_tree.is_alive(daemon)
    assert report.saved == [("a", "refs/orchestra/demo/a/saved/1")]
    assert site.world.checkout.read("precious.txt", "refs/orchestra/demo/a/saved/1") == "precious"
    assert (site.state("a").state, site.state("a").reason) == (State.STOPPED, "stopped by you")
    assert site.state("b").state is State.READY
    site.wait_for_the_end()
    assert stop_fleet(site.fleet).stopped == []


def test_stop_of_one_leaves_the_others(make_site: MakeSite) -> None:
    site = make_site("a", "b")
    site.run_script(f"{site.hold}; {COMMIT}")
    site.start("a")
    first = site.who("a")
    site.start("b")
    second = site.who("b")
    stop_fleet(site.fleet, [site.agent("a")])
    assert (process_tree.is_alive(first), process_tree.is_alive(second)) == (False, True)
    site.go("b")
    site.wait_for_the_end()
    assert (site.state("a").state, site.state("b").state) == (State.STOPPED, State.FINISHED)


def test_stop_works_without_a_supervisor(make_site: MakeSite) -> None:
    site = make_site("a")
    site.run_script(f"{site.hold}; exec sleep 600")
    site.start()
    session, supervisor = site.who("a"), site.supervisor()
    assert supervisor is not None
    os.kill(supervisor.pid, signal.SIGKILL)
    assert stop_fleet(site.fleet).stopped == ["a"]
    assert not process_tree.is_alive(session)
    assert site.state("a").state is State.STOPPED


def test_a_start_that_was_cut_off_is_done_again(make_site: MakeSite) -> None:
    """What a supervisor leaves that dies between taking the order and noting the process."""
    site = make_site("a")
    site.run_script(f"{site.hold}; exec sleep 600", resume=COMMIT)
    site.start()
    session, supervisor = site.who("a"), site.supervisor()
    assert supervisor is not None
    os.kill(supervisor.pid, signal.SIGKILL)
    assert process.wait_gone(supervisor, 30)
    run = site.newest("a")
    (run.path / "run.json").unlink()
    assert site.state("a").state is State.QUEUED
    assert "orchestra start" in site.state("a").reason
    ensure_supervisor(FleetFolder(site.fleet.folder))
    again = site.who("a")
    assert not process_tree.is_alive(session)
    assert process_tree.is_alive(again)
    assert len(site.files("a").runs()) == 2
    assert site.state("a").state is State.WORKING


def test_two_supervisors_at_once_are_one(make_site: MakeSite) -> None:
    site = make_site("a")
    site.run_script(f"{site.hold}; {COMMIT}")
    first = site.start().supervisor
    site.who("a")
    assert ensure_supervisor(site.sessions) == first
    site.go("a")
    site.wait_for_the_end()
    assert len(site.files("a").runs()) == 1


def test_the_worktree_is_removed_under_a_running_agent(make_site: MakeSite) -> None:
    site = make_site("a")
    site.run_script(f"{site.hold}; exit 0")
    site.start()
    site.who("a")
    site.world.checkout.git("worktree", "remove", str(site.fleet.worktree(site.agent("a"))))
    state = site.state("a")
    assert (state.state, state.source) == (State.UNKNOWN, "worktree")
    site.go("a")
    site.wait_for_the_end()
    assert (site.state("a").state, site.state("a").reason) == (State.FAILED, "its worktree is missing")


def test_the_session_has_the_users_environment_without_redirections(
    make_site: MakeSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_OWN", "kept")
    site = make_site("a")
    command = ("/bin/sh", "-c", 'echo "$MY_OWN $EXTRA ${GIT_DIR-none}"; cat "$0"', "{prompt_file}")
    site.use(Runner(kind=RunnerKind.COMMAND, command=command, env={"EXTRA": "{{ agent.name }}-{{ agent.number }}"}))
    states = site.states()
    monkeypatch.setenv("GIT_DIR", "/nowhere")
    start_fleet(site.fleet, states)
    monkeypatch.delenv("GIT_DIR")
    site.wait_for_the_end()
    assert site.output("a").splitlines()[0] == "kept a-1 none"
    assert "Read TASK.md" in site.output("a")


def test_a_command_without_a_prompt_reads_it(make_site: MakeSite) -> None:
    site = make_site("a")
    site.use(Runner(kind=RunnerKind.COMMAND, command=("cat",)))
    site.start()
    site.wait_for_the_end()
    assert "Read TASK.md" in site.output("a")


def test_kind_none_says_what_to_type(make_site: MakeSite) -> None:
    site = make_site("a")
    report = site.start()
    assert report.queued == []
    [(name, lines)] = report.by_hand
    assert name == "a"
    assert lines[0] == f"cd {site.fleet.worktree(site.agent('a'))}"
    assert site.state("a").state is State.READY
    site.world.at("a").commit("by hand", {"x": "1"})
    assert site.state("a").state is State.WORKING
    site.world.at("a").write({"AGENT_NOTES.md": "## What I Built\nIt.\n"})
    assert site.state("a").state is State.FINISHED


def test_sixteen_agents_finish_at_once(make_site: MakeSite) -> None:
    names = [f"n{number}" for number in range(16)]
    site = make_site(*names)
    onward = site.folder / "go"
    site.run_script(f"until [ -e {onward} ]; do sleep 0.05; done; exit 3", limits=Limits(agents=16))
    site.start()
    onward.touch()
    site.wait_for_the_end(110)
    assert {site.state(name).reason for name in names} == {"exit code 3"}
    assert len(site.fleet.ledger.events("session.ended")) == 16


def test_what_a_lost_session_left_running_is_ended_before_another_begins(make_site: MakeSite) -> None:
    """It would go on writing beside the next one, and after its work was saved."""
    site = make_site("a")
    site.run_script(f"setsid sleep 600 & {site.hold}; exec sleep 600", resume=COMMIT)
    site.start()
    site.who("a")
    run = site.newest("a")
    assert run.run is not None
    assert len(process_tree.members(run.run.mark, run.run.keeper.pid)) > 1
    os.kill(run.run.keeper.pid, signal.SIGKILL)
    site.wait_for_the_end()
    assert site.state("a").state is State.LOST
    assert process_tree.members(run.run.mark) == ()


def one_that_is_over(make_site: MakeSite) -> tuple[Site, RunFolder]:
    site = make_site("a")
    site.run_script(COMMIT)
    site.start()
    site.wait_for_the_end()
    return site, site.newest("a")


def test_torn_files_are_facts_less_not_errors(make_site: MakeSite) -> None:
    site, run = one_that_is_over(make_site)
    site.files("a").events.write_text('{"at": 1, "eve', "utf-8")
    (site.fleet.folder / "clients.json").write_text('["torn', "utf-8")
    (site.fleet.folder / "backoff.json").write_text(json.dumps({"from": "the future"}), "utf-8")
    run.record.write_text("{", "utf-8")
    assert site.state("a").state is State.LOST
    assert AgentName("a") in site.states()


@pytest.mark.parametrize("change", [{"machine": "another boot/pid:[1]"}, {"started": "1"}])
def test_after_a_restart_of_the_machine_nothing_is_taken_for_alive(make_site: MakeSite, change: dict[str, str]) -> None:
    """The pid is somebody else's now: here, that of this test's own process."""
    site = make_site("a")
    site.run_script(COMMIT, resume="git commit -q --allow-empty -m again")
    site.start()
    site.wait_for_the_end()
    run = site.newest("a")
    run.record.unlink()
    (run.path / "result.json").unlink()
    facts = json.loads((run.path / "run.json").read_text("utf-8"))
    facts["keeper"] |= {"pid": os.getpid(), **change}
    (run.path / "run.json").write_text(json.dumps(facts), "utf-8")
    assert site.state("a").state is State.LOST
    assert ("restarted" in site.state("a").reason) == ("machine" in change)
    assert stop_fleet(site.fleet).stopped == []
    assert site.start().queued == ["a"]
    site.wait_for_the_end()
    assert site.state("a").state is State.FINISHED


def test_an_agent_whose_folder_cannot_be_written_stops_no_other(make_site: MakeSite) -> None:
    site = make_site("a", "b")
    site.run_script(COMMIT)
    site.files("a").path.mkdir(parents=True)
    (site.files("a").path / "runs").write_text("not a folder", "utf-8")
    site.start()
    site.until(lambda: site.state("b").state is State.FINISHED)
    assert site.state("a").state is State.QUEUED
    assert site.log().count("Not a directory") == 1
    (site.files("a").path / "runs").unlink()
    site.wait_for_the_end()
    assert site.state("a").state is State.FINISHED


def test_work_is_saved_though_nothing_else_can_be_noted(make_site: MakeSite) -> None:
    site = make_site("a", "b")
    site.run_script(f"echo precious > precious.txt; {site.hold}; exec sleep 600")
    site.start()
    for name in "ab":
        site.who(name)
    spoil_ledger(site)
    for name in "ab":
        run = site.newest(name)
        (run.path / "result.json").mkdir()
    report = stop_fleet(site.fleet)
    assert [name for name, error in report.errors if "result.json" in error] == ["a", "b"]
    for name in "ab":
        assert site.world.checkout.read("precious.txt", f"refs/orchestra/demo/{name}/saved/1") == "precious"
        assert site.state(name).state is State.STOPPED
        for run in site.files(name).runs():
            (run.path / "result.json").rmdir()


def spoil_ledger(site: Site) -> None:
    for path in site.fleet.folder.glob("ledger.db*"):
        path.write_bytes(b"junk\0junk" * 1000)


def test_a_damaged_ledger_stops_no_fleet(make_site: MakeSite) -> None:
    site = make_site("a", "b")
    site.run_script(f"{site.hold}; {COMMIT}", limits=Limits(agents=1))
    site.start()
    site.who("a")
    spoil_ledger(site)
    site.go("a")
    site.who("b")
    site.go("b")
    site.wait_for_the_end()
    assert [site.state(name).state for name in "ab"] == [State.FINISHED] * 2


@pytest.mark.parametrize("content", ['{"from": "the future"}', '{"kind": 3, "keeper": 3, "usage": 3}', "[" * 100_000])
def test_files_of_another_shape_are_facts_less_too(make_site: MakeSite, content: str) -> None:
    site, run = one_that_is_over(make_site)
    (site.fleet.folder / "limits.json").write_text(content, "utf-8")
    site.files("a").events.write_text(content + "\n", "utf-8")
    for name in ("request", "run", "launch", "stop", "result", "record"):
        file = run.path / f"{name}.json"
        before = file.read_bytes() if file.exists() else None
        file.write_text(content, "utf-8")
        assert site.state("a").source
        assert site.states()
        assert stop_fleet(site.fleet).stopped == []
        file.write_bytes(before) if before is not None else file.unlink()
    (run.path / "result.json").write_text(content, "utf-8")
    site.files("a").request_file.write_text(content, "utf-8")
    ensure_supervisor(site.sessions)
    site.wait_for_the_end()
    assert run.result is not None
    assert "Traceback" not in site.log()


def test_a_login_that_is_refused_holds_whatever_ends_meanwhile(make_site: MakeSite) -> None:
    """Another program's good end, or one that was stopped, says nothing of the login."""
    site = make_site("a", "b")
    site.run_script(f"{site.hold}; {COMMIT}")
    site.start()
    for name in "ab":
        site.who(name)
    supervisor = site.supervisor()
    assert supervisor is not None
    os.kill(supervisor.pid, signal.SIGKILL)
    assert process.wait_gone(supervisor, 30)
    site.sessions.write("backoff", BackoffState(held="the API refuses the login"))
    ensure_supervisor(site.sessions)
    stop_fleet(site.fleet, [site.agent("b")])
    site.go("a")
    site.wait_for_the_end()
    assert (site.sessions.read("backoff") or {})["held"] == "the API refuses the login"


def test_a_message_in_a_queue_that_is_stopped_goes_with_the_next_session(make_site: MakeSite) -> None:
    site = make_site("a")
    site.run_script(f'{site.hold}; echo "$1" >> prompts.txt; git add prompts.txt; {COMMIT}')
    site.start()
    site.who("a")
    assert send_message(site.fleet, site.agent("a"), "rename it").queued == ["a"]
    stop_fleet(site.fleet)
    assert "message" in site.state("a").reason
    assert site.start().queued == ["a"]
    site.who("a")
    site.go("a")
    site.wait_for_the_end()
    assert site.world.at("a").read("prompts.txt").count("rename it") == 1
    assert site.state("a").state is State.FINISHED


def test_the_newest_signal_is_known_though_the_clock_was_set_back(make_site: MakeSite) -> None:
    site = make_site("a")
    site.run_script(f"{site.hold}; {COMMIT}")
    earlier = {"at": time.time(), "event": "Stop", "detail": "", "session": "s"}
    site.files("a").path.mkdir(parents=True, exist_ok=True)
    site.files("a").events.write_text(json.dumps(earlier) + "\n", "utf-8")
    site.start()
    site.who("a")
    assert site.facts("a").signal is None
    with site.files("a").events.open("a", encoding="utf-8") as events:
        events.write(json.dumps({**earlier, "at": time.time() - 3600, "event": "PreToolUse"}) + "\n")
    found = site.facts("a").signal
    assert found is not None
    assert found.event == "PreToolUse"
    site.go("a")
    site.wait_for_the_end()


def test_pipes_in_the_place_of_files_hold_nobody_up(make_site: MakeSite) -> None:
    site, run = one_that_is_over(make_site)
    for path in (run.path / "result.json", site.files("a").events, site.files("a").path / "message.json"):
        path.unlink(missing_ok=True)
        os.mkfifo(path)
    assert site.state("a").state is State.FINISHED
    append(site.files("a").path, {"hook_event_name": "Stop"}, "")


def test_a_stop_that_was_cut_off_is_finished(make_site: MakeSite) -> None:
    """Noted, and then its command was killed: without this it would work on for hours and be shown as stopped."""
    site = make_site("a")
    site.run_script(f"echo precious > precious.txt; {site.hold}; exec sleep 600")
    site.start()
    session = site.who("a")
    run = site.newest("a")
    run.write("stop", Stop("stopped by you", time.time() - 60))
    site.wait_for_the_end()
    assert not process_tree.is_alive(session)
    assert site.world.checkout.read("precious.txt", "refs/orchestra/demo/a/saved/1") == "precious"
