"""The tasks of this clone: orchestra's own, and those that build it (test, lint, bench).

In a repository of yours the first import is all it takes. ``./inv`` runs this file; plain ``inv`` loads it.
"""

from __future__ import annotations

from orchestra.cli import ns
from orchestra.cli.developer_commands import add_to
from orchestra.cli.program import main

add_to(ns)

if __name__ == "__main__":
    main(ns)
