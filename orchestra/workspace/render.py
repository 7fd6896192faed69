"""The files that an agent reads and fills in, rendered from templates: its standards, its task, its notes.

Invariant: a pure function of the blueprint, the agent and the names; the same input gives the same bytes, so that a
generated script can carry them. Task text and standards are values, never templates: they speak of Helm charts and
workflow files full of braces. Refuses: undefined names (with template and line), and templates that reach
out of the sandbox or write without end.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from orchestra.blueprint.model import Agent, AgentName, Blueprint, Gate, RunGate, Scope
from orchestra.blueprint.templates import shipped_templates, template_folders
from orchestra.errors import BlueprintError, Problem
from orchestra.fleet import Fleet
from orchestra.workspace.paths import NOTES, PORTS_FILE, STANDARDS, TASK, InstructionNames

if TYPE_CHECKING:
    from jinja2 import Template

_LONGEST = 5_000_000  # characters of one rendered file
_ALL_NEIGHBOURS = 16  # agents; in bigger fleets only those are named that have to do with one another


@dataclass(frozen=True, slots=True)
class Neighbour:
    """Another agent as TASK.md speaks of it. ``lands`` is "before", "after" or ""."""

    name: AgentName
    number: int
    title: str
    stage: str | None
    scope: tuple[str, ...]
    exclude: tuple[str, ...]  # of the scope
    lands: str


@dataclass(frozen=True, slots=True)
class GateView:
    """A gate as a template sees it: ``run`` is "" for a built-in one, ``builtin`` and ``policy`` for a command."""

    name: str
    run: str
    builtin: str
    policy: str


@dataclass(frozen=True, slots=True)
class AgentView:
    """An agent as a template sees it (``blueprint.naming.AGENT_ATTRIBUTES``)."""

    name: AgentName
    number: int
    title: str
    stage: str | None
    task: str
    done_when: tuple[str, ...]
    scope: Scope | None
    may_edit: tuple[str, ...]
    merge_after: tuple[AgentName, ...]
    branch: str
    directory: str
    ports: Mapping[str, int]  # variable -> port; empty where the blueprint asks for none
    neighbours: tuple[Neighbour, ...]


def render_files(fleet: Fleet, agent: Agent, names: InstructionNames) -> dict[str, str]:
    """Every instruction file of an agent of a fleet (see ``render_texts``)."""
    return render_texts(fleet.blueprint, agent, names, target=fleet.target)


def render_texts(blueprint: Blueprint, agent: Agent, names: InstructionNames, *, target: str) -> dict[str, str]:
    """Every instruction file of an agent: its path in the worktree -> its text, which ends with one newline.

    Raises BlueprintError naming the template and the line when a template cannot be rendered.
    """
    values = variables(blueprint, agent, names, target=target)
    given = blueprint.templates
    chosen = {
        names.standards: given.get(names.standards) or given.get(STANDARDS) or _shipped(STANDARDS),
        names.task: given.get(TASK) or _shipped(TASK),
        names.notes: given.get(NOTES) or _shipped(NOTES),
        **{name: given[name] for name in names.further if name in given},
    }
    texts = {name: _render(template, values) for name, template in chosen.items()}
    return {PORTS_FILE: _ports_text(agent), **texts} if PORTS_FILE in names.further else texts


def _ports_text(agent: Agent) -> str:
    """Return the agent's ports in a form that sh, bash, zsh and the usual readers of .env files understand."""
    lines = [f"export {variable}={port}" for variable, port in agent.ports.items()]
    return "\n".join([f"# the ports of agent {agent.name}, written by orchestra", *lines]) + "\n"


def _shipped(name: str) -> Path:
    return shipped_templates() / f"{name}.j2"


def variables(blueprint: Blueprint, agent: Agent, names: InstructionNames, *, target: str) -> dict[str, object]:
    """Return the variables of a template (``blueprint.inline_templates.RENDER_VARIABLES``)."""
    return {
        "agent": _agent_view(blueprint, agent),
        "fleet": blueprint.name,
        "title": blueprint.title,
        "description": blueprint.description,
        "standards": blueprint.standards,
        "never": blueprint.never,
        "protected": blueprint.protected,
        "stages": blueprint.stages,
        "gates": tuple(_gate_view(gate) for gate in blueprint.gates.values()),
        "target": target,
        "merge_order": blueprint.merge_order,
        "instructions_file": names.standards,
    }


