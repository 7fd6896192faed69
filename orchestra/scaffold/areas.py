"""Divide a repository into areas for agents, by its folders and by how often files change.

The areas share no path, and every tracked file is in one of them or protected.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import PurePosixPath
from typing import Final

from orchestra.blueprint.checks import VERBS
from orchestra.scaffold.code_folders import PLAIN_NAMES, Folders, is_aside, is_test, last_name
from orchestra.scaffold.detect import slug
from orchestra.scaffold.stacks.manifests import can_be_named, escape

MOST_CODE_AREAS: Final = 6
_FILES_EACH: Final = 8
"""Source files that are worth an agent; fewer agents where there are fewer files."""
_FEW: Final = 3
_SMALL: Final = 0.06
_LARGE: Final = 0.25
"""Shares of all code: below the first a folder is not worth an agent, from the second on always."""
_MOST_NAMED: Final = 5


class Kind(StrEnum):
    """The purpose of an area; also the stage in which it lands, in this order."""

    INFRASTRUCTURE = "infrastructure"  # containers, deployment, scripts
    CODE = "code"  # used by other code
    INTERFACE = "interface"  # used by users and other programs
    TESTS = "tests"  # tests outside the code folders
    DOCS = "docs"  # documentation and examples
    REST = "rest"  # everything else


_WORDS: Final = {
    Kind.TESTS: """test tests spec specs __tests__ e2e e2e-tests integration integration-tests integration_tests
        functional cypress testing testdata test-data fixtures t bench benches benchmark benchmarks""",
    Kind.DOCS: """docs doc documentation website site examples example samples sample demo demos man book guide
        guides tutorial tutorials playground playgrounds""",
    Kind.INFRASTRUCTURE: """infra infrastructure deploy deployment deployments terraform k8s kubernetes helm charts
        chart docker dockerfiles ops ansible ci scripts script tools tool tooling hack packaging nix systemd contrib
        etc dev devtools build""",
    Kind.INTERFACE: """api apis rest graphql web www ui frontend front-end client clients cli cmd apps app server
        servers http handlers routes routers controllers views pages components gateway templates bin""",
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
    tracked: Collection[str],
    suffixes: Collection[str],
    *,
    protected: Collection[str] = (),
    history: Iterable[Collection[str]] = (),
) -> tuple[Area, ...]:
    """Return areas for about eight agents. ``suffixes`` of source files, ``protected`` paths that no area has to hold,
    ``history`` the paths of each commit: what changes often weighs more, and so is divided first.
    """
    paths = sorted(path for path in tracked if can_be_named(path))
    changes = Counter(path for commit in history for path in commit)
    folders = Folders(paths, suffixes, changes)
    claims = [*_code(folders), *_others(folders)]
    _add_tests(claims, folders)
    taken = [path for claim in claims for path in claim.paths]
    areas = [_area(claim, taken, paths) for claim in claims]
    areas = [area for area in areas if area.include]
    areas.sort(key=lambda area: list(Kind).index(area.kind))
    return _named((*areas, *_rest(areas, taken, set(tracked) - set(protected))))


# Code


def _code(folders: Folders) -> list[_Claim]:
    """Return the root's own files, and folders divided where most of the code is, until there are enough."""
    most = max(1, min(MOST_CODE_AREAS, round(len(folders.code) / _FILES_EACH)))
    tops = [top for top in folders.children("") if _kind_of(top) in (Kind.CODE, Kind.INTERFACE)]
    root = _root_code(folders)
    parts = sorted((top for top in tops if _is_worth_it(top, folders)), key=lambda top: -folders.weight(top))[:most]
    _divide(parts, folders, most - len(root))
    return [*root, *(_claim(part, parts, folders) for part in parts)]


def _is_worth_it(folder: str, folders: Folders) -> bool:
    """Return True where an agent has enough to do: a few files that matter, or much of a small repository."""
    share = folders.weight(folder) / (folders.weight("") or 1)
    return not is_test(f"{folder}x") and (share >= _LARGE or (share >= _SMALL and folders.count(folder) >= _FEW))


