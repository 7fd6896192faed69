"""Text conflicts: what a rule of the blueprint may resolve, and how the others are reported.

``union`` keeps both sides' lines (``git merge-file --union``); ``regenerate`` regenerates the file by a command, which
the caller runs, in a checkout; ``forbid`` always goes back to a person. The first glob that matches rules
(CONTRACT.md). Invariant: a path without a rule stays a conflict. Refuses: to resolve anything but plain files (a
submodule, a symlink, a file deleted on one side), and to run commands.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from orchestra.blueprint.model import Blueprint, ConflictRule, Forbid, Regenerate, Scope, Union
from orchestra.blueprint.scope import Matcher
from orchestra.git.git_process import Git
from orchestra.git.merge_tree import Merged, Stage
from orchestra.git.objects import Entry, Objects, TreeId
from orchestra.git.refs import CommitId

RuleOf = Callable[[str], ConflictRule | None]
"""Path -> the rule for a conflict there."""
Remake = Callable[[TreeId, str, str], bytes | None]
"""Tree to check out, path, command -> the file's new content; None when the command failed or left no file."""

Settle = Callable[[Merged, tuple[str, ...]], Mapping[str, Entry]]
"""A merge and its conflicted paths that no rule is for -> what each that could be settled becomes."""

_FILE_MODES = ("100644", "100755")
_MARKER_BYTES = 200_000  # of one file; hunks of a larger one are not shown


@dataclass(frozen=True, slots=True)
class Conflict:
    """Why a branch does not fit: ``commit`` is the agent's commit that does not apply (None: the whole branch).

    ``stages`` are the sides of each conflicted path, ``messages`` are git's own sentences.
    """

    paths: tuple[str, ...]
    messages: tuple[str, ...]
    stages: tuple[Stage, ...] = ()
    commit: CommitId | None = None
    subject: str = ""

    @property
    def sentence(self) -> str:
        """One sentence for a person."""
        where = f" in {few(self.paths)}" if self.paths else ""
        source = f"commit {self.commit[:10]} ({self.subject})" if self.commit else "the branch"
        if not self.stages and self.messages:
            return self.messages[0]
        return f"{source} conflicts with the target{where}"


def few(paths: Sequence[str]) -> str:
    """The first three, and how many more."""
    shown = ", ".join(paths[:3])
    return shown if len(paths) <= 3 else f"{shown} and {len(paths) - 3} more"  # noqa: PLR2004


def quote_path(path: str) -> str:
    """A path in a sentence: as it is, or as a JSON string where it holds what no terminal should print."""
    return path if path.isprintable() else json.dumps(path)


def conflict_rules(blueprint: Blueprint) -> RuleOf:
    """Return the rule of ``merge.conflicts`` for a path: that of the first glob that matches."""
    rules = [(Matcher(Scope((glob,))), rule) for glob, rule in blueprint.merge.conflicts.items()]

    def rule_of(path: str) -> ConflictRule | None:
        return next((rule for matcher, rule in rules if matcher.matches(path)), None)

    return rule_of


def is_resolved_by_rule(rule_of: RuleOf, path: str) -> bool:
    """Return True when a rule resolves a text conflict in ``path``, so that no agent goes back for it."""
    return isinstance(rule_of(path), Union | Regenerate)


