"""What a person or a script gets to see, whatever the text holds."""

from __future__ import annotations

import io
import json
import os
import pty
import unicodedata
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestra.cli import console
from orchestra.cli.console import Cell, Tone
from orchestra.cli.table_layout import show_table
from orchestra.text import terminal_safe


@given(st.text())
def test_clean_text_moves_no_cursor(text: str) -> None:
    shown = terminal_safe(text)
    assert not [char for char in shown if unicodedata.category(char) == "Cc" and char not in "\n\t"]
    assert not [char for char in shown if unicodedata.bidirectional(char) in {"RLO", "LRO", "RLE", "LRE", "RLI", "LRI"}]
    assert terminal_safe(shown) == shown


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("\x1b[2Jgone", "^[[2Jgone"),
        ("a\rb", "a^Mb"),
        ("\x7f\x9b", "^?\\u009b"),
        ("\u202egnp.exe", "\\u202egnp.exe"),
        ("plain\ttab\nline é ✓", "plain\ttab\nline é ✓"),
    ],
)
def test_control_characters_are_shown(raw: str, shown: str) -> None:
    assert terminal_safe(raw) == shown


def test_json_is_one_document_that_no_locale_can_break(capsys: pytest.CaptureFixture[str]) -> None:
    document = {"name": "é\udcff", "n": 1}
    console.show_json(document)
    out = capsys.readouterr().out
    assert out.isascii()
    assert json.loads(out) == document


def test_results_and_remarks_go_to_their_streams(capsys: pytest.CaptureFixture[str]) -> None:
    console.print_result("result")
    console.print_note("remark", Tone.WAITING)
    with console.progress("spawn") as step:
        step("schema")
    seen = capsys.readouterr()
    assert (seen.out, seen.err) == ("result\n", "remark\nspawn: schema\n")


def test_remarks_nobody_reads_stop_nothing() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w", buffering=1) as stream:
        with redirect_stderr(stream):
            console.print_note("nobody reads this")
        with pytest.raises(BrokenPipeError):
            stream.flush()
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


@pytest.mark.parametrize(
    ("typed", "answer"), [("a\n", "approve"), ("skip\n", "skip"), ("s\nsk\n", "skip"), ("\nx\nd\n", "diff"), ("", None)]
)
def test_ask_takes_any_start_that_is_not_ambiguous(typed: str, answer: str | None) -> None:
    assert console.ask("schema?", ["approve", "diff", "skip", "stop"], io.StringIO(typed)) == answer


def test_a_terminal_gets_a_table_with_tones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    reader, writer = pty.openpty()
    with os.fdopen(writer, "w", encoding="utf-8") as stream:
        with redirect_stdout(stream):
            show_table(["agent"], [[Cell("schema\x1b[2J", Tone.GOOD)]])
            console.print_result("done", Tone.BAD)
        stream.flush()
        seen = ""
        while "done" not in seen:
            seen += os.read(reader, 65536).decode()
    os.close(reader)
    assert "\x1b[32mschema^[[2J\x1b[0m" in seen
    assert "\x1b[31mdone" in seen


def test_printing_cannot_fail_on_a_character(tmp_path: Path) -> None:
    path = tmp_path / "out"
    with path.open("w", encoding="ascii") as stream, redirect_stdout(stream), redirect_stderr(None):
        console.prepare_streams()
        console.print_result("é \udcff")
        console.print_note("nowhere")
    assert path.read_text("ascii") == "\\xe9 \\udcff\n"
