"""The target's history since a branch left it, as a list of landed changes: an agent's work, or a person's commit.

It is read from the first-parent line and its trailers, so it is the same for what landed long ago, for what landed just
now, and for what a rehearsal would have landed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from orchestra.blueprint.model import AgentName, FleetName
from orchestra.candidates.builder import AGENT_TRAILER, FLEET_TRAILER
from orchestra.git.git_process import Git
from orchestra.git.refs import CommitId

_PATHS_PER_COMMAND = 100  # a command line has a limited length


@dataclass(frozen=True, slots=True)
class LandedChange:
    """What the target took in at once: ``commits`` on ``onto``. ``agent`` is None for a person's commit.

    ``title`` is the last commit's id, author and subject.
    """

    agent: AgentName | None
    onto: CommitId
    commits: tuple[CommitId, ...]
    title: str

    @property
    def commit(self) -> CommitId:
        """The target with it."""
        return self.commits[-1]

    @property
    def name(self) -> str:
        return str(self.agent or self.title)


def landed_changes(git: Git, fleet: FleetName, fork: CommitId, target: CommitId) -> tuple[LandedChange, ...]:
    """Return what ``target`` took in since ``fork``, oldest first; consecutive commits of one agent are one change."""
    agent_trailer = f"%(trailers:key={AGENT_TRAILER},valueonly,separator=%x20)"
    fleet_trailer = f"%(trailers:key={FLEET_TRAILER},valueonly,separator=%x20)"
    shape = f"%H%x1f%P%x1f{agent_trailer}%x1f{fleet_trailer}%x1f%an: %s"
    walk = ("log", "--first-parent", "--reverse", "-z", f"--format={shape}", f"{fork}..{target}", "--")
    changes: list[LandedChange] = []
    for row in filter(None, git.text(*walk).split("\0")):
        commit, parents, agent, fleet_name, subject = row.split("\x1f", 4)
        # Another fleet's agent counts as a person.
        name = AgentName(agent.strip()) if agent.strip() and fleet_name.strip() == fleet else None
        onto, earlier = CommitId(parents.split(" ")[0]), tuple[CommitId, ...]()
        if changes and name is not None and changes[-1].agent == name:
            previous = changes.pop()
            onto, earlier = previous.onto, previous.commits
        changes.append(LandedChange(name, onto, (*earlier, CommitId(commit)), f"{commit[:10]} ({subject})"))
    return tuple(changes)


def touching(git: Git, fork: CommitId, target: CommitId, paths: Sequence[str]) -> frozenset[CommitId]:
    """Return the commits since ``fork`` that change one of ``paths``, or something below one."""
    commits: set[str] = set()
    for first in range(0, len(paths), _PATHS_PER_COMMAND):
        literal = (f":(top,literal){path}" for path in paths[first : first + _PATHS_PER_COMMAND])
        commits.update(git.run("rev-list", "--first-parent", f"{fork}..{target}", "--", *literal).lines)
    return frozenset(map(CommitId, commits))
