"""Build the model of a checked document, which has no problems. Every default comes from ``model``."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from orchestra.blueprint import model
from orchestra.blueprint.duration import parse_duration
from orchestra.blueprint.inline_templates import render
from orchestra.blueprint.merge_order import Member, merge_order
from orchestra.blueprint.model import Agent, AgentName, Blueprint, FleetName, Key, Origin
from orchestra.blueprint.rendered_names import Declared
from orchestra.blueprint.templates import template_path
from orchestra.blueprint.yaml_tree import MapNode, find, walk

Data = Mapping[str, Any]
_Convert = Callable[[Any], Any]


def build(data: Data, root: MapNode, source: Path) -> Blueprint:
    """Return the blueprint of a composed, expanded and checked document; ``data`` is its plain values."""
    worktrees = _worktrees(data.get("worktrees", {}))
    agents = tuple(_agent(agent, number, data, worktrees) for number, agent in enumerate(data["agents"], start=1))
    stages = tuple(data.get("stages", ()))
    order = merge_order([Member(agent.name, agent.stage, agent.merge_after) for agent in agents], stages)
    return Blueprint(
        version=data["version"],
        name=FleetName(data["name"]),
        title=data.get("title", data["name"]),
        description=data.get("description", ""),
        target=data.get("target"),
        remote=data.get("remote"),
        requires=tuple(data.get("requires", ())),
        starter=data.get("starter"),
        worktrees=worktrees,
        standards=MappingProxyType({heading: tuple(rules) for heading, rules in data.get("standards", {}).items()}),
        never=tuple(data.get("never", ())),
        templates=MappingProxyType(
            {
                name: template_path(value, node.origin)
                for name, value in data.get("templates", {}).items()
                if (node := find(root, ("templates", name)))
            }
        ),
        protected=tuple(data.get("protected", ())),
        stages=stages,
        overlap=model.Overlap(data.get("overlap", model.Overlap.WARN)),
        gates=MappingProxyType({name: _gate(name, gate) for name, gate in data.get("gates", {}).items()}),
        runner=_runner(data.get("runner", {})),
        limits=model.Limits(**data.get("limits", {})),
        slots=model.Slots(**_converted(data.get("slots", {}))),
        merge=_merge(data.get("merge", {})),
        verdicts=model.Verdicts(model.ByAgents(data.get("verdicts", {}).get("by-agents", model.ByAgents.REFUSE))),
        agents=agents,
        merge_order=order.names,
        predecessors=order.predecessors,
        source=source,
        origins=origins(root),
    )


def origins(root: MapNode) -> Mapping[Key, Origin]:
    """Return the place of each value of the document."""
    return MappingProxyType({path: node.origin for path, node in walk(root) if path})


def _env(values: Mapping[str, str]) -> Mapping[str, str]:
    return MappingProxyType(dict(values))


def _converted(data: Data, **convert: _Convert) -> dict[str, Any]:
    """Return the keys that are there, some converted; a key ``timeout`` becomes ``timeout_s``."""
    names = {"timeout": "timeout_s"}

    def converted(key: str, value: Any) -> Any:
        return convert[key](value) if key in convert else tuple(value) if isinstance(value, list) else value

    return {names.get(key, key): converted(key, value) for key, value in data.items()}


def _worktrees(data: Data) -> model.Worktrees:
    return model.Worktrees(**_converted(data, setup=_setup))


def _setup(data: Data) -> model.Setup:
    return model.Setup(**_converted(data, env=_env, timeout=parse_duration))


def _gate(name: str, data: Data) -> model.Gate:
    if "builtin" in data:
        return model.BuiltinGate(
            name, **_converted(data, builtin=model.Builtin, policy=model.Policy, untested=model.Untested)
        )
    gate = _converted(data, env=_env, timeout=parse_duration, shell=model.Shell)
    if isinstance(run := gate.pop("run"), tuple):
        return model.RunGate(name, shlex.join(run), **gate, is_argv=True)
    return model.RunGate(name, run, **gate)


def _runner(data: Data) -> model.Runner:
    return model.Runner(
        **_converted(data, kind=model.RunnerKind, mode=model.RunnerMode, env=_env, timeout=parse_duration)
    )


def _merge(data: Data) -> model.Merge:
    def rule(value: Any) -> model.ConflictRule:
        if isinstance(value, Mapping):
            return model.Regenerate(value["regenerate"])
        return model.Union() if value == "union" else model.Forbid()

    return model.Merge(
        **_converted(
            data,
            review=model.Review,
            strategy=model.Strategy,
            train=model.Train,
            guarantee=model.Guarantee,
            via=model.Via,
            forge=model.ForgeKind,
            conflicts=lambda rules: MappingProxyType({pattern: rule(value) for pattern, value in rules.items()}),
            proposals=lambda names: tuple(map(model.Proposer, names)),
        )
    )


def _agent(data: Data, number: int, blueprint: Data, worktrees: model.Worktrees) -> Agent:
    name, stage = data["name"], data.get("stage")
    title = data.get("title", name)
    seen = Declared((), name, number, title, stage)
    runner = {**blueprint.get("runner", {}), **data.get("runner", {})}  # the agent's keys over the fleet's
    if "env" in runner:
        runner["env"] = {**blueprint.get("runner", {}).get("env", {}), **data.get("runner", {}).get("env", {})}
    return Agent(
        name=AgentName(name),
        number=number,
        title=title,
        stage=stage,
        task=data["task"],
        done_when=tuple(data.get("done_when", ())),
        scope=_scope(data.get("scope")),
        may_edit=tuple(data.get("may_edit", ())),
        merge_after=tuple(AgentName(predecessor) for predecessor in data.get("merge_after", ())),
        branch=render(worktrees.branch, agent=seen, fleet=blueprint["name"]),
        directory=render(worktrees.directory, agent=seen, fleet=blueprint["name"]),
        runner=_runner(runner),
    )


def _scope(data: Any) -> model.Scope | None:
    if data is None:
        return None
    if isinstance(data, Mapping):
        return model.Scope(tuple(data["include"]), tuple(data.get("exclude", ())))
    return model.Scope(tuple(data))
