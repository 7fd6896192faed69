"""Names that are made from templates: directory, branch, env and command; and what any template may speak of.

Invariant: rendering takes bounded time and memory, whatever the template says, because an inline template is an
expression: the loops, macros, calls and filters with which a template could run away are not there. Undefined names
are found before anything is rendered, with the template's line and what could have been meant.
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
    "name number title stage task done_when scope may_edit merge_after branch directory neighbours".split()
)
"""What ``agent`` has there."""
INLINE_ATTRIBUTES: Final = frozenset({"name", "number", "title", "stage"})
"""What ``agent`` has in an inline template; ``stage`` is "" where the agent has none."""
_LONGEST: Final = 20_000
_LONGEST_TEMPLATE: Final = 1_000
_ALLOWED_NODES: Final = frozenset(
    "Template Output TemplateData If CondExpr Const List Tuple Name Getattr Getitem Filter Test Keyword Concat Compare "
    "Operand Add Sub Mul Div FloorDiv Mod And Or Not Neg Pos".split()
)
_FILTERS: Final = "abs capitalize default d first float int join last length lower string title trim upper".split()


_NAMED: Final = re.compile(
    r"(?<!\{)\{\{ *((?:0|[1-9][0-9]{0,8}) *\+ *agent\.number|agent\.[a-z]+|fleet|worktree|repo) *\}\}"
)


class Named(Protocol):
    """What an inline template sees of an agent; a model.Agent is one."""

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


def render(template: str, *, agent: Named, fleet: str, worktree: str | None = None, repo: str | None = None) -> str:
    """An inline template filled in. ``worktree`` and ``repo`` are absolute paths; None: the template may not use them.

    Raises TemplateProblem.
    """
    values: dict[str, object] = {"agent": _seen(agent), "fleet": fleet}
    values |= {key: value for key, value in (("worktree", worktree), ("repo", repo)) if value is not None}
    filled = _without_jinja(template, values)
    return filled if filled is not None else _rendered(_compiled(template, frozenset(values)), values)


def render_all(
    templates: Sequence[str], *, agent: Named, fleet: str, worktree: str | None = None, repo: str | None = None
) -> tuple[str, ...]:
    """Each item of a ``command`` filled in."""
    return tuple(render(one, agent=agent, fleet=fleet, worktree=worktree, repo=repo) for one in templates)


def render_env(
    env: Mapping[str, str], *, agent: Named, fleet: str, worktree: str | None = None, repo: str | None = None
) -> dict[str, str]:
    """Each value of an ``env`` filled in."""
    return {key: render(one, agent=agent, fleet=fleet, worktree=worktree, repo=repo) for key, one in env.items()}


def _without_jinja(template: str, values: Mapping[str, Any]) -> str | None:
    """The template filled in where it only names things or adds a number to the agent's (a port of its own), as
    nearly all do: that spares the import of jinja2.

    None where it takes Jinja, to do more or to say what is wrong.
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


def _seen(agent: Named) -> dict[str, object]:
    return {"name": agent.name, "number": agent.number, "title": agent.title, "stage": agent.stage or ""}


@cache
def _environment() -> SandboxedEnvironment:
    from jinja2 import StrictUndefined

    from orchestra.blueprint.template_sandbox import ExpressionEnvironment

    return ExpressionEnvironment(_FILTERS, _LONGEST, undefined=StrictUndefined)


@cache
def _compiled(template: str, known: frozenset[str]) -> Template:
    """Raises TemplateProblem for what does not parse, is no expression, or names what is not there."""
    from jinja2 import TemplateError

    environment = _environment()
    if len(template) > _LONGEST_TEMPLATE and ("{{" in template or "{%" in template):
        raise TemplateProblem(1, f"a template is at most {_LONGEST_TEMPLATE:,} characters long")
    try:
        tree = environment.parse(template)
        for problem in (*_beyond_expressions(tree), *undefined_names(tree, known, INLINE_ATTRIBUTES)):
            raise problem
        return environment.from_string(tree)
    except TemplateError as error:
        raise syntax_problem(error, environment.filters) from None
    except (RecursionError, SyntaxError, MemoryError):
        raise TemplateProblem(1, "a template nested too deep") from None


def _rendered(template: Template, values: Mapping[str, object]) -> str:
    from jinja2 import TemplateError

    try:
        return template.render(values)
    except (TemplateError, TypeError, ValueError, ArithmeticError, LookupError, AttributeError) as error:
        raise TemplateProblem(1, f"the template cannot be rendered: {error}") from None


def _beyond_expressions(tree: nodes.Template) -> Iterator[TemplateProblem]:
    from jinja2.nodes import Node

    hint = "here a template is an expression with filters: no loops, macros, assignments or calls"
    for node in tree.find_all(Node):
        name = type(node).__name__
        if name not in _ALLOWED_NODES:
            yield TemplateProblem(node.lineno, f"the template uses {_WORDS.get(name, name.lower())}", hint)


_WORDS: Final = {"For": "a loop", "Call": "a call", "Assign": "an assignment", "Pow": "**", "Include": "an include"}


def syntax_problem(error: Any, filters: Mapping[str, object] | Sequence[str] = ()) -> TemplateProblem:
    """Jinja's complaint as ours: an unknown filter comes with the one that was meant."""
    message = str(error.message or error).rstrip(".")
    hint = None
    if message.startswith("No filter named"):
        hint = did_you_mean(message.split("'")[1], filters, otherwise=f"filters: {', '.join(sorted(filters))}")
    return TemplateProblem(getattr(error, "lineno", 1) or 1, f"the template does not parse: {message}", hint)


def undefined_names(
    tree: nodes.Template, known: frozenset[str], attributes: frozenset[str]
) -> Iterator[TemplateProblem]:
    """Names that the template uses and nobody gives it, and attributes that ``agent`` does not have.

    Jinja calls a name undeclared that is set in one branch, or by a loop around a scoped block; a name that the
    template sets anywhere is taken as given.
    """
    from jinja2.meta import find_undeclared_variables
    from jinja2.nodes import Getattr, Name

    assigned = {node.name for node in tree.find_all(Name) if node.ctx != "load"}
    for unknown in sorted(find_undeclared_variables(tree) - known - assigned):
        line = min(node.lineno for node in tree.find_all(Name) if node.name == unknown)
        hint = did_you_mean(unknown, known, otherwise=f"there are: {', '.join(sorted(known))}")
        yield TemplateProblem(line, f'the template names "{unknown}", which is not there', hint)
    for node in tree.find_all(Getattr):
        if isinstance(node.node, Name) and node.node.name == "agent" and node.attr not in attributes:
            hint = did_you_mean(node.attr, attributes, otherwise=f"agent has: {', '.join(sorted(attributes))}")
            yield TemplateProblem(node.lineno, f'the template names "agent.{node.attr}", which is not there', hint)
