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

from .conftest import COMMIT, NOTES, LiveFleet

MakeLiveFleet = Callable[..., LiveFleet]


def test_agents_work_and_finish(make_live_fleet: MakeLiveFleet) -> None:
    live = make_live_fleet("a", "b")
    live.use_script(f'echo "$1" > prompt.txt; {COMMIT}; git add prompt.txt; git commit -qm prompt; echo done')
    report = live.start()
    assert (report.queued, report.running, report.skipped) == (["a", "b"], [], [])
    live.wait_until_done()
    for name in "ab":
        assert live.state(name).state is State.FINISHED, live.log()
        assert "Read TASK.md" in live.world.at(name).read("prompt.txt")
        assert live.output(name) == "done\n"
    kinds = [event.kind for event in live.fleet.ledger.events("session")]
    assert sorted(kinds) == ["session.ended"] * 2 + ["session.queued"] * 2 + ["session.started"] * 2


def test_exit_code_0_without_a_commit_is_a_failure(make_live_fleet: MakeLiveFleet) -> None:
    live = make_live_fleet("a", "b")
    live.use_script("case $PWD in *agent-1) exit 0;; *) echo left > left.txt; exit 0;; esac")
    live.start()
    live.wait_until_done()
    assert (live.state("a").state, live.state("a").reason) == (State.FAILED, "it ended without a commit")
    assert live.state("b").reason == "it ended without a commit, with 1 uncommitted file"


def test_a_failure_has_a_reason_and_its_work_is_saved(make_live_fleet: MakeLiveFleet) -> None:
    live = make_live_fleet("a")
    live.use_script("echo precious > precious.txt; exit 7")
    live.start()
    live.wait_until_done()
    assert (live.state("a").state, live.state("a").reason) == (State.FAILED, "exit code 7")
    assert live.world.checkout.read("precious.txt", live.world.refs()["demo/a/saved/1"]) == "precious"
    assert (live.fleet.worktree(live.agent("a")) / "precious.txt").read_text("utf-8") == "precious\n"


def test_a_program_with_resume_is_resumed_until_its_work_is_finished(make_live_fleet: MakeLiveFleet) -> None:
    live = make_live_fleet("a")
    live.use_script("echo started", resume=f'echo "resumed $2: $1"; {NOTES}; {COMMIT}')
    live.start()
    live.wait_until_done()
    assert live.state("a").state is State.FINISHED, live.log()
    session = live.facts("a").session_id
    assert live.output("a").startswith(f"started\nresumed {session}: Before you stop:\n- there is no commit on")
    assert len(live.files("a").runs()) == 1
    assert "orchestra: sends it back (1 of 3)" in live.newest("a").err.read_text("utf-8")


def test_a_program_without_resume_runs_again_with_what_is_missing_and_the_rules(make_live_fleet: MakeLiveFleet) -> None:
    live = make_live_fleet("a")
    rendered = live.files("a").path / "rendered"
    rendered.mkdir(parents=True)
    (rendered / "CLAUDE.md").write_text("Tabs only.\n", "utf-8")
    live.use_script(f'echo "$1"; test ! -e ran || {{ {COMMIT}; rm ran; exit; }}; touch ran')
    live.start()
    live.wait_until_done()
    assert live.state("a").state is State.FINISHED, live.log()
    first, _, second = live.output("a").partition("Work in this folder ended before everything in TASK.md was done.")
    assert "Before you stop:\n- commit your work on agent/demo/a; not committed: ran" in second
    assert first.count("Tabs only.") == second.count("Tabs only.") == 1
    assert len(live.files("a").runs()) == 1


def test_a_program_is_resumed_three_times_at_most_and_keeps_its_exit(make_live_fleet: MakeLiveFleet) -> None:
    live = make_live_fleet("a", "b", "c")
    live.use_script("echo run; case $PWD in *agent-2) exit 5;; *agent-3) kill -KILL $$;; esac", resume="echo run")
    live.start()
    live.wait_until_done()
    assert live.output("a") == "run\n" * 4
    assert [live.state(name).reason for name in "abc"] == [
        "it ended without a commit", "exit code 5", "killed by SIGKILL",
    ]  # fmt: skip


