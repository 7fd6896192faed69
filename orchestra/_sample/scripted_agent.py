"""Play a coding agent for the demo, from prepared files: ``scripted_agent.py AGENT`` in the agent's worktree.

For each numbered folder of ``agents/AGENT``, write its files and commit them with the message in the folder. Then fill
in AGENT_NOTES.md. A second run commits only what is missing.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

SCRIPTS = Path(__file__).parent / "agents"
# Independent of the user's configuration: no hooks, no signature, no ignored files.
GIT = ("git", "-c", "core.hooksPath=/dev/null", "-c", "commit.gpgSign=false", "-c", "core.excludesFile=/dev/null")


def git(*words: str) -> str:
    """Run git in the worktree and return its output."""
    return subprocess.run([*GIT, *words], stdout=subprocess.PIPE, check=True, text=True).stdout.strip()


def sign_as(agent: str) -> None:
    """Set author and committer of the following commits."""
    for role in ("AUTHOR", "COMMITTER"):
        os.environ[f"GIT_{role}_NAME"] = f"{agent} (scripted agent)"
        os.environ[f"GIT_{role}_EMAIL"] = f"{agent}@agents.invalid"


def commit_step(step: Path) -> None:
    """Commit the files of one step, and only these, with its message."""
    files = sorted(path for path in (step / "files").rglob("*") if path.is_file())
    names = [str(path.relative_to(step / "files")) for path in files]
    for name, source in zip(names, files, strict=True):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, name)
    git("add", "--", *names)
    if git("status", "--porcelain", "--", *names):
        message = (step / "message").read_text(encoding="utf-8")
        git("commit", "--quiet", "--message", message, "--", *names)
        print(f"committed: {message.strip()}")


def main() -> int:
    agent = sys.argv[1]
    sign_as(agent)
    for step in sorted(path for path in (SCRIPTS / agent).iterdir() if path.is_dir()):
        commit_step(step)
    shutil.copyfile(SCRIPTS / agent / "NOTES.md", "AGENT_NOTES.md")
    print("filled in AGENT_NOTES.md")
    return 0


if __name__ == "__main__":
    sys.exit(main())
