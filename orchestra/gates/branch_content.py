"""What branches bring to the target: their own commits and the content that these add, for gates to judge.

Everything is read from git objects, never from a worktree, with four git processes for any number of branches; one that
merged the target needs one more. Rules are read from the target, so that no branch can change how it is judged.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cached_property

from orchestra.candidates.containment import is_at_or_below
from orchestra.errors import OrchestraError
from orchestra.git.ancestry import merge_base
from orchestra.git.blobs import BlobReader
from orchestra.git.git_process import Git
from orchestra.git.objects import Commit, Objects
from orchestra.git.refs import CommitId
from orchestra.git.tree_diff import Change, Side, note_changes, renames, tree_of

CommitPair = tuple[CommitId, ...]
_DIFF = ("diff-tree", "--stdin", "--always", "-r", "-z", "--no-renames", "--root", "--ignore-submodules=none")


@dataclass(frozen=True, slots=True)
class BranchSpan:
    """A branch to read, cut from ``base``.

    ``kept_out``: paths that never land. ``squashed``: only the result lands, not the single commits.
    """

    base: CommitId
    tip: CommitId
    kept_out: tuple[str, ...] = ()
    squashed: bool = False


@dataclass(frozen=True, slots=True)
class OwnCommit:
    """A commit of the branch that the target lacks. ``changes`` of a merge: the paths that no parent has like that."""

    id: CommitId
    commit: Commit
    changes: Mapping[str, Change]


@dataclass(frozen=True)
class BranchContent:
    """One branch as the gates see it.

    ``fork``: where its work starts, the base or the merge base with the target. ``changes``: path -> change from there
    to the tip. ``commits``: those that neither target nor base hold, oldest first.
    """

    target: CommitId
    span: BranchSpan
    fork: CommitId
    changes: Mapping[str, Change]
    commits: tuple[OwnCommit, ...]
    blobs: BlobReader = field(repr=False)
    git: Git = field(repr=False)

    @cached_property
    def landing_changes(self) -> tuple[tuple[CommitId, str, Change], ...]:
        """Every (commit, path, change) that the target's history takes in, oldest first."""
        result = [(self.span.tip, path, change) for path, change in self.changes.items()]
        if self.span.squashed:
            return tuple(result)
        single = ((own.id, path, change) for own in self.commits for path, change in own.changes.items())
        return (*single, *result)

    @cached_property
    def paths(self) -> frozenset[str]:
        """Every path that landing the branch touches, also where the target has moved it since."""
        paths = {path for _, path, _ in self.landing_changes}
        moved = renames(self.git, self.fork, self.target) if self.target != self.fork else {}
        folders = {}
        for old, new in moved.items():
            if old.rpartition("/")[2] == new.rpartition("/")[2]:
                folders[old.rpartition("/")[0]] = new.rpartition("/")[0]
        for path in tuple(paths):
            folder, _, name = path.rpartition("/")
            if path in moved:
                paths.add(moved[path])
            elif folder in folders:  # git follows a renamed folder for new files in it
                paths.add(f"{folders[folder]}/{name}".removeprefix("/"))
        return frozenset(path for path in paths if not is_at_or_below(path, self.span.kept_out))

    def target_file(self, path: str) -> bytes:
        """Return a file of the target; nothing where it has none."""
        entry = self.blobs.objects.entry_at(tree_of(self.git, self.target), path.encode())
        return self.blobs.read(Side(entry.mode.decode(), entry.id)) if entry is not None else b""

    def exists_at_fork(self, path: str) -> bool:
        """Return True when the branch started with a file or folder at ``path``."""
        tree = tree_of(self.git, self.fork)
        return self.blobs.objects.entry_at(tree, path.encode("utf-8", "surrogateescape")) is not None


@contextmanager
def read_branches(
    git: Git, target: CommitId, spans: Sequence[BranchSpan], objects: Objects | None = None
) -> Iterator[list[BranchContent | None]]:
    """Yield the content of each branch; None for one that git cannot read. ``objects``: an open reader to use."""
    with ExitStack() as stack:
        blobs = BlobReader(git, stack, objects)
        yield _read(git, target, spans, blobs)


