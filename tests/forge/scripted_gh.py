"""A program that plays ``gh``: the requests that orchestra makes, with answers in the form that gh 2.x prints.

The forms are those of https://cli.github.com/manual/gh_pr_list (``--json``) and https://docs.github.com/rest/pulls. The
state is a JSON file next to this program; ``mode`` in it makes the program misbehave.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

STATE = Path(sys.argv[0]).resolve().parent / "forge.json"


def head_of(state: dict[str, Any], request: dict[str, Any]) -> str:
    """Return the head of a request: its branch while it is open, and what it was when it was merged or closed."""
    if request["state"] != "OPEN":
        return str(request["headRefOid"])
    words = ["git", "-C", state["repository"], "rev-parse", "--verify", "--quiet", f"refs/heads/{request['head']}"]
    return subprocess.run(words, capture_output=True, text=True, check=False).stdout.strip()


def option(words: list[str], name: str) -> str:
    return words[words.index(name) + 1]


def list_requests(state: dict[str, Any], words: list[str]) -> list[dict[str, Any]]:
    assert option(words, "--repo") == state["project"], words
    head, base = option(words, "--head"), option(words, "--base")
    fields = option(words, "--json").split(",")
    rows = []
    for request in reversed(state["requests"]):
        if request["head"] != head or request["base"] != base:
            continue
        row = {
            "number": request["number"],
            "url": f"https://forge.example/acme/shop/pull/{request['number']}",
            "state": request["state"],
            "title": request["title"],
            "body": request["body"],
            "headRefOid": head_of(state, request),
            "isCrossRepository": request.get("fork", False),
            "statusCheckRollup": request.get("checks"),
        }
        rows.append({field: row[field] for field in fields})
    return rows


def send(state: dict[str, Any], words: list[str]) -> dict[str, Any] | None:
    method, place = option(words, "--method"), words[words.index("--method") + 2]
    content = json.load(sys.stdin)
    prefix = f"repos/{state['project'].partition('/')[2]}/pulls"
    if (method, place) == ("POST", prefix):
        assert sorted(content) == ["base", "body", "head", "title"], content
        if any(one["head"] == content["head"] and one["state"] == "OPEN" for one in state["requests"]):
            refuse(f"A pull request already exists for acme:{content['head']}.")
        number = len(state["requests"]) + 12
        state["requests"].append({"number": number, "state": "OPEN", **content})
        head = {"ref": content["head"], "sha": head_of(state, state["requests"][-1])}
        url = f"https://forge.example/acme/shop/pull/{number}"
        return {"number": number, "html_url": url, "state": "open", "head": head}
    if method == "PATCH" and place.startswith(f"{prefix}/"):
        request = next(one for one in state["requests"] if place == f"{prefix}/{one['number']}")
        request.update(content)
        return {"number": request["number"], "html_url": "", "state": "open"}
    return None


def list_comments(state: dict[str, Any], place: str) -> list[dict[str, Any]]:
    """Answer ``issues/12/comments``, ``pulls/12/comments`` and ``pulls/12/reviews``."""
    prefix = f"repos/{state['project'].partition('/')[2]}/"
    assert place.startswith(prefix) and place.endswith("?per_page=100"), place
    rows: list[dict[str, Any]] = state.get("comments", {}).get(place.removeprefix(prefix).partition("?")[0], [])
    return rows


def refuse(reason: str) -> None:
    """End as ``gh api`` does for a request that is refused: the answer on standard output, a line on standard error."""
    answer = {"message": "Validation Failed", "errors": [{"resource": "PullRequest", "message": reason}]}
    sys.stdout.write(json.dumps(answer | {"documentation_url": "https://docs.github.com/rest", "status": "422"}))
    sys.exit("gh: Validation Failed (HTTP 422)")


def main() -> None:
    words, state = sys.argv[1:], json.loads(STATE.read_text("utf-8"))
    with STATE.with_name("calls").open("a", encoding="utf-8") as log:
        log.write(json.dumps(words) + "\n")
    mode = state.get("mode")
    if mode == "hang":
        time.sleep(600)
    if mode == "garbage" and words[0] != "auth":
        sys.stdout.write("<html>\x1b[31mBad gateway</html>\n")
        return
    if mode == "unreachable" and words[0] != "auth":
        sys.exit("error connecting to api.github.com\ncheck your internet connection or https://githubstatus.com")
    if words[:2] == ["auth", "status"]:
        assert option(words, "--hostname") == state["project"].partition("/")[0]
        if mode == "logged-out":
            sys.exit("You are not logged into any GitHub hosts. To log in, run: gh auth login")
        sys.stderr.write("Logged in to the forge account ada\n")
    elif words[:2] == ["pr", "list"]:
        sys.stdout.write(json.dumps(list_requests(state, words)) + "\n")
    elif words[0] == "api":
        if "--method" not in words:
            sys.stdout.write(json.dumps(list_comments(state, words[-1])))
            return
        if mode == "read-only":
            refuse("Resource not accessible by personal access token")
        answer = send(state, words)
        assert answer is not None, words
        STATE.write_text(json.dumps(state), "utf-8")
        sys.stdout.write(json.dumps(answer))
    else:
        sys.exit(f'unknown command "{words[0]}" for "gh"')


if __name__ == "__main__":
    main()
