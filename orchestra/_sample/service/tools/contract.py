"""Check that every request in the integration tests is an operation of openapi/openapi.yaml.

Without this document the check passes.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

DOCUMENT = Path("openapi/openapi.yaml")
REQUEST = re.compile(r"client\.(get|post|put|patch|delete)\(([\"`])([^\"`?]+)")


def operations(text: str) -> Iterator[str]:
    """Return the operations, such as ``POST /v1/orders``, in the order of the document."""
    path = ""
    for line in text.splitlines():
        if match := re.match(r"  (/\S*):$", line):
            path = match[1]
        elif match := re.match(r"    (get|post|put|patch|delete):$", line):
            yield f"{match[1].upper()} {path}"


def requests(path: Path) -> Iterator[tuple[int, str]]:
    """Return line and operation of each request in a test. ``${order.id}`` stands for a path parameter."""
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        for method, _, url in REQUEST.findall(line):
            yield number, f"{method.upper()} {re.sub(r'[$][{][^}]*[}]', '{id}', url)}"


def main() -> int:
    if not DOCUMENT.exists():
        print(f"no {DOCUMENT}: nothing to check against")
        return 0
    declared = list(operations(DOCUMENT.read_text(encoding="utf-8")))
    undeclared, valid = [], 0
    for path in sorted(Path("tests/integration").rglob("*.test.ts")):
        for number, operation in requests(path):
            if operation in declared:
                valid += 1
            else:
                undeclared.append(f"{path}:{number}: {operation} is not an operation of {DOCUMENT}")
    if undeclared:
        print("\n".join(undeclared), "declared operations:", *(f"  {operation}" for operation in declared), sep="\n")
        return 1
    print(f"{len(declared)} operations, {valid} requests: all declared")
    return 0


if __name__ == "__main__":
    sys.exit(main())
