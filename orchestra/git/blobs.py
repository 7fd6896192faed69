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
    """Reads files by their object id, through two git processes; the newest stay in memory."""

    def __init__(self, git: Git, stack: ExitStack) -> None:
        self.objects = stack.enter_context(Objects(git))
        self._sizes: subprocess.Popen[bytes] = stack.enter_context(git.conversation("cat-file", "--batch-check"))
        self._kept: dict[str, bytes] = {}
        self._kept_bytes = 0

    def size(self, blob: str) -> int:
        """Return the size of an object in bytes; 0 where it is missing."""
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
