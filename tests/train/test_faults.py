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
from orchestra.train.landing import recover
from orchestra.train.landing_journal import Landing, journal_path, read_journal, write_journal
from orchestra.workspace.paths import ASIDE, slots_root
from tests.conftest import Checkout, MakeRepository, SetGlobally
from tests.train.train_fixture import TESTS, Train, TrainFixture, landed, make_train, reasons


def once(train: TrainFixture, kind: str, act: object) -> object:
    """A listener that calls ``act`` at the first event of that kind."""
    seen: list[bool] = []

    def listen(event: TrainEvent) -> None:
        if event.kind == kind and not seen:
            seen.append(True)
            act()  # type: ignore[operator]

    return listen


# -- refs and objects --------------------------------------------------------------------------------------------


def test_10_a_stale_lock_on_the_target_is_named_and_lands_nothing(train: TrainFixture) -> None:
    train.approved(one={"a": "1\n"})
    lock = train.checkout.path / ".git/refs/heads/main.lock"
    lock.touch()
    report = train.merge(agents=["one"])
    assert f"main cannot be moved: a ref is locked: {lock} exists" in reasons(report)["one"]
    assert f"if no git runs in this repository: rm {lock}" in reasons(report)["one"]
    assert read_journal(train.fleet.repository.state_folder) is None
    lock.unlink()
    assert landed(train.merge()) == ["one"]


def test_10_stale_locks_in_a_slot_are_ours_to_remove(train: TrainFixture) -> None:
    train.approved(one={"a": "1\n"})
    train.merge()
    admin = next((train.checkout.path / ".git/worktrees").glob("1*"))
    for name in ("index.lock", "orchestra-index.lock", "HEAD.lock"):
        (admin / name).touch()
    train.approved(two={"b": "1\n"})
    assert landed(train.merge()) == ["two"]


def test_11_gc_and_pack_refs_beside_a_train(train: TrainFixture) -> None:
    train.approved(one={"a": "1\n"}, two={"b": "2\n"}, three={"c": "3\n"})
    train.merge_settings(train=Train.AUTO)
    stop = threading.Event()

    def housekeeping() -> None:
        while not stop.is_set():
            train.checkout.git("gc", "--quiet", "--prune=now", ok=False)
            train.checkout.git("pack-refs", "--all", ok=False)

    keeper = threading.Thread(target=housekeeping)
    keeper.start()
    try:
        report = train.merge()
    finally:
        stop.set()
        keeper.join()
    if report.exit_code:  # a prune may take what was not pinned yet, again and again: that is nobody's fault
        assert report.evicted == ()
        report = train.merge()
    assert train.checkout.tree() == ["README.md", "a", "b", "c"]
    assert train.checkout.git("fsck", "--strict", "--no-dangling") == ""


def test_11_candidates_that_a_gc_took_are_built_again(train: TrainFixture) -> None:
    """All that no ref holds goes, after the candidates were built and before they are tested."""
    train.approved(one={"a": "1\n"}, two={"b": "2\n"}).merge_settings(train=Train.BATCH)
    sweep = once(train, "candidate.built", lambda: train.checkout.git("gc", "--quiet", "--prune=now"))
    report = train.merge(progress=sweep)
    assert landed(report) == ["one", "two"]
    assert train.checkout.git("fsck", "--strict", "--no-dangling") == ""


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
    train = make_train(make_repository({"README.md": "x\n"}, name="disk/repo"), "one", "two")
    train.approved(one={"a": "1\n" * 60_000}, two={"b": "2\n"})
    refused: list[str] = []
    for room in (0, 60, 120, 180, 240, 400):
        facts = os.statvfs(small_disk)
        (small_disk / "fill").write_bytes(bytes(max(0, facts.f_bavail * facts.f_frsize - room * 1024)))
        try:
            train.merge()
            break
        except DiskFull as full:
            refused.append(str(full))
        finally:
            (small_disk / "fill").unlink()
        assert train.checkout.git("fsck", "--strict", "--no-dangling") == ""
        assert train.checkout.git("status", "--porcelain") == ""
    assert len(refused) > 1
    train.merge()
    assert train.checkout.tree() == ["README.md", "a", "b"]
    assert train.checkout.git("status", "--porcelain") == ""
    assert not [name for name in train.world.refs() if name.endswith("candidate")]


