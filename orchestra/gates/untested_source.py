"""Source that a branch changes without changing any test, for the gate ``tests-kept``. Pure.

Only code counts as source: documentation, configuration, generated and vendored files do not, nor do comments,
blank lines and version numbers. Any file in a place for tests counts as a test, and so do tests inside source files
(Rust's test modules, Python's doctests).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping

from orchestra.gates.gate_finding import GateFinding
from orchestra.text import format_list

# How comments begin in each language.
_HASH, _SLASH = rb"#", rb"//|/\*|\*/|\*(?:\s|$)"
_LANGUAGES = {
    **dict.fromkeys(("py", "pyx", "rb", "ex", "exs"), _HASH),
    **dict.fromkeys(("js", "jsx", "ts", "tsx", "mjs", "cjs", "mts", "cts", "vue", "svelte"), _SLASH),
    **dict.fromkeys(("go", "rs", "java", "kt", "scala", "groovy", "cs", "fs", "swift", "dart"), _SLASH),
    **dict.fromkeys(("c", "cc", "cpp", "cxx", "h", "hh", "hpp", "zig", "m"), _SLASH),
    "php": rb"#|" + _SLASH,
}
_TEST_PLACE = re.compile(
    r"(^|/)(tests?|testing|testdata|test[_-]?utils?|__tests__|__mocks__|__snapshots__|specs?|e2e|cypress|fixtures|"
    r"features)/|(^|/)(test_|conftest\.py$)|[_.-](test|tests|spec|cy|stories)\.\w+$|[a-z](Tests?|Spec|IT)\.\w+$|"
    r"(^|/)[\w.-]+[.-]tests?/|(^|/)\w+Tests?/",
)
_NO_SOURCE = re.compile(
    r"(^|/)(docs?|docs_src|documentation|website|site|examples?|samples?|demos?|bench(es|marks?)?|scripts?|tools|"
    r"migrations?|vendor|third_party|node_modules|dist|generated|gen|\.[^/]+)/|"
    r"(^|/)(setup|conf|noxfile|tasks|build|manage|fabfile|__main__|__version__|_?version|__about__)\.(py|rs|go|js|ts)$|"
    r"(^|/)(gulpfile|Gruntfile|webpack|rollup|karma)[\w.-]*\.\w+$|(^|/)\.|"
    r"[.-](config|conf|setup|workspace|stories|d|min|pb|gen|generated|designer|g)\.\w+$|_pb2(_grpc)?\.pyi?$|_generated\.\w+$",
    re.IGNORECASE,
)
_IGNORED_LINE = re.compile(
    rb"(?i)^[\w\s.\"']*version[\w\s\"']*[:=][^()]*$|^(?:import|from|use|using|package|export \*)\b"
)
_DOCSTRING = re.compile(rb"\"\"\".*?\"\"\"|'''.*?'''", re.DOTALL)
_INLINE_TESTS = {"rs": rb"#\[cfg\(test\)\].*", "py": rb"^\s*>>> [^\n]*", "pyx": rb"^\s*>>> [^\n]*"}
_FEWEST_LINES = 3  # a branch that changes fewer lines of code is not pointed out
_MOST_NAMES = 3
_FIX = "add a test, or say in AGENT_NOTES.md why there is no test"


def is_test_file(path: str) -> bool:
    """Return True for a test, and for what tests read: fixtures, snapshots, helpers."""
    return _TEST_PLACE.search(path) is not None


def is_source_file(path: str) -> bool:
    """Return True for a file of code that tests could cover."""
    return path.rpartition(".")[2] in _LANGUAGES and not _TEST_PLACE.search(path) and not _NO_SOURCE.search(path)


def untested_source(texts: Mapping[str, tuple[bytes, bytes]], *, is_advisory: bool) -> list[GateFinding]:
    """Return one finding where a branch that changes no test file changes code. ``texts``: path -> before and after."""
    if any(_inline_tests(path, old) != _inline_tests(path, new) for path, (old, new) in texts.items()):
        return []
    added, removed = Counter[bytes](), Counter[bytes]()
    lines_by_path: dict[str, Counter[bytes]] = {}
    for path, (old, new) in texts.items():
        before, after = _code_lines(path, old), _code_lines(path, new)
        lines_by_path[path] = after - before
        added, removed = added + (after - before), removed + (before - after)
    new_lines = added - removed  # lines that moved to another file are not new
    if new_lines.total() < _FEWEST_LINES:
        return []
    paths = [path for path, lines in lines_by_path.items() if lines & new_lines]
    paths.sort(key=lambda path: (-lines_by_path[path].total(), path))
    others = f" (also {format_list(paths[1:], most=_MOST_NAMES)})" if paths[1:] else ""
    reason = f"is changed, and no test is added or changed{others}"
    return [GateFinding(paths[0], reason, _FIX, is_advisory=is_advisory)]


def _code_lines(path: str, text: bytes) -> Counter[bytes]:
    suffix = path.rpartition(".")[2]
    if suffix in ("py", "pyx"):
        text = _DOCSTRING.sub(b"", text)
    comment = re.compile(_LANGUAGES[suffix])
    lines = (line.strip() for line in text.splitlines())
    return Counter(
        line
        for line in lines
        if re.search(rb"\w", line) and not comment.match(line) and not _IGNORED_LINE.match(line[:200])
    )


def _inline_tests(path: str, text: bytes) -> list[bytes]:
    pattern = _INLINE_TESTS.get(path.rpartition(".")[2])
    return (
        re.findall(pattern, text, re.MULTILINE | re.DOTALL if path.endswith(".rs") else re.MULTILINE) if pattern else []
    )
