"""What can go wrong around a train (facts/merge.md 5), each fault by name; the train goes on, or says what to do."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from orchestra.blueprint.model import AgentName, Limits, RunGate
from orchestra.candidates.containment import LandingStep, unclaimed_paths
from orchestra.engine.process_tree import MARK
from orchestra.errors import DiskFull, GroundError
from orchestra.git.git_process import Git
from orchestra.git.lock import exclusive
from orchestra.git.refs import CommitId, Kind, agent_ref
from orchestra.train import slots
from orchestra.train.events import TrainEvent
from orchestra.train.landing_journal import Intent, intent_path, read_intent, write_intent
from orchestra.train.recover import recover
from orchestra.workspace.paths import ASIDE, slots_root
from tests.conftest import Checkout, MakeRepository
from tests.train.yard import TESTS, Train, Yard, landed, make_yard, reasons


def once(yard: Yard, kind: str, act: object) -> object:
    """A listener that calls ``act`` at the first event of that kind."""
    seen: list[bool] = []

    def listen(event: TrainEvent) -> None:
        if event.kind == kind and not seen:
            seen.append(True)
            act()  # type: ignore[operator]

    return listen


# -- refs and objects --------------------------------------------------------------------------------------------


def test_10_a_stale_lock_on_the_target_is_named_and_lands_nothing(yard: Yard) -> None:
    yard.approved(one={"a": "1\n"})
    lock = yard.checkout.path / ".git/refs/heads/main.lock"
    lock.touch()
    report = yard.merge(agents=["one"])
    assert "main.lock" in reasons(report)["one"]
    assert "delete the lock file" in reasons(report)["one"]
    assert read_intent(yard.fleet.repository.state_folder) is None
    lock.unlink()
    assert landed(yard.merge()) == ["one"]


def test_10_stale_locks_in_a_slot_are_ours_to_remove(yard: Yard) -> None:
    yard.approved(one={"a": "1\n"})
    yard.merge()
    admin = next((yard.checkout.path / ".git/worktrees").glob("1*"))
    for name in ("index.lock", "orchestra-index.lock", "HEAD.lock"):
        (admin / name).touch()
    yard.approved(two={"b": "1\n"})
    assert landed(yard.merge()) == ["two"]


def test_11_gc_and_pack_refs_beside_a_train(yard: Yard) -> None:
    yard.approved(one={"a": "1\n"}, two={"b": "2\n"}, three={"c": "3\n"})
    yard.merge_settings(train=Train.AUTO)
    stop = threading.Event()

    def housekeeping() -> None:
        while not stop.is_set():
            yard.checkout.git("gc", "--quiet", "--prune=now", ok=False)
            yard.checkout.git("pack-refs", "--all", ok=False)

    keeper = threading.Thread(target=housekeeping)
    keeper.start()
    try:
        report = yard.merge()
    finally:
        stop.set()
        keeper.join()
    if report.exit_code:  # a prune may take what was not pinned yet, again and again: that is nobody's fault
        assert report.evicted == ()
        report = yard.merge()
    assert yard.checkout.tree() == ["README.md", "a", "b", "c"]
    assert yard.checkout.git("fsck", "--strict", "--no-dangling") == ""


def test_11_candidates_that_a_gc_took_are_built_again(yard: Yard) -> None:
    """All that no ref holds goes, after the candidates were built and before they are tested."""
    yard.approved(one={"a": "1\n"}, two={"b": "2\n"}).merge_settings(train=Train.BATCH)
    sweep = once(yard, "candidate.built", lambda: yard.checkout.git("gc", "--quiet", "--prune=now"))
    report = yard.merge(progress=sweep)
    assert landed(report) == ["one", "two"]
    assert yard.checkout.git("fsck", "--strict", "--no-dangling") == ""


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 6 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", folder], check=False)
    if mounted.returncode:
        pytest.skip("no right to mount a file system here")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def test_7_a_full_disk_is_said_and_nothing_is_lost(make_repository: MakeRepository, small_disk: Path) -> None:
    """With ever more room, until a merge goes through; the state is whole after every one that did not."""
    yard = make_yard(make_repository({"README.md": "x\n"}, name="disk/repo"), "one", "two")
    yard.approved(one={"a": "1\n" * 60_000}, two={"b": "2\n"})
    refused: list[str] = []
    for room in (0, 60, 120, 180, 240, 400):
        facts = os.statvfs(small_disk)
        (small_disk / "fill").write_bytes(bytes(max(0, facts.f_bavail * facts.f_frsize - room * 1024)))
        try:
            yard.merge()
            break
        except DiskFull as full:
            refused.append(str(full))
        finally:
            (small_disk / "fill").unlink()
        assert yard.checkout.git("fsck", "--strict", "--no-dangling") == ""
        assert yard.checkout.git("status", "--porcelain") == ""
    assert len(refused) > 1
    yard.merge()
    assert yard.checkout.tree() == ["README.md", "a", "b"]
    assert yard.checkout.git("status", "--porcelain") == ""
    assert not [name for name in yard.world.refs() if name.endswith("candidate")]


@pytest.mark.parametrize("how", ["rewritten", "deleted"])
def test_12_the_target_is_rewritten_or_deleted_in_the_middle(make_repository: MakeRepository, how: str) -> None:
    yard = make_yard(make_repository({"README.md": "1\n"}, {"README.md": "2\n"}), "one")
    yard.checkout.git("checkout", "-q", "--detach")
    yard.approved(one={"a": "1\n"})

    def strike() -> None:
        if how == "deleted":
            yard.checkout.git("update-ref", "-d", "refs/heads/main")
        else:
            other = yard.checkout.git("commit-tree", "main~1^{tree}", "-p", "main~1", "-m", "another")
            yard.checkout.git("update-ref", "refs/heads/main", other)

    report = yard.merge(progress=once(yard, "gate.started", strike))
    if how == "deleted":
        assert "there is no branch main" in reasons(report)["one"]
    else:
        assert landed(report) == ["one"]
        assert yard.checkout.git("log", "--format=%s", "main").splitlines() == ["one works", "another", "commit 1"]


@pytest.mark.parametrize("how", ["amends", "deletes", "renames"])
def test_14_an_agent_plays_with_its_branch_while_it_is_tested(yard: Yard, how: str) -> None:
    yard.approved(one={"a": "1\n"}, two={"b": "2\n"})
    at = yard.world.at("one")

    def play() -> None:
        if how == "amends":
            at.git("commit", "-q", "--amend", "-m", "else")
        elif how == "deletes":
            at.git("checkout", "-q", "--detach")
            at.git("branch", "-q", "-D", "agent/demo/one")
        else:
            at.git("branch", "-q", "-m", "agent/demo/other")

    report = yard.merge(progress=once(yard, "gate.started", play))
    assert landed(report) == ["two"]
    assert "while the train ran" in reasons(report)["one"]


def test_14_a_branch_that_goes_while_it_is_tested_is_said_to_be_gone(yard: Yard) -> None:
    """Also where nobody approved it: no proposal was taken then."""
    yard.commit("one", {"a": "1\n"})

    def delete() -> None:
        at = yard.world.at("one")
        at.git("checkout", "-q", "--detach")
        at.git("branch", "-q", "-D", "agent/demo/one")

    report = yard.merge(agents=["one"], accept_finished=True, progress=once(yard, "gate.started", delete))
    assert reasons(report)["one"] == "it lost its branch while the train ran"


def test_15_the_agents_worktree_is_gone_and_its_branch_lands(yard: Yard) -> None:
    yard.approved(one={"a": "1\n"})
    shutil.rmtree(yard.world.at("one").path)
    assert landed(yard.merge()) == ["one"]


def test_15_the_agents_worktree_is_in_the_middle_of_a_rebase(yard: Yard) -> None:
    yard.commit("one", {"a": "1\n"})
    yard.approved(one={"b": "1\n"})
    yard.world.at("one").git("-c", "sequence.editor=sed -i 1s/pick/edit/", "rebase", "-q", "-i", "main")
    assert landed(yard.merge()) == ["one"]
    assert "rebase in progress" in yard.world.at("one").git("status")


def test_18_a_shallow_clone_and_one_with_alternates(make_repository: MakeRepository, tmp_path: Path) -> None:
    source = make_repository({"a": "1\n"}, {"a": "2\n"}, {"a": "3\n"}, name="source")
    for kind, option in (("shallow", "--depth=1"), ("shared", "--shared")):
        folder = tmp_path / kind / "repo"
        where = f"file://{source.path}" if kind == "shallow" else str(source.path)
        source.git("clone", "-q", option, where, str(folder))
        Checkout(folder).git("remote", "remove", "origin")
        yard = make_yard(Checkout(folder), "one").approved(one={"b": "1\n"})
        assert landed(yard.merge()) == ["one"]


# -- what merges mean --------------------------------------------------------------------------------------------


def test_20_a_group_that_would_put_back_what_was_landed_is_seen_from_its_ends(yard: Yard) -> None:
    base = yard.tip()
    yard.checkout.commit("landed before", {"landed": "1\n"})
    target = yard.tip()
    yard.commit("one", {"a": "1\n"})
    honest = yard.checkout.git("commit-tree", "agent/demo/one^{tree}", "-p", base, "-m", "a step")
    wrong = yard.checkout.git("commit-tree", "agent/demo/one^{tree}", "-p", target, "-m", "the group")
    step = LandingStep(base, CommitId(honest), base, yard.tip("agent/demo/one"))
    assert unclaimed_paths(Git(yard.checkout.path), target, CommitId(wrong), [step]) == ("landed",)


def test_22_a_conflict_with_one_who_is_evicted_later_is_not_held_against_anybody(
    make_repository: MakeRepository,
) -> None:
    for policy in (Train.SERIAL, Train.AUTO):
        yard = make_yard(make_repository({"f": "0\n"}, name=f"{policy}/repo"), "bad", "good")
        yard.approved(bad={"f": "1\n", "x.txt": "RED\n"}, good={"f": "2\n"}).merge_settings(train=policy)
        report = yard.merge()
        assert landed(report) == ["good"], policy
        assert reasons(report) == {"bad": "gate"}, policy


def test_23_red_only_because_of_one_ahead_is_not_held_against_anybody(make_repository: MakeRepository) -> None:
    """GitLab #500693: the one behind finishes first, red because of the one ahead."""
    yard = make_yard(make_repository({"f": "0\n"}), "bad", "good")
    slow_ahead = f"{TESTS} || {{ test -e good.new || sleep 0.3; exit 1; }}"
    yard.gates(RunGate("tests", slow_ahead))
    yard.approved(bad={"x.txt": "RED\n"}, good={"good.new": "1\n"})
    yard.merge_settings(train=Train.AUTO).blueprint(limits=Limits(gates=3))
    report = yard.merge()
    assert landed(report) == ["good"]
    assert reasons(report) == {"bad": "gate"}


