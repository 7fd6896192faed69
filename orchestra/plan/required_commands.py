"""Find the commands that gates and agents need, and those that are missing.

Only certain cases are reported: shell is not parsed beyond its first word, and set-up may create files.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection, Iterator

from orchestra.blueprint.model import Agent, Blueprint, RunGate, Runner, RunnerKind, RunnerMode, Shell
from orchestra.plan.finding import Code, Finding, Severity, place

_ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=")
_PLAIN_WORD = re.compile(r"[A-Za-z0-9_./+@-]+")
# POSIX reserved words and built-ins, and those of the shells that people have as /bin/sh.
_OF_THE_SHELL = frozenset(
    """if then else elif fi do done case esac while until for in function select time . : [ [[ alias bg break builtin
    cd command continue echo eval exec exit export false fc fg getopts hash jobs kill let local printf pwd read
    readonly return set shift source test times trap true type typeset ulimit umask unalias unset wait""".split()
)
_SCRIPT_RUNNERS = frozenset({"npm", "pnpm"})  # yarn and bun fall back to programs, so a missing script proves nothing
_TEST = frozenset({"test", "t", "tst"})  # npm's words for `npm run test`; npm has defaults for start and others


def first_word(run: str) -> str | None:
    """Return the program that a shell command starts with; None where the shell decides that, or has it built in."""
    words = _words(run)
    if not words or words[0] in _OF_THE_SHELL or not _PLAIN_WORD.fullmatch(words[0]):
        return None
    return words[0]


def script_name(run: str) -> str | None:
    """Return the package.json script at the root that ``npm test`` or ``pnpm run X`` runs; None when unsure."""
    words = _words(run)
    if len(words) < 2 or words[0] not in _SCRIPT_RUNNERS or "--if-present" in words:  # noqa: PLR2004
        return None
    if words[1] in _TEST:
        name: str | None = "test"
    else:
        name = words[2] if words[1] in ("run", "run-script") and len(words) > 2 else None  # noqa: PLR2004
    # An option before the name, or `--prefix web` after it, may send npm to another package.json.
    elsewhere = {"-w", "-r", "-C", "-F", "--prefix", "--workspace", "--workspaces", "--filter", "--recursive", "--dir"}
    if name is None or any(word.partition("=")[0] in elsewhere for word in words):
        return None
    return name if re.fullmatch(r"[A-Za-z0-9:_.-]*[A-Za-z0-9]", name) and not name.startswith("-") else None


def needed_commands(blueprint: Blueprint) -> frozenset[str]:
    """Return every command that must be on PATH for the set-up, the gates and the agents' programs."""
    gates = {word for _, word in _gate_words(blueprint) if "/" not in word or word.startswith("/")}
    runners = {word for agent in blueprint.agents for word in _runner_words(blueprint, agent)}
    setup = {word for run in blueprint.worktrees.setup.run if (word := first_word(run)) and "/" not in word}
    return frozenset(gates | runners | setup)


def runner_commands(runner: Runner) -> tuple[str, ...]:
    """Return the commands that must be on PATH to start a session with this runner, as far as it names them."""
    if runner.kind is RunnerKind.NONE:
        return ()
    program = next(iter(runner.command), "") if runner.kind is RunnerKind.COMMAND else str(runner.kind)
    words = (program, "tmux") if runner.mode is RunnerMode.TMUX else (program,)
    return tuple(word for word in words if _PLAIN_WORD.fullmatch(word) and "/" not in word)


def command_findings(
    blueprint: Blueprint, missing: Collection[str], tracked: Collection[str], scripts: Collection[str] | None
) -> Iterator[Finding]:
    """Yield a finding for each gate that cannot run here and each program that cannot start.

    ``missing`` are commands not on PATH, ``tracked`` the paths at the base, ``scripts`` those of its package.json.
    """
    yield from _gates_without_command(blueprint, missing, tracked)
    if scripts is not None:
        yield from _gates_without_script(blueprint, scripts, "package.json" in tracked)
    yield from _runners_not_found(blueprint, missing)


def _gates_without_command(
    blueprint: Blueprint, missing: Collection[str], tracked: Collection[str]
) -> Iterator[Finding]:
    setup = blueprint.worktrees.setup
    has_setup = bool(setup.run or setup.share or setup.copy)  # which may create the file
    for gate, word in _gate_words(blueprint):
        where = place(blueprint, "gates", gate.name, "run")
        if word in missing:
            message = f"gate {gate.name} cannot run here: {word} is not on PATH"
            advice = f"install {word} where the merge will run, or change the gate's command"
        elif "/" in word and not (
            word.startswith("/") or has_setup or ".." in word or word.removeprefix("./") in tracked
        ):
            message = f"gate {gate.name} cannot run: {word} is not in the repository, and no set-up creates it"
            advice = "commit the file, or change the gate's command"
        else:
            continue
        yield Finding(Severity.WARNING, Code.GATE_CANNOT_RUN, message, advice, where)


def _gates_without_script(blueprint: Blueprint, scripts: Collection[str], has_package: bool) -> Iterator[Finding]:
    lacking = "has no such script" if has_package else "is missing"
    for gate in run_gates(blueprint):
        name = script_name(gate.run)
        if name is not None and name not in scripts:
            yield Finding(
                Severity.WARNING,
                Code.GATE_CANNOT_RUN,
                f"gate {gate.name} cannot run: it needs the npm script {name}; package.json on the target {lacking}",
                "add it to the target before you spawn, or change the gate; until then every candidate fails",
                place(blueprint, "gates", gate.name, "run"),
            )


def _runners_not_found(blueprint: Blueprint, missing: Collection[str]) -> Iterator[Finding]:
    users: dict[str, list[Agent]] = {}
    for agent in blueprint.agents:
        for word in _runner_words(blueprint, agent):
            if word in missing:
                users.setdefault(word, []).append(agent)
    for word, agents in users.items():
        places = (blueprint.origins.get(("agents", agent.number - 1, "runner")) for agent in agents)
        names = tuple(agent.name for agent in agents)
        shown = "all agents" if len(names) == len(blueprint.agents) else ", ".join(names)
        yield Finding(
            Severity.WARNING,
            Code.RUNNER_NOT_FOUND,
            f"{word} is not on PATH, so the sessions of {shown} cannot start here",
            f"install {word}, or set another `runner:` (kind none: you start the agents by hand)",
            next(filter(None, places), None) or place(blueprint, "runner"),
            names,
        )


def _runner_words(blueprint: Blueprint, agent: Agent) -> tuple[str, ...]:
    own_path = "PATH" in {*agent.runner.env, *blueprint.worktrees.setup.env}
    return () if own_path else runner_commands(agent.runner)


def _gate_words(blueprint: Blueprint) -> Iterator[tuple[RunGate, str]]:
    for gate in run_gates(blueprint):
        if "PATH" in {*gate.env, *blueprint.worktrees.setup.env}:
            continue
        if gate.shell is Shell.BASH:
            yield gate, "bash"
        word = first_word(gate.run)
        if word is not None:
            yield gate, word


def run_gates(blueprint: Blueprint) -> Iterator[RunGate]:
    """Return the gates that run a command."""
    return (gate for gate in blueprint.gates.values() if isinstance(gate, RunGate))


def _words(run: str) -> list[str]:
    """Return the words of the first command; shell that shlex cannot split gives none."""
    first_line = next(iter(run.replace("\\\n", " ").strip().splitlines()), "")
    lexer = shlex.shlex(first_line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    words: list[str] = []
    try:
        for word in lexer:
            if set(word) <= set(";&|()<>"):
                break
            if words or not _ASSIGNMENT.match(word):
                words.append(word)
    except ValueError:
        return []
    return words
