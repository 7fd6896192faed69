"""The same branches landed three ways, each in a fresh clone: by orchestra, by ``git merge``, by the naive loop.

Invariant: what is landed is upstream's own commits, never copies of them; each way starts from the same commit and
takes the same order. Refuses to touch the repository that the history is read from.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ground import ORCHESTRA
from replay_history import Piece, Window, git, run_git

from orchestra.gates.environment import gate_environment

FLEET = "replay"
_TOLD = ("package.json", "package-lock.json", "pyproject.toml", "setup.py", "setup.cfg", "requirements*")


@dataclass(frozen=True)
class Terms:
    """How to land: ``test`` is the gate, ``setup`` makes a checkout build; the others are the blueprint's."""

    test: str
    setup: tuple[str, ...] = ()
    strategy: str = "rebase"
    train: str = "auto"
    guarantee: str = "tip-green"
    slots: int = 2
    timeout: str = "15m"
    retries: int = 0
    rules: tuple[str, ...] = ()  # "glob=union"
    all_steps: bool = False  # the other steps of the main line are agents too


@dataclass
class Way:
    """What came of one way: ``out`` is piece -> why it did not land. Times in seconds."""

    name: str
    repository: Path
    commit: str = ""
    landed: list[str] = field(default_factory=list)
    out: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    runs: int = 0
    gate_seconds: list[float] = field(default_factory=list)


def chosen(window: Window, terms: Terms) -> tuple[Piece, ...]:
    """The pieces that become agents."""
    return window.pieces if terms.all_steps else window.pulls


