"""The real programs other than Claude Code, for tests: installed once from npm, never with anybody's key.

``ORCHESTRA_AGENT_PROGRAMS``: folders, separated like PATH, each holding a program such as ``codex``; CI sets it.
Otherwise npm installs the version that was tested into a scratch folder that later runs find again.
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

PACKAGES = {
    "codex": "@openai/codex@0.171.0",
    "gemini": "@google/gemini-cli@0.61.0",
    "opencode": "opencode-ai@1.18.33",
    "qwen": "@qwen-code/qwen-code@0.15.10",
}
# Without npm's scripts, the entry of opencode in .bin is a stub: its program is in a package for each platform.
PROGRAM_FOLDERS = {"opencode": "node_modules/opencode-*/bin"}


@cache
def program_folder(name: str) -> Path:
    """The folder to put on PATH for that program; skips the test where it cannot be had."""
    for folder in os.environ.get("ORCHESTRA_AGENT_PROGRAMS", "").split(os.pathsep):
        if folder and (Path(folder) / name).exists():
            return Path(folder)
    if shutil.which("npm") is None or shutil.which("node") is None:
        pytest.skip(f"no node and npm here, so no {name}")
    scratch = Path(tempfile.gettempdir()) / f"orchestra-agent-programs-{os.getuid()}" / PACKAGES[name].replace("/", "-")
    pattern = f"{PROGRAM_FOLDERS.get(name, 'node_modules/.bin')}/{name}"
    scratch.mkdir(parents=True, exist_ok=True)
    with FileLock(scratch / "lock"):
        if not list(scratch.glob(pattern)) and not _install(scratch, PACKAGES[name]):
            pytest.skip(f"npm could not install {PACKAGES[name]}")
    programs = sorted(scratch.glob(pattern))
    if not programs:
        pytest.skip(f"{PACKAGES[name]} has no program for this platform")
    return programs[0].parent


def _install(scratch: Path, package: str) -> bool:
    command = ["npm", "install", "--no-audit", "--no-fund", "--silent", "--ignore-scripts", "--prefix", str(scratch)]
    env = {**os.environ, "npm_config_cache": str(scratch / "cache")}
    try:
        done = subprocess.run([*command, package], env=env, capture_output=True, timeout=300, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0
