"""A fleet in a hostile world: a repository, two agents, and everything around them that must stay as it is.

``evil`` is the agent whose side is hostile, ``good`` the one that must land all the same. Commands run in forked
children of this process, which has imported the package already: that saves most of a command's start.
"""

from __future__ import annotations

import hashlib
import importlib
import os
import pkgutil
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
AGENTS = ("evil", "good")
SECRET = "secret of the person\n"
LIMIT_S = 240.0  # of one command, on a busy machine; a command that waits for a pipe never ends
_BLUEPRINT = """\
version: 1
name: web
target: main
worktrees: {{root: ../worktrees, directory: "{{{{ agent.name }}}}"}}
runner: {{kind: none}}
gates: {{tests: {{run: "git rev-parse HEAD >>'{tested}'; test ! -e red.txt", timeout: 1m}}}}
agents: [{{name: evil, task: first}}, {{name: good, task: second}}]
"""
_CAPABILITIES = "-dac_override,-dac_read_search,-fowner,-chown"


@dataclass
class Ran:
    """A command that ended: its exit code (None: it did not end in time) and all that it printed."""

    words: tuple[str, ...]
    code: int | None
    output: str

    def __str__(self) -> str:
        return f"orchestra {' '.join(self.words)} -> {self.code}\n{self.output}"


