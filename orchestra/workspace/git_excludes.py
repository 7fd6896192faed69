"""Hide orchestra's files from the agents' ``git status`` and ``git add --all``, and from no other worktree.

``info/exclude`` holds for every worktree, the user's own checkout too, so it is left alone. Instead the repository's
configuration gets one entry, for linked worktrees only, that includes ``<state>/worktrees.config``; that one names, for
each worktree of a fleet, the fleet's ``worktree.config``, which sets ``core.excludesFile`` to the fleet's ``excludes``:
the user's own global excludes and our names (git-config(1), Conditional includes). A worktree whose set-up created
files that no rule ignores has a ``worktree.config`` and ``excludes`` of its own, in its agent's folder.

Invariant: what git reads is replaced whole. Refuses: nothing that an agent needs depends on it; the candidate leaves
these files out whether or not they were hidden.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

from orchestra.blueprint.model import AgentName
from orchestra.files import LONGEST_RECORD, read_regular, write_atomically
from orchestra.fleet import Fleet
from orchestra.git import worktree_admin
from orchestra.git.git_process import Git
from orchestra.git.repository import Repository

_KEY = "includeIf.gitdir:./worktrees/.path"  # the final slash: every linked worktree; ./ is the folder of the config
_OUR_CONFIG = "orchestra/worktrees.config"
_AS_WRITTEN = f'[includeIf "gitdir:./worktrees/"]\n\tpath = {_OUR_CONFIG}\n'
FILES = _EXCLUDES, _CONFIG = "excludes", "worktree.config"  # in a fleet's folder, and in an agent's
_SET_UP = "# orchestra: created by the set-up\n"
# A request for changes replaces TASK.md while the agent works; a killed one leaves its temporary file (files.py).
_TEMPORARY = "/.TASK.md.[0-9]*\n"
_ENTRY = re.compile(r'\[includeIf "gitdir:worktrees/((?:[^"\\]|\\.)*)"\]\n\tpath = "((?:[^"\\]|\\.)*)"\n')


def excludes_text(fleet: Fleet, names: Iterable[str]) -> str:
    """Return the excludes file of a fleet: the user's own global excludes, then ``names``, each anchored at the top.

    What was hidden before stays so: a copied secret that is gone from the main checkout is still in the worktrees.
    """
    repository = fleet.repository
    named = repository.git.run("config", "--path", "--get", "core.excludesFile", ok=(0, 1))
    config = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    of_user = _read(repository.home / named.text if named.code == 0 else config / "git" / "ignore") or ""
    if of_user and not of_user.endswith("\n"):
        of_user += "\n"
    ours = [f"/{literal_pattern(name)}\n" for name in sorted(names) if "\n" not in name] + [_TEMPORARY]
    heading = f"# orchestra: files of its own in the worktrees of fleet {fleet.name}\n"
    _, _, before = (_read(_excludes(fleet)) or "").partition(heading)
    earlier = sorted(set(before.splitlines(keepends=True)) - set(ours))
    return "".join([of_user, heading, *ours, *earlier])


def literal_pattern(name: str) -> str:
    """Return a name as a gitignore(5) pattern that matches nothing else."""
    escaped = re.sub(r"([\\*?\[])", r"\\\1", name)
    return re.sub(r" (?= *$)", r"\\ ", escaped)


def is_hidden(fleet: Fleet, text: str, worktrees: Collection[str]) -> bool:
    """Return whether the excludes are in place for the worktrees with these names."""
    entries = _entries(fleet.repository)
    return (
        _is_included(fleet.repository)
        and _read(_excludes(fleet)) == text
        and _read(fleet.folder / _CONFIG) == _config_text(fleet.folder)
        and all(entries.get(name, "").startswith(f"fleets/{fleet.name}/") for name in worktrees)
        and all((_read(path) or "").startswith(text) for path in _agents_excludes(fleet))
    )


def write_excludes(fleet: Fleet, text: str) -> None:
    """Put a fleet's excludes in place."""
    _write(_excludes(fleet), text)
    _write(fleet.folder / _CONFIG, _config_text(fleet.folder))
    for path in _agents_excludes(fleet):
        _write_agent_excludes(path, text, ())
    if _AS_WRITTEN not in (_read(fleet.repository.common_dir / "config") or ""):
        # One process that adds the entry, or finds it written in another way.
        fleet.repository.git.run("config", "--local", "--replace-all", _KEY, _OUR_CONFIG, f"^{re.escape(_OUR_CONFIG)}$")


