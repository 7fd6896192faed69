"""The data of the scripts: what a blueprint declares, as shell functions with literal values.

Data stands in literal calls, one for each row, every value in quotes, so that a reviewer reads it as a table and every
shell reads it the same way (zsh does not split ``$LIST``). A function that takes COMMAND calls it once for each row.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from math import ceil
from unicodedata import normalize

from orchestra.blueprint.inline_templates import render_env, render_root
from orchestra.blueprint.model import (
    Agent,
    AgentName,
    Blueprint,
    BuiltinGate,
    ByAgents,
    Policy,
    Scope,
    Strategy,
    stand_in_agent,
)
from orchestra.blueprint.scope import Matcher, is_literal
from orchestra.errors import UsageError
from orchestra.review.verdict_giver import SESSION_VARIABLES
from orchestra.shell.inputs import AgentTexts, ScriptInputs
from orchestra.shell.quoting import comment, here_document, quote, words
from orchestra.workspace.paths import NOTES, STANDARDS, TASK, names_with

# Variable -> a character that stands for it while templates are rendered: paths that are known only where the script
# runs. From Unicode's last plane for private use.
PATHS = {"o_worktree": "\U0010fffc", "o_home": "\U0010fffd"}

_AGENT_VARIABLES = {
    "ORCHESTRA_FLEET": "o_fleet",
    "ORCHESTRA_AGENT": "o_agent",
    "ORCHESTRA_AGENT_NUMBER": "o_number",
    "ORCHESTRA_WORKTREE": "o_worktree",
    "ORCHESTRA_REPO": "o_home",
}
_NOT_ASCII = re.compile(r"\*?(?:\[[^\]]*[^\x00-\x7f][^\]]*\]|[^\x00-\x7f])+\*?")
# The UTF-8 bytes of characters that gates/scope_gate.py folds to ASCII text, such as wide, raised and ligature forms.
_FOLDS_TO_ASCII = (
    r"\302[\240-\276]|\303\237|\304[\260\262\263\277]|\305[\200\211\277]|\307[\204-\214\261-\263]|\312[\260-\270]"
    r"|\313[\230-\243]"
    r"|\315[\272\276]|\316[\204\205]|\341([\264-\266\276\277]|\272[\232\236])|\342([\201\202\204-\206\221-\223\251\261]"
    r"|\200[\200-\212\227\244-\277])|\343([\210-\217]|\200\200|\202[\233\234])|\352\237|\357[\254\261\267-\271\274\275\277]"
    r"|\360(\220\236|\234\263|\235[\220-\237]|\237[\204-\206\257])"
)
_FOLDED_NAMES = """\
# Filters standard input: names that Unicode folds to ASCII somewhere; nothing if no path is protected.
_orchestra_folded_names() {{ _orchestra_awk '/{}/'; }}"""
_BUILTIN_GATES = ("scope", "notes")
# Those of orchestra.gates.environment.
GATE_VARIABLES = (
    "PATH HOME USER LOGNAME SHELL LANG LANGUAGE TZ LC_ALL LC_COLLATE LC_CTYPE LC_MESSAGES LC_MONETARY "
    "LC_NUMERIC LC_TIME XDG_CACHE_HOME XDG_CONFIG_HOME XDG_DATA_HOME XDG_RUNTIME_DIR SSL_CERT_FILE "
    "SSL_CERT_DIR REQUESTS_CA_BUNDLE CURL_CA_BUNDLE NODE_EXTRA_CA_CERTS PIP_CERT HTTP_PROXY HTTPS_PROXY "
    "NO_PROXY ALL_PROXY http_proxy https_proxy no_proxy all_proxy JAVA_HOME GOPATH GOROOT GOMODCACHE GOCACHE "
    "GOPROXY GOFLAGS GOTOOLCHAIN CARGO_HOME RUSTUP_HOME RUSTUP_TOOLCHAIN NVM_DIR PYENV_ROOT RBENV_ROOT "
    "GEM_HOME UV_CACHE_DIR UV_INDEX_URL UV_DEFAULT_INDEX PIP_CACHE_DIR PIP_INDEX_URL PIP_FIND_LINKS "
    "PIP_NO_INDEX NPM_CONFIG_REGISTRY npm_config_registry npm_config_cache DOCKER_HOST SystemRoot "
).split()


def identity(function: str, value: str) -> str:
    """Return a function that prints which blueprint and version a script was made from."""
    return f"{function}() {{ command printf '%s' {quote(value)}; }}"


def fleet_values(inputs: ScriptInputs, identity: str) -> str:
    """Return ``_orchestra_declared``: the values of the whole fleet."""
    blueprint = inputs.blueprint
    values = (
        ("which blueprint and version", "o_identity", identity),
        ("", "o_fleet", blueprint.name),
        ("what --blueprint calls it", "o_blueprint", inputs.source),
        (
            "where the worktrees are, relative to the main checkout, whose name replaces @repository@",
            "o_root",
            _root(blueprint),
        ),
        ("where work lands; empty: the remote's default branch, else the current one", "o_target", blueprint.target),
        ("what the target must have, a pattern a line", "o_requires", "\n".join(blueprint.requires)),
        ("empty: origin where there is one", "o_remote", blueprint.remote),
        ("1: every merge pushes", "o_push", "1" if blueprint.merge.push else ""),
        (
            "coding sessions set one of these variables and may give no verdict; empty: they may",
            "o_session_variables",
            "" if blueprint.verdicts.by_agents is ByAgents.ALLOW else " ".join(SESSION_VARIABLES),
        ),
        ("what the blueprint declares and only the tool supports", "o_spawn_refused", _refused_by_spawn(blueprint)),
        ("", "o_clean_refused", _refused_by_clean(blueprint)),
        ("", "o_merge_refused", _refused_by_merge(blueprint)),
    )
    body = "".join(
        f"\t# {text}\n\t{name}={quote(value or '')}\n" if text else f"\t{name}={quote(value or '')}\n"
        for text, name, value in values
    )
    directive = "# shellcheck disable=SC2034 # the same in both scripts, so that they can be sourced together"
    return f"{directive}\n_orchestra_declared() {{\n{body}}}"


def _root(blueprint: Blueprint) -> str:
    """Return the worktrees' folder, with a mark for the repository's name. Raises UsageError where it has filters."""
    template, mark = blueprint.worktrees.root, "@repository@"
    root = render_root(template, fleet=blueprint.name, repository=mark)
    if render_root(template, fleet=blueprint.name, repository="x") != root.replace(mark, "x", 1):
        hint = "write {{ repository }} once and without filters, or use orchestra instead of the scripts"
        raise UsageError(f"the scripts cannot fill in worktrees.root {template}", hint=hint)
    return root


def _refused_by_spawn(blueprint: Blueprint) -> str:
    """Return the first declared setting that the scripts' spawn lacks; empty if there is none."""
    setup = blueprint.worktrees.setup
    return "setup.copy" if setup.copy else "setup.share" if setup.share else ""