class Resolver:
    """Applies the blueprint's conflict rules to a merge."""

    def __init__(self, git: Git, objects: Objects, rule_of: RuleOf, remake: Remake | None = None) -> None:
        self._git, self._objects, self._rule_of, self._remake = git, objects, rule_of, remake

    def resolve(self, merged: Merged, settle: Settle | None = None) -> TreeId | None:
        """The tree with every conflict resolved by a rule, or else by ``settle``; None when one of them is not."""
        sides = by_path(merged)
        rules = {path: self._rule_of(path) for path in sides}
        if not sides or merged.conflicted_folders or not all(is_plain(of_path) for of_path in sides.values()):
            return None
        if any(isinstance(rule, Forbid) for rule in rules.values()):
            return None
        unruled = tuple(path for path, rule in rules.items() if rule is None)
        settled = settle(merged, unruled) if unruled and settle else {}
        if len(settled) != len(unruled):
            return None
        united: dict[str, Entry] = {}
        for path in [path for path, rule in rules.items() if isinstance(rule, Union)]:
            text = merge_text(self._git, self._objects, sides[path], "--union")
            if text is None:
                return None
            united[path] = Entry(sides[path][2].mode.encode(), self._objects.write_blob(text))
        regenerated = {path: sides[path][2] for path, rule in rules.items() if isinstance(rule, Regenerate)}
        ours = {path: Entry(stage.mode.encode(), stage.id) for path, stage in regenerated.items()}
        tree = self._objects.with_entries(merged.tree, _encoded({**settled, **united, **ours}))
        for path, rule in sorted(rules.items()):
            if isinstance(rule, Regenerate):
                content = self._remake(tree, path, rule.command) if self._remake else None
                if content is None:
                    return None
                entry = Entry(ours[path].mode, self._objects.write_blob(content))
                tree = self._objects.with_entries(tree, _encoded({path: entry}))
        return tree


def conflict_hunks(git: Git, objects: Objects, conflict: Conflict, theirs: str) -> str:
    """The conflicted places with base, the target's side and ``theirs``, as ``git merge`` would write them (diff3)."""
    shown = []
    for path, sides in by_path(Merged(False, TreeId(""), conflict.stages)).items():
        if not is_plain(sides):
            shown.append(f"== {path}\n{_one_sided(sides)}\n")
            continue
        labels = ("-L", "target", "-L", "base", "-L", theirs)
        text = merge_text(git, objects, sides, "--diff3", *labels) or b"(binary)\n"
        shown.append(f"== {path}\n" + _only_conflicts(text[:_MARKER_BYTES].decode("utf-8", "replace")))
    return "\n".join(shown)


def merge_text(git: Git, objects: Objects, sides: Mapping[int, Stage], *options: str) -> bytes | None:
    """The text merge of one path's sides by ``git merge-file``; a missing base counts as empty. None when binary."""
    with TemporaryDirectory(prefix="orchestra-") as folder:
        places = {number: Path(folder) / str(number) for number in (1, 2, 3)}
        for number, place in places.items():
            place.write_bytes(objects.blob(sides[number].id) if number in sides else b"")
        order = [str(places[number]) for number in (2, 1, 3)]
        # Its exit code is the number of conflicts, at most 127; 255 says that it could not merge (binary).
        output = git.run("merge-file", "-p", "-q", *options, *order, ok=range(256))
    return output.stdout if output.code <= 127 else None  # noqa: PLR2004


def _only_conflicts(text: str, context: int = 3) -> str:
    lines = text.splitlines()
    keep: set[int] = set()
    inside = False
    for number, line in enumerate(lines):
        inside = inside or line.startswith("<<<<<<< ")
        if inside:
            keep.update(range(max(0, number - context), min(len(lines), number + context + 1)))
        inside = inside and not line.startswith(">>>>>>> ")
    if not keep:
        return text
    return "".join(f"{lines[number]}\n" for number in sorted(keep))


def _one_sided(sides: Mapping[int, Stage]) -> str:
    names = {1: "base", 2: "target", 3: "branch"}
    present = ", ".join(f"{names[n]} {stage.mode} {stage.id[:10]}" for n, stage in sorted(sides.items()))
    missing = [names[n] for n in (2, 3) if n not in sides]
    return f"({present}{'; absent on the ' + ' and the '.join(missing) + ' side' if missing else ''})"


def by_path(merged: Merged) -> dict[str, dict[int, Stage]]:
    """Return path -> stage number (1 base, 2 ours, 3 theirs) -> that side, for the sides that exist."""
    sides: dict[str, dict[int, Stage]] = {}
    for stage in merged.stages:
        sides.setdefault(stage.path, {})[stage.number] = stage
    return sides


def is_plain(sides: Mapping[int, Stage]) -> bool:
    """Whether both sides of a conflict are plain files."""
    return {2, 3} <= set(sides) and all(stage.mode in _FILE_MODES for stage in sides.values())


def _encoded(entries: Mapping[str, Entry | None]) -> dict[bytes, Entry | None]:
    return {os.fsencode(path): entry for path, entry in entries.items()}
