"""Divide a repository into areas for agents, by its folders and by how often files change.

No path is in two areas. Files that no agent would be given on purpose (a README, settings) stay without an owner.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import PurePosixPath
from typing import Final

from orchestra.blueprint.git_names import VERBS
from orchestra.blueprint.model import Scope
from orchestra.blueprint.scope import Matcher
from orchestra.scaffold.code_folders import PLAIN_NAMES, Folders, is_aside, is_test, last_name
from orchestra.scaffold.detect import slug
from orchestra.scaffold.stacks.manifests import can_be_named, escape

MOST_CODE_AREAS: Final = 6
_FILES_EACH: Final = 8
"""Source files that are worth an agent; fewer agents where there are fewer files."""
_FEW: Final = 3
_FEW_OTHERS: Final = 5
"""Files below which code, and below which anything else, is not worth an agent."""
_SMALL: Final = 0.06
_LARGE: Final = 0.25
"""Shares of all code: below the first a folder is not worth an agent, from the second on always."""
_MAIN: Final = 0.5
"""An area with this share of the code also owns the tests that belong to no other area."""
_MOST_NAMED: Final = 5


class Kind(StrEnum):
    """The purpose of an area; agents are drafted in this order."""

    INFRASTRUCTURE = "infrastructure"  # containers, deployment, scripts
    CODE = "code"  # source files with their tests
    TESTS = "e2e"  # tests of the whole product
    DOCS = "docs"  # documentation and examples


_UNIT_TESTS: Final = frozenset("test tests spec specs __tests__ testing testdata test-data fixtures t".split())
_NO_AREA: Final = frozenset("vendor third_party third-party node_modules bench benches benchmark benchmarks".split())
_WORDS: Final = {
    Kind.TESTS: "e2e e2e-tests integration integration-tests integration_tests functional cypress",
    Kind.DOCS: """docs doc documentation website site examples example samples sample demo demos man book guide
        guides tutorial tutorials playground playgrounds""",
    Kind.INFRASTRUCTURE: """infra infrastructure deploy deployment deployments terraform k8s kubernetes helm charts
        chart docker dockerfiles ops ansible ci scripts script tools tool tooling hack packaging nix systemd contrib
        etc dev devtools build""",
}
_KINDS: Final = {word: kind for kind, words in _WORDS.items() for word in words.split()}
_INFRASTRUCTURE_FILE: Final = re.compile(
    r"(Dockerfile.*|.*\.dockerfile|(docker-)?compose.*\.ya?ml|\.dockerignore)\Z", re.IGNORECASE
)
_BUILD_FILE: Final = re.compile(
    r"(setup|conftest|tasks|noxfile|build|version)\.\w+|.*\.config\.\w+|(gulp|grunt|jake|fabric)file\.\w+|\..*",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Area:
    """A part of the repository for one agent. ``where`` names it for a person, ``files`` counts the tracked ones."""

    name: str
    kind: Kind
    where: str
    include: tuple[str, ...]
    exclude: tuple[str, ...]
    files: int


@dataclass(slots=True)
class _Claim:
    """An area in the making: folders end with ``/``, ``*.go`` is every such file of the root, others are files."""

    name: str
    kind: Kind
    where: str
    paths: list[str]


def propose_areas(
    tracked: Collection[str], suffixes: Collection[str], *, history: Iterable[Collection[str]] = ()
) -> tuple[Area, ...]:
    """Return areas for about eight agents; none where there is no source code and no documentation.

    ``suffixes``: of source files. ``history``: the paths of each commit: what changes often weighs more, and so is
    divided first.
    """
    paths = sorted(path for path in tracked if can_be_named(path))
    folders = Folders(paths, suffixes, Counter(path for commit in history for path in commit))
    claims = [*_code(folders), *_others(folders)]
    _add_tests(claims, folders)
    claims.sort(key=lambda claim: list(Kind).index(claim.kind))
    claimed = [path for claim in claims for path in claim.paths]
    areas: list[Area] = []
    names = set(VERBS)
    for claim in claims:
        # What another agent claims inside a folder of this one is left out.
        start = tuple(path for path in claim.paths if path.endswith("/"))
        inside = [path for path in claimed if path not in claim.paths and path.startswith(start)] if start else []
        scope = Scope(_patterns(claim.paths), _patterns(inside))
        # A second area of a name gets the name of its folder.
        base = slug(claim.name) or "part"
        folder = slug(scope.include[0].removesuffix("/**").replace("\\", ""))
        numbered = (f"{base}-{number}" for number in range(2, 1000))
        candidates = (f"{base}-code" if base in VERBS else base, folder, *numbered)
        name = next(name for name in candidates if name and name not in names)
        names.add(name)
        files = sum(map(Matcher(scope).matches, paths))
        areas.append(Area(name, claim.kind, claim.where, scope.include, scope.exclude, files))
    return tuple(areas)


def unowned_files(areas: Sequence[Area], tracked: Collection[str], protected: Matcher) -> list[str]:
    """Return the tracked files that are neither protected nor in an area."""
    matchers = [protected, *(Matcher(Scope(area.include, area.exclude)) for area in areas)]
    return sorted(path for path in tracked if not any(matcher.matches(path) for matcher in matchers))


def _code(folders: Folders) -> list[_Claim]:
    """Return the root's own sources, and folders divided where most of the code is, until there are enough."""
    most = max(1, min(MOST_CODE_AREAS, round(len(folders.code) / _FILES_EACH)))
    # Sources in the root itself, as in small Go and C projects. Build files are no sources.
    sources = [path for path in folders.code if "/" not in path and not _BUILD_FILE.fullmatch(path)]
    weight = sum(folders.file_weight(path) for path in sources)
    root = []
    if sources and (weight >= _LARGE * folders.weight("") or (len(sources) >= _FEW and weight >= _SMALL)):
        endings = sorted({PurePosixPath(path).suffix for path in sources} - {""})
        root = [_Claim("core", Kind.CODE, "the sources in the root folder", [f"*{ending}" for ending in endings])]
    tops = [top for top in folders.children("") if _kind_of(top, folders) is Kind.CODE]
    parts = sorted((top for top in tops if _is_worth_it(top, folders)), key=lambda top: -folders.weight(top))[:most]
    # Split the heaviest part into its folders repeatedly; its remainder stays a part if it is large enough.
    undivided = set(parts)
    while len(parts) < most - len(root) and undivided:
        heaviest = max(sorted(undivided), key=folders.weight)
        undivided.discard(heaviest)
        inside = [child for child in folders.children(folders.descend(heaviest)) if _is_worth_it(child, folders)]
        room = most - len(root) - len(parts)
        children = sorted(inside, key=lambda child: -folders.weight(child))[: room + 1]
        if 1 < len(children) == len(inside) and _remainder(heaviest, children, folders) < _SMALL:
            parts.remove(heaviest)  # its place is free for one of its folders
        elif _remainder(heaviest, children := children[:room], folders) < _SMALL:
            continue
        parts += children
        undivided.update(children)
    return [claim for claim in root if claim.paths] + [_folder_claim(part, parts, folders) for part in parts]


