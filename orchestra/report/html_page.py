"""The report as one HTML page: no script, no link to anything outside, and no markup but the template's own.

Every text is escaped where it is written, and its control characters and marks that reorder text are made visible. The
page's own policy forbids scripts, images, fonts, forms and connections, whatever a browser made of it.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import lru_cache
from html import escape
from typing import TYPE_CHECKING, Final

from orchestra.report.drawings import WIDTH, draw_merge_graph, draw_timeline
from orchestra.report.report_values import ConflictingPair, FleetReport
from orchestra.text import format_count, format_duration, terminal_safe

if TYPE_CHECKING:
    from jinja2 import Template

LARGEST: Final = 2_000_000  # bytes of a page: mail programs and phones open it
_SHORT_TEXT = 400  # bytes of a text for which the template names no other length
_SCALES = (1.0, 0.4, 0.15, 0.05)  # of the lengths of all texts, tried until the page is small enough
_MOST_CANDIDATES = 300
_MOST_PAIRS = 200  # pairs of conflicting branches that are listed with their paths


def render_page(report: FleetReport) -> bytes:
    """Return the page of a report in UTF-8. Texts are cut shorter where it would be large."""
    pages = (_render(report, scale) for scale in _SCALES)
    page = next(pages)
    while len(page) > LARGEST and (smaller := next(pages, None)) is not None:
        page = smaller
    return page


def _render(report: FleetReport, scale: float) -> bytes:
    page = _template(scale).render(
        report=report,
        summary=report.summary,
        timeline=draw_timeline(report.timelines),
        candidates=report.candidates[-_MOST_CANDIDATES:],
        graph=draw_merge_graph(report.merge_graph, report.agents),
        width=WIDTH,
        numbers={card.name: card.number for card in report.agents},
        matrix=_matrix(report.pending, report.conflicts),
        pairs=report.conflicts[:_MOST_PAIRS],
    )
    return page.encode("utf-8", "backslashreplace")  # names of files may hold bytes that are no text


@lru_cache
def _template(scale: float) -> Template:
    """Return the template; every text in it is escaped, and cut to its length times ``scale``."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    def cut(text: str, most: int) -> _CutText:
        """Return a text that is safe to show and at most ``most`` bytes long when it is escaped."""
        most = int(most * scale)
        shown, is_cut = terminal_safe(text[:most]), len(text) > most
        while (length := len(escape(shown).encode("utf-8", "replace"))) > most:
            shown, is_cut = shown[: len(shown) * most // length], True
        return _CutText(f"{shown}..." if is_cut else shown)

    environment = Environment(
        loader=PackageLoader("orchestra.report"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=lambda value: cut(value, _SHORT_TEXT) if type(value) is str else value,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["count"] = format_count
    environment.filters["duration"] = format_duration
    environment.filters["moment"] = _moment
    environment.filters["cut"] = cut
    return environment.get_template("report.html.j2")


class _CutText(str):
    """A text that ``cut`` has made."""

    __slots__ = ()


def _moment(at: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))


def _matrix(names: Sequence[str], pairs: Sequence[ConflictingPair]) -> list[tuple[str, list[str]]]:
    """Return each agent's row: for each other agent ``conflict`` or ``clean``, and ``self``."""
    conflicting = {frozenset((pair.first, pair.second)) for pair in pairs}

    def cell(first: str, second: str) -> str:
        if first == second:
            return "self"
        return "conflict" if frozenset((first, second)) in conflicting else "clean"

    return [(first, [cell(first, second) for second in names]) for first in names]
