"""The target's history since a branch left it, as a row of units: an agent's work, or a person's commit.

Invariant: read from the first-parent line and its trailers, so it is the same for what landed long ago, for what landed
just now and for what a rehearsal would have landed. Refuses: to take another fleet's agent for one of this fleet.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from orchestra.blueprint.model import AgentName, FleetName
from orchestra.candidates.builder import AGENT_TRAILER, FLEET_TRAILER
from orchestra.git.git_process import Git
from orchestra.git.refs import CommitId

_AT_ONCE = 100  # paths in one command line, which may not be of any length


@dataclass(frozen=True, slots=True)
class Unit:
    """What the target took in at once: ``commits`` on ``onto``. ``agent`` None: a person's, told in ``told``."""

    agent: AgentName | None
    onto: CommitId
    commits: tuple[CommitId, ...]
    told: str

    @property
    def commit(self) -> CommitId:
        """The target with it."""
        return self.commits[-1]

    @property
    def name(self) -> str:
        """The agent, or the commit with its author and subject."""
        return str(self.agent or self.told)


def units(git: Git, fleet: FleetName, fork: CommitId, target: CommitId) -> tuple[Unit, ...]:
    """What ``target`` took in since ``fork``, oldest first."""
    agent = f"%(trailers:key={AGENT_TRAILER},valueonly,separator=%x20)"
    whose = f"%(trailers:key={FLEET_TRAILER},valueonly,separator=%x20)"
    shape = f"%H%x1f%P%x1f{agent}%x1f{whose}%x1f%an: %s"
    walk = ("log", "--first-parent", "--reverse", "-z", f"--format={shape}", f"{fork}..{target}", "--")
    return tuple(_joined(git.text(*walk).split("\0"), fleet))


def _joined(rows: Iterable[str], fleet: FleetName) -> list[Unit]:
    """One unit for consecutive commits of one agent."""
    found: list[Unit] = []
    for row in filter(None, rows):
        commit, parents, who, whose, told = row.split("\x1f", 4)
        name = AgentName(who.strip()) if who.strip() and whose.strip() == fleet else None
        onto, before = CommitId(parents.split(" ")[0]), tuple[CommitId, ...]()
        if found and name is not None and found[-1].agent == name:
            joined = found.pop()
            onto, before = joined.onto, joined.commits
        found.append(Unit(name, onto, (*before, CommitId(commit)), f"{commit[:10]} ({told})"))
    return found


def touching(git: Git, fork: CommitId, target: CommitId, paths: Sequence[str]) -> frozenset[CommitId]:
    """The commits that ``target`` took in since ``fork`` and that change one of ``paths``, or something below one."""
    found: set[str] = set()
    for first in range(0, len(paths), _AT_ONCE):
        literal = (f":(top,literal){path}" for path in paths[first : first + _AT_ONCE])
        found.update(git.run("rev-list", "--first-parent", f"{fork}..{target}", "--", *literal).lines)
    return frozenset(map(CommitId, found))
