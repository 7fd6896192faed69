"""Our files are hidden in the agents' worktrees, and nowhere else, whatever the user's configuration."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestra.workspace import git_excludes
from tests.conftest import Checkout
from tests.workspace.conftest import MakeHome, run_spawn
from tests.workspace.worlds import BLUEPRINT, Home

FILES = ("CLAUDE.md", "TASK.md", "AGENT_NOTES.md")


def test_git_add_all_takes_none_of_them(home: Home) -> None:
    run_spawn(home)
    worktree = home.agent(1)
    worktree.write({"src/new.txt": "n", "sub/TASK.md": "not ours, for it is not at the top"})
    worktree.git("add", "--all")
    assert worktree.git("diff", "--cached", "--name-only").splitlines() == ["src/new.txt", "sub/TASK.md"]


def test_the_users_checkout_sees_nothing_of_it(home: Home) -> None:
    run_spawn(home)
    home.checkout.write(dict.fromkeys(FILES, "mine"))
    assert sorted(home.checkout.git("status", "--porcelain").splitlines()) == [f"?? {name}" for name in sorted(FILES)]
    home.checkout.git("worktree", "add", "--quiet", "-b", "own", "../own")
    own = Checkout(home.path / "own")
    own.write({"TASK.md": "mine"})
    assert own.git("status", "--porcelain") == "?? TASK.md"
    assert (home.checkout.path / ".git" / "info" / "exclude").exists() is False


def test_a_worktree_whose_name_only_begins_alike(home: Home) -> None:
    run_spawn(home)
    home.checkout.git("worktree", "add", "--quiet", "-b", "own", "../agent-11")
    own = Checkout(home.path / "agent-11")
    own.write({"TASK.md": "mine"})
    assert own.git("status", "--porcelain") == "?? TASK.md"


@pytest.mark.parametrize("where", ["global", "repository", "default"])
def test_the_users_own_excludes_still_hold(
    home: Home, where: str, hermetic_environment: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    excludes = tmp_path / "mein ünï.ignore"
    if where == "default":
        monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
        excludes = tmp_path / "config" / "git" / "ignore"
        excludes.parent.mkdir(parents=True)
    if where == "global":
        config = tmp_path / "gitconfig"
        config.write_text((hermetic_environment / "gitconfig").read_text() + f"[core]\n\texcludesFile = {excludes}\n")
        monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(config))
    if where == "repository":
        home.checkout.git("config", "core.excludesFile", str(excludes))
    excludes.write_bytes(b"*.swp\n*.\xff\n*~")  # bytes that are no UTF-8, and no newline at the end
    run_spawn(home)
    worktree = home.agent(1)
    worktree.write({"a.swp": "x", "b~": "x", "c.txt": "x"})
    assert worktree.git("status", "--porcelain") == "?? c.txt"
    excludes.write_text("*.swp\n")
    run_spawn(home)
    assert worktree.git("status", "--porcelain").splitlines() == ["?? b~", "?? c.txt"]


def test_what_somebody_took_out_of_the_configuration_comes_back(home: Home) -> None:
    run_spawn(home)
    config = home.checkout.path / ".git" / "config"
    text = config.read_text()
    home.checkout.git("config", "--unset-all", "includeIf.gitdir:./worktrees/.path")
    assert "TASK.md" in home.agent(1).git("status", "--porcelain")
    (step,) = run_spawn(home).steps
    assert step.startswith(f"write {config.parent}/orchestra/fleets/demo/excludes")
    assert config.read_text() == text
    (home.checkout.path / ".git" / "orchestra" / "worktrees.config").unlink()
    run_spawn(home)
    assert home.agent(1).git("status", "--porcelain") == ""


def test_two_fleets_hide_their_own(home: Home) -> None:
    run_spawn(home)
    other = Home(home.path)
    text = BLUEPRINT.replace("name: demo", "name: other").replace("../worktrees", "../more")
    text = text.replace("worktrees:", 'templates: {"extra.txt": x.j2}\nworktrees:', 1)
    (home.path / "x.j2").write_text("x")
    home.blueprint.write_text(text)
    run_spawn(other)
    second = Checkout(home.path / "more" / "agent-1")
    assert second.git("status", "--porcelain") == ""
    home.agent(1).write({"extra.txt": "not ours in this fleet"})
    assert home.agent(1).git("status", "--porcelain") == "?? extra.txt"


def test_a_repository_that_was_moved_is_put_right_by_the_next_spawn(home: Home) -> None:
    run_spawn(home)
    moved = home.path / "moved"
    home.checkout.path.rename(moved)
    (home.path / "link").symlink_to(moved)
    moved.rename(home.checkout.path)
    run_spawn(home)
    assert home.agent(1).git("status", "--porcelain") == ""


def test_a_gitignore_that_shows_our_files_is_told(make: MakeHome) -> None:
    home = make()
    home.checkout.commit("whitelist", {".gitignore": "*\n!*.md\n!src\n!src/**\n"})
    report = run_spawn(home)
    assert report.notes[-1] == (
        "a .gitignore of this repository makes git status show AGENT_NOTES.md, CLAUDE.md, TASK.md; they will not land"
    )


def test_a_secret_stays_hidden_when_it_is_gone_from_the_main_checkout(make: MakeHome) -> None:
    home = make(BLUEPRINT.replace('[".env"]', '["*.key"]'))
    home.checkout.write({"my.key": "secret"})
    run_spawn(home)
    (home.checkout.path / "my.key").unlink()
    run_spawn(home)
    home.agent(1).git("add", "--all")
    assert home.agent(1).git("diff", "--cached", "--name-only") == ""
    assert run_spawn(home).steps == ()


def test_names_are_literal_patterns(home: Home) -> None:
    text = git_excludes.excludes_text(
        home.fleet(), ["a*b?c[d]", "back\\slash", "trailing ", "#hash", "!bang", "new\nline"]
    )
    lines = text.splitlines()
    assert lines[1:-1] == ["/!bang", "/#hash", "/a\\*b\\?c\\[d]", "/back\\\\slash", "/trailing\\ "]


def test_what_set_up_creates_is_hidden_in_that_worktree_only(make: MakeHome) -> None:
    command = (
        "mkdir -p .venv src/gen && touch src/gen/made.txt && for n in $(seq 60); do echo $n > .venv/$n; done; "
        "test $ORCHESTRA_AGENT = schema || touch 'only [api]'"
    )
    home = make(BLUEPRINT.replace("echo made > set-up.txt", command))
    report = run_spawn(home)
    assert "schema: set-up created .venv/ and src/gen/made.txt, which git ignores there from now on" in report.notes
    for number in (1, 2):
        assert home.agent(number).git("status", "--porcelain") == ""
    first = home.agent(1)
    first.write({"src/gen/by hand.txt": "work", "only [api]": "work"})
    assert first.git("status", "--porcelain", "-uall").splitlines() == ['?? "only [api]"', '?? "src/gen/by hand.txt"']
    home.checkout.write({".venv/1": "mine"})
    assert home.checkout.git("status", "--porcelain") == "?? .venv/"
    assert run_spawn(home).steps == ()
    (home.path / "x.j2").write_text("x")  # the fleet hides one name more
    text = home.blueprint.read_text().replace("worktrees:", 'templates: {"extra.txt": x.j2}\nworktrees:', 1)
    home.blueprint.write_text(text)
    run_spawn(home)
    assert home.agent(2).git("status", "--porcelain") == ""
    assert run_spawn(home).steps == ()


def test_work_that_was_there_before_a_repeated_set_up_stays_visible(make: MakeHome) -> None:
    home = make(BLUEPRINT.replace("echo made > set-up.txt", "touch made.txt; test -e ../allowed"))
    run_spawn(home)
    home.agent(1).write({"work.txt": "work"})
    (home.path / "worktrees" / "allowed").touch()
    assert not run_spawn(home).not_ready
    assert home.agent(1).git("status", "--porcelain") == "?? work.txt"
