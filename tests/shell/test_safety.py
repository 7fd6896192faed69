"""The scripts lose no work, follow no link of an agent, and say what is missing."""

from __future__ import annotations

import os
import subprocess
import unicodedata
from pathlib import Path

import pytest

from orchestra.shell.quoting import here_document
from tests.conftest import Checkout, MakeRepository
from tests.shell.conftest import SMALL_BLUEPRINT, ScriptPair, SpawnedFleet, write_scripts
from tests.shell.shells import SHELLS, run


@pytest.fixture
def landed(spawned: SpawnedFleet) -> SpawnedFleet:
    """The first agent's work has landed; its worktree still exists."""
    spawned.commit_work("one", {"src/one": "1\n", ".gitignore": "*.log\n"})
    spawned.merge_helper("approve", "one")
    head = spawned.worktree("one").git("rev-parse", "HEAD")
    spawned.checkout.git("merge", "--quiet", "--ff-only", head)
    spawned.checkout.git("update-ref", "refs/orchestra/small/one/landed", head)
    return spawned


def clean(spawned: SpawnedFleet) -> str:
    done = run("sh", spawned.scripts.orchestrate, "clean", cwd=spawned.checkout.path)
    return done.out + done.err


def test_clean_keeps_a_worktree_with_another_repository_in_it(landed: SpawnedFleet) -> None:
    inner = landed.worktree("one").path / "nested"
    inner.mkdir()
    Checkout(inner).git("init", "-q")
    assert "one stays: " in clean(landed)
    assert (inner / ".git").is_dir()


def test_clean_keeps_an_agent_whose_work_the_target_lost(landed: SpawnedFleet) -> None:
    landed.checkout.git("reset", "--quiet", "--hard", "HEAD~1")
    assert "one stays: main does not contain what landed" in clean(landed)
    assert landed.worktree("one").path.exists()


def test_clean_saves_staged_and_changed_work(landed: SpawnedFleet) -> None:
    there = landed.worktree("one")
    there.write({"src/one": "staged\n"})
    there.git("add", "src/one")
    there.write({"src/one": "changed\n"})
    assert "saved/1" in clean(landed)
    assert landed.checkout.read("src/one", "refs/orchestra/small/one/saved/1") == "changed"
    assert landed.checkout.read("src/one", "refs/orchestra/small/one/saved/1^2") == "staged"
    assert not there.path.exists()


def test_clean_run_again_after_a_kill_saves_the_work_once(landed: SpawnedFleet) -> None:
    """The worktree's HEAD is the saved commit already, as a kill before the removal leaves it."""
    there = landed.worktree("one")
    there.write({"late": "late\n"})
    there.git("add", "late")
    there.git("switch", "--quiet", "--detach")
    there.git("commit", "--quiet", "-m", "saved")
    landed.checkout.git("update-ref", "refs/orchestra/small/one/saved/1", there.git("rev-parse", "HEAD"))
    assert "saved/2" not in clean(landed)
    assert not there.path.exists()


def test_clean_keeps_ignored_files_in_a_new_folder(landed: SpawnedFleet) -> None:
    landed.worktree("one").write({"fresh/a": "a\n", "fresh/b.log": "b\n"})
    assert "kept/fresh/b.log" in clean(landed)
    kept = landed.checkout.path / ".git/orchestra/fleets/small/agents/one/kept/fresh/b.log"
    assert kept.read_text() == "b\n"
    assert landed.checkout.read("fresh/a", "refs/orchestra/small/one/saved/1") == "a"


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every folder")
def test_clean_keeps_a_worktree_that_cannot_be_read(landed: SpawnedFleet) -> None:
    locked = landed.worktree("one").path / "locked"
    locked.mkdir(mode=0)
    assert "one stays: " in clean(landed)
    locked.chmod(0o755)


def test_clean_deletes_no_ref_through_a_symbolic_one(landed: SpawnedFleet) -> None:
    landed.checkout.git("symbolic-ref", "refs/orchestra/small/one/candidate", "refs/heads/main")
    landed.checkout.git("worktree", "unlock", str(landed.worktree("one").path))
    landed.checkout.git("worktree", "remove", "--force", str(landed.worktree("one").path))
    landed.checkout.git("branch", "-D", "agent/small/one")
    landed.checkout.git("symbolic-ref", "refs/heads/agent/small/one", "refs/heads/main")
    assert "is a symbolic ref" in clean(landed)
    assert landed.checkout.git("rev-parse", "main")


