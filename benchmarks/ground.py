"""Repositories and blueprints to measure on, made anew in a temporary folder and owing nothing to the machine."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ORCHESTRA = str(Path(sys.executable).parent / "orchestra")
GIT_CONFIG = "[user]\n\tname = Ada Bench\n\temail = ada@example.org\n[init]\n\tdefaultBranch = main\n"


@contextmanager
def workplace() -> Iterator[Path]:
    """A temporary folder, with git's configuration and a home of its own for this process and its children."""
    with tempfile.TemporaryDirectory(prefix="orchestra-bench-") as name:
        folder = Path(name)
        for key in [key for key in os.environ if key.startswith("GIT_")]:
            del os.environ[key]
        (folder / "gitconfig").write_text(GIT_CONFIG)
        os.environ.update({"HOME": name, "GIT_CONFIG_GLOBAL": f"{name}/gitconfig", "GIT_CONFIG_NOSYSTEM": "1"})
        yield folder


def git(folder: Path, *words: str, stdin: bytes | None = None) -> str:
    """Run git in a folder; what it said."""
    done = subprocess.run(["git", *words], cwd=folder, input=stdin, stdout=subprocess.PIPE, check=True)
    return done.stdout.decode().strip()


def make_repository(folder: Path, files: int) -> Path:
    """A repository of one commit: so many text files, some 3 kB each, in folders of 25. Always the same."""
    chance = random.Random(files)  # noqa: S311 - for text, not for secrets
    folder.mkdir(parents=True)
    git(folder, "init", "--quiet")
    words = ["".join(chance.choices("abcdefghijklmnopqrstuvwxyz", k=7)) for _ in range(2000)]
    stream = [b"commit refs/heads/main\ncommitter Ada Bench <ada@example.org> 1700000000 +0000\ndata 5\nbegin\n"]
    for number in range(files):
        text = ("\n".join(" ".join(chance.choices(words, k=9)) for _ in range(chance.randint(20, 60)))).encode()
        path = f"src/part{number // 500:02}/unit{number // 25:04}/file{number:05}.txt"
        stream.append(b"M 100644 inline %s\ndata %d\n%s\n" % (path.encode(), len(text), text))
    git(folder, "fast-import", "--quiet", stdin=b"".join(stream))
    git(folder, "reset", "--quiet", "--hard")
    return folder


def fresh_copy(repository: Path) -> Path:
    """A clone that is checked out and has been used (its index is settled), in a folder of its own beside the origin.

    Nothing is deleted before everything is measured: for minutes after many files went, ext4 makes new ones up to ten
    times slower (it does not give away inodes that were freed a short time ago, and looks at each).
    """
    folder = Path(tempfile.mkdtemp(prefix="run-", dir=repository.parent))
    git(folder, "clone", "--quiet", str(repository), "main")
    git(folder / "main", "remote", "remove", "origin")
    git(folder / "main", "status", "--short")
    return folder / "main"


def write_blueprint(path: Path, agents: int) -> Path:
    """A blueprint of so many agents that only have to be given a place."""
    lines = ["version: 1", f"name: bench{agents}", "runner: {kind: none}"]
    lines += ['worktrees: {directory: "{{ fleet }}-{{ agent.number }}"}', "agents:"]
    lines += [f"  - {{name: agent-{number:02}, task: Nothing}}" for number in range(1, agents + 1)]
    path.write_text("\n".join(lines) + "\n")
    return path
