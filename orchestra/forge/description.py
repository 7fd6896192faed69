"""Title and description of a pull request.

What agents wrote (notes, names of files and tests) is quoted so that nothing in it acts: it stands in ``pre`` and
``code`` elements, where forges look for no mention and no reference, and every character that could mean something to
Markdown, HTML or a forge (``@``, ``#``, ``/`` of a quick action, the dash of ``GH-12``) is a character reference, since
GitLab looks for closing words in the source. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from orchestra.text import format_count, format_list, terminal_safe

BEGIN, END = "<!-- orchestra: begin -->", "<!-- orchestra: end -->"
_ACTIVE = re.compile(r"[^A-Za-z0-9 .,;()\n\x80-\U0010ffff]")
_MOST_NAMES = 6  # in a title
_LONGEST_BODY = 60_000  # characters; GitHub takes 65,536
_LONGEST_NOTES = 6_000  # of one agent, quoted
_LONGEST_DETAIL = 2_000


@dataclass(frozen=True, slots=True)
class AgentPart:
    """An agent in the pull request: ``gates`` -> outcome, ``notes`` as the agent wrote them."""

    name: str
    title: str
    commit: str
    gates: Mapping[str, str]
    notes: str | None


@dataclass(frozen=True, slots=True)
class LeftOut:
    """An agent that is not in it: ``outcome`` is evicted or blocked, ``detail`` a sentence."""

    name: str
    outcome: str
    detail: str


def format_title(fleet: str, names: Sequence[str]) -> str:
    """Return the title: names only, whose alphabet has no character that a forge acts on."""
    return f"{fleet}: {format_list(names, most=_MOST_NAMES)}"


def format_description(
    fleet: str, built_on: str, commit: str, parts: Sequence[AgentPart], left_out: Sequence[LeftOut]
) -> str:
    """Return orchestra's part of the description, between two marks, so that what people add to it stays.

    ``built_on`` names the target and its commit.
    """
    lines = [
        BEGIN,
        f"{format_count(len(parts), 'agent')} of the fleet {_code(fleet)}, built on {_code(built_on)}. "
        f"The gates passed on commit {commit} exactly as it is here.",
        "",
        "| agent | commit | gates |",
        "| --- | --- | --- |",
    ]
    for part in parts:
        gates = ", ".join(f"{_code(gate)} {outcome}" for gate, outcome in part.gates.items())
        lines.append(f"| {_code(part.name)} {_code(part.title)} | {part.commit[:10]} | {gates or 'none declared'} |")
    if left_out:
        lines += ["", "Not in this pull request:", ""]
        lines += [f"- {_code(out.name)} {out.outcome}: {_code(_cut(out.detail, _LONGEST_DETAIL))}" for out in left_out]
    room = _LONGEST_BODY - sum(len(line) + 1 for line in lines)
    return "\n".join([*lines, *_notes(parts, room), END])


def _notes(parts: Sequence[AgentPart], room: int) -> Iterator[str]:
    for part in parts:
        if not (part.notes or "").strip():
            continue
        quoted = quote_markup(_cut((part.notes or "").strip(), _LONGEST_NOTES))
        summary = f"<details><summary>Notes of {_code(part.name)}</summary>"
        block = f"\n{summary}\n\n<pre>\n{quoted}\n</pre>\n\n</details>"
        if len(block) > room:
            yield f"\nThe notes of {_code(part.name)} are too long for this place."
            room -= len(part.name) * 8 + 100
            continue
        room -= len(block)
        yield block


def replace_section(existing: str, section: str) -> str:
    """Return a description with orchestra's part replaced; it is appended where the marks were removed.

    Forges store lines with CRLF after an edit in the browser.
    """
    text = existing.replace("\r\n", "\n")
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if begin and end:
        return f"{before}{section}{after}"
    return f"{text.rstrip()}\n\n{section}" if text.strip() else section


def quote_markup(text: str) -> str:
    """Return text as HTML that shows it unchanged and that neither Markdown nor a forge acts on."""
    return _ACTIVE.sub(lambda match: f"&#x{ord(match.group()):X};", terminal_safe(text))


def _code(text: str) -> str:
    return f"<code>{quote_markup(' '.join(text.split()))}</code>"


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[:most]} ... (cut)"
