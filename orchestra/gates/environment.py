"""The environment of a gate's command, and the part of it that a result depends on.

A gate runs the agents' code, so it gets an allow-list: no tokens, no agent sockets, no variable that redirects git.
Nothing in it leads into a checkout of the repository: a virtual environment of the main checkout that is active, or on
PATH, would make the gate test that checkout's code instead of the candidate's.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import shlex
import shutil
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

from orchestra.blueprint.judging_files import BUILD_FILES, MANIFESTS
from orchestra.blueprint.model import RunGate
from orchestra.files import read_regular

ReadFile = Callable[[str], bytes | None]
"""Path in the candidate -> the file's content; None where there is no such file."""

_ALLOWED = frozenset(
    """PATH HOME USER LOGNAME SHELL LANG LANGUAGE TZ SSL_CERT_FILE SSL_CERT_DIR REQUESTS_CA_BUNDLE CURL_CA_BUNDLE
    NODE_EXTRA_CA_CERTS PIP_CERT HTTP_PROXY HTTPS_PROXY NO_PROXY ALL_PROXY http_proxy https_proxy no_proxy all_proxy
    JAVA_HOME GOPATH GOROOT GOMODCACHE GOCACHE GOPROXY GOFLAGS GOTOOLCHAIN CARGO_HOME RUSTUP_HOME RUSTUP_TOOLCHAIN
    NVM_DIR PYENV_ROOT RBENV_ROOT GEM_HOME UV_CACHE_DIR PIP_CACHE_DIR PIP_INDEX_URL PIP_FIND_LINKS PIP_NO_INDEX
    UV_INDEX_URL UV_DEFAULT_INDEX NPM_CONFIG_REGISTRY npm_config_registry npm_config_cache XDG_CACHE_HOME
    XDG_CONFIG_HOME XDG_DATA_HOME XDG_RUNTIME_DIR DOCKER_HOST SystemRoot""".split()
)
_ALLOWED_PREFIXES = ("LC_",)
# They say where something runs or is stored, which does not change a result.
_PLACES = frozenset(
    """HOME USER LOGNAME SHELL TMPDIR XDG_CACHE_HOME XDG_CONFIG_HOME XDG_DATA_HOME XDG_RUNTIME_DIR UV_CACHE_DIR
    PIP_CACHE_DIR GOMODCACHE GOCACHE npm_config_cache""".split()
)
# Many tools ask no questions, watch no files and draw no progress bars when they see it.
_FIXED = {"CI": "true", "TERM": "dumb", "GIT_TERMINAL_PROMPT": "0"}
_SCHEMA = 2

# Variables that choose whose code runs: lists of folders, and single folders.
_SEARCH_PATHS = ("PATH", "PYTHONPATH", "NODE_PATH", "GOPATH", "CLASSPATH", "PERL5LIB", "RUBYLIB", "LD_LIBRARY_PATH")
_PREFIXES = ("VIRTUAL_ENV", "CONDA_PREFIX", "PYTHONHOME", "UV_PROJECT_ENVIRONMENT", "GEM_HOME", "CARGO_TARGET_DIR")
_LONGEST_LINK_FILE = 1 << 16


def gate_environment(
    source: Mapping[str, str] | None = None, checkouts: Collection[Path] = (), *, allow: Collection[str] = ()
) -> dict[str, str]:
    """Return what a gate may see of ``source`` (default: our own environment), and what is fixed for every gate.

    ``checkouts``: the repository's checkouts; entries that lead into one are left out.
    """
    given = os.environ if source is None else source
    passed = {k: v for k, v in given.items() if k in _ALLOWED or k in allow or k.startswith(_ALLOWED_PREFIXES)}
    return {**without_checkouts(passed, checkouts), **_FIXED}


def without_checkouts(environment: Mapping[str, str], checkouts: Collection[Path]) -> dict[str, str]:
    """Return ``environment`` without the folders that would run code of one of ``checkouts``."""
    removed = checkout_entries(environment, checkouts)
    result = dict(environment)
    for name in {name for name, _ in removed}:
        entries = [entry for entry in environment[name].split(os.pathsep) if (name, entry) not in removed]
        if entries and name in _SEARCH_PATHS:
            result[name] = os.pathsep.join(entries)
        else:
            del result[name]
    if "PATH" in environment and "PATH" not in result:
        result["PATH"] = os.defpath
    return result


def describe_removed(environment: Mapping[str, str], checkouts: Collection[Path]) -> str:
    """Return a sentence that names what ``without_checkouts`` removes; empty when that is nothing."""
    removed = checkout_entries(environment, checkouts)
    names = ", ".join(f"{entry} from {name}" for name, entry in removed)
    return f"removed {names}: it runs code of a checkout of this repository" if removed else ""


