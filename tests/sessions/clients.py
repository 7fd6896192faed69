"""The real Claude Code client, in two versions, for tests: installed once from npm, never with a key of anybody's.

``ORCHESTRA_CLAUDE_CLIENTS``: folders, separated like PATH, each holding a ``claude`` program; CI sets it. Otherwise npm
installs 2.1.197 (what Node 20 gets) and 2.1.330 into a scratch folder that later runs find again.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

import pytest
from filelock import FileLock

VERSIONS = ("2.1.197", "2.1.330")
_PACKAGE = "@anthropic-ai/claude-code"
_BINARY = "node_modules/@anthropic-ai/claude-code-linux-x64/claude"


@cache
def client_folder(version: str) -> Path:
    """The folder to put on PATH for that version; skips the test where it cannot be had."""
    for folder in os.environ.get("ORCHESTRA_CLAUDE_CLIENTS", "").split(os.pathsep):
        if folder and _version(Path(folder)) == version:
            return Path(folder)
    if shutil.which("npm") is None or shutil.which("node") is None:
        pytest.skip("no node and npm here, so no real client")
    scratch = Path(tempfile.gettempdir()) / f"orchestra-claude-clients-{os.getuid()}" / version
    scratch.mkdir(parents=True, exist_ok=True)
    with FileLock(scratch / "lock"):
        found = scratch / Path(_BINARY).parent
        if _version(found) != version and not _install(scratch, version):
            pytest.skip(f"npm could not install {_PACKAGE}@{version}")
        if _version(found) != version:
            pytest.skip(f"the client {version} does not run on this machine")
    return found


def _version(folder: Path) -> str:
    try:
        done = subprocess.run([folder / "claude", "--version"], capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.split(" ")[0].strip()


def _install(scratch: Path, version: str) -> bool:
    command = [
        "npm",
        "install",
        "--no-audit",
        "--no-fund",
        "--silent",
        "--prefix",
        str(scratch),
        f"{_PACKAGE}@{version}",
    ]
    env = {**os.environ, "npm_config_cache": str(scratch / "cache")}
    try:
        return subprocess.run(command, env=env, capture_output=True, timeout=300, check=False).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False
