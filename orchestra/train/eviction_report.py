"""Explain an eviction: the landed changes on the other side, the tests that fail, and where both sides meet.

Everything shown is quoted from logs, diffs, commits and notes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestra.blueprint.model import AgentName, FleetName
from orchestra.candidates.builder import AGENT_TRAILER, FLEET_TRAILER
from orchestra.candidates.text_conflict import few
from orchestra.git.git_process import Git
from orchestra.git.refs import CommitId
from orchestra.git.tree_diff import changes
from orchestra.review.agent_notes import summarize_notes
from orchestra.review.eviction import end_of
from orchestra.text import last_lines
from orchestra.train.entries import Entry
from orchestra.train.test_run import TestReport

_FAILED_TESTS = re.compile(
    r"""(?mx)
    ^(?:FAILED|ERROR)\ (?P<pytest>\S+::\S+)
    | ^(?:FAIL|ERROR):\ (?P<unittest>\S+\ \(\S+\))
    | ^\s*---\ FAIL:\ (?P<go>\S+)
    | ^test\ (?P<cargo>\S+)\ \.\.\.\ FAILED
    | ^not\ ok\ \d+\ -?\s*(?P<tap>[^#\n]+)
    | ^\s*(?:\u25cf|\u2715|\u2717|\u00d7)\ (?P<jest>\S[^\n]*)
    | ^\[ERROR\]\s+(?P<maven>[\w.$]+:\d+|\w+\.\w+:\d+)
    | ^rspec\ (?P<rspec>\S+)
    """
)
_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]{2,}")
_LOG_BYTES = 2_000_000


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


@dataclass(frozen=True, slots=True)
class FailureCause:
    """The branch is green on ``alone`` and red with ``changes`` added. ``proven``: with them and nothing else."""

    alone: CommitId
    changes: tuple[LandedChange, ...]
    proven: bool

    @property
    def agents(self) -> tuple[AgentName, ...]:
        return tuple(change.agent for change in self.changes if change.agent is not None)


@dataclass(frozen=True, slots=True)
class FailedEntry:
    """A branch that was red on ``target``, and the report that said so."""

    entry: Entry
    target: CommitId
    fork: CommitId
    report: TestReport


@dataclass(frozen=True, slots=True)
class OtherSide:
    """``changes``: the other side of a conflict. ``missing_base``: a base of the branch that the target lacks."""

    changes: tuple[LandedChange, ...] = ()
    missing_base: str = ""

    @property
    def agents(self) -> tuple[AgentName, ...]:
        return tuple(dict.fromkeys(change.agent for change in self.changes if change.agent is not None))

    @property
    def remark(self) -> str:
        """What a sentence about the conflict should add; it names the agents separately."""
        commits = [change.title for change in self.changes if change.agent is None]
        if self.missing_base:
            return f"; it is based on {self.missing_base}, which the target does not contain"
        return f"; the other side is {few(commits)}" if commits else ""


UNKNOWN_SIDE = OtherSide()


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


@dataclass(frozen=True, slots=True)
class ConflictSide:
    """One side of a conflict: what it changed, from ``since`` to ``until``, and its notes."""

    name: str
    since: CommitId
    until: CommitId
    notes: str | None = None


@dataclass(frozen=True, slots=True)
class Overlap:
    """Where two sides meet. ``names``: one side removes them, the other starts to use them."""

    files: tuple[str, ...]
    names: tuple[str, ...]


def failed_tests(log: Path | None, most: int = 10) -> tuple[str, ...]:
    """Return the names of failed tests in a log, in the formats of the common test runners."""
    text = _plain(end_of(log, _LOG_BYTES)) if log else ""
    names = (next(name for name in match.groups() if name) for match in _FAILED_TESTS.finditer(text))
    return tuple(dict.fromkeys(name.strip() for name in names))[:most]


def _plain(text: str) -> str:
    """Return the text without ANSI colours."""
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


def find_overlap(git: Git, first: ConflictSide, second: ConflictSide, most: int = 8) -> Overlap:
    """Return the files that both change, and the names that one removes and the other starts to use."""
    files = sorted(set(changes(git, first.since, first.until)) & set(changes(git, second.since, second.until)))
    first_removed, first_added = _words(git, first)
    second_removed, second_added = _words(git, second)
    shared = (first_removed & second_added) | (second_removed & first_added)
    names = sorted(shared, key=lambda name: (-len(name), name))
    return Overlap(tuple(files[:most]), tuple(names[:most]))


def _words(git: Git, side: ConflictSide) -> tuple[set[str], set[str]]:
    """Return the names that a side's diff only removes, and the names on the lines that it adds."""
    options = ("-U0", "--no-ext-diff", "--no-textconv", "--no-color", "--no-renames")
    text = git.run("diff-tree", "-p", "-r", *options, side.since, side.until, "--").stdout.decode("utf-8", "replace")
    lines = text.splitlines()
    added = {word for line in lines if line[:1] == "+" and line[:4] != "+++ " for word in _WORD.findall(line)}
    removed = {word for line in lines if line[:1] == "-" and line[:4] != "--- " for word in _WORD.findall(line)}
    return removed - added, added


def format_explanation(
    title: str, tests: Sequence[str], overlaps: Mapping[str, Overlap], sides: Iterable[ConflictSide], log: Path | None
) -> str:
    """Return the whole explanation as plain text."""
    lines = [title, ""]
    if tests:
        lines += ["Tests that fail:", *(f"  {name}" for name in tests), ""]
    for name, overlap in overlaps.items():
        if overlap.files:
            lines += [f"Files that {name} changes, too:", *(f"  {path}" for path in overlap.files), ""]
        if overlap.names:
            lines += [f"Names that one side removes and the other uses ({name}): {', '.join(overlap.names)}", ""]
    for side in sides:
        purpose = summarize_notes(side.notes)
        lines += [f"{side.name} says:", *(f"  {line}" for line in purpose), ""] if purpose else []
    if log is not None:
        last = last_lines(_plain(end_of(log)), 60, 400).splitlines()
        lines += ["The last lines of the gate's log:", *(f"  {line}" for line in last), "", f"The whole log: {log}"]
    return "\n".join(lines) + "\n"
