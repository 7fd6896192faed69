"""The program of each agent as a shell function, which ``orchestra_start`` runs in its worktree and terminal.

Every word of the declared command is quoted; what is known only at that moment (paths, the prompt) comes from a
variable. A command that needs ``{settings}`` or ``{session_id}`` fails when it is called: only the tool makes them.
"""

from __future__ import annotations

import re

from orchestra.blueprint.inline_templates import render_all, render_env
from orchestra.blueprint.model import PROGRAMS, Agent, Blueprint, RunnerKind
from orchestra.sessions.prompts import FIRST
from orchestra.shell.data_sections import PATHS, cases, with_variables
from orchestra.shell.quoting import quote, words

_WORKTREE, _REPO = PATHS["o_worktree"], PATHS["o_home"]
_PLACEHOLDERS = {
    "{prompt}": "o_prompt",
    "{prompt_file}": "o_prompt_file",
    "{worktree}": "o_worktree",
}


def runner_section(blueprint: Blueprint) -> str:
    """Return ``_orchestra_program``, which becomes the program of the agent in use, and ``_orchestra_prompt``."""
    rows = {str(agent.name): _start_command(blueprint, agent) for agent in blueprint.agents}
    same = {"*": next(iter(rows.values()))} if len(set(rows.values())) == 1 else rows
    text = "# _orchestra_program: becomes the program of the agent in use."
    prompt = f"_orchestra_prompt() {{ command printf '%s' {quote(FIRST)}; }}"
    return f"{prompt}\n\n{text}\n{cases('_orchestra_program', same)}"


def _start_command(blueprint: Blueprint, agent: Agent) -> str:
    runner = agent.runner
    if runner.kind is RunnerKind.NONE:
        return '_orchestra_say "start your program in $o_worktree with this prompt: $o_prompt"'
    if runner.kind is RunnerKind.COMMAND and any("{settings}" in w or "{session_id}" in w for w in runner.command):
        message = '"the command of $o_agent needs {settings} or {session_id}, which only the tool makes"'
        return f"_orchestra_fail 2 {message} {quote('orchestra start')}"
    if runner.kind in PROGRAMS:
        return f"_orchestra_fail 2 {quote(f'only the tool drives {runner.kind}')} {quote('orchestra start')}"
    env = render_env(runner.env, agent=agent, fleet=blueprint.name, worktree=_WORKTREE, repo=_REPO)
    assignments = "".join(f" {with_variables(f'{key}={value}')}" for key, value in env.items())
    if runner.kind is RunnerKind.CLAUDE:
        model = f" {words('--model', runner.model)}" if runner.model else ""
        command = f'claude "$o_prompt" --permission-mode acceptEdits{model}'
    else:
        argv = render_all(runner.command, agent=agent, fleet=blueprint.name, worktree=_WORKTREE, repo=_REPO)
        takes_prompt = any("{prompt}" in word or "{prompt_file}" in word for word in argv)
        command = " ".join(map(_word, argv)) + ("" if takes_prompt else ' <"$o_prompt_file"')
    return f"_orchestra_agent_environment{' env' + assignments if assignments else ''} {command}"


def _word(word: str) -> str:
    """Return a word with variables in place of its placeholders."""
    parts = re.split(r"(\{(?:prompt|prompt_file|worktree)\})", word)
    quoted = (f'"${_PLACEHOLDERS[part]}"' if part in _PLACEHOLDERS else with_variables(part) for part in parts if part)
    return "".join(quoted) or "''"
