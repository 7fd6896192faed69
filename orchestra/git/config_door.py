"""Programs that a repository's own configuration names, and the settings that keep git from running them.

Agents can write ``.git/config``, ``config.worktree`` and the configuration of repositories inside their worktrees.
Filters, merge drivers, ssh commands, credential helpers and the like count only where the user set them outside the
repository: in the global or system configuration, included files there, or the environment. A setting of the
repository is overridden by the user's value, else by one that runs nothing or makes git fail.
"""

from __future__ import annotations

import os
import re
import shlex
import stat
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from orchestra.errors import GroundError
from orchestra.files import read_regular

_PROGRAMS = re.compile(
    r"""filter\..*\.(clean|smudge|process) | merge\..*\.driver | diff\..*\.(command|textconv) | diff\.external
    | core\.(sshcommand|askpass|gitproxy|alternaterefscommand|attributesfile) | credential(\..*)?\.helper
    | gpg(\..*)?\.(program|defaultkeycommand) | remote\..*\.(uploadpack|receivepack|vcs) | submodule\..*\.update""",
    re.VERBOSE | re.IGNORECASE | re.DOTALL,
)
# A quick look at the file: without any of these words at the start of a setting it names no program.
_SUSPICIOUS = re.compile(
    rb"""\[\s*include | (^|[\]\s])(clean|smudge|process|driver|command|textconv|external|sshcommand|askpass|gitproxy
    |alternaterefscommand|attributesfile|helper|program|defaultkeycommand|uploadpack|receivepack|vcs|update)\s*[=\\]""",
    re.VERBOSE | re.IGNORECASE | re.MULTILINE,
)
# The includes that git_excludes writes. Their files are read like the configuration itself, so they are no reason.
_OUR_INCLUDE = re.compile(
    rb"""^\[includeIf[ ]"gitdir:[^"\n]*"\]\n\tpath[ ]=[ ]
    (orchestra/worktrees\.config | "fleets/[A-Za-z0-9][^"/\\\n]*(/agents/[A-Za-z0-9][^"/\\\n]*)?/worktree\.config")
    \n(?=\[|\Z)""",
    re.VERBOSE | re.MULTILINE,
)
_NEUTRAL = {
    "driver": "false",  # an empty driver would succeed with "ours"
    "sshcommand": "ssh",
    "uploadpack": "git-upload-pack",
    "receivepack": "git-receive-pack",
    "update": "checkout",
}
_SETTLED_NS = 2_000_000_000
_harmless: set[tuple[str, int, int, int]] = set()
_cache: dict[tuple[object, ...], tuple[str, ...]] = {}


def neutral_options(git_folder: Path, env: Mapping[str, str], list_config: Callable[[], bytes]) -> tuple[str, ...]:
    """Return the ``-c`` options that disable the programs of the repository's own configuration; mostly none.

    ``list_config`` returns the output of ``git config --list --show-scope -z``.
    """
    files = [path for path in _config_files(git_folder) if _is_file(path)]
    if not any(_is_suspicious(path) for path in files):
        return ()
    key = (git_folder, env.get("GIT_CONFIG_GLOBAL"), env.get("HOME"), env.get("GIT_CONFIG_COUNT"), *map(_stamp, files))
    if key not in _cache:
        _cache[key] = tuple(part for setting in _overrides(list_config()) for part in ("-c", setting))
    return _cache[key]


def _is_file(path: Path) -> bool:
    """Return True for a file, also through a link. Git would wait without end on a pipe, and read a device without end.

    In the place of a file of orchestra such a thing holds nothing and is deleted; elsewhere it is a GroundError.
    """
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        if path.name not in ("worktrees.config", "worktree.config"):
            raise GroundError(
                f"{path} is a pipe or a device, which no git can read", hint=f"rm {shlex.quote(str(path))}"
            )
        with suppress(OSError):
            path.unlink()
    return stat.S_ISREG(mode)


def _config_files(git_folder: Path) -> Iterator[Path]:
    yield git_folder / "config.worktree"
    common = git_folder
    if _is_file(git_folder / "commondir"):
        common /= os.fsdecode(read_regular(git_folder / "commondir") or b"").strip().replace("\0", "")
    yield common / "config"
    yield common / "orchestra" / "worktrees.config"
    yield from common.glob("orchestra/fleets/*/worktree.config")
    yield from common.glob("orchestra/fleets/*/agents/*/worktree.config")


def _is_suspicious(path: Path) -> bool:
    try:
        stamp = _stamp(path)
        if stamp in _harmless:
            return False
        text = path.read_bytes()
    except OSError:
        return True
    ours = path.name in ("config", "worktrees.config")  # in config.worktree these paths would mean other files
    if _SUSPICIOUS.search(_OUR_INCLUDE.sub(b"", text) if ours else text):
        return True
    if time.time_ns() - stamp[1] > _SETTLED_NS:  # a file that changes again within a clock tick keeps its stamp
        _harmless.add(stamp)
    return False


def _stamp(path: Path) -> tuple[str, int, int, int]:
    status = path.stat()
    return str(path), status.st_ctime_ns, status.st_size, status.st_ino  # a time that no program can set


def _overrides(listed: bytes) -> Iterator[str]:
    fields = listed.decode("utf-8", "surrogateescape").split("\0")
    by_key: dict[str, tuple[list[str], list[str]]] = {}
    for scope, setting in zip(fields[::2], fields[1::2], strict=False):
        name, _, value = setting.partition("\n")
        if _PROGRAMS.fullmatch(name):
            by_key.setdefault(name, ([], []))[scope in ("local", "worktree")].append(value)
    for name, (outside, inside) in by_key.items():
        variable = name.rpartition(".")[2]
        if not inside:
            continue
        if variable == "helper":
            yield from (f"{name}={value}" for value in ("", *outside))  # the empty one resets the list
        else:
            yield f"{name}={outside[-1] if outside else _NEUTRAL.get(variable, '')}"
