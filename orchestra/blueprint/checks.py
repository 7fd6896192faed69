"""Check what a schema cannot express: the rules between the parts of a blueprint.

Each check reads through ``Findings``, which hides values that were refused already, and continues to the end, so that
all problems come at once. A document without problems can be built.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from orchestra.blueprint.catalog import starter_names
from orchestra.blueprint.duration import parse_duration
from orchestra.blueprint.git_names import VERBS, branch_problem, fleet_name_problem, folded
from orchestra.blueprint.merge_order import Member, OrderCycle, merge_order
from orchestra.blueprint.model import PROGRAMS, AgentName, Key
from orchestra.blueprint.problems import Findings
from orchestra.blueprint.scope import BadPattern, check_pattern
from orchestra.blueprint.yaml_tree import ListNode, MapNode, Scalar
from orchestra.text import did_you_mean

_LONGEST_SHOWN = 60
_NOT_FOR_PROGRAMS = ("command", "resume", "waiting", "allow", "max_turns", "max_budget_usd")
PLACEHOLDERS = ("prompt", "prompt_file", "worktree", "session_id", "settings")


def agents(findings: Findings) -> Iterator[tuple[Key, str]]:
    """Yield the path and name of each agent that has a sound name."""
    for path in findings.children(("agents",)):
        name = findings.text((*path, "name"))
        if name is not None:
            yield path, name


def _check_presence(findings: Findings) -> None:
    root = findings.root
    if "agents" not in root.entries and "name" not in root.entries:
        findings.at_missing((), "agents", "a file without name and agents is a fragment for other blueprints to extend")
        return
    if "name" not in root.entries:
        findings.at_missing((), "name", 'add name: "my-fleet"')
    if "agents" not in root.entries:
        findings.at_missing((), "agents", 'add agents: [{name: "api", task: "..."}]')


def _check_names(findings: Findings) -> None:
    target = findings.text(("target",))
    if target is not None and (fault := branch_problem(target)):
        findings.at_value(("target",), f"the branch name {fault}")
    fleet = findings.text(("name",))
    if fleet is not None and (fault := fleet_name_problem(fleet)):
        findings.at_value(("name",), fault)
    first_agents: dict[str, Key] = {}
    for path, name in agents(findings):
        place = (*path, "name")
        if name.isdigit():
            findings.at_value(place, "is a number, which on the command line means the agent with that number")
        elif name.casefold() in VERBS:
            hint = f'for instance "{name}-agent"'
            findings.at_value(place, f'"{name}" is an orchestra command, so it cannot name an agent', hint)
        elif name.casefold().endswith(".lock"):
            findings.at_value(place, "ends with .lock, which git does not allow in a branch name")
        first = first_agents.setdefault(folded(name), path)
        if first != path:
            first_name, this_name = findings.node((*first, "name")), findings.node(place)
            assert isinstance(first_name, Scalar) and isinstance(this_name, Scalar)  # noqa: S101 - both have text
            origin = first_name.origin
            where = f"on line {origin.line}" if this_name.origin.file == origin.file else f"at {origin}"
            difference = "" if first_name.text == name else ", apart from upper and lower case"
            message = f"duplicate agent name (first {where}){difference}"
            findings.at_value(place, message, "give each agent its own name")


def _check_stages(findings: Findings) -> None:
    stages: list[str] = []
    for path, stage in list(findings.texts(("stages",))):
        if stage in stages:
            findings.at_value(path, f'the stage "{stage}" is declared twice')
        else:
            stages.append(stage)
    hint = f"stages: {', '.join(stages)}" if stages else "declare them: stages: [services, api]"
    for path in findings.children(("agents",)):
        stage_of = findings.text((*path, "stage"))
        if stage_of is not None and stage_of not in stages:
            message = f'unknown stage "{stage_of}"'
            findings.at_value((*path, "stage"), message, did_you_mean(stage_of, stages, otherwise=hint))


def _check_order(findings: Findings) -> None:
    agent_names = [name for _, name in agents(findings)]
    for path, name in agents(findings):
        for place, predecessor in findings.texts((*path, "merge_after")):
            if predecessor == name:
                findings.at_value(place, "an agent cannot merge after itself")
            elif predecessor not in agent_names:
                hint = did_you_mean(predecessor, agent_names, otherwise=f"agents: {', '.join(agent_names[:12])}")
                findings.at_value(place, f'unknown agent "{predecessor}"', hint)
    stages = list(dict.fromkeys(stage for _, stage in findings.texts(("stages",))))
    members: dict[str, Member] = {}
    for path, name in agents(findings):
        after = [AgentName(each) for _, each in findings.texts((*path, "merge_after")) if each in agent_names]
        members.setdefault(name, Member(AgentName(name), findings.text((*path, "stage")), tuple(after)))
    try:
        merge_order(list(members.values()), stages)
        return
    except OrderCycle as cycle:
        error = cycle
    # Report the cycle at its first merge_after; stages alone cannot be circular.
    paths = {name: path for path, name in reversed(list(agents(findings)))}
    steps = list(pairwise(error.cycle))
    declared = ((paths[later], earlier) for earlier, later in steps)
    places = (
        place
        for path, earlier in declared
        for place, predecessor in findings.texts((*path, "merge_after"))
        if predecessor == earlier
    )
    by_stage = [
        f'"{later}" is in stage {findings.text((*paths[later], "stage"))}, '
        f'after "{earlier}" of {findings.text((*paths[earlier], "stage"))}'
        for earlier, later in steps
        if earlier not in [predecessor for _, predecessor in findings.texts((*paths[later], "merge_after"))]
    ]
    message = f"the merge order is circular: {error}"
    findings.at_value(next(places), message, "; ".join(by_stage) or "remove one merge_after")


def _check_patterns(findings: Findings) -> None:
    lists: list[Key] = [("protected",), ("requires",), ("worktrees", "setup", "copy"), ("worktrees", "setup", "share")]
    lists.append(("slots", "keep"))
    for path in (*findings.children(("agents",)), *findings.children(("profiles",))):
        scope = (*path, "scope")
        in_map = isinstance(findings.node(scope), MapNode)
        lists += [(*path, "may_edit"), *([(*scope, "include"), (*scope, "exclude")] if in_map else [scope])]
    lists += [(*gate, key) for gate in findings.children(("gates",)) for key in ("when", "inputs")]
    for path in lists:
        for place, pattern in findings.texts(path):
            _check_pattern(findings, place, pattern, key=False)
    for gate in findings.children(("gates",)):
        if (reports := findings.text((*gate, "junit"))) is not None:
            _check_pattern(findings, (*gate, "junit"), reports, key=False)
    for path in findings.children(("merge", "conflicts")):
        _check_pattern(findings, path, str(path[-1]), key=True)


def _check_pattern(findings: Findings, place: Key, pattern: str, *, key: bool) -> None:
    if place[0] == "profiles" and "<<" in pattern:
        return  # checked in each agent, after substitution
    try:
        check_pattern(pattern)
    except BadPattern as bad:
        shown = pattern if len(pattern) <= _LONGEST_SHOWN else f"{pattern[:_LONGEST_SHOWN]}..."
        note = findings.at_key if key else findings.at_value
        note(place, f'the pattern "{shown}" {bad.message}', bad.hint)


def _check_durations(findings: Findings) -> None:
    paths: list[Key] = [("runner", "timeout"), ("worktrees", "setup", "timeout")]
    paths += [(*gate, "timeout") for gate in findings.children(("gates",))]
    paths += [(*agent, "runner", "timeout") for agent in findings.children(("agents",))]
    for path in paths:
        text = findings.text(path)
        if text is not None:
            try:
                parse_duration(text)
            except ValueError as error:
                findings.at_value(path, str(error))


def _check_gates(findings: Findings) -> None:
    for gate in findings.children(("gates",)):
        builtin = findings.text((*gate, "builtin"))
        if findings.text((*gate, "untested")) is not None and builtin not in (None, "tests-kept"):
            hint = "remove `untested`, or write `builtin: tests-kept`"
            findings.at_key(
                (*gate, "untested"), f'"untested" is a setting of builtin: tests-kept, not of {builtin}', hint
            )
        if isinstance(findings.node((*gate, "run")), ListNode) and findings.text((*gate, "shell")) is not None:
            hint = "remove `shell`, or write `run` as one text"
            findings.at_value((*gate, "shell"), "no shell reads a `run` that is a list of words", hint)


def _check_runners(findings: Findings) -> None:
    def lacks_command(runner: Key) -> bool:
        return next(findings.children((*runner, "command")), None) is None

    fleet: Key = ("runner",)
    of_agents: list[Key] = [(*path, "runner") for path in findings.children(("agents",))]
    if not lacks_command(fleet):
        return
    for runner in (fleet, *of_agents):
        needs = any(map(lacks_command, of_agents)) or not of_agents if runner == fleet else lacks_command(runner)
        if needs and findings.text((*runner, "kind")) == "command":
            message = 'is "command", but no "command" is declared'
            findings.at_value((*runner, "kind"), message, 'add command: ["my-agent", "{prompt_file}"]')


def _check_merge(findings: Findings) -> None:
    via, push = findings.text(("merge", "via")), findings.node(("merge", "push"))
    if via == "pull-request" and isinstance(push, Scalar) and push.value is True:
        hint = "remove `push: true`, or `via: pull-request`"
        message = "the target cannot be pushed where it moves through a pull request (merge.via)"
        findings.at_value(("merge", "push"), message, hint)


def _check_programs(findings: Findings) -> None:
    """Refuse keys that mean nothing to a program which orchestra drives headless."""
    fleet: Key = ("runner",)
    for runner in (fleet, *((*path, "runner") for path in findings.children(("agents",)))):
        kind = findings.text((*runner, "kind"))
        if kind not in PROGRAMS:
            continue
        for key in _NOT_FOR_PROGRAMS:
            if findings.node((*runner, key)) is not None:
                findings.at_key((*runner, key), f'"{key}" cannot be combined with "kind: {kind}"')
        if findings.text((*runner, "mode")) == "tmux":
            hint = "remove `mode`, or run the program in a window with `kind: command`"
            findings.at_value((*runner, "mode"), f'is "tmux", but "kind: {kind}" runs headless', hint)
        elif findings.text((*fleet, "mode")) == "tmux" and findings.node((*runner, "mode")) is None:
            message = f'is "{kind}", which runs headless, but the fleet\'s runner sets "mode: tmux"'
            findings.at_value((*runner, "kind"), message, "add mode: headless")


def check_parts(findings: Findings) -> None:
    """Run every check of this module."""
    _check_presence(findings)
    _check_names(findings)
    _check_stages(findings)
    _check_order(findings)
    _check_patterns(findings)
    starter, starters = findings.text(("starter",)), starter_names()
    if starter is not None and starter not in starters:
        hint = did_you_mean(starter, starters, otherwise=f"available: {', '.join(starters)}" if starters else None)
        findings.at_value(("starter",), f'no starter "{starter}" ships with orchestra', hint)
    _check_durations(findings)
    _check_gates(findings)
    _check_runners(findings)
    _check_merge(findings)
    _check_programs(findings)
