"""A proposal on one screen: what it decides first, then what it would change. Prints; decides nothing."""

from __future__ import annotations

from orchestra.candidates.text_conflict import quote_path
from orchestra.cli.console import Tone, say
from orchestra.fleet import Fleet
from orchestra.review.proposal_review import ProposalReview


def show(fleet: Fleet, shown: ProposalReview) -> None:
    """In the order in which a reviewer asks: who resolved what, does it pass, what was decided, what would change."""
    _show_head(fleet, shown)
    say()
    say("What it decides: from the merge as git leaves it, with base and both sides, to the proposal")
    say(shown.decides or "  (nothing: the branch as a whole merges)", Tone.PLAIN if shown.decides else Tone.QUIET)
    say()
    say(f"What it would change on {fleet.target}")
    say(shown.patch or "  (nothing)", Tone.PLAIN if shown.patch else Tone.QUIET)
    say()
    _show_next(shown)


def _show_head(fleet: Fleet, shown: ProposalReview) -> None:
    agent = shown.standing.agent
    say(f"{agent.number} {agent.name}: {agent.title}")
    say(f"  proposal  {shown.commit[:10]}: {agent.branch} at {(shown.standing.head or '')[:10]} with {fleet.target}")
    say(f"  target    {fleet.target} at {shown.target[:10]}; {shown.behind} commits have landed there since")
    of_what = "of this" if shown.standing.refs.approved == shown.commit else "of the branch as it is"
    say(f"  verdict   {shown.standing.verdict}, {of_what}")
    for path, method in sorted(shown.resolved.items()):
        say(f"  {quote_path(path)}: resolved by {method}")
    for gate, outcome in shown.gates.items():
        say(f"  {gate}: {outcome}", Tone.GOOD if outcome == "passed" else Tone.WAITING)
    for finding in shown.findings:
        say(f"  {quote_path(finding.path)}: {finding.why}", Tone.BAD)


def _show_next(shown: ProposalReview) -> None:
    name = shown.standing.agent.name
    say("Next")
    say(f"  orchestra approve {name} --proposal")
    say(f"  orchestra request-changes {name} --from-train")
    say(f"  orchestra review {name}")
