"""A conflict in words: which tests, which files and names both sides touch, and what each said it was doing.

Invariant: everything shown is quoted: from logs, diffs, commits and notes. Refuses: to guess a meaning.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestra.git.git_process import Git
from orchestra.git.refs import CommitId
from orchestra.git.tree_diff import changes
from orchestra.review.agent_notes import summarize_notes
from orchestra.review.eviction import end_of
from orchestra.sessions.eviction_message import tail

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
class Work:
    """One side of a conflict: what it changed, from ``since`` to ``until``, and its notes."""

    name: str
    since: CommitId
    until: CommitId
    notes: str | None = None


@dataclass(frozen=True, slots=True)
class Touch:
    """Where two sides meet. ``names``: one side takes them away, the other uses them anew."""

    files: tuple[str, ...]
    names: tuple[str, ...]


def failed_tests(log: Path | None, most: int = 10) -> tuple[str, ...]:
    """The names of the tests that a log says failed, in the words of the common runners."""
    text = _plain(end_of(log, _LOG_BYTES)) if log else ""
    found = (next(name for name in match.groups() if name) for match in _FAILED_TESTS.finditer(text))
    return tuple(dict.fromkeys(name.strip() for name in found))[:most]


def _plain(text: str) -> str:
    """Without what colours it."""
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


def touch(git: Git, one: Work, other: Work, most: int = 8) -> Touch:
    """The files that both change, and the names that one takes away and the other newly uses."""
    files = sorted(set(changes(git, one.since, one.until)) & set(changes(git, other.since, other.until)))
    words = {side.name: _words(git, side) for side in (one, other)}
    (one_gone, one_new), (other_gone, other_new) = words[one.name], words[other.name]
    names = sorted((one_gone & other_new) | (other_gone & one_new), key=lambda name: (-len(name), name))
    return Touch(tuple(files[:most]), tuple(names[:most]))


def _words(git: Git, work: Work) -> tuple[set[str], set[str]]:
    """Names that a side's diff only takes away, and names on the lines that it adds."""
    options = ("-U0", "--no-ext-diff", "--no-textconv", "--no-color", "--no-renames")
    text = git.run("diff-tree", "-p", "-r", *options, work.since, work.until, "--").stdout.decode("utf-8", "replace")
    lines = text.splitlines()
    added = {word for line in lines if line[:1] == "+" and line[:4] != "+++ " for word in _WORD.findall(line)}
    removed = {word for line in lines if line[:1] == "-" and line[:4] != "--- " for word in _WORD.findall(line)}
    return removed - added, added


def tell(
    title: str, tests: Sequence[str], touches: Mapping[str, Touch], sides: Iterable[Work], log: Path | None
) -> str:
    """The whole explanation as a page of plain text."""
    lines = [title, ""]
    if tests:
        lines += ["Tests that fail:", *(f"  {name}" for name in tests), ""]
    for name, met in touches.items():
        if met.files:
            lines += [f"Files that {name} changes, too:", *(f"  {path}" for path in met.files), ""]
        if met.names:
            lines += [f"Names that one side takes away and the other uses ({name}): {', '.join(met.names)}", ""]
    for side in sides:
        said = summarize_notes(side.notes)
        lines += [f"{side.name} says:", *(f"  {line}" for line in said), ""] if said else []
    if log is not None:
        last = tail(_plain(end_of(log))).splitlines()
        lines += ["The gate's last words:", *(f"  {line}" for line in last), "", f"All of them: {log}"]
    return "\n".join(lines) + "\n"
