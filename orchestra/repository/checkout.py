"""Bring a checkout of the target along after the target has moved, where nothing can be lost by it.

Steps of ``follow``: take ``index.lock`` with a note of ours in it; let ``git read-tree -m -u`` move the files by a copy
of the index; put the copy in the index's place; let the lock go. A kill in between leaves our note, so that the next
run knows whose lock it is, and which files are ours to finish: those that hold the old content, the new one, its
beginning (a write cut short) or nothing.

Invariant: a file that holds anything else is the user's: it is never written, and named. ``can_follow`` looks before
the target moves, so that nothing is in the way as a rule; what comes in the way afterwards stays as it is and shows up
as a change of the user's. Refuses: a checkout where another git works.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from orchestra.errors import GitError, GroundError
from orchestra.repository.delta import Change, Side, changes
from orchestra.repository.git import Git
from orchestra.repository.refs import CommitId

_NOTE = b"orchestra brings this checkout along\n"
_LINK, _SUBMODULE = "120000", "160000"


def can_follow(worktree: Path, old: CommitId, new: CommitId) -> tuple[str, ...]:
    """What keeps ``worktree`` from moving from ``old`` to ``new``, paths as a rule; nothing when it can follow.

    A dry run that changes nothing. Raises GroundError where the checkout cannot be read.
    """
    delta = changes(Git(worktree), old, new)
    if not _index(worktree).exists():
        return ("it has no index",)
    blocked = set(_untracked_in_the_way(worktree, delta))
    with _private_index(worktree) as git:
        blocked |= _changed(git, old) & set(delta)
        if blocked or not delta:
            return tuple(sorted(blocked))
        try:
            git.run("read-tree", "-m", "-u", "-n", old, new)
        except GitError as error:
            return (_reason(error),)
    return ()


def follow(worktree: Path, old: CommitId, new: CommitId, *, resume: bool = False) -> tuple[str, ...]:
    """Move the files and the index of ``worktree``, whose branch is already at ``new``, from ``old``.

    ``resume``: an earlier call may have been cut short here; finish it. Done twice it changes nothing. Returns the
    paths that hold the user's own content and were left alone. Raises GroundError where another git works.
    """
    delta = changes(Git(worktree), old, new)
    resume = resume or _lock_is_ours(_index(worktree).with_name("index.lock"))
    with _index_lock(worktree):
        if not delta or not _behind(worktree, delta):
            return ()
        if resume or can_follow(worktree, old, new):
            return _finish(worktree, old, new, delta)
        _move(worktree, old, new)
        return ()


def _move(worktree: Path, old: CommitId, new: CommitId) -> None:
    with _private_index(worktree) as git:
        git.run("read-tree", "-m", "-u", old, new)
        _publish(worktree)


def _finish(worktree: Path, old: CommitId, new: CommitId, delta: Mapping[str, Change]) -> tuple[str, ...]:
    """After a kill in the middle of a move: what is ours is made new, by our own hand; the rest is left alone."""
    foreign = [path for path in delta if not _is_ours(worktree, path, delta, new)]
    with _private_index(worktree) as git:
        git.run("read-tree", "-i", "-m", old, new)  # the index alone; the files follow below
        for path, change in delta.items():
            if change.new is None and path not in foreign:
                _remove(worktree, path)
        skipped = {row[2:] for row in git.run("ls-files", "-t", "-z").fields if row.startswith("S ")}
        skipped.update(foreign)
        written = [path for path, change in delta.items() if change.new is not None and path not in skipped]
        script = b"".join(os.fsencode(path) + b"\0" for path in written)
        git.run("checkout-index", "-f", "-u", "-z", "--stdin", stdin=script)
        _publish(worktree)
    return tuple(sorted(foreign))


def changed_among(worktree: Path, paths: Collection[str]) -> tuple[str, ...]:
    """Which of ``paths`` hold something in ``worktree`` that is not in its branch's tip: changed, staged, untracked."""
    options = ("--porcelain=v1", "-z", "--no-renames", "--untracked-files=all", "--ignored=matching")
    git = Git(worktree).with_env(GIT_OPTIONAL_LOCKS="0")
    rows = [row[3:] for row in git.run("status", *options).fields]
    files, folders = {row for row in rows if row[-1:] != "/"}, tuple(row for row in rows if row[-1:] == "/")
    below = {path for path in paths if path.startswith(folders) and os.path.lexists(worktree / path)}
    return tuple(sorted(files.intersection(paths) | below))


# -- what is in the way ------------------------------------------------------------------------------------------


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
    """Whether every file below is one that the move takes away."""
    files = [place for place in folder.rglob("*") if place.is_symlink() or not place.is_dir()]
    known = (delta.get(str(place.relative_to(worktree))) for place in files)
    return all(change is not None and change.new is None for change in known)


