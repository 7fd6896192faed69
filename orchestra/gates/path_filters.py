"""Path filters of gates: whether a candidate touches what a gate checks (``when``), and the digest of its ``inputs``.

Invariant: a gate that is not needed on a candidate would end there as on the target: the files that ``when`` names, the
files that its command goes by, and whatever decides how git checks files out are the same in both.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from orchestra.blueprint.judging_files import files_of_command
from orchestra.blueprint.model import RunGate, Scope
from orchestra.blueprint.scope import Matcher
from orchestra.git.git_process import Git
from orchestra.git.refs import CommitId
from orchestra.git.tree_diff import changes, tree_of
from orchestra.text import format_list

_MOST_PATTERNS = 3  # that one sentence names


class PathFilters:
    """The path filters of a fleet's gates, in one repository. What was read of a tree is remembered."""

    def __init__(self, git: Git) -> None:
        self._git = git
        self._digests: dict[tuple[str, str], str] = {}
        self._tests: dict[tuple[str, tuple[str, ...]], Callable[[str], bool]] = {}

    def touches(self, gate: RunGate, base: CommitId, candidate: CommitId) -> bool:
        """Return True when a file that ``gate`` needs differs between the two commits; always without ``when``."""
        if not gate.when:
            return True
        differing = changes(self._git, tree_of(self._git, base), tree_of(self._git, candidate))
        return any(map(self._path_test(gate, gate.when), differing))

    def content_key(self, gate: RunGate, tree: str) -> str:
        """Return what a result on ``tree`` depends on: the digest of the files that ``inputs`` names, or the tree."""
        if not isinstance(gate.inputs, tuple):
            return tree
        if (gate.name, tree) not in self._digests:
            is_input = self._path_test(gate, gate.inputs)
            rows = self._git.run("ls-tree", "-r", "-z", "--full-tree", tree).fields
            inputs = [row for row in rows if is_input(row.partition("\t")[2])]
            digest = hashlib.sha256("\0".join(inputs).encode("utf-8", "surrogateescape")).hexdigest()
            self._digests[gate.name, tree] = digest
        return self._digests[gate.name, tree]

    def _path_test(self, gate: RunGate, patterns: tuple[str, ...]) -> Callable[[str], bool]:
        """Return the test for a path that matches ``patterns``, or that the gate's command goes by."""
        key = (gate.name, patterns)
        if key not in self._tests:
            declared, goes_by = Matcher(Scope(patterns)), files_of_command(gate)
            self._tests[key] = lambda path: declared.matches(path) or goes_by(path)
        return self._tests[key]


def describe_filter(gate: RunGate) -> str:
    """Return why a gate that its filter excludes was not run."""
    return f"no change in {format_list(gate.when, most=_MOST_PATTERNS, conjunction='or')}"
