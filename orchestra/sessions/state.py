"""Derive an agent's state from facts: one pure function, nothing stored.

The facts come from several sources, each with its age: git and the worktree (``WorkFacts``), the session's process, its
exit, its hooks, and the client's own answer (``SessionFacts``). Where sources disagree, the more reliable one wins:
refs over processes, an ended process over any signal, the worktree over an exit code of 0.

Invariant: every ``AgentState`` names its source and the time of the fact behind it. No clock and no file is read here;
what the facts do not say is ``UNKNOWN``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum


class State(StrEnum):
    DECLARED = "declared"  # in the blueprint, not spawned yet
    NOT_READY = "not-ready"  # it has a worktree whose set-up failed
    READY = "ready"  # it has a worktree, no session was started
    QUEUED = "queued"  # a session is queued: it waits for a slot, the budget or the end of a back-off
    STARTING = "starting"  # its process runs and has not reported anything yet
    WORKING = "working"  # at work
    WAITING = "waiting"  # for a person: a permission, an answer
    IDLE = "idle"  # an interactive session that has ended its turn
    FINISHED = "finished"  # ended well, with commits and nothing uncommitted
    FAILED = "failed"  # ended badly, or without work; the reason says how
    STOPPED = "stopped"  # ended by a person, a budget or a limit
    LOST = "lost"  # its process is gone and left no record of how it ended
    UNKNOWN = "unknown"  # the facts do not say
    LANDED = "landed"  # its work is on the target
    DISCARDED = "discarded"  # its work was discarded; its head is kept


@dataclass(frozen=True, slots=True)
class AgentState:
    """A state, its reason and source, and since when it holds (POSIX time; None: the source has no time)."""

    state: State
    reason: str
    source: str  # refs, git, worktree, setup, request, process, exit, hook, output, client, screen, message
    at: float | None = None

    def age_s(self, now: float) -> float | None:
        """Return the seconds since then; never negative, whatever the clock did."""
        return None if self.at is None else max(0.0, now - self.at)


@dataclass(frozen=True, slots=True)
class WorkFacts:
    """What git and the worktree show. ``uncommitted`` and ``commits`` are None where nothing was counted.

    ``observed_at``: when ``uncommitted`` was counted (POSIX time), where the count is an earlier one. ``head``: the
    branch's tip; ``unanswered``: changes were requested of that very tip.
    """

    spawned: bool
    ready: bool | None = None  # None: not known
    ready_reason: str = ""
    commits: int | None = 0
    uncommitted: int | None = None
    notes_filled: bool = False
    landed: bool = False
    discarded: bool = False
    worktree_exists: bool = True
    observed_at: float | None = None
    head: str = ""
    unanswered: bool = False

    def since(self, at: float) -> WorkFacts:
        """Return the facts without a count from before ``at``, which says nothing about later changes."""
        return replace(self, uncommitted=None) if self.observed_at is not None and self.observed_at < at else self

    @property
    def is_complete(self) -> bool:
        return bool(self.commits) and self.uncommitted == 0 and self.notes_filled and not self.unanswered


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens and money. ``cost_usd`` None: the program does not report a cost. ``sessions_without_cost``: ended
    sessions whose cost is not included, since nothing reported it, as for killed ones."""

    cost_usd: float | None = None
    input_tokens: int = 0
    output_tokens: int = 0
    cache_tokens: int = 0
    turns: int = 0
    sessions_without_cost: int = 0


@dataclass(frozen=True, slots=True)
class Stop:
    """The session was ended on purpose. ``idle``: an interactive one whose turn was over."""

    reason: str
    at: float
    idle: bool = False


@dataclass(frozen=True, slots=True)
class Busy:
    """The API refused a request of a running session, which its program sends again by itself."""

    reason: str
    at: float