def _refused_by_clean(blueprint: Blueprint) -> str:
    return "setup.teardown" if blueprint.worktrees.setup.teardown else ""


def _refused_by_merge(blueprint: Blueprint) -> str:
    """Return the first declared setting that the scripts' merge lacks; empty if there is none."""
    if blueprint.merge.strategy is not Strategy.REBASE:
        return f"merge.strategy: {blueprint.merge.strategy}"
    if blueprint.merge.review != "required":
        return f"merge.review: {blueprint.merge.review}"
    for gate in blueprint.gates.values():
        if isinstance(gate, BuiltinGate):
            if gate.builtin not in _BUILTIN_GATES:
                return f"the built-in gate {gate.builtin}"
            if gate.policy is not Policy.BLOCK:
                return f"the policy {gate.policy} of gate {gate.name}"
    return _refused_by_spawn(blueprint)


# -- agents --------------------------------------------------------------------------------------------------------


def agents_table(agents: Sequence[Agent]) -> str:
    """Return ``_orchestra_agents COMMAND...``: the agents in declared order."""
    rows = (words(a.number, a.name, a.stage or "", a.branch, a.directory, a.title) for a in agents)
    return _calls("_orchestra_agents", "NUMBER NAME STAGE BRANCH FOLDER TITLE of each agent, as declared", rows)


def merge_order(blueprint: Blueprint) -> str:
    """Return ``_orchestra_merge_order COMMAND...``: the agents in merge order, each with its predecessors."""
    position = {name: number for number, name in enumerate(blueprint.merge_order)}
    before = blueprint.predecessors
    rows = (words(name, *sorted(before[name], key=position.__getitem__)) for name in blueprint.merge_order)
    return _calls("_orchestra_merge_order", "each NAME in merge order, and the agents that must land before it", rows)


def scopes(blueprint: Blueprint) -> str:
    """Return functions that append git pathspecs to COMMAND: protected paths, the agent's scope, its may_edit.

    git folds the case of ASCII letters only. The scripts have no Unicode tables, so they protect too much rather than
    too little: in a protected pattern, what is not ASCII matches anything, and a name with a character that folds to
    ASCII is left to the tool.
    """
    patterns = tuple(loose for pattern in blueprint.protected for loose in _in_any_form(pattern))
    protected = _pathspecs(Scope(patterns)).replace(":(top,glob)", ":(top,icase,glob)")
    scope = {str(a.name): _pathspecs(a.scope) if a.scope else quote(":(top)") for a in blueprint.agents}
    may_edit = {str(a.name): _pathspecs(Scope(a.may_edit)) for a in blueprint.agents if a.may_edit}
    return "\n\n".join(
        (
            _appends("_orchestra_protected", "the protected paths", {"*": protected} if protected else {}),
            _FOLDED_NAMES.format(_FOLDS_TO_ASCII if protected else "^$"),
            _appends("_orchestra_scope", "the scope of the agent in use", scope),
            _appends("_orchestra_may_edit", "the protected paths that it may change; nothing if it has none", may_edit),
        )
    )


