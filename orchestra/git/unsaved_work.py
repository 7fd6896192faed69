"""Unsaved work of a worktree, that no ref reaches, and how to save it as a commit.

Uncommitted, staged and untracked files, and commits of a detached HEAD, are work. A ``Snapshot`` is all of it as git
objects, taken with a private copy of the index: the worktree and its index stay unchanged. Two equal snapshots mean
that nothing changed in between, which is how a removal makes sure that it removes only what was saved.

GroundError for what a commit cannot hold: a repository inside the worktree, a submodule with unsaved work, an
operation that is not finished, and what cannot be read.
"""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from orchestra.blueprint.model import AgentName, FleetName
from orchestra.errors import GitError, GroundError
from orchestra.files import read_regular
from orchestra.git.git_process import Git
from orchestra.git.refs import CommitId, RefName, RefUpdate, read_refs, resolve, saved_ref, update

_OURSELVES = {
    f"GIT_{role}_{part}": value
    for role in ("AUTHOR", "COMMITTER")
    for part, value in (("NAME", "orchestra"), ("EMAIL", "orchestra@localhost"))
}
_GITLINK = "160000"
_ASIDE = "orchestra-index."
_TAKE_ALL = {"core.safecrlf": "false", "add.ignoreErrors": "false"}  # no file is refused, none left out quietly
_HALF_DONE = {
    "rebase-merge": "rebase",
    "rebase-apply": "rebase",
    "MERGE_HEAD": "merge",
    "CHERRY_PICK_HEAD": "cherry-pick",
    "REVERT_HEAD": "revert",
    "BISECT_LOG": "bisect",
}


