"""Write the text of a first blueprint: stacks, agents with scopes, and comments where a person decides.

The text loads without a problem and its scopes share no path. The default tasks do no harm when they are spawned
unread.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Final

from orchestra.scaffold.areas import Area, Kind
from orchestra.scaffold.detect import Stack
from orchestra.scaffold.draft_texts import HEAD, PROFILES, RULES
from orchestra.scaffold.stacks.manifests import Command

_WIDTH: Final = 118
_LOG_FILES: Final = ("CHANGELOG.md", "CHANGES.md", "CHANGES.rst", "HISTORY.md", "NEWS.md", "CHANGELOG.rst")
_DOLLARS_EACH: Final = 10
_MOST_AT_ONCE: Final = 6
_NOT_STRINGS: Final = frozenset("null true false yes no on off y n".split())
_TITLES: Final = {
    Kind.INFRASTRUCTURE: "Scripts and deployment",
    Kind.TESTS: "The test suite as a whole",
    Kind.DOCS: "Documentation and examples",
    Kind.REST: "Everything else",
}
_PROFILE: Final = {
    Kind.CODE: "code",
    Kind.INTERFACE: "code",
    Kind.INFRASTRUCTURE: "scripts",
    Kind.TESTS: "suite",
    Kind.DOCS: "docs",
    Kind.REST: "rest",
}


def draft_blueprint(stack: Stack, areas: Sequence[Area], tracked: Iterable[str], *, name: str | None = None) -> str:
    """Return the blueprint's YAML. ``areas`` is never empty; ``tracked`` has the lock and log files."""
    stack = replace(stack, name=name or stack.name)
    files = frozenset(tracked)
    kinds = [kind.value for kind in Kind if any(area.kind is kind for area in areas)]
    parts = (
        _head(stack, areas),
        *_extends(stack),
        f"stages: [{', '.join(kinds)}]   # all start together and land in this order\n",
        "overlap: error                      # plan and spawn refuse scopes that share a file\n",
        RULES,
        _protected(stack),
        *_setup(stack),
        _gates(stack),
        *_merge(stack, files),
        _limits(areas),
        _profiles(areas),
        _agents(areas),
    )
    return "\n".join(parts)


def _head(stack: Stack, areas: Sequence[Area]) -> str:
    made_of = ", ".join(str(part) for part in stack.parts) or "no known build tool"
    count = f"{len(areas)} agent" + ("s" if len(areas) > 1 else "")
    detected = f"Drafted by `orchestra init`. Detected: {made_of}."
    description = f"{count} for {stack.name}, each with its own part of the repository."
    return HEAD.format(
        detected=textwrap.fill(detected, _WIDTH, initial_indent="# ", subsequent_indent="# "),
        name=_plain(stack.name),
        title=_text(f"{count} for {stack.name}"),
        description=description,
    )


def _extends(stack: Stack) -> Iterator[str]:
    if stack.packs:
        packs = ", ".join(stack.packs)
        yield (
            "# For a service (REST, PostgreSQL, Docker ...) you can extend shipped standards with rules and gates:\n"
            f"# extends: [{packs}]\n"
        )


def _protected(stack: Stack) -> str:
    if not stack.protected:
        return "protected: []                       # changed only by you, or by an agent with `may_edit`\n"
    return _block(
        "protected:                          # changed only by you, or by an agent with `may_edit`", stack.protected
    )


def _setup(stack: Stack) -> Iterator[str]:
    """Return the set-up section; nothing where no set-up is needed."""
    lines = ["worktrees:", "  setup:"]
    if stack.copy:
        lines.append(f"    copy: [{', '.join(map(_text, stack.copy))}]   # untracked files that a fresh worktree lacks")
    if stack.setup:
        lines += ["    run:", *(f"      - {_text(command)}" for command in stack.setup)]
    if stack.port is not None:
        lines.append(f'    env: {{PORT: "{{{{ {stack.port} + agent.number }}}}"}}   # a separate port for each agent')
    if len(lines) > len(("worktrees:", "setup:")):
        yield "\n".join(lines) + "\n"


