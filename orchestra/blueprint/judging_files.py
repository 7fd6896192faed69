"""Files that decide how a branch is judged: the blueprint, CI, and what the commands of gates run. Pure.

An agent that changes them can make its own gates pass, so they are protected unless its ``may_edit`` or a pattern of
its scope names them, and a review shows them first. Manifests such as ``package.json`` hold much else: there only a
change of the sections that gates read counts.
"""

from __future__ import annotations

import configparser
import json
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from fnmatch import fnmatchcase, translate

from orchestra.blueprint.model import Agent, Blueprint, RunGate

BUILD_FILES: Mapping[str, tuple[str, ...]] = {
    "make": ("Makefile", "makefile", "GNUmakefile", "*.mk"),
    "just": ("justfile", "Justfile", ".justfile"),
    "task": ("Taskfile.yml", "Taskfile.yaml"),
    "tox": ("tox.ini",),
    "nox": ("noxfile.py",),
    "inv": ("tasks.py",),
    "invoke": ("tasks.py",),
    "rake": ("Rakefile",),
    "pre-commit": (".pre-commit-config.yaml",),
    "lefthook": ("lefthook.yml",),
}
"""Program -> the files by which it knows what to run."""

_PYTHON_TESTS = ("conftest.py", "pytest.ini", ".pytest.ini", "tox.ini", ".coveragerc", "sitecustomize.py")
_JAVASCRIPT = tuple(
    """jest.config.* jest.setup.* vitest.config.* vitest.workspace.* .mocharc* karma.conf.* playwright.config.*
    cypress.config.* ava.config.* .eslintrc* eslint.config.* biome.json .npmrc""".split()
)
_CONFIGURATION: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(("pytest", "py.test", "tox", "nox", "unittest", "coverage"), _PYTHON_TESTS),
    **dict.fromkeys(("npm", "npx", "yarn", "pnpm", "bun", "bunx", "jest", "vitest", "node"), _JAVASCRIPT),
    "ruff": ("ruff.toml", ".ruff.toml"),
    "mypy": ("mypy.ini", ".mypy.ini"),
    "flake8": (".flake8",),
    "pylint": (".pylintrc", "pylintrc"),
    "pyright": ("pyrightconfig.json",),
    "golangci-lint": (".golangci.*",),
    "rspec": (".rspec",),
    "rubocop": (".rubocop.yml",),
    "phpunit": ("phpunit.xml*",),
    "cargo": (".cargo/config.toml", ".config/nextest.toml", "clippy.toml"),
}
_CI = tuple(
    """.github/workflows/* .github/actions/* .gitlab-ci.yml .gitlab/ci/* .circleci/* .buildkite/* Jenkinsfile
    azure-pipelines.yml bitbucket-pipelines.yml .travis.yml .drone.yml .woodpecker* .orchestra/*""".split()
)
_INTERPRETERS = frozenset("sh bash dash zsh python python3 node ruby perl php deno bun tsx ts-node . source".split())
MANIFESTS = frozenset(("package.json", "pyproject.toml", "setup.cfg"))
_MANIFEST_SECTIONS = {
    "package.json": ("scripts", "jest", "vitest", "mocha", "ava", "eslintConfig", "nyc", "c8", "workspaces"),
    "pyproject.toml": ("pytest", "coverage", "tox", "nox", "ruff", "mypy", "pyright", "pylint", "hatch", "poe"),
    "setup.cfg": ("tool:pytest", "coverage:run", "coverage:report", "mypy", "flake8", "tox"),
}


def judging_files(blueprint: Blueprint, agent: Agent) -> Callable[[str], bool]:
    """Return the test for a path that decides how branches are judged and that the agent's scope does not name."""
    decides = _decider(blueprint)
    return lambda path: not scope_names(agent, path) and decides(path)


def judging_paths(blueprint: Blueprint, paths: Iterable[str]) -> frozenset[str]:
    """Return those of ``paths`` that decide how branches are judged, whichever scope names them."""
    return frozenset(filter(_decider(blueprint), paths))


def scope_names(agent: Agent, path: str) -> bool:
    """Return True when the agent's scope was written with this very file, or its CI folder, in mind."""
    patterns = agent.scope.include if agent.scope is not None else ()
    return any(pattern == path or (pattern.startswith(".") and fnmatchcase(path, pattern)) for pattern in patterns)


def files_of_command(gate: RunGate) -> Callable[[str], bool]:
    """Return the test for a path that the gate's command goes by, whatever it checks.

    That is a script or build file that it runs, the configuration of a program that it names, and what decides how git
    checks files out.
    """
    is_run = _path_test([gate], ())
    manifests = MANIFESTS | {".gitmodules"}
    return lambda path: path in manifests or path.rpartition("/")[2] == ".gitattributes" or is_run(path)


def _decider(blueprint: Blueprint) -> Callable[[str], bool]:
    gates = [gate for gate in blueprint.gates.values() if isinstance(gate, RunGate)]
    is_run = _path_test(gates, _CI)
    source = f"/{blueprint.source}"
    return lambda path: is_run(path) or ("/" in source[1:] and source.endswith(f"/{path}"))


def _path_test(gates: Iterable[RunGate], patterns: Iterable[str]) -> Callable[[str], bool]:
    """Return the test for a path, in any folder, that matches ``patterns`` or is run or read by a gate's command."""
    scripts, globs = set[str](), set(patterns)
    for gate in gates:
        scripts |= _scripts(gate.run)
        words = set(re.findall(r"[\w.@-]+", gate.run))
        for table in (BUILD_FILES, _CONFIGURATION):
            globs.update(pattern for program in words & set(table) for pattern in table[program])
    matches = re.compile("|".join(map(translate, sorted(globs))) or r"(?!)").match

    def is_named(path: str) -> bool:
        parts = path.split("/")
        suffixes = ["/".join(parts[start:]) for start in range(len(parts))]
        return any(map(matches, suffixes)) or not scripts.isdisjoint(suffixes)

    return is_named


def changed_sections(path: str, old: bytes | None, new: bytes | None) -> tuple[str, ...]:
    """Return the sections of a manifest that gates read and that differ between two versions of it.

    A version that cannot be parsed counts as different in all of them.
    """
    name = path.rpartition("/")[2]
    before, after = (_parse(name, content) for content in (old, new))
    sections = _MANIFEST_SECTIONS[name]
    if before is None or after is None:
        return () if old == new else sections
    return tuple(section for section in sections if before.get(section) != after.get(section))


def _parse(name: str, content: bytes | None) -> Mapping[str, object] | None:
    if content is None:
        return {}
    try:
        text = content.decode()
        if name == "setup.cfg":
            parser = configparser.RawConfigParser()
            parser.read_string(text)
            return {section: dict(parser[section]) for section in parser.sections()}
        data = json.loads(text) if name == "package.json" else tomllib.loads(text).get("tool", {})
    except (ValueError, configparser.Error, RecursionError):
        return None
    return data if isinstance(data, dict) else None


def _scripts(command: str) -> set[str]:
    """Return the files that a shell command runs: as a program, or as the script of an interpreter."""
    scripts = set()
    previous = ";"
    for word in re.findall(r"[^\s;&|()'\"<>]+|[;&|(]", command):
        runs = previous in (";", "&", "|", "(") or previous in _INTERPRETERS
        if runs and word not in _INTERPRETERS and re.search(r"/|\.\w+$", word):
            scripts.add(word.removeprefix("./"))
        if not (word.startswith("-") and previous in _INTERPRETERS):
            previous = word.rpartition("/")[2] if word.startswith("/") else word
    return scripts
