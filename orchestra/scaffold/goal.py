"""Draft a blueprint for a goal: agents, scopes and tasks that a model proposes, checked before anybody sees them.

Set-up, gates, protected paths and limits are detected as for a plain draft: no command comes from the model. An answer
that does not validate, or whose scopes do not plan clean, is sent back with its errors a bounded number of times.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from orchestra.blueprint.load import load_blueprint
from orchestra.blueprint.model import Blueprint
from orchestra.errors import BlueprintError, Problem
from orchestra.fleet import make_fleet
from orchestra.git.repository import Repository
from orchestra.plan.finding import Code, Finding, Severity, sentence
from orchestra.plan.plan import plan
from orchestra.scaffold.areas import Area, propose_areas
from orchestra.scaffold.detect import Stack, detect, slug
from orchestra.scaffold.draft import comment, detected_stacks, frame, plain, quoted
from orchestra.scaffold.draft_texts import GOAL_HEAD
from orchestra.scaffold.goal_texts import AGAIN, PROMPT, SCHEMA

MOST_ROUNDS: Final = 3
_MOST_PROBLEMS: Final = 20
_OF_THE_ANSWER: Final = frozenset(
    (Code.SCOPE_OVERLAP, Code.NO_SCOPE, Code.SCOPE_ALL_PROTECTED, Code.MAY_EDIT_UNPROTECTED)
)
"""Findings of the plan that other agents or scopes would remove; other findings are about the machine or history."""

__all__ = ["MOST_ROUNDS", "SCHEMA", "GoalDraft", "GoalGround", "draft_for_goal", "read_ground"]


@dataclass(frozen=True, slots=True)
class GoalGround:
    """What is known of a repository before a model is asked."""

    repository: Repository
    tracked: Collection[str]
    stack: Stack
    areas: tuple[Area, ...]


@dataclass(frozen=True, slots=True)
class GoalDraft:
    """The last draft. ``blueprint`` is None where ``text`` does not load; ``errors`` is empty for a clean draft."""

    name: str
    text: str
    blueprint: Blueprint | None
    errors: tuple[str, ...]
    rounds: int


def read_ground(
    repository: Repository,
    tracked: Collection[str],
    history: Iterable[Collection[str]],
    *,
    programs: Collection[str],
    is_ignored: Callable[[str], bool],
) -> GoalGround:
    """Detect stacks and areas, as a plain draft does. No source code is needed: a goal may be a new product."""
    stack = detect(repository.top, tracked, programs=programs, is_ignored=is_ignored)
    return GoalGround(repository, tracked, stack, propose_areas(tracked, stack.suffixes, history=history))


def draft_for_goal(
    ground: GoalGround,
    goal: str,
    ask: Callable[[str], Mapping[str, Any] | None],
    *,
    name: str | None = None,
    announce: Callable[[str], None] = lambda _: None,
) -> GoalDraft:
    """Ask for a proposal until a draft of it is clean, at most ``MOST_ROUNDS`` times; return the last draft.

    ``ask`` takes a prompt and returns a document in the shape of ``SCHEMA``, or None. ``name``: of the fleet; None: the
    proposal's, with a number where the repository has a blueprint or a fleet of that name.
    """
    prompt = _first_prompt(ground, goal)
    draft = GoalDraft(name or "", "", None, (), 0)
    for number in range(1, MOST_ROUNDS + 1):
        document = ask(prompt)
        if document is not None and _has_shape(document):
            fleet_name = name or _free_name(ground.repository, str(document.get("name", "")))
            text = _draft_text(ground, goal, document, fleet_name)
            draft = _examine(ground.repository, fleet_name, text, number)
        else:
            draft = replace(
                draft, blueprint=None, errors=("the answer does not have the required shape",), rounds=number
            )
        if not draft.errors:
            return draft
        if number < MOST_ROUNDS:
            announce(f"proposal {number} of at most {MOST_ROUNDS} is sent back: {draft.errors[0]}")
            prompt = AGAIN.format(errors="\n".join(f"- {error}" for error in draft.errors))
    return draft


def _has_shape(document: Mapping[str, Any]) -> bool:
    from jsonschema import Draft202012Validator

    return bool(Draft202012Validator(SCHEMA).is_valid(document))


def _first_prompt(ground: GoalGround, goal: str) -> str:
    stack = ground.stack
    parts = [f"  - {area.where}: {area.files:,} files, {', '.join(area.include)}" for area in ground.areas]
    gates = [f"  - {name}: {command.run}" for name, command in stack.gates.items()]
    return PROMPT.format(
        goal=goal.strip(),
        detected=detected_stacks(stack),
        files=f"{len(ground.tracked):,}",
        parts="\n".join(parts) or "  - no source code yet",
        gates="\n".join(gates) or "  - no test command was detected",
        protected=", ".join(stack.protected) or "none",
    )


def _free_name(repository: Repository, proposed: str) -> str:
    """Return the name as a slug, numbered where a blueprint or a fleet has it already."""
    name = slug(proposed) or "fleet"
    fleets, blueprints = repository.state_folder / "fleets", repository.top / "blueprints"

    def is_taken(candidate: str) -> bool:
        return (fleets / candidate).exists() or any(blueprints.glob(f"{candidate}.y*ml"))

    numbered = (f"{name}-{number}" for number in range(2, 1000))
    return next(candidate for candidate in (name, *numbered) if not is_taken(candidate))


def _draft_text(ground: GoalGround, goal: str, document: Mapping[str, Any], name: str) -> str:
    stages = ", ".join(map(quoted, document.get("stages") or ()))
    about = comment(f"Drafted by `orchestra init --goal`. Goal: {' '.join(goal.split())}")
    head = GOAL_HEAD.format(
        about=f"{about}\n{comment(f'Detected: {detected_stacks(ground.stack)}.')}",
        name=plain(name),
        title=quoted(str(document["title"])),
        description=quoted(str(document["description"])),
        stages=f"stages: [{stages}]\n" if stages else "",
    )
    agents = [_agent_text(agent) for agent in document["agents"]]
    return frame(ground.stack, ground.tracked, head, len(agents), ["agents:\n" + "\n".join(agents)])


def _agent_text(agent: Mapping[str, Any]) -> str:
    lists = (
        f"    {key}: [{', '.join(map(quoted, values))}]"
        for key in ("scope", "may_edit", "merge_after")
        if (values := agent.get(key))
    )
    lines = [
        f"  - name: {plain(str(agent['name']))}",
        f"    title: {quoted(str(agent['title']))}",
        *([f"    stage: {quoted(str(agent['stage']))}"] if agent.get("stage") else []),
        f"    task: {_block(str(agent['task']))}",
        "    done_when:",
        *(f"      - {quoted(str(item))}" for item in agent["done_when"]),
        *lists,
    ]
    return "\n".join(lines) + "\n"


def _block(text: str) -> str:
    """Return a text of several lines as a YAML block, or quoted where a block cannot hold it."""
    lines = [line.rstrip() for line in text.strip().splitlines()]
    if not lines or not all(line.replace("\t", "").isprintable() for line in lines) or lines[0].startswith("\t"):
        return quoted(text.strip())
    return "\n".join(["|", *(f"      {line}".rstrip() for line in lines)])


def _examine(repository: Repository, name: str, text: str, rounds: int) -> GoalDraft:
    """Load and plan the text as the repository's blueprint would be; nothing is written to the repository."""
    with tempfile.TemporaryDirectory(prefix="orchestra-") as scratch:
        path = Path(scratch) / f"{name}.yaml"
        path.write_text(text, "utf-8")
        try:
            blueprint = load_blueprint(path)
        except BlueprintError as error:
            problems = tuple(_describe(problem, text) for problem in error.problems[:_MOST_PROBLEMS])
            return GoalDraft(name, text, None, problems, rounds)
        findings = plan(make_fleet(repository, blueprint)).findings
    errors = tuple(sentence(finding) for finding in findings if _is_for_the_model(finding))[:_MOST_PROBLEMS]
    return GoalDraft(name, text, blueprint, errors, rounds)


def _is_for_the_model(finding: Finding) -> bool:
    return finding.code in _OF_THE_ANSWER and finding.severity is not Severity.NOTE


def _describe(problem: Problem, text: str) -> str:
    """Return a problem with the line that has it: the model has not seen the file."""
    lines: Sequence[str] = text.splitlines()
    quote = lines[problem.line - 1].strip() if 0 < problem.line <= len(lines) else ""
    return f"{problem.message} (at `{quote[:120]}`)" + (f"; {problem.hint}" if problem.hint else "")
