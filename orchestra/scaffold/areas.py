"""Who could own what: areas of a repository, from its folders and from what is changed most.

Invariant: the areas of one answer share no path, and every tracked file is in one of them or protected. Pure: paths
in, areas out. Refuses: opinions on what is to be done in an area.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import PurePosixPath
from typing import Final

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
    """What an area is for; also the stage in which it lands, in this order."""

    INFRASTRUCTURE = "infrastructure"  # containers, deployment, scripts
    CODE = "code"  # what others build on
    INTERFACE = "interface"  # what users and other programs meet
    TESTS = "tests"  # tests that stand apart from the code
    DOCS = "docs"  # documentation and examples
    REST = "rest"  # whatever is left


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
    """Areas for about eight agents. ``suffixes`` of source files, ``protected`` paths that no area has to hold,
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
    """The root's own files, and folders divided where most of the code is, until there are enough."""
    most = max(1, min(MOST_CODE_AREAS, round(len(folders.code) / _FILES_EACH)))
    tops = [top for top in folders.children("") if _kind_of(top) in (Kind.CODE, Kind.INTERFACE)]
    root = _root_code(folders)
    parts = sorted((top for top in tops if _is_worth_it(top, folders)), key=lambda top: -folders.weight(top))[:most]
    _divide(parts, folders, most - len(root))
    return [*root, *(_claim(part, parts, folders) for part in parts)]


def _is_worth_it(folder: str, folders: Folders) -> bool:
    """Whether an agent has enough to do there: a few files that matter, or much of a small repository."""
    share = folders.weight(folder) / (folders.weight("") or 1)
    return not is_test(f"{folder}x") and (share >= _LARGE or (share >= _SMALL and folders.count(folder) >= _FEW))


def _divide(parts: list[str], folders: Folders, most: int) -> None:
    """Split the heaviest part into its folders, again and again; what is left of it stays a part if it is worth it."""
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
    """What of a folder is in none of these children, as a share of all code."""
    return (folders.weight(folder) - sum(folders.weight(child) for child in children)) / (folders.weight("") or 1)


def _claim(part: str, parts: Collection[str], folders: Folders) -> _Claim:
    inner = folders.descend(part)
    inside = [last_name(other) for other in parts if other != part and other.startswith(part)]
    kind = Kind.INTERFACE if _kind_of(part) is Kind.INTERFACE else Kind.CODE
    name = last_name(part)
    if name in PLAIN_NAMES:
        name = last_name(inner) if last_name(inner) not in PLAIN_NAMES else _plain(name, divided=bool(inside))
    where = f"{inner.rstrip('/')} (but for {_listed(inside)})" if inside else part.rstrip("/")
    return _Claim(name, kind, where, [part, *folders.twins(part)])


def _plain(name: str, *, divided: bool) -> str:
    """What to call what is left of ``crates`` or ``src``."""
    if not divided:
        return name
    return f"other-{name}" if name.endswith("s") else "core"


def _listed(names: Sequence[str]) -> str:
    return ", ".join([*names[:_MOST_NAMED], *(["others"] if len(names) > _MOST_NAMED else [])])


def _root_code(folders: Folders) -> list[_Claim]:
    """Sources that lie in the root itself, as in small Go and C projects; build files are no sources."""
    own = [path for path in folders.code if "/" not in path and not _BUILD_FILE.fullmatch(path)]
    weight = sum(folders.file_weight(path) for path in own)
    if len(own) < _FEW or weight < _SMALL * folders.weight(""):
        return []
    patterns = sorted({f"*{PurePosixPath(path).suffix}" for path in own})
    return [_Claim("core", Kind.CODE, "the sources in the root folder", patterns)]


# Everything else


def _others(folders: Folders) -> list[_Claim]:
    """One area for each of infrastructure, tests and documentation, where there is any."""
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
    """Documentation and examples in or beside packages: ``packages/docs/``, ``packages/nuxt/playground/``."""
    tops = [top for top in folders.children("") if _kind_of(top) in (Kind.CODE, Kind.INTERFACE)]
    level = [child for top in tops for child in folders.children(top)]
    level += [child for folder in level if not is_aside(f"{folder}x") for child in folders.children(folder)]
    return [folder for folder in level if is_aside(f"{folder}x")]


def _add_tests(claims: Sequence[_Claim], folders: Folders) -> None:
    """Tests of a code area that lie in a common test folder go to its owner, by the name of folder or file.

    Where an area has no tests of its own, in a language that keeps them apart, it gets a new folder for them: an
    agent that may not write tests cannot show that what it did is right.
    """
    roots = [path for claim in claims if claim.kind is Kind.TESTS for path in claim.paths if is_test(f"{path}x")]
    taken: set[str] = set()
    for claim in claims:
        if claim.kind not in (Kind.CODE, Kind.INTERFACE):
            continue
        found = [path for path in folders.tests_of(claim.paths[0], roots) if path not in taken]
        if roots and not found and folders.keeps_tests_apart(claim.paths):
            found = [path for path in [folders.new_tests(slug(claim.name), roots)] if path not in taken]
        taken.update(found)
        claim.paths += found


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


def _rest(areas: Sequence[Area], taken: Sequence[str], wanted: Collection[str]) -> list[Area]:
    """What no area holds; nothing where they and the protected paths hold everything."""
    outermost = _outermost(taken)
    left = [path for path in wanted if not _holds(outermost, path)]
    if areas and not left:
        return []
    where = "everything that no other agent owns" if areas else "the whole repository"
    exclude = tuple(_pattern(path) for path in outermost)
    return [Area("rest" if areas else "everything", Kind.REST, where, ("**",), exclude, len(left))]


def _named(areas: Sequence[Area]) -> tuple[Area, ...]:
    """Each with a name of its own that an agent can have; number two of a name is told apart by its folder."""
    named: list[Area] = []
    taken: set[str] = set()
    for area in areas:
        folder = slug(area.include[0].removesuffix("/**").replace("\\", ""))
        base = slug(area.name) or "part"
        numbered = (f"{base}-{number}" for number in range(2, 1000))
        name = next(name for name in (base, folder, *numbered) if name and name not in taken)
        taken.add(name)
        named.append(Area(name, area.kind, area.where, area.include, area.exclude, area.files))
    return tuple(named)


# Paths


def _kind_of(folder: str) -> Kind | None:
    """What a top-level folder is for; None for hidden ones and those that are somebody else's code."""
    name = last_name(folder)
    if name.startswith(".") or name in ("vendor", "third_party", "third-party", "node_modules"):
        return None
    return _KINDS.get(name, Kind.CODE)


def _folders(paths: Iterable[str]) -> tuple[str, ...]:
    return tuple(path for path in paths if path.endswith("/"))


def _outermost(paths: Iterable[str]) -> list[str]:
    """Without what lies in a folder that is there as well, each once."""
    unique = list(dict.fromkeys(paths))
    folders = set(_folders(unique))
    return [path for path in unique if not any(path != f and path.startswith(f) for f in folders)]


def _holds(claimed: Collection[str], path: str) -> bool:
    """Whether one of the claimed paths is the file, its folder, or its kind of file in the root."""
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
