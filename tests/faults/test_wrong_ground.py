"""Every verb on wrong ground: one clear message or its usual result, never a traceback, never a half state.

Grounds: a git folder that cannot be written, a full disk, locked refs, and a ledger that is something else. Afterwards
the ground is made right, and the verb ends as on a fleet where nothing was ever wrong. By default a fixed choice;
ORCHESTRA_ALL_POINTS=1 takes every verb on every ground.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import cache
from pathlib import Path

import pytest

from tests.faults.fleets import AGENTS, ROOT, DiskFleet, copy_fleet, make_fleet

VERBS: dict[str, tuple[str, ...]] = {
    "adopt": ("adopt", "mine"),
    "adopt --dry-run": ("adopt", "mine", "--dry-run"),
    "approve": ("approve", "two"),
    "check": ("check",),
    "clean": ("clean",),
    "clean --dry-run": ("clean", "--dry-run"),
    "discard": ("discard", "two", "not needed"),
    "doctor": ("doctor",),
    "gates": ("gates", "--history"),
    "logs": ("logs", "two"),
    "merge": ("merge",),
    "next": ("next",),
    "path": ("path", "one"),
    "plan": ("plan",),
    "rebase-and-test": ("rebase-and-test", "one"),
    "rehearse": ("rehearse",),
    "report": ("report",),
    "request-changes": ("request-changes", "two", "smaller"),
    "restore": ("restore", "three"),
    "restore --dry-run": ("restore", "three", "--dry-run"),
    "review": ("review", "one"),
    "spawn": ("spawn",),
    "spawn --dry-run": ("spawn", "--dry-run"),
    "spawn --fresh": ("spawn", "--fresh", "two"),
    "start": ("start", "two"),
    "status": ("status",),
    "stop": ("stop", "two"),
    "up": ("up", "--yes"),
}
READING = {"gates", "logs", "next", "path", "review", "status"}  # they need no disk
LEDGER = Path(".git/orchestra/fleets/web/ledger.db")
DISK_BYTES = 12 << 20
_WITHOUT_RIGHTS = "-dac_override,-dac_read_search,-fowner,-chown"


def make_start(folder: Path) -> DiskFleet:
    """A fleet with one agent approved, one at work, one landed and cleaned, and a branch of a person."""
    fleet = make_fleet(folder)
    blueprint = folder / "web.yaml"
    runner = "runner: {kind: command, command: [sh, -c, 'exit 0']}"
    blueprint.write_text(blueprint.read_text("utf-8").replace("runner: {kind: none}", runner), "utf-8")
    for words in (["spawn"], ["approve", "one", "three"], ["merge", "three"], ["clean"]):
        if words[0] == "approve":
            for agent in AGENTS:
                fleet.commit(agent, f"{agent}.txt", f"{agent}\n")
        done = fleet.run(*words)
        assert done.returncode == 0, done.stderr
    fleet.git("branch", "mine", "agent/web/one")
    return fleet


@contextmanager
def read_only(fleet: DiskFleet) -> Iterator[None]:
    git = str(fleet.repository / ".git")
    subprocess.run(["mount", "--bind", git, git], check=True)
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", git], check=True)
        yield
    finally:
        subprocess.run(["umount", "--lazy", git], check=True)


@contextmanager
def no_right_to_write(fleet: DiskFleet) -> Iterator[None]:
    folders = [fleet.repository / ".git", *(p for p in (fleet.repository / ".git").rglob("*") if p.is_dir())]
    modes = {folder: folder.stat().st_mode for folder in folders}
    for folder in folders:
        folder.chmod(0o555)
    try:
        yield
    finally:
        for folder, mode in modes.items():
            folder.chmod(mode)


@contextmanager
def full_disk(fleet: DiskFleet) -> Iterator[None]:
    fillers = []
    for size in (1 << 16, 1 << 9, 1):
        fillers.append(fleet.folder / f"filler-{size}")
        handle = os.open(fillers[-1], os.O_CREAT | os.O_WRONLY)
        try:
            while True:
                os.write(handle, b"x" * size)
        except OSError:
            os.close(handle)
    try:
        yield
    finally:
        for filler in fillers:
            filler.unlink()


@contextmanager
def locked_refs(fleet: DiskFleet) -> Iterator[None]:
    kinds = "base approved changes-requested candidate landed discarded cleaned cleaned-work saved/1 adopted".split()
    refs = fleet.repository / ".git/refs"
    locks = [refs / "orchestra/web" / agent / f"{kind}.lock" for agent in (*AGENTS, "mine") for kind in kinds]
    locks.append(refs / "heads/main.lock")
    for lock in locks:
        lock.parent.mkdir(parents=True, exist_ok=True)
        lock.touch()
    try:
        yield
    finally:
        for lock in locks:
            lock.unlink(missing_ok=True)


def _ledger(make: Callable[[Path], None]) -> Callable[[DiskFleet], AbstractContextManager[None]]:
    @contextmanager
    def ground(fleet: DiskFleet) -> Iterator[None]:
        place = fleet.repository / LEDGER
        for file in place.parent.glob("ledger.db*"):
            file.unlink()
        make(place)
        yield

    return ground


def _make_garbage(place: Path) -> None:
    place.write_bytes(bytes(range(256)) * 40)


def _make_unreadable(place: Path) -> None:
    place.write_bytes(b"")
    place.chmod(0)


GROUNDS: dict[str, Callable[[DiskFleet], AbstractContextManager[None]]] = {
    "read-only": read_only,
    "no right to write": no_right_to_write,
    "full disk": full_disk,
    "locked refs": locked_refs,
    "ledger is a folder": _ledger(lambda place: place.mkdir()),
    "ledger is a pipe": _ledger(os.mkfifo),
    "ledger is garbage": _ledger(_make_garbage),
    "ledger is another user's": _ledger(_make_unreadable),
}
SAMPLE = [
    ("status", "read-only"),
    ("merge", "read-only"),
    ("doctor", "read-only"),
    ("spawn --dry-run", "read-only"),
    ("approve", "no right to write"),
    ("spawn", "no right to write"),
    ("clean --dry-run", "no right to write"),
    ("discard", "full disk"),
    ("request-changes", "full disk"),
    ("review", "full disk"),
    ("approve", "locked refs"),
    ("spawn --fresh", "locked refs"),
    ("merge", "ledger is a pipe"),
    ("clean", "ledger is another user's"),
]
CASES = [(verb, ground) for ground in GROUNDS for verb in VERBS] if os.environ.get("ORCHESTRA_ALL_POINTS") else SAMPLE


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> DiskFleet:
    return make_start(tmp_path_factory.mktemp("start") / "fleet")


@pytest.fixture(scope="module")
def undisturbed(start: DiskFleet, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[int, object]]:
    """A function that returns how a verb ends where nothing is wrong: its exit code, and the state afterwards."""

    @cache
    def run_undisturbed(verb: str) -> tuple[int, object]:
        fleet = copy_fleet(start, tmp_path_factory.mktemp("undisturbed") / "fleet")
        done = run(fleet, verb, ordinary_user=False)
        assert done.returncode == (2 if verb == "logs" else 0), done.stderr
        return done.returncode, fleet.state()

    return run_undisturbed


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small file system of its own; skips the test where it cannot be mounted."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "none", str(folder)]
    if os.geteuid() != 0 or shutil.which("setpriv") is None or subprocess.run(mount, check=False).returncode:
        pytest.skip("needs root, mount and setpriv")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def run(fleet: DiskFleet, verb: str, *, ordinary_user: bool) -> subprocess.CompletedProcess[str]:
    drop = ["setpriv", "--bounding-set", _WITHOUT_RIGHTS, "--inh-caps", _WITHOUT_RIGHTS]
    argv = fleet.argv(*VERBS[verb])
    return subprocess.run(
        [*drop, *argv] if ordinary_user else argv,
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("verb", "ground"), CASES)
def test_a_verb_on_wrong_ground_explains_it_and_works_afterwards(
    verb: str, ground: str, start: DiskFleet, undisturbed: Callable[[str], tuple[int, object]], disk: Path
) -> None:
    expected_code, expected_state = undisturbed(verb)
    fleet = copy_fleet(start, disk / "fleet")
    before = fleet.state()
    with GROUNDS[ground](fleet):
        done = run(fleet, verb, ordinary_user=ground in ("no right to write", "ledger is another user's"))
    output = f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    assert "Traceback" not in output and "unexpected" not in output, output
    assert done.returncode in (0, 1, 2, 3), output
    if ground.startswith("ledger") or verb in READING:  # history is missing and nothing else
        assert done.returncode == expected_code, output
    if done.returncode == 3 and verb not in ("doctor", "plan", "up"):  # these print findings
        assert done.stderr.count("error: ") == 1, output
        assert re.search(r"^hint: |ls -ld|findmnt|make space", done.stderr, re.MULTILINE), output
        if (verb, ground) != ("restore", "locked refs"):  # the worktree is back; the next run deletes the records
            assert fleet.state() == before, output
    if ground == "read-only" and verb == "doctor":
        assert done.returncode != 0 and "cannot be written" in output
    if ground in ("read-only", "no right to write") and verb.endswith("--dry-run"):  # as the run itself ends
        assert done.returncode == 3, output
    again = run(fleet, verb, ordinary_user=False)
    assert again.returncode == expected_code, f"{output}\nthen: {again.stdout}{again.stderr}"
    if verb not in ("start", "up"):  # sessions may still be at work
        assert fleet.state() == expected_state, output
