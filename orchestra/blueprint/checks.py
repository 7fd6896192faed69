"""What a schema cannot say: what must hold between the parts of a blueprint.

Each check reads through ``Findings``, which hides what has been refused already, and goes on to the end, so that all
problems come at once. Invariant: a document without findings can be built. Refuses: git, files; ``targets`` and
``templates`` look at names and files.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from orchestra.blueprint.duration import parse_duration
from orchestra.blueprint.git_names import branch_problem, folded
from orchestra.blueprint.merge_order import Member, OrderCycle, merge_order
from orchestra.blueprint.model import AgentName, Key
from orchestra.blueprint.problem_collector import Findings
from orchestra.blueprint.scope import BadPattern, check_pattern
from orchestra.blueprint.yaml_tree import MapNode
from orchestra.text import did_you_mean

PLACEHOLDERS = ("prompt", "prompt_file", "worktree", "session_id", "settings")


def check_parts(findings: Findings) -> None:
    """Every check of this module."""
    _check_presence(findings)
    _check_names(findings)
    _check_target(findings)
    _check_stages(findings)
    _check_order(findings)
    _check_patterns(findings)
    _check_durations(findings)
    _check_runners(findings)


def agents(findings: Findings) -> Iterator[tuple[Key, str]]:
    """The path and name of each agent that has a sound name."""
    for path in findings.children(("agents",)):
        name = findings.text((*path, "name"))
        if name is not None:
            yield path, name


def _check_presence(findings: Findings) -> None:
    root = findings.root
    if "agents" not in root.entries and "name" not in root.entries:
        findings.at_missing((), "agents", "without name and agents this is a fragment, only there to be extended")
        return
    if "name" not in root.entries:
        findings.at_missing((), "name", 'add name: "my-fleet"')
    if "agents" not in root.entries:
        findings.at_missing((), "agents", 'add agents: [{name: "api", task: "..."}]')


def _check_names(findings: Findings) -> None:
    fleet = findings.text(("name",))
    if fleet and fleet.casefold().endswith(".lock"):
        findings.at_value(("name",), "ends with .lock, which git allows in no branch")
    seen: dict[str, Key] = {}
    for path, name in agents(findings):
        place = (*path, "name")
        if name.isdigit():
            findings.at_value(place, "is a number, and on the command line that means the agent with that number")
        elif name.casefold().endswith(".lock"):
            findings.at_value(place, "ends with .lock, which git allows in no branch")
        earlier = seen.setdefault(folded(name), path)
        if earlier != path:
            _note_duplicate(findings, path, earlier)


def _note_duplicate(findings: Findings, path: Key, earlier: Key) -> None:
    other = findings.node((*earlier, "name"))
    assert other is not None  # noqa: S101 - it had a name
    mine = findings.node((*path, "name"))
    same_file = mine is not None and mine.origin.file == other.origin.file
    where = f"line {other.origin.line}" if same_file else str(other.origin)
    message = f"there is already an agent of that name ({where})"
    if findings.text((*earlier, "name")) != findings.text((*path, "name")):
        message += ", but for upper and lower case"
    findings.at_value((*path, "name"), message, "names of agents must differ")


def _check_target(findings: Findings) -> None:
    target = findings.text(("target",))
    if target is not None:
        problem = branch_problem(target)
        if problem:
            findings.at_value(("target",), f"the branch name {problem}")


def _check_stages(findings: Findings) -> None:
    stages: list[str] = []
    for path, stage in list(findings.texts(("stages",))):
        if stage in stages:
            findings.at_value(path, f'the stage "{stage}" is there twice')
        else:
            stages.append(stage)
    hint = f"stages: {', '.join(stages)}" if stages else "declare them: stages: [services, api]"
    for path in findings.children(("agents",)):
        stage_of = findings.text((*path, "stage"))
        if stage_of is not None and stage_of not in stages:
            message = f'unknown stage "{stage_of}"'
            findings.at_value((*path, "stage"), message, did_you_mean(stage_of, stages, otherwise=hint))


def _check_order(findings: Findings) -> None:
    known = [name for _, name in agents(findings)]
    for path, name in agents(findings):
        for place, other in findings.texts((*path, "merge_after")):
            if other == name:
                findings.at_value(place, "an agent cannot merge after itself")
            elif other not in known:
                hint = did_you_mean(other, known, otherwise=f"agents: {', '.join(known[:12])}")
                findings.at_value(place, f'unknown agent "{other}"', hint)
    stages = list(dict.fromkeys(stage for _, stage in findings.texts(("stages",))))
    try:
        merge_order(list(_members(findings)), stages)
    except OrderCycle as cycle:
        _note_cycle(findings, cycle, stages)


def _members(findings: Findings) -> Iterator[Member]:
    names = {name for _, name in agents(findings)}
    seen = set()
    for path, name in agents(findings):
        if name not in seen:
            seen.add(name)
            after = [AgentName(other) for _, other in findings.texts((*path, "merge_after")) if other in names]
            yield Member(AgentName(name), findings.text((*path, "stage")), tuple(after))


def _note_cycle(findings: Findings, error: OrderCycle, stages: list[str]) -> None:
    """At the first ``merge_after`` of the cycle; stages alone cannot make one."""
    paths = {name: path for path, name in reversed(list(agents(findings)))}
    steps = list(pairwise(error.cycle))
    declared = ((paths[later], earlier) for earlier, later in steps)
    places = (
        place
        for path, earlier in declared
        for place, other in findings.texts((*path, "merge_after"))
        if other == earlier
    )
    by_stage = [
        f'"{later}" is of the stage {findings.text((*paths[later], "stage"))}, '
        f'after "{earlier}" of {findings.text((*paths[earlier], "stage"))}'
        for earlier, later in steps
        if earlier not in [other for _, other in findings.texts((*paths[later], "merge_after"))]
    ]
    message = f"the merge order goes in a circle: {error}"
    findings.at_value(next(places), message, "; ".join(by_stage) or "take one merge_after away")


def _check_patterns(findings: Findings) -> None:
    for path in _pattern_lists(findings):
        for place, pattern in findings.texts(path):
            _check_pattern(findings, place, pattern, key=False)
    for path in findings.children(("merge", "conflicts")):
        _check_pattern(findings, path, str(path[-1]), key=True)


def _pattern_lists(findings: Findings) -> Iterator[Key]:
    yield ("protected",)
    yield ("worktrees", "setup", "copy")
    yield ("worktrees", "setup", "share")
    for owner in ("agents", "profiles"):
        for path in findings.children((owner,)):
            yield (*path, "may_edit")
            scope = (*path, "scope")
            if isinstance(findings.node(scope), MapNode):
                yield (*scope, "include")
                yield (*scope, "exclude")
            else:
                yield scope


def _check_pattern(findings: Findings, place: Key, pattern: str, *, key: bool) -> None:
    if place[0] == "profiles" and "<<" in pattern:
        return  # checked where it is filled in
    try:
        check_pattern(pattern)
    except BadPattern as bad:
        shown = pattern if len(pattern) <= len("x" * 60) else f"{pattern[:60]}..."
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


def _check_runners(findings: Findings) -> None:
    fleet: Key = ("runner",)
    command = _has_command(findings, fleet)
    if findings.text((*fleet, "kind")) == "command" and not command:
        paths = [*findings.children(("agents",))]
        if not paths or not all(_has_command(findings, (*path, "runner")) for path in paths):
            _note_no_command(findings, fleet)
    for path in findings.children(("agents",)):
        own = (*path, "runner")
        if findings.text((*own, "kind")) == "command" and not command and not _has_command(findings, own):
            _note_no_command(findings, own)


def _has_command(findings: Findings, runner: Key) -> bool:
    return next(findings.children((*runner, "command")), None) is not None


def _note_no_command(findings: Findings, runner: Key) -> None:
    message = "command needs the command that it runs"
    findings.at_value((*runner, "kind"), message, 'add command: ["my-agent", "{prompt_file}"]')