def _agent_view(blueprint: Blueprint, agent: Agent) -> AgentView:
    shared = {name: getattr(agent, name) for name in AgentView.__slots__ if name != "neighbours"}
    return AgentView(**shared, neighbours=_neighbours(blueprint, agent))


def _gate_view(gate: Gate) -> GateView:
    if isinstance(gate, RunGate):
        return GateView(gate.name, gate.run, "", "")
    return GateView(gate.name, "", str(gate.builtin), str(gate.policy))


def _neighbours(blueprint: Blueprint, agent: Agent) -> tuple[Neighbour, ...]:
    """Return all other agents; in a big fleet those of the same stage and those that wait for this one."""
    neighbours = [neighbour for neighbour in blueprint.agents if neighbour.name != agent.name]
    if len(neighbours) >= _ALL_NEIGHBOURS:
        neighbours = [neighbour for neighbour in neighbours if _related(agent, neighbour)]
    return tuple(
        Neighbour(
            neighbour.name,
            neighbour.number,
            neighbour.title,
            neighbour.stage,
            neighbour.scope.include if neighbour.scope else (),
            neighbour.scope.exclude if neighbour.scope else (),
            _lands(blueprint, agent.name, neighbour.name),
        )
        for neighbour in neighbours
    )


def _related(agent: Agent, neighbour: Agent) -> bool:
    same_stage = agent.stage is not None and agent.stage == neighbour.stage
    return same_stage or neighbour.name in agent.merge_after or agent.name in neighbour.merge_after


def _lands(blueprint: Blueprint, agent: AgentName, neighbour: AgentName) -> str:
    if neighbour in blueprint.predecessors.get(agent, frozenset()):
        return "before"
    return "after" if agent in blueprint.predecessors.get(neighbour, frozenset()) else ""


# -- templates ----------------------------------------------------------------------------------------------------


def _render(path: Path, values: Mapping[str, object]) -> str:
    from jinja2 import TemplateError

    pieces: list[str] = []
    size = 0
    try:
        for piece in _compiled(path).generate(values):
            pieces.append(piece)
            size += len(piece)
            if size > _LONGEST:
                raise OverflowError(f"it writes more than {_LONGEST:,} characters")
    except (
        TemplateError,
        TypeError,
        ValueError,
        ArithmeticError,
        LookupError,
        AttributeError,
        RecursionError,
    ) as error:
        file, line = _place(error, path)
        wrong = Problem(file, line, 1, f"the template cannot be rendered: {error}")
        raise BlueprintError([wrong]) from error
    return "".join(pieces).strip("\n") + "\n"


def _compiled(path: Path) -> Template:
    """The template of a file; compiled once for all agents, again when the file changed."""
    try:
        return _compile(path, path.stat().st_mtime_ns)
    except OSError as error:
        raise BlueprintError([Problem(path, 1, 1, f"the template cannot be read: {error}")]) from error


@lru_cache(maxsize=16)
def _compile(path: Path, _changed_at: int) -> Template:
    """The template of a file, which may extend a shipped one of its own name: it is not looked up by that."""
    from jinja2 import FileSystemLoader, StrictUndefined, Template
    from jinja2.sandbox import SandboxedEnvironment

    environment = SandboxedEnvironment(
        loader=FileSystemLoader([str(folder) for folder in template_folders(path)]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # Markdown and configuration files, read by a program and a person
    )
    try:
        source = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BlueprintError([Problem(path, 1, 1, f"the template cannot be read: {error}")]) from error
    code = environment.compile(source, filename=str(path))
    return Template.from_code(environment, code, environment.make_globals(None))


def _place(error: BaseException, path: Path) -> tuple[Path, int]:
    """Return file and line in the template: Jinja's tracebacks name them."""
    line = getattr(error, "lineno", None)
    if line:
        return Path(getattr(error, "filename", None) or path), int(line)
    place, trace = (path, 1), error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename.endswith(".j2") or _is(trace, path):
            place = (Path(trace.tb_frame.f_code.co_filename), trace.tb_lineno)
        trace = trace.tb_next
    return place


def _is(trace: TracebackType, path: Path) -> bool:
    return trace.tb_frame.f_code.co_filename == str(path)
