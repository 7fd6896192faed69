"""GitHub through ``gh``: https://cli.github.com/manual and https://docs.github.com/rest/pulls.

``gh pr list --json`` finds a pull request with its checks in one request; ``gh api`` opens and updates it, since
``gh pr edit`` asks for rights that many tokens lack (it reads projects).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from orchestra.errors import GroundError
from orchestra.forge.comments import Comment, seconds_of
from orchestra.forge.forge_command import ASK_S, call_program, read_row, read_rows, require_login, unexpected
from orchestra.forge.pull_request import Checks, PullRequest, PullRequestState, newest, summarize_checks
from orchestra.forge.remote_address import ForgeAddress
from orchestra.ledger import Json

_FIELDS = "number,url,state,title,body,headRefOid,isCrossRepository,statusCheckRollup"
_MOST_REQUESTS = "30"  # from branches of that name, those of forks included
_MAY_WRITE = ("OWNER", "MEMBER", "COLLABORATOR")
_PASSED = ("SUCCESS", "NEUTRAL", "SKIPPED")


@dataclass(frozen=True, slots=True)
class GitHub:
    """One repository on GitHub or GitHub Enterprise."""

    address: ForgeAddress
    timeout_s: float = ASK_S

    @property
    def noun(self) -> str:
        return "pull request"

    def require_login(self) -> None:
        """Raise GroundError where gh has no login for the server."""
        require_login(self.address, timeout_s=self.timeout_s)

    def find(self, branch: str, target: str) -> PullRequest | None:
        """Return the open pull request from ``branch`` of this repository into ``target``, else the newest one."""
        words = ["--repo", f"{self.address.host}/{self.address.path}", "--head", branch, "--base", target]
        words += ["--state", "all", "--limit", _MOST_REQUESTS, "--json", _FIELDS]
        answer = call_program(("gh", "pr", "list", *words), timeout_s=self.timeout_s)
        rows = read_rows(answer, "gh pr list")
        try:
            # A fork may have a branch of the same name.
            return newest([_from_list(row) for row in rows if row["isCrossRepository"] is False])
        except (KeyError, ValueError, TypeError):
            raise unexpected(answer, "gh pr list") from None

    def open(self, branch: str, target: str, title: str, body: str) -> PullRequest:
        """Open a pull request."""
        answer = self._send("POST", "pulls", {"title": title, "head": branch, "base": target, "body": body})
        row = read_row(answer, "gh api")
        number, url, head = row.get("number"), row.get("html_url"), row.get("head")
        if not (isinstance(number, int) and isinstance(url, str) and isinstance(head, dict)):
            raise unexpected(answer, "gh api")
        return PullRequest(number, url, PullRequestState.OPEN, str(head.get("sha")), title, body)

    def update(self, number: int, title: str, body: str) -> None:
        """Replace title and body of a pull request."""
        self._send("PATCH", f"pulls/{number}", {"title": title, "body": body})

    def comments(self, number: int) -> list[Comment]:
        """Return the comments of the conversation, of reviews, and on lines that the pull request still has."""
        found = []
        for place in (f"issues/{number}/comments", f"pulls/{number}/reviews", f"pulls/{number}/comments"):
            words = ("--hostname", self.address.host, f"repos/{self.address.path}/{place}?per_page=100")
            answer = call_program(("gh", "api", *words), timeout_s=self.timeout_s)
            try:
                found += [_comment(row) for row in read_rows(answer, "gh api") if not _is_outdated(row)]
            except (KeyError, ValueError, TypeError):
                raise unexpected(answer, "gh api") from None
        return found

    def _send(self, method: str, place: str, content: Mapping[str, str]) -> str:
        words = ("--hostname", self.address.host, "--method", method, f"repos/{self.address.path}/{place}")
        argv = ("gh", "api", *words, "--input", "-")
        try:
            return call_program(argv, stdin=json.dumps(content), timeout_s=self.timeout_s)
        except GroundError as error:
            raise GroundError(f"{method} {place}: {error.message}", hint=error.hint) from error


def _from_list(row: Mapping[str, Json]) -> PullRequest:
    number = row["number"]
    if not isinstance(number, int):
        raise TypeError("the number of a pull request is no number")
    state, checks = PullRequestState(str(row["state"]).lower()), _checks(row["statusCheckRollup"])
    head, title, body = (str(row[key] or "") for key in ("headRefOid", "title", "body"))
    return PullRequest(number, str(row["url"]), state, head, title, body, checks)


def _is_outdated(row: Mapping[str, Json]) -> bool:
    """Return True for a comment on a line that has changed since, and for a review that was not submitted."""
    moved_on = "path" in row and row.get("line") is None and row.get("original_line") is not None
    return moved_on or row.get("state") in ("PENDING", "DISMISSED")


def _comment(row: Mapping[str, Json]) -> Comment:
    author, path, line = row["user"], row.get("path"), row.get("line")
    return Comment(
        author=str(author["login"]) if isinstance(author, dict) else "a deleted account",
        body=str(row["body"] or ""),
        at=seconds_of(row.get("created_at") or row["submitted_at"]),
        path=str(path) if path else None,
        line=line if isinstance(line, int) else None,
        may_write=row["author_association"] in _MAY_WRITE,
    )


def _checks(rollup: Json) -> Checks:
    """Return the state of check runs (with status and conclusion) and commit statuses (with a state) together."""
    rows = [row for row in rollup if isinstance(row, dict)] if isinstance(rollup, list) else []
    outcomes = [
        ("PENDING" if row.get("status") != "COMPLETED" else row.get("conclusion"))
        if row.get("__typename") == "CheckRun"
        else ("PENDING" if row.get("state") == "EXPECTED" else row.get("state"))
        for row in rows
    ]
    pending, passed = outcomes.count("PENDING"), sum(outcome in _PASSED for outcome in outcomes)
    return summarize_checks(failed=len(outcomes) - pending - passed, pending=pending, passed=passed)
