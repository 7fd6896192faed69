"""Every error that orchestra expects, and the exit code each one ends a command with.

    OrchestraError            3   something expected to work did not
    +-- Shortfall             1   the work fell short: a gate failed, a conflict, an agent was evicted
    +-- UsageError            2   what was typed is wrong
    |   +-- BlueprintError    2   what was written is wrong; carries every Problem at once
    +-- GroundError           3   the ground is wrong: repository, machine, permissions
        +-- GitError          3   a git command failed; carries argv, exit code and stderr
        +-- MovedError        3   a ref was not where a compare-and-swap expected it
        +-- LockHeld          3   another orchestra command works here; names its process
        +-- DiskFull          3   no space left; names the path

An error says three things: what is wrong, where, and (``hint``) how to fix it. Any other exception is a bug of
orchestra: its traceback goes to a log file whose path is printed, exit code 3.
"""

from __future__ import annotations

import errno
import os
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path


class ExitCode(IntEnum):
    """The exit codes of every command."""

    DONE = 0  # everything asked for is done
    SHORT = 1  # the work fell short
    WRONG_INPUT = 2  # usage or blueprint
    WRONG_GROUND = 3  # the ground is wrong, or something unexpected happened
    INTERRUPTED = 130  # SIGINT


class OrchestraError(Exception):
    """An expected failure: ``message`` is one sentence a person can act on, ``hint`` the fix, if there is one."""

    exit_code: ExitCode = ExitCode.WRONG_GROUND

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class Shortfall(OrchestraError):  # noqa: N818 - the field's word is not an "Error"
    """The work fell short: a gate failed, a conflict, an agent was evicted."""

    exit_code = ExitCode.SHORT


class UsageError(OrchestraError):
    """What was typed is wrong."""

    exit_code = ExitCode.WRONG_INPUT


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One thing wrong with a blueprint, at a place. Lines and columns count from 1."""

    file: Path
    line: int
    column: int
    message: str
    hint: str | None = None

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}: {self.message}"
        return f"{place}\n    hint: {self.hint}" if self.hint else place


class BlueprintError(UsageError):
    """What was written is wrong. ``problems`` is never empty and is sorted by file, line, column."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(sorted(problems, key=lambda p: (str(p.file), p.line, p.column, p.message)))
        super().__init__("\n".join(str(problem) for problem in self.problems))


class GroundError(OrchestraError):
    """The ground is wrong: the repository, the machine or its permissions do not allow what was asked."""


class GitError(GroundError):
    """A git command failed. ``argv`` is what ran, ``code`` its exit code (negative: killed by that signal).

    ``message`` None: the command and the last line of its standard error.
    """

    def __init__(
        self, argv: Sequence[str], code: int, stderr: str, *, message: str | None = None, hint: str | None = None
    ) -> None:
        self.argv = tuple(argv)
        self.code = code
        self.stderr = stderr.strip()
        last = self.stderr.splitlines()[-1] if self.stderr else "no message"
        super().__init__(message or f"git {' '.join(self.argv)} failed with {code}: {last}", hint=hint)


class MovedError(GroundError):
    """A compare-and-swap found ``ref`` elsewhere: ``expected`` and ``actual`` are commit ids (actual None: absent)."""

    def __init__(self, ref: str, expected: str | None, actual: str | None) -> None:
        self.ref, self.expected, self.actual = ref, expected, actual
        super().__init__(f"{ref} is at {actual or 'nothing'}, not at {expected or 'nothing'} as expected")


class LockHeld(GroundError):  # noqa: N818
    """Another orchestra command works here. ``holder`` says which: pid, command, since when."""

    def __init__(self, resource: str, holder: str) -> None:
        self.holder = holder
        super().__init__(
            f"{resource} is held by {holder}",
            hint="Wait for it to finish, or stop it. A lock left by a dead process is ignored.",
        )


class DiskFull(GroundError):  # noqa: N818
    """No space left on the device that holds ``path``."""

    def __init__(self, path: Path) -> None:
        self.path = path
        super().__init__(
            f"no space left on the device that holds {path}",
            hint=FREE_SPACE,
        )


FREE_SPACE = "Free some space and run the same command again: it resumes where it stopped."
NO_SPACE = (errno.ENOSPC, errno.EDQUOT)


def disk_error_hint(error: OSError, path: object) -> str:
    """Return what a person can do about the file system's refusal to read or write ``path``."""
    place = shlex.quote(os.fspath(path) if isinstance(path, os.PathLike) else str(path))
    if error.errno == errno.EROFS:
        return f"the file system is read-only: mount it writable (findmnt -T {place} shows it), then repeat the command"
    if error.errno in (errno.EACCES, errno.EPERM):
        return f"get the right to it (ls -ld {place} shows its owner), then repeat the command"
    return "fix that, and run the same command again to continue"


def as_ground_error(error: OSError, where: Path) -> GroundError:
    """Return the error to show for a file system's refusal while working on ``where``."""
    if error.errno in NO_SPACE:
        return DiskFull(where)
    path = error.filename or where
    about = "" if str(path) == str(where) else f" ({path})"
    return GroundError(f"cannot write {where}: {error.strerror}{about}", hint=disk_error_hint(error, path))