@dataclass(frozen=True, slots=True)
class Signal:
    """One hook event of the client."""

    event: str  # its name: SessionStart, PreToolUse, ...
    at: float
    detail: str = ""

    @property
    def ends_turn(self) -> bool:
        """True when the client waits for a prompt since then, however the turn ended."""
        return self.event in ("Stop", "StopFailure") or (self.event, self.detail) == ("Notification", "idle_prompt")

    @property
    def failed(self) -> bool:
        return self.event == "StopFailure"


@dataclass(frozen=True, slots=True)
class Client:
    """One session's row in the answer of ``claude agents --json``."""

    status: str  # busy, idle, waiting
    waiting_for: str
    at: float


@dataclass(frozen=True, slots=True)
class SessionResult:
    """The summary of a session's output."""

    is_error: bool = False
    reason: str = ""  # why it failed, in a few words
    fault: str = ""  # the kind of failure, where it matters: busy, login, budget, limit
    resets_at: float = 0.0  # of a usage limit that ended it (POSIX time)
    text: str = ""  # the last text of the output
    session_id: str = ""  # as the program names it
    version: str = ""  # of the client
    head: str = ""  # the branch's tip when it had ended
    usage: Usage = Usage()
    of_session: bool = False  # the tokens are those of the whole session, with every run that it had before


@dataclass(frozen=True, slots=True)
class Exit:
    """How the newest session's process ended. ``why``: the shim's word (engine/shim.py), such as exited or timeout."""

    why: str
    code: int | None
    signal: str  # its name, "" for none
    at: float
    detail: str = ""


@dataclass(frozen=True, slots=True)
class SessionFacts:
    """An agent's sessions: the fields describe the newest one, except where noted."""

    agent: str
    kind: str  # of the runner: claude, codex, command, ...
    mode: str  # headless, tmux
    session_id: str = ""
    runs: int = 0  # sessions so far
    queued_at: float | None = None
    queued_why: str = ""
    started_at: float | None = None
    alive: bool = False
    same_machine: bool = True  # False: it was started before the machine restarted, or on another one
    exit: Exit | None = None
    stop: Stop | None = None
    result: SessionResult | None = None
    signal: Signal | None = None
    client: Client | None = None
    refused_calls: int = 0  # of the newest session's tools, by orchestra's guard
    busy: Busy | None = None
    supervised: bool = True  # False: no supervisor runs that would notice its end
    last_output_at: float | None = None
    silent_s: float = 0.0  # since its last output, for a program that reports nothing else
    asks: str = ""  # the line of its window that waits for an answer
    activity: str = ""  # the newest thing that its output says it does
    usage: Usage = Usage()  # of all its sessions together, with what an open window has reported so far
    window: str = ""
    message: str = ""  # where a message that it has not received yet is, as a sentence
    message_stuck: bool = False  # it was typed, and needs a person
    unread_end: bool = False  # its process has ended, and a running supervisor has not summed it up yet
    error: str = ""  # why its files could not be read; then nothing else is known

    @property
    def interactive(self) -> bool:
        return self.mode == "tmux"


SILENT_S = 300.0
_SESSION_OPEN = "its session is still open"
_UNANSWERED = "changes were requested and nothing is committed since"
_QUESTION = "AskUserQuestion"
_QUESTIONS = {"PermissionRequest": "permission", "permission_prompt": "permission", "elicitation_dialog": "question"}


def derive_state(work: WorkFacts, session: SessionFacts | None) -> AgentState:
    """Return the state that the facts support."""
    # What the refs say is final.
    open_reason = _SESSION_OPEN if session is not None and session.alive else ""
    if work.landed:
        return AgentState(State.LANDED, open_reason, "refs")
    if work.discarded:
        return AgentState(State.DISCARDED, open_reason, "refs")
    if not work.spawned:
        return AgentState(State.DECLARED, "", "refs")
    if session is not None and session.error:
        return AgentState(State.UNKNOWN, f"its session files cannot be read: {session.error}", "process")
    # No session: a person may work there.
    if session is None or (session.started_at is None and session.queued_at is None):
        if work.ready is False:
            return AgentState(State.NOT_READY, work.ready_reason, "setup")
        if not work.worktree_exists:
            return AgentState(State.UNKNOWN, "its worktree is missing", "worktree")
        if work.commits or work.uncommitted:
            return _state_by_hand(work)
        return AgentState(State.READY, "", "worktree")
    if session.alive:
        return _running_state(work, session)
    if session.queued_at is not None:
        return AgentState(State.QUEUED, session.queued_why, "request", session.queued_at)
    if session.unread_end and session.exit is not None:
        return AgentState(State.WORKING, "it has ended; its result is being read", "exit", session.exit.at)
    return _ended_state(work, session)


