"""Trust in a blueprint that is in its repository: a person sees what it executes before anything runs.

Trust is remembered outside the repository, for this repository and this list of commands: a changed command has to be
trusted again. Shipped blueprints and files outside the repository are the person's own choice and trusted.
"""

from __future__ import annotations

import hashlib
import json
import shlex
from pathlib import Path

from orchestra.blueprint.catalog import shipped_blueprints
from orchestra.blueprint.model import Regenerate, RunGate, Runner, RunnerKind
from orchestra.files import read_regular, write_atomically
from orchestra.fleet import Fleet
from orchestra.git import worktree_admin
from orchestra.workspace.paths import user_state_folder


def executed_commands(fleet: Fleet) -> list[str]:
    """Return everything that the blueprint makes this machine execute, one line each."""
    blueprint = fleet.blueprint
    setup = blueprint.worktrees.setup
    runners = (blueprint.runner, *(agent.runner for agent in blueprint.agents))
    return [
        *(f"set-up: {command}" for command in setup.run),
        *(f"teardown: {command}" for command in setup.teardown),
        *(f"environment: {name}={value}" for name, value in sorted(setup.env.items())),
        *(f"gate {gate.name}: {gate.sh_command}" for gate in blueprint.gates.values() if isinstance(gate, RunGate)),
        *(
            f"environment of gate {gate.name}: {name}={value}"
            for gate in blueprint.gates.values()
            if isinstance(gate, RunGate)
            for name, value in sorted(gate.env.items())
        ),
        *dict.fromkeys(line for runner in runners for line in _runner_lines(runner)),
        *(
            f"regenerate {path}: {rule.command}"
            for path, rule in sorted(blueprint.merge.conflicts.items())
            if isinstance(rule, Regenerate)
        ),
        # A client runs what its settings name: hooks, and servers of .mcp.json.
        *(
            f"file {name} in each worktree: from {source}, sha256 {_digest(source)}"
            for name, source in sorted(blueprint.templates.items())
            if not name.endswith(".md")
        ),
    ]


def _digest(template: Path) -> str:
    return hashlib.sha256(read_regular(template) or b"").hexdigest()[:16]


def _runner_lines(runner: Runner) -> list[str]:
    """Return what one runner executes; an agent may have its own."""
    if runner.kind is RunnerKind.NONE:
        return []
    return [
        *([f"runner: {runner.kind}"] if runner.kind is not RunnerKind.COMMAND else []),
        *(f"runner: {shlex.join(argv)}" for argv in (runner.command, runner.resume) if argv),
        *(f"runner may use: {rule}" for rule in runner.allow),
        *(f"runner environment: {name}={value}" for name, value in sorted(runner.env.items())),
    ]


def needs_trust(fleet: Fleet) -> bool:
    """Return whether the blueprint is in the repository, executes something, and was not trusted yet."""
    return bool(executed_commands(fleet)) and not _record(fleet).exists() and _is_in_repository(fleet)


def trust(fleet: Fleet) -> None:
    """Remember that a person agreed to what the blueprint executes."""
    content = {**_place(fleet), "commands": executed_commands(fleet)}
    write_atomically(_record(fleet), json.dumps(content) + "\n", mode=0o600)


def last_trusted_commands(fleet: Fleet) -> list[str] | None:
    """Return the commands that were trusted last for this blueprint file; None where none are known."""
    newest: tuple[float, list[str]] | None = None
    for path in _record(fleet).parent.glob("*"):
        try:
            content, at = json.loads(path.read_text("utf-8")), path.stat().st_mtime
            is_this = content.items() >= _place(fleet).items()
            if is_this and (newest is None or at > newest[0]):
                newest = at, [str(command) for command in content["commands"]]
        except (OSError, ValueError, KeyError, TypeError, AttributeError):  # it only serves to explain
            continue
    return newest[1] if newest is not None else None


def _place(fleet: Fleet) -> dict[str, str]:
    return {"repository": str(fleet.repository.home), "blueprint": str(fleet.blueprint.source.resolve())}


def _record(fleet: Fleet) -> Path:
    content = json.dumps([str(fleet.repository.common_dir.resolve()), executed_commands(fleet)])
    return user_state_folder() / "trusted" / hashlib.sha256(content.encode()).hexdigest()


def _is_in_repository(fleet: Fleet) -> bool:
    """Return whether the blueprint, or one that it extends, is in a checkout or the git folder of the repository.

    That git does not track it says nothing: a submodule or a download may have brought it, and agents write in the
    worktrees. A link counts by its own place and by the place where it leads.
    """
    repository, blueprint = fleet.repository, fleet.blueprint
    shipped = shipped_blueprints().resolve()
    files = {blueprint.source, *(origin.file for origin in blueprint.origins.values())}
    inside = [repository.home.resolve(), repository.common_dir.resolve(), *worktree_admin.admins(repository)]
    return any(
        place.is_relative_to(folder)
        for file in files
        if not file.resolve().is_relative_to(shipped)
        for place in (file.resolve(), file.parent.resolve() / file.name)
        for folder in inside
    )