@dataclass(frozen=True, slots=True)
class Unsaved:
    """Paths of a worktree, relative to it. Ignored folders have a final slash; their files are not listed.

    ``unreadable``: git's warnings about folders that it cannot open. It reports them as clean, with exit code 0.
    """

    changed: tuple[str, ...] = ()
    untracked: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()
    ignored_folders: tuple[str, ...] = ()
    unreadable: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The state of a worktree in objects. ``index`` is None when the index has conflicts; ``head`` when unborn.

    ``stray`` is True when ``head`` is detached and no branch, tag, remote or orchestra ref reaches it.
    """

    head: CommitId | None
    head_tree: str
    index: str | None
    files: str
    stray: bool

    @property
    def saved(self) -> bool:
        """True where refs already hold all of it."""
        return self.files == self.head_tree and self.index == self.head_tree and not self.stray


def find_unsaved(worktree: Path) -> Unsaved:
    """Return what ``git status`` lists. Raises GitError when it fails."""
    # With "all" and "matching" an ignored file is listed by its own name also in a folder that no rule ignores.
    options = ("--porcelain=v1", "-z", "--no-renames", "--untracked-files=all", "--ignored=matching")
    output = Git(worktree).with_env(GIT_OPTIONAL_LOCKS="0").run("status", *options)
    by_status: dict[str, list[str]] = {"??": [], "!!": [], "": []}
    for field in output.fields:
        by_status[field[:2] if field[:2] in by_status else ""].append(field[3:])
    ignored = by_status["!!"]
    return Unsaved(
        changed=tuple(by_status[""]),
        untracked=tuple(by_status["??"]),
        ignored=tuple(name for name in ignored if not name.endswith("/")),
        ignored_folders=tuple(name for name in ignored if name.endswith("/")),
        unreadable=_unreadable(output.stderr),
    )


def _unreadable(stderr: str) -> tuple[str, ...]:
    return tuple(line for line in stderr.splitlines() if "could not open directory" in line)


def has_work(worktree: Path) -> bool:
    """Return True where git sees work in ``worktree`` that no ref holds. Reads only; ``take_snapshot`` sees more."""
    unsaved, git = find_unsaved(worktree), Git(worktree)
    head = resolve(git, "HEAD")
    return bool(unsaved.changed or unsaved.untracked or unsaved.unreadable) or (
        head is not None and _is_stray(git, head)
    )


def take_snapshot(worktree: Path) -> Snapshot:
    """All work in ``worktree`` as objects. GroundError for what no commit can hold (see the module)."""
    git = Git(worktree)
    admin = Path(git.text("rev-parse", "--absolute-git-dir"))
    _refuse_half_done(worktree, admin)
    head = resolve(git, "HEAD")
    head_tree = git.text("rev-parse", f"{head}^{{tree}}") if head else git.text("mktree", stdin=b"")
    with _index_aside(git, admin) as private:
        index = _write_tree(private)
        adding = private.with_config(_settings_of(worktree, _look_at_hidden(private)))
        try:
            unreadable = _unreadable(adding.run("add", "--all").stderr)
        except GitError as error:
            raise GroundError(f"the work in {worktree} cannot be saved: {error.stderr}") from error
        if unreadable:
            hint = (
                f"make it readable: chmod -R u+rwX {shlex.quote(str(worktree))}; for files of another user: sudo chown"
            )
            raise GroundError(f"the work in {worktree} cannot be saved: {unreadable[0]}", hint=hint)
        files = private.text("write-tree")
    _refuse_inner_repositories(worktree, head_tree, files)
    return Snapshot(head, head_tree, index, files, head is not None and _is_stray(git, head))


def save_uncommitted(worktree: Path, ref: RefName, message: str) -> CommitId | None:
    """Keep everything that is not committed in ``worktree`` as a commit at ``ref``; None when there is nothing.

    The commit holds the files as they are, untracked ones too, ignored ones not; its first parent is HEAD. Where
    something else than that is staged, its second parent is a commit of the index, as in a stash. ``ref`` must not
    exist: MovedError.
    """
    snapshot = take_snapshot(worktree)
    return None if snapshot.saved else keep_snapshot(worktree, snapshot, ref, message)


def take_lost_snapshot(git: Git, admin: Path, head: CommitId | None) -> Snapshot:
    """Return the rest of a worktree whose folder was deleted: what was staged, and its HEAD."""
    head_tree = git.text("rev-parse", f"{head}^{{tree}}") if head else git.text("mktree", stdin=b"")
    with _index_aside(git, admin) as private:
        index = (_write_tree(private) if (admin / "index").exists() else None) or head_tree
    detached_at = (read_regular(admin / "HEAD") or b"").decode("ascii", "replace")
    stray = head is not None and detached_at.startswith(head) and not _is_reached(git, head)
    return Snapshot(head, head_tree, index, index, stray)


def keep_snapshot(folder: Path, snapshot: Snapshot, ref: RefName, message: str) -> CommitId:
    """Make the commit of a snapshot, in any folder of the repository, at ``ref``, which must not exist."""
    git = Git(folder).with_synced_objects().with_env(**_OURSELVES)
    commit = snapshot.head
    if commit is None or {snapshot.files, snapshot.index} != {snapshot.head_tree}:
        parents = [snapshot.head] if snapshot.head else []
        if snapshot.index not in (None, snapshot.head_tree, snapshot.files):
            parents.append(_commit(git, str(snapshot.index), parents, f"what was staged: {message}"))
        commit = _commit(git, snapshot.files, parents, message)
    update(git, [RefUpdate(ref, commit, None)], reason="save uncommitted work")
    return commit


def restore_uncommitted(worktree: Path, tip: CommitId, saved: CommitId) -> None:
    """Put work that ``keep_snapshot`` saved on top of ``tip`` back into a clean worktree at that commit."""
    git = Git(worktree)
    _, *staged = git.text("rev-parse", f"{saved}^@").split("\n")
    git.run("read-tree", "-m", "-u", tip, saved)
    git.run("read-tree", staged[0] if staged else tip)  # the index alone
    git.run("update-index", "-q", "--refresh", ok=(0, 1))


def next_saved(git: Git, fleet: FleetName, agent: AgentName) -> RefName:
    """The first free name for saved work of an agent."""
    taken = _saved(git, fleet, agent)
    number = 1
    while saved_ref(fleet, agent, number) in taken:
        number += 1
    return saved_ref(fleet, agent, number)


def saved_as(git: Git, fleet: FleetName, agent: AgentName, snapshot: Snapshot) -> RefName | None:
    """The ``saved/N`` that already holds exactly this snapshot: a command that was killed has kept it."""
    for ref, commit in _saved(git, fleet, agent).items():
        if commit == snapshot.head and {snapshot.files, snapshot.index} == {snapshot.head_tree}:
            return ref
        tree, parents, *_ = (*git.text("show", "--no-patch", "--format=%T%n%P", commit).split("\n"), "")
        staged = parents.split()[1:]
        index = git.text("rev-parse", f"{staged[0]}^{{tree}}") if staged else None
        expected = None if snapshot.index in (None, snapshot.head_tree, snapshot.files) else snapshot.index
        if (tree, parents.split()[:1], index) == (snapshot.files, [snapshot.head] if snapshot.head else [], expected):
            return ref
    return None


def _saved(git: Git, fleet: FleetName, agent: AgentName) -> dict[RefName, CommitId]:
    return read_refs(git, [saved_ref(fleet, agent, 0).removesuffix("/0")])


@contextmanager
def _index_aside(git: Git, admin: Path) -> Iterator[Git]:
    """Git with a copy of the worktree's index; the copy keeps the stat data, so that only changed files are read."""
    _forget_asides(admin)
    copy = admin / f"{_ASIDE}{os.getpid()}"
    try:
        if (admin / "index").exists():
            # With its time: git looks into files that changed within the second in which the index was written.
            shutil.copy2(admin / "index", copy)
        yield git.with_synced_objects().with_env(GIT_INDEX_FILE=str(copy)).with_config(_TAKE_ALL)
    finally:
        copy.unlink(missing_ok=True)
        copy.with_name(f"{copy.name}.lock").unlink(missing_ok=True)


def _forget_asides(admin: Path) -> None:
    """Remove copies of an index that a killed command left."""
    for copy in admin.glob(f"{_ASIDE}*"):
        pid = copy.name.removeprefix(_ASIDE).removesuffix(".lock")
        try:
            os.kill(int(pid), 0)
        except ProcessLookupError:
            copy.unlink(missing_ok=True)
        except (ValueError, PermissionError):
            continue


