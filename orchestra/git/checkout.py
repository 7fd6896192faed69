"""Update a checkout of the target after the target has moved, without losing anything in it.

Steps of ``follow``: create ``index.lock`` with a note from orchestra; let ``git read-tree -m -u`` move the files with a
copy of the index; replace the index by the copy; remove the lock. A kill in between leaves the note, so that the next
run recognises the lock, and which files it may finish: those with the old content, the new content, its beginning (an
interrupted write) or none.

Invariant: a file with any other content is the user's: it is never written, and reported. ``can_follow`` checks before
the target moves, so that normally nothing is in the way; what gets in the way later stays and shows as a local change.
"""

from __future__ import annotations

import os
import shlex
import shutil
import stat
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from orchestra.errors import GitError, GroundError
from orchestra.files import read_regular, sync_filesystem
from orchestra.git.git_process import Git
from orchestra.git.refs import CommitId
from orchestra.git.tree_diff import Change, Side, changes
from orchestra.text import format_list

_NOTE = b"orchestra brings this checkout along\n"
_LINK, _SUBMODULE = "120000", "160000"
_MOST_PATHS = 500  # named on a command line; beyond that, all are asked for
_SHOWN = 5
_EARLIER_COMMITS = 50
_UNMERGED = frozenset("DD AU UD UA DU AA UU".split())  # git-status(1), short format
_PATIENCE_S, _LOOK_AGAIN_S = 2.0, 0.02


def can_follow(worktree: Path, old: CommitId, new: CommitId) -> tuple[str, ...]:
    """Return the paths that prevent ``worktree`` from moving from ``old`` to ``new``; empty when it can follow.

    Changes nothing. Raises GroundError where the checkout cannot be read, or where another git works.
    """
    checkout, delta = _Checkout(worktree), changes(Git(worktree), old, new)
    if delta:
        checkout.require_unlocked()
    return checkout.obstacles(old, delta)


def follow(worktree: Path, old: CommitId, new: CommitId, *, resume: bool = False) -> tuple[str, ...]:
    """Move the files and the index of ``worktree``, whose branch is already at ``new``, from ``old``.

    ``resume``: an earlier call may have been cut short here; finish it. Done twice it changes nothing. Returns the
    paths that hold the user's own content and were left alone. Raises GroundError where another git works.
    """
    checkout, delta = _Checkout(worktree), changes(Git(worktree), old, new)
    resume = resume or checkout.is_marked()
    with checkout.locked():
        staged = checkout.staged(delta)
        if not checkout.is_behind(staged, delta):
            return ()
        if resume or checkout.differs(staged, delta):
            return checkout.finish(old, new, delta)
        try:
            checkout.move(old, new)
        except GitError:  # it has moved nothing: a file was changed, or only has stat data that is out of date
            if checkout.obstacles(old, delta):
                return checkout.finish(old, new, delta)
            checkout.move(old, new, refresh=True)
        return ()


def changed_among(worktree: Path, paths: Collection[str]) -> tuple[str, ...]:
    """Return those of ``paths`` that are changed, staged or untracked in ``worktree``."""
    if not paths:
        return ()
    options = ("--porcelain=v1", "-z", "--no-renames", "--untracked-files=all", "--ignored=matching")
    git = Git(worktree).with_env(GIT_OPTIONAL_LOCKS="0")
    fields = git.run("status", *options).fields
    unmerged = {field[3:] for field in fields if field[:2] in _UNMERGED}  # as long as there is one, git moves nothing
    rows = [field[3:] for field in fields]
    files, folders = {row for row in rows if row[-1:] != "/"}, tuple(row for row in rows if row[-1:] == "/")
    below = {path for path in paths if path.startswith(folders) and os.path.lexists(worktree / path)}
    above = {str(folder) for row in files for folder in PurePosixPath(row).parents}  # a folder where a file is to be
    return tuple(sorted((files | above).intersection(paths) | below | unmerged))


def shows_earlier_commit(worktree: Path) -> bool:
    """Return True where what is staged is a recent commit below HEAD: the branch moved without this checkout."""
    git = Git(worktree).with_env(GIT_OPTIONAL_LOCKS="0")
    if git.run("diff-index", "--cached", "--quiet", "HEAD", "--", ok=(0, 1)).code == 0:
        return False
    staged = git.run("write-tree", ok=(0, 128)).text
    return staged in git.run("log", f"--max-count={_EARLIER_COMMITS}", "--skip=1", "--format=%T", "HEAD", "--").lines


def in_the_way(worktree: Path, obstacles: Sequence[str]) -> GroundError:
    """Build the error for obstacles that ``can_follow`` returned."""
    paths = format_list(sorted(obstacles), most=_SHOWN)
    return GroundError(
        f"{worktree} has local changes in files that would be updated: {paths}",
        hint=f"commit it, or stash it: git -C {shlex.quote(str(worktree))} stash --include-untracked; "
        "then run the command again",
    )


@dataclass(frozen=True, slots=True)
class _Staged:
    """An entry of the index; ``side`` is None for an unmerged path, ``is_watched`` False where git ignores the file."""

    side: Side | None
    is_watched: bool = True


