"""A proposal on one screen: what it decides first, then what it would change. Prints; decides nothing."""

from __future__ import annotations

from orchestra.candidates.text_conflict import quote_path
from orchestra.cli.console import Tone, print_result
from orchestra.fleet import Fleet
from orchestra.review.proposal_review import ProposalReview


def show(fleet: Fleet, shown: ProposalReview) -> None:
    """In the order in which a reviewer asks: who resolved what, does it pass, what was decided, what would change."""
    _show_head(fleet, shown)
    print_result()
    print_result("What it decides: from the merge as git leaves it, with base and both sides, to the proposal")
    print_result(
        shown.decides or "  (nothing: the branch as a whole merges)", Tone.PLAIN if shown.decides else Tone.QUIET
    )
    print_result()
    print_result(f"What it would change on {fleet.target}")
    print_result(shown.patch or "  (nothing)", Tone.PLAIN if shown.patch else Tone.QUIET)
    print_result()
    _show_next(shown)


def _show_head(fleet: Fleet, shown: ProposalReview) -> None:
    agent = shown.standing.agent
    print_result(f"{agent.number} {agent.name}: {agent.title}")
    print_result(
        f"  proposal  {shown.commit[:10]}: {agent.branch} at {(shown.standing.head or '')[:10]} with {fleet.target}"
    )
    print_result(f"  target    {fleet.target} at {shown.target[:10]}; {shown.behind} commits have landed there since")
    of_what = "of this" if shown.standing.refs.approved == shown.commit else "of the branch as it is"
    print_result(f"  verdict   {shown.standing.verdict}, {of_what}")
    for path, method in sorted(shown.resolved.items()):
        print_result(f"  {quote_path(path)}: resolved by {method}")
    for gate, outcome in shown.gates.items():
        print_result(f"  {gate}: {outcome}", Tone.GOOD if outcome == "passed" else Tone.WAITING)
    for finding in shown.findings:
        print_result(f"  {quote_path(finding.path)}: {finding.reason}", Tone.BAD)


def _show_next(shown: ProposalReview) -> None:
    name = shown.standing.agent.name
    print_result("Next")
    print_result(f"  orchestra approve {name} --proposal")
    print_result(f"  orchestra request-changes {name} --from-train")
    print_result(f"  orchestra review {name}")
