"""What a gate's command sees of the environment, and what of it a result depends on.

Invariant: a gate runs the agents' code, so it gets an allow-list and nothing else: no tokens, no agent sockets, nothing
that redirects git. What can change a result is part of the result's key; what only says where it runs is not.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import shlex
import shutil
from collections.abc import Mapping
from pathlib import Path

from orchestra.blueprint.model import RunGate

_ALLOWED = frozenset(
    """PATH HOME USER LOGNAME SHELL LANG LANGUAGE TZ SSL_CERT_FILE SSL_CERT_DIR REQUESTS_CA_BUNDLE CURL_CA_BUNDLE
    NODE_EXTRA_CA_CERTS PIP_CERT HTTP_PROXY HTTPS_PROXY NO_PROXY ALL_PROXY http_proxy https_proxy no_proxy all_proxy
    JAVA_HOME GOPATH GOROOT GOMODCACHE GOCACHE GOPROXY GOFLAGS GOTOOLCHAIN CARGO_HOME RUSTUP_HOME RUSTUP_TOOLCHAIN
    NVM_DIR PYENV_ROOT RBENV_ROOT GEM_HOME UV_CACHE_DIR PIP_CACHE_DIR PIP_INDEX_URL PIP_FIND_LINKS PIP_NO_INDEX
    UV_INDEX_URL UV_DEFAULT_INDEX NPM_CONFIG_REGISTRY npm_config_registry npm_config_cache XDG_CACHE_HOME
    XDG_CONFIG_HOME XDG_DATA_HOME XDG_RUNTIME_DIR DOCKER_HOST SystemRoot""".split()
)
_ALLOWED_PREFIXES = ("LC_",)
# Say where something runs or is kept, never what comes of it.
_PLACES = frozenset(
    """HOME USER LOGNAME SHELL TMPDIR XDG_CACHE_HOME XDG_CONFIG_HOME XDG_DATA_HOME XDG_RUNTIME_DIR UV_CACHE_DIR
    PIP_CACHE_DIR GOMODCACHE GOCACHE npm_config_cache""".split()
)
# Many tools ask no questions, watch no files and draw no bars when they see it.
_FIXED = {"CI": "true", "TERM": "dumb", "GIT_TERMINAL_PROMPT": "0"}
_SCHEMA = 1


def gate_environment(source: Mapping[str, str] | None = None) -> dict[str, str]:
    """What of ``source`` (default: our own environment) a gate may see, and what is fixed for every gate."""
    given = os.environ if source is None else source
    passed = {k: v for k, v in given.items() if k in _ALLOWED or k.startswith(_ALLOWED_PREFIXES)}
    return {**passed, **_FIXED}


def environment_rules() -> dict[str, object]:
    """Return the rules of ``allowed`` as data, for the client's stop hook, which runs without this package."""
    return {"names": sorted(_ALLOWED), "prefixes": list(_ALLOWED_PREFIXES), "fixed": dict(_FIXED)}


def result_key(gate: RunGate, env: Mapping[str, str], setup: str, tree: str, commit: str) -> str:
    """What a result of ``gate`` on ``tree`` depends on, as one digest.

    A command that mentions git may look at the commit itself (message, describe, changed files), so there the commit
    counts as well (facts/merge.md 2.8).
    """
    facts = {
        "schema": _SCHEMA,
        "run": gate.run,
        "env": {k: v for k, v in sorted(env.items()) if k not in _PLACES} | dict(gate.env),
        "tools": [_fingerprint(word, env.get("PATH")) for word in _programs(gate.run)],
        "machine": [platform.system(), platform.machine()],
        "setup": setup,
        "tree": tree,
        "commit": commit if re.search(r"\bgit\b|commitlint", gate.run) else None,
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode("utf-8", "surrogateescape")).hexdigest()


def _programs(command: str) -> list[str]:
    """Every word of a command that could be a program; too many do no harm."""
    try:
        words = shlex.split(command, comments=True)
    except ValueError:
        words = command.split()
    return sorted({word for word in words if re.fullmatch(r"[\w./+-]+", word)})


def _fingerprint(word: str, path: str | None) -> str:
    """Which file a program is, and that it is still the same one; the empty text when it is none."""
    found = shutil.which(word, path=path) if "/" not in word or word.startswith("/") else None
    if found is None:
        return ""
    real = Path(found).resolve()
    facts = real.stat()
    return f"{real} {facts.st_size} {facts.st_mtime_ns}"
