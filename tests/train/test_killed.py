"""A merge killed at any step: the next one finishes its work, nothing is lost, and the target only ever was green."""

from __future__ import annotations

import copyreg
import os
import pickle
import random
import secrets
import subprocess
import sys
from pathlib import Path
from types import MappingProxyType

import pytest

from orchestra.train.train_report import MergeReport
from tests.conftest import Checkout, MakeRepository
from tests.train.killed import frozen
from tests.train.train_fixture import Train, TrainFixture, landed, make_train, reasons

KILLS = int(os.environ.get("ORCHESTRA_KILLS", "2"))
KILLS_TIMEOUT_S = 300 + 30 * KILLS  # against a hang; a kill takes some seconds
ROOT = Path(__file__).parents[2]


def pickled(train: TrainFixture, place: Path) -> Path:
    """The yard's fleet for another process."""
    copyreg.pickle(MappingProxyType, lambda proxy: (frozen, (dict(proxy),)))
    place.write_bytes(pickle.dumps(train.fleet))
    return place


def run(fleet: Path, step: int, *group: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.train.killed", str(fleet), str(step), *group]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, start_new_session=True)


def collect_garbage(checkout: Checkout) -> None:
    """Delete every object that nothing refers to, as git may do at any time after a kill.

    A ``git worktree add`` that was killed leaves a HEAD of zeros until the next run removes it (builtin/worktree.c
    writes it first); git then deletes nothing.
    """
    command = ["git", "-C", str(checkout.path), "gc", "--quiet", "--prune=now"]
    incomplete = has_incomplete_worktree(checkout)
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    # Where Python alone was killed, its git goes on meanwhile.
    assert done.returncode == 0 or incomplete or has_incomplete_worktree(checkout), done.stderr


def has_incomplete_worktree(checkout: Checkout) -> bool:
    """Return whether a worktree has the HEAD of zeros."""
    heads = [file.read_text("utf-8").strip() for file in (checkout.path / ".git/worktrees").glob("*/HEAD")]
    return any(set(head) == {"0"} for head in heads)


def values_of_the_target(checkout: Checkout) -> list[str]:
    return checkout.git("reflog", "show", "--format=%H", "main").splitlines()


def assert_final_state(train: TrainFixture, report: MergeReport, before: str) -> None:
    """The right branches landed, in order, once; every value that the target had was green; nothing is left over."""
    checkout = train.checkout
    shape = "--format=%(trailers:key=Orchestra-Agent,valueonly,separator=%x2C)"
    assert checkout.git("log", "--reverse", shape, f"{before}..main").split() == ["one", "three"]
    for value in values_of_the_target(checkout):
        assert "RED" not in checkout.git("grep", "-h", "RED", value, "--", "*.txt", ok=False)
    refs = train.world.refs()
    assert {name for name in refs if name.endswith(("landed", "candidate"))} == {"demo/one/landed", "demo/three/landed"}
    assert reasons(report)["two"] == "gate"
    assert checkout.git("status", "--porcelain") == "?? mine"
    assert checkout.read("README.md") == (checkout.path / "README.md").read_text().strip()
    assert checkout.git("fsck", "--strict", "--no-dangling") == ""
    git_folder = checkout.path / ".git"
    assert not [path for path in git_folder.rglob("*.lock") if "orchestra" not in path.parts]
    assert not (git_folder / "orchestra/train/intent.json").exists()
    assert not list(git_folder.glob("fast_import_crash*"))
    for name in ("one", "two", "three"):
        assert train.world.at(name).git("status", "--porcelain") == ""


def start(make_repository: MakeRepository, name: str, policy: Train) -> tuple[TrainFixture, Path]:
    """Three agents, the second one red; and the pickled fleet. With ``speculative`` two slots are filled at once."""
    train = make_train(make_repository({"README.md": "# sample\n" * 200}, name=f"{name}/repo"), "one", "two", "three")
    train.merge_settings(train=policy)
    train.notes("one")
    train.approved(one={"README.md": "# one\n" * 300, "a": "1\n"}, two={"b.txt": "RED\n"}, three={"c/d": "3\n"})
    train.checkout.write({"mine": "untracked\n"})
    return train, pickled(train, train.checkout.path.parent / "fleet")


def steps_of(make_repository: MakeRepository, policy: Train) -> int:
    _, fleet = start(make_repository, "counted", policy)
    done = run(fleet, 0)
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


def finish_after(train: TrainFixture, fleet: Path, step: int, *group: str) -> None:
    before = train.tip()
    killed = run(fleet, step, *group)
    serial = train.fleet.blueprint.merge.train is Train.SERIAL  # else threads decide how many steps there are
    assert killed.returncode in ((-9,) if serial else (-9, 0)), killed.stderr
    collect_garbage(train.checkout)
    report = train.merge()
    assert_final_state(train, report, before)
    again = train.merge()
    assert (landed(again), again.recovered) == ([], ())


@pytest.mark.timeout(KILLS_TIMEOUT_S)
@pytest.mark.parametrize("policy", [Train.SERIAL, Train.SPECULATIVE])
@pytest.mark.parametrize("group", [(), ("group",)], ids=["alone", "with-its-group"])
def test_killed_at_some_steps(make_repository: MakeRepository, group: tuple[str, ...], policy: Train) -> None:
    """Some steps, drawn anew for every run. ORCHESTRA_KILLS=n draws n of them, or all where there are fewer."""
    seed = secrets.randbelow(1 << 30)
    total = steps_of(make_repository, policy)
    for number in random.Random(seed).sample(range(1, total + 1), min(total, KILLS)):  # noqa: S311 - a draw
        print(f"seed {seed}: step {number} of {total}")
        train, fleet = start(make_repository, f"killed-{number}", policy)
        finish_after(train, fleet, number, *group)
