"""Git objects as values: read and written through processes that stay open while many are needed.

Invariant: git itself hashes, checks and stores every object; nothing here writes below ``.git/objects``. What is
written is pinned by nothing: the caller points a ref at what must survive ``gc``. Refuses: refs, worktrees, the index.
Bytes stay bytes, since author lines, messages and file names come in any encoding.
"""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import NewType

from orchestra.errors import GroundError
from orchestra.git.git_process import Git
from orchestra.git.refs import CommitId

TreeId = NewType("TreeId", str)
BlobId = NewType("BlobId", str)

TREE_MODE = b"40000"
# What git's fsck accepts in an author or committer line; anything else is rebuilt before it is written.
_IDENT = re.compile(rb"[^<>\n\0]*<[^<>\n\0]*> (0|[1-9]\d*) [+-]\d{4}")


def our_ident(seconds: int = 0) -> bytes:
    """The author or committer line of a commit that no person made, in UTC."""
    return b"orchestra <orchestra@localhost> %d +0000" % seconds


@dataclass(frozen=True, slots=True)
class Commit:
    """A commit object. ``author`` and ``committer`` are whole lines: name, address, POSIX seconds, zone."""

    tree: TreeId
    parents: tuple[CommitId, ...]
    author: bytes
    committer: bytes
    message: bytes
    encoding: bytes | None = None

    @property
    def subject(self) -> str:
        """The first line of the message, decoded as far as it can be."""
        line = self.message.lstrip(b"\n").split(b"\n", 1)[0]
        try:
            return line.decode((self.encoding or b"utf-8").decode("ascii", "replace"), "replace")
        except LookupError:  # an encoding that Python does not know
            return line.decode("utf-8", "replace")

    @property
    def committed_at(self) -> int:
        """Committer date, POSIX seconds."""
        return ident_seconds(self.committer)


@dataclass(frozen=True, slots=True)
class Entry:
    """What a tree holds under one name. ``mode`` as in the tree object (``100644``, ``40000``...)."""

    mode: bytes
    id: str


Tree = Mapping[bytes, Entry]


class Objects:
    """The object store of one repository. Use as a context manager: it keeps git processes open meanwhile."""

    def __init__(self, git: Git) -> None:
        self._git = git
        self._stack = ExitStack()
        self._reader: subprocess.Popen[bytes] | None = None
        self._writers: dict[str, subprocess.Popen[bytes]] = {}
        self._scratch: Path | None = None
        self._commits: dict[str, Commit] = {}
        self._trees: dict[str, dict[bytes, Entry]] = {}

    def __enter__(self) -> Objects:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._reader = None
        self._writers.clear()
        self._scratch = None
        self._stack.close()

    # -- reading ------------------------------------------------------------------------------------------------

    def commit(self, commit: str) -> Commit:
        """The commit of that full id. Raises GroundError when it is missing or no commit."""
        if commit not in self._commits:
            self._commits[commit] = parse_commit(self._read(commit, "commit"))
        return self._commits[commit]

    def tree(self, tree: str) -> Tree:
        """The entries of a tree by name. The empty tree need not exist."""
        if tree not in self._trees:
            data = self._read(tree, "tree")
            self._trees[tree] = parse_tree(data, len(tree) // 2)
        return self._trees[tree]

    def blob(self, blob: str) -> bytes:
        return self._read(blob, "blob")

    def find_blob(self, name: str) -> bytes | None:
        """Return the content of the file that ``COMMIT:PATH`` or a ref names; None where there is none."""
        try:
            return self._read(name, "blob")
        except GroundError:
            return None

    def entry_at(self, tree: str, path: bytes) -> Entry | None:
        """Return the entry of ``tree`` at ``path`` (slashes between names), or None."""
        first, _, below = path.partition(b"/")
        entry = self.tree(tree).get(first)
        if entry is None or not below:
            return entry
        return self.entry_at(entry.id, below) if entry.mode == TREE_MODE else None

    def _read(self, name: str, kind: str) -> bytes:
        if self._reader is None:
            self._reader = self._stack.enter_context(self._git.conversation("cat-file", "--batch"))
        process = self._reader
        assert process.stdin is not None and process.stdout is not None  # noqa: S101 - opened with pipes
        self._reader = None  # until the whole answer is read: an interruption leaves the rest of it in the pipe
        process.stdin.write(os.fsencode(name) + b"\n")
        process.stdin.flush()
        head = process.stdout.readline().split()
        if len(head) != 3:  # noqa: PLR2004 - "<id> <type> <size>"
            self._reader = process if head else None  # no answer: git stopped at a damaged object
            raise GroundError(
                f"object {name} is missing from {self._git.folder}",
                hint="in a shallow or partial clone: git fetch --unshallow",
            )
        data = process.stdout.read(int(head[2]) + 1)[:-1]
        self._reader = process
        if head[1].decode() != kind:
            raise GroundError(f"object {name} is a {head[1].decode()}, not a {kind}")
        return data

    # -- writing ------------------------------------------------------------------------------------------------

    def write_commit(self, commit: Commit) -> CommitId:
        """Store a commit; the same value always gives the same id."""
        written = CommitId(self._write("commit", format_commit(commit)))
        self._commits[written] = commit
        return written

    def write_tree(self, entries: Tree) -> TreeId:
        return TreeId(self._write("tree", format_tree(entries)))

    def write_blob(self, data: bytes) -> BlobId:
        return BlobId(self._write("blob", data))

    def with_entries(self, tree: TreeId, changes: Mapping[bytes, Entry | None]) -> TreeId:
        """``tree`` with the entry at each path (slashes between names) set, or removed where it is None.

        A folder that becomes empty goes; a file in the way of a folder that is needed is replaced by it.
        """
        entries = dict(self.tree(tree))
        deeper: dict[bytes, dict[bytes, Entry | None]] = {}
        for path, entry in changes.items():
            first, _, below = path.partition(b"/")
            if below:
                deeper.setdefault(first, {})[below] = entry
            elif entry is None:
                entries.pop(first, None)
            else:
                entries[first] = entry
        for name, changes_below in deeper.items():
            present = entries.get(name)
            is_folder = present is not None and present.mode == TREE_MODE
            if not is_folder and not any(changes_below.values()):
                continue
            folder = TreeId(present.id) if present is not None and is_folder else self.write_tree({})
            changed = self.with_entries(folder, changes_below)
            if self.tree(changed):
                entries[name] = Entry(TREE_MODE, changed)
            else:
                entries.pop(name, None)
        return tree if entries == self.tree(tree) else self.write_tree(entries)

    def _write(self, kind: str, data: bytes) -> str:
        """``hash-object --stdin-paths`` answers and flushes line by line, in every git (builtin/hash-object.c)."""
        if self._scratch is None:
            self._scratch = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="orchestra-")))
        if kind not in self._writers:
            conversation = self._git.conversation("hash-object", "-t", kind, "-w", "--no-filters", "--stdin-paths")
            self._writers[kind] = self._stack.enter_context(conversation)
        path, process = self._scratch / "object", self._writers[kind]
        path.write_bytes(data)
        assert process.stdin is not None and process.stdout is not None  # noqa: S101
        try:
            process.stdin.write(os.fsencode(path) + b"\n")
            process.stdin.flush()
        except BrokenPipeError:
            raise self._ended(process, kind) from None
        answer = process.stdout.readline()
        if not answer.endswith(b"\n"):
            raise self._ended(process, kind)
        return answer.decode("ascii").strip()

    def _ended(self, process: subprocess.Popen[bytes], kind: str) -> GroundError:
        del self._writers[kind]
        process.kill()
        message = os.fsdecode(process.stderr.read()) if process.stderr else ""
        return self._git.failure(("hash-object", "-t", kind), process.wait(), message)


