"""The description of a pull request: complete, and nothing that agents wrote acts on the forge."""

from __future__ import annotations

import html
import re

from hypothesis import given
from hypothesis import strategies as st

from orchestra.forge.description import (
    BEGIN,
    END,
    AgentPart,
    LeftOut,
    format_description,
    format_title,
    quote_markup,
    replace_section,
)

HOSTILE = """Thanks @octocat, fixes #12, closes acme/shop#3 and GH-7; see https://github.com/acme/shop/issues/9
/approve
/label ~urgent
</pre></details><img src=x onerror=alert(1)>
<!-- orchestra: end -->
```
[click](javascript:alert(1)) **bold** \u202egnp.exe
"""
FORGES_ACT_ON = re.compile(r"[@#!~$%&`*_\[\]<>/\\|:-]")


def describe(notes: str | None = None, *, detail: str = "tests failed") -> str:
    part = AgentPart("one", "The <first> @thing", "a" * 40, {"tests": "passed"}, notes)
    out = LeftOut("two", "evicted (gate)", detail)
    return format_description("demo", "main at 1234567890", "b" * 40, [part], [out])


def without_references(text: str) -> str:
    return re.sub(r"&#x[0-9A-F]+;", "", text)


def test_notes_cannot_act_on_the_forge() -> None:
    body = describe(HOSTILE, detail=HOSTILE)
    quoted = without_references(body.partition("<pre>\n")[2].partition("\n</pre>")[0])
    assert not FORGES_ACT_ON.search(quoted)
    assert body.count(END) == body.count(BEGIN) == body.count("</pre>") == body.count("</details>") == 1
    for active in ("@octocat", "#12", "shop#3", "GH-7", "/approve", "github.com/acme", "~urgent", "<img"):
        assert active not in body
    assert "@thing" not in body


def test_notes_are_shown_as_they_were_written() -> None:
    shown = html.unescape(describe(HOSTILE).partition("<pre>\n")[2].partition("\n</pre>")[0])
    assert shown == HOSTILE.strip().replace("\u202e", "\\u202e")


@given(st.text(max_size=200))
def test_no_text_keeps_a_character_that_forges_act_on(text: str) -> None:
    quoted = quote_markup(text)
    assert not FORGES_ACT_ON.search(without_references(quoted))
    assert html.unescape(quoted).replace("\n", "") or not text.strip("\n")


def test_long_notes_are_cut_and_the_body_fits() -> None:
    parts = [AgentPart(f"agent{n}", "T", "a" * 40, {}, "@" * 100_000) for n in range(30)]
    body = format_description("demo", "main at 12", "b" * 40, parts, [])
    assert len(body) < 65_536
    assert "are too long for this place" in body
    assert body.endswith(END)


def test_a_title_has_names_only() -> None:
    assert format_title("demo", ["api", "auth"]) == "demo: api and auth"
    assert format_title("demo", [f"a{n}" for n in range(9)]) == "demo: a0, a1, a2, a3, a4, a5 and 3 more"


def test_a_section_is_replaced_between_its_marks_only() -> None:
    first, second = f"{BEGIN}\n1\n{END}", f"{BEGIN}\n2\n{END}"
    assert replace_section("", first) == first
    assert replace_section(first, second) == second
    assert replace_section(f"before\r\n{first}\r\nafter", second) == f"before\n{second}\nafter"
    assert replace_section("mine only", second) == f"mine only\n\n{second}"
