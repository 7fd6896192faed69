"""A blueprint in a repository executes nothing before a person has trusted its commands."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Orchestra, valid_json
from tests.conftest import Checkout, MakeRepository

BLUEPRINT = """\
version: 1
name: demo
target: main
runner: {kind: none}
worktrees: {root: ../worktrees, setup: {run: ["echo ran >> ../ran"]}}
agents: [{name: one, task: Do it.}]
"""


@pytest.fixture
def clone(make_repository: MakeRepository, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Checkout:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return make_repository({"blueprints/demo.yaml": BLUEPRINT})


def ran(clone: Checkout) -> bool:
    return (clone.path.parent / "worktrees" / "ran").exists()


def test_an_untrusted_blueprint_runs_nothing(clone: Checkout, orchestra: Orchestra) -> None:
    words = ("--repo", str(clone.path), "--blueprint=demo")
    code, _, err = orchestra("spawn", *words)
    assert code == 2
    assert "echo ran >> ../ran" in err
    assert "orchestra trust --yes" in err
    assert not ran(clone)
    code, out, _ = orchestra("spawn", "--dry-run", *words)
    assert code == 0
    assert "demo.yaml is not trusted yet: spawn shows its 1 command and asks first" in out


def test_trust_holds_until_a_command_changes(clone: Checkout, orchestra: Orchestra) -> None:
    words = ("--repo", str(clone.path), "--blueprint=demo")
    assert orchestra("trust", "--yes", *words)[0] == 0
    assert orchestra("spawn", *words)[0] == 0
    assert ran(clone)
    changed = BLUEPRINT.replace("echo ran", "echo changed")
    clone.commit("change a command", {"blueprints/demo.yaml": changed.replace("Do it.", "Do more.")})
    code, _, err = orchestra("start", *words)
    assert code == 2
    assert "its commands changed since you trusted it:" in err
    assert [line.split() for line in err.splitlines() if line.startswith("  ")] == [
        ["new", "set-up:", "echo", "changed", ">>", "../ran"],
        ["removed", "set-up:", "echo", "ran", ">>", "../ran"],
    ]


def test_a_task_may_change_without_a_new_question(clone: Checkout, orchestra: Orchestra) -> None:
    words = ("--repo", str(clone.path), "--blueprint=demo")
    assert orchestra("spawn", "--yes", *words)[0] == 0
    clone.commit("another task", {"blueprints/demo.yaml": BLUEPRINT.replace("Do it.", "Do more.")})
    assert orchestra("spawn", *words)[0] == 0


def test_a_blueprint_outside_the_repository_is_the_persons_own(
    clone: Checkout, orchestra: Orchestra, tmp_path: Path
) -> None:
    own = tmp_path / "own.yaml"
    own.write_text(BLUEPRINT)
    assert orchestra("spawn", "--repo", str(clone.path), f"--blueprint={own}")[0] == 0


def test_a_blueprint_that_extends_one_of_the_repository_came_with_it(
    clone: Checkout, orchestra: Orchestra, tmp_path: Path
) -> None:
    own, link = tmp_path / "own.yaml", tmp_path / "link.yaml"
    own.write_text("version: 1\nname: own\nextends: demo\n")
    link.symlink_to(clone.path / "blueprints/demo.yaml")
    for file in (own, link):
        assert orchestra("spawn", "--repo", str(clone.path), f"--blueprint={file}")[0] == 2
    assert not ran(clone)


def test_a_blueprint_in_a_linked_worktree_is_in_the_repository(
    clone: Checkout, orchestra: Orchestra, tmp_path: Path
) -> None:
    clone.git("worktree", "add", "-q", str(tmp_path / "elsewhere"), "-b", "agents")
    file = tmp_path / "elsewhere/blueprints/new.yaml"
    file.write_text(BLUEPRINT)
    assert orchestra("spawn", "--repo", str(clone.path), f"--blueprint={file}")[0] == 2
    assert not ran(clone)


def test_an_untracked_blueprint_of_the_repository_is_asked_for(clone: Checkout, orchestra: Orchestra) -> None:
    (clone.path / "blueprints/other.yaml").write_text(BLUEPRINT.replace("name: demo", "name: other"))
    assert orchestra("spawn", "--repo", str(clone.path), "--blueprint=other")[0] == 2
    assert not ran(clone)


@pytest.mark.parametrize("words", [("trust", "demo"), ("trust", "demo", "--yes"), ("spawn", "demo", "--yes")])
@pytest.mark.parametrize("name", ["ORCHESTRA_AGENT", "ORCHESTRA_GATE_SLOT"])
def test_trust_is_refused_in_the_session_of_an_agent(
    clone: Checkout, orchestra: Orchestra, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], name: str
) -> None:
    monkeypatch.setenv(name, "one")
    code, _, err = orchestra(*words, "--repo", str(clone.path))
    assert code == 2
    assert "only a person can trust it: this is the session of one" in err
    monkeypatch.delenv(name)
    assert orchestra("spawn", "demo", "--repo", str(clone.path))[0] == 2


def test_trust_as_json_shows_the_commands_and_whether_they_are_trusted(clone: Checkout, orchestra: Orchestra) -> None:
    words = ("trust", "demo", "--json", "--repo", str(clone.path))
    code, out, _ = orchestra(*words)
    document = valid_json(out, "trust.schema.json")
    assert (code, document["trusted"], document["commands"]) == (1, False, ["set-up: echo ran >> ../ran"])
    code, out, _ = orchestra(*words, "--yes")
    assert (code, valid_json(out, "trust.schema.json")["trusted"]) == (0, True)
    code, out, _ = orchestra(*words)
    assert (code, valid_json(out, "trust.schema.json")["trusted"]) == (0, True)


def test_a_template_of_client_settings_is_shown_and_asked_for_when_it_changes(
    clone: Checkout, orchestra: Orchestra
) -> None:
    words = ("--repo", str(clone.path), "--blueprint=demo")
    text = BLUEPRINT + "templates: {.mcp.json: servers.j2}\n"
    clone.commit("servers", {"blueprints/demo.yaml": text, "blueprints/servers.j2": "{}\n"})
    assert "file .mcp.json in each worktree" in orchestra("trust", "--yes", *words)[2]
    assert orchestra("spawn", *words)[0] == 0
    clone.commit("other servers", {"blueprints/servers.j2": '{"mcpServers": {}}\n'})
    assert orchestra("start", *words)[0] == 2


@pytest.mark.parametrize(
    ("old", "new", "shown"),
    [
        ("task: Do it.", 'task: Do it., runner: {kind: command, command: [sh, -c, "echo mine"]}', "echo mine"),
        ("runner: {kind: none}", "runner: {kind: claude}", "runner: claude"),
        ("runner: {kind: none}", 'gates: {t: {run: "true", env: {PATH: ./bin}}}', "PATH=./bin"),
    ],
)
def test_runners_of_agents_and_environments_are_shown_and_need_trust(
    clone: Checkout, orchestra: Orchestra, old: str, new: str, shown: str
) -> None:
    words = ("--repo", str(clone.path), "--blueprint=demo")
    assert orchestra("trust", "--yes", *words)[0] == 0
    clone.commit("change what executes", {"blueprints/demo.yaml": BLUEPRINT.replace(old, new)})
    code, _, err = orchestra("spawn", *words)
    assert code == 2
    assert shown in err


@pytest.mark.parametrize("verb", ["spawn", "start", "merge", "rehearse", "rebase-and-test one", "clean", "attach one"])
def test_every_command_that_executes_asks_for_trust(clone: Checkout, orchestra: Orchestra, verb: str) -> None:
    code, out, err = orchestra(*verb.split(), "--repo", str(clone.path), "--blueprint=demo")
    assert (code, out) == (2, "")
    assert "orchestra trust --yes" in err
    assert clone.git("for-each-ref", "refs/orchestra") == ""


@pytest.mark.parametrize("verb", ["validate", "plan", "status", "blueprints", "spawn --dry-run", "clean --dry-run"])
def test_commands_that_only_read_need_no_trust(clone: Checkout, orchestra: Orchestra, verb: str) -> None:
    assert orchestra(*verb.split(), "--repo", str(clone.path), "--blueprint=demo")[0] == 0


def test_the_commit_that_was_reviewed_is_named(clone: Checkout, orchestra: Orchestra) -> None:
    words = ("--repo", str(clone.path), "--blueprint=demo")
    orchestra("spawn", "--yes", *words)
    agent = Checkout(clone.path.parent / "worktrees" / "agent-1")
    reviewed = agent.commit("work", {"a.txt": "a"})
    agent.commit("more work", {"b.txt": "b"})
    assert orchestra("approve", f"one@{reviewed}", *words)[0] == 2
    assert orchestra("approve", "one", f"--commit={reviewed}", *words)[0] == 2
    assert orchestra("approve", f"one@{agent.git('rev-parse', 'HEAD')}", *words)[0] == 0


def test_trust_given_again_lists_only_what_changed(clone: Checkout, orchestra: Orchestra) -> None:
    words = ("--repo", str(clone.path), "--blueprint=demo")
    assert orchestra("trust", "--yes", *words)[0] == 0
    more = BLUEPRINT.replace("../ran", '../ran", "echo more').replace("agents:", "gates: {t: {run: pytest}}\nagents:")
    clone.commit("more commands", {"blueprints/demo.yaml": more})
    code, _, err = orchestra("spawn", "--yes", *words)
    assert code == 0
    assert [line.strip() for line in err.splitlines() if line.startswith("  ")] == [
        "new      set-up: echo more",
        "new      gate t: pytest",
        "1 other command as before (orchestra trust --json lists all)",
    ]
