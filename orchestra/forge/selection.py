"""Choose the program that talks to the server of a fleet's remote."""

from __future__ import annotations

from orchestra.blueprint.model import ForgeKind
from orchestra.fleet import Fleet
from orchestra.forge.forge_command import ASK_S
from orchestra.forge.pull_request import Forge
from orchestra.forge.remote_address import read_address


def open_forge(fleet: Fleet, *, timeout_s: float = ASK_S) -> Forge:
    """Return the forge of the fleet's remote; no request is made. Raises UsageError, GroundError with the fix."""
    # Imported here: status, next and plan start with this module, and few fleets have a forge.
    address = read_address(fleet)
    if address.kind is ForgeKind.GITLAB:
        from orchestra.forge.gitlab import GitLab

        return GitLab(address, timeout_s)
    from orchestra.forge.github import GitHub

    return GitHub(address, timeout_s)
