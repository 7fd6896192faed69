"""Every import of a TypeScript file names a module that is there, and something that it exports."""

from __future__ import annotations

import re
import sys
from pathlib import Path

IMPORT = re.compile(r'^(?:import|export)\s+(?:type\s+)?\{([^}]*)\}\s+from\s+"(\.[^"]+)";', re.MULTILINE)
EXPORT = re.compile(r"^export\s+(?:async\s+)?(?:function|const|class|interface|type)\s+(\w+)", re.MULTILINE)
RE_EXPORT = re.compile(r"^export\s+(?:type\s+)?\{([^}]*)\}", re.MULTILINE)


def names(braces: str) -> list[tuple[str, str]]:
    """``{ a, type B, c as d }`` as pairs of the name there and the name here."""
    pairs = []
    for part in filter(None, (part.strip() for part in braces.split(","))):
        there, _, here = part.removeprefix("type ").partition(" as ")
        pairs.append((there.strip(), (here or there).strip()))
    return pairs


def exported(text: str) -> set[str]:
    """The names that a module offers."""
    passed_on = {here for braces in RE_EXPORT.findall(text) for _, here in names(braces)}
    return set(EXPORT.findall(text)) | passed_on


def check(path: Path) -> list[str]:
    """What is wrong with the imports of one file."""
    text = path.read_text(encoding="utf-8")
    problems = []
    for found in IMPORT.finditer(text):
        place = f"{path}:{text.count(chr(10), 0, found.start()) + 1}"
        target = Path(path.parent, found[2]).with_suffix(".ts")
        if not target.exists():
            problems.append(f'{place}: no module "{found[2]}"')
            continue
        offered = exported(target.read_text(encoding="utf-8"))
        problems += [
            f'{place}: "{found[2]}" has no export {there}' for there, _ in names(found[1]) if there not in offered
        ]
    return problems


def main() -> int:
    files = sorted(path for folder in ("src", "tests") for path in Path(folder).rglob("*.ts"))
    problems = [problem for path in files for problem in check(path)]
    print("\n".join(problems) or f"{len(files)} files: every import is there")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
