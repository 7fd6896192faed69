"""``init`` as typed: what it prints, and what it leaves when the answer is no."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cli.conftest import Orchestra
from tests.conftest import MakeRepository


def test_from_makes_a_repository_and_commits(orchestra: Orchestra, tmp_path: Path) -> None:
    code, out, err = orchestra("init", "--from=mvp5", "--dir=shop", "--yes")
    assert code == 0
    assert f"wrote {tmp_path / 'shop/blueprints/mvp5.yaml'}\n" in out
    assert "committed 18 files to main as " in err
    assert out.endswith(f"next: cd {tmp_path / 'shop'} && orchestra check mvp5\n")
    code, out, err = orchestra("init", "--from=mvp5", "--repo=shop", "--yes")
    assert (code, "and what it requires exist already; nothing was written" in err) == (0, True)


def test_from_in_json(orchestra: Orchestra) -> None:
    code, out, _ = orchestra("init", "--from=mvp5", "--dir=shop", "--yes", "--json")
    document = json.loads(out)
    assert (code, document["blueprint"], document["unchanged"]) == (0, "blueprints/mvp5.yaml", [])
    assert (len(document["written"]), len(document["commit"])) == (18, 40)


def test_from_without_a_terminal_needs_yes(orchestra: Orchestra, make_repository: MakeRepository) -> None:
    checkout = make_repository({"README.md": ""})
    code, _, err = orchestra("init", "--from=mvp5", "--repo", str(checkout.path))
    assert code == 2
    assert "package-lock.json (6," in err
    assert "hint: add --yes to commit these files" in err
    assert checkout.git("status", "--porcelain") == ""


def test_an_unknown_fleet_makes_no_folder(orchestra: Orchestra, tmp_path: Path) -> None:
    code, _, err = orchestra("init", "--from=mvp6", "--dir=shop")
    assert (code, (tmp_path / "shop").exists()) == (2, False)
    assert err == 'error: no fleet "mvp6" ships with orchestra\nhint: did you mean "mvp5"?\n'


def test_options_of_from_need_it(orchestra: Orchestra) -> None:
    needed = {"--dir=shop": "--dir needs --from=FLEET", "--yes": "--yes needs --goal=TEXT, --from=FLEET or --plugin"}
    for option, message in needed.items():
        code, _, err = orchestra("init", option)
        assert (code, err.splitlines()[0]) == (2, f"error: {message}")


def test_a_repository_without_code_is_sent_to_the_fleets(orchestra: Orchestra, make_repository: MakeRepository) -> None:
    code, _, err = orchestra("init", "--repo", str(make_repository({"README.md": ""}).path))
    assert code == 3
    assert "`orchestra init --from=NAME`, NAME one of enterprise50, mixed50, mvp5, production15, refactor6." in err


def test_a_draft_ends_with_what_to_do_next(orchestra: Orchestra, make_repository: MakeRepository) -> None:
    checkout = make_repository({f"src/m{number}.py": "" for number in range(9)})
    code, out, err = orchestra("init", "--name=draft", "--repo", str(checkout.path))
    assert code == 0
    assert err == "Describe each agent's task in blueprints/draft.yaml, and commit what init wrote.\n"
    assert out.endswith(f"next: orchestra check draft --repo={checkout.path}\n")


def test_commands_of_another_tool_are_marked_and_not_trusted(
    orchestra: Orchestra, make_repository: MakeRepository
) -> None:
    declared = {"conductor.json": json.dumps({"scripts": {"setup": "echo conductor"}}), ".worktreeinclude": "data\n"}
    script = json.dumps({"setup-worktree": ["if true; then", "echo cursor", "fi"]})
    sources = {f"src/m{number}.py": "" for number in range(9)}
    checkout = make_repository({**declared, ".cursor/worktrees.json": script, **sources})
    code, _, err = orchestra("init", "--name=draft", "--repo", str(checkout.path))
    assert code == 0
    assert err.startswith("Set-up commands come from conductor.json: you are asked before they run.\n")
    text = (checkout.path / "blueprints/draft.yaml").read_text("utf-8")
    assert '      - "echo conductor"   # from conductor.json\n' in text
    assert "    # What .worktreeinclude lists is copied, too.\n" in text
    assert "    # EDIT: .cursor/worktrees.json declares a set-up that is a script. Read it, and add what a " in text
    code, _, err = orchestra("check", "draft", "--repo", str(checkout.path))
    assert code != 0
    assert "echo conductor" in err
    assert "orchestra trust" in err
