"""What the scripts are made of: a blueprint, and the files that orchestra would write for it.

A script runs in repositories that are unknown when it is written. So two values are missing: the target, where the
blueprint names none, and the file name of the standards, which is CLAUDE.local.md where a CLAUDE.md exists already.
Texts carry a mark for each, and the script fills it in.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from orchestra.blueprint.model import Agent, Blueprint, Via
from orchestra.errors import UsageError
from orchestra.workspace.paths import LOCAL_STANDARDS, STANDARDS, names_with
from orchestra.workspace.render import render_texts

Texts = Mapping[str, str]
"""Path in a worktree -> text."""
_SAMPLE_TARGETS = ("main", "a/b-c.d_1")


@dataclass(frozen=True, slots=True)
class AgentTexts:
    """The files of ``agent``; with ``standards``, those for repositories in which the standards go to that file."""

    agent: str
    texts: Texts
    standards: str | None = None


@dataclass(frozen=True, slots=True)
class ScriptInputs:
    """``source`` is what ``--blueprint`` calls the blueprint. The marks in the texts stand for values to fill in."""

    blueprint: Blueprint
    source: str
    agent_texts: Sequence[AgentTexts]
    target_mark: str = "@TARGET@"
    standards_mark: str = "@STANDARDS@"


def collect_inputs(blueprint: Blueprint, source: str) -> ScriptInputs:
    """Return all that the scripts of a blueprint are made of.

    Raises UsageError for a blueprint whose work lands through a pull request, and, where the blueprint names no target,
    for a template that decides something by the target's name.
    """
    if blueprint.merge.via is Via.PULL_REQUEST:
        hint = "land with orchestra merge, or set merge.via: push"
        raise UsageError(f"{blueprint.name} lands through a pull request, which the scripts cannot open", hint=hint)
    all_texts = "".join(text for item in _agent_texts(blueprint, "main", "") for text in item.texts.values())
    target_mark, standards_mark = _unused_mark("TARGET", all_texts), _unused_mark("STANDARDS", all_texts)
    if blueprint.target is None:
        marked = list(_agent_texts(blueprint, target_mark, ""))
        for target in _SAMPLE_TARGETS:
            for item, exact in zip(marked, _agent_texts(blueprint, target, ""), strict=True):
                if _filled(item.texts, target_mark, target) != exact.texts:
                    raise UsageError(
                        f"a template of {item.agent} depends on the target's name, which a script learns when it runs",
                        hint="name the target in the blueprint: `target: main`",
                    )
    if blueprint.worktrees.setup.ports:
        raise UsageError(
            "the scripts cannot give out the ports of worktrees.setup.ports",
            hint='compute them from the number instead: `env: {PORT: "{{ 3000 + agent.number }}"}`',
        )
    texts = tuple(_agent_texts(blueprint, blueprint.target or target_mark, standards_mark))
    return ScriptInputs(blueprint, source, texts, target_mark, standards_mark)


def _unused_mark(word: str, text: str) -> str:
    numbers = (f"@{word}{number}@" for number in ("", *range(2, 1000)))
    return next(mark for mark in numbers if mark not in text)


def _agent_texts(blueprint: Blueprint, target: str, mark: str) -> Iterator[AgentTexts]:
    """Yield one item an agent if ``mark`` can stand for the standards' file name; else one for each name."""

    def render(agent: Agent, standards: str) -> Texts:
        return render_texts(blueprint, agent, names_with(blueprint, standards), target=target)

    for agent in blueprint.agents:
        exact = {name: render(agent, name) for name in (STANDARDS, LOCAL_STANDARDS)}
        marked = render(agent, mark) if mark else {}
        if mark and all(_filled(marked, mark, name) == texts for name, texts in exact.items()):
            yield AgentTexts(agent.name, marked)
        else:
            yield from (AgentTexts(agent.name, texts, name) for name, texts in exact.items())


def _filled(texts: Texts, mark: str, value: str) -> Texts:
    return {path.replace(mark, value): text.replace(mark, value) for path, text in texts.items()}
