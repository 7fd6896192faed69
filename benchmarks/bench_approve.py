"""How long a person waits for fifteen approvals in one call, and for a completed word, each against its floor."""

from __future__ import annotations

import resource
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from ground import ORCHESTRA, git, make_repository, workplace, write_blueprint
from timing import Case, Side, compare, wall

TITLE = "Approve and complete: what a person waits for at the prompt"
AGENTS = 15
_REFS = "refs/orchestra/bench15/*/approved"
_TAB = (
    "eval \"$(cat {script})\"; COMP_WORDS=(orchestra review ''); COMP_CWORD=2; _orchestra; "
    "test ${{#COMPREPLY[@]}} -ge 15"
)


def measure(repeat: int) -> Iterator[Case]:
    """Fifteen approvals in one process, against fifteen refs written by git; a tab after ``review``, against bash."""
    with workplace() as folder:
        repository = make_repository(folder / "main", 236)
        blueprint = write_blueprint(folder / "bench.yaml", AGENTS)
        wall([ORCHESTRA, "spawn", f"--blueprint={blueprint}"], repository)
        names = [
            line.split("/")[3]
            for line in git(repository, "for-each-ref", "--format=%(refname)", "refs/orchestra/bench15/*/base").split()
        ]
        for number in range(1, AGENTS + 1):
            place = Path(
                git(repository, "worktree", "list", "--porcelain").split("worktree ")[number + 1].split("\n")[0]
            )
            (place / "work.txt").write_text("1\n")
            git(place, "add", "work.txt")
            git(place, "commit", "-qm", "work")
        approve = [ORCHESTRA, "approve", *names, f"--blueprint={blueprint}"]
        plain = [f"git update-ref refs/bench/{name} HEAD" for name in names]
        case = Case("orchestra approve", f"{AGENTS} agents", Side("wall"), Side("git update-ref, each"))
        cpu = Case("the same, CPU time", f"{AGENTS} agents", Side("CPU"), Side("git update-ref, each"))
        for _ in range(repeat or 11):
            for ref in git(repository, "for-each-ref", "--format=%(refname)", _REFS).split():
                git(repository, "update-ref", "-d", ref)
            before = _cpu_s()
            case.ours.times.append(wall(approve, repository))
            cpu.ours.times.append(_cpu_s() - before)
            assert len(git(repository, "for-each-ref", "--format=%(refname)", _REFS).split()) == AGENTS
            before = _cpu_s()
            case.plain.times.append(wall(["sh", "-c", "; ".join(plain)], repository))
            cpu.plain.times.append(_cpu_s() - before)
        yield case
        yield cpu
        script = folder / "completion.bash"
        script.write_bytes(subprocess.run([ORCHESTRA, "completion", "bash"], check=True, capture_output=True).stdout)
        tab = partial(wall, ["bash", "--norc", "-c", _TAB.format(script=script)], repository)
        empty = partial(wall, ["bash", "--norc", "-c", f'eval "$(cat {script})"'], repository)
        yield compare("TAB after review", f"{AGENTS} agents", ("TAB", tab), ("bash alone", empty), repeat or 21)


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