def test_27_a_conflict_before_a_folder_that_both_change_is_seen(make_repository: MakeRepository) -> None:
    """What ``merge-tree --quiet`` calls clean (facts/merge.md 0.4)."""
    files = {"a": "1\n2\n3\n", "z/x": "1\n", "z/y": "1\n"}
    yard = make_yard(make_repository(files), "one", "two")
    yard.approved(one={"a": "1\none\n3\n", "z/x": "one\n"}, two={"a": "1\ntwo\n3\n", "z/y": "two\n"})
    assert reasons(yard.merge()) == {"two": "conflict"}


# -- tests and gates ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "fate"),
    [
        ("test ! -e a || exit 125", "its gates could not be run to an end: tests exit code 125"),
        ("test ! -e a || exit 126", "gate"),
        ("test ! -e a || no-such-program", "gate"),
        ("test ! -e a || kill -9 $$", "its gates could not be run to an end: tests was ended by SIGKILL"),
    ],
)
def test_29_how_a_gate_ends_decides_who_is_to_blame(yard: Yard, command: str, fate: str) -> None:
    yard.gates(RunGate("tests", command)).approved(one={"a": "1\n"})
    assert reasons(yard.merge(agents=["one"]))["one"].startswith(fate)


def test_29_what_a_gate_does_to_its_slot_is_gone_for_the_next(yard: Yard, tmp_path: Path) -> None:
    mess = """
    test ! -e dropped && test ! -e committed && test -z "$(git status --porcelain)" && test -e README.md || exit 1
    grep -q sample README.md || exit 1
    echo mess >dropped; mkdir -p deep/er; echo x >deep/er/y; chmod 500 deep/er deep; echo changed >README.md
    git config core.bare false; git update-index --assume-unchanged README.md
    echo 1 >committed; git add -f committed; git commit -qm "by a gate"; git checkout -q -B stolen
    ln -s / everything; touch "$TMPDIR/left"
    """
    yard.gates(RunGate("tests", mess))
    yard.approved(one={"a": "1\n"}, two={"b": "1\n"}, three={".gitignore": "dropped\n"})
    report = yard.merge()
    assert landed(report) == ["one", "two", "three"]
    assert yard.checkout.git("log", "--format=%s", "main").splitlines()[0] == "three works"


