"""Completion in real shells: verbs, options, agents and blueprints, without starting Python."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.conftest import MakeRepository

from .conftest import Orchestra

BASH = """
source ./completion
complete_line() {
    COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMPREPLY=()
    _orchestra
    echo "${COMPREPLY[*]}"
}
"""


@pytest.fixture
def repository(make_repository: MakeRepository, orchestra: Orchestra) -> Path:
    """Make a repository with two blueprints, and refs of the agents of one fleet as spawn leaves them."""
    checkout = make_repository({"README.md": "", "blueprints/shop.yaml": "", "blueprints/site.yml": ""})
    for agent in ("api", "auth"):
        for ref in ("base", "approved"):
            checkout.git("update-ref", f"refs/orchestra/shop/{agent}/{ref}", "HEAD")
    state = checkout.path / ".git" / "orchestra"
    state.mkdir()
    (state / "current").write_text("shop\n")
    (checkout.path / "completion").write_text(orchestra("completion", "bash")[1])
    return checkout.path


def test_bash_completes_words_and_options_without_python(repository: Path) -> None:
    lines = {
        ("orchestra", "re"): "review request-changes rebase-and-test rehearse restore report",
        ("orchestra", "approve", ""): "api auth",
        ("orchestra", "approve", "api", "au"): "auth",
        ("orchestra", "merge", "--"): "--yes --follow --push --events --fresh-gates --blueprint --repo --json --help",
        ("orchestra", "spawn", "s"): "shop site",
        ("orchestra", "plan", "-b", "mv"): "mvp5",
        ("orchestra", "plan", "--blueprint", "=", "sh"): "shop",
        ("orchestra", "plan", "--graph", "="): "text mermaid dot",
        ("orchestra", "help", "app"): "approve",
        ("orchestra", "completion", "z"): "zsh",
    }
    tools = [str(Path(shutil.which(tool) or "").parent) for tool in ("git", "sed", "ls", "uniq")]
    script = BASH + "".join(f"complete_line {' '.join(repr(w) for w in words)}\n" for words in lines)
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=repository,
        env={"PATH": os.pathsep.join(dict.fromkeys(tools)), "HOME": str(repository)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    assert dict(zip(lines, done.stdout.splitlines(), strict=True)) == lines


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_the_scripts_of_other_shells_are_read_without_an_error(
    shell: str, repository: Path, orchestra: Orchestra
) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"no {shell} on this machine")
    script = repository / "completion"
    script.write_text(orchestra("completion", shell)[1])
    done = subprocess.run([shell, "-n", str(script)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_an_unknown_shell_is_refused(orchestra: Orchestra) -> None:
    code, out, err = orchestra("completion", "tcsh")
    assert (code, out) == (2, "")
    assert err.splitlines() == [
        "error: no completion for 'tcsh'",
        "hint: orchestra completion bash, zsh or fish",
        "usage: orchestra completion SHELL",
    ]
