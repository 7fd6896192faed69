"""What the templates of a blueprint come to, agent by agent: branches and folders that can live side by side.

Every inline template is rendered once for every agent, the worktree and repository being made-up paths. Invariant: of
one template the first problem is told, not fifty; of collisions the first, with how many more there are.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from orchestra.blueprint.checks import PLACEHOLDERS, agents
from orchestra.blueprint.git_names import Clash, Collision, branch_problem, collisions, directory_problem
from orchestra.blueprint.inline_templates import TemplateProblem, render
from orchestra.blueprint.model import Key, Worktrees
from orchestra.blueprint.problem_collector import Findings
from orchestra.text import nearest

_SAMPLE_WORKTREE = "/worktrees/agent"
_SAMPLE_REPO = "/repository"
_PLACEHOLDER = re.compile(r"(?<![{$])\{([a-z_]+)\}(?!\})")


@dataclass(frozen=True, slots=True)
class Declared:
    """An agent as far as inline templates see it."""

    path: Key
    name: str
    number: int
    title: str
    stage: str | None


def declared_agents(findings: Findings) -> Iterator[Declared]:
    for path, name in agents(findings):
        title = findings.text((*path, "title")) or name
        yield Declared(path, name, int(path[1]) + 1, title, findings.text((*path, "stage")))


def check_targets(findings: Findings) -> None:
    """Every template rendered; every branch and folder possible and apart from the others."""
    fleet = findings.text(("name",))
    members = list(declared_agents(findings))
    if fleet is None or not members:
        return
    _check_names(findings, members, fleet, "branch", branch_problem)
    _check_names(findings, members, fleet, "directory", directory_problem)
    _check_root(findings)
    for path in _fleet_templates(findings):
        _check_template(findings, path, members, fleet)
    for member in members:
        for path in _runner_templates(findings, (*member.path, "runner")):
            _check_template(findings, path, [member], fleet)


def _check_names(
    findings: Findings, members: Sequence[Declared], fleet: str, what: str, problem_of: Callable[[str], str | None]
) -> None:
    path: Key = ("worktrees", what)
    if findings.node(path) is not None and findings.text(path) is None:
        return
    template = findings.text(path) or str(getattr(Worktrees(), what))
    names: list[str] = []
    for member in members:
        try:
            names.append(render(template, agent=member, fleet=fleet))
        except TemplateProblem as problem:
            findings.at_value(path, problem.message, problem.hint, line=problem.line)
            return
        wrong = problem_of(names[-1])
        if wrong:
            findings.at_value(path, f'agent "{member.name}" would get "{names[-1][:80]}", which {wrong}')
            return
    owners = [f'agent "{member.name}"' for member in members]
    target = findings.text(("target",))
    if what == "branch" and target is not None:
        names.append(target)
        owners.append("the target")
    _check_apart(findings, path, owners, names)


def _check_apart(findings: Findings, path: Key, owners: Sequence[str], names: Sequence[str]) -> None:
    found = list(collisions(names))
    if found:
        more = f" (and {len(found) - 1} more like that)" if len(found) > 1 else ""
        default = getattr(Worktrees(), str(path[-1]))
        findings.at_value(path, _clash(found[0], owners, names) + more, f"tell the agents apart, as {default} does")


def _clash(collision: Collision, owners: Sequence[str], names: Sequence[str]) -> str:
    (one, other), (mine, its) = ((values[collision.later], values[collision.earlier]) for values in (owners, names))
    if collision.clash is Clash.SAME:
        return f'{other} and {one} would both get "{mine}"'
    if collision.clash is Clash.FOLDED:
        return f'{other} would get "{its}" and {one} "{mine}", which differ only in upper and lower case or accents'
    return f'{one} would get "{mine}", which is inside "{its}" of {other}'


def _check_root(findings: Findings) -> None:
    root = findings.text(("worktrees", "root"))
    if root is not None and (root.startswith("~") or re.search(r"[\x00-\x1f\x7f]", root)):
        findings.at_value(("worktrees", "root"), "begins with ~ or holds a control character", "write the path out")


def _fleet_templates(findings: Findings) -> Iterator[Key]:
    yield from findings.children(("worktrees", "setup", "env"))
    yield from _runner_templates(findings, ("runner",))


def _runner_templates(findings: Findings, runner: Key) -> Iterator[Key]:
    for key in ("command", "resume", "env"):
        yield from findings.children((*runner, key))


def _check_template(findings: Findings, path: Key, members: Sequence[Declared], fleet: str) -> None:
    template = findings.text(path)
    if template is None:
        return
    for member in members:
        try:
            filled = render(template, agent=member, fleet=fleet, worktree=_SAMPLE_WORKTREE, repo=_SAMPLE_REPO)
        except TemplateProblem as problem:
            findings.at_value(path, problem.message, problem.hint, line=problem.line)
            return
        if "\0" in filled:
            findings.at_value(path, "holds a NUL character, which no program can be given")
            return
    if path[-2] in ("command", "resume"):
        _check_placeholders(findings, path, template)


def _check_placeholders(findings: Findings, path: Key, item: str) -> None:
    """A near miss of a placeholder is a slip; any other brace is the command's own."""
    for match in _PLACEHOLDER.finditer(item):
        name = match.group(1)
        meant = nearest(name, PLACEHOLDERS)
        if name not in PLACEHOLDERS and meant:
            findings.at_value(path, f'unknown placeholder "{{{name}}}"', f'did you mean "{{{meant}}}"?')
            return
