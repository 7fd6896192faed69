"""The client's sandbox and git: while a sandboxed command runs, placeholders stand where files must not be made.

They are device files (.bashrc, .mcp.json, each denied file that does not exist, ...), and ``git add --all`` fails on
them (client facts, 2, Sandbox). So a sandboxed session gets an excludes file of its own that names them, after all
that the worktree's own excludes file holds, through git's environment and thereby nobody else's.

Invariant: nothing outside the agent's folder is written, but for an empty folder for hooks. Only for sessions that run
in the sandbox.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from orchestra.files import write_atomically
from orchestra.git.git_process import Git

_PLACEHOLDERS = (
    ".bash_profile .bashrc .claude .gitconfig .gitmodules .idea .mcp.json .profile .ripgreprc .vscode .zprofile .zshrc"
).split()


def sandbox_available() -> bool:
    """Whether the client's sandbox can work here: bubblewrap and socat on Linux, built in on macOS."""
    if sys.platform == "darwin":
        return shutil.which("sandbox-exec") is not None
    return shutil.which("bwrap") is not None and shutil.which("socat") is not None


def require_hooks_folder(worktree: Path) -> None:
    """Make the repository's ``hooks`` folder, empty, where a repository was set up without one.

    The sandbox shuts it. Where it is missing, each sandboxed command puts a placeholder there and takes it away
    again, and of two agents at once one finds it gone ("Can't get type of source .git/hooks", seen with 2.1.330).
    """
    common = Git(worktree).text("rev-parse", "--path-format=absolute", "--git-common-dir")
    (Path(common) / "hooks").mkdir(exist_ok=True)


def hide_placeholders(worktree: Path, folder: Path, shut: Iterable[str], env: Mapping[str, str]) -> dict[str, str]:
    """Write the excludes file into ``folder``; what to add to ``env`` so that the session's git reads it.

    ``shut``: the paths that nothing in the session may write; those that do not exist get a placeholder.
    """
    found = Git(worktree).run("config", "--path", "--get", "core.excludesFile", ok=(0, 1))
    config = Path(env.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    before = worktree / found.text if found.code == 0 else config / "git/ignore"
    text = before.read_text("utf-8", "surrogateescape") if before.is_file() else ""
    tracked = set(Git(worktree).run("ls-files", "-z").fields)
    lines = "".join(f"/{name}\n" for name in (*_PLACEHOLDERS, *shut) if name not in tracked)
    file = folder / "sandbox.excludes"
    write_atomically(file, f"{text.rstrip()}\n# orchestra: placeholders of the sandbox\n{lines}".lstrip())
    number = int(env.get("GIT_CONFIG_COUNT") or 0)
    return {
        "GIT_CONFIG_COUNT": str(number + 1),
        f"GIT_CONFIG_KEY_{number}": "core.excludesFile",
        f"GIT_CONFIG_VALUE_{number}": str(file),
    }
