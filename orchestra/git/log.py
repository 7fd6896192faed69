"""What commits say and what they change: the reading that a reviewer does.

Invariant: reads only, by full object names. Commits are read with GitPython, opened and closed for each call, since a
``Repo`` holds two git processes and six descriptors. It cannot read SHA-256 objects: those git itself describes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from orchestra.git.refs import CommitId
from orchestra.git.repository import Repository

_SHA256_DIGITS = 64
_DIFF = ("--no-ext-diff", "--no-textconv", "--no-color", "--find-renames", "--ignore-submodules=none")


# Id, subject, author, seconds, and the trailers with their keys and values between characters that no text holds.
_COMMIT = "%H%x00%s%x00%an <%ae>%x00%at%x00%(trailers:only,unfold,separator=%x1e,key_value_separator=%x1f)"


@dataclass(frozen=True, slots=True)
class CommitInfo:
    """One commit: ``authored_at`` is a POSIX timestamp, ``trailers`` the (key, value) pairs of its message."""

    id: CommitId
    subject: str
    author: str
    authored_at: float
    trailers: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class FileChange:
    """Lines added and removed in one path; None for a binary file. ``renamed_from`` where git sees a rename."""

    path: str
    added: int | None
    removed: int | None
    renamed_from: str | None = None


def commits(repository: Repository, since: CommitId, until: CommitId) -> tuple[CommitInfo, ...]:
    """Return the commits of ``until`` that ``since`` lacks, oldest first."""
    if len(until) == _SHA256_DIGITS:
        return _describe_commits(repository, since, until)
    from git import Repo  # 90 ms, and only a review reads commits

    walk = repository.git.run("rev-list", "--topo-order", "--reverse", f"{since}..{until}", "--")
    with Repo(repository.home) as repo:
        # GitPython passes the caller's environment on: what would redirect its git is put right.
        common_dir = str(repository.common_dir)
        repo.git.update_environment(
            GIT_DIR=common_dir, GIT_COMMON_DIR=common_dir, GIT_OBJECT_DIRECTORY=f"{common_dir}/objects"
        )
        return tuple(
            CommitInfo(
                CommitId(commit.hexsha),
                str(commit.summary),
                f"{commit.author.name} <{commit.author.email}>",
                float(commit.authored_date),
                tuple(commit.trailers_list),
            )
            for commit in map(repo.commit, walk.lines)
        )


def _describe_commits(repository: Repository, since: CommitId, until: CommitId) -> tuple[CommitInfo, ...]:
    words = ("log", "--topo-order", "--reverse", "-z", "--encoding=UTF-8", f"--format={_COMMIT}")
    fields = iter(repository.git.run(*words, f"{since}..{until}", "--").fields)
    return tuple(
        CommitInfo(CommitId(commit), subject, author, float(seconds or 0), _trailers(trailers))
        for commit, subject, author, seconds, trailers in zip(*[fields] * 5, strict=True)
    )


def changes(repository: Repository, before: CommitId, after: CommitId) -> tuple[FileChange, ...]:
    """The files that differ between two commits, with line counts and renames, sorted by path."""
    out = repository.git.run("diff", "--numstat", "-z", *_DIFF, before, after, "--")
    return tuple(sorted(_numstat(out.fields), key=lambda change: change.path))


def patch(repository: Repository, before: CommitId, after: CommitId, *, leave_out: Sequence[str] = ()) -> str:
    """The unified diff between two commits, without the paths in ``leave_out``."""
    spec = [":(top)", *(f":(top,exclude,literal){path}" for path in leave_out)]
    return repository.git.text("diff", *_DIFF, before, after, "--", *spec)


def _trailers(text: str) -> tuple[tuple[str, str], ...]:
    pairs = (item.partition("\x1f") for item in text.split("\x1e") if item)
    return tuple((key.strip(), value.strip()) for key, _, value in pairs)


def _numstat(fields: Sequence[str]) -> list[FileChange]:
    rows, remaining = [], iter(fields)
    for field in remaining:
        added, removed, path = field.split("\t", 2)
        source = None if path else next(remaining)  # a rename: an empty path, then old and new
        target = path or next(remaining)
        rows.append(FileChange(target, _count(added), _count(removed), source))
    return rows


def _count(text: str) -> int | None:
    return None if text == "-" else int(text)