_NOT_STAGED = _Staged(None)


class _Checkout:
    """One worktree, and the three files of its git folder that matter here."""

    def __init__(self, worktree: Path) -> None:
        self.path = worktree
        self._git = Git(worktree).with_env(GIT_LITERAL_PATHSPECS="1", GIT_OPTIONAL_LOCKS="0")
        self._index = self._git.git_folder() / "index"
        self._lock = self._index.with_name("index.lock")
        self._private = self._index.with_name("orchestra-index")

    # -- looking ------------------------------------------------------------------------------------------------

    def staged(self, delta: Mapping[str, Change]) -> Mapping[str, _Staged]:
        """Return what the index holds at the paths of the move."""
        rows = self._git.run("ls-files", "--stage", "-v", "-z", "--", *_named(delta)).fields
        staged = {}
        for facts, _, path in (row.partition("\t") for row in rows):
            tag, mode, blob, stage = facts.split(" ")
            side = Side(mode, blob) if stage == "0" else None
            staged[path] = _Staged(side, is_watched=tag.isupper() and tag != "S")
        return {path: entry for path, entry in staged.items() if path in delta}

    def is_behind(self, staged: Mapping[str, _Staged], delta: Mapping[str, Change]) -> bool:
        """Return True where the index lacks the new side of any path of the move."""
        return any(staged.get(path, _NOT_STAGED).side != change.new for path, change in delta.items())

    def differs(self, staged: Mapping[str, _Staged], delta: Mapping[str, Change]) -> list[str]:
        """Return paths of the move that the user changed as ``git read-tree -m -u`` does not notice.

        In the index, below a new path, or in a file marked as assume-unchanged or skip-worktree.
        """
        paths = [*_untracked_in_the_way(self.path, delta)]
        paths += [path for path, change in delta.items() if staged.get(path, _NOT_STAGED).side != change.old]
        marked = (path for path, entry in staged.items() if not entry.is_watched and os.path.lexists(self.path / path))
        return [*paths, *(path for path in marked if not self._holds(path, delta[path].old))]

    def obstacles(self, old: CommitId, delta: Mapping[str, Change]) -> tuple[str, ...]:
        """Paths of the move where the user has changed the file or the index, or has a file of their own."""
        if not delta:
            return ()
        if not self._index.exists():
            return ("it has no index",)
        obstacles = set(self.differs(self.staged(delta), delta))
        # After a stash pop, say: no path of the move, but as long as there is one, git moves nothing.
        obstacles.update(row.partition("\t")[2] for row in self._git.run("ls-files", "--unmerged", "-z").fields)
        changed = self._git.run("diff-index", "-z", "--name-only", "--no-renames", old, "--", *_named(delta)).fields
        for path in changed:
            # An entry whose stat data is out of date reads as changed: its content says whether it is.
            if path in delta and path not in obstacles and not self._holds(path, delta[path].old):
                obstacles.add(path)
        return tuple(sorted(obstacles))

    def _holds(self, path: str, side: Side | None) -> bool:
        """Return True where the file at ``path`` equals ``side``, line-end conversion included."""
        place = self.path / path
        if side is None or side.mode in (_LINK, _SUBMODULE) or place.is_symlink() or not place.is_file():
            return False
        same_mode = os.access(place, os.X_OK) == (side.mode == "100755")
        return same_mode and self._git.text("hash-object", "--path", path, "--", str(place)) == side.id

    # -- moving -------------------------------------------------------------------------------------------------

    def move(self, old: CommitId, new: CommitId, *, refresh: bool = False) -> None:
        """Git's own two-tree move, which looks at everything before it touches anything.

        ``refresh``: bring the stat data of the index up to date first; what is out of date reads as a change.
        """
        with self._copied_index() as git:
            if refresh:
                git.run("update-index", "-q", "--refresh", ok=(0, 1))
            git.run("read-tree", "-m", "-u", old, new)
            self._publish()

    def finish(self, old: CommitId, new: CommitId, delta: Mapping[str, Change]) -> tuple[str, ...]:
        """Write what an interrupted move may have left; return the paths that hold the user's own content."""
        foreign = [path for path in delta if not self._is_ours(path, delta, new)]
        with self._copied_index() as git:
            git.run("read-tree", "-i", "-m", old, new)  # the index alone; the files follow below
            for path, change in delta.items():
                if change.new is None and path not in foreign:
                    _remove(self.path, path)
            skipped = {row[2:] for row in git.run("ls-files", "-t", "-z").fields if row.startswith("S ")}
            skipped.update(foreign)
            written = [path for path, change in delta.items() if change.new is not None and path not in skipped]
            script = b"".join(os.fsencode(path) + b"\0" for path in written)
            git.run("checkout-index", "-f", "-u", "-z", "--stdin", stdin=script)
            self._publish()
        return tuple(sorted(foreign))

    def _is_ours(self, path: str, delta: Mapping[str, Change], new: CommitId) -> bool:
        """Return True where the file on disk can come from the old checkout or from the unfinished move."""
        place, change = self.path / path, delta[path]
        for parent in _lineage(self.path, path)[:-1]:
            if parent.is_symlink() or parent.is_file():  # judged itself, if the move is to take it away
                return change.new is None or str(parent.relative_to(self.path)) in delta
        if not os.path.lexists(place):
            return True
        if _SUBMODULE in {side.mode for side in (change.old, change.new) if side}:
            return True  # git never writes into a submodule here
        if place.is_dir() and not place.is_symlink():
            return change.new is None or _holds_only(self.path, place, delta)
        if place.is_symlink():
            target = os.fsencode(place.readlink())
            links = [side for side in (change.old, change.new) if side and side.mode == _LINK]
            return any(self._git.run("cat-file", "blob", side.id).stdout == target for side in links)
        return self._content_is_ours(path, change, new)

    def _content_is_ours(self, path: str, change: Change, new: CommitId) -> bool:
        place = self.path / path
        if not stat.S_ISREG(place.lstat().st_mode):
            return False  # a pipe: git would wait for its content
        clean = self._git.text("hash-object", "--path", path, "--", str(place))
        if clean in {side.id for side in (change.old, change.new) if side and side.mode != _LINK}:
            return True
        if change.new is None or change.new.mode == _LINK:
            return False
        whole = self._git.run("cat-file", "--filters", f"{new}:{path}").stdout
        content = read_regular(place, most=len(whole) + 1)
        return content is not None and whole.startswith(content)

    # -- the index ----------------------------------------------------------------------------------------------

    @contextmanager
    def _copied_index(self) -> Iterator[Git]:
        """Git over a copy of the index; the copy goes unless it was published."""
        # Left by a killed run: only orchestra uses this name.
        self._private.with_name(f"{self._private.name}.lock").unlink(missing_ok=True)
        shutil.copy2(self._index, self._private)
        try:
            yield self._git.with_env(GIT_INDEX_FILE=str(self._private))
        finally:
            self._private.unlink(missing_ok=True)

    def _publish(self) -> None:
        self._private.replace(self._index)
        sync_filesystem(self.path)  # before the caller forgets that this move was under way

    def is_marked(self) -> bool:
        """Return True where a killed run of orchestra left its lock."""
        return read_regular(self._lock) == _NOTE

    def require_unlocked(self, deadline: float | None = None) -> None:
        """Wait for a short git of another program (editors run ``git status`` all the time).

        Raises GroundError at ``deadline``, monotonic seconds; by default a few seconds from now.
        """
        last = time.monotonic() + _PATIENCE_S if deadline is None else deadline
        while self._lock.exists() and not self.is_marked():
            if time.monotonic() > last:
                raise GroundError(
                    f"another git runs in {self.path}, or died there and left {self._lock}",
                    hint="if no git runs there, delete that file and run the command again",
                )
            time.sleep(_LOOK_AGAIN_S)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold git's lock of this index, with our note in it; the lock of a killed run is taken over."""
        deadline = time.monotonic() + _PATIENCE_S
        while not self.is_marked():
            try:
                with self._lock.open("xb") as file:
                    file.write(_NOTE)
            except FileExistsError:
                self.require_unlocked(deadline)
        try:
            yield
        finally:
            self._lock.unlink()  # a failure releases it as well: only a kill leaves the note


