"""The pages of docs/ say what is so: their examples load, their outputs and tables are what the program and git say."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from orchestra.blueprint.duration import LONGEST_S, parse_duration
from orchestra.blueprint.inline_templates import (
    AGENT_ATTRIBUTES,
    INLINE_ATTRIBUTES,
    RENDER_VARIABLES,
    TemplateProblem,
    render,
)
from orchestra.blueprint.model import Scope
from orchestra.blueprint.scope import Matcher
from tests.conftest import Checkout
from tests.docs.pages import DOCS, PAGES, WALKS, renewed

REFERENCE = (DOCS / "blueprint.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PAGES)
def test_what_the_program_says_on_a_page_is_what_it_says_now(page: str) -> None:
    """Stale? `python -m tests.docs.pages` renews it; read the difference."""
    text = (DOCS / page).read_text(encoding="utf-8")
    assert renewed(text) == text


def test_a_broken_example_is_found() -> None:
    with pytest.raises(Exception, match=r'unknown key "taks"'):
        renewed("<!-- example: e -->\n<!-- file: x.yaml -->\n```yaml\nversion: 1\ntaks: x\nname: x\nagents:\n```\n")


@pytest.mark.parametrize("page", (*PAGES, *WALKS))
def test_links_lead_somewhere(page: str) -> None:
    text = (DOCS / page).read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        file, _, anchor = target.partition("#")
        there = DOCS / file if file else DOCS / page
        assert there.is_file(), target
        if anchor:
            assert anchor in anchors(there.read_text(encoding="utf-8")), target


def anchors(text: str) -> set[str]:
    """As GitHub makes them of headings."""
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def table(name: str) -> Iterator[list[str]]:
    """The rows of the table below ``<!-- name -->``, without its head."""
    _, _, after = REFERENCE.partition(f"<!-- {name} -->\n\n")
    lines = after.partition("\n\n")[0].splitlines()
    assert len(lines) > 3, name
    for line in lines[2:]:
        yield [cell.strip() for cell in line.strip("|").split("|")]


def code(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


DIALECT = [(code(pattern)[0], code(holds), code(not_held)) for pattern, holds, not_held in table("dialect")]


@pytest.mark.parametrize(("pattern", "holds", "not_held"), DIALECT, ids=lambda value: value if value else "")
def test_the_dialect_is_gits(
    tmp_path_factory: pytest.TempPathFactory, pattern: str, holds: list[str], not_held: list[str]
) -> None:
    checkout = Checkout(tmp_path_factory.mktemp("dialect"))
    checkout.git("init", "-q")
    blob = checkout.git("hash-object", "-w", "--stdin", stdin=b"")
    matcher = Matcher(Scope((pattern,)))
    for path in (*holds, *not_held):
        checkout.git("read-tree", "--empty")
        checkout.git("update-index", "--add", "--cacheinfo", f"100644,{blob},{path}")
        listed = checkout.git("ls-files", "-z", "--", f":(top,glob){pattern}").rstrip("\0")
        assert (listed == path) is (path in holds), f"git: {path}"
        assert matcher.matches(path) is (path in holds), f"orchestra: {path}"


def test_the_variables_of_template_files_are_all_there() -> None:
    rows = {code(name)[0]: code(meaning) for name, meaning in table("variables")}
    assert set(rows) == RENDER_VARIABLES
    assert {*rows["agent"]} - {"include", "exclude"} == AGENT_ATTRIBUTES


class Someone:
    name, number, title, stage = "api", 7, "The API", "services"


def test_the_variables_of_inline_templates_are_all_there() -> None:
    rows = {code(name)[0]: where for name, _, where in table("inline")}
    assert set(rows) == {f"agent.{name}" for name in INLINE_ATTRIBUTES} | {"fleet", "worktree", "repo"}
    for name, where in rows.items():
        template = f"{{{{ {name} }}}}"
        assert render(template, agent=Someone(), fleet="f", worktree="/w", repo="/r")
        if where != "all of them":
            with pytest.raises(TemplateProblem):
                render(template, agent=Someone(), fleet="f")


def test_the_durations_are_right() -> None:
    for written, seconds in table("durations"):
        assert parse_duration(code(written)[0]) == float(seconds)
    assert parse_duration("30d") == LONGEST_S
