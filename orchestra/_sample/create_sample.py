"""Create the sample service: ``create_sample.py FOLDER``. The result is a git repository with one commit.

The folder must not exist. The commands in the blueprint use the Python that runs this module, because no other
program is certain to be installed.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from string import Template

HERE = Path(__file__).parent
IGNORED = ".env\n__pycache__/\nnode_modules/\n"
# The user's configuration must not sign, name or change the commits of the demo.
os.environ.update({"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"})
CONFIG = {
    "user.name": "Orchestra Demo",
    "user.email": "demo@orchestra.invalid",
    "commit.gpgSign": "false",
    "core.hooksPath": ".git/hooks",
}


def git(folder: Path, *words: str) -> None:
    """Run git in the new repository."""
    subprocess.run(["git", *words], cwd=folder, check=True, stdout=subprocess.DEVNULL)


def blueprint() -> str:
    """Return the text of ``blueprints/demo.yaml``. JSON strings are valid YAML strings."""
    python = shlex.quote(sys.executable)
    values = {
        "python": sys.executable,
        "scripted_agent": str(HERE / "scripted_agent.py"),
        "types": f"{python} tools/imports.py",
        "lint": f"{python} tools/lint.py",
        "contract": f"{python} tools/contract.py",
    }
    text = (HERE / "demo.yaml").read_text(encoding="utf-8")
    return Template(text).substitute({name: json.dumps(value) for name, value in values.items()})


def main() -> int:
    folder = Path(sys.argv[1])
    shutil.copytree(HERE / "service", folder, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "blueprints").mkdir()
    (folder / "blueprints" / "demo.yaml").write_text(blueprint(), encoding="utf-8")
    (folder / ".gitignore").write_text(IGNORED, encoding="utf-8")
    git(folder, "init", "--quiet", "--initial-branch=main", "--template=")
    for name, value in CONFIG.items():
        git(folder, "config", name, value)
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "Start a service with a version and its checks")
    (folder / ".env").write_text("DATABASE_URL=memory://\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
