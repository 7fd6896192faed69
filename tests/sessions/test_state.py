"""The one function that says where an agent is, as a table of facts and answers."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestra.sessions.state import (
    AgentState,
    Busy,
    Client,
    Exit,
    SessionFacts,
    SessionResult,
    Signal,
    State,
    Stop,
    Usage,
    WorkFacts,
    derive_state,
)

READY = WorkFacts(spawned=True, ready=True)
DONE = WorkFacts(spawned=True, ready=True, commits=2, uncommitted=0, notes_filled=True)
HEADLESS = SessionFacts("a", "claude", "headless", started_at=100.0, alive=True)
WINDOW = replace(HEADLESS, mode="tmux")
BUSY = replace(HEADLESS, busy=Busy("the API answers 529", 130.0))
COMMAND = replace(HEADLESS, kind="command")
UNSEEN = "it ended well; its worktree has not been checked since"
SINCE = "its worktree has not been checked since"
OVER = replace(HEADLESS, alive=False, exit=Exit("exited", 0, "", 200.0))
SENT_BACK = replace(DONE, unanswered=True)
BROKEN = replace(OVER, exit=Exit("exited", 3, "", 200.0), result=SessionResult(head="old"))
STOP = Stop("stopped by you", 150.0)


def session(facts: SessionFacts, event: str, at: float = 120.0, detail: str = "") -> SessionFacts:
    return replace(facts, signal=Signal(event, at, detail))


CASES: list[tuple[WorkFacts, SessionFacts | None, State, str, str]] = [
    # no session
    (WorkFacts(spawned=False), None, State.DECLARED, "", "refs"),
    (READY, None, State.READY, "", "worktree"),
    (replace(READY, ready=False, ready_reason="npm ci: exit 1"), None, State.NOT_READY, "npm ci: exit 1", "setup"),
    (replace(READY, worktree_exists=False), None, State.UNKNOWN, "its worktree is missing", "worktree"),
    (DONE, None, State.FINISHED, "", "git"),
    (replace(DONE, notes_filled=False), None, State.WORKING, "AGENT_NOTES.md is not filled in", "git"),
    (replace(READY, uncommitted=1), None, State.WORKING, "1 uncommitted file", "git"),
    # refs have the first word
    (replace(DONE, landed=True), HEADLESS, State.LANDED, "its session is still open", "refs"),
    (replace(DONE, landed=True), OVER, State.LANDED, "", "refs"),
    (replace(DONE, discarded=True), OVER, State.DISCARDED, "", "refs"),
    (replace(DONE, discarded=True), WINDOW, State.DISCARDED, "its session is still open", "refs"),
    # queued
    (READY, SessionFacts("a", "claude", "headless", queued_at=9.0, queued_why="waits"), State.QUEUED, "waits",
     "request"),
    (READY, replace(OVER, queued_at=90.0, queued_why="waits"), State.QUEUED, "waits", "request"),
    (READY, replace(session(HEADLESS, "PreToolUse"), queued_at=90.0), State.WORKING, "", "hook"),
    # alive
    (READY, HEADLESS, State.STARTING, "", "process"),
    (READY, replace(HEADLESS, last_output_at=110.0), State.WORKING, "", "process"),
    (READY, COMMAND, State.WORKING, "", "process"),
    (READY, session(HEADLESS, "SessionStart"), State.WORKING, "", "hook"),
    (READY, session(HEADLESS, "PreToolUse", detail="Edit src/x"), State.WORKING, "Edit src/x", "hook"),
    (READY, session(HEADLESS, "Stop"), State.WORKING, "", "hook"),
    (READY, session(BUSY, "PreToolUse", at=129.0), State.WORKING, "the API answers 529; it tries again", "output"),
    (READY, replace(BUSY, last_output_at=130.0), State.WORKING, "the API answers 529; it tries again", "output"),
    (READY, session(BUSY, "PreToolUse", at=131.0), State.WORKING, "", "hook"),
    (READY, replace(BUSY, last_output_at=131.0), State.WORKING, "", "process"),
    (READY, session(HEADLESS, "PermissionRequest"), State.WORKING, "", "hook"),
    (READY, session(WINDOW, "UserPromptSubmit"), State.WORKING, "", "hook"),
    (READY, session(WINDOW, "PermissionRequest", detail="Bash rm x"), State.WAITING, "permission: Bash rm x", "hook"),
    (READY, session(WINDOW, "Notification", detail="permission_prompt"), State.WAITING, "permission", "hook"),
    (READY, session(WINDOW, "Notification", detail="elicitation_dialog"), State.WAITING, "question", "hook"),
    (READY, session(WINDOW, "PreToolUse", detail="AskUserQuestion"), State.WAITING, "question", "hook"),
    (READY, session(WINDOW, "PreToolUse", detail="AskUserQuestion Which? (A / B)"), State.WAITING,
     "question: Which? (A / B)", "hook"),
    (READY, session(WINDOW, "PermissionRequest", detail="AskUserQuestion Which?"), State.WAITING, "question: Which?",
     "hook"),
    (READY, session(WINDOW, "Notification", detail="permission_prompt: AskUserQuestion Which?"), State.WAITING,
     "question: Which?", "hook"),
    (READY, session(WINDOW, "Notification", detail="permission_prompt: Bash rm x"), State.WAITING,
     "permission: Bash rm x", "hook"),
    (READY, replace(session(WINDOW, "StopFailure", detail="rate_limit"), client=Client("idle", "", 130.0)), State.IDLE,
     "the API failed: rate_limit", "client"),
    (READY, session(WINDOW, "Stop"), State.IDLE, "nothing is committed yet", "hook"),
    (replace(DONE, uncommitted=3), session(WINDOW, "Stop"), State.IDLE, "3 uncommitted files", "hook"),
    (replace(DONE, notes_filled=False), session(WINDOW, "Stop"), State.IDLE, "AGENT_NOTES.md is not filled in", "hook"),
    (DONE, session(WINDOW, "Stop"), State.FINISHED, "its session is still open", "hook"),
    (replace(DONE, observed_at=119.0), session(WINDOW, "Stop"), State.IDLE, SINCE, "hook"),
    (replace(DONE, observed_at=121.0), session(WINDOW, "Stop"), State.FINISHED, "its session is still open", "hook"),
    (DONE, session(WINDOW, "StopFailure", detail="rate_limit"), State.IDLE, "the API failed: rate_limit", "hook"),
    (READY, session(WINDOW, "Notification", detail="idle_prompt"), State.IDLE, "nothing is committed yet", "hook"),
    (READY, replace(session(WINDOW, "PreToolUse"), client=Client("waiting", "permission prompt", 130.0)), State.WAITING,
     "permission prompt", "client"),
    (READY, replace(session(WINDOW, "PreToolUse"), client=Client("idle", "", 130.0)), State.IDLE,
     "nothing is committed yet", "client"),
    (READY, replace(session(WINDOW, "PreToolUse"), client=Client("busy", "", 130.0)), State.WORKING, "", "client"),
    (READY, replace(session(WINDOW, "PermissionRequest"), client=Client("busy", "", 110.0)), State.WAITING,
     "permission", "hook"),
    (READY, replace(HEADLESS, stop=STOP), State.STOPPED, "stopped by you; it is ending", "request"),
    (replace(READY, worktree_exists=False), HEADLESS, State.UNKNOWN,
     "its worktree was removed while the session runs", "worktree"),
    # over
    (DONE, replace(OVER, exit=Exit("exited", 1, "", 200.0), unread_end=True), State.WORKING,
     "it has ended; its result is being read", "exit"),
    (DONE, SessionFacts("a", "", "", error="EIO"), State.UNKNOWN, "its session files cannot be read: EIO", "process"),
    (DONE, OVER, State.FINISHED, "", "exit"),
    (replace(DONE, notes_filled=False), OVER, State.FINISHED, "AGENT_NOTES.md is not filled in", "exit"),
    (replace(DONE, uncommitted=None), OVER, State.UNKNOWN, UNSEEN, "exit"),
    (replace(DONE, observed_at=199.0), OVER, State.UNKNOWN, UNSEEN, "exit"),
    (replace(DONE, uncommitted=2, observed_at=199.0), OVER, State.UNKNOWN, UNSEEN, "exit"),
    (replace(DONE, observed_at=200.0), OVER, State.FINISHED, "", "exit"),
    (READY, OVER, State.FAILED, "it ended without a commit", "git"),
    (replace(READY, uncommitted=2), OVER, State.FAILED, "it ended without a commit, with 2 uncommitted files", "git"),
    (replace(DONE, uncommitted=2), OVER, State.FAILED, "it ended with 2 uncommitted files", "git"),
    (replace(DONE, worktree_exists=False), OVER, State.FAILED, "its worktree is missing", "worktree"),
    (DONE, replace(OVER, exit=Exit("exited", 3, "", 200.0)), State.FAILED, "exit code 3", "exit"),
    (DONE, replace(OVER, exit=Exit("exited", None, "SIGKILL", 200.0)), State.FAILED, "killed by SIGKILL", "exit"),
    (DONE, replace(OVER, exit=Exit("timeout", None, "SIGTERM", 200.0)), State.FAILED,
     "it ran longer than its time limit", "exit"),
    (DONE, replace(OVER, exit=Exit("unstarted", None, "", 2.0, "no x")), State.FAILED,
     "it could not be started: no x", "exit"),
    (DONE, replace(OVER, exit=Exit("terminated", None, "SIGTERM", 200.0)), State.STOPPED, "a signal ended its process",
     "exit"),
    (DONE, replace(OVER, exit=Exit("exited", 1, "", 200.0), result=SessionResult(True, "529 overloaded")), State.FAILED,
     "529 overloaded", "exit"),
    (DONE, replace(OVER, result=SessionResult(True, "it reached its cost limit")), State.FAILED,
     "it reached its cost limit", "exit"),
    (DONE, replace(OVER, stop=STOP), State.STOPPED, "stopped by you", "request"),
    (DONE, replace(OVER, stop=replace(STOP, idle=True)), State.FINISHED, "its session was closed", "git"),
    (replace(DONE, observed_at=149.0), replace(OVER, stop=replace(STOP, idle=True)), State.STOPPED, "stopped by you",
     "request"),
    (READY, replace(OVER, stop=replace(STOP, idle=True)), State.STOPPED, "stopped by you", "request"),
    (SENT_BACK, OVER, State.FAILED, "changes were requested and nothing is committed since", "git"),
    (SENT_BACK, session(WINDOW, "Stop"), State.IDLE, "changes were requested and nothing is committed since", "hook"),
    (SENT_BACK, None, State.WORKING, "changes were requested and nothing is committed since", "git"),
    # a person committed after the session had ended
    (replace(DONE, head="new"), BROKEN, State.FINISHED, "", "git"),
    (replace(DONE, head="new", uncommitted=1), BROKEN, State.WORKING, "1 uncommitted file", "git"),
    (replace(READY, head="new"), BROKEN, State.FAILED, "exit code 3", "exit"),
    (replace(DONE, head="old"), BROKEN, State.FAILED, "exit code 3", "exit"),
    (replace(DONE, head="new"), replace(BROKEN, stop=STOP), State.FINISHED, "", "git"),
    (replace(DONE, head="new"), replace(BROKEN, stop=STOP, message="unread"), State.STOPPED, "unread", "request"),
    (DONE, replace(OVER, exit=None, stop=STOP), State.STOPPED, "stopped by you", "request"),
    (DONE, replace(OVER, exit=None), State.LOST, "its process ended without a record; orchestra start resumes it",
     "process"),
    (DONE, replace(OVER, exit=None, same_machine=False), State.LOST,
     "the machine restarted, or the session ran on another one; orchestra start resumes it", "process"),
]  # fmt: skip


@pytest.mark.parametrize(("work", "facts", "state", "reason", "source"), CASES)
def test_derive(work: WorkFacts, facts: SessionFacts | None, state: State, reason: str, source: str) -> None:
    found = derive_state(work, facts)
    assert (found.state, found.reason, found.source) == (state, reason, source)


def test_every_state_is_in_the_table() -> None:
    assert {state for _, _, state, _, _ in CASES} == set(State)


@pytest.mark.parametrize(("at", "now", "age"), [(100.0, 160.0, 60.0), (100.0, 40.0, 0.0), (None, 40.0, None)])
def test_age_survives_a_clock_that_was_set_back(at: float | None, now: float, age: float | None) -> None:
    assert AgentState(State.WORKING, "", "hook", at).age_s(now) == age


_TIMES = st.none() | st.floats(0, 300)
_WORKS = st.builds(
    WorkFacts,
    spawned=st.booleans(),
    ready=st.none() | st.booleans(),
    commits=st.none() | st.integers(0, 3),
    uncommitted=st.none() | st.integers(0, 3),
    notes_filled=st.booleans(),
    landed=st.booleans(),
    discarded=st.booleans(),
    worktree_exists=st.booleans(),
)
_EVENTS = st.sampled_from(
    ["SessionStart", "PreToolUse", "PostToolUse", "Stop", "StopFailure", "Notification", "PermissionRequest", "Other"]
)
_EXITS = st.builds(
    Exit,
    why=st.sampled_from(["exited", "timeout", "terminated", "unstarted"]),
    code=st.none() | st.integers(0, 3),
    signal=st.sampled_from(["", "SIGKILL"]),
    at=st.floats(0, 300),
)
_SESSIONS = st.builds(
    SessionFacts,
    agent=st.just("a"),
    kind=st.sampled_from(["claude", "command"]),
    mode=st.sampled_from(["headless", "tmux"]),
    queued_at=_TIMES,
    started_at=_TIMES,
    alive=st.booleans(),
    same_machine=st.booleans(),
    exit=st.none() | _EXITS,
    stop=st.none() | st.builds(Stop, st.just("why"), st.floats(0, 300)),
    result=st.none() | st.builds(SessionResult, is_error=st.booleans(), reason=st.just("said"), usage=st.just(Usage())),
    signal=st.none() | st.builds(Signal, _EVENTS, st.floats(0, 300), st.sampled_from(["", "idle_prompt", "x"])),
    client=st.none() | st.builds(Client, st.sampled_from(["busy", "idle", "waiting"]), st.just(""), st.floats(0, 300)),
    last_output_at=_TIMES,
)


@given(_WORKS, st.none() | _SESSIONS)
def test_invariants_hold_for_any_facts(work: WorkFacts, facts: SessionFacts | None) -> None:
    found = derive_state(work, facts)
    assert found.source
    if work.landed:
        assert found.state is State.LANDED
    elif facts is None or not facts.alive:
        # A dead process neither works nor waits, whatever its last signal said; without a session a person may.
        assert found.state not in (State.STARTING, State.WAITING, State.IDLE)
        assert found.state is not State.WORKING or found.source == "git"
    if found.state is State.FINISHED:
        assert work.commits
        assert not work.uncommitted
        assert work.worktree_exists
    if found.state in (State.FAILED, State.LOST, State.STOPPED):
        assert found.reason
