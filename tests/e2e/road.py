"""The main road as a user goes it: a repository, a blueprint in a file, and ``orchestra`` typed in a folder.

``Road`` holds one repository and one fleet. Its commands answer with ``Done``; ``json`` also checks the document by its
schema, and that nothing else was on standard output. ``assert_final_state`` says what must hold whenever orchestra
has come to rest, whatever happened before.
"""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jsonschema

from orchestra.blueprint.load import shipped_data_folder
from tests.conftest import Checkout, Content

from .command import Done, Running

INSTRUCTIONS = ("CLAUDE.md", "TASK.md", "AGENT_NOTES.md")
NOTES = "# Notes\n\n## What I Built\n\nA thing that works.\n"
SCHEMAS = {
    "status": "status.schema.json",
    "merge": "merge.schema.json",
    "rehearse": "merge.schema.json",
    "rebase-and-test": "merge.schema.json",
    "plan": "plan.schema.json",
}
Names = dict[str, Any]
_COUNT = itertools.count(1)


@dataclass
class Road:
    """A repository with a fleet. ``checkout`` is where the person works; the blueprint lies beside the repository."""

    checkout: Checkout
    folder: Path
    env: dict[str, str] = field(default_factory=lambda: dict(os.environ))
    declared: dict[str, Any] = field(default_factory=dict)
    main_checkout: Path | None = None  # where git cannot tell it

    # -- declaring ----------------------------------------------------------------------------------------------

    def fleet(self, *agents: str | Names, **keys: Any) -> Road:
        """Write the blueprint: agents by name (or whole), and any of its other keys."""
        described = [{"name": one, "task": f"Do {one}.\n"} if isinstance(one, str) else one for one in agents]
        self.declared = {
            "version": 1,
            "name": "f",
            "worktrees": {"root": "../wt"},
            "runner": {"kind": "none"},
            "gates": {"check": {"run": "! grep -rqs RED --include=*.txt .", "timeout": "30s"}},
            "agents": [{"task": "Do it.\n"} | one for one in described],
        } | keys
        self.blueprint.write_text(json.dumps({k: v for k, v in self.declared.items() if v is not None}), "utf-8")
        return self

    @property
    def blueprint(self) -> Path:
        return self.folder / "fleet.yaml"

    # -- typing -------------------------------------------------------------------------------------------------

    def begin(self, *words: str, cwd: Path | None = None, **env: str) -> Running:
        """Start ``orchestra WORDS`` and do not wait."""
        running = Running(words, self.folder / "said" / str(next(_COUNT)))
        return running.start(cwd or self.checkout.path, self.env | env)

    def run(self, *words: str, code: int = 0, cwd: Path | None = None, **env: str) -> Done:
        """``orchestra WORDS`` to its end, which must be ``code``."""
        done = self.begin(*words, cwd=cwd, **env).wait()
        assert done.code == code, done
        assert "Traceback" not in done.err, done
        assert "something unexpected" not in done.err, done
        return done

    def refused(self, *words: str, code: int = 3, cwd: Path | None = None, **env: str) -> str:
        """The words of a command that refuses; it says nothing on standard output."""
        done = self.run(*words, code=code, cwd=cwd, **env)
        assert done.out == "", done
        return done.err

    def json(self, *words: str, code: int = 0, **more: Any) -> Any:
        """The one document that a command prints with ``--json``, valid by its schema."""
        done = self.run(*words, "--json", code=code, **more)
        document = json.loads(done.out)
        if words[0] in SCHEMAS:
            jsonschema.validate(document, json.loads(_schema(words[0]).read_text("utf-8")))
        return document

    def spawn(self, *words: str, **more: Any) -> Any:
        return self.json("spawn", "--blueprint", str(self.blueprint), *words, **more)

    def approve(self, *agents: str) -> None:
        for agent in agents:
            self.run("approve", agent)

    def merge(self, *words: str, code: int = 0, **more: Any) -> Any:
        return self.json("merge", *words, code=code, **more)

    def status(self, **more: Any) -> dict[str, Any]:
        """Name -> row."""
        return {row["name"]: row for row in self.json("status", **more)["agents"]}

    # -- the agents' side ---------------------------------------------------------------------------------------

    def at(self, agent: str) -> Checkout:
        """An agent's worktree."""
        number = [one["name"] for one in self.declared["agents"]].index(agent) + 1
        root = Path(os.path.normpath(self.home / self.declared["worktrees"]["root"]))
        return Checkout(root / f"agent-{number}")

    def work(self, agent: str, files: Mapping[str, Content | None] | None = None, *, notes: bool = True) -> str:
        """A commit as a careful agent makes it, and its notes filled in."""
        place = self.at(agent)
        if notes:
            place.write({"AGENT_NOTES.md": NOTES})
        return place.commit(f"{agent} works", {f"{agent}.txt": f"{agent}\n"} if files is None else files)

    def ready(self, *agents: str, **files: Mapping[str, Content | None]) -> Road:
        """Spawn the whole fleet; each agent named makes a commit, which is approved."""
        self.spawn()
        for agent in agents:
            self.work(agent, files.get(agent))
        self.approve(*agents)
        return self

    # -- looking ------------------------------------------------------------------------------------------------

    @property
    def home(self) -> Path:
        """The main checkout, or the bare repository."""
        if self.main_checkout:
            return self.main_checkout
        first = self.checkout.git("worktree", "list", "--porcelain", "-z").split("\0")[0]
        return Path(first.removeprefix("worktree "))

    @property
    def common(self) -> Path:
        return Path(self.checkout.git("rev-parse", "--path-format=absolute", "--git-common-dir"))

    def refs(self, pattern: str = "refs/orchestra/f/") -> dict[str, str]:
        listed = self.checkout.git("for-each-ref", "--format=%(refname) %(objectname)", pattern)
        pairs = (line.split(" ") for line in listed.splitlines())
        return {name.removeprefix(pattern): value for name, value in pairs}

    def snapshot(self) -> dict[str, object]:
        """All that two equal runs must leave equal: refs, worktrees, files of every worktree."""
        listed = self.checkout.git("worktree", "list", "--porcelain")
        folders = [line.removeprefix("worktree ") for line in listed.splitlines() if line.startswith("worktree ")]
        return {
            "refs": self.refs("refs/"),
            "worktrees": listed,
            "files": {folder: _files(Path(folder)) for folder in folders if ".gates/" not in folder},
            "config": (self.common / "config").read_text(),
        }

    def landed_agents(self, target: str = "main") -> list[str]:
        """Whose commits the target has, by their trailers, oldest first, each once."""
        shape = "--format=%(trailers:key=Orchestra-Agent,valueonly,separator=%x2C)"
        return list(dict.fromkeys(self.checkout.git("log", "--reverse", shape, target).split()))

    def assert_final_state(self, target: str | None = "main", *, clean: bool = True) -> None:
        """Nothing half done, nothing left behind, nothing of ours where it does not belong.

        A gate slot is put in order before it is used again, not after a job: what git keeps of it is not looked at.
        """
        if target is not None:
            assert not set(INSTRUCTIONS) & (set(self.checkout.tree(target)) - self._own_files())
        assert self.checkout.git("fsck", "--strict", "--no-dangling", "--no-progress") == ""
        assert not [name for name in self.refs() if name.endswith("/candidate")]
        leftovers = [path for path in self.common.rglob("*") if path.suffix in (".lock", ".new")]
        assert [path for path in leftovers if not self._is_slot(path)] == []
        assert not (self.common / "orchestra/train/intent.json").exists()
        assert not [path for path in self.common.rglob("*orchestra-index*") if not self._is_slot(path)]
        assert "prunable" not in self.checkout.git("worktree", "list", "--porcelain")
        assert not list(self.folder.rglob(".orchestra-*"))
        assert list(_processes(self.folder)) == []
        if clean and not self._is_bare():
            assert self.checkout.git("status", "--porcelain") == ""

    def _own_files(self) -> set[str]:
        """Instruction names that the repository itself had before any agent came."""
        bases = [commit for name, commit in self.refs().items() if name.endswith("/base")]
        return set(self.checkout.tree(bases[0])) if bases else set()

    def _is_slot(self, path: Path) -> bool:
        gitdir = path.parent / "gitdir"
        return gitdir.exists() and ".gates/" in gitdir.read_text()

    def _is_bare(self) -> bool:
        return self.checkout.git("rev-parse", "--is-bare-repository") == "true"


def _schema(task: str) -> Path:
    return shipped_data_folder() / "schemas" / SCHEMAS[task]


def _files(folder: Path) -> dict[str, bytes | str]:
    found: dict[str, bytes | str] = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if name.split("/", maxsplit=1)[0] == ".git" or (path.is_dir() and not path.is_symlink()):
            continue
        found[name] = str(path.readlink()) if path.is_symlink() else path.read_bytes()
    return found


def _processes(folder: Path) -> Iterator[str]:
    """What works below ``folder`` or was started by what does."""
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            cwd, environ = str((entry / "cwd").readlink()), (entry / "environ").read_bytes()
        except OSError:
            continue
        if cwd.startswith(str(folder)) or os.fsencode(folder) in environ:
            yield f"{entry.name} {(entry / 'cmdline').read_bytes()!r}"
