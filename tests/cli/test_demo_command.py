"""The demo does what it prints: four land in order, one is sent back, and everything is where it says it is."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import Checkout

ROOT = Path(__file__).parents[2]


def run_demo(folder: Path) -> subprocess.CompletedProcess[str]:
    """As a person types it in a clone, whose ./inv runs this file."""
    argv = [sys.executable, str(ROOT / "tasks.py"), "demo", "--repo", str(folder)]
    # As on a machine where git has no user name.
    env = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull}
    return subprocess.run(argv, cwd=folder.parent, env=env, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def demo_run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, subprocess.CompletedProcess[str]]]:
    folder = tmp_path_factory.mktemp("a place") / "für die Vorführung"
    yield folder, run_demo(folder)


DemoRun = tuple[Path, subprocess.CompletedProcess[str]]


def test_the_demo_ends_as_expected(demo_run: DemoRun) -> None:
    _, done = demo_run
    assert done.returncode == 0, done.stdout + done.stderr
    assert "unexpected:" not in done.stderr


def test_four_land_in_order_exactly_as_their_agents_committed_them(demo_run: DemoRun) -> None:
    service = Checkout(demo_run[0] / "orders-service")
    trailer = "--format=%(trailers:key=Orchestra-Agent,valueonly,separator=%x2C)"
    landed = service.git("log", "--first-parent", "--reverse", trailer, "main").split()
    assert list(dict.fromkeys(landed)) == ["schema", "auth", "health", "api"]
    authors = service.git("log", "--format=%an", "main").splitlines()
    assert authors.count("api (scripted agent)") == 2
    assert "tests/integration/orders.test.ts" not in service.tree("main")
    assert not {"CLAUDE.md", "TASK.md", "AGENT_NOTES.md"} & set(service.tree("main"))
    assert service.git("status", "--porcelain") == ""
    service.git("fsck", "--strict")


def test_the_target_passes_the_checks_and_the_evicted_branch_on_top_does_not(demo_run: DemoRun) -> None:
    service = Checkout(demo_run[0] / "orders-service")
    contract = [sys.executable, "tools/contract.py"]
    assert subprocess.run(contract, cwd=service.path, capture_output=True, check=False).returncode == 0
    branch = service.git("for-each-ref", "--format=%(refname)", "refs/heads/agent/*/integration")
    text = service.read("tests/integration/orders.test.ts", branch)
    red = service.path / "tests" / "integration"
    red.mkdir(parents=True)
    (red / "orders.test.ts").write_text(text)
    done = subprocess.run(contract, cwd=service.path, capture_output=True, text=True, check=False)
    (red / "orders.test.ts").unlink()
    assert done.returncode == 1
    assert "POST /v1/orders/{id}/cancel is not an operation" in done.stdout


def test_the_output_explains_the_eviction_and_names_its_log(demo_run: DemoRun) -> None:
    folder, done = demo_run
    output = done.stdout + done.stderr
    assert re.search(r"integration\b.*\bevicted|evicted\b.*\bintegration", output)
    assert "integration: evicted, logical-conflict with api" in output
    logs = [Path(word.rstrip(".,;)")) for word in re.findall(r"(/\S.*?\.(?:log|txt))", output)]
    texts = [log.read_text() for log in logs if log.exists()]
    assert any("POST /v1/orders/{id}/cancel is not an operation" in text for text in texts), output
    page = output.partition("Why integration was evicted")[2]
    for quoted in ("integration says:", "POST /v1/orders/{id}/cancel`", "api says:", "PATCH /v1/orders/{id}"):
        assert quoted in page
    assert str(folder / "worktrees") in done.stdout


def test_what_it_says_to_type_next_works(demo_run: DemoRun) -> None:
    folder, done = demo_run
    lines = done.stdout.partition("What to type next:\n")[2].splitlines()
    commands = [line.strip() for line in lines if line.strip() and "rm -r" not in line]
    assert len(commands) == 4
    inv = str(ROOT / "inv")
    script = "\n".join(["set -e", *commands]).replace(inv, f"{sys.executable} {ROOT / 'tasks.py'}")
    ran = subprocess.run(["sh", "-c", script], cwd="/", capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert not (folder / "worktrees" / "agent-1").exists()


def test_a_folder_that_holds_something_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("x")
    done = run_demo(tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert "is not an empty folder" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
