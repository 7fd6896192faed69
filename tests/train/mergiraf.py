"""Stand-ins for mergiraf with its command line. The program itself is not to be had where these tests run."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

# As its own help tells: mergiraf merge BASE LEFT RIGHT, --output OUT, --path-name PATH; anything else is a usage error.
_ARGUMENTS = """\
#!/bin/sh
[ "$1" = merge ] && [ $# -ge 4 ] || exit 2
base=$2 left=$3 right=$4
shift 4
while [ $# -gt 0 ]; do
	case $1 in
	--output) out=$2; shift 2 ;;
	--path-name=*) name=${1#--path-name=}; shift ;;
	*) exit 2 ;;
	esac
done
[ -n "$out" ] && [ -n "$name" ] || exit 2
"""
UNION = 'git merge-file -p --union "$left" "$base" "$right" >"$out"'
GIVES_UP = 'git merge-file -p "$left" "$base" "$right" >"$out"; exit 1'


def stand_in(folder: Path, patch: pytest.MonkeyPatch, body: str = UNION) -> None:
    """A ``mergiraf`` before everything else on the path; ``body`` has $base $left $right $out $name."""
    folder.mkdir(parents=True, exist_ok=True)
    program = folder / "mergiraf"
    program.write_text(f"{_ARGUMENTS}{body}\n", "utf-8")
    program.chmod(0o755)
    patch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
