"""``orchestra trust``: agree to what a repository's blueprint executes."""

from __future__ import annotations

import sys

from orchestra.cli.call import Call
from orchestra.cli.console import Tone, ask, is_terminal, print_note, print_result, show_json
from orchestra.cli.program import task
from orchestra.errors import ExitCode, UsageError
from orchestra.fleet import Fleet


@task("[BLUEPRINT]", help={"yes": "Trust it without asking."}, examples=("trust mvp5", "trust --yes"))
def trust(call: Call, yes: bool = False) -> ExitCode:
    """Show what a blueprint executes, and trust it.

    A blueprint that came with a repository runs nothing before that. Trust holds for this repository and these
    commands; a changed command has to be trusted again.
    """
    from orchestra.workspace.trust import executed_commands, needs_trust

    fleet = call.load_fleet()
    source, commands, is_new = fleet.blueprint.source, executed_commands(fleet), needs_trust(fleet)
    require_trust(fleet, yes=yes)
    if call.json:
        show_json({"blueprint": str(source.resolve()), "trusted": True, "commands": [str(c) for c in commands]})
        return ExitCode.DONE
    for command in () if is_new else commands:
        print_result(f"  {command}")
    print_result(f"{source} is trusted{' now' if is_new else ''}.", Tone.GOOD)
    return ExitCode.DONE


def require_trust(fleet: Fleet, *, yes: bool = False) -> None:
    """Show what an untrusted blueprint executes and ask. Raises UsageError without a yes.

    ``yes``: remember the trust without asking.
    """
    from orchestra.workspace.trust import executed_commands, needs_trust, trust

    if not needs_trust(fleet):
        return
    source = fleet.blueprint.source
    print_note(f"{source} came with the repository and executes these commands:", Tone.WAITING)
    for command in executed_commands(fleet):
        print_note(f"  {command}")
    if not yes:
        can_ask = is_terminal(sys.stdin) and is_terminal(sys.stderr)
        if not can_ask or ask("Trust them?", ("yes", "no")) != "yes":
            raise UsageError(
                f"{source} came with the repository and is not trusted yet, so nothing was executed",
                hint=f"orchestra trust --yes --repo={fleet.repository.home} --blueprint={source}",
            )
    trust(fleet)
