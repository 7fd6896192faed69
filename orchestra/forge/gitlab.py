"""GitLab through ``glab api``: https://docs.gitlab.com/api/merge_requests.

The list of merge requests has no pipeline, so that the one that is open is read by itself.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from urllib.parse import quote, urlencode

from orchestra.errors import GroundError
from orchestra.forge.comments import Comment, seconds_of
from orchestra.forge.forge_command import ASK_S, call_program, read_row, read_rows, require_login, unexpected
from orchestra.forge.pull_request import Checks, PullRequest, PullRequestState, newest, summarize_checks
from orchestra.forge.remote_address import ForgeAddress
from orchestra.ledger import Json

_STATES = {
    "opened": PullRequestState.OPEN,
    "locked": PullRequestState.OPEN,  # while it is being merged
    "merged": PullRequestState.MERGED,
    "closed": PullRequestState.CLOSED,
}
_ENDED_WELL, _ENDED_BADLY = ("success", "skipped"), ("failed", "canceled")


@dataclass(frozen=True, slots=True)
class GitLab:
    """One project on gitlab.com or a GitLab of one's own."""

    address: ForgeAddress
    timeout_s: float = ASK_S

    @property
    def noun(self) -> str:
        return "merge request"

    def require_login(self) -> None:
        """Raise GroundError where glab has no login for the server."""
        require_login(self.address, timeout_s=self.timeout_s)

    def find(self, branch: str, target: str) -> PullRequest | None:
        """Return the open merge request from ``branch`` of this project into ``target``, else the newest one."""
        query = {"source_branch": branch, "target_branch": target, "state": "all", "per_page": "30"}
        answer = self._send("GET", f"merge_requests?{urlencode(query)}")
        try:
            # A fork may have a branch of the same name.
            rows = [
                row for row in read_rows(answer, "glab api") if row["source_project_id"] == row["target_project_id"]
            ]
            found = newest([_from_row(row) for row in rows])
        except (KeyError, ValueError, TypeError):
            raise unexpected(answer, "glab api") from None
        if found is None or found.state is not PullRequestState.OPEN:
            return found
        single = read_row(self._send("GET", f"merge_requests/{found.number}"), "glab api")
        return replace(found, checks=_checks(single.get("head_pipeline")))

    def open(self, branch: str, target: str, title: str, body: str) -> PullRequest:
        """Open a merge request."""
        content = {"source_branch": branch, "target_branch": target, "title": title, "description": body}
        answer = self._send("POST", "merge_requests", content)
        try:
            return _from_row(read_row(answer, "glab api"))
        except (KeyError, ValueError, TypeError):
            raise unexpected(answer, "glab api") from None

    def update(self, number: int, title: str, body: str) -> None:
        """Replace title and description of a merge request."""
        self._send("PUT", f"merge_requests/{number}", {"title": title, "description": body})

    def comments(self, number: int) -> list[Comment]:
        """Return the notes of people; GitLab does not say with them who may push."""
        answer = self._send("GET", f"merge_requests/{number}/notes?sort=asc&per_page=100")
        try:
            return [_comment(row) for row in read_rows(answer, "glab api") if row["system"] is False]
        except (KeyError, ValueError, TypeError):
            raise unexpected(answer, "glab api") from None

    def _send(self, method: str, place: str, content: Mapping[str, str] | None = None) -> str:
        project = f"projects/{quote(self.address.path, safe='')}/{place}"
        words = ["--hostname", self.address.host, "--method", method, project]
        if content is not None:
            words += ["--header", "Content-Type: application/json", "--input", "-"]
        body = json.dumps(content) if content is not None else ""
        try:
            return call_program(("glab", "api", *words), stdin=body, timeout_s=self.timeout_s)
        except GroundError as error:
            raise GroundError(f"{method} {place.partition('?')[0]}: {error.message}", hint=error.hint) from error


def _from_row(row: Mapping[str, Json]) -> PullRequest:
    number = row["iid"]
    if not isinstance(number, int):
        raise TypeError("the number of a merge request is no number")
    head, title, body = (str(row[key] or "") for key in ("sha", "title", "description"))
    return PullRequest(number, str(row["web_url"]), _STATES[str(row["state"])], head, title, body)


def _comment(row: Mapping[str, Json]) -> Comment:
    author, position = row["author"], row.get("position")
    place = position if isinstance(position, dict) else {}
    path, line = place.get("new_path"), place.get("new_line")
    return Comment(
        author=str(author["username"]) if isinstance(author, dict) else "",
        body=str(row["body"] or ""),
        at=seconds_of(row["created_at"]),
        path=str(path) if path else None,
        line=line if isinstance(line, int) else None,
    )


def _checks(pipeline: Json) -> Checks:
    """Return the state of the newest pipeline of the merge request's head."""
    if not isinstance(pipeline, dict):
        return Checks.NONE
    status = pipeline.get("status")
    passed, failed = status in _ENDED_WELL, status in _ENDED_BADLY
    return summarize_checks(failed=failed, pending=not passed and not failed, passed=passed)
