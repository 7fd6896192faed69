"""The client's sandbox: what git needs to work in it, and the same limits for commands that hooks run.

While a sandboxed command runs, placeholders (device files) stand where files must not be created (.bashrc, .mcp.json,
each denied file that does not exist), and ``git add --all`` fails on them. So a sandboxed session gets an excludes file
of its own that names them, after all that the worktree's own excludes file holds, through its own git environment.

Invariant: nothing outside the agent's folder is written, except for an empty folder for hooks.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from orchestra.engine import process
from orchestra.files import write_atomically
from orchestra.git.git_process import Git

_PLACEHOLDERS = (
    ".bash_profile .bashrc .claude .gitconfig .gitmodules .idea .mcp.json .profile .ripgreprc .vscode .zprofile .zshrc"
).split()
SANDBOX_FIX = (
    "allow unprivileged user namespaces (on Ubuntu: an AppArmor profile for bwrap), or uninstall bubblewrap to run the "
    "agents without a sandbox"
)
_SOCKETS = ("/run/docker.sock", "/run/podman/podman.sock", "/run/containerd/containerd.sock")


def sandbox_available() -> bool:
    """Return True when the client's sandbox can work: bubblewrap and socat on Linux, built in on macOS."""
    if sys.platform == "darwin":
        return shutil.which("sandbox-exec") is not None
    return shutil.which("bwrap") is not None and shutil.which("socat") is not None


def sandbox_error() -> str:
    """Return why the sandbox cannot start although its programs are installed; empty when it can."""
    if sys.platform != "linux":
        return ""
    try:
        probe = process.capture(("bwrap", "--ro-bind", "/", "/", "--unshare-all", "true"))
    except OSError as error:
        return f"bubblewrap cannot be run: {error}"
    if probe.code == 0:
        return ""
    first_line = (probe.stderr.strip().splitlines() or [f"exit code {probe.code}"])[0]
    return f"bubblewrap does not work on this machine: {first_line}"


@contextmanager
def confined(worktree: Path, sandbox: Mapping[str, Any] | None) -> Iterator[tuple[tuple[str, ...], dict[str, str]]]:
    """Yield the argv prefix and environment that confine a command as the client's sandbox confines the agent's shell.

    Writable are the worktree, without the paths that ``sandbox`` (of the session's settings) denies, and a temporary
    folder; there is no network and no container engine. Both are empty for a session that runs without a sandbox.
    """
    if not sandbox:
        yield (), {}
        return
    with tempfile.TemporaryDirectory(prefix="orchestra-gate-") as scratch:
        shut = (*sandbox.get("filesystem", {}).get("denyWrite", ()), str(worktree / ".git"))
        denied = [path for path in shut if Path(path).exists()]
        if sys.platform == "darwin":
            writable = " ".join(f'(subpath "{Path(path).resolve()}")' for path in (worktree, scratch))
            closed = "".join(f'(deny file-write* (subpath "{Path(path).resolve()}"))' for path in denied)
            profile = f"(version 1)(allow default)(deny network*)(deny file-write*)(allow file-write* {writable})"
            profile += f'(allow file-write* (subpath "/dev")){closed}'
            prefix: tuple[str, ...] = ("sandbox-exec", "-p", profile)
        else:
            hidden = [part for path in _SOCKETS if Path(path).exists() for part in ("--ro-bind", "/dev/null", path)]
            shut_paths = [part for path in denied for part in ("--ro-bind", path, path)]
            prefix = (
                *("bwrap", "--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc", *hidden),
                *("--bind", str(worktree), str(worktree), "--bind", scratch, scratch, *shut_paths),
                *("--unshare-all", "--new-session", "--die-with-parent", "--chdir", str(worktree)),
            )
        yield prefix, {"TMPDIR": scratch, "GIT_OPTIONAL_LOCKS": "0"}


def require_hooks_folder(worktree: Path) -> None:
    """Create the repository's ``hooks`` folder, empty, where a repository was set up without one.

    The sandbox denies it. Where it is missing, each sandboxed command creates a placeholder there and removes it, and
    of two agents at once one fails on that ("Can't get type of source .git/hooks", seen with 2.1.330).
    """
    common = Git(worktree).text("rev-parse", "--path-format=absolute", "--git-common-dir")
    (Path(common) / "hooks").mkdir(exist_ok=True)


def hide_placeholders(worktree: Path, folder: Path, shut: Iterable[str], env: Mapping[str, str]) -> dict[str, str]:
    """Write the excludes file into ``folder``; return what to add to ``env`` so that the session's git reads it.

    ``shut``: the paths that nothing in the session may write; those that do not exist get a placeholder.
    """
    configured = Git(worktree).run("config", "--path", "--get", "core.excludesFile", ok=(0, 1))
    config = Path(env.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    before = worktree / configured.text if configured.code == 0 else config / "git/ignore"
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
