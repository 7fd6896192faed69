"""What ``git rerere`` remembers: how a person resolved the same conflict before, in this repository.

It runs apart: a scratch git folder borrows the repository's objects and gets copies of the memories that are about
these very conflicts; ``git rerere`` works there. Invariant: nothing is written in the repository's ``.git``, neither an
index nor ``MERGE_RR`` nor a preimage, and no use of a memory is noted. Git itself decides what is the same conflict. It
hashes what lies between the markers, which depends on the ``merge.conflictStyle`` of the day: all styles are tried, the
user's first. Refuses: filters and hooks, and to call a file resolved that git did not rewrite.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from orchestra.candidates.resolution.proposal import STYLES, Question
from orchestra.errors import GitError
from orchestra.git.git_process import Git
from orchestra.git.merge_tree import attribute_files
from orchestra.git.objects import TreeId

_ID = re.compile(r"[0-9a-f]{40,64}")
_MEMORY = re.compile(r"(?:pre|post)image(?:\.[0-9]+)?")
_MOST_BYTES = 8 << 20  # of one remembered file
_LIMIT_S = 60.0


def recall(git: Git, question: Question) -> Mapping[str, bytes]:
    """Path -> the file as it was resolved before, for the conflicts that git remembers. Raises for none of them."""
    memory = Path(git.text("rev-parse", "--path-format=absolute", "--git-path", "rr-cache"))
    if not memory.is_dir():
        return {}
    memories: dict[str, bytes] = {}
    for style in _styles(git):
        texts = {path: text for path, text in question.written(style).items() if path not in memories}
        if texts:
            try:
                memories.update(_recall(git, question, memory, texts))
            except (GitError, OSError):  # a name that no file can have here, a memory that git cannot read
                continue
    return memories


def _styles(git: Git) -> tuple[str, ...]:
    users = git.run("config", "--get", "merge.conflictStyle", ok=(0, 1)).text
    return tuple(dict.fromkeys((users, *STYLES))) if users in STYLES else STYLES


def _recall(git: Git, question: Question, memory: Path, texts: Mapping[str, bytes]) -> Mapping[str, bytes]:
    with TemporaryDirectory(prefix="orchestra-") as folder:
        aside = _Aside.make(Path(folder), git)
        aside.write_attributes(question.attributes)
        texts = {path: texts[path] for path in aside.stage(question, texts)}
        aside.write_conflicts(texts)
        before = {path: aside.file(path).read_bytes() for path in texts}
        aside.git.run("rerere", timeout_s=_LIMIT_S)
        if not aside.remember(memory):
            return {}
        aside.git.run("rerere", timeout_s=_LIMIT_S)
        still_open = aside.open()
        changed = [p for p in texts if p not in still_open and aside.file(p).read_bytes() != before[p]]
        return {path: aside.stored(path) for path in changed}


@dataclass(frozen=True, slots=True)
class _Aside:
    """A git folder and a work tree of our own, which see the repository's objects and nothing else of it."""

    git: Git
    admin: Path
    work: Path

    @classmethod
    def make(cls, folder: Path, git: Git) -> _Aside:
        admin, work = folder / "git", folder / "work"
        for part in ("objects/info", "refs", "rr-cache"):
            (admin / part).mkdir(parents=True)
        work.mkdir()
        objects = git.text("rev-parse", "--path-format=absolute", "--git-path", "objects")
        (admin / "objects/info/alternates").write_bytes(os.fsencode(objects) + b"\n")
        (admin / "HEAD").write_text("ref: refs/heads/scratch\n", "ascii")
        (admin / "config").write_text(_config(git), "utf-8")
        empty_config = folder / "gitconfig"  # the user's own may name programs as filters
        empty_config.touch()
        neutral = {"GIT_CONFIG_GLOBAL": str(empty_config), "GIT_CONFIG_NOSYSTEM": "1"}
        return cls(Git(work).with_env(GIT_DIR=str(admin), GIT_WORK_TREE=str(work), **neutral), admin, work)

    def file(self, path: str) -> Path:
        return self.work / path

    def write_attributes(self, tree: TreeId) -> None:
        """Which line ends a file has, and how long its conflict markers are."""
        for path, blob in attribute_files(self.git, tree):
            self._put(path, self.git.run("cat-file", "blob", blob).stdout)

    def stage(self, question: Question, paths: Iterable[str]) -> list[str]:
        """The index as a merge leaves it; the paths that git took: it ignores those that lead out of the work tree."""
        sides = {path: question.sides[path] for path in paths}
        stages = (
            f"{side.mode} {side.id} {number}\t{path}\0"
            for path, sides in sides.items()
            for number, side in enumerate(sides, 1)
            if side.id
        )
        self.git.run("update-index", "-z", "--index-info", stdin=os.fsencode("".join(stages)))
        taken = set(self.git.run("ls-files", "-z").fields)
        return [path for path in sides if path in taken]

    def write_conflicts(self, texts: Mapping[str, bytes]) -> None:
        """Files as a merge leaves them."""
        for path, text in texts.items():
            blob = self.git.run("hash-object", "-w", "--no-filters", "--stdin", stdin=text).text
            self._put(path, self.git.run("cat-file", "--filters", f"--path={path}", blob).stdout)

    def _put(self, path: str, data: bytes) -> None:
        place = self.file(path)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)

    def open(self) -> Mapping[str, str]:
        """Path -> the id of its conflict, for those that git has not resolved (``MERGE_RR``)."""
        fields = os.fsdecode(_read(self.admin / "MERGE_RR")).split("\0")
        rows = (field.partition("\t") for field in fields if field)
        return {path: name.partition(".")[0] for name, _, path in rows}

    def remember(self, memory: Path) -> bool:
        """Copy what the repository remembers of the open conflicts; False when that is nothing."""
        is_recorded = False
        for name in {name for name in self.open().values() if _ID.fullmatch(name)}:
            ours = self.admin / "rr-cache" / name
            shutil.rmtree(ours)  # git has just written a preimage there: without it, a memory has none
            ours.mkdir()
            for file in _memories(memory / name):
                is_recorded = is_recorded or file.name.startswith("post")
                shutil.copyfile(file, ours / file.name)
        (self.admin / "MERGE_RR").unlink(missing_ok=True)
        return is_recorded

    def stored(self, path: str) -> bytes:
        """The file as git would store it: line ends as the attributes say."""
        data = self.file(path).read_bytes()
        blob = self.git.run("hash-object", "-w", "--stdin", f"--path={path}", stdin=data).text
        return self.git.run("cat-file", "blob", blob).stdout


def _memories(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    memories = (file for file in folder.iterdir() if _MEMORY.fullmatch(file.name) and file.is_file())
    return sorted(file for file in memories if file.stat().st_size <= _MOST_BYTES)


def _config(git: Git) -> str:
    """What changes how files are read and written is the repository's; the rest is git's default."""
    sha256 = git.text("rev-parse", "--show-object-format") == "sha256"
    lines = ["[core]", f"\trepositoryformatversion = {int(sha256)}", "\tbare = false", "\tsafecrlf = false"]
    for name in ("autocrlf", "eol"):
        value = git.run("config", "--get", f"core.{name}", ok=(0, 1)).text.lower()
        lines += [f"\t{name} = {value}"] if value.isalpha() else []
    lines += ["[extensions]", "\tobjectFormat = sha256"] if sha256 else []
    return "\n".join([*lines, "[rerere]", "\tenabled = true", "\tautoupdate = false", ""])


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except FileNotFoundError:
        return b""
