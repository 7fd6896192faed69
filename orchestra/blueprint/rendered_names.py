"""Check the names that templates give each agent: branches and folders that are possible and do not collide.

Every inline template is rendered once for every agent, with sample paths for worktree and repository. Only the first
problem of a template is reported, and the first collision with the number of others.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from orchestra.blueprint.checks import PLACEHOLDERS, agents
from orchestra.blueprint.git_names import OWN_FOLDER_PREFIX, Clash, branch_problem, collisions, directory_problem
from orchestra.blueprint.inline_templates import TemplateProblem, render, render_root
from orchestra.blueprint.model import Key, Worktrees
from orchestra.blueprint.problems import Findings
from orchestra.text import nearest

_SAMPLE_WORKTREE = "/worktrees/agent"
_SAMPLE_REPO = "/repository"
_SAMPLE_PORT = 20000
_PORTS: Key = ("worktrees", "setup", "ports")
_PLACEHOLDER = re.compile(r"(?<![{$])\{([a-z_]+)\}(?!\})")


@dataclass(frozen=True, slots=True)
class Declared:
    """An agent, as far as inline templates can use it."""

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
    """Render every template; check that every branch and folder is possible and differs from the others."""
    fleet = findings.text(("name",))
    members = list(declared_agents(findings))
    if fleet is None or not members:
        return
    _check_names(findings, members, fleet, "branch", branch_problem)
    _check_names(findings, members, fleet, "directory", directory_problem)
    _check_root(findings, fleet)
    names = [str(findings.text(path)) for path in findings.children(_PORTS)]
    for number, (path, name) in enumerate(zip(findings.children(_PORTS), names, strict=True)):
        if name in names[:number]:
            findings.at_value(path, f'"{name}" is listed twice')
        elif findings.node(("worktrees", "setup", "env", name)) is not None:
            findings.at_value(path, f'"{name}" is also a variable of `env`', "give one of them another name")
    for path in (*findings.children(("worktrees", "setup", "env")), *_runner_templates(findings, ("runner",))):
        _check_template(findings, path, members, fleet)
    for member in members:
        for path in _runner_templates(findings, (*member.path, "runner")):
            _check_template(findings, path, [member], fleet)


def _check_names(
    findings: Findings, members: Sequence[Declared], fleet: str, key: str, problem_of: Callable[[str], str | None]
) -> None:
    path: Key = ("worktrees", key)
    if findings.node(path) is not None and findings.text(path) is None:
        return
    template = findings.text(path) or str(getattr(Worktrees(), key))
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
    if key == "branch" and target is not None:
        names.append(target)
        owners.append("the target")
    _check_apart(findings, path, owners, names)


def _check_apart(findings: Findings, path: Key, owners: Sequence[str], names: Sequence[str]) -> None:
    clashes = list(collisions(names))
    if not clashes:
        return
    later, earlier, clash = clashes[0]
    if clash is Clash.SAME:
        message = f'{owners[earlier]} and {owners[later]} would both get "{names[later]}"'
    elif clash is Clash.FOLDED:
        both = f'{owners[earlier]} would get "{names[earlier]}" and {owners[later]} "{names[later]}"'
        message = f"{both}, which differ only in case or accents"
    else:
        message = f'{owners[later]} would get "{names[later]}", which is inside "{names[earlier]}" of {owners[earlier]}'
    also = f" (and {len(clashes) - 1} more)" if len(clashes) > 1 else ""
    default = getattr(Worktrees(), str(path[-1]))
    findings.at_value(path, message + also, f"make it differ by agent, as in {default}")


def _check_root(findings: Findings, fleet: str) -> None:
    path: Key = ("worktrees", "root")
    root = findings.text(path)
    try:
        root = root and render_root(root, fleet=fleet, repository="repository")
    except TemplateProblem as problem:
        findings.at_value(path, problem.message, problem.hint, line=problem.line)
        return
    if root is not None and (root.startswith("~") or re.search(r"[\x00-\x1f\x7f]", root)):
        findings.at_value(path, "begins with ~ or contains a control character", "write the path out")
    elif root is not None and any(part.casefold().startswith(OWN_FOLDER_PREFIX) for part in root.split("/")):
        message = f"has a folder whose name begins with {OWN_FOLDER_PREFIX}, which is reserved for orchestra"
        findings.at_value(path, message)


def _runner_templates(findings: Findings, runner: Key) -> Iterator[Key]:
    for key in ("command", "resume", "env"):
        yield from findings.children((*runner, key))


def _check_template(findings: Findings, path: Key, members: Sequence[Declared], fleet: str) -> None:
    template = findings.text(path)
    if template is None:
        return
    sample_ports = {str(findings.text(name)): _SAMPLE_PORT for name in findings.children(_PORTS)}
    for member in members:
        try:
            filled = render(
                template, agent=member, fleet=fleet, worktree=_SAMPLE_WORKTREE, repo=_SAMPLE_REPO, ports=sample_ports
            )
        except TemplateProblem as problem:
            findings.at_value(path, problem.message, problem.hint, line=problem.line)
            return
        if "\0" in filled:
            findings.at_value(path, "contains a NUL character, which no program accepts")
            return
    if path[-2] in ("command", "resume"):
        for name in _PLACEHOLDER.findall(template):
            meant = nearest(name, PLACEHOLDERS)
            if name not in PLACEHOLDERS and meant:  # any other brace belongs to the command
                findings.at_value(path, f'unknown placeholder "{{{name}}}"', f'did you mean "{{{meant}}}"?')
                return
