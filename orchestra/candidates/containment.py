"""The containment audit: what a candidate changes is what its branch changed, found out independently of building it.

A queue that builds on a wrong base puts back what others landed, with every check green (GitHub, 23 April 2026; facts/
merge.md 0.1). So before a candidate may land, three plain tree comparisons are held against one another. Invariant: a
path that only the target changed keeps the target's content, and a path that only the branch changed gets the branch's;
what both changed may be merged. Paths are followed through the target's renames. Refuses: candidates that change an
instruction file, and names that would reach into ``.git``.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from orchestra.git.git_process import Git
from orchestra.git.refs import CommitId
from orchestra.git.tree_diff import Change, changes, renames


@dataclass(frozen=True, slots=True)
class ContainmentFinding:
    path: str
    sentence: str


@dataclass(frozen=True, slots=True)
class LandingStep:
    """One branch in a candidate: ``onto`` before, ``commit`` after it, ``fork`` and ``tip`` the branch's ends."""

    onto: CommitId
    commit: CommitId
    fork: CommitId
    tip: CommitId
    kept_out: tuple[str, ...] = ()


def audit(git: Git, step: LandingStep) -> tuple[ContainmentFinding, ...]:
    """What is wrong with a step; nothing when it holds. Sorted by path."""
    landed = changes(git, step.onto, step.commit)
    branch = {p: c for p, c in changes(git, step.fork, step.tip).items() if not is_at_or_below(p, step.kept_out)}
    target = changes(git, step.fork, step.onto)
    findings = [*_names(landed), *_kept_out(landed, step.kept_out)]
    strangers = {path for path in set(landed) - set(branch) if not is_at_or_below(path, step.kept_out)}
    if strangers:
        moved = renames(git, step.fork, step.onto)
        strangers -= {moved[path] for path in branch if path in moved}
    findings += [
        ContainmentFinding(path, "changes in the candidate, though its branch did not change it") for path in strangers
    ]
    lost = _not_as_the_branch_has_it(landed, branch, target)
    if lost:  # a file that the branch renamed takes in what the target did to it under its old name
        moved = renames(git, step.fork, step.tip)
        lost -= {new for old, new in moved.items() if old in target}
    findings += [
        ContainmentFinding(path, "is not as its branch has it, though no other branch changed it") for path in lost
    ]
    return tuple(sorted(set(findings), key=lambda finding: (finding.path, finding.sentence)))


def is_at_or_below(path: str, names: Collection[str]) -> bool:
    """Return True for a path in ``names`` or below one: a branch may hold a folder where an instruction file was."""
    return path in names or path.startswith(tuple(f"{name}/" for name in names))


def unclaimed_paths(git: Git, before: CommitId, after: CommitId, steps: Iterable[LandingStep]) -> tuple[str, ...]:
    """Paths that differ between two values of the target although no step between them changes them."""
    claimed: set[str] = set()
    for step in steps:
        claimed.update(changes(git, step.onto, step.commit))
    return tuple(sorted(set(changes(git, before, after)) - claimed))


def _names(landed: Mapping[str, Change]) -> list[ContainmentFinding]:
    return [
        ContainmentFinding(path, "has a name that git does not allow in a checkout")
        for path, change in landed.items()
        if change.new is not None and any(part.lower() in ("", ".", "..", ".git", "git~1") for part in path.split("/"))
    ]


def _kept_out(landed: Mapping[str, Change], kept_out: tuple[str, ...]) -> list[ContainmentFinding]:
    return [
        ContainmentFinding(path, "is an instruction file and must never land")
        for path in landed
        if is_at_or_below(path, kept_out)
    ]


def _not_as_the_branch_has_it(
    landed: Mapping[str, Change], branch: Mapping[str, Change], target: Mapping[str, Change]
) -> set[str]:
    only_branch = (path for path in branch if path not in target)
    return {path for path in only_branch if path not in landed or landed[path].new != branch[path].new}