def ident_seconds(ident: bytes) -> int:
    """The seconds of an author or committer line; 0 where it has none."""
    match = re.search(rb"> (\d{1,18})(?: |$)", ident)
    return int(match[1]) if match else 0


def clean_ident(ident: bytes) -> bytes:
    """An author or committer line that git accepts; the line itself where it already is one."""
    if _IDENT.fullmatch(ident):
        return ident
    name, _, remaining = ident.partition(b"<")
    address = remaining.partition(b">")[0]
    bad = re.compile(rb"[<>\n\0]")
    return b"%s <%s> %d +0000" % (bad.sub(b"", name).strip(), bad.sub(b"", address).strip(), ident_seconds(ident))


def parse_commit(data: bytes) -> Commit:
    head, _, message = data.partition(b"\n\n")
    headers: dict[bytes, list[bytes]] = {}
    for line in head.split(b"\n"):
        if not line.startswith(b" "):  # a continuation, of a signature or a merge tag
            key, _, value = line.partition(b" ")
            headers.setdefault(key, []).append(value)
    first = {key: values[0] for key, values in headers.items()}
    parents = tuple(CommitId(value.decode("ascii")) for value in headers.get(b"parent", ()))
    author, committer = first.get(b"author", b" <> 0 +0000"), first.get(b"committer", b" <> 0 +0000")
    return Commit(TreeId(first[b"tree"].decode("ascii")), parents, author, committer, message, first.get(b"encoding"))


def format_commit(commit: Commit) -> bytes:
    lines = [b"tree " + commit.tree.encode()]
    lines += [b"parent " + parent.encode() for parent in commit.parents]
    lines += [b"author " + clean_ident(commit.author), b"committer " + clean_ident(commit.committer)]
    if commit.encoding is not None:
        lines.append(b"encoding " + commit.encoding)
    return b"\n".join(lines) + b"\n\n" + commit.message


def parse_tree(data: bytes, id_size: int) -> dict[bytes, Entry]:
    entries: dict[bytes, Entry] = {}
    at = 0
    while at < len(data):
        space, end = data.index(b" ", at), data.index(b"\0", at)
        entries[data[space + 1 : end]] = Entry(data[at:space], data[end + 1 : end + 1 + id_size].hex())
        at = end + 1 + id_size
    return entries


def format_tree(entries: Tree) -> bytes:
    """Git sorts names as bytes, folders as if they ended in a slash (read-cache.c, base_name_compare)."""

    def place(item: tuple[bytes, Entry]) -> bytes:
        return item[0] + b"/" if item[1].mode == TREE_MODE else item[0]

    rows = sorted(entries.items(), key=place)
    return b"".join(entry.mode + b" " + name + b"\0" + bytes.fromhex(entry.id) for name, entry in rows)
