"""Every request that the integration tests make is an operation of openapi/openapi.yaml.

Where there is no such document yet there is no contract to break, and the check passes.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

DOCUMENT = Path("openapi/openapi.yaml")
REQUEST = re.compile(r"client\.(get|post|put|patch|delete)\(([\"`])([^\"`?]+)")


def operations(text: str) -> Iterator[str]:
    """``POST /v1/orders`` and so on, in the order of the document."""
    path = ""
    for line in text.splitlines():
        if found := re.match(r"  (/\S*):$", line):
            path = found[1]
        elif found := re.match(r"    (get|post|put|patch|delete):$", line):
            yield f"{found[1].upper()} {path}"


def requests(path: Path) -> Iterator[tuple[int, str]]:
    """Line and operation of each request in a test; ``${order.id}`` stands for a path parameter."""
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        for method, _, url in REQUEST.findall(line):
            yield number, f"{method.upper()} {re.sub(r'[$][{][^}]*[}]', '{id}', url)}"


def main() -> int:
    if not DOCUMENT.exists():
        print(f"no {DOCUMENT}: nothing to check against")
        return 0
    known = list(operations(DOCUMENT.read_text(encoding="utf-8")))
    wrong, right = [], 0
    for path in sorted(Path("tests/integration").rglob("*.test.ts")):
        for number, operation in requests(path):
            if operation in known:
                right += 1
            else:
                wrong.append(f"{path}:{number}: {operation} is not an operation of {DOCUMENT}")
    if wrong:
        print("\n".join(wrong), "it has:", *(f"  {operation}" for operation in known), sep="\n")
        return 1
    print(f"{len(known)} operations, {right} requests: all known")
    return 0


if __name__ == "__main__":
    sys.exit(main())
