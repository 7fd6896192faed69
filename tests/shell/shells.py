"""Every shell that is here, and scripts run in them as people run and source them."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

# -f and --norc style options are not needed: none of these reads a start-up file when it is not interactive.
_KNOWN = {
    "sh": ("sh",),
    "dash": ("dash",),
    "bash": ("bash",),
    "bash-posix": ("bash", "--posix"),
    "zsh": ("zsh", "-f"),
    "ksh": ("ksh",),
    "mksh": ("mksh",),
    "busybox": ("busybox", "ash"),
    "yash": ("yash",),
}
SHELLS = {name: argv for name, argv in _KNOWN.items() if shutil.which(argv[0])}


@dataclass(frozen=True)
class ScriptResult:
    """How a script ended. ``out`` and ``err`` are text, undecodable bytes as surrogates."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()


def run(
    shell: str, *words: str | Path, cwd: Path, env: Mapping[str, str] | None = None, stdin: str = "", ok: bool = True
) -> ScriptResult:
    """Run ``shell WORDS...`` in ``cwd``; ``env`` is laid over ours. ``ok`` False allows a failure."""
    import os

    argv = [*SHELLS[shell], *(str(word) for word in words)]
    done = subprocess.run(
        argv,
        cwd=cwd,
        env={**os.environ, **(env or {})},
        input=stdin.encode("utf-8", "surrogateescape"),
        capture_output=True,
        check=False,
    )
    end = ScriptResult(done.returncode, os.fsdecode(done.stdout), os.fsdecode(done.stderr))
    assert end.code == 0 or not ok, f"{argv} ended with {end.code}\n{end.out}\n{end.err}"
    return end