@pytest.mark.parametrize("how", ["rewritten", "deleted"])
def test_12_the_target_is_rewritten_or_deleted_in_the_middle(make_repository: MakeRepository, how: str) -> None:
    train = make_train(make_repository({"README.md": "1\n"}, {"README.md": "2\n"}), "one")
    train.checkout.git("checkout", "-q", "--detach")
    train.approved(one={"a": "1\n"})

    def strike() -> None:
        if how == "deleted":
            train.checkout.git("update-ref", "-d", "refs/heads/main")
        else:
            other = train.checkout.git("commit-tree", "main~1^{tree}", "-p", "main~1", "-m", "another")
            train.checkout.git("update-ref", "refs/heads/main", other)

    report = train.merge(progress=once(train, "gate.started", strike))
    if how == "deleted":
        assert "there is no branch main" in reasons(report)["one"]
    else:
        assert landed(report) == ["one"]
        assert train.checkout.git("log", "--format=%s", "main").splitlines() == ["one works", "another", "commit 1"]


@pytest.mark.parametrize("how", ["amends", "deletes", "renames"])
def test_14_an_agent_plays_with_its_branch_while_it_is_tested(train: TrainFixture, how: str) -> None:
    train.approved(one={"a": "1\n"}, two={"b": "2\n"})
    at = train.world.at("one")

    def play() -> None:
        if how == "amends":
            at.git("commit", "-q", "--amend", "-m", "else")
        elif how == "deletes":
            at.git("checkout", "-q", "--detach")
            at.git("branch", "-q", "-D", "agent/demo/one")
        else:
            at.git("branch", "-q", "-m", "agent/demo/other")

    report = train.merge(progress=once(train, "gate.started", play))
    assert landed(report) == ["two"]
    assert "while the train ran" in reasons(report)["one"]


def test_14_a_branch_that_goes_while_it_is_tested_is_said_to_be_gone(train: TrainFixture) -> None:
    """Also where nobody approved it: no proposal was taken then."""
    train.commit("one", {"a": "1\n"})

    def delete() -> None:
        at = train.world.at("one")
        at.git("checkout", "-q", "--detach")
        at.git("branch", "-q", "-D", "agent/demo/one")

    report = train.merge(agents=["one"], accept_finished=True, progress=once(train, "gate.started", delete))
    assert reasons(report)["one"] == "its branch was deleted while the train ran"


def test_15_the_agents_worktree_is_gone_and_its_branch_lands(train: TrainFixture) -> None:
    train.approved(one={"a": "1\n"})
    shutil.rmtree(train.world.at("one").path)
    assert landed(train.merge()) == ["one"]


def test_15_the_agents_worktree_is_in_the_middle_of_a_rebase(train: TrainFixture) -> None:
    train.commit("one", {"a": "1\n"})
    train.approved(one={"b": "1\n"})
    train.world.at("one").git("-c", "sequence.editor=sed -i 1s/pick/edit/", "rebase", "-q", "-i", "main")
    assert landed(train.merge()) == ["one"]
    assert "rebase in progress" in train.world.at("one").git("status")


def test_18_a_shallow_clone_and_one_with_alternates(make_repository: MakeRepository, tmp_path: Path) -> None:
    source = make_repository({"a": "1\n"}, {"a": "2\n"}, {"a": "3\n"}, name="source")
    for kind, option in (("shallow", "--depth=1"), ("shared", "--shared")):
        folder = tmp_path / kind / "repo"
        where = f"file://{source.path}" if kind == "shallow" else str(source.path)
        source.git("clone", "-q", option, where, str(folder))
        Checkout(folder).git("remote", "remove", "origin")
        train = make_train(Checkout(folder), "one").approved(one={"b": "1\n"})
        assert landed(train.merge()) == ["one"]


