"""Three trees in, one tree out: ``git merge-tree`` behind one face, for git 2.38 to the newest.

Chosen by version: from 2.49 one process that answers over its pipes; from 2.45 a
process a merge, given trees; before that a process a merge, given three synthetic commits, since merge-tree then finds
its own base. Invariant: a failed command never reads as a conflict: exit code 1 without a tree is an error (2.39 exits
1 for a missing object, too). ``--quiet`` is not used: it calls real
conflicts clean in some releases. The user's merge settings do not apply: a merge is the same on every machine.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property, lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO

from orchestra.errors import GitError
from orchestra.git.git_process import Git, version
from orchestra.git.objects import Commit, Objects, TreeId, our_ident
from orchestra.git.refs import CommitId

# Same merge on every machine, whatever the user's configuration says.
_SETTINGS = {
    "merge.renames": "true",
    "merge.directoryRenames": "conflict",
    "merge.renormalize": "false",
    "merge.verbosity": "2",
    "diff.renameLimit": "7000",
    "merge.renameLimit": "7000",
}


class MergeTreeMode(IntEnum):
    SYNTHETIC = 1  # git 2.38: commits only, it finds its own base
    TREES = 2  # git 2.45: --merge-base and trees
    PERSISTENT = 3  # git 2.49: --stdin answers at once

    @classmethod
    def of(cls, git_version: Sequence[int]) -> MergeTreeMode:
        release = tuple(git_version)[:2]
        return cls.PERSISTENT if release >= (2, 49) else cls.TREES if release >= (2, 45) else cls.SYNTHETIC


@dataclass(frozen=True, slots=True)
class Stage:
    """One side of a conflicted path: ``number`` 1 base, 2 ours, 3 theirs."""

    path: str
    number: int
    mode: str
    id: str


@dataclass(frozen=True, slots=True)
class Merged:
    """A merge's result. When not ``clean``, ``tree`` holds conflict markers and must not land.

    ``conflicted_folders``: conflicts that are in no single file, such as a folder that one side split in two.
    """

    clean: bool
    tree: TreeId
    stages: tuple[Stage, ...] = ()
    messages: tuple[str, ...] = ()
    conflicted_folders: tuple[str, ...] = ()

    @property
    def conflicted_paths(self) -> tuple[str, ...]:
        """Return the paths in conflict, sorted; at least one where the merge is not clean."""
        paths = {*(stage.path for stage in self.stages), *self.conflicted_folders}
        return tuple(sorted(paths)) or (() if self.clean else (".",))


@lru_cache(maxsize=1)
def installed() -> tuple[int, ...]:
    """The version of the git in use, asked once."""
    return version()


class TreeMerger:
    """Merges trees of one repository. Use as a context manager.

    ``attributes``: the tree whose ``.gitattributes`` rule (merge drivers, text conversion): the target's, never the
    branch's, whatever is checked out at the time. ``style``: how conflicts are written into files, as
    git's ``merge.conflictStyle``.
    """

    def __init__(
        self, git: Git, objects: Objects, attributes: TreeId, rung: MergeTreeMode | None = None, style: str = "merge"
    ) -> None:
        self._objects = objects
        self._attributes = attributes
        self._rung = rung
        self._plain = git
        self._style = style
        self._stack = ExitStack()
        self._talk: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> TreeMerger:
        return self

    @cached_property
    def _git(self) -> Git:
        """Git with the settings and attributes that rule; made for the first merge that needs git."""
        ruled = self._stack.enter_context(_ruled_by(self._plain, self._objects, self._attributes))
        return ruled.with_config({"merge.conflictStyle": self._style})

    def __exit__(self, *_: object) -> None:
        self._talk = None
        self._stack.close()

    def merge(self, base: TreeId, ours: TreeId, theirs: TreeId) -> Merged:
        """The three-way merge of three trees. Raises GitError when git failed, whatever its exit code."""
        if theirs in (base, ours):
            return Merged(True, ours)
        if base == ours:
            return Merged(True, theirs)
        rung = MergeTreeMode.of(installed()) if self._rung is None else self._rung
        if rung is MergeTreeMode.PERSISTENT:
            return self._ask(base, ours, theirs)
        if rung is MergeTreeMode.TREES:
            return self._run(f"--merge-base={base}", ours, theirs)
        start = self._synthetic(base)
        return self._run(self._synthetic(ours, start), self._synthetic(theirs, start))

    def merge_commits(self, ours: CommitId, theirs: CommitId) -> Merged:
        """The merge of two commits as ``git merge`` makes it, with every merge base that their histories have."""
        return self._run(ours, theirs)

    def _synthetic(self, tree: TreeId, *parents: CommitId) -> CommitId:
        return self._objects.write_commit(Commit(tree, parents, our_ident(), our_ident(), b"a side of a merge\n"))

    def _run(self, *args: str) -> Merged:
        output = self._git.run("merge-tree", "--write-tree", "-z", "--messages", *args, ok=(0, 1))
        if not output.stdout:
            raise self._git.failure(output.argv, output.code, output.stderr)
        return parse_merge(output.fields, clean=output.code == 0)

    def _ask(self, base: str, ours: str, theirs: str) -> Merged:
        if self._talk is None:
            talk = self._git.conversation("merge-tree", "--write-tree", "--stdin", "-z", "--messages")
            self._talk = self._stack.enter_context(talk)
        process = self._talk
        assert process.stdin is not None and process.stdout is not None  # noqa: S101 - opened with pipes
        try:
            process.stdin.write(f"{base} -- {ours} {theirs}\n".encode("ascii"))
            process.stdin.flush()
            answer = next(read_merges(process.stdout), None)
        except BrokenPipeError:
            answer = None
        if answer is None:
            message = os.fsdecode(process.stderr.read()) if process.stderr else ""
            self._talk = None
            raise self._git.failure(("merge-tree", "--stdin"), process.wait(), message)
        return answer


@contextmanager
def _ruled_by(git: Git, objects: Objects, tree: TreeId) -> Iterator[Git]:
    """``git`` with our settings, reading attributes from ``tree``.

    GIT_ATTR_SOURCE does that from 2.41, and well from 2.43. Before, git reads them from a work tree: it is given one
    that holds the tree's ``.gitattributes`` files and nothing else.
    """
    if installed()[:2] >= (2, 43):
        yield git.with_config(_SETTINGS).with_env(GIT_ATTR_SOURCE=tree)
        return
    git_dir = str(git.git_folder().absolute())
    with TemporaryDirectory(prefix="orchestra-") as folder:
        for path, blob in attribute_files(git, tree):
            place = Path(folder, path)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(objects.blob(blob))
        yield Git(Path(folder)).with_config(_SETTINGS).with_env(GIT_DIR=git_dir, GIT_WORK_TREE=folder)


def attribute_files(git: Git, tree: TreeId) -> Iterator[tuple[str, str]]:
    """Path and blob of each ``.gitattributes`` in ``tree``: plain files at paths that a work tree may hold."""
    for row in git.run("ls-tree", "-r", "-z", tree).fields:
        facts, _, path = row.partition("\t")
        mode, _, blob = facts.split(" ")
        inside = not {"", ".", ".."} & set(path.split("/"))  # a tree made by hand may name anything
        if inside and path.rpartition("/")[2] == ".gitattributes" and mode.startswith("100"):
            yield path, blob


def read_merges(stream: IO[bytes]) -> Iterator[Merged]:
    """The answers of ``merge-tree --stdin -z``, as they come."""
    while (status := _field(stream)) is not None:
        fields = []
        # Sections: tree and stages, messages, each ended by an empty field. No field inside is ever empty but a
        # message's list of paths, which is counted.
        while field := _field(stream):
            fields.append(field)
        fields.append("")
        while count := _field(stream):
            fields.append(count)
            fields += [_field(stream) or "" for _ in range(int(count) + 2)]
        if status not in ("0", "1"):
            raise GitError(("merge-tree", "--stdin"), -1, f"status {status}")
        yield parse_merge(fields, clean=status == "1")


def _field(stream: IO[bytes]) -> str | None:
    field = bytearray()
    while (byte := stream.read(1)) not in (b"\0", b""):
        field += byte
    return None if byte == b"" and not field else os.fsdecode(bytes(field))


def parse_merge(fields: Sequence[str], *, clean: bool) -> Merged:
    """One answer: the tree, the stages, an empty field, then messages as count, paths, kind, text."""
    end = fields.index("") if "" in fields else len(fields)
    stages = []
    for field in fields[1:end]:
        facts, _, path = field.partition("\t")
        mode, blob, number = facts.split(" ")
        stages.append(Stage(path, int(number), mode, blob))
    staged_paths = {stage.path for stage in stages}
    messages: list[str] = []
    folders: list[str] = []
    at = end + 1
    while at < len(fields):
        count = int(fields[at])
        paths, kind, text = fields[at + 1 : at + 1 + count], fields[at + 1 + count], fields[at + 2 + count]
        messages.append(text.strip())
        if kind.startswith("CONFLICT") and staged_paths.isdisjoint(paths):
            folders += paths
        at += count + 3
    return Merged(clean, TreeId(fields[0]), tuple(stages), tuple(messages), tuple(folders))