def _write_tree(git: Git) -> str | None:
    """The tree of the index, None while it has conflicts."""
    return None if git.text("ls-files", "--unmerged") else git.text("write-tree")


def _settings_of(worktree: Path, submodules: Sequence[str]) -> dict[str, str]:
    """Return what disables programs in the submodules: ``git add`` runs ``git status`` in each, with our settings."""
    settings: dict[str, str] = {}
    for name in submodules:
        if (worktree / name / ".git").exists():
            inner = Git(worktree / name)
            settings |= dict(option.split("=", 1) for option in inner.neutral_options()[1::2])
            rows = inner.run("ls-files", "--stage", "-z", ok=(0, 128)).fields
            nested = [row.partition("\t")[2] for row in rows if row.startswith(_GITLINK)]
            settings |= _settings_of(worktree / name, nested)
    return settings


def _look_at_hidden(git: Git) -> list[str]:
    """Undo assume-unchanged and skip-worktree in this copy of the index: such entries may hide work.

    Returns the paths of submodules.
    """
    rows = git.run("ls-files", "-v", "--stage", "-z").fields
    tagged = [row[:2] + row.partition("\t")[2] for row in rows]
    sparse = git.run("config", "--type=bool", "--get", "core.sparseCheckout", ok=(0, 1)).text == "true"
    assumed = [field[2:] for field in tagged if field[0].islower()]
    skipped = [] if sparse else [field[2:] for field in tagged if field[0] in "Ss"]
    for option, names in (("--no-assume-unchanged", assumed), ("--no-skip-worktree", skipped)):
        if names:
            git.run("update-index", option, "-z", "--stdin", stdin=os.fsencode("\0".join(names) + "\0"))
    return [row.partition("\t")[2] for row in rows if row[2:].startswith(_GITLINK)]


def unfinished_operation(admin: Path) -> str | None:
    """Return what the worktree with that admin folder is in the middle of: ``rebase``, ``merge``, ...; else None."""
    return next((operation for name, operation in _HALF_DONE.items() if (admin / name).exists()), None)


def _refuse_half_done(worktree: Path, admin: Path) -> None:
    if operation := unfinished_operation(admin):
        # Not its --abort: that would discard what was resolved by hand.
        hint = f"finish it there: git -C {shlex.quote(str(worktree))} status says how"
        raise GroundError(f"{worktree} is in the middle of a {operation}", hint=hint)


def _refuse_inner_repositories(worktree: Path, head_tree: str, files: str) -> None:
    """A commit records no more than the commit id of a repository inside the worktree, so its work must be safe."""
    git = Git(worktree)
    submodules = set(_gitlinks(git, head_tree))
    for name in _gitlinks(git, files):
        inner = worktree / name
        if name not in submodules:
            raise GroundError(f"{inner} is a repository of its own", hint="move it away, or add it as a submodule")
        if (inner / ".git").exists():
            refuse_unpushed(inner)


def _gitlinks(git: Git, tree: str) -> list[str]:
    entries = git.run("ls-tree", "-r", "-z", tree).fields
    return [entry.partition("\t")[2] for entry in entries if entry.startswith(_GITLINK)]


def refuse_unpushed(inner: Path) -> None:
    """GroundError when a repository inside a worktree, a submodule or not, holds what no remote has."""
    git = Git(inner)
    top = git.run("rev-parse", "--show-toplevel", ok=(0, 128))
    if top.code or os.path.realpath(top.text) != os.path.realpath(inner):
        place = inner / ".git"
        if place.is_dir() and (not os.access(place, os.R_OK | os.X_OK) or (place / "objects").exists()):
            raise GroundError(f"git cannot open the repository {inner}", hint=f"git -C {inner} fsck")
        return  # something called .git that is no repository, as in the fixtures of a package
    if not take_snapshot(inner).saved:
        raise GroundError(f"the repository {inner} has uncommitted work", hint="commit and push it first")
    if resolve(git, "refs/stash") is not None:
        raise GroundError(
            f"the repository {inner} has stashed work", hint=f"git -C {shlex.quote(str(inner))} stash list"
        )
    head = ["HEAD"] if resolve(git, "HEAD") else []
    if git.text("rev-list", "--max-count=1", "--branches", "--tags", *head, "--not", "--remotes"):
        raise GroundError(f"the repository {inner} has commits that no remote has", hint="push them first")


def _is_stray(git: Git, head: CommitId) -> bool:
    return not git.succeeds("symbolic-ref", "--quiet", "HEAD") and not _is_reached(git, head)


def _is_reached(git: Git, commit: CommitId) -> bool:
    refs = ("--branches", "--tags", "--remotes", "--glob=refs/orchestra/*")
    return not git.text("rev-list", "--max-count=1", commit, "--not", *refs)


def _commit(git: Git, tree: str, parents: Sequence[str], message: str) -> CommitId:
    named = [part for parent in parents for part in ("-p", parent)]
    return CommitId(git.text("commit-tree", tree, *named, "-m", message))
