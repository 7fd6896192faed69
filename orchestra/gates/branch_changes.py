"""Every path that a branch touches: in its result, in a commit that a later one takes back, and after a rename.

Git shows submodules here whatever ``.gitmodules`` or the configuration says (``ignore = all``).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from orchestra.blueprint.judging_files import MANIFESTS, changed_sections
from orchestra.candidates.containment import is_at_or_below
from orchestra.git.git_process import Git
from orchestra.git.refs import CommitId
from orchestra.git.tree_diff import renames

_DIFF = ("diff-tree", "--stdin", "-r", "-z", "--no-renames", "--root", "--ignore-submodules=none", "--no-ext-diff")


@dataclass(frozen=True, slots=True)
class BranchRange:
    """A branch from ``fork``, where it left the target, to ``tip``; ``commits`` are its own, without merges."""

    fork: CommitId
    tip: CommitId
    commits: Sequence[CommitId] = ()


def own_commits(git: Git, target: CommitId, base: CommitId, tip: CommitId) -> tuple[CommitId, ...]:
    """Return the commits of a branch that neither its base nor the target holds, without merges."""
    lines = git.run("rev-list", "--no-merges", tip, "--not", target, base, "--").lines
    return tuple(map(CommitId, lines))


def changed_paths(git: Git, ranges: Collection[BranchRange]) -> Mapping[BranchRange, frozenset[str]]:
    """Return the paths that each branch changes, also in a commit that a later one takes back; one git process."""
    if not ranges:
        return {}
    lines = [f"{branch.tip} {branch.fork}\n" for branch in ranges if branch.tip != branch.fork]
    lines += [f"{commit}\n" for branch in ranges for commit in branch.commits]
    by_commit: dict[str, set[str]] = {}
    fields = iter(git.run(*_DIFF, stdin="".join(lines).encode()).fields)
    paths: set[str] = set()
    for field in fields:
        if field.startswith(":"):  # modes, ids and status; the path is the next field
            paths.add(next(fields))
        else:
            paths = by_commit.setdefault(field, set())
    return {
        branch: frozenset().union(*(by_commit.get(commit, ()) for commit in (branch.tip, *branch.commits)))
        for branch in ranges
    }


def landing_paths(git: Git, branch: BranchRange, target: CommitId, kept_out: Collection[str] = ()) -> frozenset[str]:
    """Return the paths that landing the branch touches: those it changes, and where the target has moved them."""
    paths = changed_paths(git, [branch])[branch]
    moved = renames(git, branch.fork, target) if target != branch.fork else {}
    return frozenset(path for path in (*paths, *_moved(paths, moved)) if not is_at_or_below(path, kept_out))


def judging_manifests(git: Git, branch: BranchRange, paths: Collection[str]) -> frozenset[str]:
    """Return the manifests among ``paths`` that exist at the fork and whose sections for gates the branch changes."""
    manifests = [path for path in paths if path.rpartition("/")[2] in MANIFESTS]
    changed = set()
    for path in manifests:
        old, new = (git.run("cat-file", "blob", f"{end}:{path}", ok=(0, 128)) for end in (branch.fork, branch.tip))
        if old.code == 0 and changed_sections(path, old.stdout, new.stdout if new.code == 0 else None):
            changed.add(path)
    return frozenset(changed)


def _moved(paths: Collection[str], moved: Mapping[str, str]) -> Iterator[str]:
    folders = {}
    for old, new in moved.items():
        if old.rpartition("/")[2] == new.rpartition("/")[2]:
            folders[old.rpartition("/")[0]] = new.rpartition("/")[0]
    for path in paths:
        folder, _, name = path.rpartition("/")
        if path in moved:
            yield moved[path]
        elif folder in folders:  # git follows a renamed folder for new files in it
            yield f"{folders[folder]}/{name}".removeprefix("/")
