"""Decide which files of a tree a set-up depends on, so that its result is reused only for trees with the same ones.

``worktrees.setup.inputs`` declares them. Without it, a set-up that only installs dependencies, by one of the commands
below, depends on the manifests, lock and constraint files of the tree. Any other command may build from the sources, so
it depends on the whole tree: then it runs again for every candidate, and no gate tests the build of another branch.
"""

from __future__ import annotations

import json
import re
import shlex
import sys
from collections.abc import Iterable

from orchestra.blueprint.model import Scope, Setup
from orchestra.blueprint.scope import Matcher
from orchestra.git.git_process import Git

_MANIFESTS = frozenset(
    """package.json package-lock.json npm-shrinkwrap.json yarn.lock pnpm-lock.yaml pnpm-workspace.yaml bun.lock
    bun.lockb .npmrc .yarnrc .yarnrc.yml deno.json deno.lock pyproject.toml setup.py setup.cfg uv.lock uv.toml
    poetry.lock poetry.toml Pipfile Pipfile.lock pdm.lock pixi.toml pixi.lock pip.conf environment.yml environment.yaml
    conda-lock.yml tox.ini .python-version .tool-versions mise.toml .nvmrc .node-version Gemfile Gemfile.lock
    .ruby-version composer.json composer.lock go.mod go.sum go.work go.work.sum Cargo.toml Cargo.lock rust-toolchain
    rust-toolchain.toml pom.xml build.gradle build.gradle.kts settings.gradle settings.gradle.kts gradle.properties
    gradle.lockfile libs.versions.toml mix.exs mix.lock pubspec.yaml pubspec.lock Package.swift Package.resolved
    flake.nix flake.lock CMakeLists.txt conanfile.txt conanfile.py conan.lock vcpkg.json packages.lock.json global.json
    nuget.config .gitmodules .pnpmfile.cjs bunfig.toml""".split()
)
# Requirements, project files, and what package managers run or apply: plugins of yarn, patches, configuration of cargo.
_MANIFEST_PATTERN = re.compile(
    r"(^|/)(([^/]*requirements|[^/]*constraints)[^/]*\.(txt|in)|requirements/.*\.(txt|in)|[^/]+\.(csproj|fsproj|gemspec)"
    r"|\.yarn/(releases|plugins|patches)/.*|patches/.*\.patch|\.cargo/config(\.toml)?|\.bundle/config)$"
)
_SHADOWING = frozenset((*sys.stdlib_module_names, "pip", "setuptools", "wheel"))
"""Python modules: ``python3 -m venv`` and ``python3 -m pip`` import a file of that name in the checkout instead."""
_OPTIONS = r"(\ --?[\w-]+(=\S+)?)*"
_INSTALLS = re.compile(
    rf"""(?x)(
    (npm|pnpm|yarn|bun)\ (ci|i|install){_OPTIONS} | yarn{_OPTIONS} | corepack\ enable
    | (python3?|uv)\ (-m\ )?venv(\ --?[\w.-]+)*(\ [\w./-]+)?
    | (\S*/)?(python3?\ -m\ |uv\ )?pip3?\ install
      ((\ -r|\ -c|\ --requirement|\ --constraint)[\ =]\S+ | \ -q | \ --quiet | \ --no-\S+)+
    | uv\ sync{_OPTIONS} | (poetry|pdm|pipenv)\ (install|sync){_OPTIONS}
    | bundle\ (install|config\ \S+\ \S+\ \S+){_OPTIONS} | composer\ install{_OPTIONS}
    | go\ mod\ download | cargo\ fetch{_OPTIONS} | mix\ deps\.get | dotnet\ restore{_OPTIONS} | dart\ pub\ get
    | true | :
    )"""
)
_NODE_SCRIPTS = frozenset(("preinstall", "install", "postinstall", "preprepare", "prepare", "postprepare"))
_COMPILED = re.compile(r"\.(c|cc|cpp|cxx|pyx|pxd|rs|f90|go)$")  # a Python or Ruby install may compile these
_LOCAL_REQUIREMENT = re.compile(rb"(?m)^\s*(-e\s*)?(\.|file:)")


def setup_inputs(git: Git, tree: str, setup: Setup) -> list[str]:
    """Return what the set-up depends on in ``tree``: rows of ``ls-tree``, or the id of the whole tree."""
    if not setup.run and not setup.share:
        return []
    rows = git.run("ls-tree", "-r", "-z", tree).fields
    if setup.inputs:
        declared = Matcher(Scope(setup.inputs))
        return [row for row in rows if declared.matches(row.partition("\t")[2])]
    runs_module = any(" -m " in command for command in setup.run)
    paths = [row.partition("\t")[2] for row in rows]
    manifests = [
        row for row, path in zip(rows, paths, strict=True) if _is_manifest(path) or (runs_module and _is_shadow(path))
    ]
    if all(only_installs(command) for command in setup.run) and not _may_build(git, rows, manifests, setup.run):
        return manifests
    return [tree]


def only_installs(command: str) -> bool:
    """Return whether a set-up command is known to read nothing but manifests. Pure."""
    try:
        parts = [" ".join(shlex.split(part)) for part in command.split("&&")]
    except ValueError:
        return False
    return not re.search(r"[;|<>$`\n(){}]", command) and all(_INSTALLS.fullmatch(part) for part in parts)


def _is_manifest(path: str) -> bool:
    return path.rpartition("/")[2] in _MANIFESTS or _MANIFEST_PATTERN.search(path) is not None


def _is_shadow(path: str) -> bool:
    name, _, rest = path.partition("/")
    module, _, suffix = name.partition(".")
    return module in _SHADOWING and (rest.startswith("__init__.") if rest else suffix != "")


def _may_build(git: Git, rows: Iterable[str], manifests: Iterable[str], commands: Iterable[str]) -> bool:
    """Return whether an install runs scripts of the repository or compiles its sources."""
    text = " ".join(commands)
    is_node = re.search(r"\b(npm|pnpm|yarn|bun)\b", text) is not None
    if not is_node and any(_COMPILED.search(row) for row in rows):
        return True
    for row in manifests:
        facts, _, path = row.partition("\t")
        name = path.rpartition("/")[2]
        if name == "package.json" and is_node:
            try:
                scripts = json.loads(git.run("cat-file", "blob", facts.split(" ")[2]).stdout).get("scripts", {})
                if _NODE_SCRIPTS & set(scripts):
                    return True
            except (ValueError, AttributeError, TypeError):
                return True
        elif name.endswith((".txt", ".in")) and _LOCAL_REQUIREMENT.search(
            git.run("cat-file", "blob", facts.split(" ")[2]).stdout
        ):
            return True
    return False
