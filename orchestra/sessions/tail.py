"""Reading a file that grows, line by line, without ever waiting for it.

Invariant: each complete line is given once. A file that does not exist yet has no lines; one that shrank is read
from its start again.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

_CHUNK = 1 << 20


class Tail:
    """Gives the lines that were completed since it was last asked, of the bytes from ``start`` to ``end``."""

    def __init__(self, path: Path, start: int = 0, end: int = sys.maxsize) -> None:
        self._path = path
        self._at, self._end = start, end
        self._rest = b""

    def lines(self) -> Iterator[bytes]:
        """Complete lines, without their ends."""
        try:
            with self._path.open("rb") as file:
                if os.fstat(file.fileno()).st_size < self._at:
                    self._at, self._rest = 0, b""
                file.seek(self._at)
                while data := file.read(min(_CHUNK, self._end - self._at)):
                    self._at += len(data)
                    *whole, self._rest = (self._rest + data).split(b"\n")
                    yield from (line.removesuffix(b"\r") for line in whole)
        except FileNotFoundError:
            return

    def rest(self) -> bytes:
        """What came after the last complete line."""
        return self._rest


def last_line(path: Path, size: int = 1 << 14) -> bytes:
    """The last complete line of a file, b"" where there is none; reads no more than ``size`` bytes of its end."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - size))
            whole = file.read().split(b"\n")[:-1]
    except OSError:
        return b""
    return whole[-1] if whole else b""