def _divide(parts: list[str], folders: Folders, most: int) -> None:
    """Split the heaviest part into its folders repeatedly; its remainder stays a part if it is large enough."""
    whole: set[str] = set()
    while len(parts) < most and (heaviest := max(set(parts) - whole, key=folders.weight, default="")):
        whole.add(heaviest)
        inside = [child for child in folders.children(folders.descend(heaviest)) if _is_worth_it(child, folders)]
        children = sorted(inside, key=lambda child: -folders.weight(child))
        room = most - len(parts)
        if 1 < len(children) <= room + 1 and _left(heaviest, children, folders) < _SMALL:
            parts.remove(heaviest)  # its place is free for one of its folders
            parts += children
        elif children and _left(heaviest, children[:room], folders) >= _SMALL:
            parts += children[:room]


def _left(folder: str, children: Sequence[str], folders: Folders) -> float:
    """Return the share of all code that is in ``folder`` and in none of these children."""
    return (folders.weight(folder) - sum(folders.weight(child) for child in children)) / (folders.weight("") or 1)


def _claim(part: str, parts: Collection[str], folders: Folders) -> _Claim:
    inner = folders.descend(part)
    inside = [last_name(inner_part) for inner_part in parts if inner_part != part and inner_part.startswith(part)]
    kind = Kind.INTERFACE if _kind_of(part) is Kind.INTERFACE else Kind.CODE
    name = last_name(part)
    if name in PLAIN_NAMES:
        name = last_name(inner) if last_name(inner) not in PLAIN_NAMES else _plain(name, divided=bool(inside))
    where = f"{inner.rstrip('/')} (but for {_listed(inside)})" if inside else part.rstrip("/")
    return _Claim(name, kind, where, [part, *folders.twins(part)])


def _plain(name: str, *, divided: bool) -> str:
    """Return a name for the remainder of ``crates`` or ``src``."""
    if not divided:
        return name
    return f"other-{name}" if name.endswith("s") else "core"


def _listed(names: Sequence[str]) -> str:
    return ", ".join([*names[:_MOST_NAMED], *(["others"] if len(names) > _MOST_NAMED else [])])


def _root_code(folders: Folders) -> list[_Claim]:
    """Return the sources in the root itself, as in small Go and C projects; build files are no sources."""
    sources = [path for path in folders.code if "/" not in path and not _BUILD_FILE.fullmatch(path)]
    weight = sum(folders.file_weight(path) for path in sources)
    if len(sources) < _FEW or weight < _SMALL * folders.weight(""):
        return []
    patterns = sorted({f"*{PurePosixPath(path).suffix}" for path in sources})
    return [_Claim("core", Kind.CODE, "the sources in the root folder", patterns)]


# Everything else


def _others(folders: Folders) -> list[_Claim]:
    """Return one area for each of infrastructure, tests and documentation, where there is any."""
    claims = []
    for kind, name in ((Kind.INFRASTRUCTURE, "infrastructure"), (Kind.TESTS, "tests"), (Kind.DOCS, "docs")):
        paths = [top for top in folders.children("") if _kind_of(top) is kind]
        if kind is Kind.DOCS:
            paths += _docs_of_packages(folders)
        if kind is Kind.INFRASTRUCTURE:
            paths += [path for path in folders.paths if "/" not in path and _INFRASTRUCTURE_FILE.match(path)]
        if paths:
            claims.append(_Claim(name, kind, ", ".join(path.rstrip("/") for path in paths), paths))
    return claims


def _docs_of_packages(folders: Folders) -> list[str]:
    """Return documentation and examples in or next to packages: ``packages/docs/``, ``packages/nuxt/playground/``."""
    tops = [top for top in folders.children("") if _kind_of(top) in (Kind.CODE, Kind.INTERFACE)]
    level = [child for top in tops for child in folders.children(top)]
    level += [child for folder in level if not is_aside(f"{folder}x") for child in folders.children(folder)]
    return [folder for folder in level if is_aside(f"{folder}x")]