def _is_worth_it(folder: str, folders: Folders) -> bool:
    """Return True where an agent has enough to do: a few files that matter, or much of a small repository."""
    share = folders.weight(folder) / (folders.weight("") or 1)
    return not is_test(f"{folder}x") and (share >= _LARGE or (share >= _SMALL and folders.count(folder) >= _FEW))


def _remainder(folder: str, children: Sequence[str], folders: Folders) -> float:
    """Return the share of all code that is in ``folder`` and in none of these children."""
    return (folders.weight(folder) - sum(folders.weight(child) for child in children)) / (folders.weight("") or 1)


def _folder_claim(part: str, parts: Collection[str], folders: Folders) -> _Claim:
    inner = folders.descend(part)
    inside = [last_name(inner_part) for inner_part in parts if inner_part != part and inner_part.startswith(part)]
    name = last_name(part)
    if name in PLAIN_NAMES and last_name(inner) not in PLAIN_NAMES:
        name = last_name(inner)
    elif inside and name in ("packages", "crates", "modules"):
        name = f"other-{name}"
    listed = ", ".join([*inside[:_MOST_NAMED], *(["others"] if len(inside) > _MOST_NAMED else [])])
    where = f"{inner.rstrip('/')} (without {listed})" if inside else part.rstrip("/")
    return _Claim(name, Kind.CODE, where, [part, *folders.twins(part)])