def test_29_a_gate_that_destroys_its_slot_gets_a_new_one(yard: Yard) -> None:
    yard.gates(RunGate("tests", "rm -rf .git ./* && echo garbage >.git"))
    yard.approved(one={"a": "1\n"}, two={"b": "1\n"})
    assert landed(yard.merge()) == ["one", "two"]


def test_29_hooks_that_a_gate_installs_do_not_run(yard: Yard, tmp_path: Path) -> None:
    evil = tmp_path / "evil"
    hook = "mkdir -p h; for n in post-checkout reference-transaction post-index-change pre-push; do "
    hook += f"printf '#!/bin/sh\\ntouch {evil}\\n' >h/$n; chmod +x h/$n; done; git config core.hooksPath \"$PWD/h\""
    yard.gates(RunGate("tests", hook)).approved(one={"a": "1\n"}, two={"b": "1\n"})
    assert landed(yard.merge()) == ["one", "two"]
    assert not evil.exists()


def test_32_the_same_tree_with_another_environment_or_command_is_tested_again(
    yard: Yard, monkeypatch: pytest.MonkeyPatch
) -> None:
    yard.approved(one={"a": "1\n"})
    assert yard.rehearse().tests_run == 1
    assert yard.rehearse().tests_run == 0
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    assert yard.rehearse().tests_run == 1
    yard.gates(RunGate("tests", f"true; {TESTS}"))
    assert yard.rehearse().tests_run == 1
    yard.setup(env={"PORT": "1"})
    assert yard.rehearse().tests_run == 1


