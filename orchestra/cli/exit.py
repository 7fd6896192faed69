"""Turn an exception at the end of a command into a message and an exit code.

Invariant: what leaves ``orderly_end`` is nothing or a SystemExit with a documented code. A traceback goes to a log
file whose path is printed.
"""

from __future__ import annotations

import errno
import os
import platform
import select
import sys
import tempfile
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import NoReturn

from orchestra import __version__
from orchestra.cli.command_line import CommandLineError
from orchestra.cli.console import Tone, print_note
from orchestra.errors import (
    FREE_SPACE,
    NO_SPACE,
    BlueprintError,
    DiskFull,
    ExitCode,
    GroundError,
    OrchestraError,
    disk_error_hint,
)

READER_LEFT = 141  # 128 + SIGPIPE, as for any filter whose reader went away: `orchestra status | head -1`

# Errors of the machine, not of orchestra: a damaged disk, a stale mount, missing rights, too many open files.
_MACHINE = (
    *(errno.EACCES, errno.EPERM, errno.EROFS, errno.EIO, errno.ESTALE, errno.EBUSY),
    *(errno.EMFILE, errno.ENFILE, errno.ENAMETOOLONG, errno.ELOOP, errno.ENOTDIR, errno.EISDIR),
)


@contextmanager
def orderly_end() -> Iterator[None]:
    """Turn an exception inside into a message on standard error and a SystemExit with its exit code."""
    try:
        yield
        sys.stdout.flush()  # a closed pipe or a full disk fails here and not at exit
    except KeyboardInterrupt:
        print_note("Interrupted. Run the same command again to continue.", Tone.WAITING)
        _end(ExitCode.INTERRUPTED)
    except BrokenPipeError as error:
        _end(READER_LEFT if _reader_left() else _unexpected(error))
    except Exception as error:  # noqa: BLE001 - the one handler of everything
        _end(_explain(error))


def command_name() -> str:
    """Return what the person typed to start this program: ``orchestra``, or ``inv``."""
    started = Path(sys.argv[0])
    return "inv" if started.name in ("tasks.py", "inv", "invoke") or started.parent.name == "invoke" else "orchestra"


def log_folder() -> Path:
    """Return the folder for logs of unexpected errors; it may not exist yet."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "orchestra" / "logs"


def _end(code: int) -> NoReturn:
    """Exit with this code, without buffered text whose flush would fail again when Python shuts down."""
    try:
        sys.stdout.flush()
    except OSError:
        discarding = os.open(os.devnull, os.O_WRONLY)
        os.dup2(discarding, sys.stdout.fileno())
        os.close(discarding)
    raise SystemExit(int(code)) from None


def _explain(error: Exception) -> ExitCode:
    expected = _expected(error)
    if expected is None:
        return _unexpected(error)
    # A blueprint's problems begin with file:line:column, so that editors can jump there.
    prefix = "" if isinstance(expected, BlueprintError) else "error: "
    print_note(f"{prefix}{expected.message}", Tone.BAD)
    if expected.hint:
        print_note(f"hint: {expected.hint}")
    if isinstance(expected, CommandLineError):
        print_note(f"usage: {command_name()} {expected.usage}")
    return expected.exit_code


def _expected(error: Exception) -> OrchestraError | None:
    """Return the error as an OrchestraError, or None where it is unexpected."""
    if isinstance(error, OrchestraError):
        return error
    if isinstance(error, OSError) and error.errno in NO_SPACE:
        path = error.filename
        return DiskFull(Path(path)) if path else GroundError("no space left on the device", hint=FREE_SPACE)
    if isinstance(error, OSError) and error.errno in _MACHINE and error.filename:
        return GroundError(f"{error.strerror}: {error.filename}", hint=disk_error_hint(error, error.filename))
    return None


def _unexpected(error: Exception) -> ExitCode:
    report = _report(error)
    print_note(f"error: something unexpected happened: {type(error).__name__}: {error}", Tone.BAD)
    log = _write_log(report)
    print_note(f"hint: the traceback is in {log}; please attach it to a bug report" if log else report)
    return ExitCode.WRONG_GROUND


def _report(error: Exception) -> str:
    facts = (
        f"orchestra {__version__}",
        f"python {platform.python_version()} on {platform.platform()}",
        f"arguments {sys.argv!r}",
        f"folder {os.environ.get('PWD', '?')}",
    )
    return "\n".join(facts) + "\n\n" + "".join(traceback.format_exception(error))


def _write_log(report: str) -> Path | None:
    """Write the report where only its owner can read it; return None where no folder can be written."""
    name = f"{datetime.now(UTC):%Y%m%dT%H%M%S}-"
    for folder in (log_folder(), Path(tempfile.gettempdir())):
        with suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True)
            number, path = tempfile.mkstemp(prefix=name, suffix=".log", dir=folder)
            with os.fdopen(number, "w", encoding="utf-8", errors="backslashreplace") as file:
                file.write(report)
            return Path(path)
    return None


def _reader_left() -> bool:
    """Return whether standard output's reader closed it; any other broken pipe is an unexpected error."""
    try:
        number = sys.stdout.fileno()
    except (OSError, ValueError):
        return False
    poll = select.poll()
    poll.register(number, select.POLLOUT)
    return any(state & (select.POLLERR | select.POLLHUP) for _, state in poll.poll(0))
