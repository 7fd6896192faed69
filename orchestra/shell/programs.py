"""The program that an agent is, as a shell function: what ``orchestra_start`` puts into the worktree and the terminal.

Invariant: the same argv as the blueprint declares, each word quoted; what is known only at that moment (paths, the
prompt, an id) comes from a variable. Refuses, when it is called: a command that needs ``{settings}``, which only the
tool writes.
"""

from __future__ import annotations

import re

from orchestra.blueprint.inline_templates import render_all, render_env
from orchestra.blueprint.model import Agent, Blueprint, RunnerKind
from orchestra.sessions.prompts import FIRST
from orchestra.shell.declared import PATHS, cases, with_variables
from orchestra.shell.quoting import quote, words

_WHERE = {"worktree": PATHS["o_worktree"], "repo": PATHS["o_home"]}
_PLACEHOLDERS = {
    "{prompt}": "o_prompt",
    "{prompt_file}": "o_prompt_file",
    "{worktree}": "o_worktree",
    "{session_id}": "o_session",
}


def program(blueprint: Blueprint) -> str:
    """``_orchestra_program``: becomes the program of the agent in use; and ``o_prompt``, what it is told."""
    rows = {str(agent.name): _start(blueprint, agent) for agent in blueprint.agents}
    same = {"*": next(iter(rows.values()))} if len(set(rows.values())) == 1 else rows
    says = "# _orchestra_program: becomes the program of the agent in use."
    return (
        f"_orchestra_prompt() {{ command printf '%s' {quote(FIRST)}; }}\n\n{says}\n{cases('_orchestra_program', same)}"
    )


def _start(blueprint: Blueprint, agent: Agent) -> str:
    runner = agent.runner
    if runner.kind is RunnerKind.NONE:
        return "_orchestra_say_by_hand"
    if runner.kind is RunnerKind.COMMAND and any("{settings}" in word for word in runner.command):
        what = '"the command of $o_agent needs {settings}, which only the tool writes"'
        return f"_orchestra_fail 2 {what} {quote('orchestra start')}"
    env = render_env(runner.env, agent=agent, fleet=blueprint.name, **_WHERE)
    before = "".join(f" {with_variables(f'{key}={value}')}" for key, value in env.items())
    argv = _argv(blueprint, agent)
    session = "o_session=$(_orchestra_session) && " if "$o_session" in argv else ""
    return f"{session}_orchestra_agent_variables{' env' + before if before else ''} {argv}"


def _argv(blueprint: Blueprint, agent: Agent) -> str:
    runner = agent.runner
    if runner.kind is RunnerKind.CLAUDE:
        model = f" {words('--model', runner.model)}" if runner.model else ""
        return f'claude "$o_prompt" --permission-mode acceptEdits{model}'
    argv = render_all(runner.command, agent=agent, fleet=blueprint.name, **_WHERE)
    spoken = any("{prompt}" in word or "{prompt_file}" in word for word in argv)
    return " ".join(map(_word, argv)) + ("" if spoken else ' <"$o_prompt_file"')


def _word(word: str) -> str:
    """A word whose placeholders are variables."""
    parts = re.split(r"(\{(?:prompt|prompt_file|worktree|session_id)\})", word)
    return (
        "".join(
            f'"${_PLACEHOLDERS[part]}"' if part in _PLACEHOLDERS else with_variables(part) for part in parts if part
        )
        or "''"
    )
