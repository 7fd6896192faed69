"""Fixtures of all tests: a private home and git configuration, and real repositories in temporary folders.

No test reads the user's git configuration, home or caches, and none writes there. Git is never mocked.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.database import DirectoryBasedExampleDatabase

from orchestra.review.verdict_giver import SESSION_VARIABLES

# The time of one example says nothing about the code on a shared machine of two cores.
_WITHOUT_TIME_LIMITS = {
    "deadline": None,
    "suppress_health_check": [HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
    # Where CI is set, Hypothesis would draw the same examples in every run and remember no failure.
    "derandomize": False,
    "database": DirectoryBasedExampleDatabase(Path(__file__).parents[1] / ".hypothesis" / "examples"),
    "print_blob": True,
}
for _profile, _examples in {"dev": 50, "ci": 200, "thorough": 5000}.items():
    settings.register_profile(_profile, settings(max_examples=_examples, **_WITHOUT_TIME_LIMITS))  # type: ignore[arg-type]
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE") or ("ci" if os.environ.get("CI") else "dev"))

GIT_CONFIG = """\
[user]
	name = Ada Test
	email = ada@example.org
[init]
	defaultBranch = main
	templateDir =
[gc]
	auto = 0
[maintenance]
	auto = false
[advice]
	detachedHead = false
"""
START = 1_700_000_000  # time of the first commit of make_repository; each further commit is a minute later

Content = str | bytes


@pytest.fixture(scope="session", autouse=True)
def hermetic_environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Give this process and its children a private home, git configuration and caches."""
    home = tmp_path_factory.mktemp("home")
    (home / "gitconfig").write_text(GIT_CONFIG, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        prefixes = ("GIT_", "XDG_", "ORCHESTRA_FLEET", "ORCHESTRA_AGENT", "ORCHESTRA_GATE")
        for name in [name for name in os.environ if name.startswith(prefixes) or name in SESSION_VARIABLES]:
            patch.delenv(name)
        patch.setenv("HOME", str(home))
        patch.setenv("GIT_CONFIG_GLOBAL", str(home / "gitconfig"))
        patch.setenv("GIT_CONFIG_NOSYSTEM", "1")
        patch.setenv("GIT_TERMINAL_PROMPT", "0")
        patch.setenv("ORCHESTRA_NO_SYNC", "1")  # test_durability removes it
        patch.setenv("GIT_EDITOR", "true")
        patch.setenv("LC_ALL", "C.UTF-8")
        patch.setenv("TZ", "UTC")
        patch.setenv("COLUMNS", "120")
        yield home


@dataclass(frozen=True)
class Checkout:
    """A real repository, or a linked worktree of one. ``path`` is absolute."""

    path: Path

    def git(self, *arguments: str, stdin: bytes | None = None, ok: bool = True) -> str:
        """Run git in the checkout; return its output without one final newline. ``ok=False`` allows a failure."""
        result = subprocess.run(["git", *arguments], cwd=self.path, input=stdin, capture_output=True, check=False)
        if ok and result.returncode:
            message = result.stderr.decode(errors="replace")
            raise AssertionError(f"git {' '.join(arguments)} failed with {result.returncode}: {message}")
        return result.stdout.decode(errors="surrogateescape").removesuffix("\n")

    def write(self, files: Mapping[str, Content | None]) -> None:
        """Write files, relative to the checkout; None removes one."""
        for name, content in files.items():
            target = self.path / name
            if content is None:
                target.unlink()
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content.encode() if isinstance(content, str) else content)

    def commit(self, message: str, files: Mapping[str, Content | None] | None = None) -> str:
        """Write ``files``, stage everything that is not ignored and commit, even when empty; return the commit id."""
        self.write(files or {})
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", message)
        return self.git("rev-parse", "HEAD")

    def read(self, name: str, at: str = "HEAD") -> str:
        """Return the content of a file in commit ``at``."""
        return self.git("show", f"{at}:{name}")

    def tree(self, at: str = "HEAD") -> list[str]:
        """Return every path of a commit, sorted."""
        names = self.git("ls-tree", "-r", "-z", "--name-only", at)
        return [name for name in names.split("\0") if name]


SetGlobally = Callable[[str, str], None]
"""``set_globally(key, value)``: set what the user has in the global git configuration, for one test."""


@pytest.fixture
def set_globally(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SetGlobally:
    """Give this test its own copy of the global git configuration."""
    path = tmp_path / "global-gitconfig"
    path.write_bytes(Path(os.environ["GIT_CONFIG_GLOBAL"]).read_bytes())
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(path))

    def set_one(key: str, value: str) -> None:
        subprocess.run(["git", "config", "--file", path, key, value], check=True)

    return set_one


MakeRepository = Callable[..., Checkout]
"""``make_repository(files={...}, *commits, name=..., branch=...)``, see the fixture."""


@pytest.fixture
def make_repository(tmp_path: Path) -> MakeRepository:
    """Build a real repository in about 8 ms: one ``init``, one ``fast-import``, one checkout.

    ``make_repository({"a.py": "x = 1\\n"}, {"a.py": None, "b.py": "..."}, name="repo", branch="main")`` makes one
    commit for each mapping (None removes the file); without any, one commit with a README. Commit ids are the
    same in every run.
    """

    def make(*commits: Mapping[str, Content | None], name: str = "repo", branch: str = "main") -> Checkout:
        path = tmp_path / name
        path.mkdir(parents=True)
        checkout = Checkout(path)
        checkout.git("init", "--quiet", f"--initial-branch={branch}")
        history = commits or ({"README.md": "# sample\n"},)
        checkout.git("fast-import", "--quiet", stdin=_fast_import(branch, history))
        checkout.git("reset", "--quiet", "--hard")
        return checkout

    return make


@pytest.fixture
def repository(make_repository: MakeRepository) -> Checkout:
    """Build a repository with one commit on ``main``."""
    return make_repository()


def _fast_import(branch: str, commits: tuple[Mapping[str, Content | None], ...]) -> bytes:
    lines: list[bytes] = []
    for number, files in enumerate(commits):
        message = f"commit {number + 1}\n".encode()
        lines.append(f"commit refs/heads/{branch}\n".encode())
        lines.append(f"committer Ada Test <ada@example.org> {START + 60 * number} +0000\n".encode())
        lines.append(b"data %d\n%s" % (len(message), message))
        for name, content in files.items():
            lines.append(_fast_import_change(name, content))
    return b"".join(lines)


def _fast_import_change(name: str, content: Content | None) -> bytes:
    quoted = b'"%s"' % name.encode().replace(b"\\", b"\\\\").replace(b'"', b'\\"').replace(b"\n", b"\\n")
    if content is None:
        return b"D %s\n" % quoted
    data = content.encode() if isinstance(content, str) else content
    mode = b"100755" if data.startswith(b"#!") else b"100644"
    return b"M %s inline %s\ndata %d\n%s\n" % (mode, quoted, len(data), data)