def _in_any_form(pattern: str) -> tuple[str, ...]:
    """Return patterns that match what ``pattern`` matches, in every case and normal form of what is not ASCII in it."""
    loose = _NOT_ASCII.sub("*", normalize("NFC", pattern))
    if pattern.isascii() or not is_literal(pattern):
        return (loose,)
    return (loose.rstrip("/"), f"{loose.rstrip('/')}/**")  # a plain path also stands for all below it


def _pathspecs(scope: Scope) -> str:
    included = (f":(top,glob){pattern}" for pattern in scope.include)
    return words(*included, *(f":(top,exclude,glob){pattern}" for pattern in scope.exclude))


# -- files ---------------------------------------------------------------------------------------------------------


def instructions(blueprint: Blueprint) -> str:
    """Return ``_orchestra_instructions COMMAND...``: the paths of the instruction files."""
    return _appends("_orchestra_instructions", "the instruction files", {"*": _instructions(blueprint)})


def kept_out(blueprint: Blueprint) -> str:
    """Return ``_orchestra_kept_out COMMAND...``: files that never land; a CLAUDE.md lands only if may_edit names it."""
    instruction_files = _instructions(blueprint)
    editors = [a.name for a in blueprint.agents if Matcher(Scope(a.may_edit)).matches(STANDARDS)]
    rows = dict.fromkeys(map(str, editors), instruction_files) | {"*": f"{quote(STANDARDS)} {instruction_files}"}
    return _appends("_orchestra_kept_out", "the files that never land", rows)


def _instructions(blueprint: Blueprint) -> str:
    return f'"$o_standards" {words(TASK, NOTES, *names_with(blueprint, STANDARDS).further)}'


def files_table(inputs: ScriptInputs) -> str:
    """Return ``_orchestra_files``: the texts and their paths for the agent in use. Each text stands there once."""
    numbers: dict[str, int] = {}
    uses: dict[int, list[tuple[str, str]]] = {}
    rows = []
    for item in inputs.agent_texts:
        calls = []
        for path, text in item.texts.items():
            number = numbers.setdefault(text, len(numbers) + 1)
            uses.setdefault(number, []).append((item.agent, path))
            word = '"$o_standards"' if path == inputs.standards_mark else quote(path)
            calls.append(f"\t\t_orchestra_text_{number} | _orchestra_file {word}\n")
        rows.append(f"\t{_label(item)})\n{''.join(calls)}\t\t;;\n")
    table = f"_orchestra_files() {{\n\tcase $o_agent/$o_standards in\n{''.join(rows)}\tesac\n}}"
    texts = (_text(inputs, text, number, uses[number]) for text, number in numbers.items())
    return "\n\n".join((f"# The instruction files of the agent in use.\n{table}", _fill(inputs), *texts))


def _label(item: AgentTexts) -> str:
    return f"{quote(item.agent + '/')}*" if item.standards is None else quote(f"{item.agent}/{item.standards}")


def _fill(inputs: ScriptInputs) -> str:
    """Return ``_orchestra_fill``, which replaces marks by values that are known only where the script runs."""
    text = f"# {inputs.standards_mark} is CLAUDE.md, or CLAUDE.local.md in a repository with a CLAUDE.md of its own"
    arguments = f'-e "s|{inputs.standards_mark}|$o_standards|g"'
    if inputs.blueprint.target is None:
        text += f";\n# {inputs.target_mark} is the branch where work lands"
        escaped = "$(command printf '%s' \"$o_target\" | command sed 's/[\\\\&|]/\\\\&/g')"
        arguments += f' -e "s|{inputs.target_mark}|{escaped}|g"'
    return f"{text}.\n_orchestra_fill() {{ LC_ALL=C command sed {arguments}; }}"


def _text(inputs: ScriptInputs, text: str, number: int, uses: Sequence[tuple[str, str]]) -> str:
    paths = dict.fromkeys("CLAUDE.md" if path == inputs.standards_mark else path for _, path in uses)
    agents = {agent for agent, _ in uses}
    title = comment(f"{', '.join(paths)} of {uses[0][0] if len(agents) == 1 else f'{len(uses)} agents'}")
    return f"# {title}\n_orchestra_text_{number}() {{\n\tcommand cat {here_document(text)}\n}}"


# -- set-up --------------------------------------------------------------------------------------------------------


