"""Read the set-up that a repository declares for other tools: Conductor, Cursor, Codex, mise and direnv.

Its commands become the draft's, each marked with its file, and a person has to trust them before they run. A script
with control flow or with variables of the other tool is not taken; the draft names its file for a person to read.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from orchestra.scaffold.stacks.manifests import StackFolder, strings, table

_MAIN_CHECKOUT: Final = r"\$\{?(?:ROOT_WORKTREE_PATH|CONDUCTOR_ROOT_PATH)\}?"
_COPY: Final = re.compile(rf"""cp (?:-\w+ )?["']?{_MAIN_CHECKOUT}["']?/([\w./-]+)["']? \S+""")
_NOT_ONE_LINE: Final = re.compile(
    rf"{_MAIN_CHECKOUT}|\\$|^(if|then|else|fi|for|while|do|done|case|esac|function)\b|[({{]$|^[)}}]"
)
_ENVIRONMENTS: Final = ".codex/environments/"
_TOOLS: Final = (
    ("mise", "mise trust && mise install", ("mise.toml", ".mise.toml", ".config/mise.toml", "mise/config.toml")),
    ("direnv", "direnv allow .", (".envrc",)),
)
"""Programs that load nothing in a new folder before it is allowed: their command, and the files that ask for them."""
_NO_COMMANDS: Final[Mapping[str, str]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class DeclaredSetup:
    """``commands``: command -> the file that declares it; ``copy``: untracked files that a new worktree needs.

    ``tools``: commands that make no dependencies ready, and so come before those of the manifests. ``unread``: files
    whose set-up is more than plain commands.
    """

    commands: Mapping[str, str] = field(default_factory=lambda: _NO_COMMANDS)
    copy: Mapping[str, str] = field(default_factory=lambda: _NO_COMMANDS)
    tools: Mapping[str, str] = field(default_factory=lambda: _NO_COMMANDS)
    unread: tuple[str, ...] = ()


def read_declared_setup(ground: StackFolder, programs: Collection[str]) -> DeclaredSetup:
    """Return what the repository declares. The commands are those of the first file that has plain ones.

    ``programs``: those of mise and direnv that are on PATH; the command of another one could not run.
    """
    commands: dict[str, str] = {}
    copy: dict[str, str] = {}
    unread = []
    for source, lines in _scripts(ground).items():
        copies = [match[1] for line in lines if (match := _COPY.fullmatch(line))]
        plain = [line for line in lines if not _COPY.fullmatch(line)]
        if any(map(_NOT_ONE_LINE.search, plain)):
            unread.append(source)
        elif not commands:
            commands.update(dict.fromkeys(plain, source))
            copy.update(dict.fromkeys(copies, source))
    tools = {
        command: next(file for file in files if file in ground.tracked)
        for program, command, files in _TOOLS
        if program in programs and any(file in ground.tracked for file in files)
    }
    return DeclaredSetup(commands, copy, tools, tuple(unread))


def _scripts(ground: StackFolder) -> dict[str, list[str]]:
    """Return the lines of each declared set-up without comments, by its file; files without any are left out."""
    cursor = ground.at(".cursor/").json("worktrees.json")
    codex = ground.at(_ENVIRONMENTS)
    declared: dict[str, object] = {
        "conductor.json": table(ground.json("conductor.json"), "scripts").get("setup"),
        ".cursor/worktrees.json": cursor.get("setup-worktree-unix", cursor.get("setup-worktree")),
    }
    for name in sorted(name for name in codex.names if name.endswith(".toml")):
        declared[f"{_ENVIRONMENTS}{name}"] = table(codex.toml(name), "setup").get("script")
    scripts = {}
    for source, script in declared.items():
        text = "\n".join(strings(script)) if isinstance(script, list) else script if isinstance(script, str) else ""
        lines = [line.strip() for line in text.splitlines()]
        if commands := [line for line in lines if line and not line.startswith("#")]:
            scripts[source] = commands
    return scripts