# -- what is in the way ------------------------------------------------------------------------------------------


def _named(delta: Mapping[str, Change]) -> tuple[str, ...]:
    """The paths as arguments, or none where they are too many: then git is asked about all."""
    return tuple(delta) if len(delta) <= _MOST_PATHS else ()


def _untracked_in_the_way(worktree: Path, delta: Mapping[str, Change]) -> Iterator[str]:
    """Files that a new path would replace: read-tree spares only those that are not ignored."""
    for path, change in delta.items():
        if change.old is not None or change.new is None:
            continue
        for place in _lineage(worktree, path):
            name = str(place.relative_to(worktree))
            is_folder = place.is_dir() and not place.is_symlink()
            if name != path and (is_folder or (name in delta and delta[name].old is not None)):
                continue  # a folder that stays, or a file of the old commit that gives way to a folder
            if os.path.lexists(place) and not (is_folder and _holds_only(worktree, place, delta)):
                yield name
                break


def _lineage(worktree: Path, path: str) -> list[Path]:
    """The folders on the way to a path, outermost first, and the path itself."""
    parts = path.split("/")
    return [worktree.joinpath(*parts[: n + 1]) for n in range(len(parts))]


def _holds_only(worktree: Path, folder: Path, delta: Mapping[str, Change]) -> bool:
    """Return True where the move removes every file below ``folder``."""
    files = [place for place in folder.rglob("*") if place.is_symlink() or not place.is_dir()]
    removed = (delta.get(str(place.relative_to(worktree))) for place in files)
    return all(change is not None and change.new is None for change in removed)


def _remove(worktree: Path, path: str) -> None:
    place = worktree / path
    if any(parent.is_symlink() or parent.is_file() for parent in _lineage(worktree, path)[:-1]):
        return
    if place.is_symlink() or place.is_file():
        place.unlink()
    for folder in reversed(_lineage(worktree, path)[:-1]):
        try:
            folder.rmdir()
        except OSError:  # not empty, or gone already
            break