def _state_by_hand(work: WorkFacts) -> AgentState:
    """Return the state of work that a person does without a session."""
    if work.is_complete:
        return AgentState(State.FINISHED, "", "git")
    if work.unanswered:
        missing = _UNANSWERED
    elif work.uncommitted:
        missing = _uncommitted(work.uncommitted)
    elif work.uncommitted is None:
        missing = "its worktree has not been checked since"
    else:
        missing = "AGENT_NOTES.md is not filled in"
    return AgentState(State.WORKING, missing, "git")


def _running_state(work: WorkFacts, session: SessionFacts) -> AgentState:
    if session.stop is not None:
        return AgentState(State.STOPPED, f"{session.stop.reason}; it is ending", "request", session.stop.at)
    if not work.worktree_exists:
        return AgentState(State.UNKNOWN, "its worktree was removed while the session runs", "worktree")
    # The newest report: the client's answer, a hook's signal, or only that the process runs.
    client, signal = session.client, session.signal
    if client is not None and (signal is None or client.at > signal.at):
        if client.status == "waiting":
            reported = AgentState(State.WAITING, client.waiting_for, "client", client.at)
        elif client.status == "idle" and session.interactive:
            failure = signal.detail if signal is not None and signal.failed else ""
            reported = _turn_over(work, "client", client.at, failure)
        else:
            reported = AgentState(State.WORKING, "", "client", client.at)
    elif signal is not None:
        reported = _signalled_state(work, session, signal)
    elif session.kind != "command" and session.last_output_at is None:
        reported = AgentState(State.STARTING, "", "process", session.started_at)
    elif session.asks:
        reported = AgentState(State.WAITING, f"question: {session.asks}", "screen", session.last_output_at)
    elif session.silent_s >= SILENT_S:
        silence = f"silent for {int(session.silent_s // 60)} min"
        reported = AgentState(State.UNKNOWN, silence, "process", session.last_output_at or session.started_at)
    else:
        reported = AgentState(State.WORKING, session.activity, "process", session.last_output_at or session.started_at)
    newest_at = max(signal.at if signal is not None else 0.0, session.last_output_at or 0.0)
    if session.busy is not None and session.busy.at >= newest_at and reported.state in (State.STARTING, State.WORKING):
        reported = AgentState(State.WORKING, f"{session.busy.reason}; it tries again", "output", session.busy.at)
    # A message for it that was not received yet.
    if session.message_stuck:
        return AgentState(State.WAITING, session.message, "message", reported.at)
    if session.message and reported.state in (State.IDLE, State.FINISHED):
        return AgentState(State.IDLE, session.message, "message", reported.at)
    return reported


def _signalled_state(work: WorkFacts, session: SessionFacts, signal: Signal) -> AgentState:
    """Return the state after a hook event. A headless session never waits: what would ask is refused."""
    event, detail = signal.event, signal.detail
    if event == "Notification":  # its detail is its type and, of a permission, what was requested before
        event, _, detail = signal.detail.partition(": ")
    if session.interactive:
        if detail.startswith(_QUESTION) and event in ("PreToolUse", "PermissionRequest", "permission_prompt"):
            question = detail.removeprefix(_QUESTION).strip()
            return AgentState(State.WAITING, f"question: {question}" if question else "question", "hook", signal.at)
        if event in _QUESTIONS:
            reason = f"{_QUESTIONS[event]}: {detail}" if detail else _QUESTIONS[event]
            return AgentState(State.WAITING, reason, "hook", signal.at)
        if signal.ends_turn:
            return _turn_over(work, "hook", signal.at, signal.detail if signal.failed else "")
    detail = signal.detail if signal.event in ("PreToolUse", "PostToolUse") else ""
    return AgentState(State.WORKING, detail, "hook", signal.at)


