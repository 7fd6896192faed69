"""``orchestra trust``: agree to what a repository's blueprint executes."""

from __future__ import annotations

import os
import shlex
import sys

from orchestra.cli.call import Call
from orchestra.cli.console import Tone, ask, is_terminal, print_note, print_result, show_json
from orchestra.cli.program import task
from orchestra.errors import ExitCode, UsageError
from orchestra.fleet import Fleet
from orchestra.ledger import Json
from orchestra.text import format_count


@task("[BLUEPRINT]", help={"yes": "Trust it without asking."}, examples=("trust mvp5", "trust --yes"))
def trust(call: Call, yes: bool = False) -> ExitCode:
    """Show what a blueprint executes, and trust it.

    A blueprint in a repository runs nothing before that. Trust holds for this repository and these commands; a
    changed command has to be trusted again. Only a person gives it: inside an agent's session it is refused. With
    --json and without --yes it only shows them, and ends with 1 where they are not trusted yet.
    """
    from orchestra.workspace.trust import executed_commands, needs_trust

    fleet = call.load_fleet()
    source, commands, is_new = fleet.blueprint.source, executed_commands(fleet), needs_trust(fleet)
    only_shown = call.json and is_new and not yes
    if not only_shown:
        require_trust(fleet, yes=yes)
    if call.json:
        show_json({"blueprint": str(source.resolve()), "trusted": not only_shown, "commands": list[Json](commands)})
        return ExitCode.SHORT if only_shown else ExitCode.DONE
    for command in () if is_new else commands:
        print_result(f"  {command}")
    print_result(f"{source} is trusted{' now' if is_new else ''}.", Tone.GOOD)
    return ExitCode.DONE


def require_trust(fleet: Fleet, *, yes: bool = False) -> None:
    """Show what an untrusted blueprint executes and ask. Raises UsageError without a yes.

    ``yes``: remember the trust without asking.
    """
    from orchestra.workspace.trust import needs_trust, trust

    if not needs_trust(fleet):
        return
    show_untrusted(fleet)
    if not yes:
        can_ask = is_terminal(sys.stdin) and is_terminal(sys.stderr)
        if not can_ask or ask("Trust them?", ("yes", "no")) != "yes":
            place = shlex.join((f"--repo={fleet.repository.home}", str(fleet.blueprint.source)))
            raise UsageError(
                f"{fleet.blueprint.source} is part of the repository and is not trusted yet, so nothing was executed",
                hint=f"if you agree to all of them: orchestra trust --yes {place}",
            )
    trust(fleet)


def untrusted_note(fleet: Fleet) -> list[str]:
    """Return a note for a dry run of spawn, where spawn would first ask for trust."""
    from orchestra.workspace.trust import executed_commands, needs_trust

    if not needs_trust(fleet):
        return []
    count = format_count(len(executed_commands(fleet)), "command")
    return [f"{fleet.blueprint.source} is not trusted yet: spawn shows its {count} and asks first"]


def show_untrusted(fleet: Fleet) -> None:
    """Print what an untrusted blueprint executes, or what has changed since it was trusted.

    Raises UsageError inside an agent's session, where no person can agree.
    """
    from orchestra.workspace.trust import executed_commands, last_trusted_commands

    source = fleet.blueprint.source
    if agent := os.environ.get("ORCHESTRA_AGENT") or os.environ.get("ORCHESTRA_GATE_SLOT"):
        raise UsageError(
            f"{source} is not trusted yet, and only a person can trust it: this is the session of {agent}",
            hint="ask the person who started it to run `orchestra trust`",
        )
    commands, trusted = executed_commands(fleet), last_trusted_commands(fleet)
    added = [command for command in commands if command not in (trusted or ())]
    removed = [command for command in trusted or () if command not in commands]
    if trusted is None or not (added or removed):
        print_note(f"{source} is part of the repository and executes these commands:", Tone.WAITING)
        for command in commands:
            print_note(f"  {command}")
        return
    print_note(f"{source} is part of the repository, and its commands changed since you trusted it:", Tone.WAITING)
    for label, changed in (("new    ", added), ("removed", removed)):
        for command in changed:
            print_note(f"  {label}  {command}")
    if same := len(commands) - len(added):
        print_note(f"  {format_count(same, 'other command')} as before (orchestra trust --json lists all)", Tone.QUIET)
