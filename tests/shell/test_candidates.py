"""Candidates that the script builds in its scratch worktree are the tool's, or it leaves the branch to the tool."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType

import pytest

from orchestra.blueprint.model import ConflictRule, FleetName, Forbid, Scope, Strategy, Union
from orchestra.blueprint.scope import Matcher
from orchestra.candidates.builder import Branch, BuiltCandidate, NothingToMerge, build_chain
from orchestra.candidates.text_conflict import RuleOf
from orchestra.git.git_process import Git
from orchestra.git.refs import CommitId
from orchestra.shell.inputs import ScriptInputs
from orchestra.shell.script import MERGE_HELPER, scripts
from tests.candidates.test_builder import LINES, cut
from tests.conftest import Checkout, MakeRepository
from tests.fleets import make_blueprint
from tests.shell.shells import run

KEPT_OUT = ("CLAUDE.md", "TASK.md", "AGENT_NOTES.md")
# The scenes with a branch that the script leaves to the tool.
LEFT_TO_THE_TOOL = {
    "a_branch_that_merged_the_target",
    "a_merge_that_resolved_something",
    "a_branch_that_merged_another",
    "instruction_files",
    "attributes_of_the_target",
    "a_rewritten_target",
    "begun_on_a_neighbour_s_work",
    "begun_on_the_work_of_one_who_does_not_land",
    "conflicts_with_rules",
}
# A merge without gates: each branch on top of those before it that fit.
_CHAIN = """
. "$1"
(
	_merge_helper_begin test
	o_standards=CLAUDE.md
	o_tip=$(_orchestra_commit "$o_target_ref")
	o_at=$o_tip
	try() {
		_orchestra_require_agent "$1"
		_orchestra_read_agent
		if _orchestra_build "$o_at"; then
			o_at=$o_built
			echo "$o_agent built $o_built"
		else
			echo "$o_agent $o_detail"
		fi
	}
	_orchestra_merge_order try
	_orchestra_locked lock _orchestra_remove_scratch
)
"""


def chains(
    checkout: Checkout,
    *names: str,
    rules: Mapping[str, ConflictRule] | None = None,
) -> tuple[dict[str, str], dict[str, str]]:
    """What the shell and the tool make of these branches: agent -> commit, or why there is none."""
    blueprint = make_blueprint(*names)
    merge = replace(blueprint.merge, strategy=Strategy.REBASE, conflicts=MappingProxyType(dict(rules or {})))
    agents = tuple(replace(agent, branch=agent.name) for agent in blueprint.agents)
    blueprint = replace(blueprint, target="main", merge=merge, agents=agents)
    target = CommitId(checkout.git("rev-parse", "main"))
    branches = []
    for agent in agents:
        ref = f"refs/orchestra/demo/{agent.name}/base"
        known = checkout.git("rev-parse", "--verify", "-q", ref, ok=False)
        base = known or checkout.git("merge-base", "main", agent.branch, ok=False) or target
        checkout.git("update-ref", ref, base)
        tip = CommitId(checkout.git("rev-parse", agent.branch))
        branches.append(
            Branch(agent.name, FleetName("demo"), CommitId(base), tip, agent.title, Strategy.REBASE, KEPT_OUT)
        )
    (checkout.path.parent / "worktrees/repo/demo").mkdir(parents=True, exist_ok=True)
    script = checkout.path.parent / MERGE_HELPER
    script.write_text(scripts(ScriptInputs(blueprint, "demo", ()))[MERGE_HELPER])
    done = run("sh", "-c", _CHAIN, "test", script, cwd=checkout.path)
    assert not done.err
    shell = {name: rest.removeprefix("built ") for name, _, rest in (line.partition(" ") for line in done.lines)}
    tool: dict[str, str] = {}
    for name, made in build_chain(Git(checkout.path), target, branches, _first(rules or {})).items():
        if isinstance(made, BuiltCandidate):
            tool[str(name)] = made.commit
        else:
            tool[str(name)] = f"{'empty' if isinstance(made, NothingToMerge) else 'conflict'} {made.sentence}"
    return shell, tool


Scene = Callable[[Checkout], tuple[str, ...]]
"""Makes branches on a repository whose main holds ``f`` (twenty lines), ``g`` and ``CLAUDE.md``; their names."""
SCENES: dict[str, Scene] = {}


def scene(make: Scene) -> Scene:
    SCENES[make.__name__] = make
    return make


@scene
def a_target_that_moved(checkout: Checkout) -> tuple[str, ...]:
    cut(checkout, "work", {"f": LINES + "end\n"}, {"new": "1\n"}, {})
    checkout.commit("main moves", {"f": "start\n" + LINES})
    return ("work",)


@scene
def some_that_do_not_fit(checkout: Checkout) -> tuple[str, ...]:
    for name, files in {"one": {"g": "1\n"}, "two": {"g": "2\n"}, "three": {"h": "3\n"}, "none": {}}.items():
        cut(checkout, name, files)
    cut(checkout, "twin", {"h": "3\n"})
    return ("one", "two", "three", "none", "twin")


@scene
def people_and_encodings(checkout: Checkout) -> tuple[str, ...]:
    cut(checkout, "work", {"h": "1\n"})
    checkout.git("switch", "-q", "work")
    checkout.git("config", "i18n.commitEncoding", "ISO-8859-1")
    texts = ("caf\xe9\n\nbody\n\nSigned-off-by: A <a@x>\n", "title\n\n# not a comment\n", "x: y\n\n\n")
    for number, text in enumerate(texts):
        message = checkout.path.parent / "message"
        message.write_bytes(text.encode("latin-1"))
        author = (f"--author=Zo\u00eb \\t {number % 2} <zoe@x>", "--date=2001-02-03T04:05:06+0700")
        checkout.write({"h": f"{number} of it\n"})
        checkout.git("commit", "-q", "-a", *author, "--cleanup=verbatim", "-F", str(message))
    checkout.git("config", "--unset", "i18n.commitEncoding")
    checkout.git("switch", "-q", "main")
    return ("work",)


@scene
def trailers_of_their_own(checkout: Checkout) -> tuple[str, ...]:
    cut(checkout, "work", {"h": "1\n"})
    checkout.git("switch", "-q", "work")
    message = "subject\n\nbody --- here\n\nFixes: 7\nOrchestra-Agent: somebody else\nReviewed-by: B\n  folded\n"
    checkout.git("commit", "-q", "--amend", "-m", message)
    checkout.git("switch", "-q", "main")
    return ("work",)


@scene
def a_branch_that_merged_the_target(checkout: Checkout) -> tuple[str, ...]:
    cut(checkout, "work", {"f": LINES + "end\n"})
    checkout.commit("main moves", {"f": "start\n" + LINES})
    checkout.git("switch", "-q", "work")
    checkout.git("merge", "-q", "--no-edit", "main")
    checkout.commit("after", {"late": "1\n"})
    checkout.git("switch", "-q", "main")
    checkout.commit("main again", {"other": "main\n"})
    return ("work",)


@scene
def a_merge_that_resolved_something(checkout: Checkout) -> tuple[str, ...]:
    cut(checkout, "work", {"g": "WORK\n"})
    checkout.commit("main moves", {"g": "MAIN\n"})
    checkout.git("switch", "-q", "work")
    checkout.git("merge", "-q", "main", ok=False)
    checkout.commit("resolved", {"g": "BOTH\n"})
    checkout.git("switch", "-q", "main")
    checkout.commit("main again", {"h": "1\n"})
    return ("work",)


@scene
def a_branch_that_merged_another(checkout: Checkout) -> tuple[str, ...]:
    cut(checkout, "one", {"one": "1\n"})
    cut(checkout, "two", {"two": "2\n"})
    checkout.git("switch", "-q", "two")
    checkout.git("merge", "-q", "--no-edit", "one")
    checkout.git("switch", "-q", "main")
    return ("one", "two")


@scene
def instruction_files(checkout: Checkout) -> tuple[str, ...]:
    cut(checkout, "added", {"TASK.md": "t\n", "h": "1\n"}, {"AGENT_NOTES.md": "n\n"}, {"h": "2\n"})
    cut(checkout, "edited", {"CLAUDE.md": "mine\n"}, {"i": "1\n"})
    cut(checkout, "deleted", {"CLAUDE.md": None, "j": "1\n"})
    cut(checkout, "folder", {"TASK.md/inside": "1\n", "k": "1\n"})
    cut(checkout, "nothing-else", {"TASK.md": "t\n"})
    checkout.commit("the team edits it", {"CLAUDE.md": "team, newer\n"})
    return ("added", "edited", "deleted", "folder", "nothing-else")


@scene
def kinds_of_files(checkout: Checkout) -> tuple[str, ...]:
    checkout.commit("more", {"run": "#!/bin/sh\n", "old/name": LINES, "bin": b"\0\1\2"})
    checkout.git("switch", "-q", "-c", "work")
    (checkout.path / "g").chmod(0o755)
    (checkout.path / "link").symlink_to("g")
    checkout.git("mv", "old/name", "renamed")
    checkout.git("update-index", "--add", "--cacheinfo", f"160000,{'1' * 40},lib")
    checkout.git("commit", "-q", "-m", "a submodule")
    checkout.write({"bin": b"\0\1\3", 'na\u00efve "name"\t\n.txt': "x\n"})
    checkout.git("add", "bin", 'na\u00efve "name"\t\n.txt', "g", "link")
    checkout.git("commit", "-q", "-m", "work")
    checkout.git("switch", "-q", "main")
    checkout.commit("main edits what was renamed", {"old/name": "first\n" + LINES})
    return ("work",)


@scene
def a_rewritten_target(checkout: Checkout) -> tuple[str, ...]:
    checkout.commit("secret", {"secret": "key\n"})
    base = checkout.git("rev-parse", "main")
    cut(checkout, "work", {"h": "1\n"})
    checkout.git("reset", "-q", "--hard", "main~1")
    checkout.commit("another history", {"i": "1\n"})
    checkout.git("update-ref", "refs/orchestra/demo/work/base", base)
    return ("work",)


@scene
def unrelated_history(checkout: Checkout) -> tuple[str, ...]:
    checkout.git("switch", "-q", "--orphan", "work")
    checkout.commit("root", {"z": "1\n"})
    checkout.git("switch", "-q", "main")
    return ("work",)


@scene
def attributes_of_the_target(checkout: Checkout) -> tuple[str, ...]:
    checkout.commit("attributes", {"sub/.gitattributes": "log merge=union\n", "sub/log": "a\n"})
    cut(checkout, "work", {"sub/log": "a\nwork\n"})
    cut(checkout, "sly", {"g": "sly\n", ".gitattributes": "* merge=union\n"})
    checkout.commit("main moves", {"sub/log": "a\nmain\n", "g": "main\n"})
    checkout.git("switch", "-q", "-c", "elsewhere")
    checkout.commit("no attributes here", {"sub/.gitattributes": None})
    return ("work", "sly")


@scene
def a_folder_that_the_target_renamed(checkout: Checkout) -> tuple[str, ...]:
    checkout.commit("a folder", {"old/a": LINES, "old/b": LINES + "b\n"})
    cut(checkout, "work", {"old/new": "1\n"})
    checkout.git("mv", "old", "fresh")
    checkout.commit("main renames the folder")
    return ("work",)


@scene
def begun_on_a_neighbour_s_work(checkout: Checkout) -> tuple[str, ...]:
    cut(checkout, "below", {"below": "1\n", "CLAUDE.md": "notes of below\n"})
    checkout.git("branch", "above", "below")
    checkout.git("update-ref", "refs/orchestra/demo/above/base", "below")
    checkout.git("switch", "--quiet", "above")
    checkout.commit("above", {"above": "1\n"})
    checkout.git("switch", "--quiet", "main")
    checkout.commit("main moves", {"g": "main\n"})
    return ("below", "above")


@scene
def begun_on_the_work_of_one_who_does_not_land(checkout: Checkout) -> tuple[str, ...]:
    begun_on_a_neighbour_s_work(checkout)
    return ("above",)


@scene
def conflicts_with_rules(checkout: Checkout) -> tuple[str, ...]:
    hostile = 'docs/a,b "c"\t 1\t\n$(x).md'
    checkout.commit("more", {"CHANGELOG.md": "# Changes\n", hostile: "a\n", "b": b"\0a", "never": "a\n"})
    sides = {"CHANGELOG.md": "# Changes\n- %s\n", hostile: "%s\n"}
    cut(checkout, "both", {name: text % "work" for name, text in sides.items()})
    cut(checkout, "added-by-both", {"docs/new.md": "work\n"})
    cut(checkout, "binary", {"b": b"\0b"})
    cut(checkout, "forbidden", {"never": "work\n", "CHANGELOG.md": "# Changes\n- other\n"})
    cut(checkout, "deleted", {"CHANGELOG.md": None})
    cut(checkout, "mixed", {"CHANGELOG.md": "# Changes\n- mixed\n", "g": "mixed\n"})
    new: dict[str, str | bytes | None] = {"docs/new.md": "main\n", "b": b"\0c", "never": "main\n", "g": "main\n"}
    checkout.commit("main moves", new | {name: text % "main" for name, text in sides.items()})
    return ("both", "added-by-both", "binary", "forbidden", "deleted", "mixed")


RULES: dict[str, ConflictRule] = {
    "never": Forbid(),
    "CHANGELOG.md": Union(),
    "docs/**": Union(),
    "b": Union(),
    "*": Forbid(),
}


def _first(rules: Mapping[str, ConflictRule]) -> RuleOf:
    """The rule of the first glob that matches, as the train has it."""
    matchers = [(Matcher(Scope((glob,))), rule) for glob, rule in rules.items()]
    return lambda path: next((rule for matcher, rule in matchers if matcher.matches(path)), None)


@pytest.mark.parametrize("name", SCENES)
def test_the_script_builds_the_tool_s_candidates(make_repository: MakeRepository, name: str) -> None:
    checkout = make_repository({"f": LINES, "g": "a\n", "CLAUDE.md": "team\n"})
    names = SCENES[name](checkout)
    rules = RULES if name == "conflicts_with_rules" else None
    shell, tool = chains(checkout, *names, rules=rules)
    for agent in names:
        if "orchestra merge" in shell[agent] and name in LEFT_TO_THE_TOOL:
            break  # later branches stand on another commit
        kind = tool[agent].partition(" ")[0]
        assert shell[agent] == tool[agent] or shell[agent].startswith(f"{kind}: "), (agent, shell, tool)
