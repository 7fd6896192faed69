"""Read a file that grows, line by line, without ever waiting for it.

Invariant: each complete line is given once. A file that does not exist yet has no lines; one that shrank is read from
its start again. An agent without a sandbox may have put a link or a pipe in its place; neither is opened.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

from orchestra.files import open_regular, read_tail

_CHUNK = 1 << 20


class Tail:
    """Gives the lines that were completed since the last call, of the bytes from ``start`` to ``end``."""

    def __init__(self, path: Path, start: int = 0, end: int = sys.maxsize) -> None:
        self._path = path
        self._at, self._end = start, end
        self._incomplete = b""

    def lines(self) -> Iterator[bytes]:
        """Yield complete lines, without their line ends."""
        try:
            file = open_regular(self._path)
        except OSError:
            return
        with file:
            if os.fstat(file.fileno()).st_size < self._at:
                self._at, self._incomplete = 0, b""
            file.seek(self._at)
            while data := file.read(min(_CHUNK, self._end - self._at)):
                self._at += len(data)
                *whole, self._incomplete = (self._incomplete + data).split(b"\n")
                yield from (line.removesuffix(b"\r") for line in whole)

    def last_part(self) -> bytes:
        """Return the text after the last complete line."""
        return self._incomplete


def last_line(path: Path, size: int = 1 << 14) -> bytes:
    """Return the last complete line of a file, b"" for none; reads at most ``size`` bytes of its end."""
    whole = read_tail(path, size).split(b"\n")[:-1]
    return whole[-1] if whole else b""
