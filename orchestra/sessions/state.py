"""Where an agent is, derived from facts: one pure function, nothing stored (law 4).

Facts come from several sources, each with its age: git and the worktree (``Work``), the session's process, its exit,
its hooks, the client's own word (``SessionFacts``). Where they speak against one another, the one that cannot lie
wins: refs over processes, a dead process over any signal, the worktree over the program's word of success.

Invariant: every ``AgentState`` names its source and the moment of the fact it rests on. Refuses: clocks, files,
guesses; what the facts do not say is ``UNKNOWN``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum


class State(StrEnum):
    DECLARED = "declared"  # in the blueprint, nothing made yet
    NOT_READY = "not-ready"  # it has a worktree whose set-up failed
    READY = "ready"  # it has a worktree, no session has begun
    QUEUED = "queued"  # a session is wanted and waits for a place, a budget or better weather
    STARTING = "starting"  # its process runs and has not said anything yet
    WORKING = "working"  # at work
    WAITING = "waiting"  # for a person: a permission, an answer
    IDLE = "idle"  # an interactive session that has ended its turn
    FINISHED = "finished"  # ended well, with commits and nothing uncommitted
    FAILED = "failed"  # ended badly, or without work; the reason says how
    STOPPED = "stopped"  # ended by a person, a budget or a limit of ours
    LOST = "lost"  # its process is gone and left no word
    UNKNOWN = "unknown"  # the facts do not say
    LANDED = "landed"  # its work is on the target
    DISCARDED = "discarded"  # its work was discarded; its head is kept


@dataclass(frozen=True, slots=True)
class AgentState:
    """A state, why, what it rests on, and since when that is so (POSIX time; None: the source has no time)."""

    state: State
    reason: str
    source: str  # refs, git, worktree, setup, order, process, exit, hook, client, message
    at: float | None = None

    def age_s(self, now: float) -> float | None:
        """Seconds since; never negative, whatever the clock did."""
        return None if self.at is None else max(0.0, now - self.at)


@dataclass(frozen=True, slots=True)
class Work:
    """What git and the worktree say. ``uncommitted`` None: nobody has looked; ``commits`` None: the same.

    ``looked_at``: when ``uncommitted`` was so (POSIX time), where it is an earlier look's figure.
    """

    spawned: bool
    ready: bool | None = None  # None: not known
    ready_reason: str = ""
    commits: int | None = 0
    uncommitted: int | None = None
    notes_filled: bool = False
    landed: bool = False
    discarded: bool = False
    worktree_there: bool = True
    looked_at: float | None = None

    def since(self, at: float) -> Work:
        """Without a figure from before ``at``: it says nothing of what was done until then."""
        return replace(self, uncommitted=None) if self.looked_at is not None and self.looked_at < at else self


@dataclass(frozen=True, slots=True)
class Usage:
    """Cost and tokens of a session. ``cost_usd`` None: its program does not report it.

    ``sessions_without_cost``: ended sessions that reported no cost (killed, or in a window); it comes on top.
    """

    cost_usd: float | None = None
    input_tokens: int = 0
    output_tokens: int = 0
    cache_tokens: int = 0
    turns: int = 0
    sessions_without_cost: int = 0


@dataclass(frozen=True, slots=True)
class Stop:
    """Somebody ended the session on purpose. ``idle``: an interactive one whose turn was over."""

    reason: str
    at: float
    idle: bool = False


@dataclass(frozen=True, slots=True)
class Signal:
    """One hook event of the client."""

    event: str  # its name: SessionStart, PreToolUse, ...
    at: float
    detail: str = ""

    @property
    def ends_turn(self) -> bool:
        """Whether the client waits for a prompt since then, however the turn ended."""
        return self.event in ("Stop", "StopFailure") or (self.event, self.detail) == ("Notification", "idle_prompt")

    @property
    def failed(self) -> bool:
        return self.event == "StopFailure"


@dataclass(frozen=True, slots=True)
class Client:
    """What ``claude agents --json`` said."""

    status: str  # busy, idle, waiting
    waiting_for: str
    at: float


@dataclass(frozen=True, slots=True)
class Digest:
    """What a session's output says, once it is over."""

    is_error: bool = False
    reason: str = ""  # why it failed, in a few words
    fault: str = ""  # what kind of failure, where that matters: busy, login, budget
    text: str = ""  # the last thing it said
    session_id: str = ""  # as the program names it
    version: str = ""  # of the client
    usage: Usage = Usage()


