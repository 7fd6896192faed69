"""Read files by their object id, as gates do: with a bound on their size, and the newest kept in memory."""

from __future__ import annotations

import subprocess
from contextlib import ExitStack

from orchestra.git.git_process import Git
from orchestra.git.objects import Objects
from orchestra.git.tree_diff import Side

LARGEST_TEXT = 8 << 20
"""Bytes of a file that is read; gates say of a larger one that they did not look at it."""
GITLINK, SYMLINK = "160000", "120000"
_KEPT_BYTES = 64 << 20


class BlobReader:
    """Reads files by their object id, through two git processes; the newest stay in memory.

    ``objects``: a reader that is open already; without it, one is opened on ``stack``.
    """

    def __init__(self, git: Git, stack: ExitStack, objects: Objects | None = None) -> None:
        self.objects = objects or stack.enter_context(Objects(git))
        self._git, self._stack = git, stack
        self._sizes: subprocess.Popen[bytes] | None = None
        self._kept: dict[str, bytes] = {}
        self._kept_bytes = 0

    def size(self, blob: str) -> int:
        """Return the size of an object in bytes; 0 where it is missing."""
        if self._sizes is None:  # many gates need the paths alone
            self._sizes = self._stack.enter_context(self._git.conversation("cat-file", "--batch-check"))
        assert self._sizes.stdin is not None and self._sizes.stdout is not None  # noqa: S101 - opened with pipes
        self._sizes.stdin.write(blob.encode("ascii") + b"\n")
        self._sizes.stdin.flush()
        words = self._sizes.stdout.readline().split()
        return int(words[2]) if len(words) == 3 else 0  # noqa: PLR2004 - "<id> <type> <size>"

    def read(self, side: Side | None) -> bytes:
        """Return a file's content; nothing for a submodule, an absent file and one over ``LARGEST_TEXT``."""
        if side is None or side.mode == GITLINK:
            return b""
        if side.id not in self._kept:
            data = self.objects.blob(side.id) if 0 < self.size(side.id) <= LARGEST_TEXT else b""
            if self._kept_bytes + len(data) > _KEPT_BYTES:
                self._kept, self._kept_bytes = {}, 0
            self._kept[side.id] = data
            self._kept_bytes += len(data)
        return self._kept[side.id]
