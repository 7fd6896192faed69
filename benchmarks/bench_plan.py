"""How long a plan takes on a big repository with a long history, against the git commands that it rests on."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from ground import ORCHESTRA, git, make_repository, workplace
from timing import Case, compare, wall

TITLE = "Plan: what treads on what, from scopes, tree and history"
FILES, COMMITS, AGENTS = 20_000, 20_000, 50
READ = f"git ls-tree -r -l -z HEAD > ../tree && git log --no-merges --name-only -z --no-renames -n{COMMITS} > ../log"


def measure(repeat: int) -> Iterator[Case]:
    """The whole command on 20,000 files and commits; then the overlap of 50 agents alone, in this process."""
    with workplace() as folder:
        home = make_repository(folder / "big" / "main", FILES)
        add_history(home, COMMITS)
        for kind, scopes in SCOPES.items():
            blueprint = write_fleet(folder / f"{kind}.yaml", scopes)
            plan = [ORCHESTRA, "plan", f"--blueprint={blueprint}", "--json"]
            if kind == "apart":
                yield compare(
                    f"plan, {AGENTS} agents",
                    f"{FILES} files, {COMMITS} commits",
                    ("orchestra plan", partial(wall, plan, home)),
                    ("git ls-tree and git log alone", partial(wall, ["sh", "-e", "-c", READ], home)),
                    repeat or 5,
                )
            yield compare(
                f"overlap, {AGENTS} agents {kind}",
                f"{AGENTS * (AGENTS - 1) // 2} pairs",
                ("scope_overlaps, over all possible paths", partial(_decide, blueprint, kind == "entangled")),
                ("git ls-files for each agent, over today's", partial(_list, home, scopes)),
                repeat or 5,
            )


def _scopes_apart() -> list[list[str]]:
    return [[f"src/part{n // 2:02}/unit{n:04}/**", f"lib/l{n:02}/**", f"docs/d{n:02}.md"] for n in range(AGENTS)]


def _scopes_entangled() -> list[list[str]]:
    return [[f"**/unit{n:04}/**", f"src/**/file{n:02}*.txt", f"**/d{n:02}.md"] for n in range(AGENTS)]


SCOPES = {"apart": _scopes_apart(), "entangled": _scopes_entangled()}


def add_history(home: Path, commits: int) -> None:
    """So many commits on top, each of one to six files, most of them of one folder. Always the same."""
    chance = random.Random(commits)  # noqa: S311 - for choosing files, not for secrets
    paths = git(home, "ls-files").splitlines()
    stream = [f"reset refs/heads/main\nfrom {git(home, 'rev-parse', 'HEAD')}\n\n".encode()]
    for number in range(commits):
        stream.append(b"commit refs/heads/main\ncommitter Ada <ada@example.org> %d +0000\n" % (1700000060 + number))
        stream.append(b"data 1\nx\n")
        start = chance.randrange(len(paths) - 8)
        near = {paths[start + chance.randrange(8)] for _ in range(chance.randint(1, 5))}
        for path in sorted(near | {chance.choice(paths)}):
            stream.append(b"M 100644 inline %s\ndata 8\n%08d\n" % (path.encode(), number))
    git(home, "fast-import", "--quiet", "--force", stdin=b"".join(stream))
    git(home, "reset", "--quiet", "--hard")


def write_fleet(path: Path, scopes: list[list[str]]) -> Path:
    """A blueprint with an agent for each scope, two stages, and what a shipped fleet protects."""
    protected = ["**/package.json", "**/package-lock.json", "**/tsconfig*.json", "**/.env*", ".github/**", ".npmrc"]
    lines = ["version: 1", "name: bench", "runner: {kind: none}", "stages: [one, two]"]
    lines += [f"protected: {protected}", "agents:"]
    for number, scope in enumerate(scopes, 1):
        stage = "one" if number % 2 else "two"
        lines.append(f"  - {{name: agent-{number:02}, task: Nothing, stage: {stage}, scope: {scope}}}")
    path.write_text("\n".join(lines) + "\n")
    return path


def _decide(path: Path, expected: bool) -> float:
    from orchestra.blueprint.load import load_blueprint
    from orchestra.plan.scope_findings import scope_overlaps

    blueprint = load_blueprint(path)
    start = time.perf_counter()
    found = scope_overlaps(blueprint)
    seconds = time.perf_counter() - start
    if bool(found) is not expected:
        raise SystemExit(f"{len(found)} overlaps found in {path.name}")
    return seconds


def _list(home: Path, scopes: list[list[str]]) -> float:
    start = time.perf_counter()
    held = [set(git(home, "ls-files", "--", *(f":(top,glob){p}" for p in scope)).splitlines()) for scope in scopes]
    for number, one in enumerate(held):
        for other in held[:number]:
            one.isdisjoint(other)
    return time.perf_counter() - start
