"""Write the manual page of the wheel from docs/commands.md, which `orchestra help --markdown` writes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

_HEAD = r""".TH ORCHESTRA 1 "" "orchestra" "User Commands"
.SH NAME
orchestra \- make for fleets of coding agents
.SH SYNOPSIS
.B orchestra
VERB [AGENT...] [options]
.SH DESCRIPTION
Agents are names or numbers; no agent means all of the fleet. Each line has one verb."""


class ManualPage(BuildHookInterface):  # type: ignore[type-arg]
    """Add share/man/man1/orchestra.1 to the wheel."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Write the page and name it to hatchling."""
        page = Path(self.directory) / "orchestra.1"
        page.parent.mkdir(parents=True, exist_ok=True)
        text = (Path(self.root) / "docs" / "commands.md").read_text("utf-8")
        page.write_text(manual_page(text), "utf-8")
        build_data["shared_data"][str(page)] = "share/man/man1/orchestra.1"


def manual_page(markdown: str) -> str:
    """Return the groups, verbs and exit codes of docs/commands.md in the macros of man(7)."""
    lines = [_HEAD]
    is_verbatim = False
    for line in markdown[markdown.index("\n## ") + 1 :].splitlines():
        if line == "```":
            lines.append(".fi" if is_verbatim else ".nf")
            is_verbatim = not is_verbatim
        elif is_verbatim:
            lines.append(_escape(line))
        elif line.startswith("## "):
            lines.append(f".SH {_escape(line[3:]).upper()}")
        elif line.startswith("### "):
            lines.append(f".SS orchestra {_escape(line[4:])}")
        elif line.startswith("| ") and line[2].isdigit():
            code, meaning = line.strip("| ").split(" | ")
            lines += [".TP", f".B {code}", _escape(meaning)]
    return "\n".join(lines) + "\n"


def _escape(text: str) -> str:
    escaped = text.replace("\\", r"\e").replace("-", r"\-")
    return rf"\&{escaped}" if escaped.startswith((".", "'")) else escaped
