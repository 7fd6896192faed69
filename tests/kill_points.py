"""Kill a command at every point where it changes something on disk, found by tracing, not by hooks in the product.

Python tells an audit hook (PEP 578) of each file opened for writing, each folder, link or name made, moved or removed,
and each process started. The hook is installed in the traced command alone, by a ``sitecustomize`` on its path; forked
writers inherit it, programs that it starts do not. The n-th event kills: the whole process group (as a power cut
or the OOM killer would) or the command alone (its git goes on without it).

    points = count_points(argv, cwd)
    run_killed(argv, cwd, point)           # 1 <= point <= points; then run argv again and look
    run_failing(argv, cwd, point, errno)   # the same points, but the operation fails with errno instead

Invariant: an event is counted before it happens, so that point N leaves exactly N - 1 of them done. Refuses to call a
run killed that ended by itself.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_HOOK = """
import os, signal, sys, time
_plan = os.environ.pop("ORCHESTRA_KILL", None)

def _install(log, point, group, late, error):
    CHANGES = {"os.rename", "os.remove", "os.rmdir", "os.link", "os.symlink", "os.truncate", "os.chmod"}
    READS = set("cat-file check-ignore check-ref-format diff diff-index diff-tree for-each-ref log ls-files ls-remote "
                "ls-tree merge-base rev-list rev-parse show show-ref status var version".split())
    WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
    STARTS = {"subprocess.Popen", "os.posix_spawn"}
    counter = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.set_inheritable(counter, False)
    owner = os.getpid()
    busy = []

    def end():
        if group:
            os.killpg(0, signal.SIGKILL)
        os.kill(owner, signal.SIGKILL)
        time.sleep(60)  # until the kill arrives; a forked writer dies with its owner

    def end_later():
        if os.fork() == 0:
            time.sleep(late)
            os.kill(owner, 0)
            end()

    def changes(event, args):
        # What only reads leaves the disk as it was: to be killed there is to be killed at the next point.
        if event == "open":
            path, _, flags = args
            return not isinstance(path, int) and flags & WRITES and str(path) not in ("/dev/null", "/dev/tty", log)
        if event == "os.mkdir":
            return not os.path.isdir(args[0])
        if event == "subprocess.Popen":
            argv = [str(word) for word in args[1]]
            words = [word for word, before in zip(argv, ["", *argv]) if not word.startswith("-") and before != "-c"]
            return words[0] != "git" or (words[1] not in READS and words[1:3] != ["worktree", "list"])
        return event in CHANGES or event in STARTS

    def hook(event, args):
        if busy:
            return
        busy.append(event)
        if not changes(event, args):
            busy.clear()
            return
        last = args[1][-6:] if event in STARTS else args[:2]
        what = f"{event} {last}"
        os.write(counter, (what.replace(chr(10), " ")[:199].ljust(199) + chr(10)).encode("ascii", "replace")[:200])
        reached = point and os.fstat(counter).st_size >= 200 * point
        if error:
            busy.clear()
            if reached and os.fstat(counter).st_size == 200 * point and event not in STARTS:
                raise OSError(error, os.strerror(error), str(args[0]) if args else None)
            return
        if reached:
            end_later() if late and event in STARTS else end()
        busy.clear()

    sys.addaudithook(hook)

if _plan is not None:
    import json
    _install(**json.loads(_plan))
"""


@dataclass(frozen=True)
class Run:
    """How a traced run went: ``points`` are the events that it came to, as ``event (arguments)``."""

    code: int
    points: tuple[str, ...]
    output: str

    def __str__(self) -> str:
        last = self.points[-1].strip() if self.points else "nothing"
        return f"exit {self.code} after {len(self.points)} points, the last: {last}\n{self.output}"


def count_points(argv: Sequence[str], cwd: Path, env: Mapping[str, str] | None = None) -> int:
    """How many points an undisturbed run of ``argv`` has. It must succeed."""
    run = _trace(argv, cwd, env, point=0)
    assert run.code == 0, run
    return len(run.points)


def find_point(argv: Sequence[str], cwd: Path, event: str, part: str) -> int:
    """Return the number of the first point of an undisturbed run that is ``event`` and whose text contains ``part``."""
    run = _trace(argv, cwd, None, point=0)
    assert run.code == 0, run
    return next(n for n, text in enumerate(run.points, 1) if text.startswith(event) and part in text)


def run_killed(
    argv: Sequence[str],
    cwd: Path,
    point: int,
    group: bool = True,
    *,
    late_s: float = 0.0,
    env: Mapping[str, str] | None = None,
) -> Run | None:
    """Run ``argv`` and kill it at ``point``; None when it ended, well, before it came there.

    ``late_s``: where the point is the start of a program, kill that many seconds after it, in the middle of its work.
    """
    run = _trace(argv, cwd, env, point=point, group=group, late_s=late_s)
    if run.code == 0:
        return None
    assert run.code == -signal.SIGKILL, run
    return run


def run_failing(argv: Sequence[str], cwd: Path, point: int, error: int, *, env: Mapping[str, str] | None = None) -> Run:
    """Run ``argv``; its operation number ``point`` fails with the errno ``error``. Starts of programs do not fail."""
    return _trace(argv, cwd, env, point=point, error=error)


def chosen_points(count: int, sample: int) -> list[int]:
    """All points with ORCHESTRA_ALL_POINTS=1, else the first, the last and a random choice whose seed is printed."""
    if os.environ.get("ORCHESTRA_ALL_POINTS") or count <= sample:
        return list(range(1, count + 1))
    seed = os.environ.get("ORCHESTRA_POINTS_SEED") or str(random.SystemRandom().randrange(10**6))
    print(f"{sample} of {count} points: ORCHESTRA_POINTS_SEED={seed} takes these again, ORCHESTRA_ALL_POINTS=1 all")
    chosen = random.Random(seed).sample(range(2, count), sample - 2)  # noqa: S311 - a sample
    return [1, *sorted(chosen), count]


def _trace(
    argv: Sequence[str],
    cwd: Path,
    env: Mapping[str, str] | None,
    *,
    point: int,
    group: bool = True,
    late_s: float = 0.0,
    error: int = 0,
) -> Run:
    import json

    with tempfile.TemporaryDirectory(prefix="kill-points-") as folder:
        Path(folder, "sitecustomize.py").write_text(_HOOK, "utf-8")
        log = Path(folder, "events")
        plan = {"log": str(log), "point": point, "group": group, "late": late_s, "error": error}
        path = os.pathsep.join([folder, *filter(None, [os.environ.get("PYTHONPATH")])])
        around = {**os.environ, **(env or {}), "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}
        around["ORCHESTRA_KILL"] = json.dumps(plan)
        output = Path(folder, "output")
        with output.open("wb") as file:  # a file, not a pipe: a git that lives on must not hold us up
            done = subprocess.run(
                [*argv],
                cwd=cwd,
                env=around,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                start_new_session=True,
                check=False,
            )
        events = log.read_text("ascii", "replace").splitlines() if log.exists() else []
        return Run(done.returncode, tuple(events), output.read_text("utf-8", "replace"))


PYTHON = sys.executable
