"""The containment audit: what a candidate changes is what its branch changed, found out independently of building it.

A queue that builds on a wrong base puts back what others landed, with every check green (as GitHub's did on 23 April
2026). So before a candidate may land, three plain tree comparisons are held against one another. Invariant: a
path that only the target changed keeps the target's content, and a path that only the branch changed gets the branch's;
what both changed may be merged. Paths are followed through the target's renames. Refuses: candidates that change an
instruction file, and names that would reach into ``.git``.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from orchestra.git.ancestry import is_ancestor, merge_base
from orchestra.git.git_process import Git
from orchestra.git.merge_tree import TreeMerger
from orchestra.git.objects import Objects
from orchestra.git.refs import CommitId
from orchestra.git.tree_diff import changes, renames

_GIT_NAMES = ("", ".", "..", ".git", "git~1")


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


def audit(git: Git, step: LandingStep, objects: Objects | None = None) -> tuple[ContainmentFinding, ...]:
    """Return what is wrong with a step, sorted by path; nothing when it holds. ``objects``: as for ``changes``."""
    landed = changes(git, step.onto, step.commit, objects)
    branch_changes = changes(git, step.fork, step.tip, objects)
    branch = {path: change for path, change in branch_changes.items() if not is_at_or_below(path, step.kept_out)}
    target = changes(git, step.fork, step.onto, objects)
    findings = []
    for path, change in landed.items():
        if change.new is not None and any(part.lower() in _GIT_NAMES for part in path.split("/")):
            findings.append(ContainmentFinding(path, "has a name that git does not allow in a checkout"))
        if is_at_or_below(path, step.kept_out):
            findings.append(ContainmentFinding(path, "is an instruction file and must never land"))
    strangers = {path for path in set(landed) - set(branch) if not is_at_or_below(path, step.kept_out)}
    if strangers:  # what the branch did to a file that the target renamed belongs under its new name
        strangers -= _new_names(git, step.fork, step.onto, set(branch), strangers)
    findings += [
        ContainmentFinding(path, "changes in the candidate, though its branch did not change it") for path in strangers
    ]
    lost = {p for p in set(branch) - set(target) if p not in landed or landed[p].new != branch[p].new}
    if lost:  # a file that the branch renamed takes in what the target did to it under its old name
        lost -= _new_names(git, step.fork, step.tip, set(target), lost)
    findings += [
        ContainmentFinding(path, "is not as its branch has it, though no other branch changed it") for path in lost
    ]
    return tuple(sorted(set(findings), key=lambda finding: (finding.path, finding.sentence)))


def _new_names(git: Git, old: CommitId, new: CommitId, sources: set[str], names: set[str]) -> set[str]:
    """Return those of ``names`` to which a merge may take one of ``sources`` to be renamed between two commits.

    Of several files alike, a merge looks only at those that the other side changed, so each of them counts by itself.
    """
    changed = changes(git, old, new)
    renamed = {moved for path, moved in renames(git, old, new).items() if path in sources}
    for source in sources:
        if names - renamed and source in changed and changed[source].new is None:
            renamed |= set(renames(git, old, new, [source, *names]).values())
    return renamed & names


def is_at_or_below(path: str, names: Collection[str]) -> bool:
    """Return True for a path in ``names`` or below one: a branch may hold a folder where an instruction file was."""
    return path in names or path.startswith(tuple(f"{name}/" for name in names))


def unclaimed_paths(
    git: Git, before: CommitId, after: CommitId, steps: Iterable[LandingStep], objects: Objects | None = None
) -> tuple[str, ...]:
    """Paths that differ between two values of the target although no step between them changes them."""
    claimed: set[str] = set()
    for step in steps:
        claimed.update(changes(git, step.onto, step.commit, objects))
    return tuple(sorted(set(changes(git, before, after, objects)) - claimed))


def find_merge(git: Git, target: CommitId, base: CommitId, tip: CommitId) -> CommitId | None:
    """Return the first commit on the target's line that contains what ``tip`` changed since ``base``, by any method.

    A merge commit contains the commits themselves. After a squash or a rebase the target has other commits; it contains
    the work where merging ``tip`` again would change nothing. That holds when the target has other changes, too, also
    in the same files. None: no commit above ``base`` contains all of it.
    """
    if is_ancestor(git, tip, target):
        walk = git.run("rev-list", "--first-parent", "--ancestry-path", target, f"^{tip}", "--").lines
        return CommitId(walk[-1]) if walk else tip
    fork = merge_base(git, target, tip)
    if fork is None:
        return None
    with Objects(git) as objects, TreeMerger(git, objects, objects.commit(target).tree) as merger:
        trees = {name: objects.commit(name).tree for name in (fork, tip)}
        if trees[fork] == trees[tip]:
            return None
        for commit in _commits_that_touch(git, target, base, sorted(changes(git, fork, tip))):
            tree = objects.commit(commit).tree
            merged = merger.merge(trees[fork], tree, trees[tip])
            if merged.clean and merged.tree == tree:
                return commit
    return None


def _commits_that_touch(git: Git, target: CommitId, base: CommitId, paths: list[str]) -> list[CommitId]:
    """Return the commits of the target's first-parent line above ``base`` that change ``paths``, oldest first."""
    words = ("rev-list", "--first-parent", "--reverse", "--stdin")
    limits = [] if any("\n" in path for path in paths) else ["--", *(f":(top,literal){path}" for path in paths)]
    script = "\n".join([target, f"^{base}", *limits]) + "\n"
    return [CommitId(line) for line in git.run(*words, stdin=script.encode("utf-8", "surrogateescape")).lines]
