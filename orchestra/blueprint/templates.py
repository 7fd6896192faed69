"""Check a team's template files: they exist, parse, and use only defined variables.

They are parsed, never run, so that a template cannot hang validation. Names are looked up as ``workspace`` does when it
renders: the shipped templates first, so that ``{% extends "CLAUDE.md.j2" %}`` in a file of that name means the shipped
one, then the folder of the file.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

from orchestra.blueprint.catalog import is_file
from orchestra.blueprint.git_names import collisions, directory_problem
from orchestra.blueprint.inline_templates import (
    AGENT_ATTRIBUTES,
    RENDER_VARIABLES,
    TemplateProblem,
    syntax_problem,
    undefined_names,
)
from orchestra.blueprint.model import Origin
from orchestra.blueprint.problems import Findings, problem
from orchestra.blueprint.strict_yaml import Refused, names_in_folder, read_text
from orchestra.text import did_you_mean

if TYPE_CHECKING:
    from jinja2 import nodes

_MAX_BYTES: Final = 1_000_000


def shipped_templates() -> Path:
    """Return the folder of the templates that a team's own may extend."""
    return Path(__file__).resolve().parent.parent / "workspace" / "templates"


def template_folders(template: Path) -> tuple[Path, Path]:
    """Return the folders, in order, in which names that ``template`` extends, includes or imports are looked up."""
    return shipped_templates(), template.parent


def template_path(value: str, origin: Origin) -> Path:
    """Return the template file that a value of ``templates`` names: relative to the file that the value stands in."""
    return (origin.file.resolve().parent / value).resolve()


def check_templates(findings: Findings) -> None:
    """Check each entry of ``templates``: a possible file of a worktree, and a template that can be rendered."""
    entries = list(findings.children(("templates",)))
    for path in entries:
        wrong = directory_problem(str(path[-1]))
        if wrong:
            findings.at_key(path, f'the file "{path[-1]}" {wrong}'.replace("worktrees.root", "the worktree"))
    for later, earlier, _ in collisions([str(path[-1]) for path in entries]):
        findings.at_key(entries[later], f'the file "{entries[later][-1]}" collides with "{entries[earlier][-1]}"')
    for path in entries:
        value = findings.text(path)
        node = findings.node(path)
        if value is not None and node is not None:
            file = template_path(value, node.origin)
            if is_file(file):
                _FileChecker(findings).check(file, is_include=False)
            else:
                near = did_you_mean(file.name, names_in_folder(file.parent))
                findings.at_value(path, f"no template file {file}", near)


class _FileChecker:
    """Follows one template to all it extends, includes and imports by a constant name."""

    def __init__(self, findings: Findings) -> None:
        self._findings = findings
        self._seen: set[Path] = set()

    def check(self, file: Path, *, is_include: bool) -> None:
        """Check one file. An include may use its includer's loop variables, so its variables are not checked."""
        if file in self._seen:
            return
        self._seen.add(file)
        try:
            source = read_text(file, _MAX_BYTES)
        except Refused as stop:
            self._findings.problems.append(stop.problem)
            return
        try:
            tree = _parse(source)
        except TemplateProblem as wrong:
            self._note(file, wrong)
            return
        if not is_include:
            for undefined in undefined_names(tree, RENDER_VARIABLES, AGENT_ATTRIBUTES):
                self._note(file, undefined)
        for line, name, included in _references(tree):
            self._follow(file, line, name, included)

    def _follow(self, file: Path, line: int, name: str, included: bool) -> None:
        folders = template_folders(file)
        for folder in folders:
            candidate = (folder / name).resolve()
            if is_file(candidate):
                if folder != shipped_templates():
                    self.check(candidate, is_include=included)
                return
        names = [name for folder in folders for name in names_in_folder(folder)]
        hint = did_you_mean(name, names, otherwise="searched among the shipped templates and next to this file")
        self._note(file, TemplateProblem(line, f'template "{name}" not found', hint))

    def _note(self, file: Path, wrong: TemplateProblem) -> None:
        self._findings.problems.append(problem(Origin(file, wrong.line, 1), wrong.message, wrong.hint))


def _parse(source: str) -> nodes.Template:
    from jinja2 import TemplateError
    from jinja2.sandbox import SandboxedEnvironment

    environment = SandboxedEnvironment()
    try:
        tree = environment.parse(source)
        environment.compile(tree)  # unknown filters and tests are only found here
    except TemplateError as error:
        raise syntax_problem(error, environment.filters) from None
    except (RecursionError, SyntaxError, MemoryError):
        raise TemplateProblem(1, "the template is nested too deep") from None
    return environment.parse(source)


def _references(tree: nodes.Template) -> Iterator[tuple[int, str, bool]]:
    """Yield line, name, and whether it is an include, of each template that is named by a constant."""
    from jinja2 import nodes

    kinds: tuple[type[nodes.Node], ...] = (nodes.Extends, nodes.Include, nodes.Import, nodes.FromImport)
    for node in tree.find_all(kinds):
        named = getattr(node, "template", None)
        optional = isinstance(node, nodes.Include) and node.ignore_missing
        if isinstance(named, nodes.Const) and isinstance(named.value, str) and not optional:
            yield node.lineno, named.value, isinstance(node, nodes.Include)
