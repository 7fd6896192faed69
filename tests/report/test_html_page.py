"""The page holds no markup but the template's own, whatever agents wrote, and stays small."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestra.report.html_page import render_page
from orchestra.report.report_values import (
    AgentCard,
    BranchCommit,
    ChangedFile,
    ConflictingPair,
    Decision,
    FleetReport,
    GateResult,
    Graph,
    GraphLayer,
    Mark,
    Span,
    Summary,
    TestedCandidate,
    Timeline,
)

PAYLOADS = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "</pre></title></style></svg><iframe src=//evil.example></iframe>",
    "<svg onload=alert(1)><a xlink:href='javascript:alert(1)'>x</a></svg>",
    "&lt;script&gt;&#60;script&#62;&amp;lt;",
    "[x](javascript:alert(1)) ![x](https://evil.example/x.png) <https://evil.example>",
    "{{ 7 * 7 }}{% include 'x' %}{# #}",
    "<!-- --><![CDATA[ ]]><?php ?><!DOCTYPE x>",
    "<meta http-equiv=refresh content='0;url=https://evil.example'><base href=//evil.example><style>*{}</style>",
]
HIDDEN = "\x1b[31m\x07\r\x9b\u202e\u2066\u200f"


def make_card(number: int, text: str = "x") -> AgentCard:
    gate = GateResult(text, text, 3.0, 1.5, text, text)
    return AgentCard(
        number=number,
        name=f"agent-{number}",
        title=text,
        stage=text,
        state=text,
        reason=text,
        verdict=text,
        branch=text,
        commit=text,
        landed=text,
        task=text,
        done_when=(text,),
        notes=text,
        requested=text,
        findings=(text,),
        conflicts_with=(text,),
        uncommitted_files=1,
        commits=(BranchCommit(text, text, text, 2.0),),
        files=(ChangedFile(text, 3, 1), ChangedFile(text, None, None)),
        files_total=9,
        added=3,
        removed=1,
        gates=(gate,),
        log_end=(text, text),
        cost_usd=1.0,
        sessions_without_cost=1,
        input_tokens=1000,
        output_tokens=10,
    )


def make_report(count: int = 2, text: str = "x") -> FleetReport:
    names = tuple(f"agent-{number}" for number in range(1, count + 1))
    cards = tuple(make_card(number, text) for number in range(1, count + 1))
    candidate = TestedCandidate(
        text, (text,), (GateResult(text, text, 2.0, 1.0),), (Decision(text, text, text, (text,), 2.0),), 1.0
    )
    phases = ("queued", "working", "waiting", "approved", "gates")
    spans = tuple(Span(phase, float(at), at + 1.0, at != 4) for at, phase in enumerate(phases))
    return FleetReport(
        fleet=text,
        title=text,
        description=text,
        target=text,
        target_commit=text,
        made_at=9.0,
        summary=Summary(count, 1, 0, 1, 1, 1, 0.5, 9.0, 3, 4.5, 1.0, 1, 5.0),
        timelines=tuple(Timeline(name, spans, (Mark("landed", 4.0),)) for name in names),
        candidates=(candidate, TestedCandidate(None, None, (), (), 3.0)),
        merge_graph=Graph((GraphLayer(text, names),), ((names[0], names[-1]),), names),
        conflicts=(ConflictingPair(names[0], names[-1], (text,)),),
        pending=names,
        agents=cards,
        unknown=text,
    )


def with_texts(value: Any, text: str) -> Any:
    """The same value with ``text`` at the end of every text in it."""
    if isinstance(value, str):
        return value + text
    if isinstance(value, tuple):
        return tuple(with_texts(item, text) for item in value)
    if is_dataclass(value) and not isinstance(value, type):
        return type(value)(**{field.name: with_texts(getattr(value, field.name), text) for field in fields(value)})
    return value


class Outline(HTMLParser):
    """The tags of a page with the names of their attributes, everything that is no text, and the text."""

    def __init__(self, page: bytes) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, tuple[str, ...]]] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.other: list[str] = []
        self.text = ""
        self.feed(page.decode())
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, tuple(name for name, _ in attrs)))
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.text += data

    def handle_decl(self, decl: str) -> None:
        self.other.append(decl)

    def handle_comment(self, data: str) -> None:
        self.other.append(data)

    def handle_pi(self, data: str) -> None:
        self.other.append(data)

    def unknown_decl(self, data: str) -> None:
        self.other.append(data)


PLAIN = Outline(render_page(make_report()))


@pytest.mark.parametrize("payload", [*PAYLOADS, HIDDEN, "".join(PAYLOADS)])
def test_no_text_adds_an_element_or_an_attribute(payload: str) -> None:
    hostile = Outline(render_page(with_texts(make_report(), payload)))
    assert hostile.tags == PLAIN.tags
    assert hostile.other == PLAIN.other == ["DOCTYPE html"]


@given(st.text(max_size=60))
def test_any_text_leaves_the_page_as_it_is(text: str) -> None:
    assert Outline(render_page(make_report(text="x" + text))).tags == PLAIN.tags


def test_the_page_asks_for_nothing_outside_and_runs_nothing() -> None:
    outline = Outline(render_page(with_texts(make_report(), "".join(PAYLOADS))))
    assert not {tag for tag, _ in outline.tags} & set(
        "script link img iframe object embed form input base audio".split()
    )
    names = {name for name, _ in outline.attributes}
    assert not any(
        name.startswith("on") or name in ("src", "style", "srcset", "action", "xlink:href") for name in names
    )
    assert all((value or "").startswith("#") for name, value in outline.attributes if name == "href")
    assert ("content", "default-src 'none'; style-src 'unsafe-inline'") in outline.attributes


def test_control_characters_and_marks_that_reorder_text_are_visible() -> None:
    page = render_page(with_texts(make_report(), HIDDEN)).decode()
    assert not set(HIDDEN.replace("[31m", "")) & set(page)
    assert "^[[31m^G^M\\u009b\\u202e\\u2066\\u200f" in page


def test_bytes_of_a_file_name_that_are_no_text_are_visible() -> None:
    assert b"a\\udc80b" in render_page(make_report(text="a\udc80b"))


def test_the_page_shows_what_an_agent_wrote() -> None:
    text = Outline(render_page(with_texts(make_report(), PAYLOADS[0]))).text
    assert text.count(PAYLOADS[0]) > 30


def test_what_is_not_known_is_said() -> None:
    report = make_report()
    unknown = Summary(2, 0, 0, 2, 0, 0, None, None, 0, 0.0, None, 0, None)
    values = {field.name: getattr(report, field.name) for field in fields(report)}
    card = {field.name: getattr(report.agents[0], field.name) for field in fields(report.agents[0])}
    bare = AgentCard(
        **card | {"notes": None, "commits": None, "files": None, "cost_usd": None, "uncommitted_files": None}
    )
    empty = {
        "summary": unknown,
        "timelines": (),
        "candidates": (),
        "agents": (bare,),
        "pending": (),
        "target_commit": None,
    }
    text = Outline(render_page(FleetReport(**values | empty))).text
    assert "no merge has decided" in text
    assert "no session has reported one" in text
    assert "Unknown: the ledger has recorded no session, verdict or landing." in text
    assert "Unknown: there is no branch that git can read." in text
    assert "uncommitted files unknown" in text


@pytest.mark.parametrize("text", ["<&\"'>" * 1200, "\u202e" * 1500, "word " * 1200])
def test_a_fleet_of_50_is_below_two_megabytes(text: str) -> None:
    assert len(render_page(make_report(50, text))) < 2_000_000
