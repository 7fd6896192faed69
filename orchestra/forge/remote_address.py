"""The project that a remote's address names, and the kind of server that holds it.

The host decides: github.com and gitlab.com, a host whose name says what it is (github.example.org), an alias of an SSH
configuration (github-work). Any other host is taken for the kind whose program is installed, where only one is.
"""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass

from orchestra.blueprint.model import ForgeKind
from orchestra.errors import GroundError, UsageError
from orchestra.fleet import Fleet

PROGRAMS = {ForgeKind.GITHUB: "gh", ForgeKind.GITLAB: "glab"}
_LEAST_PARTS = 2  # owner and name
_WITH_SCHEME = re.compile(
    r"(?:https?|ssh|git(?:\+ssh)?)://(?:[^@/]*@)?(?P<host>\[[^\]]+\]|[^:/]+)(?P<port>:\d+)?/(?P<path>.+)"
)
_SCP = re.compile(r"(?:[^@/:]+@)?(?P<host>[^/:]+):(?P<path>[^/].*)")


@dataclass(frozen=True, slots=True)
class ForgeAddress:
    """``host`` has a port where the address has one over HTTP; ``path`` is owner/name, with subgroups on GitLab."""

    kind: ForgeKind
    host: str
    path: str

    @property
    def program(self) -> str:
        return PROGRAMS[self.kind]


def parse_remote_url(url: str) -> tuple[str, str] | None:
    """Return host and project path of a remote's address; None for a path of this machine. Pure."""
    match = _WITH_SCHEME.fullmatch(url) or ("://" not in url and _SCP.fullmatch(url)) or None
    if match is None:
        return None
    parts = [part for part in match["path"].removesuffix("/").removesuffix(".git").split("/") if part]
    if len(parts) < _LEAST_PARTS:
        return None
    port = match.groupdict().get("port") or ""
    return match["host"] + (port if url.startswith("http") else ""), "/".join(parts)


def read_address(fleet: Fleet) -> ForgeAddress:
    """Return the project behind the fleet's remote. Raises UsageError, GroundError with the fix."""
    if fleet.remote is None:
        raise UsageError(
            "merge.via is pull-request, and there is no remote to open one on", hint="git remote add origin URL"
        )
    url = fleet.repository.git.text("remote", "get-url", "--push", fleet.remote)
    parsed = parse_remote_url(url)
    if parsed is None:
        raise GroundError(
            f"remote {fleet.remote} is no project on a forge: {without_password(url)}",
            hint=f"git remote set-url {fleet.remote} https://HOST/OWNER/NAME, or merge.via: push in the blueprint",
        )
    host, path = parsed
    kind = fleet.blueprint.merge.forge or _kind_of(host)
    if not url.startswith("http") and re.fullmatch(rf"{kind}(\.com)?-.+", host):
        host = f"{kind}.com"  # an alias of the person's SSH configuration, such as github-work
    return ForgeAddress(kind, host, path)


def without_password(url: str) -> str:
    """Return an address as it may be shown."""
    return re.sub(r"://[^@/]*@", "://", url)


def _kind_of(host: str) -> ForgeKind:
    named = [kind for kind in ForgeKind if kind.value in host.lower()]
    installed = [kind for kind, program in PROGRAMS.items() if shutil.which(program)]
    kinds = named or installed
    if len(kinds) != 1:
        programs = "neither gh nor glab is on PATH" if not kinds else "gh and glab are both on PATH"
        raise GroundError(
            f"what kind of forge {host} is cannot be decided: {programs}",
            hint="declare it in the blueprint: merge: {forge: github} or {forge: gitlab}",
        )
    return kinds[0]
