"""Trust in a blueprint that came with its repository: a person sees what it executes before anything runs.

Trust is remembered outside the repository, for this repository and this list of commands: a changed command has to be
trusted again. Shipped blueprints and files outside the repository are the person's own choice and trusted.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

from orchestra.blueprint.model import Regenerate, RunGate
from orchestra.files import write_atomically
from orchestra.fleet import Fleet
from orchestra.git import worktree_admin


def executed_commands(fleet: Fleet) -> list[str]:
    """Return everything that the blueprint makes this machine execute, one line each."""
    blueprint = fleet.blueprint
    setup, runner = blueprint.worktrees.setup, blueprint.runner
    return [
        *(f"set-up: {command}" for command in setup.run),
        *(f"teardown: {command}" for command in setup.teardown),
        *(f"environment: {name}={value}" for name, value in sorted(setup.env.items())),
        *(f"gate {gate.name}: {gate.run}" for gate in blueprint.gates.values() if isinstance(gate, RunGate)),
        *(f"runner: {' '.join(argv)}" for argv in (runner.command, runner.resume) if argv),
        *(f"runner may use: {rule}" for rule in runner.allow),
        *(f"runner environment: {name}={value}" for name, value in sorted(runner.env.items())),
        *(
            f"regenerate {path}: {rule.command}"
            for path, rule in sorted(blueprint.merge.conflicts.items())
            if isinstance(rule, Regenerate)
        ),
    ]


def needs_trust(fleet: Fleet) -> bool:
    """Return whether the blueprint came with the repository, executes something, and was not trusted yet."""
    return bool(executed_commands(fleet)) and not _record(fleet).exists() and _came_with_repository(fleet)


def trust(fleet: Fleet) -> None:
    """Remember that a person agreed to what the blueprint executes."""
    write_atomically(_record(fleet), f"{fleet.repository.home}\n{fleet.blueprint.source}\n", mode=0o600)


def _record(fleet: Fleet) -> Path:
    config = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    content = json.dumps([str(fleet.repository.common_dir.resolve()), executed_commands(fleet)])
    return config / "orchestra" / "trusted" / hashlib.sha256(content.encode()).hexdigest()


def _came_with_repository(fleet: Fleet) -> bool:
    """Return whether git tracks the file in the checkout, or it lies in a worktree, where agents write."""
    repository, source = fleet.repository, fleet.blueprint.source.resolve()
    if any(source.is_relative_to(worktree) for worktree in worktree_admin.admins(repository)):
        return True
    home = repository.home.resolve()
    if repository.bare or not source.is_relative_to(home):
        return False
    name = source.relative_to(home).as_posix()
    return repository.git.run("ls-files", "--error-unmatch", "--", f":(top,literal){name}", ok=(0, 1)).code == 0
