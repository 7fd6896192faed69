"""Resolves conflicts by syntax with the program mergiraf (mergiraf.org), one process for each file.

Its command line: ``mergiraf merge BASE LEFT RIGHT --output OUT --path-name PATH``; it exits with 0 when nothing is
left, with 1 when conflict markers are. Invariant: it sees copies in a folder of its own and nothing of the repository,
with a time limit; what it says is checked, not believed. Refuses: a result that is missing, no plain file, longer than
all that went in, or no text; and files whose line ends are mixed, since it writes one kind throughout.
"""

from __future__ import annotations

import os
import secrets
import shlex
import shutil
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from orchestra.candidates.resolution.proposal import Question, Side
from orchestra.engine.job import JobId, Outcome, shell_job
from orchestra.engine.local import run

PROGRAM = "mergiraf"
LIMIT_S = 60.0  # its own limit is 10 s, after which it falls back to a merge of lines
_GRACE_S = 1.0
_SPARE = 4096  # bytes that a result may have beyond what went in


def merge_syntax(question: Question, log: Path, limit_s: float = LIMIT_S) -> Mapping[str, bytes]:
    """Path -> the merged file, for those that it merges whole within ``limit_s`` each. What it says goes to ``log``."""
    program = shutil.which(PROGRAM)
    if program is None:
        return {}
    merged = {path: _merge(program, path, sides, log, limit_s) for path, sides in question.sides.items()}
    return {path: text for path, text in merged.items() if text is not None}


def is_installed() -> bool:
    return shutil.which(PROGRAM) is not None


def _merge(program: str, path: str, sides: tuple[Side, Side, Side], log: Path, limit_s: float) -> bytes | None:
    ends = {end for side in sides for end in [_line_end(side.data)] if end != b""}
    if len(ends) > 1 or None in ends:
        return None
    with TemporaryDirectory(prefix="orchestra-") as folder:
        place = Path(folder)
        names = [place / name for name in ("base", "left", "right")]
        for file, side in zip(names, sides, strict=True):
            file.write_bytes(side.data)
        out = place / "out"
        argv = [program, "merge", *map(str, names), "--output", str(out), f"--path-name={path}"]
        log.parent.mkdir(parents=True, exist_ok=True)
        job = JobId(f"mergiraf-{secrets.token_hex(4)}")
        merge = shell_job(job, shlex.join(argv), place, _environment(place), log, timeout_s=limit_s)
        ended = run(merge, grace_s=_GRACE_S)
        text = _result(out, _SPARE + sum(len(side.data) for side in sides))
    if ended.outcome is not Outcome.PASSED or text is None:
        return None
    return text.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n") if ends == {b"\r\n"} else text


def _environment(place: Path) -> dict[str, str]:
    """Its cache of attempts goes with the folder."""
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(place),
        "XDG_CACHE_HOME": str(place / "cache"),
        "TMPDIR": str(place),
        "LC_ALL": "C.UTF-8",
    }


def _result(out: Path, most: int) -> bytes | None:
    """What it wrote, if that is a text file of a sane size."""
    if out.is_symlink() or not out.is_file() or out.stat().st_size > most:
        return None
    text = out.read_bytes()
    try:
        text.decode("utf-8")
    except UnicodeDecodeError:
        return None
    return text


def _line_end(data: bytes) -> bytes | None:
    """How lines end; nothing where there is but one, None where it varies."""
    ends = data.count(b"\n")
    with_return = data.count(b"\r\n")
    if not ends:
        return b""
    return b"\n" if with_return == 0 else b"\r\n" if with_return == ends else None