def setup(blueprint: Blueprint) -> str:
    """Return the commands that set up a new worktree, with their time limits."""
    declared = blueprint.worktrees.setup
    rows = (words(command, ceil(declared.timeout_s)) for command in declared.run)
    return _calls("_orchestra_setup_commands", "COMMAND SECONDS of each set-up command in order", rows)


def agent_environment(blueprint: Blueprint) -> str:
    """Return ``_orchestra_agent_environment COMMAND...``, which becomes COMMAND with the agent's variables."""
    rows = {str(a.name): _variables(blueprint, a).strip() for a in blueprint.agents}
    plain = {"*": ""} if not any(rows.values()) else rows
    assignments = " ".join(f'"{name}=${variable}"' for name, variable in _AGENT_VARIABLES.items())
    return _becomes("_orchestra_agent_environment", "the agent in use", f"exec env {assignments}", plain)


def gate_environment(blueprint: Blueprint) -> str:
    """Return the same for gates: as for an agent numbered after the last one, and with an allow-list of yours.

    A gate runs the agents' code, so it gets no tokens, no agent sockets, and nothing that redirects git.
    """
    number = len(blueprint.agents) + 2
    stand_in = stand_in_agent(blueprint, AgentName("gate-1"), number)
    fixed = '"TMPDIR=$o_scratch/tmp" "ORCHESTRA_FLEET=$o_fleet" ORCHESTRA_GATE_SLOT=gate-1'
    row = fixed + _variables(blueprint, stand_in)
    yours = " ".join(f'${{{name}+"{name}=${name}"}}' for name in GATE_VARIABLES if name != "PATH")
    first = f'exec env -i "PATH=$o_path" CI=true TERM=dumb GIT_TERMINAL_PROMPT=0 {yours}'
    return _becomes("_orchestra_gate_environment", "a gate, and of yours the few that it may see", first, {"*": row})


def _variables(blueprint: Blueprint, agent: Agent) -> str:
    env = blueprint.worktrees.setup.env
    values = render_env(env, agent=agent, fleet=blueprint.name, worktree=PATHS["o_worktree"], repo=PATHS["o_home"])
    return "".join(f" {with_variables(f'{key}={value}')}" for key, value in values.items())


def with_variables(word: str) -> str:
    """Return a quoted word in which each mark of ``PATHS`` is replaced by its variable."""
    quoted = quote(word)
    for variable, mark in PATHS.items():
        quoted = quoted.replace(mark, f"'\"${variable}\"'")
    return quoted


# -- landing -------------------------------------------------------------------------------------------------------


def gates(blueprint: Blueprint) -> str:
    """Return ``_orchestra_gates COMMAND...``: what must pass on a candidate, in the order in which it runs."""
    text = "NAME builtin CHECK, or NAME run COMMAND SECONDS [VARIABLE...], of each gate in order"
    rows = []
    for gate in blueprint.gates.values():
        if isinstance(gate, BuiltinGate):
            rows.append(words(gate.name, "builtin", gate.builtin))
        else:
            variables = (f"{key}={value}" for key, value in gate.env.items())
            rows.append(words(gate.name, "run", gate.sh_command, ceil(gate.timeout_s), *variables))
    return _calls("_orchestra_gates", text, rows)


# -- shapes --------------------------------------------------------------------------------------------------------


def _calls(name: str, text: str, rows: Iterable[str]) -> str:
    """Return a function that calls COMMAND once for each row."""
    body = "".join(f'\t"$@" {row}\n' for row in rows) or "\tcommand :\n"
    return f"# {name} COMMAND...: calls it with {text}.\n{name}() {{\n{body}}}"


def _appends(name: str, text: str, rows: Mapping[str, str]) -> str:
    """Return a function that calls COMMAND once with the row of the agent in use, if it has one."""
    return f"# {name} COMMAND...: appends {text}.\n" + cases(name, {key: f'"$@" {row}' for key, row in rows.items()})


def _becomes(name: str, owner: str, first: str, rows: Mapping[str, str]) -> str:
    """Return a function that becomes COMMAND with the variables in the row of the agent in use."""
    calls = {key: " ".join(filter(None, (first, row, '"$@"'))) for key, row in rows.items()}
    return f"# {name} COMMAND...: becomes it, with the variables of {owner}.\n" + cases(name, calls)


def cases(name: str, rows: Mapping[str, str]) -> str:
    """Return a function that runs the row of the agent in use; ``*`` stands for all other agents."""
    if not rows:
        return f"{name}() {{ command :; }}"
    if list(rows) == ["*"]:
        return f"{name}() {{ {rows['*']}; }}"
    body = "".join(f"\t{key if key == '*' else quote(key)}) {row} ;;\n" for key, row in rows.items())
    return f"{name}() {{\n\tcase $o_agent in\n{body}\tesac\n}}"
