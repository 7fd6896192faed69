"""Write the text of a first blueprint: set-up, gates, agents with scopes, and a marked line where a person decides.

The text loads without a problem and its scopes share no path. The default tasks do no harm when they are spawned
unread.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Collection, Iterator, Sequence
from typing import Final

from orchestra.scaffold.areas import Area, Kind
from orchestra.scaffold.detect import Stack
from orchestra.scaffold.draft_texts import BRANCHES, HEAD, LIMITS, PROFILES, RULES

WORKTREE_INCLUDE: Final = ".worktreeinclude"
_WIDTH: Final = 118
_CHANGE_LOG: Final = re.compile(r"(changelog|changes|history|news|releases)(\.(md|rst|txt))?", re.IGNORECASE)
_NO_WORK: Final = re.compile(rf"{_CHANGE_LOG.pattern}|(licen[cs]e|copying)(\.\w+)?", re.IGNORECASE)
_DOLLARS_EACH: Final = 10
_MOST_AT_ONCE: Final = 6
_MOST_UNOWNED: Final = 5
_NOT_STRINGS: Final = frozenset("null true false yes no on off y n".split())
_AGENT_GATES: Final = ("  scope: {builtin: scope, policy: block}", "  notes: {builtin: notes}")
_BRANCH_GATES: Final = ("  secrets: {builtin: secrets}",)
_TITLES: Final = {
    Kind.INFRASTRUCTURE: "Scripts and deployment",
    Kind.TESTS: "End-to-end tests",
    Kind.DOCS: "Documentation and examples",
}


def draft_blueprint(
    stack: Stack, areas: Sequence[Area], tracked: Collection[str], *, name: str, unowned: Sequence[str] = ()
) -> str:
    """Return the blueprint's YAML. ``tracked`` has the lock files and change logs; ``unowned`` is in no scope."""
    count = f"{len(areas)} agent" + ("s" if len(areas) > 1 else "")
    head = HEAD.format(
        detected=comment(f"Drafted by `orchestra init`. Detected: {detected_stacks(stack)}."),
        name=plain(name),
        title=quoted(f"{count} for {name}"),
        description=f"{count} for {name}{', each with its own part of the repository' if len(areas) > 1 else ''}.",
    )
    used = dict.fromkeys(area.kind for area in areas)
    agents = [*map(_agent, areas)]
    unowned = [path for path in unowned if not path.startswith(".") and not _NO_WORK.fullmatch(path)]
    if unowned:
        names = [re.sub(r"[^ -~]", "?", path) for path in unowned[:_MOST_UNOWNED]]
        listed = ", ".join([*names, *(["..."] if len(unowned) > _MOST_UNOWNED else [])])
        count = "1 file is" if len(unowned) == 1 else f"{len(unowned):,} files are"
        edit = f"EDIT: {count} in no agent's scope ({listed}). Add to a scope what the work needs."
        agents.append(comment(edit, indent="  ") + "\n")
    profiles = "profiles:\n" + "\n".join(PROFILES[kind.value] for kind in used)
    return frame(stack, tracked, head, len(areas), [profiles, "agents:\n" + "\n".join(agents)])


def frame(stack: Stack, tracked: Collection[str], head: str, agents: int, sections: Sequence[str]) -> str:
    """Return a whole blueprint: ``head``, what was detected, limits for that many agents, and ``sections`` last."""
    limits = LIMITS.format(each=_DOLLARS_EACH, at_once=min(agents, _MOST_AT_ONCE), all=_DOLLARS_EACH * agents)
    parts = [
        head,
        RULES,
        *_setup(stack, tracked),
        _gates(stack, _AGENT_GATES),
        *_conflicts(stack, tracked),
        limits,
        *sections,
    ]
    if stack.protected:
        start = "protected:                          # changed only by you, or by an agent with `may_edit`"
        parts.insert(2, "\n".join([start, *(f"  - {quoted(value)}" for value in stack.protected)]) + "\n")
    if stack.packs:
        line = "# Shipped standards for services (REST, PostgreSQL, Docker ...), with rules and gates:\n"
        parts.insert(1, f"{line}# extends: [{', '.join(stack.packs)}]\n")
    return "\n".join(parts)


def detected_stacks(stack: Stack) -> str:
    """Return ``TypeScript (npm), Go``."""
    return ", ".join(str(part) for part in stack.parts) or "no known build tool"


def comment(text: str, *, indent: str = "") -> str:
    """Return the text as a comment of as many lines as it needs."""
    return textwrap.fill(text, _WIDTH, initial_indent=f"{indent}# ", subsequent_indent=f"{indent}# ")


