"""What a gate sees, what a result depends on, and what is kept of it."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from orchestra.blueprint.model import RunGate
from orchestra.gates.environment import depends_on_commit, gate_environment, result_key, without_checkouts
from orchestra.gates.notes_gate import justifies
from orchestra.gates.result_cache import GatePass, PassCache, forget_unused

GATE = RunGate("tests", "sh run.sh")
ENV = {"PATH": os.environ["PATH"], "TZ": "UTC", "HOME": "/home/a"}
TREE, COMMIT = "1" * 40, "2" * 40


def key(
    gate: RunGate = GATE, env: dict[str, str] = ENV, setup: str = "s", tree: str = TREE, commit: str = COMMIT
) -> str:
    return result_key(gate, env, setup, tree, commit)


def test_what_a_result_depends_on() -> None:
    same = key()
    assert key() == same
    assert key(env={**ENV, "HOME": "/home/b"}) == same
    assert key(commit="3" * 40) == same
    assert key(RunGate("renamed", "sh run.sh")) == same
    assert key(RunGate("tests", "sh run.sh", timeout_s=1.0, retries=3)) == same
    others = [
        key(RunGate("tests", "sh other.sh")),
        key(RunGate("tests", "sh run.sh", env={"A": "1"})),
        key(env={**ENV, "TZ": "Asia/Tokyo"}),
        key(setup="t"),
        key(tree="3" * 40),
    ]
    assert len({same, *others}) == len(others) + 1


def test_another_program_of_the_same_name_is_another_result(tmp_path: Path) -> None:
    tool = tmp_path / "tool"
    env = {**ENV, "PATH": f"{tmp_path}:{ENV['PATH']}"}
    before = key(RunGate("tests", "tool --check"), env)
    tool.write_text("#!/bin/sh\n")
    tool.chmod(0o755)
    with_it = key(RunGate("tests", "tool --check"), env)
    tool.write_text("#!/bin/sh\nexit 1\n")
    assert len({before, with_it, key(RunGate("tests", "tool --check"), env)}) == 3


@pytest.mark.parametrize("command", ["git describe", "npx commitlint --from main", "sh -c 'git log'"])
def test_a_command_that_asks_git_depends_on_the_commit(command: str) -> None:
    gate = RunGate("tests", command)
    assert key(gate) != key(gate, commit="3" * 40)
    assert key(RunGate("tests", "cat .gitignore digits")) == key(RunGate("tests", "cat .gitignore digits"), commit="3")


def test_the_allow_list() -> None:
    given = {"PATH": "p", "LC_ALL": "C", "GITHUB_TOKEN": "t", "SSH_AUTH_SOCK": "s", "GIT_DIR": "g", "PYTHONPATH": "x"}
    assert gate_environment(given) == {
        "PATH": "p",
        "LC_ALL": "C",
        "CI": "true",
        "TERM": "dumb",
        "GIT_TERMINAL_PROMPT": "0",
    }


def test_a_pass_is_kept_and_found_by_key_and_tree(tmp_path: Path) -> None:
    results = PassCache(tmp_path)
    found = GatePass("k", "tests", TREE, 1.5, 2.5, "/log")
    assert results.find("k", TREE) is None
    results.keep(found)
    assert results.find("k", TREE) == found
    assert results.find("k", COMMIT) is None


def test_what_nobody_used_for_a_month_goes(tmp_path: Path) -> None:
    results = PassCache(tmp_path)
    long_ago = time.time() - 40 * 86_400
    for name in ("old", "used"):
        results.keep(GatePass(name, "tests", TREE, 1.0, 1.0, "/log"))
        os.utime(tmp_path / f"{name}.json", (long_ago, long_ago))
    assert results.find("used", TREE)
    forget_unused(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["used.json"]
    forget_unused(tmp_path / "absent")


@pytest.mark.parametrize(
    ("command", "files", "by_commit"),
    [
        ("sh check.sh", {"check.sh": b"git log -1\n"}, True),
        ("./ci/check", {"ci/check": b"exec sh ci/more.sh"}, False),
        ("./ci/check", {"ci/check": b"exec sh ci/more.sh", "ci/more.sh": b"git describe"}, True),
        ("make lint", {"Makefile": b"lint:\n\tgit log --format=%s | grep x\n"}, True),
        ("npm test", {"package.json": b'{"scripts": {"test": "commitlint --last"}}'}, True),
        ("make lint", {"Makefile": b"lint:\n\truff check\n"}, False),
        ("pytest -q", {}, False),
    ],
)
def test_a_gate_whose_scripts_mention_git_depends_on_the_commit(
    command: str, files: dict[str, bytes], by_commit: bool
) -> None:
    assert depends_on_commit(RunGate("check", command), files.get) is by_commit


def test_declared_inputs_decide_instead_of_the_command() -> None:
    assert depends_on_commit(RunGate("a", "pytest", inputs="commit"), lambda path: None)
    assert not depends_on_commit(RunGate("a", "git status", inputs="tree"), lambda path: None)


def test_folders_inside_a_checkout_are_left_out_of_the_environment(tmp_path: Path) -> None:
    checkout, elsewhere = tmp_path / "repo", tmp_path / "venv"
    inside, editable = checkout / ".venv/bin", elsewhere / "bin"
    packages = elsewhere / "lib/python3.13/site-packages"
    for folder in (inside, editable, packages):
        folder.mkdir(parents=True)
    (elsewhere / "pyvenv.cfg").touch()
    alias = tmp_path / "alias"
    alias.symlink_to(checkout)
    given = {
        "PATH": f"{inside}:/usr/bin:{alias}/bin:node_modules/.bin:{editable}:{tmp_path}/repository/bin",
        "VIRTUAL_ENV": str(checkout / ".venv"),
        "PYTHONPATH": str(checkout / "src"),
        "HOME": str(tmp_path / "home"),
    }
    rest = f"node_modules/.bin:{editable}:{tmp_path}/repository/bin"
    assert without_checkouts(given, [checkout]) == {"PATH": f"/usr/bin:{rest}", "HOME": given["HOME"]}
    (packages / "__editable__.shop.pth").write_text(f"{checkout}/src\n")
    assert str(editable) not in without_checkouts(given, [checkout])["PATH"]
    assert without_checkouts(given, []) == given
    at_home = {**given, "HOME": str(checkout)}
    assert without_checkouts(at_home, [checkout]) == at_home


def test_a_path_is_justified_by_its_whole_name_and_a_reason() -> None:
    assert justifies("- ci/deploy.yml: the image moved", "ci/deploy.yml")
    assert justifies("`Makefile`: a target for the docs", "Makefile")
    assert not justifies("I have built a thing in src/a/b and ci/deploy.yml.old", "a")
    assert not justifies("see ci/deploy.yml.old or my/ci/deploy.yml for why", "ci/deploy.yml")
    assert not justifies("ci/deploy.yml", "ci/deploy.yml")
    assert not justifies("<!-- ci/deploy.yml: why -->", "ci/deploy.yml")