def test_status_of_a_cleaned_agent_has_no_counts(landed: SpawnedFleet) -> None:
    clean(landed)
    done = run("sh", landed.scripts.orchestrate, "status", cwd=landed.checkout.path)
    assert done.err == ""
    assert done.lines[1].split() == ["one", "-", "landed", "-", "-", "-"]


def test_rehearse_leaves_out_agents_without_commits(spawned: SpawnedFleet) -> None:
    done = spawned.merge_helper("rehearse", ok=False)
    assert done.out.count("waiting: not started: no commits yet") == 3
    assert "evicted" not in done.out


def test_a_verb_without_its_agent_says_so(spawned: SpawnedFleet) -> None:
    done = spawned.merge_helper("approve", ok=False)
    assert done.code == 2
    assert "orchestra_approve needs an AGENT" in done.err


@pytest.mark.parametrize("kind", ["pipe", "link"])
def test_instruction_files_that_are_no_files_are_not_opened(spawned: SpawnedFleet, tmp_path: Path, kind: str) -> None:
    spawned.commit_work("one", {"src/one": "1\n"})
    outside = tmp_path / "outside"
    outside.write_text("precious\n")
    for name in ("TASK.md", "AGENT_NOTES.md", "CLAUDE.md"):
        file = spawned.worktree("one").path / name
        file.unlink()
        os.mkfifo(file) if kind == "pipe" else file.symlink_to(outside)
    assert spawned.spawn().code == 0
    assert "precious" not in spawned.merge_helper("review", "one").out
    done = spawned.merge_helper("request-changes", "one", "more", ok=False)
    assert done.code == 3
    assert "is not replaced" in done.err
    assert outside.read_text() == "precious\n"


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("text", ["E\u00f6l\nD\u00f1\n", "END_OF_TEXT\u00e9\n", "E\x80\n", "END_OF_TEXT\n"])
def test_every_shell_reads_a_text_that_starts_like_an_end_mark(shell: str, text: str) -> None:
    source = f"cat {here_document(text)}\n"
    done = subprocess.run([*SHELLS[shell]], input=source.encode(), capture_output=True, check=True)
    assert done.stdout.decode() == text


def approved_one(spawned: SpawnedFleet, name: str = "src/one") -> SpawnedFleet:
    spawned.commit_work("one", {name: "1\n"})
    spawned.merge_helper("approve", "one")
    return spawned


@pytest.mark.parametrize("name", ["HEAD", "locked", "rebase-merge/head-name"])
@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_a_pipe_among_gits_files_of_a_worktree_holds_up_no_script(spawned: SpawnedFleet, name: str, kind: str) -> None:
    approved_one(spawned)
    place = spawned.checkout.path / ".git/worktrees/agent-2" / name
    assert place.parent.parent.is_dir()
    place.parent.mkdir(exist_ok=True)
    place.unlink(missing_ok=True)
    os.mkfifo(place) if kind == "pipe" else place.symlink_to("/dev/zero")
    assert "landed as" in spawned.merge_helper("merge", ok=False).out


def test_scripts_work_where_git_wants_its_folder_to_be_named(
    spawned: SpawnedFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", "safe.bareRepository")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", "explicit")
    approved_one(spawned)
    assert "landed as" in spawned.merge_helper("merge", ok=False).out
    assert clean(spawned)
    assert not spawned.worktree("one").path.exists()


@pytest.mark.parametrize("setting", ["core.bare=true", "core.worktree=OTHER"])
def test_scripts_refuse_a_repository_that_does_not_know_its_checkout(
    spawned: SpawnedFleet, tmp_path: Path, setting: str
) -> None:
    approved_one(spawned)
    other = tmp_path / "other"
    other.mkdir()
    spawned.checkout.git("config", *setting.replace("OTHER", str(other)).split("="))
    done = spawned.merge_helper("merge", ok=False)
    assert (done.code, list(other.iterdir())) == (3, [])
    assert f"its repository sets {setting.partition('=')[0]}" in done.err


@pytest.mark.parametrize("place", ["config", "config.worktree"])
def test_scripts_refuse_a_repository_that_names_a_program(spawned: SpawnedFleet, place: str) -> None:
    approved_one(spawned)
    where = "--local" if place == "config" else "--worktree"
    spawned.checkout.git("config", "extensions.worktreeConfig", "true")
    spawned.worktree("two").git("config", where, "filter.x.clean", "cat")
    done = spawned.merge_helper("merge", ok=False)
    assert done.code == 3
    assert "names a program: filter.x.clean" in done.err