def test_the_first_prompt_of_a_program_has_the_rules(make_live_fleet: MakeLiveFleet) -> None:
    live = make_live_fleet("a")
    rendered = live.files("a").path / "rendered"
    rendered.mkdir(parents=True)
    (rendered / "CLAUDE.md").write_text("# Rules\n\nTabs only.\n", "utf-8")
    live.use_script(f'echo "$1"; {COMMIT}')
    live.start()
    live.wait_until_done()
    assert "Read TASK.md" in live.output("a")
    assert "The project instructions, from CLAUDE.md:\n\n# Rules\n\nTabs only." in live.output("a")


def test_a_silent_program_is_unknown_and_not_started_twice(make_live_fleet: MakeLiveFleet) -> None:
    live = make_live_fleet("a")
    live.use_script(f"{live.hold}; {COMMIT}")
    live.start()
    live.who("a")
    run = live.newest("a")
    facts = json.loads((run.path / "run.json").read_text("utf-8"))
    run.write("run", {**facts, "started_at": facts["started_at"] - 365})
    assert (live.state("a").state, live.state("a").reason) == (State.UNKNOWN, "silent for 6 min")
    assert live.start().running == ["a"]
    live.go("a")
    live.wait_until_done()


def test_a_later_commit_by_hand_ends_a_failure(make_live_fleet: MakeLiveFleet) -> None:
    live = make_live_fleet("a")
    live.use_script(f"{COMMIT}; exit 7")
    live.start()
    live.wait_until_done()
    assert live.state("a").state is State.FAILED
    live.world.at("a").commit("fixed by hand", {"AGENT_NOTES.md": "## What I Built\n\nIt.\n"})
    assert (live.state("a").state, live.state("a").source) == (State.FINISHED, "git")


def test_a_missing_program_is_an_error_before_anything_is_queued(make_live_fleet: MakeLiveFleet) -> None:
    live = make_live_fleet("a", "b")
    live.use(Runner(kind=RunnerKind.COMMAND, command=("no-such-program-anywhere", "{prompt}")))
    with pytest.raises(GroundError, match="no-such-program-anywhere"):
        live.start()
    assert [live.state(name).state for name in "ab"] == [State.READY] * 2


def test_a_program_that_disappears_later_fails_its_agent(make_live_fleet: MakeLiveFleet) -> None:
    live = make_live_fleet("a", "b")
    tool = live.folder / "tool"
    tool.write_text(f"#!/bin/sh\n{live.hold}; rm {tool}; {COMMIT}\n", "utf-8")
    tool.chmod(0o755)
    live.use(Runner(kind=RunnerKind.COMMAND, command=(str(tool), "{prompt}")), Limits(agents=1))
    live.start()
    live.who("a")
    live.go("a")
    live.wait_until_done()
    assert live.state("a").state is State.FINISHED
    assert live.state("b").state is State.FAILED
    assert str(tool) in live.state("b").reason


def test_a_time_limit_ends_a_session(make_live_fleet: MakeLiveFleet) -> None:
    live = make_live_fleet("a")
    live.use_script("sleep 600", timeout_s=0.3)
    live.start()
    live.wait_until_done()
    assert (live.state("a").state, live.state("a").reason) == (State.FAILED, "it ran longer than its time limit")


def test_sessions_above_the_limit_are_queued(make_live_fleet: MakeLiveFleet) -> None:
    live = make_live_fleet("a", "b", "c")
    live.use_script(f"{live.hold}; {COMMIT}", limits=Limits(agents=1))
    live.start()
    for working in "abc":
        live.who(working)
        states = {name: live.state(name).state for name in "abc"}
        assert states.pop(working) is State.WORKING
        assert State.WORKING not in states.values()
        live.go(working)
    live.wait_until_done()
    assert [live.state(name).state for name in "abc"] == [State.FINISHED] * 3


def test_a_second_start_joins_running_sessions(make_live_fleet: MakeLiveFleet) -> None:
    live = make_live_fleet("a", "b")
    live.use_script(f"{live.hold}; {COMMIT}")
    first = live.start("a")
    live.who("a")
    second = live.start("a", "b")
    assert second.running == ["a"]
    assert second.queued == ["b"]
    assert second.supervisor == first.supervisor
    live.who("b")
    assert len(live.files("a").runs()) == 1
    live.go("a", "b")
    live.wait_until_done()
    assert [live.state(name).state for name in "ab"] == [State.FINISHED] * 2


