"""Fleets on disk for the fault tests: everything is done by the commands themselves, in processes of their own.

``make_fleet(folder)`` builds a repository and a blueprint below ``folder``; ``copy_fleet`` copies both, so that one
prepared state serves many runs. Linked worktrees hold absolute paths, which a copy has rewritten.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BLUEPRINT = """\
version: 1
name: web
target: main
worktrees: {root: ../worktrees, directory: "{{ agent.name }}"}
runner: {kind: none}
gates: {tests: {run: "test ! -e red.txt", timeout: 1m}}
agents: [{name: one, task: first}, {name: two, task: second}, {name: three, task: third}]
"""
AGENTS = ("one", "two", "three")
PRECIOUS = "precious\n" * 200
IGNORED = ("precious.env", "precious.key")


@dataclass(frozen=True)
class DiskFleet:
    """A repository, its worktrees and its blueprint, all below ``folder``."""

    folder: Path

    @property
    def repository(self) -> Path:
        """The main checkout."""
        return self.folder / "app"

    def worktree(self, agent: str) -> Path:
        """The worktree of an agent."""
        return self.folder / "worktrees" / agent

    def argv(self, *words: str) -> list[str]:
        """The command line of an orchestra command on this fleet."""
        code = "import sys; from orchestra.cli.program import main; main(words=sys.argv[1:])"
        place = [f"--repo={self.repository}", f"--blueprint={self.folder / 'web.yaml'}"]
        return [sys.executable, "-c", code, *words, *place]

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run an orchestra command on this fleet."""
        return subprocess.run(
            self.argv(*words), cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )

    def git(self, *words: str, folder: Path | None = None, check: bool = True) -> str:
        """Run git in the main checkout, or in ``folder``; its output without the final newline."""
        done = subprocess.run(
            ["git", "-C", str(folder or self.repository), *words], capture_output=True, text=True, check=False
        )
        assert not check or done.returncode == 0, done.stderr
        return done.stdout.removesuffix("\n")

    def commit(self, agent: str, name: str, text: str) -> None:
        """Let an agent commit one file."""
        (self.worktree(agent) / name).write_text(text, "utf-8")
        self.git("add", name, folder=self.worktree(agent))
        self.git("commit", "--quiet", "--message", f"add {name}", folder=self.worktree(agent))

    def holds_precious(self) -> bool:
        """Return whether the first agent's uncommitted files are whole, in a folder or as saved work."""
        places = ("refs/orchestra/web/one/", "refs/orchestra/archive/web/*/one/")
        patterns = [f"{place}{kind}" for place in places for kind in ("saved", "cleaned-work")]
        saved = self.git("for-each-ref", "--format=%(refname)", *patterns).splitlines()
        untracked = [self.git("show", f"{ref}:precious.txt", check=False) + "\n" for ref in saved]
        untracked += [path.read_text("utf-8") for path in (self.folder / "worktrees").rglob("precious.txt")]
        ignored = [[path.read_text("utf-8") for path in self.folder.rglob(f"{name}*")] for name in IGNORED]
        return all(PRECIOUS in contents for contents in (untracked, *ignored))

    def state(self) -> dict[str, object]:
        """What must be the same after any interruption: the target's content, the agents' refs and the worktrees."""
        refs = self.git("for-each-ref", "--format=%(refname)", "refs/orchestra", "refs/heads").splitlines()
        return {
            "target": self.git("ls-tree", "-r", "main"),
            "refs": [name for name in refs if "/archive/" not in name],
            "worktrees": sorted(path.name for path in (self.folder / "worktrees").glob("[!.]*")),
            "checkout": self.git("status", "--porcelain"),
        }


def make_fleet(folder: Path) -> DiskFleet:
    """Build a repository with one commit and a blueprint; nothing is spawned."""
    fleet = DiskFleet(folder)
    fleet.repository.mkdir(parents=True)
    (folder / "web.yaml").write_text(BLUEPRINT, "utf-8")
    fleet.git("init", "--quiet", "--initial-branch=main")
    (fleet.repository / "README").write_text("sample\n", "utf-8")
    fleet.git("add", "README")
    fleet.git("commit", "--quiet", "--message", "start")
    return fleet


def copy_fleet(fleet: DiskFleet, folder: Path) -> DiskFleet:
    """Copy a fleet with its worktrees to another folder."""
    shutil.copytree(fleet.folder, folder, symlinks=True)
    copy = DiskFleet(folder)
    # Not by git worktree repair: it would follow the copies' .git files and change the original's registrations.
    pointers = [*copy.repository.glob(".git/worktrees/*/gitdir"), *copy.folder.glob("worktrees/*/.git")]
    for pointer in pointers:
        pointer.write_text(pointer.read_text("utf-8").replace(str(fleet.folder), str(folder)), "utf-8")
    return copy


def spawned(folder: Path) -> DiskFleet:
    """A fleet whose agents have a place."""
    fleet = make_fleet(folder)
    done = fleet.run("spawn")
    assert done.returncode == 0, done.stderr
    return fleet


def worked(folder: Path) -> DiskFleet:
    """A fleet whose agents have committed; the second one's work fails the gate."""
    fleet = spawned(folder)
    fleet.commit("one", "one.txt", "1\n")
    fleet.commit("two", "red.txt", "2\n")
    fleet.commit("three", "three.txt", "3\n")
    return fleet


def approved(folder: Path) -> DiskFleet:
    """A fleet whose agents are approved."""
    fleet = worked(folder)
    for agent in AGENTS:
        done = fleet.run("approve", agent)
        assert done.returncode == 0, done.stderr
    return fleet


def landed(folder: Path) -> DiskFleet:
    """A fleet after a merge: two agents have landed, one of them with uncommitted work in its worktree."""
    fleet = approved(folder)
    assert fleet.run("merge").returncode == 1
    add_precious(fleet)
    return fleet


def add_precious(fleet: DiskFleet) -> None:
    """Leave an untracked file and ignored ones in the first agent's worktree."""
    exclude = fleet.repository / ".git/info/exclude"
    exclude.parent.mkdir(exist_ok=True)
    with exclude.open("a", encoding="utf-8") as file:
        file.write("".join(f"{name}\n" for name in IGNORED))
    for name in ("precious.txt", *IGNORED):
        (fleet.worktree("one") / name).write_text(PRECIOUS, "utf-8")


def dirty(folder: Path) -> DiskFleet:
    """A fleet whose agents have committed; one of them has uncommitted work in its worktree, too."""
    fleet = worked(folder)
    add_precious(fleet)
    return fleet


def cleaned(folder: Path) -> DiskFleet:
    """A fleet after merge and clean: two agents are gone, the uncommitted work of one is saved."""
    fleet = landed(folder)
    assert fleet.run("clean").returncode == 0
    assert fleet.holds_precious() and not fleet.worktree("one").exists()
    return fleet


def with_own_branch(folder: Path) -> DiskFleet:
    """A fleet that is not spawned, and a branch of a person with one commit."""
    fleet = make_fleet(folder)
    fleet.git("switch", "--quiet", "--create", "mine")
    (fleet.repository / "mine.txt").write_text("mine\n", "utf-8")
    fleet.git("add", "mine.txt")
    fleet.git("commit", "--quiet", "--message", "add mine")
    fleet.git("switch", "--quiet", "main")
    return fleet
