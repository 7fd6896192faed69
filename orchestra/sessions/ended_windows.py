"""Find and close the tmux windows of ended sessions whose worktree was removed.

Invariant: a window in which a program still runs is never closed.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from orchestra.blueprint.model import Agent, AgentName
from orchestra.errors import GroundError
from orchestra.fleet import Fleet
from orchestra.git.refs import read_fleet
from orchestra.sessions import tmux
from orchestra.sessions.store import FleetFolder


@dataclass(frozen=True, slots=True)
class EndedWindow:
    """The window of an agent's newest session, which has ended."""

    agent: AgentName
    pane_id: str
    mark: str

    def line(self) -> str:
        """Return the line of the step that closes it."""
        return f"close the tmux window of {self.agent}, whose session has ended"


def find_ended_windows(
    fleet: Fleet, agents: Sequence[Agent], *, leaving: Collection[AgentName] = ()
) -> list[EndedWindow]:
    """Return the windows of cleaned agents in which no program runs any more; none where tmux does not answer.

    ``leaving``: agents that count as cleaned.
    """
    folder = FleetFolder(fleet.folder)
    windows = []
    for agent in agents:
        run = newest.run if (newest := folder.agent(agent.name).newest()) is not None else None
        if run is not None and run.window and not agent.adopted:
            windows.append(EndedWindow(agent.name, run.window, run.mark))
    if not windows:
        return []
    refs = read_fleet(fleet.repository.git, fleet.name)
    cleaned = {name for name, agent_refs in refs.items() if agent_refs.cleaned is not None}
    cleaned -= {agent.name for agent in agents if fleet.has_worktree(agent)}  # restored, or cut short
    try:
        panes = {(pane.id, pane.mark) for pane in tmux.all_panes() if pane.dead}
    except GroundError:
        return []
    gone = cleaned.union(leaving)
    return [window for window in windows if window.agent in gone and (window.pane_id, window.mark) in panes]


def close_ended_windows(windows: Sequence[EndedWindow]) -> list[str]:
    """Close them; return the line of each."""
    for window in windows:
        tmux.close_window(window.pane_id, window.mark)
    return [window.line() for window in windows]
