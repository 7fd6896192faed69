"""The walls of the house (CONTRIBUTING.md), read from the sources: a line of code knows what it may touch."""

from __future__ import annotations

import ast
import statistics
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "orchestra"
SAMPLE = PACKAGE / "_sample"  # data of the demo: a made-up service, and the programs that play its agents
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if not path.is_relative_to(SAMPLE))
SOURCES = {".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts): path for path in MODULES}

FLOORS = (
    ("__init__", "errors", "text", "files", "blueprint"),
    ("git", "ledger", "engine"),
    (
        "candidates",
        "fleet",
        "forge",
        "plan",
        "scaffold",
        "gates",
        "workspace",
        "sessions",
        "review",
        "train",
        "shell",
        "status",
        "report",
        "doctor",
    ),
    ("cli",),
)
FLOOR = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
STORY = FLOORS[2]  # on this floor a room may use the rooms that come before it
STARTS_PROCESSES = {"orchestra.git.git_process", "orchestra.engine.process"}
FAR_END = "orchestra.engine.shim"  # runs in the process that engine.process starts; its output is the protocol
FORKS = "orchestra.git.fork_pool"  # copies files on every core; runs no program
HOLDS_PROCESSES = {"git", "engine"}  # may name subprocess's types and constants
PURE_PLAN = """capacity merge_order_chart required_commands plan_text finding history_findings
pattern_findings resolved_blueprint scope_findings setup_commands ownership""".split()
PURE = {
    "blueprint",
    "errors",
    "text",
    "orchestra.train.planner_model",
    "orchestra.train.planner",
    "orchestra.sessions.state",
}
PURE |= {f"orchestra.plan.{name}" for name in PURE_PLAN}
IMPURE = {"subprocess", "socket", "time", "datetime", "random", "threading", "multiprocessing", "tempfile", "shutil"}
HEAVY = {"jsonschema", "jinja2", "rich", "git", "psutil", "yaml", "asyncio", "unittest", "referencing"}
LONGEST_FUNCTION, LONGEST_MODULE = 60, 400


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def room(module: str) -> str:
    """``orchestra.gates.run`` is in the room ``train``."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else "__init__"


def _from_package(node: ast.ImportFrom) -> str:
    """``from orchestra import train`` names a room, ``from orchestra import __version__`` the package itself."""
    name = node.names[0].name
    return f"orchestra.{name if name in FLOOR else '__init__'}"


def imports(node: ast.AST) -> Iterator[str]:
    """Every module that is imported at or below this node, absolute; type-checking blocks are left out."""
    if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
        return
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
        yield node.module if node.module != "orchestra" else _from_package(node)
    for child in ast.iter_child_nodes(node):
        yield from imports(child)


def start_up_imports(module: ast.Module) -> Iterator[str]:
    """What importing the module imports: its statements, but not the bodies of functions."""
    for statement in module.body:
        if not isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield from imports(statement)


def functions(module: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(module):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def length(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    return (function.end_lineno or function.lineno) - function.lineno + 1


each_module = pytest.mark.parametrize("name", SOURCES)


@each_module
def test_every_room_has_a_floor(name: str) -> None:
    assert room(name) in FLOOR, f"{room(name)} is on no floor: add it to FLOORS and say why"


@each_module
def test_a_floor_looks_down_never_up(name: str) -> None:
    here = room(name)
    for used in imports(tree(SOURCES[name])):
        if not used.startswith("orchestra."):
            continue
        there = room(used)
        assert FLOOR[there] <= FLOOR[here], f"{name} (floor {FLOOR[here]}) imports {used} (floor {FLOOR[there]})"
        if here in STORY and there in STORY:
            assert STORY.index(there) <= STORY.index(here), f"{name} imports {used}, which comes later in the story"


@each_module
def test_imports_inside_the_package_are_absolute(name: str) -> None:
    relative = [node for node in ast.walk(tree(SOURCES[name])) if isinstance(node, ast.ImportFrom) and node.level]
    assert not relative


@each_module
def test_processes_start_at_two_places_only(name: str) -> None:
    if name in STARTS_PROCESSES:
        return
    source = tree(SOURCES[name])
    if room(name) not in HOLDS_PROCESSES:
        assert "subprocess" not in set(imports(source))
    assert not {"multiprocessing", "pty"} & set(imports(source))
    for node in ast.walk(source):
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            forbidden = called in {"os.system", "os.popen", "os.fork", "os.forkpty"}
            forbidden |= called.startswith(("subprocess.", "os.exec", "os.spawn", "os.posix_spawn"))
            forbidden &= name != FAR_END and not (name == FORKS and called == "os.fork")
            assert not forbidden, f"{name}:{node.lineno} starts a process: {called}"


@each_module
def test_only_tasks_print(name: str) -> None:
    if room(name) == "cli" or name == FAR_END:
        return
    for node in ast.walk(tree(SOURCES[name])):
        if isinstance(node, ast.Call):
            assert ast.unparse(node.func) != "print", f"{name}:{node.lineno} prints"


@each_module
def test_pure_modules_touch_nothing(name: str) -> None:
    if room(name) in PURE or name in PURE:
        assert not {used.split(".")[0] for used in imports(tree(SOURCES[name]))} & IMPURE


@each_module
def test_modules_say_what_they_are_for(name: str) -> None:
    assert ast.get_docstring(tree(SOURCES[name])), f"{name} has no docstring"


@each_module
def test_functions_and_modules_are_short(name: str) -> None:
    text = SOURCES[name].read_text(encoding="utf-8")
    assert text.count("\n") <= LONGEST_MODULE
    for function in functions(ast.parse(text)):
        assert length(function) <= LONGEST_FUNCTION, f"{name}:{function.lineno} {function.name}"


def test_functions_are_short_in_the_main() -> None:
    lengths = sorted(length(function) for path in MODULES for function in functions(tree(path)))
    assert statistics.median(lengths) <= 12
    assert lengths[len(lengths) * 95 // 100] <= 40


@each_module
def test_no_module_of_odds_and_ends(name: str) -> None:
    assert name.rpartition(".")[2] not in {"utils", "util", "helpers", "helper", "manager", "common", "misc"}


def test_a_listing_imports_nothing_heavy() -> None:
    """``inv --list`` imports every task module; what is heavy is imported by the function that uses it.

    invoke itself brings unittest.mock and asyncio, so what counts is the difference.
    """
    probe = "import sys, {}; print('\\n'.join(sys.modules))"
    loaded = [_loaded(probe.format(module)) for module in ("invoke, invoke.program", "orchestra.cli")]
    added = {name.split(".")[0] for name in loaded[1] - loaded[0]}
    assert not added & HEAVY


def _loaded(code: str) -> set[str]:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())
