"""Read files that a person wrote: regular files only, bounded, UTF-8; refused with a place and a hint otherwise."""

from __future__ import annotations

import re
from pathlib import Path

from orchestra.errors import Problem
from orchestra.text import did_you_mean

_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]|(?<!\\A)\ufeff")


class Refused(Exception):  # noqa: N818 - not an error of the program: the file cannot be read any further
    """The text cannot be read any further; ``problem`` says why and where."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(str(problem))
        self.problem = problem


def read_limited(file: Path, limit: int) -> bytes:
    """Return the file's bytes. Raises Refused for what is no file, cannot be read, or holds more than ``limit``
    bytes."""
    try:
        if file.is_dir():
            raise refused(file, "is a folder, not a file", _files_in(file))
        if file.exists() and not file.is_file():
            raise refused(file, "is not a regular file", "a pipe or a device cannot be read twice: save it as a file")
        with file.open("rb") as stream:
            data = stream.read(limit + 1)
    except FileNotFoundError:
        raise refused(file, "no such file", did_you_mean(file.name, _names_in(file.parent))) from None
    except (OSError, ValueError) as error:
        raise refused(file, f"cannot be read: {getattr(error, 'strerror', None) or error}", None) from None
    if len(data) > limit:
        raise refused(file, f"is larger than {limit // 1000:,} kB", "a blueprint is a few kB: is this the right file?")
    return data


def decode(data: bytes, file: Path) -> str:
    """Decode UTF-8, with or without a byte order mark. Raises Refused at the first byte that is not."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise refused(file, "is UTF-16, not UTF-8", "save it as UTF-8")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8", "replace")
        line, column = _place(before, len(before))
        byte = f"byte 0x{data[error.start]:02x} is not UTF-8"
        raise Refused(Problem(file, line, column, byte, "save the file as UTF-8")) from None


def _names_in(folder: Path) -> list[str]:
    try:
        return sorted(entry.name for entry in folder.iterdir())
    except OSError:
        return []


def _files_in(folder: Path) -> str | None:
    names = [name for name in _names_in(folder) if name.endswith((".yaml", ".yml"))]
    return f"it contains {', '.join(names[:8])}" if names else None


def refused(file: Path, message: str, hint: str | None) -> Refused:
    """Return the refusal of a whole file."""
    return Refused(Problem(file, 1, 1, message, hint))


def _place(text: str, index: int) -> tuple[int, int]:
    """Return line and column, from 1, of a character of the text."""
    line_start = text.rfind("\n", 0, index) + 1
    return text.count("\n", 0, index) + 1, index - line_start + 1


def refuse_unprintable(text: str, file: Path) -> None:
    """Raise Refused at the first character that YAML 1.2 does not allow unescaped (its production c-printable)."""
    match = _UNPRINTABLE.search(text)
    if match:
        line, column = _place(text, match.start())
        message = f"the character U+{ord(match.group()):04X} is not allowed in a YAML file"
        raise Refused(Problem(file, line, column, message, "delete it, or write it as an escape in double quotes"))