@dataclass(frozen=True, slots=True)
class Exit:
    """How the newest session's process ended: ``why`` is exited, timeout, terminated or unstarted."""

    why: str
    code: int | None
    signal: str  # its name, "" for none
    at: float
    detail: str = ""


@dataclass(frozen=True, slots=True)
class SessionFacts:
    """What is known of an agent's sessions: of the newest one, unless it says otherwise."""

    agent: str
    kind: str  # claude, command
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
    digest: Digest | None = None
    signal: Signal | None = None
    client: Client | None = None
    heard_at: float | None = None  # when its output last grew
    usage: Usage = Usage()  # of all its sessions together
    window: str = ""
    message: str = ""  # where a person's message is that it has not taken yet
    message_stuck: bool = False  # it was typed, and needs a person

    @property
    def interactive(self) -> bool:
        return self.mode == "tmux"


def derive(work: Work, session: SessionFacts | None) -> AgentState:
    """The state that the facts say."""
    settled = _settled(work, session)
    if settled is not None:
        return settled
    if session is None or (session.started_at is None and session.queued_at is None):
        return _without_session(work)
    if session.alive:
        return _alive(work, session)
    if session.queued_at is not None:
        return AgentState(State.QUEUED, session.queued_why, "order", session.queued_at)
    return _over(work, session)


_OPEN = "its session is still open"


def _settled(work: Work, session: SessionFacts | None) -> AgentState | None:
    reason = _OPEN if session is not None and session.alive else ""
    if work.landed:
        return AgentState(State.LANDED, reason, "refs")
    if work.discarded:
        return AgentState(State.DISCARDED, reason, "refs")
    if not work.spawned:
        return AgentState(State.DECLARED, "", "refs")
    return None


def _without_session(work: Work) -> AgentState:
    """Nobody of ours works there; a person may."""
    if work.ready is False:
        return AgentState(State.NOT_READY, work.ready_reason, "setup")
    if not work.worktree_there:
        return AgentState(State.UNKNOWN, "its worktree is gone", "worktree")
    if _complete(work):
        return AgentState(State.FINISHED, "", "git")
    if work.commits or work.uncommitted:
        return AgentState(State.WORKING, "by hand: no session of orchestra's", "git")
    return AgentState(State.READY, "", "worktree")


def _complete(work: Work) -> bool:
    return bool(work.commits) and work.uncommitted == 0 and work.notes_filled


def _alive(work: Work, session: SessionFacts) -> AgentState:
    if session.stop is not None:
        return AgentState(State.STOPPED, f"{session.stop.reason}; it is ending", "order", session.stop.at)
    if not work.worktree_there:
        return AgentState(State.UNKNOWN, "its worktree was removed under it", "worktree")
    told = _told(work, session)
    if session.message_stuck:
        return AgentState(State.WAITING, session.message, "message", told.at)
    if session.message and told.state in (State.IDLE, State.FINISHED):
        return AgentState(State.IDLE, session.message, "message", told.at)
    return told


def _told(work: Work, session: SessionFacts) -> AgentState:
    """What one that runs says of itself, its newest word."""
    if session.client is not None and (session.signal is None or session.client.at > session.signal.at):
        return _by_client(work, session, session.client)
    if session.signal is not None:
        return _by_signal(work, session, session.signal)
    if session.kind == "claude" and session.heard_at is None:
        return AgentState(State.STARTING, "", "process", session.started_at)
    return AgentState(State.WORKING, "", "process", session.heard_at or session.started_at)


def _by_client(work: Work, session: SessionFacts, client: Client) -> AgentState:
    if client.status == "waiting":
        return AgentState(State.WAITING, client.waiting_for, "client", client.at)
    if client.status == "idle" and session.interactive:
        return _turn_over(work, "client", client.at, "")
    return AgentState(State.WORKING, "", "client", client.at)