# -- what merges mean --------------------------------------------------------------------------------------------


def test_20_a_group_that_would_put_back_what_was_landed_is_seen_from_its_ends(train: TrainFixture) -> None:
    base = train.tip()
    train.checkout.commit("landed before", {"landed": "1\n"})
    target = train.tip()
    train.commit("one", {"a": "1\n"})
    honest = train.checkout.git("commit-tree", "agent/demo/one^{tree}", "-p", base, "-m", "a step")
    wrong = train.checkout.git("commit-tree", "agent/demo/one^{tree}", "-p", target, "-m", "the group")
    step = LandingStep(base, CommitId(honest), base, train.tip("agent/demo/one"))
    assert unclaimed_paths(Git(train.checkout.path), target, CommitId(wrong), [step]) == ("landed",)


def test_22_a_conflict_with_one_who_is_evicted_later_is_not_held_against_anybody(
    make_repository: MakeRepository,
) -> None:
    for policy in (Train.SERIAL, Train.AUTO):
        train = make_train(make_repository({"f": "0\n"}, name=f"{policy}/repo"), "bad", "good")
        train.approved(bad={"f": "1\n", "x.txt": "RED\n"}, good={"f": "2\n"}).merge_settings(train=policy)
        report = train.merge()
        assert landed(report) == ["good"], policy
        assert reasons(report) == {"bad": "gate"}, policy


def test_23_red_only_because_of_one_ahead_is_not_held_against_anybody(make_repository: MakeRepository) -> None:
    """GitLab #500693: the one behind finishes first, red because of the one ahead."""
    train = make_train(make_repository({"f": "0\n"}), "bad", "good")
    slow_ahead = f"{TESTS} || {{ test -e good.new || sleep 0.3; exit 1; }}"
    train.gates(RunGate("tests", slow_ahead))
    train.approved(bad={"x.txt": "RED\n"}, good={"good.new": "1\n"})
    train.merge_settings(train=Train.AUTO).blueprint(limits=Limits(gates=3))
    report = train.merge()
    assert landed(report) == ["good"]
    assert reasons(report) == {"bad": "gate"}


def test_27_a_conflict_before_a_folder_that_both_change_is_seen(make_repository: MakeRepository) -> None:
    """What ``merge-tree --quiet`` calls clean (facts/merge.md 0.4)."""
    files = {"a": "1\n2\n3\n", "z/x": "1\n", "z/y": "1\n"}
    train = make_train(make_repository(files), "one", "two")
    train.approved(one={"a": "1\none\n3\n", "z/x": "one\n"}, two={"a": "1\ntwo\n3\n", "z/y": "two\n"})
    assert reasons(train.merge()) == {"two": "conflict"}


# -- tests and gates ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "result"),
    [
        ("test ! -e a || exit 125", "its gates could not be run to an end: tests exit code 125"),
        ("test ! -e a || exit 126", "gate"),
        ("test ! -e a || no-such-program", "gate"),
        ("test ! -e a || kill -9 $$", "its gates could not be run to an end: tests killed by SIGKILL"),
    ],
)
def test_29_how_a_gate_ends_decides_who_is_to_blame(train: TrainFixture, command: str, result: str) -> None:
    train.gates(RunGate("tests", command)).approved(one={"a": "1\n"})
    assert reasons(train.merge(agents=["one"]))["one"].startswith(result)


