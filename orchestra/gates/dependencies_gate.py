"""The built-in gate ``dependencies``: each dependency that a branch adds, removes or bumps is named in the notes.

Manifests and lock files are compared by content, from the fork to the tip. A manifest whose lock file exists and stays
as it was, new places that a lock downloads from, and packages with install scripts are findings, too.
"""

from __future__ import annotations

import configparser
import json
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from fnmatch import fnmatchcase

from orchestra.gates.branch_content import BranchContent
from orchestra.gates.gate_finding import GateFinding
from orchestra.gates.notes_gate import NOTES_FILE, justifies, names_word
from orchestra.text import format_list

Requirements = dict[str, str]
"""Name of a dependency -> the versions or the place that the manifest asks for."""

_NPM_SECTIONS = (
    "dependencies",
    "devDependencies",
    "optionalDependencies",
    "peerDependencies",
    "overrides",
    "resolutions",
)
_NPM_HOOKS = ("preinstall", "install", "postinstall", "prepare", "prepublish")
_CARGO_SECTIONS = ("dependencies", "dev-dependencies", "build-dependencies")
_INTERNAL = ("workspace:", "file:", "link:", "{'path'", "{'workspace': True")  # parts of this repository
_REQUIREMENT = re.compile(r"^\s*([A-Za-z0-9][A-Za-z0-9._-]*)\s*(?:\[[^\]]*\])?\s*(.*)$")


def _python(text: str) -> Requirements:
    """Read one requirement (PEP 508), or one line of a requirements file."""
    line = re.sub(r"(^|\s)#.*", "", text).split(" --hash")[0].strip().rstrip("\\").strip()
    if line.startswith("-"):  # another index, or an editable place
        option, _, value = line.replace("=", " ", 1).partition(" ")
        is_own = option in ("-r", "-c", "--requirement", "--constraint", "--hash") or value.lstrip().startswith(".")
        return {} if is_own else {option: value.strip()}
    match = _REQUIREMENT.match(line)
    return {match[1].lower().replace("_", "-"): match[2].strip()} if match else {}


def _all(texts: object) -> Requirements:
    merged: Requirements = {}
    for text in texts if isinstance(texts, list) else ():
        merged |= _python(text) if isinstance(text, str) else {}
    return merged


def _tables(*tables: object) -> Requirements:
    rows = (row for table in tables if isinstance(table, dict) for row in table.items())
    return {str(name): spec if isinstance(spec, str) else repr(spec) for name, spec in rows}


def _at(data: object, *keys: str) -> object:
    for key in keys:
        data = data.get(key) if isinstance(data, dict) else None
    return data


def _package_json(text: str) -> Requirements:
    data = json.loads(text)
    hooks = {f"script {name}": _at(data, "scripts", name) for name in _NPM_HOOKS if _at(data, "scripts", name)}
    return _tables(*(_at(data, section) for section in _NPM_SECTIONS), hooks)


def _pyproject(text: str) -> Requirements:
    data = tomllib.loads(text)
    result = _all(_at(data, "project", "dependencies")) | _all(_at(data, "build-system", "requires"))
    for groups in (_at(data, "project", "optional-dependencies"), _at(data, "dependency-groups")):
        for group in groups.values() if isinstance(groups, dict) else ():
            result |= _all(group)
    result |= _all(_at(data, "tool", "uv", "dev-dependencies"))
    poetry = _at(data, "tool", "poetry")
    groups = _at(poetry, "group")
    tables = [_at(group, "dependencies") for group in groups.values()] if isinstance(groups, dict) else []
    sources = (_at(data, "tool", "uv", "sources"), _at(poetry, "dependencies"), _at(poetry, "dev-dependencies"))
    return result | _tables(*sources, *tables)


def _setup_cfg(text: str) -> Requirements:
    parser = configparser.RawConfigParser()
    parser.read_string(text)
    extras = parser["options.extras_require"].values() if "options.extras_require" in parser else ()
    return _all("\n".join((parser.get("options", "install_requires", fallback=""), *extras)).splitlines())


def _go_mod(text: str) -> Requirements:
    rows = re.findall(r"^\s*(?:require\s+)?([\w.~-]+(?:\.[\w~-]+)+(?:/\S+)*)\s+(v\S+)", text, re.MULTILINE)
    replaced = re.findall(r"^\s*(?:replace\s+)?(\S+)(?:\s+v\S+)?\s+=>\s+(\S.*?)\s*$", text, re.MULTILINE)
    return dict(rows) | {f"{name} replaced": place for name, place in replaced}


def _cargo(text: str) -> Requirements:
    data = tomllib.loads(text)
    targets = _at(data, "target")
    places = [data, _at(data, "workspace"), *(targets.values() if isinstance(targets, dict) else ())]
    patches = _at(data, "patch")
    tables = [_at(place, section) for place in places for section in _CARGO_SECTIONS]
    return _tables(*tables, *(patches.values() if isinstance(patches, dict) else ()))


