"""Render inline templates (directory, branch, env, command), and list the variables that templates may use.

Rendering takes bounded time and memory: an inline template is an expression, without loops, macros or calls.
Undefined variables are reported before anything is rendered, with the template's line and the nearest name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, Final, Protocol

from orchestra.text import did_you_mean

if TYPE_CHECKING:
    from jinja2 import Template, nodes
    from jinja2.sandbox import SandboxedEnvironment

RENDER_VARIABLES: Final = frozenset(
    "agent fleet title description standards never protected stages gates target merge_order instructions_file".split()
)
"""The names that a template of ``templates`` (and a shipped one) may use."""
AGENT_ATTRIBUTES: Final = frozenset(
    "name number title stage task done_when scope may_edit merge_after branch directory ports neighbours".split()
)
"""The attributes of ``agent`` in those templates."""
INLINE_ATTRIBUTES: Final = frozenset({"name", "number", "title", "stage"})
"""The attributes of ``agent`` in an inline template; ``stage`` is "" where the agent has none."""
_LONGEST: Final = 20_000
_LONGEST_TEMPLATE: Final = 1_000
_ALLOWED_NODES: Final = frozenset(
    "Template Output TemplateData If CondExpr Const List Tuple Name Getattr Getitem Filter Test Keyword Concat Compare "
    "Operand Add Sub Mul Div FloorDiv Mod And Or Not Neg Pos".split()
)
_FILTERS: Final = "abs capitalize default d first float int join last length lower string title trim upper".split()


_NAMED: Final = re.compile(
    r"(?<!\{)\{\{ *((?:0|[1-9][0-9]{0,8}) *\+ *agent\.number|agent\.[a-z]+|fleet|worktree|repository|repo) *\}\}"
)


class Named(Protocol):
    """The part of an agent that an inline template can use; a model.Agent is one."""

    @property
    def name(self) -> str: ...
    @property
    def number(self) -> int: ...
    @property
    def title(self) -> str: ...
    @property
    def stage(self) -> str | None: ...


class TemplateProblem(ValueError):  # noqa: N818
    """A template does not parse or cannot be rendered. ``line`` counts from 1 within the template."""

    def __init__(self, line: int, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.line, self.message, self.hint = line, message, hint


def render(
    template: str,
    *,
    agent: Named,
    fleet: str,
    worktree: str | None = None,
    repo: str | None = None,
    ports: Mapping[str, int] | None = None,
) -> str:
    """Return an inline template, rendered. ``worktree`` and ``repo`` are absolute paths; None, also for ``ports``: the
    template may not use them.

    Raises TemplateProblem.
    """
    seen = {"name": agent.name, "number": agent.number, "title": agent.title, "stage": agent.stage or ""}
    values: dict[str, object] = {"agent": seen, "fleet": fleet}
    values |= {key: value for key, value in (("worktree", worktree), ("repo", repo)) if value is not None}
    values |= {"ports": dict(ports)} if ports else {}
    return _filled(template, values)


def render_root(template: str, *, fleet: str, repository: str) -> str:
    """Return ``worktrees.root``, rendered; ``repository`` is the name of the main checkout's folder."""
    return _filled(template, {"fleet": fleet, "repository": repository})


def render_all(
    templates: Sequence[str],
    *,
    agent: Named,
    fleet: str,
    worktree: str | None = None,
    repo: str | None = None,
    ports: Mapping[str, int] | None = None,
) -> tuple[str, ...]:
    """Return each item of a ``command``, rendered."""
    return tuple(
        render(template, agent=agent, fleet=fleet, worktree=worktree, repo=repo, ports=ports) for template in templates
    )


def render_env(
    env: Mapping[str, str],
    *,
    agent: Named,
    fleet: str,
    worktree: str | None = None,
    repo: str | None = None,
    ports: Mapping[str, int] | None = None,
) -> dict[str, str]:
    """Return each value of an ``env``, rendered."""
    return {
        key: render(template, agent=agent, fleet=fleet, worktree=worktree, repo=repo, ports=ports)
        for key, template in env.items()
    }


def _filled(template: str, values: Mapping[str, object]) -> str:
    from_names = _without_jinja(template, values)
    if from_names is not None:
        return from_names
    compiled = _compiled(template, frozenset(values))
    from jinja2 import TemplateError

    try:
        return compiled.render(values)
    except (TemplateError, TypeError, ValueError, ArithmeticError, LookupError, AttributeError) as error:
        raise TemplateProblem(1, f"the template cannot be rendered: {error}") from None


