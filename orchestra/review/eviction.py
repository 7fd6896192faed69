"""Explain to an agent's session why the last merge evicted its work. Reads only.

The conflicting hunks are computed against today's target, since the agent has to resolve those.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from orchestra.blueprint.model import Agent, AgentName, RunGate
from orchestra.candidates.conflict_forecast import merge_pairs
from orchestra.errors import UsageError
from orchestra.files import read_tail
from orchestra.fleet import Fleet
from orchestra.gates.secrets_gate import redact
from orchestra.git.refs import Kind, agent_ref
from orchestra.ledger import Json
from orchestra.review.agent_notes import landed_notes, summarize_notes
from orchestra.sessions.eviction_message import Conflict, Eviction
from orchestra.workspace.paths import instruction_names

_HUNK = re.compile(r"^<{7} .*?^>{7} [^\n]*$", re.DOTALL | re.MULTILINE)
_LOG_BYTES = 64 * 1024


def last_eviction(fleet: Fleet, agent: Agent) -> Eviction:
    """Return the newest eviction of ``agent`` by a merge. UsageError where there is none."""
    events = fleet.ledger.events("evicted", agent.name)
    if not events:
        hint = f'orchestra request-changes {agent.name} --message "..." sends it back in your own words'
        raise UsageError(f"no merge has evicted {agent.name}", hint=hint)
    data = events[-1].data
    gate = fleet.blueprint.gates.get(_text(data.get("gate")))
    with_ = data.get("with")
    other_agents = [_text(name) for name in with_] if isinstance(with_, list) else []
    reason = _text(data.get("reason"))
    conflicts = tuple(_conflicts(fleet, agent))
    # What the other agents wrote about their work, where it has landed.
    intents = []
    for name in other_agents:
        landed = fleet.repository.resolve(agent_ref(fleet.name, AgentName(name), Kind.LANDED))
        if landed and (notes := summarize_notes(landed_notes(fleet.repository.git, landed))):
            intents.append((name, notes))
    return Eviction(
        reason=reason,
        detail=_text(data.get("detail")),
        target=fleet.target,
        other_agents=other_agents,
        gate=gate.name if gate is not None else "",
        command=gate.run if isinstance(gate, RunGate) else "",
        # The log of a conflict of text holds what is quoted here as it is today, unless only single commits conflict.
        log="" if reason == "conflict" and conflicts else end_of(_text(data.get("log"))),
        conflicts=conflicts,
        intents=tuple(intents),
    )


def _conflicts(fleet: Fleet, agent: Agent) -> Iterator[Conflict]:
    """Yield what does not merge between the agent's branch and the target now; nothing where they merge."""
    git = fleet.repository.git
    head, target = fleet.repository.branch_tip(agent.branch), fleet.target_tip()
    if head is None or target is None:
        return
    (merged,) = merge_pairs(git, [(target, head)], style="diff3")
    instructions = instruction_names(fleet.repository, fleet.blueprint, target).all
    if merged is None:
        return
    for path in merged.conflicted_paths if not merged.clean else ():
        if path not in instructions:
            blob = git.run("cat-file", "blob", f"{merged.tree}:{path}", ok=(0, 128))
            text = blob.stdout.decode("utf-8", "replace") if blob.code == 0 else ""  # none where it was removed
            yield Conflict(path, tuple(_HUNK.findall(text)))


def end_of(log: str | Path, most_bytes: int = _LOG_BYTES) -> str:
    """Return the last bytes of a log as text, with secrets redacted; empty where it cannot be read."""
    return redact(read_tail(Path(log), most_bytes).decode("utf-8", "replace"))


def _text(value: Json | None) -> str:
    return value if isinstance(value, str) else ""