def checkout_entries(environment: Mapping[str, str], checkouts: Collection[Path]) -> list[tuple[str, str]]:
    """Return each variable with the folders in it that lead into one of ``checkouts``.

    That is a folder inside a checkout, or the programs of a virtual environment elsewhere that has packages of a
    checkout installed in editable mode. A checkout that holds the home directory is left out: all tools lie below it.
    """
    home = os.path.realpath(environment.get("HOME") or Path.home())
    roots = [root for root in map(os.path.realpath, checkouts) if not f"{home}/".startswith(f"{root}/")]
    entries = []
    for name in (*_SEARCH_PATHS, *_PREFIXES) if roots else ():
        value = environment.get(name, "")
        for entry in dict.fromkeys(value.split(os.pathsep) if name in _SEARCH_PATHS else [value]):
            # A relative folder is seen from the gate's own checkout.
            places = {os.path.realpath(entry), os.path.normpath(entry)} if Path(entry).is_absolute() else set()
            is_inside = any(place == root or place.startswith(f"{root}/") for place in places for root in roots)
            if value and (is_inside or _links_into(Path(entry), roots)):
                entries.append((name, entry))
    return entries


def _links_into(folder: Path, roots: Collection[str]) -> bool:
    """Return True for a Python environment that imports code from a checkout, as ``pip install -e`` arranges it."""
    prefix = folder.parent if (folder.parent / "pyvenv.cfg").is_file() else folder
    if not (prefix / "pyvenv.cfg").is_file():
        return False
    # Path files, finders of setuptools (__editable___name_finder.py) and records of the installer (PEP 610).
    patterns = ("*.pth", "*.egg-link", "__editable__*.py", "*.dist-info/direct_url.json")
    for packages in prefix.glob("lib*/python*/site-packages"):
        for pattern in patterns:
            for file in packages.glob(pattern):
                text = (read_regular(file, most=_LONGEST_LINK_FILE) or b"").decode("utf-8", "replace")
                if any(re.search(re.escape(root) + r"(?![\w.-])", text) for root in roots):
                    return True
    return False


def result_key(
    gate: RunGate,
    env: Mapping[str, str],
    setup: str,
    content: str,
    commit: str,
    *,
    read_file: ReadFile = lambda path: None,
) -> str:
    """Return one digest of everything that a result of ``gate`` depends on.

    ``content``: the candidate's tree, or the digest of the ``inputs`` that the gate declares (see path_filters). A gate
    that may look at the commit itself (message, author, history, tags) depends on the commit as well.
    """
    facts = {
        "schema": _SCHEMA,
        "run": gate.sh_command,
        "env": {k: v for k, v in sorted(env.items()) if k not in _PLACES} | dict(gate.env),
        "tools": _tools(f"{gate.shell} {gate.run}", env.get("PATH")),
        "machine": [platform.system(), platform.machine()],
        "setup": setup,
        "tree": content,
        "commit": commit if depends_on_commit(gate, read_file) else None,
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode("utf-8", "surrogateescape")).hexdigest()


# git and libraries for it in any spelling, but not .gitignore, digit, or an address of a forge.
_MENTIONS_GIT = re.compile(
    rb"(?<![a-z])git(?!ignore|attributes|keep|hub|lab|modules)|commitlint|commitizen|\bcz\b|pre-?commit|semantic.?release"
    rb"|setuptools.?scm|hatch.?vcs|versioneer|dunamai|versioningit|sign.?off|\bdco\b|lerna|\bnx\b|changeset|\bjj\b",
    re.IGNORECASE,
)
_SCRIPT_NAME = re.compile(r"/|\.(sh|bash|py|js|ts|mjs|cjs|rb|pl|mk)$")
_MANIFEST_RUNNERS = frozenset(("npm", "npx", "yarn", "pnpm", "bun", "tox", "nox", "hatch", "poe"))
_MOST_FILES = 40


def depends_on_commit(gate: RunGate, read_file: ReadFile) -> bool:
    """Return True when the gate looks at the commit, by its declaration or by a mention of git.

    Without a declaration (``inputs``) the command and the scripts and build files that it names are searched, and the
    scripts that those name.
    """
    if gate.inputs is not None:
        return gate.inputs == "commit"
    queue, seen = [gate.run.encode("utf-8", "surrogateescape")], set[str]()
    while queue:
        text = queue.pop()
        if _MENTIONS_GIT.search(text):
            return True
        # What it may run: words that look like files, and build files by convention.
        words = {word.decode() for word in re.findall(rb"[A-Za-z0-9_.][A-Za-z0-9_./-]*", text[:_LONGEST_LINK_FILE])}
        paths = {word.removeprefix("./") for word in words if _SCRIPT_NAME.search(word)}
        paths.update(file for program, files in BUILD_FILES.items() if program in words for file in files)
        paths |= MANIFESTS if words & _MANIFEST_RUNNERS else set()
        for path in paths - seen:
            if ".." in path.split("/") or path.startswith("/"):
                continue
            seen.add(path)
            content = read_file(path) if len(seen) <= _MOST_FILES else None
            if content is not None:
                queue.append(content)
    return False


def _tools(command: str, path: str | None) -> list[str]:
    """Return which file each word of a command is as a program, with its size and time; other words do no harm."""
    try:
        words = shlex.split(command, comments=True)
    except ValueError:
        words = command.split()
    tools = []
    for word in sorted({word for word in words if re.fullmatch(r"[\w./+-]+", word)}):
        program = shutil.which(word, path=path) if "/" not in word or word.startswith("/") else None
        real = Path(program).resolve() if program is not None else None
        facts = real.stat() if real is not None else None
        tools.append(f"{real} {facts.st_size} {facts.st_mtime_ns}" if facts is not None else "")
    return tools