def test_finished_agents_restart_only_with_again(make_live_fleet: MakeLiveFleet) -> None:
    live = make_live_fleet("a")
    live.use_script(COMMIT)
    live.start()
    live.wait_until_done()
    assert [name for name, _ in live.start().skipped] == ["a"]
    assert live.start(again=True).queued == ["a"]
    live.wait_until_done()
    assert len(live.files("a").runs()) == 2


def test_a_failed_agent_resumes_its_session(make_live_fleet: MakeLiveFleet) -> None:
    live = make_live_fleet("a")
    live.use_script('echo "$2"; exit 1', resume=f'echo "$2"; {COMMIT}')
    live.start()
    live.wait_until_done()
    session = live.output("a")
    live.start()
    live.wait_until_done()
    assert live.output("a").splitlines()[0] == session.strip()
    assert live.state("a").state is State.FINISHED


def test_a_message_resumes_a_finished_session(make_live_fleet: MakeLiveFleet) -> None:
    live = make_live_fleet("a")
    live.use_script(
        f"{NOTES}; {COMMIT}", resume='printf "%s" "$1" > answer.txt; git add answer.txt; git commit -qm answer'
    )
    live.start()
    live.wait_until_done()
    assert send_message(live.fleet, live.agent("a"), 'Please name it `better` & "quoted".').queued == ["a"]
    live.wait_until_done()
    assert 'Please name it `better` & "quoted".' in live.world.at("a").read("answer.txt")


def test_a_message_to_a_headless_session_waits_for_its_end(make_live_fleet: MakeLiveFleet) -> None:
    live = make_live_fleet("a")
    live.use_script(f"{live.hold}; {NOTES}; {COMMIT}", resume="echo answer; git commit -q --allow-empty -m b")
    live.start()
    live.who("a")
    send_message(live.fleet, live.agent("a"), "more")
    assert live.state("a").state is State.WORKING
    live.go("a")
    live.wait_until_done()
    assert live.output("a") == "answer\n"
    assert live.work("a").commits == 2


def test_start_brings_a_supervisor_back_to_sessions_that_run_without_one(make_live_fleet: MakeLiveFleet) -> None:
    live = make_live_fleet("a")
    live.use_script(f"{live.hold}; {COMMIT}")
    live.start()
    live.who("a")
    supervisor = live.supervisor()
    assert supervisor is not None
    os.kill(supervisor.pid, signal.SIGKILL)
    assert process.wait_gone(supervisor, 30)
    assert live.start().running == ["a"]
    assert live.supervisor() is not None
    assert live.facts("a").supervised
    live.go("a")
    live.wait_until_done()
    assert live.state("a").state is State.FINISHED


def test_the_next_supervisor_adopts_the_sessions_of_a_killed_one(make_live_fleet: MakeLiveFleet) -> None:
    live = make_live_fleet("a", "b")
    live.use_script(f"{live.hold}; {COMMIT}", limits=Limits(agents=1))
    live.start()
    session = live.who("a")
    supervisor = live.supervisor()
    assert supervisor is not None
    os.kill(supervisor.pid, signal.SIGKILL)
    assert process.wait_gone(supervisor, 30)
    assert process_tree.is_alive(session)
    assert {name: live.state(name).state for name in "ab"} == {"a": State.WORKING, "b": State.QUEUED}
    assert "orchestra start" in live.state("b").reason
    assert not live.facts("a").supervised
    report = live.start()
    assert (report.running, report.queued) == (["a"], ["b"])
    live.go("a")
    live.who("b")
    live.go("b")
    live.wait_until_done()
    assert [live.state(name).state for name in "ab"] == [State.FINISHED] * 2
    assert [len(live.files(name).runs()) for name in "ab"] == [1, 1]


def test_a_session_that_ends_without_a_supervisor_is_known(make_live_fleet: MakeLiveFleet) -> None:
    live = make_live_fleet("a")
    live.use_script(f"{live.hold}; {COMMIT}; exit 4")
    live.start()
    session, supervisor = live.who("a"), live.supervisor()
    assert supervisor is not None
    os.kill(supervisor.pid, signal.SIGKILL)
    run = live.newest("a")
    assert run.run is not None
    live.go("a")
    assert process.wait_gone(session, 30)
    assert process.wait_gone(run.run.keeper, 30)
    assert (live.state("a").state, live.state("a").reason) == (State.FAILED, "exit code 4")