def test_29_what_a_gate_does_to_its_slot_is_gone_for_the_next(train: TrainFixture, tmp_path: Path) -> None:
    mess = """
    test ! -e dropped && test ! -e committed && test -z "$(git status --porcelain)" && test -e README.md || exit 1
    grep -q sample README.md || exit 1
    echo mess >dropped; mkdir -p deep/er; echo x >deep/er/y; chmod 500 deep/er deep; echo changed >README.md
    git config core.bare false; git update-index --assume-unchanged README.md
    echo 1 >committed; git add -f committed; git commit -qm "by a gate"; git checkout -q -B stolen
    ln -s / everything; touch "$TMPDIR/left"
    """
    train.gates(RunGate("tests", mess))
    train.approved(one={"a": "1\n"}, two={"b": "1\n"}, three={".gitignore": "dropped\n"})
    report = train.merge()
    assert landed(report) == ["one", "two", "three"]
    assert train.checkout.git("log", "--format=%s", "main").splitlines()[0] == "three works"


def test_29_a_gate_that_makes_the_repository_bare_leaves_no_checkout_behind(train: TrainFixture) -> None:
    train.gates(RunGate("tests", "git config core.bare true")).approved(one={"a": "1\n"})
    before = train.checkout.git("rev-parse", "main")
    assert "config core.bare false" in reasons(train.merge())["one"]
    train.checkout.git("config", "core.bare", "false")
    assert train.checkout.git("rev-parse", "main") == before
    assert train.checkout.git("status", "--porcelain") == ""


def test_29_a_gate_that_destroys_its_slot_gets_a_new_one(train: TrainFixture) -> None:
    train.gates(RunGate("tests", "rm -rf .git ./* && echo garbage >.git"))
    train.approved(one={"a": "1\n"}, two={"b": "1\n"})
    assert landed(train.merge()) == ["one", "two"]


def test_29_hooks_that_a_gate_installs_do_not_run(train: TrainFixture, tmp_path: Path) -> None:
    evil = tmp_path / "evil"
    hook = "mkdir -p h; for n in post-checkout reference-transaction post-index-change pre-push; do "
    hook += f"printf '#!/bin/sh\\ntouch {evil}\\n' >h/$n; chmod +x h/$n; done; git config core.hooksPath \"$PWD/h\""
    train.gates(RunGate("tests", hook)).approved(one={"a": "1\n"}, two={"b": "1\n"})
    assert landed(train.merge()) == ["one", "two"]
    assert not evil.exists()


