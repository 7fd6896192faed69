"""A program that plays ``glab api``: the requests that orchestra makes, with answers in the form of GitLab's REST API.

The forms are those of https://docs.gitlab.com/api/merge_requests. The state is the file that ``scripted_gh`` uses.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

STATE = Path(sys.argv[0]).resolve().parent / "forge.json"
STATES = {"OPEN": "opened", "MERGED": "merged", "CLOSED": "closed"}


def option(words: list[str], name: str) -> str:
    return words[words.index(name) + 1]


def head_of(state: dict[str, Any], request: dict[str, Any]) -> str:
    if request["state"] != "OPEN":
        return str(request["headRefOid"])
    words = ["git", "-C", state["repository"], "rev-parse", "--verify", "--quiet", f"refs/heads/{request['head']}"]
    return subprocess.run(words, capture_output=True, text=True, check=False).stdout.strip()


def row_of(state: dict[str, Any], request: dict[str, Any], *, single: bool = False) -> dict[str, Any]:
    host, _, path = state["project"].partition("/")
    row = {
        "id": 900 + request["number"],
        "iid": request["number"],
        "project_id": 7,
        "source_project_id": 8 if request.get("fork") else 7,
        "target_project_id": 7,
        "title": request["title"],
        "description": request["body"] or None,
        "state": STATES[request["state"]],
        "sha": head_of(state, request),
        "source_branch": request["head"],
        "target_branch": request["base"],
        "web_url": f"https://{host}/{path}/-/merge_requests/{request['number']}",
    }
    if single:
        status = request.get("pipeline")
        row["head_pipeline"] = {"id": 1, "status": status} if status else None
    return row


def answer(state: dict[str, Any], method: str, place: str) -> Any:
    prefix = f"projects/{quote(state['project'].partition('/')[2], safe='')}/merge_requests"
    url = urlsplit(place)
    assert url.path.startswith(prefix), place
    number = url.path.removeprefix(prefix).removeprefix("/")
    if method == "GET" and not number:
        query = {key: values[0] for key, values in parse_qs(url.query).items()}
        wanted = (query["source_branch"], query["target_branch"])
        rows = [one for one in reversed(state["requests"]) if (one["head"], one["base"]) == wanted]
        return [row_of(state, one) for one in rows]
    if method == "POST":
        content = json.load(sys.stdin)
        assert sorted(content) == ["description", "source_branch", "target_branch", "title"], content
        request = {"number": len(state["requests"]) + 12, "state": "OPEN", "head": content["source_branch"]}
        request |= {"base": content["target_branch"], "title": content["title"], "body": content["description"]}
        state["requests"].append(request)
        return row_of(state, request, single=True)
    if number.endswith("/notes"):
        return state.get("notes", [])
    request = next(one for one in state["requests"] if str(one["number"]) == number)
    if method == "PUT":
        content = json.load(sys.stdin)
        request |= {"title": content["title"], "body": content["description"]}
    return row_of(state, request, single=True)


def main() -> None:
    words, state = sys.argv[1:], json.loads(STATE.read_text("utf-8"))
    with STATE.with_name("calls").open("a", encoding="utf-8") as log:
        log.write(json.dumps(words) + "\n")
    assert option(words, "--hostname") == state["project"].partition("/")[0]
    if words[:2] == ["auth", "status"]:
        if state.get("mode") == "logged-out":
            sys.exit("x: API call failed: GET /user: 401 {message: 401 Unauthorized}")
        return
    if state.get("mode") == "refused":
        sys.stdout.write('{"message":"403 Forbidden"}')
        sys.exit("glab: 403 Forbidden (HTTP 403)")
    method = option(words, "--method")
    if method != "GET":
        assert option(words, "--header") == "Content-Type: application/json"
        assert option(words, "--input") == "-"
    found = answer(state, method, words[words.index("--method") + 2])
    STATE.write_text(json.dumps(state), "utf-8")
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main()