def _pipfile(text: str) -> Requirements:
    data = tomllib.loads(text)
    return _tables(data.get("packages"), data.get("dev-packages"))


def _pom(text: str) -> Requirements:
    """Read Maven's by pattern: a parser of XML would expand the entities of a hostile file."""
    result = {}
    for block in re.findall(r"<(?:dependency|plugin|parent)>(.*?)</(?:dependency|plugin|parent)>", text, re.DOTALL):
        values = dict(re.findall(r"<(groupId|artifactId|version)>\s*([^<]*?)\s*<", block))
        if "artifactId" in values:
            result[f"{values.get('groupId', '')}:{values['artifactId']}"] = values.get("version", "")
    return result


_MANIFESTS: tuple[tuple[str, Callable[[str], Requirements], tuple[str, ...]], ...] = (
    (
        "package.json",
        _package_json,
        ("package-lock.json", "npm-shrinkwrap.json", "pnpm-lock.yaml", "yarn.lock", "bun.lock", "bun.lockb"),
    ),
    ("pyproject.toml", _pyproject, ("uv.lock", "poetry.lock", "pdm.lock")),
    ("setup.cfg", _setup_cfg, ()),
    ("requirements*.txt", lambda text: _all(text.splitlines()), ()),
    ("requirements*.in", lambda text: _all(text.splitlines()), ()),
    ("constraints*.txt", lambda text: _all(text.splitlines()), ()),
    (
        "Pipfile",
        lambda text: _tables(*(tomllib.loads(text).get(k) for k in ("packages", "dev-packages"))),
        ("Pipfile.lock",),
    ),
    ("go.mod", _go_mod, ("go.sum",)),
    ("Cargo.toml", _cargo, ("Cargo.lock",)),
    ("pom.xml", _pom, ()),
)
"""Name of a manifest, its parser, and the lock files that belong to it."""

_LOCKED = {
    "package-lock.json": r'"(?:[^"\n]*node_modules/)?([^"\n]+)": \{\s*"version": "([^"]+)"',
    "npm-shrinkwrap.json": r'"(?:[^"\n]*node_modules/)?([^"\n]+)": \{\s*"version": "([^"]+)"',
    "yarn.lock": r'^"?(@?[^@"\s]+)@[^\n]*:\n  version:? "?([^"\s]+)',
    "pnpm-lock.yaml": r"^  /?'?(@?[^@'\s:(]+)[@/]([^:'\s(]+)(?:\([^\n]*\))?'?:$",
    "uv.lock": r'^\[\[package\]\]\nname = "([^"]+)"\nversion = "([^"]+)"',
    "poetry.lock": r'^\[\[package\]\]\nname = "([^"]+)"\nversion = "([^"]+)"',
    "pdm.lock": r'^\[\[package\]\]\nname = "([^"]+)"\nversion = "([^"]+)"',
    "Cargo.lock": r'^\[\[package\]\]\nname = "([^"]+)"\nversion = "([^"]+)"',
    "go.sum": r"^(\S+) (v\S+?)(?:/go\.mod)? h1:",
}
_SOURCE = re.compile(
    r"(?:\"resolved\": \"|resolved \"|tarball: |url = \"|registry = \"|source = \")(?:[a-z]+\+)?[a-z]+://(?:[^/\"\s@]*@)?([^/\"\s]+)"
)
_INSTALLS = re.compile(
    r'"(?:[^"\n]*node_modules/)?([^"\n]+)": \{(?:(?!\n    \}).)*?"hasInstallScript": true', re.DOTALL
)
_CODE_OF_SETUP = ("setup.py", "build.rs", "binding.gyp", ".npmrc", ".pnpmfile.cjs", ".yarnrc.yml", "pip.conf")
_NAMED_MANIFESTS = ("package.json", "pyproject.toml", "Cargo.toml")
_OWN_NAME = re.compile(r'^\s*"?name"?\s*[:=]\s*"([^"]+)"', re.MULTILINE)
_MOST_NAMES = 5