@pytest.mark.parametrize("name", ["Package.json", "package.JSON"])
def test_a_protected_name_in_another_case_is_protected(spawned: SpawnedFleet, name: str) -> None:
    spawned.commit_work("three", {name: "{}\n"})
    spawned.merge_helper("approve", "three")
    assert f"evicted, scope: {name} (protected)" in spawned.merge_helper("merge", "three", ok=False).out


def test_a_file_that_the_target_moved_out_of_the_scope_does_not_land(spawned: SpawnedFleet) -> None:
    spawned.checkout.commit("a file", {"src/lib/x": "1\n2\n3\n"})
    spawned.worktree("one").git("merge", "--quiet", "--ff-only", "main")
    spawned.commit_work("one", {"src/lib/x": "1\n2\n3\n4\n"})
    spawned.merge_helper("approve", "one")
    spawned.checkout.git("mv", "src/lib", "core")
    spawned.checkout.git("commit", "--quiet", "-m", "move")
    assert "evicted, scope: core/x (outside its scope)" in spawned.merge_helper("merge", "one", ok=False).out


def test_a_path_that_is_too_long_stops_no_other_agent(spawned: SpawnedFleet, tmp_path: Path) -> None:
    approved_one(spawned)
    spawned.commit_work("three", {"three": "1\n"})
    there = spawned.worktree("three")
    blob = there.git("rev-parse", "HEAD:three")
    there.git("update-index", "--add", "--cacheinfo", f"100644,{blob},{'/'.join(['d' * 200] * 30)}")
    there.git("commit", "--quiet", "-m", "too long")
    spawned.merge_helper("approve", "three")
    done = spawned.merge_helper("merge", ok=False)
    assert done.code == 1
    assert "one: landed as" in done.out
    assert "three: evicted, conflict: git cannot apply" in done.out


def test_a_gate_does_not_run_programs_of_the_checkout(make_repository: MakeRepository, tmp_path: Path) -> None:
    text = SMALL_BLUEPRINT.replace("test ! -e broken", "check-it")
    spawned = SpawnedFleet(make_repository({"README.md": "a\n"}), write_scripts(tmp_path / "scripts", text))
    spawned.spawn()
    approved_one(spawned)
    programs, others = spawned.checkout.path / ".venv/bin", tmp_path / "bin"
    for folder, code in ((programs, 0), (others, 1)):
        folder.mkdir(parents=True)
        (folder / "check-it").write_text(
            f"#!/bin/sh\n[ $(git rev-parse HEAD) = $(git rev-parse main) ] || exit {code}\n"
        )
        (folder / "check-it").chmod(0o755)
    path = f"{programs}:{others}:{os.environ['PATH']}"
    script = spawned.scripts.merge_helper
    done = run("sh", script, "merge", "one", cwd=spawned.checkout.path, env={"PATH": path}, ok=False)
    assert f"removed {programs} from PATH" in done.err
    assert "one: evicted, gate: tests failed" in done.out


@pytest.fixture
def remote(spawned: SpawnedFleet, tmp_path: Path) -> Checkout:
    """origin, which has main."""
    folder = tmp_path / "origin.git"
    spawned.checkout.git("clone", "--quiet", "--bare", str(spawned.checkout.path), str(folder))
    spawned.checkout.git("remote", "add", "origin", str(folder))
    spawned.checkout.git("fetch", "--quiet", "origin")
    return Checkout(folder)


def test_a_push_runs_the_hook_of_the_person(spawned: SpawnedFleet, remote: Checkout, tmp_path: Path) -> None:
    hook = spawned.checkout.path / ".git/hooks/pre-push"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\ncat >'{tmp_path}/pushed'\nexit 1\n")
    hook.chmod(0o755)
    before = remote.git("rev-parse", "main")
    done = approved_one(spawned).merge_helper("merge", "--push", "one", ok=False)
    assert "declines the push" in done.out
    assert (tmp_path / "pushed").exists()
    assert remote.git("rev-parse", "main") == before == spawned.checkout.git("rev-parse", "main")


def test_a_branch_that_was_renamed_on_the_remote_is_not_made_again(spawned: SpawnedFleet, remote: Checkout) -> None:
    remote.git("branch", "-m", "main", "trunk")
    done = approved_one(spawned).merge_helper("merge", "--push", "one", ok=False)
    assert done.code == 3
    assert "origin has no branch main any more" in done.err
    assert "main" not in remote.git("branch", "--list").replace("trunk", "")


