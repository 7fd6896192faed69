"""Find blueprints by name: next to a file, in a repository's ``blueprints/``, among the shipped ones.

A name means the first file of that name, in the order of the folders given.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Final

from orchestra.text import did_you_mean

_LEVELS: Final = 2
_MOST_ENTRIES: Final = 2_000
_MOST_NAMES: Final = 20
SUFFIXES: Final = (".yaml", ".yml")


def shipped_data_folder() -> Path:
    """Return the folder that holds ``blueprints/``, ``schemas/`` and ``plugin/``: in the wheel, or in this checkout."""
    package = Path(__file__).resolve().parent.parent
    inside = package / "_data"
    return inside if inside.is_dir() else package.parent


def shipped_blueprints() -> Path:
    return shipped_data_folder() / "blueprints"


def shipped_starters() -> Path:
    """Return the folder with one folder of files for each starter."""
    return shipped_blueprints() / "starters"


def starter_names() -> list[str]:
    folder = shipped_starters()
    return sorted(entry.name for entry in folder.iterdir() if entry.is_dir()) if folder.is_dir() else []


def named_file(name: str, folders: Sequence[Path], *, but: Path | None = None) -> Path | None:
    """Return the first of ``folder/name`` and ``folder/name.yaml`` (``.yml``) that is a file, but not ``but``."""
    for folder in folders:
        for suffix in ("", *SUFFIXES):
            candidate = Path(os.path.normpath(folder / f"{name}{suffix}"))
            if is_file(candidate) and not (but and candidate.resolve() == but.resolve()):
                return candidate
    return None


def names_in(folder: Path) -> list[str]:
    """Return the names of the files in ``folder`` and in two levels of folders below, sorted: ``standards/go-service``.

    Looks at 2,000 entries at most: ``folder`` may be the root of anything, next to a blueprint.
    """
    starters = shipped_starters()  # their YAML files are no blueprints
    return sorted(
        entry.relative_to(folder).with_suffix("").as_posix()
        for entry in islice(_entries(folder, _LEVELS), _MOST_ENTRIES)
        if starters not in entry.parents and entry.suffix in SUFFIXES and is_file(entry)
    )


def _entries(folder: Path, levels: int) -> Iterator[Path]:
    try:
        entries = sorted(folder.iterdir())
    except OSError:  # missing or unreadable
        return
    yield from entries
    for entry in entries:
        if levels and entry.is_dir() and not entry.name.startswith(".") and not entry.is_symlink():
            yield from _entries(entry, levels - 1)


def near_names(name: str, folders: Sequence[Path]) -> str | None:
    """Return a hint: the nearest name that these folders hold, else all their names; None where they hold none."""
    known_names = sorted({entry_name for folder in folders for entry_name in names_in(folder)})
    more = f" and {len(known_names) - _MOST_NAMES} more" if len(known_names) > _MOST_NAMES else ""
    listing = f"available: {', '.join(known_names[:_MOST_NAMES])}{more}" if known_names else None
    stem = name.removesuffix(".yaml").removesuffix(".yml")
    return did_you_mean(Path(stem).name, known_names) or did_you_mean(stem, known_names, otherwise=listing)


def is_file(path: Path) -> bool:
    """Return True for a file; False also for a name too long for the file system, or with a NUL."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False
