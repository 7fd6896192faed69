"""What scripts are made of: a blueprint, and the files that orchestra would write for it.

A script runs in repositories that nobody has seen yet, so two things are not known when it is made: the target, where
the blueprint names none, and whether the repository has a CLAUDE.md of its own, so that ours goes to CLAUDE.local.md.
Texts carry a mark for each, which the script fills in. Invariant: a text filled in is the text that ``render`` gives
for those values. Refuses (UsageError) a template that decides something by the target's name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from orchestra.blueprint.model import Agent, Blueprint
from orchestra.errors import UsageError
from orchestra.workspace.paths import LOCAL_STANDARDS, STANDARDS, names_with
from orchestra.workspace.render import render_texts

Texts = Mapping[str, str]
"""Path in a worktree -> text."""
_PROBES = ("main", "a/b-c.d_1")


@dataclass(frozen=True, slots=True)
class Case:
    """The files of ``agent``; where ``standards`` is given, those for repositories in which our standards go there."""

    agent: str
    texts: Texts
    standards: str | None = None


@dataclass(frozen=True, slots=True)
class Material:
    """``source`` is what ``--blueprint`` calls the blueprint. The marks stand in ``cases`` for what is filled in."""

    blueprint: Blueprint
    source: str
    cases: Sequence[Case]
    target_mark: str = "@TARGET@"
    standards_mark: str = "@STANDARDS@"


def gather(blueprint: Blueprint, source: str) -> Material:
    """All that the scripts of a blueprint are made of."""
    said = "".join(text for case in _cases(blueprint, "main", "") for text in case.texts.values())
    target, standards = _free_mark("TARGET", said), _free_mark("STANDARDS", said)
    _refuse_target_tricks(blueprint, target)
    return Material(
        blueprint, source, tuple(_cases(blueprint, blueprint.target or target, standards)), target, standards
    )


def _free_mark(word: str, said: str) -> str:
    """A mark that no text holds by itself."""
    numbers = (f"@{word}{number}@" for number in ("", *range(2, 1000)))
    return next(mark for mark in numbers if mark not in said)


def _refuse_target_tricks(blueprint: Blueprint, mark: str) -> None:
    if blueprint.target is not None:
        return
    marked = list(_cases(blueprint, mark, ""))
    for probe in _PROBES:
        for case, exact in zip(marked, _cases(blueprint, probe, ""), strict=True):
            if _filled(case.texts, mark, probe) != exact.texts:
                raise UsageError(
                    f"a template of {case.agent} depends on the target's name, which a script learns where it runs",
                    hint="name the target in the blueprint: `target: main`",
                )


def _cases(blueprint: Blueprint, target: str, mark: str) -> Iterator[Case]:
    """With a ``mark`` for the standards' file name, one case where it says it all; else one for each name."""
    for agent in blueprint.agents:
        exact = {name: _texts(blueprint, agent, name, target) for name in (STANDARDS, LOCAL_STANDARDS)}
        marked = _texts(blueprint, agent, mark, target) if mark else {}
        if mark and all(_filled(marked, mark, name) == texts for name, texts in exact.items()):
            yield Case(agent.name, marked)
        else:
            yield from (Case(agent.name, texts, name) for name, texts in exact.items())


def _texts(blueprint: Blueprint, agent: Agent, standards: str, target: str) -> Texts:
    return render_texts(blueprint, agent, names_with(blueprint, standards), target=target)


def _filled(texts: Texts, mark: str, value: str) -> Texts:
    return {path.replace(mark, value): text.replace(mark, value) for path, text in texts.items()}