def _without_jinja(template: str, values: Mapping[str, Any]) -> str | None:
    """Return the template filled in, without the import of jinja2; None where it takes Jinja.

    Nearly all templates only name values, or add a number to the agent's (a port of its own).
    """
    parts = _NAMED.split(template)
    if any(mark in text for text in parts[::2] for mark in ("{{", "{%", "{#", "\r")) or parts[-1].endswith("\n"):
        return None
    try:
        parts[1::2] = [_value(name, values) for name in parts[1::2]]
    except KeyError:
        return None
    return "".join(parts)


def _value(name: str, values: Mapping[str, Any]) -> str:
    first, plus, _ = name.partition("+")
    if plus:
        return str(int(first) + values["agent"]["number"])
    owner, _, attribute = name.partition(".")
    return str(values[owner][attribute] if attribute else values[owner])


@cache
def _environment() -> SandboxedEnvironment:
    from jinja2 import StrictUndefined

    from orchestra.blueprint.template_sandbox import ExpressionEnvironment

    return ExpressionEnvironment(_FILTERS, _LONGEST, undefined=StrictUndefined)


@cache
def _compiled(template: str, variables: frozenset[str]) -> Template:
    """Compile a template. Raises TemplateProblem where it does not parse, is no expression, or has undefined
    variables."""
    from jinja2 import TemplateError

    environment = _environment()
    if len(template) > _LONGEST_TEMPLATE and ("{{" in template or "{%" in template):
        raise TemplateProblem(1, f"the template is longer than {_LONGEST_TEMPLATE:,} characters")
    try:
        tree = environment.parse(template)
        for problem in (*_beyond_expressions(tree), *undefined_names(tree, variables, INLINE_ATTRIBUTES)):
            raise problem
        return environment.from_string(tree)
    except TemplateError as error:
        raise syntax_problem(error, environment.filters) from None
    except (RecursionError, SyntaxError, MemoryError):
        raise TemplateProblem(1, "the template is nested too deep") from None


def _beyond_expressions(tree: nodes.Template) -> Iterator[TemplateProblem]:
    from jinja2.nodes import Node

    hint = "use an expression with filters here, without loops, macros, assignments and calls"
    for node in tree.find_all(Node):
        name = type(node).__name__
        if name not in _ALLOWED_NODES:
            yield TemplateProblem(node.lineno, f"the template uses {_WORDS.get(name, name.lower())}", hint)


_WORDS: Final = {"For": "a loop", "Call": "a call", "Assign": "an assignment", "Pow": "**", "Include": "an include"}


def syntax_problem(error: Any, filters: Mapping[str, object] | Sequence[str] = ()) -> TemplateProblem:
    """Convert a Jinja error; an unknown filter comes with the nearest known one."""
    message = str(error.message or error).rstrip(".")
    hint = None
    if message.startswith("No filter named"):
        hint = did_you_mean(message.split("'")[1], filters, otherwise=f"available: {', '.join(sorted(filters))}")
    return TemplateProblem(getattr(error, "lineno", 1) or 1, f"the template does not parse: {message}", hint)


def undefined_names(
    tree: nodes.Template, variables: frozenset[str], attributes: frozenset[str]
) -> Iterator[TemplateProblem]:
    """Yield a problem for each undefined variable, and for each attribute that ``agent`` does not have.

    Jinja calls a name undeclared that is set in one branch, or by a loop around a scoped block; a name that the
    template sets anywhere counts as defined.
    """
    from jinja2.meta import find_undeclared_variables
    from jinja2.nodes import Getattr, Name

    assigned = {node.name for node in tree.find_all(Name) if node.ctx != "load"}
    for unknown in sorted(find_undeclared_variables(tree) - variables - assigned):
        line = min(node.lineno for node in tree.find_all(Name) if node.name == unknown)
        hint = did_you_mean(unknown, variables, otherwise=f"available: {', '.join(sorted(variables))}")
        yield TemplateProblem(line, f'undefined variable "{unknown}"', hint)
    for node in tree.find_all(Getattr):
        if isinstance(node.node, Name) and node.node.name == "agent" and node.attr not in attributes:
            hint = did_you_mean(
                node.attr,
                attributes,
                otherwise=f"available: {', '.join(f'agent.{name}' for name in sorted(attributes))}",
            )
            yield TemplateProblem(node.lineno, f'undefined variable "agent.{node.attr}"', hint)