def draft_branches_blueprint(stack: Stack, tracked: Collection[str], *, name: str, target: str) -> str:
    """Return the YAML of a blueprint without agents, whose gates are for branches that are adopted."""
    detected = comment(f"Drafted by `orchestra adopt`. Detected: {detected_stacks(stack)}.")
    head = BRANCHES.format(detected=detected, name=plain(name), target=quoted(target))
    agents = "agents: []                          # `orchestra adopt BRANCH...` needs no entry here\n"
    sections = [*_setup(stack, tracked), _gates(stack, _BRANCH_GATES), *_conflicts(stack, tracked)]
    return "\n".join([head, *sections, agents])


def _conflicts(stack: Stack, tracked: Collection[str]) -> Iterator[str]:
    """Return the section of files whose conflicts need no person; nothing where there are none."""
    conflicts = [f"    {quoted(path)}: union" for path in sorted(tracked) if _CHANGE_LOG.fullmatch(path)]
    locks = {lock: run for lock, run in stack.regenerate.items() if lock in tracked}
    conflicts += [f"    {quoted(lock)}: {{regenerate: {quoted(run)}}}" for lock, run in locks.items()]
    if conflicts:
        yield "\n".join(["merge:", "  conflicts:", *conflicts]) + "\n"


def _setup(stack: Stack, tracked: Collection[str]) -> Iterator[str]:
    """Return the set-up section; nothing where no set-up is needed."""
    sources = stack.setup_sources
    lines = []
    if stack.copy:
        copied = ", ".join(map(quoted, stack.copy))
        origins = sorted({sources[name] for name in stack.copy if name in sources})
        origin = f"; from {', '.join(origins)}" if origins else ""
        lines.append(f"    copy: [{copied}]   # untracked files that a fresh worktree lacks{origin}")
    if WORKTREE_INCLUDE in tracked:
        lines.append(f"    # What {WORKTREE_INCLUDE} lists is copied, too.")
    for file in stack.unread_setup:
        edit = f"EDIT: {file} declares a set-up that is a script. Read it, and add what a new worktree needs."
        lines.append(comment(edit, indent="    "))
    if stack.setup:
        lines.append("    run:")
        for command in stack.setup:
            origin = f"   # from {sources[command]}" if command in sources else ""
            lines.append(f"      - {quoted(command)}{origin}")
    if stack.port is not None:
        lines.append(f'    env: {{PORT: "{{{{ {stack.port} + agent.number }}}}"}}   # a separate port for each agent')
    if stack.copy or stack.setup or stack.port is not None:
        yield "\n".join(["worktrees:", "  setup:", *lines]) + "\n"
    elif lines:
        yield (
            "\n".join(["# worktrees:", "#   setup:", *(f"# {line.strip().removeprefix('# ')}" for line in lines)])
            + "\n"
        )


def _gates(stack: Stack, builtin_gates: Sequence[str]) -> str:
    lines = ["gates:                              # run on each candidate, in this order", *builtin_gates]
    for name, command in stack.gates.items():
        env = ", ".join(f"{name}: {quoted(value)}" for name, value in command.env.items())
        timeout = "15m" if command.gate == "tests" else "5m"
        gate = f"run: {quoted(command.run)}, timeout: {timeout}{f', env: {{{env}}}' if env else ''}"
        lines.append(f"  {name}: {{{gate}}}   # {command.source}")
    if not any(command.gate == "tests" for command in stack.gates.values()):
        lines.append("  # EDIT: no test command was detected. Without one, work lands untested.")
        lines.append('  # tests: {run: "make test", timeout: 15m}')
    return "\n".join(lines) + "\n"


def _agent(area: Area) -> str:
    title = _TITLES.get(area.kind)
    note = f"   # {area.files:,} {'file' if area.files == 1 else 'files'}"
    include = ", ".join(map(quoted, area.include))
    scope = [f"    scope: [{include}]{note}"]
    if area.exclude:
        exclude = [f"        - {quoted(pattern)}" for pattern in area.exclude]
        scope = [f"    scope:{note}", f"      include: [{include}]", "      exclude:", *exclude]
    lines = [
        f"  - name: {plain(area.name)}",
        *([f"    title: {title}"] if title else []),
        f"    from: {area.kind.value}",
        f"    with: {{where: {quoted(area.where)}}}",
        *scope,
    ]
    return "\n".join(lines) + "\n"


def plain(name: str) -> str:
    """Return a slug without quotes, unless a YAML reader could take it for another type."""
    return quoted(name) if name in _NOT_STRINGS or name[0].isdigit() else name


def quoted(value: str) -> str:
    """Return a YAML double-quoted string on one line. (JSON's escapes do not do: YAML knows no surrogate pairs.)"""
    escaped = [
        f"\\{char}" if char in '\\"' else char if char.isprintable() else f"\\U{ord(char):08x}" for char in value
    ]
    return f'"{"".join(escaped)}"'