def _read(git: Git, target: CommitId, spans: Sequence[BranchSpan], blobs: BlobReader) -> list[BranchContent | None]:
    try:
        return list(_read_together(git, target, spans, blobs))
    except OrchestraError:
        if len(spans) == 1:
            return [None]
    return [content for span in spans for content in _read(git, target, [span], blobs)]


def _read_together(
    git: Git, target: CommitId, spans: Sequence[BranchSpan], blobs: BlobReader
) -> Iterator[BranchContent]:
    # The commits that the target lacks, with one walk.
    tips = dict.fromkeys(span.tip for span in spans)
    script = "".join(f"{tip}\n" for tip in tips) + f"^{target}\n"
    lines = git.run("rev-list", "--parents", "--topo-order", "--reverse", "--stdin", stdin=script.encode()).lines
    rows = (line.split(" ") for line in lines if line)
    parents = {CommitId(commit): [CommitId(parent) for parent in rest] for commit, *rest in rows}
    own = {span: _reach(parents, span.tip) - _reach(parents, span.base) for span in spans}
    # What each of them and each branch as a whole changes, with one comparison of trees.
    forks: dict[BranchSpan, CommitId] = {}
    for span in spans:
        starts = {parent for commit in own[span] for parent in parents[commit]} - own[span]
        start = merge_base(git, target, span.tip) if len(starts) > 1 else next(iter(starts), None)
        forks[span] = (start or span.base) if own[span] else span.tip
    pairs = [pair for commit in frozenset().union(*own.values()) for pair in _pairs(commit, parents[commit])]
    wanted = compare_commits(git, [*pairs, *((span.tip, forks[span]) for span in spans)])
    for span in spans:
        commits = []
        for commit in (commit for commit in parents if commit in own[span]):
            sides = [wanted[pair] for pair in _pairs(commit, parents[commit])]
            shared = set(sides[0]).intersection(*sides[1:])
            added = _landing({path: sides[0][path] for path in shared}, span)
            commits.append(OwnCommit(commit, blobs.objects.commit(commit), added))
        note_changes(git, forks[span], span.tip, wanted[span.tip, forks[span]])
        changes = _landing(wanted[span.tip, forks[span]], span)
        yield BranchContent(target, span, forks[span], changes, tuple(commits), blobs, git)


def _reach(parents: Mapping[CommitId, Iterable[CommitId]], tip: CommitId) -> frozenset[CommitId]:
    seen, todo = set[CommitId](), [tip]
    while todo:
        commit = todo.pop()
        if commit not in seen and commit in parents:
            seen.add(commit)
            todo.extend(parents[commit])
    return frozenset(seen)


def _pairs(commit: CommitId, parents: Sequence[CommitId]) -> list[CommitPair]:
    return [(commit, parent) for parent in parents] or [(commit,)]


def _landing(changes: Mapping[str, Change], span: BranchSpan) -> dict[str, Change]:
    return {path: changes[path] for path in sorted(changes) if not is_at_or_below(path, span.kept_out)}


def compare_commits(git: Git, pairs: Iterable[CommitPair]) -> dict[CommitPair, Mapping[str, Change]]:
    """Return what each pair (new, old) differs in, path by path, with one git process.

    A single commit is compared with nothing. Submodules count whatever ``.gitmodules`` says (``ignore = all``).
    """
    differences: dict[CommitPair, Mapping[str, Change]] = {pair: {} for pair in pairs}
    if not differences:
        return {}
    script = "".join(" ".join(pair) + "\n" for pair in differences)
    requests = iter(tuple(differences))
    changes: dict[str, Change] = {}
    fields = iter(git.run(*_DIFF, stdin=script.encode()).fields)
    for line in fields:
        if not line.startswith(":"):  # ``--always`` gives each request its line, also without changes
            differences[next(requests)] = changes = {}
            continue
        old_mode, new_mode, old, new, _ = line[1:].split(" ")
        old_side = Side(old_mode, old) if int(old_mode, 8) else None
        changes[next(fields)] = Change(old_side, Side(new_mode, new) if int(new_mode, 8) else None)
    return differences
