"""From an empty folder to landed work: init --from, spawn, agents that are scripts, merge. With real npm gates."""

from __future__ import annotations

import shutil
import subprocess
import time
from pathlib import Path

import pytest

from tests.conftest import Checkout

from .command import program

AGENT = """\
set -eu
case $1 in schema) folder=src/db ;; *) folder=src/$1 ;; esac
mkdir -p "$folder"
echo 'export const part = "'$1'";' >"$folder/part.ts"
cat >"$folder/part.test.ts" <<END
import { expect, test } from "vitest";
import { part } from "./part.js";

test("$1 has a name", () => {
  expect(part).toBe("$1");
});
END
sed -i 's/^## .*/&\\n\\nOne module with its test./' AGENT_NOTES.md
git add src
git commit -q -m "Add a module of $1"
"""
BLUEPRINT = """\
version: 1
name: shop
extends: [mvp5]
runner: {{kind: command, mode: headless, max_turns: null, max_budget_usd: null, command: {command}}}
"""


@pytest.mark.timeout(900)
def test_an_empty_folder_becomes_a_service_with_the_work_of_two_agents(tmp_path: Path) -> None:
    if shutil.which("npm") is None:
        pytest.skip("npm is not installed")
    shop = tmp_path / "shop"

    def orchestra(*words: str, cwd: Path = shop) -> str:
        done = subprocess.run([*program(), *words], cwd=cwd, capture_output=True, text=True, check=False)
        if "ENOTFOUND" in done.stdout + done.stderr:
            pytest.skip("no npm registry")
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    orchestra("init", "--from=mvp5", "--dir=shop", "--yes", cwd=tmp_path)
    (tmp_path / "agent.sh").write_text(AGENT)
    command = f'[sh, {tmp_path / "agent.sh"}, "{{{{ agent.name }}}}"]'
    (shop / "blueprints/shop.yaml").write_text(BLUEPRINT.format(command=command))
    checkout = Checkout(shop)
    checkout.commit("Use scripted agents", {})
    orchestra("spawn", "shop", "schema", "auth", "--yes")
    orchestra("start", "schema", "auth")
    until = time.monotonic() + 300
    while orchestra("status", "--json").count('"finished"') < 2:
        assert time.monotonic() < until, orchestra("status")
        time.sleep(0.5)
    orchestra("merge", "schema", "auth", "--yes")
    assert checkout.git("log", "--format=%s").splitlines()[:2] == ["Add a module of auth", "Add a module of schema"]
    assert {"src/auth/part.ts", "src/db/part.test.ts"} <= set(checkout.git("ls-files").splitlines())