def clone(origin: Path, folder: Path, start: str) -> Path:
    """A clone of its own, ``main`` checked out at ``start``, without remote or further branches."""
    if folder.exists():
        shutil.rmtree(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    git(folder.parent, "clone", "--quiet", "--no-checkout", str(origin), str(folder))
    git(folder, "remote", "remove", "origin")
    git(folder, "config", "user.name", "Ada Replay")
    git(folder, "config", "user.email", "ada@example.org")
    git(folder, "checkout", "--quiet", "-B", "main", start)
    for branch in git(folder, "for-each-ref", "--format=%(refname)", "refs/heads").split():
        if branch != "refs/heads/main":
            git(folder, "update-ref", "-d", branch)
    return folder


# -- by orchestra --------------------------------------------------------------------------------------------------


def make_fleet(origin: Path, folder: Path, window: Window, terms: Terms) -> Path:
    """A clone whose agents' branches are the pieces, spawned and approved with orchestra's own commands."""
    shutil.rmtree(folder, ignore_errors=True)  # an earlier run's gate slots would be in the way of this one's
    home = clone(origin, folder / "home", window.start)
    for piece in chosen(window, terms):
        git(home, "update-ref", f"refs/heads/agent/{FLEET}/{piece.name}", piece.tip)
        # What spawn writes where it cuts the branch itself; the mark that the branch is the agent's.
        git(home, "update-ref", f"refs/orchestra/{FLEET}/{piece.name}/base", piece.base)
    (folder / "replay.json").write_text(json.dumps(blueprint(window, terms), indent=1), "utf-8")
    # A spawn would run the set-up for every agent; the train's slots run it for themselves.
    if not terms.setup:
        orchestra(home, "spawn")
    for piece in chosen(window, terms):
        if terms.setup:
            git(home, "update-ref", f"refs/orchestra/{FLEET}/{piece.name}/approved", piece.tip)
        else:
            orchestra(home, "approve", piece.name)
    return home


def blueprint(window: Window, terms: Terms) -> dict[str, Any]:
    """As JSON, which is YAML too. ``rules`` are written as CONTRACT.md has them."""
    rules = dict(rule.rpartition("=")[::2] for rule in terms.rules)
    gate = {"run": terms.test, "timeout": terms.timeout, "retries": terms.retries}
    return {
        "version": 1,
        "name": FLEET,
        "target": "main",
        "runner": {"kind": "none"},
        "worktrees": {"root": "../places", "setup": {"run": list(terms.setup)}},
        "gates": {"tests": gate},
        "limits": {"gates": terms.slots},
        "merge": {"train": terms.train, "guarantee": terms.guarantee, "strategy": terms.strategy, "conflicts": rules},
        "agents": [
            {"name": piece.name, "title": piece.subject[:100] or piece.name, "task": f"As upstream did: {piece.line}"}
            for piece in chosen(window, terms)
        ],
    }


def orchestra(home: Path, *words: str) -> str:
    """A command of orchestra; what it wrote on standard output. 1 (work fell short) is an answer, not an error."""
    argv = [ORCHESTRA, *words, f"--blueprint={home.parent / 'replay.json'}"]
    done = subprocess.run(argv, cwd=home, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    (home.parent / f"{words[0]}.err").write_text(done.stderr, "utf-8")
    if done.returncode not in (0, 1):
        raise SystemExit(f"{argv}: exit code {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def by_orchestra(home: Path, command: str) -> Way:
    """``rehearse`` or ``merge``."""
    begun = time.perf_counter()
    told = orchestra(home, command, "--json")
    seconds = time.perf_counter() - begun
    (home.parent / f"{command}.json").write_text(told, "utf-8")
    report = json.loads(told)
    way = Way(f"orchestra {command}", home, report["target"]["after"], seconds=seconds, runs=report["tests_run"])
    way.landed = [item["agent"] for item in report["landed"]]
    for item in report["evicted"]:
        others = f" with {', '.join(item['with'])}" if item.get("with") else ""
        way.out[item["agent"]] = f"evicted ({item['reason']}{others}): {item['detail']}"
    way.out |= {item["agent"]: f"blocked by {item['by']}" for item in report["blocked"]}
    way.out |= {item["agent"]: f"waiting: {item['reason']}" for item in report["waiting"]}
    return way


# -- by git --------------------------------------------------------------------------------------------------------


def by_git_merge(origin: Path, folder: Path, window: Window, pieces: Sequence[Piece]) -> Way:
    """``git merge --no-ff`` of each, in order; what conflicts is left out."""
    home = clone(origin, folder, window.start)
    way = Way("git merge", home)
    begun = time.perf_counter()
    for piece in pieces:
        done = run_git(home, "merge", "--no-ff", "--quiet", "-m", piece.name, piece.tip, ok=(0, 1, 128))
        if done.returncode == 0:
            way.landed.append(piece.name)
            continue
        paths = git(home, "diff", "--name-only", "--diff-filter=U").split("\n")
        way.out[piece.name] = f"conflict in {', '.join(paths)}"
        git(home, "merge", "--abort")
    way.seconds = time.perf_counter() - begun
    way.commit = git(home, "rev-parse", "HEAD")
    return way


def by_loop(origin: Path, folder: Path, window: Window, pieces: Sequence[Piece], terms: Terms) -> Way:
    """What a careful person does: rebase, test, fast-forward, one by one, in one checkout that stays warm."""
    home = clone(origin, folder, window.start)
    way = Way("rebase, test, fast-forward", home)
    begun = time.perf_counter()
    made = ""  # the commit that the set-up was last run for
    for piece in pieces:
        git(home, "checkout", "--quiet", "--detach", piece.tip)
        if run_git(home, "rebase", "--quiet", "--onto", "main", piece.base, ok=(0, 1, 128)).returncode:
            way.out[piece.name] = f"conflict in {git(home, 'diff', '--name-only', '--diff-filter=U')}"
            git(home, "rebase", "--abort")
            continue
        if not made or git(home, "diff", "--name-only", made, "HEAD", "--", *(f":(glob)**/{name}" for name in _TOLD)):
            set_up(home, terms)
            made = git(home, "rev-parse", "HEAD")
        if gate(home, terms, way):
            git(home, "update-ref", "refs/heads/main", "HEAD")
            way.landed.append(piece.name)
        else:
            way.out[piece.name] = "red"
    way.seconds = time.perf_counter() - begun
    way.commit = git(home, "rev-parse", "main")
    return way


def set_up(home: Path, terms: Terms) -> None:
    for command in terms.setup:
        if shell(home, command):
            raise SystemExit(f"{command} failed in {home}")


def gate(home: Path, terms: Terms, way: Way) -> bool:
    """One run of the test command, timed; whether it is green. What it wrote into files goes."""
    begun = time.perf_counter()
    code = shell(home, terms.test)
    way.gate_seconds.append(time.perf_counter() - begun)
    way.runs += 1
    git(home, "checkout", "--quiet", "--force", "HEAD")
    return code == 0


def shell(home: Path, command: str) -> int:
    """Run it as a gate runs: same environment, nothing on standard input. The exit code."""
    log = home.parent / f"{home.name}.log"
    with log.open("ab") as out:
        done = subprocess.run(
            command,
            shell=True,
            check=False,
            cwd=home,
            env=gate_environment(os.environ),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
        )
    return done.returncode


def is_green(origin: Path, folder: Path, commit: str, terms: Terms) -> tuple[bool, float]:
    """Whether the suite is green at a commit in today's environment, and what one run takes (the second: caches)."""
    home = clone(origin, folder, commit)
    set_up(home, terms)
    way = Way("once", home)
    if not gate(home, terms, way):
        return False, way.gate_seconds[0]
    green = gate(home, terms, way)
    return green, way.gate_seconds[1]