def test_32_a_gate_that_asks_git_is_not_answered_by_the_tree_alone(yard: Yard) -> None:
    yard.gates(RunGate("message", "! git log -1 --format=%s | grep -q other"))
    yard.approved(one={"a": "1\n"})
    assert yard.rehearse().tests_run == 1
    yard.world.at("one").git("commit", "-q", "--amend", "-m", "same tree, other message")
    yard.approve("one")
    assert reasons(yard.rehearse())["one"] == "gate"


@pytest.mark.parametrize("poison", ["", "{", '{"key": "x"}', "[1]", "null"])
def test_32_a_damaged_result_counts_as_none(yard: Yard, poison: str) -> None:
    yard.approved(one={"a": "1\n"})
    yard.rehearse()
    for kept in (yard.fleet.repository.state_folder / "gates/results").glob("*.json"):
        kept.write_text(poison)
    assert yard.rehearse().tests_run == 1


def test_set_up_is_run_once_for_the_same_lock_files(yard: Yard, tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    yard.setup(run=(f"echo . >>{ran}; mkdir -p made; cat package-lock.json >made/it",))
    yard.checkout.commit("a lock file", {"package-lock.json": "1\n", ".gitignore": "made\n"})
    yard.gates(RunGate("tests", "cmp package-lock.json made/it"))
    for name in ("one", "two", "three"):
        yard.world.at(name).git("rebase", "-q", "main")
    yard.approved(one={"a": "1\n"}, two={"b": "1\n"}, three={"package-lock.json": "2\n"})
    assert landed(yard.merge()) == ["one", "two", "three"]
    assert len(ran.read_text().split()) == 2


def test_what_set_up_made_is_made_anew_when_the_folder_of_slots_was_deleted(yard: Yard, tmp_path: Path) -> None:
    """As docs/safety.md tells those to do who do not trust what a gate may have changed there."""
    ran = tmp_path / "ran"
    yard.setup(run=(f"echo . >>{ran}; mkdir -p made; echo good >made/it",))
    yard.checkout.commit("ignored", {".gitignore": "made\n"})
    yard.gates(RunGate("tests", "grep -q good made/it && echo bad >made/it"))
    for name in ("one", "two"):
        yard.world.at(name).git("rebase", "-q", "main")
    yard.approved(one={"a": "1\n"}, two={"b": "1\n"}).blueprint(limits=Limits(gates=1))
    assert landed(yard.merge(agents=["one"])) == ["one"]
    shutil.rmtree(slots_root(yard.fleet))
    assert landed(yard.merge(agents=["two"])) == ["two"]
    assert len(ran.read_text().split()) == 2


def test_what_set_up_copies_goes_through_no_link_of_a_branch(yard: Yard, tmp_path: Path) -> None:
    """Neither in its place nor where it is written first."""
    precious = tmp_path / "precious"
    precious.write_text("mine\n", "utf-8")
    yard.checkout.write({".env": "SECRET=1\n"})
    yard.setup(copy=(".env",)).gates(RunGate("tests", "! test -e a || test -e .env"))
    (yard.world.at("one").path / "..env.orchestra").symlink_to(precious)
    (yard.world.at("one").path / ASIDE).symlink_to(tmp_path)
    yard.approved(one={"a": "1\n"})
    assert "..env.orchestra" in yard.checkout.git("ls-tree", "--name-only", "agent/demo/one")
    yard.merge(agents=["one"])
    assert precious.read_text("utf-8") == "mine\n"


def test_a_set_up_that_fails_is_judged_like_a_gate(yard: Yard) -> None:
    yard.setup(run=("test ! -e package.json || grep -q ok package.json",))
    yard.approved(one={"package.json": "wrong\n"}, two={"package.json": "ok\n"})
    report = yard.merge()
    assert landed(report) == ["two"]
    assert "setup failed" in report.evicted[0].detail


# -- the queue and people ------------------------------------------------------------------------------------------


def test_36_a_branch_that_a_person_merged_by_hand_has_landed(yard: Yard) -> None:
    yard.after(two=("one",)).approved(one={"a": "1\n"}, two={"b": "1\n"})
    yard.checkout.git("merge", "-q", "--no-ff", "--no-edit", "agent/demo/one")
    assert landed(yard.rehearse()) == ["two"]
    assert "demo/one/landed" not in yard.world.refs()
    report = yard.merge()
    assert landed(report) == ["two"]
    assert report.recovered == ("noted that one had been merged by hand",)
    assert yard.world.refs()["demo/one/landed"] == yard.tip("agent/demo/one")


def test_37_nothing_is_called_landed_that_the_target_lacks(yard: Yard) -> None:
    """An intent and a candidate are not enough: the target is read again."""
    yard.approved(one={"a": "1\n"})
    commit, old = yard.rehearse(agents=["one"]).landed[0].commit, yard.tip()
    yard.checkout.git("update-ref", agent_ref(yard.fleet.name, AgentName("one"), Kind.CANDIDATE), commit)
    state = yard.fleet.repository.state_folder
    write_intent(state, Intent("demo", "main", old, commit, {"one": commit}, {}))
    assert recover(yard.fleet.repository) == ("took back a landing of one that had not begun",)
    assert not [name for name in yard.world.refs() if name.endswith(("landed", "candidate"))]


def test_8_an_intent_that_cannot_be_read_is_set_aside_and_the_refs_decide(yard: Yard) -> None:
    yard.approved(one={"a": "1\n"})
    commit = yard.rehearse(agents=["one"]).landed[0].commit
    yard.checkout.git("update-ref", "refs/orchestra/demo/one/candidate", commit)
    yard.checkout.git("merge", "-q", "--ff-only", commit)
    path = intent_path(yard.fleet.repository.state_folder)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("{half an int", "utf-8")
    report = yard.merge()
    assert report.recovered == ("noted that one had landed",)
    assert yard.world.refs()["demo/one/landed"] == commit
    assert "demo/one/candidate" not in yard.world.refs()


def test_a_slot_whose_place_is_taken_is_refused_by_name(yard: Yard) -> None:
    yard.approved(one={"a": "1\n"})
    taken = yard.fleet.worktrees_root / "repo.gates" / "1"
    taken.mkdir(parents=True)
    (taken / "precious").write_text("mine\n")
    report = yard.merge(agents=["one"])
    assert f"{taken} is in the way of a gate slot" in reasons(report)["one"]
    assert (taken / "precious").read_text() == "mine\n"


def test_the_ground_is_looked_at_before_anything_is_made(yard: Yard) -> None:
    yard.approved(one={"a": "1\n"})
    yard.checkout.git("switch", "-q", "-c", "side", "main")
    yard.checkout.commit("side", {"s": "1\n"})
    yard.checkout.git("switch", "-q", "main")
    yard.checkout.git("merge", "-q", "--no-commit", "--no-ff", "side")
    with pytest.raises(GroundError, match="in the middle of a merge"):
        yard.merge()
    assert not (yard.fleet.worktrees_root / "repo.gates").exists()


def test_a_lock_that_is_held_for_long_while_a_slot_is_made_is_no_verdict(
    yard: Yard, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A spawn of fifty, or our own push to a slow remote. Once it is free, the train goes on."""
    monkeypatch.setattr(slots, "_WAIT_S", 0.01)
    yard.approved(one={"a": "1\n"})
    seen: list[str] = []
    with ExitStack() as held:

        def listen(event: TrainEvent) -> None:
            if event.kind == "test.preparing" and not seen:
                held.enter_context(exclusive(yard.fleet.repository.state_folder, "spawn"))
            if event.kind == "test.finished":
                seen.append(str(event.data["outcome"]))
                held.close()

        report = yard.merge(agents=["one"], progress=listen)
    assert seen == ["broken", "passed"]
    assert landed(report) == ["one"]


@pytest.mark.parametrize(("mark", "fate"), [({MARK: "tests-1"}, "waiting"), ({}, "landed")], ids=["ours", "a-persons"])
def test_nothing_is_tested_where_a_killed_train_is_still_at_work(
    yard: Yard, monkeypatch: pytest.MonkeyPatch, mark: dict[str, str], fate: str
) -> None:
    """Its git or its gate would write over what is checked out. A person's shell there is no reason to wait."""
    yard.approved(one={"a": "1\n"})
    yard.merge()
    slot = yard.fleet.worktrees_root / "repo.gates" / "1"
    yard.approved(two={"b": "1\n"})
    monkeypatch.setattr(slots, "_LEAVE_S", 0.05)
    with subprocess.Popen(["tail", "-f", "/dev/null"], cwd=slot, env={"PATH": os.environ["PATH"], **mark}) as left:
        try:
            report = yard.merge(agents=["two"])
        finally:
            left.kill()
    if fate == "waiting":
        assert f"process {left.pid} (tail) of a train that was killed still works in {slot}" in reasons(report)["two"]
        report = yard.merge()
    assert landed(report) == ["two"]


def test_the_git_that_fills_a_slot_is_known_as_ours(yard: Yard, tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    yard.checkout.git("config", "filter.look.smudge", f"env >>'{seen}'; cat")
    yard.approved(one={".gitattributes": "a filter=look\n", "a": "1\n"})
    assert landed(yard.merge()) == ["one"]
    assert f"{MARK}=gate-slot\n" in seen.read_text("utf-8")
