"""The files and the index of fresh worktrees: one by git's own checkout, its twins as copies of it.

What git writes for a commit, filters, line ends and LFS included, is the same in every worktree of a repository, so
that one checkout can be copied by as many writer processes as there are cores, and each copy's index written with
the copy's own stat data: 3.5 to 4.3 times as fast as serial checkouts. A copy keeps the times of its original, so
that no entry is racily clean and the first ``git status`` reads no file.

Invariant: a copied worktree is what git's checkout would have made, or it is made by git's checkout: an index that
is not plain (``index_file``), a source changed since its checkout or a name that the file system folds with
another are never copied. Writers die with their owner, so none is left writing when a command is killed.
Refuses: folders that hold anything but ``.git``.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISLNK, S_IXUSR

from orchestra.git.fork_pool import run_forked
from orchestra.git.git_process import Git
from orchestra.git.index_file import GITLINK, IndexFile, parse_index
from orchestra.git.refs import CommitId

_KEEP_BYTES = 64 << 20  # of file contents that one writer holds in memory to write them again
_WHOLE = 1 << 20  # bytes: bigger files are copied in the kernel, file by file
# An index of the plain kind, whatever feature.manyFiles says: an untracked cache names the folder where it was
# made, and these are renamed afterwards (git would warn in every status).
_PLAIN_INDEX = {"index.version": "2", "core.untrackedCache": "false", "core.splitIndex": "false"}


@dataclass(frozen=True, slots=True)
class EmptyWorktree:
    """A registered worktree without files: its folder, its admin folder (``<common>/worktrees/<id>``), its commit."""

    folder: Path
    admin: Path
    commit: CommitId


def check_out(git: Git, commit: CommitId) -> None:
    """Index and files of an empty worktree, by git itself: filters, line ends, sparse patterns and all."""
    git.with_config(_PLAIN_INDEX).run("read-tree", "-m", "-u", commit)


def check_out_all(twins: Sequence[EmptyWorktree]) -> Generator[EmptyWorktree, None, None]:
    """Populate worktrees; each is yielded when it is whole, the first one last: until then it is the source.

    Raises DiskFull or GitError; what was yielded before is whole, of the others nothing is known. Close it when you
    stop early: its writers are ended then.
    """
    by_commit: dict[CommitId, list[EmptyWorktree]] = {}
    for twin in twins:
        by_commit.setdefault(twin.commit, []).append(twin)
    for first, *targets in by_commit.values():
        check_out(Git(first.folder), first.commit)
        unfinished = set(range(len(targets)))
        with closing(_copies(first, targets)) as copied:
            for number in copied:
                unfinished.discard(number)
                yield targets[number]
        yield from _check_out_each([targets[number] for number in sorted(unfinished)])
        yield first


def _check_out_each(empties: Sequence[EmptyWorktree]) -> Iterator[EmptyWorktree]:
    """Run git's own checkout, as many at once as there are cores: each has its own index and folder."""
    if not empties:
        return

    def again(empty: EmptyWorktree) -> None:
        clear(empty.folder)  # a copy that was given up may have left files
        check_out(Git(empty.folder), empty.commit)

    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        for empty, _ in zip(empties, pool.map(again, empties), strict=True):
            yield empty


def clear(folder: Path) -> None:
    """Remove all but ``.git`` from a worktree that is not in use yet. Links are removed, never followed."""
    import shutil

    for child in os.scandir(folder):
        if child.name == ".git":
            continue
        if child.is_dir(follow_symlinks=False):
            shutil.rmtree(child.path)
        else:
            os.unlink(child.path)  # noqa: PTH108 - as scandir gave it


