"""Typical mistakes of a newcomer, each with the whole text that answers it.

The first table needs no fleet, the second a spawned one: one has a commit and an old approval, two has no commit.
``REPO`` stands for the path, ``USAGE of VERB`` for the line that ``help VERB`` begins with.
"""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from orchestra.cli import ns
from orchestra.cli.program import orchestra_tasks
from tests.conftest import Checkout, MakeRepository

from .conftest import Orchestra

BLUEPRINT = """\
version: 1
name: shop
worktrees: {root: ../wt}
runner: {kind: none}
gates: {check: {run: "true"}}
agents: [{name: one, task: Do it.}, {name: two, task: Do it.}]
"""
YAML = {
    "tab": "version: 1\nname: shop\nagents:\n\t- {name: one, task: x}\n",
    "indent": "version: 1\nname: shop\nagents:\n  - name: one\n   task: x\n",
    "colon": "version: 1\nname: shop\nagents:\n  - name: one\n    task: Fix: the bug\n",
    "quote": 'version: 1\nname: "shop\nagents: []\n',
    "version": "version: 2\nname: shop\nagents: [{name: one, task: x}]\n",
    "key": "version: 1\nname: shop\nagnets: []\n",
    "verb": "version: 1\nname: shop\nagents: [{name: status, task: x}]\n",
}
WITHOUT_A_FLEET: dict[str, tuple[int, str]] = {
    "stats": (
        2,
        ("error: no verb 'stats'\nhint: did you mean \"status\"?\nusage: orchestra VERB [AGENT...] [options]\n"),
    ),
    "--lits": (
        2,
        (
            "error: no option '--lits'\n"
            "hint: orchestra help lists the verbs\n"
            "usage: orchestra VERB [AGENT...] [options]\n"
        ),
    ),
    "status --jsno": (2, ('error: status has no option --jsno\nhint: did you mean "--json"?\nUSAGE of status\n')),
    "status --json=yes": (2, ("error: --json takes no value\nUSAGE of status\n")),
    "merge --yse": (2, ('error: merge has no option --yse\nhint: did you mean "--yes"?\nUSAGE of merge\n')),
    "-v": (
        2,
        ("error: no option '-v'\nhint: orchestra help lists the verbs\nusage: orchestra VERB [AGENT...] [options]\n"),
    ),
    "help spwan": (2, ("error: no verb 'spwan'\nhint: did you mean \"spawn\"?\nusage: orchestra help [VERB]\n")),
    "version 2": (2, ("error: version takes no plain words (got '2')\nUSAGE of version\n")),
    "completion tcsh": (
        2,
        ("error: no completion for 'tcsh'\nhint: orchestra completion bash, zsh or fish\nUSAGE of completion\n"),
    ),
    "logs": (
        3,
        (
            "error: . is not inside a git repository: not a git repository (or any of the parent "
            "directories): .git\n"
            "hint: run it inside a repository, or name one with --repo\n"
        ),
    ),
    "approve": (
        3,
        (
            "error: . is not inside a git repository: not a git repository (or any of the parent "
            "directories): .git\n"
            "hint: run it inside a repository, or name one with --repo\n"
        ),
    ),
    "request-changes": (2, ("error: request-changes needs AGENT\nUSAGE of request-changes\n")),
    "review one two": (2, ("error: review takes only [AGENT] (got 'two' as well)\nUSAGE of review\n")),
    "status --repo": (2, ("error: --repo needs a value\nUSAGE of status\n")),
    "spawn --blueprint=": (2, ("error: --blueprint needs a value\nUSAGE of spawn\n")),
    "validate": (2, ("error: which blueprint? This folder is in no git repository\nhint: orchestra validate FILE\n")),
    "plan mvp": (
        3,
        (
            "error: . is not inside a git repository: not a git repository (or any of the parent "
            "directories): .git\n"
            "hint: run it inside a repository, or name one with --repo\n"
        ),
    ),
    "plan --graph=svg mvp5": (2, ("error: no graph 'svg'\nhint: --graph takes text, mermaid, dot\nUSAGE of plan\n")),
    "validate nosuch.yaml": (
        2,
        (
            'error: no blueprint "nosuch.yaml"\n'
            "hint: available: colon, enterprise50, indent, key, mixed50, mvp5, production15, quote, "
            "refactor6, standards/go-service, standards/python-service, "
            "standards/typescript-service, tab, verb, version\n"
        ),
    ),
    "validate tab.yaml": (
        2,
        ("tab.yaml:4:1: tab in the indentation: YAML allows spaces only\n    hint: replace each tab by two spaces\n"),
    ),
    "validate indent.yaml": (
        2,
        (
            "indent.yaml:5:4: is not YAML: did not find expected '-' indicator (while parsing a "
            "block collection, which starts on line 4)\n"
            "    hint: align the keys of one item, and the dashes of one list\n"
        ),
    ),
    "validate colon.yaml": (
        2,
        (
            "colon.yaml:5:14: is not YAML: mapping values are not allowed in this context\n"
            "    hint: quote a value that contains a colon and a space, or fix the indentation\n"
        ),
    ),
    "validate quote.yaml": (
        2,
        (
            "quote.yaml:2:7: is not YAML: found unexpected end of stream (while scanning a quoted "
            "scalar, which starts on line 2)\n"
            "    hint: a quote that opens here is never closed\n"
        ),
    ),
    "validate version.yaml": (2, "version.yaml:1:10: version 2: this orchestra reads version 1\n"),
    "validate key.yaml": (
        2,
        (
            'key.yaml:1:1: missing "agents"\n'
            '    hint: add agents: [{name: "api", task: "..."}]\n'
            'key.yaml:3:1: unknown key "agnets"\n'
            '    hint: did you mean "agents"?\n'
        ),
    ),
    "validate verb.yaml": (
        2,
        (
            'verb.yaml:3:17: agent "status": name: "status" is an orchestra command, so it cannot '
            "name an agent\n"
            '    hint: for instance "status-agent"\n'
        ),
    ),
    "status": (
        3,
        (
            "error: . is not inside a git repository: not a git repository (or any of the parent "
            "directories): .git\n"
            "hint: run it inside a repository, or name one with --repo\n"
        ),
    ),
    "spawn mvp5": (
        3,
        (
            "error: . is not inside a git repository: not a git repository (or any of the parent "
            "directories): .git\n"
            "hint: run it inside a repository, or name one with --repo\n"
        ),
    ),
    "init": (
        3,
        (
            "error: . is not inside a git repository: not a git repository (or any of the parent "
            "directories): .git\n"
            "hint: run it inside a repository, or name one with --repo\n"
        ),
    ),
    "doctor -b nosuch": (
        3,
        (
            "error: . is not inside a git repository: not a git repository (or any of the parent "
            "directories): .git\n"
            "hint: run it inside a repository, or name one with --repo\n"
        ),
    ),
    "status --repo=nowhere": (2, "error: nowhere is not a folder\n"),
    "init --dir=x": (2, "error: --dir needs --from=FLEET\nUSAGE of init\n"),
}
WITH_A_FLEET: dict[str, tuple[int, str]] = {
    "status scheam": (2, ("error: no agent 'scheam' in fleet shop\nhint: the agents are one, two\nUSAGE of status\n")),
    "status oen": (2, ("error: no agent 'oen' in fleet shop\nhint: did you mean \"one\"?\nUSAGE of status\n")),
    "stop two start": (
        2,
        (
            "error: no agent 'start' in fleet shop\n"
            "hint: one verb a line: run `orchestra start` by itself\n"
            "USAGE of stop\n"
        ),
    ),
    "start status": (
        2,
        (
            "error: no agent 'status' in fleet shop\n"
            "hint: one verb a line: run `orchestra status` by itself\n"
            "USAGE of start\n"
        ),
    ),
    "approve one,tow": (2, ("error: no agent 'tow' in fleet shop\nhint: did you mean \"two\"?\nUSAGE of approve\n")),
    "approve 9": (2, ("error: no agent '9' in fleet shop\nhint: the agents are one, two\nUSAGE of approve\n")),
    "approve two": (2, ("error: two has no commits to approve\nhint: look at REPO/wt/agent-2\n")),
    "approve one --commit=1234567": (
        2,
        (
            "error: agent/shop/one is at TIP, not at 1234567: it has moved since you looked\n"
            "hint: orchestra review one, then orchestra approve one@TIP\n"
        ),
    ),
    "approve one two --commit=1234567": (
        2,
        ("error: --commit is for one agent\nhint: name the commit of each: AGENT@COMMIT\nUSAGE of approve\n"),
    ),
    "approve one@123": (2, ("error: '123' is too short for a commit\nhint: give at least 7 digits of it\n")),
    "discard two": (2, ("error: a discard needs a reason\nhint: orchestra discard two 'REASON'\n")),
    "request-changes one": (
        2,
        ("error: a request for changes needs a message\nhint: orchestra request-changes one 'MESSAGE'\n"),
    ),
    "request-changes one fix it": (
        2,
        (
            "error: request-changes takes only AGENT [MESSAGE] (got 'it' as well)\n"
            "hint: quote a text of several words: 'fix it'\n"
            "USAGE of request-changes\n"
        ),
    ),
    "request-changes one --mesage fix": (
        2,
        ('error: request-changes has no option --mesage\nhint: did you mean "--message"?\nUSAGE of request-changes\n'),
    ),
    "status --bell": (
        2,
        ("error: --bell is only for --watch\nhint: orchestra status --watch --bell\nUSAGE of status\n"),
    ),
    "plan --graph=dot --json": (
        2,
        ("error: --graph, --resolved and --json each show one thing\nhint: give one of them\nUSAGE of plan\n"),
    ),
    "logs": (2, ("error: no agent of fleet shop has had a session yet\nhint: run orchestra start\n")),
    "logs one": (2, ("error: one has had no session yet\nhint: run orchestra start one\n")),
    "logs -f one --json": (
        2,
        ("error: --json prints one document, and --follow does not end\nhint: give one of them\nUSAGE of logs\n"),
    ),
    "attach one": (
        0,
        (
            "one: cd REPO/wt/agent-1; claude 'Read TASK.md in this folder and do what it says, "
            "within the rules of the project instructions. Commit your work on the current branch "
            "as you go, fill in AGENT_NOTES.md, and stop when everything in TASK.md is done.'   # "
            "or any other program, or edit by hand\n"
        ),
    ),
    "path tow": (2, ("error: no agent 'tow' in fleet shop\nhint: did you mean \"two\"?\nUSAGE of path\n")),
    "review two": (
        0,
        (
            "2 two: two\n"
            "  branch    agent/shop/two at BASE, 0 commits, 0 behind main\n"
            "  worktree  REPO/wt/agent-2\n"
            "  verdict   none\n"
            "  nothing to approve: the branch has no commits\n"
            "\n"
            "Notes: none written\n"
            "\n"
            "Gates: not run yet (orchestra rebase-and-test two)\n"
            "\n"
            "Commits\n"
            "  (none)\n"
            "\n"
            "Diff against the merge base\n"
            "  (no changes)\n"
            "\n"
            "or: orchestra request-changes two 'MESSAGE'; orchestra discard two 'REASON'\n"
        ),
    ),
    "review one --proposal": (
        2,
        (
            "error: there is no proposal for one\n"
            "hint: orchestra rebase-and-test one looks for one, where merge.proposals names a method\n"
        ),
    ),
    "merge --push one": (
        2,
        ("error: there is no remote to push to\nhint: git remote add origin URL, or merge without --push\n"),
    ),
    "merge two": (
        1,
        (
            "two: waiting: no verdict\nmain stays at BASE\n"
            "two has no runner: work in its worktree, commit, and fill in AGENT_NOTES.md.\n"
            'next: cd "$(orchestra path two)"\n'
            "nothing to merge\n"
        ),
    ),
    "merge nobody": (2, ("error: no agent 'nobody' in fleet shop\nhint: the agents are one, two\nUSAGE of merge\n")),
    "rebase-and-test": (2, ("error: rebase-and-test needs AGENT\nUSAGE of rebase-and-test\n")),
    "clean two": (0, "two: it has neither landed nor been discarded\n"),
    "clean nobody": (2, ("error: no agent 'nobody' in fleet shop\nhint: the agents are one, two\nUSAGE of clean\n")),
    "spawn nosuch": (
        2,
        (
            "error: no agent 'nosuch' in fleet shop, and no blueprint of that name\n"
            "hint: the agents are one, two\n"
            "USAGE of spawn\n"
        ),
    ),
    "spawn shop nosuch": (
        2,
        (
            "error: no agent 'nosuch' in fleet shop, and no blueprint of that name\n"
            "hint: the agents are one, two\n"
            "USAGE of spawn\n"
        ),
    ),
    "start one --agian": (2, ('error: start has no option --agian\nhint: did you mean "--again"?\nUSAGE of start\n')),
    "json-schema one": (2, ("error: json-schema takes no plain words (got 'one')\nUSAGE of json-schema\n")),
    "demo --repo=.": (
        2,
        ("error: REPO/repo is not an empty folder\nhint: the demo creates its own repository and changes no other\n"),
    ),
    "merge one": (
        1,
        (
            "one: waiting: its approval is stale: the branch has new commits\n"
            "main stays at BASE\n"
            "next: orchestra review one\n"
            "nothing to merge\n"
        ),
    ),
    "spawn two --dry": (2, ('error: spawn has no option --dry\nhint: did you mean "--dry-run"?\nUSAGE of spawn\n')),
}


