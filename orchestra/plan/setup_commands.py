"""Find set-up commands that cannot work on the target, and words that the shell of gates and set-up lacks. Pure.

Only certain cases are reported. A set-up is followed from its first command, as long as every command is known; a
command that may create files or change the folder ends that.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection, Iterator
from typing import NamedTuple

from orchestra.blueprint.model import Blueprint, Scope, Shell
from orchestra.blueprint.scope import Matcher
from orchestra.plan.finding import Code, Finding, Severity, place
from orchestra.plan.required_commands import first_word, run_gates
from orchestra.text import format_list


class _Need(NamedTuple):
    """``program`` and one of ``verbs``, with one of ``flags`` where there are any, needs one of ``files``."""

    program: str
    verbs: str
    flags: str
    files: str


_NEEDS = tuple(
    _Need(*(part.strip() for part in line.split("|")))
    for line in """\
        npm | ci clean-install ic install-clean | | package-lock.json npm-shrinkwrap.json
        pnpm | install i | --frozen-lockfile | pnpm-lock.yaml
        yarn | install | --frozen-lockfile --immutable | yarn.lock
        bun | install | --frozen-lockfile | bun.lock bun.lockb
        uv | sync run | --locked --frozen | uv.lock
        uv | sync | | pyproject.toml
        poetry | install sync | | pyproject.toml
        pdm | sync | | pdm.lock
        pipenv | sync | | Pipfile.lock
        go | mod download verify vendor | | go.mod go.work
        cargo | build check fetch run test | --locked --frozen | Cargo.lock
        cargo | build check fetch run test | | Cargo.toml
        bundle | install | | Gemfile
        composer | install | | composer.json
        make | | | Makefile makefile GNUmakefile""".splitlines()
)
_ELSEWHERE = re.compile(
    r"(-[CwrFf]|--(prefix|workspaces?|filter|recursive|dir|cwd|project|directory|manifest-path))(=.*)?"
)
_PIP = re.compile(r"(?:\S*/)?(?:pip3?|python3? -m pip|uv pip) install\b")
_CREATES_NO_INPUT = re.compile(
    r"(set|true|echo|export|:|go)\b|npm (ci|clean-install|ic|install-clean)\b|.* --(frozen-lockfile|immutable|locked)"
)
"""Commands that create no file which a later command may need."""
_BASH_WORDS = {
    "[[": "write `[ ... ]`, with every variable in double quotes",
    "source": "write `. ./FILE`",
    "function": "write `NAME() { ...; }`",
    **dict.fromkeys(("pushd", "popd"), "write `(cd FOLDER && ...)`"),
    **dict.fromkeys(("declare", "shopt", "mapfile", "readarray"), "write `bash -c '...'`, or for a gate `shell: bash`"),
}
"""Words that POSIX sh lacks -> what to write instead. Gates and set-up run with sh, which is dash on Debian."""
_BASH_LIKE = frozenset(("bash", "zsh", "ksh", "mksh"))
_OPERATORS = ";&|()<>"
_KEYWORDS = frozenset("if then elif else while until do ! { time".split())


def setup_findings(blueprint: Blueprint, tracked: Collection[str], missing: Collection[str]) -> Iterator[Finding]:
    """Yield an error for each set-up command that cannot work: its program or a file that it reads is missing.

    ``tracked`` are the paths at the agents' start, ``missing`` the commands that are not on PATH.
    """
    setup = blueprint.worktrees.setup
    # What `requires` names has its own finding.
    expected = Matcher(Scope(setup.copy + setup.share + blueprint.requires)).matches
    is_certain = ".worktreeinclude" not in tracked  # which may bring any file
    for number, run in enumerate(setup.run):
        where = place(blueprint, "worktrees", "setup", "run", number)
        word = first_word(run)
        if word in missing and "PATH" not in setup.env:
            message, advice = (
                f"set-up `{run}` cannot run: {word} is not on PATH",
                f"install {word}, or change the command",
            )
            yield Finding(Severity.ERROR, Code.SETUP_PROGRAM_MISSING, message, advice, where)
        for words in _simple_commands(run):
            needed = _needed_files(words) if is_certain else None
            if needed is None:
                is_certain = False
                break
            for files in needed:
                if any(file in tracked or expected(file) for file in files):
                    continue
                names = format_list(files, conjunction="or")
                message = f"set-up `{run}` cannot work: the target has no {names}"
                advice = f"commit {names} to the target, or change the command (worktrees.setup.run)"
                yield Finding(Severity.ERROR, Code.SETUP_CANNOT_RUN, message, advice, where, (), files)
            is_certain = bool(_CREATES_NO_INPUT.match(" ".join(words)) or _PIP.match(" ".join(words)))


def shell_findings(blueprint: Blueprint, shell: str) -> Iterator[Finding]:
    """Yield the words of gates and set-up that ``sh`` lacks. ``shell`` is the name of this machine's sh.

    An error where set-up cannot work here, else a warning.
    """
    gates = [
        (f"gate {gate.name}", gate.run, ("gates", gate.name, "run"))
        for gate in run_gates(blueprint)
        if gate.shell is Shell.SH and not gate.is_argv
    ]
    runs = blueprint.worktrees.setup.run
    setup = [(f"set-up `{run}`", run, ("worktrees", "setup", "run", number)) for number, run in enumerate(runs)]
    for owner, run, key in (*gates, *setup):
        is_error = key[0] != "gates" and shell not in _BASH_LIKE
        code = Code.GATE_CANNOT_RUN if key[0] == "gates" else Code.SETUP_CANNOT_RUN
        for word in dict.fromkeys(_shell_words(run)):
            message = f"{owner} uses `{word}`, which bash has and sh lacks; commands run with sh"
            severity = Severity.ERROR if is_error else Severity.WARNING
            yield Finding(severity, code, message, _BASH_WORDS[word], place(blueprint, *key))


def _shell_words(run: str) -> Iterator[str]:
    for words in _split(run):
        command = [word for word in words if word not in _KEYWORDS]
        if command and command[0] in _BASH_WORDS:
            yield command[0]


def _simple_commands(run: str) -> Iterator[list[str]]:
    """Yield the words of the commands that run one after another, up to the first that only may run."""
    previous: list[str] = []
    for words in (*_split(run), []):
        if words and (set(words[0]) <= set(_OPERATORS) or words[0] in _KEYWORDS):
            return  # with `previous || ...` the failure of the previous one may be intended
        if previous:
            yield previous
        previous = words


def _split(run: str) -> Iterator[list[str]]:
    """Yield the words of each simple command without assignments, and each operator but ``;`` and ``&&`` alone."""
    lexer = shlex.shlex(run.replace("\\\n", " ").replace("\n", " ; "), posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    words: list[str] = []
    try:
        for word in [*lexer, ";"]:
            if not set(word) <= set(_OPERATORS):
                if words or not re.match(r"[A-Za-z_][A-Za-z0-9_]*=", word):
                    words.append(word)
                continue
            if words:
                yield words
            words = []
            if word not in (";", "&&"):
                yield [word]
    except ValueError:  # a quote that is not closed: the shell will say so
        return


def _needed_files(words: list[str]) -> list[tuple[str, ...]] | None:
    """Return the files that a command needs, each with its alternatives; None for a command that is not known."""
    line = " ".join(words)
    if _PIP.match(line):
        named = re.findall(r" (?:-r|--requirement)[ =]?([\w./+-]+)(?= |$)", line)
        return [(file.removeprefix("./"),) for file in named if not file.startswith("/") and ".." not in file]
    if any(_ELSEWHERE.fullmatch(word) for word in words[1:]):
        return None
    for need in _NEEDS:
        if words[0] == need.program and _has(words[1:], need.verbs) and _has(words, need.flags):
            return [tuple(need.files.split())]
    return [] if _CREATES_NO_INPUT.match(line) else None


def _has(words: list[str], choices: str) -> bool:
    return not choices or not {*words}.isdisjoint(choices.split())


def reuse_findings(blueprint: Blueprint) -> Iterator[Finding]:
    """Say which files one candidate can change for the next, because the blueprint declares it."""
    if keep := blueprint.slots.keep:
        message = f"files that match {format_list(keep, most=4)} stay in a gate slot from one candidate to the next"
        advice = "a branch can change them for those tested after it; remove slots.keep to start each without them"
        yield Finding(Severity.NOTE, Code.SLOT_REUSE, message, advice, place(blueprint, "slots", "keep"))
