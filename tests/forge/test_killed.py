"""A merge killed at any step of a push, a pull request or a landing on the forge: the next one continues."""

from __future__ import annotations

import os
import random
import secrets
from pathlib import Path

import pytest

from tests.forge.conftest import BRANCH, ForgeWorld
from tests.train.test_killed import pickled, run

KILLS = int(os.environ.get("ORCHESTRA_KILLS", "2"))


def chosen(forge: ForgeWorld, fleet: Path) -> list[int]:
    """Return some steps of a merge that ends by itself; ORCHESTRA_KILLS=n chooses n of them."""
    done = run(fleet, 0)
    assert done.returncode == 0, done.stderr
    seed = secrets.randbelow(1 << 30)
    steps = range(1, int(done.stdout) + 1)
    print(f"seed {seed}: {len(steps)} steps")
    return sorted(random.Random(seed).sample(steps, min(KILLS, len(steps))))  # noqa: S311 - a draw


def clear(forge: ForgeWorld) -> None:
    """Undo a push here and there, as if no merge had run."""
    forge.server.bare.git("update-ref", "-d", f"refs/heads/{BRANCH}")
    for ref in forge.train.checkout.git("for-each-ref", "--format=%(refname)", "refs/orchestra/_train").split():
        forge.train.checkout.git("update-ref", "-d", ref)
    forge.change(requests=[])


@pytest.mark.timeout(120 + 30 * KILLS)  # against a hang
def test_a_killed_push_is_continued(forge: ForgeWorld) -> None:
    forge.train.approved(one={"a": "1\n"}, two={"b": "2\n"})
    forge.train.rehearse()  # so that no gate runs below: what differs from other trains comes after them
    fleet = pickled(forge.train, forge.folder.parent / "fleet")
    before = forge.train.tip()
    for step in chosen(forge, fleet):
        print(f"step {step}")
        clear(forge)
        killed = run(fleet, step)
        assert killed.returncode in (-9, 0), killed.stderr  # what earlier runs left makes some steps needless
        forge.train.checkout.git("gc", "--quiet", "--prune=now")
        assert forge.train.tip() == forge.server.tip("main") == before
        report = forge.train.merge()
        assert [item.agent for item in report.in_pull_request] == ["one", "two"]
        assert report.pull_request is not None
        assert forge.server.tip(BRANCH) == report.pull_request.commit
        assert [row["number"] for row in forge.requests if row["state"] == "OPEN"] == [12]
        refs = {name for name in forge.train.world.refs() if name.startswith("_train") or name.endswith("candidate")}
        assert refs == {"_train/demo/pushed"}
        assert forge.server.pushed_refs() == {f"refs/heads/{BRANCH}"}


@pytest.mark.timeout(120 + 30 * KILLS)
def test_a_killed_landing_is_continued(forge: ForgeWorld) -> None:
    train = forge.train
    train.notes("one")
    train.approved(one={"README.md": "# one\n", "a": "1\n"}, two={"b": "2\n"})
    train.merge()
    forge.merge("squash")
    fleet, before = pickled(train, forge.folder.parent / "fleet"), train.tip()
    undone = train.world.refs()
    for step in chosen(forge, fleet):
        print(f"step {step}")
        train.checkout.git("update-ref", "refs/heads/main", before)
        train.checkout.git("reset", "-q", "--hard", before)
        train.checkout.git("update-ref", "-d", "refs/notes/orchestra")
        for name in set(train.world.refs()) - set(undone):
            train.checkout.git("update-ref", "-d", f"refs/orchestra/{name}")
        killed = run(fleet, step)
        assert killed.returncode in (-9, 0), killed.stderr  # what earlier runs left makes some steps needless
        train.checkout.git("gc", "--quiet", "--prune=now")
        report = train.merge()
        assert not report.in_pull_request
        assert train.tip() == forge.server.tip("main")
        assert train.checkout.git("status", "--porcelain") == ""
        refs = train.world.refs()
        assert refs["demo/one/landed"] == refs["demo/two/landed"] == train.tip()
        assert not [name for name in refs if name.endswith("candidate")]
        assert "A thing that works." in train.checkout.git("notes", "--ref=orchestra", "show", "main")
        assert not (train.checkout.path / ".git/orchestra/train/intent.json").exists()
