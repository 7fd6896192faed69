"""The commands of the pages that lead through a task run as they stand, in order, in a sample repository."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import Checkout
from tests.docs.pages import DOCS

PAGES = ("getting-started.md", "several-rounds.md", "pull-requests.md")
STEP = re.compile(
    r"^<!-- hidden: (?P<hidden>[^\n]*) -->$|^<!-- run -->\n```sh\n(?P<shown>.*?)^```$", re.DOTALL | re.MULTILINE
)
SAMPLE = {
    "package.json": '{"name": "shop", "private": true, "scripts": {"test": "node --test test/"}}\n',
    ".gitignore": "node_modules/\n",
    "lib/english.mjs": "export const english = (name) => `hello ${name}`;\n",
    "lib/french.mjs": "export const french = (name) => `salut ${name}`;\n",
    "test/english.test.mjs": """\
import assert from "node:assert";
import { test } from "node:test";
import { english } from "../lib/english.mjs";

test("greets", () => assert.equal(english("Ada"), "hello Ada"));
""",
}
HELPERS = {
    "agent.sh": """\
echo 'export const spanish = (name) => `hola ${name}`;' >lib/spanish.mjs
sed -i 's/^## .*/&\\n\\nA greeting in Spanish./' AGENT_NOTES.md
git add lib
git commit -q -m "Greet in Spanish"
""",
    "use-scripted-agent.sh": """\
sed -i '/max_turns:/d; /max_budget_usd:/d' blueprints/shop.yaml
sed -i "s|^  kind: claude.*|  kind: command\\n  command: [sh, $SAMPLE/agent.sh]|" blueprints/shop.yaml
""",
    "wait-until-finished.sh": """\
for _ in $(seq 120); do
  if orchestra status --json | grep -q '"state": "finished"'; then exit 0; fi
  sleep 0.5
done
exit 1
""",
    "first-round.sh": """\
set -e
cd shop
orchestra init
sh "$SAMPLE/use-scripted-agent.sh"
git add -A
git commit -q -m "Add a fleet"
orchestra spawn shop --yes
orchestra start
sh "$SAMPLE/wait-until-finished.sh"
orchestra merge --yes
""",
    "two-branches.sh": """\
cd shop
for name in spanish italian; do
  git switch -q -c "$name" main
  echo "export const $name = (name) => name;" >"lib/$name.mjs"
  git add lib
  git commit -q -m "Add $name"
done
git switch -q main
""",
}


@pytest.mark.timeout(300)
@pytest.mark.parametrize("page", PAGES)
def test_every_command_of_the_page_runs(page: str, tmp_path: Path) -> None:
    if shutil.which("npm") is None:
        pytest.skip("npm is not installed")
    place = tmp_path / "work"
    checkout = Checkout(place / "shop")
    checkout.path.mkdir(parents=True)
    checkout.git("init", "-q", "-b", "main")
    checkout.commit("Start", SAMPLE)
    helpers = tmp_path / "helpers"
    programs = tmp_path / "bin"
    for folder in (helpers, programs):
        folder.mkdir()
    for name, text in HELPERS.items():
        (helpers / name).write_text(text)
    program = programs / "orchestra"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -c "from orchestra.cli.program import main; main()" "$@"\n')
    program.chmod(0o755)
    steps = [match["hidden"] or match["shown"] for match in STEP.finditer((DOCS / page).read_text("utf-8"))]
    assert len(steps) > 1
    script = "set -eux\n" + "\n".join(steps)
    env = {**os.environ, "PATH": f"{programs}:{os.environ['PATH']}", "SAMPLE": str(helpers)}
    done = subprocess.run(["bash", "-c", script], cwd=place, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    if page != "several-rounds.md":
        assert "landed as" in done.stdout
    assert checkout.git("status", "--porcelain", "--untracked-files=no") in ("", " M blueprints/shop.yaml")
