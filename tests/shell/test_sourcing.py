"""Sourced, a script defines functions and does nothing else, in every shell; run, it runs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.conftest import Checkout
from tests.shell.conftest import ScriptPair
from tests.shell.shells import SHELLS, run

PUBLIC = {
    "orchestrate": {"spawn", "status", "agents", "path", "start", "clean"},
    "merge_helper": {"rebase_and_test", "review", "approve", "request_changes", "discard", "merge", "rehearse"},
}
# What a shell changes by itself from one line to the next.
_RESTLESS = re.compile(
    r"^(_|LINENO|S?RANDOM|SECONDS|EPOCH\w+|BASH\w+|FUNCNAME|PIPESTATUS|ERRNO|TTYIDLE|KSH_MATCH|_AST_FEATURES|status)$"
)
_WITNESS = """
witness() {
	( [ -z "${BASH_VERSION-}" ] || set -o posix && set ) | grep -a '^[A-Za-z_][A-Za-z_0-9]*=' | sort
	trap
	pwd
	umask
	echo "options $-"
	echo "words $*"
}
witness a b >"$1.before"
. "$2"
. "$3"
witness a b >"$1.after"
"""


def _changes(before: Path, after: Path) -> list[str]:
    old, new = (set(path.read_text("utf-8", "surrogateescape").splitlines()) for path in (before, after))
    return sorted(line for line in old ^ new if not _RESTLESS.match(line.partition("=")[0]))


@pytest.mark.parametrize(
    "options", ["", "set -eu; set -o noclobber; IFS=:; export IFS; CDPATH=/"], ids=["plain", "strict"]
)
@pytest.mark.parametrize("shell", SHELLS)
def test_sourcing_leaves_nothing_but_functions(
    shell: str, options: str, repository: Checkout, small_scripts: ScriptPair, tmp_path: Path
) -> None:
    files = (tmp_path / "seen", small_scripts.orchestrate, small_scripts.merge_helper)
    done = run(shell, "-c", options + _WITNESS, "sourcing", *files, cwd=repository.path)
    assert (done.out, done.err) == ("", "")
    assert _changes(tmp_path / "seen.before", tmp_path / "seen.after") == []
    assert not (repository.path / ".git/orchestra").exists()


@pytest.mark.parametrize("shell", SHELLS)
def test_calling_a_function_changes_nothing_in_the_shell(
    shell: str, repository: Checkout, small_scripts: ScriptPair, tmp_path: Path
) -> None:
    calls = 'orchestra_agents; orchestra_path 2; orchestra_status; orchestra_path nobody || echo "so $?"\n'
    script = _WITNESS.replace('witness a b >"$1.after"', calls + 'witness a b >"$1.after"')
    files = (tmp_path / "seen", small_scripts.orchestrate, small_scripts.merge_helper)
    done = run(shell, "-c", script, "calling", *files, cwd=repository.path)
    assert done.lines[:4] == ["one", "two", "three", str(repository.path.parent / "worktrees/repo/small/agent-2")]
    assert done.lines[-1] == "so 2"
    assert _changes(tmp_path / "seen.before", tmp_path / "seen.after") == []


@pytest.mark.parametrize("shell", [name for name in SHELLS if name in ("bash", "zsh", "ksh", "mksh", "yash")])
def test_aliases_of_the_user_are_not_used(shell: str, repository: Checkout, small_scripts: ScriptPair) -> None:
    """Interactive shells expand aliases where a function is defined, and everybody has some."""
    names = "git rm mv cp cat sed grep ls mkdir printf sort tr cd kill sleep echo awk comm cmp head tail date".split()
    hostile = "\n".join(f"alias {name}='echo aliased {name}; false'" for name in names)
    expand = "shopt -s expand_aliases 2>/dev/null || setopt aliases 2>/dev/null || :\n"
    (repository.path / "rc").write_text(
        f"{expand}{hostile}\n. {small_scripts.orchestrate}\norchestra_spawn one\norchestra_path one\n"
    )
    done = run(shell, "-c", ". ./rc", cwd=repository.path)
    assert "aliased" not in done.out + done.err
    assert done.lines[-1] == str(repository.path.parent / "worktrees/repo/small/agent-1")


def test_only_functions_with_the_prefix_are_defined(small_scripts: ScriptPair) -> None:
    for script in (small_scripts.orchestrate, small_scripts.merge_helper):
        names = re.findall(r"^([A-Za-z_]\w*)\(\)", script.read_text(), re.MULTILINE)
        assert not [name for name in names if not re.match(r"_?(orchestra|orchestrate|merge_helper)_", name)]
        assert {name for name in names if name.startswith("orchestra_")} == {
            f"orchestra_{verb}" for verb in PUBLIC[script.stem.replace("-", "_")]
        }


def test_functions_that_both_scripts_define_are_the_same(small_scripts: ScriptPair) -> None:
    """So that the order in which they are sourced does not matter."""
    one, other = (_functions(path.read_text()) for path in (small_scripts.orchestrate, small_scripts.merge_helper))
    assert {name for name in one.keys() & other.keys() if one[name] != other[name]} == set()
    assert len(one.keys() & other.keys()) > 30


def _functions(text: str) -> dict[str, str]:
    """Name -> body. A function ends where its line does, or at a closing bracket in the first column."""
    found: dict[str, str] = {}
    name = ""
    for line in text.splitlines():
        begin = re.match(r"(\w+)\(\) [({]", line)
        if begin:
            name = begin[1]
            found[name] = ""
        if name:
            found[name] += line + "\n"
        if line in ("}", ")") or (begin and line.endswith("}")):
            name = ""
    return found


def test_every_function_that_is_called_is_defined(small_scripts: ScriptPair) -> None:
    for script in (small_scripts.orchestrate, small_scripts.merge_helper):
        text = script.read_text()
        code = re.sub(r"^\s*#.*$", "", text, flags=re.MULTILINE)
        called = set(re.findall(r"\b(_(?:orchestra|orchestrate|merge_helper)_\w+)", code))
        defined = set(re.findall(r"^(\w+)\(\)", text, re.MULTILINE))
        assert called - defined == set(), script.name
        assert {name for name in defined - called if not name.startswith("orchestra_")} == set(), script.name


@pytest.mark.parametrize("shell", SHELLS)
def test_a_script_runs_under_any_file_name(
    shell: str, repository: Checkout, small_scripts: ScriptPair, tmp_path: Path
) -> None:
    renamed = tmp_path / "my fleet"
    renamed.write_text(small_scripts.orchestrate.read_text())
    assert run(shell, renamed, "agents", cwd=repository.path).lines == ["one", "two", "three"]


def test_a_script_of_the_same_name_can_source_it(repository: Checkout, small_scripts: ScriptPair) -> None:
    mine = repository.path / "orchestrate.sh"
    mine.write_text(f". {small_scripts.orchestrate}\necho sourced\norchestra_path 1\n")
    for shell in SHELLS:
        done = run(shell, mine, "spawn", cwd=repository.path)
        assert done.lines == ["sourced", str(repository.path.parent / "worktrees/repo/small/agent-1")]
    assert not (repository.path / ".git/orchestra").exists()


def test_scripts_of_two_blueprints_do_not_mix(repository: Checkout, small_scripts: ScriptPair, tmp_path: Path) -> None:
    from tests.shell.conftest import SMALL_BLUEPRINT, write_scripts

    other = write_scripts(tmp_path / "other", SMALL_BLUEPRINT.replace("Do two", "Do something else"))
    script = '. "$1"; . "$2"; orchestra_spawn; echo "$?"; orchestra_review; echo "$?"'
    done = run("sh", "-c", script, "mix", small_scripts.orchestrate, other.merge_helper, cwd=repository.path)
    assert done.lines == ["2", "2"]
    assert done.err.count("functions of two blueprints") == 1
    assert "orchestra_review needs an AGENT" in done.err
    assert not (repository.path.parent / "worktrees").exists()
