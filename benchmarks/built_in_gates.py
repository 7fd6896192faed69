"""Measure the built-in gates: how often they fire on the history of a repository, and what they cost.

    python benchmarks/built_in_gates.py alarms REPOSITORY [COUNT]    each change on the first-parent history
    python benchmarks/built_in_gates.py speed [BRANCHES] [FILES]     branches with three commits each, all gates

Seconds are CPU seconds of this process; git's processes add about as many as one `git log -p` of the branches.
``alarms`` takes empty notes, so that each change of a dependency and each deleted test is reported, and prints every
finding for a person to judge. REPOSITORY is only read.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from orchestra.blueprint.model import Builtin, BuiltinGate
from orchestra.gates.branch_content import BranchSpan, read_branches
from orchestra.gates.builtin import check_content
from orchestra.git.git_process import Git
from orchestra.git.refs import CommitId

GATES = [BuiltinGate(b.value, b) for b in (Builtin.SECRETS, Builtin.DEPENDENCIES, Builtin.TESTS_KEPT, Builtin.COMMITS)]


def alarms(repository: Path, count: int) -> None:
    git = Git(repository)
    fired, changes = Counter[str](), 0
    for row in git.run("log", "--first-parent", f"--max-count={count}", "--format=%H %P").lines:
        commit, *parents = map(CommitId, row.split())
        if not parents:
            continue
        changes += 1
        tip = parents[1] if len(parents) > 1 else commit
        with read_branches(git, parents[0], [BranchSpan(parents[0], tip)]) as (content,):
            for result in (check_content(gate, content, "") for gate in GATES if content is not None):
                fired[result.gate] += bool(result.findings)
                for finding in result.findings:
                    print(commit[:10], result.gate, finding)
    print(f"{changes} changes, those with a finding: {dict(fired)}")


def speed(branches: int, files: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        repository = Path(folder)
        git = Git(repository)
        tips = make_repository(repository, branches, files)
        started = time.process_time()
        with read_branches(git, tips[0], [BranchSpan(tips[0], tip) for tip in tips[1:]]) as contents:
            read_s = time.process_time() - started
            for gate in GATES:
                started = time.process_time()
                findings = sum(len(check_content(gate, content, "").findings) for content in contents if content)
                print(f"{gate.name}: {time.process_time() - started:.2f} s, {findings} findings")
        print(f"reading {branches} branches: {read_s:.2f} s")


def make_repository(repository: Path, branches: int, files: int) -> list[CommitId]:
    """Return the target's commit and the branches' tips: each has three commits of four files of 200 lines."""
    subprocess.run(["git", "init", "-q", repository], check=True)
    text = "".join(
        f"def function_{number}(token, value={number}):\n    return token + value\n" for number in range(100)
    )
    stream = ["commit refs/heads/main\ncommitter A <a@example.com> 1700000000 +0000\ndata 4\nbase\n"]
    stream += [f"M 100644 inline src/{number % 200}/{number}.py\n{data(f'# {number}')}" for number in range(files)]
    for branch in range(branches):
        for step in range(3):
            stream.append(f"commit refs/heads/b{branch}\ncommitter A <a@example.com> 1700000001 +0000\ndata 4\nwork\n")
            stream += [] if step else ["from refs/heads/main\n"]
            contents = {name: f"{text}# {branch} {step} {name}" for name in range(4)}
            stream += [f"M 100644 inline src/{branch}/new{name}.py\n{data(c)}" for name, c in contents.items()]
    subprocess.run(["git", "fast-import", "--quiet"], cwd=repository, input="".join(stream).encode(), check=True)
    names = ["main", *(f"b{branch}" for branch in range(branches))]
    return [CommitId(Git(repository).text("rev-parse", f"refs/heads/{name}")) for name in names]


def data(text: str) -> str:
    return f"data {len(text.encode())}\n{text}\n"


if __name__ == "__main__":
    command, *words = sys.argv[1:]
    if command == "alarms":
        alarms(Path(words[0]), int(words[1]) if len(words) > 1 else 200)
    else:
        speed(int(words[0]) if words else 50, int(words[1]) if len(words) > 1 else 20_000)