def _gates(stack: Stack) -> str:
    lines = [
        "gates:                              # run on each candidate, in this order",
        "  scope: {builtin: scope, policy: block}",
        "  notes: {builtin: notes}",
    ]
    lines += [f"  {name}: {_gate(command)}   # {command.source}" for name, command in stack.gates.items()]
    if not any(command.gate == "tests" for command in stack.gates.values()):
        lines.append("  # EDIT: no test command was detected. Without one, work lands untested.")
        lines.append('  # tests: {run: "make test", timeout: 15m}')
    return "\n".join(lines) + "\n"


def _gate(command: Command) -> str:
    timeout = "15m" if command.gate == "tests" else "5m"
    env = ", ".join(f"{name}: {_text(value)}" for name, value in command.env.items())
    return f"{{run: {_text(command.run)}, timeout: {timeout}{f', env: {{{env}}}' if env else ''}}}"


def _merge(stack: Stack, files: frozenset[str]) -> Iterator[str]:
    rules = [f"    {_text(name)}: union" for name in _LOG_FILES if name in files]
    rules += [
        f"    {_text(lock)}: {{regenerate: {_text(run)}}}" for lock, run in stack.regenerate.items() if lock in files
    ]
    if rules:
        yield "\n".join(["merge:", "  conflicts:", *rules]) + "\n"


def _limits(areas: Sequence[Area]) -> str:
    return (
        "runner:\n"
        "  kind: claude\n"
        "  max_turns: 200\n"
        f"  max_budget_usd: {_DOLLARS_EACH}                # for each agent\n"
        "\n"
        "limits:\n"
        f"  agents: {min(len(areas), _MOST_AT_ONCE)}                         # sessions at once\n"
        "  gates: 2                          # candidates under test at once\n"
        f"  budget_usd: {_DOLLARS_EACH * len(areas)}                    # for the fleet\n"
    )


def _profiles(areas: Sequence[Area]) -> str:
    used = dict.fromkeys(_PROFILE[area.kind] for area in areas)
    return "profiles:\n" + "\n".join(PROFILES[name] for name in used)


def _agents(areas: Sequence[Area]) -> str:
    return "agents:\n" + "\n".join(_agent(area) for area in areas)


def _agent(area: Area) -> str:
    title = _TITLES.get(area.kind)
    lines = [
        f"  - name: {_plain(area.name)}",
        *([f"    title: {title}"] if title else []),
        f"    from: {_PROFILE[area.kind]}",
        f"    with: {{where: {_text(area.where)}}}",
        f"    stage: {area.kind.value}",
        *_scope(area),
    ]
    return "\n".join(lines) + "\n"


def _scope(area: Area) -> list[str]:
    note = f"   # {area.files:,} {'file' if area.files == 1 else 'files'}"
    include = ", ".join(map(_text, area.include))
    if not area.exclude:
        return [f"    scope: [{include}]{note}"]
    exclude = _wrapped(area.exclude, 16)
    return [f"    scope:{note}", f"      include: [{include}]", f"      exclude: [{exclude}]"]


def _wrapped(values: Sequence[str], indent: int) -> str:
    """Return the values, several to a line; a line break between two entries of a flow list means nothing."""
    lines, line = [], ""
    for value in map(_text, values):
        if line and indent + len(line) + len(value) > _WIDTH:
            lines.append(line.rstrip())
            line = ""
        line += f"{value}, "
    return ("\n" + " " * indent).join([*lines, line]).removesuffix(", ")


def _block(head: str, values: Sequence[str]) -> str:
    return "\n".join([head, *(f"  - {_text(value)}" for value in values)]) + "\n"


def _plain(name: str) -> str:
    """Return a slug without quotes, unless a YAML reader could take it for another type."""
    return _text(name) if name in _NOT_STRINGS or name[0].isdigit() else name


def _text(value: str) -> str:
    """Return a YAML double-quoted string on one line. (JSON's escapes do not do: YAML knows no surrogate pairs.)"""
    return f'"{"".join(map(_escaped, value))}"'


def _escaped(character: str) -> str:
    if character in '\\"':
        return f"\\{character}"
    return character if character.isprintable() else f"\\U{ord(character):08x}"
