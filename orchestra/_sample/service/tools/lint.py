"""Check style rules with regular expressions."""

from __future__ import annotations

import re
import sys
from pathlib import Path

RULES = {
    "no any": re.compile(r":\s*any\b|\bas any\b"),
    "no console.log": re.compile(r"\bconsole\.log\("),
    "no trailing whitespace": re.compile(r"[ \t]+$"),
}


def main() -> int:
    files = sorted(path for folder in ("src", "tests") for path in Path(folder).rglob("*.ts"))
    problems = [
        f"{path}:{number}: {rule}"
        for path in files
        for number, line in enumerate(path.read_text(encoding="utf-8").split("\n"), 1)
        for rule, pattern in RULES.items()
        if pattern.search(line)
    ]
    print("\n".join(problems) or f"{len(files)} files: clean")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
