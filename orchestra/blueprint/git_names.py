"""Names that git and file systems accept, and names that cannot live side by side. Pure.

Branch names follow git-check-ref-format(1) for ``refs/heads/NAME``, plus ``git branch``'s own refusal of a leading
dash and of ``HEAD``. Two names collide when they are equal on a file system that folds case or normalises Unicode
(blueprints move between machines), or when one would have to be a folder of the other.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from enum import Enum
from typing import Final, NamedTuple

_LONGEST_COMPONENT: Final = 240
"""Bytes; 255 is the file systems' limit, and git adds ``.lock`` while it writes a ref."""
_NOT_IN_REF = re.compile(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{")
GATE_FOLDER_SUFFIX: Final = ".gates"
"""Reserved: orchestra's own gate worktrees live in ``<root>/<main checkout's name>.gates``."""


def branch_problem(name: str) -> str | None:
    """Why git refuses a branch of that name; None where it does not."""
    if name in {"", "@", "HEAD"}:
        return f'"{name}" is no branch name'
    if name.startswith("-"):
        return "begins with a dash"
    bad = _NOT_IN_REF.search(name)
    if bad:
        return f"holds {_spelled(bad.group())}, which git does not allow in a branch name"
    if name.endswith((".", "/")):
        return f'ends with "{name[-1]}"'
    return _first(_component_problem(part) for part in name.split("/"))


def _component_problem(part: str) -> str | None:
    if not part:
        return "holds an empty part (//, or a leading /)"
    if part.startswith("."):
        return f'holds "{part}", and git allows no part that begins with a dot'
    if part.casefold().endswith(".lock"):
        return f'holds "{part}", and git allows no part that ends with .lock'
    return _too_long(part)


def directory_problem(path: str) -> str | None:
    """Why an agent's folder below the worktrees' root may not have that path; None where it may."""
    if re.search(r"[\x00-\x1f\x7f\\]", path):
        return "holds a backslash or a control character"
    if path.startswith(("/", "~")) or re.match(r"[A-Za-z]:", path):
        return "is absolute"
    parts = path.split("/")
    if parts[0].casefold().endswith(GATE_FOLDER_SUFFIX):
        return f"ends with {GATE_FOLDER_SUFFIX}, which is reserved for orchestra's own worktrees"
    return _first(_folder_problem(part) for part in parts)


def _folder_problem(part: str) -> str | None:
    if part == "..":
        return "leaves worktrees.root"
    if part in ("", "."):
        return "holds an empty part (//, ., or a slash at an end)"
    if part.casefold() == ".git":
        return "holds .git, which is git's own"
    if part != part.strip() or part.startswith("-"):
        return f'holds "{part}", which begins with a dash or has a blank at an end'
    return _too_long(part)


def _too_long(part: str) -> str | None:
    if len(part.encode("utf-8", "surrogatepass")) > _LONGEST_COMPONENT:
        return f"holds a part longer than {_LONGEST_COMPONENT} bytes"
    return None


def _first(problems: Iterator[str | None]) -> str | None:
    return next((problem for problem in problems if problem), None)


def _spelled(text: str) -> str:
    return "a blank" if text == " " else f'"{text}"' if text.isprintable() else "a control character"


def folded(name: str) -> str:
    """The name as a file system sees it that folds case and normalises Unicode (APFS, NTFS)."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


class Clash(Enum):
    SAME = "same"  # the same name
    FOLDED = "folded"  # the same name on a file system that folds case or normalises Unicode
    INSIDE = "inside"  # the later one would need a folder where the earlier one is a file


class Collision(NamedTuple):
    """Two names that cannot live side by side, by their places in the sequence."""

    later: int
    earlier: int
    clash: Clash


def collisions(names: Sequence[str]) -> Iterator[Collision]:
    """Each name that cannot live beside another one."""
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
