"""Branches that orchestra did not create, as agents of a blueprint. Pure, but for reading the file that records them.

``orchestra adopt`` records the branch of each. An adopted agent that the blueprint does not declare has no task and no
scope of its own: it may change what is not protected. No session is started for an adopted agent.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from orchestra.blueprint.git_names import VERBS, branch_problem, fleet_name_problem, folded
from orchestra.blueprint.merge_order import Member, merge_order
from orchestra.blueprint.model import Agent, AgentName, Blueprint, Runner, RunnerKind
from orchestra.files import read_regular

_NO_FOLDER: Final = ".orchestra-adopted"  # a reserved name: nothing is ever created there


@dataclass(frozen=True, slots=True)
class AdoptedBranch:
    """The branch of an adopted agent. ``stage`` None: no stage, or that which the blueprint declares."""

    branch: str
    stage: str | None = None


def read_adopted(file: Path) -> dict[AgentName, AdoptedBranch]:
    """Return the adopted branches by agent, in the order of their adoption. Damaged records are left out."""
    try:
        rows = json.loads(read_regular(file) or b"{}")
        records = {AgentName(name): AdoptedBranch(row["branch"], row["stage"]) for name, row in rows.items()}
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}
    return {
        name: record
        for name, record in records.items()
        if not agent_name_problem(name) and isinstance(record.branch, str) and not branch_problem(record.branch)
    }


def format_adopted(records: Mapping[AgentName, AdoptedBranch]) -> str:
    rows = {name: {"branch": record.branch, "stage": record.stage} for name, record in records.items()}
    return json.dumps(rows, indent=1) + "\n"


def with_adopted(blueprint: Blueprint, records: Mapping[AgentName, AdoptedBranch]) -> Blueprint:
    """Return the blueprint with adopted branches as its agents: declared ones by their name, the others after them."""
    if not records:
        return blueprint
    by_hand = Runner(kind=RunnerKind.NONE)
    agents = [
        replace(agent, branch=records[agent.name].branch, runner=by_hand, adopted=True)
        if agent.name in records
        else agent
        for agent in blueprint.agents
    ]
    declared = {agent.name for agent in agents}
    for name, record in records.items():
        if name not in declared:
            directory, number = f"{_NO_FOLDER}/{name}", len(agents) + 1
            agents.append(
                Agent(
                    name=name,
                    number=number,
                    title=record.branch,
                    stage=record.stage if record.stage in blueprint.stages else None,
                    task="",
                    done_when=(),
                    scope=None,
                    may_edit=(),
                    merge_after=(),
                    branch=record.branch,
                    directory=directory,
                    runner=by_hand,
                    adopted=True,
                )
            )
    order = merge_order([Member(agent.name, agent.stage, agent.merge_after) for agent in agents], blueprint.stages)
    return replace(blueprint, agents=tuple(agents), merge_order=order.names, predecessors=order.predecessors)


def derive_agent_name(branch: str, taken: Collection[str]) -> AgentName:
    """Return a valid name for the agent of ``branch``: its last part, or more of it where that name is taken."""
    parts = [part for part in (re.sub(r"[^A-Za-z0-9]+", "-", part).strip("-") for part in branch.split("/")) if part]
    last, whole = (parts or ["branch"])[-1][:50].strip("-"), "-".join(parts or ["branch"])[:50].strip("-")
    used = {folded(name) for name in taken}
    numbered = (f"{whole}-{number}" for number in range(2, len(used) + 3))
    candidates = (last, whole, f"branch-{whole}", *numbered)
    return AgentName(next(name for name in candidates if not agent_name_problem(name) and folded(name) not in used))


def agent_name_problem(name: str) -> str | None:
    """Return the reason why an agent may not have that name, else None."""
    if name.isdigit():
        return "is a number, which on the command line means the agent with that number"
    if name.casefold() in VERBS:
        return "is an orchestra command"
    return fleet_name_problem(name)
