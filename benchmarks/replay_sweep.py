"""Every window of a history built as candidates, no tests run, each step held against git's own rebase and merge.

Two independent answers for a step: ``git rebase --onto`` in a worktree, and ``git merge-tree`` of the branch's tip with
the state, from the branch's base. Invariant: a candidate has the tree of one of the two, or is counted as a fault; the
audit passes it, or that is counted too. Refuses to decide which of the two is right where they differ.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from replay_history import Line, Piece, Window, git, run_git, windows
from replay_walk import clone

from orchestra.blueprint.model import AgentName, FleetName, Strategy
from orchestra.candidates.builder import Branch, BuiltCandidate, Candidate, NothingToMerge, open_builder
from orchestra.candidates.containment import LandingStep, audit
from orchestra.candidates.text_conflict import Conflict
from orchestra.git.refs import CommitId
from orchestra.git.repository import Repository

CONFLICT, NOTHING = "conflict", "nothing to land"


@dataclass(frozen=True)
class Verdict:
    """One step: ``kind`` as counted in the table; ``text`` tells where, for those that a person has to look at."""

    kind: str
    text: str = ""
    fault: bool = False


def sweep(line: Line, folder: Path, count: int, since: str, strategy: str) -> Iterator[Verdict]:
    """The verdicts of every step of every window."""
    shutil.rmtree(folder, ignore_errors=True)
    for found in windows(line, count, since):
        home = folder / "home"
        if not home.exists():
            clone(line.repository, home, found.start)
        else:
            git(home, "checkout", "--quiet", "--force", "--detach", found.start)
        yield from _window(home, found, Strategy(strategy))


def _window(home: Path, found: Window, strategy: Strategy) -> Iterator[Verdict]:
    repository = Repository.discover(home)
    start = CommitId(found.start)
    with open_builder(repository.git, start) as build:
        at = start
        for piece in found.pieces:
            branch = Branch(
                AgentName(piece.name),
                FleetName("sweep"),
                CommitId(piece.base),
                CommitId(piece.tip),
                piece.name,
                strategy,
            )
            candidate = build.build(at, branch)
            yield _judge(home, at, piece, candidate)
            if isinstance(candidate, BuiltCandidate):
                yield from _audited(repository, at, piece, candidate)
                at = candidate.commit


def _audited(repository: Repository, at: CommitId, piece: Piece, candidate: BuiltCandidate) -> Iterator[Verdict]:
    step = LandingStep(at, candidate.commit, candidate.fork, CommitId(piece.tip))
    for finding in audit(repository.git, step):
        text = f"{piece.name} {piece.tip[:10]} on {at[:10]}: {finding.path} {finding.sentence}"
        yield Verdict("stopped by the audit", text, fault=True)


def _judge(home: Path, at: CommitId, piece: Piece, candidate: Candidate) -> Verdict:
    if isinstance(candidate, Conflict) and not candidate.paths:  # it says what it never lands, whatever the text
        return Verdict(f"refused: {candidate.sentence}")
    ours, merged, rebased = _ours(home, at, candidate), _merged(home, at, piece), _rebased(home, at, piece)
    told = f"{piece.name} base {piece.base[:10]} tip {piece.tip[:10]} on {at[:10]}: ours {ours[:12]}, "
    told += f"merge {merged[:12]}, rebase {rebased[:12]}"
    if ours == merged == rebased:
        return Verdict(f"as both ({ours})" if ours in (CONFLICT, NOTHING) else "as both")
    if ours == rebased:
        return Verdict(f"as rebase ({_word(ours)}), merge says {_word(merged)}", told)
    if ours == merged:
        return Verdict(f"as merge ({_word(ours)}), rebase says {_word(rebased)}", told)
    return Verdict(f"as neither: ours {_word(ours)}, merge {_word(merged)}, rebase {_word(rebased)}", told, fault=True)


def _word(answer: str) -> str:
    return answer if answer in (CONFLICT, NOTHING) else "a tree"


def _ours(home: Path, at: CommitId, candidate: Candidate) -> str:
    if isinstance(candidate, Conflict):
        return CONFLICT
    return NOTHING if isinstance(candidate, NothingToMerge) or candidate.tree == _tree(home, at) else candidate.tree


def _tree(home: Path, commit: str) -> str:
    return git(home, "rev-parse", f"{commit}^{{tree}}")


def _merged(home: Path, at: CommitId, piece: Piece) -> str:
    """A stand-in for the state whose only parent is the base makes that the one merge base."""
    here = _tree(home, at)
    stand_in = git(home, "commit-tree", here, "-p", piece.base, "-m", "state")
    done = run_git(home, "merge-tree", "--write-tree", "--name-only", stand_in, piece.tip, ok=(0, 1))
    if done.returncode:
        return CONFLICT
    tree = done.stdout.split("\n")[0]
    return NOTHING if tree == here else tree


def _rebased(home: Path, at: CommitId, piece: Piece) -> str:
    git(home, "checkout", "--quiet", "--force", "--detach", piece.tip)
    done = run_git(home, "rebase", "--quiet", "--onto", at, piece.base, ok=(0, 1, 128))
    if done.returncode:
        git(home, "rebase", "--abort")
        return CONFLICT
    tree = _tree(home, "HEAD")
    return NOTHING if tree == _tree(home, at) else tree


def tally(verdicts: Iterator[Verdict]) -> tuple[Counter[str], list[str]]:
    """How many of each kind, and the lines that a person should read (everything but ``as both``)."""
    counted: Counter[str] = Counter()
    lines = []
    for verdict in verdicts:
        counted[verdict.kind] += 1
        if verdict.text:
            lines.append(f"{'FAULT ' if verdict.fault else ''}{verdict.kind}: {verdict.text}")
    return counted, lines