def answers(orchestra: Orchestra, lines: dict[str, tuple[int, str]], folder: Path) -> dict[str, tuple[int, str]]:
    """Type each line; return its exit code and all that it printed, standard output first."""
    seen = {}
    for line in lines:
        code, out, err = orchestra(*shlex.split(line))
        text = (out + err).replace(str(folder), "REPO")
        for name, task in orchestra_tasks(ns).items():
            text = text.replace(f"usage: orchestra {task.verb.usage}\n", f"USAGE of {name}\n")
        seen[line] = (code, text)
    return seen


def test_mistakes_outside_a_repository(orchestra: Orchestra, tmp_path: Path) -> None:
    for name, text in YAML.items():
        (tmp_path / f"{name}.yaml").write_text(text)
    assert answers(orchestra, WITHOUT_A_FLEET, tmp_path) == WITHOUT_A_FLEET


def test_mistakes_with_a_fleet(
    make_repository: MakeRepository, orchestra: Orchestra, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkout = make_repository({"blueprints/shop.yaml": BLUEPRINT})
    monkeypatch.chdir(checkout.path)
    assert orchestra("spawn", "shop", "--yes")[0] == 0
    one = Checkout(checkout.path.parent / "wt" / "agent-1")
    one.commit("work", {"one.txt": "1\n"})
    assert orchestra("approve", "one")[0] == 0
    one.commit("more work", {"one.txt": "2\n"})
    hashes = {one.git("rev-parse", "HEAD")[:12]: "TIP", checkout.git("rev-parse", "HEAD")[:10]: "BASE"}
    seen = answers(orchestra, WITH_A_FLEET, checkout.path.parent)
    for commit, name in hashes.items():
        seen = {line: (code, text.replace(commit, name)) for line, (code, text) in seen.items()}
    assert seen == WITH_A_FLEET
