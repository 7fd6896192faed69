"""Record the demo as an animated SVG: python -m benchmarks.record [docs/recording.svg].

Runs ``orchestra demo`` for real in a pseudo-terminal and draws what its commands print, one screen after the other. The
first screen is what viewers without animation show. Run it again after a change of the output.
"""

from __future__ import annotations

import fcntl
import html
import os
import pty
import re
import struct
import subprocess
import sys
import tempfile
import termios
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
COLUMNS, ROWS = 116, 24
SHOWN = ("spawn", "status", "review", "merge", "status")  # the screens, in the order of the demo
SECONDS = 5  # for each screen
CHARACTER, LINE, FONT = 7.8, 18, 13  # pixels
_STYLE = re.compile(r"\x1b\[([0-9;]*)m")
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-ln-z]|\x1b[()][A-Z0-9]|[\r\x07]")
_COLOURS = {"31": "#ff7b72", "32": "#7ee787", "33": "#e3b341", "34": "#79c0ff", "35": "#d2a8ff", "36": "#76e3ea"}
_TEXT, _DIM, _BACKGROUND = "#e6edf3", "#8b949e", "#0d1117"


@dataclass(frozen=True)
class Screen:
    """A command and the first lines of what it printed, with escape sequences for colours."""

    command: str
    lines: Sequence[str]


def run_demo(folder: Path) -> str:
    """Return what the demo prints on standard output in a terminal of that size."""
    controller, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    argv = [sys.executable, "-c", "from orchestra.cli.program import main; main()", "demo", f"--repo={folder}"]
    env = {**os.environ, "TERM": "xterm-256color", "COLUMNS": str(COLUMNS)}
    env.pop("NO_COLOR", None)
    process = subprocess.Popen(argv, cwd=ROOT, env=env, stdout=terminal, stderr=subprocess.DEVNULL)
    os.close(terminal)
    output = b""
    while True:
        try:
            block = os.read(controller, 1 << 16)
        except OSError:  # the terminal was closed with the last process
            break
        if not block:
            break
        output += block
    if process.wait():
        raise SystemExit(f"the demo failed with {process.returncode}:\n{output.decode('utf-8', 'replace')[-2000:]}")
    return output.decode("utf-8", "replace")


def screens(output: str) -> Iterator[Screen]:
    """Yield the screens of ``SHOWN``: from a line ``$ orchestra VERB`` to the next command or heading."""
    parts: list[tuple[str, list[str]]] = []
    for line in _CONTROL.sub("", output).splitlines():
        plain = _STYLE.sub("", line)
        if plain.startswith("$ orchestra "):
            parts.append((plain.removeprefix("$ "), []))
        elif plain.startswith("== "):
            parts.append(("", []))
        elif parts and (plain.strip() or parts[-1][1]):
            parts[-1][1].append(line.rstrip())
    position = 0
    for number, verb in enumerate(SHOWN):
        found = [at for at, (command, _) in enumerate(parts) if at >= position and command.split()[1:2] == [verb]]
        if not found:
            raise SystemExit(f"the demo runs no `orchestra {verb}` at this place any more: change SHOWN")
        at = found[-1] if number == len(SHOWN) - 1 else found[0]
        position = at + 1
        lines = parts[at][1][: ROWS - 2]
        yield Screen(parts[at][0], [*lines[: ROWS - 3], "..."] if len(parts[at][1]) > ROWS - 2 else lines)


def draw_line(line: str, y: int) -> str:
    """Return a line as SVG text, with a span for each change of style."""
    spans, style, at, column = [], {"fill": _TEXT}, 0, 0
    for match in (*_STYLE.finditer(line), None):
        text = line[at : match.start() if match else len(line)][: COLUMNS - column]
        if text:
            attributes = " ".join(f'{name}="{value}"' for name, value in style.items())
            spans.append(f'<tspan x="{12 + column * CHARACTER:.1f}" {attributes}>{html.escape(text)}</tspan>')
            column += len(text)
        if match is None:
            break
        at = match.end()
        for code in match[1].split(";"):
            if code in ("", "0"):
                style = {"fill": _TEXT}
            elif code == "1":
                style = {**style, "font-weight": "bold"}
            elif code == "2":
                style = {**style, "fill": _DIM}
            elif code in _COLOURS or str(int(code) - 60) in _COLOURS:
                style = {**style, "fill": _COLOURS.get(code) or _COLOURS[str(int(code) - 60)]}
    return f'<text y="{y}">{"".join(spans)}</text>' if spans else ""


def draw(shown: Sequence[Screen]) -> str:
    """Return the SVG: all screens on top of each other, each visible in its turn."""
    width, height = round(COLUMNS * CHARACTER) + 24, ROWS * LINE + 24
    share = 100 / len(shown)
    parts = [
        '<svg xmlns="http://www.w3.org/2000/svg" xml:space="preserve" '
        f'viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        'role="img" aria-label="A fleet of five agents, from spawn to merge">',
        f"<style>text {{ font: {FONT}px ui-monospace, Menlo, Consolas, monospace; white-space: pre }}",
        f"@keyframes turn {{ 0%, {share:.2f}% {{ opacity: 1 }} {share + 0.01:.2f}%, 100% {{ opacity: 0 }} }}",
        f".screen {{ opacity: 0; animation: turn {SECONDS * len(shown)}s step-end infinite }}",
        ".screen:first-of-type { opacity: 1 }</style>",
        f'<rect width="{width}" height="{height}" rx="8" fill="{_BACKGROUND}"/>',
    ]
    for number, screen in enumerate(shown):
        parts.append(f'<g class="screen" style="animation-delay: {number * SECONDS}s">')
        parts.append(draw_line(f"\x1b[32m$\x1b[0m \x1b[1m{screen.command}\x1b[0m", 24))
        parts += [draw_line(line, 24 + LINE * (row + 1)) for row, line in enumerate(screen.lines)]
        parts.append("</g>")
    return "\n".join(part for part in (*parts, "</svg>") if part) + "\n"


def main(path: Path) -> None:
    """Write the recording to ``path``."""
    with tempfile.TemporaryDirectory(prefix="demo-") as folder:
        path.write_text(draw(list(screens(run_demo(Path(folder).resolve())))), encoding="utf-8")
    print(f"wrote {path}")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs" / "recording.svg")
