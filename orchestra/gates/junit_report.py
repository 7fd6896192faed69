"""Read which tests failed from JUnit XML that a gate wrote, to name them; never to decide anything.

The files come from the agents' code. Only regular files are read, without following links; a document that declares
entities or a document type, is too large or is no XML counts as absent.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from xml.parsers import expat

from orchestra.blueprint.model import Scope
from orchestra.blueprint.scope import Matcher, is_literal
from orchestra.files import read_regular
from orchestra.gates.secrets_gate import redact
from orchestra.text import one_line

_LARGEST_FILE, _MOST_FILES, _MOST_ENTRIES = 8 << 20, 200, 20_000
_MOST_TESTS, _LONGEST_NAME, _LONGEST_MESSAGE = 20, 200, 200
_DEEPEST = 64  # elements within each other


@dataclass(frozen=True, slots=True)
class FailedTest:
    """A test that failed. ``name`` includes its class; ``file`` and ``message`` are empty where the report has none."""

    name: str
    file: str
    message: str

    def __str__(self) -> str:
        place = f" ({self.file})" if self.file else ""
        return f"{self.name}{place}" + (f": {self.message}" if self.message else "")


def report_times(folder: Path, pattern: str) -> dict[Path, int]:
    """Return the reports that exist before a gate runs -> when each changed last, in nanoseconds."""
    return dict(_reports(folder, pattern))


def read_failed_tests(folder: Path, pattern: str, before: Mapping[Path, int]) -> tuple[FailedTest, ...]:
    """Return the failed tests in the reports below ``folder`` that match ``pattern`` and that the gate has written.

    ``before``: the ``report_times`` before the gate ran. A report that the branch has committed is unchanged since.
    """
    tests: dict[FailedTest, None] = {}
    for path, changed_ns in _reports(folder, pattern):
        if before.get(path) == changed_ns:
            continue
        content = read_regular(path, below=folder, most=_LARGEST_FILE + 1)
        if content is not None and len(content) <= _LARGEST_FILE:
            tests |= dict.fromkeys(parse_failed_tests(content))
        if len(tests) >= _MOST_TESTS:
            break
    return tuple(tests)[:_MOST_TESTS]


def parse_failed_tests(content: bytes) -> tuple[FailedTest, ...]:
    """Return the failed tests of one document; nothing where it is no plain XML."""
    parser, reader = expat.ParserCreate(), _Reader()
    parser.StartElementHandler, parser.EndElementHandler = reader.start, reader.end
    parser.CharacterDataHandler = reader.text
    parser.StartDoctypeDeclHandler = parser.EntityDeclHandler = _refuse
    try:
        parser.Parse(content, True)
    except (expat.ExpatError, ValueError):
        return ()
    return tuple(reader.failed)


def _refuse(*_: object) -> None:
    raise ValueError("a test report declares no document type and no entities")


@dataclass(slots=True)
class _Reader:
    """Collects the failed tests of a document."""

    failed: list[FailedTest] = field(default_factory=list)
    _depth: int = 0
    _suite_file: str = ""
    _case: dict[str, str] | None = None
    _in_failure: bool = False
    _message: str | None = None

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise ValueError("its elements are too deep within each other")
        if name == "testsuite":
            self._suite_file = attributes.get("file", "")
        elif name == "testcase":
            self._case, self._message = attributes, None
        elif name in ("failure", "error") and self._case is not None:
            self._in_failure, self._message = True, attributes.get("message", "")

    def text(self, data: str) -> None:
        if self._in_failure and self._message is not None and len(self._message) < _LONGEST_MESSAGE:
            self._message = (self._message or data.lstrip())[:_LONGEST_MESSAGE]

    def end(self, name: str) -> None:
        self._depth -= 1
        if name in ("failure", "error"):
            self._in_failure = False
        elif name == "testcase" and self._case is not None:
            if self._message is not None and len(self.failed) < _MOST_TESTS:
                self.failed.append(_failed_test(self._case, self._suite_file, self._message))
            self._case = None


def _failed_test(case: dict[str, str], suite_file: str, message: str) -> FailedTest:
    name = ".".join(filter(None, (case.get("classname", ""), case.get("name", "")))) or "a test without a name"
    first_line = next((line for line in redact(message).splitlines() if line.strip()), "")
    file = case.get("file", "") or suite_file
    return FailedTest(
        one_line(name, _LONGEST_NAME), one_line(file, _LONGEST_NAME), one_line(first_line, _LONGEST_MESSAGE)
    )


def _reports(folder: Path, pattern: str) -> Iterator[tuple[Path, int]]:
    """Yield the files that match and their times, as far as 20,000 entries below the pattern's fixed folders go."""
    parts = pattern.split("/")
    fixed = next((at for at, part in enumerate(parts) if not is_literal(part)), len(parts) - 1)
    start = folder.joinpath(*parts[:fixed])
    matcher, seen, yielded = Matcher(Scope((pattern,))), 0, 0
    for root, folders, names in os.walk(start):
        folders[:] = sorted(name for name in folders if name != ".git")
        seen += len(folders) + len(names)
        for name in sorted(names):
            path = Path(root, name)
            if matcher.matches(path.relative_to(folder).as_posix()):
                with suppress(OSError):  # what a gate left running may delete it
                    yield path, path.lstat().st_ctime_ns
                yielded += 1
        if seen > _MOST_ENTRIES or yielded > _MOST_FILES:
            return
