"""What of a page of docs/ is made by the program: its examples are loaded, its outputs are what was really said.

A page is Markdown with comments that a reader does not see:

    <!-- example: NAME -->        what follows is one example, in a folder of its own
    <!-- file: PATH -->           the next fenced block is this file
    <!-- validate: PATH -->       the next fenced block is what `orchestra validate` says of it
    <!-- resolved: PATH KEY... --> what `plan --resolved` shows, these keys of the top
    <!-- plan: PATH CODE... -->   the findings with these codes, on a repository with the history in the file `history`:
                                  a line for each commit, with the paths that it changes
    <!-- keys --> ... <!-- end of keys -->  the reference of all keys

What is not validated has to load.

After a change of words or of the schema read the difference that this leaves in git:

    python -m tests.docs.pages
"""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from orchestra.blueprint.load import load_blueprint, resolved
from orchestra.blueprint.model import Blueprint
from orchestra.errors import BlueprintError
from orchestra.fleet import make_fleet
from orchestra.git.repository import Repository
from orchestra.plan.plan import plan
from orchestra.plan.plan_text import draw_finding
from orchestra.plan.resolved_blueprint import draw_resolved
from tests.docs.keys import key_reference

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGES = ("blueprint.md", "writing-a-blueprint.md")
WALKS = ("getting-started.md", "several-rounds.md", "pull-requests.md", "troubleshooting.md")
_STEP = re.compile(
    r"<!-- (?P<verb>example|file|validate|resolved|plan): (?P<what>[^>]*?) -->\n"
    r"(?:\n?(?P<fence>```[a-z]*\n)(?P<body>.*?)(?P<end>^```$))?",
    re.DOTALL | re.MULTILINE,
)
_KEYS = re.compile(r"(?<=<!-- keys -->\n\n).*?(?=\n\n<!-- end of keys -->)", re.DOTALL)


@dataclass
class Example:
    """A folder with the files that a page has shown so far; ``commits`` change the files of a repository in it."""

    folder: Path
    files: dict[str, str] = field(default_factory=dict)
    judged: set[str] = field(default_factory=set)

    def write(self, name: str, text: str) -> None:
        self.files[name] = text
        file = self.folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")

    def validate(self, name: str) -> str:
        """What validate says; that it is valid where it is."""
        self.judged.add(name)
        try:
            self.load(name)
        except BlueprintError as error:
            return f"{error.message}\n".replace(f"{self.folder}/", "")
        return f"{name}: valid\n"

    def load(self, name: str) -> Blueprint:
        return load_blueprint(self.folder / name, blueprint_paths=[self.folder / "blueprints"])

    def load_rest(self) -> None:
        """What nothing is said about has to be right; what has no agents is a fragment."""
        for name, text in self.files.items():
            if name.endswith(".yaml") and name not in self.judged and "\nagents:" in text:
                self.load(name)

    def resolved(self, name: str, *keys: str) -> str:
        found = resolved(self.folder / name, blueprint_paths=[self.folder / "blueprints"])
        lines = draw_resolved(found, self.folder)
        wanted, kept = False, []
        for line in lines:
            if not line.startswith((" ", "#")):
                wanted = line.split(":")[0] in keys
            if wanted:
                kept.append(line)
        return "\n".join(kept) + "\n"

    def plan(self, name: str, *codes: str) -> str:
        """The findings with these codes, after a history that changes the files named in ``history``."""
        repository = self._repository()
        report = plan(make_fleet(repository, self.load(name)))
        found = [finding for finding in report.findings if finding.code in codes]
        assert {str(finding.code) for finding in found} == {*codes}, [str(one.code) for one in report.findings]
        return "\n".join(line for finding in found for line in draw_finding(finding, repository.home)) + "\n"

    def _repository(self) -> Repository:
        if not (self.folder / ".git").exists():
            self._git("init", "-q", "-b", "main")
        for commit in self.files.get("history", "").splitlines():
            for path in commit.split():
                file = self.folder / path
                file.parent.mkdir(parents=True, exist_ok=True)
                with file.open("a", encoding="utf-8") as text:
                    text.write(f"{commit}\n")
            self._git("add", *commit.split())
            self._git("commit", "-q", "-m", "more")
        return Repository.discover(self.folder)

    def _git(self, *words: str) -> None:
        name = {f"GIT_{who}_{what}": "ada" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
        subprocess.run(["git", *words], cwd=self.folder, env={**os.environ, **name}, check=True)


def renewed(text: str) -> str:
    """The page with everything that the program says as it says it now. Raises AssertionError for a broken example."""
    with tempfile.TemporaryDirectory() as home:
        pages = _Renewal(Path(home).resolve())
        text = _STEP.sub(pages.step, text)
        pages.end()
    return _KEYS.sub(lambda _: key_reference(), text)


class _Renewal:
    def __init__(self, home: Path) -> None:
        self._home = home
        self._example = Example(home)

    def step(self, match: re.Match[str]) -> str:
        verb, (name, *more) = match["verb"], match["what"].split()
        if verb == "example":
            self.end()
            self._example = Example(self._home / name)
            self._example.folder.mkdir()
            return match[0]
        assert match["fence"], f"{match[0]} has no block"
        if verb == "file":
            self._example.write(name, match["body"])
            return match[0]
        said: Callable[..., str] = getattr(self._example, verb)
        start, _, _ = match[0].partition(match["fence"])
        return f"{start}{match['fence']}{said(name, *more)}{match['end']}"

    def end(self) -> None:
        self._example.load_rest()


def update() -> None:
    """Renew every page."""
    for page in PAGES:
        file = DOCS / page
        file.write_text(renewed(file.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    update()
