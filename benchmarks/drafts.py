"""Run the draft of ``orchestra init`` on real repositories, with agents that make a small change and a test each.

    python benchmarks/drafts.py /tmp/trial https://github.com/pallets/itsdangerous https://github.com/spf13/cobra

Each repository is cloned into the folder (a new one), drafted, checked, spawned, worked on and merged, by the commands
that a person types. The draft is used as it is but for its runner, which is a script instead of a model: each agent
adds a source file and a test where its scope has others, or a page. The repository's own suite is the gate. Prints a
row of a Markdown table for each.
"""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import yaml

ORCHESTRA = Path(sys.executable).with_name("orchestra")
JAVASCRIPT_TEST = """\
'use strict'

const assert = require('node:assert')

describe('orchestra trial', function () {
  it('adds', function () {
    assert.strictEqual(1 + 1, 2)
  })
})
"""
GO_TEST = """\
package {package}

import "testing"

func TestOrchestraTrial(t *testing.T) {{
\tif orchestraTrial != 1 {{
\t\tt.Fatal(orchestraTrial)
\t}}
}}
"""
MOST_WORK_S = 120.0


def run(folder: Path, *argv: str) -> tuple[int, str, float]:
    """Return exit code, both outputs and seconds of a command in the clone."""
    started = time.monotonic()
    done = subprocess.run(argv, cwd=folder, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr, time.monotonic() - started


def main() -> None:
    """Try each repository."""
    root = Path(sys.argv[1])
    root.mkdir(parents=True)
    sys.stdout.write(
        "| repository | commit | agents | check | landed | merge |\n| --- | --- | --- | --- | --- | --- |\n"
    )
    for url in sys.argv[2:]:
        sys.stdout.write(f"| {' | '.join(try_repository(root, url))} |\n")
        sys.stdout.flush()


def try_repository(root: Path, url: str) -> tuple[str, ...]:
    """Return the cells of one row."""
    name = re.sub(r"(/repo)?(\.git)?/?$", "", url).rpartition("/")[2].rpartition("+")[2]
    clone = root / name
    run(root, "git", "clone", "--quiet", url, name)
    commit = run(clone, "git", "log", "-1", "--format=%h of %cs")[1].strip()
    code, output, _ = run(clone, str(ORCHESTRA), "init", "--json")
    if code:
        return (name, commit, "none", output.strip().splitlines()[-1], "", "")
    blueprint = clone / json.loads(output[: output.rindex("}") + 1])["blueprint"]
    agents = [agent["name"] for agent in yaml.safe_load(blueprint.read_text("utf-8"))["agents"]]
    use_scripted_agents(clone, blueprint)
    run(clone, "git", "add", "--all")
    run(clone, "git", "-c", "user.name=Trial", "-c", "user.email=trial@example.org", "commit", "-qm", "Add a fleet")
    run(clone, str(ORCHESTRA), "trust", "--yes")
    checked = run(clone, str(ORCHESTRA), "check", "--json")
    if "{\n" not in checked[1]:
        return (name, commit, ", ".join(agents), checked[1].strip().splitlines()[-1].replace("|", "/"), "not tried", "")
    document = json.loads(checked[1][checked[1].index("{\n") : checked[1].rindex("}") + 1])
    red = [f"{each['name']}: {each['reason']}" for each in document["runs"] if each["outcome"] != "passed"]
    check = f"{'red, ' + '; '.join(red) if red else 'green'}, {checked[2]:.0f} s".replace("|", "/")
    if red:
        return (name, commit, ", ".join(agents), check, "not tried", "")
    run(clone, str(ORCHESTRA), "spawn", "--yes")
    run(clone, str(ORCHESTRA), "start")
    wait_for_agents(clone)
    merged = run(clone, str(ORCHESTRA), "merge", "--yes", "--json")
    result = json.loads(merged[1][merged[1].index("{\n") : merged[1].rindex("}") + 1])
    evicted = [f"{each['agent']}: {each['detail']}" for each in result["evicted"]]
    landed = f"{len(result['landed'])} of {len(agents)}{'; ' if evicted else ''}{'; '.join(evicted)}".replace("|", "/")
    return (name, commit, ", ".join(agents), check, landed, f"{merged[2]:.0f} s")


def wait_for_agents(clone: Path) -> None:
    """Wait until no agent works any more."""
    until = time.monotonic() + MOST_WORK_S
    while time.monotonic() < until:
        status = json.loads(run(clone, str(ORCHESTRA), "status", "--json")[1])
        if not {agent["state"] for agent in status["agents"]} & {"queued", "starting", "working"}:
            return
        time.sleep(1)


def use_scripted_agents(clone: Path, blueprint: Path) -> None:
    """Write the script that plays the agents next to the clone, and make it the draft's runner."""
    tracked = run(clone, "git", "ls-files", "-z")[1].split("\0")
    cases = []
    for agent in yaml.safe_load(blueprint.read_text("utf-8"))["agents"]:
        lines = [
            f"mkdir -p {shlex.quote(str(Path(path).parent))}; printf %s {shlex.quote(text)} >{shlex.quote(path)}; "
            f"git add {shlex.quote(path)}"
            for path, text in changes_of(agent, tracked, clone).items()
        ]
        cases.append(f"{agent['name']}) {'; '.join(lines)};;")
    notes = "sed -i 's/^## .*/&\\n\\nA trial change with a test./' AGENT_NOTES.md"
    script = clone.parent / f"{clone.name}-agents.sh"
    body = "\n".join(cases)
    script.write_text(
        f'set -e\ncase $ORCHESTRA_AGENT in\n{body}\nesac\n{notes}\ngit commit -q -m "Add a trial change"\n', "utf-8"
    )
    text = re.sub(r"^  max_\w+:.*\n", "", blueprint.read_text("utf-8"), flags=re.MULTILINE)
    runner = f"  kind: command\n  command: [sh, {json.dumps(str(script))}]"
    blueprint.write_text(text.replace("  kind: claude", runner), "utf-8")


def changes_of(agent: dict[str, Any], tracked: list[str], clone: Path) -> dict[str, str]:
    """Return new files for an agent: a source file and a test in the folders where its scope has most of them."""
    scope = agent["scope"]
    include = scope["include"] if isinstance(scope, dict) else scope
    bases = [pattern.removesuffix("**") for pattern in include if pattern.endswith("/**")]
    inside = [path for path in tracked if path.startswith(tuple(bases))] if bases else []
    if any(pattern.startswith("*.") for pattern in include):
        inside += [path for path in tracked if "/" not in path and f"*{Path(path).suffix}" in include]
    suffix = Counter(Path(path).suffix for path in inside if Path(path).suffix in (".py", ".js", ".go"))
    if agent["from"] == "docs" or not suffix:
        return {f"{bases[0]}orchestra-trial.md": "# Trial\n\nA page.\n"}
    language = suffix.most_common(1)[0][0]
    is_test = re.compile(r"(^|/)tests?/|_test\.go$")
    code = Counter(str(Path(path).parent) for path in inside if path.endswith(language) and not is_test.search(path))
    tests = Counter(str(Path(path).parent) for path in inside if path.endswith(language) and is_test.search(path))
    home, test_home = (Path(each.most_common(1)[0][0]) if each else Path() for each in (code, tests))
    if language == ".py":
        test = "def test_trial() -> None:\n    assert 1 + 1 == 2\n"
        return {f"{home}/orchestra_trial.py": "TRIAL = 1\n", f"{test_home}/test_orchestra_trial.py": test}
    if language == ".js":
        source = "'use strict'\n\nmodule.exports = 1\n"
        return {f"{home}/orchestra-trial.js": source, f"{test_home}/orchestra-trial.js": JAVASCRIPT_TEST}
    source = next(path for path in sorted(inside) if Path(path).parent == home and not path.endswith("_test.go"))
    package = re.search(r"^package (\w+)", (clone / source).read_text("utf-8"), re.MULTILINE)
    name = package[1] if package else "main"
    return {
        str(home / "orchestra_trial.go"): f"package {name}\n\nconst orchestraTrial = 1\n",
        str(home / "orchestra_trial_test.go"): GO_TEST.format(package=name),
    }


if __name__ == "__main__":
    main()