def test_a_killed_shim_means_lost_and_start_resumes(make_live_fleet: MakeLiveFleet) -> None:
    live = make_live_fleet("a")
    live.use_script(f"{live.hold}; exec sleep 600", resume=COMMIT)
    live.start()
    session = live.who("a")
    run = live.newest("a")
    assert run.run is not None
    os.kill(run.run.keeper.pid, signal.SIGKILL)
    assert process.wait_gone(session, 30)
    live.wait_until_done()
    assert live.state("a").state is State.LOST
    assert live.start().queued == ["a"]
    live.wait_until_done()
    assert live.state("a").state is State.FINISHED


def test_stop_ends_all_processes_and_saves_uncommitted_work(make_live_fleet: MakeLiveFleet) -> None:
    live = make_live_fleet("a", "b")
    script = f"echo precious > precious.txt; setsid sh -c '{live.hold}' & exec sleep 600"
    live.use_script(script, limits=Limits(agents=1))
    live.start()
    daemon = live.who("a")
    report = stop_fleet(live.fleet)
    assert (report.stopped, report.unqueued, report.survivors, report.unsaved) == (["a"], ["b"], [], [])
    assert not process_tree.is_alive(daemon)
    assert report.saved == [("a", "refs/orchestra/demo/a/saved/1")]
    assert live.world.checkout.read("precious.txt", "refs/orchestra/demo/a/saved/1") == "precious"
    assert (live.state("a").state, live.state("a").reason) == (State.STOPPED, "stopped by you")
    assert live.state("b").state is State.READY
    live.wait_until_done()
    assert stop_fleet(live.fleet).stopped == []


def test_stop_of_one_leaves_the_others(make_live_fleet: MakeLiveFleet) -> None:
    live = make_live_fleet("a", "b")
    live.use_script(f"{live.hold}; {COMMIT}")
    live.start("a")
    first = live.who("a")
    live.start("b")
    second = live.who("b")
    stop_fleet(live.fleet, [live.agent("a")])
    assert (process_tree.is_alive(first), process_tree.is_alive(second)) == (False, True)
    live.go("b")
    live.wait_until_done()
    assert (live.state("a").state, live.state("b").state) == (State.STOPPED, State.FINISHED)


def test_stop_works_without_a_supervisor(make_live_fleet: MakeLiveFleet) -> None:
    live = make_live_fleet("a")
    live.use_script(f"{live.hold}; exec sleep 600")
    live.start()
    session, supervisor = live.who("a"), live.supervisor()
    assert supervisor is not None
    os.kill(supervisor.pid, signal.SIGKILL)
    assert stop_fleet(live.fleet).stopped == ["a"]
    assert not process_tree.is_alive(session)
    assert live.state("a").state is State.STOPPED


def test_a_half_started_session_is_started_again(make_live_fleet: MakeLiveFleet) -> None:
    """What a supervisor leaves that dies between taking the order and noting the process."""
    live = make_live_fleet("a")
    live.use_script(f"{live.hold}; exec sleep 600", resume=COMMIT)
    live.start()
    session, supervisor = live.who("a"), live.supervisor()
    assert supervisor is not None
    os.kill(supervisor.pid, signal.SIGKILL)
    assert process.wait_gone(supervisor, 30)
    run = live.newest("a")
    (run.path / "run.json").unlink()
    assert live.state("a").state is State.QUEUED
    assert "orchestra start" in live.state("a").reason
    ensure_supervisor(FleetFolder(live.fleet.folder))
    again = live.who("a")
    assert not process_tree.is_alive(session)
    assert process_tree.is_alive(again)
    assert len(live.files("a").runs()) == 2
    assert live.state("a").state is State.WORKING


def test_a_second_supervisor_exits(make_live_fleet: MakeLiveFleet) -> None:
    live = make_live_fleet("a")
    live.use_script(f"{live.hold}; {COMMIT}")
    first = live.start().supervisor
    live.who("a")
    assert ensure_supervisor(live.sessions) == first
    live.go("a")
    live.wait_until_done()
    assert len(live.files("a").runs()) == 1


def test_a_worktree_removed_during_a_session_is_reported(make_live_fleet: MakeLiveFleet) -> None:
    live = make_live_fleet("a")
    live.use_script(f"{live.hold}; exit 0")
    live.start()
    live.who("a")
    live.world.checkout.git("worktree", "remove", str(live.fleet.worktree(live.agent("a"))))
    state = live.state("a")
    assert (state.state, state.source) == (State.UNKNOWN, "worktree")
    live.go("a")
    live.wait_until_done()
    assert (live.state("a").state, live.state("a").reason) == (State.FAILED, "its worktree is missing")