def check_dependencies(content: BranchContent, notes: str | None) -> list[GateFinding]:
    """Return what the branch changes about dependencies without naming it in the notes, and what does not agree."""
    findings: list[GateFinding] = []
    changed_folders: set[str] = set()
    for path, change in content.changes.items():
        folder, _, name = path.rpartition("/")
        row = next((row for row in _MANIFESTS if fnmatchcase(name, row[0])), None)
        new = content.blobs.read(change.new).decode("utf-8", "replace")
        if row is None:
            if name in _CODE_OF_SETUP and not justifies(notes or "", path):
                reason = f"runs or is read when the project is installed, and {NOTES_FILE} does not explain it"
                findings.append(GateFinding(path, reason, f"name {path} there with the reason"))
            continue
        _, parse, locks = row
        before = _parsed(parse, content.blobs.read(change.old).decode("utf-8", "replace")) or {}
        after = _parsed(parse, new)
        if after is None:
            findings.append(GateFinding(path, "cannot be parsed, so its dependencies are unknown", "fix it"))
            continue
        differing = {
            dependency: (before.get(dependency), after.get(dependency))
            for dependency in sorted({*before, *after})
            if before.get(dependency) != after.get(dependency)
        }
        internal = {n for n, specs in differing.items() if all(s is None or s.startswith(_INTERNAL) for s in specs)}
        findings += (
            GateFinding(
                path, f"{_what(old, spec, dependency)}, which {NOTES_FILE} does not name", _FIX, _line(new, dependency)
            )
            for dependency, (old, spec) in differing.items()
            if dependency not in internal and not names_word(notes or "", dependency)
        )
        if any(not dependency.startswith("script ") for dependency in differing):
            changed_folders.add(folder)
            lock = _lock_of(content, folder, locks) if change.old is not None else None
            if lock is not None and lock not in content.changes and differing.keys() - internal:
                reason = f"changes dependencies, and {lock} stays as it was"
                findings.append(GateFinding(path, reason, f"run the package manager and commit {lock}"))
    for path in content.changes:
        findings += _lock_findings(content, path, notes or "", changed_folders)
    return findings


_FIX = f"name it under Dependencies Added in {NOTES_FILE} and say why"


def _parsed(parse: Callable[[str], Requirements], text: str) -> Requirements | None:
    try:
        return parse(text) if text.strip() else {}
    except (ValueError, RecursionError, configparser.Error):
        return None


def _what(old: str | None, new: str | None, name: str) -> str:
    if old is None:
        return f"adds {name} {new}".rstrip()
    return f"removes {name}" if new is None else f"changes {name} from {old or 'any version'} to {new or 'any version'}"


def _line(text: str, name: str) -> int | None:
    at = text.casefold().find(name.removeprefix("script ").casefold())
    return text.count("\n", 0, at) + 1 if at >= 0 else None


def _lock_of(content: BranchContent, folder: str, locks: tuple[str, ...]) -> str | None:
    """Return the nearest lock file for a manifest in ``folder``: there or in a folder above."""
    while True:
        for lock in locks:
            path = f"{folder}/{lock}".removeprefix("/")
            if content.exists_at_fork(path):
                return path
        if not folder:
            return None
        folder = folder.rpartition("/")[0]


def _lock_findings(content: BranchContent, path: str, notes: str, changed_folders: set[str]) -> Iterator[GateFinding]:
    folder, _, name = path.rpartition("/")
    change = content.changes[path]
    if name not in _LOCKED or change.new is None:
        return
    old, new = (content.blobs.read(side).decode("utf-8", "replace") for side in (change.old, change.new))
    packages_before, packages = _packages(name, old), _packages(name, new)
    # A new version of the project itself is no dependency's.
    manifests = (
        content.blobs.read(c.new) for p, c in content.changes.items() if p.rpartition("/")[2] in _NAMED_MANIFESTS
    )
    own = {name for text in manifests for name in _OWN_NAME.findall(text.decode("utf-8", "replace"))}
    differing = sorted(key for key in {*packages_before, *packages} if packages_before.get(key) != packages.get(key))
    differing = [package for package in differing if package not in own]
    # Packages that come with a manifest's change are that change's; alone, they are a bump that the notes do not name.
    is_explained = any(not folder or f"{below}/".startswith(f"{folder}/") for below in changed_folders)
    unnamed = [package for package in differing if not names_word(notes, package)]
    if not is_explained and change.old is not None and unnamed and not justifies(notes, path):
        names = format_list(unnamed, most=_MOST_NAMES)
        reason = f"changes {names} although no manifest changes, and {NOTES_FILE} does not name them"
        yield GateFinding(path, reason, f"name them, or {path}, in {NOTES_FILE} and say why")
    hosts_before, hosts = set(_SOURCE.findall(old)), set(_SOURCE.findall(new))
    for host in sorted(hosts - hosts_before) if hosts_before else ():
        if not names_word(notes, host):
            at = new.find(f"//{host}")
            reason = f"downloads from {host}, from which it did not before"
            yield GateFinding(path, reason, f"name {host} in {NOTES_FILE} and say why", new.count("\n", 0, at) + 1)
    if name in ("package-lock.json", "npm-shrinkwrap.json"):
        with_scripts = set(_INSTALLS.findall(new)) - set(_INSTALLS.findall(old))
        for package in sorted(with_scripts):
            if not names_word(notes, package):
                reason, line = f"brings {package}, which runs an install script", _line(new, f'/{package}"')
                yield GateFinding(path, reason, f"name {package} in {NOTES_FILE} and say why it may run one", line)


def _packages(name: str, text: str) -> Mapping[str, frozenset[str]]:
    versions: dict[str, set[str]] = {}
    for package, version in re.findall(_LOCKED[name], text, re.MULTILINE):
        versions.setdefault(package, set()).add(version)
    return {package: frozenset(found) for package, found in versions.items()}