def test_32_the_same_tree_with_another_environment_or_command_is_tested_again(
    train: TrainFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    train.approved(one={"a": "1\n"})
    assert train.rehearse().tests_run == 1
    assert train.rehearse().tests_run == 0
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    assert train.rehearse().tests_run == 1
    train.gates(RunGate("tests", f"true; {TESTS}"))
    assert train.rehearse().tests_run == 1
    train.setup(env={"PORT": "1"})
    assert train.rehearse().tests_run == 1


def test_32_a_gate_that_asks_git_is_not_answered_by_the_tree_alone(train: TrainFixture) -> None:
    train.gates(RunGate("message", "! git log -1 --format=%s | grep -q other"))
    train.approved(one={"a": "1\n"})
    assert train.rehearse().tests_run == 1
    train.world.at("one").git("commit", "-q", "--amend", "-m", "same tree, other message")
    train.approve("one")
    assert reasons(train.rehearse())["one"] == "gate"


@pytest.mark.parametrize("poison", ["", "{", '{"key": "x"}', "[1]", "null"])
def test_32_a_damaged_result_counts_as_none(train: TrainFixture, poison: str) -> None:
    train.approved(one={"a": "1\n"})
    train.rehearse()
    for kept in (train.fleet.repository.state_folder / "gates/results").glob("*.json"):
        kept.write_text(poison)
    assert train.rehearse().tests_run == 1


def test_set_up_is_run_once_for_the_same_lock_files(train: TrainFixture, tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    train.setup(run=(f"echo . >>{ran}; mkdir -p made; cat package-lock.json >made/it",), inputs=("package-lock.json",))
    train.checkout.commit("a lock file", {"package-lock.json": "1\n", ".gitignore": "made\n"})
    train.gates(RunGate("tests", "cmp package-lock.json made/it"))
    for name in ("one", "two", "three"):
        train.world.at(name).git("rebase", "-q", "main")
    train.approved(one={"a": "1\n"}, two={"b": "1\n"}, three={"package-lock.json": "2\n"})
    assert landed(train.merge()) == ["one", "two", "three"]
    assert len(ran.read_text().split()) == 2


def test_what_set_up_made_is_made_anew_when_the_folder_of_slots_was_deleted(
    train: TrainFixture, tmp_path: Path
) -> None:
    """As docs/safety.md tells those to do who do not trust what a gate may have changed there."""
    ran = tmp_path / "ran"
    train.setup(run=(f"echo . >>{ran}; mkdir -p made; echo good >made/it",))
    train.checkout.commit("ignored", {".gitignore": "made\n"})
    train.gates(RunGate("tests", "grep -q good made/it && echo bad >made/it"))
    for name in ("one", "two"):
        train.world.at(name).git("rebase", "-q", "main")
    train.approved(one={"a": "1\n"}, two={"b": "1\n"}).blueprint(limits=Limits(gates=1))
    assert landed(train.merge(agents=["one"])) == ["one"]
    shutil.rmtree(slots_root(train.fleet))
    assert landed(train.merge(agents=["two"])) == ["two"]
    assert len(ran.read_text().split()) == 2


def test_what_set_up_copies_goes_through_no_link_of_a_branch(train: TrainFixture, tmp_path: Path) -> None:
    """Neither in its place nor where it is written first."""
    precious = tmp_path / "precious"
    precious.write_text("mine\n", "utf-8")
    train.checkout.write({".env": "SECRET=1\n"})
    train.setup(copy=(".env",)).gates(RunGate("tests", "! test -e a || test -e .env"))
    (train.world.at("one").path / "..env.orchestra").symlink_to(precious)
    (train.world.at("one").path / ASIDE).symlink_to(tmp_path)
    train.approved(one={"a": "1\n"})
    assert "..env.orchestra" in train.checkout.git("ls-tree", "--name-only", "agent/demo/one")
    train.merge(agents=["one"])
    assert precious.read_text("utf-8") == "mine\n"


def test_a_set_up_that_fails_is_judged_like_a_gate(train: TrainFixture) -> None:
    train.setup(run=("test ! -e package.json || grep -q ok package.json",))
    train.approved(one={"package.json": "wrong\n"}, two={"package.json": "ok\n"})
    report = train.merge()
    assert landed(report) == ["two"]
    assert "setup failed" in report.evicted[0].detail


# -- the queue and people ------------------------------------------------------------------------------------------


def test_36_a_branch_that_a_person_merged_by_hand_has_landed(train: TrainFixture) -> None:
    train.after(two=("one",)).approved(one={"a": "1\n"}, two={"b": "1\n"})
    train.checkout.git("merge", "-q", "--no-ff", "--no-edit", "agent/demo/one")
    assert landed(train.rehearse()) == ["two"]
    assert "demo/one/landed" not in train.world.refs()
    report = train.merge()
    assert landed(report) == ["two"]
    assert report.recovered == ("recorded that one had been merged by hand",)
    assert train.world.refs()["demo/one/landed"] == train.tip("agent/demo/one")


def test_37_nothing_is_called_landed_that_the_target_lacks(train: TrainFixture) -> None:
    """An intent and a candidate are not enough: the target is read again."""
    train.approved(one={"a": "1\n"})
    commit, old = train.rehearse(agents=["one"]).landed[0].commit, train.tip()
    train.checkout.git("update-ref", agent_ref(train.fleet.name, AgentName("one"), Kind.CANDIDATE), commit)
    state = train.fleet.repository.state_folder
    write_journal(state, Landing("demo", "main", old, commit, {AgentName("one"): commit}, {}))
    assert recover(train.fleet.repository, print) == ("took back a landing of one that had not started",)
    assert not [name for name in train.world.refs() if name.endswith(("landed", "candidate"))]


def test_8_an_intent_that_cannot_be_read_is_set_aside_and_the_refs_decide(train: TrainFixture) -> None:
    train.approved(one={"a": "1\n"})
    commit = train.rehearse(agents=["one"]).landed[0].commit
    train.checkout.git("update-ref", "refs/orchestra/demo/one/candidate", commit)
    train.checkout.git("merge", "-q", "--ff-only", commit)
    path = journal_path(train.fleet.repository.state_folder)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("{half an int", "utf-8")
    report = train.merge()
    assert report.recovered == ("recorded that one had landed",)
    assert train.world.refs()["demo/one/landed"] == commit
    assert "demo/one/candidate" not in train.world.refs()


def test_a_slot_whose_place_is_taken_is_refused_by_name(train: TrainFixture) -> None:
    train.approved(one={"a": "1\n"})
    taken = train.fleet.worktrees_root / "repo.gates" / "1"
    taken.mkdir(parents=True)
    (taken / "precious").write_text("mine\n")
    report = train.merge(agents=["one"])
    assert f"{taken} is in the way of a gate slot" in reasons(report)["one"]
    assert (taken / "precious").read_text() == "mine\n"


def test_the_ground_is_looked_at_before_anything_is_made(train: TrainFixture) -> None:
    train.approved(one={"a": "1\n"})
    train.checkout.git("switch", "-q", "-c", "side", "main")
    train.checkout.commit("side", {"s": "1\n"})
    train.checkout.git("switch", "-q", "main")
    train.checkout.git("merge", "-q", "--no-commit", "--no-ff", "side")
    with pytest.raises(GroundError, match="in the middle of a merge"):
        train.merge()
    assert not (train.fleet.worktrees_root / "repo.gates").exists()


def test_a_lock_that_is_held_for_long_while_a_slot_is_made_is_no_verdict(
    train: TrainFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A spawn of fifty, or our own push to a slow remote. Once it is free, the train goes on."""
    monkeypatch.setattr(slots, "_WAIT_S", 0.01)
    train.approved(one={"a": "1\n"})
    seen: list[str] = []
    with ExitStack() as held:

        def listen(event: TrainEvent) -> None:
            if event.kind == "test.preparing" and not seen:
                held.enter_context(exclusive(train.fleet.repository.state_folder, "spawn"))
            if event.kind == "test.finished":
                seen.append(str(event.data["outcome"]))
                held.close()

        report = train.merge(agents=["one"], progress=listen)
    assert seen == ["broken", "passed"]
    assert landed(report) == ["one"]


@pytest.mark.parametrize(
    ("mark", "result"), [({MARK: "tests-1"}, "waiting"), ({}, "landed")], ids=["ours", "a-persons"]
)
def test_nothing_is_tested_where_a_killed_train_is_still_at_work(
    train: TrainFixture, monkeypatch: pytest.MonkeyPatch, mark: dict[str, str], result: str
) -> None:
    """Its git or its gate would write over what is checked out. A person's shell there is no reason to wait."""
    train.approved(one={"a": "1\n"})
    train.merge()
    slot = train.fleet.worktrees_root / "repo.gates" / "1"
    train.approved(two={"b": "1\n"})
    monkeypatch.setattr(slots, "_LEAVE_S", 0.05)
    with subprocess.Popen(["tail", "-f", "/dev/null"], cwd=slot, env={"PATH": os.environ["PATH"], **mark}) as left:
        try:
            report = train.merge(agents=["two"])
        finally:
            left.kill()
    if result == "waiting":
        assert f"process {left.pid} (tail) of a train that was killed still works in {slot}" in reasons(report)["two"]
        report = train.merge()
    assert landed(report) == ["two"]


def test_the_git_that_fills_a_slot_is_known_as_ours(
    train: TrainFixture, tmp_path: Path, set_globally: SetGlobally
) -> None:
    seen = tmp_path / "seen"
    set_globally("filter.look.smudge", f"env >>'{seen}'; cat")
    train.approved(one={".gitattributes": "a filter=look\n", "a": "1\n"})
    assert landed(train.merge()) == ["one"]
    assert f"{MARK}=gate-slot\n" in seen.read_text("utf-8")