def _copies(source: EmptyWorktree, targets: Sequence[EmptyWorktree]) -> Generator[int, None, None]:
    """Copy ``source`` into the others, yielding the number of each that is whole; those not yielded are git's."""
    if not targets:
        return
    index = parse_index((source.admin / "index").read_bytes(), len(source.commit) // 2)
    if index is None:
        return
    copier = _Copier(os.fsencode(source.folder) + b"/", index)
    yield from run_forked(len(targets), lambda number: copier.copy(targets[number]), source.folder)


class _Unlike(Exception):  # noqa: N818 - a signal inside this module
    """The source is not what its index says."""


@dataclass(frozen=True, slots=True)
class _Content:
    data: bytes
    times: tuple[int, int]
    mode: int


class _Copier:
    """Writes copies of one worktree. Works in a writer process, which keeps up to ``_KEEP_BYTES`` of contents."""

    def __init__(self, source: bytes, index: IndexFile) -> None:
        self._source = source
        self._index = index
        self._kept: dict[bytes, _Content] = {}
        self._room = _KEEP_BYTES
        self._folders = _folders(index.paths)

    def copy(self, target: EmptyWorktree) -> bool:
        """Make ``target`` whole; False where only git's checkout is right. OSError as the file system raises it."""
        folder = os.fsencode(target.folder) + b"/"
        try:
            for name in self._folders:
                os.mkdir(folder + name)  # noqa: PTH102 - bytes, and a hundred thousand of them
            stats = [self._copy_entry(number, folder) for number in range(len(self._index.paths))]
        except (FileExistsError, _Unlike):
            return False
        draft = target.admin / "index.lock"
        with draft.open("xb") as file:
            file.write(self._index.with_stats(stats))
        draft.replace(target.admin / "index")
        return True

    def _copy_entry(self, number: int, folder: bytes) -> os.stat_result | None:
        path = self._index.paths[number]
        if self._index.modes[number] == GITLINK:
            os.mkdir(folder + path)  # noqa: PTH102
            return None  # git compares a submodule's commit, never its stat data
        if (content := self._kept.get(path)) is not None:
            return _write(folder + path, content)
        original = self._source + path
        facts = os.lstat(original)
        if not self._index.describes(number, facts):
            raise _Unlike
        times = (facts.st_mtime_ns, facts.st_mtime_ns)
        if S_ISLNK(facts.st_mode):
            os.symlink(os.readlink(original), folder + path)  # noqa: PTH115, PTH211
            os.utime(folder + path, ns=times, follow_symlinks=False)
            return os.lstat(folder + path)
        mode = 0o777 if facts.st_mode & S_IXUSR else 0o666
        if facts.st_size > _WHOLE:
            return _copy_big(original, folder + path, _Content(b"", times, mode))
        with open(original, "rb", buffering=0) as file:  # noqa: PTH123
            content = _Content(file.read(), times, mode)
        if len(content.data) <= self._room:
            self._room -= len(content.data)
            self._kept[path] = content
        return _write(folder + path, content)


def _folders(paths: Sequence[bytes]) -> list[bytes]:
    """Every folder that the paths need, outer ones first."""
    folders: set[bytes] = set()
    for path in paths:
        folder = path.rpartition(b"/")[0]
        while folder and folder not in folders:
            folders.add(folder)
            folder = folder.rpartition(b"/")[0]
    return sorted(folders)


_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0)


def _write(path: bytes, content: _Content) -> os.stat_result:
    file = os.open(path, _NEW, content.mode)
    try:
        data = content.data
        written = os.write(file, data)
        while written < len(data):
            written += os.write(file, memoryview(data)[written:])
        os.utime(file, ns=content.times)
        return os.fstat(file)
    finally:
        os.close(file)


def _copy_big(source: bytes, target: bytes, content: _Content) -> os.stat_result:
    """In pieces, shared where the file system can (copy_file_range clones on btrfs and XFS)."""
    with open(source, "rb", buffering=0) as original:  # noqa: PTH123
        file = os.open(target, _NEW, content.mode)
        try:
            _pour(original.fileno(), file)
            os.utime(file, ns=content.times)
            return os.fstat(file)
        finally:
            os.close(file)


def _pour(source: int, target: int) -> None:
    try:
        while hasattr(os, "copy_file_range") and os.copy_file_range(source, target, 1 << 30):
            pass
    except OSError as error:
        if error.errno not in (errno.EXDEV, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL):
            raise
    while piece := os.read(source, 1 << 20):  # the rest: all of it where the kernel does not copy
        data = memoryview(piece)
        while data:
            data = data[os.write(target, data) :]