@pytest.mark.parametrize("place", ["HEAD", "packed-refs", "shallow", "objects/info/alternates"])
@pytest.mark.parametrize("within", ["checkout", "worktree"])
def test_a_pipe_in_place_of_a_file_of_git_is_refused(spawned: SpawnedFleet, place: str, within: str) -> None:
    pipe = spawned.checkout.path / ".git" / place
    folder = spawned.checkout.path / "src" if within == "checkout" else spawned.worktree("one").path
    pipe.unlink(missing_ok=True)
    os.mkfifo(pipe)
    for script, verb in ((spawned.scripts.orchestrate, "status"), (spawned.scripts.merge_helper, "merge")):
        done = run("sh", script, verb, cwd=folder, ok=False)
        assert done.code == 3
        assert f"/.git/{place} is a pipe or a device, which no git can read\nhint: rm '" in done.err


@pytest.mark.parametrize("name", ["pac\u212aage.json", "\uff50ackage.json", "pac\u212aage.json/inner"])
def test_a_name_that_folds_to_a_protected_one_is_left_to_the_tool(spawned: SpawnedFleet, name: str) -> None:
    spawned.commit_work("three", {name: "{}\n"})
    spawned.merge_helper("approve", "three")
    done = spawned.merge_helper("merge", "three", ok=False)
    assert "maybe a form of a protected name: use orchestra merge" in done.err


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ("Über.md", "U\u0308BER.md"),
        ("docs/Über", "docs/über/inner.md"),
        ("docs/Über/", "docs/ÜBER/a/inner.md"),
        ("**/é*.md", "a/É1.md"),
        ("[äö]x", "Äx"),
    ],
)
def test_a_protected_name_that_is_not_ascii_is_found_in_every_form(
    repository: Checkout, tmp_path: Path, pattern: str, path: str
) -> None:
    blueprint = SMALL_BLUEPRINT.replace("protected: [package.json]", f"protected: ['{pattern}']")
    pair = write_scripts(tmp_path / "forms", blueprint)
    spawned = SpawnedFleet(repository, pair)
    spawned.spawn()
    spawned.commit_work("three", {path: "1\n"})
    spawned.merge_helper("approve", "three")
    assert f"{path} (protected)" in spawned.merge_helper("merge", "three", ok=False).err


def test_every_character_that_folds_to_ascii_is_known_to_the_script(small_scripts: ScriptPair, tmp_path: Path) -> None:
    def folds(character: str) -> bool:
        folded = unicodedata.normalize("NFC", unicodedata.normalize("NFKC", character).casefold())
        return any(each.isascii() for each in folded)

    characters = [chr(code) for code in range(0x80, 0x110000) if not 0xD800 <= code < 0xE000]
    names = "".join(f"{each}\n" for each in [*filter(folds, characters), "é", "č", "日本", "ж", "\U0001f600", "a"])
    function = next(
        line for line in small_scripts.merge_helper.read_text("utf-8").splitlines() if "_folded_names() {" in line
    )
    script = f'_orchestra_awk() {{ LC_ALL=C awk "$@"; }}\n{function}\n_orchestra_folded_names'
    done = subprocess.run(["sh", "-c", script], input=names.encode(), capture_output=True, check=True)
    assert done.stdout.decode().splitlines() == [*filter(folds, characters)]


def test_a_symbolic_target_is_resolved_once_and_its_branch_moves(spawned: SpawnedFleet) -> None:
    git = spawned.checkout.git
    git("branch", "-m", "main", "trunk")
    git("symbolic-ref", "refs/heads/main", "refs/heads/trunk")
    spawned.commit_work("one", {"src/one": "1\n"})
    spawned.merge_helper("approve", "one")
    assert "trunk went from " in spawned.merge_helper("merge", "one").out
    assert git("symbolic-ref", "refs/heads/main") == "refs/heads/trunk"
    assert spawned.checkout.read("src/one", "refs/heads/trunk") == "1"
    assert git("status", "--porcelain") == ""


def test_a_merge_without_an_approved_agent_says_that_the_target_stays(spawned: SpawnedFleet) -> None:
    done = spawned.merge_helper("merge", ok=False)
    assert done.lines[-1] == f"main stays at {spawned.checkout.git('rev-parse', 'main')[:10]}"


def test_grafts_do_not_make_unlanded_work_count_as_landed(spawned: SpawnedFleet) -> None:
    spawned.commit_work("one", {"src/one": "1\n"})
    spawned.merge_helper("approve", "one")
    tip, main = spawned.worktree("one").git("rev-parse", "HEAD"), spawned.checkout.git("rev-parse", "main")
    grafts = spawned.checkout.path / ".git/info/grafts"
    grafts.parent.mkdir(exist_ok=True)
    grafts.write_text(f"{tip}\n{main} {tip}\n")
    spawned.merge_helper("merge", ok=False)
    assert spawned.checkout.read("src/one", at="main") == "1"
