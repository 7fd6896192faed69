"""What a blueprint declares, as shell functions: values, agents, files, commands, gates.

Invariant: data stands in literal calls, one for each thing, every value in quotes; so a reviewer reads it as a table
and every shell reads it the same way (zsh does not split ``$LIST``, facts/libraries.md 8). A function that takes
COMMAND calls it once for each row, with the row's values behind it. Refuses: logic.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from math import ceil

from orchestra.blueprint.inline_templates import render_env
from orchestra.blueprint.model import (
    Agent,
    AgentName,
    Blueprint,
    BuiltinGate,
    ConflictRule,
    Gate,
    Regenerate,
    Scope,
    Union,
)
from orchestra.blueprint.scope import Matcher
from orchestra.shell.material import Case, Material
from orchestra.shell.quoting import comment, here_document, quote, words
from orchestra.workspace.paths import NOTES, STANDARDS, TASK, names_with

# Variable -> what stands for it while templates are rendered: paths that are known only where the script runs. The last
# characters but two of Unicode, in its last plane for private use: nobody writes them.
PATHS = {"o_worktree": "\U0010fffc", "o_home": "\U0010fffd"}


def identity(function: str, value: str) -> str:
    """A function that tells which blueprint and version a script was made from."""
    return f"{function}() {{ command printf '%s' {quote(value)}; }}"


def fleet_values(material: Material, own: str) -> str:
    """``_orchestra_declared``: what is one for the whole fleet."""
    blueprint = material.blueprint
    values = (
        ("which blueprint and version", "o_identity", own),
        ("", "o_fleet", blueprint.name),
        ("what --blueprint calls it", "o_blueprint", material.source),
        ("where the worktrees are, relative to the main checkout", "o_root", blueprint.worktrees.root),
        ("where work lands; empty: the remote's default branch, else the current one", "o_target", blueprint.target),
        ("empty: origin where there is one", "o_remote", blueprint.remote),
        (
            "required: only what a person approved lands; none: what is finished and green",
            "o_review",
            blueprint.merge.review,
        ),
        ("1: with a push, unless a merge says otherwise", "o_push", "1" if blueprint.merge.push else ""),
    )
    body = "".join(
        f"\t# {says}\n\t{name}={quote(value or '')}\n" if says else f"\t{name}={quote(value or '')}\n"
        for says, name, value in values
    )
    both = "# shellcheck disable=SC2034 # the same in both scripts, so that they can be sourced together"
    return f"{both}\n_orchestra_declared() {{\n{body}}}"


# -- agents --------------------------------------------------------------------------------------------------------


def agents_table(agents: Sequence[Agent]) -> str:
    """``_orchestra_agents COMMAND...``: the agents in declared order."""
    rows = (words(a.number, a.name, a.stage or "", a.branch, a.directory, a.title) for a in agents)
    return _calls("_orchestra_agents", "NUMBER NAME STAGE BRANCH FOLDER TITLE of each agent, as declared", rows)


def merge_order(blueprint: Blueprint) -> str:
    """``_orchestra_merge_order COMMAND...``: the agents in the order in which they land, each with its predecessors."""
    place = {name: number for number, name in enumerate(blueprint.merge_order)}
    rows = (words(name, *sorted(blueprint.predecessors[name], key=place.__getitem__)) for name in blueprint.merge_order)
    return _calls("_orchestra_merge_order", "each NAME in merge order, with those that must land before", rows)


def scopes(blueprint: Blueprint) -> str:
    """Three functions that append git pathspecs to COMMAND: protected paths, and the agent's scope and may_edit."""
    protected = _pathspecs(Scope(blueprint.protected))
    scope = {str(a.name): _pathspecs(a.scope) if a.scope else quote(":(top)") for a in blueprint.agents}
    may_edit = {str(a.name): _pathspecs(Scope(a.may_edit)) for a in blueprint.agents if a.may_edit}
    says = "for the agent in use; nothing where it has none"
    return "\n\n".join(
        (
            _appends(
                "_orchestra_protected", "the paths that only may_edit opens", {"*": protected} if protected else {}
            ),
            _appends("_orchestra_scope", "what it may change", scope),
            _appends("_orchestra_may_edit", f"the protected paths that it may change, {says}", may_edit),
        )
    )


def _pathspecs(scope: Scope) -> str:
    included = (f":(top,glob){pattern}" for pattern in scope.include)
    return words(*included, *(f":(top,exclude,glob){pattern}" for pattern in scope.exclude))


# -- files ---------------------------------------------------------------------------------------------------------


