"""The door to git: the one module that starts git processes.

Invariant: every command runs a subcommand of ``SUBCOMMANDS``, with an environment that no caller's shell and no
agent's configuration can redirect, without hooks, prompts, editors, pagers or background maintenance. Refuses:
options built from names (names go behind ``--`` or are full refs), shells, and any success it did not see.
"""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from orchestra.errors import DiskFull, GitError, GroundError
from orchestra.files import read_regular
from orchestra.git.config_door import neutral_options

SUBCOMMANDS = frozenset(
    """add branch cat-file check-ignore check-ref-format checkout-index commit-tree config count-objects diff
    diff-index diff-tree fast-import fetch for-each-ref fsck hash-object init log ls-files ls-remote ls-tree merge-base
    merge-file merge-tree mktag mktree notes push read-tree rebase remote rerere rev-list rev-parse shortlog show
    show-ref status submodule symbolic-ref unpack-file update-index update-ref var version worktree
    write-tree""".split()
)

# What would send a command to another repository, index, configuration or object store than the folder it runs in
# (git-scm.com/docs/git#_environment_variables), or change what it prints.
REDIRECTING = (
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_COMMON_DIR",
    "GIT_OBJECT_DIRECTORY",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_NAMESPACE",
    "GIT_CONFIG",
    "GIT_ATTR_SOURCE",
    "GIT_NOTES_REF",
    "GIT_IMPLICIT_WORK_TREE",
    "GIT_INDEX_VERSION",
    "GIT_PREFIX",
    "GIT_CEILING_DIRECTORIES",
    "GIT_DEFAULT_HASH",
    "GIT_EXTERNAL_DIFF",
    "GIT_DIFF_OPTS",
    "GIT_LITERAL_PATHSPECS",
    "GIT_GLOB_PATHSPECS",
    "GIT_NOGLOB_PATHSPECS",
    "GIT_ICASE_PATHSPECS",
    "GIT_REPLACE_REF_BASE",
    "GIT_GRAFT_FILE",
    "GIT_SHALLOW_FILE",
    "GIT_QUARANTINE_PATH",
    "GIT_INTERNAL_SUPER_PREFIX",
    "GIT_REFLOG_ACTION",
    "GIT_AUTHOR_NAME",
    "GIT_AUTHOR_EMAIL",
    "GIT_AUTHOR_DATE",
    "GIT_COMMITTER_DATE",
)
_FIXED_ENV = {
    "GIT_FLUSH": "1",  # with 0, a process that answers line by line keeps its answers, and both sides wait
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_EDITOR": "true",
    "GIT_SEQUENCE_EDITOR": "true",
    "GIT_PAGER": "cat",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_GRAFT_FILE": "/dev/null/none",  # info/grafts changes who is whose ancestor; git warns of one that can be read
    "LC_ALL": "C.UTF-8",
    "LANGUAGE": "",
}
# An agent controls commits and can change the repository's config: nothing that these name may run.
_FIXED_CONFIG = (
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.quotePath=false",
    "core.fsync=reference",  # in addition to git's default; refs.update syncs objects and folders
    "protocol.ext.allow=never",
    "gc.auto=0",
    "maintenance.auto=false",
    "commit.gpgSign=false",
    "log.showSignature=false",
    "advice.detachedHead=false",
    "color.ui=false",
    "diff.orderFile=/dev/null",  # a file that git reads to its end, whatever it is
)
# With "batch" (git 2.36), "git add" syncs once for all objects that it writes.
_SYNCED_OBJECTS = ("-c", "core.fsync=reference,loose-object", "-c", "core.fsyncMethod=batch")
_PREFIX = ("git", *(part for setting in _FIXED_CONFIG for part in ("-c", setting)))
_COMPARES_SUBMODULES = ("status", "diff", "diff-index")
_CONTACTS_REMOTES = {"uploadpack": ("fetch", "ls-remote"), "receivepack": ("push",)}
_NO_SPACE = ("No space left on device", "Disk quota exceeded")


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment for a git process: ours, without what redirects git, with ``extra`` on top.

    Traces go to files only: on standard error they would fill the pipe of a long conversation, which then stops.
    """
    env = {
        key: value
        for key, value in os.environ.items()
        if key not in REDIRECTING and (not key.startswith("GIT_TRACE") or os.path.isabs(value))  # noqa: PTH117
    }
    env.update(_FIXED_ENV)
    if extra:
        env.update(extra)
    return env


@dataclass(frozen=True, slots=True)
class Output:
    """Result of a git command: standard output as bytes, standard error as text."""

    argv: tuple[str, ...]
    code: int
    stdout: bytes
    stderr: str

    @property
    def text(self) -> str:
        """Standard output as text without the last newline; undecodable bytes survive as surrogates."""
        return os.fsdecode(self.stdout).removesuffix("\n")

    @property
    def lines(self) -> list[str]:
        return self.text.split("\n") if self.stdout else []

    @property
    def fields(self) -> list[str]:
        """The NUL-separated fields of a ``-z`` output."""
        return os.fsdecode(self.stdout).split("\0")[:-1] if self.stdout else []


class Git:
    """Runs git in one folder. Cheap to make; holds no process and no file."""

    def __init__(
        self,
        folder: Path,
        env: Mapping[str, str] | None = None,
        *,
        hooks: Path | None = None,
        synced_objects: bool = False,
    ) -> None:
        self.folder = folder
        self._env = dict(env or {})
        self._hooks = hooks
        self._synced_objects = synced_objects

    def git_folder(self) -> Path:
        """Return the ``.git`` folder, or what the ``.git`` file of a linked worktree names, without running git."""
        place = self.folder / ".git"
        if os.path.isdir(place):  # noqa: PTH112 - no error where it cannot be looked at
            return place
        link = read_regular(Path(os.path.realpath(place)))  # a link is followed, as git does; a pipe is not opened
        if link is None or b"\0" in link:
            return self.folder  # a bare repository, or none
        return self.folder / os.fsdecode(link).removeprefix("gitdir: ").removesuffix("\n")

    def with_env(self, **extra: str) -> Git:
        """The same folder with more environment, for instance ``GIT_INDEX_FILE``."""
        return Git(self.folder, {**self._env, **extra}, hooks=self._hooks, synced_objects=self._synced_objects)

    def with_hooks(self, hooks: Path) -> Git:
        """The same folder, with the hooks in ``hooks`` enabled: for a push, whose hook belongs to the person."""
        return Git(self.folder, self._env, hooks=hooks, synced_objects=self._synced_objects)

    def with_synced_objects(self) -> Git:
        """The same folder; no object gets its name before its content is on the disk.

        Otherwise a power cut can leave an empty object, and the next save of the same content finds its name and
        writes nothing.
        """
        return Git(self.folder, self._env, hooks=self._hooks, synced_objects=True)

    def with_config(self, settings: Mapping[str, str]) -> Git:
        """The same folder with ``settings`` over the configuration, after what the user's GIT_CONFIG_COUNT brings."""
        present = self._env.get("GIT_CONFIG_COUNT") or os.environ.get("GIT_CONFIG_COUNT") or "0"
        first = int(present) if present.isdigit() else 0
        extra = {"GIT_CONFIG_COUNT": str(first + len(settings))}
        for number, (key, value) in enumerate(settings.items(), first):
            extra |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
        return self.with_env(**extra)

    def run(
        self,
        *args: str,
        stdin: bytes | IO[bytes] | None = None,
        ok: Collection[int] = (0,),
        timeout_s: float | None = None,
    ) -> Output:
        """Run ``git ARGS`` and return what it gave.

        Raises GitError when the exit code is not in ``ok``, DiskFull when git says that there is no space,
        GroundError when the folder or git itself is missing or ``timeout_s`` passed.
        """
        try:
            argv = self._argv(args)
            # Of core.gitProxy git uses the first setting; an empty variable takes its place.
            no_proxy = {"GIT_PROXY_COMMAND": ""} if "core.gitproxy=" in argv else {}
            process = subprocess.Popen(
                argv,
                cwd=self.folder,
                env={**environment(self._env), **no_proxy},
                stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE if isinstance(stdin, bytes) else stdin,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
            with process:
                try:
                    written = stdin if isinstance(stdin, bytes) else None
                    stdout, stderr = process.communicate(written, timeout=timeout_s)
                except BaseException:  # not subprocess.run: it would wait for a hanging ssh that holds the pipes
                    process.kill()
                    raise
        except subprocess.TimeoutExpired as error:
            raise GroundError(f"git {' '.join(args)} did not end within {timeout_s:.0f} s") from error
        except OSError as error:
            raise self._cannot_start(error) from error
        output = Output(args, process.returncode, stdout, os.fsdecode(stderr))
        return self._checked(output, ok)

    def text(self, *args: str, stdin: bytes | IO[bytes] | None = None) -> str:
        """Standard output of ``git ARGS`` as text, without the last newline."""
        return self.run(*args, stdin=stdin).text

    def succeeds(self, *args: str) -> bool:
        """Return True for exit code 0, False for 1; any other raises GitError."""
        return self.run(*args, ok=(0, 1)).code == 0

    @contextmanager
    def conversation(self, *args: str) -> Iterator[subprocess.Popen[bytes]]:
        """A git process to talk to over its pipes (``cat-file --batch``, ``merge-tree --stdin``), ended on exit."""
        try:
            argv = self._argv(args)
            # Of core.gitProxy git uses the first setting; an empty variable takes its place.
            no_proxy = {"GIT_PROXY_COMMAND": ""} if "core.gitproxy=" in argv else {}
            process = subprocess.Popen(
                argv,
                cwd=self.folder,
                env={**environment(self._env), **no_proxy},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
        except OSError as error:
            raise self._cannot_start(error) from error
        with process:
            try:
                yield process
            except BaseException:
                process.kill()
                raise

    def _argv(self, args: tuple[str, ...]) -> list[str]:
        if not args or args[0] not in SUBCOMMANDS:
            raise ValueError(f"git {args[0] if args else ''} is not in SUBCOMMANDS of orchestra/git/git_process.py")
        hooks = ("-c", f"core.hooksPath={self._hooks}") if self._hooks else ()
        synced = _SYNCED_OBJECTS if self._synced_objects else ()
        # The content of submodules is not compared: git would run what their configuration names.
        ignored = ("--ignore-submodules=dirty",) if args[0] in _COMPARES_SUBMODULES else ()
        neutral = self.neutral_options()
        return [*_PREFIX, *neutral, *hooks, *synced, args[0], *ignored, *_remote_programs(args, neutral), *args[1:]]

    def neutral_options(self) -> tuple[str, ...]:
        """Return the ``-c`` options by which git here runs no program that the repository's configuration names."""
        env = environment(self._env)
        folder = Path(self._env["GIT_DIR"]) if "GIT_DIR" in self._env else self.git_folder()

        def list_config() -> bytes:
            words = ("git", "config", "--list", "--show-scope", "-z")
            settings = {**env, "GIT_DIR": str(folder)}
            return subprocess.run(words, cwd=folder, env=settings, capture_output=True, check=False).stdout

        return neutral_options(folder, env, list_config)

    def _cannot_start(self, error: OSError) -> GroundError:
        if not os.path.isdir(self.folder):  # noqa: PTH112 - False where it cannot be looked at
            return GroundError(f"{self.folder} is not a folder")
        if isinstance(error, PermissionError):
            return GroundError(f"{self.folder} cannot be entered: {error.strerror}")
        return GroundError(f"cannot start git: {error.strerror}", hint="install git 2.38 or newer")

    def _checked(self, output: Output, ok: Collection[int]) -> Output:
        if output.code in ok:
            return output
        raise self.failure(output.argv, output.code, output.stderr)

    def failure(self, argv: Sequence[str], code: int, stderr: str) -> GroundError:
        """Return the error of a git command that failed: DiskFull where git says that there is no space."""
        if any(sign in stderr for sign in _NO_SPACE):
            return DiskFull(self.folder)
        return GitError(argv, code, stderr, hint=self.writing_hint())

    def writing_hint(self) -> str | None:
        """Return what to look at where the git folder cannot be written; None where it can."""
        folder = self.git_folder()
        for place in (folder, folder / "objects", folder / "refs", folder.parent.parent / "objects"):
            if place.exists() and not os.access(place, os.W_OK):
                shown = shlex.quote(str(place))
                return f"{place} cannot be written: findmnt -T {shown} and ls -ld {shown} show why"
        return None


def _remote_programs(args: Sequence[str], neutral: Sequence[str]) -> list[str]:
    """Return the options that name the remote's program: git uses the first setting, so ``-c`` has no effect."""
    options = []
    for setting in neutral[1::2] if args[0] in ("fetch", "ls-remote", "push") else ():
        name, _, value = setting.partition("=")
        remote, _, variable = name.removeprefix("remote.").rpartition(".")
        if args[0] in _CONTACTS_REMOTES.get(variable, ()) and remote in args[1:]:
            options.append(f"--{variable.removesuffix('pack')}-pack={value}")
    return options


def version() -> tuple[int, ...]:
    """The installed git's version, as (2, 39, 5)."""
    words = Git(Path("/")).text("version").split()
    return tuple(int(part) for part in words[2].split(".")[:3] if part.isdigit())