def add_entries(fleet: Fleet, worktrees: Iterable[str], *, are_new: bool = False) -> None:
    """Let the excludes hold in worktrees, by git's names for them. Those that exist keep the excludes of their own."""
    entries = _entries(fleet.repository)
    for name in worktrees:
        if are_new or not entries.get(name, "").startswith(f"fleets/{fleet.name}/"):
            entries[name] = f"fleets/{fleet.name}/{_CONFIG}"
    _replace(fleet.repository, entries)


def hide_set_up_files(fleet: Fleet, agent: AgentName, worktree: Path, names: Collection[str]) -> None:
    """Hide what an agent's set-up created, in its worktree only."""
    folder = fleet.agent_folder(agent)
    _write_agent_excludes(folder / _EXCLUDES, _read(_excludes(fleet)) or "", names)
    _write(folder / _CONFIG, _config_text(folder))
    entries = _entries(fleet.repository)
    entries[worktree_admin.admin_of(worktree).name] = (
        (folder / _CONFIG).relative_to(fleet.repository.state_folder).as_posix()
    )
    _replace(fleet.repository, entries)


def remove_entries(fleet: Fleet, remaining: Collection[str]) -> None:
    """Remove the entry of every worktree of this fleet but the ``remaining`` ones, by git's names for them.

    With the last entry of all our part of the repository's configuration goes, too.
    """
    ours, entries = f"fleets/{fleet.name}/", _entries(fleet.repository)
    entries_left = {name: path for name, path in entries.items() if not path.startswith(ours) or name in remaining}
    _replace(fleet.repository, entries_left)
    if not entries_left and _is_included(fleet.repository):
        key = re.escape(_OUR_CONFIG)
        fleet.repository.git.run("config", "--local", "--unset-all", _KEY, f"^{key}$")


def registered_names(fleet: Fleet) -> list[str]:
    """Return git's names for the worktrees that spawn made for the fleet's agents."""
    agents = [agent for agent in fleet.blueprint.agents if not agent.adopted]
    places = {Path(os.path.realpath(fleet.worktree(agent))) for agent in agents}
    return [admin.name for path, admin in worktree_admin.admins(fleet.repository).items() if path in places]


def shown(worktree: Path, names: Iterable[str]) -> list[str]:
    """Which of our files ``git status`` shows all the same: a .gitignore with ``!*.md`` outranks our excludes."""
    literal = [f":(top,literal){name}" for name in names]
    return Git(worktree).run("ls-files", "-z", "--others", "--exclude-standard", "--", *literal).fields


def _excludes(fleet: Fleet) -> Path:
    return fleet.folder / _EXCLUDES


def _agents_excludes(fleet: Fleet) -> list[Path]:
    """Return the excludes of the agents that have their own."""
    paths = (fleet.agent_folder(agent.name) / _EXCLUDES for agent in fleet.blueprint.agents)
    return [path for path in paths if path.exists()]


def _write_agent_excludes(path: Path, text: str, names: Collection[str]) -> None:
    """Write the fleet's excludes, then what the set-up created: earlier names and ``names``."""
    _, _, earlier = (_read(path) or "").partition(_SET_UP)
    patterns = [*earlier.splitlines(keepends=True), *(f"/{literal_pattern(name)}\n" for name in names)]
    _write(path, "".join([text, _SET_UP, *dict.fromkeys(patterns)]))


def _config_text(folder: Path) -> str:
    return f"[core]\n\texcludesFile = {_quoted(str(folder / _EXCLUDES))}\n"


def _quoted(value: str) -> str:
    return '"{}"'.format(value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n"))


def _is_included(repository: Repository) -> bool:
    if _AS_WRITTEN in (_read(repository.common_dir / "config") or ""):
        return True
    return _OUR_CONFIG in repository.git.run("config", "--local", "--get-all", _KEY, ok=(0, 1)).lines


def _entries(repository: Repository) -> dict[str, str]:
    text = _read(repository.state_folder / "worktrees.config") or ""
    return {re.sub(r"\\(.)", r"\1", name): path for name, path in _ENTRY.findall(text)}


def _replace(repository: Repository, entries: Mapping[str, str]) -> None:
    rows = ((_quoted(f"gitdir:worktrees/{name}"), _quoted(entries[name])) for name in sorted(entries))
    text = "".join(f"[includeIf {condition}]\n\tpath = {path}\n" for condition, path in rows)
    _write(repository.state_folder / "worktrees.config", text)


def _read(path: Path) -> str | None:
    content = read_regular(path, most=LONGEST_RECORD)
    return None if content is None else content.decode("utf-8", "surrogateescape")


def _write(path: Path, text: str) -> None:
    if _read(path) != text:
        write_atomically(path, text)
