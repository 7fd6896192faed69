"""A scripted agent for the demo: does what a coding agent would do in its worktree, from files that it was given.

``play.py AGENT``, in the agent's worktree: for each numbered folder of ``agents/AGENT`` it writes the files and
commits them with the message that lies beside them, then it fills in AGENT_NOTES.md. Run again, it does only what
is missing.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

SCRIPTS = Path(__file__).parent / "agents"
# Whatever the machine's own configuration says: a scripted agent has no hooks, no signature, no ignored files.
GIT = ("git", "-c", "core.hooksPath=/dev/null", "-c", "commit.gpgSign=false", "-c", "core.excludesFile=/dev/null")


def git(*words: str) -> str:
    """Run git here; what it said."""
    return subprocess.run([*GIT, *words], stdout=subprocess.PIPE, check=True, text=True).stdout.strip()


def sign_as(agent: str) -> None:
    """Author and committer of what follows."""
    for role in ("AUTHOR", "COMMITTER"):
        os.environ[f"GIT_{role}_NAME"] = f"{agent} (scripted agent)"
        os.environ[f"GIT_{role}_EMAIL"] = f"{agent}@agents.invalid"


def play(step: Path) -> None:
    """One commit: its files, and only they, with its message."""
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
        play(step)
    shutil.copyfile(SCRIPTS / agent / "NOTES.md", "AGENT_NOTES.md")
    print("filled in AGENT_NOTES.md")
    return 0


if __name__ == "__main__":
    sys.exit(main())