def instructions(blueprint: Blueprint) -> str:
    """``_orchestra_instructions COMMAND...``: the paths of the instruction files."""
    return _appends("_orchestra_instructions", "the instruction files", {"*": _instructions(blueprint)})


def kept_out(blueprint: Blueprint) -> str:
    """``_orchestra_kept_out COMMAND...``: what never lands; a CLAUDE.md neither, unless may_edit names it."""
    own = _instructions(blueprint)
    may = [a.name for a in blueprint.agents if Matcher(Scope(a.may_edit)).matches(STANDARDS)]
    rows = dict.fromkeys(map(str, may), own) | {"*": f"{quote(STANDARDS)} {own}"}
    return _appends("_orchestra_kept_out", "the files that never land", rows)


def _instructions(blueprint: Blueprint) -> str:
    return f'"$o_standards" {words(TASK, NOTES, *names_with(blueprint, STANDARDS).further)}'


def files_table(material: Material) -> str:
    """``_orchestra_files``: which text goes to which path, for the agent in use; and the texts, each once."""
    numbers: dict[str, int] = {}
    uses: dict[int, list[tuple[str, str]]] = {}
    rows = []
    for case in material.cases:
        calls = []
        for path, text in case.texts.items():
            number = numbers.setdefault(text, len(numbers) + 1)
            uses.setdefault(number, []).append((case.agent, path))
            calls.append(f"\t\t_orchestra_text_{number} | _orchestra_file {_path(material, path)}\n")
        rows.append(f"\t{_label(case)})\n{''.join(calls)}\t\t;;\n")
    table = f"_orchestra_files() {{\n\tcase $o_agent/$o_standards in\n{''.join(rows)}\tesac\n}}"
    texts = (_text(material, text, number, uses[number]) for text, number in numbers.items())
    return "\n\n".join((f"# The instruction files of the agent in use.\n{table}", filling(material), *texts))


def _label(case: Case) -> str:
    return f"{quote(case.agent + '/')}*" if case.standards is None else quote(f"{case.agent}/{case.standards}")


def _path(material: Material, path: str) -> str:
    return '"$o_standards"' if path == material.standards_mark else quote(path)


def filling(material: Material) -> str:
    """``_orchestra_fill``: what is known only where the script runs, put in the place of its mark."""
    says = f"# {material.standards_mark} is CLAUDE.md, or CLAUDE.local.md beside a CLAUDE.md of the repository's own"
    known = f'-e "s|{material.standards_mark}|$o_standards|g"'
    if material.blueprint.target is None:
        says += f";\n# {material.target_mark} is the branch where work lands"
        escaped = "$(command printf '%s' \"$o_target\" | command sed 's/[\\\\&|]/\\\\&/g')"
        known += f' -e "s|{material.target_mark}|{escaped}|g"'
    return f"{says}.\n_orchestra_fill() {{ LC_ALL=C command sed {known}; }}"


def _text(material: Material, text: str, number: int, uses: Sequence[tuple[str, str]]) -> str:
    paths = dict.fromkeys("CLAUDE.md" if path == material.standards_mark else path for _, path in uses)
    who = uses[0][0] if len({agent for agent, _ in uses}) == 1 else f"{len(uses)} agents"
    title = comment(f"{', '.join(paths)} of {who}")
    return f"# {title}\n_orchestra_text_{number}() {{\n\tcommand cat {here_document(text)}\n}}"


# -- set-up --------------------------------------------------------------------------------------------------------


def setup(blueprint: Blueprint) -> str:
    """What a fresh worktree gets: copied files, shared folders, commands; and the time limit of each."""
    given = blueprint.worktrees.setup
    seconds = ceil(given.timeout_s)
    copied = words(*(f":(top,glob){pattern}" for pattern in given.copy))
    return "\n\n".join(
        (
            _appends("_orchestra_copied", "untracked files to bring along", {"*": copied} if copied else {}),
            _calls("_orchestra_shared", "each big untracked FOLDER to bring along", map(quote, given.share)),
            _calls(
                "_orchestra_setup_commands", "COMMAND SECONDS, in order", (words(run, seconds) for run in given.run)
            ),
            f"_orchestra_setup_seconds() {{ command echo {quote(seconds)}; }}",
            _calls(
                "_orchestra_teardown_commands", "the same for clean", (words(run, seconds) for run in given.teardown)
            ),
        )
    )