def _turn_over(work: WorkFacts, source: str, at: float, fault: str) -> AgentState:
    work = work.since(at)
    if fault:
        return AgentState(State.IDLE, f"the API failed: {fault}", source, at)
    if work.is_complete:
        return AgentState(State.FINISHED, _SESSION_OPEN, source, at)
    if work.unanswered:
        missing = _UNANSWERED
    elif not work.commits:
        missing = "nothing is committed yet"
    elif work.uncommitted:
        missing = _uncommitted(work.uncommitted)
    elif work.uncommitted is None:
        missing = "its worktree has not been checked since"
    else:
        missing = "" if work.notes_filled else "AGENT_NOTES.md is not filled in"
    return AgentState(State.IDLE, missing, source, at)


def _ended_state(work: WorkFacts, session: SessionFacts) -> AgentState:
    """Return the state after the process has ended: on purpose, by itself, or without a record."""
    last_head = session.result.head if session.result is not None else ""
    is_new = work.commits and work.head not in (last_head, "")
    if last_head and is_new and work.worktree_exists and not session.message:
        return _state_by_hand(work)  # a person committed since
    if session.stop is not None:
        at = session.stop.at
        if session.stop.idle and work.since(at).is_complete and not session.message:
            return AgentState(State.FINISHED, "its session was closed", "git", at)
        return AgentState(State.STOPPED, session.message or session.stop.reason, "request", at)
    if session.exit is None:
        cause = (
            "its process ended without a record"
            if session.same_machine
            else "the machine restarted, or the session ran on another one"
        )
        last_seen = session.last_output_at or session.started_at
        return AgentState(State.LOST, f"{cause}; orchestra start resumes it", "process", last_seen)
    at = session.exit.at
    if session.exit.why == "terminated":
        return AgentState(State.STOPPED, session.message or "a signal ended its process", "exit", at)
    fault = _fault(session.exit, session.result)
    state = AgentState(State.FAILED, fault, "exit", at) if fault else _state_after_success(work.since(at), at)
    if session.message and state.state is State.FINISHED:
        return AgentState(State.STOPPED, session.message, "message", at)
    return state


def _fault(end: Exit, result: SessionResult | None) -> str:
    """Return why the session failed, "" where neither its exit nor its output reports a failure."""
    reported = result.reason if result is not None and result.is_error else ""
    if end.why == "timeout":
        return "it ran longer than its time limit"
    if end.why == "unstarted":
        return f"it could not be started: {end.detail}"
    if end.signal:
        return f"killed by {end.signal}"
    if end.code:
        return reported or f"exit code {end.code}"
    return reported


def _state_after_success(work: WorkFacts, at: float) -> AgentState:
    """Return the state after an exit without a fault: the worktree decides whether the work is done."""
    if not work.worktree_exists:
        return AgentState(State.FAILED, "its worktree is missing", "worktree", at)
    if not work.commits:
        and_files = f", with {_uncommitted(work.uncommitted)}" if work.uncommitted else ""
        return AgentState(State.FAILED, f"it ended without a commit{and_files}", "git", at)
    if work.uncommitted:
        return AgentState(State.FAILED, f"it ended with {_uncommitted(work.uncommitted)}", "git", at)
    if work.uncommitted is None:
        return AgentState(State.UNKNOWN, "it ended well; its worktree has not been checked since", "exit", at)
    if work.unanswered:
        return AgentState(State.FAILED, _UNANSWERED, "git", at)
    return AgentState(State.FINISHED, "" if work.notes_filled else "AGENT_NOTES.md is not filled in", "exit", at)


def _uncommitted(files: int) -> str:
    return f"{files} uncommitted file{'' if files == 1 else 's'}"
