"""A proposal on one screen: what it decides first, then what it would change. Prints; decides nothing."""

from __future__ import annotations

from collections.abc import Iterator

from orchestra.candidates.text_conflict import quote_path
from orchestra.cli.console import Cell, Tone, diff_cells
from orchestra.cli.pager import show_page
from orchestra.fleet import Fleet
from orchestra.review.proposal_review import ProposalReview


def show(fleet: Fleet, shown: ProposalReview) -> None:
    """In the order in which a reviewer asks: who resolved what, does it pass, what was decided, what would change."""
    name = shown.standing.agent.name
    decides = "What it decides: from the merge as git leaves it, with base and both sides, to the proposal"
    nothing = Cell("  (nothing: the branch as a whole merges)", Tone.QUIET)
    show_page(
        [
            *_head(fleet, shown),
            *(Cell(""), Cell(decides, Tone.STRONG)),
            *(diff_cells(shown.decides) if shown.decides else [nothing]),
            *(Cell(""), Cell(f"What it would change on {fleet.target}", Tone.STRONG)),
            *diff_cells(shown.patch),
            *(
                Cell(""),
                Cell(f"or: orchestra request-changes {name} --from-train; orchestra review {name}", Tone.QUIET),
            ),
        ]
    )


def _head(fleet: Fleet, shown: ProposalReview) -> Iterator[Cell]:
    agent = shown.standing.agent
    yield Cell(f"{agent.number} {agent.name}: {agent.title}", Tone.STRONG)
    at = (shown.standing.head or "")[:10]
    yield Cell(f"  proposal  {shown.commit[:10]}: {agent.branch} at {at} with {fleet.target}")
    yield Cell(f"  target    {fleet.target} at {shown.target[:10]}; {shown.behind} commits have landed there since")
    of_what = "of this" if shown.standing.refs.approved == shown.commit else "of the branch as it is"
    yield Cell(f"  verdict   {shown.standing.verdict}, {of_what}")
    for path, method in sorted(shown.resolved.items()):
        yield Cell(f"  {quote_path(path)}: resolved by {method}")
    for gate, outcome in shown.gates.items():
        yield Cell(f"  {gate}: {outcome}", Tone.GOOD if outcome == "passed" else Tone.WAITING)
    for finding in shown.findings:
        yield Cell(f"  {quote_path(finding.path)}: {finding.reason}", Tone.BAD)
