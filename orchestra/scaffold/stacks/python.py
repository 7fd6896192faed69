"""Python: uv, Poetry, PDM, or pip in a virtual environment; pytest, unittest or Django; ruff, flake8 and mypy.

A tool becomes a gate only where the repository configures it and the proposed set-up installs it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from orchestra.scaffold.stacks.manifests import Command, Part, StackFolder, strings, table

SUFFIXES: Final = (".py", ".pyi", ".pyx")
_MANIFESTS: Final = ("pyproject.toml", "setup.py", "setup.cfg", "requirements.txt", "Pipfile", "manage.py", "tox.ini")
_FOR_TESTS: Final = ("dev", "test", "tests", "testing", "lint", "typing", "types", "ci")
"""Groups and extras that test and lint tools go by, in order."""
_REQUIREMENTS: Final = (
    "requirements.txt",
    "requirements-dev.txt",
    "requirements_dev.txt",
    "dev-requirements.txt",
    "requirements-test.txt",
    "test-requirements.txt",
    "requirements-tests.txt",
)
_IN_FOLDER: Final = ("dev.txt", "test.txt", "tests.txt", "testing.txt", "local.txt")
_PROTECTED: Final = (
    "pyproject.toml uv.lock poetry.lock pdm.lock Pipfile Pipfile.lock setup.py setup.cfg tox.ini noxfile.py ruff.toml "
    ".ruff.toml mypy.ini .flake8 pytest.ini .pre-commit-config.yaml .python-version MANIFEST.in"
).split()


@dataclass(frozen=True, slots=True)
class _Installer:
    name: str
    setup: tuple[str, ...]
    prefix: str  # before each command
    installed: frozenset[str]  # distributions that the set-up names, normalised
    relock: Mapping[str, str]
    makes: tuple[str, ...] = ()


def find(ground: StackFolder) -> Part | None:
    """Return the stack that the manifests describe; None without one, or without Python files."""
    if ground.first(*_MANIFESTS) is None or not ground.below(".py"):
        return None
    project = ground.toml("pyproject.toml")
    installer = _installer(ground, project)
    requirements = [name for name in ground.names if re.fullmatch(r".*requirements.*\.txt", name)]
    return Part(
        language="Python",
        tool=installer.name,
        suffixes=SUFFIXES,
        setup=tuple(ground.here(command) for command in installer.setup),
        commands=tuple(_commands(ground, project, installer)),
        makes=installer.makes,
        protected=tuple(ground.pattern(name) for name in (*_PROTECTED, *requirements) if name in ground.names),
        regenerate={ground.pattern(lock): ground.here(run) for lock, run in installer.relock.items()},
        pack="standards/python-service",
        port=8000,
    )


# Installing


def _installer(ground: StackFolder, project: Mapping[str, object]) -> _Installer:
    groups, extras = table(project, "dependency-groups"), table(project, "project", "optional-dependencies")
    core = _distributions(strings(table(project, "project").get("dependencies")))
    if "uv.lock" in ground.names:
        # uv installs the group ``dev`` by default; others are named.
        tool = table(project, "tool", "uv")
        asked = ["--all-packages"] if "workspace" in tool else []
        asked += [f"--group {name}" for name in _FOR_TESTS if name in groups and name != "dev"]
        asked += [f"--extra {name}" for name in _FOR_TESTS if name in extras]
        installed = core | _distributions(strings(tool.get("dev-dependencies")))
        installed |= _of(groups, _FOR_TESTS) | _of(extras, _FOR_TESTS)
        setup = " ".join(["uv sync --frozen", *asked])
        # --no-sync: a plain `uv run` would bring the environment back to its default groups.
        return _Installer("uv", (setup,), "uv run --no-sync ", installed, {"uv.lock": "uv lock"})
    if "poetry.lock" in ground.names or table(project, "tool", "poetry"):
        tool = table(project, "tool", "poetry")
        poetry_groups = table(tool, "group")
        named = {name for group in poetry_groups for name in table(poetry_groups, group, "dependencies")}
        named |= set(table(tool, "dependencies")) | set(table(tool, "dev-dependencies"))
        optional = [group for group in poetry_groups if table(poetry_groups, group).get("optional") is True]
        asked = [f"--with {','.join(optional)}"] if optional else []
        asked += ["--all-extras"] if extras or table(tool, "extras") else []
        relock = {"poetry.lock": "poetry lock"} if "poetry.lock" in ground.names else {}
        setup = " ".join(["poetry install --no-interaction", *asked])
        installed = core | _distributions(named) | _of(extras, extras)
        return _Installer("Poetry", (setup,), "poetry run ", installed, relock)
    if "pdm.lock" in ground.names:
        installed = core | _of(groups, groups) | _of(extras, extras)
        return _Installer(
            "PDM", ("pdm install --frozen-lockfile -G :all",), "pdm run ", installed, {"pdm.lock": "pdm lock"}
        )
    return _pip(ground, core, groups, extras)


def _pip(
    ground: StackFolder, core: frozenset[str], groups: Mapping[str, object], extras: Mapping[str, object]
) -> _Installer:
    """Return the commands of pip, or of uv's faster pip, in an environment of the worktree's own."""
    files: list[str] = [name for name in _REQUIREMENTS if name in ground.names]
    texts = [ground.text(name) for name in files]
    inner = ground.at(f"{ground.folder}requirements/")
    texts += [inner.text(name) for name in _IN_FOLDER]
    files += [f"requirements/{name}" for name in _IN_FOLDER if name in inner.names]
    asked = [name for name in _FOR_TESTS if name in groups]
    extra_names = ",".join(name for name in _FOR_TESTS if name in extras)
    arguments = [f"-r {name}" for name in files] + [f"--group {name}" for name in asked]
    project = ground.toml("pyproject.toml")
    if "setup.py" in ground.names or "project" in project or "build-system" in project:
        arguments.append(f"-e '.[{extra_names}]'" if extra_names else "-e .")
    installed = core | _of(groups, asked) | _of(extras, _FOR_TESTS) | _distributions("\n".join(texts).splitlines())
    missing = [name for name in ("pytest",) if _uses_pytest(ground) and name not in installed]
    if ground.has_uv:
        setup, install = ["uv venv --quiet --allow-existing .venv"], "uv pip install --quiet --python .venv"
    else:
        setup, install = ["python3 -m venv .venv"], ".venv/bin/pip install --quiet"
        if asked:
            setup.append(".venv/bin/pip install --quiet --upgrade 'pip>=25.1'")  # the first that knows --group
    if arguments or missing:
        setup.append(" ".join([install, *arguments, *missing]))
    makes = () if ground.has_uv else (f"{ground.folder}.venv/",)  # uv writes a .gitignore into it
    return _Installer("pip", tuple(setup), ".venv/bin/", installed | set(missing), {}, makes)


def _of(source: Mapping[str, object], names: Iterable[str]) -> frozenset[str]:
    """Return the distributions of several groups or extras; a group may include another."""
    distributions: set[str] = set()
    for name in names:
        listed = source.get(name)
        distributions |= _distributions(strings(listed))
        for item in listed if isinstance(listed, list) else ():
            included = item.get("include-group") if isinstance(item, dict) else None
            distributions |= _distributions(strings(source.get(str(included)))) if included else set()
    return frozenset(distributions)


def _distributions(requirements: Iterable[str]) -> frozenset[str]:
    """Return the names in ``pytest-cov>=4 ; python_version < '4'`` form, normalised as PEP 503 says."""
    names = (re.match(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)", line) for line in requirements)
    return frozenset(re.sub(r"[-_.]+", "-", name.group(1)).lower() for name in names if name)


# Gates


def _commands(ground: StackFolder, project: Mapping[str, object], installer: _Installer) -> Iterator[Command]:
    tool, installed, prefix = table(project, "tool"), installer.installed, installer.prefix
    if "ruff" in installed and ("ruff" in tool or ground.first("ruff.toml", ".ruff.toml")):
        yield Command("lint", ground.here(f"{prefix}ruff check ."), "ruff is configured and among the dependencies")
    elif "flake8" in installed and (ground.first(".flake8") or _section(ground, "flake8")):
        yield Command("lint", ground.here(f"{prefix}flake8"), "flake8 is configured and among the dependencies")
    # mypy only where its configuration lists what to check; otherwise it needs arguments.
    listed = {"files", "packages", "modules"} & table(tool, "mypy").keys()
    if "mypy" in installed and (listed or re.search(r"^(files|packages)\s*=", ground.text("mypy.ini"), re.MULTILINE)):
        source = "mypy is configured with what to check, and among the dependencies"
        yield Command("types", ground.here(f"{prefix}mypy"), source)
    files = [path for path in ground.tracked if path.endswith(".py")]
    if _uses_pytest(ground) or "pytest" in installed:
        yield Command("tests", ground.here(f"{prefix}pytest -q"), "pytest is configured or among the dependencies")
    elif "manage.py" in ground.names:
        yield Command("tests", ground.here(f"{prefix}python manage.py test"), "manage.py")
    elif any(re.search(r"(^|/)tests?(/|\.py$|_.*\.py$)", path) for path in files):
        run = f"{prefix}python -m unittest"
        yield Command("tests", ground.here(run), "tests, and no other runner is named")


def _uses_pytest(ground: StackFolder) -> bool:
    if ground.first("pytest.ini", ".pytest.ini", "conftest.py") or ground.below("/conftest.py"):
        return True
    return "pytest" in table(ground.toml("pyproject.toml"), "tool") or _section(ground, "(tool:)?pytest")


def _section(ground: StackFolder, name: str) -> bool:
    texts = (ground.text("setup.cfg"), ground.text("tox.ini"))
    return any(re.search(rf"^\[{name}\]", text, re.MULTILINE) for text in texts)