def _changed(git: Git, old: CommitId) -> set[str]:
    """Paths whose file or whose index entry is not as in ``old``. ``git`` has a refreshed index."""
    found: set[str] = set()
    for options in ((), ("--cached",)):
        found.update(git.run("diff-index", "-z", "--name-only", "--no-renames", *options, old, "--").fields)
    return found


def _behind(worktree: Path, delta: Mapping[str, Change]) -> bool:
    """Whether the index still holds the old side of any path of the move."""
    rows = Git(worktree).run("ls-files", "--stage", "-z", "--full-name").fields
    staged = {path: facts.split(" ")[:2] for facts, _, path in (row.partition("\t") for row in rows)}
    for path, change in delta.items():
        now = staged.get(path)
        if now != ([change.new.mode, change.new.id] if change.new else None):
            return True
    return False


def _is_ours(worktree: Path, path: str, delta: Mapping[str, Change], new: CommitId) -> bool:
    """Whether what is on disk can have come from the old checkout or from our unfinished move."""
    place, change = worktree / path, delta[path]
    for parent in _lineage(worktree, path)[:-1]:
        if parent.is_symlink() or parent.is_file():  # judged itself, if the move is to take it away
            return change.new is None or str(parent.relative_to(worktree)) in delta
    if not os.path.lexists(place):
        return True
    if _SUBMODULE in {side.mode for side in (change.old, change.new) if side}:
        return True  # git never writes into a submodule here
    if place.is_dir() and not place.is_symlink():
        return change.new is None or _holds_only(worktree, place, delta)
    if place.is_symlink():
        target = os.fsencode(place.readlink())
        return any(side.mode == _LINK and _blob(worktree, side) == target for side in (change.old, change.new) if side)
    return _content_is_ours(worktree, path, change, new)


def _content_is_ours(worktree: Path, path: str, change: Change, new: CommitId) -> bool:
    git = Git(worktree)
    clean = git.text("hash-object", "--path", path, "--", str(worktree / path))
    if clean in {side.id for side in (change.old, change.new) if side and side.mode != _LINK}:
        return True
    if change.new is None or change.new.mode == _LINK:
        return False
    whole = git.run("cat-file", "--filters", f"{new}:{path}").stdout
    return whole.startswith((worktree / path).read_bytes())


def _blob(worktree: Path, side: Side) -> bytes:
    return Git(worktree).run("cat-file", "blob", side.id).stdout


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


def in_the_way(worktree: Path, obstacles: Sequence[str]) -> GroundError:
    """What to say when ``can_follow`` found obstacles."""
    more = f" and {len(obstacles) - _SHOWN} more" if len(obstacles) > _SHOWN else ""
    return GroundError(
        f"{worktree} has work in the way of what lands: {', '.join(sorted(obstacles)[:_SHOWN])}{more}",
        hint=f"commit it or move it aside (git -C {worktree} stash --include-untracked), then run the command again",
    )


_SHOWN = 5


def _reason(error: GitError) -> str:
    lines = [line for line in error.stderr.splitlines() if line.startswith("error:")]
    return (lines[0] if lines else error.stderr).removeprefix("error: ").strip()


# -- the index -----------------------------------------------------------------------------------------------------


def _index(worktree: Path) -> Path:
    return Path(Git(worktree).text("rev-parse", "--path-format=absolute", "--git-path", "index"))


def _private(worktree: Path) -> Path:
    return _index(worktree).with_name("orchestra-index")


@contextmanager
def _private_index(worktree: Path) -> Iterator[Git]:
    """Git in ``worktree`` over a refreshed copy of its index; the copy goes unless it was published."""
    private = _private(worktree)
    private.with_name(private.name + ".lock").unlink(missing_ok=True)  # of a killed run; nobody else uses that name
    shutil.copy2(_index(worktree), private)
    git = Git(worktree).with_env(GIT_INDEX_FILE=str(private))
    try:
        git.run("update-index", "-q", "--refresh", ok=(0, 1))
        yield git
    finally:
        private.unlink(missing_ok=True)


def _publish(worktree: Path) -> None:
    _private(worktree).replace(_index(worktree))


@contextmanager
def _index_lock(worktree: Path) -> Iterator[None]:
    """Git's own lock of this index, with our note in it; one that a killed run of ours left is taken over."""
    lock = _index(worktree).with_name("index.lock")
    if not _lock_is_ours(lock):
        try:
            with lock.open("xb") as file:
                file.write(_NOTE)
        except FileExistsError:
            raise GroundError(
                f"another git works in {worktree}, or died there: {lock}",
                hint="when no git runs there, delete that file, and run the command again",
            ) from None
    try:
        yield
    finally:
        lock.unlink()  # a failure releases it as well: only a kill leaves the note


def _lock_is_ours(lock: Path) -> bool:
    try:
        return lock.read_bytes() == _NOTE
    except OSError:
        return False
