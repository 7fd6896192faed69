"""What a blueprint declares, as shell functions: values, agents, files, gates.

Invariant: data stands in literal calls, one for each thing, every value in quotes; so a reviewer reads it as a table
and every shell reads it the same way (zsh does not split ``$LIST``, facts/libraries.md 8). Refuses: logic.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from orchestra.blueprint.model import Agent, Blueprint, ConflictRule, Regenerate, Union
from orchestra.shell.quoting import comment, here_document, quote, words

Files = Mapping[str, str]
"""Path in a worktree -> text."""


def fleet_values(blueprint: Blueprint, source: str, identity: str) -> str:
    """``_orchestra_declared``: what is one for the whole fleet."""
    values = (
        ("which blueprint and version", "o_identity", identity),
        ("", "o_fleet", blueprint.name),
        ("what --blueprint calls it", "o_source", source),
        ("where the worktrees are, relative to the main checkout", "o_root", blueprint.worktrees.root),
        (
            "where work lands; empty: the remote's default branch, else the current one",
            "o_target",
            blueprint.target or "",
        ),
        ("empty: origin where there is one", "o_remote", blueprint.remote or ""),
    )
    lines = (
        f"\t# {remark}\n\t{name}={quote(value)}" if remark else f"\t{name}={quote(value)}"
        for remark, name, value in values
    )
    return "_orchestra_declared() {\n" + "\n".join(lines) + "\n}"


def agents_table(agents: Sequence[Agent]) -> str:
    """``_orchestra_agents COMMAND...``: the agents in declared order."""
    rows = (words(a.number, a.name, a.stage or "", a.branch, a.directory, a.title) for a in agents)
    says = "calls it with NUMBER NAME STAGE BRANCH FOLDER TITLE of each agent, as declared."
    return _calls("_orchestra_agents", says, rows)


def merge_order(blueprint: Blueprint) -> str:
    """``_orchestra_merge_order COMMAND...``: the agents in the order in which they land, each with its predecessors."""
    place = {name: number for number, name in enumerate(blueprint.merge_order)}
    rows = (words(name, *sorted(blueprint.predecessors[name], key=place.__getitem__)) for name in blueprint.merge_order)
    says = "calls it with each agent's name in merge order, and the names of who must land before."
    return _calls("_orchestra_merge_order", says, rows)


def conflict_rules(rules: Mapping[str, ConflictRule]) -> str:
    """``_orchestra_conflict_rules COMMAND...``: the first glob that matches rules."""
    rows = (words(glob, *_rule(rule)) for glob, rule in rules.items())
    says = "calls it with GLOB RULE [COMMAND]; the first that matches a conflict rules."
    return _calls("_orchestra_conflict_rules", says, rows)


def _rule(rule: ConflictRule) -> tuple[str, ...]:
    if isinstance(rule, Regenerate):
        return "regenerate", rule.command
    return ("union",) if isinstance(rule, Union) else ("forbid",)


def _calls(name: str, says: str, rows: Iterable[str]) -> str:
    body = "".join(f'\t"$@" {row}\n' for row in rows) or "\tcommand :\n"
    return f"# {name} COMMAND...: {says}\n{name}() {{\n{body}}}"


def files_table(files: Mapping[str, Files]) -> str:
    """``_orchestra_files``: which text goes to which path, for the agent in use; and the texts, each once."""
    numbers: dict[str, int] = {}
    uses: dict[int, list[tuple[str, str]]] = {}
    cases = []
    for agent, texts in files.items():
        lines = []
        for path, text in texts.items():
            number = numbers.setdefault(text, len(numbers) + 1)
            uses.setdefault(number, []).append((agent, path))
            lines.append(f"\t\t{_reader(text, number)} | _orchestra_file {quote(path)}\n")
        cases.append(f"\t{quote(agent)})\n{''.join(lines)}\t\t;;\n")
    table = f"_orchestra_files() {{\n\tcase $o_agent in\n{''.join(cases)}\tesac\n}}"
    shown = (_text(text, number, uses[number]) for text, number in numbers.items())
    return "\n\n".join(["# The instruction files of the agent in use.\n" + table, *shown])


def _reader(text: str, number: int) -> str:
    """A here-document ends in a newline; a text that does not is read through a filter that takes it away."""
    call = f"_orchestra_text_{number}"
    return call if not text or text.endswith("\n") else f"{call} | _orchestra_without_last_newline"


def _text(text: str, number: int, uses: Sequence[tuple[str, str]]) -> str:
    paths = dict.fromkeys(path for _, path in uses)
    who = uses[0][0] if len(uses) == 1 else f"{len(uses)} agents"
    title = comment(f"{', '.join(paths)} of {who}")
    return f"# {title}\n_orchestra_text_{number}() {{\n\tcommand cat {here_document(text)}\n}}"


def identity(function: str, value: str) -> str:
    """A function that tells which blueprint and version a script was made from."""
    return f"{function}() {{ command printf '%s' {quote(value)}; }}"


def instructions(further: Iterable[str]) -> str:
    """``_orchestra_instructions COMMAND...``: the paths that never land. ``o_standards`` is known where it runs."""
    rest = words("TASK.md", "AGENT_NOTES.md", *further)
    says = "calls it with the files that never land; o_standards is CLAUDE.md or CLAUDE.local.md."
    name = "_orchestra_instructions"
    return f'# {name} COMMAND...: {says}\n{name}() {{ "$@" "$o_standards" {rest}; }}'
