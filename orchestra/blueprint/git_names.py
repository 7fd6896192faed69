"""Names that git and file systems accept, and names that collide.

Branch names follow git-check-ref-format(1) for ``refs/heads/NAME``, plus ``git branch``'s own refusal of a leading
dash and of ``HEAD``. Two names collide when they are equal on a file system that folds case or normalises Unicode
(blueprints move between machines), or when one would have to be a folder of the other.
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Iterator, Sequence
from enum import Enum
from typing import Final, NamedTuple

_LONGEST_COMPONENT: Final = 240
"""Bytes; 255 is the file systems' limit, and git adds ``.lock`` while it writes a ref."""
_NOT_IN_REF = re.compile(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{")
_NAME = re.compile(r"[A-Za-z0-9]+([-_.][A-Za-z0-9]+)*")  # as in schemas/blueprint.schema.json
_LONGEST_NAME: Final = 63
VERBS: Final = frozenset(
    """adopt approve attach blueprints check clean cluster completion demo discard doctor gates help init json-schema
    logs mcp merge next path plan rebase-and-test rehearse report request-changes restore review scripts slot spawn
    start status stop trust up validate version watch worker""".split()
)
"""The verbs of the command line, present and planned: `inv stop merge` would run two tasks."""
OWN_FOLDER_PREFIX: Final = ".orchestra-"
"""Reserved: folders of worktrees that orchestra is creating or removing begin like that."""
GATE_FOLDER_SUFFIX: Final = ".gates"
"""Reserved: orchestra keeps its gate worktrees in ``<root>/<main checkout's name>.gates``."""


def branch_problem(name: str) -> str | None:
    """Return the reason why git refuses a branch of that name, else None."""
    if name in {"", "@", "HEAD"}:
        return f'"{name}" is not a branch name'
    if name.startswith("-"):
        return "begins with a dash"
    bad = _NOT_IN_REF.search(name)
    if bad:
        text = bad.group()
        shown = "a space" if text == " " else f'"{text}"' if text.isprintable() else "a control character"
        return f"contains {shown}, which git does not allow in a branch name"
    if name.endswith((".", "/")):
        return f'ends with "{name[-1]}"'
    for part in name.split("/"):
        if not part:
            return "contains an empty part (//, or a leading /)"
        if part.startswith("."):
            return f'contains "{part}"; git does not allow a part that begins with a dot'
        if part.casefold().endswith(".lock"):
            return f'contains "{part}"; git does not allow a part that ends with .lock'
    return _too_long(name)


def fleet_name_problem(name: str) -> str | None:
    """Return the reason why a fleet may not have that name, else None."""
    if not _NAME.fullmatch(name) or len(name) > _LONGEST_NAME:
        return f"is not a name (letters and digits, with - _ or . between them, at most {_LONGEST_NAME})"
    if name.casefold().endswith(".lock"):
        return "ends with .lock, which git does not allow in a branch name"
    if name.casefold() == "archive":
        return "is reserved: refs/orchestra/archive/ is for the refs of earlier rounds"
    return None


def directory_problem(path: str) -> str | None:
    """Return the reason why an agent's folder below the worktrees' root may not have that path, else None."""
    if re.search(r"[\x00-\x1f\x7f\\]", path):
        return "contains a backslash or a control character"
    if path.startswith(("/", "~")) or re.match(r"[A-Za-z]:", path):
        return "is absolute"
    parts = path.split("/")
    if parts[0].casefold().endswith(GATE_FOLDER_SUFFIX):
        return f"ends with {GATE_FOLDER_SUFFIX}, which is reserved for the worktrees of gates"
    for part in parts:
        if part == "..":
            return "leaves worktrees.root"
        if part in ("", "."):
            return "contains an empty part (//, ., or a slash at an end)"
        if part.casefold() == ".git":
            return "contains .git, which belongs to git"
        if part.casefold().startswith(OWN_FOLDER_PREFIX):
            return f'contains "{part}"; names that begin with {OWN_FOLDER_PREFIX} are reserved for orchestra'
        if part != part.strip() or part.startswith("-"):
            return f'contains "{part}", which begins with a dash or has a space at an end'
    return _too_long(path)


def _too_long(path: str) -> str | None:
    if any(len(part.encode("utf-8", "surrogatepass")) > _LONGEST_COMPONENT for part in path.split("/")):
        return f"contains a part longer than {_LONGEST_COMPONENT} bytes"
    return None


def folded(name: str) -> str:
    """Return the name as a file system sees it that folds case and normalises Unicode (APFS, NTFS)."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def safe_folder_name(name: str) -> str:
    """Return a name of a folder made of ``name``: what may confuse a shell, git or orchestra becomes a dash.

    The generated scripts do the same (shell/parts/lib.sh).
    """
    cleaned = re.sub(rb"[^A-Za-z0-9._+@\x80-\xff-]", b"-", os.fsencode(name)).strip(b"-.")
    return os.fsdecode(cleaned) or "repository"


class Clash(Enum):
    SAME = "same"  # the same name
    FOLDED = "folded"  # the same name on a file system that folds case or normalises Unicode
    INSIDE = "inside"  # the later name needs a folder where the earlier one is a file


class Collision(NamedTuple):
    """Two names that collide, by their index in the sequence."""

    later: int
    earlier: int
    clash: Clash


def collisions(names: Sequence[str]) -> Iterator[Collision]:
    """Yield each name that collides with an earlier one."""
    first: dict[str, int] = {}
    for index, name in enumerate(names):
        earlier = first.setdefault(folded(name), index)
        if earlier != index:
            yield Collision(index, earlier, Clash.SAME if names[earlier] == name else Clash.FOLDED)
    for index, name in enumerate(names):
        parts = folded(name).split("/")
        for depth in range(1, len(parts)):
            above = first.get("/".join(parts[:depth]))
            if above is not None:
                yield Collision(index, above, Clash.INSIDE)