def agent_variables(blueprint: Blueprint) -> str:
    """``_orchestra_agent_variables COMMAND...``: becomes COMMAND, with the variables of the agent in use."""
    rows = {str(a.name): _variables(blueprint, a).strip() for a in blueprint.agents}
    plain = {"*": ""} if not any(rows.values()) else rows
    return _becomes(
        "_orchestra_agent_variables", "with the variables of the agent in use", "_orchestra_as_agent", plain
    )


def slot_variables(blueprint: Blueprint) -> str:
    """``_orchestra_slot_variables COMMAND...``: the same for gates: as for an agent numbered after the last one."""
    number = len(blueprint.agents) + 2
    stand_in = replace(blueprint.agents[0], name=AgentName("gate-1"), number=number, title="gate-1", stage=None)
    fixed = '"TMPDIR=$o_scratch/tmp" "ORCHESTRA_FLEET=$o_fleet" ORCHESTRA_GATE_SLOT=gate-1'
    row = fixed + _variables(blueprint, stand_in)
    return _becomes("_orchestra_slot_variables", "with the variables of a gate", "_orchestra_allowed", {"*": row})


def _variables(blueprint: Blueprint, agent: Agent) -> str:
    env = blueprint.worktrees.setup.env
    made = render_env(env, agent=agent, fleet=blueprint.name, worktree=PATHS["o_worktree"], repo=PATHS["o_home"])
    return "".join(f" {with_variables(f'{key}={value}')}" for key, value in made.items())


def with_variables(word: str) -> str:
    """A word, quoted, in which a variable of the script's stands for each mark of ``PATHS``."""
    quoted = quote(word)
    for variable, mark in PATHS.items():
        quoted = quoted.replace(mark, f"'\"${variable}\"'")
    return quoted


# -- landing -------------------------------------------------------------------------------------------------------


def conflict_rules(rules: Mapping[str, ConflictRule]) -> str:
    """``_orchestra_conflict_rules COMMAND...``: the first glob that matches rules."""
    rows = (words(glob, *_rule(rule)) for glob, rule in rules.items())
    return _calls("_orchestra_conflict_rules", "GLOB RULE [COMMAND]; the first that matches a conflict rules", rows)


def _rule(rule: ConflictRule) -> tuple[str, ...]:
    if isinstance(rule, Regenerate):
        return "regenerate", rule.command
    return ("union",) if isinstance(rule, Union) else ("forbid",)


def gates(blueprint: Blueprint) -> str:
    """``_orchestra_gates COMMAND...``: what must pass on a candidate, in the order in which it runs."""
    rows = (_gate(gate) for gate in blueprint.gates.values())
    says = "NAME builtin CHECK POLICY, or NAME run COMMAND SECONDS RETRIES [VARIABLE...], of each gate in order"
    return _calls("_orchestra_gates", says, rows)


def _gate(gate: Gate) -> str:
    if isinstance(gate, BuiltinGate):
        return words(gate.name, "builtin", gate.builtin, gate.policy)
    variables = (f"{key}={value}" for key, value in gate.env.items())
    return words(gate.name, "run", gate.run, ceil(gate.timeout_s), gate.retries, *variables)


# -- shapes --------------------------------------------------------------------------------------------------------


def _calls(name: str, says: str, rows: Iterable[str]) -> str:
    """A function that calls COMMAND once for each row."""
    body = "".join(f'\t"$@" {row}\n' for row in rows) or "\tcommand :\n"
    return f"# {name} COMMAND...: calls it with {says}.\n{name}() {{\n{body}}}"


def _appends(name: str, says: str, rows: Mapping[str, str]) -> str:
    """A function that calls COMMAND once, with the row of the agent in use behind it, if there is one."""
    return f"# {name} COMMAND...: appends {says}.\n" + cases(name, {key: f'"$@" {row}' for key, row in rows.items()})


def _becomes(name: str, says: str, first: str, rows: Mapping[str, str]) -> str:
    """A function that becomes COMMAND, with the row of the agent in use before it."""
    calls = {key: " ".join(filter(None, (first, row, '"$@"'))) for key, row in rows.items()}
    return f"# {name} COMMAND...: becomes it, {says}.\n" + cases(name, calls)


def cases(name: str, rows: Mapping[str, str]) -> str:
    """A function that does what stands in the row of the agent in use; ``*`` is everybody else's."""
    if not rows:
        return f"{name}() {{ command :; }}"
    if list(rows) == ["*"]:
        return f"{name}() {{ {rows['*']}; }}"
    body = "".join(f"\t{key if key == '*' else quote(key)}) {row} ;;\n" for key, row in rows.items())
    return f"{name}() {{\n\tcase $o_agent in\n{body}\tesac\n}}"
