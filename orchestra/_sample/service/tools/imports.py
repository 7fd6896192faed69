"""Check that every import of a TypeScript file names an existing module and one of its exports."""

from __future__ import annotations

import re
import sys
from pathlib import Path

IMPORT = re.compile(r'^(?:import|export)\s+(?:type\s+)?\{([^}]*)\}\s+from\s+"(\.[^"]+)";', re.MULTILINE)
EXPORT = re.compile(r"^export\s+(?:async\s+)?(?:function|const|class|interface|type)\s+(\w+)", re.MULTILINE)
RE_EXPORT = re.compile(r"^export\s+(?:type\s+)?\{([^}]*)\}", re.MULTILINE)


def names(braces: str) -> list[tuple[str, str]]:
    """Return ``{ a, type B, c as d }`` as pairs of exported name and local name."""
    pairs = []
    for part in filter(None, (part.strip() for part in braces.split(","))):
        exported_name, _, local_name = part.removeprefix("type ").partition(" as ")
        pairs.append((exported_name.strip(), (local_name or exported_name).strip()))
    return pairs


def exported(text: str) -> set[str]:
    """Return the names that a module exports."""
    re_exported = {name for braces in RE_EXPORT.findall(text) for _, name in names(braces)}
    return set(EXPORT.findall(text)) | re_exported


def check(path: Path) -> list[str]:
    """Return the problems with the imports of one file."""
    text = path.read_text(encoding="utf-8")
    problems = []
    for match in IMPORT.finditer(text):
        place = f"{path}:{text.count(chr(10), 0, match.start()) + 1}"
        target = Path(path.parent, match[2]).with_suffix(".ts")
        if not target.exists():
            problems.append(f'{place}: no module "{match[2]}"')
            continue
        available = exported(target.read_text(encoding="utf-8"))
        problems += [
            f'{place}: "{match[2]}" has no export {name}' for name, _ in names(match[1]) if name not in available
        ]
    return problems


def main() -> int:
    files = sorted(path for folder in ("src", "tests") for path in Path(folder).rglob("*.ts"))
    problems = [problem for path in files for problem in check(path)]
    print("\n".join(problems) or f"{len(files)} files: all imports resolve")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