@dataclass
class World:
    """All paths are below ``folder``; what is in ``outside`` belongs to the person."""

    folder: Path
    environment: dict[str, str] = field(default_factory=dict)
    ordinary_user: bool = False  # run the commands without root's right to read and write everything
    start: Path | None = None  # the folder where the commands are started
    precious: list[str] = field(default_factory=list)  # texts that must be found somewhere at the end
    surroundings: dict[str, str] = field(default_factory=dict)

    @property
    def repository(self) -> Path:
        return self.folder / "app"

    @property
    def outside(self) -> Path:
        return self.folder / "outside"

    @property
    def blueprint(self) -> Path:
        return self.folder / "web.yaml"

    @property
    def evil(self) -> Path:
        """The worktree of the hostile agent."""
        return self.folder / "worktrees" / "evil"

    @property
    def good(self) -> Path:
        return self.folder / "worktrees" / "good"

    @property
    def state(self) -> Path:
        """What orchestra stores about the fleet."""
        return self.repository / ".git" / "orchestra" / "fleets" / "web"

    @property
    def canary(self) -> str:
        """A program that no command may run; whatever runs it leaves a file behind."""
        return str(self.folder / "canary.sh")

    @property
    def canary_file(self) -> Path:
        return self.folder / "canary-ran"

    def make(self) -> None:
        """Build the repository and its surroundings; nothing is spawned."""
        self.repository.mkdir(parents=True)
        self.blueprint.write_text(_BLUEPRINT.format(tested=self.folder / "tested"), "utf-8")
        self.outside.mkdir()
        (self.outside / "secret").write_text(SECRET, "utf-8")
        (self.outside / "folder").mkdir()
        (self.outside / "folder" / "file").write_text("a file of the person\n", "utf-8")
        self.git("init", "--quiet", "--initial-branch=main")
        for name in ("README", "src/a.txt", "src/b.txt", "tests/t.txt"):
            place = self.repository / name
            place.parent.mkdir(exist_ok=True)
            place.write_text(f"{name}\n", "utf-8")
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", "start")
        self._write_canary()

    def _write_canary(self) -> None:
        text = f"#!/bin/sh\necho \"$0 $*\" >>'{self.canary_file}'\ncat 2>/dev/null\n"
        Path(self.canary).write_text(text, "utf-8")
        Path(self.canary).chmod(0o755)

    def copy(self, folder: Path) -> World:
        """Copy this world; linked worktrees hold absolute paths, which the copy rewrites."""
        shutil.copytree(self.folder, folder, symlinks=True)
        world = World(folder)
        pointers = [*world.repository.glob(".git/worktrees/*/gitdir"), *world.folder.glob("worktrees/*/.git")]
        pointers += [
            world.blueprint,
            *world.state.glob("*.json"),
            *world.state.glob("*.config"),
            world.state / "made-root",
        ]
        pointers += [*world.state.glob("agents/*/rendered/*.md"), *world.folder.glob("worktrees/*/CLAUDE.md")]
        for pointer in pointers:
            if pointer.is_file():
                pointer.write_text(pointer.read_text("utf-8").replace(str(self.folder), str(folder)), "utf-8")
        world._write_canary()
        return world

    # -- acting ---------------------------------------------------------------------------------------------------

    def git(self, *words: str, folder: Path | None = None, check: bool = True, stdin: bytes | None = None) -> str:
        """Run git as the person or an agent does; its output without the final newline."""
        argv = ["git", "-C", str(folder or self.repository), *words]
        done = subprocess.run(argv, input=stdin, capture_output=True, check=False)
        assert not check or done.returncode == 0, done.stderr
        return os.fsdecode(done.stdout).removesuffix("\n")

    def commit(self, agent: str, name: str, text: str) -> None:
        """Let an agent commit one file."""
        folder = self.folder / "worktrees" / agent
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, "utf-8")
        self.git("add", "--force", "--sparse", "--", name, folder=folder)
        self.git("commit", "--quiet", "--no-gpg-sign", "--message", f"add {name}", folder=folder)

    def commit_tree(self, entries: bytes, message: str = "made by hand", parent: str = "main") -> str:
        """Make a commit from the bytes of a tree object, however malformed."""
        tree = self.git("hash-object", "-t", "tree", "-w", "--literally", "--stdin", stdin=entries)
        return self.git("commit-tree", "-p", parent, "-m", message, tree)

    def point_evil(self, commit: str) -> None:
        """Put the hostile agent's branch to a commit."""
        self.git("update-ref", "refs/heads/agent/web/evil", commit)

    def run(self, *words: str) -> Ran:
        """Run an orchestra command on this fleet."""
        place = [f"--repo={self.repository}", f"--blueprint={self.blueprint}"]
        if self.ordinary_user and os.geteuid() == 0:
            return self._run_without_rights((*words, *place))
        return self._run_forked((*words, *place))

    def _run_without_rights(self, words: tuple[str, ...]) -> Ran:
        code = "import sys; from orchestra.cli.program import main; main(words=sys.argv[1:])"
        drop = ["setpriv", "--bounding-set", _CAPABILITIES, "--inh-caps", _CAPABILITIES]
        try:
            done = subprocess.run(
                [*drop, sys.executable, "-c", code, *words],
                cwd=ROOT,
                env={**os.environ, **self.environment},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=LIMIT_S,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            return Ran(words, None, os.fsdecode(error.stdout or b""))
        return Ran(words, done.returncode, os.fsdecode(done.stdout))

    def _run_forked(self, words: tuple[str, ...]) -> Ran:
        main = _imported_main()
        log = self.folder / "output"
        sys.stdout.flush()
        sys.stderr.flush()
        child = os.fork()
        if child == 0:
            code = 70
            try:
                os.setpgid(0, 0)
                output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
                nothing = os.open(os.devnull, os.O_RDONLY)
                for target, source in ((0, nothing), (1, output), (2, output)):
                    os.dup2(source, target)
                sys.stdin, sys.stdout, sys.stderr = (os.fdopen(n, "rw"[n > 0], closefd=False) for n in range(3))
                signal.signal(signal.SIGALRM, signal.SIG_DFL)
                os.environ.update(self.environment)
                os.chdir(self.start or self.folder)
                sys.argv[0] = "orchestra"
                main(words=list(words))
                code = 0
            except SystemExit as end:
                code = end.code if isinstance(end.code, int) else 1
            except BaseException:  # noqa: BLE001 - the parent sees the code, and the traceback in the output
                import traceback

                traceback.print_exc()
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(code)
        deadline = time.monotonic() + LIMIT_S
        while (ended := os.waitpid(child, os.WNOHANG))[0] == 0:
            if time.monotonic() > deadline:
                os.killpg(child, signal.SIGKILL)
                os.waitpid(child, 0)
                return Ran(words, None, log.read_text("utf-8", "replace"))
            time.sleep(0.01)
        return Ran(words, os.waitstatus_to_exitcode(ended[1]), log.read_text("utf-8", "replace"))

    # -- looking --------------------------------------------------------------------------------------------------

    def remember_surroundings(self) -> None:
        """Note what must not change: what is outside, and the person's main checkout with its settings."""
        self.surroundings = self._describe_surroundings()

    def changed_surroundings(self) -> list[str]:
        """Return what has changed since."""
        now, before = self._describe_surroundings(), self.surroundings
        return sorted(name for name in {*now, *before} if now.get(name) != before.get(name))

    def _describe_surroundings(self) -> dict[str, str]:
        return {str(path): describe(path) for path in [self.outside, *sorted(self.outside.rglob("*"))]}

    def tested(self) -> set[str]:
        """Return the commits on which the gate ran."""
        log = self.folder / "tested"
        return set(log.read_text("utf-8").split()) if log.exists() else set()

    def holds(self, text: str) -> bool:
        """Return True where ``text`` is in a file of the worktrees or of orchestra, or in a commit of a ref."""
        for top in (self.folder / "worktrees", self.repository / ".git" / "orchestra", self.folder / "moved"):
            # Not in Python: a folder may be deeper than a path can name.
            words = ["grep", "--recursive", "--quiet", "--fixed-strings", "--devices=skip", "--", text, str(top)]
            if subprocess.run(words, capture_output=True, check=False).returncode == 0:
                return True
        for ref in self.git("for-each-ref", "--format=%(refname)", "refs/orchestra", "refs/heads").splitlines():
            found = subprocess.run(
                ["git", "-C", str(self.repository), "grep", "--quiet", "--fixed-strings", text, ref],
                capture_output=True,
                check=False,
            )
            if found.returncode == 0:
                return True
        return False


@cache
def _imported_main() -> Callable[..., object]:
    """Return the command's entry, with all of the package imported, so that no child has to."""
    import git  # noqa: F401 - GitPython, which a review reads with

    import orchestra
    from orchestra.cli.program import main

    for module in pkgutil.walk_packages(orchestra.__path__, "orchestra."):
        if not module.name.endswith("__main__"):
            with suppress(ImportError):  # what needs an optional package
                importlib.import_module(module.name)
    return main


def describe(path: Path) -> str:
    """Return kind, mode, time and content of a path as one text."""
    facts = path.lstat()
    text = f"{stat.filemode(facts.st_mode)} {facts.st_uid}"
    if stat.S_ISREG(facts.st_mode):
        return f"{text} {facts.st_mtime_ns} {hashlib.sha256(path.read_bytes()).hexdigest()}"
    return f"{text} {path.readlink()}" if stat.S_ISLNK(facts.st_mode) else text