_ASKING = {"PermissionRequest": "permission", "permission_prompt": "permission", "elicitation_dialog": "question"}


def _by_signal(work: Work, session: SessionFacts, signal: Signal) -> AgentState:
    """Headless sessions wait for nobody: what would ask is refused, and after a turn they end."""
    word = signal.detail if signal.event == "Notification" else signal.event
    if session.interactive:
        if word in _ASKING:
            detail = f": {signal.detail}" if signal.detail and signal.event != "Notification" else ""
            return AgentState(State.WAITING, _ASKING[word] + detail, "hook", signal.at)
        if signal.event == "PreToolUse" and signal.detail.startswith("AskUserQuestion"):
            return AgentState(State.WAITING, "question", "hook", signal.at)
        if signal.ends_turn:
            return _turn_over(work, "hook", signal.at, signal.detail if signal.failed else "")
    detail = signal.detail if signal.event in ("PreToolUse", "PostToolUse") else ""
    return AgentState(State.WORKING, detail, "hook", signal.at)


def _turn_over(work: Work, source: str, at: float, fault: str) -> AgentState:
    if fault:
        return AgentState(State.IDLE, f"the API failed: {fault}", source, at)
    if _complete(work.since(at)):
        return AgentState(State.FINISHED, _OPEN, source, at)
    return AgentState(State.IDLE, _lacking(work.since(at)), source, at)


def _lacking(work: Work) -> str:
    if not work.commits:
        return "nothing committed yet"
    if work.uncommitted:
        return f"{work.uncommitted} uncommitted files"
    if work.uncommitted is None:
        return "its worktree has not been looked at since"
    return "" if work.notes_filled else "the notes are empty"


def _over(work: Work, session: SessionFacts) -> AgentState:
    """Its process has ended: on purpose, by itself, or nobody knows how."""
    if session.stop is not None:
        return _stopped(work, session, session.stop)
    if session.exit is None:
        how = "it ended without a word" if session.same_machine else "the machine restarted, or it ran on another one"
        return AgentState(
            State.LOST, f"{how}; start goes on with it", "process", session.heard_at or session.started_at
        )
    if session.exit.why == "terminated":
        return AgentState(State.STOPPED, session.message or "ended from outside", "exit", session.exit.at)
    fault = _fault(session.exit, session.digest)
    at = session.exit.at
    found = AgentState(State.FAILED, fault, "exit", at) if fault else _by_worktree(work.since(at), at)
    if session.message and found.state is State.FINISHED:
        return AgentState(State.STOPPED, session.message, "message", session.exit.at)
    return found


def _stopped(work: Work, session: SessionFacts, stop: Stop) -> AgentState:
    if stop.idle and _complete(work.since(stop.at)) and not session.message:
        return AgentState(State.FINISHED, "its session was closed", "git", stop.at)
    return AgentState(State.STOPPED, session.message or stop.reason, "order", stop.at)


def _fault(end: Exit, digest: Digest | None) -> str:
    said = digest.reason if digest is not None and digest.is_error else ""
    if end.why == "timeout":
        return "took longer than its time limit"
    if end.why == "unstarted":
        return f"could not start: {end.detail}"
    if end.signal:
        return f"killed by {end.signal}"
    if end.code:
        return said or f"exit code {end.code}"
    return said


def _by_worktree(work: Work, at: float) -> AgentState:
    """The program says that it did well; the worktree has the last word."""
    if not work.worktree_there:
        return AgentState(State.FAILED, "its worktree is gone", "worktree", at)
    if not work.commits:
        left = f", {work.uncommitted} files uncommitted" if work.uncommitted else ""
        return AgentState(State.FAILED, f"ended without a commit{left}", "git", at)
    if work.uncommitted:
        return AgentState(State.FAILED, f"ended with {work.uncommitted} files uncommitted", "git", at)
    if work.uncommitted is None:
        return AgentState(State.UNKNOWN, "it ended well; its worktree has not been looked at since", "exit", at)
    return AgentState(State.FINISHED, "" if work.notes_filled else "the notes are empty", "exit", at)