def test_the_session_has_the_users_environment_without_redirections(
    make_live_fleet: MakeLiveFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_OWN", "kept")
    live = make_live_fleet("a")
    command = ("/bin/sh", "-c", 'echo "$MY_OWN $EXTRA ${GIT_DIR-none}"; cat "$0"', "{prompt_file}")
    live.use(Runner(kind=RunnerKind.COMMAND, command=command, env={"EXTRA": "{{ agent.name }}-{{ agent.number }}"}))
    states = live.states()
    monkeypatch.setenv("GIT_DIR", "/nowhere")
    start_fleet(live.fleet, states)
    monkeypatch.delenv("GIT_DIR")
    live.wait_until_done()
    assert live.output("a").splitlines()[0] == "kept a-1 none"
    assert "Read TASK.md" in live.output("a")


def test_the_environment_of_a_session_names_its_worktree(
    make_live_fleet: MakeLiveFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PWD", "/")  # of the shell that started the fleet
    live = make_live_fleet("a")
    live.use(Runner(kind=RunnerKind.COMMAND, command=("env",)))
    live.start()
    live.wait_until_done()
    worktree = live.fleet.worktree(live.fleet.require_agent("a"))
    assert f"PWD={worktree}" in live.output("a").splitlines()


def test_a_command_without_placeholder_reads_the_prompt_from_stdin(make_live_fleet: MakeLiveFleet) -> None:
    live = make_live_fleet("a")
    live.use(Runner(kind=RunnerKind.COMMAND, command=("cat",)))
    live.start()
    live.wait_until_done()
    assert "Read TASK.md" in live.output("a")


def test_kind_none_prints_the_commands_to_type(make_live_fleet: MakeLiveFleet) -> None:
    live = make_live_fleet("a")
    report = live.start()
    assert report.queued == []
    [(name, lines)] = report.by_hand
    assert name == "a"
    assert lines[0] == f"cd {live.fleet.worktree(live.agent('a'))}"
    assert live.state("a").state is State.READY
    live.world.at("a").commit("by hand", {"x": "1"})
    assert live.state("a").state is State.WORKING
    live.world.at("a").write({"AGENT_NOTES.md": "## What I Built\nIt.\n"})
    assert live.state("a").state is State.FINISHED


def test_sixteen_agents_finish_at_once(make_live_fleet: MakeLiveFleet) -> None:
    names = [f"n{number}" for number in range(16)]
    live = make_live_fleet(*names)
    onward = live.folder / "go"
    live.use_script(f"until [ -e {onward} ]; do sleep 0.05; done; exit 3", limits=Limits(agents=16))
    live.start()
    onward.touch()
    live.wait_until_done(110)
    assert {live.state(name).reason for name in names} == {"exit code 3"}
    assert len(live.fleet.ledger.events("session.ended")) == 16


def test_processes_of_a_lost_session_are_ended_before_the_next_starts(make_live_fleet: MakeLiveFleet) -> None:
    """It would go on writing beside the next one, and after its work was saved."""
    live = make_live_fleet("a")
    live.use_script(f"setsid sleep 600 & {live.hold}; exec sleep 600", resume=COMMIT)
    live.start()
    live.who("a")
    run = live.newest("a")
    assert run.run is not None
    assert len(process_tree.members(run.run.mark, run.run.keeper.pid)) > 1
    os.kill(run.run.keeper.pid, signal.SIGKILL)
    live.wait_until_done()
    assert live.state("a").state is State.LOST
    assert process_tree.members(run.run.mark) == ()


def ended_session(make_live_fleet: MakeLiveFleet) -> tuple[LiveFleet, RunFolder]:
    live = make_live_fleet("a")
    live.use_script(COMMIT)
    live.start()
    live.wait_until_done()
    return live, live.newest("a")


def test_torn_files_count_as_missing(make_live_fleet: MakeLiveFleet) -> None:
    live, run = ended_session(make_live_fleet)
    live.files("a").events.write_text('{"at": 1, "eve', "utf-8")
    (live.fleet.folder / "clients.json").write_text('["torn', "utf-8")
    (live.fleet.folder / "backoff.json").write_text(json.dumps({"from": "the future"}), "utf-8")
    run.record.write_text("{", "utf-8")
    assert live.state("a").state is State.LOST
    assert AgentName("a") in live.states()


@pytest.mark.parametrize("change", [{"machine": "another boot/pid:[1]"}, {"started": "1"}])
def test_after_a_restart_of_the_machine_no_session_counts_as_running(
    make_live_fleet: MakeLiveFleet, change: dict[str, str]
) -> None:
    """The pid is somebody else's now: here, that of this test's own process."""
    live = make_live_fleet("a")
    live.use_script(COMMIT, resume="git commit -q --allow-empty -m again")
    live.start()
    live.wait_until_done()
    run = live.newest("a")
    run.record.unlink()
    (run.path / "result.json").unlink()
    facts = json.loads((run.path / "run.json").read_text("utf-8"))
    facts["keeper"] |= {"pid": os.getpid(), **change}
    (run.path / "run.json").write_text(json.dumps(facts), "utf-8")
    assert live.state("a").state is State.LOST
    assert ("restarted" in live.state("a").reason) == ("machine" in change)
    assert stop_fleet(live.fleet).stopped == []
    assert live.start().queued == ["a"]
    live.wait_until_done()
    assert live.state("a").state is State.FINISHED


def test_an_agent_folder_that_cannot_be_written_does_not_stop_other_agents(make_live_fleet: MakeLiveFleet) -> None:
    live = make_live_fleet("a", "b")
    live.use_script(COMMIT)
    live.files("a").path.mkdir(parents=True)
    (live.files("a").path / "runs").write_text("not a folder", "utf-8")
    live.start()
    live.wait_until(lambda: live.state("b").state is State.FINISHED)
    assert live.state("a").state is State.QUEUED
    assert live.log().count("Not a directory") == 1
    (live.files("a").path / "runs").unlink()
    live.wait_until_done()
    assert live.state("a").state is State.FINISHED


def test_work_is_saved_when_nothing_else_can_be_recorded(make_live_fleet: MakeLiveFleet) -> None:
    live = make_live_fleet("a", "b")
    live.use_script(f"echo precious > precious.txt; {live.hold}; exec sleep 600")
    live.start()
    for name in "ab":
        live.who(name)
    spoil_ledger(live)
    for name in "ab":
        run = live.newest(name)
        (run.path / "result.json").mkdir()
    report = stop_fleet(live.fleet)
    assert [name for name, error in report.errors if "result.json" in error] == ["a", "b"]
    for name in "ab":
        assert live.world.checkout.read("precious.txt", f"refs/orchestra/demo/{name}/saved/1") == "precious"
        assert live.state(name).state is State.STOPPED
        for run in live.files(name).runs():
            (run.path / "result.json").rmdir()


def spoil_ledger(live: LiveFleet) -> None:
    for path in live.fleet.folder.glob("ledger.db*"):
        path.write_bytes(b"junk\0junk" * 1000)


def test_a_damaged_ledger_does_not_stop_a_fleet(make_live_fleet: MakeLiveFleet) -> None:
    live = make_live_fleet("a", "b")
    live.use_script(f"{live.hold}; {COMMIT}", limits=Limits(agents=1))
    live.start()
    live.who("a")
    spoil_ledger(live)
    live.go("a")
    live.who("b")
    live.go("b")
    live.wait_until_done()
    assert [live.state(name).state for name in "ab"] == [State.FINISHED] * 2


@pytest.mark.parametrize("content", ['{"from": "the future"}', '{"kind": 3, "keeper": 3, "usage": 3}', "[" * 100_000])
def test_files_of_another_shape_count_as_missing(make_live_fleet: MakeLiveFleet, content: str) -> None:
    live, run = ended_session(make_live_fleet)
    (live.fleet.folder / "limits.json").write_text(content, "utf-8")
    live.files("a").events.write_text(content + "\n", "utf-8")
    for name in ("request", "run", "launch", "stop", "result", "record"):
        file = run.path / f"{name}.json"
        before = file.read_bytes() if file.exists() else None
        file.write_text(content, "utf-8")
        assert live.state("a").source
        assert live.states()
        assert stop_fleet(live.fleet).stopped == []
        file.write_bytes(before) if before is not None else file.unlink()
    (run.path / "result.json").write_text(content, "utf-8")
    live.files("a").request_file.write_text(content, "utf-8")
    ensure_supervisor(live.sessions)
    live.wait_until_done()
    assert run.result is not None
    assert "Traceback" not in live.log()


def test_other_sessions_that_end_do_not_release_a_refused_login(make_live_fleet: MakeLiveFleet) -> None:
    """Another program's good end, or one that was stopped, says nothing of the login."""
    live = make_live_fleet("a", "b")
    live.use_script(f"{live.hold}; {COMMIT}")
    live.start()
    for name in "ab":
        live.who(name)
    supervisor = live.supervisor()
    assert supervisor is not None
    os.kill(supervisor.pid, signal.SIGKILL)
    assert process.wait_gone(supervisor, 30)
    live.sessions.write("backoff", BackoffState(held="the API refuses the login"))
    ensure_supervisor(live.sessions)
    stop_fleet(live.fleet, [live.agent("b")])
    live.go("a")
    live.wait_until_done()
    assert (live.sessions.read("backoff") or {})["held"] == "the API refuses the login"


def test_a_message_in_a_stopped_queue_reaches_the_next_session(make_live_fleet: MakeLiveFleet) -> None:
    live = make_live_fleet("a")
    live.use_script(f'{live.hold}; echo "$1" >> prompts.txt; git add prompts.txt; {COMMIT}')
    live.start()
    live.who("a")
    assert send_message(live.fleet, live.agent("a"), "rename it").queued == ["a"]
    stop_fleet(live.fleet)
    assert "message" in live.state("a").reason
    assert live.start().queued == ["a"]
    live.who("a")
    live.go("a")
    live.wait_until_done()
    assert live.world.at("a").read("prompts.txt").count("rename it") == 1
    assert live.state("a").state is State.FINISHED


def test_the_newest_signal_is_the_last_line_although_the_clock_was_set_back(make_live_fleet: MakeLiveFleet) -> None:
    live = make_live_fleet("a")
    live.use_script(f"{live.hold}; {COMMIT}")
    earlier = {"at": time.time(), "event": "Stop", "detail": "", "session": ""}
    live.files("a").path.mkdir(parents=True, exist_ok=True)
    live.files("a").events.write_text(json.dumps(earlier) + "\n", "utf-8")
    live.start()
    live.who("a")
    assert live.facts("a").signal is None
    earlier["session"] = live.facts("a").session_id
    with live.files("a").events.open("a", encoding="utf-8") as events:
        events.write(json.dumps({**earlier, "at": time.time() - 3600, "event": "PreToolUse"}) + "\n")
    found = live.facts("a").signal
    assert found is not None
    assert found.event == "PreToolUse"
    # A copy of the session in the user's daemon has the same hooks; a cleared session has a new id.
    with live.files("a").events.open("a", encoding="utf-8") as events:
        events.write(json.dumps({**earlier, "event": "SessionEnd", "session": "a copy"}) + "\n")
    assert live.facts("a").signal == found
    with live.files("a").events.open("a", encoding="utf-8") as events:
        for event, detail in (("SessionStart", "clear"), ("Stop", "")):
            events.write(json.dumps({**earlier, "event": event, "detail": detail, "session": "new"}) + "\n")
    cleared = live.facts("a").signal
    assert cleared is not None
    assert cleared.event == "Stop"
    live.go("a")
    live.wait_until_done()


def test_pipes_in_place_of_files_do_not_block(make_live_fleet: MakeLiveFleet) -> None:
    live, run = ended_session(make_live_fleet)
    for path in (run.path / "result.json", live.files("a").events, live.files("a").path / "message.json"):
        path.unlink(missing_ok=True)
        os.mkfifo(path)
    assert live.state("a").state is State.FINISHED
    append(live.files("a").path, {"hook_event_name": "Stop"}, "")


def test_a_killed_stop_is_finished_by_the_supervisor(make_live_fleet: MakeLiveFleet) -> None:
    """Noted, and then its command was killed: without this it would work on for hours and be shown as stopped."""
    live = make_live_fleet("a")
    live.use_script(f"echo precious > precious.txt; {live.hold}; exec sleep 600")
    live.start()
    session = live.who("a")
    run = live.newest("a")
    run.write("stop", Stop("stopped by you", time.time() - 60))
    live.wait_until_done()
    assert not process_tree.is_alive(session)
    assert live.world.checkout.read("precious.txt", "refs/orchestra/demo/a/saved/1") == "precious"