def _others(folders: Folders) -> list[_Claim]:
    """Return one area each for infrastructure, end-to-end tests and documentation, where there are a few files."""
    claims = []
    tops = {top: _kind_of(top, folders) for top in folders.children("")}
    for kind in (Kind.INFRASTRUCTURE, Kind.TESTS, Kind.DOCS):
        paths = [top for top, top_kind in tops.items() if top_kind is kind]
        if kind is Kind.DOCS:  # also in or next to packages: packages/docs/, packages/nuxt/playground/
            level = [
                child for top, top_kind in tops.items() if top_kind is Kind.CODE for child in folders.children(top)
            ]
            level += [child for inner in level if not is_aside(f"{inner}x") for child in folders.children(inner)]
            paths += [folder for folder in level if is_aside(f"{folder}x")]
        if kind is Kind.INFRASTRUCTURE:
            paths += [path for path in folders.paths if "/" not in path and _INFRASTRUCTURE_FILE.match(path)]
        if sum(path.startswith(tuple(paths)) for path in folders.paths) >= _FEW_OTHERS:
            name = last_name(paths[0])
            name = name if len(paths) == 1 and name not in VERBS else kind.value
            claims.append(_Claim(name, kind, ", ".join(path.rstrip("/") for path in paths), paths))
    return claims


def _add_tests(claims: Sequence[_Claim], folders: Folders) -> None:
    """Give each code area the tests of its name, or a new file where the test runner finds others.

    Unit tests have no agent of their own: an agent that may not write tests cannot show that its work is right. What is
    left belongs to the area with most of the code, or stays without an owner.
    """
    roots = [top for top in folders.children("") if last_name(top) in _UNIT_TESTS]
    code = [claim for claim in claims if claim.kind is Kind.CODE]
    # Not by name: two claims may have the same one until each gets its own at the end.
    weights = [sum(folders.weight(path) for path in claim.paths) for claim in code]
    inner = [[path for area in code if area is not claim for path in area.paths] for claim in code]
    taken: set[str] = set()
    has_main = False
    for claim, weight, others in zip(code, weights, inner, strict=True):
        start = claim.paths[0]
        nested = sum(folders.weight(path) for path in others if path.startswith(start))
        share = (weight - nested) / (folders.weight("") or 1)
        if len(code) == 1 or (share >= _MAIN and not has_main):
            has_main = True
            taken.update(roots)
            claim.paths += roots
            if not any(path.startswith("*.") for area in code for path in area.paths):
                claim.paths += [path for path in folders.code if "/" not in path and not _BUILD_FILE.fullmatch(path)]
            continue
        tests = [path for path in folders.tests_of(start, roots) if path not in taken]
        if roots and not tests and folders.keeps_tests_apart(claim.paths):
            new = folders.new_test_file(slug(claim.name), roots)
            tests = [new] if new and new not in taken else []
        taken.update(tests)
        claim.paths += tests


def _kind_of(folder: str, folders: Folders) -> Kind | None:
    """Return the purpose of a top-level folder; None for hidden folders, unit tests and third-party code."""
    name = last_name(folder)
    if name.startswith(".") or name in _NO_AREA or name in _UNIT_TESTS:
        return None
    return Kind.CODE if folder in folders.code_named_docs else _KINDS.get(name, Kind.CODE)


def _patterns(paths: Iterable[str]) -> tuple[str, ...]:
    """Return the patterns of the claimed paths, without those inside another's folder, each once."""
    unique = list(dict.fromkeys(paths))
    outer = [path for path in unique if not any(path != f and f.endswith("/") and path.startswith(f) for f in unique)]
    return tuple(
        path if path.startswith("*.") else f"{escape(path)}**" if path.endswith("/") else escape(path) for path in outer
    )
