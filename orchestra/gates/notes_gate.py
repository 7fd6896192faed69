"""AGENT_NOTES.md: whether it is filled in, and which out-of-scope paths it justifies. Pure."""

from __future__ import annotations

import re

NOTES_FILE = "AGENT_NOTES.md"
_FIRST_HEADING = "what i built"
_PLACEHOLDERS = frozenset(("", "none", "nothing", "n/a", "na", "tbd", "todo", "to do", "..."))


def notes_filled(text: str, form: str = "") -> bool:
    """Return True when the notes have content under What I Built, or anywhere where that heading is missing.

    Headings, HTML comments and lines of ``form``, the team's own form, do not count; nor does "none" or "tbd".
    """
    printed = {line.strip() for line in form.splitlines()}
    sections: dict[str, list[str]] = {"": []}
    heading = ""
    for line in _without_comments(text).splitlines():
        if re.match(r"#{1,6}\s", line):
            heading = line.strip("# \t:").casefold()
            sections.setdefault(heading, [])
        elif line.strip() not in printed:
            sections[heading].append(line)
    built = sections.get(_FIRST_HEADING)
    lines = built if built is not None else [line for section in sections.values() for line in section]
    return any(map(_has_content, lines))


def justifies(text: str, path: str) -> bool:
    """Return True when a line of the notes names ``path`` as a whole and gives a reason next to it.

    A name without slash or dot, such as ``a``, must be quoted or in backticks, since it may be an ordinary word.
    """
    quoted = rf"(`|\"|'){re.escape(path)}\1"
    bare = rf"(?<![\w./-]){re.escape(path)}(?![\w/-]|\.\w)"
    pattern = re.compile(f"{quoted}|{bare}" if re.search(r"[./]", path) else quoted)
    for line in _without_comments(text).splitlines():
        if pattern.search(line) and re.search(r"\w", pattern.sub("", line)):
            return True
    return False


def explains_missing_tests(text: str) -> bool:
    """Return True when a line of the notes says that something is not tested, or needs no test."""
    negated = r"\b(no|not|none|without|cannot|untested|needless|unnecessary)\b|n't\b"
    lines = _without_comments(text).casefold().splitlines()
    return any(re.search(negated, line) and re.search(r"test", line) for line in lines)


def names_word(text: str, name: str) -> bool:
    """Return True when the notes name a dependency as a whole word; of a path such as Go's, the last part is enough.

    ``-``, ``_`` and ``.`` are the same, as package indexes have it.
    """
    parts = [part for part in re.split(r"[/:]", name.removeprefix("script ")) if not re.fullmatch(r"v\d+", part)]
    for word in {name.removeprefix("script "), *(parts[-1:] if not name.startswith("@") else ())}:
        spelled = re.sub(r"[-_.]+", "[-_.]+", re.escape(word).replace("\\-", "-").replace("\\.", "."))
        if word and re.search(rf"(?<![\w@-]){spelled}(?![\w-])", _without_comments(text), re.IGNORECASE):
            return True
    return False


def _has_content(line: str) -> bool:
    return line.strip(" \t-*_.>`[]").casefold() not in _PLACEHOLDERS


def _without_comments(text: str) -> str:
    pieces: list[str] = []
    at = 0
    while (start := text.find("<!--", at)) >= 0 and (end := text.find("-->", start + 4)) >= 0:
        pieces.append(text[at:start])
        at = end + 3
    return "".join([*pieces, text[at:]])
