"""A script killed at any step, then run again, ends where an undisturbed run ends, and loses nothing.

The steps are found from outside: a folder at the head of PATH holds stand-ins for git and for the utilities that change
files. Each counts, kills the script's whole process group when its turn has come, and else becomes the real program.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from tests.conftest import Checkout
from tests.shell.conftest import SMALL_BLUEPRINT, ScriptPair, SpawnedFleet
from tests.shell.snapshots import RepositoryTemplate, snapshot

_COUNTED = "git mv cp rm rmdir mkdir ln"
_STAND_IN = """#!/bin/sh
case "{name} $* " in
git\\ *" update-ref "* | git\\ *" worktree "[aur]* | git\\ *" read-tree "* | git\\ *" config "*--add*) ;;
git\\ *" notes "* | git\\ *" merge "* | git\\ *" push "* | git\\ *" checkout-index "* | git\\ *" mktag "*) ;;
git\\ * | *"/orchestra."*) exec {real} "$@" ;;
esac
echo x >>"$COUNTER"
[ "$(wc -l <"$COUNTER")" -ne "${{KILL_AT:-0}}" ] || kill -KILL 0
exec {real} "$@"
"""
POINTS = 200 if os.environ.get("HYPOTHESIS_PROFILE") == "thorough" else 4


@pytest.fixture(scope="module")
def stand_ins(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the stand-ins."""
    folder = tmp_path_factory.mktemp("stand-ins")
    for name in _COUNTED.split():
        (folder / name).write_text(_STAND_IN.format(name=name, real=shutil.which(name)))
        (folder / name).chmod(0o755)
    return folder


def run_killed(stand_ins: Path, script: Path, cwd: Path, words: tuple[str, ...], at: int) -> tuple[int, int]:
    """Run a script, killed at step ``at`` (0: never); its exit code and how many steps there were."""
    counter = stand_ins.parent / "counter"
    counter.write_text("")
    env = {**os.environ, "PATH": f"{stand_ins}:{os.environ['PATH']}", "COUNTER": str(counter), "KILL_AT": str(at)}
    done = subprocess.run(
        ["sh", str(script), *words], cwd=cwd, env=env, capture_output=True, check=False, start_new_session=True
    )
    return done.returncode, len(counter.read_text().splitlines())


def points(steps: int, seed: str) -> list[int]:
    return sorted(random.Random(seed).sample(range(1, steps + 1), min(POINTS, steps)))  # noqa: S311


def make_start(checkout: Checkout) -> None:
    checkout.commit("start", {"README.md": "a\n", "src/a": "a\n", "package.json": "{}\n", ".gitignore": ".env\n"})
    checkout.write({".env": "S=1\n"})


SETUP = "worktrees: {setup: {run: ['echo $ORCHESTRA_AGENT >made']}}\n"


def test_spawn_killed_anywhere_completes(tmp_path: Path, stand_ins: Path) -> None:
    template = RepositoryTemplate(tmp_path / "twin", SMALL_BLUEPRINT + SETUP, make_start)

    def spawned(at: int) -> tuple[int, Mapping[str, object]]:
        checkout = template.create()
        script = template.script(checkout, "orchestrate.sh")
        code, steps = run_killed(stand_ins, script, checkout.path, ("spawn",), at)
        if at:
            assert code == -signal.SIGKILL, f"not killed at {at}"
            assert run_killed(stand_ins, script, checkout.path, ("spawn",), 0)[0] == 0, f"after a kill at {at}"
        checkout.git("fsck", "--strict")
        return steps, snapshot(template.folder)

    steps, undisturbed = spawned(0)
    for at in points(steps, "spawn"):
        assert spawned(at)[1] == undisturbed, f"killed at {at} of {steps}"


@pytest.fixture
def start(tmp_path: Path, small_scripts: ScriptPair, stand_ins: Path) -> Callable[[], SpawnedFleet]:
    """The small fleet with its work done, made once and copied to the same place for every kill."""
    template = RepositoryTemplate(tmp_path / "twin", SMALL_BLUEPRINT, make_start)
    kept = tmp_path / "kept"
    spawned = SpawnedFleet(template.create(), small_scripts)
    spawned.spawn()
    spawned.commit_work("one", {"src/one": "1\n"})
    spawned.commit_work("two", {"README.md": "two\n"})
    spawned.commit_work("three", {"broken": "1\n"})
    for name in ("one", "two", "three"):
        spawned.merge_helper("approve", name)
    shutil.copytree(template.folder, kept, symlinks=True)

    def again() -> SpawnedFleet:
        shutil.rmtree(template.folder)
        shutil.copytree(kept, template.folder, symlinks=True)
        return spawned

    return again


def test_merge_killed_anywhere_lands_the_same(start: Callable[[], SpawnedFleet], stand_ins: Path) -> None:
    def landed(at: int) -> tuple[int, object]:
        spawned = start()
        code, steps = run_killed(stand_ins, spawned.scripts.merge_helper, spawned.checkout.path, ("merge",), at)
        if at:
            assert code == -signal.SIGKILL, f"not killed at {at}"
            _require_sound(spawned)
            run_killed(stand_ins, spawned.scripts.merge_helper, spawned.checkout.path, ("merge",), 0)
        return steps, _outcome(spawned)

    steps, undisturbed = landed(0)
    for at in points(steps, "merge"):
        assert landed(at)[1] == undisturbed, f"killed at {at} of {steps}"


def _require_sound(spawned: SpawnedFleet) -> None:
    """At every moment: the target passed its gates, nothing is lost, git is well."""
    spawned.checkout.git("fsck", "--strict")
    assert "broken" not in spawned.checkout.tree("main")
    heads = spawned.checkout.git("for-each-ref", "--format=%(refname)", "refs/heads/agent").splitlines()
    assert len(heads) == 3


def _outcome(spawned: SpawnedFleet) -> object:
    checkout = spawned.checkout
    refs = checkout.git("for-each-ref", "--format=%(refname) %(objectname)", "refs/heads", "refs/orchestra")
    files = sorted(
        str(path.relative_to(checkout.path)) for path in checkout.path.rglob("*") if ".git" not in path.parts
    )
    state = sorted(path.name for path in (checkout.path / ".git/orchestra/train").iterdir())
    notes = checkout.git("log", "--show-notes=refs/notes/orchestra", "--format=%s%n%N", "main")
    left = sorted(path.name for path in (checkout.path / ".git").glob("*lock*")) + sorted(
        path.name for path in checkout.path.parent.joinpath("worktrees/repo/small").iterdir()
    )
    return refs, files, checkout.git("status", "--porcelain"), state, notes, left