def _add_tests(claims: Sequence[_Claim], folders: Folders) -> None:
    """Give tests in a common test folder to the area of the same folder or file name.

    An area without tests, in a language that separates them, gets a new test folder: an agent that may not write tests
    cannot show that its work is right.
    """
    roots = [path for claim in claims if claim.kind is Kind.TESTS for path in claim.paths if is_test(f"{path}x")]
    taken: set[str] = set()
    for claim in claims:
        if claim.kind not in (Kind.CODE, Kind.INTERFACE):
            continue
        tests = [path for path in folders.tests_of(claim.paths[0], roots) if path not in taken]
        if roots and not tests and folders.keeps_tests_apart(claim.paths):
            tests = [path for path in [folders.new_tests(slug(claim.name), roots)] if path not in taken]
        taken.update(tests)
        claim.paths += tests


def _area(claim: _Claim, taken: Sequence[str], tracked: Sequence[str]) -> Area:
    inside = [path for path in taken if path not in claim.paths and path.startswith(_folders(claim.paths))]
    exclude = _outermost(inside)
    held = [path for path in tracked if _holds(claim.paths, path) and not _holds(exclude, path)]
    return Area(
        name=claim.name,
        kind=claim.kind,
        where=claim.where,
        include=tuple(_pattern(path) for path in _outermost(claim.paths)),
        exclude=tuple(_pattern(path) for path in exclude),
        files=len(held),
    )


def _rest(areas: Sequence[Area], taken: Sequence[str], unprotected: Collection[str]) -> list[Area]:
    """Return an area for the files that no other area holds, if there are any."""
    outermost = _outermost(taken)
    unowned = [path for path in unprotected if not _holds(outermost, path)]
    if areas and not unowned:
        return []
    where = "everything that no other agent owns" if areas else "the whole repository"
    exclude = tuple(_pattern(path) for path in outermost)
    return [Area("rest" if areas else "everything", Kind.REST, where, ("**",), exclude, len(unowned))]


def _named(areas: Sequence[Area]) -> tuple[Area, ...]:
    """Return each with a name of its own that an agent can have; a second area of a name gets the name of its
    folder."""
    named: list[Area] = []
    taken: set[str] = set()
    for area in areas:
        folder = slug(area.include[0].removesuffix("/**").replace("\\", ""))
        base = slug(area.name) or "part"
        base = f"{base}-code" if base in VERBS else base
        numbered = (f"{base}-{number}" for number in range(2, 1000))
        name = next(name for name in (base, folder, *numbered) if name and name not in taken | VERBS)
        taken.add(name)
        named.append(Area(name, area.kind, area.where, area.include, area.exclude, area.files))
    return tuple(named)


# Paths


def _kind_of(folder: str) -> Kind | None:
    """Return the purpose of a top-level folder; None for hidden folders and third-party code."""
    name = last_name(folder)
    if name.startswith(".") or name in ("vendor", "third_party", "third-party", "node_modules"):
        return None
    return _KINDS.get(name, Kind.CODE)


def _folders(paths: Iterable[str]) -> tuple[str, ...]:
    return tuple(path for path in paths if path.endswith("/"))


def _outermost(paths: Iterable[str]) -> list[str]:
    """Return the paths without those inside a listed folder, each once."""
    unique = list(dict.fromkeys(paths))
    folders = set(_folders(unique))
    return [path for path in unique if not any(path != f and path.startswith(f) for f in folders)]


def _holds(claimed: Collection[str], path: str) -> bool:
    """Return True where one of the claimed paths is the file, its folder, or its kind of file in the root."""
    for claim in claimed:
        if claim.endswith("/") and path.startswith(claim):
            return True
        if claim == path or (claim.startswith("*.") and "/" not in path and path.endswith(claim[1:])):
            return True
    return False


def _pattern(path: str) -> str:
    if path.startswith("*."):
        return path
    return f"{escape(path)}**" if path.endswith("/") else escape(path)
