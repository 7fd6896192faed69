"""The folders of a repository and the amount of code in them: source files without tests, weighted by changes."""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from functools import cached_property
from typing import Final

_TEST_FOLDERS: Final = frozenset(
    "test tests spec specs __tests__ __mocks__ e2e testdata fixtures __fixtures__ cypress testutil testutils".split()
)
_TEST_FILE: Final = re.compile(r"(test_.*|.*_test|.*[.-](test|spec)|.*Tests?|.*Spec|conftest)\.\w+\Z")
PLAIN_NAMES: Final = frozenset(
    "src lib libs source sources main java kotlin scala python packages crates modules".split()
)
"""Folders whose names do not describe their content."""
_ASIDE: Final = frozenset(
    "docs doc documentation website examples example samples demo demos playground playgrounds".split()
)
_NO_CODE: Final = re.compile(
    r"(.*\.(md|rst|txt|adoc|json|ya?ml|toml|lock|cfg|ini|xml|csv|svg|png|gif|jpg|pdf)|[^.]*)\Z"
)
"""Names of files that are no source code, in a repository of an unknown language."""
_TESTS_ANYWHERE: Final = (".py", ".js", ".mjs", ".cjs", ".jsx", ".ts", ".tsx", ".mts")
_TEST_STYLE: Final = re.compile(
    r"(test_|)(?!conftest|__init__|index|_?helper|_?util)[^.]+?((?:[._-](?:test|spec))?\.\w+)"
)
_DOCS_FOLDERS: Final = ("doc/", "docs/", "documentation/")
_MOSTLY: Final = 0.85
"""A folder with this share of its parent's code represents it; one with a plain name needs only half."""


def is_test(path: str) -> bool:
    """Return True where a source file is a test by its name or by a folder above it."""
    *folders, name = path.split("/")
    return bool(_TEST_FILE.match(name)) or any(folder.lower() in _TEST_FOLDERS for folder in folders)


def is_aside(path: str) -> bool:
    """Return True for documentation or examples, at the top or next to the packages of a monorepo."""
    return any(folder.lower() in _ASIDE for folder in path.split("/")[:-1][:3])


def last_name(folder: str) -> str:
    """Return flask for ``src/flask/``; "" for the root."""
    return folder.rstrip("/").rpartition("/")[2].lower()


class Folders:
    """``paths`` as a tree. Folders are written with a slash at the end; the root is ""."""

    def __init__(self, paths: Sequence[str], suffixes: Collection[str], changes: Mapping[str, int]) -> None:
        self.paths = paths
        self._changes = changes
        self._weights: dict[str, float] = defaultdict(float)
        self._files: dict[str, int] = defaultdict(int)
        self._children: dict[str, set[str]] = defaultdict(set)
        endings = tuple(suffixes)
        docs = {top: Counter(path.endswith(endings) for path in paths if path.startswith(top)) for top in _DOCS_FOLDERS}
        self.code_named_docs = tuple(top for top, of_code in docs.items() if of_code[True] > of_code[False])
        """Folders such as ``doc/`` that hold a package, not pages."""
        self.code = [
            path
            for path in paths
            if (path.endswith(endings) if endings else not _NO_CODE.match(path.rpartition("/")[2]))
            and not is_test(path)
            and (not is_aside(path) or path.startswith(self.code_named_docs))
        ]
        for path in paths:
            below = ""
            for folder in reversed(_parents(path)[:-1]):
                self._children[below].add(folder)
                below = folder
        for path in self.code:
            for folder in _parents(path):
                self._weights[folder] += self.file_weight(path)
                self._files[folder] += 1

    def file_weight(self, path: str) -> float:
        """Return 1 for a file that never changes, about 5 for one that was changed fifteen times."""
        return 1 + math.log2(1 + self._changes.get(path, 0))

    def weight(self, folder: str) -> float:
        return self._weights.get(folder, 0.0)

    def count(self, folder: str) -> int:
        """Return the number of source files below it."""
        return self._files.get(folder, 0)

    def children(self, folder: str) -> list[str]:
        return sorted(self._children.get(folder, ()))

    def descend(self, folder: str) -> str:
        """Descend to the first folder whose code is spread: from ``src/`` to ``src/main/java/org/x/``, say."""
        while self.weight(folder):
            heaviest = max(self.children(folder), key=self.weight, default="")
            share = 0.5 if last_name(heaviest) in PLAIN_NAMES else _MOSTLY
            if not heaviest or self.weight(heaviest) < share * self.weight(folder):
                break
            folder = heaviest
        return folder

    def twins(self, folder: str) -> list[str]:
        """Return the folder's tests where Maven and Gradle put them: ``src/test/java/x/`` for ``src/main/java/x/``."""
        before, main, after = folder.partition("src/main/")
        language, _, package = after.partition("/")
        twin = f"{before}src/test/{language}/{package}" if main and package else ""
        return [twin] if twin in self._all else []

    @cached_property
    def _all(self) -> set[str]:
        return {child for children in self._children.values() for child in children}

    def tests_of(self, folder: str, roots: Sequence[str]) -> list[str]:
        """Return folders and files below the test folders ``roots`` that have the name of ``folder``."""
        parts = folder.rstrip("/").split("/")
        if not folder.endswith("/") or parts[-1] in PLAIN_NAMES:
            return []
        starts = [f"{root}{middle}" for root in roots for middle in ("", "unit/", "units/")]
        ends = [*("/".join(parts[at:]) + "/" for at in range(len(parts))), f"test_{parts[-1]}/"]
        candidates = [f"{start}{end}" for start in starts for end in ends]
        file = re.compile(rf"(test_)?{re.escape(parts[-1])}([._-](test|spec))?\.\w+")
        direct = [path for path in self.paths if path[: path.rfind("/") + 1] in starts]
        return [
            *(path for path in candidates if path in self._all),
            *(path for path in direct if file.fullmatch(path[path.rfind("/") + 1 :])),
        ]

    def keeps_tests_apart(self, claimed: Sequence[str]) -> bool:
        """Return True where code has no tests next to it, in a language whose tests may lie anywhere."""
        inside = tuple(path for path in claimed if path.endswith("/"))
        tests = any(path.startswith(inside) and is_test(path) for path in self.paths) if inside else False
        code = [path for path in self.code if path.startswith(inside)] if inside else []
        return not tests and any(path.endswith(_TESTS_ANYWHERE) for path in code)

    def new_test_file(self, name: str, roots: Sequence[str]) -> str | None:
        """Return a new file for tests, named like most files next to it; None where tests lie in subfolders only.

        A folder that holds tests today is one where the test runner looks.
        """
        homes = [f"{root}{unit}" for root in roots for unit in ("", "unit/", "units/")]
        styles: Counter[tuple[str, str, str]] = Counter()
        for path in self.paths:
            home, _, file = path.rpartition("/")
            style = _TEST_STYLE.fullmatch(file)
            if f"{home}/" in homes and style and path.endswith(_TESTS_ANYWHERE):
                styles[f"{home}/", style[1], style[2]] += 1
        for (home, before, after), _ in styles.most_common(1):
            path = f"{home}{before}{name.replace('-', '_') if after.endswith('.py') else name}{after}"
            return path if path not in self.paths else None
        return None


def _parents(path: str) -> list[str]:
    """Return every folder around a file, innermost first, the root last."""
    parts = path.split("/")[:-1]
    return [*("/".join(parts[:end]) + "/" for end in range(len(parts), 0, -1)), ""]
